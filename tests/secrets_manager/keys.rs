//! Whose keys a request is signed with, and which endpoint it goes to.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{rule, rule_for};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::relay::Relay;
use crate::support::servers::Moto;

const ANSWER: &str = r#"{"SecretString":"{\"username\":\"acme\",\"password\":\"p4ss\"}"}"#;

fn giver() -> Hostile {
    Hostile::answering(200, "Content-Type: application/x-amz-json-1.1\r\n", ANSWER)
}

/// A helper without any keys, that takes the double for AWS.
fn helper(double: &Hostile, keys: &str) -> Helper {
    let config = rule("secret = \"hub\"") + keys;
    Helper::with_config(&config).envs(&[("AWS_ENDPOINT_URL", &double.url()), ("AWS_REGION", "eu-west-1")])
}

fn write(helper: &Helper, name: &str, text: &str) {
    fs::create_dir_all(helper.home().join(".aws")).unwrap();
    fs::write(helper.home().join(".aws").join(name), text).unwrap();
}

fn profile(name: &str, id: &str) -> String {
    format!("[{name}]\naws_access_key_id = {id}\naws_secret_access_key = not-a-real-key\n")
}

/// The one request is signed with this key, and the answer is found.
#[track_caller]
fn signs_with(helper: &Helper, double: &Hostile, id: &str) {
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    let heard = double.heard();
    let signed = format!("Credential={id}/");
    assert_eq!(heard.len(), 1);
    assert!(
        heard[0].contains(&signed) && heard[0].contains("/eu-west-1/secretsmanager/aws4_request"),
        "{heard:?}"
    );
}

