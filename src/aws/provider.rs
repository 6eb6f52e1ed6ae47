//! Provider: what the SDK's own providers of credentials ended in.
//!
//! The SDK keeps most types of their errors to itself, so that its sentences are what there is to tell them by; tests
//! hold the real SDK to them.

use std::error::Error as StdError;
use std::iter::successors;

use aws_sdk_sso::operation::get_role_credentials::GetRoleCredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::refusal::{self, Said};
use crate::error::{Kind, Problem};
use crate::http::Carried;

/// The error and what it came from, down to the first cause.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// What a service refused on the way, or what kept us from asking it.
pub(super) fn within(error: &(dyn StdError + 'static)) -> Option<Problem> {
    causes(error).find_map(|cause| {
        if let Some(Carried(problem)) = cause.downcast_ref::<Carried>() {
            return Some(problem.clone());
        }
        refused::<AssumeRoleError>(cause, "sts:AssumeRole")
            .or_else(|| refused::<AssumeRoleWithWebIdentityError>(cause, "sts:AssumeRoleWithWebIdentity"))
            .or_else(|| refused::<GetRoleCredentialsError>(cause, "sso:GetRoleCredentials"))
            .or_else(|| container(&cause.to_string()))
    })
}

fn refused<E>(cause: &(dyn StdError + 'static), action: &str) -> Option<Problem>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let SdkError::ServiceError(service) = cause.downcast_ref::<SdkError<E, HttpResponse>>()? else {
        return None;
    };
    let said = Said::read(service);
    let code = said.code?;
    let who = said.who.map(|who| format!(" as {who}")).unwrap_or_default();
    let problem = refusal::known(code);
    let hint = refusal::remedy(action, code).map_or_else(|| problem.hint.clone(), str::to_owned);
    Some(Problem { cause: format!("{code}: {action}{who}"), hint, proxy: said.proxy, ..problem })
}

/// What became of asking the agent that stands beside a container, of ECS or of EKS.
fn container(text: &str) -> Option<Problem> {
    let problem = |cause: String| Problem::new(Kind::Unauthenticated, cause);
    if let Some(status) = text.strip_prefix("Non-success status from HTTP credential provider: ") {
        let status: String = status.chars().filter(char::is_ascii_digit).collect();
        let hint =
            "check AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI, and that the task or pod has a role";
        return Some(problem(format!("the container's agent gave no credentials: HTTP {status}")).hint(hint));
    }
    if text.contains("auth token could not be used as an HTTP header value") {
        let hint = "AWS_CONTAINER_AUTHORIZATION_TOKEN or its …_FILE must hold one line and no line end";
        return Some(problem("the token for the container's agent cannot be sent".to_owned()).hint(hint));
    }
    if text.starts_with("invalid full URI for ECS provider")
        || text.starts_with("invalid relative URI for ECS")
    {
        let hint = "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https://, this machine's or AWS's own address";
        return Some(problem("the container's agent has no address that may be asked".to_owned()).hint(hint));
    }
    None
}

/// Whether what failed is an SSO session that has ended, or never began.
pub(super) fn is_ended_sso(error: &(dyn StdError + 'static)) -> bool {
    const SENTENCES: [&str; 2] =
        ["the SSO token has expired and cannot be refreshed", "failed to load the cached SSO token"];
    causes(error)
        .find_map(|cause| {
            if let Some(refused) = cause.downcast_ref::<GetRoleCredentialsError>() {
                return Some(refused.is_unauthorized_exception());
            }
            let text = cause.to_string();
            let ended = SENTENCES.contains(&text.as_str())
                || (text.starts_with("failed to read") && text.contains("/sso/cache/"));
            ended.then_some(true)
        })
        .unwrap_or(false)
}
