//! Where the token comes from, and where it goes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::{double, head, rule};
use crate::support::Helper;
use crate::support::servers::Bao;

const TOKEN_FILE: &str = "[vault.default.auth]\ntoken-file = ";

/// A helper that knows the server and no token, with a rule for one of its secrets.
fn without_token(bao: &Bao, more: &str) -> Helper {
    let name = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
    Helper::with_config(&rule(&format!("secret/data/{name}"), more)).env("VAULT_ADDR", &bao.address)
}

#[track_caller]
fn is_found(helper: &Helper) {
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

/// Writes what only the user can read.
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_usual_variable_holds_the_token() {
    let Some(bao) = Bao::find() else { return };
    is_found(&without_token(&bao, "").env("VAULT_TOKEN", &bao.token));
    is_found(&without_token(&bao, "").env("VAULT_TOKEN", format!(" {}\r\n", bao.token)));
}

#[test]
fn openbaos_own_variable_comes_first() {
    let Some(bao) = Bao::find() else { return };
    is_found(&without_token(&bao, "").envs(&[("VAULT_TOKEN", "wrong"), ("BAO_TOKEN", &bao.token)]));
    let other = without_token(&bao, "").envs(&[("VAULT_TOKEN", &bao.token), ("BAO_TOKEN", "wrong")]);
    other.get("ghcr.io").fails_with(&["permission denied"]);
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let Some(bao) = Bao::find() else { return };
    is_found(&without_token(&bao, "").envs(&[("BAO_TOKEN", ""), ("VAULT_TOKEN", &bao.token)]));
}

#[test]
fn the_file_that_a_login_leaves_is_read_where_no_variable_is_set() {
    let Some(bao) = Bao::find() else { return };
    let helper = without_token(&bao, "");
    for end in ["", "\n", "\r\n"] {
        write(&helper.home().join(".vault-token"), &format!("{}{end}", bao.token));
        is_found(&helper);
    }
    write(&helper.home().join(".vault-token"), "wrong");
    is_found(&helper.env("VAULT_TOKEN", &bao.token));
}

#[test]
fn a_variable_that_the_config_names_is_the_only_one() {
    let Some(bao) = Bao::find() else { return };
    let helper =
        without_token(&bao, "[vault.default.auth]\ntoken-env = \"CI_TOKEN\"").env("VAULT_TOKEN", &bao.token);
    helper.get("ghcr.io").fails_with(&["no token: CI_TOKEN is not set", "hint: set CI_TOKEN"]);
    is_found(&helper.envs(&[("VAULT_TOKEN", "wrong"), ("CI_TOKEN", &bao.token)]));
}

#[test]
fn a_token_file_is_relative_to_the_configs_folder() {
    let Some(bao) = Bao::find() else { return };
    let helper = without_token(&bao, &format!("{TOKEN_FILE}\"tokens/ci\"")).env("VAULT_TOKEN", "wrong");
    write(&helper.config_file().with_file_name("tokens/ci"), &format!("{}\n", bao.token));
    is_found(&helper);
}

#[test]
fn a_token_file_may_be_in_the_home_or_anywhere() {
    let Some(bao) = Bao::find() else { return };
    let helper = without_token(&bao, &format!("{TOKEN_FILE}\"~/tokens/ci\""));
    write(&helper.home().join("tokens/ci"), &bao.token);
    is_found(&helper);
    let elsewhere = helper.home().join("tokens/ci");
    is_found(&without_token(&bao, &format!("{TOKEN_FILE}\"{}\"", elsewhere.display())));
}

#[test]
fn the_method_none_sends_no_token_whatever_is_at_hand() {
    let double = double();
    let helper = Helper::with_config(&rule("secret/data/ghcr", "[vault.default.auth]\nmethod = \"none\""));
    write(&helper.home().join(".vault-token"), "hvs.from-the-file");
    let helper = helper.envs(&[
        ("VAULT_ADDR", &double.url()),
        ("VAULT_TOKEN", "hvs.from-vault"),
        ("BAO_TOKEN", "hvs.from-bao"),
    ]);
    is_found(&helper);
    let request = &double.heard()[0];
    assert!(!request.contains("hvs.") && !request.to_ascii_lowercase().contains("token:"), "{request}");
}

#[test]
fn the_token_goes_in_its_header_and_in_no_other_place() {
    let double = double();
    let helper = Helper::with_config(&rule("secret/data/ghcr", ""));
    is_found(&helper.envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "hvs.CAESIJ")]));
    let request = &double.heard()[0];
    assert!(head(request).1.contains(&"x-vault-token: hvs.CAESIJ".to_owned()), "{request}");
    assert_eq!(request.matches("hvs.CAESIJ").count(), 1, "{request}");
}

#[test]
fn every_request_says_that_a_client_means_it() {
    // A Vault Agent with require_request_header answers nothing else.
    let double = double();
    let helper = Helper::with_config(&rule("secret/data/ghcr", ""));
    is_found(&helper.envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "t")]));
    let request = &double.heard()[0];
    assert!(head(request).1.contains(&"x-vault-request: true".to_owned()), "{request}");
}
