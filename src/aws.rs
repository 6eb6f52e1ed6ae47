//! The connection to AWS: whose keys, which region, and what its refusals mean.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::deadline::Limits;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::http::{Carried, Proxies, SdkClient, Settings, Through, Trust, server_url};
use crate::keys::{Keys, Read};

/// The variables that name a region, in the SDK's own order.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// One `[aws.NAME]` table.
pub struct Connection {
    profile: Option<String>,
    region: Option<String>,
    endpoint_url: Option<String>,
    fips: Option<bool>,
    dual_stack: Option<bool>,
    imds: bool,
    ca_cert: Option<PathBuf>,
    allow_http: bool,
}

impl Connection {
    /// Reads the table.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse(keys: &Keys<'_>, folder: Option<&Path>, home: Option<&Path>) -> Read<Self> {
        let connection = Self {
            profile: keys.string("profile")?,
            region: keys.string("region")?,
            endpoint_url: keys.string("endpoint-url")?,
            fips: keys.boolean("fips")?,
            dual_stack: keys.boolean("dual-stack")?,
            imds: keys.boolean("imds")?.unwrap_or(true),
            ca_cert: keys.path("ca-cert", folder, home)?,
            allow_http: keys.boolean("allow-http")?.unwrap_or(false),
        };
        keys.finish()?;
        if connection.endpoint_url.as_deref().is_some_and(|url| server_url(url).is_none()) {
            return Err(keys.mistake("endpoint-url", "is no URL such as https://localhost:4566"));
        }
        // The SDK makes both of its own endpoints, and refuses them beside another.
        if connection.fips == Some(true) {
            keys.exclusive(&["endpoint-url", "fips"])?;
        }
        if connection.dual_stack == Some(true) {
            keys.exclusive(&["endpoint-url", "dual-stack"])?;
        }
        Ok(connection)
    }

    /// Logs in: what an AWS client needs, its credentials already fetched.
    ///
    /// # Errors
    /// No region, no credentials, or a CA that cannot be read.
    pub async fn open(
        &self,
        environment: &Environment,
        fallback_region: Option<&str>,
        limits: Limits,
    ) -> Result<SdkConfig, Problem> {
        let http = self.http(environment, limits);
        let region = self.region(environment, fallback_region).await?;
        let credentials = self.credentials(environment, &region, &http).await?;
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .http_client(http)
            .credentials_provider(credentials)
            // One deadline stands over the look-up; a second attempt is for throttling and passing faults.
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(profile) = &self.profile {
            // Its endpoint and FIPS settings count too.
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(fips) = self.fips {
            loader = loader.use_fips(fips);
        }
        if let Some(dual_stack) = self.dual_stack {
            loader = loader.use_dual_stack(dual_stack);
        }
        Ok(loader.load().await)
    }

    fn http(&self, environment: &Environment, limits: Limits) -> SdkClient {
        // The SDK's own client would use neither proxies nor AWS_CA_BUNDLE.
        let bundle = self.ca_cert.clone().or_else(|| environment.get("AWS_CA_BUNDLE").map(PathBuf::from));
        let trust = bundle.map_or_else(|| Trust::system(environment), Trust::file);
        let proxies = Arc::new(Proxies::from_environment(environment));
        let settings = Settings { proxies, trust, server_name: None, limits };
        SdkClient::new(settings, self.allow_http, self.imds)
    }

    /// From the table, the environment or the profile, else the fallback (an ARN's). Never from instance metadata:
    /// without it the SDK would wait for an address that no laptop and no CI job has.
    async fn region(&self, environment: &Environment, fallback: Option<&str>) -> Result<Region, Problem> {
        let stated = self.region.clone();
        if let Some(region) =
            stated.or_else(|| environment.first(&REGION_VARIABLES).map(|(_, region)| region))
        {
            return Ok(Region::new(region));
        }
        let mut profile = ProfileFileRegionProvider::builder();
        if let Some(name) = &self.profile {
            profile = profile.profile_name(name);
        }
        let fallback = || fallback.map(|region| Region::new(region.to_owned()));
        profile.build().region().await.or_else(fallback).ok_or_else(|| {
            Problem::new(Kind::Malformed, "no AWS region")
                .hint("set region in [aws.default] or the connection's own table, AWS_REGION, or give the secret as an ARN")
        })
    }

    async fn credentials(
        &self,
        environment: &Environment,
        region: &Region,
        http: &SdkClient,
    ) -> Result<SharedCredentialsProvider, Problem> {
        if let Some(keys) = self.keys_in_environment(environment) {
            return Ok(SharedCredentialsProvider::new(keys));
        }
        // Built only here: the provider chain costs half a millisecond.
        let config =
            ProviderConfig::without_region().with_http_client(http.clone()).with_region(Some(region.clone()));
        let fetched = match &self.profile {
            Some(profile) => {
                let provider =
                    ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile);
                provider.build().provide_credentials().await
            }
            None => {
                let imds = aws_config::imds::Client::builder().configure(&config).max_attempts(1).build();
                let chain = DefaultCredentialsChain::builder()
                    .configure(config)
                    .region(region.clone())
                    .imds_client(imds);
                chain.build().await.provide_credentials().await
            }
        };
        fetched.map(SharedCredentialsProvider::new).map_err(|error| self.no_credentials(&error))
    }

    /// The keys that stand in the environment; a profile that the config names counts before them.
    fn keys_in_environment(&self, environment: &Environment) -> Option<Credentials> {
        if self.profile.is_some() {
            return None;
        }
        let id = environment.get("AWS_ACCESS_KEY_ID")?;
        let secret = environment.get("AWS_SECRET_ACCESS_KEY")?;
        Some(Credentials::new(id, secret, environment.get("AWS_SESSION_TOKEN"), None, "environment"))
    }

    fn no_credentials(&self, error: &CredentialsError) -> Problem {
        if let Some(problem) = carried(error) {
            return problem;
        }
        // The SDK's own text may quote what a credential process printed: it is not repeated.
        let cause = match error {
            CredentialsError::CredentialsNotLoaded(_) => "no AWS credentials",
            CredentialsError::InvalidConfiguration(_) => "the AWS profile is not valid",
            CredentialsError::ProviderTimedOut(_) => "fetching AWS credentials timed out",
            _ => "AWS credentials could not be fetched",
        };
        let hint = match &self.profile {
            Some(profile) => format!("`aws sts get-caller-identity --profile {profile}` shows why; for SSO: `aws sso login --profile {profile}`"),
            None => "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; `aws sts get-caller-identity` shows who one is".to_owned(),
        };
        Problem::new(Kind::Unauthenticated, cause).hint(hint)
    }
}

