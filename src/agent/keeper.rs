//! Keeper: who has what, who fetches, who waits. It does nothing by itself and has no clock: each call says when it is.

mod entry;

pub(super) use entry::Held;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use super::kept::{Kept, Life, Moment};
use super::line::{Brought, Failed, Leased, Spot, Want};
use crate::error::Kind;
use entry::{Entry, Fetching, Renewal};

/// How long a refused login is remembered: servers lock a role after five.
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
    /// Logins that were refused, whatever they were for.
    refused: BTreeMap<String, Refused>,
    /// Leases that are no longer given out, and still to be given back.
    old: Vec<Held>,
}

/// A login that was refused.
struct Refused {
    failed: Failed,
    at: Moment,
    /// Everything that was asked for with it.
    registries: BTreeSet<String>,
}

impl<W> Keeper<W> {
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new(), refused: BTreeMap::new(), old: Vec::new() }
    }

    /// Somebody asks; `None`: it waits, and `waiter` will tell it.
    pub(super) fn want(&mut self, who: Who, want: &Want, waiter: W, now: Moment) -> Option<Turn> {
        let entry = self.entries.entry(want.key.clone()).or_insert_with(|| Entry::new(now));
        entry.is_used = true;
        (entry.asked, entry.idle) = (now, Duration::from_millis(want.idle));
        entry.is_about(&want.about);
        let is_young =
            |kept: &Kept| want.cap.is_none_or(|cap| now.since(&kept.fetched) < Duration::from_millis(cap));
        if let Some(kept) = entry.kept.as_ref().filter(|kept| kept.is_fresh(now) && is_young(kept)) {
            return Some(Turn::Kept(Rc::clone(kept)));
        }
        if let Some(refused) = self.refused.get_mut(&want.login).filter(|refused| !refused.is_over(now)) {
            refused.registries.insert(want.about.registry.clone());
            return Some(Turn::Failed(refused.failed.clone()));
        }
        if let Some(turn) = entry.remembered(now) {
            return Some(turn);
        }
        if entry.fetching.is_some() {
            entry.waiting.push_back((who, waiter));
            return None;
        }
        entry.fetching = Some(Fetching::new(who, now, Duration::from_millis(want.patience)));
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
        let entry = self.entries.entry(want.key.clone()).or_insert_with(|| Entry::new(now));
        entry.is_about(&want.about);
        entry.failed = None;
        self.refused.remove(&want.login);
        let own = entry.fetching.take_if(|fetching| fetching.who == who);
        let before = match kept.is_keepable() && !own.is_some_and(|own| own.is_flushed) {
            true => {
                entry.renewal = Renewal::Open;
                entry.kept.replace(Rc::clone(&kept))
            }
            // Given to those who wait for it and no longer: its lease is still to be given back.
            false => Some(Rc::clone(&kept)),
        };
        let turns =
            entry.waiting.drain(..).map(|(_, waiter)| (waiter, Turn::Kept(Rc::clone(&kept)))).collect();
        self.old.extend(before.and_then(|before| entry.held(&before)));
        turns
    }

    /// Somebody could not fetch it: what it is told itself, and what the others are.
    pub(super) fn failed(&mut self, who: Who, failed: Failed, now: Moment) -> (Turn, Turns<W>) {
        let entry = self.entries.entry(failed.key.clone()).or_insert_with(|| Entry::new(now));
        let own = entry.instead(&failed, now);
        entry.fetching.take_if(|fetching| fetching.who == who);
        if failed.kind == Kind::RefusedLogin {
            let refused = Refused { failed: failed.clone(), at: now, registries: entry.registries.clone() };
            self.refused.insert(failed.login.clone(), refused);
        }
        // It was too late, and another one fetches: that one's word counts.
        if entry.fetching.is_some() {
            return (own, Vec::new());
        }
        let waiting: Vec<_> = entry.waiting.drain(..).collect();
        let turns = waiting.into_iter().map(|(_, waiter)| (waiter, entry.instead(&failed, now))).collect();
        if failed.kind != Kind::RefusedLogin {
            entry.failed = Some((failed, now));
        }
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
        let is_named = |asked: &BTreeSet<String>| {
            registries.is_empty() || registries.iter().any(|registry| asked.contains(registry))
        };
        self.refused.retain(|_, refused| !is_named(&refused.registries));
        let mut leases = self.forget(|entry| is_named(&entry.registries));
        leases.extend(self.old.extract_if(.., |held| is_named(&held.registries)));
        leases
    }

    /// Forgets what is kept of a place, whoever has asked for it: another credential stands there now, or none.
    pub(super) fn flush_spot(&mut self, spot: &Spot) -> Vec<Held> {
        self.forget(|entry| entry.spot.as_ref() == Some(spot))
    }

    fn forget(&mut self, is_meant: impl Fn(&Entry<W>) -> bool) -> Vec<Held> {
        let mut leases = Vec::new();
        for entry in self.entries.values_mut().filter(|entry| is_meant(entry)) {
            leases.extend(entry.kept.take().and_then(|kept| entry.held(&kept)));
            entry.failed = None;
            if let Some(fetching) = &mut entry.fetching {
                fetching.is_flushed = true;
            }
        }
        self.entries.retain(|_, entry| !entry.is_empty());
        leases
    }

    /// Leases that could not be given back stay listed.
    pub(super) fn put_back(&mut self, held: Held) {
        self.old.push(held);
    }

    /// Keys of what is to be renewed now: half of its life is over, and somebody has asked for it.
    pub(super) fn begin_renewals(&mut self, now: Moment) -> Vec<(String, Leased)> {
        let mut due = Vec::new();
        for (key, entry) in &mut self.entries {
            if let Some(lease) = entry.renewable(now) {
                due.push((key.clone(), lease));
                entry.is_used = false;
                entry.renewal = Renewal::Tried(now);
            }
        }
        due
    }

    /// A lease was renewed, or why it was not.
    pub(super) fn renewed(
        &mut self,
        key: &str,
        lease: &str,
        life: Result<Duration, Kind>,
        now: Moment,
        jitter: f64,
    ) {
        if let Ok(span) = life {
            // No longer given out meanwhile, it is still to be given back until its new end.
            for held in self.old.iter_mut().filter(|held| held.lease.id == lease) {
                held.life = Life::new(now, span);
            }
        }
        let is_it = |kept: &Rc<Kept>| kept.brought.lease.as_ref().is_some_and(|own| own.id == lease);
        let Some(entry) = self.entries.get_mut(key) else { return };
        let Some(kept) = entry.kept.as_ref().filter(|kept| is_it(kept)) else { return };
        match life {
            Ok(span) => {
                let kept = kept.renewed(span, now, jitter);
                entry.renewal = if kept.is_at_its_bound() { Renewal::Over } else { Renewal::Open };
                entry.kept = Some(Rc::new(kept));
            }
            Err(Kind::Unavailable) => {}
            Err(_) => entry.renewal = Renewal::Over,
        }
    }

    /// Drops what nobody can use any more.
    pub(super) fn sweep(&mut self, now: Moment) {
        for entry in self.entries.values_mut() {
            if entry.is_useless(now) {
                // A lease that has run out needs no giving back; one that was only capped does.
                self.old.extend(entry.kept.take().and_then(|kept| entry.held(&kept)));
            }
            entry.forget_failure(now);
        }
        self.entries.retain(|_, entry| !entry.is_empty());
        self.refused.retain(|_, refused| !refused.is_over(now));
        self.old.retain(|held| !held.life.is_over(now));
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

impl Refused {
    fn is_over(&self, now: Moment) -> bool {
        now.since(&self.at) >= REFUSED_FOR
    }
}

#[cfg(test)]
mod tests;
