//! Made: moments and credentials for the tests of what is kept.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;

use super::kept::Moment;
use super::line::{About, Brought, Failed, Leased, Want};
use crate::error::Kind;

/// Some time in 2027.
const BEGINNING: Duration = Duration::from_secs(1_800_000_000);

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Both clocks, so long after the beginning.
pub(super) fn after(time: Duration) -> Moment {
    clocks(time, time)
}

/// So many seconds after the beginning.
pub(super) fn at(time: u64) -> Moment {
    after(seconds(time))
}

/// The one that people set, and the steady one.
pub(super) fn clocks(wall: Duration, steady: Duration) -> Moment {
    Moment { wall: SystemTime::UNIX_EPOCH + BEGINNING + wall, steady: seconds(1000) + steady }
}

pub(super) fn about(registry: &str) -> About {
    About { registry: registry.to_owned(), source: "vault".to_owned(), place: "database/creds/ci".to_owned() }
}

/// A look-up that a config of no special words makes.
pub(super) fn want(key: &str) -> Want {
    let (patience, idle) = (5_000, 30 * 60_000);
    Want {
        key: key.to_owned(),
        login: "a login".to_owned(),
        about: about("ghcr.io"),
        patience,
        idle,
        cap: None,
    }
}

/// A credential of which nobody said when it ends, kept for five minutes.
pub(super) fn brought() -> Brought {
    Brought {
        username: "octocat".to_owned(),
        secret: SecretString::from("s3cret"),
        expires: None,
        ttl: seconds(300),
        cap: None,
        lease: None,
    }
}

/// One that ends so long after the beginning.
pub(super) fn ending(time: u64) -> Brought {
    Brought { expires: Some(at(time).wall), ..brought() }
}

/// One with a renewable lease that is ours.
pub(super) fn leased(id: &str, duration: Duration) -> Brought {
    let holder = Some(SecretString::from("a token"));
    Brought { lease: Some(Leased { id: id.to_owned(), duration, is_renewable: true, holder }), ..brought() }
}

pub(super) fn failure(key: &str, kind: Kind) -> Failed {
    let Want { key, login, .. } = want(key);
    Failed { key, login, kind, cause: "cause".to_owned(), hint: String::new(), proxy: None }
}
