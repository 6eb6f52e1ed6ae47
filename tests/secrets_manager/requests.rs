//! How often AWS is asked, and when it is not; and what `store` and `list` make of it.

use std::io::Write;
use std::sync::{Arc, Barrier};

use serde_json::json;

use super::{rule, rule_for};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::relay::Relay;
use crate::support::servers::{Moto, unique};

const OBJECT: &str = r#"{"username":"acme","password":"p4ss"}"#;

/// A helper whose requests to moto are counted.
fn counted(moto: &Moto, config: &str) -> (Helper, Relay) {
    let relay = Relay::to(&moto.url);
    (moto.helper(config).env("AWS_ENDPOINT_URL", relay.url()), relay)
}

/// The stored versions and what stands in the current one.
fn state(moto: &Moto, name: &str) -> (usize, String) {
    let versions = moto.call("us-east-1", "ListSecretVersionIds", &json!({"SecretId": name}));
    let value = moto.call("us-east-1", "GetSecretValue", &json!({"SecretId": name}));
    (versions["Versions"].as_array().unwrap().len(), value["SecretString"].as_str().unwrap().to_owned())
}

#[test]
fn a_json_object_takes_one_request() {
    let Some(moto) = Moto::find() else { return };
    let (helper, relay) = counted(&moto, &rule_for(&moto.secret(OBJECT), ""));
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(relay.counts(), (1, 1));
}

#[test]
fn two_secrets_take_two_requests_on_two_connections() {
    let Some(moto) = Moto::find() else { return };
    let (user, token) = (moto.secret("acme"), moto.secret("p4ss"));
    let (helper, relay) = counted(&moto, &rule_for(&token, &format!("username-secret = \"{user}\"")));
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(relay.counts(), (2, 2));
}

#[test]
fn two_secrets_are_asked_at_the_same_time() {
    // Answers nobody before both have asked.
    let both = Arc::new(Barrier::new(2));
    let double = Hostile::new(move |stream| {
        both.wait();
        let body = r#"{"SecretString":"acme"}"#;
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", body.len());
        let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
    });
    let config = rule("secret = \"token\"\nusername-secret = \"user\"");
    let helper = Helper::with_config(&format!("timeout = \"5s\"\n{config}")).envs(&[
        ("AWS_ENDPOINT_URL", double.url().as_str()),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
    ]);
    helper.get("docker.io").is_found("docker.io", "acme", "acme");
}

#[test]
fn a_registry_without_a_rule_takes_no_connection() {
    let Some(moto) = Moto::find() else { return };
    let (helper, relay) = counted(&moto, &rule_for(&moto.secret(OBJECT), ""));
    for asked in ["ghcr.io", "docker.io.evil.example", "evil.example/docker.io", "docker.io@evil.example"] {
        helper.get(asked).is_not_found();
    }
    assert_eq!(relay.counts(), (0, 0));
}

#[test]
fn erase_asks_nobody_and_changes_nothing() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(OBJECT);
    let (helper, relay) = counted(&moto, &rule_for(&name, ""));
    helper.erase("docker.io").is_silent();
    assert_eq!(relay.counts(), (0, 0));
    assert_eq!(state(&moto, &name), (1, OBJECT.to_owned()));
}

#[test]
fn list_names_the_rule_s_registry_without_any_request() {
    let Some(moto) = Moto::find() else { return };
    for (keys, line) in [
        ("", "{\"https://index.docker.io/v1/\":\"\"}\n"),
        ("username = \"acme\"", "{\"https://index.docker.io/v1/\":\"acme\"}\n"),
        ("username-secret = \"user\"", "{\"https://index.docker.io/v1/\":\"\"}\n"),
    ] {
        let (helper, relay) = counted(&moto, &rule_for("hub", keys));
        let answer = helper.list();
        assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (Some(0), line, ""));
        assert_eq!(relay.counts(), (0, 0));
    }
}

#[test]
fn list_needs_no_keys_and_no_region() {
    let answer = Helper::with_config(&rule("secret = \"hub\"")).list();
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "{\"https://index.docker.io/v1/\":\"\"}\n"));
}

#[test]
fn storing_what_is_there_succeeds_and_changes_nothing() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(OBJECT);
    let (helper, relay) = counted(&moto, &rule_for(&name, ""));
    helper.store("https://index.docker.io/v1/", "acme", "p4ss").is_silent();
    assert_eq!(relay.counts(), (1, 1));
    assert_eq!(state(&moto, &name), (1, OBJECT.to_owned()));
}

#[test]
fn storing_something_else_is_refused_with_a_remedy_and_changes_nothing() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(OBJECT);
    let helper = moto.helper(&rule_for(&name, ""));
    for (username, secret) in [("acme", "g1ven"), ("other", "p4ss"), ("acme", ""), ("acme", "p4ss ")] {
        let answer = helper.store("docker.io", username, secret);
        let line =
            answer.fails_with(&["aws-secrets-manager", &name, "another credential", "store = \"ignore\""]);
        assert!(!line.contains("g1ven") && !line.contains("p4ss"), "{line}");
    }
    assert_eq!(state(&moto, &name), (1, OBJECT.to_owned()));
}

#[test]
fn storing_where_the_source_fails_is_a_failure_that_never_repeats_the_secret() {
    let Some(moto) = Moto::find() else { return };
    for keys in ["", "on-error = \"anonymous\""] {
        let name = unique("missing");
        let answer = moto.helper(&rule_for(&name, keys)).store("docker.io", "acme", "g1ven");
        let line = answer.fails_with(&["aws-secrets-manager", &name, "ResourceNotFoundException", "hint: "]);
        assert!(!line.contains("g1ven"), "{line}");
    }
}

#[test]
fn a_rule_that_ignores_stores_takes_anything_and_asks_nobody() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(OBJECT);
    for keys in ["store = \"ignore\"", "store = \"ignore\"\nusername = \"acme\""] {
        let (helper, relay) = counted(&moto, &rule_for(&name, keys));
        for (username, secret) in [("acme", "p4ss"), ("other", "g1ven")] {
            helper.store("docker.io", username, secret).is_silent();
        }
        assert_eq!(relay.counts(), (0, 0));
    }
    assert_eq!(state(&moto, &name), (1, OBJECT.to_owned()));
}
