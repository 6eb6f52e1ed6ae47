//! Secrets that are there and cannot be used, and those that are not: one line each, never with what they hold.

use serde_json::json;

use super::{helper_with, rule_for};
use crate::support::servers::{Moto, unique};

/// Stands in every secret here and in no line.
const CONTENT: &str = "n3ver-printed";

/// The line for a secret that holds the text; it names source and place, and nothing of the content.
#[track_caller]
fn fails(moto: &Moto, text: &str, keys: &str, parts: &[&str]) {
    let name = moto.secret(text);
    let answer = moto.helper(&rule_for(&name, keys)).get("docker.io");
    let line = answer.fails_with(parts);
    assert!(line.starts_with(&format!("aws-secrets-manager: {name}: ")), "{line}");
    assert!(!line.contains(CONTENT) && !line.contains("acme"), "{line}");
}

#[test]
fn a_missing_key_is_named_with_the_setting_that_mends_it() {
    let Some(moto) = Moto::find() else { return };
    let text = format!(r#"{{"username":"acme","pat":"{CONTENT}"}}"#);
    fails(&moto, &text, "", &["no key `password`", "hint: set password-key"]);
    let text = format!(r#"{{"user":"acme","password":"{CONTENT}"}}"#);
    fails(&moto, &text, "", &["no key `username`", "hint: set username-key"]);
    fails(&moto, &text, "password-key = \"/a/b\"\nusername = \"x\"", &["no key `/a/b`", "hint: "]);
    // The password's usual name does not help where the rule names another.
    fails(&moto, &text, "password-key = \"pat\"\nusername-key = \"user\"", &["no key `pat`"]);
}

#[test]
fn a_value_that_is_no_string_is_named_by_its_key() {
    let Some(moto) = Moto::find() else { return };
    for value in ["42", "true", "null", r#"{"n3ver-printed":1}"#, r#"["n3ver-printed"]"#] {
        let text = format!(r#"{{"username":"acme","password":{value}}}"#);
        fails(&moto, &text, "", &["its key `password` is no string", "hint: "]);
    }
    let text = format!(r#"{{"username":7,"password":"{CONTENT}"}}"#);
    fails(&moto, &text, "", &["its key `username` is no string", "hint: "]);
}

#[test]
fn an_empty_value_is_named_by_its_key() {
    let Some(moto) = Moto::find() else { return };
    fails(&moto, r#"{"username":"acme","password":""}"#, "", &["its key `password` is empty"]);
    let text = format!(r#"{{"username":"","password":"{CONTENT}"}}"#);
    fails(&moto, &text, "", &["its key `username` is empty"]);
}

#[test]
fn a_plain_secret_without_a_username_is_a_failure_that_says_how_to_give_one() {
    let Some(moto) = Moto::find() else { return };
    for text in [CONTENT, r#"["n3ver-printed"]"#, r#""n3ver-printed""#, r#"{"password":"n3ver-printed""#] {
        fails(&moto, text, "", &["it is no JSON object", "hint: ", "username"]);
    }
}

#[test]
fn a_plain_secret_does_not_stand_in_for_a_key_that_the_rule_names() {
    let Some(moto) = Moto::find() else { return };
    fails(&moto, CONTENT, "username = \"x\"\npassword-key = \"pat\"", &["it is no JSON object"]);
    let token = moto.secret("t0ken");
    let user = moto.secret(CONTENT);
    let keys = format!("username-secret = \"{user}\"\nusername-key = \"login\"");
    let answer = moto.helper(&rule_for(&token, &keys)).get("docker.io");
    let line = answer.fails_with(&[&token, &format!("the username-secret {user}: "), "it is no JSON object"]);
    assert!(!line.contains(CONTENT) && !line.contains("t0ken"), "{line}");
}

#[test]
fn a_plain_secret_of_line_ends_alone_is_empty() {
    let Some(moto) = Moto::find() else { return };
    fails(&moto, "\r\n\n", "username = \"x\"", &["it is empty"]);
}

#[test]
fn a_binary_secret_that_is_no_text_is_a_failure() {
    let Some(moto) = Moto::find() else { return };
    let name = unique("secret");
    // The bytes ff fe 00.
    moto.call("us-east-1", "CreateSecret", &json!({"Name": name, "SecretBinary": "//4A"}));
    let answer = moto.helper(&rule_for(&name, "username = \"acme\"")).get("docker.io");
    answer.fails_with(&["aws-secrets-manager", &name, "binary and not UTF-8"]);
}

#[test]
fn a_secret_that_does_not_exist_is_a_failure_and_no_anonymous_pull() {
    let Some(moto) = Moto::find() else { return };
    let name = unique("missing");
    moto.helper(&rule_for(&name, "")).get("docker.io").is_line(&format!(
        "aws-secrets-manager: {name}: ResourceNotFoundException in us-east-1; \
         hint: check its name, its stage and the region us-east-1"
    ));
}

#[test]
fn a_username_s_secret_that_does_not_exist_is_told_from_the_password_s() {
    let Some(moto) = Moto::find() else { return };
    let (token, missing) = (moto.secret(CONTENT), unique("missing"));
    let helper = moto.helper(&rule_for(&token, &format!("username-secret = \"{missing}\"")));
    let answer = helper.get("docker.io");
    let named = format!("the username-secret {missing}: ResourceNotFoundException in us-east-1");
    let line = answer.fails_with(&["aws-secrets-manager", &token, &named, "hint: "]);
    assert!(!line.contains(CONTENT), "{line}");
}

#[test]
fn a_stage_that_does_not_exist_is_a_failure() {
    let Some(moto) = Moto::find() else { return };
    let text = format!(r#"{{"username":"acme","password":"{CONTENT}"}}"#);
    fails(&moto, &text, "version-stage = \"AWSPENDING\"", &["ResourceNotFoundException", "hint: ", "stage"]);
}

#[test]
fn a_secret_marked_for_deletion_is_a_failure_that_says_how_to_restore_it() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"username":"acme","password":"n3ver-printed"}"#);
    moto.call("us-east-1", "DeleteSecret", &json!({"SecretId": name, "RecoveryWindowInDays": 7}));
    let answer = moto.helper(&rule_for(&name, "")).get("docker.io");
    let restore = format!("aws secretsmanager restore-secret --secret-id {name}");
    answer.fails_with(&["aws-secrets-manager", &name, "InvalidRequestException", "deletion", &restore]);
}

#[test]
fn on_error_anonymous_makes_every_failure_docker_s_not_found() {
    let Some(moto) = Moto::find() else { return };
    let keys = "on-error = \"anonymous\"";
    moto.helper(&rule_for(&unique("missing"), keys)).get("docker.io").is_not_found();
    helper_with(&moto, "no json", keys).get("docker.io").is_not_found();
    let good = helper_with(&moto, r#"{"username":"acme","password":"p4ss"}"#, keys);
    good.get("docker.io").is_found("docker.io", "acme", "p4ss");
}

#[test]
fn a_long_name_leaves_room_for_the_cause_and_the_hint() {
    let Some(moto) = Moto::find() else { return };
    let name = format!("{}{}", unique("missing"), "/very-long-name".repeat(30));
    let answer = moto.helper(&rule_for(&name, "")).get("docker.io");
    answer.fails_with(&["ResourceNotFoundException in us-east-1", "hint: check its name"]);
}
