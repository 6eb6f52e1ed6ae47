//! The agent: a process that keeps what look-ups have fetched.

mod activation;
mod chaos;
mod failing;
mod inputs;
mod leases;
mod life;
mod lines;
mod load;
mod logins;
mod places;
mod sharing;
mod trust;

use serde_json::{Value, json};

use crate::support::relay::Relay;
use crate::support::servers::{Bao, unique};
use crate::support::{Answer, Helper};

/// A rule that asks Vault for the path.
fn rule(registry: &str, path: &str, more: &str) -> String {
    format!("[registry.\"{registry}\"]\nsource = \"vault\"\npath = \"{path}\"\n{more}\n")
}

/// A secret in OpenBao behind a relay that counts: `octocat` with `pw-1`, for `ghcr.io`.
struct Kv {
    bao: Bao,
    relay: Relay,
    name: String,
}

impl Kv {
    fn find() -> Option<Self> {
        let bao = Bao::find()?;
        let name = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
        Some(Self { relay: Relay::to(&bao.address), bao, name })
    }

    fn rule(&self, more: &str) -> String {
        rule("ghcr.io", &format!("secret/data/{}", self.name), more)
    }

    fn helper(&self, more: &str) -> Helper {
        self.bao.helper(&self.rule(more)).env("VAULT_ADDR", self.relay.url())
    }

    fn requests(&self) -> usize {
        self.relay.counts().1
    }
}

/// An engine that makes one-time passwords, each with a lease, for `ghcr.io`.
struct Otp {
    bao: Bao,
    relay: Relay,
    mount: String,
}

impl Otp {
    fn find() -> Option<Self> {
        Bao::find().map(Self::at)
    }

    fn at(bao: Bao) -> Self {
        let mount = bao.mount(&json!({"type": "ssh"}));
        let role = json!({"key_type": "otp", "default_user": "hubuser", "cidr_list": "127.0.0.0/8"});
        bao.call("POST", &format!("{mount}/roles/otp"), &role);
        Self { relay: Relay::to(&bao.address), bao, mount }
    }

    fn path(&self) -> String {
        format!("{}/creds/otp", self.mount)
    }

    fn rule(&self, more: &str) -> String {
        let keys = "method = \"POST\"\nbody = { ip = \"127.0.0.1\" }\npassword-key = \"key\"";
        rule("ghcr.io", &self.path(), &format!("{keys}\n{more}"))
    }

    fn helper(&self, more: &str) -> Helper {
        self.bao.helper(&self.rule(more)).env("VAULT_ADDR", self.relay.url())
    }

    fn leases(&self) -> Vec<String> {
        self.bao.leases(&self.path())
    }
}

/// A role that logs in by a secret-id, under a mount of its own.
struct AppRole {
    mount: String,
    role_id: String,
}

impl AppRole {
    /// Its tokens may do what the policy says, and have these settings too.
    fn new(bao: &Bao, policy: &str, settings: Value) -> Self {
        let mount = unique("approle");
        bao.call("POST", &format!("sys/auth/{mount}"), &json!({"type": "approle"}));
        bao.call("PUT", &format!("sys/policies/acl/{mount}"), &json!({ "policy": policy }));
        let mut role = settings;
        role["token_policies"] = json!([mount]);
        bao.call("POST", &format!("auth/{mount}/role/ci"), &role);
        let role_id = bao.call("GET", &format!("auth/{mount}/role/ci/role-id"), &Value::Null);
        Self { role_id: role_id["data"]["role_id"].as_str().unwrap().to_owned(), mount }
    }

    fn secret_id(&self, bao: &Bao) -> String {
        let made = bao.call("POST", &format!("auth/{}/role/ci/secret-id", self.mount), &json!({}));
        made["data"]["secret_id"].as_str().unwrap().to_owned()
    }

    /// The auth table; the secret-id stands in the variable `SECRET_ID`.
    fn table(&self) -> String {
        format!(
            "[vault.default.auth]\nmethod = \"approle\"\nmount = \"{}\"\nrole-id = \"{}\"\n\
             secret-id-env = \"SECRET_ID\"\n",
            self.mount, self.role_id
        )
    }
}

/// The secret of an answer that has one.
#[track_caller]
fn secret(answer: &Answer) -> String {
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    found["Secret"].as_str().unwrap().to_owned()
}
