//! Whose identity tokens the roles are about.

use serde_json::{Value, json};

use crate::support::jwt::{self, seconds_from_now, with};

/// The words that the files leave to be filled in, as the tokens here have them.
pub(super) const WORDS: [(&str, &str); 7] = [
    ("ORG_ID", jwt::ORGANIZATION),
    ("PROJECT_ID", jwt::PROJECT),
    ("OWNER", "acme"),
    ("REPO_ID", "456789"),
    ("NAMESPACE", "apps"),
    ("SERVICE_ACCOUNT", "puller"),
    ("AUDIENCE", CLUSTER),
];
/// For whom the cluster makes a pod's token.
pub(super) const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";

/// What GitHub claims in a job's token.
pub(super) fn github() -> Value {
    with(jwt::github(), json!({"repository_id": "456789"}))
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
