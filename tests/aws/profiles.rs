//! Profiles: what the user's AWS config says, roles and programs among it.

use super::{ROLE, SECRETS, helper_at, recorded, refusal, signer, with_keys, write_aws_config};
use crate::support::recorder::{Recorder, Reply};
use crate::support::servers::Moto;

/// A profile whose program prints these keys, and leaves a trace.
fn process(trace: &std::path::Path) -> String {
    let keys = r#"{"Version":1,"AccessKeyId":"ASIAPROCESS","SecretAccessKey":"not-a-real-key","SessionToken":"n0t-t0-be-shown"}"#;
    let program = trace.with_extension("sh");
    std::fs::write(&program, format!("echo x >>{}\necho '{keys}'\n", trace.display())).unwrap();
    format!("credential_process = sh {}\n", program.display())
}

#[test]
fn a_credential_process_is_run_once_and_its_keys_sign() {
    let Some(moto) = Moto::find() else { return };
    let (recorder, helper) = recorded(&moto, "profile = \"ci\"");
    let trace = helper.home().join("trace");
    write_aws_config(&helper, &format!("[profile ci]\n{}", process(&trace)));
    let helper = with_keys(helper);
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    let [asked] = recorder.exchanges().try_into().unwrap();
    assert_eq!((signer(&asked), asked.header("x-amz-security-token")), ("ASIAPROCESS", "n0t-t0-be-shown"));
    assert_eq!(std::fs::read_to_string(&trace).unwrap(), "x\n");
}

#[test]
fn a_profile_in_the_environment_does_too() {
    let Some(moto) = Moto::find() else { return };
    let (recorder, helper) = recorded(&moto, "");
    let trace = helper.home().join("trace");
    write_aws_config(&helper, &format!("[profile ci]\n{}", process(&trace)));
    helper.env("AWS_PROFILE", "ci").get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(signer(&recorder.exchanges()[0]), "ASIAPROCESS");
    // Keys in the environment count before the profile there, as they do with the SDK.
    let (recorder, helper) = recorded(&moto, "");
    let trace = helper.home().join("trace");
    write_aws_config(&helper, &format!("[profile ci]\n{}", process(&trace)));
    let helper = with_keys(helper).env("AWS_PROFILE", "ci");
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(signer(&recorder.exchanges()[0]), "AKIAEXAMPLE");
    assert!(!trace.exists());
}

#[test]
fn a_role_in_the_config_comes_after_a_credential_process() {
    let Some(moto) = Moto::find() else { return };
    let (recorder, helper) = recorded(&moto, &format!("profile = \"ci\"\nrole-arn = \"{ROLE}\""));
    let trace = helper.home().join("trace");
    write_aws_config(&helper, &format!("[profile ci]\nregion = eu-west-1\n{}", process(&trace)));
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(recorder.actions(), ["AssumeRole", "GetSecretValue"]);
    assert_eq!(signer(&recorder.exchanges()[0]), "ASIAPROCESS");
}

#[test]
fn what_a_credential_process_says_is_not_repeated() {
    for (program, cause) in [
        (
            "sh -c 'echo n0t-t0-be-shown; echo n0t-t0-be-shown >&2; exit 3'",
            "AWS credentials could not be fetched",
        ),
        ("echo n0t-t0-be-shown", "AWS credentials could not be fetched"),
        ("echo '{\"Version\":1,\"n0t-t0-be-shown\"'", "AWS credentials could not be fetched"),
        ("/nowhere/n0t-t0-be-shown-program", "AWS credentials could not be fetched"),
    ] {
        let double = Recorder::alone(|_| Reply::new(500, ""));
        let helper = helper_at(&double.url(), "hub", "profile = \"ci\"");
        write_aws_config(&helper, &format!("[profile ci]\ncredential_process = {program}\n"));
        let helper = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "");
        let answer = helper.get("docker.io");
        let line = answer.fails_with(&[
            &format!("aws-secrets-manager: hub: {cause}; hint: "),
            "`aws sts get-caller-identity --profile ci` shows why",
        ]);
        assert!(!line.contains("n0t-t0-be-shown"), "{line}");
        assert!(double.exchanges().is_empty());
    }
}

#[test]
fn a_credential_process_that_hangs_is_left_at_the_deadline() {
    let double = Recorder::alone(|_| Reply::new(500, ""));
    let helper = helper_at(&double.url(), "hub", "profile = \"ci\"");
    let text = std::fs::read_to_string(helper.config_file()).unwrap();
    std::fs::write(helper.config_file(), format!("timeout = \"500ms\"\n{text}")).unwrap();
    write_aws_config(&helper, "[profile ci]\ncredential_process = sleep 4\n");
    let started = std::time::Instant::now();
    helper.get("docker.io").fails_with(&["aws-secrets-manager: hub: timed out after 500ms; hint: "]);
    assert!(started.elapsed() < std::time::Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn a_profile_that_is_not_there_is_named() {
    let double = Recorder::alone(|_| Reply::new(500, ""));
    for (connection, variable) in [("profile = \"nowhere\"", ""), ("", "nowhere")] {
        let helper = helper_at(&double.url(), "hub", connection).env("AWS_PROFILE", variable);
        write_aws_config(&helper, "[profile ci]\nregion = eu-west-1\n");
        helper.get("docker.io").fails_with(&["aws-secrets-manager: hub: ", "profile nowhere"]);
    }
    assert!(double.exchanges().is_empty());
}

#[test]
fn nobody_s_credentials_are_a_failure_that_says_where_they_may_stand() {
    let double = Recorder::alone(|_| Reply::new(500, ""));
    let helper = helper_at(&double.url(), "hub", "");
    helper.get("docker.io").is_line(
        "aws-secrets-manager: hub: no AWS credentials; hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
         or AWS_PROFILE; `aws sts get-caller-identity` shows who one is",
    );
    // Half of a pair is none.
    let helper = helper_at(&double.url(), "hub", "").env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE");
    helper.get("docker.io").fails_with(&["aws-secrets-manager: hub: no AWS credentials; hint: "]);
    assert!(double.exchanges().is_empty());
}

#[test]
fn a_profile_s_role_that_is_refused_is_told_in_sts_s_own_word() {
    let message = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: sts:AssumeRole on \
                   resource: arn:aws:iam::123456789012:role/pull";
    let double = Recorder::alone(move |_| Reply::new(403, refusal("AccessDenied", message)));
    let helper = helper_at(&double.url(), "hub", "profile = \"ci\"");
    write_aws_config(
        &helper,
        &format!(
            "[profile base]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = not-a-real-key\n\
             [profile ci]\nrole_arn = {ROLE}\nsource_profile = base\n"
        ),
    );
    let answer = helper.get("docker.io");
    let line = answer.fails_with(&[
        "aws-secrets-manager: hub: AccessDenied: sts:AssumeRole as arn:aws:iam::123456789012:user/ci; hint: ",
        "the role's trust policy must allow who asks",
    ]);
    assert!(SECRETS.iter().all(|secret| !line.contains(secret)), "{line}");
    assert_eq!(double.actions(), ["AssumeRole"]);
}
