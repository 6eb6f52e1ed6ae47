//! What a login brought and nobody can use goes back, and the login with it.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::minting::{Otp, get_and_hang_up};
use super::rule;
use crate::support::app_role::AppRole;
use crate::support::gate::{Gate, Step};
use crate::support::hostile::Hostile;
use crate::support::servers::{Bao, in_the_end};
use crate::support::{Answer, Helper};

const USABLE: &str = "password-key = \"key\"";
const UNUSABLE: &str = "password-key = \"token\"";
const NO_KEY: &str = "it has no key `token`; hint: set password-key";

/// A policy for the engine's path, and for giving single leases back if that is allowed.
fn policy(path: &str, may_revoke: bool) -> String {
    let revoke = if may_revoke { "path \"sys/leases/revoke\" { capabilities = [\"update\"] }" } else { "" };
    format!("path \"{path}\" {{ capabilities = [\"create\", \"update\"] }}\n{revoke}")
}

/// The engine, and a role that may use it.
struct Minter {
    otp: Otp,
    role: AppRole,
}

impl Minter {
    fn find(settings: &Value, may_revoke: bool) -> Option<Self> {
        let otp = Otp::find()?;
        let role = AppRole::with(&otp.bao, "", &policy(&otp.path(), may_revoke), settings);
        Some(Self { otp, role })
    }

    fn helper(&self, more: &str) -> Helper {
        self.role.helper(&self.otp.bao, &self.otp.rule(more), "")
    }

    /// In the end neither lease nor token is left.
    #[track_caller]
    fn leaves_nothing(&self) {
        in_the_end(&(0, 0), || (self.otp.leases(), self.role.tokens(&self.otp.bao)));
    }
}

#[test]
fn an_answer_that_cannot_be_used_goes_back_with_its_login_which_needs_no_leave() {
    let Some(it) = Minter::find(&json!({}), false) else { return };
    let gate = Gate::to(&it.otp.bao.address);
    let answer = it.helper(UNUSABLE).env("VAULT_ADDR", gate.url()).get("ghcr.io");
    let line = answer.fails_with(&[&format!("vault: {}: {NO_KEY}", it.otp.path())]);
    assert!(!line.contains("by hand"), "{line}");
    assert_eq!((gate.told().len(), gate.connections()), (3, 1), "{:?}", gate.told());
    it.leaves_nothing();
}

#[test]
fn a_caller_that_is_gone_leaves_neither_lease_nor_login_behind() {
    let Some(it) = Minter::find(&json!({}), false) else { return };
    let answer = get_and_hang_up(&it.helper(USABLE));
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""));
    it.leaves_nothing();
}

#[test]
fn a_batch_tokens_lease_is_given_back_by_itself() {
    let Some(it) = Minter::find(&json!({"token_type": "batch"}), true) else { return };
    let gate = Gate::to(&it.otp.bao.address);
    let answer = get_and_hang_up(&it.helper(USABLE).env("VAULT_ADDR", gate.url()));
    assert_eq!((answer.code, it.otp.leases()), (Some(1), 0));
    it.helper(UNUSABLE).env("VAULT_ADDR", gate.url()).get("ghcr.io").fails_with(&[NO_KEY]);
    assert_eq!(it.otp.leases(), 0);
    let told = gate.told();
    assert_eq!(told.iter().filter(|line| *line == "PUT /v1/sys/leases/revoke 204").count(), 2, "{told:?}");
    assert_eq!(told.len(), 6, "{told:?}");
}

#[test]
fn a_batch_tokens_lease_that_it_may_not_give_back_is_named() {
    let Some(it) = Minter::find(&json!({"token_type": "batch"}), false) else { return };
    let lease = format!("; revoke the lease {}/", it.otp.path());
    let answer = it.helper(UNUSABLE).get("ghcr.io");
    answer.fails_with(&[NO_KEY, &lease, " by hand (permission denied)"]);
    assert_eq!(it.otp.leases(), 1);
}

