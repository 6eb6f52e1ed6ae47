//! The policies for a credential store in a K/V engine: what each right is for, and that none reaches further.

use serde_json::json;

use super::text;
use crate::support::Helper;
use crate::support::kv::Kv;

/// Each engine with its policy, for its own mount.
fn cases() -> Vec<(Kv, String)> {
    let cases = Kv::both().into_iter().map(|kv| {
        let (file, stated, paths) = match kv.is_versioned {
            true => ("vault/write-kv2.hcl", "secret/", 3),
            false => ("vault/write-kv1.hcl", "kv/", 2),
        };
        let policy = text(file);
        assert_eq!(policy.matches(&format!("path \"{stated}")).count(), paths, "{policy}");
        let policy = policy.replace(&format!("path \"{stated}"), &format!("path \"{}/", kv.mount));
        (kv, policy)
    });
    cases.collect()
}

fn helper(kv: &Kv, policy: &str, folder: &str) -> Helper {
    let config = kv.rule_for("*", &format!("{folder}/{{host}}"), "");
    kv.bao.helper(&config).env("VAULT_TOKEN", kv.bao.token(policy))
}

#[test]
fn with_them_a_team_stores_gets_lists_and_erases() {
    for (kv, policy) in cases() {
        let helper = helper(&kv, &policy, "registries");
        for secret in ["pw-1", "pw-2"] {
            helper.store("ghcr.io", "octocat", secret).is_silent();
            helper.get("ghcr.io").is_found("ghcr.io", "octocat", secret);
        }
        let answer = helper.list();
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "{\"ghcr.io\":\"octocat\"}\n"));
        helper.erase("ghcr.io").is_silent();
        helper.get("ghcr.io").is_not_found();
        assert_eq!(helper.list().stdout, "{}\n");
        helper.store("ghcr.io", "octocat", "pw-3").is_silent();
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-3");
    }
}

#[test]
fn none_of_the_rights_can_be_left_out() {
    for (kv, policy) in cases() {
        kv.write("registries/there.io", &json!({"username": "octocat", "password": "pw-1"}));
        let without = |right: &str| {
            let less = policy.replace(&format!("\"{right}\", "), "").replace(&format!(", \"{right}\""), "");
            assert_ne!(less, policy, "{right}");
            helper(&kv, &less, "registries")
        };
        without("create")
            .store("new.io", "octocat", "pw-1")
            .fails_with(&["permission denied", "allow create on"]);
        without("update")
            .store("there.io", "hubot", "pw-2")
            .fails_with(&["permission denied", "allow update on"]);
        let undeletable = match kv.is_versioned {
            true => helper(&kv, &policy.replace("/delete/registries", "/delete/elsewhere"), "registries"),
            false => without("delete"),
        };
        undeletable.erase("there.io").fails_with(&["permission denied", "allow delete on"]);
        for answer in [without("read").get("there.io"), without("read").store("there.io", "hubot", "pw-2")] {
            answer.fails_with(&["permission denied", "allow read on"]);
        }
        let blind = helper(&kv, &policy.replace("\"list\"", "\"sudo\""), "registries").list();
        assert_eq!((blind.code, blind.stdout.as_str()), (Some(0), "{}\n"));
    }
}

#[test]
fn they_reach_no_further_than_the_folder() {
    for (kv, policy) in cases() {
        kv.write("registries-2/there.io", &json!({"username": "octocat", "password": "pw-1"}));
        let elsewhere = helper(&kv, &policy, "registries-2");
        elsewhere.get("there.io").fails_with(&["permission denied"]);
        elsewhere.store("there.io", "hubot", "pw-2").fails_with(&["permission denied"]);
        elsewhere.erase("there.io").fails_with(&["permission denied"]);
        let answer = elsewhere.list();
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "{}\n"));
        assert_eq!(kv.read("registries-2/there.io")["username"], "octocat");
    }
}
