//! The policies and trust policies for AWS: IAM, as moto plays it, takes each, and would not take a broken one.

use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::{files, json, text};
use crate::support::servers::{Moto, request, unique};

/// Calls IAM; status and body of the answer.
pub(super) fn call(moto: &Moto, action: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let common = [("Action", action), ("Version", "2010-05-08")];
    let body = Serializer::new(String::new()).extend_pairs(common.iter().chain(fields)).finish();
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", scope)];
    request("POST", &moto.url, &headers, &body)
}

/// Offers the document as a role's trust policy, or as a policy of its own.
fn offer(moto: &Moto, file: &str, document: &str) -> (u16, String) {
    let name = unique("policy");
    if !file.starts_with("aws/trust-") {
        return call(moto, "CreatePolicy", &[("PolicyName", &name), ("PolicyDocument", document)]);
    }
    // moto takes anything for a new role, and looks at what replaces it.
    let made = call(moto, "CreateRole", &[("RoleName", &name), ("AssumeRolePolicyDocument", document)]);
    assert_eq!(made.0, 200, "{file}: {}", made.1);
    call(moto, "UpdateAssumeRolePolicy", &[("RoleName", &name), ("PolicyDocument", document)])
}

#[test]
fn iam_takes_every_policy_and_no_broken_one() {
    let Some(moto) = Moto::find() else { return };
    for file in files("aws") {
        let text = text(&file);
        let (status, answer) = offer(&moto, &file, &text);
        assert_eq!(status, 200, "{file}: {answer}");
        for (right, wrong) in
            [("\"Allow\"", "\"Alow\""), ("2012-10-17", "2012-10-18"), ("\"Action\"", "\"Act\"")]
        {
            assert!(text.contains(right), "{file}");
            let (status, answer) = offer(&moto, &file, &text.replace(right, wrong));
            assert!(status == 400 && answer.contains("MalformedPolicyDocument"), "{file}, {wrong}: {answer}");
        }
    }
}

#[test]
fn nobody_is_trusted_without_a_condition_and_nothing_is_allowed_everywhere() {
    for file in files("aws") {
        for statement in json(&file, &[])["Statement"].as_array().unwrap() {
            let everywhere = |value: &Value| value.to_string().contains("\"*\"");
            assert!(!everywhere(&statement["Resource"]) && !everywhere(&statement["Principal"]), "{file}");
            assert!(!statement["Action"].to_string().contains('*'), "{file}");
            if file.starts_with("aws/trust-") {
                assert!(statement["Condition"]["StringEquals"].is_object(), "{file}");
            }
        }
    }
}

#[test]
fn the_secret_is_found_by_its_pattern_and_its_namesakes_are_not() {
    let Some(moto) = Moto::find() else { return };
    let pattern = |file| json(file, &[])["Statement"][0]["Resource"].as_str().unwrap().to_owned();
    let pattern_text = pattern("aws/read-secret.json");
    assert_eq!(pattern_text, pattern("aws/read-secret-own-key.json"));
    // What AWS, and moto after it, puts behind the name of a secret.
    let name = unique("dockerhub-credentials");
    let created =
        moto.call("eu-west-1", "CreateSecret", &serde_json::json!({"Name": name, "SecretString": "s"}));
    let arn = created["ARN"].as_str().unwrap().replace(&name, "dockerhub-credentials");
    let arn = arn.replace(":123456789012:", ":111122223333:");
    assert!(matches(&pattern_text, &arn), "{arn}");
    for other in ["-prod", "-AbCdEf", "s"] {
        let other = arn.replace("dockerhub-credentials", &format!("dockerhub-credentials{other}"));
        assert!(!matches(&pattern_text, &other), "{other}");
    }
}

/// As IAM does it: `?` is any one character
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>).
fn matches(pattern: &str, arn: &str) -> bool {
    assert!(!pattern.contains('*'));
    pattern.len() == arn.len() && pattern.bytes().zip(arn.bytes()).all(|(p, a)| p == b'?' || p == a)
}
