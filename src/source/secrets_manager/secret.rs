//! Secret: one of them, as the rule names it, and the calls on it.

use std::error::Error as StdError;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::Tag;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::advice::advise;
use crate::aws::{self, Call, Session};
use crate::error::{Kind, Problem};
use crate::registry::Registry;

/// Who made a secret, in its tags.
const MAKER: &str = "docker-credential-lease";
/// The longest value of a tag
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Tag.html>).
const TAG_LIMIT: usize = 256;

/// One secret, in the region where it is.
pub(super) struct Secret<'s> {
    client: Client,
    /// Name or ARN.
    id: String,
    region: String,
    who: &'s str,
}

/// What is found in its place.
pub(super) enum Found {
    Content(Content),
    /// It is marked for deletion, and can be restored.
    Deleted(Problem),
    /// No such secret, or none with a value.
    Nothing(Problem),
}

/// What a secret holds.
pub(super) struct Content {
    pub(super) text: String,
    pub(super) is_binary: bool,
    pub(super) version: String,
}

impl<'s> Secret<'s> {
    /// An ARN's region counts more than the connection's.
    pub(super) fn new(session: &'s Session, id: String) -> Self {
        let (client, region) = client(session, aws::region_of_arn(&id));
        Self { client, id, region, who: &session.who }
    }

    /// Its text, as string or as bytes.
    pub(super) async fn read(&self, stage: Option<&str>) -> Result<Content, Problem> {
        match self.find(stage).await? {
            Found::Content(content) => Ok(content),
            Found::Deleted(problem) | Found::Nothing(problem) => Err(problem),
        }
    }

    /// The same where it may not be there.
    pub(super) async fn find(&self, stage: Option<&str>) -> Result<Found, Problem> {
        let request =
            self.client.get_secret_value().secret_id(&self.id).set_version_stage(stage.map(str::to_owned));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let problem = self.problem("secretsmanager:GetSecretValue", &error);
                return match code(&error) {
                    Some("ResourceNotFoundException") => Ok(Found::Nothing(problem)),
                    _ if is_deleted(&error) => Ok(Found::Deleted(Problem { kind: Kind::Missing, ..problem })),
                    _ => Err(problem),
                };
            }
        };
        let version = answer.version_id.unwrap_or_default();
        let (text, is_binary) = text(answer.secret_string, answer.secret_binary)?;
        Ok(Found::Content(Content { text, is_binary, version }))
    }

    /// Gives it another current version; its id, or `None` where the secret is no longer there.
    pub(super) async fn put(&self, text: String, is_binary: bool) -> Result<Option<String>, Problem> {
        let request = self.client.put_secret_value().secret_id(&self.id);
        let request = match is_binary {
            true => request.secret_binary(Blob::new(text)),
            false => request.secret_string(text),
        };
        match request.send().await {
            Ok(answer) => Ok(answer.version_id),
            Err(error) if is_deleted(&error) || code(&error) == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(self.problem("secretsmanager:PutSecretValue", &error)),
        }
    }

    /// Makes it; its version's id, or `None` where it is there already, or still.
    pub(super) async fn create(&self, text: String, registry: &Registry) -> Result<Option<String>, Problem> {
        let host = registry.host_and_port();
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let request = self.client.create_secret().name(&self.id).secret_string(text);
        let request = request
            .description(format!("Registry credential for {host}, written by {MAKER}"))
            .tags(tag("managed-by", MAKER))
            .tags(tag("registry", &tag_value(&host)));
        match request.send().await {
            Ok(answer) => Ok(answer.version_id),
            Err(error) if is_deleted(&error) || code(&error) == Some("ResourceExistsException") => Ok(None),
            Err(error) => Err(self.problem("secretsmanager:CreateSecret", &error)),
        }
    }

    /// Takes back that it is to be deleted.
    pub(super) async fn restore(&self) -> Result<(), Problem> {
        let restored = self.client.restore_secret().secret_id(&self.id).send().await;
        restored.map(drop).map_err(|error| self.problem("secretsmanager:RestoreSecret", &error))
    }

    /// Marks it for deletion, with the recovery window that AWS gives it; one that is not there is none to be deleted.
    pub(super) async fn delete(&self) -> Result<(), Problem> {
        match self.client.delete_secret().secret_id(&self.id).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_deleted(&error) || code(&error) == Some("ResourceNotFoundException") => Ok(()),
            Err(error) => Err(self.problem("secretsmanager:DeleteSecret", &error)),
        }
    }

    /// Whether it can be made: an ARN ends in what AWS alone gives.
    pub(super) fn is_arn(&self) -> bool {
        aws::region_of_arn(&self.id).is_some()
    }

    fn problem<E>(&self, action: &str, error: &SdkError<E, HttpResponse>) -> Problem
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        // Of an ARN only what the user named.
        let resource = self.id.rsplit_once(":secret:").map_or(self.id.as_str(), |(_, name)| name);
        let call = Call { action, resource, who: self.who };
        advise(call.describe(error), action, &self.id, &self.region)
    }
}

/// A client for the region, else for the connection's own, and its name.
pub(super) fn client(session: &Session, region: Option<&str>) -> (Client, String) {
    let mut settings = aws_sdk_secretsmanager::config::Builder::from(&session.config);
    if let Some(region) = region {
        settings = settings.region(aws_config::Region::new(region.to_owned()));
    }
    let region = region.or_else(|| session.config.region().map(AsRef::as_ref)).unwrap_or_default();
    (Client::from_conf(settings.build()), region.to_owned())
}

/// The text of a value, and whether it stands there as bytes.
pub(super) fn text(string: Option<String>, binary: Option<Blob>) -> Result<(String, bool), Problem> {
    if let Some(text) = string {
        return Ok((text, false));
    }
    let bytes = binary.map(Blob::into_inner).unwrap_or_default();
    let text = String::from_utf8(bytes);
    text.map(|text| (text, true)).map_err(|_| Problem::new(Kind::Malformed, "it is binary and not UTF-8"))
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// Whether the call failed because the secret is marked for deletion: the code has other reasons too, and only the
/// message tells them apart.
fn is_deleted<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let message = error.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default();
    code(error) == Some("InvalidRequestException")
        && ["marked for deletion", "scheduled for deletion", "marked deleted"]
            .iter()
            .any(|words| message.contains(words))
}

/// The host in what a tag may hold: an address has brackets, which it may not.
fn tag_value(host: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+-=._:/@".contains(c);
    host.chars().take(TAG_LIMIT).map(|c| if allowed(c) { c } else { '+' }).collect()
}

#[cfg(test)]
mod tests {
    use super::tag_value;

    #[test]
    fn a_host_fits_a_tag() {
        assert_eq!(tag_value("my_reg.example.com:5000"), "my_reg.example.com:5000");
        assert_eq!(tag_value("[::1]:5000"), "+::1+:5000");
        assert_eq!(tag_value(&"a".repeat(300)).len(), 256);
    }
}
