//! Leases: one while the command runs, none afterwards, however it ends.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{Held, User};
use crate::support::relay::Relay;
use crate::support::servers::Bao;

/// A mount of the ssh engine that makes one-time passwords, and a user whose rule asks it.
struct Otp {
    bao: Bao,
    path: String,
    relay: Relay,
}

impl Otp {
    fn find() -> Option<Self> {
        let bao = Bao::find()?;
        let mount = bao.mount(&json!({"type": "ssh"}));
        let role = json!({"key_type": "otp", "default_user": "hubuser", "cidr_list": "127.0.0.0/8"});
        bao.call("POST", &format!("{mount}/roles/otp"), &role);
        let relay = Relay::to(&bao.address);
        Some(Self { bao, path: format!("{mount}/creds/otp"), relay })
    }

    fn user(&self, token: &str) -> User {
        let config = format!(
            "[registry.\"docker.io\"]\nsource = \"vault\"\npath = \"{}\"\nmethod = \"POST\"\n\
             body = {{ ip = \"127.0.0.1\" }}\npassword-key = \"key\"\n",
            self.path
        );
        User::with_config(&config).env("VAULT_ADDR", self.relay.url()).env("VAULT_TOKEN", token)
    }

    fn leases(&self) -> usize {
        self.bao.leases(&self.path).len()
    }

    /// In the middle of a command that has asked ten times, in turn and at once.
    fn in_the_middle<'u>(&self, user: &'u User, after: &str) -> Held<'u> {
        let held = user.held(ASK_TEN_TIMES, after);
        let answers: Vec<&str> = held.said.lines().collect();
        assert!(answers.len() == 10 && answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert!(answers[0].contains("\"Username\":\"hubuser\""), "{answers:?}");
        // One made it, and one asked how long the token lives that it hangs on.
        assert_eq!((self.leases(), self.relay.counts().1), (1, 2));
        held
    }

    /// Once `run` is gone, without its help.
    fn are_given_back_soon(&self) {
        let limit = Instant::now() + Duration::from_secs(5);
        while self.leases() > 0 {
            assert!(Instant::now() < limit, "the lease is still there");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

const ASK_TEN_TIMES: &str = "get() { echo docker.io | docker-credential-lease get; }\n\
    get; get; get; get; get & get & get & get & get & get & wait";

#[test]
fn ten_questions_are_one_lease_and_it_is_given_back_at_the_end() {
    let Some(otp) = Otp::find() else { return };
    let user = otp.user(&otp.bao.token);
    let answer = otp.in_the_middle(&user, "exit 3").go_on();
    assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (Some(3), "", ""));
    assert_eq!(
        (otp.leases(), otp.relay.counts().1),
        (0, 3),
        "the write, the look at the token, then the revocation"
    );
}

#[test]
fn it_is_given_back_before_run_ends_when_a_signal_goes_on_to_the_command() {
    let Some(otp) = Otp::find() else { return };
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let otp =
            Otp { path: otp.path.clone(), relay: Relay::to(&otp.bao.address), bao: Bao::find().unwrap() };
        let user = otp.user(&otp.bao.token);
        let held = otp.in_the_middle(&user, "");
        held.signal(signal);
        assert_eq!(held.end().code, Some(code));
        assert_eq!(otp.leases(), 0);
    }
}

#[test]
fn it_is_given_back_when_the_command_is_killed_or_interrupted() {
    let Some(otp) = Otp::find() else { return };
    for (signal, code) in [(Signal::KILL, 137), (Signal::INT, 130)] {
        let otp =
            Otp { path: otp.path.clone(), relay: Relay::to(&otp.bao.address), bao: Bao::find().unwrap() };
        let user = otp.user(&otp.bao.token);
        let mut held = otp.in_the_middle(&user, "");
        let listed = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().unwrap().stdout;
        let (own, listed) = (held.child.id().to_string(), String::from_utf8(listed).unwrap());
        let mut children: Vec<i32> = listed
            .lines()
            .filter_map(|line| line.trim().split_once(' '))
            .filter(|(_, parent)| parent.trim() == own)
            .map(|(pid, _)| pid.parse().unwrap())
            .collect();
        let agent = user.agents()[0].as_raw_nonzero().get();
        children.retain(|pid| *pid != agent);
        assert_eq!(children.len(), 1);
        kill_process(Pid::from_raw(children[0]).unwrap(), signal).unwrap();
        held.child.stdin.take();
        assert_eq!(held.end().code, Some(code));
        assert_eq!(otp.leases(), 0);
    }
}

