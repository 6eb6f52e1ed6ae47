//! How many requests a look-up with a login makes, on how many connections, and what it leaves at the server.

use std::thread;

use serde_json::{Value, json};

use super::minting::Otp;
use super::rule;
use crate::support::Helper;
use crate::support::app_role::AppRole;
use crate::support::gate::Gate;
use crate::support::own_bao::OwnBao;
use crate::support::servers::{Bao, in_the_end};

/// What only reading the secret takes.
fn may_read(name: &str) -> String {
    format!("path \"secret/data/{name}\" {{ capabilities = [\"read\"] }}")
}

fn secret(bao: &Bao) -> String {
    bao.secret(&json!({"username": "octocat", "password": "pw-1"}))
}

/// A secret, a role that may read it, and what stands between the helper and the server.
struct Counted {
    bao: Bao,
    name: String,
    role: AppRole,
    gate: Gate,
}

impl Counted {
    fn find(settings: &Value) -> Option<Self> {
        let bao = Bao::find()?;
        let name = secret(&bao);
        let role = AppRole::with(&bao, "", &may_read(&name), settings);
        let gate = Gate::to(&bao.address);
        Some(Self { bao, name, role, gate })
    }

    fn helper(&self, path: &str) -> Helper {
        self.role.helper(&self.bao, &rule(path, ""), "").env("VAULT_ADDR", self.gate.url())
    }

    /// After the login it made these requests, all on one connection, and no token is left.
    #[track_caller]
    fn asked(&self, after: &[&str]) {
        let mut expected = vec![format!("POST /v1/auth/{}/login 200", self.role.mount)];
        expected.extend(after.iter().map(|line| line.replace("NAME", &self.name)));
        assert_eq!((self.gate.told(), self.gate.connections()), (expected, 1));
        in_the_end(&0, || self.role.tokens(&self.bao));
    }
}

const READ: &str = "GET /v1/secret/data/NAME 200";
const GIVEN_BACK: &str = "POST /v1/auth/token/revoke-self 204";
/// A path without `data/`, and what it is found out by.
const FOUND_OUT: [&str; 2] = ["GET /v1/secret/NAME 403", "GET /v1/sys/internal/ui/mounts/secret/NAME 200"];

#[test]
fn a_login_a_read_and_its_end_are_three_requests_on_one_connection() {
    let Some(it) = Counted::find(&json!({})) else { return };
    it.helper(&format!("secret/data/{}", it.name)).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    it.asked(&[READ, GIVEN_BACK]);
}

#[test]
fn a_path_without_data_costs_two_more() {
    let Some(it) = Counted::find(&json!({})) else { return };
    it.helper(&format!("secret/{}", it.name)).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    it.asked(&[FOUND_OUT[0], FOUND_OUT[1], READ, GIVEN_BACK]);
}

#[test]
fn a_refused_read_ends_the_login_too() {
    let Some(it) = Counted::find(&json!({})) else { return };
    let answer = it.helper("secret/data/of-others").get("ghcr.io");
    answer.fails_with(&[
        "vault: secret/data/of-others: permission denied; hint: ",
        "role must allow read on secret/data/of-others",
    ]);
    it.asked(&[
        "GET /v1/secret/data/of-others 403",
        "GET /v1/sys/internal/ui/mounts/secret/data/of-others 200",
        GIVEN_BACK,
    ]);
}

#[test]
fn a_refused_login_is_one_request_and_tells_no_secret_id() {
    let Some(it) = Counted::find(&json!({})) else { return };
    let helper = it.helper(&format!("secret/data/{}", it.name)).env("SECRET_ID", "5ecret-1d");
    let answer = helper.get("ghcr.io");
    let line = answer.fails_with(&[
        &format!("login at auth/{}: invalid role or secret ID; hint: ", it.role.mount),
        "the secret-id is neither used up nor expired",
    ]);
    assert!(!line.contains("5ecret-1d"), "{line}");
    assert_eq!(it.gate.told(), [format!("POST /v1/auth/{}/login 400", it.role.mount)]);
}

#[test]
fn a_batch_token_is_never_given_back() {
    let Some(it) = Counted::find(&json!({"token_type": "batch"})) else { return };
    it.helper(&format!("secret/data/{}", it.name)).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    it.asked(&[READ]);
}

#[test]
fn a_token_for_one_request_is_used_up_by_the_read() {
    let Some(it) = Counted::find(&json!({"token_num_uses": 1})) else { return };
    it.helper(&format!("secret/data/{}", it.name)).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    it.asked(&[READ]);
}

#[test]
fn a_token_for_two_requests_is_given_back_with_the_second() {
    let Some(it) = Counted::find(&json!({"token_num_uses": 2})) else { return };
    it.helper(&format!("secret/data/{}", it.name)).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    it.asked(&[READ, GIVEN_BACK]);
}

