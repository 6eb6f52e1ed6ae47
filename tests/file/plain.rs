//! Two plain files, or one with a literal user name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{fails, with, write};
use crate::support::{Answer, Helper};

const BOTH: &str = "username-file = \"~/user\"\npassword-file = \"~/password\"";

#[test]
fn line_ends_at_the_end_are_an_editor_s() {
    let helper = with("ghcr.io", BOTH);
    for end in ["", "\n", "\r\n", "\n\n"] {
        write(&helper, "user", format!("octocat{end}"));
        write(&helper, "password", format!(" {{pw}}\n1 {end}"));
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", " {pw}\n1 ");
    }
    let helper = with("ghcr.io", "username = \"octocat\"\npassword-file = \"../password\"");
    write(&helper, ".config/password", "pw-1\n");
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn the_file_that_is_missing_or_empty_is_named() {
    let helper = with("ghcr.io", BOTH);
    let missing = "there is no such file; hint: have it written there, or correct the path in the rule";
    let user = format!("the username-file {}: ", helper.home().join("user").display());
    fails(&helper, "password", &format!("{user}{missing}"));
    write(&helper, "user", "\n");
    fails(&helper, "password", &format!("{user}it is empty"));
    write(&helper, "user", "octocat");
    fails(&helper, "password", missing);
    write(&helper, "password", "\r\n");
    fails(&helper, "password", "it is empty");
}

#[test]
fn both_are_written_and_go() {
    let helper = with("ghcr.io", &format!("{BOTH}\nstore = \"write\"\nerase = \"delete\""));
    helper.get("ghcr.io").is_not_found();
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    assert_eq!(fs::read_to_string(helper.home().join("user")).unwrap(), "octocat");
    assert_eq!(fs::read_to_string(helper.home().join("password")).unwrap(), "pw-1");
    assert_eq!(super::mode(&helper.home().join("password")), 0o600);
    helper.store("ghcr.io", "hubot", "pw-2").is_silent();
    helper.get("ghcr.io").is_found("ghcr.io", "hubot", "pw-2");
    // The user is what the file says, for `list` too.
    assert_eq!(helper.list().stdout, "{\"ghcr.io\":\"hubot\"}\n");
    helper.erase("ghcr.io").is_silent();
    helper.erase("ghcr.io").is_silent();
    helper.get("ghcr.io").is_not_found();
    assert_eq!(super::names(&helper, ""), [".config"]);
}

#[test]
fn a_literal_user_name_is_the_only_one_that_may_log_in() {
    let helper = with("ghcr.io", "username = \"octocat\"\npassword-file = \"~/password\"\nstore = \"write\"");
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    helper.store("ghcr.io", "hubot", "pw-2").fails_with(&["the rule's user is octocat"]);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let helper = with("ghcr.io", &format!("{BOTH}\nstore = \"write\""));
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    for (username, secret, what) in
        [("octocat", "", "secret"), ("octocat", "pw-2\n", "secret"), ("hubot\r", "pw-2", "user name")]
    {
        let place = helper.home().join("password");
        helper.store("ghcr.io", username, secret).is_line(&format!(
            "file: {}: a {what} that is empty or ends a line cannot stand in a plain file; hint: keep it in JSON: give path",
            place.display()
        ));
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    }
}

#[test]
fn a_file_that_cannot_be_written_loses_nothing() {
    let helper = with("ghcr.io", &format!("{BOTH}\nstore = \"write\""));
    write(&helper, "user", "octocat");
    fs::create_dir(helper.home().join("password")).unwrap();
    helper
        .store("ghcr.io", "hubot", "pw-2")
        .fails_with(&["file: ", "/password is not a regular file, so nothing is changed there; hint: mv /"]);
    assert_eq!(fs::read_to_string(helper.home().join("user")).unwrap(), "octocat");
    assert_eq!(super::names(&helper, ""), [".config", "password", "user"]);
}

/// `store` where the file is a mount of its own, as docker and Kubernetes mount one.
fn store_beside_a_mount(helper: &Helper, mounted: &str) -> Answer {
    let own = helper.command(&["store"]);
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$1\" \"$1\" && shift && exec \"$@\"";
    command.args(["-m", "sh", "-c", script, "sh"]).arg(helper.home().join(mounted));
    command.arg(own.get_program()).args(own.get_args()).env_clear();
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Answer::of(&mut command, br#"{"ServerURL":"ghcr.io","Username":"hubot","Secret":"pw-needle"}"#)
}

#[test]
fn where_one_of_the_two_cannot_be_replaced_neither_is() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can mount files");
        return;
    }
    for mounted in ["password", "user"] {
        let helper = with("ghcr.io", &format!("{BOTH}\nstore = \"write\""));
        write(&helper, "user", "octocat");
        let password = write(&helper, "password", "pw-1\n");
        fs::set_permissions(&password, fs::Permissions::from_mode(0o640)).unwrap();
        let answer = store_beside_a_mount(&helper, mounted);
        let line = answer.fails_with(&["it cannot be written: Device or resource busy", "; hint: "]);
        assert!(line.contains(mounted) && !line.contains("pw-needle"), "{line}");
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        assert_eq!(fs::read_to_string(&password).unwrap(), "pw-1\n");
        assert_eq!(super::mode(&password), 0o640);
        assert_eq!(super::names(&helper, ""), [".config", "password", "user"]);
    }
    // What was not there is not there again.
    let helper = with("ghcr.io", &format!("{BOTH}\nstore = \"write\""));
    write(&helper, "user", "octocat");
    store_beside_a_mount(&helper, "user").fails_with(&["/user: it cannot be written: "]);
    assert_eq!(super::names(&helper, ""), [".config", "user"]);
}
