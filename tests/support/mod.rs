//! The helper in a home of its own, with an environment of its own.

pub(crate) mod agent;
pub(crate) mod app_role;
pub(crate) mod gate;
pub(crate) mod hostile;
pub(crate) mod jwt;
pub(crate) mod kv;
pub(crate) mod own_agent;
pub(crate) mod own_bao;
pub(crate) mod own_moto;
pub(crate) mod own_postgres;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod recorder;
pub(crate) mod relay;
pub(crate) mod servers;
pub(crate) mod sluice;
pub(crate) mod tls;
pub(crate) mod users;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use tempfile::TempDir;

/// Docker's own sentence, with its line end.
pub(crate) const NOT_FOUND: &str = "credentials not found in native keychain\n";

/// The built helper, ready to be called.
pub(crate) struct Helper {
    home: TempDir,
    variables: Vec<(String, String)>,
}

impl Helper {
    /// Without any config or variable but `HOME`, `PATH` and what keeps it off the network.
    pub(crate) fn new() -> Self {
        // With a looser one of the caller's, a group could write the config, and the helper would refuse it.
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let home = tempfile::Builder::new().prefix("lease-test").tempdir().unwrap();
        Self { home, variables: Vec::new() }
    }

    /// With this text in the user's config file.
    pub(crate) fn with_config(text: &str) -> Self {
        let helper = Self::new();
        let folder = helper.home().join(".config/docker-credential-lease");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.toml"), text).unwrap();
        helper
    }

    /// The user's home, which goes with the helper.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The user's config file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.home().join(".config/docker-credential-lease/config.toml")
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn envs(self, variables: &[(&str, &str)]) -> Self {
        variables.iter().fold(self, |helper, (name, value)| helper.env(name, *value))
    }

    pub(crate) fn get(&self, asked: impl AsRef<[u8]>) -> Answer {
        self.run(&["get"], asked)
    }

    pub(crate) fn erase(&self, asked: impl AsRef<[u8]>) -> Answer {
        self.run(&["erase"], asked)
    }

    pub(crate) fn store(&self, server: &str, username: &str, secret: &str) -> Answer {
        let given = serde_json::json!({"ServerURL": server, "Username": username, "Secret": secret});
        self.run(&["store"], given.to_string())
    }

    pub(crate) fn list(&self) -> Answer {
        self.run(&["list"], "unused")
    }

    /// The command, for tests that feed or watch it themselves.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docker-credential-lease"));
        command.args(arguments).env_clear().env("HOME", self.home()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // Whoever runs the tests may have an agent of their own.
        command.env("XDG_RUNTIME_DIR", self.home().join("no-runtime-folder"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir(self.home());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Answer {
        Answer::of(&mut self.command(arguments), input.as_ref())
    }
}

/// What a call ended in.
#[must_use = "assert what it is"]
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// What the command says to the input.
    pub(crate) fn of(command: &mut Command, input: &[u8]) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A helper that leaves before it has read everything breaks clients: the write must succeed.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input).expect("the helper reads its input to the end");
        drop(stdin);
        Self::from_output(child.wait_with_output().unwrap())
    }

    /// What the command says to an input that need not end, and how long it took; a command that has not ended after
    /// five seconds is ended, and the test with it.
    pub(crate) fn in_time(command: &mut Command, stdin: impl Into<Stdio>) -> (Self, Duration) {
        let started = Instant::now();
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if started.elapsed() > Duration::from_secs(5) {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("it did not end: {command:?}");
            }
            thread::sleep(Duration::from_millis(5));
        }
        let took = started.elapsed();
        (Self::from_output(child.wait_with_output().unwrap()), took)
    }

    /// What a process that has ended said.
    pub(crate) fn from_output(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// Exactly this credential for exactly what was asked.
    #[track_caller]
    pub(crate) fn is_found(&self, asked: &str, username: &str, secret: &str) {
        let encode = |text: &str| serde_json::to_string(text).unwrap();
        let line = format!(
            "{{\"ServerURL\":{},\"Username\":{},\"Secret\":{}}}\n",
            encode(asked),
            encode(username),
            encode(secret)
        );
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.as_str()), (Some(0), line.as_str(), ""));
    }

    #[track_caller]
    pub(crate) fn is_not_found(&self) {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.as_str()), (Some(1), NOT_FOUND, ""));
    }

    /// Success that says nothing.
    #[track_caller]
    pub(crate) fn is_silent(&self) {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.as_str()), (Some(0), "", ""));
    }

    /// Success, whatever the log says.
    #[track_caller]
    pub(crate) fn succeeds(&self) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(0), ""), "{self:?}");
    }

    #[track_caller]
    pub(crate) fn is_line(&self, line: &str) {
        assert_eq!(
            (self.code, self.stdout.trim_end_matches('\n'), self.stderr.as_str()),
            (Some(1), line, "")
        );
    }

    /// A failure as the protocol wants it: exit 1, one line on stdout of at most 500 bytes that holds every one of
    /// `parts` and not the not-found sentence; nothing on stderr.
    #[track_caller]
    pub(crate) fn fails_with(&self, parts: &[&str]) -> &str {
        assert_eq!((self.code, self.stderr.as_str()), (Some(1), ""), "{self:?}");
        let line = self.stdout.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {self:?}"));
        assert!(!line.is_empty() && !line.contains('\n') && self.stdout.len() <= 500, "{self:?}");
        assert!(!line.contains(NOT_FOUND.trim_end()), "{line}");
        for part in parts {
            assert!(line.contains(part), "{part:?} is not in: {line}");
        }
        line
    }
}
