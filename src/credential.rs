//! Credential: what a source gives for a registry.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

/// A user name and its secret, with the lease behind it.
pub struct Credential {
    /// The user name, as the registry wants it.
    pub username: String,
    /// The password or token; it cannot be printed and is wiped when it goes.
    pub secret: SecretString,
    /// The lease, where the source can take the credential back.
    pub lease: Option<Lease>,
}

/// A credential that the source can take back.
#[derive(Clone)]
pub struct Lease {
    /// The source's own name for it.
    pub id: String,
    /// How long it lives: its own time, or that of the login that made it, whichever is sooner.
    pub duration: Duration,
    /// Whether the source lets it be renewed.
    pub is_renewable: bool,
    /// The login that it hangs on, where it was made with one; it ends with it.
    pub login: Option<Login>,
}

/// A token that a login gave.
#[derive(Clone)]
pub struct Login {
    /// The token.
    pub token: SecretString,
    /// How long it lives; `None` for ever.
    pub lifetime: Option<Duration>,
    /// Whether it is one that the server keeps no record of, and so cannot take back.
    pub is_batch: bool,
}

impl Credential {
    /// Whether it is this user name with this secret.
    pub fn is(&self, username: &str, secret: &SecretString) -> bool {
        self.username == username && self.secret.expose_secret() == secret.expose_secret()
    }
}
