//! Credential: what a source gives for a registry.

use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};

/// A user name and its secret, with the lease behind it.
pub struct Credential {
    /// The user name, as the registry wants it.
    pub username: String,
    /// The password or token; it cannot be printed and is wiped when it goes.
    pub secret: SecretString,
    /// When it ends, where its source says so.
    pub expires: Option<SystemTime>,
    /// Whether another path of the same registry may have another one.
    pub is_by_path: bool,
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
    /// What it takes to renew it and to give it back, in words that only its connection understands; a token is among
    /// them. `None` where it is not ours to give back.
    pub holder: Option<SecretString>,
}

impl Credential {
    /// One of which nobody says when it ends, and that nobody takes back.
    pub fn new(username: impl Into<String>, secret: SecretString) -> Self {
        Self { username: username.into(), secret, expires: None, is_by_path: false, lease: None }
    }

    /// Whether it is this user name with this secret.
    pub fn is(&self, username: &str, secret: &SecretString) -> bool {
        self.username == username && self.secret.expose_secret() == secret.expose_secret()
    }
}
