//! Life: how an agent comes up, alone at its socket, and what it leaves behind.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, Rlimit};
use tokio::io::AsyncReadExt;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use super::client::Client;
use super::place::{Place, VARIABLE};
use super::server;
use crate::environment::Environment;

/// The word that starts an agent in a session of its own.
pub(crate) const DETACHED: &str = "--detached";
/// The word that starts one for a command, whose folder follows.
pub(crate) const FOR: &str = "--for";
/// How long a new agent may take until its socket answers.
const START_LIMIT: Duration = Duration::from_secs(5);
/// How long one that ends may take to give everything back.
const END_LIMIT: Duration = Duration::from_secs(8);
/// How the folder of a command's agent is called.
pub(crate) const FOLDER: &str = "lease-";
/// What an agent is started with: where its socket is, and nothing that could hold a secret.
const VARIABLES: [&str; 5] = ["HOME", "PATH", "TMPDIR", "XDG_RUNTIME_DIR", VARIABLE];

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

/// A socket that is ours alone until it is dropped.
struct Own {
    listener: Option<std::os::unix::net::UnixListener>,
    /// Removed at the end; `None` where systemd made the socket.
    socket: Option<PathBuf>,
    /// Held for as long as we run: whoever cannot have it is the second one.
    _lock: Option<File>,
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
    let Some(mut own) = Own::take(environment)? else { return Ok(None) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let left = runtime.block_on(async {
        // Not a copy: where it is closed nobody may be left waiting in its queue.
        let listener = own.listener.take().ok_or("there is no socket")?;
        let listener = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
        let listener = listener.map_err(|error| format!("the socket cannot be used: {error}"))?;
        let idles = !matches!(kind, Kind::For(_));
        Ok::<_, String>(server::serve(listener, idles, ended(kind)).await)
    })?;
    drop(own);
    if let Kind::For(folder) = kind
        && is_its_folder(folder, environment)
    {
        // Whoever told us to stop, the command may still need its folder.
        runtime.block_on(until_stdin_ends());
        // Links in it are removed, not followed. Whoever started us does the same, if it still can.
        let _ = fs::remove_dir_all(folder);
    }
    runtime.shutdown_background();
    Ok(Some(left))
}

/// Starts an agent in the background and returns when its socket answers; false: one ran already.
///
/// # Errors
/// It did not come up: the sentence.
pub(crate) async fn start(environment: &Environment) -> Result<bool, String> {
    if Client::connect(environment).await?.is_some() {
        return Ok(false);
    }
    // The folder's faults are better told here than by a process whose stderr nobody sees.
    let place = Place::find(environment);
    place.prepare()?;
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let set = VARIABLES.iter().filter_map(|name| Some((*name, environment.path(name)?)));
    let child = Command::new(program)
        .args(["agent", DETACHED])
        .env_clear()
        .envs(set)
        .envs(place.is_named.then_some((VARIABLE, &place.socket)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn();
    let mut child = child.map_err(|error| format!("cannot start an agent: {error}"))?;
    let limit = Instant::now() + START_LIMIT;
    while Instant::now() < limit {
        if matches!(Client::connect(environment).await, Ok(Some(_))) {
            return Ok(true);
        }
        if let Ok(Some(status)) = child.try_wait()
            && !status.success()
        {
            return Err(format!("the agent ended at once, with {status}; hint: run `agent` to see why"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("the agent did not come up in time; hint: run `agent` to see why".to_owned())
}

/// Whether it is a folder that was made for a command and its socket.
fn is_its_folder(folder: &Path, environment: &Environment) -> bool {
    let is_named = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FOLDER));
    is_named && Place::find(environment).socket.parent() == Some(folder)
}

impl Own {
    fn take(environment: &Environment) -> Result<Option<Self>, String> {
        if let Some(listener) = listenfd::ListenFd::from_env().take_unix_listener(0).ok().flatten() {
            return Ok(Some(Self { listener: Some(listener), socket: None, _lock: None }));
        }
        let place = Place::find(environment);
        place.prepare()?;
        let socket = place.socket.clone();
        let told = |what: &str, error: io::Error| format!("cannot {what} {}: {error}", socket.display());
        let mut lock = socket.clone().into_os_string();
        lock.push(".lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock);
        let lock = lock.map_err(|error| told("lock", error))?;
        let limit = Instant::now() + END_LIMIT;
        while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            // One that is still giving back does not listen any more: its place is free in a moment.
            if std::os::unix::net::UnixStream::connect(&socket).is_ok() || Instant::now() > limit {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Whoever had it is gone, or the lock would be held: a socket that is left there is nobody's.
        match fs::symlink_metadata(&socket) {
            Ok(left) if left.file_type().is_socket() => {
                fs::remove_file(&socket).map_err(|error| told("replace", error))?;
            }
            Ok(_) => return Err(format!("{} is there and is no socket", socket.display())),
            Err(_) => {}
        }
        // Closed to others from the first moment: its folder is.
        let listener = std::os::unix::net::UnixListener::bind(&socket);
        let listener = listener.map_err(|error| told("listen at", error))?;
        place.close_to_others().map_err(|error| told("close to others", error))?;
        Ok(Some(Self { listener: Some(listener), socket: Some(socket), _lock: Some(lock) }))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            // Somebody may have removed it before.
            let _ = fs::remove_file(socket);
        }
    }
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
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
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
        _ = hang_up.recv() => {}
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
