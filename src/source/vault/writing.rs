//! Writing: what clients put into a K/V engine and take out of it, and what it holds.

use std::cell::OnceCell;

use futures_util::StreamExt;
use futures_util::stream;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use serde_json::Value;

use super::kv::{Kv, Secret};
use super::refused::Right;
use super::{Vault, misfit};
use crate::ask::Ask;
use crate::credential::Credential;
use crate::error::{Kind, Problem};
use crate::registry::{Registry, Template};
use crate::source::{Coming, Names, Source, Writable};
use crate::vault::Session;

/// How many secrets are read at once.
const AT_ONCE: usize = 16;

impl Writable for Vault {
    fn store<'a>(&'a self, ask: &'a Ask<'a>, given: &'a Credential) -> Coming<'a, Result<(), Problem>> {
        Box::pin(self.put(ask, given))
    }

    fn erase<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Result<(), Problem>> {
        Box::pin(self.take(ask))
    }

    fn list<'a>(&'a self, ask: &'a Ask<'a>, names: &'a Names) -> Coming<'a, Result<(), Problem>> {
        Box::pin(self.name_all(ask, names))
    }
}

impl Vault {
    async fn put(&self, ask: &Ask<'_>, given: &Credential) -> Result<(), Problem> {
        let path = self.filled(ask.registry).ok_or_else(misfit)?;
        let session = self.connection.open(ask).await?;
        session.hide(given.secret.clone());
        let secret = Secret::find(&session, &path, self.logs_in()).await?;
        // One that the rule states is not kept there.
        let username = self.username.is_none().then_some(given.username.as_str());
        let edit =
            |object: &mut _| self.fields.put(object, username, given.secret.expose_secret()).map(|()| false);
        secret.change(ask.limits.answer, edit).await
    }

    async fn take(&self, ask: &Ask<'_>) -> Result<(), Problem> {
        let path = self.filled(ask.registry).ok_or_else(misfit)?;
        let session = self.connection.open(ask).await?;
        let secret = Secret::find(&session, &path, self.logs_in()).await?;
        let with_username = self.username.is_none();
        let first = OnceCell::new();
        let edit = |object: &mut Value| {
            let username = if with_username { self.fields.username(object).ok() } else { None };
            let login = (username, self.fields.password(object).ok().map(Zeroizing::new));
            // One that came in between stays.
            if *first.get_or_init(|| login.clone()) != login {
                return Ok(false);
            }
            self.fields.take(object, with_username)
        };
        secret.change(ask.limits.answer, edit).await
    }

    /// Names first, so that they survive where the users do not come in time.
    async fn name_all(&self, ask: &Ask<'_>, names: &Names) -> Result<(), Problem> {
        // One secret for all hosts names none of them.
        let Some(at) = self.path.iter().position(Template::uses_host) else { return Ok(()) };
        let path = self.filled(ask.registry).ok_or_else(misfit)?;
        let session = self.connection.open(ask).await?;
        let kv = Kv::find(&session, &path, self.logs_in()).await?;
        let folder = kv.folder_at(path.get(..at).unwrap_or_default())?;
        let is_last = at + 1 == path.len();
        let registries = self.registries(&kv, &session, &folder, at, is_last).await?;
        for registry in &registries {
            names.add_with_user(registry.host_and_port(), self.username.clone().unwrap_or_default());
        }
        // It is there, and the rule states its user.
        if is_last && self.username.is_some() && !kv.is_versioned() {
            return Ok(());
        }
        let reading = |registry| self.name_user(registry, &kv, &session, names);
        stream::iter(&registries).for_each_concurrent(AT_ONCE, reading).await;
        Ok(())
    }

    /// The rule's registries whose names stand in the folder.
    async fn registries(
        &self,
        kv: &Kv<'_>,
        session: &Session,
        folder: &[String],
        at: usize,
        is_last: bool,
    ) -> Result<Vec<Registry>, Problem> {
        let answer = match session.list(folder).await? {
            Ok(answer) => answer,
            Err(refusal) => match kv.refused(&refusal, folder, Right::List) {
                problem if problem.kind == Kind::Missing => return Ok(Vec::new()),
                problem => return Err(problem),
            },
        };
        let keys = answer.whole()["keys"].as_array().cloned().unwrap_or_default();
        let template = self.path.get(at);
        let registry = |key: &str| {
            // What ends in a slash has something below it.
            let name = if is_last { key } else { key.strip_suffix('/')? };
            template?.unfill(name).filter(|registry| self.pattern.matches(registry))
        };
        Ok(keys.iter().filter_map(|key| registry(key.as_str()?)).collect())
    }

    /// Names the registry's user; takes its name back where `get` would find nothing.
    async fn name_user(&self, registry: &Registry, kv: &Kv<'_>, session: &Session, names: &Names) {
        let read = async {
            let path = kv.secret_at(&self.filled(registry).ok_or_else(misfit)?)?;
            let read = session.read(&path).await?;
            self.credential(&read.map_err(|refusal| kv.refused(&refusal, &path, Right::Read))?)
        };
        let name = registry.host_and_port();
        match read.await {
            Ok(credential) => names.add_with_user(name, credential.username),
            Err(problem) if problem.kind == Kind::Missing => names.remove(&name),
            Err(problem) => crate::log::event(|| format!("{name}: {problem}")),
        }
    }
}
