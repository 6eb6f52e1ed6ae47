//! The policy: registry → rule → source → credential.

use std::future::{Future, pending};
use std::time::{Duration, Instant};

use crate::ask::{Ask, Question};
use crate::config::{OnError, Rule, Store};
use crate::credential::{Credential, Lease};
use crate::deadline::{Deadline, Limits};
use crate::environment::Environment;
use crate::error::{Error, Failure, Kind, Problem};
use crate::log;
use crate::source::{Names, Writable};
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
    question: Question<'_>,
    environment: &Environment,
    bounds: Bounds,
    interrupted: impl Future<Output = ()>,
) -> Result<Credential, Error> {
    let answer = if rule.source.mints() { bounds.mint } else { bounds.answer };
    let limits = Limits { connect: bounds.answer, answer };
    let ask = Ask::new(question, environment, limits);
    bounded("asks", rule, &ask, rule.source.get(&ask), interrupted).await?.ok_or(Error::NotFound)
}

/// Puts the credential where the rule's source keeps it.
///
/// # Errors
/// [`Error::Failed`].
pub async fn store(
    rule: &Rule,
    question: Question<'_>,
    environment: &Environment,
    bounds: Bounds,
    given: &Credential,
) -> Result<(), Error> {
    let ask = Ask::new(question, environment, Limits { connect: bounds.answer, answer: bounds.answer });
    let storing = async { writable(rule)?.store(&ask, given).await };
    bounded("writes to", rule, &ask, storing, pending()).await
}

/// Takes the credential out of where the rule's source keeps it.
///
/// # Errors
/// [`Error::Failed`].
pub async fn erase(
    rule: &Rule,
    question: Question<'_>,
    environment: &Environment,
    bounds: Bounds,
) -> Result<(), Error> {
    let ask = Ask::new(question, environment, Limits { connect: bounds.answer, answer: bounds.answer });
    let erasing = async { writable(rule)?.erase(&ask).await };
    bounded("deletes from", rule, &ask, erasing, pending()).await
}

/// Has the rule's source name what it holds, unless it is interrupted; a failure is only logged, since the others still have
/// something to say.
pub async fn list(
    rule: &Rule,
    environment: &Environment,
    until: Deadline,
    names: &Names,
    interrupted: impl Future<Output = ()>,
) {
    let registry = rule.pattern.stand_in();
    let question = Question::new(&registry, "");
    let ask = Ask::new(question, environment, Limits { connect: until, answer: until });
    let listing = async { writable(rule)?.list(&ask, names).await };
    if let Err(error) = bounded("lists", rule, &ask, listing, interrupted).await {
        log::event(|| error.to_string());
    }
}

fn writable(rule: &Rule) -> Result<&dyn Writable, Problem> {
    // The config has been judged: this does not happen.
    rule.source.writable().map_err(|why| Problem::new(Kind::Malformed, why))
}

/// Does the work and tidies up after it, unless it is interrupted or takes too long.
async fn bounded<T>(
    does: &str,
    rule: &Rule,
    ask: &Ask<'_>,
    work: impl Future<Output = Result<T, Problem>>,
    interrupted: impl Future<Output = ()>,
) -> Result<T, Error> {
    let source = rule.source.as_ref();
    let place = source.place(ask.registry).unwrap_or_default();
    log::event(|| format!("{}: rule {} {does} {}: {place}", ask.registry, rule.pattern, source.name()));
    let answer = ask.limits.answer;
    // The client keeps to the same deadline and knows more to say; this one holds for whatever sends nothing.
    let done = tokio::select! {
        done = tokio::time::timeout_at(answer.at().into(), work) => {
            done.unwrap_or_else(|_| Err(answer.problem()))
        }
        () = interrupted => Err(signalled()),
    };
    ask.tidy_up().await;
    done.map_err(|problem| Error::Failed(Failure { source: source.name(), place, problem }))
}

/// What a look-up ends in that a signal ended.
pub fn signalled() -> Problem {
    Problem::new(Kind::Interrupted, "ended by a signal")
}

/// Where clients write, what nobody has written yet is no failure.
pub fn not_there(rule: &Rule, error: Error) -> Error {
    match error {
        Error::Failed(failure) if rule.store == Store::Write && failure.problem.kind == Kind::Missing => {
            log::event(|| format!("not there: {failure}"));
            Error::NotFound
        }
        error => error,
    }
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
