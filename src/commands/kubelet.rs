//! Kubelet: the program that the kubelet runs for the credential of an image, one request and one answer
//! (<https://kubernetes.io/docs/tasks/administer-cluster/kubelet-credential-provider/>).
//!
//! The answer is decoded strictly: it holds nothing but what the kubelet knows. A failure is one line on stderr, which the
//! kubelet puts into its log, and exit 1; the pull then goes on without this credential.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::ask::Question;
use crate::config::{Config, Rule};
use crate::credential::Credential;
use crate::error::Error;
use crate::lookup::Session;
use crate::pod::Pod;
use crate::protocol::{self, Input};
use crate::registry::{Asked, Registry};
use crate::{log, resolve};

/// The longest request that is taken, in bytes: annotations alone may have 256 KiB.
const REQUEST_LIMIT: usize = 1024 * 1024;
/// The longest image, in bytes.
const IMAGE_LIMIT: usize = 4 * 1024;

const GROUP: &str = "credentialprovider.kubelet.k8s.io/";
/// How long the kubelet may use any answer at most.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];

/// What the kubelet asks (<https://kubernetes.io/docs/reference/config-api/kubelet-credentialprovider.v1/>); what later
/// versions add to it is not needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    kind: String,
    api_version: String,
    #[serde(default)]
    image: String,
    service_account_token: Option<SecretString>,
    service_account_annotations: Option<BTreeMap<String, String>>,
}

/// What it is answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    kind: &'static str,
    api_version: &'a str,
    cache_key_type: &'static str,
    cache_duration: String,
    auth: BTreeMap<&'a str, Auth<'a>>,
}

#[derive(Serialize)]
struct Auth<'a> {
    username: &'a str,
    password: &'a str,
}

/// Answers one request.
///
/// # Errors
/// [`Error`], whose line goes to the kubelet's log; the inner error is that the answer could not be written.
pub fn run(
    input: &mut dyn Input,
    output: &mut dyn Write,
    session: &Session<'_>,
) -> Result<io::Result<()>, Error> {
    let text = protocol::text(input, REQUEST_LIMIT, "the request is larger than 1 MiB", session)?;
    let Request { api_version, image, service_account_token, service_account_annotations, .. } = read(&text)?;
    let token = service_account_token.filter(|token| !token.expose_secret().is_empty());
    let pod = Pod { token, annotations: service_account_annotations.unwrap_or_default() };
    let config = session.config()?;
    let (found, cache_key_type) = match Asked::parse(&image) {
        Asked::Registry(registry) => {
            let question = Question { registry: &registry, asked: &image, pod: Some(&pod) };
            let found = fetch(question, config, session)?;
            let is_by_path = found.as_ref().is_some_and(|(_, credential)| credential.is_by_path);
            (found, if is_by_path { "Image" } else { cache_key_type(config, &registry) })
        }
        Asked::HubSubKey | Asked::NoRegistry => (None, "Image"),
    };
    let (auth, cache_duration) = match &found {
        Some((rule, credential)) => {
            let password = credential.secret.expose_secret();
            let auth = Auth { username: &credential.username, password };
            (BTreeMap::from([(host(&image), auth)]), cached_for(credential, rule, config, SystemTime::now()))
        }
        // Somebody may write a rule, or the secret, in the next moment.
        None => (BTreeMap::new(), Duration::ZERO),
    };
    let cache_duration = in_go(cache_duration);
    let kind = "CredentialProviderResponse";
    let response = Response { kind, api_version: &api_version, cache_key_type, cache_duration, auth };
    let written = protocol::write_line(output, &response);
    if let (Err(_), Some(lease)) = (&written, found.as_ref().and_then(|(_, found)| found.lease.as_ref())) {
        // Nobody has the answer, so nobody would give it back.
        session.give_back(lease);
    }
    Ok(written)
}

fn read(text: &str) -> Result<Request, Error> {
    let wrong = |what: String| Err(Error::Input(what));
    // The parser's own words may quote the token.
    let Ok(request) = serde_json::from_str::<Request>(text) else {
        return wrong("the input is no CredentialProviderRequest: this is run by the kubelet".to_owned());
    };
    if request.kind != "CredentialProviderRequest" {
        return wrong("the input's kind is not CredentialProviderRequest".to_owned());
    }
    let version = request.api_version.strip_prefix(GROUP);
    if !version.is_some_and(|version| VERSIONS.contains(&version)) {
        return wrong(format!("the request's apiVersion is not {GROUP} with {}", VERSIONS.join(" or ")));
    }
    match request.image.as_str() {
        "" => wrong("the request names no image".to_owned()),
        image if image.len() > IMAGE_LIMIT => wrong("the image is longer than 4 KiB".to_owned()),
        image if image.contains(char::is_control) => wrong("the image holds a control character".to_owned()),
        _ => Ok(request),
    }
}

