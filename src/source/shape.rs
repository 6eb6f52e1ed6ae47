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
        pick(object, self.username_key(), "username-key")
    }

    /// The secret in the object.
    pub(super) fn password(&self, object: &Value) -> Result<String, Problem> {
        pick(object, self.password_key(), "password-key")
    }

    /// Whether the secret's key is there, whatever stands at it.
    pub(super) fn hold_password(&self, object: &Value) -> bool {
        !matches!(self.password(object), Err(Problem { kind: Kind::Missing, .. }))
    }

    /// Puts both into the object, or the secret alone; what else is in it stays.
    pub(super) fn put(
        &self,
        object: &mut Value,
        username: Option<&str>,
        secret: &str,
    ) -> Result<(), Problem> {
        if let Some(username) = username {
            put(object, self.username_key(), username)?;
        }
        put(object, self.password_key(), secret)
    }

    /// Puts the user name alone into the object.
    pub(super) fn put_username(&self, object: &mut Value, username: &str) -> Result<(), Problem> {
        put(object, self.username_key(), username)
    }

    /// Takes both out of the object, or the secret alone; whether nothing else was in it. Where the secret is still there,
    /// that is a failure.
    pub(super) fn take(&self, object: &mut Value, with_username: bool) -> Result<bool, Problem> {
        if with_username {
            remove(object, &parts(self.username_key()));
        }
        remove(object, &parts(self.password_key()));
        is_gone(&self.password(object))?;
        Ok(object.as_object().is_none_or(serde_json::Map::is_empty))
    }

    /// Takes the user name alone out of the object, in the same way.
    pub(super) fn take_username(&self, object: &mut Value) -> Result<bool, Problem> {
        remove(object, &parts(self.username_key()));
        is_gone(&self.username(object))?;
        Ok(object.as_object().is_none_or(serde_json::Map::is_empty))
    }

    fn username_key(&self) -> &str {
        self.username.as_deref().unwrap_or("username")
    }

    fn password_key(&self) -> &str {
        self.password.as_deref().unwrap_or("password")
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
        None => Err(Problem::new(Kind::Missing, format!("it has no key `{key}`")).hint(hint)),
    }
}

/// Puts the text at the key, or at the JSON pointer, beside whatever else is there.
fn put(object: &mut Value, key: &str, text: &str) -> Result<(), Problem> {
    if text.is_empty() {
        let cause = format!("its key `{key}` would be empty, and not be given again");
        return Err(Problem::new(Kind::Malformed, cause).hint("log in with a password or token"));
    }
    let mut at = object;
    for part in parts(key) {
        if at.is_null() {
            *at = Value::Object(serde_json::Map::new());
        }
        let Value::Object(fields) = at else {
            let cause = format!("its key `{key}` leads through what is no object");
            return Err(Problem::new(Kind::Malformed, cause).hint("put the credential under other keys"));
        };
        at = fields.entry(part).or_insert(Value::Null);
    }
    *at = Value::from(text);
    Ok(())
}

/// Takes the key away, and the objects that held nothing else.
fn remove(object: &mut Value, parts: &[String]) {
    let (Some((first, rest)), Value::Object(fields)) = (parts.split_first(), object) else { return };
    match fields.get_mut(first) {
        Some(below) if !rest.is_empty() => {
            remove(below, rest);
            if below.as_object().is_some_and(serde_json::Map::is_empty) {
                fields.shift_remove(first);
            }
        }
        _ => drop(fields.shift_remove(first)),
    }
}

/// A pointer reads from lists too, out of which nothing is taken: the places of the others would change.
fn is_gone(picked: &Result<String, Problem>) -> Result<(), Problem> {
    if picked.is_err() {
        return Ok(());
    }
    let cause = "its key leads through a list, so it is not taken out";
    Err(Problem::new(Kind::Malformed, cause).hint("take it out by hand"))
}

/// The steps to a key: one, or those of a JSON pointer (<https://www.rfc-editor.org/rfc/rfc6901>).
fn parts(key: &str) -> Vec<String> {
    match key.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect(),
        None => vec![key.to_owned()],
    }
}

/// A plain secret: trailing CR and LF are an editor's, not the secret's.
pub(super) fn plain(text: &str) -> Result<String, Problem> {
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Problem::new(Kind::Malformed, "it is empty")),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_credential_goes_in_beside_what_is_there_and_comes_out_again() {
        let plain = Fields { username: None, password: None };
        let deep =
            Fields { username: Some("/prod/a~1b".to_owned()), password: Some("/prod/token".to_owned()) };
        for (fields, there, with) in [
            (&plain, json!({"x": 1}), json!({"x": 1, "username": "u", "password": "p"})),
            (&deep, json!({"prod": {"x": 1}}), json!({"prod": {"x": 1, "a/b": "u", "token": "p"}})),
            (&deep, json!({"x": 1}), json!({"x": 1, "prod": {"a/b": "u", "token": "p"}})),
        ] {
            let mut object = there.clone();
            assert!(fields.put(&mut object, Some("u"), "p").is_ok());
            assert_eq!(object, with);
            assert_eq!(
                (fields.username(&object).ok(), fields.password(&object).ok()),
                (Some("u".to_owned()), Some("p".to_owned()))
            );
            assert_eq!(fields.take(&mut object, true).ok(), Some(false));
            assert_eq!(object, there);
        }
        let mut nothing = Value::Null;
        assert!(deep.put(&mut nothing, Some("u"), "p").is_ok());
        assert_eq!(deep.take(&mut nothing, true).ok(), Some(true));
        let mut in_the_way = json!({"prod": "text"});
        assert!(deep.put(&mut in_the_way, Some("u"), "p").is_err());
        assert_eq!(in_the_way, json!({"prod": "text"}));
        let mut kept = json!({"password": "p"});
        assert!(plain.put(&mut kept, None, "").is_err());
        assert_eq!(kept, json!({"password": "p"}));
        let mut shared = json!({"username": "u", "password": "p"});
        assert_eq!(plain.take(&mut shared, false).ok(), Some(false));
        assert_eq!(shared, json!({"username": "u"}));
    }

    #[test]
    fn what_stands_in_a_list_is_not_said_to_be_taken_out() {
        let fields = Fields { username: Some("/a/0/u".to_owned()), password: Some("/a/0/p".to_owned()) };
        let mut object = json!({"a": [{"u": "x", "p": "y"}]});
        assert!(fields.take(&mut object, true).is_err() && fields.take_username(&mut object).is_err());
        assert_eq!(object, json!({"a": [{"u": "x", "p": "y"}]}));
        let mut object = json!({"a": [], "b": 1});
        assert_eq!(fields.take(&mut object, true).ok(), Some(false));
    }

    #[test]
    fn everything_else_stays_as_it_stands() {
        let text = r#"{"z":12345678901234567890123,"username":"u","y":1.10,"b":{"q":1e+5,"p":-0.0},"password":"p","a":[1e-400]}"#;
        let plain = Fields { username: None, password: None };
        let mut object: Value = serde_json::from_str(text).unwrap();
        assert!(plain.put(&mut object, Some("v"), "pw").is_ok());
        let changed = text.replace("\"u\"", "\"v\"").replace("\"p\",\"a\"", "\"pw\",\"a\"");
        assert_eq!(object.to_string(), changed);
        assert_eq!(plain.take(&mut object, true).ok(), Some(false));
        let left = r#"{"z":12345678901234567890123,"y":1.10,"b":{"q":1e+5,"p":-0.0},"a":[1e-400]}"#;
        assert_eq!(object.to_string(), left);
    }
}
