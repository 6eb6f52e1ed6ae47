//! `kubelet`: the image credential provider, asked and understood by the kubelet's own types.

mod answers;
mod bad_input;
mod lifetimes;
mod packaging;
mod pods;

use serde_json::{Value, json};

use crate::support::servers::setting;
use crate::support::{Answer, Helper};

const GROUP: &str = "credentialprovider.kubelet.k8s.io";
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];

/// What the kubelet's own code makes of the input; `None` where it was not built: the test is skipped.
fn own(words: &[&str], input: &str) -> Option<String> {
    let program = setting("TEST_KUBELET")?;
    let answer = Answer::of(std::process::Command::new(program).args(words), input.as_bytes());
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{words:?}: {input}");
    Some(answer.stdout)
}

/// A request as the kubelet's encoder writes it, which is held against its own encoder where there is one.
fn request(version: &str, image: &str, token: &str, annotations: &Value) -> String {
    let mut request = json!({
        "kind": "CredentialProviderRequest", "apiVersion": format!("{GROUP}/{version}"), "image": image,
    });
    let mut told = json!({"Image": image});
    if version == "v1" && !token.is_empty() {
        request["serviceAccountToken"] = json!(token);
        told["ServiceAccountToken"] = json!(token);
    }
    if version == "v1" && annotations.as_object().is_some_and(|all| !all.is_empty()) {
        request["serviceAccountAnnotations"] = annotations.clone();
        told["ServiceAccountAnnotations"] = annotations.clone();
    }
    if let Some(encoded) = own(&["encode", version], &told.to_string()) {
        assert_eq!(serde_json::from_str::<Value>(&encoded).unwrap(), request);
        return encoded;
    }
    format!("{request}\n")
}

/// The answer to a request of that version without a token.
fn ask(helper: &Helper, version: &str, image: &str) -> Given {
    Given::of(helper.run(&["kubelet"], request(version, image, "", &json!({}))), version)
}

/// An answer, as the kubelet understands it.
#[derive(Debug, PartialEq)]
struct Given {
    cache_key_type: String,
    cache_duration: String,
    /// Registry, user and password.
    auth: Vec<(String, String, String)>,
}

impl Given {
    #[track_caller]
    fn of(answer: Answer, version: &str) -> Self {
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
        assert!(answer.stdout.ends_with("}\n") && answer.stdout.matches('\n').count() == 1, "{answer:?}");
        let said: Value = serde_json::from_str(&answer.stdout).unwrap();
        let mut keys: Vec<&String> = said.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["apiVersion", "auth", "cacheDuration", "cacheKeyType", "kind"]);
        assert_eq!(said["kind"], "CredentialProviderResponse");
        assert_eq!(said["apiVersion"], format!("{GROUP}/{version}"));
        let auth = said["auth"].as_object().expect("a map, also where it is empty");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let given = Self {
            cache_key_type: text(&said["cacheKeyType"]),
            cache_duration: text(&said["cacheDuration"]),
            auth: auth
                .iter()
                .map(|(host, auth)| (host.clone(), text(&auth["username"]), text(&auth["password"])))
                .collect(),
        };
        if let Some(understood) = own(&["decode", version], &answer.stdout) {
            given.is_understood(&serde_json::from_str(&understood).unwrap());
        }
        given
    }

    /// The kubelet reads the same out of it.
    #[track_caller]
    fn is_understood(&self, response: &Value) {
        assert_eq!(response["CacheKeyType"], self.cache_key_type);
        assert_eq!(response["CacheDuration"], self.cache_duration);
        let auth = response["Auth"].as_object().cloned().unwrap_or_default();
        assert_eq!(auth.len(), self.auth.len());
        for (host, username, password) in &self.auth {
            assert_eq!(auth[host], json!({"Username": username, "Password": password}));
        }
    }

    /// Nothing for this image, and not for the next pull either.
    #[track_caller]
    fn is_empty(&self, cache_key_type: &str) {
        assert_eq!(*self, given(cache_key_type, "0s", &[]));
    }
}

fn given(cache_key_type: &str, cache_duration: &str, auth: &[(&str, &str, &str)]) -> Given {
    let owned = |(host, username, password): &(&str, &str, &str)| {
        ((*host).to_owned(), (*username).to_owned(), (*password).to_owned())
    };
    Given {
        cache_key_type: cache_key_type.to_owned(),
        cache_duration: cache_duration.to_owned(),
        auth: auth.iter().map(owned).collect(),
    }
}

/// One line on stderr that holds all of these, nothing on stdout, exit 1; the line.
#[track_caller]
fn fails_with(answer: &Answer, parts: &[&str]) -> String {
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{answer:?}");
    let line = answer.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("no line: {answer:?}"));
    let said = line.strip_prefix("docker-credential-lease: ").unwrap_or_else(|| panic!("{line}"));
    assert!(!said.contains('\n') && said.len() < 500, "{line}");
    parts.iter().for_each(|part| assert!(said.contains(part), "{part:?} is not in: {said}"));
    said.to_owned()
}
