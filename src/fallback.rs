//! Fallback: what the user's own Docker config holds for a registry that no rule is for, inside `run`.

use std::path::PathBuf;

use aws_smithy_types::base64;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde_json::Value;

use crate::ask::Question;
use crate::credential::Credential;
use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::file::{self, FileError, Owner};
use crate::helper::Helper;
use crate::log;
use crate::registry::{Asked, Pattern};

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
        if let Some(credential) = self.inline(question) {
            return Some(credential);
        }
        match self.store()?.get(question.asked, until).await {
            Ok(found) => found.map(|found| Credential::new(found.username, found.secret)),
            Err(why) => {
                log::event(|| why);
                None
            }
        }
    }

    /// Users by what clients ask for: of its logins, and of its `credsStore`.
    pub async fn list(&self, until: Deadline) -> Vec<(String, String)> {
        let mut named = match self.store() {
            Some(store) => store.list(until).await.unwrap_or_else(|why| {
                log::event(|| why);
                Vec::new()
            }),
            None => Vec::new(),
        };
        // What is named must be there when it is asked for.
        named.retain(|(name, _)| matches!(Asked::parse(name), Asked::Registry(_)));
        for (key, entry) in self.auths() {
            if let Some(credential) = login(entry) {
                named.push((key.clone(), credential.username));
            }
        }
        named
    }

    /// The login under the very name that was asked, else under another spelling of it.
    fn inline(&self, Question { registry, asked }: Question<'_>) -> Option<Credential> {
        let verbatim = self.auths().find(|(key, _)| *key == asked).and_then(|(_, entry)| login(entry));
        // One with a path is for what is below it, as a rule's would be; the longest is meant.
        let fits =
            |key: &str| Pattern::parse(key).ok().filter(|own| !own.is_wildcard() && own.matches(registry));
        verbatim.or_else(|| {
            let found = self.auths().filter_map(|(key, entry)| Some((fits(key)?, login(entry)?)));
            found.max_by(|(one, _), (two, _)| one.precedence(two)).map(|(_, credential)| credential)
        })
    }

    fn auths(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.config["auths"].as_object().into_iter().flatten()
    }

    fn store(&self) -> Option<Helper> {
        Helper::named(self.config["credsStore"].as_str()?, self.environment)
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

/// A login as `config.json` has it: an identity token, or user and password, in base64 or as they are.
fn login(entry: &Value) -> Option<Credential> {
    if let Some(token) = entry["identitytoken"].as_str().filter(|token| !token.is_empty()) {
        return Some(Credential::new("<token>", SecretString::from(token)));
    }
    let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty());
    let Some(auth) = text("auth") else {
        return Some(Credential::new(text("username")?, SecretString::from(text("password")?)));
    };
    let bytes = Zeroizing::new(base64::decode(auth).ok()?);
    let text = std::str::from_utf8(&bytes).ok()?.trim_end_matches('\0');
    let (username, secret) = text.split_once(':')?;
    Some(Credential::new(username, SecretString::from(secret)))
}
