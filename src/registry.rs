//! Registry: what a client asked for, parsed once.
//!
//! Clients name one registry in many ways (`https://index.docker.io/v1/`, `docker.io`, `registry-1.docker.io:443`,
//! `index.docker.io/library/alpine`); a [`Registry`] is what is left when scheme, default port, tag and digest are
//! gone. What is not `[http(s)://]host[:port][/path]` in ASCII is no registry and asks no rule.

mod glob;
mod owner;
mod parts;
mod pattern;
mod template;

pub use pattern::Pattern;
pub use template::Template;

use std::fmt;

use parts::{Parts, parse_host};

/// The host that every spelling of Docker Hub becomes.
pub const HUB: &str = "docker.io";

/// What docker asks for where it means Docker Hub.
pub const HUB_URL: &str = "https://index.docker.io/v1/";

/// What clients call Docker Hub; no others (`hub.docker.com`, `auth.docker.io`, `dhi.io` are not it).
const HUB_HOSTS: [&str; 4] = [HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// Docker Hub's own keys for what its web login stores: never the Hub credential itself
/// (<https://github.com/docker/cli/blob/master/internal/oauth/manager/manager.go>).
const HUB_SUB_KEYS: [&str; 2] = ["v1/access-token", "v1/refresh-token"];

/// A registry, or a repository in it, as a client asked for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Registry {
    /// Lower case; an IPv6 address stands in brackets; Docker Hub is [`HUB`].
    host: String,
    /// `None` for the scheme's own port.
    port: Option<u16>,
    /// What was asked after the host, without slashes at its ends; empty for none.
    path: String,
}

/// What a look-up's text turns out to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asked {
    /// One of Docker Hub's sub-keys.
    HubSubKey,
    /// Nothing that a registry could be called: not found, and no rule is asked.
    NoRegistry,
    /// A registry.
    Registry(Registry),
}

impl Asked {
    /// Reads what a client asked for; the text is already trimmed and free of control characters.
    pub fn parse(text: &str) -> Self {
        let Some(registry) = Registry::parse(text) else { return Self::NoRegistry };
        if registry.is_hub_sub_key() {
            return Self::HubSubKey;
        }
        Self::Registry(registry)
    }
}

