//! Fallback: what the user's own Docker config holds for a registry that no rule is for, inside `run`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::zeroize::Zeroizing;
use serde_json::Value;

use crate::ask::Question;
use crate::auths;
use crate::credential::Credential;
use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::file::{self, FileError, Owner};
use crate::helper::Helper;
use crate::log;
use crate::registry::Asked;

/// Names the folder of the user's own `config.json`.
pub const VARIABLE: &str = "DOCKER_CREDENTIAL_LEASE_FALLBACK";
const SIZE_LIMIT: u64 = 16 * 1024 * 1024;

/// The user's own `config.json`.
pub struct Fallback<'e> {
    environment: &'e Environment,
    config: Value,
}

impl<'e> Fallback<'e> {
    /// Reads it; `None` outside of `run`, or where there is none.
    pub fn find(environment: &'e Environment) -> Option<Self> {
        let path = environment.path(VARIABLE)?.join("config.json");
        let config = read(&path)?;
        Some(Self { environment, config })
    }

    /// A login that stands in it, else what its `credsStore` has.
    pub async fn get(&self, question: Question<'_>, until: Deadline) -> Option<Credential> {
        if let Some(credential) = auths::find(&self.config, question) {
            return Some(credential);
        }
        let (program, store) = self.store()?;
        store.get(question.asked, until).await.unwrap_or_else(|problem| {
            log::event(|| format!("{program}: {problem}"));
            None
        })
    }

    /// Users by what clients ask for: of its logins, and of its `credsStore`.
    pub async fn list(&self, until: Deadline) -> Vec<(String, String)> {
        let mut named: Vec<_> = match self.store() {
            Some((program, store)) => store.list(until).await.unwrap_or_else(|problem| {
                log::event(|| format!("{program}: {problem}"));
                BTreeMap::new()
            }),
            None => BTreeMap::new(),
        }
        .into_iter()
        .collect();
        let logins = auths::logins(&self.config);
        named.extend(logins.map(|(key, login)| (key.clone(), login.username)));
        // What is named must be there when it is asked for.
        named.retain(|(name, _)| matches!(Asked::parse(name), Asked::Registry(_)));
        named
    }

    /// The helper with its program's name.
    fn store(&self) -> Option<(String, Helper)> {
        let name = self.config["credsStore"].as_str().filter(|name| Helper::is_name(name))?;
        let program = Helper::program(name);
        match Helper::find(name, self.environment) {
            Ok(helper) => Some((program, helper)),
            Err(absent) => {
                log::event(|| format!("{program}: {}", absent.problem(name)));
                None
            }
        }
    }
}

/// The file as JSON; a file that is none is told in the log.
pub(crate) fn read(path: &std::path::Path) -> Option<Value> {
    let text = match file::read_text(path, Owner::Anyone, SIZE_LIMIT) {
        Ok(text) => Zeroizing::new(text),
        Err(FileError::Missing) => return None,
        Err(FileError::Unreadable(why)) => {
            log::event(|| format!("cannot read {}: {why}", path.display()));
            return None;
        }
        Err(FileError::Unsafe { what, mend }) => {
            log::event(|| format!("{what}, so it is not read; hint: {mend}"));
            return None;
        }
    };
    match serde_json::from_str(&text) {
        Ok(config @ Value::Object(_)) => Some(config),
        _ => {
            log::event(|| format!("{} is no JSON object", path.display()));
            None
        }
    }
}

/// The user's own folder of Docker's config.
pub(crate) fn docker_folder(environment: &Environment) -> Option<PathBuf> {
    environment.path("DOCKER_CONFIG").or_else(|| Some(environment.home()?.join(".docker")))
}
