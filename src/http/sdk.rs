//! The AWS SDK's way to send: our client behind the SDK's own trait.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::base64;
use aws_smithy_types::body::SdkBody;
use secrecy::zeroize::Zeroizing;
use serde_json::Value;
use url::Url;

use super::{Answer, Client, Proxies, Settings, Trust, judge_scheme};
use crate::deadline::{Deadline, Limits};
use crate::error::{Kind, Problem};

/// Sends the SDK's requests.
#[derive(Clone)]
pub struct SdkClient(Arc<Shared>);

struct Shared {
    settings: Settings,
    limits: Limits,
    allow_http: bool,
    /// Built with the first request of its kind: root certificates cost more than a whole plain request.
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

/// What an answer takes along on its way through the SDK.
#[derive(Clone)]
pub(crate) struct Through {
    /// The proxy that it came through.
    pub(crate) proxy: Option<String>,
    /// The secrets that were sent, and that nobody must be told who repeats them.
    pub(crate) sent: Arc<[Zeroizing<String>]>,
}

/// Our own problem on its way through the SDK's errors.
pub(crate) struct Carried(pub(crate) Problem);

impl SdkClient {
    /// A client for one connection's settings.
    pub fn new(proxies: Arc<Proxies>, trust: Trust, limits: Limits, allow_http: bool) -> Self {
        let settings = Settings { proxies, trust, server_name: None, socket: None, connect: limits.connect };
        let (plain, secure) = (OnceLock::new(), OnceLock::new());
        Self(Arc::new(Shared { settings, limits, allow_http, plain, secure }))
    }

    /// Sends a request that is not the SDK's once; its answer must be there at `until`.
    ///
    /// # Errors
    /// Everything that is no answer, as [`Client::send`].
    pub async fn send(
        &self,
        request: http::Request<Vec<u8>>,
        until: Deadline,
    ) -> Result<HttpResponse, Problem> {
        self.0.deliver(request, until).await
    }
}

impl Shared {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Problem> {
        let request = request
            .try_into_http1x()
            .map_err(|_| Problem::new(Kind::Malformed, "the request is not HTTP"))?;
        let request = request.map(|body| body.bytes().map(<[u8]>::to_vec).unwrap_or_default());
        self.deliver(request, self.limits.answer).await
    }

    async fn deliver(
        &self,
        request: http::Request<Vec<u8>>,
        until: Deadline,
    ) -> Result<HttpResponse, Problem> {
        let url = Url::parse(&request.uri().to_string())
            .map_err(|_| Problem::new(Kind::Malformed, "the endpoint is no address"))?;
        judge_scheme(&url, self.allow_http)?;
        let sent = secrets(&request);
        let answer = self.client(&url)?.send(request, until).await?;
        response(&answer, sent).ok_or_else(|| Problem::new(Kind::Malformed, "the answer is not HTTP"))
    }

    fn client(&self, url: &Url) -> Result<&Client, Problem> {
        let secure = url.scheme() == "https";
        let cell = if secure { &self.secure } else { &self.plain };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = Client::new(self.settings.clone(), secure)?;
        Ok(cell.get_or_init(|| client))
    }
}

/// A session's token, of a role or of SSO, an identity token, and what is to be kept.
fn secrets(request: &http::Request<Vec<u8>>) -> Arc<[Zeroizing<String>]> {
    let headers = ["x-amz-security-token", "x-amz-sso_bearer_token"];
    let headers = headers.iter().filter_map(|name| request.headers().get(*name)?.to_str().ok());
    let fields = url::form_urlencoded::parse(request.body());
    let fields = fields.filter(|(name, _)| name == "WebIdentityToken").map(|(_, value)| value.into_owned());
    let mut secrets: Vec<String> = headers.map(str::to_owned).chain(fields).collect();
    kept(request, &mut secrets);
    secrets.into_iter().map(Zeroizing::new).collect()
}

/// What a call gives to Secrets Manager: the value, and where that is JSON, every text in it.
fn kept(request: &http::Request<Vec<u8>>, secrets: &mut Vec<String>) {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    if !target.is_some_and(|target| target.starts_with("secretsmanager.")) {
        return;
    }
    let Ok(body) = serde_json::from_slice::<Value>(request.body()) else { return };
    let bytes = body["SecretBinary"].as_str().and_then(|text| base64::decode(text).ok());
    let bytes = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    for value in [body["SecretString"].as_str().map(str::to_owned), bytes].into_iter().flatten() {
        texts(serde_json::from_str(&value).unwrap_or_default(), secrets);
        secrets.push(value);
    }
}

fn texts(value: Value, into: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.into_iter().for_each(|value| texts(value, into)),
        Value::Object(fields) => fields.into_iter().for_each(|(_, value)| texts(value, into)),
        Value::String(text) => into.push(text),
        Value::Bool(_) | Value::Null | Value::Number(_) => {}
    }
}

fn response(answer: &Answer, sent: Arc<[Zeroizing<String>]>) -> Option<HttpResponse> {
    let status = StatusCode::try_from(answer.status).ok()?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body.as_slice()));
    response.add_extension(Through { proxy: answer.proxy.clone(), sent });
    for (name, value) in &answer.headers {
        // The SDK takes text only; what is not is nothing that it reads.
        if let Ok(value) = value.to_str() {
            response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Some(response)
}

impl HttpClient for SdkClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        // Both are set only where the SDK asks metadata; all else is bounded by the look-up's own deadline.
        let limit =
            settings.connect_timeout().zip(settings.read_timeout()).map(|(connect, read)| connect.max(read));
        SharedHttpConnector::new(Connector { shared: Arc::clone(&self.0), limit })
    }
}

/// Sends nothing at all: what stands behind it is switched off.
#[derive(Debug)]
pub struct SwitchedOff;

impl HttpClient for SwitchedOff {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Self)
    }
}

impl HttpConnector for SwitchedOff {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let problem = Problem::new(Kind::Unavailable, "it is switched off");
        HttpConnectorFuture::ready(Err(ConnectorError::other(Box::new(Carried(problem)), None)))
    }
}

struct Connector {
    shared: Arc<Shared>,
    limit: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (shared, limit) = (Arc::clone(&self.shared), self.limit);
        HttpConnectorFuture::new(async move {
            let sent = shared.send(request);
            let result = match limit {
                Some(limit) => tokio::time::timeout(limit, sent)
                    .await
                    .unwrap_or_else(|_| Err(Problem::new(Kind::Unavailable, "timed out"))),
                None => sent.await,
            };
            // `other` without a kind: the SDK asks once and does not try again what will not change within a look-up.
            result.map_err(|problem| ConnectorError::other(Box::new(Carried(problem)), None))
        })
    }
}

impl fmt::Debug for SdkClient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SdkClient")
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Connector")
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl StdError for Carried {}
