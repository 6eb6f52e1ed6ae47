//! HTTP: the one TLS stack, with one policy for proxies, certificates, plain HTTP, redirects and sizes.
//!
//! Vault and the AWS SDK send through the same [`Client`].

mod cause;
mod dns;
mod proxy;
mod repeat;
mod sdk;
mod secrets;
mod trust;

pub use dns::ServerName;
pub use proxy::{PROXY_VARIABLES, Proxies};
pub use repeat::Repeat;
pub(crate) use sdk::{Carried, Through};
pub use sdk::{SdkClient, SwitchedOff};
pub use trust::{Identity, Trust};

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Duration;

use http::HeaderValue;
use http::header::{HOST, LOCATION};
use secrecy::zeroize::Zeroizing;
use url::{Host, Url};

use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use cause::describe;
use dns::Resolver;
use secrets::Secrets;

/// The largest answer that is read: a credential is small, and a hostile server's body may have no end.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// Instance and container metadata, at the addresses that the AWS SDK has built in.
const METADATA_HOSTS: [&str; 5] =
    ["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"];

/// The variables that decide how any server is reached, and whom its certificate must come from.
pub fn reach_variables() -> impl Iterator<Item = &'static str> {
    PROXY_VARIABLES.into_iter().chain(["SSL_CERT_FILE", "SSL_CERT_DIR"])
}

/// A client for the servers of one connection.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    settings: Settings,
}

/// How to reach the servers of one connection.
#[derive(Clone)]
pub struct Settings {
    /// Which proxy a request takes.
    pub proxies: Arc<Proxies>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The name that the server's certificate must have, where it is not the address's host.
    pub server_name: Option<ServerName>,
    /// The Unix socket that every connection goes to, whatever the URL says.
    pub socket: Option<PathBuf>,
    /// A connection that does not stand by then is given up.
    pub connect: Deadline,
}

/// What a server answered.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: http::HeaderMap,
    /// The body, at most 1 MiB, wiped when it goes.
    pub body: Zeroizing<Vec<u8>>,
    /// The proxy that it came through, and that may have answered itself.
    pub proxy: Option<String>,
}

impl Settings {
    /// As the environment has it, for a server that no connection's table is about.
    pub fn from_environment(environment: &Environment, connect: Deadline) -> Self {
        let proxies = Arc::new(Proxies::from_environment(environment));
        Self { proxies, trust: Trust::system(environment), server_name: None, socket: None, connect }
    }
}

