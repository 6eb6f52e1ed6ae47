//! Plain: the secret alone in a file, the user name in the rule or in another file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use super::super::shape;
use super::{held, judged, prepared, read, unwritten, write_both, write_whole};
use crate::credential::Credential;
use crate::deadline::Deadline;
use crate::error::{Kind, Problem};
use crate::file::write::{self, Hold};

/// How long a folder that somebody holds is waited for before its files are read all the same.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long after the first reading the second one is, where somebody may be writing.
const AGAIN: Duration = Duration::from_millis(5);
/// How often the two are read until they belong together.
const TRIES: usize = 10;

/// Two plain files, or one.
pub(super) struct Plain {
    pub(super) username: Username,
    pub(super) password: PathBuf,
}

/// Where the user name comes from.
pub(super) enum Username {
    /// It has a file of its own.
    File(PathBuf),
    /// The rule says it.
    Literal(String),
}

impl Plain {
    pub(super) async fn get(&self, until: Deadline) -> Result<Credential, Problem> {
        if let Username::Literal(username) = &self.username {
            return Ok(Credential::new(username, SecretString::from(text(&self.password)?)));
        }
        // Whoever writes two files is not to be read in between; anybody may hold a folder that they can open.
        let target = write::target(&self.password);
        let patience = Deadline::new(Instant::now(), PATIENCE.min(until.left()));
        let hold = Hold::to_read(write::folder(&target), patience).await;
        let mut read = self.both()?;
        for _ in 0..TRIES {
            if hold.is_err() {
                tokio::time::sleep(AGAIN).await;
            }
            // Others change both without asking, as the kubelet does.
            let now = self.both()?;
            if now.username == read.username && now.secret.expose_secret() == read.secret.expose_secret() {
                return Ok(now);
            }
            read = now;
        }
        Err(Problem::new(Kind::Unavailable, "its files change faster than they can be read")
            .hint("try again"))
    }

    fn both(&self) -> Result<Credential, Problem> {
        Ok(Credential::new(self.username()?, SecretString::from(text(&self.password)?)))
    }

    pub(super) fn stated_username(&self) -> Option<String> {
        match &self.username {
            Username::File(_) => None,
            Username::Literal(username) => Some(username.clone()),
        }
    }

    pub(super) fn username(&self) -> Result<String, Problem> {
        match &self.username {
            Username::File(path) => text(path).map_err(|problem| {
                let cause = format!("the username-file {}: {}", path.display(), problem.cause);
                Problem { cause, ..problem }
            }),
            Username::Literal(username) => Ok(username.clone()),
        }
    }

    pub(super) async fn store(&self, until: Deadline, given: &Credential) -> Result<(), Problem> {
        let secret = given.secret.expose_secret();
        for (what, text) in [("secret", secret), ("user name", &given.username)] {
            if text.is_empty() || text.ends_with(['\r', '\n']) {
                let cause = format!("a {what} that is empty or ends a line cannot stand in a plain file");
                return Err(Problem::new(Kind::Malformed, cause).hint("keep it in JSON: give path"));
            }
        }
        let password = prepared(&self.password)?;
        let _hold = Hold::to_write(write::folder(&password), until).await.map_err(held)?;
        match &self.username {
            Username::File(path) => {
                let username = prepared(path)?;
                // Of the two it is the one that may be a mount of its own, which cannot be replaced.
                write_both((&password, secret.as_bytes()), (&username, given.username.as_bytes()))
            }
            Username::Literal(_) => write_whole(&password, secret.as_bytes()),
        }
    }

    pub(super) async fn erase(&self, until: Deadline) -> Result<(), Problem> {
        let password = judged(&self.password)?;
        let username = match &self.username {
            Username::File(path) => Some(judged(path)?),
            Username::Literal(_) => None,
        };
        let _hold = Hold::to_write(write::folder(&password), until).await.map_err(held)?;
        let mut files = [Some(password), username].into_iter().flatten();
        files.try_for_each(|file| write::remove(&file)).map_err(|error| unwritten(&error))
    }
}

fn text(path: &Path) -> Result<String, Problem> {
    shape::plain(&read(path)?)
}
