//! args → one call → exit code; the only stdin, stdout, stderr and exit.

#![expect(clippy::disallowed_methods, reason = "this is the one file that holds the process's streams")]

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use docker_credential_lease::cli::{
    self, AGENT_USAGE, Command, HELP, KUBELET_USAGE, RUN_USAGE, USAGE, VERSION,
};
use docker_credential_lease::commands::{self, Outcome};
use docker_credential_lease::environment::{self, Environment};
use docker_credential_lease::error::{one_line, shorten};
use docker_credential_lease::log;
use docker_credential_lease::lookup::Session;
use docker_credential_lease::protocol::{self, Collected, Input, Verb};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use secrecy::zeroize::Zeroizing;

/// How long a verb that needs no input waits for its end: clients write before they read, people do not.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let started = Instant::now();
    let environment = Environment::Process;
    log::start(&environment, |event| {
        // A log that cannot be written changes no answer.
        let _ = writeln!(io::stderr(), "docker-credential-lease: {event}");
    });
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match cli::parse(&arguments) {
        Command::Agent(word) => tell(&commands::agent(&word, &environment)),
        Command::AgentUsage(why) => misused(&why, AGENT_USAGE),
        Command::Run(words) => {
            let (code, err) = commands::run(&words, &environment);
            let _ = io::stderr().write_all(err.as_bytes());
            ExitCode::from(code)
        }
        Command::RunUsage(why) => misused(&why, RUN_USAGE),
        Command::Help => say(HELP, true),
        Command::Kubelet => kubelet(&environment, started),
        Command::KubeletUsage(why) => misused(&why, KUBELET_USAGE),
        Command::Protocol(verb) => serve(verb, &environment, started),
        Command::Usage(why) if why.is_empty() => say(&format!("{USAGE}\n"), false),
        Command::Usage(why) => say(&format!("{}\n{USAGE}\n", shorten(&one_line(&why), 200)), false),
        Command::Version => say(&format!("{VERSION}\n"), true),
    }
}

fn serve(verb: Verb, environment: &Environment, started: Instant) -> ExitCode {
    without_empty_variables();
    let session = Session::open(environment, started);
    let mut stdin = Stdin;
    if verb == Verb::List {
        stdin.drain();
    }
    match protocol::serve(verb, &mut stdin, &mut io::stdout().lock(), &session) {
        Ok(written) => code(written.is_ok()),
        Err(error) => {
            log::event(|| error.to_string());
            write(&error.line());
            ExitCode::FAILURE
        }
    }
}

fn kubelet(environment: &Environment, started: Instant) -> ExitCode {
    without_empty_variables();
    let session = Session::open(environment, started);
    match commands::kubelet(&mut Stdin, &mut io::stdout().lock(), &session) {
        Ok(written) => code(written.is_ok()),
        Err(error) => {
            // Nobody is left to be told that stderr is gone.
            let _ = write!(io::stderr(), "docker-credential-lease: {}", error.line());
            ExitCode::FAILURE
        }
    }
}

/// Starts this program anew without the variables that count as unset and mislead the AWS SDK: no process can safely
/// unset its own. Where that does not work, they stay.
fn without_empty_variables() {
    let empty = environment::empty_aws_variables();
    let Some(program) = std::env::current_exe().ok().filter(|_| !empty.is_empty()) else { return };
    let mut anew = process::Command::new(program);
    anew.args(std::env::args_os().skip(1));
    for name in empty {
        anew.env_remove(name);
    }
    // It only comes back where it failed.
    let _ = anew.exec();
}

/// Says on stderr what cannot be taken, and what can.
fn misused(why: &str, usage: &str) -> ExitCode {
    let why = shorten(&one_line(why), 200);
    let _ = writeln!(io::stderr(), "docker-credential-lease: {why}\n{usage}");
    ExitCode::from(2)
}

/// Prints what a command ended in.
fn tell(outcome: &Outcome) -> ExitCode {
    // Nobody is left to be told that stderr is gone.
    let _ = io::stderr().write_all(outcome.err.as_bytes());
    code(write(&outcome.out) && outcome.success)
}

/// Reads stdin away, then prints: a helper that leaves earlier breaks clients that are still writing.
fn say(text: &str, success: bool) -> ExitCode {
    Stdin.drain();
    code(write(text) && success)
}

fn write(text: &str) -> bool {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
}

fn code(success: bool) -> ExitCode {
    if success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The process's stdin, read under a deadline.
struct Stdin;

impl Stdin {
    /// Reads what a client has written, without waiting for a person.
    fn drain(&mut self) {
        if !io::stdin().is_terminal() {
            self.collect(0, Instant::now() + DRAIN_LIMIT);
        }
    }
}

impl Input for Stdin {
    fn collect(&mut self, keep: usize, until: Instant) -> Collected {
        let mut stdin = io::stdin().lock();
        let (mut kept, mut too_long) = (Zeroizing::new(Vec::new()), false);
        let mut chunk = Zeroizing::new([0; 4 * 1024]);
        loop {
            if !is_ready(until) {
                return Collected::Late;
            }
            match stdin.read(chunk.as_mut_slice()) {
                Ok(0) => break,
                Ok(read) => {
                    too_long |= kept.len() + read > keep;
                    if !too_long {
                        kept.extend_from_slice(&chunk[..read]);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A closed stdin holds nothing.
                Err(_) => break,
            }
        }
        if too_long { Collected::TooLong } else { Collected::All(kept) }
    }
}

/// Waits until stdin can be read, or has ended; false where the time is over.
fn is_ready(until: Instant) -> bool {
    let stdin = io::stdin();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // An input that pours without end is always ready.
        if left.is_zero() {
            return false;
        }
        let Ok(timeout) = Timespec::try_from(left) else { return false };
        let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut watched, Some(&timeout)) {
            Ok(0) => return false,
            Err(rustix::io::Errno::INTR) => {}
            // What cannot be waited for is read at once.
            Ok(_) | Err(_) => return true,
        }
    }
}