impl Client {
    /// Builds a client; root certificates are read only where TLS needs them (`secure`).
    ///
    /// # Errors
    /// A CA or client certificate that cannot be read.
    pub fn new(settings: Settings, secure: bool) -> Result<Self, Problem> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // Somebody else's installation would be ring too: it is the only one compiled in.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(settings.trust.client_config(secure)?)
            .user_agent(concat!("docker-credential-lease/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            // Nothing left is still an error of the connection, not a panic of the clock.
            .connect_timeout(settings.connect.left().max(Duration::from_millis(1)))
            .dns_resolver(Arc::new(Resolver::new(settings.server_name.clone())));
        if let Some(socket) = &settings.socket {
            builder = builder.unix_socket(socket.as_path());
        } else if !settings.proxies.is_empty() {
            let proxies = Arc::clone(&settings.proxies);
            // A variable that is no address was refused before this is asked.
            builder = builder.proxy(reqwest::Proxy::custom(move |url| proxies.url_for(url).ok().flatten()));
        }
        let inner = builder.build().map_err(|error| describe(&error))?;
        Ok(Self { inner, settings })
    }

    /// Sends a request once and reads the whole answer, which must be there at `until`.
    ///
    /// # Errors
    /// Everything that is no answer: not reached, not in time, TLS, a redirect, a body without end. The proxy is named
    /// in it.
    pub async fn send(&self, request: http::Request<Vec<u8>>, until: Deadline) -> Result<Answer, Problem> {
        self.attempt(request, until).await.map_err(|failed| failed.problem)
    }

    async fn attempt(&self, request: http::Request<Vec<u8>>, until: Deadline) -> Result<Answer, Failed> {
        let mut request =
            reqwest::Request::try_from(request).map_err(|error| Failed::before_sending(describe(&error)))?;
        let url = request.url().clone();
        let proxy = match &self.settings.socket {
            Some(_) => None,
            None => self.settings.proxies.name_for(&url).map_err(Failed::before_sending)?,
        };
        if let Some(own) = self.settings.server_name.as_ref().map(|name| name.own_host(&url)) {
            // The certificate's name is for TLS alone: servers that share a port are told apart by their own host.
            let own = HeaderValue::from_str(&own).map_err(|_| {
                Failed::before_sending(Problem::new(Kind::Malformed, "the host cannot be sent"))
            })?;
            request.headers_mut().insert(HOST, own);
        }
        let secrets = Secrets::of(&request);
        let connect = self.settings.connect;
        let sent = async {
            let response = self.inner.execute(request).await.map_err(|error| Failed {
                problem: match error.is_timeout() {
                    true if connect.is_over() => connect.problem(),
                    _ => describe(&error),
                },
                unsent: error.is_connect(),
            })?;
            read(response, &url, &secrets).await.map_err(Failed::after_sending)
        };
        let sent = tokio::time::timeout_at(until.at().into(), sent).await;
        match sent.unwrap_or_else(|_| Err(Failed::after_sending(until.problem()))) {
            Ok(answer) => Ok(Answer { proxy, ..answer }),
            Err(Failed { problem, unsent }) => {
                Err(Failed { problem: self.advise(Problem { proxy, ..problem }, &url), unsent })
            }
        }
    }

    /// What to look at, where the problem has no remedy of its own.
    fn advise(&self, problem: Problem, url: &Url) -> Problem {
        let hint = match (&problem.proxy, &self.settings.socket) {
            _ if !problem.hint.is_empty() => return problem,
            (Some(_), _) => {
                "check the proxy's address, user and password, or name the host in NO_PROXY".to_owned()
            }
            (None, Some(socket)) => {
                format!(
                    "check that what listens at {} runs, and that you may connect to it",
                    socket.display()
                )
            }
            (None, None) => format!("check that {} is right, up and reachable from here", origin(url)),
        };
        problem.hint(hint)
    }
}

/// Why there is no answer, and whether the server can have seen anything of the request.
struct Failed {
    problem: Problem,
    unsent: bool,
}

impl Failed {
    fn before_sending(problem: Problem) -> Self {
        Self { problem, unsent: true }
    }

    fn after_sending(problem: Problem) -> Self {
        Self { problem, unsent: false }
    }
}

async fn read(mut response: reqwest::Response, url: &Url, secrets: &Secrets) -> Result<Answer, Problem> {
    let status = response.status();
    if status == http::StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(Problem::new(Kind::Denied, "HTTP 407: the proxy wants a login"));
    }
    if status.is_redirection()
        && let Some(target) = response.headers().get(LOCATION)
    {
        let target = target.to_str().ok().and_then(|target| url.join(target).ok());
        let target = target.filter(|target| secrets.spare(target));
        let target = target.map_or_else(|| "another place".to_owned(), |target| origin(&target));
        let cause = format!("redirected ({}) to {target}, which is not followed", status.as_u16());
        return Err(
            Problem::new(Kind::Untrusted, cause).hint("set the address to the server that answers itself")
        );
    }
    let headers = std::mem::take(response.headers_mut());
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(Problem::new(Kind::Malformed, "the answer is larger than 1 MiB"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: status.as_u16(), headers, body, proxy: None })
}

/// `scheme://host:port` and nothing that could hold a secret.
pub fn origin(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// Reads a server's address: `http://` or `https://` with a host; `None` for anything else.
pub fn server_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
}

/// Refuses plain HTTP to anywhere but loopback and the SDK's own metadata addresses.
///
/// # Errors
/// The sentence that names the way out.
pub fn judge_scheme(url: &Url, allow_http: bool) -> Result<(), Problem> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if allow_http || is_loopback(url) || is_metadata(url) => Ok(()),
        "http" => Err(Problem::new(Kind::Denied, format!("plain http to {} is refused", origin(url)))
            .hint("use https, or set allow-http = true in the connection's own table")),
        other => {
            Err(Problem::new(Kind::Malformed, format!("an address begins with https://, not {other}://")))
        }
    }
}

/// Whether the URL stays on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        // The look-up of these names is held to it: see `dns`.
        Some(Host::Domain(name)) => is_local_name(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// Whether the URL is one of the metadata addresses that the AWS SDK has built in.
pub fn is_metadata(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::from(address),
        Some(Host::Ipv6(address)) => IpAddr::from(address),
        _ => return false,
    };
    METADATA_HOSTS.contains(&address.to_string().as_str())
}

/// Whether the name is one that RFC 6761 keeps for this machine.
fn is_local_name(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}
