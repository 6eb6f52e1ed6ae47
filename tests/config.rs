//! The config: where it is read, what it may say, and the exact sentence for each mistake.

use std::fs;
use std::path::{Path, PathBuf};

use docker_credential_lease::config::Config;
use docker_credential_lease::environment::Environment;
use docker_credential_lease::error::Error;

use crate::support::Helper;

const HUB: &str =
    "[registry.\"docker.io\"]\nsource = \"env\"\nusername = \"acme\"\npassword-env = \"TOKEN\"\n";

fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(kind);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(files.len() > 5, "no cases");
    files
}

/// Reads the file as the helper would, under the name `config.toml`.
fn load(path: &Path) -> Result<Config, String> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    fs::copy(path, &file).unwrap();
    let variables = [("DOCKER_CREDENTIAL_LEASE_CONFIG", &file), ("HOME", &home.path().to_owned())];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.display().to_string()));
    let folder = format!("{}/", home.path().display());
    Config::load(&Environment::Fixed(variables.into()))
        .map_err(|what| Error::Config(what).line().replace(&folder, ""))
}

#[test]
fn every_good_config_is_taken() {
    for path in cases("good") {
        if let Err(line) = load(&path) {
            panic!("{}: {line}", path.display());
        }
    }
}

#[test]
fn every_bad_config_gets_its_exact_sentence() {
    let mut wrong = Vec::new();
    for path in cases("bad") {
        let line = load(&path).err().unwrap_or_else(|| "it was taken\n".to_owned());
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        if line != expected {
            wrong.push(format!("{}\n  says     {line}  expected {expected}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_first_place_that_has_a_config_is_the_whole_config() {
    let other = HUB.replace("acme", "other");
    let helper = Helper::with_config(HUB).env("TOKEN", "t");
    helper.get("docker.io").is_found("docker.io", "acme", "t");
    // The text in a variable comes before the user's file, the file in a variable before both.
    let helper = helper.env("DOCKER_CREDENTIAL_LEASE_CONFIG_TOML", other.clone());
    helper.get("docker.io").is_found("docker.io", "other", "t");
    let file = helper.home().join("mine.toml");
    fs::write(&file, HUB.replace("acme", "mine")).unwrap();
    let helper = helper.env("DOCKER_CREDENTIAL_LEASE_CONFIG", file.display().to_string());
    helper.get("docker.io").is_found("docker.io", "mine", "t");
    // An empty variable counts as unset.
    let helper = Helper::with_config(HUB).env("TOKEN", "t");
    let helper =
        helper.env("DOCKER_CREDENTIAL_LEASE_CONFIG", "").env("DOCKER_CREDENTIAL_LEASE_CONFIG_TOML", "");
    helper.get("docker.io").is_found("docker.io", "acme", "t");
}

#[test]
fn a_folder_for_configuration_of_ones_own_counts() {
    let helper = Helper::new().env("TOKEN", "t");
    let folder = helper.home().join("xdg/docker-credential-lease");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), HUB).unwrap();
    let helper = helper.env("XDG_CONFIG_HOME", folder.parent().unwrap().display().to_string());
    #[cfg(target_os = "linux")]
    helper.get("docker.io").is_found("docker.io", "acme", "t");
}

#[test]
fn a_named_config_that_is_not_there_is_a_failure() {
    let helper =
        Helper::with_config(HUB).env("TOKEN", "t").env("DOCKER_CREDENTIAL_LEASE_CONFIG", "/nowhere/c.toml");
    helper
        .get("docker.io")
        .fails_with(&["config: /nowhere/c.toml: no such file", "$DOCKER_CREDENTIAL_LEASE_CONFIG"]);
}

#[test]
fn a_text_in_a_variable_has_no_folder_for_relative_files() {
    let text = |file: &str| format!("[vault.default.auth]\ntoken-file = \"{file}\"\n{HUB}");
    let helper =
        |file: &str| Helper::new().env("TOKEN", "t").env("DOCKER_CREDENTIAL_LEASE_CONFIG_TOML", text(file));
    helper("token").get("docker.io").fails_with(&[
        "config: $DOCKER_CREDENTIAL_LEASE_CONFIG_TOML:2:1: `token-file` in [vault.default.auth]",
        "relative path",
    ]);
    helper("~/token").get("docker.io").is_found("docker.io", "acme", "t");
    helper("/run/token").get("docker.io").is_found("docker.io", "acme", "t");
}

#[test]
fn a_broken_config_fails_every_verb_that_needs_it_and_no_other() {
    let helper = Helper::with_config("[registry.\"docker.io\"]\nsource = \"evn\"\n");
    let parts = ["config: ", "config.toml:2:1: `source`", "env"];
    helper.get("ghcr.io").fails_with(&parts);
    helper.store("docker.io", "u", "p").fails_with(&parts);
    helper.erase("docker.io").fails_with(&parts);
    helper.list().fails_with(&parts);
    helper.get("https://index.docker.io/v1/refresh-token").is_not_found();
    assert_eq!(helper.run(&["version"], "").code, Some(0));
}
