//! Run: one command with an agent of its own, wired to this helper without touching any file of the user's.

mod folder;
mod wiring;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::client::Client;
use crate::agent::life::FOR;
use crate::agent::line::Said;
use crate::agent::place::{self, Place};
use crate::config::Config;
use crate::environment::Environment;
use crate::fallback;
use folder::Folder;

/// What `run` itself failed at.
const OWN_FAILURE: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
/// How long the agent may take to come up, and to give everything back.
const LIMIT: Duration = Duration::from_secs(7);

/// Runs the command; its exit code, and what is to be said on stderr.
pub fn run(words: &[String], environment: &Environment) -> (u8, String) {
    match prepared(words, environment) {
        Ok(ended) => ended,
        Err(why) => (OWN_FAILURE, format!("docker-credential-lease: {why}\n")),
    }
}

fn prepared(words: &[String], environment: &Environment) -> Result<(u8, String), String> {
    let config = Config::load(environment).map_err(|why| format!("config: {why}"))?;
    let folder = Folder::make(environment)?;
    let variables = wiring::write(&folder, &config, environment)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let ended = runtime.block_on(async {
        let mut agent = start(&folder)?;
        let inside =
            Environment::Fixed([(place::VARIABLE.to_owned(), folder.socket().display().to_string())].into());
        come_up(&mut agent, &inside).await?;
        let code = command(words, &variables).await;
        let left = give_back(&inside).await;
        // Its lifeline: had we been killed, this would have told it.
        drop(agent.stdin.take());
        wait_for(&mut agent).await;
        Ok::<_, String>((code, left))
    });
    runtime.shutdown_background();
    let ((code, mut said), left) = ended?;
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
        if matches!(Client::connect(inside).await, Ok(Some(_))) {
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
async fn command(words: &[String], variables: &[(String, std::ffi::OsString)]) -> (u8, String) {
    let Some((program, arguments)) = words.split_first() else { return (OWN_FAILURE, String::new()) };
    // Caught, not ignored: what is ignored stays so in the command. The terminal sends it both to us and to it.
    let caught = [SignalKind::interrupt(), SignalKind::quit()].map(signal);
    let forwarded = [(SignalKind::terminate(), Signal::TERM), (SignalKind::hangup(), Signal::HUP)];
    let mut forwarded: Vec<_> =
        forwarded.into_iter().filter_map(|(kind, own)| Some((signal(kind).ok()?, own))).collect();
    let set = variables.iter().map(|(name, value)| (name, value));
    let mut child = match tokio::process::Command::new(program).args(arguments).envs(set).spawn() {
        Ok(child) => child,
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
            return (code, format!("docker-credential-lease: cannot run {program}: {error}\n"));
        }
    };
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let status = loop {
        let next = std::future::poll_fn(|context| {
            for (signal, own) in &mut forwarded {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*own);
                }
            }
            std::task::Poll::Pending
        });
        tokio::select! {
            status = child.wait() => break status,
            own = next => {
                // One that has just ended needs no signal.
                let _ = pid.map(|pid| kill_process(pid, own));
            }
        }
    };
    drop(caught);
    match status {
        Ok(status) => (code_of(status), String::new()),
        Err(error) => (OWN_FAILURE, format!("docker-credential-lease: cannot wait for {program}: {error}\n")),
    }
}

/// As shells have it: 128 and the signal's number.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(OWN_FAILURE)
}

/// Has the agent give everything back and end; what it could not.
async fn give_back(inside: &Environment) -> Vec<String> {
    let asked = async {
        let mut client = Client::connect(inside).await.ok()??;
        client.ask(Said { stop: true, ..Said::default() }).await
    };
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(Some(told)) => told.left,
        _ => vec!["the agent is gone: what it kept ends by itself".to_owned()],
    }
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
