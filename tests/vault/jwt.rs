//! The `jwt` login, with tokens as CircleCI and GitHub sign them, at a real OpenBao.

use serde_json::{Value, json};

use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::jwt::{JwtMount, Signer, circleci, github, seconds_from_now, with};
use crate::support::relay::Relay;

/// Where these tests have the token.
const FROM_VARIABLE: &str = "{ env = \"JOB_TOKEN\" }";

const CLAIMS_HINT: &str = "; hint: check role, and that its audience, issuer and claims fit the token";
const CLOCK_HINT: &str =
    "; hint: have a new token made, and check the clocks of this machine and of the server";

impl JwtMount {
    /// A helper with this token.
    fn shows(&self, token: &str) -> Helper {
        self.helper(FROM_VARIABLE).env("JOB_TOKEN", token)
    }

    /// A token with these claims is refused in one request; the line says this and nothing of the token.
    #[track_caller]
    fn turns_away(&self, claims: &Value, sentence: &str) {
        let relay = Relay::to(&self.bao.address);
        let helper = self.shows(&self.signer.sign(claims)).env("VAULT_ADDR", relay.url());
        self.refuses(&helper, &format!("login at auth/{}: {sentence}", self.name));
        assert_eq!(relay.counts(), (1, 1));
    }
}

#[test]
fn a_job_of_circleci_logs_in_reads_and_gives_the_login_back() {
    let Some(mount) = JwtMount::circleci() else { return };
    let relay = Relay::to(&mount.bao.address);
    mount.gives(&mount.shows(&mount.signer.sign(&circleci())).env("VAULT_ADDR", relay.url()));
    assert_eq!(relay.counts(), (1, 3), "login, read, revoke-self");
}

#[test]
fn a_job_of_github_does_so_too() {
    let Some(mount) = JwtMount::github() else { return };
    mount.gives(&mount.shows(&mount.signer.sign(&github())));
}

#[test]
fn the_token_of_a_batch_role_cannot_be_given_back() {
    let Some(mount) = JwtMount::circleci() else { return };
    mount.role("ci", &json!({"bound_audiences": circleci()["aud"], "token_type": "batch"}));
    let relay = Relay::to(&mount.bao.address);
    let helper = mount.shows(&mount.signer.sign(&circleci())).env("VAULT_ADDR", relay.url());
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert_eq!(relay.counts(), (1, 2), "login, read");
}

#[test]
fn a_token_that_would_do_elsewhere_is_told_why_not_here() {
    let Some(mount) = JwtMount::circleci() else { return };
    for (claim, value, cause) in [
        (
            "aud",
            json!("another-org"),
            "error validating token: invalid audience (aud) claim: audience claim does not match any expected audience",
        ),
        (
            "iss",
            json!("https://oidc.circleci.com/org/another-org"),
            "error validating token: invalid issuer (iss) claim",
        ),
        (
            "oidc.circleci.com/project-id",
            json!("another-project"),
            "error validating claims: claim \"oidc.circleci.com/project-id\" does not match any associated bound claim values",
        ),
    ] {
        mount.turns_away(&with(circleci(), json!({ claim: value })), &format!("{cause}{CLAIMS_HINT}"));
    }
    let mut claims = circleci();
    claims.as_object_mut().unwrap().remove("oidc.circleci.com/project-id");
    let cause = "error validating claims: claim \"oidc.circleci.com/project-id\" is missing";
    mount.turns_away(&claims, &format!("{cause}{CLAIMS_HINT}"));
}

#[test]
fn a_token_of_an_unknown_signer_names_the_keys() {
    let Some(mount) = JwtMount::circleci() else { return };
    let helper = mount.shows(&Signer::new().sign(&circleci()));
    let cause = "error validating token: error verifying token signature: no known key successfully validated the token signature";
    let hint = "the mount must know the issuer's keys: check its jwks_url, oidc_discovery_url or jwt_validation_pubkeys";
    mount.refuses(&helper, &format!("login at auth/{}: {cause}; hint: {hint}", mount.name));
}

#[test]
fn a_token_that_has_expired_is_not_sent() {
    let Some(mount) = JwtMount::circleci() else { return };
    let relay = Relay::to(&mount.bao.address);
    for (ago, said) in
        [(45, "45 s"), (12 * 60 + 5, "12 minutes"), (5 * 3600, "5 hours"), (86_400 * 3, "3 days")]
    {
        let claims = with(circleci(), json!({"exp": seconds_from_now(-ago)}));
        let helper = mount.shows(&mount.signer.sign(&claims)).env("VAULT_ADDR", relay.url());
        let answer = helper.get("ghcr.io");
        // A second may pass meanwhile.
        let later = said.replace("45 s", "46 s");
        let line = answer.fails_with(&["the token in JOB_TOKEN expired ", " ago; hint: set it to a new one"]);
        assert!(
            line.contains(&format!("expired {said} ago")) || line.contains(&format!("expired {later} ago")),
            "{line}"
        );
    }
    assert_eq!(relay.counts(), (0, 0));
}

