//! The one second try that a read has, and a login or a write has not.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::approle::AppRole;
use super::{ANSWER, head, rule};
use crate::support::Helper;
use crate::support::hostile::{Hostile, answer, reset};
use crate::support::own_bao::OwnBao;
use crate::support::relay::Relay;
use crate::support::servers::unique;

/// What a server answers while it is busy, standing by or starting.
const BUSY: [u16; 6] = [412, 429, 472, 473, 500, 503];
const GRANTED: &str = r#"{"auth":{"client_token":"hvs.CAESIJ","lease_duration":600,"token_type":"service"}}"#;
const ERRORS: &str = r#"{"errors":["not now"]}"#;

fn reader(double: &Hostile) -> Helper {
    let variables = [("VAULT_ADDR", double.url()), ("VAULT_TOKEN", "hvs.mine".to_owned())];
    let helper = Helper::with_config(&format!("timeout = \"3s\"\n{}", rule("secret/data/ghcr", "")));
    variables.into_iter().fold(helper, |helper, (name, value)| helper.env(name, value))
}

/// Logs in, and then mints.
fn minter(double: &Hostile) -> Helper {
    let more = "method = \"POST\"\n[vault.default.auth]\nmethod = \"approle\"\nrole-id = \"role\"";
    Helper::with_config(&rule("engine/creds/ci", more)).env("VAULT_ADDR", double.url())
}

fn lines(double: &Hostile) -> Vec<String> {
    double.heard().iter().map(|request| head(request).0).collect()
}

