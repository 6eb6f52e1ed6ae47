//! What `docker login` puts into a K/V engine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::rule;
use crate::support::Helper;
use crate::support::app_role::AppRole;
use crate::support::gate::{Gate, Step};
use crate::support::hostile::Hostile;
use crate::support::kv::Kv;
use crate::support::servers::{Bao, in_the_end, unique};

/// How a server answers whoever was overtaken.
const OVERTAKEN: &str = r#"{"errors":["check-and-set parameter did not match the current version"]}"#;

#[test]
fn what_is_stored_is_what_get_gives() {
    for kv in Kv::both() {
        let helper = kv.helper("team/ghcr", "");
        helper.get("ghcr.io").is_not_found();
        for (username, secret) in [("octocat", "pw-1"), ("hubot", "pw-2"), ("ü \"x\"", "\\ \" \n ü")] {
            helper.store("https://ghcr.io", username, secret).is_silent();
            assert_eq!(kv.read("team/ghcr"), json!({"username": username, "password": secret}));
            helper.get("ghcr.io").is_found("ghcr.io", username, secret);
        }
    }
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let Some(kv) = Kv::versioned() else { return };
    let helper = kv.helper("ghcr", "");
    for _ in 0..2 {
        helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    }
    assert_eq!(kv.versions("ghcr"), 1);
}

#[test]
fn an_empty_password_is_not_written_over_a_good_one() {
    for kv in Kv::both() {
        kv.write("ghcr", &json!({"username": "octocat", "password": "pw-1"}));
        let answer = kv.helper("ghcr", "").store("ghcr.io", "hubot", "");
        answer.fails_with(&["its key `password` would be empty", "; hint: "]);
        assert_eq!(kv.read("ghcr"), json!({"username": "octocat", "password": "pw-1"}));
    }
}

#[test]
fn other_keys_stay() {
    for kv in Kv::both() {
        kv.write(
            "ghcr",
            &json!({"username": "old", "password": 7, "owner": "ops", "more": {"a": [1, null]}}),
        );
        kv.helper("ghcr", "").store("ghcr.io", "octocat", "pw-1").is_silent();
        let more = json!({"a": [1, null]});
        let all = json!({"username": "octocat", "password": "pw-1", "owner": "ops", "more": more});
        assert_eq!(kv.read("ghcr"), all);
    }
}

#[test]
fn keys_may_have_other_names_and_lie_deep() {
    for kv in Kv::both() {
        kv.write("ghcr", &json!({"prod": {"x": 1}, "text": "t"}));
        let deep = "username-key = \"/prod/user\"\npassword-key = \"/prod/to~1ken\"";
        let helper = kv.helper("ghcr", deep);
        helper.store("ghcr.io", "octocat", "pw-1").is_silent();
        let prod = json!({"x": 1, "user": "octocat", "to/ken": "pw-1"});
        assert_eq!(kv.read("ghcr"), json!({"prod": prod, "text": "t"}));
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        let through = kv.helper("ghcr", "password-key = \"/text/token\"");
        through
            .store("ghcr.io", "octocat", "pw-2")
            .fails_with(&["its key `/text/token` leads through what is no object"]);
        assert_eq!(kv.read("ghcr"), json!({"prod": prod, "text": "t"}));
    }
}

#[test]
fn a_user_that_the_rule_states_is_not_written() {
    for kv in Kv::both() {
        let helper = kv.helper("ghcr", "username = \"robot\"\npassword-key = \"pat\"");
        helper.store("ghcr.io", "robot", "pw-1").is_silent();
        assert_eq!(kv.read("ghcr"), json!({"pat": "pw-1"}));
        helper.store("ghcr.io", "hubot", "pw-2").fails_with(&["the rule's user is robot"]);
        helper.get("ghcr.io").is_found("ghcr.io", "robot", "pw-1");
    }
}

