//! Whose identity tokens the roles are about.

use serde_json::{Value, json};

use crate::support::jwt::{self, seconds_from_now, with};

/// The words that the files leave to be filled in, as the tokens here have them.
pub(super) const WORDS: [(&str, &str); 10] = [
    ("ORG_ID", jwt::ORGANIZATION),
    ("PROJECT_ID", jwt::PROJECT),
    ("OWNER_NAME", "acme"),
    ("REPO_ID", "456789"),
    ("NAMESPACE", "apps"),
    ("SERVICE_ACCOUNT", "puller"),
    ("AUDIENCE", CLUSTER),
    ("OWNER_ID", "123456"),
    ("REPO_NAME", "app"),
    ("CLUSTER_ID", "C1A57E2"),
];
/// For whom the cluster makes a pod's token.
pub(super) const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";

/// What GitHub claims in a job's token, where the repository has an immutable subject
/// (<https://docs.github.com/en/actions/reference/security/oidc#immutable-subject-claims>).
pub(super) fn github() -> Value {
    let subject = "repo:acme@123456/app@456789:ref:refs/heads/main";
    with(jwt::github(), json!({"repository_id": "456789", "sub": subject}))
}

/// What the token of a pod claims.
pub(super) fn pod(namespace: &str, account: &str, audience: &str) -> Value {
    json!({
        "iss": CLUSTER,
        "aud": [audience],
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
        "iat": seconds_from_now(0),
        "exp": seconds_from_now(3600),
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": "5a"}},
    })
}
