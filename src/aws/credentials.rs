//! Credentials: those that a connection begins with, from the environment, a profile or the SDK's own chain.

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;

use super::role::Held;
use super::{Connection, Login, provider};
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::http::{SdkClient, SwitchedOff};

/// What a profile calls the instance's metadata in `credential_source`.
const METADATA: &str = "Ec2InstanceMetadata";

impl Connection {
    /// Fetches them.
    pub(super) async fn credentials(
        &self,
        environment: &Environment,
        region: &Region,
        http: &SdkClient,
    ) -> Result<Held, Problem> {
        if let Some(credentials) = self.keys_in_environment(environment) {
            return Ok(Held { credentials, who: "the keys in AWS_ACCESS_KEY_ID".to_owned() });
        }
        // Built only here: the provider chain costs half a millisecond.
        let config =
            ProviderConfig::without_region().with_http_client(http.clone()).with_region(Some(region.clone()));
        let metadata = self.metadata(&config);
        let (fetched, who) = match &self.login {
            Login::Profile(profile) => {
                let provider = ProfileFileCredentialsProvider::builder()
                    .configure(&config)
                    .profile_name(profile)
                    .with_custom_provider(METADATA, instance(metadata));
                (provider.build().provide_credentials().await, format!("the profile {profile}"))
            }
            _ => {
                let chain = DefaultCredentialsChain::builder()
                    .configure(config)
                    .region(region.clone())
                    .with_custom_credential_source(METADATA, instance(metadata.clone()))
                    .imds_client(metadata);
                (chain.build().await.provide_credentials().await, "the default credentials".to_owned())
            }
        };
        match fetched {
            Ok(credentials) => Ok(Held { credentials, who }),
            Err(error) => Err(self.no_credentials(&error, environment)),
        }
    }

    /// Instance metadata, asked once: the SDK would try four times.
    fn metadata(&self, config: &ProviderConfig) -> imds::Client {
        let config = match self.imds {
            true => config.clone(),
            false => config.clone().with_http_client(SwitchedOff),
        };
        imds::Client::builder().configure(&config).max_attempts(1).build()
    }

    /// The keys that stand in the environment; a profile that the config names counts before them.
    fn keys_in_environment(&self, environment: &Environment) -> Option<Credentials> {
        if !matches!(self.login, Login::Chain) {
            return None;
        }
        let id = environment.get("AWS_ACCESS_KEY_ID")?;
        let secret = environment.get("AWS_SECRET_ACCESS_KEY")?;
        Some(Credentials::new(id, secret, environment.get("AWS_SESSION_TOKEN"), None, "environment"))
    }

    fn no_credentials(&self, error: &CredentialsError, environment: &Environment) -> Problem {
        let profile = match &self.login {
            Login::Profile(profile) => Some(profile.clone()),
            _ => environment.get("AWS_PROFILE"),
        };
        let option = profile.as_ref().map(|profile| format!(" --profile {profile}")).unwrap_or_default();
        if provider::is_ended_sso(error) {
            let name = profile.as_deref().unwrap_or("default");
            return Problem::new(
                Kind::Unauthenticated,
                format!("the SSO session of the profile {name} has ended"),
            )
            .hint(format!("run `aws sso login{option}`"));
        }
        if let Some(problem) = provider::within(error) {
            return match problem.hint.as_str() {
                "" => problem.hint(format!("`aws sts get-caller-identity{option}` shows why")),
                _ => problem,
            };
        }
        // The SDK's own text may quote what a credential process printed: it is not repeated.
        let cause = match error {
            CredentialsError::CredentialsNotLoaded(_) => "no AWS credentials",
            CredentialsError::InvalidConfiguration(_) => "the AWS profile is not valid",
            CredentialsError::ProviderTimedOut(_) => "fetching AWS credentials timed out",
            _ => "AWS credentials could not be fetched",
        };
        let hint = match (&self.login, option.as_str()) {
            (Login::Profile(_), option) => {
                format!("`aws sts get-caller-identity{option}` shows why; for SSO: `aws sso login{option}`")
            }
            (_, option) => format!(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; `aws sts get-caller-identity{option}` shows who one is"
            ),
        };
        Problem::new(Kind::Unauthenticated, cause).hint(hint)
    }
}

fn instance(metadata: imds::Client) -> ImdsCredentialsProvider {
    ImdsCredentialsProvider::builder().imds_client(metadata).build()
}
