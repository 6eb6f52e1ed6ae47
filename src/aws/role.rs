//! Role: taken on through STS, by an identity token or by the credentials at hand.

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::Client;
use aws_sdk_sts::types::{AssumedRoleUser, Credentials as Issued};
use secrecy::{ExposeSecret, SecretString};

use super::{Call, refusal};
use crate::environment::Environment;
use crate::error::{Kind, Problem};

/// The role of a job or pod that comes with an identity token.
const VARIABLE: &str = "AWS_ROLE_ARN";

/// Credentials, with whose they are in words.
pub(super) struct Held {
    pub(super) credentials: Credentials,
    pub(super) who: String,
}

/// The role that the identity token is for, and those after it.
pub(super) fn first<'r>(
    roles: &'r [String],
    environment: &Environment,
) -> Result<(String, &'r [String]), Problem> {
    if let Some((first, others)) = roles.split_first() {
        return Ok((first.clone(), others));
    }
    let role = environment.get(VARIABLE).ok_or_else(|| {
        Problem::new(Kind::Malformed, "no role for the web identity")
            .hint(format!("set role-arn in the connection's table, or {VARIABLE}"))
    })?;
    Ok((role, &[]))
}

/// Whether it is a role's ARN; a blank at its end would only be told by AWS, and in other words.
pub(super) fn is_arn(arn: &str) -> bool {
    let name = arn.split_once(":role/").map_or("", |(_, name)| name);
    arn.starts_with("arn:") && !name.is_empty() && arn.bytes().all(|c| c.is_ascii_graphic())
}

/// Assumes the role by an identity token; nobody else's credentials are needed.
pub(super) async fn by_web_identity(
    config: &SdkConfig,
    role: &str,
    token: &SecretString,
    session_name: &str,
) -> Result<Held, Problem> {
    let call = Call { action: "sts:AssumeRoleWithWebIdentity", resource: role, who: "the identity token" };
    let answer = Client::new(config)
        .assume_role_with_web_identity()
        .role_arn(role)
        .role_session_name(session_name)
        .web_identity_token(token.expose_secret())
        .send()
        .await
        .map_err(|error| advise(call.describe(&error), &call))?;
    held(answer.credentials, answer.assumed_role_user, role, token.expose_secret())
}

/// Assumes the role with the credentials at hand.
pub(super) async fn by_credentials(
    config: &SdkConfig,
    role: &str,
    held_so_far: &Held,
    external_id: Option<&str>,
    session_name: &str,
) -> Result<Held, Problem> {
    let call = Call { action: "sts:AssumeRole", resource: role, who: &held_so_far.who };
    let provider = SharedCredentialsProvider::new(held_so_far.credentials.clone());
    let answer = Client::new(&config.to_builder().credentials_provider(provider).build())
        .assume_role()
        .role_arn(role)
        .role_session_name(session_name)
        .set_external_id(external_id.map(str::to_owned))
        .send()
        .await
        .map_err(|error| advise(call.describe(&error), &call))?;
    let sent = held_so_far.credentials.session_token().unwrap_or_default();
    held(answer.credentials, answer.assumed_role_user, role, sent)
}

fn held(
    issued: Option<Issued>,
    user: Option<AssumedRoleUser>,
    role: &str,
    sent: &str,
) -> Result<Held, Problem> {
    let issued = issued.ok_or_else(|| {
        Problem::new(Kind::Malformed, "STS gave no credentials").hint(refusal::CHECK_ENDPOINT)
    })?;
    // Later refusals name it: it must be a name, and no token once more.
    let secrets = [sent, &issued.session_token, &issued.secret_access_key];
    let who = user.as_ref().and_then(|user| refusal::identity(&user.arn));
    let who = who.filter(|who| !refusal::repeats(who, &secrets)).unwrap_or(role).to_owned();
    let credentials = Credentials::builder()
        .access_key_id(issued.access_key_id)
        .secret_access_key(issued.secret_access_key)
        .session_token(issued.session_token)
        .provider_name("role")
        .build();
    Ok(Held { credentials, who })
}

fn advise(problem: Problem, call: &Call<'_>) -> Problem {
    let remedy = refusal::remedy(call.action, problem.cause.split(':').next().unwrap_or_default());
    let problem = named(problem, call);
    match remedy {
        Some(remedy) => problem.hint(remedy),
        None => problem,
    }
}

/// The cause with what was asked, where it is a code of AWS's.
fn named(problem: Problem, call: &Call<'_>) -> Problem {
    let is_code = problem.cause.bytes().all(|c| c.is_ascii_alphanumeric());
    match is_code {
        true => {
            Problem { cause: format!("{}: {} on {}", problem.cause, call.action, call.resource), ..problem }
        }
        false => problem,
    }
}
