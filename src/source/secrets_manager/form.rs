//! Form: how a user name and a password stand in a secret's text.

use serde_json::Value;

use super::super::shape::{Fields, plain};
use crate::error::{Kind, Problem};

/// The user name in a secret of its own.
pub(super) fn username(fields: &Fields, text: &str) -> Result<String, Problem> {
    match object(text) {
        Ok(object) => fields.username(&object),
        Err(problem) if fields.names_username() => Err(problem),
        Err(_) => plain(text),
    }
}

/// The password in a secret without a user name.
pub(super) fn password(fields: &Fields, text: &str) -> Result<String, Problem> {
    match object(text) {
        Ok(object) => fields.password(&object),
        Err(problem) if fields.names_password() => Err(problem),
        Err(_) => plain(text),
    }
}

/// The JSON object that the text is; its parser's own words may quote the secret and are not repeated.
pub(super) fn object(text: &str) -> Result<Value, Problem> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ if text.is_empty() => Err(Problem::new(Kind::Malformed, "it is empty")),
        _ => Err(Problem::new(Kind::Malformed, "it is no JSON object")
            .hint("for a plain token add username or username-secret to the rule")),
    }
}
