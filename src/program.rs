//! Program: another program, run for what it prints: fed, bounded in time and size, and ended where it does not end.

use std::fs::File;
use std::io;
use std::process::{ExitStatus, Stdio};

use futures_util::future::join;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::deadline::Deadline;

/// What it ended in.
pub struct Printed {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything on its stdout.
    pub stdout: Zeroizing<Vec<u8>>,
}

/// Why it gave nothing.
pub enum Failure {
    /// It did not end in time.
    Late,
    /// There is no such program.
    Missing,
    /// It cannot be started.
    NotStarted(io::Error),
    /// It printed more than was to be read.
    TooMuch,
    /// It cannot be read from, or waited for.
    Unread(io::Error),
}

/// Runs the command, whose arguments and variables the caller has set. Its stderr is not heard, since nobody can say what
/// stands there. Where this future is dropped, or the program does not end in time, it is ended.
///
/// # Errors
/// [`Failure`]; how the program itself ended is none.
pub async fn run(
    mut command: Command,
    input: &[u8],
    limit: usize,
    until: Deadline,
) -> Result<Printed, Failure> {
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let is_apart = !has_terminal();
    if is_apart {
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::Missing,
        _ => Failure::NotStarted(error),
    })?;
    let mut group = Group(child.id().filter(|_| is_apart));
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let mut printed = Zeroizing::new(Vec::new());
    let feeding = async {
        if let Some(mut stdin) = stdin {
            // One that answers without reading is its own affair.
            let _ = stdin.write_all(input).await;
        }
    };
    let reading = async {
        match stdout {
            Some(stdout) => stdout.take(limit as u64 + 1).read_to_end(&mut printed).await,
            None => Ok(0),
        }
    };
    let running = async {
        let (read, ()) = join(reading, feeding).await;
        match read {
            Ok(read) if read > limit => Err(Failure::TooMuch),
            Ok(_) => child.wait().await.map_err(Failure::Unread),
            Err(error) => Err(Failure::Unread(error)),
        }
    };
    let status = tokio::time::timeout_at(until.at().into(), running).await.unwrap_or(Err(Failure::Late))?;
    group.0 = None;
    Ok(Printed { status, stdout: printed })
}

/// Whether a person may be asked something: a program that reads from the terminal is stopped in any group but its own
/// caller's.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// The program with all that it has started, as long as it has not ended.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(leader) = leader {
            // It may have ended a moment ago.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
