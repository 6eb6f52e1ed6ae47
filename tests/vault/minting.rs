//! Engines that make a credential when they are asked: OpenBao's ssh engine in OTP mode, and doubles.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{head, rule};
use crate::support::hostile::Hostile;
use crate::support::relay::Relay;
use crate::support::servers::{Bao, request};
use crate::support::{Answer, Helper};

/// How an answer with a lease begins.
const MINTED: &str =
    r#"{"lease_id":"engine/creds/ci/abc","lease_duration":300,"data":{"username":"u","password":"pw-1"}}"#;

/// A mount of the ssh engine that makes one-time passwords, and a rule that asks it.
pub(super) struct Otp {
    pub(super) bao: Bao,
    mount: String,
}

impl Otp {
    pub(super) fn find() -> Option<Self> {
        Bao::find().map(Self::at)
    }

    pub(super) fn at(bao: Bao) -> Self {
        let mount = bao.mount(&json!({"type": "ssh"}));
        let role = json!({"key_type": "otp", "default_user": "hubuser", "cidr_list": "127.0.0.0/8"});
        bao.call("POST", &format!("{mount}/roles/otp"), &role);
        Self { bao, mount }
    }

    pub(super) fn path(&self) -> String {
        format!("{}/creds/otp", self.mount)
    }

    fn helper(&self, more: &str) -> Helper {
        self.bao.helper(&self.rule(more))
    }

    /// The rule, with more keys.
    pub(super) fn rule(&self, more: &str) -> String {
        let more = format!("method = \"POST\"\nbody = {{ ip = \"127.0.0.1\" }}\n{more}");
        rule(&self.path(), &more)
    }

    pub(super) fn leases(&self) -> usize {
        self.bao.leases(&self.path()).len()
    }
}

/// Asks, and is gone before the answer.
pub(super) fn get_and_hang_up(helper: &Helper) -> Answer {
    let mut child = helper.command(&["get"]).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"ghcr.io").unwrap();
    Answer::from_output(child.wait_with_output().unwrap())
}

#[test]
fn a_write_makes_a_credential_in_one_request_and_its_lease_lives() {
    let Some(otp) = Otp::find() else { return };
    let relay = Relay::to(&otp.bao.address);
    let answer = otp.helper("password-key = \"key\"").env("VAULT_ADDR", relay.url()).get("ghcr.io");
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!((answer.code, found["Username"].as_str()), (Some(0), Some("hubuser")));
    assert_eq!((relay.counts(), otp.leases()), ((1, 1), 1));
    // The engine knows the password as one of its own.
    let verified = otp.bao.call("POST", &format!("{}/verify", otp.mount), &json!({"otp": found["Secret"]}));
    assert_eq!(verified["data"]["username"], "hubuser");
}

#[test]
fn a_put_is_a_write_too() {
    let Some(otp) = Otp::find() else { return };
    let more = "method = \"PUT\"\npassword-key = \"key\"\nusername = \"robot\"\nbody.ip = \"127.0.0.1\"";
    let answer = otp.bao.helper(&rule(&otp.path(), more)).get("ghcr.io");
    assert!(answer.code == Some(0) && answer.stdout.contains("\"Username\":\"robot\""), "{answer:?}");
    assert_eq!(otp.leases(), 1);
}

#[test]
fn an_answer_that_cannot_be_used_is_given_back_at_once() {
    let Some(otp) = Otp::find() else { return };
    let relay = Relay::to(&otp.bao.address);
    for (more, cause) in [
        ("", "it has no key `password`; hint: set password-key"),
        ("password-key = \"token\"", "it has no key `token`; hint: set password-key"),
        ("password-key = \"port\"", "its key `port` is no string; hint: set password-key"),
        ("password-key = \"key\"\nusername-key = \"user\"", "it has no key `user`; hint: set username-key"),
    ] {
        let answer = otp.helper(more).env("VAULT_ADDR", relay.url()).get("ghcr.io");
        answer.fails_with(&[&format!("vault: {}: {cause}", otp.path())]);
        assert_eq!(otp.leases(), 0, "{more}");
    }
    assert_eq!(relay.counts(), (4, 8));
}