#[test]
fn the_question_for_the_mount_uses_nothing_up() {
    let Some(it) = Counted::find(&json!({"token_num_uses": 2})) else { return };
    it.helper(&format!("secret/{}", it.name)).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    it.asked(&[FOUND_OUT[0], FOUND_OUT[1], READ]);
    let Some(it) = Counted::find(&json!({"token_num_uses": 3})) else { return };
    it.helper(&format!("secret/{}", it.name)).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    it.asked(&[FOUND_OUT[0], FOUND_OUT[1], READ, GIVEN_BACK]);
}

#[test]
fn a_token_for_one_request_that_a_refusal_used_up_asks_no_further() {
    let Some(it) = Counted::find(&json!({"token_num_uses": 1})) else { return };
    it.helper(&format!("secret/{}", it.name)).get("ghcr.io").fails_with(&["permission denied; hint: "]);
    it.asked(&[FOUND_OUT[0]]);
}

/// A helper whose role may make one-time passwords.
fn minter(otp: &Otp, settings: &Value) -> (AppRole, Helper) {
    let policy = format!("path \"{}\" {{ capabilities = [\"create\", \"update\"] }}", otp.path());
    let role = AppRole::with(&otp.bao, "", &policy, settings);
    let helper = role.helper(&otp.bao, &otp.rule("password-key = \"key\""), "");
    (role, helper)
}

#[test]
fn a_mint_is_two_requests_and_its_login_stays_with_the_lease() {
    let Some(otp) = Otp::find() else { return };
    let (role, helper) = minter(&otp, &json!({}));
    let gate = Gate::to(&otp.bao.address);
    assert_eq!(helper.env("VAULT_ADDR", gate.url()).get("ghcr.io").code, Some(0));
    let expected =
        [format!("POST /v1/auth/{}/login 200", role.mount), format!("POST /v1/{} 200", otp.path())];
    assert_eq!((gate.told(), gate.connections()), (expected.to_vec(), 1));
    assert_eq!((otp.leases(), role.tokens(&otp.bao)), (1, 1));
}

#[test]
fn a_lease_needs_a_token_for_two_requests_and_the_user_is_told() {
    let Some(otp) = Otp::find() else { return };
    let (role, helper) = minter(&otp, &json!({"token_num_uses": 1}));
    let cause = format!("vault: {}: Secret cannot be returned; token had one use left", otp.path());
    helper.get("ghcr.io").fails_with(&[
        &cause,
        "; hint: the token must be good for two requests: ",
        "token_num_uses",
    ]);
    // The server takes the credential back when it comes to it.
    in_the_end(&(0, 0), || (otp.leases(), role.tokens(&otp.bao)));
    let (role, helper) = minter(&otp, &json!({"token_num_uses": 2}));
    assert_eq!(helper.get("ghcr.io").code, Some(0));
    assert_eq!((otp.leases(), role.tokens(&otp.bao)), (1, 1));
}

/// How many tokens the server holds.
fn all_tokens(bao: &Bao) -> usize {
    bao.call("LIST", "auth/token/accessors", &Value::Null)["data"]["keys"].as_array().unwrap().len()
}

#[test]
fn a_hundred_look_ups_leave_what_was_there_before() {
    let Some(own) = OwnBao::start() else { return };
    let bao = own.ready();
    let name = secret(&bao);
    let role = AppRole::new(&bao, &may_read(&name));
    let helper = role.helper(&bao, &rule(&format!("secret/data/{name}"), ""), "");
    let before = all_tokens(&bao);
    for _ in 0..50 {
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    }
    // And fifty at once.
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1"));
        }
    });
    in_the_end(&(before, 0), || (all_tokens(&bao), role.tokens(&bao)));
}

#[test]
fn a_hundred_mints_are_a_hundred_leases() {
    let Some(own) = OwnBao::start() else { return };
    let otp = Otp::at(own.ready());
    let (role, helper) = minter(&otp, &json!({}));
    let before = all_tokens(&otp.bao);
    let mint = || {
        let answer = helper.get("ghcr.io");
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
        answer.stdout
    };
    let mut made: Vec<String> = (0..50).map(|_| mint()).collect();
    thread::scope(|scope| {
        let running: Vec<_> = (0..50).map(|_| scope.spawn(mint)).collect();
        made.extend(running.into_iter().map(|running| running.join().unwrap()));
    });
    made.sort_unstable();
    made.dedup();
    assert_eq!((made.len(), otp.leases(), role.tokens(&otp.bao)), (100, 100, 100));
    assert_eq!(all_tokens(&otp.bao), before + 100);
}