#[test]
fn a_versioned_path_may_lack_data_and_a_mount_have_several_parts() {
    let Some(bao) = Bao::find() else { return };
    let mount = format!("{}/kv", unique("team"));
    bao.call("POST", &format!("sys/mounts/{mount}"), &json!({"type": "kv", "options": {"version": "2"}}));
    let kv = Kv { bao, mount, is_versioned: true };
    kv.write("first", &json!({}));
    for path in [format!("{}/apps/ghcr", kv.mount), format!("/{}/data/apps//ghcr/", kv.mount)] {
        let helper = kv.bao.helper(&rule(&path, "store = \"write\"\nerase = \"delete\""));
        helper.store("ghcr.io", "octocat", "pw-1").is_silent();
        assert_eq!(kv.read("apps/ghcr")["username"], "octocat");
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        helper.erase("ghcr.io").is_silent();
        assert_eq!(kv.read("apps/ghcr"), Value::Null);
    }
}

#[test]
fn a_namespace_of_the_connection_or_in_the_path_holds() {
    let Some(bao) = Bao::find() else { return };
    let space = bao.namespace();
    bao.call_in(&space, "POST", "secret/data/first", &json!({"data": {}}));
    for (path, connection) in [
        ("secret/ghcr".to_owned(), format!("[vault.default]\nnamespace = \"{space}\"")),
        (format!("{space}/secret/ghcr"), String::new()),
    ] {
        let helper =
            bao.helper(&rule(&path, &format!("store = \"write\"\nerase = \"delete\"\n{connection}")));
        helper.store("ghcr.io", "octocat", "pw-1").is_silent();
        let read = bao.call_in(&space, "GET", "secret/data/ghcr", &Value::Null);
        assert_eq!(read["data"]["data"]["username"], "octocat");
        helper.erase("ghcr.io").is_silent();
        helper.get("ghcr.io").is_not_found();
    }
}

#[test]
fn a_mount_that_demands_check_and_set_is_written_to_and_so_is_what_was_deleted_or_destroyed() {
    let Some(kv) = Kv::versioned() else { return };
    kv.bao.call("POST", &format!("{}/config", kv.mount), &json!({"cas_required": true}));
    let helper = kv.helper("ghcr", "");
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    helper.store("ghcr.io", "octocat", "pw-2").is_silent();
    kv.bao.call("DELETE", &kv.path("ghcr"), &Value::Null);
    helper.get("ghcr.io").is_not_found();
    helper.store("ghcr.io", "octocat", "pw-3").is_silent();
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-3");
    kv.bao.call("PUT", &format!("{}/destroy/ghcr", kv.mount), &json!({"versions": [3]}));
    helper.get("ghcr.io").is_not_found();
    helper.store("ghcr.io", "octocat", "pw-4").is_silent();
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-4");
    assert_eq!(kv.versions("ghcr"), 4);
}

#[test]
fn what_is_not_there_is_not_found_but_a_place_without_an_engine_or_a_right_is_a_failure() {
    for kv in Kv::both() {
        kv.write("half", &json!({"username": "octocat"}));
        kv.helper("half", "").get("ghcr.io").is_not_found();
        kv.helper("none", "").get("ghcr.io").is_not_found();
        let token = kv.bao.token(&format!("path \"{}/x\" {{ capabilities = [\"read\"] }}", kv.mount));
        kv.helper("none", "").env("VAULT_TOKEN", token).get("ghcr.io").fails_with(&["permission denied"]);
    }
    let Some(bao) = Bao::find() else { return };
    let nowhere = rule("nowhere/x", "store = \"write\"\nerase = \"delete\"");
    let helper = bao.helper(&nowhere);
    helper.get("ghcr.io").fails_with(&["no handler for route"]);
    for answer in [helper.store("ghcr.io", "octocat", "pw-just-typed"), helper.erase("ghcr.io")] {
        let line = answer.fails_with(&[
            "vault: nowhere/x: preflight capability check returned 403",
            "hint: check path and namespace",
        ]);
        assert!(!line.contains("pw-just-typed"), "{line}");
    }
    let elsewhere = format!("{nowhere}\n[vault.default]\nnamespace = \"nobodys\"");
    bao.helper(&elsewhere).get("ghcr.io").fails_with(&["namespace not found"]);
    // What is not a Vault's own word for it, such as a gateway's.
    for body in ["{}", "", r#"{"message":"Not Found"}"#] {
        let double = Hostile::answering(404, "", body);
        let helper = Helper::with_config(&nowhere).env("VAULT_ADDR", double.url()).env("VAULT_TOKEN", "t");
        helper.get("ghcr.io").fails_with(&["vault: nowhere/x: HTTP 404"]);
    }
}

