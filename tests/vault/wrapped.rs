//! Secret-ids that come wrapped: opened once, and only where they are what they should be.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::approle::{AppRole, write};
use super::{head, rule};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::servers::{Bao, request};

const ONCE: &str = "the wrapped secret-id: wrapping token is not valid or does not exist; hint: it opens once and for a \
    short time: wrap a new one; if this one was not used here, somebody may have read it";

/// A helper that opens this one.
fn helper(role: &AppRole, wrapping: &str) -> Helper {
    role.helper(&format!("{}wrapped = true", role.keys())).env("SECRET_ID", wrapping)
}

/// What the wrapping holds, if it can still be opened.
fn opened(bao: &Bao, wrapping: &str) -> Option<Value> {
    let url = format!("{}/v1/sys/wrapping/unwrap", bao.address);
    let (status, answer) = request("POST", &url, &[("X-Vault-Token", wrapping)], "");
    (status == 200).then(|| serde_json::from_str(&answer).unwrap())
}

#[test]
fn a_wrapped_secret_id_opens_once() {
    let Some(role) = AppRole::find() else { return };
    let wrapping = role.wrapped("60s");
    let helper = helper(&role, &wrapping);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert_eq!(opened(&role.bao, &wrapping), None);
    helper.get("ghcr.io").is_line(&format!("vault: {}: {ONCE}", role.path));
}

#[test]
fn a_wrapping_may_stand_in_a_file() {
    let Some(role) = AppRole::find() else { return };
    let keys = format!("role-id = \"{}\"\nsecret-id-file = \"~/wrapping\"\nwrapped = true", role.role_id);
    let helper = role.helper(&keys);
    for end in ["", "\n", " \r\n"] {
        write(&helper.home().join("wrapping"), &format!("{}{end}", role.wrapped("60s")));
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    }
}

#[test]
fn one_that_was_opened_before_or_is_none_is_said_to_be_read_by_somebody() {
    let Some(role) = AppRole::find() else { return };
    let stolen = role.wrapped("60s");
    assert!(opened(&role.bao, &stolen).is_some());
    for wrapping in [stolen.as_str(), "s.nothing", "not even a token"] {
        helper(&role, wrapping).get("ghcr.io").is_line(&format!("vault: {}: {ONCE}", role.path));
    }
}

#[test]
fn one_that_was_made_elsewhere_is_refused_unopened() {
    let Some(role) = AppRole::find() else { return };
    let bao = &role.bao;
    let other = AppRole::find().unwrap();
    // Whoever took the secret-id out could put it back in at places that look alike: everybody has a cubbyhole.
    let stolen = json!({"secret_id": role.secret_id()});
    let own = format!("auth/{}/role/ci/secret-id", role.mount);
    let kv = bao.mount(&json!({"type": "kv"}));
    for place in [
        format!("cubbyhole/{own}"),
        format!("{kv}/{own}"),
        format!("cubbyhole/auth/{}/role/ci/secret-id", own),
    ] {
        bao.call("POST", &place, &stolen);
        is_refused_unopened(&role, &role.wrap("60s", "GET", &place));
        bao.call("DELETE", &place, &Value::Null);
    }
    is_refused_unopened(&role, &role.wrap("60s", "GET", &role.path));
    is_refused_unopened(&role, &role.wrap("60s", "POST", "sys/wrapping/wrap"));
    is_refused_unopened(&role, &role.wrap("60s", "GET", &format!("auth/{}/role/ci/role-id", role.mount)));
    is_refused_unopened(&role, &other.wrapped("60s"));
}

#[track_caller]
fn is_refused_unopened(role: &AppRole, wrapping: &str) {
    let told = format!(
        "the wrapped secret-id was made somewhere else; hint: it must come from auth/{}/role/ROLE/secret-id: somebody \
        may have put another one in its place",
        role.mount
    );
    helper(role, wrapping).get("ghcr.io").is_line(&format!("vault: {}: {told}", role.path));
    assert!(opened(&role.bao, wrapping).is_some());
}

#[test]
fn a_namespace_changes_nothing() {
    let Some(bao) = Bao::find() else { return };
    let space = bao.namespace();
    let role = AppRole::new(bao, &space, "approle", &json!({}));
    for variable in ["VAULT_NAMESPACE", "BAO_NAMESPACE"] {
        let helper = helper(&role, &role.wrapped("60s")).env(variable, &space);
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    }
}

/// What the server tells of a wrapping that was made there.
fn made_at(path: &str) -> String {
    json!({"data": {"creation_path": path}}).to_string()
}

fn lines(double: &Hostile) -> Vec<String> {
    double.heard().iter().map(|request| head(request).0).collect()
}

