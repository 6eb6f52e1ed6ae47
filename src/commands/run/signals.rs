//! Signals: what the terminal sends to all is the command's own affair; what somebody sends to `run` alone goes on to it.

use std::future::poll_fn;
use std::task::{Context, Poll};

use rustix::process::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// Caught, not ignored: what is ignored stays so in the command.
pub(super) struct Signals {
    /// INT and QUIT: the terminal sends them to the command too, and what they mean is for it to say.
    shared: Vec<(Stream, Signal)>,
    /// TERM and HUP.
    forwarded: Vec<(Stream, Signal)>,
    /// Where whoever started us ignores it, nobody could wait for the command.
    _child: Option<Stream>,
}

impl Signals {
    /// From now on none of them ends this process.
    pub(super) fn catch() -> Self {
        let ignored = ignored();
        let caught = |signals: [Signal; 2]| {
            let caught = signals.into_iter().filter(|own| ignored >> (own.as_raw() - 1) & 1 == 0);
            caught.filter_map(|own| Some((signal(SignalKind::from_raw(own.as_raw())).ok()?, own))).collect()
        };
        Self {
            shared: caught([Signal::INT, Signal::QUIT]),
            forwarded: caught([Signal::TERM, Signal::HUP]),
            _child: signal(SignalKind::child()).ok(),
        }
    }

    /// One that has come already.
    pub(super) async fn came(&mut self) -> Option<Signal> {
        poll_fn(|context| {
            let came = first(&mut self.forwarded, context).or(first(&mut self.shared, context));
            Poll::Ready(came)
        })
        .await
    }

    /// The next one that is to go on to the command.
    pub(super) async fn next(&mut self) -> Signal {
        poll_fn(|context| first(&mut self.forwarded, context).map_or(Poll::Pending, Poll::Ready)).await
    }
}

fn first(signals: &mut [(Stream, Signal)], context: &mut Context<'_>) -> Option<Signal> {
    signals.iter_mut().find_map(|(stream, own)| stream.poll_recv(context).is_ready().then_some(*own))
}

/// Those that whoever started us ignores (`nohup`, `&` in scripts), one bit each: they stay ignored, here and in the
/// command. Only Linux says so without unsafe code.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
