//! Json: one credential under two keys, or docker's `auths` with one for each registry.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::super::shape::Fields;
use super::super::{Answer, Names, Setup};
use super::place::Place;
use super::text::{before, object, text};
use super::{held, judged, prepared, read, unwritten, write_whole};
use crate::ask::{Ask, Question};
use crate::auths;
use crate::credential::Credential;
use crate::error::{Kind, Problem};
use crate::file::write::{self, Hold};
use crate::registry::{Asked, Registry};

/// What else stands in a `config.json` of docker that knows helpers only.
const DOCKERS_OWN: [&str; 2] = ["credsStore", "credHelpers"];

/// A JSON file for each place.
pub(super) struct Json {
    pub(super) place: Place,
    pub(super) username: Option<String>,
    fields: Fields,
    /// Whether the rule is for more than one registry.
    is_wildcard: bool,
    /// Whether a stranger could have one of them, so that no credential may go to all.
    may_be_strangers: bool,
}

impl Json {
    pub(super) fn new(place: Place, username: Option<String>, fields: Fields, setup: &Setup<'_>) -> Self {
        let is_wildcard = setup.pattern.is_wildcard();
        let may_be_strangers = !(setup.any_host || setup.pattern.pins_owner() || place.uses_host());
        Self { place, username, fields, is_wildcard, may_be_strangers }
    }

    /// Whether one file holds a credential for each registry, or each has its own.
    pub(super) fn is_per_host(&self) -> bool {
        self.place.uses_host() || !self.names_keys()
    }

    pub(super) fn get(&self, ask: &Ask<'_>) -> Answer {
        let object = object(&read(&self.path(ask.registry)?)?)?;
        self.credential(&object, Question::new(ask.registry, ask.asked))
    }

    pub(super) async fn store(&self, ask: &Ask<'_>, given: &Credential) -> Result<(), Problem> {
        let target = prepared(&self.path(ask.registry)?)?;
        let _hold = Hold::to_write(write::folder(&target), ask.limits.answer).await.map_err(held)?;
        let (old, mut object) = before(&target)?;
        match self.is_by_host(&object) {
            true => auths::put(&mut object, ask.registry, given)?,
            false => {
                let username = self.username.is_none().then_some(given.username.as_str());
                self.fields.put(&mut object, username, given.secret.expose_secret())?;
            }
        }
        write_whole(&target, &text(&object, &old)?)
    }

    pub(super) async fn erase(&self, ask: &Ask<'_>) -> Result<(), Problem> {
        let target = judged(&self.path(ask.registry)?)?;
        let _hold = Hold::to_write(write::folder(&target), ask.limits.answer).await.map_err(held)?;
        let (old, mut object) = before(&target)?;
        let there = object.clone();
        match self.is_by_host(&object) {
            true => auths::remove(&mut object, ask.registry),
            false => drop(self.fields.take(&mut object, self.username.is_none())?),
        }
        match object.as_object().is_none_or(serde_json::Map::is_empty) {
            _ if object == there => Ok(()),
            true => write::remove(&target).map_err(|error| unwritten(&error)),
            false => write_whole(&target, &text(&object, &old)?),
        }
    }

    pub(super) fn list(&self, ask: &Ask<'_>, names: &Names) -> Result<(), Problem> {
        if !self.place.uses_host() {
            let object = match read(&self.path(ask.registry)?) {
                Err(problem) if problem.kind == Kind::Missing => return Ok(()),
                text => object(&text?)?,
            };
            for (key, login) in auths::logins(&object).filter(|_| self.is_by_host(&object)) {
                if let Asked::Registry(registry) = Asked::parse(key) {
                    names.add_with_user(registry.to_string(), self.named(login).username);
                }
            }
            return Ok(());
        }
        let registries = self.place.registries()?;
        for registry in &registries {
            names.add(registry.to_string());
        }
        for registry in registries.iter().take_while(|_| !ask.limits.answer.is_over()) {
            let name = registry.to_string();
            let held = self.path(registry).and_then(|path| object(&read(&path)?));
            match held.and_then(|held| self.credential(&held, Question::new(registry, &name))) {
                Ok(Some(credential)) => names.add_with_user(name, credential.username),
                // What cannot be had is not named.
                Ok(None) | Err(_) => names.remove(&name),
            }
        }
        Ok(())
    }

    fn credential(&self, object: &Value, question: Question<'_>) -> Answer {
        if !self.is_by_host(object) {
            let username = match &self.username {
                Some(username) => username.clone(),
                None => self.fields.username(object)?,
            };
            let secret = SecretString::from(self.fields.password(object)?);
            return Ok(Some(Credential::new(username, secret)));
        }
        match auths::find(object, question) {
            Some(login) => Ok(Some(self.named(login))),
            None if self.may_be_strangers && !auths::are_in(object) && self.fields.hold_password(object) => {
                Err(Problem::new(
                    Kind::Malformed,
                    "it holds one credential, which would go to every host that the rule is for",
                )
                .hint("put it under auths by host, put {host} into path, or set any-host = true"))
            }
            None if self.is_wildcard => Ok(None),
            None => {
                let host = question.registry.host_and_port();
                Err(Problem::new(Kind::Missing, format!("it has no login for {host} under auths"))
                    .hint("put one there, or take another file"))
            }
        }
    }

    /// A login with the user name that the rule states.
    fn named(&self, login: Credential) -> Credential {
        match &self.username {
            Some(username) if !auths::is_token(&login) => Credential { username: username.clone(), ..login },
            _ => login,
        }
    }

    /// Whether the object has, or is to have, one login for each registry.
    fn is_by_host(&self, object: &Value) -> bool {
        if self.names_keys() {
            return false;
        }
        let is_dockers = auths::are_in(object) || DOCKERS_OWN.iter().any(|key| object.get(key).is_some());
        let is_for_many = self.is_wildcard && !self.place.uses_host();
        is_dockers
            || self.may_be_strangers && is_for_many
            || is_for_many && !self.fields.hold_password(object)
    }

    fn names_keys(&self) -> bool {
        self.fields.names_username() || self.fields.names_password()
    }

    fn path(&self, registry: &Registry) -> Result<PathBuf, Problem> {
        let misfit = || Problem::new(Kind::Malformed, "the path does not fit the registry");
        self.place.fill(registry).ok_or_else(misfit)
    }
}
