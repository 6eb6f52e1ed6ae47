//! HTTP: the one TLS stack, with one policy for proxies, certificates, plain HTTP, redirects and sizes.
//!
//! Vault and the AWS SDK send through the same [`Client`].

mod proxy;
mod sdk;
mod trust;

pub use proxy::{Proxies, Route};
pub(crate) use sdk::Carried;
pub use sdk::SdkClient;
pub use trust::{Identity, Trust};

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use secrecy::zeroize::Zeroizing;
use url::{Host, Url};

use crate::error::{Kind, Problem};

/// The largest answer that is read: a credential is small, and a hostile server's body may have no end.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// Instance and container metadata, at the addresses that the AWS SDK has built in.
const METADATA_HOSTS: [&str; 5] =
    ["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"];

/// A client for the servers of one connection.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    proxies: Arc<Proxies>,
    route: Route,
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
    /// A connection that does not stand by then is given up; what has been sent by then is waited for.
    pub connect_by: Instant,
    /// Learns which way each request takes.
    pub route: Route,
}

/// A certificate's name and the host behind it.
#[derive(Clone)]
pub struct ServerName {
    /// What the certificate says, and so the URL's host.
    pub name: String,
    /// Where to connect to.
    pub host: String,
}

/// What a server answered.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: http::HeaderMap,
    /// The body, at most 1 MiB, wiped when it goes.
    pub body: Zeroizing<Vec<u8>>,
}

impl Client {
    /// Builds a client; root certificates are read only where TLS needs them (`secure`).
    ///
    /// # Errors
    /// A CA or client certificate that cannot be read.
    pub fn new(settings: &Settings, secure: bool) -> Result<Self, Problem> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // Somebody else's installation would be ring too: it is the only one compiled in.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let proxies = Arc::clone(&settings.proxies);
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(settings.trust.client_config(secure)?)
            .user_agent(concat!("docker-credential-lease/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(
                settings.connect_by.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)),
            )
            .dns_resolver(Arc::new(Resolver { server_name: settings.server_name.clone() }));
        if !proxies.is_empty() {
            let proxies = Arc::clone(&proxies);
            builder = builder.proxy(reqwest::Proxy::custom(move |url| proxies.url_for(url)));
        }
        let inner = builder.build().map_err(|error| describe(&error))?;
        Ok(Self { inner, proxies, route: settings.route.clone() })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Everything that is no answer: not reached, TLS, a redirect, a body without end. The proxy is named in it.
    pub async fn send(&self, request: http::Request<Vec<u8>>) -> Result<Answer, Problem> {
        let request = reqwest::Request::try_from(request).map_err(|error| describe(&error))?;
        let url = request.url().clone();
        let proxy = self.proxies.name_for(&url);
        self.route.took(proxy.clone());
        let sent = async {
            let response = self.inner.execute(request).await.map_err(|error| describe(&error))?;
            read(response, &url).await
        };
        sent.await.map_err(|problem| advise(Problem { proxy, ..problem }, &url))
    }
}

/// What to look at, where the problem has no remedy of its own.
fn advise(problem: Problem, url: &Url) -> Problem {
    let hint = match &problem.proxy {
        _ if !problem.hint.is_empty() => return problem,
        Some(_) => "check the proxy's address, user and password, or name the host in NO_PROXY".to_owned(),
        None => format!("check that {} is right, up and reachable from here", origin(url)),
    };
    problem.hint(hint)
}

async fn read(mut response: reqwest::Response, url: &Url) -> Result<Answer, Problem> {
    let status = response.status();
    if status == http::StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(Problem::new(Kind::Denied, "HTTP 407: the proxy wants a login"));
    }
    if status.is_redirection()
        && let Some(target) = response.headers().get(http::header::LOCATION)
    {
        let target = target.to_str().ok().and_then(|target| url.join(target).ok());
        let target = target.map_or_else(|| "another place".to_owned(), |target| origin(&target));
        return Err(Problem::new(
            Kind::Unavailable,
            format!("redirected ({}) to {target}, which is not followed", status.as_u16()),
        )
        .hint("set the address to the server that answers itself"));
    }
    let headers = std::mem::take(response.headers_mut());
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(Problem::new(Kind::Malformed, "the answer is larger than 1 MiB"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: status.as_u16(), headers, body })
}

/// `scheme://host:port` and nothing that could hold a secret.
pub fn origin(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
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
            .hint("use https, or set allow-http = true in the connection's table")),
        other => {
            Err(Problem::new(Kind::Malformed, format!("an address begins with https://, not {other}://")))
        }
    }
}

/// Whether the URL stays on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
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

/// Looks names up, so that a name without an address can be told from a server that does not answer.
struct Resolver {
    server_name: Option<ServerName>,
}

#[derive(Debug)]
struct NoAddress(String);

impl std::fmt::Display for NoAddress {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "no address for the host {}", self.0)
    }
}

impl StdError for NoAddress {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let mut host = name.as_str().to_owned();
        if let Some(server) = &self.server_name
            && server.name == host
        {
            host.clone_from(&server.host);
        }
        Box::pin(async move {
            // The port is the URL's: reqwest fills it in.
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let found: io::Result<Vec<SocketAddr>> =
                tokio::net::lookup_host((bare, 0)).await.map(Iterator::collect);
            match found {
                Ok(addresses) if !addresses.is_empty() => Ok(Box::new(addresses.into_iter()) as Addrs),
                _ => Err(Box::new(NoAddress(host)) as Box<dyn StdError + Send + Sync>),
            }
        })
    }
}

/// Says what went wrong from the types in the error's chain; the URL is never in it.
fn describe(error: &reqwest::Error) -> Problem {
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    let mut deepest = None;
    while let Some(cause) = next {
        if let Some(problem) = known(cause) {
            return problem;
        }
        deepest = Some(cause);
        next = cause.source();
    }
    if error.is_timeout() {
        return late();
    }
    let cause = deepest.map_or_else(|| "the request failed".to_owned(), ToString::to_string);
    Problem::new(Kind::Unavailable, cause)
}

fn late() -> Problem {
    Problem::new(Kind::Late, "timed out while connecting")
}

fn known(cause: &(dyn StdError + 'static)) -> Option<Problem> {
    if let Some(lookup) = cause.downcast_ref::<NoAddress>() {
        return Some(
            Problem::new(Kind::Unavailable, lookup.to_string())
                .hint("check the address's spelling and the DNS"),
        );
    }
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some(trust::describe(tls));
    }
    let mut io = cause.downcast_ref::<io::Error>()?;
    // What an io::Error wraps is no source of it, and connectors wrap it twice.
    while let Some(inner) = io.get_ref() {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Some(trust::describe(tls));
        }
        let Some(inner) = inner.downcast_ref::<io::Error>() else { break };
        io = inner;
    }
    let cause = match io.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "the network does not reach it",
        io::ErrorKind::TimedOut => return Some(late()),
        io::ErrorKind::UnexpectedEof => "the connection ended too early",
        _ => return None,
    };
    Some(Problem::new(Kind::Unavailable, cause))
}
