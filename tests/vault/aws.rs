//! Vault's `aws` login: a request that AWS would answer, signed in our name, and checked here by botocore. OpenBao has
//! no such login, so Vault is a double.

use std::collections::BTreeMap;
use std::process::Command;

use aws_smithy_types::base64;
use serde_json::{Value, json};

use super::{ANSWER, rule};
use crate::support::recorder::{Exchange, Recorder, Reply};
use crate::support::servers::{Moto, setting};
use crate::support::{Answer, Helper};

const ROLE: &str = "arn:aws:iam::123456789012:role/pull";
const GLOBAL: (&str, &str) = ("https://sts.amazonaws.com/", "us-east-1");

/// What a login shows to Vault, decoded.
pub(crate) struct Login {
    sent: Value,
    url: String,
    pub(crate) body: String,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Login {
    fn read(exchange: &Exchange) -> Self {
        let sent: Value = serde_json::from_str(&exchange.body).unwrap();
        let part = |key: &str| {
            let bytes = base64::decode(sent[key].as_str().unwrap()).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let headers = serde_json::from_str(&part("iam_request_headers")).unwrap();
        Self { url: part("iam_request_url"), body: part("iam_request_body"), headers, sent }
    }

    /// The names under the signature.
    fn signed(&self) -> Vec<&str> {
        let rest = self.headers["authorization"].split_once("SignedHeaders=").unwrap().1;
        rest.split(',').next().unwrap().split(';').collect()
    }

    /// It is for this address and region and by this key; what botocore needs to sign it anew.
    #[track_caller]
    fn is_signed(
        &self,
        (url, region): (&str, &str),
        key: &str,
        secret: &str,
        session: Option<&str>,
    ) -> Value {
        assert_eq!(
            (self.url.as_str(), self.body.as_str()),
            (url, "Action=GetCallerIdentity&Version=2011-06-15")
        );
        assert_eq!(self.headers["Host"], url.trim_start_matches("https://").trim_end_matches('/'));
        assert_eq!(self.headers.get("x-amz-security-token").map(String::as_str), session);
        let authorization = &self.headers["authorization"];
        assert!(authorization.contains(&format!("Credential={key}/")), "{authorization}");
        assert!(authorization.contains(&format!("/{region}/sts/aws4_request")), "{authorization}");
        json!({
            "url": self.url, "body": self.body, "headers": self.headers,
            "key": key, "secret": secret, "session": session, "region": region,
        })
    }
}

/// botocore signs them all in the same way.
#[track_caller]
fn botocore_agrees(signed: &[Value]) {
    let Some(python) = setting("TEST_PYTHON") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/sigv4.py");
    let answer = Answer::of(Command::new(python).args(["-I", script]), json!(signed).to_string().as_bytes());
    let ours: Vec<&str> =
        signed.iter().map(|signed| signed["headers"]["authorization"].as_str().unwrap()).collect();
    assert_eq!((answer.stdout.lines().collect::<Vec<_>>(), answer.code), (ours, Some(0)));
}

/// A Vault that takes every login.
fn vault() -> Recorder {
    Recorder::alone(|asked| match asked.line.split(' ').nth(1).unwrap() {
        path if path.starts_with("/v1/auth/") && path.ends_with("/login") => {
            Reply::new(200, r#"{"auth":{"client_token":"hvs.ours","lease_duration":600,"renewable":true}}"#)
        }
        "/v1/auth/token/revoke-self" => Reply::new(204, ""),
        _ => Reply::new(200, ANSWER),
    })
}

/// A helper that logs in with the connection's credentials; AWS is where `aws` says.
fn helper(vault: &Recorder, aws: &str, auth: &str, connection: &str) -> Helper {
    let config = rule("secret/data/reg", "");
    Helper::with_config(&format!(
        "{config}[vault.default.auth]\nmethod = \"aws\"\nrole = \"ci\"\n{auth}\n[aws.default]\n{connection}\n"
    ))
    .envs(&[("VAULT_ADDR", vault.url().as_str()), ("AWS_ENDPOINT_URL", aws)])
}

fn with_keys(helper: Helper) -> Helper {
    helper.envs(&[("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "not-a-real-key")])
}

/// What the helper showed to Vault in its one login; the secret was then read with the token, and the token given back.
#[track_caller]
fn shown(helper: &Helper, vault: &Recorder) -> Login {
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let [login, read, revocation] = vault.exchanges().try_into().unwrap();
    assert_eq!(login.line, "POST /v1/auth/aws/login HTTP/1.1");
    assert_eq!((read.header("x-vault-token"), login.header("x-vault-token")), ("hvs.ours", ""));
    assert_eq!(revocation.line, "POST /v1/auth/token/revoke-self HTTP/1.1");
    Login::read(&login)
}

/// The same for these keys and this connection, with AWS at the address.
pub(crate) fn login(aws: &str, connection: &str, (key, secret): &(String, String)) -> Login {
    let vault = vault();
    let helper = helper(&vault, aws, "", connection)
        .envs(&[("AWS_ACCESS_KEY_ID", key.as_str()), ("AWS_SECRET_ACCESS_KEY", secret.as_str())]);
    shown(&helper, &vault)
}

/// An AWS that must not be asked.
fn no_aws() -> Recorder {
    Recorder::alone(|_| Reply::new(500, ""))
}

#[test]
fn keys_sign_for_the_global_sts_and_ask_nobody() {
    let (aws, mut signed) = (no_aws(), Vec::new());
    for variables in [vec![], vec![("AWS_REGION", "eu-west-1")], vec![("AWS_DEFAULT_REGION", "ap-south-1")]] {
        let vault = vault();
        let helper = with_keys(helper(&vault, &aws.url(), "", "")).envs(&variables);
        let login = shown(&helper, &vault);
        signed.push(login.is_signed(GLOBAL, "AKIAEXAMPLE", "not-a-real-key", None));
        assert_eq!(
            (&login.sent["role"], &login.sent["iam_http_request_method"]),
            (&json!("ci"), &json!("POST"))
        );
        assert_eq!(login.sent.as_object().unwrap().len(), 5);
        // The secret key itself is nowhere in it.
        assert!(!format!("{:?}", vault.exchanges()).contains("not-a-real-key"));
    }
    botocore_agrees(&signed);
    assert!(aws.exchanges().is_empty());
}

#[test]
fn a_session_token_is_under_the_signature() {
    let (vault, aws) = (vault(), no_aws());
    let helper = with_keys(helper(&vault, &aws.url(), "", "")).env("AWS_SESSION_TOKEN", "IQoJ+/b3J=");
    let login = shown(&helper, &vault);
    assert!(login.signed().contains(&"x-amz-security-token"), "{:?}", login.signed());
    botocore_agrees(&[login.is_signed(GLOBAL, "AKIAEXAMPLE", "not-a-real-key", Some("IQoJ+/b3J="))]);
}

#[test]
fn a_role_signs_with_its_own_keys() {
    let Some(moto) = Moto::find() else { return };
    let mut signed = Vec::new();
    for connection in [
        format!("role-arn = \"{ROLE}\""),
        format!("role-arn = \"{ROLE}\"\nweb-identity = {{ env = \"JOB_TOKEN\" }}"),
    ] {
        let (vault, aws) = (vault(), Recorder::to(&moto.url));
        let helper = with_keys(helper(&vault, &aws.url(), "", &connection)).env("JOB_TOKEN", "e30.e30.c2ln");
        let login = shown(&helper, &vault);
        let [assumed] = aws.exchanges().try_into().unwrap();
        let [key, secret, session] =
            ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(|element| assumed.answered(element));
        signed.push(login.is_signed(GLOBAL, key, secret, Some(session)));
    }
    botocore_agrees(&signed);
}

#[test]
fn the_server_s_id_is_under_the_signature() {
    let (vault, aws) = (vault(), no_aws());
    let helper = with_keys(helper(&vault, &aws.url(), "server-id = \"vault.example.com\"", ""));
    let login = shown(&helper, &vault);
    assert_eq!(login.headers["X-Vault-AWS-IAM-Server-ID"], "vault.example.com");
    assert!(login.signed().contains(&"x-vault-aws-iam-server-id"), "{:?}", login.signed());
    botocore_agrees(&[login.is_signed(GLOBAL, "AKIAEXAMPLE", "not-a-real-key", None)]);
}

#[test]
fn a_region_of_the_connection_or_of_another_partition_has_its_own_sts() {
    let (aws, mut signed) = (no_aws(), Vec::new());
    for (connection, variable, url, region) in [
        ("region = \"eu-west-1\"", "us-west-2", "https://sts.eu-west-1.amazonaws.com/", "eu-west-1"),
        ("region = \"us-east-1\"", "", "https://sts.us-east-1.amazonaws.com/", "us-east-1"),
        ("region = \"cn-north-1\"", "", "https://sts.cn-north-1.amazonaws.com.cn/", "cn-north-1"),
        ("", "cn-northwest-1", "https://sts.cn-northwest-1.amazonaws.com.cn/", "cn-northwest-1"),
        ("", "us-gov-west-1", "https://sts.us-gov-west-1.amazonaws.com/", "us-gov-west-1"),
        ("", "eusc-de-east-1", "https://sts.eusc-de-east-1.amazonaws.eu/", "eusc-de-east-1"),
        ("region = \"us-iso-east-1\"", "", "https://sts.us-iso-east-1.c2s.ic.gov/", "us-iso-east-1"),
    ] {
        let vault = vault();
        let helper = with_keys(helper(&vault, &aws.url(), "", connection)).env("AWS_REGION", variable);
        let login = shown(&helper, &vault);
        signed.push(login.is_signed((url, region), "AKIAEXAMPLE", "not-a-real-key", None));
    }
    botocore_agrees(&signed);
    assert!(aws.exchanges().is_empty());
}

#[test]
fn what_is_no_region_is_not_signed_for() {
    let (vault, aws) = (vault(), no_aws());
    let helper = with_keys(helper(&vault, &aws.url(), "", "region = \"s3\""));
    helper.get("ghcr.io").fails_with(&["the AWS region is none; hint: set one such as eu-west-1"]);
    assert!(vault.exchanges().is_empty());
}

#[test]
fn another_mount_and_another_connection_are_the_auth_table_s() {
    let (vault, aws) = (vault(), no_aws());
    let auth = "mount = \"team/aws\"\naws = \"ci\"\n[aws.ci]\nregion = \"eu-central-1\"";
    let helper = with_keys(helper(&vault, &aws.url(), auth, ""));
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let login = &vault.exchanges()[0];
    assert_eq!(login.line, "POST /v1/auth/team/aws/login HTTP/1.1");
    assert_eq!(Login::read(login).url, "https://sts.eu-central-1.amazonaws.com/");
}

#[test]
fn credentials_that_cannot_be_had_are_told_and_vault_is_not_asked() {
    let (vault, aws) = (vault(), no_aws());
    let answer = helper(&vault, &aws.url(), "", "").get("ghcr.io");
    answer.fails_with(&["vault: secret/data/reg: ", "no AWS credentials; hint: set AWS_ACCESS_KEY_ID"]);
    let refusing = Recorder::alone(|_| {
        Reply::new(
            403,
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>",
        )
    });
    let connection = format!("role-arn = \"{ROLE}\"");
    let answer = with_keys(helper(&vault, &refusing.url(), "", &connection)).get("ghcr.io");
    answer.fails_with(&[
        "vault: secret/data/reg: ",
        "AccessDenied: sts:AssumeRole on ",
        ROLE,
        "trust policy",
    ]);
    assert!(vault.exchanges().is_empty());
}

#[test]
fn a_login_that_vault_refuses_is_told_in_vault_s_word_and_not_tried_again() {
    const ROLE: &str = "check role, server-id, and that the role binds this AWS identity";
    // As Vault 1.21 words them.
    for (status, cause, hint) in [
        (400, "IAM Principal \"arn:aws:sts::1:assumed-role/x/y\" does not belong to the role \"ci\"", ROLE),
        (400, "entry for role ci not found", ROLE),
        (400, "error validating X-Vault-AWS-IAM-Server-ID header: expected \"a\" but got \"b\"", ROLE),
        (
            400,
            "error making upstream request: received error code 403 from STS: SignatureDoesNotMatch",
            "AWS refused what was signed, or the server cannot reach AWS: check the AWS keys, this machine's clock,",
        ),
        (403, "permission denied", "check mount and namespace"),
    ] {
        let vault = Recorder::alone(move |_| Reply::new(status, json!({"errors": [cause]}).to_string()));
        let aws = no_aws();
        let answer = with_keys(helper(&vault, &aws.url(), "", "")).get("ghcr.io");
        answer.fails_with(&[&format!("vault: secret/data/reg: login at auth/aws: {cause}; hint: {hint}")]);
        assert_eq!(vault.exchanges().len(), 1);
    }
}

#[test]
fn a_hostile_vault_does_not_get_the_signed_headers_printed() {
    let vault = Recorder::alone(|asked| {
        let sent: Value = serde_json::from_str(&asked.body).unwrap();
        Reply::new(400, json!({"errors": [sent["iam_request_headers"]]}).to_string())
    });
    let aws = no_aws();
    let helper = with_keys(helper(&vault, &aws.url(), "", "")).env("AWS_SESSION_TOKEN", "n0t-t0-be-shown");
    let answer = helper.get("ghcr.io");
    let line = answer.fails_with(&["vault: secret/data/reg: login at auth/aws: HTTP 400"]);
    assert!(!line.contains("eyJ"), "{line}");
}
