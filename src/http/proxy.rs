//! Which proxy a request takes, from the usual variables.

use std::sync::{Arc, Mutex};

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::{is_loopback, is_metadata};
use crate::environment::Environment;
use crate::error::{Kind, Problem};

/// What a proxy's address may begin with.
const SCHEMES: [&str; 5] = ["http", "https", "socks4", "socks5", "socks5h"];

/// The proxies of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in both cases.
#[derive(Default)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    /// Knows which hosts `NO_PROXY` names.
    matcher: Option<Matcher>,
}

impl Proxies {
    /// Reads the variables; lower case counts first, as curl has it.
    ///
    /// # Errors
    /// A variable that is no proxy's address: going without a proxy that somebody asked for is not ours to decide.
    pub fn from_environment(environment: &Environment) -> Result<Self, Problem> {
        let read = |names: [&'static str; 2]| environment.first(&names);
        let all = read(["all_proxy", "ALL_PROXY"]);
        let http = parse(read(["http_proxy", "HTTP_PROXY"]).or_else(|| all.clone()))?;
        let https = parse(read(["https_proxy", "HTTPS_PROXY"]).or(all))?;
        if http.is_none() && https.is_none() {
            return Ok(Self::default());
        }
        let none = read(["no_proxy", "NO_PROXY"]).map(|(_, hosts)| hosts);
        // The matcher takes `*` for every name and for no address; curl takes it for both.
        if none.iter().flat_map(|hosts| hosts.split(',')).any(|host| host.trim() == "*") {
            return Ok(Self::default());
        }
        let text = |url: &Option<Url>| url.as_ref().map(ToString::to_string).unwrap_or_default();
        let matcher =
            Matcher::builder().http(text(&http)).https(text(&https)).no(none.unwrap_or_default()).build();
        Ok(Self { http, https, matcher: Some(matcher) })
    }

    /// Whether no request takes a proxy.
    pub fn is_empty(&self) -> bool {
        self.matcher.is_none()
    }

    /// The proxy for the URL, with its user and password; loopback and metadata addresses take none.
    pub fn url_for(&self, url: &Url) -> Option<Url> {
        if is_loopback(url) || is_metadata(url) {
            return None;
        }
        self.matcher.as_ref()?.intercept(&url.as_str().parse().ok()?)?;
        if url.scheme() == "http" { self.http.clone() } else { self.https.clone() }
    }

    /// The proxy for the URL as sentences name it: `host:port`.
    pub fn name_for(&self, url: &Url) -> Option<String> {
        let proxy = self.url_for(url)?;
        let port = proxy.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}{port}", proxy.host_str()?))
    }
}

/// The way that the last request took, so that whatever comes of it can be told with the proxy's name.
#[derive(Clone, Default)]
pub struct Route(Arc<Mutex<Option<String>>>);

impl Route {
    /// The proxy on it, as `host:port`.
    pub fn proxy(&self) -> Option<String> {
        self.0.lock().ok()?.clone()
    }

    pub(super) fn took(&self, proxy: Option<String>) {
        if let Ok(mut last) = self.0.lock() {
            *last = proxy;
        }
    }
}

/// A proxy's address; without a scheme it is `http://`, as curl has it. The value may hold a password: it is not named.
fn parse(variable: Option<(&str, String)>) -> Result<Option<Url>, Problem> {
    let Some((name, value)) = variable else { return Ok(None) };
    let text = if value.contains("://") { value } else { format!("http://{value}") };
    match Url::parse(text.trim()) {
        Ok(url) if url.has_host() && SCHEMES.contains(&url.scheme()) => Ok(Some(url)),
        _ => Err(Problem::new(Kind::Malformed, format!("{name} is no proxy's address"))
            .hint(format!("set {name} to http://host:port, or unset it"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let Ok(proxies) = Proxies::from_environment(&Environment::Fixed(variables)) else {
            panic!("refused")
        };
        proxies
    }

    fn through(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.name_for(&Url::parse(url).unwrap())
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_is_the_last() {
        let both = proxies(&[
            ("HTTPS_PROXY", "http://one:3128"),
            ("all_proxy", "two"),
            ("NO_PROXY", "direct.example"),
        ]);
        assert_eq!(through(&both, "https://vault.example").as_deref(), Some("one:3128"));
        assert_eq!(through(&both, "http://vault.example").as_deref(), Some("two:80"));
        assert_eq!(through(&both, "https://a.direct.example"), None);
        assert_eq!(through(&proxies(&[("HTTP_PROXY", "http://one:3128")]), "https://vault.example"), None);
        assert_eq!(
            through(&proxies(&[("https_proxy", ""), ("HTTPS_PROXY", "one:1")]), "https://v").as_deref(),
            Some("one:1")
        );
    }

    #[test]
    fn this_machine_and_metadata_are_never_asked_through_a_proxy() {
        let all = proxies(&[("ALL_PROXY", "http://one:3128")]);
        for url in [
            "http://127.0.0.1:8200",
            "https://localhost:8200",
            "https://[::1]:8200",
            "http://169.254.169.254",
            "http://[fd00:ec2::254]",
            "http://169.254.170.23/v1",
        ] {
            assert_eq!(through(&all, url), None, "{url}");
        }
    }

    #[test]
    fn a_password_of_the_proxy_reaches_the_proxy_and_no_sentence() {
        let all = proxies(&[("ALL_PROXY", "http://user:s%40cret@one:3128")]);
        let url = Url::parse("https://vault.example").unwrap();
        assert_eq!(all.url_for(&url).unwrap().password(), Some("s%40cret"));
        assert_eq!(all.name_for(&url).as_deref(), Some("one:3128"));
    }

    #[test]
    fn what_is_no_address_is_refused_by_name_only() {
        let broken = BTreeMapOf::from([("HTTPS_PROXY".to_owned(), "ftp://user:s3cret@one".to_owned())]);
        let Err(problem) = Proxies::from_environment(&Environment::Fixed(broken)) else { panic!("taken") };
        let text = problem.to_string();
        assert!(text.contains("HTTPS_PROXY") && !text.contains("s3cret"), "{text}");
    }

    type BTreeMapOf = std::collections::BTreeMap<String, String>;
}
