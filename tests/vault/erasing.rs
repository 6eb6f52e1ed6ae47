//! What `docker logout` takes out of a K/V engine.

use std::sync::Once;

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::app_role::AppRole;
use crate::support::gate::{Gate, Step};
use crate::support::kv::Kv;
use crate::support::servers::request;

const PAIR: &str = r#"{"username":"octocat","password":"pw-1"}"#;

fn pair() -> Value {
    serde_json::from_str(PAIR).unwrap()
}

#[test]
fn a_secret_that_held_nothing_else_goes_and_can_be_stored_again() {
    for kv in Kv::both() {
        kv.write("ghcr", &pair());
        let helper = kv.helper("ghcr", "");
        helper.erase("ghcr.io").is_silent();
        assert_eq!(kv.read("ghcr"), Value::Null);
        helper.get("ghcr.io").is_not_found();
        helper.store("ghcr.io", "hubot", "pw-2").is_silent();
        helper.get("ghcr.io").is_found("ghcr.io", "hubot", "pw-2");
    }
}

#[test]
fn the_owner_can_undelete_a_version() {
    let Some(kv) = Kv::versioned() else { return };
    kv.write("ghcr", &pair());
    kv.helper("ghcr", "").erase("ghcr.io").is_silent();
    kv.bao.call("POST", &format!("{}/undelete/ghcr", kv.mount), &json!({"versions": [1]}));
    assert_eq!(kv.read("ghcr"), pair());
}

#[test]
fn other_keys_stay() {
    for kv in Kv::both() {
        kv.write("ghcr", &json!({"owner": "ops", "username": "octocat", "password": "pw-1"}));
        kv.helper("ghcr", "").erase("ghcr.io").is_silent();
        assert_eq!(kv.read("ghcr"), json!({"owner": "ops"}));
        kv.write("deep", &json!({"ghcr": {"user": "octocat", "token": "pw-1"}, "quay": {"token": "pw-2"}}));
        let deep = "username-key = \"/ghcr/user\"\npassword-key = \"/ghcr/token\"";
        kv.helper("deep", deep).erase("ghcr.io").is_silent();
        assert_eq!(kv.read("deep"), json!({"quay": {"token": "pw-2"}}));
        kv.write("stated", &json!({"username": "robots-own", "password": "pw-1"}));
        kv.helper("stated", "username = \"robot\"").erase("ghcr.io").is_silent();
        assert_eq!(kv.read("stated"), json!({"username": "robots-own"}));
    }
}

#[test]
fn nothing_there_is_no_failure_and_nothing_is_sent() {
    for kv in Kv::both() {
        kv.write("other", &json!({"owner": "ops"}));
        kv.write("gone", &pair());
        kv.bao.call("DELETE", &kv.path("gone"), &Value::Null);
        for name in ["none", "other", "gone"] {
            let gate = Gate::to(&kv.bao.address);
            kv.helper(name, "").env("VAULT_ADDR", gate.url()).erase("ghcr.io").is_silent();
            let told = gate.told();
            assert!(told.iter().all(|line| line.starts_with("GET ")), "{told:?}");
        }
        assert_eq!(kv.read("other"), json!({"owner": "ops"}));
    }
}

#[test]
fn what_a_list_holds_stays_and_that_is_a_failure() {
    for kv in Kv::both() {
        let held = json!({"robots": [{"user": "octocat", "token": "pw-1"}]});
        kv.write("list", &held);
        let keys = "username-key = \"/robots/0/user\"\npassword-key = \"/robots/0/token\"";
        let helper = kv.helper("list", keys);
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        helper.erase("ghcr.io").fails_with(&[
            &format!("vault: {}: its key leads through a list, so it is not taken out", kv.path("list")),
            "hint: take it out by hand",
        ]);
        assert_eq!(kv.read("list"), held);
    }
}

/// Has somebody else write the secret right before the first request that deletes it.
fn overtaking(kv: &Kv, name: &str, data: &Value) -> Gate {
    let url = format!("{}/v1/{}", kv.bao.address, kv.path(name));
    let (token, body) = (kv.bao.token.clone(), json!({ "data": data }).to_string());
    let once = Once::new();
    Gate::holding(&kv.bao.address, move |line| {
        if line.starts_with("DELETE ") || line.contains("/delete/") {
            let write = || assert_eq!(request("POST", &url, &[("X-Vault-Token", &token)], &body).0, 200);
            once.call_once(write);
        }
        Step::Pass
    })
}

#[test]
fn what_was_written_in_between_is_judged_anew() {
    let Some(kv) = Kv::versioned() else { return };
    let other = json!({"username": "hubot", "password": "pw-2"});
    let shared = json!({"owner": "ops", "username": "octocat", "password": "pw-1"});
    for (name, between, left) in [
        // Another login stays, with its version; this one's keys go wherever they are.
        ("other", &other, other.clone()),
        ("owner", &shared, json!({"owner": "ops"})),
        ("same", &pair(), Value::Null),
    ] {
        let paths = [kv.path(name), format!("{}/delete/{name}", kv.mount)];
        let all = "capabilities = [\"create\", \"read\", \"update\", \"delete\"]";
        let [with, without] = [
            format!("path \"{}\" {{ {all} }} path \"{}\" {{ {all} }}", paths[0], paths[1]),
            format!("path \"{}\" {{ {all} }}", paths[0]),
        ]
        .map(|policy| kv.bao.token(&policy));
        for token in [with, without] {
            kv.write(name, &pair());
            let gate = overtaking(&kv, name, between);
            let helper = kv.helper(name, "").env("VAULT_ADDR", gate.url()).env("VAULT_TOKEN", token);
            helper.erase("ghcr.io").is_silent();
            assert_eq!(kv.read(name), left, "{:?}", gate.told());
        }
    }
}

