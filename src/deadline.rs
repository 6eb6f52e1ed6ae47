//! Deadline: when something must be over, and how a sentence names that time.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::{Kind, Problem};

/// A moment, so and so long after the look-up began.
#[derive(Clone, Copy)]
pub struct Deadline {
    at: Instant,
    after: Duration,
}

/// What a look-up has to keep to. Both are the same, except for a mint.
#[derive(Clone, Copy)]
pub struct Limits {
    /// A connection that does not stand by then is given up.
    pub connect: Deadline,
    /// What has been sent is waited for until then: a caller that hangs up on a mint leaks a credential that no lease
    /// knows.
    pub answer: Deadline,
}

impl Deadline {
    /// `after` the look-up began.
    pub fn new(started: Instant, after: Duration) -> Self {
        Self { at: started + after, after }
    }

    /// The moment.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// How long after the look-up began it is.
    pub fn after(&self) -> Duration {
        self.after
    }

    /// What is left of it.
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// What a caller is told who ran into it.
    pub fn problem(&self) -> Problem {
        Problem::new(Kind::Unavailable, format!("timed out after {self}"))
            .hint("check that the server is up and reachable from here")
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after.subsec_millis() {
            0 => write!(out, "{}s", self.after.as_secs()),
            _ => write!(out, "{}ms", self.after.as_millis()),
        }
    }
}
