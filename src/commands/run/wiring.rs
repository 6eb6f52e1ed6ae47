//! Wiring: copies of the user's config files in which this helper is named, and the variables that name the copies.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use serde_json::{Map, Value, json};

use super::folder::Folder;
use super::user_folder;
use crate::agent::place;
use crate::config::Config;
use crate::environment::Environment;
use crate::fallback;

/// The word by which configs name this helper.
const NAME: &str = "lease";
/// What Docker Hub is called by docker, and by those who leave the scheme out.
const HUB_KEYS: [&str; 2] = ["https://index.docker.io/v1/", "index.docker.io"];
/// What is made inside `run` and must outlive it.
const LASTING: [&str; 2] = ["buildx", "contexts"];

/// Writes the copies; the variables that the command is to have.
pub(super) fn write(
    folder: &Folder,
    config: &Config,
    environment: &Environment,
) -> Result<Vec<(String, OsString)>, String> {
    let (docker, bin) = (folder.path().join("docker"), folder.path().join("bin"));
    for new in [&docker, &bin] {
        DirBuilder::new().mode(0o700).create(new).map_err(|error| told(new, &error))?;
    }
    let own = fallback::docker_folder(environment);
    docker_config(&docker, own.as_deref(), config)?;
    let auth_file = folder.path().join("auth.json");
    containers_auth(&auth_file, own.as_deref(), config, environment)?;
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    link(&program, &bin.join("docker-credential-lease"))?;
    let path = environment.path("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)))
        .map_err(|_| format!("{} cannot stand in PATH", folder.path().display()))?;
    let mut variables = vec![
        ("DOCKER_CONFIG".to_owned(), docker.into_os_string()),
        ("REGISTRY_AUTH_FILE".to_owned(), auth_file.into_os_string()),
        (place::VARIABLE.to_owned(), folder.socket().into_os_string()),
        ("PATH".to_owned(), path),
    ];
    let fallback = user_folder(environment).map(PathBuf::into_os_string);
    variables.extend(fallback.map(|own| (fallback::VARIABLE.to_owned(), own)));
    Ok(variables)
}

/// Docker's folder: `config.json` is a copy, everything else a link.
fn docker_config(docker: &Path, own: Option<&Path>, config: &Config) -> Result<(), String> {
    let mut wired = Map::new();
    if let Some(own) = own {
        wired = object(&own.join("config.json"))?;
        for entry in own.read_dir().into_iter().flatten().flatten() {
            if entry.file_name() != "config.json" {
                link(&absolute(&entry.path()), &docker.join(entry.file_name()))?;
            }
        }
        for name in LASTING {
            let (there, here) = (own.join(name), docker.join(name));
            // Where the user's own folder cannot be written, they last as long as the command.
            if !here.exists() && DirBuilder::new().recursive(true).mode(0o700).create(&there).is_ok() {
                link(&absolute(&there), &here)?;
            }
        }
    }
    wired.insert("credsStore".to_owned(), json!(NAME));
    let mut helpers = helpers(&mut wired);
    for registry in registries(config) {
        match registry.as_str() {
            "docker.io" => helpers.extend(HUB_KEYS.map(|key| (key.to_owned(), json!(NAME)))),
            _ => drop(helpers.insert(registry, json!(NAME))),
        }
    }
    wired.insert("credHelpers".to_owned(), Value::Object(helpers));
    save(&docker.join("config.json"), wired)
}

/// The file of podman, skopeo and buildah, which look into several: what the first says counts.
fn containers_auth(
    file: &Path,
    own: Option<&Path>,
    config: &Config,
    environment: &Environment,
) -> Result<(), String> {
    let mut wired = Map::new();
    let stated = environment.path("REGISTRY_AUTH_FILE").map(|path| vec![path]);
    let usual = || {
        let runtime = environment.runtime_dir().map(|folder| folder.join("containers/auth.json"));
        let home = environment.home().map(|home| home.join(".config/containers/auth.json"));
        let docker = own.map(|own| own.join("config.json"));
        [runtime, home, docker].into_iter().flatten().collect()
    };
    for source in stated.unwrap_or_else(usual) {
        for (key, value) in object(&source)? {
            // Whoever reads this file does not know `credsStore`, and dies of an empty helper.
            let Value::Object(entries) = value else { continue };
            if !matches!(key.as_str(), "auths" | "credHelpers") {
                continue;
            }
            let known = wired.entry(key).or_insert_with(|| json!({}));
            for (registry, entry) in entries {
                if entry != json!("") {
                    known.as_object_mut().map(|known| known.entry(registry).or_insert(entry));
                }
            }
        }
    }
    let mut helpers = helpers(&mut wired);
    helpers.extend(registries(config).map(|registry| (registry, json!(NAME))));
    wired.insert("credHelpers".to_owned(), Value::Object(helpers));
    save(file, wired)
}

/// Registries of the rules without `*` and path.
fn registries(config: &Config) -> impl Iterator<Item = String> {
    let literal = config.rules.iter().filter(|rule| !rule.source.needs_path());
    literal.filter_map(|rule| Some(rule.pattern.literal()?.host_and_port()))
}

/// Takes the helpers by registry out.
fn helpers(wired: &mut Map<String, Value>) -> Map<String, Value> {
    let mut helpers = match wired.remove("credHelpers") {
        Some(Value::Object(helpers)) => helpers,
        _ => Map::new(),
    };
    // podman and skopeo die of an empty name; docker takes it for none.
    helpers.retain(|_, name| *name != json!(""));
    helpers
}

/// What stands in the file; nothing where there is none.
fn object(path: &Path) -> Result<Map<String, Value>, String> {
    match fs::read(path).map(Zeroizing::new) {
        Ok(text) if text.trim_ascii().is_empty() => Ok(Map::new()),
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(Value::Object(fields)) => Ok(fields),
            _ => Err(format!("{} is no JSON object; hint: mend it, or move it away", path.display())),
        },
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Ok(Map::new())
        }
        Err(error) => Err(told(path, &error)),
    }
}

fn save(path: &Path, wired: Map<String, Value>) -> Result<(), String> {
    let text = Zeroizing::new(serde_json::to_vec_pretty(&Value::Object(wired)).unwrap_or_default());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(&text)).map_err(|error| told(path, &error))
}

fn link(there: &Path, here: &Path) -> Result<(), String> {
    symlink(there, here).map_err(|error| told(here, &error))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn told(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
