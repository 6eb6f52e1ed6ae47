//! Credentials in AWS Secrets Manager: one JSON object, two plain secrets, or one plain token.

mod advice;
mod changing;
mod form;
mod listing;
mod secret;

use std::rc::Rc;

use secrecy::{ExposeSecret, SecretString};

use super::shape::Fields;
use super::{Answer, Coming, Names, Setup, Source, Writable};
use crate::ask::Ask;
use crate::aws::{self, Session};
use crate::credential::Credential;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use crate::registry::{Pattern, Registry, Template};
use changing::Place;
use form::{Form, Part};
use secret::Secret;

/// Its word in the config.
pub(super) const NAME: &str = "aws-secrets-manager";
/// The stage of what was written last, which is also what is read where none is named.
const CURRENT: &str = "AWSCURRENT";

struct SecretsManager {
    secret: Template,
    username: Username,
    fields: Fields,
    version_stage: Option<String>,
    aws: Rc<aws::Connection>,
    /// The registries that the rule is for.
    pattern: Pattern,
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
    let pattern = setup.pattern.clone();
    Ok(Box::new(SecretsManager { secret, username, fields, version_stage, aws, pattern }))
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

    fn writable(&self) -> Result<&dyn Writable, &'static str> {
        match self.version_stage.as_deref() {
            None | Some(CURRENT) => Ok(self),
            Some(_) => Err("what is written is AWSCURRENT, and its version-stage is another one"),
        }
    }
}

impl Writable for SecretsManager {
    fn store<'a>(&'a self, ask: &'a Ask<'a>, given: &'a Credential) -> Coming<'a, Result<(), Problem>> {
        Box::pin(async {
            if given.secret.expose_secret().is_empty() {
                return Err(Problem::new(Kind::Malformed, "an empty password is not written")
                    .hint("log in with a password or a token"));
            }
            let session = self.open(ask).await?;
            changing::store(&self.places(&session, ask)?, ask.registry, given).await
        })
    }

    fn erase<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Result<(), Problem>> {
        Box::pin(async {
            let session = self.open(ask).await?;
            changing::erase(&self.places(&session, ask)?).await
        })
    }

    fn list<'a>(&'a self, ask: &'a Ask<'a>, names: &'a Names) -> Coming<'a, Result<(), Problem>> {
        Box::pin(self.name_all(ask, names))
    }
}

impl SecretsManager {
    async fn open(&self, ask: &Ask<'_>) -> Result<Session, Problem> {
        self.aws.open(ask, aws::region_of_arn(&filled(&self.secret, ask)?)).await
    }

    async fn fetch(&self, ask: &Ask<'_>) -> Result<Credential, Problem> {
        let session = self.open(ask).await?;
        let (fields, stage) = (&self.fields, self.version_stage.as_deref());
        let secret = Secret::new(&session, filled(&self.secret, ask)?);
        let (username, secret) = match &self.username {
            Username::Literal(username) => {
                (username.clone(), form::password(fields, &secret.read(stage).await?.text)?)
            }
            Username::SameSecret => form::both(fields, &secret.read(stage).await?.text)?,
            Username::Secret(template) => {
                let id = filled(template, ask)?;
                let holder = Secret::new(&session, id.clone());
                // Each on a connection of its own, at the same time.
                let username = async {
                    let read = holder.read(stage).await.and_then(|held| form::username(fields, &held.text));
                    read.map_err(|problem| Problem { cause: named(&id) + &problem.cause, ..problem })
                };
                let password = async { form::password(fields, &secret.read(stage).await?.text) };
                tokio::try_join!(username, password)?
            }
        };
        Ok(Credential::new(username, SecretString::from(secret)))
    }

    /// Where the registry's credential stands.
    fn places<'s>(&'s self, session: &'s Session, ask: &Ask<'_>) -> Result<Vec<Place<'s>>, Problem> {
        let fields = &self.fields;
        let of = |id, part| Place::new(Secret::new(session, id), Form { fields, part });
        let secret = filled(&self.secret, ask)?;
        Ok(match &self.username {
            Username::Literal(_) => vec![of(secret, Part::Password)],
            Username::SameSecret => vec![of(secret, Part::Both)],
            Username::Secret(template) => {
                let id = filled(template, ask)?;
                if id == secret {
                    return Ok(vec![of(secret, Part::Both)]);
                }
                let name = named(&id);
                vec![of(secret, Part::Password), of(id, Part::Username).named(name)]
            }
        })
    }
}

fn filled(template: &Template, ask: &Ask<'_>) -> Result<String, Problem> {
    template
        .fill_name(ask.registry)
        .ok_or_else(|| Problem::new(Kind::Malformed, "the name does not fit the registry"))
}

/// What the problems of a user name's secret begin with.
fn named(id: &str) -> String {
    format!("the username-secret {id}: ")
}
