//! Session: a connection with its token, and what is given back at its end.

use std::cell::Cell;
use std::time::{Duration, Instant};

use http::Method;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde_json::{Value, json};

use super::server::{Call, Server, segments};
use super::{Answer, Refusal};
use crate::credential::{Lease, Login};
use crate::deadline::{Deadline, Limits};
use crate::error::{Kind, Problem};
use crate::log;

/// How long giving a login back may take, once the credential is there.
const LOG_OUT_LIMIT: Duration = Duration::from_secs(2);
/// And where the look-up's own time is over already.
const LATE_LOG_OUT_LIMIT: Duration = Duration::from_secs(1);

/// A connection that is logged in, or needs no login.
pub struct Session {
    pub(super) server: Server,
    /// Where the secrets are.
    pub(super) namespace: Option<String>,
    pub(super) standing: Standing,
    pub(super) limits: Limits,
}

/// Whose token is sent.
pub(super) enum Standing {
    /// One that was given, and stays.
    Given(SecretString),
    /// One that a login gave.
    LoggedIn {
        login: Login,
        /// The namespace of the login.
        namespace: Option<String>,
        /// How many more requests it is good for; `None` for any number.
        uses: Cell<Option<u64>>,
        /// Whether it is to be taken back at the end.
        is_ours: Cell<bool>,
    },
    /// None: what stands in between adds its own.
    Nobody,
}

impl Session {
    /// Reads a path, given as segments.
    ///
    /// # Errors
    /// Not reached, or no answer of a Vault: a [`Problem`]. A refusal is the inner `Err`.
    pub async fn read(&self, path: &[String]) -> Result<Result<Answer, Refusal>, Problem> {
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
        self.call(method, path, Some(body), self.limits.answer).await
    }

    /// The path with `data/` after its mount, where it is one of a versioned K/V engine and lacks it.
    ///
    /// Asks what `bao kv get` asks first; whoever may touch something below the mount may ask.
    pub async fn versioned_path(&self, path: &[String]) -> Option<Vec<String>> {
        // This question and the read after it.
        if matches!(&self.standing, Standing::LoggedIn { uses, .. } if uses.get().is_some_and(|left| left < 2))
        {
            return None;
        }
        let mut question = segments("sys/internal/ui/mounts");
        question.extend_from_slice(path);
        let mount = self.read(&question).await.ok()?.ok()?;
        if !mount.is_versioned_mount() {
            return None;
        }
        let mount = segments(mount.data()?.get("path")?.as_str()?);
        // A namespace may stand before the mount in the path.
        let at =
            path.windows(mount.len().max(1)).position(|window| window.iter().eq(mount.iter()))? + mount.len();
        if path.get(at).is_none_or(|next| next == "data" || next == "metadata") {
            return None;
        }
        Some([&path[..at], &["data".to_owned()], &path[at..]].concat())
    }

    /// The answer's lease: it ends with the login that made it, whatever it says itself.
    pub fn lease(&self, answer: &Answer) -> Option<Lease> {
        let leased = answer.leased()?;
        let login = match &self.standing {
            Standing::LoggedIn { login, .. } => Some(login.clone()),
            Standing::Given(_) | Standing::Nobody => None,
        };
        let lifetime = login.as_ref().and_then(|login| login.lifetime);
        Some(Lease {
            id: leased.id.clone(),
            duration: lifetime.map_or(leased.duration, |lifetime| lifetime.min(leased.duration)),
            is_renewable: leased.is_renewable,
            login,
        })
    }

    /// Leaves the login in place: a lease hangs on it.
    pub fn keep(&self) {
        if let Standing::LoggedIn { is_ours, .. } = &self.standing {
            is_ours.set(false);
        }
    }

    /// Whether leases are ours to give back: without a token of our own they belong to a Vault Agent or Proxy, which
    /// hands the same one to all its clients.
    pub fn owns_leases(&self) -> bool {
        !matches!(self.standing, Standing::Nobody)
    }

    /// Takes a lease back: with the login that it hangs on, where there is one, since no policy need allow that.
    ///
    /// # Errors
    /// The server's refusal, or that it was not reached.
    pub async fn give_back(&self, lease: &Lease) -> Result<(), Problem> {
        let until = self.limits.answer;
        let answer = match &self.standing {
            Standing::Nobody => {
                return Err(Problem::new(Kind::Denied, "it is not ours: no token was sent"));
            }
            Standing::LoggedIn { login, namespace, is_ours, .. } if !login.is_batch => {
                is_ours.set(false);
                self.revoke_self(login, namespace.as_deref(), until).await?
            }
            Standing::LoggedIn { .. } | Standing::Given(_) => {
                let body = json!({ "lease_id": lease.id });
                self.call(Method::PUT, &segments("sys/leases/revoke"), Some(&body), until).await?
            }
        };
        answer.map(drop).map_err(|refusal| Problem::new(Kind::Denied, refusal.cause))
    }

    /// Gives the login back, unless a lease hangs on it; a failure is only logged, since its token ends by itself.
    pub async fn log_out(&self) {
        let Standing::LoggedIn { login, namespace, uses, is_ours } = &self.standing else { return };
        // A batch token cannot be taken back, and one that is used up is gone.
        if login.is_batch || uses.get() == Some(0) || !is_ours.replace(false) {
            return;
        }
        let late = self.limits.connect.is_over();
        let limit = Deadline::new(Instant::now(), if late { LATE_LOG_OUT_LIMIT } else { LOG_OUT_LIMIT });
        let told = match self.revoke_self(login, namespace.as_deref(), limit).await {
            Ok(Ok(_)) => "login given back".to_owned(),
            Ok(Err(refusal)) => format!("login not given back: {}", refusal.cause),
            Err(problem) => format!("login not given back: {problem}"),
        };
        log::event(|| format!("vault: {told}"));
    }

    async fn revoke_self(
        &self,
        login: &Login,
        namespace: Option<&str>,
        until: Deadline,
    ) -> Result<Result<Answer, Refusal>, Problem> {
        let call = Call {
            method: Method::POST,
            path: &segments("auth/token/revoke-self"),
            body: None,
            namespace,
            token: Some(&login.token),
            secrets: &[],
            until,
        };
        self.server.call(call).await
    }

    async fn call(
        &self,
        method: Method,
        path: &[String],
        body: Option<&Value>,
        until: Deadline,
    ) -> Result<Result<Answer, Refusal>, Problem> {
        let token = match &self.standing {
            Standing::Given(token) => Some(token),
            Standing::LoggedIn { login, uses, .. } => {
                uses.set(uses.get().map(|left| left.saturating_sub(1)));
                Some(&login.token)
            }
            Standing::Nobody => None,
        };
        let body = body.map(|body| Zeroizing::new(body.to_string().into_bytes()));
        let namespace = self.namespace.as_deref();
        self.server.call(Call { method, path, body, namespace, token, secrets: &[], until }).await
    }
}