#[test]
fn a_lease_that_cannot_be_given_back_is_named() {
    let Some(otp) = Otp::find() else { return };
    let token = otp.bao.token(&format!("path \"{}\" {{ capabilities = [\"update\"] }}", otp.path()));
    let answer = otp.helper("password-key = \"token\"").env("VAULT_TOKEN", token).get("ghcr.io");
    let lease = format!("; revoke the lease {}/", otp.path());
    answer.fails_with(&["it has no key `token`; hint: set password-key", &lease, " by hand"]);
    assert_eq!(otp.leases(), 1);
}

#[test]
fn a_caller_that_is_gone_leaves_no_lease_behind() {
    let Some(otp) = Otp::find() else { return };
    let relay = Relay::to(&otp.bao.address);
    let helper = otp.helper("password-key = \"key\"").env("VAULT_ADDR", relay.url());
    let answer = get_and_hang_up(&helper);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""));
    assert_eq!(relay.counts().1, 2, "the write, then the revocation");
    assert_eq!(otp.leases(), 0);
}

#[test]
fn a_write_is_sent_once_whatever_becomes_of_it() {
    let answers =
        [(200, MINTED), (200, "oops"), (500, r#"{"errors":["no"]}"#), (503, "{}"), (429, ""), (403, "{}")];
    for (status, body) in answers {
        let double = Hostile::answering(status, "", body);
        let _ = minter("").env("VAULT_ADDR", double.url()).get("ghcr.io");
        assert_eq!(double.heard().len(), 1, "{status} {body}");
    }
    let double = Hostile::resetting();
    let answer = minter("").env("VAULT_ADDR", double.url()).get("ghcr.io");
    answer.fails_with(&["vault: engine/creds/ci: connection reset"]);
    assert_eq!(double.heard().len(), 1);
}

#[test]
fn a_write_that_was_sent_is_waited_for_beyond_the_timeout() {
    let double = Hostile::new(|stream| {
        thread::sleep(Duration::from_millis(700));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MINTED.len());
        let _ = stream.write_all(format!("{head}{MINTED}").as_bytes());
    });
    let more = "method = \"POST\"";
    let config = format!("timeout = \"200ms\"\n{}", rule("engine/creds/ci", more));
    let helper = Helper::with_config(&config).envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "t")]);
    helper.get("ghcr.io").is_found("ghcr.io", "u", "pw-1");
}

#[test]
fn a_signal_waits_for_the_answer_and_what_was_made_is_given_back() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let double = Hostile::new(|stream| {
            thread::sleep(Duration::from_millis(200));
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MINTED.len());
            let _ = stream.write_all(format!("{head}{MINTED}").as_bytes());
        });
        let helper = minter("").env("VAULT_ADDR", double.url());
        let answer = get_and_signal(&helper, &double, signal);
        answer.fails_with(&["vault: engine/creds/ci: ended by a signal"]);
        let lines: Vec<String> = double.heard().iter().map(|request| head(request).0).collect();
        assert_eq!(lines, ["POST /v1/engine/creds/ci HTTP/1.1", "PUT /v1/sys/leases/revoke HTTP/1.1"]);
    }
}

#[test]
fn a_signal_ends_a_read_at_once() {
    let double = Hostile::silent();
    let helper = Helper::with_config(&rule("secret/data/ghcr", "")).env("VAULT_TOKEN", "t");
    let started = Instant::now();
    let answer = get_and_signal(&helper.env("VAULT_ADDR", double.url()), &double, Signal::TERM);
    assert_eq!((answer.code, answer.stdout.as_str()), (None, ""));
    assert!(started.elapsed() < Duration::from_secs(3));
}

