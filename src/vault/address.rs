//! Address: where a Vault is, over TCP or on a Unix socket.

use std::path::PathBuf;

use url::Url;

use crate::http;

/// Where a server listens.
pub(super) enum Address {
    /// `https://` or `http://`, with a path prefix where it is behind one.
    Url(Url),
    /// `unix:///path`: a Vault Agent or Proxy, or a server's own socket.
    Socket(PathBuf),
}

impl Address {
    /// Reads one; what would be sent nowhere, or is a secret, has no place in it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            return match path.is_absolute() && path.file_name().is_some() {
                true => Ok(Self::Socket(path)),
                false => Err("is no socket such as unix:///run/vault/agent.sock"),
            };
        }
        let url = http::server_url(text).ok_or("is no URL such as https://vault.example.com:8200")?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if bare { Ok(Self::Url(url)) } else { Err("holds more than scheme, host, port and path") }
    }
}
