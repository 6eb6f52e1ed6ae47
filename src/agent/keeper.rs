//! Keeper: who has what, who fetches, who waits. It does nothing by itself and has no clock: each call says when it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::kept::{Kept, Moment};
use super::line::{About, Brought, Failed, Leased, Want};
use crate::error::Kind;

/// How long a failure is remembered, so that a burst of look-ups is one question.
const FAILED_FOR: Duration = Duration::from_secs(2);
/// And a refused login: servers lock a role after five.
const REFUSED_FOR: Duration = Duration::from_secs(5 * 60);

/// Whoever asks, as the server numbers its connections.
pub(super) type Who = u64;

/// What one who asks is told.
pub(super) enum Turn {
    Failed(Failed),
    Fetch,
    Kept(Rc<Kept>),
}

/// Turns for those who have waited.
pub(super) type Turns<W> = Vec<(W, Turn)>;

/// Everything that is kept; `W` is how one who waits is told.
pub(super) struct Keeper<W> {
    entries: BTreeMap<String, Entry<W>>,
    /// Leases that are no longer given out, and still to be given back.
    old: Vec<Held>,
}

/// A lease, and until when it needs giving back.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) about: About,
    pub(super) username: String,
    pub(super) lease: Leased,
    pub(super) since: Moment,
}

struct Entry<W> {
    kept: Option<Rc<Kept>>,
    /// Everything that it was asked for.
    registries: BTreeSet<String>,
    /// Asked for since its lease was last renewed.
    is_used: bool,
    failed: Option<(Failed, Moment)>,
    fetching: Option<Fetching>,
    waiting: VecDeque<(Who, W)>,
}

struct Fetching {
    who: Who,
    since: Moment,
    patience: Duration,
}

impl<W> Default for Entry<W> {
    fn default() -> Self {
        Self {
            kept: None,
            registries: BTreeSet::new(),
            is_used: false,
            failed: None,
            fetching: None,
            waiting: VecDeque::new(),
        }
    }
}

