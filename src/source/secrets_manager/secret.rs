//! Secret: one of them, as the rule names it, and the calls on it.

use aws_sdk_secretsmanager::Client;

use super::advice::advise;
use crate::aws::{self, Call, Session};
use crate::error::{Kind, Problem};

/// One secret, in the region where it is.
pub(super) struct Secret<'s> {
    client: Client,
    /// Name or ARN.
    id: String,
    region: String,
    who: &'s str,
}

impl<'s> Secret<'s> {
    /// An ARN's region counts more than the connection's.
    pub(super) fn new(session: &'s Session, id: String) -> Self {
        let mut settings = aws_sdk_secretsmanager::config::Builder::from(&session.config);
        if let Some(region) = aws::region_of_arn(&id) {
            settings = settings.region(aws_config::Region::new(region.to_owned()));
        }
        let region = aws::region_of_arn(&id)
            .or_else(|| session.config.region().map(AsRef::as_ref))
            .unwrap_or_default()
            .to_owned();
        Self { client: Client::from_conf(settings.build()), id, region, who: &session.who }
    }

    /// Its text, as string or as bytes.
    pub(super) async fn read(&self, stage: Option<&str>) -> Result<String, Problem> {
        let request =
            self.client.get_secret_value().secret_id(&self.id).set_version_stage(stage.map(str::to_owned));
        // Of an ARN only what the user named.
        let resource = self.id.rsplit_once(":secret:").map_or(self.id.as_str(), |(_, name)| name);
        let call = Call { action: "secretsmanager:GetSecretValue", resource, who: self.who };
        let answer =
            request.send().await.map_err(|error| advise(call.describe(&error), &self.id, &self.region))?;
        if let Some(text) = answer.secret_string() {
            return Ok(text.to_owned());
        }
        let bytes = answer.secret_binary().map(|blob| blob.as_ref().to_vec()).unwrap_or_default();
        String::from_utf8(bytes).map_err(|_| Problem::new(Kind::Malformed, "it is binary and not UTF-8"))
    }
}
