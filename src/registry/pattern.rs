//! Pattern: which registries a rule matches, and which of two rules wins.

use std::cmp::Ordering;
use std::fmt;

use super::{HUB, Parts, Registry, is_address, is_label_byte, parse_host};

/// `host[:port][/path-prefix]`, or `*` alone for every registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    host: Host,
    port: Option<u16>,
    path: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Host {
    /// `*` alone: every host, address and port.
    Any,
    /// Labels, at least one with a `*`.
    Glob(Vec<String>),
    /// One host, spelled as [`Registry`] spells it.
    Literal(String),
}

impl Pattern {
    /// Reads a pattern, normalised as a look-up is.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self { host: Host::Any, port: None, path: String::new() });
        }
        let shape = "a pattern is host[:port][/path-prefix]";
        if text.rsplit_once(':').is_some_and(|(_, port)| port.starts_with('*')) {
            return Err("`*` stands in no port".to_owned());
        }
        let parts = Parts::split(text).ok_or(shape)?;
        if parts.path.contains('*') {
            return Err("`*` stands in no path: a prefix already matches what is below it".to_owned());
        }
        if parts.path.split('/').any(|segment| matches!(segment, "." | "..")) || parts.path.contains("//") {
            return Err("a path prefix has no empty, `.` or `..` segments".to_owned());
        }
        if parts.host == "*" {
            return Err("`*` for every host stands alone, without port or path".to_owned());
        }
        if parts.host.contains('*') {
            let labels: Vec<String> = parts.host.split('.').map(str::to_owned).collect();
            let plain =
                |label: &String| !label.is_empty() && label.bytes().all(|c| c == b'*' || is_label_byte(c));
            if !labels.iter().all(plain) {
                return Err(shape.to_owned());
            }
            return Ok(Self { host: Host::Glob(labels), port: parts.port, path: parts.path });
        }
        let host = parse_host(&parts.host).ok_or(shape)?;
        let registry = Registry::from_parts(host, parts.port, parts.path);
        if registry.is_hub_sub_key() {
            return Err("Docker Hub's access-token and refresh-token belong to its web login".to_owned());
        }
        Ok(Self { host: Host::Literal(registry.host), port: registry.port, path: registry.path })
    }

    /// Whether the registry is one of those that the pattern names.
    pub fn matches(&self, registry: &Registry) -> bool {
        let host = match &self.host {
            Host::Any => return true,
            Host::Glob(labels) => matches_glob(labels, &registry.host),
            Host::Literal(host) => *host == registry.host,
        };
        host && self.port == registry.port && self.is_prefix_of(&registry.path)
    }

    /// Whether the prefix ends at a segment of the path. A path that climbs (`..`) is below no prefix.
    fn is_prefix_of(&self, path: &str) -> bool {
        if self.path.is_empty() {
            return true;
        }
        let Some(rest) = path.strip_prefix(&self.path) else { return false };
        rest.is_empty()
            || rest
                .strip_prefix('/')
                .is_some_and(|below| !below.split('/').any(|segment| matches!(segment, "" | "." | "..")))
    }

    /// Which of two patterns that match the same registry wins: `Greater` is `self`.
    ///
    /// In turn: more path segments; no `*` in the host; not `*` alone; more literal characters in the host.
    pub fn precedence(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }

    fn rank(&self) -> (usize, bool, bool, usize) {
        let segments = if self.path.is_empty() { 0 } else { self.path.split('/').count() };
        let literal = match &self.host {
            Host::Any => 0,
            Host::Glob(labels) => {
                labels.iter().map(|label| label.bytes().filter(|c| *c != b'*').count()).sum()
            }
            // The rank is only compared among equals: two literal hosts that match one registry are the same.
            Host::Literal(_) => 0,
        };
        (segments, matches!(self.host, Host::Literal(_)), !matches!(self.host, Host::Any), literal)
    }

    /// Whether some registry is matched by both and neither wins.
    pub fn ties_with(&self, other: &Self) -> bool {
        if self.precedence(other) != Ordering::Equal || self.port != other.port || self.path != other.path {
            return false;
        }
        match (&self.host, &other.host) {
            (Host::Any, Host::Any) => true,
            (Host::Literal(one), Host::Literal(two)) => one == two,
            (Host::Glob(one), Host::Glob(two)) => {
                one.len() == two.len()
                    && one.iter().zip(two).all(|(one, two)| globs_meet(one.as_bytes(), two.as_bytes()))
            }
            _ => false,
        }
    }

    /// The registry that the pattern names alone: a literal host without a path.
    pub fn literal(&self) -> Option<Registry> {
        match &self.host {
            Host::Literal(host) if self.path.is_empty() => {
                Some(Registry { host: host.clone(), port: self.port, path: String::new() })
            }
            _ => None,
        }
    }

    /// Whether the host holds a `*`.
    pub fn is_wildcard(&self) -> bool {
        !matches!(self.host, Host::Literal(_))
    }

    /// Whether the pattern is Docker Hub, or a path there.
    pub fn is_hub(&self) -> bool {
        self.port.is_none() && matches!(&self.host, Host::Literal(host) if host == HUB)
    }

    /// Whether only one owner can have a host that the pattern matches: a literal host, or a wildcard that ends in
    /// two literal labels under which strangers cannot get a name.
    pub fn pins_owner(&self) -> bool {
        match &self.host {
            Host::Any => false,
            Host::Literal(_) => true,
            Host::Glob(labels) => {
                let wild = labels.iter().rposition(|label| label.contains('*')).map_or(0, |at| at + 1);
                pins_owner(&labels[wild..])
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => out.write_str("*")?,
            Host::Glob(labels) => out.write_str(&labels.join("."))?,
            Host::Literal(host) => out.write_str(host)?,
        }
        if let Some(port) = self.port {
            write!(out, ":{port}")?;
        }
        if self.path.is_empty() { Ok(()) } else { write!(out, "/{}", self.path) }
    }
}

