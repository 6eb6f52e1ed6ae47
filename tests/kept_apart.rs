//! What the agent keeps of one registry, and what it remembers of one login, where several ask it.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::Helper;
use crate::support::relay::Relay;
use crate::support::servers::{Bao, Moto, unique};

const SOCKET: &str = "DOCKER_CREDENTIAL_LEASE_SOCKET";

/// A helper with an agent, which ends with it.
struct Served(Helper);

impl Served {
    fn new(helper: Helper) -> Self {
        let socket = helper.home().join("agent.sock").display().to_string();
        Self::at(helper, socket)
    }

    fn at(helper: Helper, socket: String) -> Self {
        let served = Self(helper.env(SOCKET, socket));
        let started = served.0.run(&["agent", "--detach"], "");
        assert_eq!((started.code, started.stderr.as_str()), (Some(0), ""));
        served
    }

    /// The username that is given for the registry.
    fn username(&self, registry: &str) -> String {
        let answer = self.0.get(registry);
        assert_eq!(answer.code, Some(0), "{}", answer.stdout);
        let found: Value = serde_json::from_str(&answer.stdout).unwrap();
        found["Username"].as_str().unwrap().to_owned()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.0.run(&["agent", "status", "--json"], "").stdout).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.run(&["agent", "stop"], "");
    }
}

#[test]
fn what_a_body_made_for_one_registry_is_not_given_for_another() {
    let Some(bao) = Bao::find() else { return };
    let mount = bao.mount(&json!({"type": "ssh"}));
    let role = json!({
        "key_type": "otp", "default_user": "nobody", "allowed_users": "*", "cidr_list": "127.0.0.0/8",
    });
    bao.call("POST", &format!("{mount}/roles/otp"), &role);
    let config = format!(
        "[registry.\"*.registry.example.com\"]\nsource = \"vault\"\npath = \"{mount}/creds/otp\"\n\
         method = \"POST\"\npassword-key = \"key\"\nbody = {{ ip = \"127.0.0.1\", username = \"{{host}}\" }}\n"
    );
    let served = Served::new(bao.helper(&config));
    for registry in ["a.registry.example.com", "b.registry.example.com", "a.registry.example.com"] {
        assert_eq!(served.username(registry), registry);
    }
    assert_eq!(bao.leases(&format!("{mount}/creds/otp")).len(), 2, "each was made once");
}

#[test]
fn a_user_of_one_registry_is_not_given_for_another() {
    let Some(moto) = Moto::find() else { return };
    let (password, users) = (moto.secret("one for all"), unique("users"));
    for host in ["a", "b"] {
        let name = format!("{users}/{host}.registry.example.com");
        moto.call("us-east-1", "CreateSecret", &json!({"Name": name, "SecretString": host}));
    }
    let served = Served::new(moto.helper(&format!(
        "[registry.\"*.registry.example.com\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{password}\"\n\
         username-secret = \"{users}/{{host}}\"\n"
    )));
    for host in ["a", "b", "a"] {
        assert_eq!(served.username(&format!("{host}.registry.example.com")), host);
    }
}