#[test]
fn only_a_secret_of_a_kv_engine_is_written_to() {
    let Some(bao) = Bao::find() else { return };
    let ssh = bao.mount(&json!({"type": "ssh"}));
    for (path, told) in [
        (format!("{ssh}/creds/otp"), "the engine there is no K/V"),
        ("secret/data".to_owned(), "path names a mount and no secret"),
        ("secret".to_owned(), "path names a mount and no secret"),
        ("secret/metadata/x".to_owned(), "path names a secret's metadata"),
    ] {
        let helper = bao.helper(&rule(&path, "store = \"write\"\nerase = \"delete\""));
        helper
            .store("ghcr.io", "octocat", "pw-1")
            .fails_with(&[&format!("vault: {path}: {told}"), "; hint: "]);
        helper.erase("ghcr.io").fails_with(&[told]);
    }
}

#[test]
fn the_missing_right_is_named() {
    for kv in Kv::both() {
        kv.write("there", &json!({"x": "y"}));
        for (rights, name, missing) in [
            ("\"create\", \"update\"", "there", "read"),
            ("\"read\", \"update\"", "new", "create"),
            ("\"read\", \"create\"", "there", "update"),
        ] {
            let path = kv.path(name);
            let token = kv.bao.token(&format!("path \"{path}\" {{ capabilities = [{rights}] }}"));
            let helper = kv.helper(name, "").env("VAULT_TOKEN", token);
            let hint = format!("hint: the token must be valid and its policy allow {missing} on {path}");
            helper.store("ghcr.io", "octocat", "pw-1").fails_with(&["permission denied", &hint]);
        }
        assert_eq!((kv.read("there"), kv.read("new")), (json!({"x": "y"}), Value::Null));
    }
}

#[test]
fn a_write_takes_three_requests_on_one_connection_and_leaves_no_login() {
    for kv in Kv::both() {
        let path = kv.path("ghcr");
        let policy =
            format!("path \"{path}\" {{ capabilities = [\"create\", \"read\", \"update\", \"delete\"] }}");
        let role = AppRole::new(&kv.bao, &policy);
        let gate = Gate::to(&kv.bao.address);
        let helper = role.helper(&kv.bao, &kv.rule("ghcr", ""), "").env("VAULT_ADDR", gate.url());
        helper.store("ghcr.io", "octocat", "pw-1").is_silent();
        let told = gate.told();
        let lines: Vec<&str> = told.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
        let (mount, read) = (format!("GET /v1/sys/internal/ui/mounts/{path}"), format!("GET /v1/{path}"));
        let login = format!("POST /v1/auth/{}/login", role.mount);
        let write = format!("POST /v1/{path}");
        let revoke = "POST /v1/auth/token/revoke-self";
        assert_eq!(
            (lines.as_slice(), gate.connections()),
            ([login.as_str(), &mount, &read, &write, revoke].as_slice(), 1)
        );
        helper.erase("ghcr.io").is_silent();
        in_the_end(&0, || role.tokens(&kv.bao));
    }
}