#[test]
fn it_is_given_back_by_the_agent_when_run_is_killed() {
    let Some(otp) = Otp::find() else { return };
    let user = otp.user(&otp.bao.token);
    let held = otp.in_the_middle(&user, "");
    held.signal(Signal::KILL);
    otp.are_given_back_soon();
    user.has_nothing_left();
    drop(held.go_on());
}

#[test]
fn an_agent_that_is_told_to_end_gives_it_back_and_leaves_the_folder_to_the_command() {
    let Some(otp) = Otp::find() else { return };
    let user = otp.user(&otp.bao.token);
    let held = otp.in_the_middle(&user, "cat \"$DOCKER_CONFIG/config.json\"");
    kill_process(user.agents()[0], Signal::TERM).unwrap();
    otp.are_given_back_soon();
    let answer = held.go_on();
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    assert!(answer.stdout.contains("credsStore"), "{}", answer.stdout);
}

#[test]
fn a_logout_inside_gives_it_back_at_once() {
    let Some(otp) = Otp::find() else { return };
    let user = otp.user(&otp.bao.token);
    let held = user.held(
        &format!("{ASK_TEN_TIMES}; echo https://index.docker.io/v1/ | docker-credential-lease erase"),
        "echo docker.io | docker-credential-lease get",
    );
    assert_eq!(otp.leases(), 0);
    assert!(held.go_on().stdout.contains("hubuser"));
    assert_eq!(otp.leases(), 0);
}

#[test]
fn one_that_cannot_be_given_back_is_named_and_the_exit_code_stays_the_commands() {
    let Some(otp) = Otp::find() else { return };
    let token =
        otp.bao.token(&format!("path \"{}\" {{ capabilities = [\"create\", \"update\"] }}", otp.path));
    let user = otp.user(&token);
    let held = otp.in_the_middle(&user, "exit 3");
    let lease = otp.bao.leases(&otp.path).remove(0);
    let started = Instant::now();
    let answer = held.go_on();
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
    let said =
        format!("docker-credential-lease: the lease {lease} could not be given back: permission denied");
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(3), ""));
    assert!(answer.stderr.starts_with(&said) && answer.stderr.lines().count() == 1, "{}", answer.stderr);
    assert!(!answer.stderr.contains(&token));
}

#[test]
fn nothing_of_it_is_in_a_file_or_in_the_words_of_a_process() {
    let Some(otp) = Otp::find() else { return };
    let user = otp.user(&otp.bao.token);
    let held = otp.in_the_middle(&user, "");
    let answer: serde_json::Value = serde_json::from_str(held.said.lines().next().unwrap()).unwrap();
    let secret = answer["Secret"].as_str().unwrap();
    let search =
        Command::new("grep").args(["-rIlF", "-D", "skip", secret]).arg(user.home()).output().unwrap();
    assert_eq!(String::from_utf8(search.stdout).unwrap(), "");
    let listed = Command::new("ps").args(["-A", "-ww", "-o", "args="]).output().unwrap().stdout;
    assert!(!String::from_utf8_lossy(&listed).contains(secret));
    // What the caller's environment holds is no business of the agent's.
    #[cfg(target_os = "linux")]
    {
        let environ = format!("/proc/{}/environ", user.agents()[0].as_raw_nonzero());
        // Nobody but root may look at all.
        let text = String::from_utf8_lossy(&fs::read(environ).unwrap_or_default()).into_owned();
        let names: Vec<&str> = text.split_terminator('\0').filter_map(|one| one.split('=').next()).collect();
        assert!(names.is_empty() || names == ["DOCKER_CREDENTIAL_LEASE_SOCKET"], "{names:?}");
    }
    drop(held.go_on());
}
