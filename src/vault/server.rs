//! Server: calls of the HTTP API, below `/v1/`.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::Answer;
use crate::error::{Kind, Problem, one_line};
use crate::http::Client;

/// Everything but what RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a versioned K/V engine warns of where `data/` is missing, in Vault's and OpenBao's words alike.
const VERSIONED: &str = "Invalid path for a versioned K/V secrets engine";

/// A server, with the token that is sent to it.
pub struct Server {
    client: Client,
    base: Url,
    namespace: Option<String>,
    token: Option<SecretString>,
}

/// An answer that is a refusal.
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What stands in `errors`, as the server put it, in one line.
    pub cause: String,
    /// What stands in `warnings`, likewise.
    pub warnings: String,
    /// The answer's `data`, which a deleted version has.
    pub data: Value,
    /// The proxy that it came through.
    pub proxy: Option<String>,
    /// Whether a token of our own was sent.
    pub sent_token: bool,
}

impl Server {
    pub(super) fn new(
        client: Client,
        base: Url,
        namespace: Option<String>,
        token: Option<SecretString>,
    ) -> Self {
        Self { client, base, namespace, token }
    }

    /// Calls a path, given as segments, and reads the answer.
    ///
    /// # Errors
    /// Not reached, or no answer of a Vault: a [`Problem`]. A refusal is the inner `Err`.
    pub async fn call(
        &self,
        method: &Method,
        path: &[String],
        body: Option<&Value>,
    ) -> Result<Result<Answer, Refusal>, Problem> {
        let mut request =
            http::Request::new(body.map(|body| body.to_string().into_bytes()).unwrap_or_default());
        *request.method_mut() = method.clone();
        *request.uri_mut() = url_of(&self.base, path)?.as_str().parse().map_err(|_| misplaced())?;
        *request.headers_mut() = self.headers(body.is_some())?;
        let answer = self.client.send(request).await?;
        let value: Option<Value> = match answer.body.as_slice() {
            [] => Some(Value::Null),
            body => serde_json::from_slice(body).ok(),
        };
        match (answer.status, value) {
            (status, Some(value)) if value.is_object() || value.is_null() => Ok(match status {
                200..=299 => Ok(Answer::from_json(value)),
                _ => Err(self.refusal(status, value, answer.proxy)),
            }),
            (200..=299, _) => Err(no_vault("the answer is no JSON object", answer.proxy)),
            // A proxy, or the TLS port itself, answers in its own words, which are not repeated.
            (status, _) => Err(no_vault(&format!("HTTP {status} without a reason"), answer.proxy)),
        }
    }

    /// The path with `data/` after its mount, where it is one of a versioned K/V engine and lacks it.
    ///
    /// Asks what `bao kv get` asks first; whoever may touch something below the mount may ask.
    pub async fn versioned_path(&self, path: &[String]) -> Option<Vec<String>> {
        let question: Vec<String> = ["sys", "internal", "ui", "mounts"]
            .map(str::to_owned)
            .into_iter()
            .chain(path.iter().cloned())
            .collect();
        let mount = self.call(&Method::GET, &question, None).await.ok()?.ok()?;
        if !mount.is_versioned_mount() {
            return None;
        }
        let mount: Vec<&str> =
            mount.data()?.get("path")?.as_str()?.split('/').filter(|part| !part.is_empty()).collect();
        // A namespace may stand before the mount in the path.
        let at =
            path.windows(mount.len().max(1)).position(|window| window.iter().eq(mount.iter()))? + mount.len();
        if path.get(at).is_none_or(|next| next == "data" || next == "metadata") {
            return None;
        }
        Some([&path[..at], &["data".to_owned()], &path[at..]].concat())
    }

    /// Whether leases are ours to give back: without a token of our own they belong to a Vault Agent or Proxy, which
    /// hands the same one to all its clients.
    pub fn owns_leases(&self) -> bool {
        self.token.is_some()
    }

    /// Takes a lease back.
    ///
    /// # Errors
    /// The server's refusal, or that it was not reached.
    pub async fn revoke(&self, lease: &str) -> Result<(), Problem> {
        let path = ["sys", "leases", "revoke"].map(str::to_owned);
        match self.call(&Method::PUT, &path, Some(&json!({ "lease_id": lease }))).await? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(Problem::new(Kind::Denied, refusal.cause)),
        }
    }

    fn headers(&self, has_body: bool) -> Result<HeaderMap, Problem> {
        let mut headers = HeaderMap::new();
        // A Vault Agent may be told to answer nothing without it.
        headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
        if has_body {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(namespace) = &self.namespace {
            let value = HeaderValue::from_str(namespace)
                .map_err(|_| Problem::new(Kind::Malformed, "namespace cannot be sent"))?;
            headers.insert(HeaderName::from_static("x-vault-namespace"), value);
        }
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(token.expose_secret());
            let mut value = value.map_err(|_| Problem::new(Kind::Malformed, "the token cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-vault-token"), value);
        }
        Ok(headers)
    }

    fn refusal(&self, status: u16, mut value: Value, proxy: Option<String>) -> Refusal {
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(flatten)).collect()
        };
        let mut cause = texts(&value["errors"]).join(", ");
        // A server that echoes the token would have us print it.
        if self.token.as_ref().is_some_and(|token| cause.contains(token.expose_secret())) {
            cause = format!("HTTP {status}");
        }
        Refusal {
            status,
            cause,
            warnings: texts(&value["warnings"]).join(", "),
            data: value["data"].take(),
            proxy,
            sent_token: self.token.is_some(),
        }
    }
}

impl Refusal {
    /// Whether it is the warning that `data/` is missing from the path.
    pub fn lacks_data(&self) -> bool {
        self.status == 404 && self.warnings.contains(VERSIONED)
    }
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

/// `N error(s) occurred:` and its bullets, in one line.
fn flatten(text: &str) -> String {
    let line = one_line(text);
    match line.split_once(" occurred: * ") {
        Some((count, causes)) if count.ends_with("error") || count.ends_with("errors") => {
            causes.replace(" * ", ", ")
        }
        _ => line,
    }
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

    use super::{flatten, url_of};

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

    #[test]
    fn the_servers_list_becomes_one_line() {
        assert_eq!(flatten("1 error occurred:\n\t* permission denied\n\n"), "permission denied");
        assert_eq!(
            flatten("2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"),
            "permission denied, invalid token"
        );
        assert_eq!(flatten("Vault is sealed"), "Vault is sealed");
    }
}
