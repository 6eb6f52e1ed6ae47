//! How an agent begins and ends, and the words for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::{Kv, Otp, secret};
use crate::support::agent::{Agent, Detached, SOCKET, private_folder, until};
use crate::support::{Answer, Helper};

/// What the words say where nothing runs.
const NONE: &str = "docker-credential-lease: no agent runs\n";
const RUNS: &str = "an agent runs already\n";

fn helper_at(socket: &std::path::Path) -> Helper {
    Helper::new().env(SOCKET, socket.to_str().unwrap())
}

#[track_caller]
fn told(answer: &Answer, code: i32, stdout: &str, stderr: &str) {
    let all = (answer.code, answer.stdout.as_str(), answer.stderr.as_str());
    assert_eq!(all, (Some(code), stdout, stderr));
}

#[test]
fn without_one_status_and_flush_fail_and_stop_does_not() {
    let folder = private_folder();
    let helper = helper_at(&folder.path().join("agent.sock"));
    told(&helper.run(&["agent", "status"], ""), 1, "", NONE);
    told(&helper.run(&["agent", "status", "--json"], ""), 1, "", NONE);
    told(&helper.run(&["agent", "flush"], ""), 1, "", NONE);
    told(&helper.run(&["agent", "stop"], ""), 0, "", "");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn one_in_the_foreground_answers_until_it_is_stopped() {
    let mut agent = Agent::start();
    let status = agent.status();
    let socket = agent.socket();
    let expected = json!({
        "pid": agent.pid(), "version": env!("CARGO_PKG_VERSION"), "socket": socket, "credentials": [],
    });
    assert_eq!(status, expected);
    let line = format!("agent {} (pid {}) at {}\n", env!("CARGO_PKG_VERSION"), agent.pid(), socket.display());
    told(&agent.talker().run(&["agent", "status"], ""), 0, &line, "");
    told(&agent.talker().run(&["agent"], ""), 0, RUNS, "");
    told(&agent.talker().run(&["agent", "--detach"], ""), 0, RUNS, "");
    told(&agent.talker().run(&["agent", "stop"], ""), 0, "", "");
    assert!(!socket.exists());
    let (answer, _) = agent.ended();
    told(&answer, 0, "", "");
}

#[test]
fn a_detached_one_answers_when_the_command_returns_and_is_nobodys_child() {
    let folder = private_folder();
    let helper = helper_at(&folder.path().join("deep/er/agent.sock"));
    let mut command = helper.command(&["agent", "--detach"]);
    let (answer, took) = Answer::in_time(&mut command, Stdio::null());
    let agent = Detached::of(&helper);
    told(&answer, 0, "", "");
    assert!(took < Duration::from_secs(4), "{took:?}");
    told(&helper.run(&["agent", "--detach"], ""), 0, RUNS, "");
    let line = helper.run(&["agent", "status"], "").stdout;
    assert!(line.contains(&format!("(pid {})", agent.pid)), "{line}");
    // A session of its own: the terminal's signals and its end are not for it.
    let stat = fs::read_to_string(format!("/proc/{}/stat", agent.pid)).unwrap();
    let session = stat.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap().to_owned();
    assert_eq!(session, agent.pid.to_string());
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", agent.pid)).unwrap().to_str(), Some("/"));
    told(&helper.run(&["agent", "stop"], ""), 0, "", "");
    until("it has ended", || !agent.is_running());
}

#[test]
fn a_detached_one_holds_nothing_open_of_its_callers() {
    let folder = private_folder();
    let helper = helper_at(&folder.path().join("agent.sock"));
    let held = folder.path().join("lock");
    fs::write(&held, "").unwrap();
    let shell = "exec 7<\"$1\"; exec \"$0\" agent --detach";
    let own = helper.command(&[]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", shell]).arg(own.get_program()).arg(&held).env_clear();
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    told(&Answer::of(&mut command, b""), 0, "", "");
    let agent = Detached::of(&helper);
    let open = fs::read_dir(format!("/proc/{}/fd", agent.pid)).unwrap();
    let open: Vec<_> = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    assert!(!open.contains(&held), "{open:?}");
    told(&helper.run(&["agent", "stop"], ""), 0, "", "");
}

#[test]
fn a_relative_path_means_the_callers_folder() {
    let helper = Helper::new().env(SOCKET, "agent.sock");
    told(&helper.run(&["agent", "--detach"], ""), 0, "", "");
    let agent = Detached::of(&helper);
    assert!(helper.home().join("agent.sock").exists());
    told(&helper.run(&["agent", "stop"], ""), 0, "", "");
    until("it has ended", || !agent.is_running());
}

#[test]
fn of_many_that_start_at_once_one_wins() {
    let folder = private_folder();
    let helper = helper_at(&folder.path().join("agent.sock"));
    let start = |_| helper.command(&["agent", "--detach"]).stdin(Stdio::null()).spawn().unwrap();
    let children: Vec<_> = (0..8).map(start).collect();
    for child in children {
        let answer = Answer::from_output(child.wait_with_output().unwrap());
        assert!(answer.code == Some(0) && ["", RUNS].contains(&answer.stdout.as_str()), "{answer:?}");
    }
    let agent = Detached::of(&helper);
    told(&helper.run(&["agent", "stop"], ""), 0, "", "");
    until("it has ended", || !agent.is_running());
    told(&helper.run(&["agent", "status"], ""), 1, "", NONE);
}

#[test]
fn after_a_stop_another_one_starts_at_once() {
    let folder = private_folder();
    let helper = helper_at(&folder.path().join("agent.sock"));
    let mut before = None;
    for _ in 0..5 {
        told(&helper.run(&["agent", "--detach"], ""), 0, "", "");
        let agent = Detached::of(&helper);
        assert_ne!(before.replace(agent.pid), Some(agent.pid));
        told(&helper.run(&["agent", "stop"], ""), 0, "", "");
        told(&helper.run(&["agent", "status"], ""), 1, "", NONE);
    }
}

#[test]
fn what_a_killed_one_left_behind_is_no_agent_and_is_replaced() {
    let Some(kv) = Kv::find() else { return };
    let mut agent = Agent::start();
    let helper = agent.serves(kv.helper(""));
    agent.kill();
    assert!(agent.socket().exists());
    // Nobody is asked, and nobody fails for it.
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    told(&helper.run(&["agent", "status"], ""), 1, "", NONE);
    told(&helper.run(&["agent", "stop"], ""), 0, "", "");
    told(&helper.run(&["agent", "--detach"], ""), 0, "", "");
    let detached = Detached::of(&helper);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert_eq!(kv.requests(), 2);
    drop(detached);
}

#[test]
fn one_whose_socket_is_gone_gives_way() {
    let Some(otp) = Otp::find() else { return };
    let mut agent = Agent::start();
    let helper = agent.serves(otp.helper(""));
    let _ = secret(&helper.get("ghcr.io"));
    assert_eq!(otp.leases().len(), 1);
    // As whoever tidies up the folder for temporary files does.
    fs::remove_file(agent.socket()).unwrap();
    fs::remove_file(agent.folder().join("agent.sock.lock")).unwrap();
    told(&helper.run(&["agent", "--detach"], ""), 0, "", "");
    let _detached = Detached::of(&helper);
    let (answer, _) = agent.ended();
    told(&answer, 0, "", "");
    assert_eq!(otp.leases().len(), 0);
    // It has not taken the other one's socket with it.
    told(&helper.run(&["agent", "--detach"], ""), 0, RUNS, "");
}

#[test]
fn a_path_that_is_too_long_is_told() {
    let folder = private_folder();
    let socket = folder.path().join("x".repeat(90)).join("agent.sock");
    let helper = helper_at(&socket);
    let line = format!(
        "docker-credential-lease: the socket's path is longer than 103 bytes: {}; \
         hint: set DOCKER_CREDENTIAL_LEASE_SOCKET to a shorter one\n",
        socket.display()
    );
    told(&helper.run(&["agent"], ""), 1, "", &line);
    told(&helper.run(&["agent", "--detach"], ""), 1, "", &line);
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    let folder = private_folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let helper = helper_at(&file.join("deep/agent.sock"));
    let line = format!(
        "docker-credential-lease: cannot make {}: Not a directory (os error 20); \
         hint: set DOCKER_CREDENTIAL_LEASE_SOCKET to a path in a folder of your own\n",
        file.join("deep").display()
    );
    told(&helper.run(&["agent"], ""), 1, "", &line);
    told(&helper.run(&["agent", "--detach"], ""), 1, "", &line);
}

#[test]
fn a_folder_for_everybody_is_refused_with_what_to_do() {
    let folder = private_folder();
    let helper = helper_at(&folder.path().join("agent.sock"));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let line = format!(
        "docker-credential-lease: {0} can be written by others; hint: chmod go-w {0}\n",
        folder.path().display()
    );
    told(&helper.run(&["agent"], ""), 1, "", &line);
    let answer = helper.run(&["agent", "--detach"], "");
    let words = line.trim_start_matches("docker-credential-lease: ");
    assert!(answer.code == Some(1) && answer.stderr.ends_with(words), "{answer:?}");
}

#[test]
fn signals_end_it_and_give_leases_back() {
    for signal in [Signal::TERM, Signal::INT] {
        let Some(otp) = Otp::find() else { return };
        let mut agent = Agent::start();
        let _ = secret(&agent.serves(otp.helper("")).get("ghcr.io"));
        assert_eq!(otp.leases().len(), 1);
        agent.signal(signal);
        let (answer, took) = agent.ended();
        told(&answer, 0, "", "");
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert_eq!((otp.leases().len(), agent.socket().exists()), (0, false));
    }
}

#[test]
fn one_that_nobody_asks_gives_back_and_ends() {
    let Some(otp) = Otp::find() else { return };
    let config = format!("{}[agent]\nidle-timeout = \"1s\"\n", otp.rule(""));
    let mut agent = Agent::start();
    let helper = agent.serves(otp.bao.helper(&config));
    let first = secret(&helper.get("ghcr.io"));
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(1500) {
        assert_eq!(secret(&helper.get("ghcr.io")), first);
    }
    assert_eq!(otp.leases().len(), 1);
    let (answer, took) = agent.ended();
    told(&answer, 0, "", "");
    assert!(took > Duration::from_millis(700) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(otp.leases().len(), 0);
}

#[test]
fn the_first_look_up_starts_one_where_the_config_says_so() {
    let Some(kv) = Kv::find() else { return };
    let folder = private_folder();
    let config = format!("{}[agent]\nautostart = true\n", kv.rule(""));
    let helper = kv.bao.helper(&config).env("VAULT_ADDR", kv.relay.url());
    let helper = helper.env("XDG_RUNTIME_DIR", folder.path().to_str().unwrap());
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let agent = Detached::of(&helper);
    for _ in 0..3 {
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    }
    assert_eq!(kv.requests(), 1);
    assert!(folder.path().join("docker-credential-lease/agent.sock").exists());
    // What is not the agent's business starts none.
    told(&helper.run(&["agent", "stop"], ""), 0, "", "");
    until("it has ended", || !agent.is_running());
    helper.get("gcr.io").is_not_found();
    helper.erase("ghcr.io").is_silent();
    assert_eq!(helper.list().stdout, "{\"ghcr.io\":\"\"}\n");
    told(&helper.run(&["agent", "status"], ""), 1, "", NONE);
}

#[test]
fn one_that_cannot_be_started_is_done_without() {
    let Some(kv) = Kv::find() else { return };
    let folder = private_folder();
    fs::write(folder.path().join("docker-credential-lease"), "in the way").unwrap();
    let config = format!("{}[agent]\nautostart = true\n", kv.rule(""));
    let helper = kv.bao.helper(&config).env("XDG_RUNTIME_DIR", folder.path().to_str().unwrap());
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn words_that_it_does_not_know_are_told_on_stderr() {
    const USAGE: &str =
        "Usage: docker-credential-lease agent [--detach | status [--json] | flush [REGISTRY…] | stop]\n";
    for words in ["--detatch", "status --yaml", "status --json x", "stop now", "flush --all", "start", "-d"] {
        let mut all = vec!["agent"];
        all.extend(words.split(' '));
        let line = format!("docker-credential-lease: cannot take: agent {words}\n{USAGE}");
        told(&Helper::new().run(&all, ""), 2, "", &line);
    }
}
