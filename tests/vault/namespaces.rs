//! A login in one namespace of OpenBao's, secrets in another.

use serde_json::{Value, json};

use super::approle::AppRole;
use super::rule;
use crate::support::Helper;
use crate::support::servers::{Bao, unique};

/// An AppRole mount in one namespace that may read a secret in another.
struct Two {
    role: AppRole,
    path: String,
    secret_id: String,
}

impl Two {
    /// `below` is the secret's namespace as seen from that of the login.
    fn new(bao: Bao, login: &str, below: &str) -> Self {
        let role = AppRole::new(bao, login, &unique("approle"), &json!({}));
        let name = unique("reg");
        let path = format!("secret/data/{name}");
        let at = if login.is_empty() { below.to_owned() } else { format!("{login}/{below}") };
        let data = json!({"data": {"username": "u", "password": "of-the-child"}});
        role.bao.call_in(&at, "POST", &path, &data);
        let policy = format!("path \"{below}/{path}\" {{ capabilities = [\"read\"] }}");
        role.bao.call_in(login, "PUT", &format!("sys/policies/acl/{name}"), &json!({ "policy": policy }));
        let settings = json!({"token_policies": [name]});
        role.bao.call_in(login, "POST", &format!("auth/{}/role/ci", role.mount), &settings);
        let secret_id = role.secret_id();
        Self { role, path, secret_id }
    }

    /// A helper with lines of the connection's own and of its login.
    fn helper(&self, connection: &str, auth: &str) -> Helper {
        let more = format!(
            "[vault.default]\n{connection}\n[vault.default.auth]\nmethod = \"approle\"\nmount = \"{}\"\n{}{auth}",
            self.role.mount,
            self.role.keys()
        );
        Helper::with_config(&rule(&self.path, &more))
            .envs(&[("VAULT_ADDR", &self.role.bao.address), ("SECRET_ID", &self.secret_id)])
    }

    /// A failure of the login.
    fn line(&self, told: &str) -> String {
        format!("vault: {}: login at auth/{}: {told}", self.path, self.role.mount)
    }
}

fn namespace(name: &str) -> String {
    format!("namespace = \"{name}\"")
}

#[track_caller]
fn is_found(helper: &Helper) {
    helper.get("ghcr.io").is_found("ghcr.io", "u", "of-the-child");
}

#[test]
fn a_login_in_the_root_reads_below_it() {
    let Some(bao) = Bao::find() else { return };
    let space = bao.namespace();
    let two = Two::new(bao, "", &space);
    for root in ["root", "/", "root/", "/root"] {
        is_found(&two.helper(&namespace(&space), &namespace(root)));
        is_found(&two.helper("", &namespace(root)).env("VAULT_NAMESPACE", &space));
    }
    // Without one of its own, the login goes where the secrets are.
    let answer = two.helper(&namespace(&space), "").get("ghcr.io");
    answer.fails_with(&[&two.line("permission denied; hint: check mount and namespace")]);
}

#[test]
fn a_login_in_a_namespace_reads_in_one_below() {
    let Some(bao) = Bao::find() else { return };
    let parent = bao.namespace();
    bao.call_in(&parent, "POST", "sys/namespaces/child", &Value::Null);
    let child = format!("{parent}/child");
    bao.call_in(&child, "POST", "sys/mounts/secret", &json!({"type": "kv", "options": {"version": "2"}}));
    let two = Two::new(bao, &parent, "child");
    let helper = two.helper(&namespace(&child), &namespace(&parent));
    is_found(&helper);
    is_found(&helper.env("VAULT_NAMESPACE", "no-such-space"));
    is_found(&two.helper("", &namespace(&parent)).env("VAULT_NAMESPACE", &child));
    is_found(&two.helper(&namespace(&format!("/{child}/")), &namespace(&format!("{parent}/"))));
    // The mount is the parent's own.
    let answer = two.helper(&namespace(&child), "").get("ghcr.io");
    answer.fails_with(&[&two.line("permission denied; hint: check mount and namespace")]);
}

#[test]
fn a_namespace_that_is_not_there_is_said() {
    let Some(bao) = Bao::find() else { return };
    let space = bao.namespace();
    let two = Two::new(bao, "", &space);
    let told = "namespace not found; hint: check namespace, mount and address";
    let answer = two.helper(&namespace("no-such-space"), "").get("ghcr.io");
    answer.is_line(&two.line(told));
    let answer = two.helper(&namespace(&space), &namespace("no-such-space")).get("ghcr.io");
    answer.is_line(&two.line(told));
    let answer = two.helper(&namespace("no-such-space"), &namespace("root")).get("ghcr.io");
    answer.is_line(&format!("vault: {}: namespace not found; hint: check path and namespace", two.path));
}

#[test]
fn a_namespace_that_is_left_out_is_a_refusal_that_names_it() {
    let Some(bao) = Bao::find() else { return };
    let space = bao.namespace();
    let role = AppRole::new(bao, &space, &unique("approle"), &json!({}));
    let helper = role.with_secret_id(&role.secret_id());
    helper.get("ghcr.io").fails_with(&[&role.line("permission denied; hint: check mount and namespace")]);
    // A mount of the same name in the root tells a wrong namespace as a wrong secret-id.
    role.bao.call("POST", &format!("sys/auth/{}", role.mount), &json!({"type": "approle"}));
    let told = "invalid role or secret ID; hint: check role-id, mount and namespace";
    helper.get("ghcr.io").fails_with(&[&role.line(told)]);
    helper.env("BAO_NAMESPACE", &space).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}
