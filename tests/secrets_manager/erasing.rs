//! `erase = "delete"`: the credential goes, the secret only where it held nothing else, and never for good at once.

use serde_json::json;

use super::{called, description, mark_for_deletion, object_of, recorded, store_for, text_of, versions};
use crate::support::servers::{Moto, unique};

fn is_deleted(moto: &Moto, name: &str) -> bool {
    !description(moto, name)["DeletedDate"].is_null()
}

#[test]
fn a_secret_that_holds_nothing_else_goes_with_a_way_back() {
    let Some(moto) = Moto::find() else { return };
    for (text, keys) in [
        (r#"{"username":"acme","password":"p4ss"}"#, ""),
        (
            r#"{"hub":{"user":"acme","token":"p4ss"}}"#,
            "username-key = \"/hub/user\"\npassword-key = \"/hub/token\"",
        ),
        (r#"{"password":"p4ss"}"#, "username = \"acme\""),
        ("p4ss", "username = \"acme\""),
    ] {
        let name = moto.secret(text);
        let (helper, recorder) = recorded(&moto, "docker.io", &format!("secret = \"{name}\"\n{keys}"));
        helper.erase("docker.io").is_silent();
        assert_eq!(called(&recorder), ["GetSecretValue", "DeleteSecret"]);
        let asked = recorder.exchanges().pop().unwrap();
        assert_eq!(asked.body, json!({"SecretId": name}).to_string());
        assert!(is_deleted(&moto, &name));
        helper.get("docker.io").is_not_found();
        helper.erase("docker.io").is_silent();
        helper.store("docker.io", "acme", "n3w").is_silent();
        helper.get("docker.io").is_found("docker.io", "acme", "n3w");
        assert!(!is_deleted(&moto, &name));
    }
}

#[test]
fn what_else_the_object_holds_stays() {
    let Some(moto) = Moto::find() else { return };
    for (text, keys, rest) in [
        (r#"{"username":"acme","password":"p4ss","x":1}"#, "", json!({"x": 1})),
        (r#"{"username":"acme","password":"p4ss"}"#, "username = \"acme\"", json!({"username": "acme"})),
        (
            r#"{"a":{"user":"u","x":1},"b":"p4ss"}"#,
            "username-key = \"/a/user\"\npassword-key = \"b\"",
            json!({"a": {"x": 1}}),
        ),
    ] {
        let name = moto.secret(text);
        let (helper, recorder) = recorded(&moto, "docker.io", &format!("secret = \"{name}\"\n{keys}"));
        helper.erase("docker.io").is_silent();
        assert_eq!(called(&recorder), ["GetSecretValue", "PutSecretValue"]);
        assert_eq!(object_of(&moto, &name), rest);
        helper.get("docker.io").is_not_found();
        // Once more: nothing is left to be taken out.
        helper.erase("docker.io").is_silent();
        assert_eq!((versions(&moto, &name), is_deleted(&moto, &name)), (2, false));
        helper.store("docker.io", "acme", "n3w").is_silent();
        helper.get("docker.io").is_found("docker.io", "acme", "n3w");
    }
}

#[test]
fn two_secrets_go_both() {
    let Some(moto) = Moto::find() else { return };
    let (user, token) = (moto.secret("acme"), moto.secret("p4ss"));
    let (helper, _) =
        recorded(&moto, "docker.io", &format!("secret = \"{token}\"\nusername-secret = \"{user}\""));
    helper.erase("docker.io").is_silent();
    assert!(is_deleted(&moto, &user) && is_deleted(&moto, &token));
    helper.get("docker.io").is_not_found();
    helper.store("docker.io", "hubot", "n3w").is_silent();
    helper.get("docker.io").is_found("docker.io", "hubot", "n3w");

    let (user, token) = (moto.secret(r#"{"username":"acme","x":1}"#), moto.secret("p4ss"));
    let (helper, _) =
        recorded(&moto, "docker.io", &format!("secret = \"{token}\"\nusername-secret = \"{user}\""));
    helper.erase("docker.io").is_silent();
    assert_eq!(object_of(&moto, &user), json!({"x": 1}));
    assert!(is_deleted(&moto, &token));
}

#[test]
fn what_is_not_there_is_no_failure() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"username":"acme","password":"p4ss"}"#);
    mark_for_deletion(&moto, &name);
    for name in [name, unique("missing")] {
        let (helper, recorder) = recorded(&moto, "docker.io", &format!("secret = \"{name}\""));
        helper.erase("docker.io").is_silent();
        assert_eq!(called(&recorder), ["GetSecretValue"]);
    }
}

#[test]
fn without_erase_delete_the_secret_stays() {
    let Some(moto) = Moto::find() else { return };
    let text = r#"{"username":"acme","password":"p4ss"}"#;
    let name = moto.secret(text);
    let config = store_for("docker.io", &format!("secret = \"{name}\"")).replace("delete", "forget");
    moto.helper(&config).erase("docker.io").is_silent();
    assert_eq!((text_of(&moto, &name).as_str(), is_deleted(&moto, &name)), (text, false));
}
