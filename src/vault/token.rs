//! The token that a connection comes with.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::file;
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};

/// The variables of both clients, OpenBao's first, as its own client reads them.
const VARIABLES: [&str; 2] = ["BAO_TOKEN", "VAULT_TOKEN"];
/// Where `vault login` and `bao login` put it, below the home folder.
const FILE: &str = ".vault-token";

/// What helps against every missing token.
const LOG_IN: &str =
    "log in with `vault login` or `bao login`, or name another token in the connection's auth table";

/// Where the token comes from.
pub(super) enum Token {
    /// The usual variables, else the file that a login leaves; none where a Vault Agent or Proxy is asked.
    Default,
    /// The file that the config names.
    File(PathBuf),
    /// The variable that the config names.
    Variable(String),
}

impl Token {
    /// Reads `token-env` and `token-file`.
    pub(super) fn parse(keys: &Keys<'_>, folder: Option<&Path>, home: Option<&Path>) -> Read<Self> {
        let variable = keys.string("token-env")?;
        let file = keys.path("token-file", folder, home)?;
        keys.finish()?;
        keys.exclusive(&["token-env", "token-file"])?;
        Ok(match (variable, file) {
            (Some(variable), _) => Self::Variable(variable),
            (None, Some(file)) => Self::File(file),
            (None, None) => Self::Default,
        })
    }

    /// Adds what the token depends on.
    pub(super) fn depends_on(&self, environment: &Environment, inputs: &mut Inputs) {
        match self {
            Self::Default => {
                inputs.variables(environment, VARIABLES);
                environment.home().iter().for_each(|home| inputs.file(&home.join(FILE)));
            }
            Self::File(path) => inputs.file(path),
            Self::Variable(name) => inputs.variables(environment, [name.as_str()]),
        }
    }

    /// The token.
    pub(super) fn read(&self, environment: &Environment) -> Result<SecretString, Problem> {
        match self {
            Self::Variable(name) => match environment.get(name) {
                Some(token) => checked(token, name),
                None => Err(missing(format!("no token: {name} is not set")).hint(format!("set {name}"))),
            },
            Self::File(path) => from_file(path),
            Self::Default => {
                if let Some((name, token)) = environment.first(&VARIABLES) {
                    return checked(token, name);
                }
                match environment.home().map(|home| home.join(FILE)).filter(|path| !is_missing(path)) {
                    Some(path) => from_file(&path),
                    None => Err(missing(
                        "no token: VAULT_TOKEN is not set and there is no ~/.vault-token".to_owned(),
                    )
                    .hint("log in with `vault login` or `bao login`, or set VAULT_TOKEN")),
                }
            }
        }
    }
}

/// Whether there is no such file; one that cannot be looked at is one that fails.
fn is_missing(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}

fn from_file(path: &Path) -> Result<SecretString, Problem> {
    let token = file::read_secret(path).map_err(|(cause, mend)| {
        let hint = if mend.is_empty() { LOG_IN.to_owned() } else { mend };
        missing(cause).hint(hint)
    })?;
    checked(token, &path.display().to_string())
}

/// The server trims spaces; a line break could not even be sent.
fn checked(token: String, origin: &str) -> Result<SecretString, Problem> {
    let token = SecretString::from(token.trim());
    let text = token.expose_secret();
    if text.is_empty() || !text.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(missing(format!("what {origin} holds is no token")).hint(LOG_IN));
    }
    Ok(token)
}

fn missing(cause: String) -> Problem {
    Problem::new(Kind::Unauthenticated, cause)
}
