//! A mount of OpenBao's `approle` engine with one role, whose tokens a test can count.

use serde_json::{Value, json};

use super::Helper;
use super::servers::{Bao, unique};

/// The role `ci`, at a mount of its own.
pub(crate) struct AppRole {
    pub(crate) mount: String,
    namespace: String,
    pub(crate) role_id: String,
    pub(crate) secret_id: String,
}

impl AppRole {
    /// A role that may do what the policy says and no more than every token.
    pub(crate) fn new(bao: &Bao, policy: &str) -> Self {
        Self::with(bao, "", policy, &json!({}))
    }

    /// The same in a namespace, and with more settings of the role.
    pub(crate) fn with(bao: &Bao, namespace: &str, policy: &str, settings: &Value) -> Self {
        let mount = unique("approle");
        let call = |method: &str, path: &str, body: &Value| bao.call_in(namespace, method, path, body);
        call("PUT", &format!("sys/policies/acl/{mount}"), &json!({ "policy": policy }));
        call("POST", &format!("sys/auth/{mount}"), &json!({"type": "approle"}));
        let mut role = json!({"token_policies": [mount], "token_ttl": "10m"});
        role.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let path = format!("auth/{mount}/role/ci");
        call("POST", &path, &role);
        let role_id = call("GET", &format!("{path}/role-id"), &Value::Null);
        let secret_id = call("POST", &format!("{path}/secret-id"), &json!({}));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            mount,
            namespace: namespace.to_owned(),
            role_id: text(&role_id["data"]["role_id"]),
            secret_id: text(&secret_id["data"]["secret_id"]),
        }
    }

    /// A helper whose config is the text and the login, after the lines of `[vault.default]`.
    pub(crate) fn helper(&self, bao: &Bao, config: &str, connection: &str) -> Helper {
        self.helper_in(bao, config, connection, "")
    }

    /// The same, with lines of `[vault.default.auth]`.
    pub(crate) fn helper_in(&self, bao: &Bao, config: &str, connection: &str, auth: &str) -> Helper {
        let Self { mount, role_id, .. } = self;
        let helper = Helper::with_config(&format!(
            "{config}\n[vault.default]\n{connection}\n[vault.default.auth]\n{auth}\nmethod = \"approle\"\n\
             mount = \"{mount}\"\nrole-id = \"{role_id}\"\nsecret-id-env = \"SECRET_ID\"\n"
        ));
        helper.envs(&[("VAULT_ADDR", &bao.address), ("SECRET_ID", &self.secret_id)])
    }

    /// How many tokens that it gave are still good.
    pub(crate) fn tokens(&self, bao: &Bao) -> usize {
        bao.leases_in(&self.namespace, &format!("auth/{}/login", self.mount)).len()
    }
}
