//! What holds for every login: what is asked, what is answered, and what is told of it.

use serde_json::{Value, json};

use super::approle::AppRole;
use super::{ANSWER, head, rule};
use crate::support::hostile::Hostile;
use crate::support::own_bao::OwnBao;
use crate::support::servers::unique;
use crate::support::{Answer, Helper};

const ROLE_ID: &str = "59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8";
const SECRET_ID: &str = "84896a0c-1347-aa90-a4f6-aca8b7558780";

/// A look-up that logs in at the double by AppRole.
fn get(double: &Hostile, more: &str) -> Answer {
    let auth = format!(
        "{more}[vault.default.auth]\nmethod = \"approle\"\nrole-id = \"{ROLE_ID}\"\nsecret-id-env = \"SECRET_ID\""
    );
    let helper = Helper::with_config(&rule("secret/data/ghcr", &auth)).env("SECRET_ID", SECRET_ID);
    helper.envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "hvs.mine")]).get("ghcr.io")
}

#[track_caller]
fn says(answer: &Answer, told: &str) {
    let line = answer.fails_with(&[&format!("vault: secret/data/ghcr: login at auth/approle: {told}")]);
    for secret in [ROLE_ID, SECRET_ID, "hvs."] {
        assert!(!line.contains(secret), "{line}");
    }
}

