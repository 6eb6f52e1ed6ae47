//! What a healthy server refuses, and what cannot be used of what it gives.

use serde_json::{Value, json};

use super::rule;
use crate::support::servers::{Bao, unique};

#[test]
fn a_secret_that_was_never_written() {
    let Some(bao) = Bao::find() else { return };
    let name = unique("never");
    let answer = bao.helper(&rule(&format!("secret/data/{name}"), "")).get("ghcr.io");
    answer.fails_with(&[&format!("vault: secret/data/{name}: no such secret; hint: check path")]);
    // Without `data/` the sentence names the place that was looked at in the end.
    let answer = bao.helper(&rule(&format!("secret/{name}"), "")).get("ghcr.io");
    answer.fails_with(&["no such secret; hint: check path"]);
}

#[test]
fn a_path_that_the_policy_does_not_cover() {
    let Some(bao) = Bao::find() else { return };
    let name = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
    let token = bao.token("path \"secret/data/another\" { capabilities = [\"read\"] }");
    for path in [format!("secret/data/{name}"), format!("secret/{name}")] {
        let answer = bao.helper(&rule(&path, "")).env("VAULT_TOKEN", &token).get("ghcr.io");
        let line = answer.fails_with(&[
            &format!("vault: {path}: permission denied; hint: "),
            // Also where `data/` is missing in the rule.
            &format!("policy allow read on secret/data/{name}"),
        ]);
        assert!(!line.contains(&token), "{line}");
    }
}

#[test]
fn a_token_that_the_server_does_not_know() {
    let Some(bao) = Bao::find() else { return };
    let name = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
    let token = "hvs.CAESINoSuchTokenAnywhere";
    let answer =
        bao.helper(&rule(&format!("secret/data/{name}"), "")).env("VAULT_TOKEN", token).get("ghcr.io");
    let line = answer.fails_with(&[&format!(
        "vault: secret/data/{name}: permission denied; hint: the token must be valid"
    )]);
    assert!(!line.contains(token), "{line}");
}

#[test]
fn no_token_at_all() {
    let Some(bao) = Bao::find() else { return };
    let helper = bao.helper(&rule("secret/data/ghcr", "")).env("VAULT_TOKEN", "");
    helper.get("ghcr.io").fails_with(&["vault: secret/data/ghcr: no token: ", "VAULT_TOKEN", "hint: log in"]);
}

#[test]
fn what_is_no_token_is_not_sent() {
    let Some(bao) = Bao::find() else { return };
    for token in ["hvs.first\nhvs.second", "hvs.not\u{e4}scii", "hvs.two words", " \t "] {
        let answer = bao.helper(&rule("secret/data/ghcr", "")).env("VAULT_TOKEN", token).get("ghcr.io");
        let line = answer.fails_with(&["vault: secret/data/ghcr: what VAULT_TOKEN holds is no token"]);
        assert!(!line.contains("hvs."), "{line}");
    }
}

#[test]
fn a_key_that_is_missing_empty_or_no_string() {
    let Some(bao) = Bao::find() else { return };
    let secret = json!({
        "username": "octocat", "empty": "", "number": 17042, "null": null, "list": ["pw-1"], "object": {"a": "pw-1"},
    });
    let path = format!("secret/data/{}", bao.secret(&secret));
    for (key, cause) in [
        ("password", "it has no key `password`"),
        ("pat", "it has no key `pat`"),
        ("/object/b", "it has no key `/object/b`"),
        ("/list/1", "it has no key `/list/1`"),
        ("empty", "its key `empty` is empty"),
        ("number", "its key `number` is no string"),
        ("null", "its key `null` is no string"),
        ("list", "its key `list` is no string"),
        ("/object", "its key `/object` is no string"),
    ] {
        let answer = bao.helper(&rule(&path, &format!("password-key = \"{key}\""))).get("ghcr.io");
        let line = answer.fails_with(&[&format!(
            "vault: {path}: {cause}; hint: set password-key to the key that holds it"
        )]);
        assert!(!line.contains("pw-1") && !line.contains("17042"), "{line}");
    }
    let answer =
        bao.helper(&rule(&path, "username-key = \"login\"\npassword-key = \"empty\"")).get("ghcr.io");
    answer.fails_with(&["it has no key `login`; hint: set username-key"]);
}

#[test]
fn a_version_that_was_deleted_or_destroyed() {
    let Some(bao) = Bao::find() else { return };
    let name = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
    bao.call("POST", &format!("secret/data/{name}"), &json!({"data": {"username": "u", "password": "pw-2"}}));
    let helper = bao.helper(&rule(&format!("secret/data/{name}"), ""));
    bao.call("DELETE", &format!("secret/data/{name}"), &Value::Null);
    let place = format!("vault: secret/data/{name}: ");
    helper.get("ghcr.io").fails_with(&[&place, "version 2 is deleted; hint: undelete it"]);
    bao.call("PUT", &format!("secret/destroy/{name}"), &json!({"versions": [2]}));
    helper.get("ghcr.io").fails_with(&[&place, "version 2 is destroyed; hint: write a new version"]);
}

#[test]
fn a_mount_that_does_not_exist() {
    let Some(bao) = Bao::find() else { return };
    let answer = bao.helper(&rule("no-such-mount/ghcr", "")).get("ghcr.io");
    answer
        .fails_with(&["vault: no-such-mount/ghcr: no handler for route", "; hint: check path and namespace"]);
    let answer = bao.helper(&rule("/v1/secret/data/ghcr", "")).get("ghcr.io");
    answer.fails_with(&["no handler for route", "; hint: leave out v1/ at the beginning of path"]);
}

#[test]
fn a_namespace_that_does_not_exist() {
    let Some(bao) = Bao::find() else { return };
    let helper = bao.helper(&rule("secret/data/ghcr", "[vault.default]\nnamespace = \"no-such-space\""));
    let line = "vault: secret/data/ghcr: namespace not found; hint: check path and namespace";
    helper.get("ghcr.io").is_line(line);
}

#[test]
fn an_engine_that_wants_a_write_or_takes_none() {
    let Some(bao) = Bao::find() else { return };
    let mount = bao.mount(&json!({"type": "ssh"}));
    let answer = bao.helper(&rule(&format!("{mount}/creds/otp"), "")).get("ghcr.io");
    let hint = "unsupported operation; hint: an engine that mints on write needs method = \"POST\"";
    answer.fails_with(&[&format!("vault: {mount}/creds/otp: {hint}")]);
    let answer = bao.helper(&rule(&format!("{mount}/public_key"), "method = \"POST\"")).get("ghcr.io");
    answer.fails_with(&["unsupported operation; hint: ", "remove method"]);
}
