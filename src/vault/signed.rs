//! Signed: a request of AWS's GetCallerIdentity that Vault sends in our name, and so learns who we are
//! (<https://developer.hashicorp.com/vault/docs/auth/aws#iam-auth-method>).

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_types::base64;
use secrecy::SecretString;

use crate::aws::Partition;
use crate::error::{Kind, Problem};

const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// Names the Vault that the request is for, so that no other one can use it.
const SERVER_ID: &str = "X-Vault-AWS-IAM-Server-ID";
/// What Vault itself asks unless its operator says otherwise, and the region that it must be signed for.
const GLOBAL: (&str, &str) = ("sts.amazonaws.com", "us-east-1");

/// The request as the login's body has it: every part in base64.
pub(super) struct Signed {
    pub(super) url: String,
    pub(super) body: String,
    pub(super) headers: SecretString,
}

/// Whether the global STS knows none of the region's identities: those of other partitions, and of GovCloud.
pub(super) fn is_apart(region: &str) -> bool {
    let is_global = |partition| Some(partition) == Partition::of(GLOBAL.1);
    region.starts_with("us-gov-") || Partition::of(region).is_some_and(|partition| !is_global(partition))
}

/// Signs it for the region's own STS; without a region for the global one.
pub(super) fn caller_identity(
    credentials: &Credentials,
    region: Option<&str>,
    server_id: Option<&str>,
    now: SystemTime,
) -> Result<Signed, Problem> {
    let (host, region) = match region {
        None => (GLOBAL.0.to_owned(), GLOBAL.1),
        Some(region) => {
            let partition = Partition::of(region).ok_or_else(|| {
                Problem::new(Kind::Malformed, "the AWS region is none").hint("set one such as eu-west-1")
            })?;
            (format!("sts.{region}.{}", partition.domain), region)
        }
    };
    let url = format!("https://{host}/");
    let mut headers = BTreeMap::from([
        ("Host".to_owned(), host),
        ("Content-Type".to_owned(), CONTENT_TYPE.to_owned()),
        ("Content-Length".to_owned(), BODY.len().to_string()),
    ]);
    if let Some(id) = server_id {
        headers.insert(SERVER_ID.to_owned(), id.to_owned());
    }
    let unsigned =
        || Problem::new(Kind::Malformed, "the AWS identity cannot be signed").hint("check server-id");
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| unsigned())?;
    let signable = SignableRequest::new(
        "POST",
        &url,
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        SignableBody::Bytes(BODY.as_bytes()),
    )
    .map_err(|_| unsigned())?;
    let (added, _signature) = sign(signable, &parameters.into()).map_err(|_| unsigned())?.into_parts();
    for header in added.headers() {
        headers.insert(header.0.to_owned(), header.1.to_owned());
    }
    let headers = serde_json::to_vec(&headers).map_err(|_| unsigned())?;
    Ok(Signed {
        url: base64::encode(url),
        body: base64::encode(BODY),
        headers: SecretString::from(base64::encode(headers)),
    })
}
