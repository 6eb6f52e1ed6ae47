//! Login: the ways to a token of one's own, one request each (two more where a secret-id is wrapped)
//! (<https://developer.hashicorp.com/vault/api-docs/auth>).

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::SystemTime;

use http::Method;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::answer::Grant;
use super::given::Given;
use super::server::{Call, Server, segments};
use super::{Refusal, signed, wrapping};
use crate::ask::Ask;
use crate::aws;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::identity::{self, Verifier};
use crate::inputs::Inputs;
use crate::log;
use crate::pod::Annotated;

/// How a connection logs in.
pub(super) struct Login {
    /// The method's word in the config.
    pub(super) name: &'static str,
    /// The segments of the mount's path below `auth/`.
    pub(super) mount: Vec<String>,
    /// The namespace of the mount, where it is not the secrets' one.
    pub(super) namespace: Option<String>,
    pub(super) way: Way,
}

/// What each method shows.
pub(super) enum Way {
    AppRole { role_id: Given, secret_id: Option<Given>, is_wrapped: bool },
    Aws { role: String, connection: Rc<aws::Connection>, server_id: Option<String> },
    Cert { role: Option<String> },
    Jwt { role: Annotated, token: identity::Token },
    Password { username: String, password: Given },
}

/// What a login sends.
#[derive(Default)]
struct Shown {
    /// The user, who stands in the path.
    user: Option<String>,
    plain: Vec<(&'static str, String)>,
    secret: Vec<(&'static str, SecretString)>,
}

impl Login {
    /// Adds what is shown.
    pub(super) fn depends_on(&self, environment: &Environment, inputs: &mut Inputs) {
        match &self.way {
            Way::AppRole { role_id, secret_id, .. } => {
                [Some(role_id), secret_id.as_ref()]
                    .into_iter()
                    .flatten()
                    .for_each(|given| given.depends_on(environment, inputs));
            }
            Way::Aws { connection, .. } => connection.depends_on(environment, inputs),
            // The connection itself has the certificate.
            Way::Cert { .. } => {}
            Way::Jwt { token, .. } => token.depends_on(environment, inputs),
            Way::Password { password, .. } => password.depends_on(environment, inputs),
        }
    }

    /// Logs in; a refused login is not tried again, since servers lock a role after five.
    ///
    /// # Errors
    /// What is to be shown cannot be had, or the server refuses it.
    pub(super) async fn log_in(
        &self,
        server: &Server,
        ask: &Ask<'_>,
        namespace: Option<&str>,
    ) -> Result<Grant, Problem> {
        let shown = self.shown(server, ask, namespace).await?;
        let mut path = segments("auth");
        path.extend_from_slice(&self.mount);
        path.push("login".to_owned());
        path.extend(shown.user.clone());
        let body: BTreeMap<&str, &str> = (shown.plain.iter().map(|(key, value)| (*key, value.as_str())))
            .chain(shown.secret.iter().map(|(key, value)| (*key, value.expose_secret())))
            .collect();
        let body = serde_json::to_vec(&body)
            .map(Zeroizing::new)
            .map_err(|_| Problem::new(Kind::Malformed, "the login cannot be sent"))?;
        let secrets: Vec<SecretString> = shown.secret.into_iter().map(|(_, value)| value).collect();
        let call = Call {
            method: Method::POST,
            path: &path,
            body: Some(body),
            namespace,
            token: None,
            secrets: &secrets,
            until: ask.limits.connect,
        };
        let answer = server.call(call).await?.map_err(|refusal| self.refused(&refusal))?;
        if answer.is_wrapped() {
            return Err(
                self.unusable("the server wrapped its answer", "have the role answer without wrapping")
            );
        }
        if answer.wants_second_factor() {
            return Err(self.unusable(
                "the login wants a second factor (MFA)",
                "nobody is there to give one: log in by a role or user without MFA",
            ));
        }
        answer.grant().ok_or_else(|| self.unusable("the answer holds no token", "check mount"))
    }

    /// Says in the log that it worked.
    pub(super) fn tell(&self, grant: &Grant) {
        let lifetime = grant.lifetime.map(|time| format!(" for {} s", time.as_secs())).unwrap_or_default();
        log::event(|| format!("vault: logged in at auth/{}{lifetime}", self.mount.join("/")));
    }

    async fn shown(&self, server: &Server, ask: &Ask<'_>, namespace: Option<&str>) -> Result<Shown, Problem> {
        let environment = ask.environment;
        Ok(match &self.way {
            Way::AppRole { role_id: given_role, secret_id, is_wrapped } => {
                let role_id = given_role.read(environment, "role-id")?;
                let mut secret = Vec::new();
                if let Some(given) = secret_id {
                    let given = given.read(environment, "secret-id")?;
                    let secret_id = match is_wrapped {
                        true => {
                            let until = ask.limits.connect;
                            wrapping::secret_id(server, &given, &self.mount, namespace, until).await?
                        }
                        false => given,
                    };
                    secret.push(("secret_id", secret_id));
                }
                // It names a role; where no secret-id is asked for, it opens the door alone.
                let is_name = secret_id.is_some() && matches!(given_role, Given::Literal(_));
                let mut plain = Vec::new();
                match is_name {
                    true => plain.push(("role_id", role_id.expose_secret().to_owned())),
                    false => secret.push(("role_id", role_id)),
                }
                Shown { plain, secret, ..Shown::default() }
            }
            Way::Aws { role, connection, server_id } => {
                let session = connection.open(ask, Some("us-east-1")).await?;
                let partition = session.config.region().map(AsRef::as_ref);
                let partition = partition.filter(|region| signed::is_apart(region));
                let region = connection.stated_region().or(partition);
                // What stands in the signed headers could come back without their base64.
                let secrets =
                    [session.credentials.session_token(), Some(session.credentials.secret_access_key())];
                secrets.into_iter().flatten().for_each(|secret| server.hide(SecretString::from(secret)));
                let now = SystemTime::now();
                let signed =
                    signed::caller_identity(&session.credentials, region, server_id.as_deref(), now)?;
                let plain = [
                    ("role", role.clone()),
                    ("iam_http_request_method", "POST".to_owned()),
                    ("iam_request_url", signed.url),
                    ("iam_request_body", signed.body),
                ];
                let secret = vec![("iam_request_headers", signed.headers)];
                Shown { plain: plain.into(), secret, ..Shown::default() }
            }
            Way::Cert { .. } if !server.is_secure() => {
                return Err(self.unusable("a certificate is shown over TLS only", "use an https:// address"));
            }
            Way::Cert { role } => {
                let plain = role.iter().map(|role| ("name", role.clone())).collect();
                Shown { plain, ..Shown::default() }
            }
            Way::Jwt { role, token } => {
                let stated = role.literal().is_some();
                let role = role.fill("role", ask.pod)?;
                if !stated && !is_role(&role) {
                    // Whoever chose the annotation could put anything there: it is not repeated.
                    let hint = "a role's name is one word without slashes: correct the annotation";
                    return Err(self.unusable("the annotation makes no role's name", hint));
                }
                let token = token.fetch(ask, Verifier::Vault).await?;
                Shown { plain: vec![("role", role)], secret: vec![("jwt", token)], ..Shown::default() }
            }
            Way::Password { username, password } => {
                let password = password.read(environment, "password")?;
                let secret = vec![("password", password)];
                Shown { user: Some(username.clone()), secret, ..Shown::default() }
            }
        })
    }

    fn unusable(&self, cause: &str, hint: &str) -> Problem {
        Problem::new(Kind::Unauthenticated, self.named(cause)).hint(hint)
    }

    /// The server's refusal in its own words, with the remedy.
    fn refused(&self, refusal: &Refusal) -> Problem {
        let (kind, hint) = match refusal.state() {
            Some(state) => state,
            None => (Kind::RefusedLogin, self.remedy(refusal)),
        };
        let problem = refusal.problem(kind, hint);
        Problem { cause: self.named(&problem.cause), ..problem }
    }

    fn remedy(&self, refusal: &Refusal) -> &'static str {
        match (&self.way, refusal.status) {
            (Way::Password { .. }, 404) => "check username, mount, namespace and address",
            (_, 404) => "check namespace, mount and address",
            (Way::AppRole { .. }, 403) => {
                "check mount and namespace; after five wrong logins the server locks the role for 15 minutes"
            }
            (Way::AppRole { secret_id: None, .. }, _) => {
                "check role-id, mount and namespace; where the role wants a secret-id, name secret-id-env or secret-id-file"
            }
            (Way::AppRole { .. }, _) => {
                "check role-id, mount and namespace, and that the secret-id is neither used up nor expired"
            }
            (Way::Aws { .. }, 403) => "check mount and namespace",
            (Way::Aws { .. }, _) if refusal.cause.contains("upstream request") => {
                "AWS refused what was signed, or the server cannot reach AWS: check the AWS keys, this machine's clock, and the connection's region against the server's sts_region"
            }
            (Way::Aws { .. }, _) => "check role, server-id, and that the role binds this AWS identity",
            (Way::Cert { .. }, _) => {
                "check client-cert and client-key, and that a role trusts the certificate's CA"
            }
            (Way::Jwt { .. }, _) if self.name == "kubernetes" => review_remedy(refusal),
            (Way::Jwt { .. }, _) => token_remedy(refusal),
            (Way::Password { .. }, 403) => {
                "check mount and namespace; after five wrong logins the server locks the user for 15 minutes"
            }
            (Way::Password { .. }, _) => "check username and password",
        }
    }

    fn named(&self, cause: &str) -> String {
        format!("login at auth/{}: {cause}", self.mount.join("/"))
    }
}

/// Whether it can be a role's name, which is a part of a path to the server.
fn is_role(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '/' || c.is_control() || c.is_whitespace())
}

/// What to do about an identity token that the `jwt` method refuses.
fn token_remedy(refusal: &Refusal) -> &'static str {
    let says = |text| refusal.cause.contains(text);
    match refusal.status {
        403 => "check mount and namespace",
        _ if says("is expired") || says("not yet valid") => {
            "have a new token made, and check the clocks of this machine and of the server"
        }
        _ if says("token signature") => {
            "the mount must know the issuer's keys: check its jwks_url, oidc_discovery_url or jwt_validation_pubkeys"
        }
        _ => "check role, and that its audience, issuer and claims fit the token",
    }
}

/// What to do about one that the `kubernetes` method refuses, which asks Kubernetes about it.
fn review_remedy(refusal: &Refusal) -> &'static str {
    match refusal.status {
        // Nothing else is said where there is no such mount, and where Kubernetes was not reached or does not know it.
        403 if refusal.cause == "permission denied" => {
            "check mount and namespace, and that the server may have this cluster review the token (TokenReview)"
        }
        403 => "check that the role binds this service account, its namespace and the token's audience",
        _ => "check role",
    }
}
