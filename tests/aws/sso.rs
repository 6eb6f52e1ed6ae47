//! SSO: the session that `aws sso login` left in `~/.aws/sso/cache`, and what it looks like when it has ended.

use std::fs;

use super::{OBJECT, ROLE, helper_at, refusal, signer, write_aws_config};
use crate::support::Helper;
use crate::support::recorder::{Exchange, Recorder, Reply};
use crate::support::servers::Moto;

/// The two ways to write such a profile, and the file that its session is kept in: named after the SHA-1 of the
/// address, or of the session's name.
const LEGACY: (&str, &str) = (
    "[profile pull]\nsso_start_url = https://acme.awsapps.com/start\n",
    "40169cea58ca6cbf23fb27b2542923fb5f524af0.json",
);
const SESSION: (&str, &str) = (
    "[sso-session acme]\nsso_start_url = https://acme.awsapps.com/start\nsso_region = us-east-1\n\
     [profile pull]\nsso_session = acme\n",
    "293abb6b76d7791c0732cc517d38c4b5c734b87f.json",
);

const ENDED: &str = "aws-secrets-manager: hub: the SSO session of the profile pull has ended; \
                     hint: run `aws sso login --profile pull`";

/// A session's file: good until then, and what it takes to renew it.
fn cached(until: &str, more: &str) -> String {
    format!(
        "{{\"startUrl\":\"https://acme.awsapps.com/start\",\"region\":\"us-east-1\",\
         \"accessToken\":\"n0t-t0-be-shown\",\"expiresAt\":\"{until}\"{more}}}"
    )
}

const RENEWABLE: &str = r#","clientId":"c","clientSecret":"not-a-real-key","refreshToken":"not-a-real-key","registrationExpiresAt":"2100-01-01T00:00:00Z""#;

/// What AWS's portal answers: a role's keys.
fn portal(_: &Exchange) -> Reply {
    let keys = r#"{"roleCredentials":{"accessKeyId":"ASIASSO","secretAccessKey":"not-a-real-key","sessionToken":"sess10n","expiration":4102444800000}}"#;
    Reply::new(200, keys)
}

fn refusing(status: u16, code: &'static str) -> impl Fn(&Exchange) -> Reply + Send + Sync {
    move |_| {
        let message = "{\"message\":\"Session token not found or invalid\"}";
        Reply::new(status, message).header("x-amzn-errortype", code)
    }
}

/// A helper with the profile and the session's file; AWS is at `aws`, its portal and what renews sessions at `portal`.
fn helper(profile: (&str, &str), session: Option<&str>, secret: &str, aws: &str, portal: &str) -> Helper {
    let helper = helper_at(aws, secret, "profile = \"pull\"")
        .envs(&[("AWS_ENDPOINT_URL_SSO", portal), ("AWS_ENDPOINT_URL_SSO_OIDC", portal)]);
    let (text, file) = profile;
    let text = format!("{text}sso_account_id = 123456789012\nsso_role_name = Pull\n");
    let region = if text.contains("[sso-session") { "" } else { "sso_region = us-east-1\n" };
    write_aws_config(&helper, &format!("{text}{region}"));
    let folder = helper.home().join(".aws/sso/cache");
    fs::create_dir_all(&folder).unwrap();
    if let Some(session) = session {
        fs::write(folder.join(file), session).unwrap();
    }
    helper
}

#[test]
fn a_session_that_lasts_gives_the_role_s_keys() {
    let Some(moto) = Moto::find() else { return };
    for profile in [LEGACY, SESSION] {
        let (aws, portal) = (Recorder::to(&moto.url), Recorder::alone(portal));
        let session = cached("2100-01-01T00:00:00Z", "");
        let helper = helper(profile, Some(&session), &moto.secret(OBJECT), &aws.url(), &portal.url());
        helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
        let [asked] = portal.exchanges().try_into().unwrap();
        assert_eq!(asked.line, "GET /federation/credentials?role_name=Pull&account_id=123456789012 HTTP/1.1");
        assert_eq!(asked.header("x-amz-sso_bearer_token"), "n0t-t0-be-shown");
        let [asked] = aws.exchanges().try_into().unwrap();
        assert_eq!((signer(&asked), asked.header("x-amz-security-token")), ("ASIASSO", "sess10n"));
    }
}

#[test]
fn a_profile_may_take_its_role_by_way_of_sso() {
    let Some(moto) = Moto::find() else { return };
    let (aws, portal) = (Recorder::to(&moto.url), Recorder::alone(portal));
    let session = cached("2100-01-01T00:00:00Z", "");
    let text = format!("[profile ci]\nrole_arn = {ROLE}\nsource_profile = pull\n{}", SESSION.0);
    let profile = (text.as_str(), SESSION.1);
    let helper = helper(profile, Some(&session), &moto.secret(OBJECT), &aws.url(), &portal.url());
    let config = fs::read_to_string(helper.config_file()).unwrap().replace("\"pull\"", "\"ci\"");
    fs::write(helper.config_file(), config).unwrap();
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(aws.actions(), ["AssumeRole", "GetSecretValue"]);
    assert_eq!((signer(&aws.exchanges()[0]), portal.exchanges().len()), ("ASIASSO", 1));
}

