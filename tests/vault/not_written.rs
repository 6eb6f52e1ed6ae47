//! What `docker login` is told where nothing can be written, and what is never said.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::rule;
use super::writing::OVERTAKEN;
use crate::support::Helper;
use crate::support::gate::{Gate, Step};
use crate::support::hostile::Hostile;
use crate::support::kv::Kv;
use crate::support::servers::Bao;

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
        let helper =
            Helper::with_config(&nowhere).env("VAULT_ADDR", double.url()).env("VAULT_TOKEN", "hvs.mine");
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
        let helper = helper.env("VAULT_ADDR", double.url()).env("VAULT_TOKEN", "hvs.mine");
        let answer = helper.store("ghcr.io", "octocat", "pw-just-typed");
        let line = answer.fails_with(&["vault: kv/ghcr: HTTP 400; hint: "]);
        assert!(!line.contains(told), "{line}");
        assert!(double.heard()[2].contains("pw-just-typed") && double.heard()[2].contains("another-secret"));
    }
    // Before anything of it was sent, too: the server may have heard it before.
    let refused = r#"{"errors":["pw-just-typed"]}"#;
    let double = Hostile::answering(400, "", refused);
    let helper = Helper::with_config(&rule("kv/ghcr", "store = \"write\""));
    let helper = helper.env("VAULT_ADDR", double.url()).env("VAULT_TOKEN", "hvs.mine");
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
        let helper = helper.env("VAULT_ADDR", double.url()).env("VAULT_TOKEN", "hvs.mine");
        helper.store("ghcr.io", "octocat", "pw-1").fails_with(&["the answer holds no secret"]);
        assert_eq!(double.heard().len(), 2);
    }
}
