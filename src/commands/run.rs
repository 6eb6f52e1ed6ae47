//! Run: one command with an agent of its own, wired to this helper without touching any file of the user's.

mod folder;
mod signals;
mod wiring;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};

use crate::agent::client::Client;
use crate::agent::life::FOR;
use crate::agent::line::Said;
use crate::agent::place::{self, Place};
use crate::config::Config;
use crate::environment::Environment;
use crate::{fallback, runtime};
use folder::Folder;
use signals::Signals;

/// What `run` itself failed at.
const OWN_FAILURE: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
/// How long the agent may take to come up, and to give everything back.
const LIMIT: Duration = Duration::from_secs(7);

/// Runs the command; its exit code, and what is to be said on stderr.
pub fn run(words: &[OsString], environment: &Environment) -> (u8, String) {
    match prepared(words, environment) {
        Ok(ended) => ended,
        Err(why) => (OWN_FAILURE, format!("docker-credential-lease: {why}\n")),
    }
}

fn prepared(words: &[OsString], environment: &Environment) -> Result<(u8, String), String> {
    let config = Config::load(environment).map_err(|why| format!("config: {why}"))?;
    runtime::block_on(wired(words, &config, environment))?
}

async fn wired(
    words: &[OsString],
    config: &Config,
    environment: &Environment,
) -> Result<(u8, String), String> {
    // Before there is anything that could be left behind.
    let mut signals = Signals::catch();
    let folder = Folder::make(environment)?;
    let variables = wiring::write(&folder, config, environment)?;
    let mut agent = start(&folder)?;
    let socket = folder.socket().display().to_string();
    let inside = Environment::Fixed([(place::VARIABLE.to_owned(), socket)].into());
    let up = come_up(&mut agent, &inside).await;
    let (code, mut said) = match signals.came().await {
        // Whoever wanted it to end before it began means the command too.
        Some(signal) => (code_of_signal(signal.as_raw()), String::new()),
        None => {
            up?;
            command(words, &variables, &mut signals).await
        }
    };
    let left = give_back(&inside, &mut agent).await;
    // Its lifeline: had we been killed, this would have told it.
    drop(agent.stdin.take());
    wait_for(&mut agent).await;
    said.extend(left.iter().map(|why| format!("docker-credential-lease: {why}\n")));
    Ok((code, said))
}

/// An agent whose stdin we hold: it ends when we do.
fn start(folder: &Folder) -> Result<std::process::Child, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    Command::new(program)
        .args(["agent", FOR])
        .arg(folder.path())
        .env_clear()
        .env(place::VARIABLE, folder.socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()
        .map_err(|error| format!("cannot start an agent: {error}"))
}

async fn come_up(agent: &mut std::process::Child, inside: &Environment) -> Result<(), String> {
    let limit = Instant::now() + LIMIT;
    loop {
        if matches!(Client::connect(inside), Ok(Some(_))) {
            return Ok(());
        }
        if let Ok(Some(status)) = agent.try_wait() {
            return Err(format!("the agent ended at once, with {status}"));
        }
        if Instant::now() > limit {
            let socket = Place::find(inside).socket;
            return Err(format!("the agent did not come up at {}", socket.display()));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Runs it with our stdin, stdout, stderr, terminal and process group.
async fn command(
    words: &[OsString],
    variables: &[(String, OsString)],
    signals: &mut Signals,
) -> (u8, String) {
    let Some((program, arguments)) = words.split_first() else { return (OWN_FAILURE, String::new()) };
    let name = program.display();
    let set = variables.iter().map(|(name, value)| (name, value));
    let mut child = match tokio::process::Command::new(program).args(arguments).envs(set).spawn() {
        Ok(child) => child,
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
            return (code, format!("docker-credential-lease: cannot run {name}: {error}\n"));
        }
    };
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            signal = signals.next() => {
                // One that has just ended needs no signal.
                let _ = pid.map(|pid| kill_process(pid, signal));
            }
        }
    };
    match status {
        Ok(status) => (code_of(status), String::new()),
        Err(error) => (OWN_FAILURE, format!("docker-credential-lease: cannot wait for {name}: {error}\n")),
    }
}

fn code_of(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code & 0xff).unwrap_or(OWN_FAILURE),
        (None, Some(signal)) => code_of_signal(signal),
        (None, None) => OWN_FAILURE,
    }
}

/// As shells have it.
fn code_of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(OWN_FAILURE)
}

/// Has the agent give everything back and end; what it could not.
async fn give_back(inside: &Environment, agent: &mut std::process::Child) -> Vec<String> {
    let said = Said { stop: true, ..Said::default() };
    let client = Client::connect(inside).ok().flatten();
    match client.and_then(|mut client| client.ask(said, Instant::now() + LIMIT)) {
        Some(told) => told.left,
        // The command has said stop, and was told what was left.
        None if has_left(inside, agent).await => Vec::new(),
        _ => vec![
            "the agent is gone, and gave nothing back: leases that it kept end when they expire".to_owned(),
        ],
    }
}

/// Whether the agent has taken its socket away and waits for us; one that was killed has not, and does not.
async fn has_left(inside: &Environment, agent: &mut std::process::Child) -> bool {
    let (limit, socket) = (Instant::now() + LIMIT, Place::find(inside).socket);
    while Instant::now() < limit && matches!(agent.try_wait(), Ok(None)) {
        if !socket.exists() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    false
}

async fn wait_for(agent: &mut std::process::Child) {
    let limit = Instant::now() + LIMIT;
    while Instant::now() < limit && matches!(agent.try_wait(), Ok(None)) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The folder that the user's own config is in: outside of any other `run`.
fn user_folder(environment: &Environment) -> Option<std::path::PathBuf> {
    environment.path(fallback::VARIABLE).or_else(|| fallback::docker_folder(environment))
}
