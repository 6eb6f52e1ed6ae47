//! `packaging/policies`: what a team copies is enough for a look-up, and nothing of it can be left out.

mod enforced;
mod iam;
mod identity;
mod logins;
mod readme;
mod rights;
mod writing;
mod writing_kv;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/policies")
}

/// The text of one of the files, such as `vault/approle.json`.
fn text(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The same as JSON, with words of the test's own in place of those that are to be filled in.
fn json(file: &str, words: &[(&str, &str)]) -> Value {
    let filled = words.iter().fold(text(file), |text, (word, own)| {
        assert!(text.contains(word), "{word} is not in {file}");
        text.replace(word, own)
    });
    serde_json::from_str(&filled).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The names of the files in one of the folders, sorted.
fn files(of: &str) -> Vec<String> {
    let entries = fs::read_dir(folder().join(of)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| format!("{of}/{}", entry.unwrap().file_name().to_str().unwrap())).collect();
    names.sort();
    names
}

/// A rule for Docker Hub that asks a Vault for the path, with more keys.
fn rule(path: &str, more: &str) -> String {
    format!("[registry.\"docker.io\"]\nsource = \"vault\"\npath = \"{path}\"\n{more}\n")
}
