//! The real `docker-credential-pass`, with a `pass` and a key of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::RULE;
use crate::support::Helper;

/// A user with an empty store; `None` where this machine has no `pass`.
fn user() -> Option<Helper> {
    let path = std::env::var("PATH").unwrap();
    let has = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !["docker-credential-pass", "pass", "gpg"].into_iter().all(has) {
        eprintln!("SKIPPED: docker-credential-pass, pass or gpg is not on PATH");
        return None;
    }
    let helper = Helper::with_config(RULE);
    let folder = helper.home().join(".gnupg");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    let make = "gpg --batch --quiet --passphrase '' --quick-gen-key t@example.com default default never && pass init t@example.com";
    runs(&helper, make);
    Some(helper)
}

fn runs(helper: &Helper, script: &str) {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script])
        .env_clear()
        .env("HOME", helper.home())
        .env("PATH", std::env::var("PATH").unwrap());
    let done = shell.output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn pass_keeps_what_docker_login_gives_it() {
    let Some(helper) = user() else { return };
    for name in ["https://index.docker.io/v1/", "localhost:5000"] {
        helper.get(name).is_not_found();
        helper.store(name, "octocat", "pw \"1").is_silent();
        helper.get(name).is_found(name, "octocat", "pw \"1");
    }
    helper.get("docker.io").is_found("docker.io", "octocat", "pw \"1");
    let listed = "{\"https://index.docker.io/v1/\":\"octocat\",\"localhost:5000\":\"octocat\"}\n";
    assert_eq!(helper.list().stdout, listed);
    helper.erase("localhost:5000").is_silent();
    helper.get("localhost:5000").is_not_found();
    // It fails where there is nothing.
    helper.erase("localhost:5000").is_silent();
    runs(&helper, "gpgconf --kill gpg-agent");
}
