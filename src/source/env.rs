//! Credentials from environment variables, and the built-in default for Docker Hub.

use secrecy::SecretString;

use super::{Answer, Coming, Setup, Source};
use crate::ask::Ask;
use crate::credential::Credential;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use crate::registry::Registry;

/// Its word in the config.
pub(super) const NAME: &str = "env";

/// The pairs that CI systems and their users already set for Docker Hub; the first complete one counts.
const HUB_PAIRS: [Pair; 5] = [
    Pair { username: "DOCKER_USER", secret: "DOCKER_ACCESS_TOKEN", any_registry: false },
    Pair { username: "DOCKERHUB_USERNAME", secret: "DOCKERHUB_TOKEN", any_registry: false },
    Pair { username: "DOCKERHUB_USERNAME", secret: "DOCKERHUB_PASSWORD", any_registry: false },
    Pair { username: "DOCKER_LOGIN", secret: "DOCKER_PASSWORD", any_registry: true },
    Pair { username: "DOCKER_USERNAME", secret: "DOCKER_PASSWORD", any_registry: true },
];

/// Where a pipeline says which registry its `DOCKER_PASSWORD` is for.
const REGISTRY_VARIABLES: [&str; 2] = ["DOCKER_REGISTRY", "REGISTRY"];

struct Pair {
    username: &'static str,
    secret: &'static str,
    /// Names that pipelines also use for other registries.
    any_registry: bool,
}

/// What the rule's keys say.
enum Env {
    /// Docker Hub's usual pairs; `quiet`: without any of the variables it has none, which is no failure.
    HubPairs { quiet: bool },
    /// The rule's own variables.
    Named { username: Username, password: String },
}

enum Username {
    Literal(String),
    Variable(String),
}

/// Reads `username`, `username-env` and `password-env`.
pub(super) fn parse(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Box<dyn Source>> {
    let literal = keys.string("username")?;
    let variable = keys.string("username-env")?;
    let password = keys.string("password-env")?;
    keys.finish()?;
    keys.exclusive(&["username", "username-env"])?;
    if setup.pattern.is_hub() && literal.is_none() && variable.is_none() && password.is_none() {
        return Ok(Box::new(Env::HubPairs { quiet: setup.built_in }));
    }
    let password = keys.required("password-env", password)?;
    let username = literal.map(Username::Literal).or(variable.map(Username::Variable));
    let username = username.ok_or_else(|| keys.error("needs the key `username` or `username-env`"))?;
    Ok(Box::new(Env::Named { username, password }))
}

impl Source for Env {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self, _: &Registry) -> Option<String> {
        Some(match self {
            Self::HubPairs { .. } => "docker.io".to_owned(),
            Self::Named { username: Username::Variable(username), password } => {
                format!("{username}, {password}")
            }
            Self::Named { password, .. } => password.clone(),
        })
    }

    fn get<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Answer> {
        Box::pin(std::future::ready(self.read(ask.environment)))
    }

    fn stated_username(&self, environment: &Environment) -> Option<String> {
        match self {
            Self::HubPairs { .. } => environment.get(complete_pair(environment)?.username),
            Self::Named { username: Username::Literal(username), .. } => Some(username.clone()),
            Self::Named { username: Username::Variable(name), .. } => environment.get(name),
        }
    }

    fn is_kept(&self) -> bool {
        false
    }

    fn depends_on(&self, _: &Environment, _: &mut Inputs) {}

    fn is_listed(&self, environment: &Environment) -> bool {
        matches!(self.read(environment), Ok(Some(_)))
    }
}

impl Env {
    fn read(&self, environment: &Environment) -> Answer {
        let (username, secret) = match self {
            Self::HubPairs { quiet } => match complete_pair(environment) {
                Some(pair) => (environment.get(pair.username), environment.get(pair.secret)),
                None if *quiet && half_pair(environment).is_none() => return Ok(None),
                None => return Err(no_pair(environment)),
            },
            Self::Named { username, password } => {
                let username = match username {
                    Username::Literal(username) => username.clone(),
                    Username::Variable(name) => {
                        environment.get(name).ok_or_else(|| unset(name, environment))?
                    }
                };
                (Some(username), Some(environment.get(password).ok_or_else(|| unset(password, environment))?))
            }
        };
        let (Some(username), Some(secret)) = (username, secret) else { return Err(no_pair(environment)) };
        Ok(Some(Credential::new(username, SecretString::from(secret))))
    }
}

fn unset(name: &str, environment: &Environment) -> Problem {
    let what = if environment.is_garbled(name) { "not UTF-8" } else { "not set" };
    Problem::new(Kind::Missing, format!("{name} is {what}")).hint(format!("set {name} where docker runs"))
}

fn complete_pair(environment: &Environment) -> Option<&'static Pair> {
    usable_pairs(environment)
        .find(|pair| environment.get(pair.username).is_some() && environment.get(pair.secret).is_some())
}

/// The first pair of which only one variable is set.
fn half_pair(environment: &Environment) -> Option<&'static Pair> {
    usable_pairs(environment)
        .find(|pair| environment.get(pair.username).is_some() != environment.get(pair.secret).is_some())
}

fn usable_pairs(environment: &Environment) -> impl Iterator<Item = &'static Pair> {
    let elsewhere = REGISTRY_VARIABLES
        .iter()
        .filter_map(|name| environment.get(name))
        .any(|named| !Registry::parse(named.trim()).is_some_and(|registry| registry.is_hub()));
    HUB_PAIRS.iter().filter(move |pair| !(pair.any_registry && elsewhere))
}

fn no_pair(environment: &Environment) -> Problem {
    if let Some(pair) = half_pair(environment) {
        let (set, missing) = match environment.get(pair.username) {
            Some(_) => (pair.username, pair.secret),
            None => (pair.secret, pair.username),
        };
        return Problem::new(Kind::Missing, format!("{set} is set, but {missing} is not"))
            .hint(format!("set {missing}"));
    }
    Problem::new(Kind::Missing, "DOCKER_USER and DOCKER_ACCESS_TOKEN are not set")
        .hint("set both, or another pair that the README names, where docker runs")
}
