//! Credentials in Secrets Manager, as moto serves it: how they may be written there, and how they are named.

mod erasing;
mod failures;
mod keys;
mod listing;
mod parallel;
mod refusals;
mod region;
mod requests;
mod writing;
mod writing_refused;

use serde_json::{Value, json};

use crate::support::Helper;
use crate::support::recorder::{Exchange, Recorder};
use crate::support::servers::{Moto, unique};

/// A rule for Docker Hub, with these keys beside its source.
fn rule(keys: &str) -> String {
    format!("[registry.\"docker.io\"]\nsource = \"aws-secrets-manager\"\n{keys}\n")
}

/// The same for a secret of this name.
fn rule_for(secret: &str, keys: &str) -> String {
    rule(&format!("secret = \"{secret}\"\n{keys}"))
}

/// A rule for the pattern that is written to and deleted from, with these keys beside its source.
fn store_for(pattern: &str, keys: &str) -> String {
    format!(
        "[registry.\"{pattern}\"]\nsource = \"aws-secrets-manager\"\nstore = \"write\"\nerase = \"delete\"\n{keys}\n"
    )
}

/// A helper with such a rule, whose requests are kept.
fn recorded(moto: &Moto, pattern: &str, keys: &str) -> (Helper, Recorder) {
    let recorder = Recorder::to(&moto.url);
    (moto.helper(&store_for(pattern, keys)).env("AWS_ENDPOINT_URL", recorder.url()), recorder)
}

/// What AWS was asked, without what moto broke off and was asked again: it looks through all its secrets, and another
/// test may add one meanwhile.
fn called(recorder: &Recorder) -> Vec<String> {
    let answered = |exchange: &Exchange| !exchange.answer.starts_with("HTTP/1.1 500");
    recorder.exchanges().iter().filter(|exchange| answered(exchange)).map(Exchange::action).collect()
}

/// The text that the secret holds now.
fn text_of(moto: &Moto, name: &str) -> String {
    let value = moto.call("us-east-1", "GetSecretValue", &json!({"SecretId": name}));
    value["SecretString"].as_str().unwrap().to_owned()
}

/// The same as JSON.
fn object_of(moto: &Moto, name: &str) -> Value {
    serde_json::from_str(&text_of(moto, name)).unwrap()
}

/// What is told of the secret beside its value.
fn description(moto: &Moto, name: &str) -> Value {
    moto.call("us-east-1", "DescribeSecret", &json!({"SecretId": name}))
}

/// How many versions it has had.
fn versions(moto: &Moto, name: &str) -> usize {
    let versions = moto.call("us-east-1", "ListSecretVersionIds", &json!({"SecretId": name}));
    versions["Versions"].as_array().unwrap().len()
}

fn mark_for_deletion(moto: &Moto, name: &str) {
    moto.call("us-east-1", "DeleteSecret", &json!({"SecretId": name, "RecoveryWindowInDays": 7}));
}

/// What moto gives for Docker Hub where the secret holds the text.
fn helper_with(moto: &Moto, text: &str, keys: &str) -> Helper {
    moto.helper(&rule_for(&moto.secret(text), keys))
}

