//! Which proxy a request takes, from the usual variables.

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::{is_loopback, is_metadata};
use crate::environment::Environment;
use crate::error::{Kind, Problem};

/// What a proxy's address may begin with.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// The variables that say which proxy a request takes.
pub const PROXY_VARIABLES: [&str; 8] = [
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// The proxies of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in both cases.
#[derive(Default)]
pub struct Proxies {
    http: Proxy,
    https: Proxy,
    exceptions: Exceptions,
}

/// What stands in a variable. One that is no address is a failure only for a request that would take it: going without
/// a proxy that somebody asked for is not ours to decide.
#[derive(Clone, Default)]
enum Proxy {
    Address(Url),
    /// The variable's name.
    Broken(&'static str),
    #[default]
    None,
}

impl Proxies {
    /// Reads the variables; lower case counts first, as curl has it.
    pub fn from_environment(environment: &Environment) -> Self {
        let read = |names: [&'static str; 2]| environment.first(&names);
        let all = read(["all_proxy", "ALL_PROXY"]);
        let http = Proxy::parse(read(["http_proxy", "HTTP_PROXY"]).or_else(|| all.clone()));
        let https = Proxy::parse(read(["https_proxy", "HTTPS_PROXY"]).or(all));
        let exceptions = read(["no_proxy", "NO_PROXY"]).map(|(_, hosts)| Exceptions::parse(&hosts));
        Self { http, https, exceptions: exceptions.unwrap_or_default() }
    }

    /// Whether no request takes a proxy.
    pub fn is_empty(&self) -> bool {
        matches!((&self.http, &self.https), (Proxy::None, Proxy::None))
    }

    /// The proxy for the URL, with its user and password; loopback and metadata addresses take none.
    ///
    /// # Errors
    /// The variable that would be taken is no proxy's address.
    pub fn url_for(&self, url: &Url) -> Result<Option<Url>, Problem> {
        let proxy = if url.scheme() == "http" { &self.http } else { &self.https };
        match proxy {
            Proxy::None => Ok(None),
            _ if is_loopback(url) || is_metadata(url) || self.exceptions.contain(url) => Ok(None),
            Proxy::Address(proxy) => Ok(Some(proxy.clone())),
            // The value may hold a password: it is not named.
            Proxy::Broken(name) => {
                Err(Problem::new(Kind::Malformed, format!("{name} is no proxy's address"))
                    .hint(format!("set {name} to http://host:port, or unset it")))
            }
        }
    }

    /// The proxy for the URL as sentences name it: `host:port`.
    ///
    /// # Errors
    /// As [`Self::url_for`].
    pub fn name_for(&self, url: &Url) -> Result<Option<String>, Problem> {
        Ok(self.url_for(url)?.map(|proxy| {
            let port = proxy.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}{port}", proxy.host_str().unwrap_or_default())
        }))
    }
}

impl Proxy {
    /// Without a scheme it is `http://`, as curl has it; `socks://` is what GNOME writes for `socks5://`.
    fn parse(variable: Option<(&'static str, String)>) -> Self {
        let Some((name, value)) = variable else { return Self::None };
        let text = match value.trim().split_once("://") {
            Some(("socks", rest)) => format!("socks5://{rest}"),
            Some(_) => value,
            None => format!("http://{value}"),
        };
        match Url::parse(text.trim()) {
            Ok(url) if url.has_host() && SCHEMES.contains(&url.scheme()) => Self::Address(url),
            _ => Self::Broken(name),
        }
    }
}

/// What `NO_PROXY` names.
#[derive(Default)]
struct Exceptions {
    /// `*`: everything.
    all: bool,
    /// Entries with a port, which the matcher does not know.
    with_port: Vec<(String, u16)>,
    /// Hosts, domains, addresses and networks.
    hosts: Option<Matcher>,
}

impl Exceptions {
    fn parse(text: &str) -> Self {
        let mut exceptions = Self::default();
        let mut hosts = Vec::new();
        for entry in text.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()) {
            let port = entry.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
            match port.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
                _ if entry == "*" => exceptions.all = true,
                Some((host, port)) => {
                    exceptions.with_port.push((host.trim_start_matches("*.").to_owned(), port))
                }
                None => {
                    hosts.push(entry.trim_start_matches("*.").trim_start_matches('[').trim_end_matches(']'))
                }
            }
        }
        // The matcher answers only for what has a proxy: this one is never asked for its address.
        exceptions.hosts = Some(Matcher::builder().all("http://proxy").no(hosts.join(",")).build());
        exceptions
    }

    fn contain(&self, url: &Url) -> bool {
        let excepted =
            |matcher: &Matcher| url.as_str().parse().is_ok_and(|uri| matcher.intercept(&uri).is_none());
        self.all
            || self.hosts.as_ref().is_some_and(excepted)
            || self.with_port.iter().any(|(host, port)| {
                let asked = url.host_str().unwrap_or_default();
                let domain = host.trim_start_matches('.');
                let below =
                    asked.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                below && url.port_or_known_default() == Some(*port)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Proxies::from_environment(&Environment::Fixed(variables.collect()))
    }

    fn through(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.name_for(&Url::parse(url).unwrap()).unwrap_or_else(|problem| panic!("{problem}"))
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_is_the_last() {
        let both = proxies(&[("HTTPS_PROXY", "http://one:3128"), ("all_proxy", "two")]);
        assert_eq!(through(&both, "https://vault.example").as_deref(), Some("one:3128"));
        assert_eq!(through(&both, "http://vault.example").as_deref(), Some("two:80"));
        assert_eq!(through(&proxies(&[("HTTP_PROXY", "http://one:3128")]), "https://vault.example"), None);
        let empty = proxies(&[("https_proxy", ""), ("HTTPS_PROXY", "one:1")]);
        assert_eq!(through(&empty, "https://v").as_deref(), Some("one:1"));
        let gnome = proxies(&[("all_proxy", "socks://one:1080/")]);
        assert_eq!(through(&gnome, "https://v").as_deref(), Some("one:1080"));
    }

    #[test]
    fn exceptions_are_written_as_curl_and_go_take_them() {
        for (text, excepted, others) in [
            ("direct.example", "https://a.direct.example", "https://notdirect.example"),
            (".direct.example", "https://a.direct.example", "https://indirect.example"),
            ("*.direct.example", "https://a.direct.example", "https://indirect.example"),
            ("a.example, b.example", "https://b.example", "https://c.example"),
            ("vault.example:8200", "https://vault.example:8200", "https://vault.example"),
            ("10.0.0.0/8", "https://10.1.2.3", "https://11.1.2.3"),
            ("[fd00::1]:8200,fd00::2", "https://[fd00::1]:8200", "https://[fd00::1]"),
            ("fd00::2", "https://[fd00::2]", "https://[fd00::3]"),
        ] {
            let proxies = proxies(&[("ALL_PROXY", "http://one:3128"), ("NO_PROXY", text)]);
            assert_eq!(through(&proxies, excepted), None, "{text}: {excepted}");
            assert_eq!(through(&proxies, others).as_deref(), Some("one:3128"), "{text}: {others}");
        }
        let all = proxies(&[("ALL_PROXY", "http://one:3128"), ("NO_PROXY", "*")]);
        assert_eq!(through(&all, "https://10.1.2.3"), None);
    }

    #[test]
    fn this_machine_and_metadata_are_never_asked_through_a_proxy() {
        for proxy in ["http://one:3128", "ftp://broken"] {
            for url in [
                "http://127.0.0.1:8200",
                "https://localhost:8200",
                "https://[::1]:8200",
                "http://169.254.169.254",
                "http://[fd00:ec2::254]",
                "http://169.254.170.23/v1",
            ] {
                assert_eq!(through(&proxies(&[("ALL_PROXY", proxy)]), url), None, "{url}");
            }
        }
    }

    #[test]
    fn a_password_of_the_proxy_reaches_the_proxy_and_no_sentence() {
        let all = proxies(&[("ALL_PROXY", "http://user:s%40cret@one:3128")]);
        let url = Url::parse("https://vault.example").unwrap();
        assert!(
            all.url_for(&url)
                .is_ok_and(|proxy| proxy.is_some_and(|proxy| proxy.password() == Some("s%40cret")))
        );
        assert_eq!(through(&all, url.as_str()).as_deref(), Some("one:3128"));
    }

    #[test]
    fn what_is_no_address_is_refused_by_name_only() {
        let broken = proxies(&[("HTTPS_PROXY", "ftp://user:s3cret@one")]);
        let Err(problem) = broken.url_for(&Url::parse("https://vault.example").unwrap()) else {
            panic!("taken")
        };
        let text = problem.to_string();
        assert!(text.contains("HTTPS_PROXY") && !text.contains("s3cret"), "{text}");
    }
}
