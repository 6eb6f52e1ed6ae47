//! Kept: a credential with its time, and the one rule of how long it is given out.

use std::time::{Duration, SystemTime};

use super::line::{About, Brought};

/// What is left of a credential while it is still given out, if half of its life is not less: buildkit goes on using one
/// for almost as long (<https://github.com/moby/buildkit/blob/master/session/auth/authprovider/authprovider.go>).
const MARGIN: Duration = Duration::from_secs(5 * 60);

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

/// A credential that is kept.
pub(super) struct Kept {
    pub(super) about: About,
    pub(super) brought: Brought,
    pub(super) fetched: Moment,
    /// How long it lives from then; `None` where nobody said.
    life: Option<Duration>,
    /// How much of its life is not given out.
    margin: Duration,
}

impl Kept {
    /// `jitter`, from 0 to 1, is how much of a tenth of its life it is fetched anew earlier, so that a fleet does not
    /// ask in the same second.
    pub(super) fn new(about: About, brought: Brought, fetched: Moment, jitter: f64) -> Self {
        let mut kept = Self { about, brought, fetched, life: None, margin: Duration::ZERO };
        let stated = kept.brought.expires.map(|end| end.duration_since(fetched.wall).unwrap_or_default());
        let leased = kept.brought.lease.as_ref().map(|lease| lease.duration);
        kept.live([stated, leased].into_iter().flatten().min(), jitter);
        kept
    }

    /// Begins its life anew: a lease that was renewed.
    pub(super) fn renew(&mut self, life: Duration, now: Moment, jitter: f64) {
        self.fetched = now;
        if let Some(lease) = &mut self.brought.lease {
            lease.duration = life;
        }
        self.live(Some(life), jitter);
    }

    fn live(&mut self, life: Option<Duration>, jitter: f64) {
        self.life = life;
        self.margin = life
            .map(|life| MARGIN.min(life / 2) + (life / 10).mul_f64(jitter.clamp(0.0, 1.0)))
            .unwrap_or_default();
    }

    /// Whether it is given out without asking anybody.
    pub(super) fn is_fresh(&self, now: Moment) -> bool {
        let age = now.since(&self.fetched);
        let fresh = match self.life {
            Some(life) => !life.is_zero() && age + self.margin <= life,
            None => age < self.brought.ttl,
        };
        fresh && self.is_within_cap(age)
    }

    /// Whether it may still be used, where the source cannot be reached.
    pub(super) fn is_valid(&self, now: Moment) -> bool {
        let age = now.since(&self.fetched);
        self.life.is_none_or(|life| age < life) && self.is_within_cap(age) && self.is_keepable()
    }

    /// Whether a lease is to be renewed: at half of its life, and a little before it would no longer be given out.
    pub(super) fn is_half_over(&self, now: Moment) -> bool {
        let Some(life) = self.life else { return false };
        let given_out = life.saturating_sub(self.margin);
        now.since(&self.fetched) >= (life / 2).min(given_out.saturating_sub(life / 20))
    }

    /// Whether there is any time in which it could be given out.
    pub(super) fn is_keepable(&self) -> bool {
        self.life.map_or(!self.brought.ttl.is_zero(), |life| !life.is_zero())
            && self.brought.cap.is_none_or(|cap| !cap.is_zero())
    }

    /// When it ends by the wall clock, where anybody said.
    pub(super) fn ends(&self) -> Option<SystemTime> {
        self.life.and_then(|life| self.fetched.wall.checked_add(life))
    }

    fn is_within_cap(&self, age: Duration) -> bool {
        self.brought.cap.is_none_or(|cap| age < cap)
    }
}
