//! The policies for Vault: with each the helper gets its credential; with every other right on the same path, or the same
//! right on another path, it does not.

use serde_json::json;

use super::{rule, text};
use crate::support::own_postgres::OwnPostgres;
use crate::support::servers::{Bao, request, unique};
use crate::support::{Answer, Helper};

const CAPABILITIES: [&str; 7] = ["create", "delete", "list", "patch", "read", "sudo", "update"];

/// The policy as it stands in the file, for a path of the test's own.
fn policy(file: &str, stated: &str, own: &str) -> String {
    let text = text(file);
    assert!(text.contains(&format!("path \"{stated}\"")), "{file} is not about {stated}");
    text.replace(stated, own)
}

/// The policy with all capabilities but the one that it has.
fn with_all_others(policy: &str, capability: &str) -> String {
    let stated = format!("[\"{capability}\"]");
    assert_eq!(policy.matches(&stated).count(), 1, "{policy}");
    let others: Vec<&str> = CAPABILITIES.into_iter().filter(|other| *other != capability).collect();
    policy.replace(&stated, &format!("{others:?}"))
}

/// A helper whose token may do what the policy says, and nothing else; not even what the default policy allows.
fn helper(bao: &Bao, policy: &str, config: &str) -> Helper {
    bao.helper(config).env("VAULT_TOKEN", bao.token(policy))
}

#[track_caller]
fn is_denied(answer: &Answer, path: &str, capability: &str) {
    let hint = format!("hint: the token must be valid and its policy allow {capability} on {path}");
    answer.fails_with(&[&format!("vault: {path}: permission denied"), &hint]);
}

/// Whether the server refuses this with the policy.
fn refuses(bao: &Bao, policy: &str, method: &str, path: &str) -> bool {
    let token = bao.token(policy);
    let body = json!({"data": {"username": "mallory", "password": "pw-2"}}).to_string();
    let url = format!("{}/v1/{path}", bao.address);
    request(method, &url, &[("X-Vault-Token", &token)], &body).0 == 403
}

#[test]
fn of_kv_version_2_one_secret_can_be_read() {
    let Some(bao) = Bao::find() else { return };
    let secret = || bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
    let (own, other) = (secret(), secret());
    let path = format!("secret/data/{own}");
    let policy = policy("vault/read-kv2.hcl", "secret/data/dockerhub", &path);
    helper(&bao, &policy, &rule(&path, "")).get("docker.io").is_found("docker.io", "octocat", "pw-1");
    // Where the mount is asked for, that needs no right of its own.
    let without_data = rule(&format!("secret/{own}"), "");
    helper(&bao, &policy, &without_data).get("docker.io").is_found("docker.io", "octocat", "pw-1");
    for elsewhere in [other.as_str(), &format!("{own}-2"), &format!("{own}/below")] {
        let elsewhere = format!("secret/data/{elsewhere}");
        is_denied(&helper(&bao, &policy, &rule(&elsewhere, "")).get("docker.io"), &elsewhere, "read");
    }
    for (method, at) in [("POST", "data"), ("DELETE", "data"), ("GET", "metadata"), ("LIST", "metadata")] {
        assert!(refuses(&bao, &policy, method, &format!("secret/{at}/{own}")), "{method} {at}");
    }
    let policy = with_all_others(&policy, "read");
    is_denied(&helper(&bao, &policy, &rule(&path, "")).get("docker.io"), &path, "read");
}

#[test]
fn of_kv_version_1_one_secret_can_be_read() {
    let Some(bao) = Bao::find() else { return };
    let mount = bao.mount(&json!({"type": "kv", "options": {"version": "1"}}));
    let path = format!("{mount}/dockerhub");
    for name in ["dockerhub", "ghcr"] {
        let secret = json!({"username": "octocat", "password": "pw-1"});
        bao.call("POST", &format!("{mount}/{name}"), &secret);
    }
    let policy = policy("vault/read-kv1.hcl", "kv/dockerhub", &path);
    helper(&bao, &policy, &rule(&path, "")).get("docker.io").is_found("docker.io", "octocat", "pw-1");
    let elsewhere = format!("{mount}/ghcr");
    is_denied(&helper(&bao, &policy, &rule(&elsewhere, "")).get("docker.io"), &elsewhere, "read");
    assert!(refuses(&bao, &policy, "POST", &path) && refuses(&bao, &policy, "LIST", &mount));
    let policy = with_all_others(&policy, "read");
    is_denied(&helper(&bao, &policy, &rule(&path, "")).get("docker.io"), &path, "read");
}