#[test]
fn without_the_right_to_delete_one_version_the_newest_is_read_once_more() {
    let Some(kv) = Kv::versioned() else { return };
    kv.write("ghcr", &pair());
    let path = kv.path("ghcr");
    let token = kv.bao.token(&format!("path \"{path}\" {{ capabilities = [\"read\", \"delete\"] }}"));
    let gate = Gate::to(&kv.bao.address);
    let helper = kv.helper("ghcr", "").env("VAULT_ADDR", gate.url()).env("VAULT_TOKEN", token);
    helper.erase("ghcr.io").is_silent();
    assert_eq!(kv.read("ghcr"), Value::Null);
    let told = gate.told();
    assert_eq!(
        told[1..],
        [
            format!("GET /v1/{path} 200"),
            format!("POST /v1/{}/delete/ghcr 403", kv.mount),
            format!("GET /v1/{path} 200"),
            format!("DELETE /v1/{path} 204"),
        ]
    );
}

#[test]
fn a_token_for_few_requests_deletes_where_it_can() {
    let Some(kv) = Kv::versioned() else { return };
    let (data, versions) = (kv.path("ghcr"), format!("{}/delete/ghcr", kv.mount));
    let read = format!("path \"{data}\" {{ capabilities = [\"read\", \"delete\"] }}");
    let both = format!("{read} path \"{versions}\" {{ capabilities = [\"update\"] }}");
    let missing = format!("must allow update on {versions}");
    for (policy, uses, told) in [
        (&both, 1, Some("the login's token is used up by the read")),
        (&both, 2, None),
        (&both, 3, None),
        (&read, 2, Some(missing.as_str())),
        (&read, 4, None),
    ] {
        kv.write("ghcr", &pair());
        let role = AppRole::with(&kv.bao, "", policy, &json!({"token_num_uses": uses}));
        let answer = role.helper(&kv.bao, &kv.rule("ghcr", ""), "").erase("ghcr.io");
        match told {
            Some(told) => {
                answer.fails_with(&[told]);
            }
            None => answer.is_silent(),
        }
        assert_eq!(kv.read("ghcr") == pair(), told.is_some(), "{policy} {uses}");
    }
}

#[test]
fn whoever_is_overtaken_all_the_time_is_told_within_the_timeout() {
    let Some(kv) = Kv::versioned() else { return };
    kv.write("ghcr", &pair());
    let url = format!("{}/v1/{}", kv.bao.address, kv.path("ghcr"));
    let (token, body) = (kv.bao.token.clone(), json!({ "data": pair() }).to_string());
    let gate = Gate::holding(&kv.bao.address, move |line| {
        if line.contains("/delete/") {
            assert_eq!(request("POST", &url, &[("X-Vault-Token", &token)], &body).0, 200);
        }
        Step::Pass
    });
    let config = format!("timeout = \"1s\"\n{}", kv.rule("ghcr", ""));
    let helper = kv.bao.helper(&config).env("VAULT_ADDR", gate.url());
    helper.erase("ghcr.io").fails_with(&["others have written there in between", "; hint: "]);
    let tries = gate.told().iter().filter(|line| line.contains("/delete/")).count();
    assert!(tries > 2, "{tries}");
    assert_eq!(kv.read("ghcr"), pair());
}

#[test]
fn without_the_word_for_it_nothing_is_deleted() {
    for kv in Kv::both() {
        kv.write("ghcr", &pair());
        let forget = kv.rule("ghcr", "").replace("erase = \"delete\"\n", "");
        kv.bao.helper(&forget).erase("ghcr.io").is_silent();
        assert_eq!(kv.read("ghcr"), pair());
    }
}

#[test]
fn the_missing_right_is_named() {
    for kv in Kv::both() {
        kv.write("alone", &pair());
        kv.write("shared", &json!({"owner": "ops", "username": "octocat", "password": "pw-1"}));
        for (rights, name, missing) in [
            ("\"delete\"", "alone", "read"),
            ("\"read\", \"update\"", "alone", "delete"),
            ("\"read\", \"delete\"", "shared", "update"),
        ] {
            let path = kv.path(name);
            let token = kv.bao.token(&format!("path \"{path}\" {{ capabilities = [{rights}] }}"));
            let helper = kv.helper(name, "").env("VAULT_TOKEN", token);
            let answer = helper.erase("ghcr.io");
            let line = answer.fails_with(&["permission denied", &format!("allow {missing} on {path}")]);
            let better = format!("{path}, or better update on {}/delete/{name}", kv.mount);
            assert_eq!(line.contains(&better), kv.is_versioned && missing == "delete", "{line}");
        }
        assert_eq!(kv.read("alone"), pair());
    }
}

#[test]
fn with_an_agent_the_next_get_sees_what_was_stored_and_erased() {
    for kv in Kv::both() {
        let agent = Agent::start();
        let helper = agent.serves(kv.helper("ghcr", ""));
        for secret in ["pw-1", "pw-2"] {
            helper.store("ghcr.io", "octocat", secret).is_silent();
            helper.get("ghcr.io").is_found("ghcr.io", "octocat", secret);
            assert_eq!(agent.kept().len(), 1);
        }
        helper.erase("ghcr.io").is_silent();
        assert_eq!(agent.kept().len(), 0);
        helper.get("ghcr.io").is_not_found();
        helper.store("ghcr.io", "octocat", "pw-3").is_silent();
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-3");
    }
}