/// A helper with a wrapping for the double, in this namespace.
fn at_double(double: &Hostile, namespace: &str) -> Helper {
    let auth = "[vault.default.auth]\nmethod = \"approle\"\nrole-id = \"r\"\nsecret-id-env = \"SECRET_ID\"\nwrapped = true";
    let helper = Helper::with_config(&rule("secret/data/ghcr", auth)).env("VAULT_ADDR", double.url());
    helper.envs(&[("SECRET_ID", "s.wrapping"), ("VAULT_NAMESPACE", namespace)])
}

#[test]
fn a_place_is_told_with_its_namespace_or_without() {
    let own = "auth/approle/role/ci/secret-id";
    for (namespace, path, is_opened) in [
        ("team", format!("team/{own}"), true),
        ("/team/ci/", format!("team/ci/{own}"), true),
        ("team", own.to_owned(), true),
        ("team/ci", format!("team/{own}"), false),
        ("team", format!("other/{own}"), false),
        ("", format!("team/{own}"), false),
    ] {
        let double = Hostile::in_turn(&[(200, "", &made_at(&path)), (400, "", r#"{"errors":["gone"]}"#)]);
        let answer = at_double(&double, namespace).get("ghcr.io");
        let (told, requests) = match is_opened {
            true => ("the wrapped secret-id: gone; hint: it opens once", 2),
            false => ("the wrapped secret-id was made somewhere else", 1),
        };
        answer.fails_with(&[told]);
        assert_eq!(lines(&double).len(), requests, "{namespace} {path}");
    }
}

#[test]
fn a_wrapping_is_sent_once_and_only_where_it_belongs() {
    let own = made_at("auth/approle/role/ci/secret-id");
    for status in [412, 429, 472, 473, 500, 503] {
        let double = Hostile::in_turn(&[(200, "", &own), (status, "", r#"{"errors":["s.wrapping"]}"#)]);
        let answer = at_double(&double, "").get("ghcr.io");
        let line = answer.fails_with(&["the wrapped secret-id: HTTP ", "; hint: "]);
        assert!(!line.contains("s.wrapping"), "{line}");
        let (lookup, unwrap) =
            ("POST /v1/sys/wrapping/lookup HTTP/1.1", "POST /v1/sys/wrapping/unwrap HTTP/1.1");
        assert_eq!(lines(&double), [lookup, unwrap]);
        let heard = double.heard();
        assert!(!head(&heard[0]).1.iter().any(|header| header.starts_with("x-vault-token")), "{}", heard[0]);
        assert!(heard[0].ends_with("{\"token\":\"s.wrapping\"}"), "{}", heard[0]);
        assert!(head(&heard[1]).1.contains(&"x-vault-token: s.wrapping".to_owned()), "{}", heard[1]);
    }
}

#[test]
fn a_wrapping_that_cannot_be_looked_up_is_not_opened() {
    for status in [400, 403, 429, 500, 503] {
        let double = Hostile::answering(status, "", r#"{"errors":["{\"token\":\"s.wrapping\"} is none"]}"#);
        let answer = at_double(&double, "").get("ghcr.io");
        let line = answer.fails_with(&[&format!("the wrapped secret-id: HTTP {status}; hint: ")]);
        assert!(!line.contains("s.wrapping"), "{line}");
        assert_eq!(lines(&double), ["POST /v1/sys/wrapping/lookup HTTP/1.1"]);
    }
}

#[test]
fn a_wrapping_without_a_secret_id_is_said() {
    let own = made_at("auth/approle/role/ci/secret-id");
    for body in ["{}", r#"{"data":{"secret_id":""}}"#, r#"{"data":{"secret_id":7}}"#, r#"{"data":[]}"#] {
        let double = Hostile::in_turn(&[(200, "", &own), (200, "", body)]);
        let answer = at_double(&double, "").get("ghcr.io");
        answer.fails_with(&["there is no secret-id in the wrapping; hint: wrap it anew"]);
        assert_eq!(lines(&double).len(), 2);
    }
}

#[test]
fn one_that_outlived_its_time_does_not_open() {
    let Some(role) = AppRole::find() else { return };
    let wrapping = role.wrapped("1s");
    while is_known(&role.bao, &wrapping) {
        thread::sleep(Duration::from_millis(50));
    }
    helper(&role, &wrapping).get("ghcr.io").is_line(&format!("vault: {}: {ONCE}", role.path));
}

/// Whether the server still knows the wrapping; this does not open it.
fn is_known(bao: &Bao, wrapping: &str) -> bool {
    let body = json!({ "token": wrapping }).to_string();
    request("POST", &format!("{}/v1/sys/wrapping/lookup", bao.address), &[], &body).0 == 200
}