/// Domains under which strangers get names, or share hosts, at any depth.
const SHARED: &[&str] = &[
    "aliyuncs.com",
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "api.aws",
    "appspot.com",
    "azurecontainer.io",
    "azureedge.net",
    "azurewebsites.net",
    "cloudapp.azure.com",
    "cloudapp.net",
    "cloudfront.net",
    "core.windows.net",
    "ddns.net",
    "digitaloceanspaces.com",
    "duckdns.org",
    "dyndns.org",
    "elasticbeanstalk.com",
    "firebaseapp.com",
    "fly.dev",
    "gcr.io",
    "github.dev",
    "github.io",
    "githubusercontent.com",
    "gitlab.io",
    "herokuapp.com",
    "hf.space",
    "icr.io",
    "myhuaweicloud.com",
    "netlify.app",
    "ngrok-free.app",
    "ngrok.app",
    "ngrok.dev",
    "ngrok.io",
    "nip.io",
    "no-ip.org",
    "ocir.io",
    "on.aws",
    "ondigitalocean.app",
    "onrender.com",
    "pages.dev",
    "pkg.dev",
    "r2.dev",
    "railway.app",
    "run.app",
    "scw.cloud",
    "sslip.io",
    "tencentcloudcr.com",
    "trafficmanager.net",
    "trycloudflare.com",
    "ts.net",
    "vercel.app",
    "web.app",
    "workers.dev",
];

/// Domains directly under which anybody gets a name; what stands below that name is its customer's.
const SOLD: &[&str] = &[
    "azurecr.cn",
    "azurecr.io",
    "azurecr.us",
    "br.com",
    "cloudsmith.io",
    "cn.com",
    "co.com",
    "de.com",
    "eu.com",
    "eu.org",
    "gb.net",
    "jfrog.io",
    "jp.net",
    "uk.com",
    "us.com",
    "za.com",
];

fn pins_owner(tail: &[String]) -> bool {
    let name = tail.join(".");
    let below = |domain: &&str| name == **domain || name.ends_with(&format!(".{domain}"));
    tail.len() >= 2
        && !SHARED.iter().any(|domain| below(domain))
        && !SOLD.contains(&name.as_str())
        && !is_country_suffix(tail)
}

/// `co.uk`, `com.au` and the like: a country's own second level, where names are sold.
fn is_country_suffix(tail: &[String]) -> bool {
    const SECOND: &[&str] = &[
        "ac", "ad", "art", "asn", "biz", "co", "com", "ed", "edu", "firm", "gen", "go", "gob", "gouv", "gov",
        "gr", "id", "ind", "info", "ltd", "me", "mil", "name", "ne", "net", "nhs", "nom", "or", "org", "plc",
        "police", "presse", "priv", "pro", "sch", "school", "sci", "tm", "web",
    ];
    matches!(tail, [second, country] if country.len() == 2 && SECOND.contains(&second.as_str()))
}

