//! Lines: what is said on the agent's socket, one JSON object each, at most 256 KiB, with a version.
//!
//! A line is a struct with one field set, not an enum: so a secret goes from the socket into its own type without a
//! detour through buffers that nobody wipes.

mod wiped;

use std::time::{Duration, SystemTime};

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::Kind;
pub(crate) use wiped::Wiped;

/// The version that both sides must speak.
pub(crate) const VERSION: u32 = 1;
/// The longest line.
pub(crate) const LIMIT: usize = 256 * 1024;

/// The longest answer of one's own agent, which may list a thousand credentials.
pub(crate) const ANSWER_LIMIT: usize = 64 * LIMIT;
/// How much is read at a time.
pub(crate) const CHUNK: usize = 4 * 1024;

/// What a client says.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Said {
    pub(crate) v: u32,
    /// May I have this?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) want: Option<Want>,
    /// Here it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) have: Option<Have>,
    /// I could not get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<Failed>,
    /// Forget these registries, and give their leases back; all of them where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flush: Option<Vec<String>>,
    /// And what is kept of this place, for whomever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spot: Option<Spot>,
    /// Keep a login that no rule is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<Login>,
    /// Which login is kept for this registry?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recall: Option<String>,
    /// Which logins are kept?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) logins: bool,
    /// What is kept?
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) status: bool,
    /// Give everything back and end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stop: bool,
}

/// What the agent answers.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Told {
    pub(crate) v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<Login>,
    /// When what is kept ends, where anybody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<SystemTime>,
    /// Whether the agent gives it back when it leaves.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) leased: bool,
    /// What it ended in a moment ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<Failed>,
    /// You are the one who fetches it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) fetch: bool,
    /// Somebody else is fetching it: another line follows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) wait: bool,
    /// It is done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) done: bool,
    /// There is none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) none: bool,
    /// Registry and user of every login that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logins: Option<Vec<(String, String)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Status>,
    /// Leases that could not be given back, each with why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) left: Vec<String>,
    /// Why the line cannot be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
}

/// A look-up.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Want {
    /// The digest of everything that the answer depends on.
    pub(crate) key: String,
    /// The part of it that is the login: one that was refused is not tried for another place either.
    pub(crate) login: String,
    pub(crate) about: About,
    /// How long the one who fetches may take before another one does, in milliseconds.
    pub(crate) patience: u64,
    /// How long the agent may stay without being asked, in milliseconds.
    pub(crate) idle: u64,
    /// How old what is given may be, in milliseconds: others that share it may let it be kept for longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cap: Option<u64>,
}

/// What people are told of a look-up.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct About {
    pub(crate) registry: String,
    pub(crate) source: String,
    pub(crate) place: String,
}

/// A place of a source.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Spot {
    pub(crate) source: String,
    pub(crate) place: String,
}

/// A credential that was fetched.
#[derive(Deserialize, Serialize)]
pub(crate) struct Have {
    pub(crate) want: Want,
    pub(crate) brought: Brought,
}

/// The credential, and how long it may be kept.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Brought {
    pub(crate) username: String,
    #[serde(serialize_with = "exposed")]
    pub(crate) secret: SecretString,
    pub(crate) expires: Option<SystemTime>,
    /// How long it is given out where nobody says when it ends.
    pub(crate) ttl: Duration,
    /// How long it is kept at most.
    pub(crate) cap: Option<Duration>,
    pub(crate) lease: Option<Leased>,
}

impl Brought {
    /// Whether it has a lease that is for the agent to give back.
    pub(crate) fn is_ours(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.holder.is_some())
    }

    /// When it ends as it is brought, where anybody said.
    pub(crate) fn ends(&self) -> Option<SystemTime> {
        let leased = self.lease.as_ref().and_then(|lease| SystemTime::now().checked_add(lease.duration));
        self.expires.into_iter().chain(leased).min()
    }
}

/// A lease, as [`crate::credential::Lease`] has it.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Leased {
    pub(crate) id: String,
    pub(crate) duration: Duration,
    pub(crate) is_renewable: bool,
    #[serde(serialize_with = "maybe_exposed")]
    pub(crate) holder: Option<SecretString>,
}

/// A fetch that failed, in the words of its failure line.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Failed {
    pub(crate) key: String,
    pub(crate) login: String,
    pub(crate) kind: Kind,
    pub(crate) cause: String,
    pub(crate) hint: String,
    pub(crate) proxy: Option<String>,
}

/// A user name and a secret for a registry.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Login {
    pub(crate) registry: String,
    pub(crate) username: String,
    #[serde(serialize_with = "exposed")]
    pub(crate) secret: SecretString,
}

/// What the agent keeps; never a secret.
#[derive(Deserialize, Serialize)]
pub(crate) struct Status {
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) socket: String,
    pub(crate) credentials: Vec<Listed>,
}

/// One credential in a [`Status`]; times in RFC 3339.
#[derive(Deserialize, Serialize)]
pub(crate) struct Listed {
    pub(crate) registry: String,
    pub(crate) source: String,
    pub(crate) place: String,
    pub(crate) username: String,
    pub(crate) fetched: String,
    pub(crate) expires: Option<String>,
    pub(crate) lease: Option<String>,
}

/// Writes one line.
///
/// # Errors
/// The other side is gone.
pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    line: &impl Serialize,
) -> std::io::Result<()> {
    stream.write_all(encoded(line)?.all()).await?;
    stream.flush().await
}

/// One line, with its end.
///
/// # Errors
/// It cannot be said in JSON.
pub(crate) fn encoded(line: &impl Serialize) -> std::io::Result<Wiped> {
    let mut text = Wiped::default();
    serde_json::to_writer(&mut text, line)?;
    text.add(b"\n");
    Ok(text)
}

/// What the line says.
///
/// # Errors
/// It is not what is said here.
pub(crate) fn decoded<T: serde::de::DeserializeOwned>(line: &[u8]) -> std::io::Result<T> {
    // The parser's own words may quote a secret.
    serde_json::from_slice(line).map_err(|_| invalid("the line is not understood"))
}

/// The lines of a caller.
pub(crate) struct Lines<R> {
    from: R,
    come: Wiped,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, come: Wiped::default() }
    }

    /// The next one, of at most 256 KiB; `None` at the end. What has come stays where it is given up in the middle.
    ///
    /// # Errors
    /// The other side is gone, the line is too long, or it is not what is said here.
    pub(crate) async fn next<T: serde::de::DeserializeOwned>(&mut self) -> std::io::Result<Option<T>> {
        loop {
            match self.come.line() {
                Some(line) if line.len() <= LIMIT => return decoded(&line).map(Some),
                None if self.come.len() < LIMIT => {}
                _ => return Err(invalid("the line is too long")),
            }
            let mut chunk = Zeroizing::new([0; CHUNK]);
            match self.from.read(chunk.as_mut_slice()).await? {
                0 if self.come.len() == 0 => return Ok(None),
                0 => return Err(invalid("the line ends too early")),
                read => self.come.add(&chunk[..read]),
            }
        }
    }
}

fn invalid(why: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, why)
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn maybe_exposed<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => serializer.serialize_some(secret.expose_secret()),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
