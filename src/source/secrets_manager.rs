//! Credentials in AWS Secrets Manager: one JSON object, two plain secrets, or one plain token.

use std::rc::Rc;

use aws_sdk_secretsmanager::Client;
use secrecy::SecretString;
use serde_json::Value;

use super::shape::{Fields, plain};
use super::{Answer, Coming, Setup, Source};
use crate::ask::Ask;
use crate::aws::{self, Call, Session};
use crate::credential::Credential;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use crate::registry::{Registry, Template};

/// Its word in the config.
pub(super) const NAME: &str = "aws-secrets-manager";

struct SecretsManager {
    secret: Template,
    username: Username,
    fields: Fields,
    version_stage: Option<String>,
    aws: Rc<aws::Connection>,
}

/// Where the user name comes from.
enum Username {
    /// The rule says it.
    Literal(String),
    /// It stands in the same JSON object as the password.
    SameSecret,
    /// It has a secret of its own.
    Secret(Template),
}

/// Reads `secret`, `username`, `username-secret`, `username-key`, `password-key`, `version-stage` and `aws`.
pub(super) fn parse(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Box<dyn Source>> {
    let secret = keys.template("secret")?;
    let username = keys.string("username")?;
    let username_secret = keys.template("username-secret")?;
    let fields = Fields::parse(keys)?;
    let version_stage = keys.string("version-stage")?;
    let aws = setup.connection(keys, "aws", setup.aws)?;
    keys.finish()?;
    keys.exclusive(&["username", "username-secret"])?;
    let secret = keys.required("secret", secret)?;
    let username = match (username, username_secret) {
        (Some(literal), _) => Username::Literal(literal),
        (None, Some(secret)) => Username::Secret(secret),
        (None, None) => Username::SameSecret,
    };
    Ok(Box::new(SecretsManager { secret, username, fields, version_stage, aws }))
}

impl Source for SecretsManager {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self, registry: &Registry) -> Option<String> {
        if let Username::Secret(template) = &self.username {
            template.fill_name(registry)?;
        }
        self.secret.fill_name(registry)
    }

    fn get<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Answer> {
        Box::pin(async { self.fetch(ask).await.map(Some) })
    }

    fn depends_on(&self, environment: &Environment, inputs: &mut Inputs) {
        self.aws.depends_on(environment, inputs);
    }

    fn fills_in(&self, registry: &Registry, inputs: &mut Inputs) {
        if let Username::Secret(template) = &self.username {
            inputs.text(&template.fill_name(registry).unwrap_or_default());
        }
    }

    fn is_per_host(&self) -> bool {
        self.secret.uses_host()
    }

    fn needs_path(&self) -> bool {
        self.secret.uses_path()
            || matches!(&self.username, Username::Secret(template) if template.uses_path())
    }

    fn stated_username(&self, _: &Environment) -> Option<String> {
        match &self.username {
            Username::Literal(username) => Some(username.clone()),
            _ => None,
        }
    }
}

impl SecretsManager {
    async fn fetch(&self, ask: &Ask<'_>) -> Result<Credential, Problem> {
        let secret = filled(&self.secret, ask)?;
        let arn_region = aws::region_of_arn(&secret);
        let session = self.aws.open(ask, arn_region).await?;
        let (username, secret) = match &self.username {
            Username::Literal(username) => {
                (username.clone(), self.password(&self.text(&session, &secret).await?)?)
            }
            Username::SameSecret => {
                let object = object(&self.text(&session, &secret).await?)?;
                (self.fields.username(&object)?, self.fields.password(&object)?)
            }
            Username::Secret(template) => {
                let id = filled(template, ask)?;
                // Each on a connection of its own, at the same time.
                let named = |problem: Problem| Problem {
                    cause: format!("the username-secret {id}: {}", problem.cause),
                    ..problem
                };
                let username = async { self.username(&self.text(&session, &id).await?) };
                let password = async { self.password(&self.text(&session, &secret).await?) };
                tokio::try_join!(async { username.await.map_err(named) }, password)?
            }
        };
        Ok(Credential::new(username, SecretString::from(secret)))
    }

    /// The secret's text, as string or as bytes.
    async fn text(&self, session: &Session, name: &str) -> Result<String, Problem> {
        let mut settings = aws_sdk_secretsmanager::config::Builder::from(&session.config);
        if let Some(region) = aws::region_of_arn(name) {
            settings = settings.region(aws_config::Region::new(region.to_owned()));
        }
        let request = Client::from_conf(settings.build())
            .get_secret_value()
            .secret_id(name)
            .set_version_stage(self.version_stage.clone());
        let region = aws::region_of_arn(name)
            .or_else(|| session.config.region().map(AsRef::as_ref))
            .unwrap_or_default();
        // Of an ARN only what the user named.
        let resource = name.rsplit_once(":secret:").map_or(name, |(_, name)| name);
        let call = Call { action: "secretsmanager:GetSecretValue", resource, who: &session.who };
        let answer = request.send().await.map_err(|error| advise(call.describe(&error), name, region))?;
        if let Some(text) = answer.secret_string() {
            return Ok(text.to_owned());
        }
        let bytes = answer.secret_binary().map(|blob| blob.as_ref().to_vec()).unwrap_or_default();
        String::from_utf8(bytes).map_err(|_| Problem::new(Kind::Malformed, "it is binary and not UTF-8"))
    }

    fn username(&self, text: &str) -> Result<String, Problem> {
        match object(text) {
            Ok(object) => self.fields.username(&object),
            Err(problem) if self.fields.names_username() => Err(problem),
            Err(_) => plain(text),
        }
    }

    fn password(&self, text: &str) -> Result<String, Problem> {
        match object(text) {
            Ok(object) => self.fields.password(&object),
            Err(problem) if self.fields.names_password() => Err(problem),
            Err(_) => plain(text),
        }
    }
}

fn filled(template: &Template, ask: &Ask<'_>) -> Result<String, Problem> {
    template
        .fill_name(ask.registry)
        .ok_or_else(|| Problem::new(Kind::Malformed, "the name does not fit the registry"))
}

/// The JSON object that the text is; its parser's own words may quote the secret and are not repeated.
fn object(text: &str) -> Result<Value, Problem> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ if text.is_empty() => Err(Problem::new(Kind::Malformed, "it is empty")),
        _ => Err(Problem::new(Kind::Malformed, "it is no JSON object")
            .hint("for a plain token add username or username-secret to the rule")),
    }
}

/// The remedies that are Secrets Manager's own.
fn advise(problem: Problem, name: &str, region: &str) -> Problem {
    let hint = match problem.cause.split(':').next().unwrap_or_default() {
        "AccessDenied" | "AccessDeniedException" => {
            format!("allow secretsmanager:GetSecretValue on it in {region}, and kms:Decrypt on its key")
        }
        "DecryptionFailure" => "allow kms:Decrypt on its key".to_owned(),
        "InvalidRequestException" => {
            format!("it may be marked for deletion: `aws secretsmanager restore-secret --secret-id {name}`")
        }
        "ResourceNotFoundException" => format!("check its name, its stage and the region {region}"),
        _ => return problem,
    };
    Problem { cause: format!("{} in {region}", problem.cause), ..problem }.hint(hint)
}
