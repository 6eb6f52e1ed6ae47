//! Shared: a look-up through the agent. This process fetches, if it is the one; the agent only keeps.

use std::time::{Duration, Instant, SystemTime};

use super::{AGENT_LIMIT, Session, block_on};
use crate::agent::client::{Client, Given, Turn};
use crate::agent::line::{About, Brought, Failed, Leased, Want};
use crate::ask::Question;
use crate::config::{Agent, Rule};
use crate::credential::Credential;
use crate::deadline::Deadline;
use crate::error::{Error, Failure, Kind, Problem};
use crate::inputs::Inputs;
use crate::{agent, log, vault};

impl Session<'_> {
    /// What to ask the agent.
    fn want(&self, rule: &Rule, Question { registry, pod, .. }: Question<'_>) -> Want {
        let mut inputs = Inputs::for_pod(pod);
        let (source, place) = (rule.source.name(), rule.source.place(registry).unwrap_or_default());
        inputs.text(source);
        rule.source.depends_on(self.environment, &mut inputs);
        let login = inputs.clone().finish();
        inputs.text(&place);
        if !rule.source.is_the_place_all() {
            inputs.text(&rule.stated);
        }
        rule.source.fills_in(registry, &mut inputs);
        let about = About { registry: registry.host_and_port(), source: source.to_owned(), place };
        // Whoever waits has joined later, and must still have time to fetch.
        let timeout = self.config.as_ref().map_or(super::DEFAULT_TIMEOUT, |config| config.timeout);
        // What makes a credential is waited for longer: it is not to be made twice where the server is only slow.
        let patience = if rule.source.mints() { timeout / 4 * 3 } else { timeout / 2 };
        let (patience, idle) = (millis(patience), millis(self.agent().idle_timeout));
        Want { key: inputs.finish(), login, about, patience, idle, cap: rule.ttl.map(millis) }
    }

    /// Asks the agent first; where there is none, the source alone.
    pub(super) fn shared(&self, rule: &Rule, question: Question<'_>) -> Result<Credential, Error> {
        let registry = question.registry;
        let failed = |problem| {
            let place = rule.source.place(registry).unwrap_or_default();
            Error::Failed(Failure { source: rule.source.name(), place, problem })
        };
        let client = agent::client::connect_or_start(self.environment, self.agent().autostart);
        let client = client.map_err(|why| failed(Problem::new(Kind::Denied, why)))?;
        let Some(mut client) = client else { return self.fetch_anew(rule, question) };
        let want = &self.want(rule, question);
        let limit = self.deadline();
        match client.want(want, limit.at()) {
            Some(Turn::Kept(given)) => {
                log::event(|| format!("{registry}: the agent has it"));
                Ok(self.given(given))
            }
            Some(Turn::Failed(failure)) => Err(failed(remembered(failure))),
            Some(Turn::Fetch) => self.fetched(rule, question, want, client),
            Some(Turn::Late) => Err(failed(limit.problem())),
            None if limit.is_over() => Err(failed(limit.problem())),
            None => {
                log::event(|| "the agent does not answer: going on without it".to_owned());
                self.unasked(rule, question, want)
            }
        }
    }

    /// Fetches, and tells the agent how it went.
    fn fetched(
        &self,
        rule: &Rule,
        question: Question<'_>,
        want: &Want,
        mut client: Client,
    ) -> Result<Credential, Error> {
        let fetched = block_on(async {
            let credential = self.direct(rule, question).await?;
            Ok(self.handed_over(rule, want, credential, &mut client).await)
        })?;
        match fetched {
            Ok(credential) => Ok(credential),
            // What ended this process is nothing to those who wait: the next one fetches.
            Err(Error::Failed(own)) if own.problem.kind == Kind::Interrupted => Err(Error::Failed(own)),
            Err(Error::Failed(own)) => {
                let Problem { kind, cause, hint, proxy } = own.problem.clone();
                let (key, login) = (want.key.clone(), want.login.clone());
                let told = Failed { key, login, kind, cause, hint, proxy };
                match client.failed(told) {
                    Some(Turn::Kept(given)) => {
                        log::event(|| format!("{own}: the agent's one is still good"));
                        Ok(self.given(given))
                    }
                    _ => Err(Error::Failed(own)),
                }
            }
            Err(other) => Err(other),
        }
    }

    /// Fetches though the agent does not answer: a lease it may take all the same.
    fn unasked(&self, rule: &Rule, question: Question<'_>, want: &Want) -> Result<Credential, Error> {
        block_on(async {
            let credential = self.direct(rule, question).await?;
            if credential.lease.is_none() {
                return Ok(credential);
            }
            let Ok(Some(mut client)) = Client::connect(self.environment) else { return Ok(credential) };
            Ok(self.handed_over(rule, want, credential, &mut client).await)
        })?
    }

    /// Brings it to the agent. What that has taken it also gives back.
    async fn handed_over(
        &self,
        rule: &Rule,
        want: &Want,
        credential: Credential,
        client: &mut Client,
    ) -> Credential {
        let brought = self.brought(rule, &credential).await;
        let (expires, leased) = (brought.ends(), brought.is_ours());
        if client.have(want, brought) { self.taken(credential, expires, leased) } else { credential }
    }

    /// What the agent has in memory.
    fn given(&self, Given { login, expires, leased }: Given) -> Credential {
        self.taken(Credential::new(login.username, login.secret), expires, leased)
    }

    /// What the agent has taken, and gives back: as early as it may leave, though not earlier.
    fn taken(&self, credential: Credential, expires: Option<SystemTime>, leased: bool) -> Credential {
        let leaves = leased.then(|| SystemTime::now().checked_add(self.agent().idle_timeout)).flatten();
        let expires = expires.into_iter().chain(leaves).min();
        Credential { expires, lease: None, ..credential }
    }

    async fn brought(&self, rule: &Rule, credential: &Credential) -> Brought {
        let lease = match &credential.lease {
            Some(lease) => Some(Leased {
                id: lease.id.clone(),
                duration: vault::lifetime(lease, Deadline::new(Instant::now(), AGENT_LIMIT)).await,
                is_renewable: lease.is_renewable,
                holder: lease.holder.clone(),
            }),
            None => None,
        };
        Brought {
            username: credential.username.clone(),
            secret: credential.secret.clone(),
            expires: credential.expires,
            ttl: self.agent().ttl,
            cap: rule.ttl,
            lease,
        }
    }

    fn agent(&self) -> Agent {
        self.config.as_ref().map(|config| config.agent).unwrap_or_default()
    }
}

/// What it failed with before; whoever has mended a login must know that it has not been tried again.
fn remembered(failed: Failed) -> Problem {
    let Failed { kind, cause, hint, proxy, .. } = failed;
    let problem = Problem { kind, cause, hint, proxy };
    if kind != Kind::RefusedLogin {
        return problem;
    }
    let untried = "not tried again for 5 minutes or until `docker-credential-lease agent flush`";
    let hint = [problem.hint.as_str(), untried].join("; ");
    problem.hint(hint.trim_start_matches("; "))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
