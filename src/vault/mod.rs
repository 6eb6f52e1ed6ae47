//! The connection to Vault or OpenBao: where it is, whom it believes, and how it comes to its token.

mod address;
mod answer;
mod auth;
mod given;
mod lease;
mod login;
mod mount;
mod reach;
mod refusal;
mod server;
mod session;
mod signed;
mod token;
mod wrapping;

pub use answer::Answer;
pub use lease::{give_back, lifetime, renew};
pub use mount::{Engine, Mount};
pub use refusal::Refusal;
pub use session::Session;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::ask::Ask;
use crate::aws;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::file;
use crate::http::{self, Identity, Proxies, ServerName, Trust};
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use address::Address;
use auth::Auth;
use reach::Reach;
use session::{LoggedIn, Standing};
use token::Token;

/// What its variables are called after `BAO_` and `VAULT_`, but for the token's.
const VARIABLES: [&str; 8] =
    ["ADDR", "NAMESPACE", "CACERT", "CAPATH", "CLIENT_CERT", "CLIENT_KEY", "TLS_SERVER_NAME", "SKIP_VERIFY"];

/// What the rest of the config tells a connection.
pub struct Setup<'c> {
    /// The folder for relative files; `None` where there is none.
    pub folder: Option<&'c Path>,
    /// The home folder.
    pub home: Option<&'c Path>,
    /// The `[aws.NAME]` tables.
    pub aws: &'c BTreeMap<String, Rc<aws::Connection>>,
}

/// One `[vault.NAME]` table.
pub struct Connection {
    /// The table itself.
    stated: String,
    address: Option<String>,
    namespace: Option<String>,
    ca_cert: Option<PathBuf>,
    identity: Option<Identity>,
    tls_server_name: Option<String>,
    allow_http: bool,
    auth: Auth,
}

impl Connection {
    /// Reads the table and its `auth`.
    ///
    /// # Errors
    /// The first mistake in them.
    pub fn parse(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Self> {
        let (folder, home) = (setup.folder, setup.home);
        let address = keys.string("address")?;
        let namespace = keys.string("namespace")?;
        let ca_cert = keys.path("ca-cert", folder, home)?;
        let certificate = keys.path("client-cert", folder, home)?;
        let key = keys.path("client-key", folder, home)?;
        let tls_server_name = keys.string("tls-server-name")?;
        let allow_http = keys.boolean("allow-http")?.unwrap_or(false);
        let auth = keys.table("auth")?;
        keys.finish()?;
        let auth = Auth::parse(auth.as_ref(), setup)?;
        if let Some(address) = &address {
            Address::parse(address).map_err(|why| keys.mistake("address", why))?;
        }
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (Some(_), None) => return Err(keys.mistake("client-cert", "needs the key `client-key`")),
            (None, Some(_)) => return Err(keys.mistake("client-key", "needs the key `client-cert`")),
            (None, None) => None,
        };
        Ok(Self {
            stated: keys.whole(),
            address,
            namespace,
            ca_cert,
            identity,
            tls_server_name,
            allow_http,
            auth,
        })
    }

    /// Finds the server and comes to the token; a login is given back when the look-up has ended, unless it is kept.
    ///
    /// # Errors
    /// No address, no token, a refused login, a CA that cannot be read, or a way in that is refused.
    pub async fn open(&self, ask: &Ask<'_>) -> Result<Rc<Session>, Problem> {
        let address = self.address(ask.environment)?;
        let by_socket = matches!(address, Address::Socket(_));
        // What is missing here is told before anything is sent.
        let given = match &self.auth {
            Auth::None => Some(Standing::Nobody),
            Auth::Token(Token::Default) if by_socket => Some(Standing::Nobody),
            Auth::Token(token) => Some(Standing::Given(token.read(ask.environment)?)),
            Auth::Login(_) => None,
        };
        let reach = self.reach(ask.environment, address)?;
        let server = reach.server(ask.limits.connect)?;
        let standing = match (given, &self.auth) {
            (None, Auth::Login(login)) => {
                let namespace = login.namespace.clone().or_else(|| reach.namespace.clone());
                let grant = login.log_in(&server, ask, namespace.as_deref()).await?;
                login.tell(&grant);
                Standing::LoggedIn(LoggedIn::new(grant, namespace))
            }
            (given, _) => given.unwrap_or(Standing::Nobody),
        };
        let session = Rc::new(Session { server, reach, standing, limits: ask.limits });
        let at_the_end = Rc::clone(&session);
        ask.afterwards(async move { at_the_end.log_out().await });
        Ok(session)
    }

