//! Program: a command whose output is a token, bounded in time and size.

use std::io;
use std::path::Path;
use std::process::Stdio;

use secrecy::zeroize::Zeroizing;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::ask::Ask;
use crate::error::{Kind, Problem};
use crate::file;

/// The longest output that is read: tokens are a few KiB.
const LIMIT: u64 = 64 * 1024;

/// Why there is no output.
pub(super) enum Failure {
    /// There is no such program.
    Missing(String),
    /// It was started and gave nothing that can be used.
    Failed(Problem),
}

impl Failure {
    /// The sentence, for a program that the config names.
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Missing(program) => {
                Problem::new(Kind::Unauthenticated, format!("there is no program `{program}`"))
                    .hint("install it where PATH finds it, or write its whole path in command")
            }
            Self::Failed(problem) => problem,
        }
    }
}

/// The words with the program's place: PATH finds a bare name; anything else is beside the config, since the folder
/// that a client happens to stand in may be a stranger's.
pub(super) fn located(
    mut words: Vec<String>,
    folder: Option<&Path>,
    home: Option<&Path>,
) -> Result<Vec<String>, &'static str> {
    if words[0].contains('/') {
        let place = file::located(&words[0], folder, home)?;
        words[0] = place.to_str().ok_or("its path is not UTF-8")?.to_owned();
    }
    Ok(words)
}

/// What the program prints. Its stderr is not shown, since nobody can say what stands there.
pub(super) async fn output(words: &[String], ask: &Ask<'_>) -> Result<Zeroizing<String>, Failure> {
    let program = &words[0];
    let failed = |cause: String| {
        let problem = Problem::new(Kind::Unauthenticated, cause);
        Failure::Failed(problem.hint("run it by hand to see what it says"))
    };
    let mut child = Command::new(program)
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Missing(program.clone()),
            _ => failed(format!("`{program}` cannot be started: {error}")),
        })?;
    let mut printed = Zeroizing::new(Vec::new());
    let run = async {
        if let Some(stdout) = child.stdout.take() {
            stdout.take(LIMIT + 1).read_to_end(&mut printed).await?;
        }
        if printed.len() as u64 > LIMIT {
            return Ok(None);
        }
        child.wait().await.map(Some)
    };
    let limit = ask.limits.connect;
    let ended: io::Result<_> = tokio::time::timeout_at(limit.at().into(), run)
        .await
        .map_err(|_| failed(format!("`{program}` did not end within {limit}")))?;
    match ended {
        Ok(Some(status)) if status.success() => {}
        Ok(Some(status)) => return Err(failed(format!("`{program}` failed with {status}"))),
        Ok(None) => return Err(failed(format!("`{program}` printed more than a token"))),
        Err(error) => return Err(failed(format!("`{program}` cannot be read: {error}"))),
    }
    String::from_utf8(std::mem::take(&mut *printed))
        .map(Zeroizing::new)
        .map_err(|_| failed(format!("`{program}` printed what is not UTF-8")))
}
