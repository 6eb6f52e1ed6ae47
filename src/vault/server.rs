//! Server: calls of the HTTP API, below `/v1/`.

use std::cell::RefCell;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::{Answer, Refusal};
use crate::deadline::Deadline;
use crate::error::{Kind, Problem};
use crate::http::{Client, Repeat};

/// Everything but what RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a Vault Agent or Proxy adds to each answer: `HIT`, where somebody else got the same one, or `MISS`
/// (<https://developer.hashicorp.com/vault/docs/agent-and-proxy/agent/caching#response-header>).
const CACHE_HEADER: &str = "x-cache";

/// How a server is reached.
pub(super) struct Server {
    client: Client,
    base: Url,
    /// The secrets that it was told so far: no later answer may bring one back in a sentence either.
    sent: RefCell<Vec<SecretString>>,
}

/// One call.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Its segments below `/v1/`.
    pub(super) path: &'a [String],
    /// JSON.
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
    pub(super) namespace: Option<&'a str>,
    pub(super) token: Option<&'a SecretString>,
    /// What else is sent and must not come back in a sentence.
    pub(super) secrets: &'a [SecretString],
    pub(super) until: Deadline,
}

impl Server {
    pub(super) fn new(client: Client, base: Url) -> Self {
        Self { client, base, sent: RefCell::default() }
    }

    /// Whether TLS is spoken, and so a certificate can be shown.
    pub(super) fn is_secure(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// Keeps what is sent inside of something else out of every sentence too.
    pub(super) fn hide(&self, secret: SecretString) {
        self.sent.borrow_mut().push(secret);
    }

    /// Calls and reads the answer; a read is tried a second time where that may help.
    ///
    /// # Errors
    /// Not reached, or no answer of a Vault: a [`Problem`]. A refusal is the inner `Err`.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Result<Answer, Refusal>, Problem> {
        let reads = call.method == Method::GET || call.method == list();
        let repeat = if reads { Repeat::Read } else { Repeat::Unsent };
        let headers = call.headers()?;
        let uri = url_of(&self.base, call.path)?.as_str().parse().map_err(|_| misplaced())?;
        let mut request = http::Request::new(call.body.map(|body| body.to_vec()).unwrap_or_default());
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (call.method, uri, headers);
        self.sent.borrow_mut().extend(call.token.into_iter().chain(call.secrets).cloned());
        let answer = self.client.send_again(request, call.until, repeat).await?;
        let value: Option<Value> = match answer.body.as_slice() {
            [] => Some(Value::Null),
            body => serde_json::from_slice(body).ok(),
        };
        match (answer.status, value) {
            (200..=299, Some(value)) if value.is_object() || value.is_null() => Ok(Ok(Answer::from_json(
                value,
                answer.headers.get(CACHE_HEADER).is_some_and(|value| value == "HIT"),
            ))),
            (status, Some(value)) if value.is_object() || value.is_null() => {
                let sent = self.sent.borrow();
                let secrets: Vec<&str> = sent.iter().map(ExposeSecret::expose_secret).collect();
                let refusal = Refusal::new(status, value, answer.proxy, &secrets);
                Ok(Err(Refusal { sent_token: call.token.is_some(), ..refusal }))
            }
            (200..=299, _) => Err(no_vault("the answer is no JSON object", answer.proxy)),
            // A proxy, or the TLS port itself, answers in its own words, which are not repeated.
            (status, _) => Err(no_vault(&format!("HTTP {status} without a reason"), answer.proxy)),
        }
    }
}

impl Call<'_> {
    fn headers(&self) -> Result<HeaderMap, Problem> {
        let mut headers = HeaderMap::new();
        // A Vault Agent may be told to answer nothing without it.
        headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
        if self.body.is_some() {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(namespace) = self.namespace {
            let value = HeaderValue::from_str(namespace)
                .map_err(|_| Problem::new(Kind::Malformed, "namespace cannot be sent"))?;
            headers.insert(HeaderName::from_static("x-vault-namespace"), value);
        }
        if let Some(token) = self.token {
            let value = HeaderValue::from_str(token.expose_secret());
            let mut value = value.map_err(|_| Problem::new(Kind::Malformed, "the token cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-vault-token"), value);
        }
        Ok(headers)
    }
}

/// The method that names what is below a path.
pub(super) fn list() -> Method {
    // It is a token, as every method is: this does not fail.
    Method::from_bytes(b"LIST").unwrap_or(Method::GET)
}

/// The segments of a path that stands in the code.
pub(super) fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

/// The URL of the path, given as segments: each stays one segment, whatever it holds.
fn url_of(base: &Url, path: &[String]) -> Result<Url, Problem> {
    let mut built = base.path().trim_end_matches('/').to_owned();
    built.push_str("/v1");
    for segment in path {
        built.push('/');
        built.extend(utf8_percent_encode(segment, ENCODED));
    }
    let mut url = base.clone();
    url.set_path(&built);
    // The URL's own rules clean `..` and the like away: then it is not the place that was named.
    if url.path() == built { Ok(url) } else { Err(misplaced()) }
}

fn misplaced() -> Problem {
    Problem::new(Kind::Malformed, "the path would leave its place")
        .hint("write path without `.`, `..` and empty segments")
}

fn no_vault(cause: &str, proxy: Option<String>) -> Problem {
    let problem = Problem::new(Kind::Malformed, cause);
    Problem { proxy, ..problem }.hint("check that the address is Vault's or OpenBao's, and its scheme")
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;
    use url::Url;

    use super::url_of;

    proptest! {
        #[test]
        fn the_url_has_exactly_the_segments_that_were_built(
            segments in prop::collection::vec("(?s).{1,12}|[.]{1,3}|%2e%2E|[a-z:\\[\\]%/?#\\\\]{1,8}", 1..5),
            prefix in "|/|/vault|/a/b/",
        ) {
            let base = Url::parse(&format!("https://vault.example:8200{prefix}")).unwrap();
            let climbs = |segment: &String| matches!(segment.as_str(), "." | "..");
            match url_of(&base, &segments) {
                Ok(url) => {
                    let start = prefix.split('/').filter(|part| !part.is_empty()).count() + 1;
                    let sent: Vec<String> = url.path_segments().unwrap().skip(start)
                        .map(|segment| percent_decode_str(segment).decode_utf8().unwrap().into_owned())
                        .collect();
                    prop_assert_eq!(&sent, &segments);
                    prop_assert_eq!(url.authority(), "vault.example:8200");
                    prop_assert!(url.query().is_none() && url.fragment().is_none());
                }
                Err(_) => prop_assert!(segments.iter().any(climbs), "refused without reason: {:?}", segments),
            }
        }
    }
}
