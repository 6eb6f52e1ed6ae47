//! The policies and trust policies for AWS: IAM, as moto plays it, takes each, and would not take a broken one.

use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::identity::{self, WORDS};
use super::{files, json as policy, text};
use crate::support::jwt::{self, with};
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
        for statement in policy(&file, &[])["Statement"].as_array().unwrap() {
            let everywhere = |value: &Value| value.to_string().contains("\"*\"");
            // These are about no resource that a policy could name: AWS takes them for all or for none.
            let listing = json!(["secretsmanager:ListSecrets", "secretsmanager:BatchGetSecretValue"]);
            let is_token = statement["Sid"] == "GetTheToken" && file.starts_with("aws/pull-ecr");
            let has_none = is_token || statement["Action"] == listing;
            assert_eq!(everywhere(&statement["Resource"]), has_none, "{file}");
            assert!(!everywhere(&statement["Principal"]), "{file}");
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
    let pattern = |file| policy(file, &[])["Statement"][0]["Resource"].as_str().unwrap().to_owned();
    let pattern_text = pattern("aws/read-secret.json");
    assert_eq!(pattern_text, pattern("aws/read-secret-own-key.json"));
    // What AWS, and moto after it, puts behind the name of a secret.
    let name = unique("dockerhub-credentials");
    let created = moto.call("eu-west-1", "CreateSecret", &json!({"Name": name, "SecretString": "s"}));
    let arn = created["ARN"].as_str().unwrap().replace(&name, "dockerhub-credentials");
    let arn = arn.replace(":123456789012:", ":111122223333:");
    assert!(matches(&pattern_text, &arn), "{arn}");
    for other in ["-prod", "-AbCdEf", "s"] {
        let other = arn.replace("dockerhub-credentials", &format!("dockerhub-credentials{other}"));
        assert!(!matches(&pattern_text, &other), "{other}");
    }
}

#[test]
fn tokens_of_one_project_fit_the_trust_and_no_others() {
    // moto looks at no condition on a token, so these are weighed here.
    let eks = |namespace: &str, account: &str| {
        let issuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/C1A57E2";
        with(identity::pod(namespace, account, "sts.amazonaws.com"), json!({"iss": issuer}))
    };
    // The helper asks GitHub for the audience of AWS.
    let github = |others: Value| with(with(identity::github(), json!({"aud": "sts.amazonaws.com"})), others);
    let circleci = |others: Value| with(jwt::circleci(), others);
    let user = |project: &str| format!("org/{}/project/{project}/user/f00d-user", jwt::ORGANIZATION);
    for (file, words, own, others) in [
        (
            "aws/trust-circleci.json",
            &WORDS[..2],
            // The older token's subject has no branch.
            vec![circleci(json!({})), circleci(json!({"sub": user(jwt::PROJECT)}))],
            vec![circleci(json!({"sub": user("another")})), circleci(json!({"aud": "another"}))],
        ),
        (
            "aws/trust-github.json",
            &[WORDS[2], WORDS[3], WORDS[7], WORDS[8]],
            vec![github(json!({})), github(json!({"sub": "repo:acme@123456/app@456789:pull_request"}))],
            vec![
                github(json!({"sub": "repo:acme/app:ref:refs/heads/main"})),
                github(json!({"sub": "repo:acme@123456/app@456790:ref:refs/heads/main"})),
                github(json!({"sub": "repo:acme@123457/app@456789:ref:refs/heads/main"})),
                github(json!({"aud": "https://github.com/acme"})),
            ],
        ),
        (
            "aws/trust-eks-irsa.json",
            &[WORDS[4], WORDS[5], WORDS[9]],
            vec![eks("apps", "puller")],
            vec![
                eks("apps", "default"),
                eks("other", "puller"),
                with(eks("apps", "puller"), json!({"aud": "x"})),
            ],
        ),
    ] {
        let statement = policy(file, words)["Statement"][0].take();
        assert!(own.iter().all(|claims| is_trusted(&statement, claims)), "{file}");
        let other = others.iter().find(|claims| is_trusted(&statement, claims));
        assert!(other.is_none(), "{file}: {other:?}");
    }
}

/// Whether the claims are of the provider and meet every condition; what is no condition on a claim is not met
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif>).
fn is_trusted(statement: &Value, claims: &Value) -> bool {
    let provider = claims["iss"].as_str().unwrap().strip_prefix("https://").unwrap();
    let federated = format!("arn:aws:iam::111122223333:oidc-provider/{provider}");
    let mut conditions = statement["Condition"].as_object().unwrap().iter().flat_map(|(operator, keys)| {
        keys.as_object().unwrap().iter().map(move |(key, value)| (operator, key, value.as_str().unwrap()))
    });
    statement["Principal"]["Federated"] == federated
        && conditions.all(|(operator, key, value)| {
            let claim = key.strip_prefix(&format!("{provider}:")).map(|claim| &claims[claim]);
            let claim =
                claim.and_then(|claim| claim.as_str().or_else(|| claim[0].as_str())).unwrap_or_default();
            match (operator.as_str(), value.strip_suffix('*')) {
                ("StringEquals", None) => claim == value,
                ("StringLike", Some(beginning)) => {
                    !beginning.contains(['*', '?']) && claim.starts_with(beginning)
                }
                _ => false,
            }
        })
}

/// As IAM does it: `?` is any one character
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>).
fn matches(pattern: &str, arn: &str) -> bool {
    assert!(!pattern.contains('*'));
    pattern.len() == arn.len() && pattern.bytes().zip(arn.bytes()).all(|(p, a)| p == b'?' || p == a)
}
