//! Words and flags; nothing runs here.

use crate::protocol::Verb;

/// What the command line asks for.
#[derive(Debug, Eq, PartialEq)]
pub enum Command {
    /// The long help.
    Help,
    /// One of the protocol's verbs.
    Protocol(Verb),
    /// A line that cannot be taken, and why; empty where nothing was said.
    Usage(String),
    /// Name, package and version.
    Version,
}

/// What to do where the command line cannot be taken.
pub const USAGE: &str = "Usage: docker-credential-lease <store|get|erase|list|version>";

/// Name, package and version, as docker's own helpers print them.
pub const VERSION: &str = concat!(
    "docker-credential-lease (github.com/docker-credential-lease/docker-credential-lease) ",
    env!("CARGO_PKG_VERSION")
);

/// The long help.
pub const HELP: &str = "\
docker-credential-lease gives docker a credential that it fetches at the moment of the pull,
from the environment, AWS Secrets Manager, Vault or OpenBao, and keeps it in memory only.

Usage: docker-credential-lease <store|get|erase|list|version>

  get      read a registry from stdin, answer its credential as JSON
           $ echo docker.io | docker-credential-lease get
  store    read a credential as JSON from stdin; nothing is kept: succeeds for what `get` would give
           (for anything where the rule says store = \"ignore\")
           $ docker login -u octocat ghcr.io
  erase    read a registry from stdin; there is nothing to forget
           $ docker logout ghcr.io
  list     answer the registries that the config names without `*` and path, each with its user where
           the config says it
           $ docker-credential-lease list
  version  print name and version (also --version, -v)

Name it for docker in ~/.docker/config.json:     { \"credsStore\": \"lease\" }
Name it for podman, skopeo and buildah in auth.json: { \"credHelpers\": { \"docker.io\": \"lease\" } }

Config: $DOCKER_CREDENTIAL_LEASE_CONFIG (a path), $DOCKER_CREDENTIAL_LEASE_CONFIG_TOML (the text),
        ${XDG_CONFIG_HOME:-~/.config}/docker-credential-lease/config.toml, /etc/docker-credential-lease/config.toml;
        none: Docker Hub with DOCKER_USER and DOCKER_ACCESS_TOKEN.
Log:    DOCKER_CREDENTIAL_LEASE_LOG=1 says on stderr what is done.
";

/// Reads the arguments, without the program's name.
pub fn parse(arguments: &[String]) -> Command {
    let [action] = arguments else { return Command::Usage(String::new()) };
    match action.as_str() {
        "--help" | "-h" => Command::Help,
        "--version" | "-v" | "version" => Command::Version,
        "erase" => Command::Protocol(Verb::Erase),
        "get" => Command::Protocol(Verb::Get),
        "list" => Command::Protocol(Verb::List),
        "store" => Command::Protocol(Verb::Store),
        unknown => Command::Usage(format!("docker-credential-lease: unknown action: {unknown}")),
    }
}
