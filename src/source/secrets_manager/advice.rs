//! Advice: the remedies that are Secrets Manager's own.

use crate::error::Problem;

/// The problem with what can be done about it, and the region, which many a time is the wrong one.
pub(super) fn advise(problem: Problem, action: &str, name: &str, region: &str) -> Problem {
    let hint = match problem.cause.split(':').next().unwrap_or_default() {
        "AccessDenied" | "AccessDeniedException" => allow(action, region),
        "DecryptionFailure" => "allow kms:Decrypt on its key".to_owned(),
        "EncryptionFailure" => "allow kms:GenerateDataKey on its key".to_owned(),
        "InvalidParameterException" => {
            "a name holds letters, digits and /_+=.@- only, and a replica is changed in its own primary region"
                .to_owned()
        }
        "InvalidRequestException" if action == "secretsmanager:GetSecretValue" => {
            format!("it may be marked for deletion: `aws secretsmanager restore-secret --secret-id {name}`")
        }
        "InvalidRequestException" => {
            "another AWS service may manage it, or change it right now: change it there, or try again".to_owned()
        }
        "LimitExceededException" => {
            "a quota of Secrets Manager is used up: delete what nobody needs, or have it raised".to_owned()
        }
        "ResourceNotFoundException" => format!("check its name, its stage and the region {region}"),
        _ => return problem,
    };
    Problem { cause: format!("{} in {region}", problem.cause), ..problem }.hint(hint)
}

/// What a policy has to allow (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Operations.html>).
fn allow(action: &str, region: &str) -> String {
    match action {
        "secretsmanager:BatchGetSecretValue" => {
            format!("allow {action} in {region}, and secretsmanager:GetSecretValue on each secret")
        }
        "secretsmanager:CreateSecret" => {
            format!("allow {action} and secretsmanager:TagResource on it in {region}")
        }
        "secretsmanager:GetSecretValue" => {
            format!("allow {action} on it in {region}, and kms:Decrypt on its key")
        }
        "secretsmanager:ListSecrets" => format!("allow {action} in {region}"),
        "secretsmanager:PutSecretValue" => {
            format!("allow {action} on it in {region}, and kms:GenerateDataKey on its key")
        }
        _ => format!("allow {action} on it in {region}"),
    }
}
