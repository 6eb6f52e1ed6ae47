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
use crate::config::{Config, Rule};
use crate::environment::Environment;
use crate::registry::HUB_URL;
use crate::{fallback, file};

/// The word by which configs name this helper.
const NAME: &str = "lease";
/// What Docker Hub is called by docker, and by those who leave the scheme out.
const HUB_KEYS: [&str; 2] = [HUB_URL, "index.docker.io"];
/// Where the system's C library looks without a PATH.
const USUAL_PATH: &str = "/bin:/usr/bin";
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
    let registries = registries(config, environment);
    docker_config(&docker, own.as_deref(), &registries)?;
    let auth_file = folder.path().join("auth.json");
    containers_auth(&auth_file, own.as_deref(), &registries, environment)?;
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    link(&program, &bin.join("docker-credential-lease"))?;
    // Without one, programs are looked for here; an empty entry would mean the folder that one stands in.
    let path = environment.path("PATH").unwrap_or_else(|| PathBuf::from(USUAL_PATH));
    let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)))
        .map_err(|error| format!("PATH: {error}"))?;
    let mut variables = vec![
        ("DOCKER_CONFIG".to_owned(), docker.into_os_string()),
        ("REGISTRY_AUTH_FILE".to_owned(), auth_file.into_os_string()),
        (place::VARIABLE.to_owned(), folder.socket().into_os_string()),
        ("PATH".to_owned(), path),
    ];
    // The command may go to another folder.
    let fallback = user_folder(environment).map(|own| file::absolute(own).into_os_string());
    variables.extend(fallback.map(|own| (fallback::VARIABLE.to_owned(), own)));
    Ok(variables)
}

/// Docker's folder: `config.json` is a copy, everything else a link.
fn docker_config(docker: &Path, own: Option<&Path>, registries: &[String]) -> Result<(), String> {
    let mut wired = Map::new();
    if let Some(own) = own {
        wired = object(&own.join("config.json"))?;
        for entry in own.read_dir().into_iter().flatten().flatten() {
            if entry.file_name() != "config.json" {
                link(&file::absolute(entry.path()), &docker.join(entry.file_name()))?;
            }
        }
        // Where the user's own folder cannot be written, they last as long as the command. A home is not made.
        let _ = DirBuilder::new().mode(0o700).create(own);
        for name in LASTING {
            let (there, here) = (own.join(name), docker.join(name));
            let is_linked = here.symlink_metadata().is_ok();
            // Another run may have made it a moment ago.
            if !is_linked && (DirBuilder::new().mode(0o700).create(&there).is_ok() || there.is_dir()) {
                link(&file::absolute(there), &here)?;
            }
        }
    }
    wired.insert("credsStore".to_owned(), json!(NAME));
    let mut helpers = helpers(&mut wired);
    for registry in registries {
        match registry.as_str() {
            "docker.io" => helpers.extend(HUB_KEYS.map(|key| (key.to_owned(), json!(NAME)))),
            _ => drop(helpers.insert(registry.clone(), json!(NAME))),
        }
    }
    wired.insert("credHelpers".to_owned(), Value::Object(helpers));
    save(&docker.join("config.json"), wired)
}

/// The file of podman, skopeo and buildah, which look into several: what the first says counts.
fn containers_auth(
    file: &Path,
    own: Option<&Path>,
    registries: &[String],
    environment: &Environment,
) -> Result<(), String> {
    let stated = environment.path("REGISTRY_AUTH_FILE").map(|path| vec![path]);
    let usual = || {
        let uid = rustix::process::getuid().as_raw();
        let without_runtime =
            cfg!(target_os = "linux").then(|| PathBuf::from(format!("/run/containers/{uid}")));
        let runtime = environment.runtime_dir().map(|folder| folder.join("containers")).or(without_runtime);
        let config = environment.path("XDG_CONFIG_HOME");
        let config = config.or_else(|| Some(environment.home()?.join(".config")));
        let docker = own.map(|own| own.join("config.json"));
        let auth = |folder: PathBuf| folder.join("auth.json");
        let config = config.map(|folder| folder.join("containers"));
        [runtime.map(auth), config.map(auth), docker].into_iter().flatten().collect()
    };
    let (mut helpers, mut auths) = (Map::new(), Map::new());
    for source in stated.unwrap_or_else(usual) {
        let mut said = object(&source)?;
        for (registry, helper) in self::helpers(&mut said) {
            // In one file the helper counts, but not before a login in a file that is read earlier.
            if !auths.contains_key(&registry) {
                helpers.entry(registry).or_insert(helper);
            }
        }
        if let Some(Value::Object(logins)) = said.remove("auths") {
            for (registry, login) in logins {
                auths.entry(registry).or_insert(login);
            }
        }
    }
    helpers.extend(registries.iter().map(|registry| (registry.clone(), json!(NAME))));
    // Whoever reads this file does not know `credsStore`.
    let wired = [("auths", auths), ("credHelpers", helpers)];
    save(file, wired.map(|(key, entries)| (key.to_owned(), Value::Object(entries))).into_iter().collect())
}

/// Registries of the rules without `*` and path. The built-in one has something to say only with its variables: without
/// them, Docker Hub is the user's own affair.
fn registries(config: &Config, environment: &Environment) -> Vec<String> {
    let answers = |rule: &&Rule| {
        !rule.source.needs_path() && (!config.is_built_in || rule.source.is_listed(environment))
    };
    let literal = config.rules.iter().filter(answers);
    literal.filter_map(|rule| Some(rule.pattern.literal()?.host_and_port())).collect()
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

fn told(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
