//! Credentials in Vault or OpenBao: K/V of both versions, and any engine that answers a read or a write.

mod body;
mod kv;
mod refused;
mod writing;

use std::rc::Rc;

use http::Method;
use secrecy::SecretString;
use serde_json::Value;

use super::shape::Fields;
use super::{Answer, Coming, Setup, Source, Writable};
use crate::ask::Ask;
use crate::credential::{Credential, Lease};
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use crate::log;
use crate::registry::{Pattern, Registry, Template};
use crate::vault::{self, Refusal};
use body::Body;
use refused::{Right, refused};

/// Its word in the config.
pub(super) const NAME: &str = "vault";

struct Vault {
    /// The registries that the rule is for.
    pattern: Pattern,
    /// The segments of the API path below `/v1/`.
    path: Vec<Template>,
    /// `None` where the rule states none, and so reads.
    method: Option<Verb>,
    body: Option<Body>,
    username: Option<String>,
    fields: Fields,
    connection: Rc<vault::Connection>,
}

/// How the path is asked.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Verb {
    Get,
    Post,
    Put,
}

/// Reads `path`, `method`, `body`, `username`, `username-key`, `password-key` and `vault`.
pub(super) fn parse(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Box<dyn Source>> {
    let path = keys.string("path")?;
    let method = keys.word("method", &[("GET", Verb::Get), ("POST", Verb::Post), ("PUT", Verb::Put)])?;
    let body = keys.json("body")?;
    let username = keys.string("username")?;
    let fields = Fields::parse(keys)?;
    let connection = setup.connection(keys, "vault", setup.vault)?;
    keys.finish()?;
    let path = segments(&keys.required("path", path)?).map_err(|why| keys.mistake("path", &why))?;
    if body.is_some() && !matches!(method, Some(Verb::Post | Verb::Put)) {
        return Err(keys.mistake("body", "is sent by a write only: add method = \"POST\""));
    }
    let body =
        body.map(Body::parse).transpose().map_err(|why| keys.mistake("body", &format!("has an {why}")))?;
    Ok(Box::new(Vault { pattern: setup.pattern.clone(), path, method, body, username, fields, connection }))
}

/// The path's segments; slashes at its ends and doubled ones say nothing.
fn segments(path: &str) -> Result<Vec<Template>, String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err("is empty".to_owned());
    }
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err("holds a `.` or `..` segment".to_owned());
    }
    parts.into_iter().map(|part| Template::parse(part).map_err(|why| format!("has an {why}"))).collect()
}

impl Source for Vault {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self, registry: &Registry) -> Option<String> {
        Some(self.filled(registry)?.join("/"))
    }

    fn get<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Answer> {
        Box::pin(async { self.fetch(ask).await.map(Some) })
    }

    fn mints(&self) -> bool {
        self.verb() != Verb::Get
    }

    fn depends_on(&self, environment: &Environment, inputs: &mut Inputs) {
        self.connection.depends_on(environment, inputs);
    }

    fn fills_in(&self, registry: &Registry, inputs: &mut Inputs) {
        if let Some(body) = self.body.as_ref().and_then(|body| body.fill(registry)) {
            inputs.text(&body.to_string());
        }
    }

    fn logs_in(&self) -> bool {
        self.connection.logs_in()
    }

    fn is_per_host(&self) -> bool {
        self.path.iter().any(Template::uses_host)
    }

    fn needs_path(&self) -> bool {
        self.path.iter().any(Template::uses_path) || self.body.as_ref().is_some_and(Body::uses_path)
    }

    fn stated_username(&self, _: &Environment) -> Option<String> {
        self.username.clone()
    }

    fn writable(&self) -> Result<&dyn Writable, &'static str> {
        match self.method {
            None => Ok(self),
            Some(Verb::Get) => Err("method is for a rule that only gives: remove it"),
            Some(Verb::Post | Verb::Put) => Err("what its method makes is kept nowhere"),
        }
    }
}

impl Vault {
    fn verb(&self) -> Verb {
        self.method.unwrap_or(Verb::Get)
    }

    /// The path's segments for the registry; what `{path}` fills in may be several.
    fn filled(&self, registry: &Registry) -> Option<Vec<String>> {
        let mut filled = Vec::new();
        for template in &self.path {
            let text = template.fill(registry)?;
            filled.extend(text.split('/').map(str::to_owned));
        }
        if let Some(body) = &self.body {
            body.fill(registry)?;
        }
        Some(filled)
    }

    async fn fetch(&self, ask: &Ask<'_>) -> Result<Credential, Problem> {
        let path = self.filled(ask.registry).ok_or_else(misfit)?;
        let body = match &self.body {
            Some(body) => Some(body.fill(ask.registry).ok_or_else(misfit)?),
            // A write without a body is still JSON to the server.
            None => self.mints().then(|| Value::Object(serde_json::Map::new())),
        };
        let session = self.connection.open(ask).await?;
        let asked = match &body {
            Some(body) => session.write(self.verb().http(), &path, body).await?,
            None => session.read(&path).await?,
        };
        let answer = match asked {
            Ok(answer) => answer,
            Err(refusal) if self.may_lack_data(&refusal) => match session.versioned_path(&path).await {
                Some(path) => session.read(&path).await?.map_err(|refusal| self.refused(&refusal, &path))?,
                None => return Err(self.refused(&refusal, &path)),
            },
            Err(refusal) => return Err(self.refused(&refusal, &path)),
        };
        let lease = session.lease(&answer);
        match (self.credential(&answer), lease) {
            (Ok(credential), Some(lease)) => {
                session.keep();
                let (id, time) = (&lease.id, lease.duration.as_secs());
                log::event(|| format!("{NAME}: lease {id} for {time} s"));
                Ok(Credential { lease: Some(lease), ..credential })
            }
            (Ok(credential), None) => Ok(credential),
            (Err(problem), Some(lease)) if lease.holder.is_some() => {
                // Nobody could use it, so nobody would give it back.
                session.give_back(&lease).await.map_err(|why| not_given_back(&problem, &lease, &why))?;
                Err(problem)
            }
            (Err(problem), _) => Err(problem),
        }
    }

    /// A path of a versioned K/V engine without `data/` is refused by policy, or answered with a warning.
    fn may_lack_data(&self, refusal: &Refusal) -> bool {
        self.verb() == Verb::Get && (refusal.status == 403 || refusal.lacks_data())
    }

    fn refused(&self, refusal: &Refusal, path: &[String]) -> Problem {
        let right = if self.mints() { Right::Mint } else { Right::Read };
        refused(refusal, path, right, self.logs_in())
    }

    fn credential(&self, answer: &vault::Answer) -> Result<Credential, Problem> {
        if answer.is_wrapped() {
            return Err(Problem::new(Kind::Malformed, "the server wrapped its answer")
                .hint("have it answer without wrapping: the helper hands the credential on at once"));
        }
        let data = answer.data().ok_or_else(|| {
            Problem::new(Kind::Malformed, "the answer holds no data").hint("check path and method")
        })?;
        let username = match &self.username {
            Some(username) => username.clone(),
            None => self.fields.username(data)?,
        };
        Ok(Credential::new(username, SecretString::from(self.fields.password(data)?)))
    }
}

fn misfit() -> Problem {
    Problem::new(Kind::Malformed, "the path does not fit the registry")
}

fn not_given_back(problem: &Problem, lease: &Lease, why: &Problem) -> Problem {
    let hint = format!("{}; revoke the lease {} by hand ({})", problem.hint, lease.id, why.cause);
    problem.clone().hint(hint.trim_start_matches("; ").to_owned())
}

impl Verb {
    fn http(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
        }
    }
}
