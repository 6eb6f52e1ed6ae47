//! What `docker login` and `docker logout` get.

use serde_json::json;

use super::{head, rule};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::relay::Relay;
use crate::support::servers::Bao;

/// How a read that makes a credential is answered.
const LEASED: &str = r#"{"lease_id":"database/creds/pull/x1","lease_duration":60,"data":{"username":"v-pull-1","password":"pw-1"}}"#;

/// A secret, and a helper with a rule for it.
fn readable(bao: &Bao, more: &str) -> (String, Helper) {
    let name = bao.secret(&json!({"username": "octocat", "password": "pw-kept-there"}));
    let helper = bao.helper(&rule(&format!("secret/data/{name}"), more));
    (name, helper)
}

/// How often the secret was written.
fn version(bao: &Bao, name: &str) -> u64 {
    let metadata = bao.call("GET", &format!("secret/metadata/{name}"), &serde_json::Value::Null);
    metadata["data"]["current_version"].as_u64().unwrap()
}

#[test]
fn a_store_of_what_get_gives_succeeds_and_writes_nothing() {
    let Some(bao) = Bao::find() else { return };
    let (name, helper) = readable(&bao, "");
    helper.store("https://ghcr.io", "octocat", "pw-kept-there").is_silent();
    assert_eq!(version(&bao, &name), 1);
}

#[test]
fn a_store_of_anything_else_is_refused_with_the_remedy_and_without_a_secret() {
    let Some(bao) = Bao::find() else { return };
    let (name, helper) = readable(&bao, "");
    for (username, secret) in [
        ("octocat", "pw-just-typed"),
        ("hubot", "pw-kept-there"),
        ("octocat", ""),
        ("OCTOCAT", "pw-kept-there"),
    ] {
        let answer = helper.store("ghcr.io", username, secret);
        let line = answer.fails_with(&[
            &format!("vault: secret/data/{name}: it holds another credential"),
            "hint: change it there, or set store = \"ignore\"",
        ]);
        assert!(!line.contains("pw-"), "{line}");
    }
    assert_eq!(version(&bao, &name), 1);
}

#[test]
fn a_store_that_is_ignored_asks_and_writes_nothing() {
    let Some(bao) = Bao::find() else { return };
    let relay = Relay::to(&bao.address);
    let (name, helper) = readable(&bao, "store = \"ignore\"");
    helper.env("VAULT_ADDR", relay.url()).store("ghcr.io", "hubot", "pw-just-typed").is_silent();
    assert_eq!((relay.counts(), version(&bao, &name)), ((0, 0), 1));
}

#[test]
fn a_store_that_cannot_be_compared_fails_like_a_look_up() {
    let Some(bao) = Bao::find() else { return };
    for more in ["", "on-error = \"anonymous\""] {
        let helper = bao.helper(&rule("secret/data/never-written", more));
        let answer = helper.store("ghcr.io", "octocat", "pw-just-typed");
        let line = answer.fails_with(&["vault: secret/data/never-written: no such secret"]);
        assert!(!line.contains("pw-just-typed"), "{line}");
    }
}

#[test]
fn a_store_never_asks_what_makes_credentials() {
    let Some(bao) = Bao::find() else { return };
    let relay = Relay::to(&bao.address);
    for store in ["", "store = \"refuse\"", "store = \"ignore\""] {
        let more = format!("method = \"POST\"\n{store}");
        let helper = bao.helper(&rule("ssh/creds/otp", &more)).env("VAULT_ADDR", relay.url());
        helper.store("ghcr.io", "anybody", "pw-just-typed").is_silent();
    }
    assert_eq!(relay.counts(), (0, 0));
}

#[test]
fn a_user_whom_the_rule_contradicts_is_refused_or_ignored() {
    let Some(bao) = Bao::find() else { return };
    let relay = Relay::to(&bao.address);
    let helper = |store: &str| {
        let more = format!("method = \"POST\"\nusername = \"robot\"\n{store}");
        bao.helper(&rule("ssh/creds/otp", &more)).env("VAULT_ADDR", relay.url())
    };
    let answer = helper("").store("ghcr.io", "hubot", "pw-just-typed");
    let line = answer.fails_with(&["vault: ", "robot", "hint: log in as robot, or set store = \"ignore\""]);
    assert!(!line.contains("pw-just-typed"), "{line}");
    helper("").store("ghcr.io", "robot", "pw-just-typed").is_silent();
    helper("store = \"ignore\"").store("ghcr.io", "hubot", "pw-just-typed").is_silent();
    assert_eq!(relay.counts(), (0, 0));
}

#[test]
fn a_lease_that_a_comparison_brought_is_given_back_at_once() {
    let double = Hostile::answering(200, "", LEASED);
    let helper = Helper::with_config(&rule("database/creds/pull", ""));
    let helper = helper.envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "hvs.mine")]);
    helper.store("ghcr.io", "v-pull-0", "pw-0").is_silent();
    let heard = double.heard();
    let [read, revoked] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!(head(read).0, "GET /v1/database/creds/pull HTTP/1.1");
    let (line, headers) = head(revoked);
    assert_eq!(line, "PUT /v1/sys/leases/revoke HTTP/1.1");
    assert!(headers.contains(&"x-vault-token: hvs.mine".to_owned()), "{revoked}");
    assert!(revoked.ends_with("\r\n\r\n{\"lease_id\":\"database/creds/pull/x1\"}"), "{revoked}");
}

#[test]
fn a_comparison_that_brought_a_lease_still_minds_the_rules_user() {
    let double = Hostile::answering(200, "", LEASED);
    let helper = Helper::with_config(&rule("database/creds/pull", "username = \"robot\""));
    let helper = helper.envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "hvs.mine")]);
    let answer = helper.store("ghcr.io", "hubot", "pw-0");
    answer.fails_with(&["hint: log in as robot"]);
    assert_eq!(double.heard().len(), 2);
    helper.store("ghcr.io", "robot", "pw-0").is_silent();
}

#[test]
fn erase_leaves_the_secret_where_it_is() {
    let Some(bao) = Bao::find() else { return };
    let (name, helper) = readable(&bao, "");
    helper.erase("ghcr.io").is_silent();
    assert_eq!(version(&bao, &name), 1);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-kept-there");
}
