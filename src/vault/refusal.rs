//! Refusal: what Vault and OpenBao say no to, in their own words.

use serde_json::Value;

use crate::error::{Kind, Problem, one_line};

/// What a versioned K/V engine warns of where `data/` is missing, in Vault's and OpenBao's words alike.
const VERSIONED: &str = "Invalid path for a versioned K/V secrets engine";
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
    /// Whether a token of our own was sent.
    pub sent_token: bool,
}

impl Refusal {
    /// Reads a refusal; a cause that holds one of the secrets that were sent is not repeated.
    pub(super) fn new(status: u16, mut value: Value, proxy: Option<String>, secrets: &[&str]) -> Self {
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(flatten)).collect()
        };
        let told = |text: String, otherwise: &dyn Fn() -> String| {
            let holds = |secret: &&str| !secret.is_empty() && text.contains(*secret);
            if secrets.iter().any(holds) { otherwise() } else { text }
        };
        Self {
            status,
            cause: told(texts(&value["errors"]).join(", "), &|| format!("HTTP {status}")),
            warnings: told(texts(&value["warnings"]).join(", "), &String::new),
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
    }
}
