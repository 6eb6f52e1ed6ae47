//! `web-identity`: a role by a token, and by nobody's keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{OBJECT, OTHER_ROLE, ROLE, config, recorded, signer, token, with_keys, write_aws_config};
use crate::support::Helper;
use crate::support::servers::Moto;

#[test]
fn a_token_becomes_a_role_and_the_role_fetches_the_secret() {
    let Some(moto) = Moto::find() else { return };
    let connection = format!("web-identity = {{ env = \"JOB_TOKEN\" }}\nrole-arn = \"{ROLE}\"");
    let (recorder, helper) = recorded(&moto, &connection);
    helper.env("JOB_TOKEN", token("aws")).get("docker.io").is_found("docker.io", "acme", "p4ss");
    let [first, second] = recorder.exchanges().try_into().unwrap();
    // Nobody's keys are needed for the first one.
    assert_eq!((first.action().as_str(), signer(&first)), ("AssumeRoleWithWebIdentity", ""));
    assert_eq!(first.header("x-amz-security-token"), "");
    assert_eq!(first.field("WebIdentityToken"), token("aws"));
    assert_eq!(first.field("RoleArn"), ROLE);
    assert_eq!(first.field("RoleSessionName"), "docker.io@docker-credential-lease");
    // The second one is signed with what the first one gave.
    assert_eq!(second.action(), "GetSecretValue");
    assert_eq!((signer(&second), signer(&second).is_empty()), (first.answered("AccessKeyId"), false));
    assert_eq!(second.header("x-amz-security-token"), first.answered("SessionToken"));
    assert!(second.header("authorization").contains("x-amz-security-token"), "{second:?}");
}

#[test]
fn the_default_credentials_are_not_touched() {
    let Some(moto) = Moto::find() else { return };
    let connection = format!("web-identity = {{ env = \"JOB_TOKEN\" }}\nrole-arn = \"{ROLE}\"");
    for profile in ["", "nowhere", "traced"] {
        let (recorder, helper) = recorded(&moto, &connection);
        let trace = helper.home().join("trace");
        let process = format!("credential_process = touch {}\n", trace.display());
        write_aws_config(&helper, &format!("[default]\n{process}[profile traced]\n{process}"));
        let helper = with_keys(helper).envs(&[
            ("JOB_TOKEN", token("aws").as_str()),
            ("AWS_SESSION_TOKEN", "n0t-t0-be-shown"),
            ("AWS_PROFILE", profile),
            ("AWS_ROLE_ARN", OTHER_ROLE),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", recorder.url().as_str()),
            ("AWS_EC2_METADATA_DISABLED", ""),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", recorder.url().as_str()),
        ]);
        helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
        assert_eq!(recorder.actions(), ["AssumeRoleWithWebIdentity", "GetSecretValue"], "{profile}");
        let told = format!("{:?}", recorder.exchanges());
        assert!(!told.contains("AKIAEXAMPLE") && !told.contains("n0t-t0-be-shown"), "{told}");
        assert!(!trace.exists(), "{profile}");
    }
}

#[test]
fn the_token_may_stand_in_a_file_that_changes() {
    let Some(moto) = Moto::find() else { return };
    let connection = format!("web-identity = {{ file = \"job.jwt\" }}\nrole-arn = \"{ROLE}\"");
    let (recorder, helper) = recorded(&moto, &connection);
    let file = helper.config_file().with_file_name("job.jwt");
    for audience in ["first", "second"] {
        fs::write(&file, format!("{}\n", token(audience))).unwrap();
        helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    }
    let sent: Vec<String> =
        recorder.exchanges().iter().step_by(2).map(|sent| sent.field("WebIdentityToken")).collect();
    assert_eq!(sent, [token("first"), token("second")]);
}

