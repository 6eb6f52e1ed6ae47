//! Signals: what is in the middle of something is not left behind.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Does the work to its end, and says whether INT, TERM or HUP came meanwhile: a process that one of them ends in the
/// middle of a mint leaks a credential that no lease knows.
pub(super) async fn held_back<T>(work: impl Future<Output = T>) -> (T, bool) {
    let mut signals = signals();
    let (mut work, mut came) = (pin!(work), false);
    poll_fn(move |context| {
        came |= has_come(&mut signals, context);
        work.as_mut().poll(context).map(|done| (done, came))
    })
    .await
}

/// What ends a read in the middle: one of the signals, where a login or a program would be left behind; it is given back
/// or ended first.
pub(super) struct Interruption(pub(super) Vec<Signal>);

impl Future for Interruption {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if has_come(&mut self.0, context) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Does the work, unless one of the signals comes: dropped, it ends what it has started.
pub(super) async fn or_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = Interruption(signals()) => None,
    }
}

/// The signals that ask a process to end; what cannot be caught ends it, as it would have anyway.
pub(super) fn signals() -> Vec<Signal> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect()
}

fn has_come(signals: &mut [Signal], context: &mut Context<'_>) -> bool {
    let mut came = false;
    for signal in signals {
        // Each must be asked, so that each wakes us.
        came |= signal.poll_recv(context).is_ready();
    }
    came
}
