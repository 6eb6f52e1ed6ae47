//! Helper: another credential helper, called as clients call one, with a deadline.
//!
//! What it answers is judged as clients judge it
//! (<https://github.com/docker/docker-credential-helpers/blob/master/client/client.go>).

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::credential::Credential;
use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::error::{Kind, NOT_FOUND, Problem, one_line, shorten};
use crate::program::{self, Failure, Printed};

/// Set in whoever is called, so that nobody is called in a circle.
pub const DEPTH: &str = "DOCKER_CREDENTIAL_LEASE_DEPTH";
/// The longest answer that is read, in bytes.
const LIMIT: usize = 1024 * 1024;
/// How much of its own words is passed on, in bytes.
const WORDS_LIMIT: usize = 240;

/// A program `docker-credential-NAME`.
pub struct Helper {
    program: String,
    file: PathBuf,
}

/// Why there is nobody to call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Absent {
    /// It is this program itself, or this program was called by a helper.
    Circle,
    /// PATH does not find it.
    Missing,
}

/// What a `get` answers: what is left out, or `null`, is empty.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Found {
    #[serde(alias = "username")]
    username: Option<String>,
    #[serde(alias = "secret")]
    secret: Option<SecretString>,
}

/// What a `store` is given.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Given<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

impl Helper {
    /// Whether a helper may be called so.
    pub fn is_name(name: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain)
    }

    /// The program's name.
    pub fn program(name: &str) -> String {
        format!("docker-credential-{name}")
    }

    /// The helper of that name.
    ///
    /// # Errors
    /// Why it is not called.
    pub fn find(name: &str, environment: &Environment) -> Result<Self, Absent> {
        if environment.get(DEPTH).is_some() {
            return Err(Absent::Circle);
        }
        let program = Self::program(name);
        let (file, metadata) = search(&program, environment).ok_or(Absent::Missing)?;
        match is_this_program(&metadata) {
            true => Err(Absent::Circle),
            false => Ok(Self { program, file }),
        }
    }

    /// Asks for a registry's credential; `None` where it has none.
    ///
    /// # Errors
    /// It cannot be called, fails, or answers what is no credential.
    pub async fn get(&self, server_url: &str, until: Deadline) -> Result<Option<Credential>, Problem> {
        let printed = self.call("get", server_url.as_bytes(), until).await?;
        if !printed.status.success() {
            return if has_none(&printed) { Ok(None) } else { Err(self.failed("get", &printed)) };
        }
        let Some(Found { username, secret }) = first_value(&printed.stdout) else {
            let cause = "its answer is not the JSON object with Username and Secret that clients take";
            return Err(self.by_hand(Problem::new(Kind::Malformed, cause), "get"));
        };
        let (username, secret) = (username.unwrap_or_default(), secret.unwrap_or_default());
        // Some say so that they have none.
        let is_empty = username.is_empty() && secret.expose_secret().is_empty();
        Ok((!is_empty).then(|| Credential::new(username, secret)))
    }

    /// Hands it a credential.
    ///
    /// # Errors
    /// It cannot be called, or fails.
    pub async fn store(&self, server_url: &str, given: &Credential, until: Deadline) -> Result<(), Problem> {
        let secret = given.secret.expose_secret();
        let text = serde_json::to_vec(&Given { server_url, username: &given.username, secret });
        let printed = self.call("store", &Zeroizing::new(text.unwrap_or_default()), until).await?;
        match printed.status.success() {
            true => Ok(()),
            // Whatever it says may hold what it was given.
            false => Err(self.silenced("store", &printed)),
        }
    }

    /// Has it forget a registry; that it has none is no failure.
    ///
    /// # Errors
    /// It cannot be called, or fails.
    pub async fn erase(&self, server_url: &str, until: Deadline) -> Result<(), Problem> {
        let printed = self.call("erase", server_url.as_bytes(), until).await?;
        if printed.status.success() || has_none(&printed) {
            return Ok(());
        }
        // Some fail where there is nothing to forget (`pass`), in words of their own.
        match self.get(server_url, until).await {
            Ok(None) => Ok(()),
            _ => Err(self.failed("erase", &printed)),
        }
    }

    /// Asks for everything that it has: users by registry.
    ///
    /// # Errors
    /// It cannot be called, fails, or answers what is no list.
    pub async fn list(&self, until: Deadline) -> Result<BTreeMap<String, String>, Problem> {
        let printed = self.call("list", b"unused", until).await?;
        if !printed.status.success() {
            return Err(self.failed("list", &printed));
        }
        first_value(&printed.stdout).ok_or_else(|| {
            let cause = "its answer is not the JSON object of users by registry that clients take";
            self.by_hand(Problem::new(Kind::Malformed, cause), "list")
        })
    }

    async fn call(&self, action: &str, input: &[u8], until: Deadline) -> Result<Printed, Problem> {
        let mut command = Command::new(&self.file);
        // Programs with several names look at the one that they are called by.
        command.arg0(&self.program).arg(action).env(DEPTH, "1");
        program::run(command, input, LIMIT, until).await.map_err(|failure| {
            let problem = |kind, cause: String| self.by_hand(Problem::new(kind, cause), action);
            match failure {
                Failure::Late => problem(Kind::Unavailable, format!("timed out after {until}")),
                Failure::Missing => problem(
                    Kind::Unavailable,
                    "it cannot be started: there is no program for its first line".to_owned(),
                ),
                Failure::NotStarted(error) => {
                    problem(Kind::Unavailable, format!("it cannot be started: {error}"))
                }
                Failure::TooMuch => problem(Kind::Malformed, "its answer is larger than 1 MiB".to_owned()),
                Failure::Unread(error) => problem(Kind::Unavailable, format!("it cannot be read: {error}")),
            }
        })
    }

    /// What it failed with, in its own words where they may be told.
    fn failed(&self, action: &str, printed: &Printed) -> Problem {
        match words(&printed.stdout) {
            Some(words) => {
                self.by_hand(Problem::new(Kind::Unavailable, shorten(&words, WORDS_LIMIT)), action)
            }
            None => self.silenced(action, printed),
        }
    }

    fn silenced(&self, action: &str, printed: &Printed) -> Problem {
        let said = match printed.stdout.trim_ascii() {
            b"" => " and said nothing on stdout",
            _ => ", and what it printed is not repeated",
        };
        let cause = format!("it failed with {}{said}", printed.status);
        self.by_hand(Problem::new(Kind::Unavailable, cause), action)
    }

    fn by_hand(&self, problem: Problem, action: &str) -> Problem {
        problem.hint(format!("run `{} {action}` by hand to see what it says", self.program))
    }
}

