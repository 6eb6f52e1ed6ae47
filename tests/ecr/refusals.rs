//! What AWS refuses, in its own word, with the remedy: doubles say what moto never does.

use serde_json::json;

use super::{ANY, HOST, helper, keyed};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::own_moto::OwnMoto;
use crate::support::recorder::{Recorder, Reply};

const WHO: &str = "arn:aws:sts::111122223333:assumed-role/pull/job";

/// The line for a refusal with this code and message.
fn line(asked: &str, code: &str, message: &str) -> String {
    let body = json!({"__type": code, "message": message}).to_string();
    let aws = Recorder::alone(move |_| Reply::new(400, body.as_str()));
    let answer = helper(&aws, ANY).env("AWS_SESSION_TOKEN", "n0t-t0-be-shown").get(asked);
    let line = answer.fails_with(&["ecr: "]).to_owned();
    assert_eq!(aws.exchanges().len(), 1, "a mint is never repeated");
    assert!(!line.contains("n0t-t0-be-shown") && !line.contains("not-a-real-key"), "{line}");
    line
}

#[test]
fn a_right_that_is_missing_is_named_with_whose_it_is() {
    let message = format!(
        "User: {WHO} is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action"
    );
    for code in
        ["AccessDeniedException", "com.amazonaws.ecr#AccessDeniedException", "AccessDeniedException:http://x"]
    {
        assert_eq!(
            line(HOST, code, &message),
            format!(
                "ecr: 123456789012 in us-east-1: AccessDeniedException: ecr:GetAuthorizationToken on * as {WHO} in us-east-1; \
                 hint: allow ecr:GetAuthorizationToken on \"*\""
            )
        );
    }
}

#[test]
fn the_public_registry_needs_two_rights() {
    let message =
        format!("User: {WHO} is not authorized to perform: sts:GetServiceBearerToken on resource: *");
    assert_eq!(
        line("public.ecr.aws", "AccessDeniedException", &message),
        format!(
            "ecr: public.ecr.aws: AccessDeniedException: sts:GetServiceBearerToken on * as {WHO} in us-east-1; \
             hint: allow ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken on \"*\""
        )
    );
}

#[test]
fn each_refusal_has_its_remedy() {
    let place = "ecr: 123456789012 in us-east-1: ";
    for (code, parts) in [
        ("ExpiredTokenException", ["ExpiredTokenException", "log in to AWS again"]),
        (
            "UnrecognizedClientException",
            ["UnrecognizedClientException in us-east-1", "has the region us-east-1 enabled"],
        ),
        ("InvalidSignatureException", ["InvalidSignatureException", "clock"]),
        ("InvalidParameterException", ["InvalidParameterException in us-east-1", "check the account"]),
        ("ServerException", ["ServerException in us-east-1", "try again"]),
        ("ThrottlingException", ["ThrottlingException", "asked too often"]),
    ] {
        let line = line(HOST, code, "s3cret words of the server's own");
        assert!(line.starts_with(place) && parts.iter().all(|part| line.contains(part)), "{line}");
        assert!(!line.contains("s3cret"), "{line}");
    }
}

#[test]
fn what_is_no_refusal_of_aws_is_told_without_its_words() {
    for (status, headers, body, cause) in [
        (403, "", "<html>s3cret</html>", "HTTP 403 without a reason"),
        (500, "", "", "HTTP 500 without a reason"),
        (400, "", "{\"__type\":\"s3cret with blanks\"}", "HTTP 400 without a reason"),
        (400, "x-amzn-ErrorType: ServerException:http://x\r\n", "{}", "ServerException in us-east-1"),
    ] {
        let double = Hostile::answering(status, headers, body);
        let answer = keyed(Helper::with_config(ANY)).env("AWS_ENDPOINT_URL", double.url()).get(HOST);
        let line = answer.fails_with(&["ecr: 123456789012 in us-east-1: ", cause, "hint: "]);
        assert!(!line.contains("s3cret"), "{line}");
    }
}

#[test]
fn a_rule_may_go_on_without_a_credential() {
    let aws = Recorder::alone(|_| Reply::new(400, "{\"__type\":\"AccessDeniedException\"}"));
    helper(&aws, &format!("{ANY}on-error = \"anonymous\"\n")).get(HOST).is_not_found();
}

#[test]
fn an_endpoint_of_ones_own_is_neither_fips_nor_dual_stack() {
    let aws = Recorder::alone(|_| Reply::new(200, "{}"));
    for variable in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
        let answer = helper(&aws, ANY).env(variable, "true").get(HOST);
        answer.fails_with(&["ecr: ", "an endpoint of one's own is neither FIPS nor dual-stack", variable]);
    }
    assert!(aws.exchanges().is_empty());
}

#[test]
fn an_aws_that_checks_signatures_and_policies_gives_and_refuses() {
    let Some(own) = OwnMoto::start() else { return };
    let (nobody, puller) = (own.user("nobody"), own.user("puller"));
    let policy = include_str!("../../packaging/policies/aws/pull-ecr.json");
    own.iam("PutUserPolicy", &[("UserName", "puller"), ("PolicyName", "p"), ("PolicyDocument", policy)]);
    own.enforce();
    let get = |id: &str, key: &str| {
        Helper::with_config(ANY)
            .env("AWS_ENDPOINT_URL", own.moto.url.as_str())
            .envs(&[("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", key)])
            .get(HOST)
    };
    get(&puller.0, &puller.1).is_found(HOST, "AWS", super::TOKEN);
    // moto words these refusals as EC2 does, in XML, so they have no reason that is read.
    for (id, key) in [(&nobody.0, &nobody.1), (&puller.0, &nobody.1)] {
        get(id, key).fails_with(&["ecr: 123456789012 in us-east-1: HTTP 40"]);
    }
}