    /// Adds everything that its answers depend on.
    pub fn depends_on(&self, environment: &Environment, inputs: &mut Inputs) {
        inputs.text(&self.stated);
        for suffix in VARIABLES {
            inputs.variables(
                environment,
                [format!("BAO_{suffix}").as_str(), format!("VAULT_{suffix}").as_str()],
            );
        }
        inputs.variables(environment, http::reach_variables());
        let files = ["CACERT", "CLIENT_CERT", "CLIENT_KEY"]
            .into_iter()
            .filter_map(|suffix| read(environment, suffix));
        let own =
            self.identity.iter().flat_map(|identity| [identity.certificate.clone(), identity.key.clone()]);
        for file in files.map(|(_, path)| PathBuf::from(path)).chain(own).chain(self.ca_cert.clone()) {
            inputs.file(&file);
        }
        match &self.auth {
            Auth::Login(login) => login.depends_on(environment, inputs),
            Auth::None => {}
            Auth::Token(token) => token.depends_on(environment, inputs),
        }
    }

    /// Whether it comes to its token by a login.
    pub fn logs_in(&self) -> bool {
        matches!(self.auth, Auth::Login(_))
    }

    fn namespace(&self, environment: &Environment) -> Option<String> {
        self.namespace.clone().or_else(|| read(environment, "NAMESPACE").map(|(_, value)| value))
    }

    fn address(&self, environment: &Environment) -> Result<Address, Problem> {
        refuse_skipped_verification(environment)?;
        let (name, text) = match &self.address {
            Some(address) => ("address".to_owned(), address.clone()),
            None => read(environment, "ADDR").ok_or_else(|| {
                Problem::new(Kind::Malformed, "no address").hint(
                    "set address in [vault.default] or the connection's own table, BAO_ADDR or VAULT_ADDR",
                )
            })?,
        };
        let address = Address::parse(text.trim()).map_err(|why| {
            Problem::new(Kind::Malformed, format!("{name} {why}"))
                .hint(format!("set {name} to something like https://vault.example.com:8200"))
        })?;
        if let Address::Url(url) = &address {
            http::judge_scheme(url, self.allow_http)?;
        }
        Ok(address)
    }

    /// How to reach the server; a name for its certificate takes the host's place in the URL.
    fn reach(&self, environment: &Environment, address: Address) -> Result<Reach, Problem> {
        let namespace = self.namespace(environment);
        let mut url = match address {
            Address::Url(url) => url,
            Address::Socket(path) => return Reach::socket(path, namespace),
        };
        let proxies = Proxies::from_environment(environment);
        let mut trust = self.trust(environment);
        trust.identity = self.identity(environment)?;
        let name = self
            .tls_server_name
            .clone()
            .or_else(|| read(environment, "TLS_SERVER_NAME").map(|(_, name)| name));
        let server_name = match name {
            Some(name) if url.scheme() == "https" => {
                if let Some(proxy) = proxies.name_for(&url)? {
                    return Err(Problem::new(
                        Kind::Malformed,
                        format!("tls-server-name does not work through the proxy {proxy}"),
                    )
                    .hint("name the host in NO_PROXY, or use the certificate's name in the address"));
                }
                let host = url.host_str().unwrap_or_default().to_owned();
                let misnamed = || {
                    Problem::new(Kind::Malformed, "tls-server-name is no host name")
                        .hint("set it to a name that stands in the server's certificate")
                };
                url.set_host(Some(&name)).map_err(|_| misnamed())?;
                // An address would be connected to, instead of the one that the connection names.
                if url.domain().is_none() {
                    return Err(misnamed());
                }
                // What stays on this machine needs no proxy, whatever its certificate is called.
                Some(ServerName { name: url.host_str().unwrap_or_default().to_owned(), host })
            }
            _ => None,
        };
        let proxies = if server_name.is_some() { BTreeMap::new() } else { Reach::proxies(environment) };
        Ok(Reach { url, socket: None, trust, server_name, proxies, namespace })
    }

    fn trust(&self, environment: &Environment) -> Trust {
        let file =
            self.ca_cert.clone().or_else(|| read(environment, "CACERT").map(|(_, path)| PathBuf::from(path)));
        match (file, read(environment, "CAPATH")) {
            (Some(file), _) => Trust::file(file::absolute(file)),
            (None, Some((_, folder))) => Trust::folder(file::absolute(PathBuf::from(folder))),
            (None, None) => Trust::system(environment),
        }
    }

    fn identity(&self, environment: &Environment) -> Result<Option<Identity>, Problem> {
        if self.identity.is_some() {
            return Ok(self.identity.clone());
        }
        match (read(environment, "CLIENT_CERT"), read(environment, "CLIENT_KEY")) {
            (Some((_, certificate)), Some((_, key))) => {
                let [certificate, key] = [certificate, key].map(|path| file::absolute(PathBuf::from(path)));
                Ok(Some(Identity { certificate, key }))
            }
            (None, None) => Ok(None),
            (Some((name, _)), None) | (None, Some((name, _))) => {
                Err(Problem::new(Kind::Malformed, format!("{name} is set without its twin"))
                    .hint("a client certificate needs both VAULT_CLIENT_CERT and VAULT_CLIENT_KEY"))
            }
        }
    }
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