impl<W> Keeper<W> {
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new(), old: Vec::new() }
    }

    /// Somebody asks; `None`: it waits, and `waiter` will tell it.
    pub(super) fn want(&mut self, who: Who, want: &Want, waiter: W, now: Moment) -> Option<Turn> {
        let entry = self.entries.entry(want.key.clone()).or_default();
        entry.is_used = true;
        entry.registries.insert(want.about.registry.clone());
        if let Some(kept) = entry.kept.as_ref().filter(|kept| kept.is_fresh(now)) {
            return Some(Turn::Kept(Rc::clone(kept)));
        }
        if let Some(turn) = entry.remembered(now) {
            return Some(turn);
        }
        if entry.fetching.is_some() {
            entry.waiting.push_back((who, waiter));
            return None;
        }
        entry.fetching = Some(Fetching { who, since: now, patience: Duration::from_millis(want.patience) });
        Some(Turn::Fetch)
    }

    /// Somebody has fetched it.
    pub(super) fn have(
        &mut self,
        who: Who,
        want: &Want,
        brought: Brought,
        now: Moment,
        jitter: f64,
    ) -> Turns<W> {
        let kept = Rc::new(Kept::new(want.about.clone(), brought, now, jitter));
        let entry = self.entries.entry(want.key.clone()).or_default();
        entry.failed = None;
        if entry.fetching.as_ref().is_some_and(|fetching| fetching.who == who) {
            entry.fetching = None;
        }
        let before = match kept.is_keepable() {
            true => entry.kept.replace(Rc::clone(&kept)),
            // Given to those who wait for it and no longer: its lease is still to be given back.
            false => Some(Rc::clone(&kept)),
        };
        let turns =
            entry.waiting.drain(..).map(|(_, waiter)| (waiter, Turn::Kept(Rc::clone(&kept)))).collect();
        self.old.extend(before.and_then(|before| Held::of(&before)));
        turns
    }

    /// Somebody could not fetch it: what it is told itself, and what the others are.
    pub(super) fn failed(&mut self, who: Who, failed: Failed, now: Moment) -> (Turn, Turns<W>) {
        let entry = self.entries.entry(failed.key.clone()).or_default();
        if entry.fetching.as_ref().is_some_and(|fetching| fetching.who == who) {
            entry.fetching = None;
        }
        entry.failed = Some((failed.clone(), now));
        let turn = |entry: &Entry<W>| entry.remembered(now).unwrap_or(Turn::Failed(failed.clone()));
        let own = turn(entry);
        let waiting: Vec<_> = entry.waiting.drain(..).collect();
        let turns = waiting.into_iter().map(|(_, waiter)| (waiter, turn(entry))).collect();
        (own, turns)
    }

    /// Somebody is gone: whom it kept waiting goes on.
    pub(super) fn gone(&mut self, who: Who, now: Moment) -> Turns<W> {
        let mut turns = Vec::new();
        for entry in self.entries.values_mut() {
            entry.waiting.retain(|(waiting, _)| *waiting != who);
            if entry.fetching.as_ref().is_some_and(|fetching| fetching.who == who) {
                turns.extend(entry.next(now));
            }
        }
        turns
    }

    /// Somebody takes too long: whom it keeps waiting goes on.
    pub(super) fn overdue(&mut self, now: Moment) -> Turns<W> {
        let is_late = |fetching: &Fetching| now.since(&fetching.since) >= fetching.patience;
        let late = self
            .entries
            .values_mut()
            .filter(|entry| !entry.waiting.is_empty() && entry.fetching.as_ref().is_some_and(is_late));
        late.filter_map(|entry| entry.next(now)).collect()
    }

    /// Forgets what is kept for the registries, or everything; the leases behind it are to be given back.
    pub(super) fn flush(&mut self, registries: &[String]) -> Vec<Held> {
        let named = |registry: &String| registries.is_empty() || registries.contains(registry);
        let mut leases = Vec::new();
        for entry in self.entries.values_mut().filter(|entry| entry.registries.iter().any(named)) {
            leases.extend(entry.kept.take().and_then(|kept| Held::of(&kept)));
            entry.failed = None;
        }
        self.old.retain(|held| {
            let stays = !named(&held.about.registry);
            if !stays {
                leases.push(held.clone());
            }
            stays
        });
        self.entries.retain(|_, entry| !entry.is_empty());
        leases
    }

    /// Leases that could not be given back stay listed.
    pub(super) fn put_back(&mut self, held: Held) {
        self.old.push(held);
    }

    /// Keys of what is to be renewed: half of its life is over, and somebody has asked for it.
    pub(super) fn to_renew(&self, now: Moment) -> Vec<(String, Leased)> {
        let due = |entry: &Entry<W>| {
            let kept = entry.kept.as_ref().filter(|kept| entry.is_used && kept.is_valid(now))?;
            let lease =
                kept.brought.lease.as_ref().filter(|lease| lease.is_renewable && lease.holder.is_some())?;
            kept.is_half_over(now).then(|| lease.clone())
        };
        self.entries.iter().filter_map(|(key, entry)| Some((key.clone(), due(entry)?))).collect()
    }

    /// A lease was renewed, or (`None`) could not be; then nobody tries again.
    pub(super) fn renewed(
        &mut self,
        key: &str,
        lease: &str,
        life: Option<Duration>,
        now: Moment,
        jitter: f64,
    ) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.is_used = false;
        let is_it = |kept: &Rc<Kept>| kept.brought.lease.as_ref().is_some_and(|own| own.id == lease);
        if let (Some(kept), Some(life)) = (entry.kept.as_ref().filter(|kept| is_it(kept)), life) {
            let mut anew = Kept::new(kept.about.clone(), kept.brought.clone(), now, jitter);
            anew.renew(life, now, jitter);
            entry.kept = Some(Rc::new(anew));
        }
    }

    /// Drops what nobody can use any more.
    pub(super) fn sweep(&mut self, now: Moment) {
        for entry in self.entries.values_mut() {
            if entry.kept.as_ref().is_some_and(|kept| !kept.is_valid(now)) {
                // A lease that has run out needs no giving back; one that was only capped does.
                self.old.extend(entry.kept.take().and_then(|kept| Held::of(&kept)));
            }
            if entry.remembered(now).is_none() {
                entry.failed = None;
            }
        }
        self.entries.retain(|_, entry| !entry.is_empty());
        self.old.retain(|held| now.since(&held.since) < held.lease.duration);
    }

    /// Whether somebody is fetching anything.
    pub(super) fn is_fetching(&self) -> bool {
        self.entries.values().any(|entry| entry.fetching.is_some())
    }

    /// Everything that is kept.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.entries.values().filter_map(|entry| entry.kept.as_deref())
    }

    /// Leases that are no longer given out, with their registries.
    pub(super) fn old(&self) -> &[Held] {
        &self.old
    }
}

impl<W> Entry<W> {
    /// What a failure a moment ago means now: the kept one where only the server is missing.
    fn remembered(&self, now: Moment) -> Option<Turn> {
        let (failed, at) = self.failed.as_ref()?;
        let time = if failed.kind == Kind::RefusedLogin { REFUSED_FOR } else { FAILED_FOR };
        if now.since(at) >= time {
            return None;
        }
        let valid = self.kept.as_ref().filter(|kept| failed.kind == Kind::Unavailable && kept.is_valid(now));
        Some(valid.map_or_else(|| Turn::Failed(failed.clone()), |kept| Turn::Kept(Rc::clone(kept))))
    }

    /// The next one who waits fetches.
    fn next(&mut self, now: Moment) -> Option<(W, Turn)> {
        let before = self.fetching.take()?;
        let (who, waiter) = self.waiting.pop_front()?;
        self.fetching = Some(Fetching { who, since: now, patience: before.patience });
        Some((waiter, Turn::Fetch))
    }

    fn is_empty(&self) -> bool {
        self.kept.is_none() && self.failed.is_none() && self.fetching.is_none() && self.waiting.is_empty()
    }
}

impl Held {
    /// The lease behind a credential, where it is ours to give back.
    fn of(kept: &Kept) -> Option<Self> {
        let lease = kept.brought.lease.as_ref().filter(|lease| lease.holder.is_some())?;
        let (about, username) = (kept.about.clone(), kept.brought.username.clone());
        Some(Self { about, username, lease: lease.clone(), since: kept.fetched })
    }
}
