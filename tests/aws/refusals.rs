//! What AWS refuses on the way, in its own word: doubles say what moto never does.

use serde_json::json;

use super::{OTHER_ROLE, ROLE, SECRETS, helper_at, refusal, token, with_keys};
use crate::support::recorder::{Exchange, Recorder, Reply};

/// Whom STS says that one is after a role.
const WHO: &str = "arn:aws:sts::111122223333:assumed-role/pull/docker.io@app-17";
const BY_TOKEN: &str =
    "web-identity = { env = \"JOB_TOKEN\" }\nrole-arn = \"arn:aws:iam::123456789012:role/pull\"";

/// What STS answers where it agrees: keys, whose session token is `session`, for `who`.
fn granted(action: &str, session: &str, who: &str) -> Reply {
    Reply::new(
        200,
        format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
             <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>not-a-real-key</SecretAccessKey>\
             <SessionToken>{session}</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>\
             <AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>{who}</Arn></AssumedRoleUser>\
             </{action}Result></{action}Response>"
        ),
    )
}

/// An AWS where the action ends in the reply, and all before it goes well.
fn refusing_at(action: &'static str, reply: impl Fn(&Exchange) -> Reply + Send + Sync + 'static) -> Recorder {
    Recorder::alone(move |asked| match asked.action() {
        asked_for if asked_for == action => reply(asked),
        other => granted(&other, "n0t-t0-be-shown", WHO),
    })
}

/// The line that the helper ends in, without what it must not show.
#[track_caller]
fn line(aws: &Recorder, connection: &str) -> String {
    let helper = with_keys(helper_at(&aws.url(), "hub", connection)).env("JOB_TOKEN", token("aws"));
    let answer = helper.get("docker.io");
    let line = answer.fails_with(&["aws-secrets-manager: hub: "]).to_owned();
    assert!(SECRETS.iter().all(|secret| !line.contains(secret)), "{line}");
    line
}

#[track_caller]
fn says(line: &str, rest: &str) {
    assert_eq!(line.strip_prefix("aws-secrets-manager: hub: "), Some(rest));
}

#[test]
fn a_web_identity_that_is_refused_names_the_role_and_the_remedy() {
    let call = "sts:AssumeRoleWithWebIdentity on arn:aws:iam::123456789012:role/pull";
    for (code, message, rest) in [
        (
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
            format!(
                "AccessDenied: {call} as the identity token; \
                 hint: the role's trust policy must allow the token's issuer, audience and subject"
            ),
        ),
        (
            "InvalidIdentityToken",
            "Incorrect token audience",
            format!(
                "InvalidIdentityToken: {call}; hint: AWS must know the token's issuer as an IAM identity \
                 provider that lists the token's audience"
            ),
        ),
        (
            "ExpiredTokenException",
            "Token expired: current date/time 2 must be before the expiration date/time 1",
            format!("ExpiredTokenException: {call}; hint: the identity token has expired: get a new one"),
        ),
        (
            "RegionDisabledException",
            "STS is not activated in this region",
            format!(
                "RegionDisabledException: {call}; hint: STS is switched off in this region: set another one"
            ),
        ),
        ("ValidationError", "1 validation error detected", format!("ValidationError: {call}")),
    ] {
        let aws = refusing_at("AssumeRoleWithWebIdentity", move |_| Reply::new(400, refusal(code, message)));
        says(&line(&aws, BY_TOKEN), &rest);
        assert_eq!(aws.exchanges().len(), 1, "{code}");
    }
}

#[test]
fn an_issuer_that_aws_does_not_reach_is_tried_once_more() {
    let reply = |_: &Exchange| Reply::new(400, refusal("IDPCommunicationError", "n0t-t0-be-shown"));
    let aws = refusing_at("AssumeRoleWithWebIdentity", reply);
    let line = line(&aws, BY_TOKEN);
    assert!(
        line.contains("IDPCommunicationError: sts:")
            && line.contains("hint: AWS could not reach the token's issuer")
    );
    assert_eq!(aws.exchanges().len(), 2);
}

#[test]
fn a_role_that_may_not_be_assumed_names_who_asked() {
    let message = "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: sts:AssumeRole on \
                   resource: arn:aws:iam::123456789012:role/pull";
    let aws = refusing_at("AssumeRole", move |_| Reply::new(403, refusal("AccessDenied", message)));
    says(
        &line(&aws, &format!("role-arn = \"{ROLE}\"")),
        "AccessDenied: sts:AssumeRole on arn:aws:iam::123456789012:role/pull as arn:aws:iam::123456789012:user/ci; \
         hint: the role's trust policy must allow who asks (with the external-id, where it wants one), \
         and the policy of who asks the role",
    );
    assert_eq!(aws.exchanges().len(), 1);
}