#[test]
fn circleci_s_token_is_for_the_role_in_the_environment() {
    let Some(moto) = Moto::find() else { return };
    let (recorder, helper) = recorded(&moto, "web-identity = \"circleci\"");
    let helper = helper.envs(&[
        ("CIRCLE_OIDC_TOKEN", token("old").as_str()),
        ("CIRCLE_OIDC_TOKEN_V2", token("org").as_str()),
        ("CIRCLE_PROJECT_REPONAME", "app"),
        ("CIRCLE_BUILD_NUM", "17"),
        ("AWS_ROLE_ARN", ROLE),
    ]);
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    let first = &recorder.exchanges()[0];
    assert_eq!(first.field("WebIdentityToken"), token("org"));
    assert_eq!((first.field("RoleArn").as_str(), recorder.exchanges().len()), (ROLE, 2));
    assert_eq!(first.field("RoleSessionName"), "docker.io@app-17");
}

#[test]
fn a_stated_role_counts_before_the_one_in_the_environment() {
    let Some(moto) = Moto::find() else { return };
    let connection = format!("web-identity = {{ env = \"JOB_TOKEN\" }}\nrole-arn = \"{ROLE}\"");
    let (recorder, helper) = recorded(&moto, &connection);
    let helper = helper.env("JOB_TOKEN", token("aws")).env("AWS_ROLE_ARN", OTHER_ROLE);
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(recorder.exchanges()[0].field("RoleArn"), ROLE);
}

#[test]
fn what_is_missing_is_named_and_nobody_is_asked() {
    let Some(moto) = Moto::find() else { return };
    let ours = token("aws");
    for (connection, variables, line) in [
        (
            "web-identity = \"circleci\"",
            vec![("CIRCLE_OIDC_TOKEN_V2", ours.as_str())],
            "no role for the web identity; \
             hint: set role-arn in the connection's table, or AWS_ROLE_ARN",
        ),
        (
            "web-identity = \"circleci\"",
            vec![("AWS_ROLE_ARN", ROLE)],
            "no CircleCI token: CIRCLE_OIDC_TOKEN_V2 is not set; \
             hint: it is set only in a CircleCI job",
        ),
        (
            "web-identity = { env = \"JOB_TOKEN\" }",
            vec![("AWS_ROLE_ARN", ROLE)],
            "no identity token: JOB_TOKEN is not set; hint: set JOB_TOKEN",
        ),
    ] {
        let (recorder, helper) = recorded(&moto, connection);
        let answer = helper.envs(&variables).get("docker.io");
        let told = answer.fails_with(&["aws-secrets-manager: "]);
        assert_eq!(told.splitn(3, ": ").nth(2), Some(line));
        assert!(recorder.exchanges().is_empty());
    }
}

#[test]
fn a_token_that_has_expired_is_not_shown_to_aws() {
    let Some(moto) = Moto::find() else { return };
    let (recorder, helper) = recorded(&moto, "web-identity = { env = \"JOB_TOKEN\" }");
    // {"exp":1000}
    let helper = helper.env("JOB_TOKEN", "e30.eyJleHAiOjEwMDB9.c2lnbmF0dXJl").env("AWS_ROLE_ARN", ROLE);
    let answer = helper.get("docker.io");
    let line =
        answer.fails_with(&["the token in JOB_TOKEN expired ", " days ago", "hint: set it to a new one"]);
    assert!(!line.contains("c2lnbmF0dXJl"), "{line}");
    assert!(recorder.exchanges().is_empty());
}

#[test]
fn a_token_file_that_others_could_write_is_refused() {
    let Some(moto) = Moto::find() else { return };
    let (recorder, helper) = recorded(&moto, "web-identity = { file = \"~/job.jwt\" }");
    let file = helper.home().join("job.jwt");
    fs::write(&file, token("aws")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    helper.env("AWS_ROLE_ARN", ROLE).get("docker.io").fails_with(&["job.jwt", "chmod"]);
    assert!(recorder.exchanges().is_empty());
}

#[test]
fn the_region_may_be_the_secret_s_own() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(OBJECT);
    let arn = format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}");
    let (recorder, _) = recorded(&moto, "");
    let helper = Helper::with_config(&config(&arn, "web-identity = { env = \"JOB_TOKEN\" }")).envs(&[
        ("AWS_ENDPOINT_URL", recorder.url().as_str()),
        ("AWS_ROLE_ARN", ROLE),
        ("JOB_TOKEN", token("aws").as_str()),
    ]);
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(recorder.exchanges().len(), 2);
}
