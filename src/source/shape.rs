//! Shape: how a user name and a secret stand in what a source gives.

use serde_json::Value;

use crate::error::{Kind, Problem};
use crate::keys::{Keys, Read};

/// The keys under which a JSON object holds the two.
pub(super) struct Fields {
    /// `None` for the usual name.
    username: Option<String>,
    password: Option<String>,
}

impl Fields {
    /// Reads `username-key` and `password-key`.
    pub(super) fn parse(keys: &Keys<'_>) -> Read<Self> {
        Ok(Self { username: keys.string("username-key")?, password: keys.string("password-key")? })
    }

    /// The user name in the object.
    pub(super) fn username(&self, object: &Value) -> Result<String, Problem> {
        pick(object, self.username.as_deref().unwrap_or("username"), "username-key")
    }

    /// The secret in the object.
    pub(super) fn password(&self, object: &Value) -> Result<String, Problem> {
        pick(object, self.password.as_deref().unwrap_or("password"), "password-key")
    }

    /// Whether the rule names the secret's key itself, so that plain text will not do.
    pub(super) fn names_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether the rule names the user name's key itself.
    pub(super) fn names_username(&self) -> bool {
        self.username.is_some()
    }
}

/// The string at the key, or at the JSON pointer where it begins with `/`.
fn pick(object: &Value, key: &str, setting: &str) -> Result<String, Problem> {
    let found = if key.starts_with('/') { object.pointer(key) } else { object.get(key) };
    let hint = format!("set {setting} to the key that holds it");
    match found {
        Some(Value::String(text)) if text.is_empty() => {
            Err(Problem::new(Kind::Malformed, format!("its key `{key}` is empty")).hint(hint))
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Problem::new(Kind::Malformed, format!("its key `{key}` is no string")).hint(hint)),
        None => Err(Problem::new(Kind::Malformed, format!("it has no key `{key}`")).hint(hint)),
    }
}

/// A plain secret: trailing CR and LF are an editor's, not the secret's.
pub(super) fn plain(text: &str) -> Result<String, Problem> {
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Problem::new(Kind::Malformed, "it is empty")),
        text => Ok(text.to_owned()),
    }
}
