//! Words and flags; nothing runs here.

use std::ffi::OsString;

use crate::commands::{DETACHED, FOR, Kind, Word};
use crate::protocol::Verb;

/// What the command line asks for.
#[derive(Debug, Eq, PartialEq)]
pub enum Command {
    /// The agent, or a word to it.
    Agent(Word),
    /// Words after `agent` that cannot be taken, and why.
    AgentUsage(String),
    /// The long help.
    Help,
    /// The kubelet asks for the credential of an image.
    Kubelet,
    /// Words after `kubelet`, which takes none, and why that is so.
    KubeletUsage(String),
    /// One of the protocol's verbs.
    Protocol(Verb),
    /// A line that cannot be taken, and why; empty where nothing was said.
    Usage(String),
    /// Words after `run` that cannot be taken, and why.
    RunUsage(String),
    /// Run a command, with an agent of its own.
    Run(Vec<OsString>),
    /// Name, package and version.
    Version,
}

/// What to do where there are words after `kubelet`.
pub const KUBELET_USAGE: &str =
    "Usage: docker-credential-lease kubelet, with a CredentialProviderRequest on stdin";

/// What to do where the words after `run` cannot be taken.
pub const RUN_USAGE: &str = "Usage: docker-credential-lease run -- COMMAND [ARGUMENT…]";

/// What to do where the words after `agent` cannot be taken.
pub const AGENT_USAGE: &str =
    "Usage: docker-credential-lease agent [--detach | status [--json] | flush [REGISTRY…] | stop]";

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
from AWS Secrets Manager, Amazon ECR, Vault or OpenBao, Docker Hub (by a CI identity), a file, the
environment or another helper, and itself keeps it in memory only.

Usage: docker-credential-lease <store|get|erase|list|version>

  get      read a registry from stdin, answer its credential as JSON
           $ echo docker.io | docker-credential-lease get
  store    read a credential as JSON from stdin; it goes where the rule's source keeps it if the rule says
           store = \"write\" (another helper: unless it says otherwise), else nothing is kept on disk: succeeds
           for what `get` would give (for anything with store = \"ignore\"); an agent keeps what no rule is for
           $ docker login -u octocat ghcr.io
  erase    read a registry from stdin; the agent forgets it and gives its lease back, the source deletes it
           if the rule says erase = \"delete\" (another helper: unless it says otherwise)
           $ docker logout ghcr.io
  list     answer the registries that the config names without `*` and path, and what writable sources
           and other helpers hold, each with its user where nobody need be asked for it
           $ docker-credential-lease list
  version  print name and version (also --version, -v)

  agent    keep what look-ups have fetched in memory, share it, renew it and give it back at the end
           $ docker-credential-lease agent --detach     in the background, until it is stopped
           $ docker-credential-lease agent status       what is kept, never a secret (--json)
           $ docker-credential-lease agent flush ghcr.io
           $ docker-credential-lease agent stop
  run      run a command with an agent and a Docker config of its own; everything is given back at its end
           $ docker-credential-lease run -- docker compose pull

  kubelet  answer the kubelet's CredentialProviderRequest, as its image credential provider
           $ docker-credential-lease kubelet < request.json

Name it for docker in ~/.docker/config.json:     { \"credsStore\": \"lease\" }
Name it for podman, skopeo and buildah in auth.json: { \"credHelpers\": { \"docker.io\": \"lease\" } }

Config: $DOCKER_CREDENTIAL_LEASE_CONFIG (a path), $DOCKER_CREDENTIAL_LEASE_CONFIG_TOML (the text),
        ${XDG_CONFIG_HOME:-~/.config}/docker-credential-lease/config.toml, /etc/docker-credential-lease/config.toml;
        none: Docker Hub with DOCKER_USER and DOCKER_ACCESS_TOKEN, private hosts of ECR by AWS's own chain.
Log:    DOCKER_CREDENTIAL_LEASE_LOG=1 says on stderr what is done.
";

/// Reads the arguments, without the program's name.
pub fn parse(arguments: &[OsString]) -> Command {
    let text: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    match text.split_first() {
        Some((first, words)) if first == "agent" => return agent(words),
        Some((first, words)) if first == "kubelet" => return kubelet(words),
        // Its words go on as they are, in whatever encoding.
        Some((first, words)) if first == "run" => return run(words, &arguments[1..]),
        _ => {}
    }
    let [action] = text.as_slice() else { return Command::Usage(String::new()) };
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

fn run(text: &[String], words: &[OsString]) -> Command {
    match text {
        [dashes, _, ..] if dashes == "--" => Command::Run(words[1..].to_vec()),
        [help] if matches!(help.as_str(), "--help" | "-h") => Command::Help,
        [program, ..] if !program.starts_with('-') => Command::Run(words.to_vec()),
        [] | [_] => Command::RunUsage("run needs a command".to_owned()),
        _ => Command::RunUsage(format!("cannot take: run {}", text.join(" "))),
    }
}

fn kubelet(words: &[String]) -> Command {
    match words {
        [] => Command::Kubelet,
        [help] if matches!(help.as_str(), "--help" | "-h") => Command::Help,
        _ => Command::KubeletUsage(format!("cannot take: kubelet {}", words.join(" "))),
    }
}

fn agent(words: &[String]) -> Command {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let word = match words.as_slice() {
        [] => Word::Run(Kind::Foreground),
        [DETACHED] => Word::Run(Kind::Detached),
        [FOR, folder] => Word::Run(Kind::For(folder.into())),
        ["--detach"] => Word::Detach,
        ["--help" | "-h"] => return Command::Help,
        ["flush", registries @ ..] if registries.iter().all(|word| !word.starts_with('-')) => {
            Word::Flush(registries.iter().map(|word| (*word).to_owned()).collect())
        }
        ["status"] => Word::Status { json: false },
        ["status", "--json"] => Word::Status { json: true },
        ["stop"] => Word::Stop,
        _ => return Command::AgentUsage(format!("cannot take: agent {}", words.join(" "))),
    };
    Command::Agent(word)
}
