//! Parts: a registry's text taken apart, as clients and configs write it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// `[http(s)://]host[:port][/path]`, lower case, taken apart but not yet judged; patterns are read alike.
pub(super) struct Parts {
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) path: String,
}

impl Parts {
    pub(super) fn split(text: &str) -> Option<Self> {
        let refused = |c: char| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '\\');
        if text.is_empty() || text.contains(refused) {
            return None;
        }
        let text = text.to_ascii_lowercase();
        let (rest, default_port) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (rest, 80),
            (None, Some(rest)) => (rest, 443),
            (None, None) => (text.as_str(), 443),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_port(authority)?;
        let path = clean_path(path)?;
        Some(Self { host: host.to_owned(), port: port.filter(|port| *port != default_port), path })
    }
}

/// `host:port`; the colons of an IPv6 address stand in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_address = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = authority[after_address..].find(':') else { return Some((authority, None)) };
    let (host, port) = (&authority[..after_address + colon], &authority[after_address + colon + 1..]);
    if port.len() > 5 || !port.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    port.parse().ok().filter(|port| *port > 0).map(|port| (host, Some(port)))
}

/// The path without digest, tag and slashes at its end; a path of only `v1` or `v2` is the API's own and counts as none.
fn clean_path(path: &str) -> Option<String> {
    let path = match path.split_once('@') {
        Some((path, digest)) if is_digest(digest) => path,
        Some(_) => return None,
        None => path,
    };
    let path = path.trim_end_matches('/');
    let name = path.rfind('/').map_or(0, |at| at + 1);
    let path = match path[name..].find(':') {
        // A tag of nothing.
        Some(0) => return None,
        Some(colon) => &path[..name + colon],
        None => path,
    };
    Some(if matches!(path, "v1" | "v2") { String::new() } else { path.to_owned() })
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && !hex.is_empty() && hex.bytes().all(|c| c.is_ascii_hexdigit())
    })
}

/// The host in its one spelling, or `None` where it is none (a trailing dot, userinfo, an empty label).
pub(super) fn parse_host(text: &str) -> Option<String> {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    text.split('.').all(is_label).then(|| text.to_owned())
}

/// Labels may hold underscores: Compose and Kubernetes service names do.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len()) && label.bytes().all(is_label_byte)
}

pub(super) fn is_label_byte(c: u8) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_')
}

/// Whether clients would take the host for an IP address: `inet_aton` also reads `127.1` and `0x7f000001`.
pub(super) fn is_address(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let numeric = |label: &str| label.bytes().all(|c| c.is_ascii_digit());
    host.starts_with('[')
        || host.parse::<Ipv4Addr>().is_ok()
        || numeric(last)
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()))
}