#[test]
fn a_refused_login_locks_nobody_out_however_many_registries_are_asked_for() {
    let Some(bao) = Bao::find() else { return };
    let mount = unique("approle");
    bao.call("POST", &format!("sys/auth/{mount}"), &json!({"type": "approle"}));
    let policy = unique("policy");
    bao.call(
        "PUT",
        &format!("sys/policies/acl/{policy}"),
        &json!({"policy": "path \"secret/*\" { capabilities = [\"read\"] }"}),
    );
    bao.call("POST", &format!("auth/{mount}/role/ci"), &json!({"token_policies": [policy]}));
    let id = bao.call("GET", &format!("auth/{mount}/role/ci/role-id"), &json!({}));
    let role_id = id["data"]["role_id"].as_str().unwrap().to_owned();
    let name = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
    let path = format!("secret/data/{name}");
    // Each of them asks another place; `{host}` names one where nothing is.
    let config = format!(
        "[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"{path}\"\n\
         [registry.\"*.registry.example.com\"]\nsource = \"vault\"\npath = \"secret/data/none/{{host}}\"\n\
         [vault.default.auth]\nmethod = \"approle\"\nmount = \"{mount}\"\nrole-id = \"{role_id}\"\n\
         secret-id-file = \"../../secret-id\"\n"
    );
    let relay = Relay::to(&bao.address);
    let helper = Helper::with_config(&config).env("VAULT_ADDR", relay.url());
    let secret_id = helper.home().join("secret-id");
    fs::write(&secret_id, "wrong").unwrap();
    let served = Served::new(helper);
    for number in 0..7 {
        let answer = served.0.get(format!("r{number}.registry.example.com"));
        let place = format!("vault: secret/data/none/r{number}.registry.example.com: ");
        let line = answer.fails_with(&[&place, "invalid role or secret ID"]);
        // Whoever mends it at the server would else wonder why nothing changes.
        let untried = "; not tried again for 5 minutes or until `docker-credential-lease agent flush`";
        assert_eq!(line.ends_with(untried), number > 0, "{line}");
    }
    let answer = served.0.get("ghcr.io");
    answer.fails_with(&[&format!("vault: {path}: "), "invalid role or secret ID"]);
    assert_eq!(relay.counts().1, 1, "one login for all of them");
    // Whoever has mended it is not made to wait, and the role is not locked.
    let made = bao.call("POST", &format!("auth/{mount}/role/ci/secret-id"), &json!({}));
    fs::write(&secret_id, made["data"]["secret_id"].as_str().unwrap()).unwrap();
    assert_eq!(served.username("ghcr.io"), "octocat");
    bao.call("DELETE", &format!("sys/auth/{mount}"), &json!({}));
}

#[test]
fn a_flush_of_one_registry_lets_a_refused_login_be_tried_again() {
    let Some(bao) = Bao::find() else { return };
    let mount = unique("userpass");
    bao.call("POST", &format!("sys/auth/{mount}"), &json!({"type": "userpass"}));
    let config = format!(
        "[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"secret/data/one\"\n\
         [registry.\"quay.io\"]\nsource = \"vault\"\npath = \"secret/data/two\"\n\
         [vault.default.auth]\nmethod = \"userpass\"\nmount = \"{mount}\"\nusername = \"ci\"\npassword-env = \"PASSWORD\"\n"
    );
    let relay = Relay::to(&bao.address);
    let helper = Helper::with_config(&config).env("VAULT_ADDR", relay.url()).env("PASSWORD", "wrong");
    let served = Served::new(helper);
    let logins_after = |registry: &str, logins: usize| {
        served.0.get(registry).fails_with(&["vault: secret/data/", "invalid username or password"]);
        assert_eq!(relay.counts().1, logins, "{registry}");
    };
    logins_after("ghcr.io", 1);
    logins_after("quay.io", 1);
    assert_eq!(served.0.run(&["agent", "flush", "docker.io"], "").code, Some(0));
    logins_after("ghcr.io", 1);
    assert_eq!(served.0.run(&["agent", "flush", "quay.io"], "").code, Some(0));
    logins_after("ghcr.io", 2);
    bao.call("DELETE", &format!("sys/auth/{mount}"), &json!({}));
}

#[test]
fn an_agent_that_was_killed_is_in_nobodys_way() {
    let Some(bao) = Bao::find() else { return };
    let name = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
    let path = format!("secret/data/{name}");
    let rule = format!("[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"{path}\"\n");
    let served = Served::new(bao.helper(&rule));
    let kill = || {
        let pid = i32::try_from(served.status()["pid"].as_u64().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        // It is gone once it no longer answers; its socket stays.
        while served.0.run(&["agent", "status"], "").code == Some(0) {}
        assert!(served.0.home().join("agent.sock").exists());
    };
    kill();
    served.0.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    // Where the config says so, the next one takes its place.
    fs::write(served.0.config_file(), format!("[agent]\nautostart = true\n{rule}")).unwrap();
    served.0.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert_eq!(served.status()["credentials"][0]["registry"], "ghcr.io");
    kill();
    assert_eq!(served.0.run(&["agent", "--detach"], "").code, Some(0));
    assert_eq!(served.status()["credentials"], json!([]));
}

#[test]
fn a_socket_may_be_named_from_where_one_stands() {
    let served = Served::at(Helper::new(), "agent.sock".to_owned());
    let socket = served.0.home().join("agent.sock").canonicalize().unwrap();
    assert_eq!(served.status()["socket"], socket.display().to_string());
}
