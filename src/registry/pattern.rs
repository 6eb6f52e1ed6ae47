//! Pattern: which registries a rule matches, and which of two rules wins.

use std::cmp::Ordering;
use std::fmt;

use super::glob::{glob_matches, globs_meet};
use super::owner::pins_owner;
use super::parts::{Parts, is_address, is_label_byte, parse_host};
use super::{HUB, Registry};

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
            if parts.host.contains("**") {
                return Err("`*` stands for one or more characters within a label: one is enough".to_owned());
            }
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
        self.matches_host(registry) && self.is_prefix_of(&registry.path)
    }

    /// Whether it is one, whatever its path.
    pub fn matches_host(&self, registry: &Registry) -> bool {
        let host = match &self.host {
            Host::Any => return true,
            Host::Glob(labels) => matches_glob(labels, &registry.host),
            Host::Literal(host) => *host == registry.host,
        };
        host && self.port == registry.port
    }

    /// Whether it is for a part of a registry only.
    pub fn has_path(&self) -> bool {
        !self.path.is_empty()
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

    /// A name for all that the pattern matches, where one registry has to be named.
    pub fn stand_in(&self) -> Registry {
        let host = match &self.host {
            Host::Any => "any".to_owned(),
            Host::Glob(labels) => labels.join(".").replace('*', "any"),
            Host::Literal(host) => host.clone(),
        };
        Registry { host, port: self.port, path: self.path.clone() }
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

/// Wildcards never match an address: it has no owner that a name could pin down.
fn matches_glob(labels: &[String], host: &str) -> bool {
    if is_address(host) {
        return false;
    }
    let asked: Vec<&str> = host.split('.').collect();
    asked.len() == labels.len()
        && labels.iter().zip(asked).all(|(glob, label)| glob_matches(glob.as_bytes(), label.as_bytes()))
}
