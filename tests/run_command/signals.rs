//! Signals, without a terminal: what is sent to `run`, and what the command inherits.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{User, held_script};
use crate::support::Answer;

#[test]
fn term_and_hup_go_on_to_the_command_and_int_and_quit_do_not() {
    let user = User::new();
    let traps = "for s in TERM HUP INT QUIT; do trap \"echo got $s\" $s; done";
    for (signal, said) in [(Signal::TERM, "got TERM\n"), (Signal::HUP, "got HUP\n")] {
        let mut held = user.held(traps, "exit 6");
        held.signal(signal);
        assert_eq!(held.line(), said);
        let answer = held.go_on();
        assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (Some(6), "", ""));
    }
    for signal in [Signal::INT, Signal::QUIT] {
        let held = user.held(traps, "exit 6");
        held.signal(signal);
        thread::sleep(Duration::from_millis(100));
        let answer = held.go_on();
        assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (Some(6), "", ""));
    }
}

#[test]
fn a_command_that_traps_nothing_ends_of_what_goes_on_to_it() {
    let user = User::new();
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let held = user.held("", "");
        held.signal(signal);
        let answer = held.end();
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(code), ""));
    }
}

#[test]
fn a_command_that_traps_nothing_dies_of_every_signal_of_its_own() {
    let user = User::new();
    for (name, code) in [("INT", 130), ("QUIT", 131), ("TERM", 143), ("HUP", 129), ("PIPE", 141)] {
        assert_eq!(user.script(&format!("ulimit -c 0; kill -{name} $$; sleep 5")).code, Some(code), "{name}");
    }
}

/// The program, started by a shell that has these signals ignored.
fn ignoring(user: &User, signals: &str, words: &[&str]) -> Command {
    let inside = user.bare(words);
    let mut shell = user.like(&inside, "sh");
    shell.args(["-c", &format!("trap '' {signals}; exec \"$@\""), "sh"]).arg(inside.get_program());
    shell.args(inside.get_args());
    shell
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_ignored_or_blocked_is_so_in_the_command_as_it_would_be_without_run() {
    let user = User::new();
    let asked = ["grep", "-E", "^Sig(Ign|Blk|Cgt):", "/proc/self/status"];
    for signals in ["USR1", "HUP USR1", "INT QUIT USR1", "TERM USR1"] {
        let mut without = Command::new("sh");
        without.args(["-c", &format!("trap '' {signals}; exec \"$@\""), "sh"]).args(asked);
        let without = Answer::of(&mut without, b"");
        let within = Answer::of(&mut ignoring(&user, signals, &asked), b"");
        // The C library has its own use for the ones above.
        let usual = |printed: &str| -> Vec<u64> {
            let masks = printed.split_whitespace().skip(1).step_by(2);
            masks.map(|mask| u64::from_str_radix(mask, 16).unwrap() & 0x7fff_ffff).collect()
        };
        assert_eq!(usual(&within.stdout), usual(&without.stdout), "{signals}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn who_is_started_by_nohup_outlives_the_terminal() {
    let user = User::new();
    let held = user.held_by(ignoring(&user, "HUP", &["sh", "-c", &held_script("", "exit 6")]));
    held.signal(Signal::HUP);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(held.go_on().code, Some(6));
}

#[test]
#[cfg(target_os = "linux")]
fn the_exit_code_is_known_where_the_caller_waits_for_no_child() {
    let user = User::new();
    let bare = user.bare(&["sh", "-c", "exit 7"]);
    // No shell does it.
    let mut command = user.like(&bare, "env");
    command.arg("--ignore-signal=CHLD").arg(bare.get_program()).args(bare.get_args());
    let answer = Answer::of(&mut command, b"");
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(7), ""));
    user.has_nothing_left();
}

#[test]
fn a_run_that_is_killed_leaves_neither_agent_nor_folder_and_its_command_lives() {
    let user = User::new();
    let held = user.held("echo $$", "");
    let command = Pid::from_raw(held.said.trim().parse().unwrap()).unwrap();
    assert!(held.folder.is_dir() && user.agents().len() == 1);
    held.signal(Signal::KILL);
    user.has_nothing_left();
    test_kill_process(command).unwrap();
    kill_process(command, Signal::KILL).unwrap();
    assert_eq!(held.end().code, None);
}

#[test]
fn an_agent_that_is_killed_is_told_and_the_command_goes_on() {
    let user = User::new();
    let held = user.held("", "exit 6");
    kill_process(user.agents()[0], Signal::KILL).unwrap();
    let answer = held.go_on();
    let said = "docker-credential-lease: the agent is gone, and gave nothing back: leases that it kept end when they expire\n";
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(6), said));
}

#[test]
fn a_signal_at_any_moment_leaves_nothing() {
    let user = User::new();
    user.docker_config(&serde_json::json!({"auths": {"ghcr.io": {"auth": "dTpw"}}}));
    for (at, signal) in [Signal::TERM, Signal::INT, Signal::HUP].into_iter().cycle().take(15).enumerate() {
        let mut child = user.command(&["sh", "-c", "sleep 0.2"]).spawn().unwrap();
        thread::sleep(Duration::from_millis(at as u64));
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait().unwrap();
        user.has_nothing_left();
    }
    assert_eq!(fs::read_dir(user.runtime()).unwrap().count(), 0);
}

#[test]
fn the_command_may_stop_the_agent_itself() {
    let user = User::new();
    // It keeps what it was given, and is not told that anything was lost.
    let stop = "docker-credential-lease agent stop && ! docker-credential-lease agent status";
    let answer = user.script(&format!("{stop} && cat \"$DOCKER_CONFIG/config.json\""));
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), "docker-credential-lease: no agent runs\n"));
    assert!(answer.stdout.contains("credsStore"), "{}", answer.stdout);
}
