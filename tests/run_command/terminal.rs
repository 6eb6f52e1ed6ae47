//! A real terminal: `run` does not stand between it and the command.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::User;

/// A terminal with one program in a session of its own.
struct Terminal {
    keyboard: Option<File>,
    screen: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    is_gone: Arc<AtomicBool>,
    child: Child,
    seen: usize,
}

impl Terminal {
    /// `setsid --ctty` makes it the program's own terminal, and the program its foreground.
    fn with(user: &User, words: &[&str]) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal =
            rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let other = || -> OwnedFd { terminal.try_clone().unwrap() };
        let mut command = user.like(&user.bare(&[]), "setsid");
        command.args(["--ctty", "env", "--default-signal=INT,QUIT,TERM,HUP"]).args(words);
        command.env("ENV", "").env("PS1", "$ ").env("TERM", "dumb");
        let child = command.stdin(other()).stdout(other()).stderr(other()).spawn().unwrap();
        let mut reader = File::from(controller.try_clone().unwrap());
        let screen = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&screen);
        let is_gone = Arc::new(AtomicBool::new(false));
        let hung_up = Arc::clone(&is_gone);
        let reading = thread::spawn(move || {
            let (mut bytes, soon) = ([0; 4096], Timespec { tv_sec: 0, tv_nsec: 20_000_000 });
            while !hung_up.load(Ordering::SeqCst) {
                if let Ok(1..) = poll(&mut [PollFd::new(&reader, PollFlags::IN)], Some(&soon)) {
                    let Ok(read @ 1..) = reader.read(&mut bytes) else { return };
                    written.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
                }
            }
        });
        Self {
            keyboard: Some(File::from(controller)),
            screen,
            reader: Some(reading),
            is_gone,
            child,
            seen: 0,
        }
    }

    /// Takes the terminal away, as a lost connection does.
    fn hang_up(&mut self) {
        self.is_gone.store(true, Ordering::SeqCst);
        self.reader.take().unwrap().join().unwrap();
        drop(self.keyboard.take());
    }

    /// The program with `run -- sh -c SCRIPT`.
    fn running(user: &User, script: &str) -> Self {
        Self::with(user, &[env!("CARGO_BIN_EXE_docker-credential-lease"), "run", "--", "sh", "-c", script])
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until it is on the screen, after what was waited for before; what stands between.
    #[track_caller]
    fn shows(&mut self, text: &str) -> String {
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            let screen = self.screen.lock().unwrap().clone();
            if let Some(at) = screen[self.seen..].find(text) {
                let between = screen[self.seen..self.seen + at].to_owned();
                self.seen += at + text.len();
                return between;
            }
            if Instant::now() > limit {
                self.child.kill().unwrap();
                panic!("{text:?} does not come: {screen:?}");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the program has ended; its exit code.
    fn code(&mut self) -> Option<i32> {
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() > limit {
                self.child.kill().unwrap();
                panic!("it does not end: {:?}", self.screen.lock().unwrap());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn the_terminal_is_the_commands() {
    let user = User::new();
    let script = "test -t 0 && test -t 1 && test -t 2 && stty cols 97 && stty size && tty && read -r line && echo \"<$line>\"";
    let mut terminal = Terminal::running(&user, script);
    terminal.shows(" 97");
    terminal.shows("/dev/");
    terminal.press("typed\n");
    terminal.shows("<typed>");
    assert_eq!(terminal.code(), Some(0));
    user.has_nothing_left();
}

#[test]
fn ctrl_c_reaches_the_command_once_and_run_waits_for_it() {
    let user = User::new();
    let script = "trap 'echo inter''rupted' INT; echo rea''dy; read -r a; read -r b; echo e''nd; exit 4";
    let mut terminal = Terminal::running(&user, script);
    terminal.shows("ready");
    terminal.press("\u{3}");
    terminal.shows("interrupted");
    thread::sleep(Duration::from_millis(100));
    terminal.press("\n\n\n");
    assert!(!terminal.shows("end").contains("interrupted"), "only once");
    assert_eq!(terminal.code(), Some(4));
    user.has_nothing_left();
}

#[test]
fn a_command_that_traps_nothing_ends_of_the_keys() {
    let user = User::new();
    for (key, code) in [("\u{3}", 130), ("\u{1c}", 131)] {
        let mut terminal = Terminal::running(&user, "ulimit -c 0; echo rea''dy; exec sleep 30");
        terminal.shows("ready");
        terminal.press(key);
        assert_eq!(terminal.code(), Some(code));
        user.has_nothing_left();
    }
}

#[test]
fn ctrl_z_stops_both_and_fg_goes_on() {
    let user = User::new();
    let mut terminal = Terminal::with(&user, &["sh", "-i"]);
    terminal.shows("$ ");
    let program = env!("CARGO_BIN_EXE_docker-credential-lease");
    terminal.press(&format!("{program} run -- sh -c 'echo rea\"\"dy; read -r x; echo \"<$x>\"; exit 5'\n"));
    terminal.shows("ready");
    terminal.press("\u{1a}");
    terminal.shows("Stopped");
    terminal.shows("$ ");
    // The shell waits for `run` alone: the other one may still be reading.
    thread::sleep(Duration::from_millis(200));
    terminal.press("echo sh''ell; fg\n");
    terminal.shows("shell");
    terminal.shows("run --");
    thread::sleep(Duration::from_millis(50));
    terminal.press("typed\n");
    terminal.shows("<typed>");
    terminal.press("echo code''=$?\n");
    terminal.shows("code=5");
    terminal.press("exit\n");
    assert_eq!(terminal.code(), Some(0));
    user.has_nothing_left();
}

#[test]
fn a_shell_inside_has_job_control_of_its_own() {
    let user = User::new();
    let program = env!("CARGO_BIN_EXE_docker-credential-lease");
    let mut terminal = Terminal::with(&user, &[program, "run", "--", "sh", "-i"]);
    terminal.shows("$ ");
    terminal.press("sh -c 'echo beg\"\"un; exec sleep 30'\n");
    terminal.shows("begun");
    terminal.press("\u{3}");
    terminal.shows("$ ");
    terminal.press("sh -c 'echo ag\"\"ain; exec cat'\n");
    terminal.shows("again");
    terminal.press("\u{1a}");
    terminal.shows("Stopped");
    terminal.shows("$ ");
    terminal.press("fg\n");
    terminal.shows("cat");
    terminal.press("\u{4}exit 6\n");
    assert_eq!(terminal.code(), Some(6));
    user.has_nothing_left();
}

#[test]
fn a_terminal_that_goes_away_ends_the_command_and_leaves_nothing() {
    let user = User::new();
    let mut terminal = Terminal::running(&user, "echo rea''dy; exec sleep 30");
    terminal.shows("ready");
    terminal.hang_up();
    assert_eq!(terminal.code(), Some(129));
    user.has_nothing_left();
}
