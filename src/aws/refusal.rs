//! Refusal: what AWS says no to, in its own word.

use std::error::Error as StdError;

use aws_sdk_sso::operation::get_role_credentials::GetRoleCredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::{Kind, Problem};
use crate::http::{Carried, Through};

/// One call, as its refusal names it.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// As IAM writes it: `secretsmanager:GetSecretValue`.
    pub action: &'a str,
    /// What it was for, as the user named it.
    pub resource: &'a str,
    /// Whose credentials were used, as far as we know.
    pub who: &'a str,
}

impl Call<'_> {
    /// What the call ended in; never the answer's text, which may quote what was asked.
    pub fn describe<E>(&self, error: &SdkError<E, HttpResponse>) -> Problem
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        if let Some(problem) = carried(error) {
            return problem;
        }
        match error {
            SdkError::ServiceError(service) => {
                let status = service.raw().status();
                let problem = match code(service.err()) {
                    Some(code) => self.refused(code, service.err().message().unwrap_or_default()),
                    // What cannot be read is a service's error to the SDK, whatever its status.
                    None if status.is_success() => no_aws("the answer is not what AWS sends"),
                    None => no_aws(&format!("HTTP {} without a reason", status.as_u16())),
                };
                let proxy = service.raw().extension::<Through>().and_then(|Through(proxy)| proxy.clone());
                Problem { proxy, ..problem }
            }
            SdkError::TimeoutError(_) => Problem::new(Kind::Unavailable, "timed out"),
            SdkError::ResponseError(_) => no_aws("the answer is not what AWS sends"),
            _ => Problem::new(Kind::Malformed, "the request could not be made")
                .hint("check region, endpoint-url and AWS_ENDPOINT_URL"),
        }
    }

    /// A refusal by its code; one of rights names the action, its object and whose they would have to be.
    fn refused(&self, code: &str, message: &str) -> Problem {
        let problem = known(code);
        if problem.kind != Kind::Denied {
            return problem;
        }
        let action = action_in(message).unwrap_or(self.action);
        let who = identity_in(message).unwrap_or(self.who);
        Problem { cause: format!("{code}: {action} on {} as {who}", self.resource), ..problem }
    }
}

/// What a profile or the SDK's own chain ended in, where a service refused it on the way.
pub(super) fn within(error: &(dyn StdError + 'static)) -> Option<Problem> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(Carried(problem)) = cause.downcast_ref::<Carried>() {
            return Some(problem.clone());
        }
        let refused = refusal_of::<AssumeRoleError>(cause, "sts:AssumeRole")
            .or_else(|| refusal_of::<AssumeRoleWithWebIdentityError>(cause, "sts:AssumeRoleWithWebIdentity"))
            .or_else(|| refusal_of::<GetRoleCredentialsError>(cause, "sso:GetRoleCredentials"));
        if refused.is_some() {
            return refused;
        }
        next = cause.source();
    }
    None
}

/// Whether what failed is an SSO session that has ended, or never began. The SDK keeps its own types of this to
/// itself, so their sentences are what there is to tell it by; a test holds the real SDK to them.
pub(super) fn is_ended_sso(error: &(dyn StdError + 'static)) -> bool {
    const SENTENCES: [&str; 2] =
        ["the SSO token has expired and cannot be refreshed", "failed to load the cached SSO token"];
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(refused) = cause.downcast_ref::<GetRoleCredentialsError>() {
            return refused.is_unauthorized_exception();
        }
        let text = cause.to_string();
        if SENTENCES.contains(&text.as_str())
            || (text.starts_with("failed to read") && text.contains("/sso/cache/"))
        {
            return true;
        }
        next = cause.source();
    }
    false
}