#[test]
fn a_json_object_with_username_and_password_is_a_credential() {
    let Some(moto) = Moto::find() else { return };
    let helper = helper_with(&moto, r#"{"username":"acme","password":"p\"ß\\ w","email":7}"#, "");
    helper.get("docker.io").is_found("docker.io", "acme", "p\"ß\\ w");
    helper.get("https://index.docker.io/v1/").is_found("https://index.docker.io/v1/", "acme", "p\"ß\\ w");
}

#[test]
fn values_in_json_are_taken_as_they_are() {
    let Some(moto) = Moto::find() else { return };
    let helper = helper_with(&moto, r#"{"username":" acme ","password":"p4ss\r\n"}"#, "");
    helper.get("docker.io").is_found("docker.io", " acme ", "p4ss\r\n");
}

#[test]
fn the_rule_names_other_keys() {
    let Some(moto) = Moto::find() else { return };
    let text = r#"{"username":"wrong","password":"wrong","user.name":"acme","a/b":"p4ss"}"#;
    let keys = "username-key = \"user.name\"\npassword-key = \"a/b\"";
    helper_with(&moto, text, keys).get("docker.io").is_found("docker.io", "acme", "p4ss");
}

#[test]
fn a_key_that_begins_with_a_slash_is_a_json_pointer() {
    let Some(moto) = Moto::find() else { return };
    let text = r#"{"hub":{"users":["root","acme"],"a/b":{"token":"p4ss"}},"/hub":"wrong"}"#;
    let keys = "username-key = \"/hub/users/1\"\npassword-key = \"/hub/a~1b/token\"";
    helper_with(&moto, text, keys).get("docker.io").is_found("docker.io", "acme", "p4ss");
}

#[test]
fn two_plain_secrets_are_a_credential_without_their_line_ends() {
    let Some(moto) = Moto::find() else { return };
    let (user, token) = (moto.secret("acme\n"), moto.secret(" p4ss \r\n\n"));
    let helper = moto.helper(&rule_for(&token, &format!("username-secret = \"{user}\"")));
    helper.get("docker.io").is_found("docker.io", "acme", " p4ss ");
}

#[test]
fn the_secret_of_the_username_may_be_a_json_object() {
    let Some(moto) = Moto::find() else { return };
    let (user, token) = (moto.secret(r#"{"username":"acme","password":"wrong"}"#), moto.secret("p4ss"));
    let keys = format!("username-secret = \"{user}\"");
    moto.helper(&rule_for(&token, &keys)).get("docker.io").is_found("docker.io", "acme", "p4ss");
    let (user, token) = (moto.secret(r#"{"login":"acme"}"#), moto.secret(r#"{"password":"p4ss"}"#));
    let keys = format!("username-secret = \"{user}\"\nusername-key = \"login\"");
    moto.helper(&rule_for(&token, &keys)).get("docker.io").is_found("docker.io", "acme", "p4ss");
}

#[test]
fn a_plain_token_goes_with_a_literal_username() {
    let Some(moto) = Moto::find() else { return };
    let helper = helper_with(&moto, "dckr_pat_1\r\n", "username = \"acme\"");
    helper.get("docker.io").is_found("docker.io", "acme", "dckr_pat_1");
}

#[test]
fn a_plain_token_may_look_like_json_that_is_no_object() {
    let Some(moto) = Moto::find() else { return };
    for token in ["12345", "\"quoted\"", "[1]", "{no json", "null"] {
        let helper = helper_with(&moto, token, "username = \"acme\"");
        helper.get("docker.io").is_found("docker.io", "acme", token);
    }
}

#[test]
fn a_literal_username_takes_only_the_password_of_a_json_object() {
    let Some(moto) = Moto::find() else { return };
    let text = r#"{"username":"wrong","password":"p4ss","pat":"t0ken"}"#;
    let helper = helper_with(&moto, text, "username = \"acme\"");
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    let helper = helper_with(&moto, text, "username = \"acme\"\npassword-key = \"pat\"");
    helper.get("docker.io").is_found("docker.io", "acme", "t0ken");
}

#[test]
fn a_binary_secret_is_read_like_a_text() {
    let Some(moto) = Moto::find() else { return };
    let binary = |base64: &str| {
        let name = unique("secret");
        moto.call("us-east-1", "CreateSecret", &json!({"Name": name, "SecretBinary": base64}));
        name
    };
    // {"username":"acme","password":"p4ss"}
    let object = binary("eyJ1c2VybmFtZSI6ImFjbWUiLCJwYXNzd29yZCI6InA0c3MifQ==");
    moto.helper(&rule_for(&object, "")).get("docker.io").is_found("docker.io", "acme", "p4ss");
    // p4ss and a line end
    let token = binary("cDRzcwo=");
    let helper = moto.helper(&rule_for(&token, "username = \"acme\""));
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
}

#[test]
fn a_version_stage_picks_an_earlier_version() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"username":"acme","password":"old"}"#);
    let update = json!({"SecretId": name, "SecretString": r#"{"username":"acme","password":"new"}"#});
    moto.call("us-east-1", "PutSecretValue", &update);
    moto.helper(&rule_for(&name, "")).get("docker.io").is_found("docker.io", "acme", "new");
    let helper = moto.helper(&rule_for(&name, "version-stage = \"AWSPREVIOUS\""));
    helper.get("docker.io").is_found("docker.io", "acme", "old");
}

#[test]
fn the_host_in_a_name_is_the_registry_s_with_its_port() {
    let Some(moto) = Moto::find() else { return };
    let stem = unique("reg");
    for (host, password) in [("docker.io", "hub"), ("localhost+5000", "local"), ("+++1++5000", "six")] {
        let text = json!({"username": "acme", "password": password}).to_string();
        let secret = json!({"Name": format!("{stem}/{host}"), "SecretString": text});
        moto.call("us-east-1", "CreateSecret", &secret);
    }
    let rules: Vec<String> = ["docker.io", "localhost:5000", "[::1]:5000"]
        .map(|pattern| {
            format!(
                "[registry.\"{pattern}\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{stem}/{{host}}\"\n"
            )
        })
        .into();
    let helper = moto.helper(&rules.concat());
    helper.get("https://index.docker.io/v1/").is_found("https://index.docker.io/v1/", "acme", "hub");
    helper.get("LOCALHOST:5000").is_found("LOCALHOST:5000", "acme", "local");
    helper.get("http://[::1]:5000").is_found("http://[::1]:5000", "acme", "six");
}

#[test]
fn the_path_in_a_name_is_what_was_asked_after_the_host() {
    let Some(moto) = Moto::find() else { return };
    let stem = unique("reg");
    let text = r#"{"username":"acme","password":"p4ss"}"#;
    let secret = json!({"Name": format!("{stem}/acme/app"), "SecretString": text});
    moto.call("us-east-1", "CreateSecret", &secret);
    let helper = moto.helper(&rule(&format!("secret = \"{stem}/{{path}}\"")));
    helper.get("docker.io/acme/app").is_found("docker.io/acme/app", "acme", "p4ss");
    helper.get("docker.io").is_not_found();
    helper.get("docker.io/acme/other").fails_with(&[&format!("{stem}/acme/other"), "ResourceNotFound"]);
}

#[test]
fn the_host_in_the_name_of_the_username_s_secret_is_filled_in_too() {
    let Some(moto) = Moto::find() else { return };
    let stem = unique("reg");
    for (name, text) in [("user", "acme"), ("token", "p4ss")] {
        let secret = json!({"Name": format!("{stem}/docker.io/{name}"), "SecretString": text});
        moto.call("us-east-1", "CreateSecret", &secret);
    }
    let keys = format!("secret = \"{stem}/{{host}}/token\"\nusername-secret = \"{stem}/{{host}}/user\"");
    moto.helper(&rule(&keys)).get("docker.io").is_found("docker.io", "acme", "p4ss");
}
