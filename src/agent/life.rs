//! Life: how an agent comes up, alone at its socket, and what it leaves behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

use super::client::Client;
use super::place::{Place, VARIABLE};
use super::seat::Seat;
use super::server;
use crate::environment::Environment;
use crate::runtime;

/// The word that starts an agent in a session of its own.
pub(crate) const DETACHED: &str = "--detached";
/// The word that starts one for a command, whose folder follows.
pub(crate) const FOR: &str = "--for";
/// How long a new agent may take until its socket answers.
const START_LIMIT: Duration = Duration::from_secs(5);
/// How the folder of a command's agent is called.
pub(crate) const FOLDER: &str = "lease-";
const SEE_WHY: &str = "hint: `docker-credential-lease agent` in the foreground says why";

/// Whom an agent is for.
#[derive(Debug, Eq, PartialEq)]
pub enum Kind {
    /// Whoever asks, in a session of its own, until nobody does.
    Detached,
    /// A command: it ends with whoever holds its stdin, and takes this folder with it.
    For(PathBuf),
    /// Whoever asks, in the foreground, until nobody does.
    Foreground,
}

/// Runs an agent until it is told to end. What it could not give back, in sentences; `None`: another one runs already.
///
/// # Errors
/// The socket cannot be had: the sentence.
pub(crate) fn run(environment: &Environment, kind: &Kind) -> Result<Option<Vec<String>>, String> {
    if *kind != Kind::Foreground {
        // Whoever started us may close its terminal: that is not for us.
        let _ = rustix::process::setsid();
    }
    keep_memory_private();
    let Some(seat) = Seat::take(environment)? else { return Ok(None) };
    runtime::block_on(served(seat, environment, kind))?.map(Some)
}

async fn served(seat: Seat, environment: &Environment, kind: &Kind) -> Result<Vec<String>, String> {
    let idles = !matches!(kind, Kind::For(_));
    let left = server::serve(seat, idles, ended(kind)).await;
    let left = left.map_err(|error| format!("the socket cannot be used: {error}"))?;
    if let Kind::For(folder) = kind
        && is_its_folder(folder, environment)
    {
        // Whoever told us to stop, the command may still need its folder.
        until_stdin_ends().await;
        // Links in it are removed, not followed. Whoever started us does the same, if it still can.
        let _ = fs::remove_dir_all(folder);
    }
    Ok(left)
}

/// Starts an agent in the background and returns when its socket answers; false: one ran already.
///
/// # Errors
/// It did not come up: the sentence.
pub(crate) fn start(environment: &Environment) -> Result<bool, String> {
    if Client::connect(environment)?.is_some() {
        return Ok(false);
    }
    // The folder's faults are better told here than by a process whose stderr nobody sees.
    let place = Place::find(environment);
    place.prepare()?;
    let mut child = spawn(&place.socket)?;
    let limit = Instant::now() + START_LIMIT;
    while Instant::now() < limit {
        if matches!(Client::connect(environment), Ok(Some(_))) {
            return Ok(true);
        }
        match child.try_wait() {
            // Another one had the place: it is coming up too, or about to leave.
            Ok(Some(status)) if status.success() => {
                thread::sleep(Duration::from_millis(50));
                child = spawn(&place.socket)?;
            }
            Ok(Some(status)) => return Err(format!("the agent ended at once, with {status}; {SEE_WHY}")),
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
    Err(format!("the agent did not come up within {} s; {SEE_WHY}", START_LIMIT.as_secs()))
}

/// Whether it is a folder that was made for a command and its socket.
fn is_its_folder(folder: &Path, environment: &Environment) -> bool {
    let is_named = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FOLDER));
    is_named && Place::find(environment).socket.parent() == Some(folder)
}

/// An agent in the background. It needs to know its socket, and nothing else of its caller's environment.
fn spawn(socket: &Path) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    // A lock or a pipe that the caller has open would stay open for as long as the agent runs.
    close_fds::set_fds_cloexec(3, &[]);
    let child = Command::new(program)
        .args(["agent", DETACHED])
        .env_clear()
        .env(VARIABLE, socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn();
    child.map_err(|error| format!("cannot start an agent: {error}"))
}

/// Neither a core file nor another process of the user's may show what is kept.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    // What the kernel does not know, it does not do.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(Resource::Core, none);
}

/// A signal, or the end of whoever holds our stdin.
async fn ended(kind: &Kind) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    let alone = async {
        match kind {
            Kind::For(_) => until_stdin_ends().await,
            Kind::Detached | Kind::Foreground => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = alone => {}
    }
}

/// Nobody writes to it: it can be read once its other end is closed, by whatever ended its holder.
async fn until_stdin_ends() {
    let stdin = rustix::stdio::stdin();
    let Ok(stdin) = stdin.try_clone_to_owned() else { return };
    let Ok(mut stdin) = tokio::net::unix::pipe::Receiver::from_owned_fd(stdin) else { return };
    let mut byte = [0; 1];
    while matches!(stdin.read(&mut byte).await, Ok(1..)) {}
}
