//! A K/V engine of a test's own, of either version.

use serde_json::{Value, json};

use super::Helper;
use super::servers::{Bao, request};

/// An engine at a mount of its own.
pub(crate) struct Kv {
    pub(crate) bao: Bao,
    pub(crate) mount: String,
    pub(crate) is_versioned: bool,
}

impl Kv {
    /// One of version 1 and one of version 2; none where there is no server.
    pub(crate) fn both() -> Vec<Self> {
        [false, true].into_iter().filter_map(Self::find).collect()
    }

    pub(crate) fn versioned() -> Option<Self> {
        Self::find(true)
    }

    /// Another one of the same version.
    pub(crate) fn another(&self) -> Self {
        Self::find(self.is_versioned).unwrap()
    }

    fn find(is_versioned: bool) -> Option<Self> {
        let bao = Bao::find()?;
        let version = if is_versioned { "2" } else { "1" };
        let mount = bao.mount(&json!({"type": "kv", "options": {"version": version}}));
        let kv = Self { bao, mount, is_versioned };
        // A new versioned engine takes no write before it has set itself up.
        kv.write("first", &json!({"x": "y"}));
        kv.bao.call("DELETE", &kv.path("first"), &Value::Null);
        Some(kv)
    }

    /// The API path of a secret.
    pub(crate) fn path(&self, name: &str) -> String {
        self.at("data", name)
    }

    fn at(&self, kind: &str, name: &str) -> String {
        if self.is_versioned {
            format!("{}/{kind}/{name}", self.mount)
        } else {
            format!("{}/{name}", self.mount)
        }
    }

    /// A rule for `ghcr.io` that clients write to and delete from, with more keys.
    pub(crate) fn rule(&self, name: &str, more: &str) -> String {
        self.rule_for("ghcr.io", name, more)
    }

    /// The same for a pattern.
    pub(crate) fn rule_for(&self, pattern: &str, name: &str, more: &str) -> String {
        let path = self.path(name);
        format!(
            "[registry.\"{pattern}\"]\nsource = \"vault\"\npath = \"{path}\"\nstore = \"write\"\nerase = \"delete\"\n{more}\n"
        )
    }

    /// A helper with that rule.
    pub(crate) fn helper(&self, name: &str, more: &str) -> Helper {
        self.bao.helper(&self.rule(name, more))
    }

    pub(crate) fn write(&self, name: &str, data: &Value) {
        let body = if self.is_versioned { json!({ "data": data }) } else { data.clone() };
        self.bao.call("POST", &self.path(name), &body);
    }

    /// What the secret holds; null where there is none.
    pub(crate) fn read(&self, name: &str) -> Value {
        let (status, answer) = self.ask("GET", &self.path(name), "");
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        match (status, self.is_versioned) {
            (404, _) => Value::Null,
            (_, true) => answer["data"]["data"].take(),
            (_, false) => answer["data"].take(),
        }
    }

    /// How many versions the secret had.
    pub(crate) fn versions(&self, name: &str) -> u64 {
        let metadata = self.bao.call("GET", &self.at("metadata", name), &Value::Null);
        metadata["data"]["current_version"].as_u64().unwrap()
    }

    /// One request with the root token, whatever it is answered.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let url = format!("{}/v1/{path}", self.bao.address);
        request(method, &url, &[("X-Vault-Token", &self.bao.token)], body)
    }
}
