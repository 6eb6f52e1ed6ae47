//! Entry: what is known of one key.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::super::kept::{Kept, Life, Moment};
use super::super::line::{About, Failed, Leased, Spot};
use super::{Turn, Who};
use crate::error::Kind;

/// How long a failure is remembered, so that a burst of look-ups is one question.
const FAILED_FOR: Duration = Duration::from_secs(2);
/// How long after a renewal was tried the next try is: by then the first one has ended.
const RENEWED_AGAIN: Duration = Duration::from_secs(6);

/// One key.
pub(super) struct Entry<W> {
    pub(super) kept: Option<Rc<Kept>>,
    /// Everything that it was asked for.
    pub(super) registries: BTreeSet<String>,
    /// Source and place, once somebody has told.
    pub(super) spot: Option<Spot>,
    /// When it was last asked for, and how long the agent stays without being asked.
    pub(super) asked: Moment,
    pub(super) idle: Duration,
    /// Asked for since its lease was last renewed.
    pub(super) is_used: bool,
    pub(super) renewal: Renewal,
    pub(super) failed: Option<(Failed, Moment)>,
    pub(super) fetching: Option<Fetching>,
    pub(super) waiting: VecDeque<(Who, W)>,
}

/// Who fetches, since when, and how long that may take.
pub(super) struct Fetching {
    pub(super) who: Who,
    pub(super) since: Moment,
    pub(super) patience: Duration,
    /// Whether it began before a flush: what it brings may be what was to be forgotten.
    pub(super) is_flushed: bool,
}

/// How far the renewal of a lease is.
pub(super) enum Renewal {
    /// It can be tried.
    Open,
    /// It was tried then, and may be again.
    Tried(Moment),
    /// It would gain nothing.
    Over,
}

/// A lease, and until when it needs giving back.
#[derive(Clone)]
pub(in crate::agent) struct Held {
    pub(in crate::agent) about: About,
    pub(in crate::agent) username: String,
    pub(in crate::agent) lease: Leased,
    pub(in crate::agent) fetched: Moment,
    pub(in crate::agent) life: Life,
    /// Everything that it was given out for.
    pub(super) registries: BTreeSet<String>,
}

impl<W> Entry<W> {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            kept: None,
            registries: BTreeSet::new(),
            spot: None,
            asked: now,
            idle: Duration::ZERO,
            is_used: false,
            renewal: Renewal::Open,
            failed: None,
            fetching: None,
            waiting: VecDeque::new(),
        }
    }

    /// Somebody asks for it, or brings it.
    pub(super) fn is_about(&mut self, about: &About) {
        self.registries.insert(about.registry.clone());
        self.spot.get_or_insert_with(|| Spot { source: about.source.clone(), place: about.place.clone() });
    }

    /// What a failure a moment ago means now.
    pub(super) fn remembered(&self, now: Moment) -> Option<Turn> {
        let (failed, at) = self.failed.as_ref()?;
        (now.since(at) < FAILED_FOR).then(|| self.instead(failed, now))
    }

    /// What is given where it could not be fetched: the kept one where only the server is missing.
    pub(super) fn instead(&self, failed: &Failed, now: Moment) -> Turn {
        let valid = self.kept.as_ref().filter(|kept| failed.kind == Kind::Unavailable && kept.is_valid(now));
        valid.map_or_else(|| Turn::Failed(failed.clone()), |kept| Turn::Kept(Rc::clone(kept)))
    }

    /// The next one who waits fetches.
    pub(super) fn next(&mut self, now: Moment) -> Option<(W, Turn)> {
        let before = self.fetching.take()?;
        let (who, waiter) = self.waiting.pop_front()?;
        self.fetching = Some(Fetching::new(who, now, before.patience));
        Some((waiter, Turn::Fetch))
    }

    /// The lease, where it is time to renew it.
    pub(super) fn renewable(&self, now: Moment) -> Option<Leased> {
        let is_open = match &self.renewal {
            Renewal::Open => true,
            Renewal::Tried(at) => now.since(at) >= RENEWED_AGAIN,
            Renewal::Over => false,
        };
        let kept = self.kept.as_ref().filter(|kept| is_open && self.is_used && kept.is_valid(now))?;
        let lease =
            kept.brought.lease.as_ref().filter(|lease| lease.is_renewable && lease.holder.is_some())?;
        kept.is_half_over(now).then(|| lease.clone())
    }

    /// Whether it keeps what nobody can use any more, or (where nobody said when it ends) what nobody asks for.
    pub(super) fn is_useless(&self, now: Moment) -> bool {
        self.kept.as_ref().is_some_and(|kept| {
            let is_forgotten = kept.life.is_none() && now.since(&self.asked) >= self.idle;
            !kept.is_valid(now) || (is_forgotten && !kept.is_fresh(now))
        })
    }

    /// Forgets a failure that is no longer remembered.
    pub(super) fn forget_failure(&mut self, now: Moment) {
        self.failed.take_if(|(_, at)| now.since(at) >= FAILED_FOR);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_none() && self.failed.is_none() && self.fetching.is_none() && self.waiting.is_empty()
    }

    /// The lease behind a credential, where it is ours to give back.
    pub(super) fn held(&self, kept: &Kept) -> Option<Held> {
        let lease = kept.brought.lease.clone().filter(|lease| lease.holder.is_some())?;
        let (about, username) = (kept.about.clone(), kept.brought.username.clone());
        let (fetched, life, registries) = (kept.fetched, kept.life?, self.registries.clone());
        Some(Held { about, username, lease, fetched, life, registries })
    }
}

impl Fetching {
    pub(super) fn new(who: Who, since: Moment, patience: Duration) -> Self {
        Self { who, since, patience, is_flushed: false }
    }
}
