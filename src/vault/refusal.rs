//! Refusal: what Vault and OpenBao say no to, in their own words.

use secrecy::zeroize::Zeroizing;
use serde_json::Value;

use crate::error::{Kind, Problem, one_line};

/// What a versioned K/V engine warns of where `data/` is missing, in Vault's and OpenBao's words alike.
const VERSIONED: &str = "Invalid path for a versioned K/V secrets engine";
/// What a versioned K/V engine answers to a write of somebody who was overtaken, in Vault's and OpenBao's words alike.
const OVERTAKEN: &str = "check-and-set parameter did not match the current version";
/// What a standby says while no server of its cluster is the active one.
const NO_ACTIVE: &str = "active cluster node not found";

/// An answer that is a refusal.
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What stands in `errors`, as the server put it, in one line.
    pub cause: String,
    /// What stands in `warnings`, likewise.
    pub warnings: String,
    /// The answer's `data`, which a deleted version has.
    pub data: Value,
    /// The proxy that it came through.
    pub proxy: Option<String>,
    /// Whether it says that somebody else has written in between.
    pub is_overtaken: bool,
    /// Whether it is how a server says that nothing is there: without a reason.
    pub is_bare: bool,
    /// Whether a token of our own was sent.
    pub sent_token: bool,
}

impl Refusal {
    /// Reads a refusal; a cause that holds one of the secrets that were sent is not repeated.
    pub(super) fn new(status: u16, mut value: Value, proxy: Option<String>, secrets: &[&str]) -> Self {
        let told = |value: &Value| -> Option<String> {
            let clean = !texts(value).any(|text| secrets.iter().any(|secret| holds(text, secret)));
            clean.then(|| texts(value).map(flatten).collect::<Vec<_>>().join(", "))
        };
        Self {
            status,
            cause: told(&value["errors"]).unwrap_or_else(|| format!("HTTP {status}")),
            warnings: told(&value["warnings"]).unwrap_or_default(),
            // Whatever may be told of it.
            is_overtaken: status == 400 && texts(&value["errors"]).any(|text| text.contains(OVERTAKEN)),
            is_bare: status == 404 && value["errors"].as_array().is_some_and(Vec::is_empty),
            data: value["data"].take(),
            proxy,
            sent_token: false,
        }
    }

    /// Whether it is the warning that `data/` is missing from the path.
    pub fn lacks_data(&self) -> bool {
        self.status == 404 && self.warnings.contains(VERSIONED)
    }

    /// What the state of the server or of its cluster has to do with it; `None` where it is about what was asked
    /// (<https://developer.hashicorp.com/vault/api-docs#http-status-codes>).
    pub fn state(&self) -> Option<(Kind, &'static str)> {
        let hint = match self.status {
            412 => "the server has not caught up with its cluster yet: try again",
            429 => "the server is asked too often: try again",
            472 => "it is a disaster recovery secondary: set address to the primary",
            473 => "it is a performance standby: set address to the active server",
            _ if self.cause.contains(NO_ACTIVE) => {
                "the cluster has no active server at the moment: try again"
            }
            503 if self.cause.contains("sealed") => "unseal the server",
            503 => "the server is not ready: try again",
            500..=599 => "look at the server's own log",
            _ => return None,
        };
        Some((Kind::Unavailable, hint))
    }

    /// The sentence, with this remedy.
    pub fn problem(&self, kind: Kind, hint: impl Into<String>) -> Problem {
        let cause = if self.cause.is_empty() { format!("HTTP {}", self.status) } else { self.cause.clone() };
        Problem { proxy: self.proxy.clone(), ..Problem::new(kind, cause).hint(hint) }
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Whether the secret stands in the text: as it is, as JSON writes it, or with the blanks that one line leaves of it.
fn holds(text: &str, secret: &str) -> bool {
    let quoted = Zeroizing::new(Value::from(secret).to_string());
    let written = quoted.strip_prefix('"').unwrap_or_default().strip_suffix('"').unwrap_or_default();
    let (line, spaced) = (one_line(text), Zeroizing::new(one_line(secret)));
    let found = |text: &str, secret: &str| !secret.is_empty() && text.contains(secret);
    found(text, secret) || found(text, written) || found(&line, &spaced)
}

/// `N error(s) occurred:` and its bullets, in one line.
fn flatten(text: &str) -> String {
    let line = one_line(text);
    match line.split_once(" occurred: * ") {
        Some((count, causes)) if count.ends_with("error") || count.ends_with("errors") => {
            causes.replace(" * ", ", ")
        }
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Refusal, flatten};

    #[test]
    fn the_servers_list_becomes_one_line() {
        assert_eq!(flatten("1 error occurred:\n\t* permission denied\n\n"), "permission denied");
        assert_eq!(
            flatten("2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"),
            "permission denied, invalid token"
        );
        assert_eq!(flatten("Vault is sealed"), "Vault is sealed");
    }

    #[test]
    fn what_was_sent_is_not_repeated() {
        let value = json!({"errors": ["no such role, secret s3cr-et"], "warnings": ["s3cr-et"]});
        let refusal = Refusal::new(400, value, None, &["", "s3cr-et"]);
        assert_eq!((refusal.cause.as_str(), refusal.warnings.as_str()), ("HTTP 400", ""));
        let secret = "s3cr \"et\"  of\tmine";
        for text in [secret, "got {\"s3cr \\\"et\\\"  of\\tmine\"}", "got s3cr \"et\" of\n\tmine"] {
            let refusal = Refusal::new(400, json!({ "errors": ["no", text] }), None, &[secret]);
            assert_eq!(refusal.cause, "HTTP 400", "{text}");
        }
        let refusal = Refusal::new(400, json!({"errors": ["no", "such role"]}), None, &[secret, "\t"]);
        assert_eq!(refusal.cause, "no, such role");
    }
}
