//! The policy: registry → rule → source → credential.

use std::time::Instant;

use crate::config::{OnError, Rule};
use crate::credential::{Credential, Lease};
use crate::environment::Environment;
use crate::error::{Error, Failure, Kind, Problem};
use crate::http::Route;
use crate::log;
use crate::registry::Registry;
use crate::source::Ask;

/// One look-up's bounds.
pub struct Bounds {
    /// When the answer must be there.
    pub deadline: Instant,
    /// When even a mint that has been sent is given up: a caller that hangs up leaks a credential that no lease knows.
    pub mint_deadline: Instant,
    /// The configured timeout, as a sentence names it.
    pub timeout: String,
    /// The longest wait for a mint, likewise.
    pub mint_timeout: String,
}

/// Fetches what the rule's source gives for the registry.
///
/// # Errors
/// [`Error::NotFound`] where it has none, or where the rule says that a failure means that;
/// else [`Error::Failed`].
pub async fn credential(
    rule: &Rule,
    registry: &Registry,
    environment: &Environment,
    bounds: &Bounds,
) -> Result<Credential, Error> {
    let source = rule.source.as_ref();
    let place = source.place(registry).unwrap_or_default();
    log::event(|| format!("{registry}: rule {} asks {}: {place}", rule.pattern, source.name()));
    let ask = Ask { registry, environment, deadline: bounds.deadline, route: Route::default() };
    let limit = if source.mints() { bounds.mint_deadline } else { bounds.deadline };
    let timed_out = |waited: &str| {
        Problem::new(Kind::Unavailable, format!("timed out after {waited}"))
            .hint("check that the server is reachable from here, or raise timeout")
    };
    let answer = tokio::time::timeout_at(limit.into(), source.get(&ask)).await.unwrap_or_else(|_| {
        let waited = if source.mints() { &bounds.mint_timeout } else { &bounds.timeout };
        Err(timed_out(waited))
    });
    let problem = match answer {
        Ok(Some(credential)) => return Ok(credential),
        Ok(None) => return Err(Error::NotFound),
        // A connection has the same deadline: which of the two clocks strikes first says nothing.
        Err(problem) if problem.kind == Kind::Late && Instant::now() >= bounds.deadline => {
            timed_out(&bounds.timeout)
        }
        Err(problem) => problem,
    };
    let proxy = problem.proxy.clone().or_else(|| ask.route.proxy());
    Err(Error::Failed(Failure { source: source.name(), place, problem: Problem { proxy, ..problem } }))
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
pub async fn give_back(
    rule: &Rule,
    lease: &Lease,
    registry: &Registry,
    environment: &Environment,
    bounds: &Bounds,
) {
    let ask = Ask { registry, environment, deadline: bounds.mint_deadline, route: Route::default() };
    let given =
        tokio::time::timeout_at(bounds.mint_deadline.into(), rule.source.give_back(lease, &ask)).await;
    match given {
        Ok(Ok(())) => log::event(|| format!("{}: lease {} given back", rule.source.name(), lease.id)),
        Ok(Err(problem)) => {
            log::event(|| format!("{}: lease {} not given back: {problem}", rule.source.name(), lease.id))
        }
        Err(_) => log::event(|| format!("{}: lease {} not given back in time", rule.source.name(), lease.id)),
    }
}
