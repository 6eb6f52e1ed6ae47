//! The connection to Vault or OpenBao: where it is, whom it believes, with which token.

mod answer;
mod server;
mod token;

pub use answer::Answer;
pub use server::{Refusal, Server};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use crate::deadline::Limits;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::http::{self, Client, Identity, Proxies, ServerName, Settings, Trust};
use crate::keys::{Keys, Read};
use token::Token;

/// One `[vault.NAME]` table.
pub struct Connection {
    address: Option<String>,
    namespace: Option<String>,
    ca_cert: Option<PathBuf>,
    identity: Option<Identity>,
    tls_server_name: Option<String>,
    allow_http: bool,
    token: Token,
}

impl Connection {
    /// Reads the table and its `auth`.
    ///
    /// # Errors
    /// The first mistake in them.
    pub fn parse(keys: &Keys<'_>, folder: Option<&Path>, home: Option<&Path>) -> Read<Self> {
        let address = keys.string("address")?;
        let namespace = keys.string("namespace")?;
        let ca_cert = keys.path("ca-cert", folder, home)?;
        let certificate = keys.path("client-cert", folder, home)?;
        let key = keys.path("client-key", folder, home)?;
        let tls_server_name = keys.string("tls-server-name")?;
        let allow_http = keys.boolean("allow-http")?.unwrap_or(false);
        let auth = keys.table("auth")?;
        keys.finish()?;
        let token = Token::parse(auth.as_ref(), folder, home)?;
        if let Some(address) = &address {
            address_of(address).map_err(|why| keys.mistake("address", why))?;
        }
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (Some(_), None) => return Err(keys.mistake("client-cert", "needs the key `client-key`")),
            (None, Some(_)) => return Err(keys.mistake("client-key", "needs the key `client-cert`")),
            (None, None) => None,
        };
        Ok(Self { address, namespace, ca_cert, identity, tls_server_name, allow_http, token })
    }

    /// Finds the server and the token; nothing is sent yet.
    ///
    /// # Errors
    /// No address, no token, a CA that cannot be read, or a way in that is refused.
    pub fn open(&self, environment: &Environment, limits: Limits) -> Result<Server, Problem> {
        refuse_skipped_verification(environment)?;
        let base = self.base(environment)?;
        let token = self.token.read(environment)?;
        let namespace =
            self.namespace.clone().or_else(|| read(environment, "NAMESPACE").map(|(_, value)| value));
        let (base, settings) = self.settings(environment, base, limits)?;
        let client = Client::new(settings, base.scheme() == "https")?;
        Ok(Server::new(client, base, namespace, token))
    }

    fn base(&self, environment: &Environment) -> Result<Url, Problem> {
        let (name, text) = match &self.address {
            Some(address) => ("address".to_owned(), address.clone()),
            None => read(environment, "ADDR").ok_or_else(|| {
                Problem::new(Kind::Malformed, "no address").hint(
                    "set address in [vault.default] or the connection's own table, BAO_ADDR or VAULT_ADDR",
                )
            })?,
        };
        let url = address_of(text.trim()).map_err(|why| {
            Problem::new(Kind::Malformed, format!("{name} {why}"))
                .hint(format!("set {name} to something like https://vault.example.com:8200"))
        })?;
        http::judge_scheme(&url, self.allow_http)?;
        Ok(url)
    }

    /// How to reach the server; a name for its certificate takes the host's place in the URL.
    fn settings(
        &self,
        environment: &Environment,
        mut base: Url,
        limits: Limits,
    ) -> Result<(Url, Settings), Problem> {
        let proxies = Arc::new(Proxies::from_environment(environment));
        let mut trust = self.trust(environment);
        trust.identity = self.identity(environment)?;
        let name = self
            .tls_server_name
            .clone()
            .or_else(|| read(environment, "TLS_SERVER_NAME").map(|(_, name)| name));
        let server_name = match name {
            Some(name) if base.scheme() == "https" => {
                if let Some(proxy) = proxies.name_for(&base)? {
                    return Err(Problem::new(
                        Kind::Malformed,
                        format!("tls-server-name does not work through the proxy {proxy}"),
                    )
                    .hint("name the host in NO_PROXY, or use the certificate's name in the address"));
                }
                let host = base.host_str().unwrap_or_default().to_owned();
                let misnamed = || {
                    Problem::new(Kind::Malformed, "tls-server-name is no host name")
                        .hint("set it to a name that stands in the server's certificate")
                };
                base.set_host(Some(&name)).map_err(|_| misnamed())?;
                // An address would be connected to, instead of the one that the connection names.
                if base.domain().is_none() {
                    return Err(misnamed());
                }
                // What stays on this machine needs no proxy, whatever its certificate is called.
                Some(ServerName { name: base.host_str().unwrap_or_default().to_owned(), host })
            }
            _ => None,
        };
        let proxies = if server_name.is_some() { Arc::new(Proxies::default()) } else { proxies };
        Ok((base, Settings { proxies, trust, server_name, limits }))
    }

    fn trust(&self, environment: &Environment) -> Trust {
        let file =
            self.ca_cert.clone().or_else(|| read(environment, "CACERT").map(|(_, path)| PathBuf::from(path)));
        match (file, read(environment, "CAPATH")) {
            (Some(file), _) => Trust::file(file),
            (None, Some((_, folder))) => Trust::folder(PathBuf::from(folder)),
            (None, None) => Trust::system(environment),
        }
    }

    fn identity(&self, environment: &Environment) -> Result<Option<Identity>, Problem> {
        if self.identity.is_some() {
            return Ok(self.identity.clone());
        }
        match (read(environment, "CLIENT_CERT"), read(environment, "CLIENT_KEY")) {
            (Some((_, certificate)), Some((_, key))) => {
                Ok(Some(Identity { certificate: PathBuf::from(certificate), key: PathBuf::from(key) }))
            }
            (None, None) => Ok(None),
            (Some((name, _)), None) | (None, Some((name, _))) => {
                Err(Problem::new(Kind::Malformed, format!("{name} is set without its twin"))
                    .hint("a client certificate needs both VAULT_CLIENT_CERT and VAULT_CLIENT_KEY"))
            }
        }
    }
}

/// The server's address: what would be sent nowhere, or is a secret, has no place in it.
fn address_of(text: &str) -> Result<Url, &'static str> {
    let url = http::server_url(text).ok_or("is no URL such as https://vault.example.com:8200")?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if bare { Ok(url) } else { Err("holds more than scheme, host, port and path") }
}

/// A variable of both clients: `BAO_…` first, as OpenBao's own client reads it, then `VAULT_…`.
fn read(environment: &Environment, suffix: &str) -> Option<(String, String)> {
    [format!("BAO_{suffix}"), format!("VAULT_{suffix}")]
        .into_iter()
        .find_map(|name| environment.get(&name).map(|value| (name, value)))
}

/// Certificates are always verified: who asks for less is told, not silently refused later.
fn refuse_skipped_verification(environment: &Environment) -> Result<(), Problem> {
    // What Go's strconv.ParseBool, and so the servers' own client, takes for false.
    const FALSE: [&str; 6] = ["0", "f", "F", "FALSE", "False", "false"];
    match read(environment, "SKIP_VERIFY") {
        Some((name, value)) if !FALSE.contains(&value.as_str()) => Err(Problem::new(
            Kind::Denied,
            format!("{name} asks for TLS without verification, which would hand the token to anyone"),
        )
        .hint(format!("unset {name} and name the server's CA in VAULT_CACERT or ca-cert"))),
        _ => Ok(()),
    }
}
