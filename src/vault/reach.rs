//! Reach: how to reach a server, found out once and then kept as data, so that a lease can be given back by whoever
//! holds it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use super::server::Server;
use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::file;
use crate::http::{Client, PROXY_VARIABLES, Proxies, ServerName, Settings, Trust};

/// A server's place, whom it is believed to be, and the namespace of the secrets.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Reach {
    pub(super) url: Url,
    pub(super) socket: Option<PathBuf>,
    pub(super) trust: Trust,
    pub(super) server_name: Option<ServerName>,
    /// The variables that say which proxy is taken.
    pub(super) proxies: BTreeMap<String, String>,
    pub(super) namespace: Option<String>,
}

impl Reach {
    /// The proxy variables that are set.
    pub(super) fn proxies(environment: &Environment) -> BTreeMap<String, String> {
        let set = |name: &&str| Some(((*name).to_owned(), environment.get(name)?));
        PROXY_VARIABLES.iter().filter_map(set).collect()
    }

    /// A server at the end of a Unix socket: no TLS, no proxy, and a URL whose host says nothing.
    pub(super) fn socket(path: PathBuf, namespace: Option<String>) -> Result<Self, Problem> {
        let url = Url::parse("http://localhost").map_err(|_| Problem::new(Kind::Malformed, "no address"))?;
        let (trust, proxies) = (Trust::default(), BTreeMap::new());
        Ok(Self { url, socket: Some(path), trust, server_name: None, proxies, namespace })
    }

    /// Ready to be called; nothing is sent yet.
    ///
    /// # Errors
    /// A CA or client certificate that cannot be read, a socket that others may replace.
    pub(super) fn server(&self, connect: Deadline) -> Result<Server, Problem> {
        if let Some(socket) = &self.socket {
            // Each time: somebody else may listen there meanwhile.
            file::judge_socket(socket).map_err(|(cause, mend)| {
                let hint = "start the Vault Agent or Proxy, or correct the address";
                Problem::new(Kind::Unavailable, cause).hint(if mend.is_empty() { hint } else { &mend })
            })?;
        }
        let settings = Settings {
            proxies: Arc::new(Proxies::from_environment(&Environment::Fixed(self.proxies.clone()))),
            trust: self.trust.clone(),
            server_name: self.server_name.clone(),
            socket: self.socket.clone(),
            connect,
        };
        let client = Client::new(settings, self.url.scheme() == "https")?;
        Ok(Server::new(client, self.url.clone()))
    }
}
