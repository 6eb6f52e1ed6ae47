//! One look-up under one deadline: the agent if there is one, else the source.

mod changes;
mod shared;
mod signals;

use std::future::Future;
use std::time::{Duration, Instant};

use crate::agent::client::Client;
use crate::agent::line::{Login, Said, Spot, Told};
use crate::ask::Question;
use crate::config::{Config, DEFAULT_TIMEOUT, Rule};
use crate::credential::{Credential, Lease};
use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::error::{Error, Failure};
use crate::fallback::Fallback;
use crate::registry::Registry;
use crate::resolve::{self, Bounds};
use crate::runtime;
use signals::{Interruption, held_back, or_interrupted, signals};

/// How long a mint that has been sent is waited for, whatever the config says.
const MINT_LIMIT: Duration = Duration::from_secs(25);
/// How long the agent may take for what it has in memory.
const AGENT_LIMIT: Duration = Duration::from_secs(1);

/// What one call of the helper works with.
pub struct Session<'a> {
    environment: &'a Environment,
    started: Instant,
    /// The config, or what is wrong with it: a look-up that asks no rule does not need it.
    config: Result<Config, String>,
}

/// Registries with their users.
#[derive(Default)]
pub struct Named {
    /// What rules gave.
    pub of_rules: Vec<(String, String)>,
    /// Logins that no rule is for.
    pub logins: Vec<(String, String)>,
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

    /// Gives what the agent has of it, else what the rule's source gives; what a failure means to a client is not yet
    /// decided.
    ///
    /// # Errors
    /// As [`resolve::credential`]; a mint during which a signal came is given back and is one too.
    pub fn fetch(&self, rule: &Rule, question: Question<'_>) -> Result<Credential, Error> {
        let fetched = match rule.source.is_kept() {
            true => self.shared(rule, question),
            false => self.fetch_anew(rule, question),
        };
        fetched.map_err(|error| resolve::not_there(rule, error))
    }

    /// Fetches it from the source, whatever the agent has.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn fetch_anew(&self, rule: &Rule, question: Question<'_>) -> Result<Credential, Error> {
        block_on(self.direct(rule, question))?
    }

    async fn direct(&self, rule: &Rule, question: Question<'_>) -> Result<Credential, Error> {
        let bounds = self.bounds();
        let coming =
            |signals| resolve::credential(rule, question, self.environment, bounds, Interruption(signals));
        if !rule.source.mints() {
            let watched = if leaves_something(rule) { signals() } else { Vec::new() };
            return coming(watched).await;
        }
        let (fetched, signalled) = held_back(coming(Vec::new())).await;
        let credential = fetched?;
        if !signalled {
            return Ok(credential);
        }
        if let Some(lease) = &credential.lease {
            resolve::give_back(lease).await;
        }
        let place = rule.source.place(question.registry).unwrap_or_default();
        Err(Error::Failed(Failure { source: rule.source.name(), place, problem: resolve::signalled() }))
    }

    /// Gives a lease back.
    pub fn give_back(&self, lease: &Lease) {
        // Without a runtime nothing was fetched either.
        let _ = block_on(resolve::give_back(lease));
    }

    /// What there is for a registry that no rule is for: a login that the agent keeps, else the user's own.
    pub fn without_rule(&self, question: Question<'_>) -> Option<Credential> {
        self.recall(question.registry).or_else(|| {
            let fallback = Fallback::find(self.environment)?;
            block_on(or_interrupted(fallback.get(question, self.deadline()))).ok()??
        })
    }

    fn recall(&self, registry: &Registry) -> Option<Credential> {
        let said = Said { recall: Some(registry.host_and_port()), ..Said::default() };
        let login = self.tell(said)?.kept?;
        Some(Credential::new(login.username, login.secret))
    }

    /// Has the agent keep a login; false where none runs.
    pub fn keep(&self, registry: &Registry, credential: Credential) -> bool {
        let Credential { username, secret, .. } = credential;
        let login = Login { registry: registry.host_and_port(), username, secret };
        self.tell(Said { login: Some(login), ..Said::default() }).is_some_and(|told| told.done)
    }

    /// Has the agent forget a registry, and give its leases back.
    pub fn forget(&self, registry: &Registry) {
        self.flush(registry, None);
    }

    /// Has it forget what stands in the rule's place too, whoever else has asked for it.
    fn forget_place(&self, rule: &Rule, registry: &Registry) {
        let (source, place) =
            (rule.source.name().to_owned(), rule.source.place(registry).unwrap_or_default());
        self.flush(registry, Some(Spot { source, place }));
    }

    fn flush(&self, registry: &Registry, spot: Option<Spot>) {
        let told = self.tell(Said { flush: Some(vec![registry.host_and_port()]), spot, ..Said::default() });
        for left in told.map(|told| told.left).unwrap_or_default() {
            crate::log::event(|| left);
        }
    }

    /// Whom the agent keeps something for.
    pub fn kept(&self) -> Named {
        let logins = self.tell(Said { logins: true, ..Said::default() }).and_then(|told| told.logins);
        let Some(logins) = logins else { return Named::default() };
        let status = self.tell(Said { status: true, ..Said::default() }).and_then(|told| told.status);
        let listed = status.map(|status| status.credentials).unwrap_or_default();
        Named { of_rules: listed.into_iter().map(|one| (one.registry, one.username)).collect(), logins }
    }

    /// Says one thing to the agent, and hears its answer; `None` where none runs.
    fn tell(&self, said: Said) -> Option<Told> {
        let mut client = Client::connect(self.environment).ok()??;
        // Giving leases back takes longer than looking something up.
        let limit = if said.flush.is_some() { 6 * AGENT_LIMIT } else { AGENT_LIMIT };
        client.ask(said, Instant::now() + limit)
    }

    fn bounds(&self) -> Bounds {
        Bounds { answer: self.deadline(), mint: Deadline::new(self.started, MINT_LIMIT) }
    }
}

/// Whether a read that a signal ends in the middle would leave a login or a program behind.
fn leaves_something(rule: &Rule) -> bool {
    rule.source.logs_in() || rule.source.runs_a_program()
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    runtime::block_on(future).map_err(Error::Input)
}
