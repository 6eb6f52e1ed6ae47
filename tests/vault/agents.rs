//! Agents and Proxies of OpenBao's, which log in by themselves and add their own token on a Unix socket.

use serde_json::{Value, json};

use super::approle::{AppRole, write};
use super::minting::get_and_hang_up;
use super::{double, rule};
use crate::support::Helper;
use crate::support::own_agent::{AppRoleLogin, OwnAgent};

/// Each kind, and what adds its token: what is cached is given to all clients alike.
const KINDS: [(&str, &str); 3] = [("proxy", "api_proxy"), ("agent", "api_proxy"), ("agent", "cache")];

/// One of each kind, logged in by the role.
fn start(role: &AppRole, kind: &str, adding: &str) -> Option<OwnAgent> {
    let secret_id = role.secret_id();
    let login = AppRoleLogin { mount: &role.mount, role_id: &role.role_id, secret_id: &secret_id };
    OwnAgent::start(kind, &role.bao.address, &login, adding)
}

/// A helper that has tokens at hand, and none of them good for anything.
fn helper(agent: &OwnAgent, path: &str, more: &str) -> Helper {
    let helper = Helper::with_config(&rule(path, more));
    write(&helper.home().join(".vault-token"), "wrong");
    helper.envs(&[("VAULT_ADDR", &agent.url()), ("VAULT_TOKEN", "wrong"), ("BAO_TOKEN", "wrong")])
}

#[test]
fn a_socket_is_read_without_a_token() {
    let Some(role) = AppRole::find() else { return };
    let double = double();
    for (kind, adding) in KINDS {
        let Some(agent) = start(&role, kind, adding) else { return };
        let plain = helper(&agent, &role.path, "");
        plain.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        // The table's address counts before the variable's, a data/ that is left out is found, no proxy is asked.
        let connection = format!("[vault.default]\naddress = \"{}\"", agent.url());
        let named = helper(&agent, &role.path.replacen("data/", "", 1), &connection);
        let named = named.envs(&[("VAULT_ADDR", &double.url()), ("ALL_PROXY", &double.url())]);
        named.env("HTTP_PROXY", double.url()).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        let answer = helper(&agent, "secret/data/another", "").get("ghcr.io");
        answer.fails_with(&[
            "vault: secret/data/another: permission denied; hint: no token was sent: have the Vault Agent or Proxy add",
        ]);
    }
    assert!(double.heard().is_empty());
}

#[test]
fn a_token_that_the_config_names_is_sent_before_the_agents_own() {
    let Some(role) = AppRole::find() else { return };
    let Some(agent) = start(&role, "proxy", "api_proxy") else { return };
    let name = role.bao.secret(&json!({"username": "u", "password": "of-another"}));
    let path = format!("secret/data/{name}");
    let token = role.bao.token(&format!("path \"{path}\" {{ capabilities = [\"read\"] }}"));
    let auth = "[vault.default.auth]\ntoken-env = \"CI_TOKEN\"";
    let own = helper(&agent, &path, auth).env("CI_TOKEN", token.as_str());
    own.get("ghcr.io").is_found("ghcr.io", "u", "of-another");
    let wrong = helper(&agent, &role.path, auth).env("CI_TOKEN", token);
    wrong
        .get("ghcr.io")
        .fails_with(&["permission denied; hint: the token must be valid and its policy allow read"]);
    let file = helper(&agent, &path, "[vault.default.auth]\ntoken-file = \"~/.vault-token\"");
    file.get("ghcr.io").fails_with(&["permission denied; hint: the token must be valid"]);
}

#[test]
fn a_login_through_a_socket_is_ones_own_and_given_back() {
    let Some(role) = AppRole::find() else { return };
    for (kind, adding) in KINDS {
        let Some(agent) = start(&role, kind, adding) else { return };
        let secret_id = role.secret_id();
        for _ in 0..2 {
            let helper = role.with_secret_id(&secret_id).env("VAULT_ADDR", agent.url());
            let answer = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").get("ghcr.io");
            assert!(
                answer.code == Some(0) && answer.stderr.contains("vault: login given back"),
                "{kind}: {answer:?}"
            );
        }
        assert!(agent.is_logged_in());
        helper(&agent, &role.path, "").get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    }
}

/// A mount of the ssh engine that the role may have one-time passwords of; the path.
fn one_time_passwords(role: &AppRole) -> String {
    let mount = role.bao.mount(&json!({"type": "ssh"}));
    let settings = json!({"key_type": "otp", "default_user": "hubuser", "cidr_list": "127.0.0.0/8"});
    role.bao.call("POST", &format!("{mount}/roles/otp"), &settings);
    let path = format!("{mount}/creds/otp");
    // It might revoke what it made: only the helper keeps from it.
    role.allow(&format!(
        "path \"{path}\" {{ capabilities = [\"create\", \"update\"] }}\n\
         path \"sys/leases/revoke\" {{ capabilities = [\"update\"] }}"
    ));
    path
}

#[test]
fn nothing_is_ever_taken_back_through_an_agent() {
    let Some(role) = AppRole::find() else { return };
    let path = one_time_passwords(&role);
    for (kind, adding) in KINDS {
        let Some(agent) = start(&role, kind, adding) else { return };
        let write = "method = \"POST\"\nbody = { ip = \"127.0.0.1\" }";
        let usable = helper(&agent, &path, &format!("{write}\npassword-key = \"key\""));
        let answer = usable.get("ghcr.io");
        assert!(answer.code == Some(0) && answer.stdout.contains("\"hubuser\""), "{kind}: {answer:?}");
        assert_eq!(role.bao.leases(&path).len(), 1, "{kind} {adding}");
        // An answer that cannot be used, and a caller that is gone: nobody gives these back, and another might hold them.
        let answer = helper(&agent, &path, &format!("{write}\npassword-key = \"token\"")).get("ghcr.io");
        answer.is_line(&format!(
            "vault: {path}: it has no key `token`; hint: set password-key to the key that holds it"
        ));
        assert_eq!(role.bao.leases(&path).len(), 2, "{kind} {adding}");
        let answer = get_and_hang_up(&usable);
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""));
        assert_eq!(role.bao.leases(&path).len(), 3, "{kind} {adding}");
        assert!(agent.is_logged_in());
        role.bao.call("PUT", &format!("sys/leases/revoke-prefix/{path}"), &Value::Null);
    }
}

#[test]
fn a_lease_made_with_a_token_that_is_named_is_given_back_through_a_socket_too() {
    let Some(role) = AppRole::find() else { return };
    let path = one_time_passwords(&role);
    let Some(agent) = start(&role, "proxy", "api_proxy") else { return };
    let more = "method = \"POST\"\nbody = { ip = \"127.0.0.1\" }\npassword-key = \"token\"\n\
        [vault.default.auth]\ntoken-env = \"CI_TOKEN\"";
    let helper = helper(&agent, &path, more).env("CI_TOKEN", role.bao.token.as_str());
    helper.get("ghcr.io").fails_with(&["it has no key `token`"]);
    assert!(role.bao.leases(&path).is_empty());
    assert!(agent.is_logged_in());
}
