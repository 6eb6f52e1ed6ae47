//! Credentials from the environment, and what answers where nobody wrote a config.

use crate::support::Helper;

const PAIR: [(&str, &str); 2] = [("DOCKER_USER", "acme"), ("DOCKER_ACCESS_TOKEN", "dckr_pat_1")];
const HUB: &str = "[registry.\"docker.io\"]\nsource = \"env\"\n";

#[test]
fn docker_hub_works_with_two_variables_and_nothing_else() {
    let helper = Helper::new().envs(&PAIR);
    for asked in [
        "docker.io",
        "https://index.docker.io/v1/",
        "index.docker.io/library/alpine",
        "registry-1.docker.io:443",
    ] {
        helper.get(asked).is_found(asked, "acme", "dckr_pat_1");
    }
    helper.get("ghcr.io").is_not_found();
}

#[test]
fn the_first_complete_pair_counts() {
    let both = Helper::new().envs(&PAIR).env("DOCKERHUB_USERNAME", "second").env("DOCKERHUB_TOKEN", "t");
    both.get("docker.io").is_found("docker.io", "acme", "dckr_pat_1");
    let half = Helper::new()
        .env("DOCKER_USER", "acme")
        .envs(&[("DOCKERHUB_USERNAME", "hub"), ("DOCKERHUB_PASSWORD", "p")]);
    half.get("docker.io").is_found("docker.io", "hub", "p");
    for (user, secret) in [
        ("DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN"),
        ("DOCKER_LOGIN", "DOCKER_PASSWORD"),
        ("DOCKER_USERNAME", "DOCKER_PASSWORD"),
    ] {
        Helper::new().env(user, "u").env(secret, "p").get("docker.io").is_found("docker.io", "u", "p");
    }
}

#[test]
fn a_password_that_is_for_another_registry_is_not_docker_hubs() {
    let helper = |name: &str, registry: &str| {
        Helper::new().envs(&[("DOCKER_USERNAME", "u"), ("DOCKER_PASSWORD", "p")]).env(name, registry)
    };
    for name in ["DOCKER_REGISTRY", "REGISTRY"] {
        helper(name, "ghcr.io").get("docker.io").is_not_found();
        helper(name, "https://docker.io.evil.example").get("docker.io").is_not_found();
        for hub in ["docker.io", "https://index.docker.io/v1/", ""] {
            helper(name, hub).get("docker.io").is_found("docker.io", "u", "p");
        }
    }
}

#[test]
fn without_a_config_and_without_variables_there_is_nothing() {
    Helper::new().get("docker.io").is_not_found();
    Helper::new().env("DOCKER_USER", "").env("DOCKER_ACCESS_TOKEN", "").get("docker.io").is_not_found();
}

#[test]
fn half_a_pair_names_the_other_half() {
    let answer = Helper::new().env("DOCKER_USER", "acme").get("docker.io");
    answer.fails_with(&["env: docker.io:", "DOCKER_USER is set, but DOCKER_ACCESS_TOKEN is not"]);
    let answer = Helper::new().env("DOCKER_ACCESS_TOKEN", "t0ken").get("docker.io");
    assert!(!answer.fails_with(&["DOCKER_USER is not"]).contains("t0ken"));
}

#[test]
fn a_rule_that_somebody_wrote_fails_where_its_variables_are_not_set() {
    Helper::with_config(HUB)
        .get("docker.io")
        .fails_with(&["env: docker.io:", "DOCKER_USER and DOCKER_ACCESS_TOKEN are not set"]);
    Helper::with_config(HUB).envs(&PAIR).get("docker.io").is_found("docker.io", "acme", "dckr_pat_1");
    let anonymous = Helper::with_config(&format!("{HUB}on-error = \"anonymous\"\n"));
    anonymous.get("docker.io").is_not_found();
}

#[test]
fn any_registry_has_variables_of_its_own() {
    let config = "
        [registry.\"localhost:5000\"]
        source = \"env\"
        username-env = \"REG_USER\"
        password-env = \"REG_PASSWORD\"
    ";
    let helper = Helper::with_config(config).env("REG_USER", "u");
    helper
        .get("localhost:5000")
        .fails_with(&["env: REG_USER, REG_PASSWORD: REG_PASSWORD is not set", "hint: set REG_PASSWORD"]);
    let helper = helper.env("REG_PASSWORD", "p");
    helper.get("http://localhost:5000/v2/").is_found("http://localhost:5000/v2/", "u", "p");
    helper.get("localhost").is_not_found();
    helper.get("docker.io").is_not_found();
}
