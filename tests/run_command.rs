//! `run -- COMMAND`: what the command gets, what it finds wired, and that nothing is left.

mod command;
mod containers;
mod fallback;
mod leases;
mod logins;
mod signals;
#[cfg(target_os = "linux")]
mod terminal;
mod wiring;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Answer, Helper};

/// One user with a runtime folder, in which `run` must leave nothing behind.
pub(crate) struct User {
    helper: Helper,
}

impl User {
    fn new() -> Self {
        Self::of(Helper::new())
    }

    fn with_config(text: &str) -> Self {
        Self::of(Helper::with_config(text))
    }

    fn of(helper: Helper) -> Self {
        let runtime = helper.home().join("runtime");
        fs::DirBuilder::new().mode(0o700).create(&runtime).unwrap();
        let bin = helper.home().join("bin");
        fs::create_dir(&bin).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Self { helper: helper.env("XDG_RUNTIME_DIR", runtime.to_str().unwrap()).env("PATH", path) }
    }

    fn env(self, name: &str, value: impl Into<String>) -> Self {
        Self { helper: self.helper.env(name, value) }
    }

    fn home(&self) -> &Path {
        self.helper.home()
    }

    fn runtime(&self) -> PathBuf {
        self.home().join("runtime")
    }

    /// Writes a file of the user's, below the home.
    fn file(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The user's `~/.docker/config.json`.
    fn docker_config(&self, config: &Value) -> PathBuf {
        self.file(".docker/config.json", config.to_string())
    }

    /// A program of the user's that is on PATH.
    fn program(&self, name: &str, script: &str) {
        let path = self.file(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `run` with the words, its signals as a terminal has them: a script's `&` has some ignored.
    fn command(&self, words: &[&str]) -> Command {
        let bare = self.bare(words);
        if !cfg!(target_os = "linux") {
            return bare;
        }
        let mut command = self.like(&bare, "env");
        command.arg("--default-signal=INT,QUIT,TERM,HUP").arg(bare.get_program()).args(bare.get_args());
        command
    }

    fn bare(&self, words: &[&str]) -> Command {
        self.helper.command(&[&["run", "--"], words].concat())
    }

    /// Another program where and with what this one is run.
    fn like(&self, command: &Command, program: &str) -> Command {
        let mut other = Command::new(program);
        other.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        other.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir(self.home());
        other
    }

    /// What a script inside ends in; nothing may be left.
    fn script(&self, text: &str) -> Answer {
        let answer = Answer::of(&mut self.command(&["sh", "-c", text]), b"");
        self.has_nothing_left();
        answer
    }

    /// What the script prints, which must succeed and say nothing on stderr.
    #[track_caller]
    fn prints(&self, text: &str) -> String {
        let answer = self.script(text);
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{text}: {answer:?}");
        answer.stdout
    }

    /// A script that runs until it is told to go on: it says `ready`, and reads a line.
    fn held(&self, before: &str, after: &str) -> Held<'_> {
        self.held_by(self.command(&["sh", "-c", &held_script(before, after)]))
    }

    fn held_by(&self, mut command: Command) -> Held<'_> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.ends_with("ready\n") {
            let read = stdout.read_line(&mut said).unwrap();
            assert!(read > 0, "it ended before it was ready: {said}");
        }
        let folder = fs::read_dir(self.runtime()).unwrap().map(|entry| entry.unwrap().path());
        let folder = folder.last().unwrap_or_default();
        Held { user: self, child, stdout, said: said.trim_end_matches("ready\n").to_owned(), folder }
    }

    /// Neither folder nor process.
    #[track_caller]
    fn has_nothing_left(&self) {
        let left = || fs::read_dir(self.runtime()).unwrap().count() + self.agents().len();
        let limit = Instant::now() + Duration::from_secs(5);
        while left() > 0 {
            assert!(Instant::now() < limit, "left: {:?} {:?}", fs::read_dir(self.runtime()), self.agents());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The agents of this user's runs.
    fn agents(&self) -> Vec<Pid> {
        let listed = Command::new("ps").args(["-A", "-ww", "-o", "pid=,args="]).output().unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let own = format!("agent --for {}", self.runtime().display());
        let pid =
            |line: &str| Pid::from_raw(line.split_whitespace().next().unwrap().parse().unwrap()).unwrap();
        listed.lines().filter(|line| line.contains(&own)).map(pid).collect()
    }
}

fn held_script(before: &str, after: &str) -> String {
    format!("{before}\necho ready\nread -r go\n{after}")
}

/// A `run` in the middle.
struct Held<'u> {
    user: &'u User,
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it printed before it was ready.
    said: String,
    /// The private folder.
    folder: PathBuf,
}

impl Held<'_> {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Lets the script go on; what it ends in.
    fn go_on(mut self) -> Answer {
        let _ = self.child.stdin.take().unwrap().write_all(b"go\n");
        self.end()
    }

    /// What it ends in, once it does so by itself.
    fn end(mut self) -> Answer {
        let limit = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > limit {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("it did not end");
            }
            thread::sleep(Duration::from_millis(5));
        }
        // A command that has outlived it, and still reads, ends now.
        drop(self.child.stdin.take());
        let mut stdout = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut stdout).unwrap();
        let output = self.child.wait_with_output().unwrap();
        self.user.has_nothing_left();
        Answer { stdout, ..Answer::from_output(output) }
    }

    /// The JSON in a file of the private folder.
    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.folder.join(name)).unwrap()).unwrap()
    }
}
