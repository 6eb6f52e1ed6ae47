//! Secrets: what a request sends and no sentence may repeat, should it come back in a place that is told.

use http::{HeaderName, HeaderValue};
use reqwest::{Body, Request};
use secrecy::zeroize::Zeroizing;
use url::Url;

/// The secrets of one request, in lower case, as hosts are.
pub(super) struct Secrets {
    headers: Vec<Zeroizing<String>>,
    /// It may hold a password anywhere.
    body: Zeroizing<String>,
}

impl Secrets {
    pub(super) fn of(request: &Request) -> Self {
        let is_secret =
            |name: &HeaderName, value: &HeaderValue| value.is_sensitive() || *name == "x-amz-security-token";
        let lower = |text: &str| Zeroizing::new(text.to_ascii_lowercase());
        let headers = request.headers().iter().filter(|(name, value)| is_secret(name, value));
        let body = request.body().and_then(Body::as_bytes).unwrap_or_default();
        Self {
            headers: headers.filter_map(|(_, value)| Some(lower(value.to_str().ok()?))).collect(),
            body: lower(&Zeroizing::new(String::from_utf8_lossy(body).into_owned())),
        }
    }

    /// Whether the host holds none of them, and no part of the body that is long enough to be worth something.
    pub(super) fn spare(&self, target: &Url) -> bool {
        const WORTH: usize = 8;
        let host = target.host_str().unwrap_or_default();
        let is_sent = |label: &str| label.len() >= WORTH && self.body.contains(label);
        !self.headers.iter().any(|secret| host.contains(secret.as_str())) && !host.split('.').any(is_sent)
    }
}
