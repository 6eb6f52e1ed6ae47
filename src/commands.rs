//! Commands: what is started by a word that is not the protocol's; each says what to print and how it ends.

mod agent;
mod kubelet;
mod run;

pub use agent::{Word, run as agent};
pub use kubelet::run as kubelet;
pub use run::run;

pub use crate::agent::life::Kind;
pub(crate) use crate::agent::life::{DETACHED, FOR};

/// What a command ends in.
#[derive(Default)]
pub struct Outcome {
    /// Lines for stdout.
    pub out: String,
    /// Lines for stderr.
    pub err: String,
    /// Whether it did what it was asked.
    pub success: bool,
}

impl Outcome {
    fn done(out: impl Into<String>) -> Self {
        Self { out: out.into(), success: true, ..Self::default() }
    }

    fn failed(err: impl Into<String>) -> Self {
        Self { err: err.into(), ..Self::default() }
    }
}
