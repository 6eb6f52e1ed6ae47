//! `role-arn`: roles taken on one after the other, and the names that the trail shows.

use super::{OBJECT, OTHER_ROLE, ROLE, helper_at, recorded, signer, token, with_keys, write_aws_config};
use crate::support::recorder::{Exchange, Recorder};
use crate::support::servers::{Moto, unique};

/// What the roles were asked with, and the secret: each by the credentials that the one before it gave.
#[track_caller]
fn is_a_chain(recorder: &Recorder, first_signer: &str, actions: &[&str]) -> Vec<Exchange> {
    assert_eq!(recorder.actions(), actions);
    let exchanges = recorder.exchanges();
    assert_eq!(signer(&exchanges[0]), first_signer);
    for pair in exchanges.windows(2) {
        assert_eq!(signer(&pair[1]), pair[0].answered("AccessKeyId"));
        assert_eq!(pair[1].header("x-amz-security-token"), pair[0].answered("SessionToken"));
    }
    exchanges
}

#[test]
fn a_role_is_assumed_with_the_keys_at_hand() {
    let Some(moto) = Moto::find() else { return };
    let (recorder, helper) = recorded(&moto, &format!("role-arn = \"{ROLE}\""));
    with_keys(helper).get("docker.io").is_found("docker.io", "acme", "p4ss");
    let asked = is_a_chain(&recorder, "AKIAEXAMPLE", &["AssumeRole", "GetSecretValue"]);
    assert_eq!((asked[0].field("RoleArn").as_str(), asked[0].field("ExternalId").as_str()), (ROLE, ""));
}

#[test]
fn a_session_token_in_the_environment_is_sent_too() {
    let Some(moto) = Moto::find() else { return };
    let (recorder, helper) = recorded(&moto, &format!("role-arn = \"{ROLE}\""));
    let helper = with_keys(helper).env("AWS_SESSION_TOKEN", "n0t-t0-be-shown");
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(recorder.exchanges()[0].header("x-amz-security-token"), "n0t-t0-be-shown");
    assert_ne!(recorder.exchanges()[1].header("x-amz-security-token"), "n0t-t0-be-shown");
}

#[test]
fn a_list_of_roles_is_a_chain() {
    let Some(moto) = Moto::find() else { return };
    let connection = format!("role-arn = [\"{ROLE}\", \"{OTHER_ROLE}\"]\nexternal-id = \"acme/42\"");
    let (recorder, helper) = recorded(&moto, &connection);
    with_keys(helper).get("docker.io").is_found("docker.io", "acme", "p4ss");
    let asked = is_a_chain(&recorder, "AKIAEXAMPLE", &["AssumeRole", "AssumeRole", "GetSecretValue"]);
    for (asked, role) in asked.iter().zip([ROLE, OTHER_ROLE]) {
        assert_eq!((asked.field("RoleArn").as_str(), asked.field("ExternalId").as_str()), (role, "acme/42"));
    }
}

#[test]
fn of_a_list_with_a_web_identity_the_first_is_by_the_token() {
    let Some(moto) = Moto::find() else { return };
    let connection = format!(
        "web-identity = {{ env = \"JOB_TOKEN\" }}\nrole-arn = [\"{ROLE}\", \"{OTHER_ROLE}\"]\n\
         external-id = \"acme/42\"\nsession-name = \"nightly@build\""
    );
    let (recorder, helper) = recorded(&moto, &connection);
    helper.env("JOB_TOKEN", token("aws")).get("docker.io").is_found("docker.io", "acme", "p4ss");
    let actions = ["AssumeRoleWithWebIdentity", "AssumeRole", "GetSecretValue"];
    let asked = is_a_chain(&recorder, "", &actions);
    assert_eq!((asked[0].field("RoleArn").as_str(), asked[0].field("ExternalId").as_str()), (ROLE, ""));
    assert_eq!(
        (asked[1].field("RoleArn").as_str(), asked[1].field("ExternalId").as_str()),
        (OTHER_ROLE, "acme/42")
    );
    assert_eq!([&asked[0], &asked[1]].map(|asked| asked.field("RoleSessionName")), ["nightly@build"; 2]);
}

#[test]
fn the_session_is_named_after_the_registry_and_the_job() {
    let Some(moto) = Moto::find() else { return };
    let long = "x".repeat(100);
    for (variables, name) in [
        (vec![("CIRCLE_PROJECT_REPONAME", "app"), ("CIRCLE_BUILD_NUM", "17")], "docker.io@app-17".to_owned()),
        (
            vec![("GITHUB_REPOSITORY", "acme/app"), ("GITHUB_RUN_ID", "99"), ("USER", "runner")],
            "docker.io@acme-app-99".to_owned(),
        ),
        (vec![("USER", "jörg b")], "docker.io@j-rg-b".to_owned()),
        (
            vec![("CIRCLE_PROJECT_REPONAME", long.as_str()), ("CIRCLE_BUILD_NUM", "17")],
            format!("docker.io@{}-17", "x".repeat(51)),
        ),
    ] {
        let (recorder, helper) = recorded(&moto, &format!("role-arn = \"{ROLE}\""));
        with_keys(helper).envs(&variables).get("docker.io").is_found("docker.io", "acme", "p4ss");
        assert_eq!(recorder.exchanges()[0].field("RoleSessionName"), name);
    }
}