#[test]
fn keys_of_the_environment_are_used_with_their_session_token() {
    let double = giver();
    let helper = helper(&double, "").envs(&[
        ("AWS_ACCESS_KEY_ID", "AKIAENV"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
        ("AWS_SESSION_TOKEN", "s3ssion"),
    ]);
    signs_with(&helper, &double, "AKIAENV");
    assert!(double.heard()[0].to_ascii_lowercase().contains("\r\nx-amz-security-token: s3ssion\r\n"));
}

#[test]
fn keys_of_the_default_profile_are_used() {
    let double = giver();
    let helper = helper(&double, "");
    write(&helper, "credentials", &profile("default", "AKIADEFAULT"));
    signs_with(&helper, &double, "AKIADEFAULT");
}

#[test]
fn aws_profile_names_the_profile() {
    let double = giver();
    let helper = helper(&double, "").env("AWS_PROFILE", "work");
    write(&helper, "credentials", &(profile("default", "AKIADEFAULT") + &profile("work", "AKIAWORK")));
    signs_with(&helper, &double, "AKIAWORK");
}

#[test]
fn the_connection_s_profile_counts_before_every_variable() {
    let double = giver();
    let helper = helper(&double, "[aws.default]\nprofile = \"work\"\n").envs(&[
        ("AWS_PROFILE", "default"),
        ("AWS_ACCESS_KEY_ID", "AKIAENV"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
    ]);
    write(&helper, "credentials", &(profile("default", "AKIADEFAULT") + &profile("work", "AKIAWORK")));
    signs_with(&helper, &double, "AKIAWORK");
}

#[test]
fn a_credential_process_gives_the_keys() {
    let double = giver();
    let helper = helper(&double, "[aws.default]\nprofile = \"work\"\n");
    let program = helper.home().join("keys.sh");
    let keys = r#"{"Version":1,"AccessKeyId":"AKIAPROCESS","SecretAccessKey":"not-a-real-key"}"#;
    fs::write(&program, format!("#!/bin/sh\necho '{keys}'\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    write(&helper, "config", &format!("[profile work]\ncredential_process = {}\n", program.display()));
    signs_with(&helper, &double, "AKIAPROCESS");
}

#[test]
fn a_credential_process_that_fails_is_named_by_its_profile_and_never_quoted() {
    let double = giver();
    let helper = helper(&double, "[aws.default]\nprofile = \"work\"\n");
    for output in [r#"{"Version":1,"SecretAccessKey":"s3cret"}"#, "s3cret", r#"{"Version":2}"#] {
        let program =
            format!("/bin/sh -c \"echo '{}'; echo s3cret >&2; exit 1\"", output.replace('"', "\\\""));
        write(&helper, "config", &format!("[profile work]\ncredential_process = {program}\n"));
        let answer = helper.get("docker.io");
        let line = answer.fails_with(&["aws-secrets-manager: hub: ", "hint: ", "--profile work"]);
        assert!(!line.contains("s3cret"), "{line}");
    }
    assert!(double.heard().is_empty());
}

#[test]
fn the_container_s_endpoint_gives_the_keys() {
    let double = giver();
    let keys = r#"{"AccessKeyId":"AKIATASK","SecretAccessKey":"not-a-real-key","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#;
    let container = Hostile::answering(200, "Content-Type: application/json\r\n", keys);
    let url = format!("{}/keys", container.url());
    signs_with(&helper(&double, "").env("AWS_CONTAINER_CREDENTIALS_FULL_URI", url), &double, "AKIATASK");
    assert_eq!(container.heard().len(), 1);
}

#[test]
fn a_web_identity_costs_one_request_more() {
    let Some(moto) = Moto::find() else { return };
    let relay = Relay::to(&moto.url);
    let secret = moto.secret(r#"{"username":"acme","password":"p4ss"}"#);
    let helper = Helper::with_config(&rule_for(&secret, "")).envs(&[
        ("AWS_ENDPOINT_URL", relay.url().as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pull"),
    ]);
    let token = helper.home().join("token");
    fs::write(&token, "header.payload.signature").unwrap();
    let helper = helper.env("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap());
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    // One connection for each of STS and Secrets Manager, which moto plays both.
    assert_eq!(relay.counts(), (2, 2));
}

#[test]
fn a_profile_that_does_not_exist_is_named() {
    let double = giver();
    let helper = helper(&double, "[aws.default]\nprofile = \"gone\"\n");
    write(&helper, "credentials", &profile("default", "AKIADEFAULT"));
    helper.get("docker.io").fails_with(&["aws-secrets-manager: hub: ", "hint: ", "--profile gone"]);
    assert!(double.heard().is_empty());
}

#[test]
fn without_any_keys_nothing_is_asked() {
    let double = giver();
    helper(&double, "").get("docker.io").is_line(
        "aws-secrets-manager: hub: no AWS credentials; hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
         or AWS_PROFILE; `aws sts get-caller-identity` shows who one is",
    );
    assert!(double.heard().is_empty());
}

#[test]
fn empty_variables_of_aws_count_as_unset() {
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_CONFIG_FILE",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER",
        "AWS_PROFILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ] {
        let double = giver();
        let helper = helper(&double, "").env(name, "");
        write(&helper, "credentials", &profile("default", "AKIADEFAULT"));
        signs_with(&helper, &double, "AKIADEFAULT");
    }
}

#[test]
fn an_empty_endpoint_counts_as_unset() {
    let double = giver();
    let helper = helper(&double, "").env("AWS_ENDPOINT_URL", "");
    write(&helper, "credentials", &profile("default", "AKIADEFAULT"));
    let services = format!("[default]\nendpoint_url = {}\n", double.url());
    write(&helper, "config", &services);
    signs_with(&helper, &double, "AKIADEFAULT");
}

#[test]
fn the_connection_s_endpoint_counts_before_every_variable() {
    let (double, wrong) = (giver(), giver());
    let keys = format!("[aws.default]\nendpoint-url = \"{}\"\n", double.url());
    let helper = helper(&wrong, &keys).env("AWS_ENDPOINT_URL_SECRETS_MANAGER", wrong.url());
    write(&helper, "credentials", &profile("default", "AKIADEFAULT"));
    signs_with(&helper, &double, "AKIADEFAULT");
    assert!(wrong.heard().is_empty());
}

#[test]
fn the_endpoint_of_the_service_counts_before_the_one_for_all() {
    let (double, wrong) = (giver(), giver());
    let helper = helper(&wrong, "").env("AWS_ENDPOINT_URL_SECRETS_MANAGER", double.url());
    write(&helper, "credentials", &profile("default", "AKIADEFAULT"));
    signs_with(&helper, &double, "AKIADEFAULT");
}

#[test]
fn a_rule_asks_through_the_connection_that_it_names() {
    let Some(moto) = Moto::find() else { return };
    let secret = moto.secret(r#"{"username":"acme","password":"p4ss"}"#);
    let (used, unused) = (Relay::to(&moto.url), Relay::to(&moto.url));
    let config = rule_for(&secret, "aws = \"prod\"")
        + &format!("[aws.prod]\nendpoint-url = \"{}\"\nregion = \"us-east-1\"\n", used.url())
        + &format!("[aws.default]\nendpoint-url = \"{}\"\nregion = \"eu-west-1\"\n", unused.url());
    moto.helper(&config).get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!((used.counts(), unused.counts()), ((1, 1), (0, 0)));
}
