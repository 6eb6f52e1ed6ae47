//! Where AWS itself gives a machine its credentials: containers, pods and instances.

use std::fs;
use std::time::{Duration, Instant};

use super::{OBJECT, ROLE, helper_at, refusal, signer, token, with_keys, write_aws_config};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::recorder::{Exchange, Recorder, Reply};
use crate::support::servers::Moto;

const KEYS: &str = r#"{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIAMACHINE","SecretAccessKey":"not-a-real-key","Token":"sess10n","Expiration":"2100-01-01T00:00:00Z","LastUpdated":"2020-01-01T00:00:00Z"}"#;

/// An agent of ECS or EKS, or the metadata of an instance: each answers what it is asked.
fn machine(asked: &Exchange) -> Reply {
    match asked.line.trim_end_matches(" HTTP/1.1") {
        "PUT /latest/api/token" => {
            Reply::new(200, "metadata-token").header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        }
        "GET /latest/meta-data/iam/security-credentials/" => Reply::new(200, "machine-role"),
        "GET /latest/meta-data/iam/security-credentials/machine-role" | "GET /v1/credentials" => {
            Reply::new(200, KEYS)
        }
        _ => Reply::new(404, ""),
    }
}

/// moto and the machine's agent, each behind a recorder, and a helper that knows only of moto.
fn world(moto: &Moto, connection: &str) -> (Recorder, Recorder, Helper) {
    let (aws, agent) = (Recorder::to(&moto.url), Recorder::alone(machine));
    let helper = helper_at(&aws.url(), &moto.secret(OBJECT), connection);
    (aws, agent, helper)
}

/// Instance metadata at the address, and switched on.
fn on_instance(helper: Helper, url: &str) -> Helper {
    helper.envs(&[("AWS_EC2_METADATA_DISABLED", ""), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)])
}

#[track_caller]
fn is_signed_by_the_machine(aws: &Recorder) {
    let [asked] = aws.exchanges().try_into().unwrap();
    assert_eq!((signer(&asked), asked.header("x-amz-security-token")), ("ASIAMACHINE", "sess10n"));
}

#[test]
fn a_container_s_task_role_is_used() {
    let Some(moto) = Moto::find() else { return };
    for connection in ["", "imds = false"] {
        let (aws, agent, helper) = world(&moto, connection);
        let helper = helper.envs(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials", agent.url()).as_str()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "n0t-t0-be-shown"),
        ]);
        helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
        let [asked] = agent.exchanges().try_into().unwrap();
        assert_eq!(
            (asked.line.as_str(), asked.header("authorization")),
            ("GET /v1/credentials HTTP/1.1", "n0t-t0-be-shown")
        );
        is_signed_by_the_machine(&aws);
    }
}

#[test]
fn a_pod_s_identity_is_used() {
    let Some(moto) = Moto::find() else { return };
    for connection in ["", "imds = false"] {
        let (aws, agent, helper) = world(&moto, connection);
        let file = helper.home().join("eks-pod-identity-token");
        fs::write(&file, token("pods.eks.amazonaws.com")).unwrap();
        let helper = helper.envs(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials", agent.url()).as_str()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap()),
        ]);
        helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
        let [asked] = agent.exchanges().try_into().unwrap();
        assert_eq!(asked.header("authorization"), token("pods.eks.amazonaws.com"));
        is_signed_by_the_machine(&aws);
    }
}

#[test]
fn a_container_s_agent_that_refuses_is_named() {
    let agent = Recorder::alone(|_| Reply::new(403, "n0t-t0-be-shown"));
    let helper = helper_at(&agent.url(), "hub", "").envs(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials", agent.url()).as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "n0t-t0-be-shown"),
    ]);
    let answer = helper.get("docker.io");
    let line = answer.fails_with(&["aws-secrets-manager: hub: ", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]);
    assert!(!line.contains("n0t-t0-be-shown"), "{line}");
    assert_eq!(agent.exchanges().len(), 1);
}

