//! The README and docs: what they show is what the helper does.

use docker_credential_lease::config::Config;
use docker_credential_lease::environment::Environment;

use crate::support::Helper;

const README: &str = include_str!("../README.md");
const CLIENTS: &str = include_str!("../docs/clients.md");
const SOURCES: &str = include_str!("../docs/sources.md");

/// The fenced blocks of the kind.
fn blocks(text: &'static str, kind: &str) -> Vec<&'static str> {
    let opening = format!("```{kind}\n");
    let blocks: Vec<&str> =
        text.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty(), "there is no {kind} block");
    blocks
}

#[test]
fn every_config_block_is_one() {
    let home = tempfile::tempdir().unwrap();
    for block in [README, CLIENTS, SOURCES].map(|text| blocks(text, "toml")).concat() {
        let file = home.path().join("config.toml");
        std::fs::write(&file, block).unwrap();
        let variables = [("DOCKER_CREDENTIAL_LEASE_CONFIG", file.display()), ("HOME", home.path().display())];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_string()));
        if let Err(error) = Config::load(&Environment::Fixed(variables.into())) {
            panic!("{error}\n{block}");
        }
    }
}

#[test]
fn every_json_block_is_json() {
    for block in [README, CLIENTS].map(|text| blocks(text, "json")).concat() {
        serde_json::from_str::<serde_json::Value>(block).unwrap();
    }
}

#[test]
fn the_first_command_answers_what_stands_below_it() {
    let helper = Helper::new().env("DOCKER_USER", "octocat").env("DOCKER_ACCESS_TOKEN", "dckr_pat_example");
    assert!(blocks(README, "sh")[0].contains("DOCKER_USER=octocat DOCKER_ACCESS_TOKEN=dckr_pat_example"));
    assert_eq!(helper.get("docker.io\n").stdout, blocks(README, "json")[0]);
}
