//! Given: a value that stands in a variable or a file, or in the config where it is no secret.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::file;
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};

/// Where a value stands.
pub(super) enum Given {
    File(PathBuf),
    Literal(String),
    Variable(String),
}

impl Given {
    /// Reads the keys that name a variable or a file; at most one of the two.
    pub(super) fn parse(
        keys: &Keys<'_>,
        variable: &'static str,
        file: &'static str,
        folder: Option<&Path>,
        home: Option<&Path>,
    ) -> Read<Option<Self>> {
        let found = keys.string(variable)?.map(Self::Variable);
        let path = keys.path(file, folder, home)?.map(Self::File);
        keys.exclusive(&[variable, file])?;
        Ok(found.or(path))
    }

    /// Adds what the value depends on.
    pub(super) fn depends_on(&self, environment: &Environment, inputs: &mut Inputs) {
        match self {
            Self::File(path) => inputs.file(path),
            Self::Literal(text) => inputs.text(text),
            Self::Variable(name) => inputs.variables(environment, [name.as_str()]),
        }
    }

    /// The value; `what` it is stands in the sentence where there is none.
    pub(super) fn read(&self, environment: &Environment, what: &str) -> Result<SecretString, Problem> {
        let (value, place) = match self {
            Self::Literal(text) => (Some(text.clone()), String::new()),
            Self::Variable(name) => (environment.get(name), name.clone()),
            Self::File(path) => {
                let text = file::read_secret(path).map_err(|(cause, mend)| {
                    let hint = if mend.is_empty() { format!("have the {what} written there") } else { mend };
                    missing(cause).hint(hint)
                })?;
                (Some(text), path.display().to_string())
            }
        };
        let value = value.map(|text| SecretString::from(text.trim_end_matches(['\r', '\n'])));
        match value {
            Some(value) if !value.expose_secret().is_empty() => Ok(value),
            Some(_) => {
                Err(missing(format!("no {what}: {place} is empty")).hint(format!("write it to {place}")))
            }
            None => Err(missing(format!("no {what}: {place} is not set")).hint(format!("set {place}"))),
        }
    }
}

fn missing(cause: String) -> Problem {
    Problem::new(Kind::Unauthenticated, cause)
}
