//! Refused: what a server's refusal means to whoever asked, and what to do about it.

use crate::error::{Kind, Problem};
use crate::vault::Refusal;

/// What was asked for, which a policy allows or not.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Right {
    Mint,
    Read,
}

/// The server's refusal in its own words, with the remedy.
pub(super) fn refused(refusal: &Refusal, path: &[String], right: Right, logs_in: bool) -> Problem {
    let place = path.join("/");
    if let Some((kind, hint)) = refusal.state() {
        return refusal.problem(kind, hint);
    }
    let (kind, hint) = match refusal.status {
        // The server makes the credential, sees that it could not outlive its token, and takes it back.
        400 if refusal.cause.contains("one use left") => {
            let hint = "the token must be good for two requests: raise token_num_uses of the login's role";
            (Kind::Denied, hint.to_owned())
        }
        400 => (Kind::Malformed, "check path, method and body".to_owned()),
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
        405 => (Kind::Malformed, "an engine that mints on write needs method = \"POST\"".to_owned()),
        _ => (Kind::Malformed, "check the address, path and method".to_owned()),
    };
    refusal.problem(kind, hint)
}

/// A place that is not there: never written, deleted, destroyed, or without an engine.
fn missing(refusal: &Refusal, path: &[String]) -> Problem {
    let metadata = &refusal.data["metadata"];
    // Only a number is repeated: a server could put anything there, our token included.
    let version = metadata["version"].as_u64().map(|version| format!(" {version}")).unwrap_or_default();
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
        () if refusal.cause.is_empty() => {
            ("no such secret".to_owned(), "check path, and that the secret was written there")
        }
        () if path.first().is_some_and(|first| first == "v1") => {
            (refusal.cause.clone(), "leave out v1/ at the beginning of path")
        }
        () => (refusal.cause.clone(), "check path and namespace"),
    };
    Problem { cause, ..refusal.problem(Kind::Missing, hint) }
}

impl Right {
    fn word(self) -> &'static str {
        match self {
            Self::Mint => "create (some engines: update)",
            Self::Read => "read",
        }
    }
}
