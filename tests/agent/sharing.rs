//! One fetch for any number who ask, whatever becomes of the one who fetches.

use std::io::Write;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{Kv, Otp, rule, secret};
use crate::support::agent::{Agent, at_once};
use crate::support::hostile::Hostile;
use crate::support::program::Ends;
use crate::support::relay::Relay;
use crate::support::servers::{Bao, Moto};
use crate::support::{Answer, Helper};

/// A relay so far away that a look-up is in the middle of its fetch for this long, twice.
const FAR: Duration = Duration::from_millis(200);

#[test]
fn fifty_at_once_ask_openbao_once() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    let far = Relay::far(&kv.bao.address, FAR);
    let helper = agent.serves(kv.helper("")).env("VAULT_ADDR", far.url());
    for answer in at_once(&helper, "ghcr.io", 50) {
        answer.is_found("ghcr.io", "octocat", "pw-1");
    }
    assert_eq!(far.counts(), (1, 1));
}

#[test]
fn fifty_at_once_ask_aws_once() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"username":"acme","password":"pw-1"}"#);
    let config = format!("[registry.\"docker.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{name}\"\n");
    let (agent, far) = (Agent::start(), Relay::far(&moto.url, FAR));
    let helper = agent.serves(moto.helper(&config)).env("AWS_ENDPOINT_URL", far.url());
    for answer in at_once(&helper, "docker.io", 50) {
        answer.is_found("docker.io", "acme", "pw-1");
    }
    assert_eq!(far.counts(), (1, 1));
}

#[test]
fn fifty_at_once_make_one_credential() {
    let Some(otp) = Otp::find() else { return };
    let (agent, far) = (Agent::start(), Relay::far(&otp.bao.address, FAR));
    let helper = agent.serves(otp.helper("")).env("VAULT_ADDR", far.url());
    let secrets: Vec<String> = at_once(&helper, "ghcr.io", 50).iter().map(secret).collect();
    assert!(secrets.iter().all(|one| *one == secrets[0]), "{secrets:?}");
    assert_eq!((far.counts(), otp.leases().len()), ((2, 2), 1));
}

#[test]
fn different_registries_do_not_wait_for_each_other() {
    let Some(bao) = Bao::find() else { return };
    let names: Vec<String> =
        (0..4).map(|at| bao.secret(&json!({"username": "u", "password": format!("pw-{at}")}))).collect();
    let rules: String = names
        .iter()
        .enumerate()
        .map(|(at, name)| rule(&format!("r{at}.example.com"), &format!("secret/data/{name}"), ""))
        .collect();
    let (agent, far) = (Agent::start(), Relay::far(&bao.address, Duration::from_millis(300)));
    let helper = agent.serves(bao.helper(&rules)).env("VAULT_ADDR", far.url());
    let started = Instant::now();
    let children: Vec<Child> = (0..4).map(|at| ask(&helper, &format!("r{at}.example.com"))).collect();
    for (at, child) in children.into_iter().enumerate() {
        let answer = Answer::from_output(child.wait_with_output().unwrap());
        answer.is_found(&format!("r{at}.example.com"), "u", &format!("pw-{at}"));
    }
    // One after the other would be four times 1.2 s.
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(far.counts().1, 4);
}

