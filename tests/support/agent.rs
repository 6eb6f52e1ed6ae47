//! An agent of the test's own, in a folder of its own, and words on its socket.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, Helper};

/// Names the socket.
pub(crate) const SOCKET: &str = "DOCKER_CREDENTIAL_LEASE_SOCKET";

/// An agent in the foreground; it ends with the test.
pub(crate) struct Agent {
    child: Option<Child>,
    folder: TempDir,
}

impl Agent {
    /// In an environment that holds nothing but its socket's path, and ready to answer.
    pub(crate) fn start() -> Self {
        Self::start_as(|_| {})
    }

    /// The same, with changes to the command.
    pub(crate) fn start_as(change: impl Fn(&mut Command)) -> Self {
        let mut agent = Self { child: None, folder: private_folder() };
        agent.start_again(change);
        agent
    }

    /// Another one in its place.
    pub(crate) fn start_again(&mut self, change: impl Fn(&mut Command)) {
        self.kill();
        let mut command = Command::new(env!("CARGO_BIN_EXE_docker-credential-lease"));
        command.arg("agent").env_clear().env(SOCKET, self.socket());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        change(&mut command);
        self.child = Some(command.spawn().unwrap());
        until("the agent answers", || UnixStream::connect(self.socket()).is_ok());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The helper, told where this agent is.
    pub(crate) fn serves(&self, helper: Helper) -> Helper {
        helper.env(SOCKET, self.socket().to_str().unwrap())
    }

    /// A helper without a config that talks to this agent.
    pub(crate) fn talker(&self) -> Helper {
        self.serves(Helper::new())
    }

    /// What `agent status --json` tells.
    pub(crate) fn status(&self) -> Value {
        let answer = self.talker().run(&["agent", "status", "--json"], "");
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
        serde_json::from_str(&answer.stdout).unwrap()
    }

    /// The credentials in it.
    pub(crate) fn kept(&self) -> Vec<Value> {
        self.status()["credentials"].as_array().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().expect("it runs")), signal).unwrap();
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What it ended in by itself, and how long that took.
    pub(crate) fn ended(&mut self) -> (Answer, Duration) {
        let started = Instant::now();
        let mut child = self.child.take().expect("it runs");
        while child.try_wait().unwrap().is_none() {
            if started.elapsed() > Duration::from_secs(15) {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the agent did not end");
            }
            thread::sleep(Duration::from_millis(5));
        }
        let took = started.elapsed();
        (Answer::from_output(child.wait_with_output().unwrap()), took)
    }

    /// A connection to it, for lines of the test's own.
    pub(crate) fn connect(&self) -> Line {
        Line::to(&self.socket())
    }

    /// A line of `/proc/PID/status`, in KiB.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An agent that started itself in the background; it ends with the test.
pub(crate) struct Detached {
    pub(crate) pid: u32,
}

impl Detached {
    /// The one that the helper talks to.
    pub(crate) fn of(helper: &Helper) -> Self {
        let answer = helper.run(&["agent", "status", "--json"], "");
        let status: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{answer:?}"));
        Self { pid: u32::try_from(status["pid"].as_u64().unwrap()).unwrap() }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap();
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }

    pub(crate) fn is_running(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.contains("docker-credent") && !stat.contains(") Z ")
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal(Signal::KILL);
        }
    }
}

/// A connection to an agent.
pub(crate) struct Line {
    reader: BufReader<UnixStream>,
    pub(crate) writer: UnixStream,
}

impl Line {
    pub(crate) fn to(socket: &Path) -> Self {
        let writer = UnixStream::connect(socket).unwrap();
        writer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { reader: BufReader::new(writer.try_clone().unwrap()), writer }
    }

    /// What is answered to the line; `None` where it hangs up.
    pub(crate) fn ask(&mut self, said: &Value) -> Option<Value> {
        self.say(format!("{said}\n").as_bytes());
        self.next()
    }

    /// What is answered to the words of this version.
    pub(crate) fn ask_now(&mut self, mut said: Value) -> Option<Value> {
        said["v"] = json!(1);
        self.ask(&said)
    }

    /// Writes as much as is taken.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        let _ = self.writer.write_all(bytes);
    }

    pub(crate) fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) => panic!("no answer: {error}"),
        }
    }
}

/// A folder that nobody else may enter.
pub(crate) fn private_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("lease-agent").tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < limit, "not within 10 s: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The answers to this many look-ups that begin together.
pub(crate) fn at_once(helper: &Helper, asked: &str, number: usize) -> Vec<Answer> {
    let start = |_| {
        let mut child = helper.command(&["get"]).spawn().unwrap();
        child.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
        child
    };
    let children: Vec<Child> = (0..number).map(start).collect();
    children.into_iter().map(|child| Answer::from_output(child.wait_with_output().unwrap())).collect()
}