#[test]
fn a_token_that_may_have_expired_is_for_the_server_to_judge() {
    let Some(mount) = JwtMount::circleci() else { return };
    // Without leeway; the server's own would be a minute.
    mount.role(
        "ci",
        &json!({"bound_audiences": circleci()["aud"], "clock_skew_leeway": -1, "expiration_leeway": -1}),
    );
    let claims = with(circleci(), json!({"exp": seconds_from_now(-10)}));
    let cause = "error validating token: invalid expiration time (exp) claim: token is expired";
    mount.turns_away(&claims, &format!("{cause}{CLOCK_HINT}"));
    let claims = with(circleci(), json!({"nbf": seconds_from_now(600)}));
    let cause = "error validating token: invalid not before (nbf) claim: token not yet valid";
    mount.turns_away(&claims, &format!("{cause}{CLOCK_HINT}"));
}

#[test]
fn a_role_that_is_not_there_is_named() {
    let Some(mount) = JwtMount::circleci() else { return };
    let config = mount.config("nobody", FROM_VARIABLE);
    let helper = Helper::with_config(&config).env("VAULT_ADDR", &mount.bao.address);
    let helper = helper.env("JOB_TOKEN", mount.signer.sign(&circleci()));
    let cause = "role \"nobody\" could not be found";
    mount.refuses(&helper, &format!("login at auth/{}: {cause}{CLAIMS_HINT}", mount.name));
}

#[test]
fn a_mount_that_is_not_there_is_named() {
    let Some(mount) = JwtMount::circleci() else { return };
    let config = mount.config("ci", FROM_VARIABLE).replace(&mount.name, "team/nowhere");
    let helper = Helper::with_config(&config).env("VAULT_ADDR", &mount.bao.address);
    let helper = helper.env("JOB_TOKEN", mount.signer.sign(&circleci()));
    mount.refuses(&helper, "login at auth/team/nowhere: permission denied; hint: check mount and namespace");
}

#[test]
fn what_is_no_token_at_all_is_for_the_server_to_judge() {
    let Some(mount) = JwtMount::circleci() else { return };
    for text in ["garbage", "a.b.c"] {
        let answer = mount.shows(text).get("ghcr.io");
        let line = answer.fails_with(&[&format!("login at auth/{}: error validating token: ", mount.name)]);
        assert!(line.contains("; hint: "), "{line}");
        assert_eq!(mount.logins(), 0);
    }
}

#[test]
fn the_login_is_given_back_where_the_read_fails() {
    let Some(mount) = JwtMount::circleci() else { return };
    let config = mount.config("ci", FROM_VARIABLE).replace("secret/data/", "secret/data/other-");
    let relay = Relay::to(&mount.bao.address);
    let helper = Helper::with_config(&config).env("VAULT_ADDR", relay.url());
    let answer = helper.env("JOB_TOKEN", mount.signer.sign(&circleci())).get("ghcr.io");
    answer.fails_with(&["permission denied; hint: the policies of the login's role must allow read on "]);
    assert_eq!(mount.logins(), 0);
    assert_eq!(relay.counts().0, 1);
}

#[test]
fn a_refused_login_is_not_tried_again_whatever_the_status() {
    for status in [400, 403, 429, 500, 503] {
        let double = Hostile::answering(status, "", r#"{"errors":["no"]}"#);
        let helper = at_double(&double, "{ env = \"JOB_TOKEN\" }").env("JOB_TOKEN", "a.b.c");
        helper.get("ghcr.io").fails_with(&["vault: secret/data/ghcr: login at auth/jwt: no; hint: "]);
        assert_eq!(double.heard().len(), 1, "{status}");
    }
}

#[test]
fn role_and_token_are_all_that_a_login_sends() {
    let double = Hostile::answering(400, "", r#"{"errors":["no"]}"#);
    let token = Signer::new().sign(&circleci());
    let helper = at_double(&double, FROM_VARIABLE).env("JOB_TOKEN", format!(" {token}\n"));
    let helper = helper.env("VAULT_TOKEN", "hvs.not-for-this");
    helper.get("ghcr.io").fails_with(&["login at auth/jwt: no"]);
    let heard = double.heard();
    let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/auth/jwt/login HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains(&token) && !heard[0].contains("hvs."), "{}", heard[0]);
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body, json!({"role": "ci", "jwt": token}));
}

#[test]
fn a_server_that_repeats_the_token_is_not_repeated() {
    let token = Signer::new().sign(&circleci());
    for (status, body) in [
        (400, json!({"errors": [format!("cannot parse {token}")], "warnings": [token]}).to_string()),
        (500, format!("<html>{token}</html>")),
        (200, json!({"auth": {"client_token": format!("{token} ")}}).to_string()),
        (200, json!({"auth": null, "data": {"jwt": token}}).to_string()),
    ] {
        let double = Hostile::answering(status, &format!("Location: http://{token}/\r\n"), &body);
        let helper = at_double(&double, FROM_VARIABLE).env("JOB_TOKEN", &token);
        let answer = helper.get("ghcr.io");
        let line = answer.fails_with(&["vault: secret/data/ghcr: ", "; hint: "]);
        assert!(!line.contains("eyJ"), "{line}");
        let logged = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").get("ghcr.io");
        assert!(!logged.stderr.is_empty() && !logged.stderr.contains("eyJ"), "{}", logged.stderr);
    }
}

/// A helper that takes the double for a Vault with a `jwt` mount.
fn at_double(double: &Hostile, token: &str) -> Helper {
    let config = format!(
        "[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"secret/data/ghcr\"\n[vault.default.auth]\n\
         method = \"jwt\"\nrole = \"ci\"\ntoken = {token}\n"
    );
    Helper::with_config(&config).env("VAULT_ADDR", double.url())
}
