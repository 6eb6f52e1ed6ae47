//! Repeat: the one second try that a request may have.

use std::time::Duration;

use http::header::RETRY_AFTER;

use super::{Answer, Client};
use crate::deadline::Deadline;
use crate::error::{Kind, Problem};

/// How long to wait where the server does not say: long enough for a listener that is starting anew.
const PAUSE: Duration = Duration::from_millis(200);
/// What a whole number of seconds may leave out.
const ROUNDED: Duration = Duration::from_secs(1);

/// What a failed request may be sent again after.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repeat {
    /// A connection that broke, or a server that is busy, standing by or starting: a read does no harm twice.
    Read,
    /// A connection that never stood, or a server that was asked too often: it has made nothing yet.
    Unmade,
    /// Only a connection that never stood, since a login counts its tries and a mint makes something.
    Unsent,
}

impl Client {
    /// Sends a request as [`Self::send`] does, and once more where `repeat` allows it and the time left does.
    ///
    /// # Errors
    /// As [`Self::send`], of the last try.
    pub async fn send_again(
        &self,
        request: http::Request<Vec<u8>>,
        until: Deadline,
        repeat: Repeat,
    ) -> Result<Answer, Problem> {
        let first = self.attempt(request.clone(), until).await;
        let pause = match &first {
            Ok(answer) => match repeat {
                Repeat::Read => pause(answer),
                Repeat::Unmade => pause(answer).filter(|_| answer.status == 429),
                Repeat::Unsent => None,
            },
            Err(failed) => {
                let again = failed.unsent || repeat == Repeat::Read;
                (again && failed.problem.kind == Kind::Unavailable).then_some(PAUSE)
            }
        };
        // What has been sent may be waited for longer than the look-up; waiting to send it may not.
        let left = until.left().min(self.settings.connect.left());
        match pause.filter(|pause| *pause < left) {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                self.send(request, until).await
            }
            None => first.map_err(|failed| failed.problem),
        }
    }
}

/// How long to wait before the same is asked again; `None` for an answer that will not change
/// (<https://developer.hashicorp.com/vault/api-docs#http-status-codes>).
fn pause(answer: &Answer) -> Option<Duration> {
    if !matches!(answer.status, 412 | 429 | 472 | 473 | 500..=599) {
        return None;
    }
    let stated = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let stated = stated.map(Duration::from_secs);
    Some(match answer.status {
        // Quotas of Vault and OpenBao round down what is left of the interval: to the letter it is always too early.
        429 => stated.map_or(PAUSE, |time| time.saturating_add(ROUNDED)),
        _ => stated.unwrap_or(PAUSE),
    })
}
