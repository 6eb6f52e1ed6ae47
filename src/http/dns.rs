//! DNS: looks names up, so that a name without an address can be told from a server that does not answer.

use std::error::Error as StdError;
use std::fmt;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::{Deserialize, Serialize};
use url::Url;

use super::is_local_name;

/// A certificate's name and the host behind it.
#[derive(Clone, Deserialize, Serialize)]
pub struct ServerName {
    /// What the certificate says, and so the URL's host.
    pub name: String,
    /// Where to connect to: a name, or an address as URLs write it.
    pub host: String,
}

impl ServerName {
    /// The host and port that the connection's own address names.
    pub(super) fn own_host(&self, url: &Url) -> String {
        url.port().map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }
}

/// Looks up what the URL's host stands for.
pub(super) struct Resolver {
    server_name: Option<ServerName>,
}

impl Resolver {
    pub(super) fn new(server_name: Option<ServerName>) -> Self {
        Self { server_name }
    }
}

/// A host that has no address.
#[derive(Debug)]
pub(super) struct NoAddress(String);

impl fmt::Display for NoAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no address for the host {}", self.0)
    }
}

impl StdError for NoAddress {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let mut host = name.as_str().to_owned();
        if let Some(server) = self.server_name.as_ref().filter(|server| server.name == host) {
            host.clone_from(&server.host);
        }
        Box::pin(async move {
            // The port is the URL's: reqwest fills it in.
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let found = tokio::net::lookup_host((bare, 0)).await;
            let mut addresses: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
            if is_local_name(&host) {
                // Plain http is spoken to these names, so what they stand for must be this machine.
                addresses.retain(|address| address.ip().to_canonical().is_loopback());
            }
            match addresses.is_empty() {
                true => Err(Box::new(NoAddress(host)) as Box<dyn StdError + Send + Sync>),
                false => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}
