//! Real refusals: a moto that checks every signature and policy, as AWS does.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::{OBJECT, helper_at, refusal};
use crate::support::Helper;
use crate::support::own_moto::OwnMoto;
use crate::support::recorder::{Recorder, Reply};
use crate::vault::aws::{Login, login};

fn policy(action: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})
        .to_string()
}

/// moto decides as AWS does, and words every refusal as EC2 would: its code and message, in each service's own form.
fn worded_as_aws(own: &OwnMoto) -> Recorder {
    Recorder::rewording(&own.moto.url, |asked| {
        let (code, message) = (asked.answered("Code"), asked.answered("Message"));
        let refused = asked.answer.starts_with("HTTP/1.1 403 ") && !code.is_empty();
        refused.then(|| match asked.action().as_str() {
            "GetSecretValue" => Reply::new(400, json!({"__type": code, "Message": message}).to_string()),
            _ => Reply::new(403, refusal(code, message)),
        })
    })
}

/// A helper with the user's keys.
fn helper(aws: &Recorder, secret: &str, connection: &str, keys: &(String, String)) -> Helper {
    helper_at(&aws.url(), secret, connection)
        .envs(&[("AWS_ACCESS_KEY_ID", keys.0.as_str()), ("AWS_SECRET_ACCESS_KEY", keys.1.as_str())])
}

/// The role with a policy of its own, which the user `climber` may assume.
fn role(own: &OwnMoto, name: &str, action: &str) {
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::123456789012:user/climber"},
    }]});
    own.iam("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust.to_string())]);
    own.iam("PutRolePolicy", &[("RoleName", name), ("PolicyName", "p"), ("PolicyDocument", &policy(action))]);
}

// One test, since the server takes a few seconds to start.
#[test]
fn an_aws_that_checks_signatures_and_policies_gives_and_refuses() {
    let Some(own) = OwnMoto::start() else { return };
    let secret = own.moto.secret(OBJECT);
    let (nobody, reader, climber) = (own.user("nobody"), own.user("reader"), own.user("climber"));
    own.iam(
        "PutUserPolicy",
        &[
            ("UserName", "reader"),
            ("PolicyName", "p"),
            ("PolicyDocument", &policy("secretsmanager:GetSecretValue")),
        ],
    );
    own.iam(
        "PutUserPolicy",
        &[("UserName", "climber"), ("PolicyName", "p"), ("PolicyDocument", &policy("sts:AssumeRole"))],
    );
    role(&own, "pull", "secretsmanager:GetSecretValue");
    role(&own, "other", "secretsmanager:ListSecrets");
    own.enforce();
    let aws = worded_as_aws(&own);
    let connection =
        |role: &str| format!("role-arn = \"arn:aws:iam::123456789012:role/{role}\"\nsession-name = \"job\"");

    helper(&aws, &secret, "", &reader).get("docker.io").is_found("docker.io", "acme", "p4ss");
    helper(&aws, &secret, &connection("pull"), &climber).get("docker.io").is_found(
        "docker.io",
        "acme",
        "p4ss",
    );

    let who = "arn:aws:iam::123456789012:user/nobody";
    helper(&aws, &secret, "", &nobody).get("docker.io").fails_with(&[
        &format!("aws-secrets-manager: {secret}: AccessDenied"),
        &format!(": secretsmanager:GetSecretValue on {secret} as {who} in us-east-1; hint: allow "),
    ]);
    helper(&aws, &secret, &connection("pull"), &nobody).get("docker.io").fails_with(&[&format!(
        "AccessDenied: sts:AssumeRole on arn:aws:iam::123456789012:role/pull as {who}; hint: the role's"
    )]);
    let who = "arn:aws:sts::123456789012:assumed-role/other/job";
    helper(&aws, &secret, &connection("other"), &climber).get("docker.io").fails_with(&[&format!(
        ": secretsmanager:GetSecretValue on {secret} as {who} in us-east-1; hint: allow "
    )]);

    let wrong = (reader.0.clone(), "not-the-right-key".to_owned());
    helper(&aws, &secret, "", &wrong).get("docker.io").is_line(&format!(
        "aws-secrets-manager: {secret}: SignatureDoesNotMatch; \
         hint: check AWS_SECRET_ACCESS_KEY and this machine's clock"
    ));
    let unknown = ("AKIAUNKNOWN".to_owned(), "x".to_owned());
    helper(&aws, &secret, &connection("pull"), &unknown)
        .get("docker.io")
        .fails_with(&["InvalidClientTokenId: sts:AssumeRole on ", "hint: AWS does not know these keys"]);

    // What Vault is shown at its `aws` login, sent on as Vault does it: the real check of its signature.
    for (connection, keys, who) in [
        ("", &nobody, "arn:aws:iam::123456789012:user/nobody".to_owned()),
        (&connection("pull"), &climber, "arn:aws:sts::123456789012:assumed-role/pull/job".to_owned()),
    ] {
        let login = login(&own.moto.url, connection, keys);
        let answer = sent_on(&own.moto.url, &login);
        let arn = format!("<Arn>{who}</Arn>");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&arn), "{answer}");
    }
}

/// What AWS answers to the request, sent exactly as it was signed.
fn sent_on(url: &str, login: &Login) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    let headers: Vec<String> =
        login.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("POST / HTTP/1.1\r\n{}Connection: close\r\n", headers.concat());
    stream.write_all(format!("{head}\r\n{}", login.body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
