//! Logins by user name and password: OpenBao's `userpass`, and a double for `ldap`, which OpenBao does not ship.

use serde_json::{Value, json};

use super::approle::write;
use super::{head, rule};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::servers::{Bao, unique};

/// A mount with one user, who may read one secret.
struct Userpass {
    bao: Bao,
    mount: String,
    user: String,
    path: String,
}

impl Userpass {
    fn find(user: &str, password: &str) -> Option<Self> {
        let bao = Bao::find()?;
        let (name, mount) = (bao.secret(&json!({"username": "u", "password": "pw-1"})), unique("userpass"));
        let path = format!("secret/data/{name}");
        let policy = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
        bao.call("PUT", &format!("sys/policies/acl/{name}"), &json!({ "policy": policy }));
        bao.call("POST", &format!("sys/auth/{mount}"), &json!({"type": "userpass"}));
        let body = json!({"password": password, "token_policies": [name]});
        bao.call("POST", &format!("auth/{mount}/users/{user}"), &body);
        Some(Self { bao, mount, user: user.to_owned(), path })
    }

    fn helper(&self, keys: &str) -> Helper {
        let auth = format!(
            "[vault.default.auth]\nmethod = \"userpass\"\nmount = \"{}\"\nusername = \"{}\"\n{keys}",
            self.mount, self.user
        );
        Helper::with_config(&rule(&self.path, &auth))
            .envs(&[("VAULT_ADDR", &self.bao.address), ("VAULT_TOKEN", "wrong")])
    }

    fn with_password(&self, password: &str) -> Helper {
        self.helper("password-env = \"VAULT_PASSWORD\"").env("VAULT_PASSWORD", password)
    }

    fn line(&self, told: &str) -> String {
        format!("vault: {}: login at auth/{}: {told}", self.path, self.mount)
    }
}

const WRONG: &str = "invalid username or password; hint: check username and password";

#[test]
fn the_password_comes_from_a_variable_or_a_file() {
    let password = " p\"w ö\\ ";
    let Some(own) = Userpass::find("ci-bot.1", password) else { return };
    for end in ["", "\n", "\r\n"] {
        own.with_password(&format!("{password}{end}")).get("ghcr.io").is_found("ghcr.io", "u", "pw-1");
    }
    let helper = own.helper("password-file = \"vault/password\"");
    write(&helper.config_file().with_file_name("vault/password"), &format!("{password}\r\n"));
    helper.get("ghcr.io").is_found("ghcr.io", "u", "pw-1");
}

#[test]
fn a_wrong_password_is_tried_once_and_five_lock_the_user() {
    let Some(own) = Userpass::find("joe", "right") else { return };
    let (right, wrong) = (own.with_password("right"), own.with_password("wrong"));
    for _ in 0..4 {
        wrong.get("ghcr.io").is_line(&own.line(WRONG));
    }
    // Had any of these been sent twice, the server would refuse this one.
    right.get("ghcr.io").is_found("ghcr.io", "u", "pw-1");
    for _ in 0..5 {
        wrong.get("ghcr.io").is_line(&own.line(WRONG));
    }
    right.get("ghcr.io").is_line(&own.line(
        "permission denied; hint: check mount and namespace; after five wrong logins the server locks the user for 15 \
        minutes",
    ));
}

#[test]
fn a_user_who_is_not_there_is_refused_alike() {
    let Some(mut own) = Userpass::find("joe", "right") else { return };
    own.user = "jim".to_owned();
    own.with_password("right").get("ghcr.io").is_line(&own.line(WRONG));
    // OpenBao knows no such names at all.
    own.user = "jim@example.com".to_owned();
    let told = "unsupported path; hint: check username, mount, namespace and address";
    own.with_password("right").get("ghcr.io").is_line(&own.line(told));
}

