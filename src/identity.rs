//! Identity tokens: what a CI job, a pod or a program shows to AWS, Vault or Docker Hub in place of a secret.

mod circleci;
mod github;
mod jwt;
mod program;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::ask::Ask;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::file;
use crate::inputs::Inputs;
use crate::keys::{Form, Keys, Read};
use crate::pod;
use jwt::Claims;

/// Where Kubernetes puts a pod's own token
/// (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api>).
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// Where EKS says that it has put the one for AWS
/// (<https://docs.aws.amazon.com/eks/latest/userguide/pod-configuration.html>).
const AWS_TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

/// Where an identity token comes from.
pub struct Token {
    origin: Origin,
    audience: Option<String>,
}

enum Origin {
    CircleCi,
    /// The program and its arguments.
    Command(Vec<String>),
    File(PathBuf),
    GitHub,
    ServiceAccount,
    Variable(String),
}

/// Whom a token is shown to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verifier {
    /// AWS STS.
    Aws,
    /// Docker Hub's token exchange.
    DockerHub,
    /// Vault or OpenBao.
    Vault,
}

#[derive(Clone, Copy)]
enum Issuer {
    CircleCi,
    GitHub,
    ServiceAccount,
}

const ISSUERS: [(&str, Issuer); 3] =
    [("circleci", Issuer::CircleCi), ("github", Issuer::GitHub), ("service-account", Issuer::ServiceAccount)];

impl Token {
    /// The one that GitHub makes for a job.
    pub fn github() -> Self {
        Self { origin: Origin::GitHub, audience: None }
    }

    /// A pod's own token.
    pub fn service_account() -> Self {
        Self { origin: Origin::ServiceAccount, audience: None }
    }

    /// Whether it is a pod's own.
    pub fn is_service_account(&self) -> bool {
        matches!(self.origin, Origin::ServiceAccount)
    }

