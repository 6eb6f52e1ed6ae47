//! Which server is asked, and in which namespace.

use serde_json::json;

use super::{double, head, rule};
use crate::support::Helper;
use crate::support::servers::{Bao, unique};

/// Writes a secret with this password in the root namespace and with another in one of its own: its path, the namespace.
fn in_two_namespaces(bao: &Bao) -> (String, String) {
    let (space, name) = (bao.namespace(), unique("reg"));
    for (namespace, password) in [("", "of-the-root"), (&space, "of-the-space")] {
        let body = json!({"data": {"username": "u", "password": password}});
        bao.call_in(namespace, "POST", &format!("secret/data/{name}"), &body);
    }
    (name, space)
}

#[test]
fn the_config_names_a_namespace() {
    let Some(bao) = Bao::find() else { return };
    let (name, space) = in_two_namespaces(&bao);
    let token = bao.token(&format!("path \"{space}/secret/data/{name}\" {{ capabilities = [\"read\"] }}"));
    for path in [format!("secret/data/{name}"), format!("secret/{name}")] {
        let config = rule(&path, &format!("[vault.default]\nnamespace = \"{space}\""));
        let helper = bao.helper(&config).env("VAULT_NAMESPACE", "no-such-space");
        helper.get("ghcr.io").is_found("ghcr.io", "u", "of-the-space");
        helper.env("VAULT_TOKEN", &token).get("ghcr.io").is_found("ghcr.io", "u", "of-the-space");
        bao.helper(&rule(&path, "")).get("ghcr.io").is_found("ghcr.io", "u", "of-the-root");
    }
}

#[test]
fn a_variable_names_a_namespace_and_openbaos_own_comes_first() {
    let Some(bao) = Bao::find() else { return };
    let (name, space) = in_two_namespaces(&bao);
    let config = rule(&format!("secret/data/{name}"), "");
    for variables in [
        &[("VAULT_NAMESPACE", space.as_str())][..],
        &[("BAO_NAMESPACE", space.as_str())],
        &[("BAO_NAMESPACE", space.as_str()), ("VAULT_NAMESPACE", "no-such-space")],
        &[("BAO_NAMESPACE", ""), ("VAULT_NAMESPACE", space.as_str())],
    ] {
        bao.helper(&config).envs(variables).get("ghcr.io").is_found("ghcr.io", "u", "of-the-space");
    }
}

#[test]
fn a_path_may_begin_with_its_namespace() {
    let Some(bao) = Bao::find() else { return };
    let (name, space) = in_two_namespaces(&bao);
    let token = bao.token(&format!("path \"{space}/secret/data/{name}\" {{ capabilities = [\"read\"] }}"));
    for path in [format!("{space}/secret/data/{name}"), format!("{space}/secret/{name}")] {
        for token in [&bao.token, &token] {
            let helper = bao.helper(&rule(&path, "")).env("VAULT_TOKEN", token);
            helper.get("ghcr.io").is_found("ghcr.io", "u", "of-the-space");
        }
    }
}

#[test]
fn the_address_is_the_configs_then_openbaos_then_vaults() {
    let doubles = [double(), double(), double()];
    let [first, second, third] = doubles.each_ref().map(|double| double.url());
    let heard = || doubles.each_ref().map(|double| double.heard().len());
    let fetch = |more: &str, bao: &str| {
        let helper = Helper::with_config(&rule("secret/data/ghcr", more)).env("VAULT_TOKEN", "t");
        let helper = helper.envs(&[("BAO_ADDR", bao), ("VAULT_ADDR", &third)]);
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    };
    fetch("", "");
    assert_eq!(heard(), [0, 0, 1]);
    fetch("", &second);
    assert_eq!(heard(), [0, 1, 1]);
    fetch(&format!("[vault.default]\naddress = \"{first}\""), &second);
    assert_eq!(heard(), [1, 1, 1]);
}

#[test]
fn an_address_keeps_its_path() {
    let double = double();
    for prefix in ["/bao", "/bao/", "/a/b"] {
        let helper = Helper::with_config(&rule("secret/data/ghcr", "")).env("VAULT_TOKEN", "t");
        let helper = helper.env("VAULT_ADDR", format!("{}{prefix}", double.url()));
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        let line = head(double.heard().last().unwrap()).0;
        let prefix = prefix.trim_end_matches('/');
        assert_eq!(line, format!("GET {prefix}/v1/secret/data/ghcr HTTP/1.1"));
    }
}

#[test]
fn a_rule_names_its_connection() {
    let Some(bao) = Bao::find() else { return };
    let double = double();
    let name = bao.secret(&json!({"username": "octocat", "password": "of-the-other"}));
    let config = format!(
        "{}{}[vault.default]\naddress = \"{}\"\n\
         [vault.other]\naddress = \"{}\"\n[vault.other.auth]\ntoken-env = \"OTHER_TOKEN\"\n",
        rule(&format!("secret/data/{name}"), "vault = \"other\""),
        "[registry.\"quay.io\"]\nsource = \"vault\"\npath = \"secret/data/quay\"\n",
        double.url(),
        bao.address,
    );
    let helper = Helper::with_config(&config).envs(&[("VAULT_TOKEN", "mine"), ("OTHER_TOKEN", &bao.token)]);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "of-the-other");
    assert!(double.heard().is_empty());
    helper.get("quay.io").is_found("quay.io", "octocat", "pw-1");
    assert!(head(&double.heard()[0]).1.contains(&"x-vault-token: mine".to_owned()));
}
