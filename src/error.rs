//! Every failure: what happened, why in the source's own word, and what to do.
//!
//! An error says what the caller may do next: "has none" ([`Error::NotFound`]) and "could not ask"
//! ([`Error::Failed`]) never share a variant, since a client goes on anonymously after the first one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Docker's own sentence for "has none"; clients compare it byte for byte
/// (<https://github.com/docker/docker-credential-helpers/blob/master/credentials/error.go>).
pub const NOT_FOUND: &str = "credentials not found in native keychain";

/// The longest line that a failure may print, its newline included.
pub const LINE_LIMIT: usize = 500;

/// What a look-up ends in, other than a credential.
pub enum Error {
    /// The config cannot be used: the sentence, with file, line and column.
    Config(String),
    /// A rule matched and its source could not be asked, or gave nothing that can be used.
    Failed(Failure),
    /// What stands on stdin cannot be read as the protocol says.
    Input(String),
    /// Docker's own sentence for an empty look-up.
    MissingServerUrl,
    /// Docker's own sentence for a `store` without a user name.
    MissingUsername,
    /// Nothing here answers for that registry.
    NotFound,
    /// A `store` that will not be kept: the sentence, with what to do.
    Refused(String),
}

/// A source that failed: who, where, why, and the remedy.
pub struct Failure {
    /// The source's word in the config, such as `vault`.
    pub source: &'static str,
    /// The place that was asked, its templates filled in.
    pub place: String,
    /// The cause and its remedy.
    pub problem: Problem,
}

/// A cause with its remedy; never a secret, a token, userinfo or a response body.
#[derive(Clone)]
pub struct Problem {
    /// What the caller may do next.
    pub kind: Kind,
    /// The cause in the source's own word: `permission denied`, `AccessDeniedException`.
    pub cause: String,
    /// What the user can do about it; empty where nobody knows.
    pub hint: String,
    /// The proxy that stood in between, as `host:port`.
    pub proxy: Option<String>,
}

/// What a caller may do after a [`Problem`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Known and not allowed.
    Denied,
    /// Whoever asks was told to end: it says nothing about the source.
    Interrupted,
    /// The answer is there and cannot be used.
    Malformed,
    /// The place does not exist.
    Missing,
    /// A login that was refused: trying again soon may lock others out.
    RefusedLogin,
    /// The source does not know who asks.
    Unauthenticated,
    /// The source could not be reached, or not in time: another try may do.
    Unavailable,
    /// Who answers is not whom we were sent to: TLS or a redirect says so.
    Untrusted,
}

impl Problem {
    /// A cause of the given kind, without a remedy yet.
    pub fn new(kind: Kind, cause: impl Into<String>) -> Self {
        Self { kind, cause: cause.into(), hint: String::new(), proxy: None }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.cause)?;
        if let Some(proxy) = &self.proxy {
            write!(out, " (through the proxy {proxy})")?;
        }
        if self.hint.is_empty() { Ok(()) } else { write!(out, "; hint: {}", self.hint) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(what) => write!(out, "config: {what}"),
            Self::Failed(failure) => failure.fmt(out),
            Self::Input(what) | Self::Refused(what) => out.write_str(what),
            Self::MissingServerUrl => out.write_str("no credentials server URL"),
            Self::MissingUsername => out.write_str("no credentials username"),
            Self::NotFound => out.write_str(NOT_FOUND),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = shorten(&self.place, 120);
        let mut problem = self.problem.clone();
        // The remedy comes last and must survive the cut: a long cause gives way first.
        let cause = std::mem::take(&mut problem.cause);
        let rest = format!("{}: {place}: {problem}\n", self.source).len();
        problem.cause = shorten(&cause, LINE_LIMIT.saturating_sub(rest).max(120));
        write!(out, "{}: {place}: {problem}", self.source)
    }
}

impl Error {
    /// The one line that goes to stdout, its newline included: at most [`LINE_LIMIT`] bytes, and Docker's
    /// not-found sentence in it only where the error is that sentence (docker-py and Jib match it as a part).
    pub fn line(&self) -> String {
        let text = match self {
            Self::NotFound => return format!("{NOT_FOUND}\n"),
            other => one_line(&other.to_string()),
        };
        let mut line =
            shorten(&text.replace(NOT_FOUND, "no credentials in the native keychain"), LINE_LIMIT - 1);
        line.push('\n');
        line
    }
}

/// The text without control characters and with single spaces, so that it stays one line in any terminal.
pub fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text cut to at most `limit` bytes, with `…` for what is missing.
pub fn shorten(text: &str, limit: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit.saturating_sub(MARK.len()));
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(place: &str, cause: &str, hint: &str) -> Error {
        let problem = Problem::new(Kind::Denied, cause).hint(hint);
        Error::Failed(Failure { source: "vault", place: place.to_owned(), problem })
    }

    #[test]
    fn names_source_place_cause_and_remedy_in_this_order() {
        let line = failed("secret/data/ghcr", "permission denied", "ask for read").line();
        assert_eq!(line, "vault: secret/data/ghcr: permission denied; hint: ask for read\n");
    }

    #[test]
    fn a_long_cause_gives_way_and_the_remedy_stays() {
        let line = failed(&"p".repeat(4000), &"ü".repeat(4000), "ask for read").line();
        assert!(line.len() <= LINE_LIMIT && line.ends_with("hint: ask for read\n"), "{line}");
    }

    #[test]
    fn a_cause_is_as_long_as_the_rest_leaves_room_for() {
        let (cause, hint) = ("c".repeat(330), "h".repeat(100));
        let line = failed("place", &cause, &hint).line();
        assert_eq!(line, format!("vault: place: {cause}; hint: {hint}\n"));
        let line = failed(&"p".repeat(120), &"c".repeat(400), &"h".repeat(180)).line();
        assert_eq!(line.len(), LINE_LIMIT);
        assert!(line.ends_with(&format!("…; hint: {}\n", "h".repeat(180))), "{line}");
    }

    #[test]
    fn never_holds_a_line_break_or_the_not_found_sentence() {
        // What is left of it must not make it anew.
        let cause = format!("x\r\n\u{1b}[31m{NOT_FOUND} in native keychain credentials {NOT_FOUND}");
        let line = failed("a\nb", &cause, "").line();
        assert!(!line.contains(NOT_FOUND), "{line}");
        assert_eq!(line.matches(['\n', '\r', '\u{1b}']).count(), 1, "{line}");
    }
}