fn refusal_of<E>(cause: &(dyn StdError + 'static), action: &str) -> Option<Problem>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let error = cause.downcast_ref::<E>()?;
    let code = code(error)?;
    let message = error.message().unwrap_or_default();
    let who = identity_in(message).map(|who| format!(" as {who}")).unwrap_or_default();
    Some(Problem { cause: format!("{code}: {action}{who}"), ..known(code) })
}

/// The code, if it is one: whatever else a server puts there could be what it was sent.
fn code(error: &impl ProvideErrorMetadata) -> Option<&str> {
    error.code().filter(|code| code.len() <= 64 && code.bytes().all(|c| c.is_ascii_alphanumeric()))
}

/// The codes that every AWS service answers with.
fn known(code: &str) -> Problem {
    let (kind, hint) = match code {
        "ExpiredToken" | "ExpiredTokenException" => {
            (Kind::Unauthenticated, "the session has ended: log in to AWS again")
        }
        "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" => (
            Kind::Unauthenticated,
            "AWS does not know these keys: check AWS_ACCESS_KEY_ID, the profile and the session token",
        ),
        "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            (Kind::Unauthenticated, "check AWS_SECRET_ACCESS_KEY and this machine's clock")
        }
        "AccessDenied" | "AccessDeniedException" => (Kind::Denied, ""),
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" => {
            (Kind::Unavailable, "AWS is asked too often: try again")
        }
        _ => (Kind::Unavailable, ""),
    };
    Problem::new(kind, code).hint(hint)
}

/// `User: ARN is not authorized to perform: ACTION on resource: …` is how AWS words it
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>). No ARN of an identity is
/// longer than 180 characters unless it has a path; a session token always is.
fn identity_in(message: &str) -> Option<&str> {
    let arn = message.split_once("User: ")?.1.split_whitespace().next()?;
    let mut parts = arn.splitn(6, ':');
    let (scheme, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_arn = scheme == "arn"
        && partition.starts_with("aws")
        && matches!(service, "iam" | "sts")
        && region.is_empty()
        && account.len() == 12
        && account.bytes().all(|c| c.is_ascii_digit());
    let plain = arn.len() <= 180 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-/".contains(c));
    (is_arn && plain).then_some(arn)
}

fn action_in(message: &str) -> Option<&str> {
    let action = message.split_once("not authorized to perform: ")?.1.split_whitespace().next()?;
    let plain = action.len() <= 64 && action.chars().all(|c| c.is_ascii_alphanumeric() || ":-".contains(c));
    (plain && action.contains(':')).then_some(action)
}

fn no_aws(cause: &str) -> Problem {
    Problem::new(Kind::Malformed, cause).hint("check endpoint-url and AWS_ENDPOINT_URL")
}

/// Our own client's problem, where that is what the SDK's error wraps.
fn carried(error: &(dyn StdError + 'static)) -> Option<Problem> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(Carried(problem)) = cause.downcast_ref::<Carried>() {
            return Some(problem.clone());
        }
        next = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{action_in, identity_in};

    #[test]
    fn who_was_refused_stands_in_the_message() {
        let message = "User: arn:aws:sts::111122223333:assumed-role/pull/docker.io@app-17 is not authorized to perform: \
                       secretsmanager:GetSecretValue on resource: hub because no identity-based policy allows it";
        assert_eq!(
            identity_in(message),
            Some("arn:aws:sts::111122223333:assumed-role/pull/docker.io@app-17")
        );
        assert_eq!(action_in(message), Some("secretsmanager:GetSecretValue"));
    }

    #[test]
    fn anything_else_in_its_place_is_not_repeated() {
        for who in [
            "s3cr-et",
            "arn:aws:sts::1:assumed-role/x",
            "arn:aws:s3:::bucket",
            "arn:aws:iam::111122223333:<b>",
        ] {
            assert_eq!(identity_in(&format!("User: {who} is not authorized to perform: x")), None, "{who}");
        }
        let long = format!("User: arn:aws:sts::111122223333:assumed-role/{}", "A".repeat(300));
        assert_eq!(identity_in(&long), None);
        assert_eq!(action_in("not authorized to perform: s3cr\u{1b}et:x"), None);
        assert_eq!(action_in("not authorized to perform: s3cret"), None);
    }
}
