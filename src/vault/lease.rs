//! Lease: renewed and given back by whoever holds it, with what its session knew
//! (<https://developer.hashicorp.com/vault/api-docs/system/leases>).

use std::time::Duration;

use http::Method;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use super::reach::Reach;
use super::server::{Call, Server, segments};
use super::session::{Session, Standing};
use super::{Answer, Refusal};
use crate::credential::Lease;
use crate::deadline::Deadline;
use crate::error::{Kind, Problem};

/// What it takes to renew a lease and to give it back.
#[derive(Deserialize, Serialize)]
pub(super) struct Holder {
    reach: Reach,
    #[serde(serialize_with = "exposed")]
    token: SecretString,
    /// The login that gave the token; `None` for a token that stays.
    login: Option<Login>,
}

#[derive(Deserialize, Serialize)]
struct Login {
    namespace: Option<String>,
    is_batch: bool,
}

impl Holder {
    /// Of a session's leases; without a token of our own they belong to a Vault Agent or Proxy, which hands the same one
    /// to all its clients.
    pub(super) fn of(session: &Session) -> Option<Self> {
        let (token, login) = match &session.standing {
            Standing::Nobody => return None,
            Standing::Given(token) => (token, None),
            Standing::LoggedIn(login) => {
                let (namespace, is_batch) = (login.namespace.clone(), login.is_batch);
                (&login.token, Some(Login { namespace, is_batch }))
            }
        };
        Some(Self { reach: session.reach.clone(), token: token.clone(), login })
    }

    /// As a lease carries it.
    pub(super) fn sealed(&self) -> Option<SecretString> {
        serde_json::to_string(self).ok().map(SecretString::from)
    }

    fn opened(lease: &Lease) -> Result<Self, Problem> {
        let sealed = lease
            .holder
            .as_ref()
            .ok_or_else(|| Problem::new(Kind::Denied, "it is not ours: no token was sent"))?;
        serde_json::from_str(sealed.expose_secret())
            .map_err(|_| Problem::new(Kind::Malformed, "nobody knows any more how it was made"))
    }

    /// The login that takes the lease with it when it ends, where there is one that can.
    fn revocable_login(&self) -> Option<&Login> {
        self.login.as_ref().filter(|login| !login.is_batch)
    }

    /// Takes the lease back: with the login that it hangs on, where there is one.
    pub(super) async fn give_back(
        &self,
        server: &Server,
        lease: &Lease,
        until: Deadline,
    ) -> Result<(), Problem> {
        let Some(login) = self.revocable_login() else { return self.revoke(server, lease, until).await };
        // While the login still stands: afterwards nobody may any more.
        let apart = match outlives_login(&lease.id, &self.token) {
            true => Some(self.revoke(server, lease, until).await),
            false => None,
        };
        let ended = revoke_self(server, &self.token, login.namespace.as_deref(), until).await;
        apart.unwrap_or_else(|| ended?.map(drop).map_err(|refusal| refused(&refusal)))
    }

    async fn revoke(&self, server: &Server, lease: &Lease, until: Deadline) -> Result<(), Problem> {
        let revoked = self.put(server, "sys/leases/revoke", &json!({ "lease_id": lease.id }), until).await;
        revoked.map(drop).map_err(|problem| match problem.kind {
            Kind::Denied => problem.hint("allow update on sys/leases/revoke, or leave it: it ends by itself"),
            _ => problem,
        })
    }

    async fn put(
        &self,
        server: &Server,
        path: &str,
        body: &serde_json::Value,
        until: Deadline,
    ) -> Result<Answer, Problem> {
        let call = Call {
            method: Method::PUT,
            path: &segments(path),
            body: Some(Zeroizing::new(body.to_string().into_bytes())),
            namespace: self.reach.namespace.as_deref(),
            token: Some(&self.token),
            secrets: &[],
            until,
        };
        server.call(call).await?.map_err(|refusal| refused(&refusal))
    }
}