/// Asks through the gate, and is signalled once it has heard this many requests.
fn get_and_signal(helper: &Helper, gate: &Gate, heard: usize, signal: Signal) -> Answer {
    let mut child = helper.command(&["get"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"ghcr.io").unwrap();
    while gate.passed().len() < heard {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early: {:?}", gate.told());
        thread::sleep(Duration::from_millis(2));
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    Answer::from_output(child.wait_with_output().unwrap())
}

#[test]
fn a_signal_in_the_middle_of_a_mint_gives_lease_and_login_back() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let Some(it) = Minter::find(&json!({}), false) else { return };
        let gate = Gate::holding(&it.otp.bao.address, |line| match line.contains("/creds/") {
            true => Step::Late(Duration::from_millis(150)),
            false => Step::Pass,
        });
        let helper = it.helper(USABLE).env("VAULT_ADDR", gate.url());
        let answer = get_and_signal(&helper, &gate, 2, signal);
        answer.is_line(&format!("vault: {}: ended by a signal", it.otp.path()));
        it.leaves_nothing();
        assert!(gate.told().contains(&format!("POST /v1/{} 200", it.otp.path())), "{:?}", gate.told());
    }
}

/// A secret, a role that may read it, and a helper that asks it through the gate.
fn reader(bao: &Bao, gate: &Gate) -> (AppRole, Helper) {
    let name = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
    let policy = format!("path \"secret/data/{name}\" {{ capabilities = [\"read\"] }}");
    let role = AppRole::new(bao, &policy);
    let helper = role.helper(bao, &rule(&format!("secret/data/{name}"), ""), "");
    (role, helper.env("VAULT_ADDR", gate.url()))
}

#[test]
fn a_signal_in_the_middle_of_a_read_gives_the_login_back_and_waits_for_nothing_else() {
    let Some(bao) = Bao::find() else { return };
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let gate = Gate::holding(&bao.address, |line| match line.starts_with("GET ") {
            true => Step::Never,
            false => Step::Pass,
        });
        let (role, helper) = reader(&bao, &gate);
        let started = Instant::now();
        let answer = get_and_signal(&helper, &gate, 2, signal);
        answer.fails_with(&["vault: secret/data/", ": ended by a signal"]);
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        in_the_end(&0, || role.tokens(&bao));
    }
}

#[test]
fn a_login_that_is_not_taken_back_changes_no_answer() {
    let Some(bao) = Bao::find() else { return };
    let refusal = r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#;
    for (status, body) in [(403, refusal), (500, refusal), (503, ""), (200, "oops"), (307, "")] {
        let gate = Gate::holding(&bao.address, move |line| match line.ends_with("/revoke-self") {
            true => Step::answering(status, "", body),
            false => Step::Pass,
        });
        let (_, helper) = reader(&bao, &gate);
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        assert_eq!(gate.told().len(), 3, "{:?}", gate.told());
    }
}

#[test]
fn a_refusal_without_a_word_is_told_by_its_status() {
    let Some(it) = Minter::find(&json!({}), false) else { return };
    let gate = Gate::holding(&it.otp.bao.address, |line| match line.ends_with("/revoke-self") {
        true => Step::answering(403, "", ""),
        false => Step::Pass,
    });
    let answer = it.helper(UNUSABLE).env("VAULT_ADDR", gate.url()).get("ghcr.io");
    answer.fails_with(&[NO_KEY, " by hand (HTTP 403)"]);
}

#[test]
fn a_mint_whose_return_hangs_is_left_long_before_the_mint_itself_would_be() {
    let Some(it) = Minter::find(&json!({}), false) else { return };
    let gate = Gate::holding(&it.otp.bao.address, |line| match line.ends_with("/revoke-self") {
        true => Step::Never,
        false => Step::Pass,
    });
    let helper = it.helper(UNUSABLE).env("VAULT_ADDR", gate.url());
    let started = Instant::now();
    let answer = helper.get("ghcr.io");
    let lease = format!("; revoke the lease {}/", it.otp.path());
    answer.fails_with(&[NO_KEY, &lease, " by hand (timed out after 2s)"]);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn a_login_from_the_cache_of_an_agent_is_somebody_elses_too() {
    for (said, requests) in [("HIT", 2), ("MISS", 3)] {
        let body = r#"{"auth":{"client_token":"s.token-of-many"},"data":{"username":"u","password":"p"}}"#;
        let double = Hostile::answering(200, &format!("X-Cache: {said}\r\n"), body);
        let config = rule(
            "secret/ghcr",
            "[vault.default.auth]\nmethod = \"approle\"\nrole-id = \"r\"\nsecret-id-env = \"SECRET_ID\"",
        );
        let helper = Helper::with_config(&config).env("VAULT_ADDR", double.url()).env("SECRET_ID", "s");
        helper.get("ghcr.io").is_found("ghcr.io", "u", "p");
        assert_eq!(double.heard().len(), requests, "{said}: {:?}", double.heard());
    }
}
