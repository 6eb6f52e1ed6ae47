//! What `docker login` puts into a K/V engine.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::rule;
use crate::support::Answer;
use crate::support::app_role::AppRole;
use crate::support::gate::{Gate, Step};
use crate::support::kv::Kv;
use crate::support::servers::{Bao, in_the_end, unique};

/// How a server answers whoever was overtaken.
pub(super) const OVERTAKEN: &str =
    r#"{"errors":["check-and-set parameter did not match the current version"]}"#;

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
fn a_signal_in_the_middle_of_a_write_waits_for_it_and_the_login_goes_back() {
    for kv in Kv::both() {
        let path = kv.path("ghcr");
        let policy = format!("path \"{path}\" {{ capabilities = [\"create\", \"read\"] }}");
        let role = AppRole::new(&kv.bao, &policy);
        let write = format!("POST /v1/{path}");
        let gate = Gate::holding(&kv.bao.address, move |line| match line == write {
            true => Step::Late(Duration::from_millis(150)),
            false => Step::Pass,
        });
        let helper = role.helper(&kv.bao, &kv.rule("ghcr", ""), "").env("VAULT_ADDR", gate.url());
        let mut child = helper.command(&["store"]).spawn().unwrap();
        let given = br#"{"ServerURL":"ghcr.io","Username":"octocat","Secret":"pw-1"}"#;
        child.stdin.take().unwrap().write_all(given).unwrap();
        while gate.passed().len() < 4 {
            assert!(child.try_wait().unwrap().is_none(), "it ended too early: {:?}", gate.told());
            thread::sleep(Duration::from_millis(2));
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        Answer::from_output(child.wait_with_output().unwrap()).is_silent();
        assert_eq!(kv.read("ghcr"), json!({"username": "octocat", "password": "pw-1"}));
        in_the_end(&0, || role.tokens(&kv.bao));
    }
}
