//! Json: a call of one of AWS's JSON services for which the SDK's own crate would weigh more than all that it is asked.
//!
//! The credentials, the region's endpoint and whatever stands in its place come from the SDK's settings, as for every
//! other call; the request is signed by the SDK's own signer.

use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use aws_types::service_config::ServiceConfigKey;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::partition::Partition;
use super::refusal::no_aws;
use super::{Call, Session};
use crate::deadline::Deadline;
use crate::error::{Kind, Problem};
use crate::http::{Through, server_url};

/// JSON 1.1, as AWS names its protocol (<https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>).
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// One of AWS's JSON services.
pub struct Service {
    /// As settings name it: `ECR`, for `AWS_ENDPOINT_URL_ECR` and `ecr =` of a profile's `services`.
    pub id: &'static str,
    /// As signatures and names in the DNS have it: `ecr`.
    pub name: &'static str,
    /// What the names of its operations stand behind: `AmazonEC2ContainerRegistry_V20150921`.
    pub target: &'static str,
}

/// One request.
pub struct Request<'a> {
    /// To whom.
    pub service: &'a Service,
    /// Where; not the region of the connection.
    pub region: &'a str,
    /// What is to be done: `GetAuthorizationToken`.
    pub operation: &'a str,
    /// With what.
    pub body: &'a Value,
}

/// How a refusal is worded; services differ in the spelling.
#[derive(Default, Deserialize)]
struct Refused {
    #[serde(rename = "__type", alias = "code")]
    code: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

impl Session {
    /// Sends the request once and reads the answer, which must be there at `until`.
    ///
    /// # Errors
    /// As [`Call::describe`]; an answer of another shape is one too, and is never quoted.
    pub async fn json<T: DeserializeOwned>(
        &self,
        request: &Request<'_>,
        call: &Call<'_>,
        until: Deadline,
    ) -> Result<T, Problem> {
        let url = self.endpoint(request.service, request.region)?;
        let signed = self.signed(request, &url, SystemTime::now())?;
        let response = self.http.send(signed, until).await?;
        let body = response.body().bytes().unwrap_or_default();
        if response.status().is_success() {
            // The parser's own words may quote the answer.
            return serde_json::from_slice(body).map_err(|_| {
                let proxy = response.extension::<Through>().and_then(|through| through.proxy.clone());
                Problem { proxy, ..no_aws("the answer is not what AWS sends") }
            });
        }
        let refused = metadata(&response, body);
        Err(call.describe(&SdkError::service_error(refused, response)))
    }

    /// Where the service is: what the connection, the environment or the profile says, else AWS's own name for it
    /// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>).
    fn endpoint(&self, service: &Service, region: &str) -> Result<Url, Problem> {
        let config = &self.config;
        let (fips, dual_stack) = (config.use_fips() == Some(true), config.use_dual_stack() == Some(true));
        if let Some(stated) = self.stated_endpoint(service) {
            if fips || dual_stack {
                let cause = "an endpoint of one's own is neither FIPS nor dual-stack";
                let hint = "set either AWS_ENDPOINT_URL, or AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT, or their like in the profile";
                return Err(Problem::new(Kind::Malformed, cause).hint(hint));
            }
            // The operation's own path, `/`, goes behind whatever path is stated.
            let stated = format!("{}/", stated.trim_end_matches('/'));
            return server_url(&stated).ok_or_else(|| no_aws("the endpoint is no address"));
        }
        let host =
            Partition::of(region).map(|partition| host(service.name, region, partition, fips, dual_stack));
        host.and_then(|host| server_url(&format!("https://{host}/"))).ok_or_else(|| {
            Problem::new(Kind::Malformed, "the AWS region is none").hint("set one such as eu-west-1")
        })
    }

    /// In the order of the SDK's own clients.
    fn stated_endpoint(&self, service: &Service) -> Option<String> {
        let general = || self.config.endpoint_url().map(str::to_owned);
        if self.config.get_origin("endpoint_url").is_client_config() {
            return general();
        }
        let key = ServiceConfigKey::builder().service_id(service.id);
        let key = key.env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok()?;
        self.config.service_config().and_then(|settings| settings.load_config(key)).or_else(general)
    }

    fn signed(
        &self,
        request: &Request<'_>,
        url: &Url,
        now: SystemTime,
    ) -> Result<http::Request<Vec<u8>>, Problem> {
        let unsigned = || Problem::new(Kind::Malformed, "the request cannot be signed");
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(request.region)
            .name(request.service.name)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| unsigned())?;
        let (target, body) =
            (format!("{}.{}", request.service.target, request.operation), request.body.to_string());
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let headers = [("host", authority), ("content-type", CONTENT_TYPE), ("x-amz-target", &target)];
        let body = body.into_bytes();
        let signable =
            SignableRequest::new("POST", url.as_str(), headers.into_iter(), SignableBody::Bytes(&body))
                .map_err(|_| unsigned())?;
        let (added, _signature) = sign(signable, &parameters.into()).map_err(|_| unsigned())?.into_parts();
        let mut signed = http::Request::post(url.as_str());
        for (name, value) in headers.into_iter().skip(1).chain(added.headers()) {
            signed = signed.header(name, value);
        }
        signed.body(body).map_err(|_| unsigned())
    }
}

/// AWS's own name for a service that is called `api.NAME` and, over IPv6 too, `NAME` alone.
fn host(name: &str, region: &str, partition: &Partition, fips: bool, dual_stack: bool) -> String {
    let fips = if fips { "-fips" } else { "" };
    match dual_stack {
        true => format!("{name}{fips}.{region}.api.{}", partition.dual_stack),
        false => format!("api.{name}{fips}.{region}.{}", partition.domain),
    }
}

/// The refusal as the SDK would read it; the code may stand behind a namespace and before a link.
fn metadata(response: &HttpResponse, body: &[u8]) -> ErrorMetadata {
    let refused: Refused = serde_json::from_slice(body).unwrap_or_default();
    let code = response.headers().get("x-amzn-errortype").map(str::to_owned).or(refused.code);
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = code.as_deref().and_then(|code| code.split(':').next()) {
        metadata = metadata.code(code.rsplit('#').next().unwrap_or(code));
    }
    if let Some(message) = refused.message {
        metadata = metadata.message(message);
    }
    metadata.build()
}
