//! What is said on the socket, by those who mean no good: others are answered at once all the same.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use rustix::process::Signal;
use serde_json::json;

use super::{Kv, Otp, secret};
use crate::support::agent::{Agent, Line, SOCKET, private_folder};

/// Somebody else is answered, and soon.
#[track_caller]
fn answers(agent: &Agent) {
    let started = Instant::now();
    let told = agent.connect().ask_now(json!({"status": true})).unwrap();
    assert_eq!(told["status"]["pid"], agent.pid());
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

#[test]
fn a_line_without_end_is_refused() {
    let agent = Agent::start();
    let mut line = agent.connect();
    line.say(&vec![b'x'; 300 * 1024]);
    assert_eq!(line.next().unwrap(), json!({"v": 1, "refused": "the line is too long"}));
    assert_eq!(line.next(), None);
    answers(&agent);
}

#[test]
fn what_is_no_line_of_ours_is_refused_without_being_repeated() {
    let agent = Agent::start();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\xff\xfe\x00\n",
        b"null\n",
        b"{\"v\":1,\"want\":\"s3cret\"}\n",
        b"{\"v\":1,\"have\":{\"want\":{}}}\n",
        b"\n",
        &[&[b'['; 10_000][..], b"\n"].concat(),
    ] {
        let mut line = agent.connect();
        line.say(garbage);
        assert_eq!(line.next().unwrap(), json!({"v": 1, "refused": "the line is not understood"}));
        assert_eq!(line.next(), None);
        answers(&agent);
    }
}

#[test]
fn what_says_nothing_is_refused() {
    let agent = Agent::start();
    let mut line = agent.connect();
    assert_eq!(line.ask_now(json!({})).unwrap()["refused"], "nothing is asked");
    // And the connection stays.
    assert!(line.ask_now(json!({"logins": true})).unwrap()["logins"].is_array());
}

#[test]
fn another_version_is_refused_with_what_to_do_and_may_still_stop_it() {
    let mut agent = Agent::start();
    let told = agent.connect().ask(&json!({"v": 2, "status": true})).unwrap();
    let refused = "this agent speaks version 1, not 2: run `docker-credential-lease agent stop`";
    assert_eq!(told, json!({"v": 1, "refused": refused}));
    assert_eq!(agent.connect().ask(&json!({"status": true})).unwrap()["v"], 1);
    answers(&agent);
    assert_eq!(agent.connect().ask(&json!({"v": 2, "stop": true})).unwrap(), json!({"v": 1, "done": true}));
    assert_eq!(agent.ended().0.code, Some(0));
}

#[test]
fn half_a_line_harms_nobody() {
    let agent = Agent::start();
    let mut half = agent.connect();
    half.say(b"{\"v\":1,\"sta");
    answers(&agent);
    half.say(b"tus\":true}\n");
    assert!(half.next().unwrap()["status"].is_object());
    half.say(b"{\"v\":1");
    drop(half);
    answers(&agent);
}

#[test]
fn one_who_never_reads_stops_nobody() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    let helper = agent.serves(kv.helper(""));
    let deaf: Vec<Line> = (0..4)
        .map(|_| {
            let mut deaf = agent.connect();
            deaf.writer.set_nonblocking(true).unwrap();
            // Until nothing more is taken: its answers have nowhere to go.
            while deaf.writer.write_all(b"{\"v\":1,\"status\":true}\n").is_ok() {}
            deaf
        })
        .collect();
    answers(&agent);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert_eq!(kv.requests(), 1);
    drop(deaf);
}

#[test]
fn two_hundred_who_say_nothing_stop_nobody() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    let silent: Vec<Line> = (0..200).map(|_| agent.connect()).collect();
    answers(&agent);
    let helper = agent.serves(kv.helper(""));
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert_eq!(kv.requests(), 1);
    drop(silent);
}

#[test]
fn an_agent_that_hangs_is_done_without_after_a_second() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    let helper = agent.serves(kv.helper(""));
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    agent.signal(Signal::STOP);
    let started = Instant::now();
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(3), "{took:?}");
    let answer = helper.run(&["agent", "status"], "");
    let told = format!(
        "docker-credential-lease: the agent at {} does not answer; hint: end its process and start another\n",
        agent.socket().display()
    );
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), told.as_str()));
    agent.signal(Signal::CONT);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert_eq!(kv.requests(), 2);
}

/// A socket whose queue is full, and where nobody is ever let in.
fn full(socket: &Path) -> Vec<OwnedFd> {
    let address = SocketAddrUnix::new(socket).unwrap();
    let new = || rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    let listener = new();
    rustix::net::bind(&listener, &address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut held = vec![listener];
    loop {
        let caller = new();
        rustix::io::ioctl_fionbio(&caller, true).unwrap();
        if rustix::net::connect(&caller, &address).is_err() {
            return held;
        }
        held.push(caller);
    }
}

#[test]
fn a_socket_that_lets_nobody_in_is_done_without_after_a_second() {
    let Some(kv) = Kv::find() else { return };
    let folder = private_folder();
    let socket = folder.path().join("agent.sock");
    let _held = full(&socket);
    let started = Instant::now();
    kv.helper("").env(SOCKET, socket.to_str().unwrap()).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn what_was_made_without_the_agent_is_handed_over_when_it_is_back() {
    let Some(otp) = Otp::find() else { return };
    let mut agent = Agent::start();
    let helper = agent.serves(otp.helper(""));
    // It wakes up between the question and the answer.
    agent.signal(Signal::STOP);
    let made = std::thread::scope(|scope| {
        let made = scope.spawn(|| helper.get("ghcr.io"));
        while otp.relay.counts().0 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        agent.signal(Signal::CONT);
        made.join().unwrap()
    });
    assert_eq!(secret(&helper.get("ghcr.io")), secret(&made));
    assert_eq!(otp.leases().len(), 1);
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended().0.code, Some(0));
    assert_eq!(otp.leases().len(), 0);
}
