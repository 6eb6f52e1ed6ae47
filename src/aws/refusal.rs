//! Refusal: what AWS says no to, in its own word.

use std::error::Error as StdError;
use std::sync::Arc;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{SdkError, ServiceError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::{Kind, Problem};
use crate::http::{Carried, Through};

/// The remedy where whoever answers is not AWS.
pub const CHECK_ENDPOINT: &str = "check endpoint-url and AWS_ENDPOINT_URL";

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
                let (status, said) = (service.raw().status(), Said::read(service));
                let problem = match said.code {
                    Some(code) => self.refused(code, &said),
                    // What cannot be read is a service's error to the SDK, whatever its status.
                    None if status.is_success() => no_aws("the answer is not what AWS sends"),
                    None => no_aws(&format!("HTTP {} without a reason", status.as_u16())),
                };
                Problem { proxy: said.proxy, ..problem }
            }
            SdkError::TimeoutError(_) => Problem::new(Kind::Unavailable, "timed out"),
            SdkError::ResponseError(_) => no_aws("the answer is not what AWS sends"),
            _ => Problem::new(Kind::Malformed, "the request could not be made")
                .hint("check region, endpoint-url and AWS_ENDPOINT_URL"),
        }
    }

    /// A refusal by its code; one of rights names the action, its object and whose they would have to be.
    fn refused(&self, code: &str, said: &Said<'_>) -> Problem {
        let problem = known(code);
        if problem.kind != Kind::Denied {
            return problem;
        }
        let action = said.action.unwrap_or(self.action);
        let who = said.who.unwrap_or(self.who);
        Problem { cause: format!("{code}: {action} on {} as {who}", self.resource), ..problem }
    }
}

/// What a service says of its refusal, without what it only repeats.
pub(super) struct Said<'a> {
    pub(super) code: Option<&'a str>,
    /// What was not allowed, and to whom.
    action: Option<&'a str>,
    pub(super) who: Option<&'a str>,
    pub(super) proxy: Option<String>,
}

impl<'a> Said<'a> {
    pub(super) fn read(service: &'a ServiceError<impl ProvideErrorMetadata, HttpResponse>) -> Self {
        let through = service.raw().extension::<Through>();
        let sent = through.map(|through| Arc::clone(&through.sent)).unwrap_or_default();
        let sent: Vec<&str> = sent.iter().map(|secret| secret.as_str()).collect();
        let own = |text: &&str| !repeats(text, &sent);
        let message = service.err().message().unwrap_or_default();
        Self {
            code: code(service.err()).filter(own),
            action: action_in(message).filter(own),
            who: identity_in(message).filter(own),
            proxy: through.and_then(|through| through.proxy.clone()),
        }
    }
}

/// Whether the text, or a part of it that is no mere word, stands in what was sent. Three letters stand in many words:
/// they count where they are all.
pub(super) fn repeats(text: &str, sent: &[&str]) -> bool {
    let parts = || text.split(['/', ':']).filter(|part| part.len() >= 8);
    sent.iter().any(|secret| match secret.len() {
        0 => false,
        1..=3 => text.split(['/', ':']).any(|part| part == *secret),
        _ => text.contains(secret) || parts().any(|part| secret.contains(part)),
    })
}

/// The remedies of roles and SSO (<https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>).
pub(super) fn remedy(action: &str, code: &str) -> Option<&'static str> {
    let by_token = action == "sts:AssumeRoleWithWebIdentity";
    Some(match code {
        "AccessDenied" | "AccessDeniedException" if by_token => {
            "the role's trust policy must allow the token's issuer, audience and subject"
        }
        "AccessDenied" | "AccessDeniedException" => {
            "the role's trust policy must allow who asks (with the external-id, where it wants one), and the policy of who asks the role"
        }
        "InvalidIdentityToken" | "InvalidIdentityTokenException" => {
            "AWS must know the token's issuer as an IAM identity provider that lists the token's audience"
        }
        "ExpiredTokenException" if by_token => "the identity token has expired: get a new one",
        "ForbiddenException" => "the SSO user must be given the profile's role in the profile's account",
        "IDPCommunicationError" => "AWS could not reach the token's issuer: try again",
        "RegionDisabledException" => "STS is switched off in this region: set another one",
        _ => return None,
    })
}

/// The code, if it is one: whatever else a server puts there could be what it was sent.
fn code(error: &impl ProvideErrorMetadata) -> Option<&str> {
    error.code().filter(|code| code.len() <= 64 && code.bytes().all(|c| c.is_ascii_alphanumeric()))
}

/// The codes that every AWS service answers with.
pub(super) fn known(code: &str) -> Problem {
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
        "InternalFailure" | "InternalServiceError" | "RequestTimeout" | "ServiceUnavailable" => {
            (Kind::Unavailable, "AWS has a fault of its own: try again")
        }
        "ResourceNotFoundException" => (Kind::Missing, ""),
        _ => (Kind::Malformed, ""),
    };
    Problem::new(kind, code).hint(hint)
}

/// `User: ARN is not authorized to perform: ACTION on resource: …` is how AWS words it
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>). No ARN of an identity is
/// longer than 180 characters unless it has a path; a session token always is.
fn identity_in(message: &str) -> Option<&str> {
    identity(message.split_once("User: ")?.1.split_whitespace().next()?)
}

/// The ARN, if it is an identity's.
pub(super) fn identity(arn: &str) -> Option<&str> {
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

/// Whoever answered so is not AWS.
pub(super) fn no_aws(cause: &str) -> Problem {
    Problem::new(Kind::Malformed, cause).hint(CHECK_ENDPOINT)
}

/// Our own client's problem, where that is what the SDK's error wraps.
pub(super) fn carried(error: &(dyn StdError + 'static)) -> Option<Problem> {
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
    use super::{action_in, identity_in, repeats};

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

    #[test]
    fn what_was_sent_is_known_whole_and_in_parts() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqb2IifQ.c2lnbmF0dXJl";
        let in_part = format!("arn:aws:sts::111122223333:assumed-role/{}/x", &token[..30]);
        assert!(repeats(token, &[token]) && repeats(&format!("x{token}"), &[token]));
        assert!(repeats(&token[21..], &["other", token]) && repeats(&in_part, &[token]));
        assert!(!repeats("AccessDenied", &[token, ""]) && !repeats("job", &[token]));
        assert!(repeats("pw1", &["pw1"]) && repeats("a:pw1", &["pw1"]) && !repeats("AccessDenied", &["ied"]));
    }
}