#[test]
fn of_a_chain_the_role_that_is_refused_is_named_with_the_one_before_it() {
    let aws = refusing_at("AssumeRole", |_| Reply::new(403, refusal("AccessDenied", "no")));
    let connection = BY_TOKEN.replace("role-arn = ", &format!("role-arn = [\"{OTHER_ROLE}\", ")) + "]";
    let line = line(&aws, &connection);
    let call = format!("AccessDenied: sts:AssumeRole on {ROLE} as {WHO}; hint: ");
    assert!(line.contains(&call), "{line}");
    assert_eq!(aws.actions(), ["AssumeRoleWithWebIdentity", "AssumeRole"]);
}

/// Secrets Manager's refusal.
fn denied(message: &str) -> Reply {
    Reply::new(400, json!({"__type": "AccessDeniedException", "Message": message}).to_string())
}

#[test]
fn a_secret_that_the_role_may_not_read_names_the_role_s_session() {
    let who = "arn:aws:sts::111122223333:assumed-role/pull/x";
    let message = format!(
        "User: {who} is not authorized to perform: secretsmanager:GetSecretValue on resource: hub because no \
         identity-based policy allows the secretsmanager:GetSecretValue action"
    );
    // AWS says who it was; where it does not, STS has said so before.
    for (message, who) in [(message.as_str(), who), ("Access denied", WHO)] {
        let message = message.to_owned();
        let aws = refusing_at("GetSecretValue", move |_| denied(&message));
        says(
            &line(&aws, BY_TOKEN),
            &format!(
                "AccessDeniedException: secretsmanager:GetSecretValue on hub as {who} in us-east-1; \
                 hint: allow secretsmanager:GetSecretValue on it in us-east-1, and kms:Decrypt on its key"
            ),
        );
        assert_eq!(aws.exchanges().len(), 2);
    }
}

#[test]
fn a_key_that_the_role_may_not_decrypt_with_is_told_by_its_action() {
    let message = "User: arn:aws:sts::111122223333:assumed-role/pull/x is not authorized to perform: kms:Decrypt on \
                   resource: arn:aws:kms:us-east-1:111122223333:key/1";
    let aws = refusing_at("GetSecretValue", move |_| denied(message));
    let line = line(&aws, BY_TOKEN);
    assert!(
        line.contains("AccessDeniedException: kms:Decrypt on hub as arn:aws:sts::111122223333:"),
        "{line}"
    );
}

#[test]
fn a_role_s_keys_that_have_ended_are_told() {
    let reply = |_: &Exchange| Reply::new(400, json!({"__type": "ExpiredTokenException"}).to_string());
    let line = line(&refusing_at("GetSecretValue", reply), BY_TOKEN);
    assert!(line.contains("hub: ExpiredTokenException; hint: the session has ended"), "{line}");
}

#[test]
fn a_hostile_server_s_words_never_show_the_identity_token() {
    let sent = |asked: &Exchange| asked.field("WebIdentityToken");
    let head = |token: &str| token.chars().take(60).collect::<String>();
    for (name, reply) in [
        ("code", Box::new(move |asked: &Exchange| Reply::new(400, refusal(&sent(asked), "no"))) as Box<_>),
        (
            "part as code",
            Box::new(move |asked: &Exchange| Reply::new(400, refusal(&sent(asked)[21..61], "no"))),
        ),
        ("message", Box::new(move |asked: &Exchange| Reply::new(400, refusal("AccessDenied", &sent(asked))))),
        (
            "identity",
            Box::new(move |asked: &Exchange| {
                let who =
                    format!("User: arn:aws:sts::111122223333:assumed-role/{} is not", head(&sent(asked)));
                Reply::new(400, refusal("AccessDenied", &who))
            }),
        ),
        (
            "action",
            Box::new(move |asked: &Exchange| {
                let action = head(&sent(asked)).replace(['.', '_'], ":");
                Reply::new(
                    400,
                    refusal("AccessDenied", &format!("not authorized to perform: sts:{action} on")),
                )
            }),
        ),
        ("no XML", Box::new(move |asked: &Exchange| Reply::new(400, sent(asked)))),
        ("as an answer", Box::new(move |asked: &Exchange| Reply::new(200, sent(asked)))),
        (
            "redirect",
            Box::new(move |asked: &Exchange| {
                Reply::new(307, "").header("Location", &format!("https://{}.example", sent(asked)))
            }),
        ),
    ] as [(&str, Box<dyn Fn(&Exchange) -> Reply + Send + Sync>); 8]
    {
        let aws = refusing_at("AssumeRoleWithWebIdentity", reply);
        let line = line(&aws, BY_TOKEN);
        for part in token("aws").split('.') {
            assert!(!line.contains(&part[..part.len().min(12)]), "{name}: {line}");
        }
    }
}

