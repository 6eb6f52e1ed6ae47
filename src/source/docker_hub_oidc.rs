//! Docker Hub by an identity token: the organization trusts a CI system's jobs, and Hub gives each a token of its own
//! (<https://docs.docker.com/enterprise/security/oidc-connections/>).

use std::time::{Duration, SystemTime};

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::form_urlencoded;

use super::{Answer, Coming, Setup, Source};
use crate::ask::Ask;
use crate::credential::Credential;
use crate::environment::Environment;
use crate::error::{Kind, Problem, one_line};
use crate::http::{self as web, Client, Repeat, Settings};
use crate::identity::{Token, Verifier};
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use crate::registry::{Pattern, Registry};

/// Its word in the config.
pub(super) const NAME: &str = "docker-hub-oidc";

/// Where tokens are exchanged; its origin is their audience.
const URL: &str = "https://identity.docker.com/oauth/token";
/// Docker's own registries that take what it gives.
const HARDENED: &str = "dhi.io";

/// What Docker's own actions read (<https://github.com/docker/login-action>).
const CONNECTION_VARIABLE: &str = "DOCKERHUB_OIDC_CONNECTIONID";
const LIFETIME_VARIABLE: &str = "DOCKERHUB_OIDC_EXPIREIN";

/// How long a token lives where nobody says, and how short and long it may.
const USUAL: Duration = Duration::from_secs(300);
const SHORTEST: u64 = 300;
const LONGEST: u64 = 21_600;

struct DockerHubOidc {
    organization: String,
    connection_id: Option<String>,
    token: Token,
    lifetime: Option<Duration>,
}

/// Reads `organization`, `connection-id`, `token` and `expires-in`.
pub(super) fn parse(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Box<dyn Source>> {
    let organization = keys.string("organization")?;
    let connection_id = keys.string("connection-id")?;
    let token = Token::parse(keys, "token", setup.folder, setup.home)?;
    let lifetime = keys.seconds("expires-in", SHORTEST..=LONGEST)?;
    keys.finish()?;
    if !is_dockers(setup.pattern) {
        let what = format!("cannot be \"{NAME}\": its tokens are for docker.io and {HARDENED} only");
        return Err(keys.mistake("source", &what));
    }
    let organization = keys.required("organization", organization)?;
    if !connection_id.as_deref().is_none_or(is_uuid) {
        return Err(keys.mistake("connection-id", "takes the connection's UUID, as Docker Hub shows it"));
    }
    let token = token.unwrap_or_else(Token::github);
    Ok(Box::new(DockerHubOidc { organization, connection_id, token, lifetime }))
}

fn is_dockers(pattern: &Pattern) -> bool {
    pattern.is_hub() || (!pattern.is_wildcard() && pattern.stand_in().host_and_port() == HARDENED)
}

impl Source for DockerHubOidc {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self, _: &Registry) -> Option<String> {
        Some(self.organization.clone())
    }

    fn get<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Answer> {
        Box::pin(async { self.fetch(ask).await.map(Some) })
    }

    fn mints(&self) -> bool {
        true
    }

    fn depends_on(&self, environment: &Environment, inputs: &mut Inputs) {
        inputs.variables(environment, [CONNECTION_VARIABLE, LIFETIME_VARIABLE]);
        inputs.variables(environment, web::reach_variables());
        self.token.depends_on(environment, inputs);
    }

    fn stated_username(&self, _: &Environment) -> Option<String> {
        Some(self.organization.clone())
    }
}

impl DockerHubOidc {
    async fn fetch(&self, ask: &Ask<'_>) -> Result<Credential, Problem> {
        // What is missing here is told before anybody is asked.
        let connection_id = self.connection_id(ask.environment)?;
        let lifetime = self.lifetime(ask.environment)?;
        let token = self.token.fetch(ask, Verifier::DockerHub).await?;
        let client = Client::new(Settings::from_environment(ask.environment, ask.limits.connect), true)?;
        let form = form(&connection_id, lifetime, &token);
        let asked = SystemTime::now();
        let answer = client.send_again(request(&form)?, ask.limits.answer, Repeat::Unmade).await?;
        if !matches!(answer.status, 200 | 201) {
            return Err(refused(&answer, &token));
        }
        let granted: Granted = serde_json::from_slice(&answer.body)
            .ok()
            .filter(|granted: &Granted| !granted.access_token.expose_secret().is_empty())
            .ok_or_else(|| {
                let problem = Problem::new(Kind::Malformed, "the answer holds no token")
                    .hint("check that identity.docker.com is what answers");
                Problem { proxy: answer.proxy.clone(), ..problem }
            })?;
        let lifetime = granted.expires_in.map_or(lifetime, Duration::from_secs);
        let credential = Credential::new(&self.organization, granted.access_token);
        Ok(Credential { expires: asked.checked_add(lifetime), ..credential })
    }

