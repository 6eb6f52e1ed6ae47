//! `source = "file"`: JSON, docker's `auths`, plain files, in both directions.

mod auths;
mod list;
mod parallel;
mod plain;
mod rights;
mod store;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::Helper;

/// A rule for the pattern, with more keys.
fn rule(pattern: &str, more: &str) -> String {
    format!("[registry.\"{pattern}\"]\nsource = \"file\"\n{more}\n")
}

/// The helper with one such rule.
fn with(pattern: &str, more: &str) -> Helper {
    Helper::with_config(&rule(pattern, more))
}

/// Writes a file below the home, which is everything that `~/` names.
fn write(helper: &Helper, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = helper.home().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// What stands in a file below the home.
fn json_of(helper: &Helper, path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(helper.home().join(path)).unwrap()).unwrap()
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The names in a folder below the home.
fn names(helper: &Helper, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(helper.home().join(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Fails with the path below the home and the rest of the line.
#[track_caller]
fn fails(helper: &Helper, path: &str, rest: &str) {
    let line = format!("file: {}: {rest}", helper.home().join(path).display());
    helper.get("ghcr.io").is_line(&line);
}

#[test]
fn a_json_object_holds_both_and_is_read_anew_each_time() {
    let helper = with("ghcr.io", "path = \"~/hub.json\"");
    for (username, password) in [("octocat", "pw-1"), ("hubot", " pw é\n")] {
        write(
            &helper,
            "hub.json",
            json!({"username": username, "password": password, "more": 1}).to_string(),
        );
        helper.get("ghcr.io").is_found("ghcr.io", username, password);
    }
}

#[test]
fn its_keys_may_be_others_and_a_literal_beats_one() {
    let helper = with("ghcr.io", "path = \"~/f\"\nusername-key = \"/prod/user\"\npassword-key = \"token\"");
    write(&helper, "f", r#"{"prod": {"user": "octocat"}, "token": "pw-1", "auths": {}}"#);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let helper = with("ghcr.io", "path = \"~/f\"\nusername = \"octocat\"");
    write(&helper, "f", r#"{"username": "other", "password": "pw-1"}"#);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn paths_are_relative_to_the_config_and_filled_in() {
    let helper = Helper::with_config(&format!(
        "{}{}{}",
        rule("*", "path = \"creds/{host}.json\""),
        rule("quay.io", "path = \"../{path}/creds\""),
        rule("ghcr.io", &format!("path = \"{}\"", "/nowhere/{host}")),
    ));
    for (asked, path) in [
        ("https://index.docker.io/v1/", ".config/docker-credential-lease/creds/docker.io.json"),
        ("localhost:5000", ".config/docker-credential-lease/creds/localhost+5000.json"),
        ("[::1]:5000", ".config/docker-credential-lease/creds/+++1++5000.json"),
        ("my_registry", ".config/docker-credential-lease/creds/my_registry.json"),
        ("quay.io/acme/app", ".config/acme/app/creds"),
    ] {
        write(&helper, path, format!(r#"{{"username": "octocat", "password": "{asked}"}}"#));
        helper.get(asked).is_found(asked, "octocat", asked);
    }
    // A path that could leave its place is not the rule's.
    helper.get("quay.io/../x").fails_with(&["creds/quay.io.json: there is no such file"]);
    helper.get("ghcr.io").fails_with(&["file: /nowhere/ghcr.io: there is no such file"]);
}

#[test]
fn what_cannot_be_used_is_told_and_not_repeated() {
    let helper = with("ghcr.io", "path = \"~/f\"");
    fails(
        &helper,
        "f",
        "there is no such file; hint: have it written there, or correct the path in the rule",
    );
    for (text, rest) in [
        ("", "it is empty"),
        ("pw-needle", "it is no JSON object; hint: for a plain file give password-file instead of path"),
        (
            "[\"pw-needle\"]",
            "it is no JSON object; hint: for a plain file give password-file instead of path",
        ),
        (
            "{\"password\": \"pw-needle\"}",
            "it has no key `username`; hint: set username-key to the key that holds it",
        ),
        (
            "{\"username\": \"u\"}",
            "it has no key `password`; hint: set password-key to the key that holds it",
        ),
        (
            "{\"username\": \"u\", \"password\": [\"pw-needle\"]}",
            "its key `password` is no string; hint: set password-key to the key that holds it",
        ),
        (
            "{\"username\": \"u\", \"password\": \"\"}",
            "its key `password` is empty; hint: set password-key to the key that holds it",
        ),
    ] {
        write(&helper, "f", text);
        fails(&helper, "f", rest);
    }
    write(&helper, "f", b"{\"username\": \"\xff\"}");
    fails(
        &helper,
        "f",
        "it cannot be read: it is not UTF-8; hint: whoever runs docker must be able to read it",
    );
    fs::remove_file(helper.home().join("f")).unwrap();
    fs::create_dir(helper.home().join("f")).unwrap();
    fails(
        &helper,
        "f",
        "it cannot be read: it is not a regular file; hint: whoever runs docker must be able to read it",
    );
    let anonymous = with("ghcr.io", "path = \"~/f\"\non-error = \"anonymous\"");
    anonymous.get("ghcr.io").is_not_found();
}
