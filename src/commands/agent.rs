//! The agent: being one, starting one, and asking what it keeps.

use std::time::{Duration, Instant};

use crate::agent::client::Client;
use crate::agent::life::{self, Kind};
use crate::agent::line::{Listed, Said, Told};
use crate::agent::place::Place;
use crate::commands::Outcome;
use crate::environment::Environment;
use crate::error::one_line;
use crate::registry::{Asked, Registry};

/// How long the agent may take: it gives leases back for up to five seconds.
const LIMIT: Duration = Duration::from_secs(8);
const NONE: &str = "no agent runs";

/// What is said to the agent, or of it.
#[derive(Debug, Eq, PartialEq)]
pub enum Word {
    /// Start one in the background.
    Detach,
    /// Forget these registries, or all.
    Flush(Vec<String>),
    /// Be one.
    Run(Kind),
    /// Tell what is kept, as JSON or in lines.
    Status {
        /// Whether as JSON.
        json: bool,
    },
    /// Give everything back and end.
    Stop,
}

/// Does what the word says.
pub fn run(word: &Word, environment: &Environment) -> Outcome {
    match word {
        Word::Detach => detach(environment),
        Word::Flush(registries) => flush(registries, environment),
        Word::Run(kind) => be(environment, kind),
        Word::Status { json } => status(environment, *json),
        Word::Stop => stop(environment),
    }
}

fn be(environment: &Environment, kind: &Kind) -> Outcome {
    match life::run(environment, kind) {
        Ok(Some(left)) if left.is_empty() => Outcome::done(""),
        Ok(Some(left)) => Outcome { err: lines(&left), success: true, ..Outcome::default() },
        Ok(None) => Outcome::done("an agent runs already\n"),
        Err(why) => failed(why),
    }
}

fn detach(environment: &Environment) -> Outcome {
    match life::start(environment) {
        Ok(true) => Outcome::done(""),
        Ok(false) => Outcome::done("an agent runs already\n"),
        Err(why) => failed(why),
    }
}

fn flush(registries: &[String], environment: &Environment) -> Outcome {
    let mut named = Vec::new();
    for text in registries {
        match Asked::parse(text) {
            Asked::Registry(registry) => named.push(Registry::host_and_port(&registry)),
            _ => return failed(format!("`{text}` is no registry")),
        }
    }
    match ask(environment, Said { flush: Some(named), ..Said::default() }) {
        Ok(Some(told)) => given_back(told),
        Ok(None) => failed(NONE),
        Err(why) => failed(why),
    }
}

fn stop(environment: &Environment) -> Outcome {
    match ask(environment, Said { stop: true, ..Said::default() }) {
        Ok(Some(told)) => given_back(told),
        Ok(None) => Outcome::done(""),
        Err(why) => failed(why),
    }
}

/// Everything was given back, or what was not is told.
fn given_back(told: Told) -> Outcome {
    match (told.done, told.left.as_slice()) {
        (true, []) => Outcome::done(""),
        (_, left) => Outcome::failed(lines(left)),
    }
}

fn status(environment: &Environment, json: bool) -> Outcome {
    let status = match ask(environment, Said { status: true, ..Said::default() }) {
        Ok(Some(Told { status: Some(status), .. })) => status,
        Ok(_) => return failed(NONE),
        Err(why) => return failed(why),
    };
    if json {
        return match serde_json::to_string(&status) {
            Ok(text) => Outcome::done(format!("{text}\n")),
            Err(_) => failed("the agent's answer cannot be told"),
        };
    }
    let mut text = format!("agent {} (pid {}) at {}\n", status.version, status.pid, status.socket);
    for Listed { registry, source, place, username, fetched, expires, lease } in status.credentials {
        let mut line = format!("{registry}: {username} from {source}: {place}, fetched {fetched}");
        line.extend(expires.map(|end| format!(", expires {end}")));
        line.extend(lease.map(|id| format!(", lease {id}")));
        // A server may have any user name.
        text.push_str(&one_line(&line));
        text.push('\n');
    }
    Outcome::done(text)
}

/// Says one thing to the agent; `None` where none runs.
fn ask(environment: &Environment, said: Said) -> Result<Option<Told>, String> {
    let Some(mut client) = Client::connect(environment)? else { return Ok(None) };
    match client.ask(said, Instant::now() + LIMIT) {
        Some(Told { refused: Some(why), .. }) => Err(why),
        Some(told) => Ok(Some(told)),
        None => {
            let socket = Place::find(environment).socket;
            let hint = "end its process and start another";
            Err(format!("the agent at {} does not answer; hint: {hint}", socket.display()))
        }
    }
}

fn failed(why: impl Into<String>) -> Outcome {
    Outcome::failed(lines(&[why.into()]))
}

fn lines(texts: &[String]) -> String {
    texts.iter().map(|text| format!("docker-credential-lease: {text}\n")).collect()
}
