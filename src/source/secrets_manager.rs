//! Credentials in AWS Secrets Manager: one JSON object, two plain secrets, or one plain token.

mod advice;
mod form;
mod secret;

use std::rc::Rc;

use secrecy::SecretString;

use super::shape::Fields;
use super::{Answer, Coming, Setup, Source};
use crate::ask::Ask;
use crate::aws;
use crate::credential::Credential;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use crate::registry::{Registry, Template};
use secret::Secret;

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
        let session = self.aws.open(ask, aws::region_of_arn(&secret)).await?;
        let stage = self.version_stage.as_deref();
        let secret = Secret::new(&session, secret);
        let (username, secret) = match &self.username {
            Username::Literal(username) => {
                (username.clone(), form::password(&self.fields, &secret.read(stage).await?)?)
            }
            Username::SameSecret => {
                let object = form::object(&secret.read(stage).await?)?;
                (self.fields.username(&object)?, self.fields.password(&object)?)
            }
            Username::Secret(template) => {
                let id = filled(template, ask)?;
                let holder = Secret::new(&session, id.clone());
                // Each on a connection of its own, at the same time.
                let username =
                    async { holder.read(stage).await.and_then(|text| form::username(&self.fields, &text)) };
                let password = async { form::password(&self.fields, &secret.read(stage).await?) };
                tokio::try_join!(async { username.await.map_err(|problem| named(&id, problem)) }, password)?
            }
        };
        Ok(Credential::new(username, SecretString::from(secret)))
    }
}

fn filled(template: &Template, ask: &Ask<'_>) -> Result<String, Problem> {
    template
        .fill_name(ask.registry)
        .ok_or_else(|| Problem::new(Kind::Malformed, "the name does not fit the registry"))
}

/// The problem of a user name's secret, told from the password's.
fn named(id: &str, problem: Problem) -> Problem {
    Problem { cause: format!("the username-secret {id}: {}", problem.cause), ..problem }
}
