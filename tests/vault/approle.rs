//! Logins by AppRole, at mounts of OpenBao's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::rule;
use crate::support::Helper;
use crate::support::servers::{Bao, request, unique};

/// A mount whose one role may read one secret, `octocat` with `pw-1`.
pub(super) struct AppRole {
    pub(super) bao: Bao,
    namespace: String,
    pub(super) mount: String,
    pub(super) role_id: String,
    /// The secret's path.
    pub(super) path: String,
}

impl AppRole {
    pub(super) fn find() -> Option<Self> {
        Some(Self::new(Bao::find()?, "", &unique("approle"), &json!({})))
    }

    /// At this mount of a namespace, `""` being the root's, with these settings of the role.
    pub(super) fn new(bao: Bao, namespace: &str, mount: &str, settings: &Value) -> Self {
        let name = unique("reg");
        let path = format!("secret/data/{name}");
        let call = |method, path: &str, body: &Value| bao.call_in(namespace, method, path, body);
        call("POST", &path, &json!({"data": {"username": "octocat", "password": "pw-1"}}));
        let policy = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
        call("PUT", &format!("sys/policies/acl/{name}"), &json!({ "policy": policy }));
        call("POST", &format!("sys/auth/{mount}"), &json!({"type": "approle"}));
        let role = format!("auth/{mount}/role/ci");
        call("POST", &role, &json!({"token_policies": [name]}));
        if settings.as_object().is_some_and(|settings| !settings.is_empty()) {
            call("POST", &role, settings);
        }
        let role_id = call("GET", &format!("{role}/role-id"), &Value::Null)["data"]["role_id"].take();
        let role_id = role_id.as_str().unwrap().to_owned();
        Self { namespace: namespace.to_owned(), mount: mount.to_owned(), role_id, path, bao }
    }

    /// Lets the role do more.
    pub(super) fn allow(&self, policy: &str) {
        let name = unique("policy");
        self.bao.call("PUT", &format!("sys/policies/acl/{name}"), &json!({ "policy": policy }));
        let role = format!("auth/{}/role/ci", self.mount);
        let own = self.path.trim_start_matches("secret/data/");
        self.bao.call("POST", &role, &json!({"token_policies": [own, name]}));
    }

    pub(super) fn secret_id(&self) -> String {
        let made = self.bao.call_in(&self.namespace, "POST", &self.secret_ids(), &json!({}));
        made["data"]["secret_id"].as_str().unwrap().to_owned()
    }

    /// A secret-id that is wrapped for that long.
    pub(super) fn wrapped(&self, time: &str) -> String {
        self.wrap(time, "POST", &self.secret_ids())
    }

