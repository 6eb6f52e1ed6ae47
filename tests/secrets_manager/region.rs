//! Which region is asked: the ARN's, then the connection's, the environment's and the profile's.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{rule, rule_for};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::relay::Relay;
use crate::support::servers::{Moto, unique};

const KEYS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "not-a-real-key")];

/// A secret of one name in two regions; its password says which. The name, and the ARN in eu-west-1.
fn in_two_regions(moto: &Moto) -> (String, String) {
    let name = unique("secret");
    let [_, arn] = ["us-west-2", "eu-west-1"].map(|region| {
        let text = json!({"username": "acme", "password": region}).to_string();
        let made = moto.call(region, "CreateSecret", &json!({"Name": name, "SecretString": text}));
        made["ARN"].as_str().unwrap().to_owned()
    });
    (name, arn)
}

/// A helper with keys, and no region yet.
fn without_region(moto: &Moto, config: &str) -> Helper {
    Helper::with_config(config).envs(&KEYS).env("AWS_ENDPOINT_URL", moto.url.as_str())
}

fn write_profiles(helper: &Helper, text: &str) {
    fs::create_dir_all(helper.home().join(".aws")).unwrap();
    fs::write(helper.home().join(".aws/config"), text).unwrap();
}

#[track_caller]
fn asks(helper: &Helper, region: &str) {
    helper.get("docker.io").is_found("docker.io", "acme", region);
}

#[test]
fn an_arn_is_asked_in_its_own_region() {
    let Some(moto) = Moto::find() else { return };
    let (_, arn) = in_two_regions(&moto);
    let config = rule_for(&arn, "") + "[aws.default]\nregion = \"us-west-2\"\n";
    asks(&without_region(&moto, &config).env("AWS_REGION", "us-east-1"), "eu-west-1");
}

#[test]
fn an_arn_needs_no_other_region() {
    let Some(moto) = Moto::find() else { return };
    let (_, arn) = in_two_regions(&moto);
    asks(&without_region(&moto, &rule_for(&arn, "")), "eu-west-1");
}

#[test]
fn each_of_two_arns_is_asked_in_its_own_region() {
    let Some(moto) = Moto::find() else { return };
    let (_, arn) = in_two_regions(&moto);
    let user = unique("user");
    let made = moto.call("us-west-2", "CreateSecret", &json!({"Name": user, "SecretString": "acme"}));
    let keys =
        format!("username-secret = \"{}\"\npassword-key = \"password\"", made["ARN"].as_str().unwrap());
    asks(&without_region(&moto, &rule_for(&arn, &keys)), "eu-west-1");
}

#[test]
fn a_name_beside_an_arn_is_asked_in_the_region_of_the_connection() {
    let Some(moto) = Moto::find() else { return };
    let (_, arn) = in_two_regions(&moto);
    let user = unique("user");
    moto.call("us-west-2", "CreateSecret", &json!({"Name": user, "SecretString": "acme"}));
    let config =
        rule_for(&arn, &format!("username-secret = \"{user}\"\n[aws.default]\nregion = \"us-west-2\""));
    asks(&without_region(&moto, &config), "eu-west-1");
}

#[test]
fn a_name_beside_an_arn_is_asked_in_the_arn_s_region_where_there_is_no_other() {
    let Some(moto) = Moto::find() else { return };
    let (_, arn) = in_two_regions(&moto);
    let user = unique("user");
    moto.call("eu-west-1", "CreateSecret", &json!({"Name": user, "SecretString": "acme"}));
    let config = rule_for(&arn, &format!("username-secret = \"{user}\""));
    asks(&without_region(&moto, &config), "eu-west-1");
}

#[test]
fn the_connection_s_region_counts_before_the_environment_s() {
    let Some(moto) = Moto::find() else { return };
    let (name, _) = in_two_regions(&moto);
    let config = rule_for(&name, "") + "[aws.default]\nregion = \"eu-west-1\"\n";
    asks(&without_region(&moto, &config).env("AWS_REGION", "us-west-2"), "eu-west-1");
}

#[test]
fn aws_region_counts_before_aws_default_region() {
    let Some(moto) = Moto::find() else { return };
    let (name, _) = in_two_regions(&moto);
    let helper = without_region(&moto, &rule_for(&name, "")).env("AWS_DEFAULT_REGION", "us-west-2");
    asks(&helper, "us-west-2");
    asks(&helper.env("AWS_REGION", "eu-west-1"), "eu-west-1");
}