#[test]
fn a_container_s_token_with_a_line_end_is_told() {
    let agent = Recorder::alone(machine);
    let helper = helper_at(&agent.url(), "hub", "");
    let file = helper.home().join("token");
    fs::write(&file, "n0t-t0-be-shown\n").unwrap();
    let helper = helper.envs(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials", agent.url()).as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap()),
    ]);
    let answer = helper.get("docker.io");
    let line = answer.fails_with(&["aws-secrets-manager: hub: ", "AWS_CONTAINER_AUTHORIZATION_TOKEN"]);
    assert!(!line.contains("n0t-t0-be-shown") && !line.contains("profile"), "{line}");
}

#[test]
fn a_pod_s_web_identity_is_used_without_any_config() {
    let Some(moto) = Moto::find() else { return };
    let (aws, agent, helper) = world(&moto, "");
    let file = helper.home().join("token");
    fs::write(&file, token("sts.amazonaws.com")).unwrap();
    let helper = on_instance(helper, &agent.url()).envs(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_ROLE_SESSION_NAME", "pod-1"),
    ]);
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    let [first, second] = aws.exchanges().try_into().unwrap();
    assert_eq!((first.action().as_str(), signer(&first)), ("AssumeRoleWithWebIdentity", ""));
    assert_eq!(first.field("WebIdentityToken"), token("sts.amazonaws.com"));
    assert_eq!((first.field("RoleArn").as_str(), first.field("RoleSessionName").as_str()), (ROLE, "pod-1"));
    assert_eq!(signer(&second), first.answered("AccessKeyId"));
    assert!(agent.exchanges().is_empty());
}

