//! `packaging/kubelet`: the kubelet takes its files, and this program the configs beside them.

use std::fs;
use std::path::{Path, PathBuf};

use docker_credential_lease::config::Config;
use docker_credential_lease::environment::Environment;
use serde_json::{Value, json};

use super::own;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/kubelet")
}

fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

/// The names of its CredentialProviderConfigs.
fn examples() -> Vec<String> {
    let names =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".yaml")).collect();
    names.sort();
    assert!(names.len() >= 4, "{names:?}");
    names
}

fn load(toml: &str) -> Result<Config, String> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    fs::write(&file, toml).unwrap();
    let variables = [("DOCKER_CREDENTIAL_LEASE_CONFIG", file.display()), ("HOME", home.path().display())];
    Config::load(&Environment::Fixed(
        variables.map(|(name, value)| (name.to_owned(), value.to_string())).into(),
    ))
}

/// The config that stands in the file's comment, behind the line that says so.
fn config(name: &str) -> String {
    let text = text(name);
    let lines = text.lines().skip_while(|line| !line.ends_with("config.toml:")).skip(1);
    let lines =
        lines.map_while(|line| line.strip_prefix('#')).map(|line| line.strip_prefix("   ").unwrap_or(line));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_kubelet_takes_every_example() {
    for name in examples() {
        let Some(read) = own(&["config"], &text(&name)) else { return };
        let read: Value = serde_json::from_str(&read).unwrap();
        let [provider] = read["providers"].as_array().unwrap().as_slice() else { panic!("{name}: {read}") };
        assert_eq!(
            (&provider["name"], &provider["args"]),
            (&json!("docker-credential-lease"), &json!(["kubelet"]))
        );
        assert_eq!(provider["apiVersion"], "credentialprovider.kubelet.k8s.io/v1");
        assert!(provider["defaultCacheDuration"].is_string(), "{name}");
        let tokens = &provider["tokenAttributes"];
        // What the kubelet's own validation wants where there is any.
        if !tokens.is_null() {
            assert!(
                tokens["serviceAccountTokenAudience"].is_string() && tokens["requireServiceAccount"] == true
            );
            assert_eq!(tokens["cacheType"], "ServiceAccount");
        }
        assert_eq!(!tokens.is_null(), name == "service-account.yaml");
    }
}

#[test]
fn every_example_has_a_config_with_a_rule_for_each_of_its_images() {
    for name in examples() {
        let toml = config(&name);
        assert!(toml.contains("[registry."), "{name} has no config");
        let config = load(&toml).unwrap_or_else(|why| panic!("{name}: {why}"));
        let text = text(&name);
        let images = text.lines().filter_map(|line| line.trim().strip_prefix("- \"")?.strip_suffix('"'));
        // An account, then a region.
        let named = |image: &str| image.replacen('*', "111122223333", 1).replacen('*', "eu-west-1", 1);
        let images: Vec<String> = images.filter(|image| image.contains('.')).map(named).collect();
        assert!(!images.is_empty(), "{name}");
        for image in images.iter().filter(|image| !image.contains("/role")) {
            let registry = docker_credential_lease::registry::Registry::parse(image).unwrap();
            assert!(config.rule(&registry).is_some(), "{name}: {image}");
        }
    }
}

#[test]
fn the_readme_names_every_example() {
    let readme = text("README.md");
    for name in examples() {
        assert!(readme.contains(&format!("[{name}]({name})")), "{name}");
    }
}
