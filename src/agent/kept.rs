//! Kept: a credential with its time, and the one rule of how long it is given out.

use std::time::{Duration, SystemTime};

use super::line::{About, Brought};

/// What is left of a credential while it is still given out, if half of its life is not less: buildkit goes on using one
/// for almost as long (<https://github.com/moby/buildkit/blob/master/session/auth/authprovider/authprovider.go>).
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// What a renewal may take: so much before it would no longer be given out a lease is renewed, whatever its life.
const LEAD: Duration = Duration::from_secs(5);

/// How long after its time what states no end may still be used where its source cannot be reached.
const STALE: Duration = Duration::from_secs(60 * 60);

/// A moment on both clocks: one that people set, and one that stands still while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: SystemTime,
    /// Since some moment before all others.
    pub(super) steady: Duration,
}

impl Moment {
    /// The time since an earlier one: what the clock says that went further.
    pub(super) fn since(&self, earlier: &Self) -> Duration {
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        wall.max(self.steady.saturating_sub(earlier.steady))
    }
}

/// From when something lives, and for how long.
#[derive(Clone, Copy)]
pub(super) struct Life {
    since: Moment,
    span: Duration,
}

impl Life {
    pub(super) fn new(since: Moment, span: Duration) -> Self {
        Self { since, span }
    }

    /// Whether it has run out.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        now.since(&self.since) >= self.span
    }

    /// When it ends by the wall clock.
    pub(super) fn ends(&self) -> Option<SystemTime> {
        self.since.wall.checked_add(self.span)
    }
}

/// A credential that is kept.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) about: About,
    pub(super) brought: Brought,
    pub(super) fetched: Moment,
    /// Its life as it began, or was last renewed; `None` where nobody said.
    pub(super) life: Option<Life>,
    /// How much of it is not given out.
    margin: Duration,
    /// How much earlier than others it is fetched or renewed.
    earlier: Duration,
}

impl Kept {
    /// `jitter`, from 0 to 1, is how much of a tenth of its life it is fetched anew earlier, so that a fleet does not
    /// ask in the same second.
    pub(super) fn new(about: About, brought: Brought, fetched: Moment, jitter: f64) -> Self {
        let stated = brought.expires.map(|end| end.duration_since(fetched.wall).unwrap_or_default());
        let leased = brought.lease.as_ref().map(|lease| lease.duration);
        let span = [stated, leased].into_iter().flatten().min();
        let life = span.map(|span| Life::new(fetched, span));
        let (margin, earlier) = span.map(|span| (margin(span), earlier(span, jitter))).unwrap_or_default();
        Self { about, brought, fetched, life, margin, earlier }
    }

    /// The same with its life begun anew: a lease that was renewed. One that got less than it had at first will not get
    /// more, and is given out while as much is left as of the first.
    pub(super) fn renewed(&self, span: Duration, now: Moment, jitter: f64) -> Self {
        let life = Some(Life::new(now, span));
        let whole = self.whole().unwrap_or(span);
        Self { life, margin: margin(whole), earlier: earlier(whole, jitter), ..self.clone() }
    }

    /// Whether it is given out without asking anybody.
    pub(super) fn is_fresh(&self, now: Moment) -> bool {
        let fresh = match &self.life {
            Some(life) => self.margin < life.span && now.since(&life.since) <= self.given_out(life),
            None => now.since(&self.fetched) < self.brought.ttl,
        };
        fresh && self.is_within_cap(now)
    }

    /// Whether it may still be used, where the source cannot be reached.
    pub(super) fn is_valid(&self, now: Moment) -> bool {
        let lives = match &self.life {
            Some(life) => !life.is_over(now),
            None => now.since(&self.fetched) < self.brought.ttl.saturating_add(STALE),
        };
        lives && self.is_within_cap(now) && self.is_keepable()
    }

    /// Whether a lease is to be renewed: at half of its life, and a little before it would no longer be given out.
    pub(super) fn is_half_over(&self, now: Moment) -> bool {
        let Some(life) = &self.life else { return false };
        let half = (life.span / 2).saturating_sub(self.earlier);
        let lead = LEAD.min(life.span / 10);
        now.since(&life.since) >= half.min(self.given_out(life).saturating_sub(lead))
    }

    /// Whether its source set it a bound that it has come to: the last renewal gave clearly less than the first life,
    /// servers' whole seconds apart.
    pub(super) fn is_at_its_bound(&self) -> bool {
        let whole = self.whole().unwrap_or_default();
        self.life.is_some_and(|life| life.span.saturating_add(Duration::from_secs(1)) < whole - whole / 10)
    }

    /// Whether there is any time in which it could be given out.
    pub(super) fn is_keepable(&self) -> bool {
        self.life.map_or(!self.brought.ttl.is_zero(), |life| !life.span.is_zero())
            && self.brought.cap.is_none_or(|cap| !cap.is_zero())
    }

    /// When it ends by the wall clock, where anybody said.
    pub(super) fn ends(&self) -> Option<SystemTime> {
        self.life.and_then(|life| life.ends())
    }

    /// From its beginning, how long it is given out.
    fn given_out(&self, life: &Life) -> Duration {
        life.span.saturating_sub(self.margin).saturating_sub(self.earlier)
    }

    /// Its lease's life as it was made.
    fn whole(&self) -> Option<Duration> {
        self.brought.lease.as_ref().map(|lease| lease.duration)
    }

    fn is_within_cap(&self, now: Moment) -> bool {
        self.brought.cap.is_none_or(|cap| now.since(&self.fetched) < cap)
    }
}

fn margin(span: Duration) -> Duration {
    MARGIN.min(span / 2)
}

fn earlier(span: Duration, jitter: f64) -> Duration {
    (span / 10).mul_f64(jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