#[test]
fn the_environment_s_region_counts_before_the_profile_s() {
    let Some(moto) = Moto::find() else { return };
    let (name, _) = in_two_regions(&moto);
    let helper = without_region(&moto, &rule_for(&name, ""));
    write_profiles(&helper, "[default]\nregion = us-west-2\n");
    asks(&helper, "us-west-2");
    asks(&helper.env("AWS_DEFAULT_REGION", "eu-west-1"), "eu-west-1");
}

#[test]
fn an_empty_region_variable_counts_as_unset() {
    let Some(moto) = Moto::find() else { return };
    let (name, _) = in_two_regions(&moto);
    let helper = without_region(&moto, &rule_for(&name, "")).envs(&[("AWS_REGION", "")]);
    asks(&helper.env("AWS_DEFAULT_REGION", "eu-west-1"), "eu-west-1");
}

#[test]
fn the_profile_that_is_named_says_the_region() {
    let Some(moto) = Moto::find() else { return };
    let (name, _) = in_two_regions(&moto);
    let profiles = "[default]\nregion = us-west-2\n[profile work]\nregion = eu-west-1\n\
                    aws_access_key_id = AKIAWORK\naws_secret_access_key = not-a-real-key\n";
    let helper = without_region(&moto, &rule_for(&name, "")).env("AWS_PROFILE", "work");
    write_profiles(&helper, profiles);
    asks(&helper, "eu-west-1");
    let config = rule_for(&name, "[aws.default]\nprofile = \"work\"");
    let helper = without_region(&moto, &config);
    write_profiles(&helper, profiles);
    asks(&helper, "eu-west-1");
}

#[test]
fn region_and_connection_choose_the_host() {
    for (region, keys, host) in [
        ("eu-west-1", "", "secretsmanager.eu-west-1.amazonaws.com"),
        ("us-east-1", "fips = true", "secretsmanager-fips.us-east-1.amazonaws.com"),
        // Secrets Manager has no other name for IPv6; the key must do no harm.
        ("eu-west-1", "dual-stack = true", "secretsmanager.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "", "secretsmanager.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "", "secretsmanager.cn-north-1.amazonaws.com.cn"),
    ] {
        // The proxy leads nowhere: what it is asked for is enough.
        let proxy = Hostile::answering(502, "", "");
        let config = rule(&format!("secret = \"hub\"\n[aws.default]\nregion = \"{region}\"\n{keys}"));
        let helper = Helper::with_config(&config).envs(&KEYS).env("HTTPS_PROXY", proxy.url());
        helper.get("docker.io").fails_with(&["aws-secrets-manager: hub: ", &proxy.authority]);
        let heard = proxy.heard();
        assert_eq!(heard.len(), 1);
        assert!(heard[0].starts_with(&format!("CONNECT {host}:443 HTTP/1.1\r\n")), "{heard:?}");
    }
}

#[test]
fn without_any_region_nothing_is_asked() {
    let Some(moto) = Moto::find() else { return };
    let relay = Relay::to(&moto.url);
    let helper =
        Helper::with_config(&rule("secret = \"hub\"")).envs(&KEYS).env("AWS_ENDPOINT_URL", relay.url());
    let started = Instant::now();
    helper.get("docker.io").is_line(
        "aws-secrets-manager: hub: no AWS region; \
         hint: set region in [aws.default] or the connection's own table, AWS_REGION, or give the secret as an ARN",
    );
    // The SDK by itself would first wait a second and more for instance metadata.
    assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
    assert_eq!(relay.counts(), (0, 0));
}

#[test]
fn a_secret_of_another_region_is_missing_and_the_line_says_where_it_was_sought() {
    let Some(moto) = Moto::find() else { return };
    let (name, _) = in_two_regions(&moto);
    let helper = without_region(&moto, &rule_for(&name, "")).env("AWS_REGION", "ap-south-1");
    let parts = ["aws-secrets-manager", &name, "ResourceNotFoundException in ap-south-1", "hint: "];
    helper.get("docker.io").fails_with(&parts);
}
