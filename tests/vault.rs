//! Credentials in Vault and OpenBao.

mod agents;
mod approle;
pub(crate) mod aws;
mod certificates;
mod connections;
mod counts;
mod database;
mod erasing;
mod given_back;
mod jwt;
mod kubernetes;
mod kv;
mod lease_namespaces;
mod leases;
mod listing;
mod logins;
mod minting;
mod namespaces;
mod not_written;
mod paths;
mod repeats;
mod secrecy;
mod sockets;
mod storing;
mod tokens;
mod userpass;
mod wrapped;
mod writing;
mod writing_together;

use crate::support::hostile::Hostile;

/// What a versioned K/V engine answers, for doubles: `octocat` with `pw-1`.
const ANSWER: &str =
    r#"{"lease_id":"","data":{"data":{"username":"octocat","password":"pw-1"},"metadata":{"version":1}}}"#;

/// A rule for `ghcr.io` that asks the path, with more keys.
fn rule(path: &str, more: &str) -> String {
    format!("[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"{path}\"\n{more}\n")
}

/// A double that answers everything as a versioned K/V engine does.
fn double() -> Hostile {
    Hostile::answering(200, "", ANSWER)
}

/// The request line and the headers' lines, lower case but for the values.
fn head(request: &str) -> (String, Vec<String>) {
    let mut lines = request.split("\r\n\r\n").next().unwrap().lines();
    let line = lines.next().unwrap().to_owned();
    let headers = lines.map(|header| {
        let (name, value) = header.split_once(": ").unwrap();
        format!("{}: {value}", name.to_ascii_lowercase())
    });
    (line, headers.collect())
}