#[test]
fn of_a_database_users_of_one_role_can_be_made() {
    let (Some(bao), Some(postgres)) = (Bao::find(), OwnPostgres::start()) else { return };
    let (mount, connection) = (bao.mount(&json!({"type": "database"})), unique("postgres"));
    bao.call("POST", &format!("{mount}/config/{connection}"), &postgres.connection());
    let create = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'";
    for role in ["registry", "other"] {
        let role_body = json!({"db_name": connection, "creation_statements": [create], "default_ttl": "1m"});
        bao.call("POST", &format!("{mount}/roles/{role}"), &role_body);
    }
    let (path, elsewhere) = (format!("{mount}/creds/registry"), format!("{mount}/creds/other"));
    let policy = policy("vault/read-database.hcl", "database/creds/registry", &path);
    let refused = with_all_others(&policy, "read");
    is_denied(&helper(&bao, &refused, &rule(&path, "")).get("docker.io"), &path, "read");
    is_denied(&helper(&bao, &policy, &rule(&elsewhere, "")).get("docker.io"), &elsewhere, "read");
    assert_eq!(postgres.users("v-%"), [""; 0]);
    assert_eq!(helper(&bao, &policy, &rule(&path, "")).get("docker.io").code, Some(0));
    assert_eq!(postgres.users("v-%").len(), 1);
    // The server drops the users it knows of while it still can.
    bao.call("PUT", &format!("sys/leases/revoke-prefix/{path}"), &json!({}));
}

#[test]
fn a_write_that_makes_a_credential_is_a_create() {
    // Docker Hub's engine cannot be had here. As to it, a path that holds nothing yet is created by a write to a K/V
    // engine, which answers when that was: a text, as good as a password.
    let Some(bao) = Bao::find() else { return };
    let asks = "method = \"POST\"\nbody.data = { label = \"ci\" }\nusername = \"hubuser\"\n\
        password-key = \"created_time\"";
    let place = || format!("secret/data/{}/read", unique("hub"));
    let (path, elsewhere) = (place(), place());
    let policy = policy("vault/mint-dockerhub.hcl", "dockerhub/token/hubuser/read", &path);
    let refused = with_all_others(&policy, "create");
    is_denied(
        &helper(&bao, &refused, &rule(&path, asks)).get("docker.io"),
        &path,
        "create (some engines: update)",
    );
    is_denied(
        &helper(&bao, &policy, &rule(&elsewhere, asks)).get("docker.io"),
        &elsewhere,
        "create (some engines: update)",
    );
    let answer = helper(&bao, &policy, &rule(&path, asks)).get("docker.io");
    assert!(answer.code == Some(0) && answer.stdout.contains("\"Username\":\"hubuser\""), "{answer:?}");
    assert_eq!(bao.call("GET", &path, &json!({}))["data"]["data"], json!({"label": "ci"}));
    assert!(refuses(&bao, &policy, "GET", &path));
}

/// Mints what cannot be used: a rule for OpenBao's one-time passwords that asks for a key they do not have.
struct Unusable {
    bao: Bao,
    path: String,
    policy: String,
}

impl Unusable {
    fn find() -> Option<Self> {
        let bao = Bao::find()?;
        let mount = bao.mount(&json!({"type": "ssh"}));
        let role = json!({"key_type": "otp", "default_user": "hubuser", "cidr_list": "127.0.0.0/8"});
        bao.call("POST", &format!("{mount}/roles/otp"), &role);
        let path = format!("{mount}/creds/otp");
        let policy = policy("vault/mint-dockerhub.hcl", "dockerhub/token/hubuser/read", &path);
        // As its comment says, this engine takes the other one.
        let policy = policy.replace("[\"create\"]", "[\"update\"]");
        Some(Self { bao, path, policy })
    }

    fn rule(&self, more: &str) -> String {
        rule(&self.path, &format!("method = \"POST\"\nbody.ip = \"127.0.0.1\"\n{more}"))
    }
}

#[test]
fn a_token_of_ones_own_takes_leases_back_only_where_the_policy_allows_it() {
    let Some(unusable) = Unusable::find() else { return };
    let revoking = text("vault/revoke-leases.hcl");
    let useless = with_all_others(&revoking, "update");
    for (more, left, by_hand) in [(useless, 1, true), (String::new(), 2, true), (revoking, 2, false)] {
        let policy = format!("{}\n{more}", unusable.policy);
        let answer = helper(&unusable.bao, &policy, &unusable.rule("")).get("docker.io");
        let line = answer.fails_with(&["it has no key `password`"]);
        assert_eq!(unusable.bao.leases(&unusable.path).len(), left, "{line}");
        assert_eq!(line.contains("by hand (permission denied)"), by_hand, "{line}");
    }
}

#[test]
fn a_login_takes_its_leases_back_by_the_default_policy() {
    let Some(unusable) = Unusable::find() else { return };
    let name = unique("policy");
    unusable.bao.call("PUT", &format!("sys/policies/acl/{name}"), &json!({"policy": unusable.policy}));
    let mount = unique("approle");
    unusable.bao.call("POST", &format!("sys/auth/{mount}"), &json!({"type": "approle"}));
    let role =
        json!({"token_policies": [name], "bind_secret_id": false, "token_bound_cidrs": ["127.0.0.0/8"]});
    unusable.bao.call("POST", &format!("auth/{mount}/role/ci"), &role);
    let id = unusable.bao.call("GET", &format!("auth/{mount}/role/ci/role-id"), &json!({}));
    let auth = format!(
        "[vault.default.auth]\nmethod = \"approle\"\nmount = \"{mount}\"\nrole-id = {}",
        id["data"]["role_id"]
    );
    let answer = unusable.bao.helper(&unusable.rule(&auth)).get("docker.io");
    let line = answer.fails_with(&["it has no key `password`"]);
    assert!(!line.contains("by hand"), "{line}");
    assert_eq!(unusable.bao.leases(&unusable.path), [""; 0]);
}
