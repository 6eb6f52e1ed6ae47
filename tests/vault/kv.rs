//! Reading K/V engines of both versions.

use serde_json::json;

use super::rule;
use crate::support::relay::Relay;
use crate::support::servers::{Bao, request, unique};

const PAIR: &str = r#"{"username":"octocat","password":"pw-1"}"#;

fn pair() -> serde_json::Value {
    serde_json::from_str(PAIR).unwrap()
}

#[test]
fn a_versioned_secret_is_read_in_one_request_on_one_connection() {
    let Some(bao) = Bao::find() else { return };
    let relay = Relay::to(&bao.address);
    let helper = bao.helper(&rule(&format!("secret/data/{}", bao.secret(&pair())), ""));
    helper.env("VAULT_ADDR", relay.url()).get("https://ghcr.io").is_found(
        "https://ghcr.io",
        "octocat",
        "pw-1",
    );
    assert_eq!(relay.counts(), (1, 1));
}

#[test]
fn an_unversioned_secret_is_read() {
    let Some(bao) = Bao::find() else { return };
    let mount = bao.mount(&json!({"type": "kv", "options": {"version": "1"}}));
    bao.call("POST", &format!("{mount}/ghcr"), &pair());
    bao.helper(&rule(&format!("{mount}/ghcr"), "")).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn an_unversioned_secret_may_have_keys_that_look_versioned() {
    let Some(bao) = Bao::find() else { return };
    let mount = bao.mount(&json!({"type": "kv", "options": {"version": "1"}}));
    let secret =
        json!({"username": "octocat", "password": "pw-1", "data": {"password": "no"}, "metadata": {}});
    bao.call("POST", &format!("{mount}/ghcr"), &secret);
    bao.helper(&rule(&format!("{mount}/ghcr"), "")).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn the_newest_version_is_read_at_once() {
    let Some(bao) = Bao::find() else { return };
    let name = bao.secret(&pair());
    let helper = bao.helper(&rule(&format!("secret/data/{name}"), ""));
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let rotated = json!({"data": {"username": "octocat", "password": "pw-2"}});
    bao.call("POST", &format!("secret/data/{name}"), &rotated);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-2");
}

#[test]
fn a_versioned_path_without_data_is_found_in_three_requests_on_one_connection() {
    let Some(bao) = Bao::find() else { return };
    let relay = Relay::to(&bao.address);
    let helper = bao.helper(&rule(&format!("secret/{}", bao.secret(&pair())), ""));
    helper.env("VAULT_ADDR", relay.url()).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert_eq!(relay.counts(), (1, 3));
}

#[test]
fn a_versioned_path_without_data_is_found_by_a_token_that_may_read_nothing_else() {
    let Some(bao) = Bao::find() else { return };
    let relay = Relay::to(&bao.address);
    let name = bao.secret(&pair());
    let token = bao.token(&format!("path \"secret/data/{name}\" {{ capabilities = [\"read\"] }}"));
    // The server does not warn such a token: it refuses.
    let url = format!("{}/v1/secret/{name}", bao.address);
    assert_eq!(request("GET", &url, &[("X-Vault-Token", &token)], "").0, 403);
    let helper = bao.helper(&rule(&format!("secret/{name}"), ""));
    helper
        .envs(&[("VAULT_ADDR", &relay.url()), ("VAULT_TOKEN", &token)])
        .get("ghcr.io")
        .is_found("ghcr.io", "octocat", "pw-1");
    assert_eq!(relay.counts(), (1, 3));
}

#[test]
fn a_mount_may_have_several_parts() {
    let Some(bao) = Bao::find() else { return };
    let mount = format!("{}/kv", unique("team"));
    bao.call("POST", &format!("sys/mounts/{mount}"), &json!({"type": "kv", "options": {"version": "2"}}));
    bao.call("POST", &format!("{mount}/data/apps/ghcr"), &json!({ "data": pair() }));
    let token = bao.token(&format!("path \"{mount}/data/apps/ghcr\" {{ capabilities = [\"read\"] }}"));
    for path in [format!("{mount}/data/apps/ghcr"), format!("{mount}/apps/ghcr")] {
        for token in [&bao.token, &token] {
            let helper = bao.helper(&rule(&path, "")).env("VAULT_TOKEN", token);
            helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        }
    }
}

#[test]
fn slashes_at_the_ends_and_doubled_ones_say_nothing() {
    let Some(bao) = Bao::find() else { return };
    let name = bao.secret(&pair());
    for path in [
        format!("/secret/data/{name}"),
        format!("secret/data/{name}/"),
        format!("//secret//data///{name}//"),
        format!("/secret/{name}/"),
    ] {
        bao.helper(&rule(&path, "")).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    }
}

#[test]
fn a_username_in_the_rule_beats_the_one_in_the_secret() {
    let Some(bao) = Bao::find() else { return };
    for secret in [pair(), json!({"password": "pw-1"}), json!({"username": 7, "password": "pw-1"})] {
        let path = format!("secret/data/{}", bao.secret(&secret));
        bao.helper(&rule(&path, "username = \"robot\"")).get("ghcr.io").is_found("ghcr.io", "robot", "pw-1");
    }
}

#[test]
fn keys_may_have_other_names() {
    let Some(bao) = Bao::find() else { return };
    let name = bao.secret(&json!({"login": "octocat", "pat": "pw-1", "password": "no", "a/b": "slash"}));
    let rule = |more| rule(&format!("secret/data/{name}"), more);
    bao.helper(&rule("username-key = \"login\"\npassword-key = \"pat\""))
        .get("ghcr.io")
        .is_found("ghcr.io", "octocat", "pw-1");
    bao.helper(&rule("username-key = \"login\"\npassword-key = \"a/b\""))
        .get("ghcr.io")
        .is_found("ghcr.io", "octocat", "slash");
}

#[test]
fn keys_may_be_pointers_into_nested_objects() {
    let Some(bao) = Bao::find() else { return };
    let nested = json!({"registries": {"ghcr.io": {"user": "octocat", "a/b~c": "pw-1"}}, "all": ["x", "y"]});
    let name = bao.secret(&nested);
    let rule = |more| rule(&format!("secret/data/{name}"), more);
    let deep = "username-key = \"/registries/ghcr.io/user\"\npassword-key = \"/registries/ghcr.io/a~1b~0c\"";
    bao.helper(&rule(deep)).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let listed = "username-key = \"/all/0\"\npassword-key = \"/all/1\"";
    bao.helper(&rule(listed)).get("ghcr.io").is_found("ghcr.io", "x", "y");
}

#[test]
fn json_values_are_taken_as_they_are() {
    let Some(bao) = Bao::find() else { return };
    let secret = " p\"w\\\u{e9}\u{1f433}\t\r\n";
    let name = bao.secret(&json!({"username": "o\u{e9}", "password": secret}));
    bao.helper(&rule(&format!("secret/data/{name}"), ""))
        .get("ghcr.io")
        .is_found("ghcr.io", "o\u{e9}", secret);
}

#[test]
fn what_no_rule_names_and_what_list_names_ask_nothing() {
    let Some(bao) = Bao::find() else { return };
    let relay = Relay::to(&bao.address);
    let other = "[registry.\"quay.io\"]\nsource = \"vault\"\npath = \"secret/data/quay\"";
    let config = rule("secret/data/ghcr", &format!("username = \"octocat\"\n{other}"));
    let helper = bao.helper(&config).env("VAULT_ADDR", relay.url());
    helper.get("docker.io").is_not_found();
    helper.erase("ghcr.io").is_silent();
    let listed = helper.list();
    let line = "{\"ghcr.io\":\"octocat\",\"quay.io\":\"\"}\n";
    assert_eq!((listed.code, listed.stdout.as_str(), listed.stderr.as_str()), (Some(0), line, ""));
    assert_eq!(relay.counts(), (0, 0));
}