    fn connection_id(&self, environment: &Environment) -> Result<String, Problem> {
        if let Some(stated) = &self.connection_id {
            return Ok(stated.clone());
        }
        let hint = format!(
            "set connection-id in the rule, or {CONNECTION_VARIABLE}, to the connection's UUID, as Docker Hub shows it"
        );
        let given = environment.get(CONNECTION_VARIABLE).ok_or_else(|| {
            Problem::new(Kind::Malformed, format!("no connection: {CONNECTION_VARIABLE} is not set"))
                .hint(hint.clone())
        })?;
        let given = given.trim();
        // It could be anything, also a secret: it is not repeated.
        is_uuid(given).then(|| given.to_owned()).ok_or_else(|| {
            Problem::new(Kind::Malformed, format!("what {CONNECTION_VARIABLE} holds is no UUID")).hint(hint)
        })
    }

    fn lifetime(&self, environment: &Environment) -> Result<Duration, Problem> {
        let (None, Some(given)) = (self.lifetime, environment.get(LIFETIME_VARIABLE)) else {
            return Ok(self.lifetime.unwrap_or(USUAL));
        };
        let seconds = given.trim().parse().ok().filter(|seconds| (SHORTEST..=LONGEST).contains(seconds));
        seconds.map(Duration::from_secs).ok_or_else(|| {
            let wanted = format!("a whole number of seconds from {SHORTEST} to {LONGEST}");
            Problem::new(Kind::Malformed, format!("what {LIFETIME_VARIABLE} holds is not {wanted}"))
                .hint("set expires-in in the rule, or correct it")
        })
    }
}

/// What Hub gives (<https://www.rfc-editor.org/rfc/rfc8693#section-2.2>).
#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    /// In seconds.
    expires_in: Option<u64>,
}

/// Why Hub gives nothing (<https://www.rfc-editor.org/rfc/rfc6749#section-5.2>).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    error: String,
    error_description: String,
}

fn form(connection_id: &str, lifetime: Duration, token: &SecretString) -> Zeroizing<String> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
        .append_pair("subject_token_type", "urn:ietf:params:oauth:token-type:id_token")
        .append_pair("subject_token", token.expose_secret())
        .append_pair("connection_id", connection_id)
        .append_pair("expires_in", &lifetime.as_secs().to_string());
    Zeroizing::new(form.finish())
}

fn request(form: &str) -> Result<http::Request<Vec<u8>>, Problem> {
    http::Request::builder()
        .method(Method::POST)
        .uri(URL)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .body(form.as_bytes().to_vec())
        .map_err(|_| Problem::new(Kind::Malformed, "the request cannot be sent"))
}

/// The refusal in Hub's own words, with the remedy.
fn refused(answer: &web::Answer, token: &SecretString) -> Problem {
    let status = answer.status;
    let said: Refused = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words: Vec<String> = [said.error, said.error_description]
        .iter()
        .map(|text| one_line(text))
        .filter(|text| !text.is_empty() && !repeats(text, token.expose_secret()))
        .collect();
    let cause = if words.is_empty() { format!("HTTP {status}") } else { words.join(": ") };
    let (kind, hint) = match status {
        429 => (Kind::Unavailable, "Docker Hub is asked too often: try again later"),
        500..=599 => (Kind::Unavailable, "try again"),
        _ => (
            Kind::Denied,
            "check organization and connection-id, that a ruleset of the connection lets this job in, and that the \
             token is GitHub's, for the audience https://identity.docker.com",
        ),
    };
    Problem { proxy: answer.proxy.clone(), ..Problem::new(kind, cause).hint(hint) }
}

/// Whether the text holds a part of the token that is long enough to be worth something.
fn repeats(text: &str, token: &str) -> bool {
    const WORTH: usize = 8;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.split(|c| !is_part(c)).any(|word| word.len() >= WORTH && token.contains(word))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == b'-',
            _ => c.is_ascii_hexdigit(),
        })
}
