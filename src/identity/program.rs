//! Program: a command whose output is a token, bounded in time and size.

use std::path::Path;

use secrecy::zeroize::Zeroizing;
use tokio::process::Command;

use crate::ask::Ask;
use crate::error::{Kind, Problem};
use crate::{file, program};

/// The longest output that is read: tokens are a few KiB.
const LIMIT: usize = 64 * 1024;

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

/// What the program prints.
pub(super) async fn output(words: &[String], ask: &Ask<'_>) -> Result<Zeroizing<String>, Failure> {
    let program = &words[0];
    let failed = |cause: String| {
        let problem = Problem::new(Kind::Unauthenticated, cause);
        Failure::Failed(problem.hint("run it by hand to see what it says"))
    };
    let mut command = Command::new(program);
    command.args(&words[1..]);
    let limit = ask.limits.connect;
    let mut printed = program::run(command, &[], LIMIT, limit).await.map_err(|failure| match failure {
        program::Failure::Late => failed(format!("`{program}` did not end within {limit}")),
        program::Failure::Missing => Failure::Missing(program.clone()),
        program::Failure::NotStarted(error) => failed(format!("`{program}` cannot be started: {error}")),
        program::Failure::TooMuch => failed(format!("`{program}` printed more than a token")),
        program::Failure::Unread(error) => failed(format!("`{program}` cannot be read: {error}")),
    })?;
    if !printed.status.success() {
        return Err(failed(format!("`{program}` failed with {}", printed.status)));
    }
    String::from_utf8(std::mem::take(&mut *printed.stdout))
        .map(Zeroizing::new)
        .map_err(|_| failed(format!("`{program}` printed what is not UTF-8")))
}