#[test]
fn a_short_token_is_not_repeated_as_a_code_either() {
    let reply = |asked: &Exchange| Reply::new(400, refusal(&asked.field("WebIdentityToken"), "no"));
    let aws = refusing_at("AssumeRoleWithWebIdentity", reply);
    let helper = helper_at(&aws.url(), "hub", BY_TOKEN).env("JOB_TOKEN", "0paqueT0ken");
    assert!(!helper.get("docker.io").fails_with(&["aws-secrets-manager: hub: "]).contains("0paque"));
}

#[test]
fn a_hostile_server_s_words_never_show_the_session_token() {
    let session = "IQoJb3JpZ2luX2VjEXAMPLEn0tt0beshown0123456789";
    let who = format!("arn:aws:sts::111122223333:assumed-role/pull/{session}");
    for name in ["code", "message", "identity", "earlier", "header"] {
        let who = who.clone();
        let aws = Recorder::alone(move |asked| match (asked.action().as_str(), name) {
            ("GetSecretValue", "code") => Reply::new(400, json!({"__type": session}).to_string()),
            ("GetSecretValue", "message") => denied(session),
            ("GetSecretValue", "identity") => {
                denied(&format!("User: {who} is not authorized to perform: x:y on"))
            }
            ("GetSecretValue", "header") => Reply::new(400, "{}").header("x-amzn-errortype", session),
            ("GetSecretValue", _) => denied("no"),
            (other, _) => granted(other, session, if name == "earlier" { &who } else { WHO }),
        });
        let line = line(&aws, BY_TOKEN);
        assert!(!line.contains("IQoJb3JpZ2lu") && !line.contains("beshown"), "{name}: {line}");
    }
}

#[test]
fn the_token_that_sts_echoes_as_a_name_is_not_told_later() {
    let aws = Recorder::alone(|asked| match asked.action().as_str() {
        "GetSecretValue" => denied("no"),
        other => {
            let head: String = asked.field("WebIdentityToken").chars().take(90).collect();
            granted(other, "sess10n", &format!("arn:aws:sts::111122223333:assumed-role/pull/{head}"))
        }
    });
    let line = line(&aws, BY_TOKEN);
    assert!(line.contains(&format!(" as {ROLE} in")) && !line.contains(&token("aws")[..12]), "{line}");
}

#[test]
fn what_sts_calls_one_cannot_break_the_line() {
    for who in ["s3cret", "arn:aws:sts::1:x", "arn:aws:sts::111122223333:assumed-role/&#27;[31m/x", ""] {
        let aws = Recorder::alone(move |asked| match asked.action().as_str() {
            "GetSecretValue" => denied("no"),
            other => granted(other, "sess10n", who),
        });
        let line = line(&aws, BY_TOKEN);
        assert!(line.contains(&format!(" as {ROLE} in us-east-1; hint: ")), "{line}");
    }
}

#[test]
fn an_answer_without_credentials_is_a_failure() {
    let empty = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                 <AssumeRoleWithWebIdentityResult/></AssumeRoleWithWebIdentityResponse>";
    for body in [empty, "", "<html>n0t-t0-be-shown</html>", "{\"n0t-t0-be-shown\":1}"] {
        let aws = refusing_at("AssumeRoleWithWebIdentity", move |_| Reply::new(200, body));
        let line = line(&aws, BY_TOKEN);
        assert!(line.contains("hint: check endpoint-url and AWS_ENDPOINT_URL"), "{line}");
        assert_eq!(aws.exchanges().len(), 1);
    }
}

#[test]
fn the_log_tells_neither_token_nor_keys() {
    let aws = refusing_at("GetSecretValue", |_| denied("no"));
    let helper = with_keys(helper_at(&aws.url(), "hub", BY_TOKEN)).env("JOB_TOKEN", token("aws"));
    let answer = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").get("docker.io");
    assert!(!answer.stderr.is_empty());
    let told = format!("{}{}", answer.stderr, answer.stdout);
    assert!(SECRETS.iter().all(|secret| !told.contains(secret)) && !told.contains("eyJ"), "{told}");
}
