//! Credential: what a source gives for a registry.

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
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// The source's own name for it.
    pub id: String,
}

impl Credential {
    /// Whether it is this user name with this secret.
    pub fn is(&self, username: &str, secret: &SecretString) -> bool {
        self.username == username && self.secret.expose_secret() == secret.expose_secret()
    }
}