/// What the rule's source gives. Nobody is asked without a rule: logins that an agent keeps are a person's.
fn fetch<'c>(
    question: Question<'_>,
    config: &'c Config,
    session: &Session<'_>,
) -> Result<Option<(&'c Rule, Credential)>, Error> {
    let Some(rule) = config.rule(question.registry) else {
        log::event(|| format!("{}: no rule", question.registry));
        return Ok(None);
    };
    // A credential store keeps hosts, and the kubelet asks for images.
    let asked = if rule.source.is_store() { host(question.asked) } else { question.asked };
    match session.fetch(rule, Question { asked, ..question }).map_err(|error| resolve::soften(rule, error)) {
        Ok(credential) => Ok(Some((rule, credential))),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// For what the kubelet may use the answer: for the whole registry only where no rule tells its repositories apart.
fn cache_key_type(config: &Config, registry: &Registry) -> &'static str {
    let by_path = |rule: &Rule| {
        rule.pattern.matches_host(registry) && (rule.pattern.has_path() || rule.source.needs_path())
    };
    if config.rules.iter().any(by_path) { "Image" } else { "Registry" }
}

/// How long the kubelet may use it without asking again: for half of what is left of it, so that no pull begins with
/// one that is about to end.
fn cached_for(credential: &Credential, rule: &Rule, config: &Config, now: SystemTime) -> Duration {
    if credential.lease.is_some() {
        // Nobody keeps it, renews it or gives it back: it is for this pull.
        return Duration::ZERO;
    }
    let usual = config.agent.ttl;
    let half = |end: SystemTime| end.duration_since(now).unwrap_or_default() / 2;
    // Go's own Duration ends after 292 years.
    credential.expires.map_or(usual, half).min(rule.ttl.unwrap_or(LONGEST)).min(LONGEST)
}

/// The registry in the request's own words: the kubelet looks the answer up by them, its port included.
fn host(image: &str) -> &str {
    let image = image.split_once("://").map_or(image, |(_, image)| image);
    image.split('/').next().unwrap_or(image)
}

/// Whole seconds, as Go writes them (<https://pkg.go.dev/time#Duration.String>).
fn in_go(time: Duration) -> String {
    let (hours, minutes, seconds) = (time.as_secs() / 3600, time.as_secs() / 60 % 60, time.as_secs() % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn the_host_is_what_stands_before_the_first_slash() {
        for (image, expected) in [
            ("quay.io/x", "quay.io"),
            ("HTTPS://quay.io:8443/x/y", "quay.io:8443"),
            ("docker.io", "docker.io"),
        ] {
            assert_eq!(host(image), expected);
        }
    }

    #[test]
    fn nothing_is_used_for_longer_than_go_can_say() {
        let rules = "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"u\"\npassword-env = \"P\"\n";
        let variables = [("DOCKER_CREDENTIAL_LEASE_CONFIG_TOML".to_owned(), rules.to_owned())];
        let config = Config::load(&crate::environment::Environment::Fixed(variables.into())).unwrap();
        let now = SystemTime::now();
        let ends = |hours: u64| Credential {
            expires: now.checked_add(Duration::from_secs(hours * 3600)),
            ..Credential::new("u", SecretString::from("p"))
        };
        let hours = |of: u64| cached_for(&ends(of), &config.rules[0], &config, now).as_secs() / 3600;
        assert_eq!([2, 24, 9_000_000].map(hours), [1, 12, 12]);
    }

    #[test]
    fn durations_are_written_as_go_does() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m0s"), (300, "5m0s"), (3600, "1h0m0s"), (43_199, "11h59m59s")]
        {
            assert_eq!(in_go(Duration::from_secs(seconds)), text);
        }
        assert_eq!(in_go(Duration::from_millis(999)), "0s");
    }

    #[test]
    fn the_host_is_the_requests_own() {
        for (image, expected) in [
            ("docker.io/library/nginx", "docker.io"),
            ("localhost:5000/a", "localhost:5000"),
            ("GHCR.io/a/b", "GHCR.io"),
            ("https://ghcr.io/a", "ghcr.io"),
            ("ghcr.io", "ghcr.io"),
        ] {
            assert_eq!(host(image), expected);
        }
    }
}
