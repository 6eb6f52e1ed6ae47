//! Identity tokens: what a CI job, a pod or a program shows in place of a secret, and where it comes from.

mod circleci;
mod command;
mod github;
mod reached;
mod stated;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;

use crate::support::Answer;
use crate::support::program::write_script;

/// A folder with a program of this name that notes its arguments, one a line, and then does what the text says; and
/// nothing else, so that it can be the whole `PATH`.
struct Program {
    folder: TempDir,
}

impl Program {
    fn new(name: &str, text: &str) -> Self {
        let program = Self { folder: tempfile::tempdir().unwrap() };
        let note = format!("printf '%s\\n' \"$@\" >> '{}'", program.file("arguments").display());
        write_script(&program.file(name), &format!("{note}\n{text}"));
        program
    }

    fn path(&self) -> String {
        self.folder.path().display().to_string()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The arguments of all its calls; none where it was not called.
    fn asked(&self) -> Vec<String> {
        fs::read_to_string(self.file("arguments")).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// Has the program tell its process, and never end.
const HANGS: &str = "echo $$ > \"${0%/*}/pid\"\nexec /bin/sleep 60";

impl Program {
    /// The process of a program that hangs, once it runs.
    fn process(&self) -> Option<i32> {
        fs::read_to_string(self.file("pid")).ok()?.trim().parse().ok()
    }

    /// The program that hung was ended, and ends now.
    #[track_caller]
    fn is_ended(&self) {
        let process = self.process().expect("it ran");
        let limit = Instant::now() + Duration::from_secs(3);
        // One that has ended stays a zombie until its new parent notices.
        let is_zombie =
            || fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") Z "));
        while test_kill_process(Pid::from_raw(process).unwrap()).is_ok() && !is_zombie() {
            assert!(Instant::now() < limit, "it still runs");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Whether nothing that the answer says, the log included, holds any of these.
#[track_caller]
fn tells_nothing_of(answer: &Answer, secrets: &[&str]) {
    for secret in secrets {
        assert!(!answer.stdout.contains(secret) && !answer.stderr.contains(secret), "{secret}: {answer:?}");
    }
}

/// Writes what only the user can read.
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
