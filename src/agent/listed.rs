//! Listed: what the agent keeps, for people.

use std::time::SystemTime;

use super::keeper::Keeper;
use super::line::{Listed, Login, Status};

/// What a login that no rule is for has for its source.
const LOGIN: &str = "login";

/// Everything that is kept, never a secret; logins that no rule is for, each with when it was made.
pub(super) fn status<'l, W>(
    keeper: &Keeper<W>,
    logins: impl Iterator<Item = &'l (Login, SystemTime)>,
    socket: &str,
) -> Status {
    let listed = keeper.kept().map(|kept| Listed {
        registry: kept.about.registry.clone(),
        source: kept.about.source.clone(),
        place: kept.about.place.clone(),
        username: kept.brought.username.clone(),
        fetched: rfc3339(kept.fetched.wall).unwrap_or_default(),
        expires: kept.ends().and_then(rfc3339),
        lease: kept.brought.lease.as_ref().map(|lease| lease.id.clone()),
    });
    let old = keeper.old().iter().map(|held| Listed {
        registry: held.about.registry.clone(),
        source: held.about.source.clone(),
        place: held.about.place.clone(),
        username: held.username.clone(),
        fetched: rfc3339(held.fetched.wall).unwrap_or_default(),
        expires: held.life.ends().and_then(rfc3339),
        lease: Some(held.lease.id.clone()),
    });
    let logins = logins.map(|(login, made)| Listed {
        registry: login.registry.clone(),
        source: LOGIN.to_owned(),
        place: "memory".to_owned(),
        username: login.username.clone(),
        fetched: rfc3339(*made).unwrap_or_default(),
        expires: None,
        lease: None,
    });
    let listed = listed.chain(old).chain(logins);
    let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION").to_owned());
    Status { pid, version, socket: socket.to_owned(), credentials: listed.collect() }
}

/// `None` after the year 9999, which servers can name and RFC 3339 cannot.
fn rfc3339(time: SystemTime) -> Option<String> {
    use aws_smithy_types::date_time::Format;
    aws_smithy_types::DateTime::from(time).fmt(Format::DateTime).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_in_rfc_3339_or_none() {
        let at = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).and_then(rfc3339);
        assert_eq!(at(1_800_000_000).as_deref(), Some("2027-01-15T08:00:00Z"));
        assert_eq!(at(253_402_300_799).as_deref(), Some("9999-12-31T23:59:59Z"));
        for far in [253_402_300_800, 1 << 40, 1 << 60, u64::MAX] {
            assert_eq!(at(far), None, "{far}");
        }
    }
}
