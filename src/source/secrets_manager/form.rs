//! Form: how a user name and a password stand in a secret's text.

use secrecy::ExposeSecret;
use serde_json::Value;

use super::super::shape::{Fields, plain};
use crate::credential::Credential;
use crate::error::{Kind, Problem};

/// The most that a secret holds, in bytes
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html>).
const LIMIT: usize = 65_536;

/// What of a credential stands in a secret, and under which keys.
pub(super) struct Form<'f> {
    pub(super) fields: &'f Fields,
    pub(super) part: Part,
}

/// What of a credential stands in a secret.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Part {
    /// One JSON object holds both.
    Both,
    Password,
    Username,
}

/// What is left of a text.
pub(super) enum Rest {
    /// Nothing but what was taken out was in it.
    Nothing,
    /// It has never been in it.
    Same,
    Text(String),
}

impl Form<'_> {
    /// The text with the credential in it, beside what is in it already; `None` where that is the same.
    pub(super) fn put(&self, text: &str, given: &Credential) -> Result<Option<String>, Problem> {
        let text = match object(text) {
            Ok(there) => {
                let mut object = there.clone();
                self.fill(&mut object, given)?;
                (object != there).then(|| object.to_string())
            }
            Err(_) if text.is_empty() => Some(self.text(given)?),
            Err(problem) if self.is_object() => {
                let cause = format!("{}, so nothing is written into it", problem.cause);
                return Err(Problem { cause, ..problem });
            }
            Err(_) if plain(text).is_ok_and(|there| there == self.value(given)) => None,
            Err(_) => Some(self.text(given)?),
        };
        match text {
            Some(text) if text.len() > LIMIT => Err(too_long()),
            text => Ok(text),
        }
    }

    /// The text of a new secret with the credential in it.
    pub(super) fn text(&self, given: &Credential) -> Result<String, Problem> {
        let value = self.value(given);
        // A token that looks like an object would be read as one, and one that ends in a line end without it.
        let stays = object(value).is_err() && plain(value).is_ok_and(|read| read == value);
        let text = if self.is_object() || !stays {
            let mut object = Value::Null;
            self.fill(&mut object, given)?;
            object.to_string()
        } else {
            value.to_owned()
        };
        if text.len() > LIMIT { Err(too_long()) } else { Ok(text) }
    }

    /// What is left of the text without the credential.
    pub(super) fn take(&self, text: &str) -> Result<Rest, Problem> {
        let there = match object(text) {
            Ok(there) => there,
            Err(_) if text.is_empty() || !self.is_object() => return Ok(Rest::Nothing),
            Err(problem) => return Err(problem),
        };
        let mut object = there.clone();
        let is_empty = match self.part {
            Part::Both => self.fields.take(&mut object, true)?,
            Part::Password => self.fields.take(&mut object, false)?,
            Part::Username => self.fields.take_username(&mut object)?,
        };
        Ok(match object == there {
            true => Rest::Same,
            false if is_empty => Rest::Nothing,
            false => Rest::Text(object.to_string()),
        })
    }

    fn fill(&self, object: &mut Value, given: &Credential) -> Result<(), Problem> {
        let (username, secret) = (given.username.as_str(), given.secret.expose_secret());
        match self.part {
            Part::Both => self.fields.put(object, Some(username), secret),
            Part::Password => self.fields.put(object, None, secret),
            Part::Username => self.fields.put_username(object, username),
        }
    }

    /// What a plain secret holds.
    fn value<'g>(&self, given: &'g Credential) -> &'g str {
        match self.part {
            Part::Both | Part::Password => given.secret.expose_secret(),
            Part::Username => &given.username,
        }
    }

    /// Whether plain text will not do.
    fn is_object(&self) -> bool {
        match self.part {
            Part::Both => true,
            Part::Password => self.fields.names_password(),
            Part::Username => self.fields.names_username(),
        }
    }
}

fn too_long() -> Problem {
    Problem::new(Kind::Malformed, "with it the secret would be longer than 64 KiB, the most that one holds")
        .hint("keep it in a secret of its own")
}

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

/// Both in one JSON object.
pub(super) fn both(fields: &Fields, text: &str) -> Result<(String, String), Problem> {
    let object = object(text)?;
    Ok((fields.username(&object)?, fields.password(&object)?))
}

/// The JSON object that the text is; its parser's own words may quote the secret and are not repeated.
fn object(text: &str) -> Result<Value, Problem> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ if text.is_empty() => Err(Problem::new(Kind::Malformed, "it is empty")),
        _ => Err(Problem::new(Kind::Malformed, "it is no JSON object")
            .hint("for a plain token add username or username-secret to the rule")),
    }
}