impl Absent {
    /// What a caller is told for whom there must be one.
    pub fn problem(self, name: &str) -> Problem {
        match self {
            Self::Circle => Problem::new(
                Kind::Denied,
                "it is this program itself, or this program was called by a helper",
            )
            .hint("name another helper: none is called in a circle"),
            Self::Missing => {
                let hint = format!("install {} where docker's PATH finds it", Helper::program(name));
                Problem::new(Kind::Unavailable, "there is no such program on PATH").hint(hint)
            }
        }
    }
}

/// The sentence by which clients know that it has none.
fn has_none(printed: &Printed) -> bool {
    printed.stdout.trim_ascii() == NOT_FOUND.as_bytes()
}

/// What it said to the user: one line on stdout, as helpers do, and nothing that could be an answer. Its stderr is nobody's:
/// there stands what a shell traces.
fn words(printed: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(printed.trim_ascii());
    let is_answer = text.contains('{') || text.starts_with(['[', '"']);
    let is_one_line = !text.is_empty() && !text.contains(['\n', '\r']);
    (is_one_line && !is_answer).then(|| one_line(&text))
}

/// The first JSON object, as clients take it, whatever stands behind it; `null` is an empty one. The parser's own words may
/// quote a secret, and are dropped.
fn first_value<T: Default + DeserializeOwned>(printed: &[u8]) -> Option<T> {
    // An array would do for serde, and does for no client.
    if printed.trim_ascii_start().starts_with(b"[") {
        return None;
    }
    let mut values = serde_json::Deserializer::from_slice(printed).into_iter::<Option<T>>();
    Some(values.next()?.ok()?.unwrap_or_default())
}

/// The first file of that name that can be run, else the first at all, in the folders of PATH. What lies where a client
/// happens to stand is not run.
fn search(program: &str, environment: &Environment) -> Option<(PathBuf, Metadata)> {
    let path = environment.path("PATH")?;
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let mut found = None;
    for file in folders.map(|folder| folder.join(program)) {
        let Some(metadata) = file.metadata().ok().filter(Metadata::is_file) else { continue };
        if metadata.permissions().mode() & 0o111 != 0 {
            return Some((file, metadata));
        }
        found = found.or(Some((file, metadata)));
    }
    found
}

/// Whether it is this very program, under whatever name and behind whatever link.
fn is_this_program(found: &Metadata) -> bool {
    let own = std::env::current_exe().and_then(|own| Path::metadata(&own));
    own.is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
}
