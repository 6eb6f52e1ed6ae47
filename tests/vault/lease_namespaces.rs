//! Leases of one namespace that hang on a login in another, or do not.

use serde_json::json;

use super::minting::get_and_hang_up;
use super::rule;
use crate::support::app_role::AppRole;
use crate::support::gate::Gate;
use crate::support::servers::{Bao, in_the_end};

const OTP: &str = "method = \"POST\"\nbody.ip = \"127.0.0.1\"\n";
const USABLE: &str = "password-key = \"key\"";
const UNUSABLE: &str = "password-key = \"token\"";

/// A policy that allows nothing of use.
const NOTHING: &str = "path \"nothing\" { capabilities = [\"read\"] }";

/// A namespace with an engine that makes one-time passwords, at `ssh/`; its name.
fn minting(bao: &Bao) -> String {
    let space = bao.namespace();
    bao.call_in(&space, "POST", "sys/mounts/ssh", &json!({"type": "ssh"}));
    let role = json!({"key_type": "otp", "default_user": "hubuser", "cidr_list": "127.0.0.0/8"});
    bao.call_in(&space, "POST", "ssh/roles/otp", &role);
    space
}

fn leases(bao: &Bao, space: &str) -> Vec<String> {
    bao.leases_in(space, "ssh/creds/otp")
}

/// What the role may do in the namespace, seen from its parent.
fn policy(space: &str, revoke: &str) -> String {
    format!(
        "path \"{space}/ssh/creds/otp\" {{ capabilities = [\"create\", \"update\"] }}\n\
         path \"{revoke}\" {{ capabilities = [\"update\"] }}"
    )
}

#[test]
fn a_lease_of_the_logins_own_namespace_goes_back_with_it() {
    let Some(bao) = Bao::find() else { return };
    let space = minting(&bao);
    let policy = "path \"ssh/creds/otp\" { capabilities = [\"create\", \"update\"] }";
    let role = AppRole::with(&bao, &space, policy, &json!({}));
    let connection = format!("namespace = \"{space}\"");
    let gate = Gate::to(&bao.address);
    for more in [USABLE, UNUSABLE] {
        let config = rule("ssh/creds/otp", &format!("{OTP}{more}"));
        let helper = role.helper(&bao, &config, &connection).env("VAULT_ADDR", gate.url());
        assert_eq!(get_and_hang_up(&helper).code, Some(1));
        in_the_end(&(0, 0), || (leases(&bao, &space).len(), role.tokens(&bao)));
    }
    assert_eq!(gate.told().len(), 6, "{:?}", gate.told());
}

#[test]
fn a_lease_of_another_namespace_than_the_login_is_given_back_before_it() {
    // OpenBao lets such a lease live on when the token that made it ends.
    let Some(bao) = Bao::find() else { return };
    let space = minting(&bao);
    let role = AppRole::with(&bao, "", &policy(&space, &format!("{space}/sys/leases/revoke")), &json!({}));
    // The namespace as a header, then as a part of the path.
    let stated = format!("namespace = \"{space}\"");
    let ways = [
        (stated.as_str(), "namespace = \"root\"", "ssh/creds/otp".to_owned()),
        ("", "", format!("{space}/ssh/creds/otp")),
    ];
    for (connection, auth, path) in ways {
        for more in [USABLE, UNUSABLE] {
            let config = rule(&path, &format!("{OTP}{more}"));
            let helper = role.helper_in(&bao, &config, connection, auth);
            assert_eq!(get_and_hang_up(&helper).code, Some(1));
            in_the_end(&(0, 0), || (leases(&bao, &space).len(), role.tokens(&bao)));
        }
    }
}

#[test]
fn a_lease_that_would_outlive_the_login_and_may_not_be_given_back_is_named() {
    let Some(bao) = Bao::find() else { return };
    let space = minting(&bao);
    let role = AppRole::with(&bao, "", &policy(&space, "nothing"), &json!({}));
    let path = format!("{space}/ssh/creds/otp");
    let gate = Gate::to(&bao.address);
    let helper = role.helper(&bao, &rule(&path, &format!("{OTP}{UNUSABLE}")), "");
    let answer = helper.env("VAULT_ADDR", gate.url()).get("ghcr.io");
    let left = leases(&bao, &space);
    let [lease] = left.as_slice() else { panic!("{left:?}") };
    answer.fails_with(&[
        "it has no key `token`; hint: ",
        &format!("revoke the lease {lease} by hand (permission denied)"),
    ]);
    // The login is given back all the same, and once.
    in_the_end(&0, || role.tokens(&bao));
    assert_eq!(gate.told().last().unwrap(), "POST /v1/auth/token/revoke-self 204");
    assert_eq!(gate.told().len(), 4, "{:?}", gate.told());
}

#[test]
fn a_login_is_given_back_in_its_own_namespace() {
    let Some(bao) = Bao::find() else { return };
    let space = bao.namespace();
    bao.call_in(&space, "POST", "secret/data/hub", &json!({"data": {"username": "u", "password": "pw-1"}}));
    let read = |path: &str| format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
    let gate = Gate::to(&bao.address);
    // The login in the parent, the secret in the child.
    let role = AppRole::with(&bao, "", &read(&format!("{space}/secret/data/hub")), &json!({}));
    let connection = format!("namespace = \"{space}\"");
    let helper = role.helper_in(&bao, &rule("secret/data/hub", ""), &connection, "namespace = \"root\"");
    helper.env("VAULT_ADDR", gate.url()).get("ghcr.io").is_found("ghcr.io", "u", "pw-1");
    in_the_end(&0, || role.tokens(&bao));
    let named = |request: &str| {
        let header = request.lines().find_map(|line| line.strip_prefix("x-vault-namespace: "));
        header.unwrap_or_default().to_owned()
    };
    let spaces: Vec<String> = gate.passed().iter().map(|passed| named(&passed.request)).collect();
    assert_eq!(spaces, ["root", &space, "root"]);
    // Both in the child.
    let role = AppRole::with(&bao, &space, &read("secret/data/hub"), &json!({}));
    let helper = role.helper(&bao, &rule("secret/data/hub", ""), &connection);
    helper.get("ghcr.io").is_found("ghcr.io", "u", "pw-1");
    in_the_end(&0, || role.tokens(&bao));
    // The secret's namespace is the login's too, unless it says another.
    let answer =
        AppRole::new(&bao, NOTHING).helper(&bao, &rule("secret/data/hub", ""), &connection).get("ghcr.io");
    answer.fails_with(&["login at auth/", "; hint: ", "namespace"]);
}
