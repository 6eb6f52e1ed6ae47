//! Changing: a registry's credential put into its secrets, one or two, and taken out of them.
//!
//! Secrets Manager has neither transactions nor a write that depends on what it replaces. One secret is written whole,
//! so the last one wins; another registry's keys in the same object, written in the same moment, are lost with it. Of
//! two, both are read again after they were written: whoever finds one of their own beside somebody else's writes again.
//! The last one who writes at all sees what stays, so no mixture does.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};

use super::form::{Form, Rest};
use super::secret::{Content, Found, Secret};
use crate::credential::Credential;
use crate::error::{Kind, Problem};
use crate::registry::Registry;

/// How long, in milliseconds, whoever finds a mixture waits at most for the other one to mend it; longer each time.
const PATIENCE: u64 = 200;
/// How often a secret is restored that is deleted again and again.
const RESTORES: usize = 3;

/// A secret with what of the credential stands in it.
pub(super) struct Place<'s> {
    secret: Secret<'s>,
    form: Form<'s>,
    /// What its problems begin with.
    named: String,
    /// Whether it turned out to be there without a value.
    is_hollow: Cell<bool>,
}

/// What stands in a place, and what is to.
struct Seen {
    there: Option<Content>,
    /// `None` where it is the same.
    wanted: Option<String>,
}

/// Has the credential stand in all the places.
pub(super) async fn store(
    places: &[Place<'_>],
    registry: &Registry,
    given: &Credential,
) -> Result<(), Problem> {
    let mut own: Vec<Option<String>> = vec![None; places.len()];
    for round in 0_u64.. {
        let mut seen = look(places, given).await?;
        if round > 1 || is_mixed(&seen, &own) {
            // The other one may mend it first.
            pause(round).await;
            seen = look(places, given).await?;
        }
        let is_there = seen.iter().all(|seen| seen.wanted.is_none());
        // Where nothing that was written has stayed, somebody came later, whose credential it is now.
        if is_there || own.iter().any(Option::is_some) && !is_mixed(&seen, &own) {
            break;
        }
        let written = write(places, &seen, registry).await?;
        for (own, written) in own.iter_mut().zip(written).filter(|(_, written)| written.is_some()) {
            *own = written;
        }
        if places.len() == 1 && own[0].is_some() {
            break;
        }
    }
    Ok(())
}

/// Takes the credential out of all the places.
pub(super) async fn erase(places: &[Place<'_>]) -> Result<(), Problem> {
    join_all(places.iter().map(Place::clear)).await.into_iter().collect()
}

async fn look(places: &[Place<'_>], given: &Credential) -> Result<Vec<Seen>, Problem> {
    try_join_all(places.iter().map(|place| place.look(given))).await
}

/// Whether something of one's own stands beside what is not.
fn is_mixed(seen: &[Seen], own: &[Option<String>]) -> bool {
    let is_own = |seen: &Seen, own: &String| seen.there.as_ref().is_some_and(|there| there.version == *own);
    let stays = seen.iter().zip(own).any(|(seen, own)| own.as_ref().is_some_and(|own| is_own(seen, own)));
    stays && seen.iter().any(|seen| seen.wanted.is_some())
}

/// The versions that were made. Where one of two cannot be written, the other becomes again what it was.
async fn write(
    places: &[Place<'_>],
    seen: &[Seen],
    registry: &Registry,
) -> Result<Vec<Option<String>>, Problem> {
    let all = || places.iter().zip(seen);
    let written = join_all(all().map(|(place, seen)| place.write(seen, registry))).await;
    if written.iter().any(Result::is_err) {
        for ((place, seen), _) in all().zip(&written).filter(|(_, written)| matches!(written, Ok(Some(_)))) {
            if let Some(there) = &seen.there {
                // It is the other one's problem that is told.
                let _ = place.secret.put(there.text.clone(), there.is_binary).await;
            }
        }
    }
    written.into_iter().collect()
}

async fn pause(round: u64) {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(20..=PATIENCE * round.max(1)))).await;
}

impl<'s> Place<'s> {
    pub(super) fn new(secret: Secret<'s>, form: Form<'s>) -> Self {
        Self { secret, form, named: String::new(), is_hollow: Cell::new(false) }
    }

    /// The same where it is not the rule's first one.
    pub(super) fn named(self, named: String) -> Self {
        Self { named, ..self }
    }

    async fn look(&self, given: &Credential) -> Result<Seen, Problem> {
        self.seen(given).await.map_err(|problem| self.told(problem))
    }

    async fn seen(&self, given: &Credential) -> Result<Seen, Problem> {
        let mut found = self.secret.find(None).await?;
        for _ in 0..RESTORES {
            if !matches!(found, Found::Deleted(_)) {
                break;
            }
            self.secret.restore().await?;
            found = self.secret.find(None).await?;
        }
        match found {
            Found::Content(there) => {
                let wanted = self.form.put(&there.text, given)?;
                Ok(Seen { there: Some(there), wanted })
            }
            Found::Nothing(problem) if self.secret.is_arn() => Err(problem
                .hint("a secret that is not there yet is made by its name: give that instead of an ARN")),
            Found::Nothing(_) => Ok(Seen { there: None, wanted: Some(self.form.text(given)?) }),
            Found::Deleted(problem) => Err(Problem { kind: Kind::Unavailable, ..problem }),
        }
    }

    /// Its new version; `None` where nothing was written, because nothing was to be or it is no longer as it was seen.
    async fn write(&self, seen: &Seen, registry: &Registry) -> Result<Option<String>, Problem> {
        let Some(wanted) = seen.wanted.clone() else { return Ok(None) };
        let written = match &seen.there {
            Some(there) => self.secret.put(wanted, there.is_binary).await,
            None if self.is_hollow.take() => self.secret.put(wanted, false).await,
            None => {
                let made = self.secret.create(wanted, registry).await;
                self.is_hollow.set(matches!(made, Ok(None)));
                made
            }
        };
        written.map_err(|problem| self.told(problem))
    }

    async fn clear(&self) -> Result<(), Problem> {
        self.cleared().await.map_err(|problem| self.told(problem))
    }

    async fn cleared(&self) -> Result<(), Problem> {
        let Found::Content(there) = self.secret.find(None).await? else { return Ok(()) };
        match self.form.take(&there.text)? {
            Rest::Nothing => self.secret.delete().await,
            Rest::Same => Ok(()),
            Rest::Text(rest) => self.secret.put(rest, there.is_binary).await.map(drop),
        }
    }

    fn told(&self, problem: Problem) -> Problem {
        Problem { cause: format!("{}{}", self.named, problem.cause), ..problem }
    }
}