#[test]
fn a_pod_s_web_identity_that_sts_refuses_is_told_in_sts_s_own_word() {
    for (code, message, hint) in [
        (
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://oidc.eks.example",
            "issuer",
        ),
        ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", "trust policy"),
        (
            "ExpiredTokenException",
            "Token expired: current date/time 1 must be before the expiration date/time 0",
            "expired",
        ),
    ] {
        let sts = Recorder::alone(move |_| Reply::new(400, refusal(code, message)));
        let helper = helper_at(&sts.url(), "hub", "");
        let file = helper.home().join("token");
        fs::write(&file, token("sts.amazonaws.com")).unwrap();
        let helper =
            helper.envs(&[("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()), ("AWS_ROLE_ARN", ROLE)]);
        let answer = helper.get("docker.io");
        let cause = format!("aws-secrets-manager: hub: {code}: sts:AssumeRoleWithWebIdentity");
        let line = answer.fails_with(&[&cause, hint]);
        assert!(!line.contains("c2lnbmF0dXJl"), "{line}");
        assert_eq!(sts.exchanges().len(), 1);
    }
}

#[test]
fn an_instance_s_role_is_used() {
    let Some(moto) = Moto::find() else { return };
    let (aws, agent, helper) = world(&moto, "");
    on_instance(helper, &agent.url()).get("docker.io").is_found("docker.io", "acme", "p4ss");
    let [first, ..] = agent.exchanges().try_into().map(|all: [Exchange; 3]| all).unwrap();
    assert_eq!(first.line, "PUT /latest/api/token HTTP/1.1");
    assert_eq!(agent.exchanges()[2].header("x-aws-ec2-metadata-token"), "metadata-token");
    is_signed_by_the_machine(&aws);
}

#[test]
fn an_instance_s_role_takes_on_another() {
    let Some(moto) = Moto::find() else { return };
    let (aws, agent, helper) = world(&moto, &format!("role-arn = \"{ROLE}\""));
    on_instance(helper, &agent.url()).get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(
        (aws.actions(), signer(&aws.exchanges()[0])),
        (vec!["AssumeRole".to_owned(), "GetSecretValue".to_owned()], "ASIAMACHINE")
    );
}

/// Instance metadata that takes the question and never answers: asked once, and left after a second. A busy machine may
/// take longer once, but not each time.
#[track_caller]
fn is_left_after_a_second(connection: &str, profile: &str) {
    let mut tries = (0..5).map(|_| {
        let silent = Hostile::silent();
        let helper = on_instance(helper_at(&silent.url(), "hub", connection), &silent.url());
        let text = format!("[profile ci]\nrole_arn = {ROLE}\ncredential_source = Ec2InstanceMetadata\n");
        write_aws_config(&helper, &text);
        let helper = helper.env("AWS_PROFILE", profile);
        let started = Instant::now();
        helper.get("docker.io").fails_with(&["aws-secrets-manager: hub: ", "hint: "]);
        assert_eq!(silent.heard().len(), 1);
        started.elapsed()
    });
    assert!(tries.any(|took| took < Duration::from_millis(1900)));
}

#[test]
fn metadata_that_fails_is_asked_once() {
    for status in [401, 403, 404, 500, 503] {
        let failing = Hostile::answering(status, "", "n0t-t0-be-shown");
        let answer = on_instance(helper_at(&failing.url(), "hub", ""), &failing.url()).get("docker.io");
        let line = answer.fails_with(&["aws-secrets-manager: hub: ", "hint: "]);
        assert!(!line.contains("n0t-t0-be-shown"), "{line}");
        assert_eq!(failing.heard().len(), 1, "{status}");
    }
}

#[test]
fn metadata_that_is_switched_off_is_not_asked() {
    for (connection, disabled) in [("imds = false", ""), ("", "true"), ("", "TRUE"), ("imds = true", "true")]
    {
        let agent = Recorder::alone(machine);
        let helper = on_instance(helper_at(&agent.url(), "hub", connection), &agent.url());
        let helper = helper.env("AWS_EC2_METADATA_DISABLED", disabled);
        helper.get("docker.io").fails_with(&["aws-secrets-manager: hub: no AWS credentials; hint: "]);
        assert!(agent.exchanges().is_empty(), "{connection} {disabled}");
    }
}

#[test]
fn a_profile_cannot_switch_metadata_on_again() {
    for (connection, profile) in [("imds = false", "ci"), ("imds = false\nprofile = \"ci\"", "")] {
        let agent = Recorder::alone(machine);
        let helper = on_instance(helper_at(&agent.url(), "hub", connection), &agent.url());
        write_aws_config(
            &helper,
            &format!("[profile ci]\nrole_arn = {ROLE}\ncredential_source = Ec2InstanceMetadata\n"),
        );
        helper.env("AWS_PROFILE", profile).get("docker.io").fails_with(&["aws-secrets-manager: hub: "]);
        assert!(agent.exchanges().is_empty(), "{connection}");
    }
}

#[test]
fn metadata_that_never_answers_is_asked_once_and_for_a_second() {
    for (connection, profile) in [("", ""), ("", "ci"), ("profile = \"ci\"", "")] {
        is_left_after_a_second(connection, profile);
    }
}

#[test]
fn keys_and_web_identities_leave_metadata_alone() {
    let Some(moto) = Moto::find() else { return };
    let (_, agent, helper) = world(&moto, "");
    on_instance(with_keys(helper), &agent.url()).get("docker.io").is_found("docker.io", "acme", "p4ss");
    let (_, _, helper) = world(&moto, "web-identity = { env = \"JOB_TOKEN\" }");
    let helper = on_instance(helper, &agent.url()).env("AWS_ROLE_ARN", ROLE);
    helper.env("JOB_TOKEN", token("aws")).get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert!(agent.exchanges().is_empty());
}

#[test]
fn no_region_is_no_reason_to_ask_metadata() {
    let agent = Recorder::alone(machine);
    let helper = on_instance(helper_at(&agent.url(), "hub", ""), &agent.url()).env("AWS_REGION", "");
    with_keys(helper).get("docker.io").fails_with(&["aws-secrets-manager: hub: no AWS region; hint: "]);
    assert!(agent.exchanges().is_empty());
}