/// The region that an ARN names; `None` where the name is no ARN.
pub fn region_of_arn(name: &str) -> Option<&str> {
    let mut parts = name.split(':');
    let (arn, _partition, _service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (arn == "arn" && !region.is_empty()).then_some(region)
}

/// What an AWS call ended in, in AWS's own word; never the answer's text, which may quote what was asked.
pub fn describe<E>(error: &SdkError<E, HttpResponse>) -> Problem
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let Some(problem) = carried(error) {
        return problem;
    }
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status();
            let problem = match service.err().code() {
                // Whatever else a server puts there is no code, and could be what it was sent.
                Some(code) if code.len() <= 64 && code.bytes().all(|c| c.is_ascii_alphanumeric()) => {
                    refusal(code)
                }
                // What cannot be read is a service's error to the SDK, whatever its status.
                _ if status.is_success() => no_aws("the answer is not what AWS sends"),
                _ => no_aws(&format!("HTTP {} without a reason", status.as_u16())),
            };
            let proxy = service.raw().extension::<Through>().and_then(|Through(proxy)| proxy.clone());
            Problem { proxy, ..problem }
        }
        SdkError::TimeoutError(_) => Problem::new(Kind::Unavailable, "timed out"),
        SdkError::ResponseError(_) => no_aws("the answer is not what AWS sends"),
        _ => Problem::new(Kind::Malformed, "the request could not be made")
            .hint("check region, endpoint-url and AWS_ENDPOINT_URL"),
    }
}

fn no_aws(cause: &str) -> Problem {
    Problem::new(Kind::Malformed, cause).hint("check endpoint-url and AWS_ENDPOINT_URL")
}

/// The codes that every AWS service answers with.
fn refusal(code: &str) -> Problem {
    let (kind, hint) = match code {
        "ExpiredToken" | "ExpiredTokenException" => {
            (Kind::Unauthenticated, "the session has ended: log in to AWS again")
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" => (
            Kind::Unauthenticated,
            "AWS does not know these keys: check AWS_ACCESS_KEY_ID, the profile and the session token",
        ),
        "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            (Kind::Unauthenticated, "check AWS_SECRET_ACCESS_KEY and this machine's clock")
        }
        "AccessDenied" | "AccessDeniedException" => (Kind::Denied, ""),
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" => {
            (Kind::Unavailable, "AWS is asked too often: try again")
        }
        _ => (Kind::Unavailable, ""),
    };
    Problem::new(kind, code).hint(hint)
}

/// Our own client's problem, where that is what the SDK's error wraps.
fn carried(error: &(dyn StdError + 'static)) -> Option<Problem> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(Carried(problem)) = cause.downcast_ref::<Carried>() {
            return Some(problem.clone());
        }
        next = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::region_of_arn;

    #[test]
    fn an_arn_names_its_region() {
        assert_eq!(
            region_of_arn("arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf"),
            Some("eu-west-1")
        );
        assert_eq!(region_of_arn("arn:aws-cn:secretsmanager:cn-north-1:1:secret:x"), Some("cn-north-1"));
        assert_eq!(region_of_arn("prod/hub"), None);
        assert_eq!(region_of_arn("arn:aws:secretsmanager::1:secret:x"), None);
    }
}
