//! Docker's own `config.json`, and Kubernetes' `dockerconfigjson`: a login for each host.

use serde_json::json;

use super::{fails, with, write};

/// octocat:pw-1
const AUTH: &str = "b2N0b2NhdDpwdy0x";

#[test]
fn each_registry_has_its_own_under_any_spelling() {
    let helper = with("*", "path = \"~/.dockerconfigjson\"");
    let auths = json!({
        "https://index.docker.io/v1/": {"auth": AUTH},
        "https://index.docker.io/v1/access-token": {"auth": "dDp0"},
        "quay.io": {"username": "plain", "password": "pw-2", "email": "a@b"},
        "https://ghcr.io/v2/": {"identitytoken": "ey.1", "auth": "PHRva2VuPjo="},
        "ghcr.io/acme": {"auth": "YWNtZTpwdzozCg=="},
        "localhost:5000": {"auth": "b2N0b2NhdDpwdy0xAAAA"},
        "empty.example": {},
        "broken.example": {"auth": "%"},
    });
    write(
        &helper,
        ".dockerconfigjson",
        json!({"auths": auths, "credsStore": "nobody", "credHelpers": {"quay.io": "nobody"}}).to_string(),
    );
    for asked in ["docker.io", "https://index.docker.io/v1/", "index.docker.io/library/alpine"] {
        helper.get(asked).is_found(asked, "octocat", "pw-1");
    }
    helper.get("https://quay.io").is_found("https://quay.io", "plain", "pw-2");
    helper.get("GHCR.io").is_found("GHCR.io", "<token>", "ey.1");
    helper.get("ghcr.io/acme/app").is_found("ghcr.io/acme/app", "acme", "pw:3\n");
    helper.get("localhost:5000").is_found("localhost:5000", "octocat", "pw-1");
    for asked in [
        "localhost",
        "empty.example",
        "broken.example",
        "nobody.example",
        "https://index.docker.io/v1/access-token",
    ] {
        helper.get(asked).is_not_found();
    }
}

#[test]
fn a_rule_for_one_registry_must_find_it() {
    let helper = with("ghcr.io", "path = \"~/f\"");
    write(&helper, "f", json!({"auths": {"quay.io": {"auth": AUTH}}}).to_string());
    fails(&helper, "f", "it has no login for ghcr.io under auths; hint: put one there, or take another file");
    // Docker's own with helpers only.
    write(&helper, "f", json!({"credsStore": "pass"}).to_string());
    fails(&helper, "f", "it has no login for ghcr.io under auths; hint: put one there, or take another file");
    let helper = with("ghcr.io", "path = \"~/f\"\nstore = \"write\"");
    write(&helper, "f", json!({"auths": {"quay.io": {"auth": AUTH}}}).to_string());
    helper.get("ghcr.io").is_not_found();
    write(&helper, "f", json!({"auths": {"ghcr.io": {"auth": AUTH}}}).to_string());
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn one_credential_is_not_for_every_host() {
    let one = json!({"username": "octocat", "password": "pw-1"}).to_string();
    let helper = with("*", "path = \"~/f\"");
    write(&helper, "f", &one);
    fails(
        &helper,
        "f",
        "it holds one credential, which would go to every host that the rule is for; hint: put it under auths by host, \
         put {host} into path, or set any-host = true",
    );
    write(&helper, "f", "{}");
    helper.get("ghcr.io").is_not_found();
    for (pattern, more, asked) in [
        ("*", "path = \"~/f\"\nany-host = true", "ghcr.io"),
        ("*", "path = \"~/{host}\"", "ghcr.io"),
        ("*.example.com", "path = \"~/f\"", "a.example.com"),
        ("*.example.com", "path = \"~/f\"\npassword-key = \"password\"", "a.example.com"),
    ] {
        let helper = with(pattern, more);
        write(&helper, "f", &one);
        write(&helper, "ghcr.io", &one);
        helper.get(asked).is_found(asked, "octocat", "pw-1");
    }
}

#[test]
fn a_literal_user_name_beats_the_one_that_stands_there() {
    let helper = with("*", "path = \"~/f\"\nusername = \"rule\"");
    let auths = json!({"ghcr.io": {"auth": AUTH}, "quay.io": {"identitytoken": "ey.1"}});
    write(&helper, "f", json!({ "auths": auths }).to_string());
    helper.get("ghcr.io").is_found("ghcr.io", "rule", "pw-1");
    helper.get("quay.io").is_found("quay.io", "<token>", "ey.1");
}