/// Asks, and is signalled once the double has the request.
fn get_and_signal(helper: &Helper, double: &Hostile, signal: Signal) -> Answer {
    let mut child = helper.command(&["get"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"ghcr.io").unwrap();
    while double.heard().is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it ended without a request");
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    Answer::from_output(child.wait_with_output().unwrap())
}

#[test]
fn a_refused_write_names_the_capabilities_that_it_needs() {
    let Some(otp) = Otp::find() else { return };
    let token = otp.bao.token(&format!("path \"{}\" {{ capabilities = [\"read\"] }}", otp.path()));
    let answer = otp.helper("password-key = \"key\"").env("VAULT_TOKEN", token).get("ghcr.io");
    answer.fails_with(&[
        "permission denied; hint: ",
        &format!("create (some engines: update) on {}", otp.path()),
    ]);
}

#[test]
fn the_engines_own_word_is_said() {
    let Some(otp) = Otp::find() else { return };
    let more = "method = \"POST\"\nbody = { ip = \"10.1.2.3\" }\npassword-key = \"key\"";
    let answer = otp.bao.helper(&rule(&otp.path(), more)).get("ghcr.io");
    answer.fails_with(&[
        &format!("vault: {}: ", otp.path()),
        "Error validating IP: IP does not belong to role",
    ]);
    assert_eq!(otp.leases(), 0);
}

#[test]
fn a_body_keeps_its_types_and_takes_the_host() {
    let double = Hostile::answering(200, "", MINTED);
    let config = "[registry.\"localhost:5000\"]\nsource = \"vault\"\npath = \"engine/creds/ci\"\nmethod = \"POST\"\n\
        body = { label = \"ci {host}\", ttl = 300, share = 1.5, force = true, none = [], quote = \"\\\"{x y}\\\\\", \
        nested = { list = [\"{host}\", 2, { deep = false }] } }\n";
    let helper = Helper::with_config(config).envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "t")]);
    helper.get("localhost:5000").is_found("localhost:5000", "u", "pw-1");
    let heard = &double.heard()[0];
    assert_eq!(head(heard).0, "POST /v1/engine/creds/ci HTTP/1.1");
    assert!(head(heard).1.contains(&"content-type: application/json".to_owned()), "{heard}");
    let sent: Value = serde_json::from_str(heard.split_once("\r\n\r\n").unwrap().1).unwrap();
    let expected = json!({
        "label": "ci localhost:5000", "ttl": 300, "share": 1.5, "force": true, "none": [], "quote": "\"{x y}\\",
        "nested": {"list": ["localhost:5000", 2, {"deep": false}]},
    });
    assert_eq!(sent, expected);
}

#[test]
fn a_write_without_a_body_sends_an_empty_object() {
    let double = Hostile::answering(200, "", MINTED);
    minter("").env("VAULT_ADDR", double.url()).get("ghcr.io").is_found("ghcr.io", "u", "pw-1");
    assert_eq!(double.heard()[0].split_once("\r\n\r\n").unwrap().1, "{}");
}

#[test]
fn nothing_is_given_back_with_another_clients_token() {
    // A Vault Agent hands one lease to all its clients.
    let without = "[vault.default.auth]\nmethod = \"none\"";
    let double = Hostile::answering(200, "", MINTED);
    let helper = minter(without).env("VAULT_ADDR", double.url());
    assert_eq!(get_and_hang_up(&helper).code, Some(1));
    let helper = minter(&format!("password-key = \"token\"\n{without}")).env("VAULT_ADDR", double.url());
    helper.get("ghcr.io").fails_with(&["it has no key `token`"]);
    let lines: Vec<String> = double.heard().iter().map(|request| head(request).0).collect();
    assert_eq!(lines, ["POST /v1/engine/creds/ci HTTP/1.1"; 2]);
}

#[test]
fn erase_makes_nothing() {
    let Some(otp) = Otp::find() else { return };
    let relay = Relay::to(&otp.bao.address);
    otp.helper("").env("VAULT_ADDR", relay.url()).erase("ghcr.io").is_silent();
    assert_eq!(relay.counts(), (0, 0));
}

#[test]
fn a_caller_that_is_gone_does_not_make_a_read_panic() {
    let Some(bao) = Bao::find() else { return };
    let name = bao.secret(&json!({"username": "u", "password": "pw-1"}));
    let answer = get_and_hang_up(&bao.helper(&rule(&format!("secret/data/{name}"), "")));
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""));
    // The secret is still there: a read is nothing to take back.
    let url = format!("{}/v1/secret/data/{name}", bao.address);
    assert_eq!(request("GET", &url, &[("X-Vault-Token", &bao.token)], "").0, 200);
}

/// A helper whose rule makes a credential at a double.
fn minter(more: &str) -> Helper {
    Helper::with_config(&rule("engine/creds/ci", &format!("method = \"POST\"\n{more}")))
        .env("VAULT_TOKEN", "t")
}
