//! Session: a connection with its token, and what is given back at its end.

use std::cell::Cell;
use std::time::{Duration, Instant};

use http::Method;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::answer::Grant;
use super::lease::{self, Holder};
use super::reach::Reach;
use super::server::{self, Call, Server};
use super::{Answer, Refusal};
use crate::credential::Lease;
use crate::deadline::{Deadline, Limits};
use crate::error::{Kind, Problem};
use crate::log;

/// `s.` and 24 letters is the shortest token that a server makes by itself.
const SHORTEST_TOKEN: usize = 26;
/// How long giving a login back may take, once the credential is there, or a lease that nobody gets.
const LOG_OUT_LIMIT: Duration = Duration::from_secs(2);
/// And at least, also where the look-up's own time is over already.
const SHORTEST_LOG_OUT: Duration = Duration::from_secs(1);

/// A connection that is logged in, or needs no login.
pub struct Session {
    pub(super) server: Server,
    pub(super) reach: Reach,
    pub(super) standing: Standing,
    pub(super) limits: Limits,
}

/// Whose token is sent.
pub(super) enum Standing {
    /// One that was given, and stays.
    Given(SecretString),
    /// One that a login gave.
    LoggedIn(LoggedIn),
    /// None: what stands in between adds its own.
    Nobody,
}

/// A login.
pub(super) struct LoggedIn {
    pub(super) token: SecretString,
    /// How long it lives; `None` for ever.
    pub(super) lifetime: Option<Duration>,
    /// Whether its token is one that the server keeps no record of, and so cannot take back.
    pub(super) is_batch: bool,
    /// Where it happened.
    pub(super) namespace: Option<String>,
    /// How many more requests it is good for; `None` for any number.
    uses: Cell<Option<u64>>,
    /// Whether it is to be given back at the end.
    is_ours: Cell<bool>,
}

impl LoggedIn {
    pub(super) fn new(grant: Grant, namespace: Option<String>) -> Self {
        let Grant { token, lifetime, is_batch, uses, is_shared } = grant;
        let (uses, is_ours) = (Cell::new(uses), Cell::new(!is_shared));
        Self { token, lifetime, is_batch, namespace, uses, is_ours }
    }
}

impl Session {
    /// Reads a path, given as segments.
    ///
    /// # Errors
    /// Not reached, or no answer of a Vault: a [`Problem`]. A refusal is the inner `Err`.
    pub async fn read(&self, path: &[String]) -> Result<Result<Answer, Refusal>, Problem> {
        self.spend();
        self.call(Method::GET, path, None, self.limits.connect).await
    }

    /// Writes to a path, which may make something: what has been sent is waited for as long as a mint is.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn write(
        &self,
        method: Method,
        path: &[String],
        body: &Value,
    ) -> Result<Result<Answer, Refusal>, Problem> {
        self.spend();
        self.call(method, path, Some(body), self.limits.answer).await
    }

    /// Names what is below a path, given as segments.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn list(&self, path: &[String]) -> Result<Result<Answer, Refusal>, Problem> {
        self.spend();
        self.call(server::list(), path, None, self.limits.connect).await
    }

    /// Deletes what is at a path.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn delete(&self, path: &[String]) -> Result<Result<Answer, Refusal>, Problem> {
        self.spend();
        self.call(Method::DELETE, path, None, self.limits.answer).await
    }

    /// Keeps a secret that is about to be sent out of every sentence.
    pub fn hide(&self, secret: SecretString) {
        self.server.hide(secret);
    }

    /// Whether the login's token is good for no more requests.
    pub fn is_used_up(&self) -> bool {
        matches!(&self.standing, Standing::LoggedIn(login) if login.uses.get() == Some(0))
    }

    /// The answer's lease: as a rule it ends with the login that made it, whatever it says itself.
    pub fn lease(&self, answer: &Answer) -> Option<Lease> {
        // What is called like our token is no lease, and would be named in a sentence.
        let leased = answer.leased().filter(|leased| !self.is_told_in(&leased.id))?;
        let holder = if answer.is_shared() { None } else { Holder::of(self) };
        let lifetime = match &self.standing {
            Standing::LoggedIn(login) if !lease::outlives_login(&leased.id, &login.token) => login.lifetime,
            _ => None,
        };
        Some(Lease {
            id: leased.id.clone(),
            duration: lifetime.map_or(leased.duration, |lifetime| lifetime.min(leased.duration)),
            is_renewable: leased.is_renewable,
            holder: holder.and_then(|holder| holder.sealed()),
        })
    }

    /// Whether the text holds our token; one that is shorter than servers make them could stand in it by chance.
    fn is_told_in(&self, text: &str) -> bool {
        let token = match &self.standing {
            Standing::Given(token) => token,
            Standing::LoggedIn(login) => &login.token,
            Standing::Nobody => return false,
        };
        token.expose_secret().len() >= SHORTEST_TOKEN && text.contains(token.expose_secret())
    }

    /// Leaves the login in place: a lease hangs on it.
    pub fn keep(&self) {
        if let Standing::LoggedIn(login) = &self.standing {
            login.is_ours.set(false);
        }
    }

    /// Takes a lease back that nobody got, on the connection that brought it.
    ///
    /// # Errors
    /// The server's refusal, or that it was not reached.
    pub async fn give_back(&self, lease: &Lease) -> Result<(), Problem> {
        let Some(holder) = Holder::of(self) else { return Ok(()) };
        let soon = Deadline::new(Instant::now(), LOG_OUT_LIMIT);
        let until = if soon.at() < self.limits.answer.at() { soon } else { self.limits.answer };
        let given = holder.give_back(&self.server, lease, until).await;
        // Where nobody answered, the login is tried once more at the end.
        if !matches!(&given, Err(problem) if problem.kind == Kind::Unavailable) {
            self.keep();
        }
        given
    }

    /// Gives the login back, unless a lease hangs on it; a failure is only logged, since its token ends by itself.
    pub async fn log_out(&self) {
        let Standing::LoggedIn(login) = &self.standing else { return };
        // A batch token cannot be taken back, and one that is used up is gone.
        if login.is_batch || self.is_used_up() || !login.is_ours.replace(false) {
            return;
        }
        // Not longer than the look-up may take, but for a try.
        let limit = self.limits.connect.left().clamp(SHORTEST_LOG_OUT, LOG_OUT_LIMIT);
        let limit = Deadline::new(Instant::now(), limit);
        let namespace = login.namespace.as_deref();
        let told = match lease::revoke_self(&self.server, &login.token, namespace, limit).await {
            Ok(Ok(_)) => "login given back".to_owned(),
            Ok(Err(refusal)) => format!("login not given back: {}", refusal.problem(Kind::Denied, "")),
            Err(problem) => format!("login not given back: {problem}"),
        };
        log::event(|| format!("vault: {told}"));
    }

    /// Counts a use of the login's token, of which there may be few.
    fn spend(&self) {
        if let Standing::LoggedIn(login) = &self.standing {
            login.uses.set(login.uses.get().map(|left| left.saturating_sub(1)));
        }
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &[String],
        body: Option<&Value>,
        until: Deadline,
    ) -> Result<Result<Answer, Refusal>, Problem> {
        let token = match &self.standing {
            Standing::Given(token) => Some(token),
            Standing::LoggedIn(login) => Some(&login.token),
            Standing::Nobody => None,
        };
        let body = body.map(|body| Zeroizing::new(body.to_string().into_bytes()));
        let namespace = self.reach.namespace.as_deref();
        self.server.call(Call { method, path, body, namespace, token, secrets: &[], until }).await
    }
}
