//! Cause: what went wrong on the way, said from the types of the errors and never from their texts alone.

use std::error::Error as StdError;
use std::io;

use super::dns::NoAddress;
use super::trust;
use crate::error::{Kind, Problem};

const LATE: &str = "timed out while connecting";

/// Says what went wrong from the types in the error's chain; the URL is never in it.
pub(super) fn describe(error: &reqwest::Error) -> Problem {
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    let mut deepest = None;
    while let Some(cause) = next {
        if let Some(problem) = known(cause) {
            return problem;
        }
        deepest = Some(cause);
        next = cause.source();
    }
    if error.is_timeout() {
        return Problem::new(Kind::Unavailable, LATE);
    }
    let cause = deepest.map_or_else(|| "the request failed".to_owned(), ToString::to_string);
    Problem::new(Kind::Unavailable, cause)
}

fn known(cause: &(dyn StdError + 'static)) -> Option<Problem> {
    if let Some(lookup) = cause.downcast_ref::<NoAddress>() {
        return Some(
            Problem::new(Kind::Unavailable, lookup.to_string())
                .hint("check the address's spelling and the DNS"),
        );
    }
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some(trust::describe(tls));
    }
    let mut io = cause.downcast_ref::<io::Error>()?;
    // What an io::Error wraps is no source of it, and connectors wrap it twice.
    while let Some(inner) = io.get_ref() {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Some(trust::describe(tls));
        }
        let Some(inner) = inner.downcast_ref::<io::Error>() else { break };
        io = inner;
    }
    let cause = match io.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "the network does not reach it",
        io::ErrorKind::NotFound => "there is no such socket",
        io::ErrorKind::PermissionDenied => "permission denied by this machine",
        io::ErrorKind::TimedOut => LATE,
        io::ErrorKind::UnexpectedEof => "the connection ended too early",
        _ => return None,
    };
    Some(Problem::new(Kind::Unavailable, cause))
}
