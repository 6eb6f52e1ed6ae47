//! Advice: the remedies that are Secrets Manager's own.

use crate::error::Problem;

/// The problem with what can be done about it, and the region, which many a time is the wrong one.
pub(super) fn advise(problem: Problem, name: &str, region: &str) -> Problem {
    let hint = match problem.cause.split(':').next().unwrap_or_default() {
        "AccessDenied" | "AccessDeniedException" => {
            format!("allow secretsmanager:GetSecretValue on it in {region}, and kms:Decrypt on its key")
        }
        "DecryptionFailure" => "allow kms:Decrypt on its key".to_owned(),
        "InvalidRequestException" => {
            format!("it may be marked for deletion: `aws secretsmanager restore-secret --secret-id {name}`")
        }
        "ResourceNotFoundException" => format!("check its name, its stage and the region {region}"),
        _ => return problem,
    };
    Problem { cause: format!("{} in {region}", problem.cause), ..problem }.hint(hint)
}