#[test]
fn a_stated_session_name_is_sent_as_it_is() {
    let Some(moto) = Moto::find() else { return };
    let connection = format!("role-arn = \"{ROLE}\"\nsession-name = \"a=b,c.d@e-f_g+h\"");
    let (recorder, helper) = recorded(&moto, &connection);
    let helper = with_keys(helper).env("CIRCLE_PROJECT_REPONAME", "app").env("CIRCLE_BUILD_NUM", "17");
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(recorder.exchanges()[0].field("RoleSessionName"), "a=b,c.d@e-f_g+h");
}

#[test]
fn a_profile_s_keys_take_on_the_role() {
    let Some(moto) = Moto::find() else { return };
    let (recorder, helper) = recorded(&moto, &format!("profile = \"ci\"\nrole-arn = \"{ROLE}\""));
    write_aws_config(
        &helper,
        "[profile ci]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = not-a-real-key\n",
    );
    // What the config names counts before the environment.
    with_keys(helper).get("docker.io").is_found("docker.io", "acme", "p4ss");
    is_a_chain(&recorder, "AKIAPROFILE", &["AssumeRole", "GetSecretValue"]);
}

#[test]
fn a_profile_s_own_role_is_taken_on_before_the_connection_s() {
    let Some(moto) = Moto::find() else { return };
    let (recorder, helper) = recorded(&moto, &format!("profile = \"ci\"\nrole-arn = \"{OTHER_ROLE}\""));
    write_aws_config(
        &helper,
        &format!(
            "[profile base]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = not-a-real-key\n\
             [profile ci]\nrole_arn = {ROLE}\nsource_profile = base\nexternal_id = profile-42\n\
             role_session_name = from-profile\n"
        ),
    );
    with_keys(helper).get("docker.io").is_found("docker.io", "acme", "p4ss");
    let actions = ["AssumeRole", "AssumeRole", "GetSecretValue"];
    let asked = is_a_chain(&recorder, "AKIAPROFILE", &actions);
    assert_eq!(asked[0].field("ExternalId"), "profile-42");
    assert_eq!(asked[0].field("RoleSessionName"), "from-profile");
    assert_eq!((asked[0].field("RoleArn").as_str(), asked[1].field("RoleArn").as_str()), (ROLE, OTHER_ROLE));
}

#[test]
fn two_secrets_take_on_the_role_once() {
    let Some(moto) = Moto::find() else { return };
    let recorder = Recorder::to(&moto.url);
    let (user, token) = (moto.secret("acme"), moto.secret("p4ss"));
    let connection = format!("role-arn = \"{ROLE}\"");
    let helper = helper_at(&recorder.url(), &format!("{token}\"\nusername-secret = \"{user}"), &connection);
    with_keys(helper).get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(recorder.actions(), ["AssumeRole", "GetSecretValue", "GetSecretValue"]);
}

#[test]
fn a_registry_without_a_rule_takes_on_no_role() {
    let Some(moto) = Moto::find() else { return };
    let (recorder, helper) = recorded(&moto, &format!("role-arn = \"{ROLE}\""));
    let helper = with_keys(helper);
    for asked in ["ghcr.io", "docker.io.evil.example", "https://index.docker.io/v1/access-token"] {
        helper.get(asked).is_not_found();
    }
    assert!(helper.list().stdout.contains("index.docker.io"));
    assert!(recorder.exchanges().is_empty());
}

#[test]
fn each_connection_has_its_own_role() {
    let Some(moto) = Moto::find() else { return };
    let recorder = Recorder::to(&moto.url);
    let name = moto.secret(OBJECT);
    let session = unique("other");
    let more = format!(
        "role-arn = \"{ROLE}\"\n[registry.\"ghcr.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{name}\"\n\
         aws = \"other\"\n[aws.other]\nrole-arn = \"{OTHER_ROLE}\"\nsession-name = \"{session}\""
    );
    let helper = with_keys(helper_at(&recorder.url(), &name, &more));
    helper.get("ghcr.io").is_found("ghcr.io", "acme", "p4ss");
    let asked = &recorder.exchanges()[0];
    assert_eq!((asked.field("RoleArn"), asked.field("RoleSessionName")), (OTHER_ROLE.to_owned(), session));
}