/// Wildcards never match an address: it has no owner that a name could pin down.
fn matches_glob(labels: &[String], host: &str) -> bool {
    if is_address(host) {
        return false;
    }
    let asked: Vec<&str> = host.split('.').collect();
    asked.len() == labels.len()
        && labels.iter().zip(asked).all(|(glob, label)| glob_matches(glob.as_bytes(), label.as_bytes()))
}

/// `*` stands for one or more characters. Every state is kept at once: a text made to fool a search that goes back
/// and forth costs no more than any other.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![false; glob.len() + 1];
    reached[0] = true;
    for c in text {
        let mut next = vec![false; glob.len() + 1];
        for (at, want) in glob.iter().enumerate().filter(|(at, _)| reached[*at]) {
            next[at] |= *want == b'*';
            next[at + 1] |= *want == b'*' || want == c;
        }
        reached = next;
    }
    reached[glob.len()]
}

/// Whether some text is matched by both: both take its characters one by one, each in all its states at once.
fn globs_meet(one: &[u8], two: &[u8]) -> bool {
    let mut reached = vec![vec![false; two.len() + 1]; one.len() + 1];
    reached[0][0] = true;
    for i in 0..one.len() {
        for j in 0..two.len() {
            if !reached[i][j] || (one[i] != b'*' && two[j] != b'*' && one[i] != two[j]) {
                continue;
            }
            // A `*` may take the next character too; what has taken one may go on.
            reached[i + 1][j + 1] = true;
            reached[i][j + 1] |= one[i] == b'*';
            reached[i + 1][j] |= two[j] == b'*';
        }
    }
    reached[one.len()][two.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_or_more_characters() {
        for (glob, text, expected) in [
            ("*", "a", true),
            ("*", "", false),
            ("a*", "a", false),
            ("a*c", "abbc", true),
            ("*a*", "bab", true),
            ("*a*", "ab", false),
            ("**", "a", false),
            ("**", "ab", true),
        ] {
            assert_eq!(glob_matches(glob.as_bytes(), text.as_bytes()), expected, "{glob} {text}");
        }
        let many = "*a".repeat(30);
        assert!(!glob_matches(many.as_bytes(), "a".repeat(60).as_bytes().split_last().unwrap().1));
    }

    #[test]
    fn globs_meet_where_a_text_is_matched_by_both() {
        for (one, two, expected) in [
            ("a*", "*b", true),
            ("a*", "b*", false),
            ("a*b", "a*c", false),
            ("*", "abc", true),
            ("*a", "a", false),
            ("a*", "ab*", true),
            ("*ab", "a*", true),
            ("ab", "ab", true),
        ] {
            assert_eq!(globs_meet(one.as_bytes(), two.as_bytes()), expected, "{one} {two}");
            assert_eq!(globs_meet(two.as_bytes(), one.as_bytes()), expected, "{two} {one}");
        }
    }

    #[test]
    fn a_wildcard_is_pinned_where_only_one_owner_has_names() {
        let pins = |text: &str| Pattern::parse(text).unwrap().pins_owner();
        for text in [
            "*.example.com",
            "*.registry.example.com",
            "*.acme.co.uk",
            "*.acme.azurecr.io",
            "a.*.example.com",
            "docker.io",
        ] {
            assert!(pins(text), "{text}");
        }
        for text in [
            "*",
            "*.com",
            "*.co.uk",
            "*.com.au",
            "*.azurecr.io",
            "*.jfrog.io",
            "*-docker.pkg.dev",
            "*.gcr.io",
            "*.dkr.ecr.eu-west-1.amazonaws.com",
            "*.dkr-ecr.eu-west-1.on.aws",
            "*.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "*.a.run.app",
            "*.app.github.dev",
            "*.nyc3.digitaloceanspaces.com",
            "*.rg.fr-par.scw.cloud",
            "*.uk.com",
            "registry.*",
        ] {
            assert!(!pins(text), "{text}");
        }
    }
}
