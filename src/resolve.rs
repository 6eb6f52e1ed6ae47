//! The policy: registry → rule → source → credential.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::ask::Ask;
use crate::config::{OnError, Rule};
use crate::credential::{Credential, Lease};
use crate::deadline::{Deadline, Limits};
use crate::environment::Environment;
use crate::error::{Error, Failure, Kind, Problem};
use crate::log;
use crate::registry::Registry;
use crate::vault;

/// How long giving a lease back may take; with the longest mint it stays below what clients wait for (30 s).
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(4);

/// One look-up's bounds.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// When the answer must be there.
    pub answer: Deadline,
    /// When even a mint that has been sent is given up.
    pub mint: Deadline,
}

/// Fetches what the rule's source gives for the registry, unless it is interrupted.
///
/// # Errors
/// [`Error::NotFound`] where it has none, else [`Error::Failed`].
pub async fn credential(
    rule: &Rule,
    registry: &Registry,
    environment: &Environment,
    bounds: Bounds,
    interrupted: impl Future<Output = ()>,
) -> Result<Credential, Error> {
    let source = rule.source.as_ref();
    let place = source.place(registry).unwrap_or_default();
    log::event(|| format!("{registry}: rule {} asks {}: {place}", rule.pattern, source.name()));
    let answer = if source.mints() { bounds.mint } else { bounds.answer };
    let ask = Ask::new(registry, environment, Limits { connect: bounds.answer, answer });
    // The client keeps to the same deadline and knows more to say; this one holds for whatever sends nothing.
    let fetched = tokio::select! {
        fetched = tokio::time::timeout_at(answer.at().into(), source.get(&ask)) => {
            fetched.unwrap_or_else(|_| Err(answer.problem()))
        }
        () = interrupted => Err(signalled()),
    };
    ask.tidy_up().await;
    match fetched {
        Ok(Some(credential)) => Ok(credential),
        Ok(None) => Err(Error::NotFound),
        Err(problem) => Err(Error::Failed(Failure { source: source.name(), place, problem })),
    }
}

/// What a look-up ends in that a signal ended.
pub fn signalled() -> Problem {
    Problem::new(Kind::Interrupted, "ended by a signal")
}

/// What a failure means to the client, as the rule has it.
pub fn soften(rule: &Rule, error: Error) -> Error {
    match (rule.on_error, error) {
        (OnError::Anonymous, Error::Failed(failure)) => {
            log::event(|| format!("anonymous: {failure}"));
            Error::NotFound
        }
        (_, error) => error,
    }
}

/// Gives a lease back; a failure is only logged, since nobody is left to be told.
pub async fn give_back(lease: &Lease) {
    let limit = Deadline::new(Instant::now(), GIVE_BACK_LIMIT);
    let given = tokio::time::timeout_at(limit.at().into(), vault::give_back(lease, limit)).await;
    match given {
        Ok(Ok(())) => log::event(|| format!("lease {} given back", lease.id)),
        Ok(Err(problem)) => log::event(|| format!("lease {} not given back: {problem}", lease.id)),
        Err(_) => log::event(|| format!("lease {} not given back in time", lease.id)),
    }
}