impl Registry {
    /// Reads a registry; `None` where the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = Parts::split(text)?;
        let host = parse_host(&parts.host)?;
        Some(Self::from_parts(host, parts.port, parts.path))
    }

    /// Docker Hub.
    pub fn hub() -> Self {
        Self { host: HUB.to_owned(), port: None, path: String::new() }
    }

    fn from_parts(host: String, port: Option<u16>, path: String) -> Self {
        let is_hub = port.is_none() && HUB_HOSTS.contains(&host.as_str());
        Self { host: if is_hub { HUB.to_owned() } else { host }, port, path }
    }

    /// Whether it is Docker Hub, or a repository there.
    pub fn is_hub(&self) -> bool {
        self.port.is_none() && self.host == HUB
    }

    /// Whether it is one of Docker Hub's sub-keys, or stands below one, however many slashes are in it.
    fn is_hub_sub_key(&self) -> bool {
        let segments: Vec<&str> =
            self.path.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
        self.is_hub() && segments.get(..2).is_some_and(|key| HUB_SUB_KEYS.contains(&key.join("/").as_str()))
    }

    /// `host[:port]`; Docker Hub is `docker.io`.
    pub fn host_and_port(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// What was asked after the host; empty for none.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether every segment of the path is one that a template may fill in: `[a-z0-9._-]+`, not `.` or `..`.
    fn has_plain_path(&self) -> bool {
        let plain = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        !self.path.is_empty()
            && self
                .path
                .split('/')
                .all(|segment| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain))
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.host_and_port())?;
        if self.path.is_empty() { Ok(()) } else { write!(out, "/{}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> Option<String> {
        Registry::parse(text).map(|registry| registry.to_string())
    }

    #[test]
    fn every_spelling_of_docker_hub_is_docker_io() {
        for host in HUB_HOSTS {
            for text in [
                host.to_owned(),
                host.to_uppercase(),
                format!("{host}:443"),
                format!("{host}/"),
                format!("{host}/v1"),
                format!("{host}/v1/"),
                format!("{host}/v2/"),
                format!("https://{host}/v1/"),
                format!("HTTPS://{host}"),
                format!("http://{host}"),
                format!("http://{host}:80/v1/"),
            ] {
                assert_eq!(spelled(&text).as_deref(), Some(HUB), "{text}");
            }
            let repository = format!("{host}/library/alpine:3.20@sha256:0a1b");
            assert_eq!(spelled(&repository).as_deref(), Some("docker.io/library/alpine"));
        }
    }

    #[test]
    fn look_alikes_are_never_docker_hub() {
        for text in [
            "docker.io.evil.example",
            "evil.example/docker.io",
            "evil-docker.io",
            "xdocker.io",
            "docker.io:5000",
            "http://docker.io:443",
            "hub.docker.com",
            "auth.docker.io",
            "dhi.io",
            "registry.scout.docker.com",
            "production.cloudflare.docker.com",
            "xn--dcker-jua.io",
            "docker-io",
        ] {
            let registry = Registry::parse(text);
            assert!(registry.as_ref().is_some_and(|registry| !registry.is_hub()), "{text}: {registry:?}");
        }
    }

    #[test]
    fn what_is_no_registry_asks_no_rule() {
        for text in [
            "docker.io.",
            ".docker.io",
            "docker..io",
            "user@docker.io",
            "https://user:password@docker.io/v1/",
            "https://docker.io@evil.example",
            "docker.io\\@evil.example",
            "docker.io/x\\y",
            "docker.io?x",
            "docker.io#x",
            "ftp://docker.io",
            "nerdctl-experimental://k8s.io/host/docker.io/acme",
            "https://https://docker.io",
            "dоcker.io", // a Cyrillic o
            "docker.io:",
            "docker.io:latest",
            "docker.io:99999",
            "docker.io:0",
            "[::1",
            "[fe80::1%eth0]:5000",
            "::1",
            "docker.io /x",
            "https://",
            "ghcr.io/acme@oops",
            "ghcr.io/:latest",
            "ghcr.io/acme//:latest",
        ] {
            assert_eq!(Asked::parse(text), Asked::NoRegistry, "{text}");
        }
    }

    #[test]
    fn the_web_logins_own_keys_are_told_apart() {
        for text in [
            "https://index.docker.io/v1/access-token",
            "index.docker.io/v1/refresh-token/",
            "docker.io//v1/./access-token/x",
        ] {
            assert_eq!(Asked::parse(text), Asked::HubSubKey, "{text}");
        }
        assert!(matches!(Asked::parse("ghcr.io/v1/access-token"), Asked::Registry(_)));
    }

    #[test]
    fn ports_addresses_and_underscores_keep_their_meaning() {
        for (text, expected) in [
            ("localhost:5000", "localhost:5000"),
            ("LOCALHOST:05000/Acme", "localhost:5000/acme"),
            ("http://localhost:80", "localhost"),
            ("http://localhost:443", "localhost:443"),
            ("https://localhost:80", "localhost:80"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("[0:0:0:0:0:0:0:1]:5000/x", "[::1]:5000/x"),
            ("my_registry:5000", "my_registry:5000"),
            ("index.docker.io:5000", "index.docker.io:5000"),
            ("ghcr.io/org/img:v1", "ghcr.io/org/img"),
            ("ghcr.io/v2/", "ghcr.io"),
            ("ghcr.io/v2/org", "ghcr.io/v2/org"),
        ] {
            assert_eq!(spelled(text).as_deref(), Some(expected), "{text}");
        }
    }
}
