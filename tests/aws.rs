//! Whose credentials AWS is asked with: identity tokens, roles, profiles, SSO, containers, pods and instances.

mod enforced;
mod instances;
mod profiles;
mod reach;
mod refusals;
mod roles;
mod sso;
mod web_identity;

use aws_smithy_types::base64;

use crate::support::Helper;
use crate::support::recorder::Recorder;
use crate::support::servers::Moto;

/// The account that moto's secrets are in.
const ROLE: &str = "arn:aws:iam::123456789012:role/pull";
const OTHER_ROLE: &str = "arn:aws:iam::123456789012:role/read";
const OBJECT: &str = r#"{"username":"acme","password":"p4ss"}"#;

/// What no answer line may show; keys and tokens of these tests hold one of them.
const SECRETS: [&str; 3] = ["n0t-t0-be-shown", "c2lnbmF0dXJl", "not-a-real-key"];

/// A token of the kind that CI jobs and pods get, for this audience and good until 2100.
fn token(audience: &str) -> String {
    let part = |text: &str| {
        base64::encode(text).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
    };
    let claims = format!("{{\"aud\":\"{audience}\",\"exp\":4102444800,\"sub\":\"n0t-t0-be-shown\"}}");
    format!("{}.{}.c2lnbmF0dXJl", part(r#"{"alg":"RS256"}"#), part(&claims))
}

/// A rule for Docker Hub, and the connection that it uses.
fn config(secret: &str, connection: &str) -> String {
    format!(
        "[registry.\"docker.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{secret}\"\n\
         [aws.default]\n{connection}\n"
    )
}

/// A helper that takes the server for AWS, and has a region and nothing else.
fn helper_at(url: &str, secret: &str, connection: &str) -> Helper {
    Helper::with_config(&config(secret, connection))
        .envs(&[("AWS_ENDPOINT_URL", url), ("AWS_REGION", "us-east-1")])
}

/// moto behind a recorder, a secret in it, and a helper that is to fetch it.
fn recorded(moto: &Moto, connection: &str) -> (Recorder, Helper) {
    let recorder = Recorder::to(&moto.url);
    let helper = helper_at(&recorder.url(), &moto.secret(OBJECT), connection);
    (recorder, helper)
}

/// Static keys in the environment.
fn with_keys(helper: Helper) -> Helper {
    helper.envs(&[("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "not-a-real-key")])
}

/// Whose key the request was signed with, empty where it was not signed.
fn signer(exchange: &crate::support::recorder::Exchange) -> &str {
    let rest = exchange.header("authorization").split_once("Credential=").map_or("", |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// Writes the user's AWS config.
fn write_aws_config(helper: &Helper, text: &str) {
    let folder = helper.home().join(".aws");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config"), text).unwrap();
}

/// STS's way to say no.
fn refusal(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    )
}
