//! The real servers that `tests/run.sh` starts: moto for AWS, OpenBao for Vault.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Helper;

/// Where something is, out of the variable; without it the test is skipped, loudly, and fails where nothing may be
/// skipped.
pub(crate) fn setting(variable: &str) -> Option<String> {
    let setting = std::env::var(variable).ok().filter(|setting| !setting.is_empty());
    if setting.is_none() {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "{variable} is not set: run tests/run.sh");
        eprintln!("SKIPPED: {variable} is not set: run tests/run.sh");
    }
    setting
}

/// A name that no other test uses.
pub(crate) fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Servers take back in their own time what hangs on a token: in the end it is this.
#[track_caller]
pub(crate) fn in_the_end<T: PartialEq + std::fmt::Debug>(expected: &T, look: impl Fn() -> T) {
    let limit = Instant::now() + Duration::from_secs(10);
    while look() != *expected {
        assert!(Instant::now() < limit, "{:?} instead of {expected:?}", look());
        thread::sleep(Duration::from_millis(10));
    }
}

/// One HTTP request with a JSON body; status and body of the answer.
pub(crate) fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://").expect("plain http");
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(authority).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (status, if head.contains("Transfer-Encoding: chunked") { unchunked(body) } else { body.to_owned() })
}

/// A long answer comes in pieces, each after its length.
fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((length, pieces)) = rest.split_once("\r\n") {
        let (piece, after) = pieces.split_at(usize::from_str_radix(length, 16).unwrap());
        body.push_str(piece);
        rest = after.trim_start_matches("\r\n");
    }
    body
}

/// A moto server, which plays every AWS service on one port.
pub(crate) struct Moto {
    pub(crate) url: String,
}

impl Moto {
    pub(crate) fn find() -> Option<Self> {
        setting("TEST_MOTO_URL").map(|url| Self { url })
    }

    /// Calls Secrets Manager in the region; moto checks no signature, but reads the region from it.
    pub(crate) fn call(&self, region: &str, action: &str, body: &Value) -> Value {
        let target = format!("secretsmanager.{action}");
        let scope = format!("Credential=test/20260101/{region}/secretsmanager/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0");
        let headers = [
            ("X-Amz-Target", target.as_str()),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("Authorization", authorization.as_str()),
        ];
        let call = || request("POST", &self.url, &headers, &body.to_string());
        // moto looks through all its secrets, and breaks off where another test adds one meanwhile.
        let (status, answer) = (0..5).map(|_| call()).find(|(status, _)| *status != 500).unwrap_or_else(call);
        assert_eq!(status, 200, "{action}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// Creates a secret with a name of its own in us-east-1; its name.
    pub(crate) fn secret(&self, text: &str) -> String {
        let name = unique("secret");
        self.call("us-east-1", "CreateSecret", &json!({"Name": name, "SecretString": text}));
        name
    }

    /// A helper with the config, that takes moto for AWS and us-east-1 for its region.
    pub(crate) fn helper(&self, config: &str) -> Helper {
        Helper::with_config(config).envs(&[
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
            ("AWS_REGION", "us-east-1"),
        ])
    }
}

/// An OpenBao server in development mode, with its root token.
pub(crate) struct Bao {
    pub(crate) address: String,
    pub(crate) token: String,
}

impl Bao {
    pub(crate) fn find() -> Option<Self> {
        let address = setting("TEST_BAO_ADDR")?;
        let token = std::env::var("TEST_BAO_TOKEN").unwrap_or_else(|_| "root".to_owned());
        Some(Self { address, token })
    }

    /// Calls the API with the root token; a refusal ends the test.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call_in("", method, path, body)
    }

    /// The same in a namespace.
    pub(crate) fn call_in(&self, namespace: &str, method: &str, path: &str, body: &Value) -> Value {
        let headers = [("X-Vault-Token", self.token.as_str()), ("X-Vault-Namespace", namespace)];
        let headers = if namespace.is_empty() { &headers[..1] } else { &headers[..] };
        let (url, body) = (format!("{}/v1/{path}", self.address), body.to_string());
        let (mut status, mut answer) = request(method, &url, headers, &body);
        // A versioned K/V engine that has just been mounted is not there at once.
        let limit = Instant::now() + Duration::from_secs(10);
        while status == 400 && answer.contains("Upgrading from non-versioned") && Instant::now() < limit {
            thread::sleep(Duration::from_millis(20));
            (status, answer) = request(method, &url, headers, &body);
        }
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    /// Writes a secret of the versioned K/V engine at `secret/`, with a name of its own; its name.
    pub(crate) fn secret(&self, data: &Value) -> String {
        let name = unique("reg");
        self.call("POST", &format!("secret/data/{name}"), &json!({ "data": data }));
        name
    }

    /// Mounts an engine under a name of its own; the name.
    pub(crate) fn mount(&self, settings: &Value) -> String {
        let name = unique("mount");
        self.call("POST", &format!("sys/mounts/{name}"), settings);
        name
    }

    /// Creates a namespace under a name of its own, with a versioned K/V engine at `secret/`; the name.
    pub(crate) fn namespace(&self) -> String {
        let name = unique("space");
        self.call("POST", &format!("sys/namespaces/{name}"), &Value::Null);
        self.call_in(&name, "POST", "sys/mounts/secret", &json!({"type": "kv", "options": {"version": "2"}}));
        name
    }

    /// The ids of the leases below the path.
    pub(crate) fn leases(&self, path: &str) -> Vec<String> {
        self.leases_in("", path)
    }

    /// The same in a namespace.
    pub(crate) fn leases_in(&self, namespace: &str, path: &str) -> Vec<String> {
        let url = format!("{}/v1/sys/leases/lookup/{path}", self.address);
        let headers = [("X-Vault-Token", self.token.as_str()), ("X-Vault-Namespace", namespace)];
        let headers = if namespace.is_empty() { &headers[..1] } else { &headers[..] };
        let (status, answer) = request("LIST", &url, headers, "");
        if status == 404 {
            return Vec::new();
        }
        assert_eq!(status, 200, "{path}: {answer}");
        let keys = serde_json::from_str::<Value>(&answer).unwrap()["data"]["keys"].take();
        serde_json::from_value::<Vec<String>>(keys)
            .unwrap()
            .iter()
            .map(|key| format!("{path}/{key}"))
            .collect()
    }

    /// A token that may do what the policy says and no more.
    pub(crate) fn token(&self, policy: &str) -> String {
        let name = unique("policy");
        self.call("PUT", &format!("sys/policies/acl/{name}"), &json!({ "policy": policy }));
        let body = json!({"policies": [name], "no_default_policy": true, "ttl": "1h"});
        self.call("POST", "auth/token/create", &body)["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// A helper with the config, that finds the server and its root token in the environment.
    pub(crate) fn helper(&self, config: &str) -> Helper {
        Helper::with_config(config).envs(&[("VAULT_ADDR", &self.address), ("VAULT_TOKEN", &self.token)])
    }
}
