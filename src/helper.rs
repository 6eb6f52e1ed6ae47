//! Helper: another credential helper, called as clients call one, with a deadline.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::error::NOT_FOUND;

/// Set in whoever is called, so that nobody is called in a circle.
pub const DEPTH: &str = "DOCKER_CREDENTIAL_LEASE_DEPTH";
/// The longest answer that is read.
const LIMIT: u64 = 1024 * 1024;

/// A program `docker-credential-NAME`.
pub struct Helper {
    program: String,
}

/// What a `get` answers (<https://github.com/docker/docker-credential-helpers>).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Found {
    /// The user name.
    pub username: String,
    /// The password or token.
    pub secret: SecretString,
}

impl Helper {
    /// The helper of that name; `None` where it is this program itself, or was called by it.
    pub fn named(name: &str, environment: &Environment) -> Option<Self> {
        let program = format!("docker-credential-{name}");
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain);
        if !is_name || environment.get(DEPTH).is_some() || is_this_program(&program, environment) {
            return None;
        }
        Some(Self { program })
    }

    /// Asks for a registry's credential; `None` where it has none.
    ///
    /// # Errors
    /// It cannot be called, or fails: the sentence, without what it printed.
    pub async fn get(&self, server_url: &str, until: Deadline) -> Result<Option<Found>, String> {
        let (success, printed) = self.call("get", server_url, until).await?;
        match success {
            true => serde_json::from_slice(&printed)
                .map(Some)
                .map_err(|_| format!("`{}` answered what is no credential", self.program)),
            false if printed.trim_ascii() == NOT_FOUND.as_bytes() => Ok(None),
            false => Err(format!("`{}` failed", self.program)),
        }
    }

    /// Asks for everything that it has: users by registry.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn list(&self, until: Deadline) -> Result<Vec<(String, String)>, String> {
        let (success, printed) = self.call("list", "unused", until).await?;
        let listed: Option<std::collections::BTreeMap<String, String>> =
            serde_json::from_slice(&printed).ok();
        match listed.filter(|_| success) {
            Some(listed) => Ok(listed.into_iter().collect()),
            None => Err(format!("`{}` failed", self.program)),
        }
    }

    async fn call(
        &self,
        action: &str,
        input: &str,
        until: Deadline,
    ) -> Result<(bool, Zeroizing<Vec<u8>>), String> {
        let program = &self.program;
        let mut child = Command::new(program)
            .arg(action)
            .env(DEPTH, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => format!("there is no program `{program}` on PATH"),
                _ => format!("`{program}` cannot be started: {error}"),
            })?;
        let mut printed = Zeroizing::new(Vec::new());
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let run = async {
            if let Some(mut stdin) = stdin {
                // One that answers without reading is its own affair.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
            if let Some(stdout) = stdout {
                stdout.take(LIMIT).read_to_end(&mut printed).await?;
            }
            child.wait().await
        };
        let ended = tokio::time::timeout_at(until.at().into(), run).await;
        let status = ended
            .map_err(|_| format!("`{program}` did not end within {until}"))?
            .map_err(|error| format!("`{program}` cannot be read: {error}"))?;
        Ok((status.success(), printed))
    }
}

/// Whether PATH finds this very program under that name, also behind a link.
fn is_this_program(program: &str, environment: &Environment) -> bool {
    let own = std::env::current_exe().and_then(|path| path.canonicalize()).ok();
    let path = environment.path("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_program(file));
    found.and_then(|file: PathBuf| file.canonicalize().ok()).is_some_and(|file| Some(file) == own)
}

fn is_program(file: &Path) -> bool {
    file.is_file()
}
