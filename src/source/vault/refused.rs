//! Refused: what a server's refusal means to whoever asked, and what to do about it.

use crate::error::{Kind, Problem};
use crate::vault::Refusal;

/// What was asked for, which a policy allows or not.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Right {
    Create,
    Delete,
    List,
    Mint,
    Read,
    Update,
}

/// The server's refusal in its own words, with the remedy.
pub(super) fn refused(refusal: &Refusal, path: &[String], right: Right, logs_in: bool) -> Problem {
    let mut place = path.join("/");
    if right == Right::List {
        // As policies write it.
        place.push('/');
    }
    if let Some((kind, hint)) = refusal.state() {
        return refusal.problem(kind, hint);
    }
    let (kind, hint) = match refusal.status {
        // The server makes the credential, sees that it could not outlive its token, and takes it back.
        400 if refusal.cause.contains("one use left") => {
            let hint = "the token must be good for two requests: raise token_num_uses of the login's role";
            (Kind::Denied, hint.to_owned())
        }
        400 if right.is_asked() => (Kind::Malformed, "check path, method and body".to_owned()),
        403 if !refusal.sent_token => {
            let hint = "no token was sent: have the Vault Agent or Proxy add one that may, or name one with \
                token-env or token-file";
            (Kind::Denied, hint.to_owned())
        }
        403 => {
            let capability = right.word();
            let hint = match logs_in {
                true => format!("the policies of the login's role must allow {capability} on {place}"),
                false => format!("the token must be valid and its policy allow {capability} on {place}"),
            };
            (Kind::Denied, hint)
        }
        404 => return missing(refusal, path),
        405 if right == Right::Mint => {
            (Kind::Malformed, "the engine takes no write here: remove method".to_owned())
        }
        405 if right == Right::Read => {
            (Kind::Malformed, "an engine that mints on write needs method = \"POST\"".to_owned())
        }
        _ if right.is_asked() => (Kind::Malformed, "check the address, path and method".to_owned()),
        _ => (Kind::Malformed, "check the address and path, and what may be kept there".to_owned()),
    };
    refusal.problem(kind, hint)
}

/// A place that is not there: never written, deleted, destroyed, or without an engine.
fn missing(refusal: &Refusal, path: &[String]) -> Problem {
    let metadata = &refusal.data["metadata"];
    // Only a number is repeated: a server could put anything there, our token included.
    let version = metadata["version"].as_u64().map(|version| format!(" {version}")).unwrap_or_default();
    // Only what the engine says itself: a place without one may hold what is not seen from here.
    let is_known = refusal.is_bare || metadata.is_object();
    let kind = if is_known { Kind::Missing } else { Kind::Malformed };
    let (cause, hint) = match () {
        () if refusal.lacks_data() => {
            ("the engine is a versioned K/V".to_owned(), "put data/ after the mount in path")
        }
        () if metadata["destroyed"] == true => {
            (format!("version{version} is destroyed"), "write a new version")
        }
        () if metadata.is_object() => {
            (format!("version{version} is deleted"), "undelete it, or write a new version")
        }
        () if refusal.is_bare => {
            ("no such secret".to_owned(), "check path, and that the secret was written there")
        }
        () if refusal.cause.is_empty() => return refusal.problem(kind, "check the address and path"),
        () if path.first().is_some_and(|first| first == "v1") => {
            (refusal.cause.clone(), "leave out v1/ at the beginning of path")
        }
        () => (refusal.cause.clone(), "check path and namespace"),
    };
    Problem { cause, ..refusal.problem(kind, hint) }
}

/// A path that is below no mount, or below one where nothing may be touched: servers do not tell which.
pub(super) fn unmounted(refusal: &Refusal) -> Problem {
    match refusal.state() {
        Some((kind, hint)) => refusal.problem(kind, hint),
        None if refusal.status == 403 && !refusal.sent_token => refused(refusal, &[], Right::Read, false),
        None if refusal.status == 403 => {
            let hint = "check path and namespace, and that the token is valid and its policy allows something on path";
            refusal.problem(Kind::Denied, hint)
        }
        None => refusal.problem(Kind::Malformed, "check the address, path and namespace"),
    }
}

impl Right {
    /// Whether it is what a `get` asks for.
    fn is_asked(self) -> bool {
        matches!(self, Self::Mint | Self::Read)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Mint => "create (some engines: update)",
            Self::Read => "read",
            Self::Update => "update",
        }
    }
}