#[test]
fn a_session_that_has_ended_says_how_to_begin_another() {
    let expired = cached("2020-01-01T00:00:00Z", "");
    // The SDK looks at the end of a session that it could renew; of the others it asks AWS.
    for (profile, session, requests) in [
        (SESSION, Some(expired.as_str()), 0),
        (LEGACY, Some(&expired), 1),
        (SESSION, None, 0),
        (LEGACY, None, 0),
    ] {
        let portal = Recorder::alone(refusing(401, "UnauthorizedException"));
        let helper = helper(profile, session, "hub", &portal.url(), &portal.url());
        helper.get("docker.io").is_line(ENDED);
        assert_eq!(portal.exchanges().len(), requests, "{session:?}");
    }
}

#[test]
fn a_session_that_aws_has_ended_says_so_too() {
    for profile in [LEGACY, SESSION] {
        let portal = Recorder::alone(refusing(401, "UnauthorizedException"));
        let session = cached("2100-01-01T00:00:00Z", "");
        helper(profile, Some(&session), "hub", &portal.url(), &portal.url()).get("docker.io").is_line(ENDED);
        assert_eq!(portal.exchanges().len(), 1);
    }
}

#[test]
fn the_profile_of_the_environment_is_named() {
    let portal = Recorder::alone(refusing(401, "UnauthorizedException"));
    let config = |helper: &Helper| {
        let text = fs::read_to_string(helper.config_file()).unwrap().replace("profile = \"pull\"", "");
        fs::write(helper.config_file(), text).unwrap();
    };
    let ended = helper(SESSION, None, "hub", &portal.url(), &portal.url()).env("AWS_PROFILE", "pull");
    config(&ended);
    ended.get("docker.io").is_line(ENDED);
    let text = SESSION.0.replace("[profile pull]", "[default]");
    let ended = helper((&text, SESSION.1), None, "hub", &portal.url(), &portal.url());
    config(&ended);
    ended.get("docker.io").is_line(
        "aws-secrets-manager: hub: the SSO session of the profile default has ended; hint: run `aws sso login`",
    );
}

#[test]
fn a_session_is_renewed_where_it_can_be() {
    let Some(moto) = Moto::find() else { return };
    let aws = Recorder::to(&moto.url);
    let portal = Recorder::alone(|asked| match asked.line.starts_with("POST /token ") {
        true => Reply::new(200, r#"{"accessToken":"n3w","expiresIn":3600,"refreshToken":"n3wer"}"#),
        false => portal(asked),
    });
    let session = cached("2020-01-01T00:00:00Z", RENEWABLE);
    let helper = helper(SESSION, Some(&session), &moto.secret(OBJECT), &aws.url(), &portal.url());
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    let [renewal, keys] = portal.exchanges().try_into().unwrap();
    assert!(renewal.body.contains("\"grantType\":\"refresh_token\""), "{renewal:?}");
    assert_eq!(keys.header("x-amz-sso_bearer_token"), "n3w");
}

#[test]
fn a_session_that_aws_does_not_renew_has_ended() {
    let portal = Recorder::alone(|asked| match asked.line.starts_with("POST /token ") {
        true => Reply::new(400, "{\"error\":\"invalid_grant\"}")
            .header("x-amzn-errortype", "InvalidGrantException"),
        false => refusing(401, "UnauthorizedException")(asked),
    });
    let session = cached("2020-01-01T00:00:00Z", RENEWABLE);
    helper(SESSION, Some(&session), "hub", &portal.url(), &portal.url()).get("docker.io").is_line(ENDED);
}

#[test]
fn another_refusal_of_the_portal_is_not_an_ended_session() {
    let session = cached("2100-01-01T00:00:00Z", "");
    for profile in [LEGACY, SESSION] {
        let portal = Recorder::alone(refusing(403, "ForbiddenException"));
        let answer = helper(profile, Some(&session), "hub", &portal.url(), &portal.url()).get("docker.io");
        let line = answer.fails_with(&[
            "aws-secrets-manager: hub: ForbiddenException: sso:GetRoleCredentials",
            "hint: the SSO user must be given",
        ]);
        assert!(!line.contains("has ended") && !line.contains("n0t-t0-be-shown"), "{line}");
    }
    let portal = Recorder::alone(|_| Reply::new(403, refusal("AccessDenied", "n0t-t0-be-shown")));
    let answer = helper(SESSION, Some(&session), "hub", &portal.url(), &portal.url()).get("docker.io");
    assert!(!answer.fails_with(&["aws-secrets-manager: hub: "]).contains("n0t-t0-be-shown"));
}

#[test]
fn a_session_s_file_that_cannot_be_read_is_not_repeated() {
    for text in
        ["n0t-t0-be-shown", "{\"accessToken\":\"n0t-t0-be-shown\"}", "{\"accessToken\":\"n0t-t0-be-shown", ""]
    {
        let portal = Recorder::alone(portal);
        let answer = helper(SESSION, Some(text), "hub", &portal.url(), &portal.url()).get("docker.io");
        let line = answer.fails_with(&["aws-secrets-manager: hub: ", "`aws sso login --profile pull`"]);
        assert!(!line.contains("n0t-t0-be-shown"), "{line}");
        assert!(portal.exchanges().is_empty());
    }
}
