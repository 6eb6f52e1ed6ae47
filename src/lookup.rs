//! One look-up under one deadline.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, DEFAULT_TIMEOUT, Rule};
use crate::credential::{Credential, Lease};
use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::error::{Error, Failure};
use crate::registry::Registry;
use crate::resolve::{self, Bounds};

/// How long a mint that has been sent is waited for, whatever the config says.
const MINT_LIMIT: Duration = Duration::from_secs(25);

/// What one call of the helper works with.
pub struct Session<'a> {
    environment: &'a Environment,
    started: Instant,
    /// The config, or what is wrong with it: a look-up that asks no rule does not need it.
    config: Result<Config, String>,
}

impl<'a> Session<'a> {
    /// Reads the config.
    pub fn open(environment: &'a Environment, started: Instant) -> Self {
        Self { environment, started, config: Config::load(environment) }
    }

    /// The config.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn config(&self) -> Result<&Config, Error> {
        self.config.as_ref().map_err(|what| Error::Config(what.clone()))
    }

    /// Where variables come from.
    pub fn environment(&self) -> &Environment {
        self.environment
    }

    /// When the answer must be there.
    pub fn deadline(&self) -> Deadline {
        let timeout = self.config.as_ref().map_or(DEFAULT_TIMEOUT, |config| config.timeout);
        Deadline::new(self.started, timeout)
    }

    /// Fetches what the rule gives for the registry; what a failure means to a client is not yet decided.
    ///
    /// # Errors
    /// As [`resolve::credential`]; a mint during which a signal came is given back and is one too.
    pub fn fetch(&self, rule: &Rule, registry: &Registry) -> Result<Credential, Error> {
        let bounds = self.bounds();
        let coming =
            |signals| resolve::credential(rule, registry, self.environment, bounds, Interruption(signals));
        if !rule.source.mints() {
            let watched = || if rule.source.logs_in() { signals() } else { Vec::new() };
            return block_on(async { coming(watched()).await })?;
        }
        block_on(async {
            let (fetched, signalled) = held_back(coming(Vec::new())).await;
            let credential = fetched?;
            if !signalled {
                return Ok(credential);
            }
            if let Some(lease) = &credential.lease {
                resolve::give_back(lease).await;
            }
            let place = rule.source.place(registry).unwrap_or_default();
            Err(Error::Failed(Failure { source: rule.source.name(), place, problem: resolve::signalled() }))
        })?
    }

    /// Gives a lease back.
    pub fn give_back(&self, lease: &Lease) {
        // Without a runtime nothing was fetched either.
        let _ = block_on(resolve::give_back(lease));
    }

    fn bounds(&self) -> Bounds {
        Bounds { answer: self.deadline(), mint: Deadline::new(self.started, MINT_LIMIT) }
    }
}

/// Does the work to its end, and says whether INT, TERM or HUP came meanwhile: a process that one of them ends in the
/// middle of a mint leaks a credential that no lease knows.
async fn held_back<T>(work: impl Future<Output = T>) -> (T, bool) {
    let mut signals = signals();
    let (mut work, mut came) = (pin!(work), false);
    poll_fn(move |context| {
        came |= has_come(&mut signals, context);
        work.as_mut().poll(context).map(|done| (done, came))
    })
    .await
}

/// What ends a read in the middle: one of the signals, where a login would be left behind; it is given back first.
struct Interruption(Vec<Signal>);

impl Future for Interruption {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if has_come(&mut self.0, context) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The signals that ask a process to end; what cannot be caught ends it, as it would have anyway.
fn signals() -> Vec<Signal> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect()
}

fn has_come(signals: &mut [Signal], context: &mut Context<'_>) -> bool {
    let mut came = false;
    for signal in signals {
        // Each must be asked, so that each wakes us.
        came |= signal.poll_recv(context).is_ready();
    }
    came
}

/// Runs the future on this thread. A name look-up that hangs in the system's resolver is left behind.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Input(format!("cannot start: {error}")))?;
    let answer = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(answer)
}