/// Takes a lease back: with the login that it hangs on, where there is one, since no policy need allow that.
///
/// # Errors
/// The server's refusal, or that it was not reached; that it is not ours.
pub async fn give_back(lease: &Lease, until: Deadline) -> Result<(), Problem> {
    let holder = Holder::opened(lease)?;
    holder.give_back(&holder.reach.server(until)?, lease, until).await
}

/// Renews a lease, and the login that it hangs on; the time that it has now.
///
/// # Errors
/// The server's refusal, or that it was not reached; that it is not ours.
pub async fn renew(lease: &Lease, until: Deadline) -> Result<Duration, Problem> {
    let holder = Holder::opened(lease)?;
    let server = holder.reach.server(until)?;
    let increment = lease.duration.as_secs();
    let login = match holder.revocable_login() {
        Some(login) => {
            let call = Call {
                method: Method::POST,
                path: &segments("auth/token/renew-self"),
                body: Some(Zeroizing::new(json!({ "increment": increment }).to_string().into_bytes())),
                namespace: login.namespace.as_deref(),
                token: Some(&holder.token),
                secrets: &[],
                until,
            };
            // The lease ends with the login: where that cannot be renewed, renewing the lease gains nothing.
            let renewed = server.call(call).await?.map_err(|refusal| refused(&refusal))?;
            renewed.grant().and_then(|grant| grant.lifetime)
        }
        None => None,
    };
    let login = login.filter(|_| !outlives_login(&lease.id, &holder.token));
    let body = json!({ "lease_id": lease.id, "increment": increment });
    let answer = holder.put(&server, "sys/leases/renew", &body, until).await?;
    let duration = answer.leased().map(|leased| leased.duration).unwrap_or_default();
    Ok(login.map_or(duration, |login| login.min(duration)))
}

/// How long a lease lives that was made with a token which stays: its own time or the token's, whichever is sooner. The
/// lease does not say so itself.
pub async fn lifetime(lease: &Lease, until: Deadline) -> Duration {
    let Ok(holder) = Holder::opened(lease) else { return lease.duration };
    let Ok(server) = holder.reach.server(until) else { return lease.duration };
    if holder.login.is_some() {
        return lease.duration;
    }
    let call = Call {
        method: Method::GET,
        path: &segments("auth/token/lookup-self"),
        body: None,
        namespace: holder.reach.namespace.as_deref(),
        token: Some(&holder.token),
        secrets: &[],
        until,
    };
    // Whoever may not look itself up may still use what it was given.
    let about = server.call(call).await.ok().and_then(Result::ok);
    let left = about.as_ref().and_then(|about| about.data()).and_then(|data| data["ttl"].as_u64());
    match left.filter(|left| *left > 0) {
        Some(left) => lease.duration.min(Duration::from_secs(left)),
        None => lease.duration,
    }
}

/// Whether the lease is of another namespace than the token that made it, and so does not end with it. Outside the root
/// namespace both names end in their namespace's: `ssh/creds/otp/O61y5URi.dWIGdc`, `s.KJQMSKn9.dWIGdc`.
pub(super) fn outlives_login(lease: &str, token: &SecretString) -> bool {
    let lease =
        lease.rsplit('/').next().and_then(|last| last.split_once('.')).map(|(_, namespace)| namespace);
    lease != token.expose_secret().split('.').nth(2)
}

/// Ends a login, with all the leases that hang on it.
pub(super) async fn revoke_self(
    server: &Server,
    token: &SecretString,
    namespace: Option<&str>,
    until: Deadline,
) -> Result<Result<Answer, Refusal>, Problem> {
    let path = segments("auth/token/revoke-self");
    let (token, secrets) = (Some(token), [].as_slice());
    let call = Call { method: Method::POST, path: &path, body: None, namespace, token, secrets, until };
    server.call(call).await
}

fn refused(refusal: &Refusal) -> Problem {
    let kind = refusal.state().map_or(Kind::Malformed, |(kind, _)| kind);
    let kind = if refusal.status == 403 { Kind::Denied } else { kind };
    refusal.problem(kind, "")
}

fn exposed<S: Serializer>(token: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose_secret())
}