#[track_caller]
fn is_found(helper: &Helper) {
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn a_read_has_a_second_try_where_the_server_is_busy() {
    for status in BUSY {
        let double = Hostile::in_turn(&[(status, "", ERRORS), (200, "", ANSWER)]);
        is_found(&reader(&double));
        assert_eq!(lines(&double), ["GET /v1/secret/data/ghcr HTTP/1.1"; 2], "{status}");
    }
}

#[test]
fn a_read_has_no_third_try() {
    for status in BUSY {
        let double = Hostile::in_turn(&[(status, "", ERRORS), (status, "", ERRORS), (200, "", ANSWER)]);
        reader(&double).get("ghcr.io").fails_with(&["vault: secret/data/ghcr: not now; hint: "]);
        assert_eq!(double.heard().len(), 2, "{status}");
    }
    let double = Hostile::resetting();
    reader(&double).get("ghcr.io").fails_with(&["vault: secret/data/ghcr: connection reset; hint: "]);
    assert_eq!(double.heard().len(), 2);
}

#[test]
fn an_answer_that_will_not_change_is_not_asked_for_again() {
    for (status, body) in [(400, ERRORS), (404, ERRORS), (405, ERRORS), (200, "oops"), (307, ERRORS)] {
        let double = Hostile::in_turn(&[(status, "", body), (200, "", ANSWER)]);
        reader(&double).get("ghcr.io").fails_with(&["vault: secret/data/ghcr: "]);
        assert_eq!(double.heard().len(), 1, "{status}");
    }
}

#[test]
fn a_connection_that_breaks_has_a_second_try_too() {
    for is_reset in [true, false] {
        let next = AtomicUsize::new(0);
        let double = Hostile::new(move |stream| match next.fetch_add(1, Ordering::SeqCst) {
            0 if is_reset => reset(stream),
            0 => (),
            _ => drop(stream.write_all(answer(200, "", ANSWER).as_bytes())),
        });
        is_found(&reader(&double));
        assert_eq!(double.heard().len(), 2);
    }
}

#[test]
fn a_server_that_comes_up_late_is_found() {
    let late = || {
        let next = AtomicUsize::new(0);
        Hostile::late(Duration::from_millis(100), move |stream| {
            let body = if next.fetch_add(1, Ordering::SeqCst) == 0 { GRANTED } else { ANSWER };
            let _ = stream.write_all(answer(200, "", body).as_bytes());
        })
    };
    // A login has not been sent as long as nobody listens.
    let double = late();
    let auth = "[vault.default.auth]\nmethod = \"approle\"\nrole-id = \"role\"";
    is_found(&Helper::with_config(&rule("secret/data/ghcr", auth)).env("VAULT_ADDR", double.url()));
    let expected =
        ["POST /v1/auth/approle/login", "GET /v1/secret/data/ghcr", "POST /v1/auth/token/revoke-self"];
    assert_eq!(lines(&double), expected.map(|line| format!("{line} HTTP/1.1")));
}

#[test]
fn the_server_says_when_to_come_again() {
    let double = Hostile::in_turn(&[(503, "Retry-After: 1\r\n", ERRORS), (200, "", ANSWER)]);
    let started = Instant::now();
    is_found(&reader(&double));
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn a_time_beyond_the_deadline_is_not_waited_for() {
    for seconds in ["3", "60", "18446744073709551615"] {
        let header = format!("Retry-After: {seconds}\r\n");
        let double = Hostile::in_turn(&[(429, &header, ERRORS), (200, "", ANSWER)]);
        let started = Instant::now();
        let answer = reader(&double).get("ghcr.io");
        answer.is_line("vault: secret/data/ghcr: not now; hint: the server is asked too often: try again");
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        assert_eq!(double.heard().len(), 1);
    }
}

#[test]
fn a_login_is_sent_once() {
    for status in BUSY {
        let double = Hostile::in_turn(&[(status, "Retry-After: 0\r\n", ERRORS), (200, "", GRANTED)]);
        let answer = minter(&double).get("ghcr.io");
        answer.fails_with(&["vault: engine/creds/ci: login at auth/approle: not now; hint: "]);
        assert_eq!(lines(&double), ["POST /v1/auth/approle/login HTTP/1.1"], "{status}");
    }
    let double = Hostile::resetting();
    minter(&double).get("ghcr.io").fails_with(&["vault: engine/creds/ci: ", "connection reset"]);
    assert_eq!(lines(&double), ["POST /v1/auth/approle/login HTTP/1.1"]);
}

#[test]
fn a_write_behind_a_login_is_sent_once() {
    let minted =
        r#"{"lease_id":"engine/creds/ci/abc","lease_duration":300,"data":{"username":"u","password":"p"}}"#;
    let expected = ["auth/approle/login", "engine/creds/ci", "auth/token/revoke-self"];
    for status in BUSY {
        let busy = (status, "Retry-After: 0\r\n", ERRORS);
        let double = Hostile::in_turn(&[(200, "", GRANTED), busy, (200, "", minted)]);
        minter(&double).get("ghcr.io").fails_with(&["vault: engine/creds/ci: not now; hint: "]);
        assert_eq!(lines(&double), expected.map(|path| format!("POST /v1/{path} HTTP/1.1")), "{status}");
    }
}

#[test]
fn a_quota_of_the_servers_is_said_or_waited_out() {
    let Some(own) = OwnBao::start() else { return };
    let role = AppRole::new(own.ready(), "", &unique("approle"), &json!({}));
    let relay = Relay::to(&role.bao.address);
    let logs_in = role.with_secret_id(&role.secret_id()).env("VAULT_ADDR", relay.url());
    let quota = |path: &str, interval: &str| {
        let body = json!({"path": path, "rate": 1, "interval": interval});
        role.bao.call("POST", "sys/quotas/rate-limit/test", &body);
    };
    // A login is refused without another try.
    quota(&format!("auth/{}/login", role.mount), "60s");
    is_found(&logs_in);
    let before = relay.counts().1;
    let told = format!(
        "request path \"auth/{}/login\": rate limit quota exceeded; hint: the server is asked too often: try again",
        role.mount
    );
    logs_in.get("ghcr.io").is_line(&role.line(&told));
    assert_eq!(relay.counts().1 - before, 1);
    // A read has its second try, too early for this quota.
    quota("secret/", "60s");
    let name = role.path.replacen("secret/data/", "", 1);
    let token = role.bao.token(&format!("path \"secret/data/{name}\" {{ capabilities = [\"read\"] }}"));
    let reads = Helper::with_config(&rule(&role.path, ""))
        .envs(&[("VAULT_ADDR", &relay.url()), ("VAULT_TOKEN", &token)]);
    is_found(&reads);
    let before = relay.counts().1;
    let told = format!(
        "request path \"{}\": rate limit quota exceeded; hint: the server is asked too often",
        role.path
    );
    reads.get("ghcr.io").fails_with(&[&format!("vault: {}: {told}", role.path)]);
    assert_eq!(relay.counts().1 - before, 2);
    // Where the operator has it say so, the server tells when there is room again.
    role.bao.call("POST", "sys/quotas/config", &json!({"enable_rate_limit_response_headers": true}));
    quota("secret/", "1s");
    is_found(&reads);
    is_found(&reads);
}