fn ask(helper: &Helper, asked: &str) -> Child {
    let mut child = helper.command(&["get"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    child
}

/// One who is in the middle of its fetch, and three who wait for it.
fn one_and_others(helper: &Helper, far: &Relay) -> (Child, Vec<Child>) {
    let one = ask(helper, "ghcr.io");
    while far.counts().0 == 0 {
        thread::sleep(Duration::from_millis(2));
    }
    let others = (0..3).map(|_| ask(helper, "ghcr.io")).collect();
    thread::sleep(Duration::from_millis(150));
    (one, others)
}

#[track_caller]
fn all_get_it(others: Vec<Child>) {
    for child in others {
        let answer = Answer::from_output(child.wait_with_output().unwrap());
        answer.is_found("ghcr.io", "octocat", "pw-1");
    }
}

#[test]
fn where_the_one_who_fetches_is_killed_the_next_one_does() {
    let Some(kv) = Kv::find() else { return };
    let (agent, far) = (Agent::start(), Relay::far(&kv.bao.address, Duration::from_millis(300)));
    let helper = agent.serves(kv.helper("")).env("VAULT_ADDR", far.url());
    let (mut one, others) = one_and_others(&helper, &far);
    let started = Instant::now();
    one.kill().unwrap();
    one.wait().unwrap();
    all_get_it(others);
    // At once: not when its time is over.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(far.counts().0, 2);
}

#[test]
fn where_the_one_who_fetches_is_interrupted_the_next_one_does() {
    let Some(otp) = Otp::find() else { return };
    let (agent, far) = (Agent::start(), Relay::far(&otp.bao.address, Duration::from_millis(300)));
    let helper = agent.serves(otp.helper("")).env("VAULT_ADDR", far.url());
    let (one, others) = one_and_others(&helper, &far);
    // What Ctrl-C does to one docker pull is nothing to the others.
    kill_process(Pid::from_child(&one), Signal::INT).unwrap();
    let one = Answer::from_output(one.wait_with_output().unwrap());
    one.fails_with(&["ended by a signal"]);
    for child in others {
        let _ = secret(&Answer::from_output(child.wait_with_output().unwrap()));
    }
    assert_eq!(otp.leases().len(), 1);
}

#[test]
fn where_the_one_who_reads_hangs_the_next_one_does_in_its_own_time() {
    the_next_one_goes_on("", Duration::from_secs(1));
}

#[test]
fn where_the_one_who_writes_hangs_the_next_one_does_in_its_own_time() {
    the_next_one_goes_on("method = \"POST\"", Duration::from_millis(2300));
}

#[track_caller]
fn the_next_one_goes_on(method: &str, least: Duration) {
    // A server that takes writes as well, and knows the answer.
    let body = r#"{"lease_id":"","data":{"username":"octocat","password":"pw-1"}}"#;
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let double = Hostile::new(move |stream| {
        thread::sleep(Duration::from_millis(300));
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    });
    let config = format!("timeout = \"4s\"\n{}", rule("ghcr.io", "engine/creds/ci", method));
    let agent = Agent::start();
    let helper = Helper::with_config(&config).envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "t")]);
    let helper = agent.serves(helper);
    let mut one = Ends(ask(&helper, "ghcr.io"));
    while double.heard().is_empty() {
        thread::sleep(Duration::from_millis(2));
    }
    // As Ctrl-Z does.
    kill_process(Pid::from_child(&one.0), Signal::STOP).unwrap();
    let started = Instant::now();
    all_get_it((0..3).map(|_| ask(&helper, "ghcr.io")).collect());
    let took = started.elapsed();
    assert!(took > least && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(double.heard().len(), 2);
    // It comes back, and has what it asked for.
    kill_process(Pid::from_child(&one.0), Signal::CONT).unwrap();
    assert!(one.0.wait().unwrap().success());
}

#[test]
fn where_the_one_who_fetches_fails_the_others_are_told_the_same() {
    let double = Hostile::new(|stream| {
        thread::sleep(Duration::from_millis(500));
        let body = r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#;
        let head = format!("HTTP/1.1 403 X\r\nConnection: close\r\nContent-Length: {}", body.len());
        let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
    });
    let agent = Agent::start();
    let config = rule("ghcr.io", "engine/creds/ci", "method = \"POST\"");
    let helper = Helper::with_config(&config).envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "t")]);
    let helper = agent.serves(helper);
    for answer in at_once(&helper, "ghcr.io", 8) {
        answer.is_line(
            "vault: engine/creds/ci: permission denied; \
             hint: the token must be valid and its policy allow create (some engines: update) on engine/creds/ci",
        );
    }
    assert_eq!(double.heard().len(), 1);
}

#[test]
fn where_what_was_fetched_cannot_be_used_the_others_are_told_and_it_is_given_back() {
    let Some(otp) = Otp::find() else { return };
    let (agent, far) = (Agent::start(), Relay::far(&otp.bao.address, FAR));
    let config = otp.rule("").replace("password-key = \"key\"", "password-key = \"token\"");
    let helper = agent.serves(otp.bao.helper(&config)).env("VAULT_ADDR", far.url());
    for answer in at_once(&helper, "ghcr.io", 8) {
        answer.fails_with(&["it has no key `token`; hint: set password-key"]);
    }
    assert_eq!((otp.leases().len(), agent.kept().len()), (0, 0));
    assert_eq!(far.counts().1, 2, "made, and given back");
}

#[test]
fn a_caller_that_is_gone_leaves_it_to_the_others() {
    let Some(otp) = Otp::find() else { return };
    let agent = Agent::start();
    let helper = agent.serves(otp.helper(""));
    let mut child = helper.command(&["get"]).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"ghcr.io").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let _ = secret(&helper.get("ghcr.io"));
    assert_eq!(otp.leases().len(), 1);
}