#[test]
fn a_login_sends_what_it_must_and_no_token() {
    let granted = r#"{"auth":{"client_token":"hvs.CAESIJ","lease_duration":600}}"#;
    let double = Hostile::in_turn(&[(200, "", granted), (200, "", ANSWER), (204, "", "")]);
    get(&double, "[vault.default]\nnamespace = \"team\"\n").is_found("ghcr.io", "octocat", "pw-1");
    let heard = double.heard();
    let (line, headers) = head(&heard[0]);
    assert_eq!(line, "POST /v1/auth/approle/login HTTP/1.1");
    for header in ["x-vault-request: true", "x-vault-namespace: team", "content-type: application/json"] {
        assert!(headers.contains(&header.to_owned()), "{headers:?}");
    }
    assert!(!heard.concat().contains("hvs.mine"));
    let body: Value = serde_json::from_str(heard[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body, json!({"role_id": ROLE_ID, "secret_id": SECRET_ID}));
    assert!(head(&heard[1]).1.contains(&"x-vault-token: hvs.CAESIJ".to_owned()), "{}", heard[1]);
}

#[test]
fn an_answer_without_a_token_is_said() {
    for auth in [
        json!(null),
        json!({}),
        json!([]),
        json!({"client_token": ""}),
        json!({"client_token": 7}),
        json!({"client_token": "hvs.a\nb"}),
        json!({"client_token": "hvs.a b"}),
        json!({"client_token": "hvs.ä"}),
    ] {
        let double = Hostile::answering(200, "", &json!({ "auth": auth }).to_string());
        says(&get(&double, ""), "the answer holds no token; hint: check mount");
        assert_eq!(double.heard().len(), 1);
    }
    for body in ["", "null", "{}"] {
        says(&get(&Hostile::answering(200, "", body), ""), "the answer holds no token; hint: check mount");
    }
}

#[test]
fn times_and_counts_that_no_server_means_do_no_harm() {
    for (duration, uses) in [
        (json!(u64::MAX), json!(u64::MAX)),
        (json!(-1), json!(-1)),
        (json!(1e300), json!("many")),
        (json!("1h"), json!({})),
    ] {
        let auth =
            json!({"client_token": "hvs.t", "lease_duration": duration, "num_uses": uses, "token_type": 7});
        let lease = json!({
            "lease_id": "kv/1", "lease_duration": duration, "data": {"username": "octocat", "password": "pw-1"},
        });
        let bodies = [json!({ "auth": auth }).to_string(), lease.to_string()];
        let double = Hostile::in_turn(&[(200, "", &bodies[0]), (200, "", &bodies[1])]);
        get(&double, "").is_found("ghcr.io", "octocat", "pw-1");
    }
}

#[test]
fn a_server_that_repeats_what_it_was_sent_is_not_repeated() {
    // As it is, as JSON writes it, and broken into lines.
    let (secret, escaped) = ("s3cr \"et\" \\ of  mine\tö", "s3cr \\\"et\\\" \\\\ of  mine\\tö");
    for text in [
        format!("no such secret: {secret}"),
        format!("cannot parse {{\"password\":\"{escaped}\"}}"),
        format!("1 error occurred:\n\t* got {secret}\n\n"),
    ] {
        let body = json!({"errors": [text], "warnings": [text]}).to_string();
        for status in [400, 403, 404, 500] {
            let double = Hostile::answering(status, "", &body);
            let auth = "[vault.default.auth]\nmethod = \"userpass\"\nusername = \"joe\"\npassword-env = \"PASSWORD\"";
            let helper = Helper::with_config(&rule("secret/data/ghcr", auth)).env("VAULT_ADDR", double.url());
            let answer =
                helper.envs(&[("PASSWORD", secret), ("DOCKER_CREDENTIAL_LEASE_LOG", "1")]).get("ghcr.io");
            assert_eq!(answer.code, Some(1));
            let told = answer.stdout.clone() + &answer.stderr;
            assert!(told.contains(&format!("login at auth/userpass: HTTP {status}; hint: ")), "{told}");
            assert!(!told.contains("s3cr"), "{told}");
        }
    }
}

#[test]
fn a_redirect_does_not_carry_what_was_sent_into_the_sentence() {
    for host in [SECRET_ID, ROLE_ID, "84896a0c-1347-aa90-a4f6-aca8b7558780.evil.example"] {
        let double = Hostile::answering(307, &format!("Location: https://{host}/v1/x\r\n"), "");
        let answer = get(&double, "");
        let line = answer.fails_with(&["redirected (307) to another place, which is not followed"]);
        assert!(!line.contains(SECRET_ID) && !line.contains(ROLE_ID), "{line}");
    }
    let double = Hostile::answering(307, "Location: https://active.example:8200/v1/x\r\n", "");
    get(&double, "").fails_with(&["redirected (307) to https://active.example:8200, which is not followed"]);
}

#[test]
fn an_answer_that_is_wrapped_is_said() {
    let wrapped =
        r#"{"data":null,"auth":null,"wrap_info":{"token":"hvs.wrapping","ttl":60,"creation_path":"x"}}"#;
    let told = "the server wrapped its answer; hint: have the role answer without wrapping";
    says(&get(&Hostile::answering(200, "", wrapped), ""), told);
    let granted = r#"{"auth":{"client_token":"hvs.CAESIJ","lease_duration":600}}"#;
    let double = Hostile::in_turn(&[(200, "", granted), (200, "", wrapped), (204, "", "")]);
    get(&double, "").is_line(
        "vault: secret/data/ghcr: the server wrapped its answer; hint: have it answer without wrapping: the helper \
         hands the credential on at once",
    );
    assert_eq!(head(&double.heard()[2]).0, "POST /v1/auth/token/revoke-self HTTP/1.1");
}

#[test]
fn a_login_that_wants_a_second_factor_is_said() {
    let Some(role) = AppRole::find() else { return };
    let bao = &role.bao;
    let method = bao.call("POST", "identity/mfa/method/totp", &json!({"issuer": "test"}));
    let id = method["data"]["method_id"].as_str().unwrap();
    let mount = bao.call("GET", &format!("sys/auth/{}", role.mount), &json!(null));
    let enforced = json!({"mfa_method_ids": [id], "auth_method_accessors": [mount["data"]["accessor"]]});
    let name = unique("mfa");
    bao.call("POST", &format!("identity/mfa/login-enforcement/{name}"), &enforced);
    let helper = role.with_secret_id(&role.secret_id());
    helper.get("ghcr.io").is_line(&role.line(
        "the login wants a second factor (MFA); hint: nobody is there to give one: log in by a role or user without MFA",
    ));
    bao.call("DELETE", &format!("identity/mfa/login-enforcement/{name}"), &json!(null));
    bao.call("DELETE", &format!("identity/mfa/method/totp/{id}"), &json!(null));
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn a_server_that_is_sealed_lets_nobody_in() {
    let Some(own) = OwnBao::start() else { return };
    let auth = "[vault.default.auth]\nmethod = \"approle\"\nrole-id = \"r\"";
    let helper = Helper::with_config(&rule("secret/data/ghcr", auth))
        .env("VAULT_ADDR", format!("http://{}", own.plain));
    let line = "vault: secret/data/ghcr: login at auth/approle: Vault is sealed; hint: unseal the server";
    helper.get("ghcr.io").is_line(line);
    own.initialise();
    helper.get("ghcr.io").is_line(line);
}