    /// What the path answers, wrapped for that long.
    pub(super) fn wrap(&self, time: &str, method: &str, path: &str) -> String {
        let url = format!("{}/v1/{path}", self.bao.address);
        let namespace = if self.namespace.is_empty() { "/" } else { &self.namespace };
        let headers = [
            ("X-Vault-Token", self.bao.token.as_str()),
            ("X-Vault-Namespace", namespace),
            ("X-Vault-Wrap-TTL", time),
        ];
        let (status, answer) = request(method, &url, &headers, "{}");
        assert_eq!(status, 200, "{path}: {answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["wrap_info"]["token"].as_str().unwrap().to_owned()
    }

    fn secret_ids(&self) -> String {
        format!("auth/{}/role/ci/secret-id", self.mount)
    }

    /// A helper that logs in with these keys, while variables hold a token that is none.
    pub(super) fn helper(&self, keys: &str) -> Helper {
        let mount = &self.mount;
        let auth = format!("[vault.default.auth]\nmethod = \"approle\"\nmount = \"{mount}\"\n{keys}");
        Helper::with_config(&rule(&self.path, &auth)).envs(&[
            ("VAULT_ADDR", &self.bao.address),
            ("VAULT_TOKEN", "wrong"),
            ("BAO_TOKEN", "wrong"),
        ])
    }

    /// The same with the role-id, and a secret-id from `SECRET_ID`.
    pub(super) fn with_secret_id(&self, secret_id: &str) -> Helper {
        self.helper(&self.keys()).env("SECRET_ID", secret_id)
    }

    pub(super) fn keys(&self) -> String {
        format!("role-id = \"{}\"\nsecret-id-env = \"SECRET_ID\"\n", self.role_id)
    }

    /// A failure of the login, with this cause and remedy.
    pub(super) fn line(&self, told: &str) -> String {
        format!("vault: {}: login at auth/{}: {told}", self.path, self.mount)
    }
}

#[track_caller]
fn is_found(helper: &Helper) {
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

/// Writes what only the user can read.
pub(super) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn both_ids_come_from_wherever_the_config_says() {
    let Some(role) = AppRole::find() else { return };
    let secret_id = role.secret_id();
    let literal = format!("role-id = \"{}\"", role.role_id);
    for role_key in [literal.as_str(), "role-id-env = \"ROLE_ID\"", "role-id-file = \"ids/role\""] {
        for secret_key in ["secret-id-env = \"SECRET_ID\"", "secret-id-file = \"~/ids/secret\""] {
            let helper = role.helper(&format!("{role_key}\n{secret_key}"));
            write(&helper.config_file().with_file_name("ids/role"), &format!("{}\n", role.role_id));
            write(&helper.home().join("ids/secret"), &format!("{secret_id}\r\n"));
            // Neither the variables' token nor that of a login counts where the config names another way in.
            write(&helper.home().join(".vault-token"), "wrong");
            is_found(&helper.envs(&[("ROLE_ID", &role.role_id), ("SECRET_ID", &secret_id)]));
        }
    }
}

#[test]
fn a_role_may_need_no_secret_id() {
    let Some(bao) = Bao::find() else { return };
    let settings = json!({"bind_secret_id": false, "token_bound_cidrs": ["127.0.0.1/32"]});
    let role = AppRole::new(bao, "", &unique("approle"), &settings);
    is_found(&role.helper(&format!("role-id = \"{}\"", role.role_id)));
}

#[test]
fn a_secret_id_that_the_role_needs_is_named_as_what_is_missing() {
    let Some(role) = AppRole::find() else { return };
    let answer = role.helper(&format!("role-id = \"{}\"", role.role_id)).get("ghcr.io");
    answer.is_line(&role.line(
        "missing secret_id; hint: check role-id, mount and namespace; where the role wants a secret-id, name \
        secret-id-env or secret-id-file",
    ));
}

#[test]
fn a_mount_may_have_several_segments() {
    let Some(bao) = Bao::find() else { return };
    let role = AppRole::new(bao, "", &format!("{}/ci", unique("team")), &json!({}));
    is_found(&role.with_secret_id(&role.secret_id()));
    // As the servers' own tools print it.
    let config = rule(
        &role.path,
        &format!(
            "[vault.default.auth]\nmethod = \"approle\"\nmount = \"auth/{}/\"\n{}",
            role.mount,
            role.keys()
        ),
    );
    let helper = Helper::with_config(&config).env("VAULT_ADDR", &role.bao.address);
    is_found(&helper.env("SECRET_ID", role.secret_id()));
    let answer = role.with_secret_id("wrong").get("ghcr.io");
    answer.fails_with(&[&format!("login at auth/{}: invalid role or secret ID", role.mount)]);
}

const NEITHER: &str = "invalid role or secret ID; hint: check role-id, mount and namespace, and that the secret-id is \
    neither used up nor expired";

#[test]
fn a_wrong_id_is_refused_in_the_servers_word() {
    let Some(role) = AppRole::find() else { return };
    let secret_id = role.secret_id();
    role.with_secret_id("wrong").get("ghcr.io").is_line(&role.line(NEITHER));
    let keys = "role-id = \"other\"\nsecret-id-env = \"SECRET_ID\"";
    role.helper(keys).env("SECRET_ID", &secret_id).get("ghcr.io").is_line(&role.line(NEITHER));
    is_found(&role.with_secret_id(&secret_id));
}

#[test]
fn a_secret_id_that_is_used_up_is_refused() {
    let Some(bao) = Bao::find() else { return };
    let role = AppRole::new(bao, "", &unique("approle"), &json!({"secret_id_num_uses": 1}));
    let helper = role.with_secret_id(&role.secret_id());
    is_found(&helper);
    helper.get("ghcr.io").is_line(&role.line(NEITHER));
}

#[test]
fn a_wrong_login_is_tried_once_and_five_lock_the_role() {
    let Some(role) = AppRole::find() else { return };
    let (right, wrong) = (role.with_secret_id(&role.secret_id()), role.with_secret_id("wrong"));
    for _ in 0..4 {
        wrong.get("ghcr.io").is_line(&role.line(NEITHER));
    }
    // Had any of these been sent twice, the server would refuse this one.
    is_found(&right);
    for _ in 0..5 {
        wrong.get("ghcr.io").is_line(&role.line(NEITHER));
    }
    right.get("ghcr.io").is_line(&role.line(
        "permission denied; hint: check mount and namespace; after five wrong logins the server locks the role for 15 \
        minutes",
    ));
}

#[test]
fn a_mount_that_is_not_there_is_refused() {
    let Some(mut role) = AppRole::find() else { return };
    let secret_id = role.secret_id();
    role.mount = unique("nowhere");
    let answer = role.with_secret_id(&secret_id).get("ghcr.io");
    answer.fails_with(&[&role.line("permission denied; hint: check mount and namespace")]);
}

#[test]
fn what_is_missing_here_is_said_and_nothing_is_sent() {
    let double = super::double();
    let get = |keys: &str| {
        let auth = format!("[vault.default.auth]\nmethod = \"approle\"\n{keys}");
        let helper = Helper::with_config(&rule("secret/data/ghcr", &auth)).env("VAULT_ADDR", double.url());
        write(&helper.home().join("empty"), "\n");
        helper.envs(&[("SECRET_ID", ""), ("ROLE_ID", "")]).get("ghcr.io")
    };
    for (keys, told) in [
        ("role-id-env = \"ROLE_ID\"", "no role-id: ROLE_ID is not set; hint: set ROLE_ID"),
        (
            "role-id = \"r\"\nsecret-id-env = \"SECRET_ID\"",
            "no secret-id: SECRET_ID is not set; hint: set SECRET_ID",
        ),
    ] {
        get(keys).is_line(&format!("vault: secret/data/ghcr: {told}"));
    }
    for (keys, parts) in [
        (
            "role-id = \"r\"\nsecret-id-file = \"~/empty\"",
            ["no secret-id: ", "/empty is empty; hint: write it to /"],
        ),
        (
            "role-id = \"r\"\nsecret-id-file = \"~/gone\"",
            [": no file /", "/gone; hint: have the secret-id written there"],
        ),
        ("role-id = \"r\"\nsecret-id-file = \"~/.\"", [": cannot read /", "it is not a regular file"]),
    ] {
        get(keys).fails_with(&parts);
    }
    assert!(double.heard().is_empty());
}

#[test]
fn the_log_holds_neither_ids_nor_tokens() {
    let Some(role) = AppRole::find() else { return };
    let secret_id = role.secret_id();
    let helper = role.with_secret_id(&secret_id).env("DOCKER_CREDENTIAL_LEASE_LOG", "1");
    let answer = helper.get("ghcr.io");
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(answer.stderr.contains("vault: login given back"), "{}", answer.stderr);
    for secret in [&secret_id, &role.role_id, "s.", "pw-1"] {
        assert!(!answer.stderr.contains(secret), "{secret} is in {}", answer.stderr);
    }
}