#[test]
fn whoever_was_overtaken_reads_and_tries_again() {
    let Some(kv) = Kv::versioned() else { return };
    kv.write("ghcr", &json!({"owner": "ops"}));
    let tried = AtomicBool::new(false);
    let gate = Gate::holding(&kv.bao.address, move |line| {
        match line.starts_with("POST ") && !tried.swap(true, Ordering::SeqCst) {
            true => Step::answering(400, "", OVERTAKEN),
            false => Step::Pass,
        }
    });
    // The password stands in the server's own sentence, which must be understood all the same.
    let helper = kv.helper("ghcr", "").env("VAULT_ADDR", gate.url());
    helper.store("ghcr.io", "octocat", "current version").is_silent();
    assert_eq!(
        kv.read("ghcr"),
        json!({"owner": "ops", "username": "octocat", "password": "current version"})
    );
    let sent = gate.passed();
    let sent: Value = serde_json::from_str(sent[2].request.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(sent["options"], json!({"cas": 1}));
}

#[test]
fn whoever_is_overtaken_all_the_time_is_told_within_the_timeout() {
    let Some(kv) = Kv::versioned() else { return };
    let gate = Gate::holding(&kv.bao.address, move |line| match line.starts_with("POST ") {
        true => Step::answering(400, "", OVERTAKEN),
        false => Step::Pass,
    });
    let config = format!("timeout = \"1s\"\n{}", kv.rule("ghcr", ""));
    let helper = kv.bao.helper(&config).env("VAULT_ADDR", gate.url());
    let started = Instant::now();
    let answer = helper.store("ghcr.io", "octocat", "pw-1");
    answer.fails_with(&[&format!("vault: {}: ", kv.path("ghcr")), "; hint: "]);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let tries = gate.told().iter().filter(|line| line.starts_with("POST ")).count();
    assert!(tries > 2, "{tries}");
    assert_eq!(kv.read("ghcr"), Value::Null);
}

#[test]
fn what_was_sent_is_never_said() {
    let mount = r#"{"data":{"type":"kv","path":"kv/","options":{"version":"1"}}}"#;
    let held = r#"{"data":{"other":"another-secret","deep":["third-secret"]}}"#;
    for told in ["pw-just-typed", "another-secret", "third-secret", "x pw-just-typed y"] {
        let refused = format!("{{\"errors\":[\"cannot keep {told}\"]}}");
        let double = Hostile::in_turn(&[(200, "", mount), (200, "", held), (400, "", &refused)]);
        let helper = Helper::with_config(&rule("kv/ghcr", "store = \"write\""));
        let helper = helper.env("VAULT_ADDR", double.url()).env("VAULT_TOKEN", "t");
        let answer = helper.store("ghcr.io", "octocat", "pw-just-typed");
        let line = answer.fails_with(&["vault: kv/ghcr: HTTP 400; hint: "]);
        assert!(!line.contains(told), "{line}");
        assert!(double.heard()[2].contains("pw-just-typed") && double.heard()[2].contains("another-secret"));
    }
    // Before anything of it was sent, too: the server may have heard it before.
    let refused = r#"{"errors":["pw-just-typed"]}"#;
    let double = Hostile::answering(400, "", refused);
    let helper = Helper::with_config(&rule("kv/ghcr", "store = \"write\""));
    let helper = helper.env("VAULT_ADDR", double.url()).env("VAULT_TOKEN", "t");
    helper.store("ghcr.io", "octocat", "pw-just-typed").fails_with(&["vault: kv/ghcr: HTTP 400"]);
}

#[test]
fn an_answer_that_is_no_secret_is_not_written_over() {
    for (version, answer) in
        [("1", r#"{"data":null}"#), ("2", r#"{"data":null}"#), ("2", r#"{"data":{"data":{"a":"b"}}}"#)]
    {
        let mount = format!(r#"{{"data":{{"type":"kv","path":"kv/","options":{{"version":"{version}"}}}}}}"#);
        let double = Hostile::in_turn(&[(200, "", &mount), (200, "", answer)]);
        let helper = Helper::with_config(&rule("kv/ghcr", "store = \"write\""));
        let helper = helper.env("VAULT_ADDR", double.url()).env("VAULT_TOKEN", "t");
        helper.store("ghcr.io", "octocat", "pw-1").fails_with(&["the answer holds no secret"]);
        assert_eq!(double.heard().len(), 2);
    }
}