    /// Reads an issuer's word, or a table with `from` (and `audience`), `env`, `file` or `command`.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse(
        keys: &Keys<'_>,
        key: &'static str,
        folder: Option<&Path>,
        home: Option<&Path>,
    ) -> Read<Option<Self>> {
        let table = match keys.string_or_table(key)? {
            None => return Ok(None),
            Some(Form::Short(text)) => {
                // Anything else could be the token itself, put here by mistake: it is not repeated.
                let (_, issuer) = ISSUERS.iter().find(|(word, _)| *word == text).ok_or_else(|| {
                    let words = ISSUERS.map(|(word, _)| word).join(" or ");
                    keys.mistake(key, &format!("takes {words}, or a table with `env`, `file` or `command`"))
                })?;
                return Ok(Some(Self { origin: issuer.origin(), audience: None }));
            }
            Some(Form::Long(table)) => table,
        };
        let issuer = table.word("from", &ISSUERS)?;
        let audience = table.string("audience")?;
        let variable = table.string("env")?;
        let path = table.path("file", folder, home)?;
        let command = table.strings("command")?;
        table.finish()?;
        table.exclusive(&["from", "env", "file", "command"])?;
        if audience.is_some() && !matches!(issuer, Some(Issuer::CircleCi | Issuer::GitHub)) {
            return Err(table.mistake("audience", "is for from = \"circleci\" or \"github\" only"));
        }
        let is_name = |text: &String| text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
        if !variable.as_ref().is_none_or(is_name) {
            // It could be the token itself: it is not repeated, here or where it is not set.
            return Err(table.mistake("env", "takes the name of a variable, such as JOB_TOKEN"));
        }
        let origin = match (issuer, variable, path, command) {
            (Some(issuer), ..) => issuer.origin(),
            (_, Some(variable), ..) => Origin::Variable(variable),
            (_, _, Some(path), _) => Origin::File(path),
            (_, _, _, Some(words)) if words.len() == 1 && words[0].contains(' ') => {
                return Err(table.mistake("command", "is one program: write it as [\"prog\", \"arg\"]"));
            }
            (_, _, _, Some(words)) => Origin::Command(
                program::located(words, folder, home)
                    .map_err(|why| table.mistake("command", &format!("names no program: {why}")))?,
            ),
            _ => return Err(table.error("needs one of the keys `from`, `env`, `file`, `command`")),
        };
        Ok(Some(Self { origin, audience }))
    }

    /// Adds everything that the token depends on.
    pub fn depends_on(&self, environment: &Environment, inputs: &mut Inputs) {
        inputs.text(self.audience.as_deref().unwrap_or_default());
        match &self.origin {
            Origin::CircleCi => {
                inputs.beginning_with(environment, "CIRCLE_OIDC_TOKEN");
                inputs.variables(environment, ["CIRCLE_ORGANIZATION_ID", "PATH"]);
            }
            Origin::Command(words) => {
                words.iter().for_each(|word| inputs.text(word));
                inputs.variables(environment, ["PATH"]);
            }
            Origin::File(path) => inputs.file(path),
            Origin::GitHub => inputs.beginning_with(environment, "ACTIONS_ID_TOKEN_REQUEST_"),
            // Pods never share what one of them was given.
            Origin::ServiceAccount if inputs.pod() => {}
            Origin::ServiceAccount => {
                inputs.variables(environment, [AWS_TOKEN_FILE]);
                let stated = environment.path(AWS_TOKEN_FILE);
                stated
                    .into_iter()
                    .chain([PathBuf::from(SERVICE_ACCOUNT)])
                    .for_each(|path| inputs.file(&path));
            }
            Origin::Variable(name) => inputs.variables(environment, [name.as_str()]),
        }
    }

    /// Fetches the token; one that has expired is not shown to anybody.
    ///
    /// # Errors
    /// There is none, it cannot be had, or it has expired: with how long ago.
    pub async fn fetch(&self, ask: &Ask<'_>, verifier: Verifier) -> Result<SecretString, Problem> {
        let audience = self.audience.as_deref();
        let (token, name, remedy) = match &self.origin {
            Origin::CircleCi => return circleci::fetch(audience, ask).await,
            Origin::GitHub => {
                let token = github::fetch(audience.or(verifier.usual_audience()), ask).await?;
                (token, "the GitHub token".to_owned(), "check this machine's clock")
            }
            Origin::ServiceAccount if ask.pod.is_some() => {
                let token = ask.pod.and_then(|pod| pod.token.as_ref()).ok_or_else(pod::no_token)?;
                let token = Zeroizing::new(token.expose_secret().to_owned());
                (token, "the token that the kubelet sent".to_owned(), "check this machine's clock")
            }
            Origin::ServiceAccount => {
                let stated = ask.environment.path(AWS_TOKEN_FILE).filter(|_| verifier == Verifier::Aws);
                let hint = match stated {
                    Some(_) => "AWS_WEB_IDENTITY_TOKEN_FILE names it: mount it there, or unset that",
                    None => "a pod has it, unless it says automountServiceAccountToken: false",
                };
                let path = stated.unwrap_or_else(|| PathBuf::from(SERVICE_ACCOUNT));
                let token = from_file(&path, hint)?;
                (token, "the service account's token".to_owned(), "the kubelet renews it: start the pod anew")
            }
            Origin::Variable(variable) => {
                let token = ask.environment.get(variable).map(Zeroizing::new).ok_or_else(|| {
                    missing(format!("no identity token: {variable} is not set"))
                        .hint(format!("set {variable}"))
                })?;
                (token, format!("the token in {variable}"), "set it to a new one")
            }
            Origin::File(path) => {
                let token = from_file(path, "have whoever makes the token write it there")?;
                (token, format!("the token in {}", path.display()), "have a new one written there")
            }
            Origin::Command(words) => {
                let token = program::output(words, ask).await.map_err(program::Failure::problem)?;
                (token, format!("the token that `{}` gave", words[0]), "have it give a new one")
            }
        };
        let token = shaped(&token, &name, remedy)?;
        match Claims::read(&token).and_then(|claims| claims.expired(SystemTime::now())) {
            Some(ago) => Err(missing(format!("{name} expired {ago} ago")).hint(remedy)),
            None => Ok(token),
        }
    }
}

impl Verifier {
    /// Whom a token must be for that is made for it, where the config does not say.
    fn usual_audience(self) -> Option<&'static str> {
        match self {
            Self::Aws => Some("sts.amazonaws.com"),
            Self::DockerHub => Some("https://identity.docker.com"),
            Self::Vault => None,
        }
    }
}

impl Issuer {
    fn origin(self) -> Origin {
        match self {
            Self::CircleCi => Origin::CircleCi,
            Self::GitHub => Origin::GitHub,
            Self::ServiceAccount => Origin::ServiceAccount,
        }
    }
}

fn from_file(path: &Path, hint: &str) -> Result<Zeroizing<String>, Problem> {
    file::read_secret(path)
        .map(Zeroizing::new)
        .map_err(|(cause, mend)| missing(cause).hint(if mend.is_empty() { hint.to_owned() } else { mend }))
}

/// The token without the blanks around it; anything else in it is no token.
fn shaped(text: &str, name: &str, remedy: &str) -> Result<SecretString, Problem> {
    let token = SecretString::from(text.trim());
    match token.expose_secret() {
        "" => Err(missing(format!("{name} is empty")).hint(remedy)),
        text if !text.bytes().all(|c| c.is_ascii_graphic()) => {
            Err(missing(format!("{name} is no identity token")).hint("it is one word of the form a.b.c"))
        }
        _ => Ok(token),
    }
}

fn missing(cause: String) -> Problem {
    Problem::new(Kind::Unauthenticated, cause)
}
