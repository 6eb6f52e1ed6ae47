//! Changes: what a client puts into a source or takes out of it, and what sources hold.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{join, join_all};

use super::signals::{Interruption, held_back, or_interrupted, signals};
use super::{Session, block_on, leaves_something};
use crate::ask::Question;
use crate::config::Rule;
use crate::credential::Credential;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::fallback::Fallback;
use crate::resolve;
use crate::source::Names;

/// How long sources may take to name all that they hold.
const LIST_LIMIT: Duration = Duration::from_secs(2);

/// Users by what can be asked for.
type Listed = BTreeMap<String, String>;

impl Session<'_> {
    /// Puts the credential where the rule's source keeps it; the agent forgets what it had of it.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn write(&self, rule: &Rule, question: Question<'_>, given: &Credential) -> Result<(), Error> {
        let writing = resolve::store(rule, question, self.environment, self.bounds(), given);
        // A signal in the middle would leave half of it behind, or a login.
        let (written, _) = block_on(held_back(writing))?;
        self.forget_place(rule, question.registry);
        written
    }

    /// Takes the credential out of the rule's source; the agent forgets it too.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn delete(&self, rule: &Rule, question: Question<'_>) -> Result<(), Error> {
        let deleting = resolve::erase(rule, question, self.environment, self.bounds());
        let (deleted, _) = block_on(held_back(deleting))?;
        self.forget_place(rule, question.registry);
        deleted
    }

    /// What the rules' sources hold, in the order of the rules, and the user's own logins inside `run`. What does not
    /// come in time, or fails, is left out.
    pub fn holdings(&self, rules: &[&Rule]) -> (Vec<Listed>, Vec<(String, String)>) {
        let until = Deadline::new(self.started, LIST_LIMIT.min(self.deadline().after()));
        let names: Vec<Names> = rules.iter().map(|_| Names::default()).collect();
        let asked = rules.iter().zip(&names);
        let asked = async {
            let listing = asked.map(|(rule, names)| {
                let watched = if leaves_something(rule) { signals() } else { Vec::new() };
                resolve::list(rule, self.environment, until, names, Interruption(watched))
            });
            join_all(listing).await
        };
        let fallback = async {
            match Fallback::find(self.environment) {
                Some(fallback) => or_interrupted(fallback.list(until)).await.unwrap_or_default(),
                None => Vec::new(),
            }
        };
        // Without a runtime nobody was asked.
        let (_, logins) = block_on(join(asked, fallback)).unwrap_or_default();
        (names.into_iter().map(Names::take).collect(), logins)
    }
}