#[test]
fn a_password_that_is_missing_is_named_and_nothing_is_sent() {
    let double = super::double();
    let auth =
        "[vault.default.auth]\nmethod = \"ldap\"\nusername = \"joe\"\npassword-env = \"LDAP_PASSWORD\"";
    let helper = Helper::with_config(&rule("secret/data/ghcr", auth)).env("VAULT_ADDR", double.url());
    let line = "vault: secret/data/ghcr: no password: LDAP_PASSWORD is not set; hint: set LDAP_PASSWORD";
    helper.get("ghcr.io").is_line(line);
    assert!(double.heard().is_empty());
}

/// The login, the read and the taking back, as a server with `ldap` answers them.
fn with_ldap() -> Hostile {
    let granted = r#"{"auth":{"client_token":"hvs.CAESIJ","lease_duration":600,"token_type":"service"}}"#;
    Hostile::in_turn(&[(200, "", granted), (200, "", super::ANSWER), (204, "", "")])
}

#[test]
fn an_ldap_login_is_what_vault_takes() {
    let password = "p\"w ö\\ ";
    for (mount, user, sent) in [
        ("", "joe", "ldap/login/joe"),
        ("mount = \"corp/ldap\"", "j.o-e_~", "corp/ldap/login/j.o-e_~"),
        (
            "",
            "CORP\\\\Jörg Ö/ci@example.com?#%",
            "ldap/login/CORP%5CJ%C3%B6rg%20%C3%96%2Fci%40example.com%3F%23%25",
        ),
        ("", "uid=joe,ou=ci+1;&'", "ldap/login/uid%3Djoe%2Cou%3Dci%2B1%3B%26%27"),
    ] {
        let double = with_ldap();
        let auth = format!(
            "[vault.default.auth]\nmethod = \"ldap\"\n{mount}\nusername = \"{user}\"\npassword-env = \"LDAP_PASSWORD\""
        );
        let helper = Helper::with_config(&rule("secret/data/ghcr", &auth)).envs(&[
            ("VAULT_ADDR", &double.url()),
            ("LDAP_PASSWORD", password),
            ("VAULT_TOKEN", "mine"),
        ]);
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        let heard = double.heard();
        let lines: Vec<String> = heard.iter().map(|request| head(request).0).collect();
        let expected = [
            format!("POST /v1/auth/{sent} HTTP/1.1"),
            "GET /v1/secret/data/ghcr HTTP/1.1".to_owned(),
            "POST /v1/auth/token/revoke-self HTTP/1.1".to_owned(),
        ];
        assert_eq!(lines, expected);
        let body: Value = serde_json::from_str(heard[0].split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body, json!({ "password": password }));
        let token =
            |request: &str| head(request).1.into_iter().find(|header| header.starts_with("x-vault-token"));
        let granted = Some("x-vault-token: hvs.CAESIJ".to_owned());
        assert_eq!([token(&heard[0]), token(&heard[1]), token(&heard[2])], [None, granted.clone(), granted]);
    }
}

#[test]
fn an_ldap_refusal_is_said_in_the_servers_word_without_the_password() {
    for (status, errors, told) in [
        (
            400,
            "ldap operation failed: failed to bind as user",
            "ldap operation failed: failed to bind as user; hint: check username and password",
        ),
        (
            403,
            "permission denied",
            "permission denied; hint: check mount and namespace; after five wrong logins",
        ),
        (400, "no bind for s3cr-et  pw", "HTTP 400; hint: check username and password"),
        (
            500,
            "LDAP Result Code 200 \"Network Error\"",
            "LDAP Result Code 200 \"Network Error\"; hint: look at the server's own log",
        ),
    ] {
        let double = Hostile::answering(status, "", &json!({ "errors": [errors] }).to_string());
        let auth =
            "[vault.default.auth]\nmethod = \"ldap\"\nusername = \"joe\"\npassword-env = \"LDAP_PASSWORD\"";
        let helper = Helper::with_config(&rule("secret/data/ghcr", auth)).env("VAULT_ADDR", double.url());
        let answer = helper.env("LDAP_PASSWORD", "s3cr-et  pw").get("ghcr.io");
        answer.fails_with(&[&format!("vault: secret/data/ghcr: login at auth/ldap: {told}")]);
        assert_eq!(double.heard().len(), 1, "{told}");
    }
}
