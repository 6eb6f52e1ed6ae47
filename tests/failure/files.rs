//! Files that another user could have written are refused, with the command that mends it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{chmod, is_read};
use crate::support::{Answer, Helper};

/// Answers `get` without any server.
const RULE: &str =
    "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"octocat\"\npassword-env = \"PAT\"\n";

/// Nobody's number on any machine that runs these tests.
const STRANGER: u32 = 12345;

fn helper() -> Helper {
    Helper::with_config(RULE).env("PAT", "pw-1")
}

/// Refused with the path, the reason and the command; then runs the command as a shell would.
#[track_caller]
fn is_refused(helper: &Helper, path: &Path, why: &str) {
    let answer = helper.get("ghcr.io");
    let line = answer.fails_with(&[&format!("{} {why}", path.display())]);
    let command = line.split_once("hint: ").unwrap().1.split(", or give").next().unwrap();
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}

/// Whether the tests may give files away.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: only root can give files to other users");
    }
    root
}

#[test]
fn a_config_that_others_can_write_is_refused_until_it_is_mended() {
    let helper = helper();
    for mode in [0o646, 0o666, 0o602] {
        chmod(&helper.config_file(), mode);
        is_refused(&helper, &helper.config_file(), "can be written by others, so it is not read");
        is_read(&helper);
    }
    chmod(&helper.config_file(), 0o644);
    is_read(&helper);
}

#[test]
fn a_refused_config_names_the_variable_that_needs_no_file() {
    let helper = helper();
    chmod(&helper.config_file(), 0o666);
    helper
        .get("ghcr.io")
        .fails_with(&["config: ", ", or give the config in $DOCKER_CREDENTIAL_LEASE_CONFIG_TOML"]);
    is_read(&helper.env("DOCKER_CREDENTIAL_LEASE_CONFIG_TOML", RULE));
}

#[test]
fn a_refused_config_fails_every_verb_that_needs_it() {
    let helper = helper();
    chmod(&helper.config_file(), 0o666);
    for answer in [helper.list(), helper.erase("ghcr.io"), helper.store("ghcr.io", "octocat", "pw-1")] {
        answer.fails_with(&["config: ", "can be written by others", "hint: chmod go-w "]);
    }
}

#[test]
fn a_config_in_a_folder_that_others_can_write_is_refused_unless_it_is_sticky() {
    let helper = helper();
    let file = helper.config_file();
    let folder = file.parent().unwrap();
    chmod(folder, 0o777);
    is_refused(&helper, folder, "can be written by others");
    is_read(&helper);
    chmod(folder, 0o1777);
    is_read(&helper);
}

#[test]
fn a_linked_config_is_judged_where_the_link_is_and_where_it_leads() {
    let helper = helper();
    let (link, target) = (helper.config_file(), helper.home().join("dotfiles/lease.toml"));
    fs::create_dir(target.parent().unwrap()).unwrap();
    fs::rename(&link, &target).unwrap();
    symlink(&target, &link).unwrap();
    is_read(&helper);
    chmod(target.parent().unwrap(), 0o777);
    is_refused(&helper, target.parent().unwrap(), "can be written by others");
    chmod(link.parent().unwrap(), 0o777);
    is_refused(&helper, link.parent().unwrap(), "can be written by others");
    chmod(&target, 0o666);
    is_refused(&helper, &link, "can be written by others");
    is_read(&helper);
}

#[test]
fn a_config_that_the_variable_names_is_judged_alike() {
    let helper = helper();
    let elsewhere = helper.home().join("ci.toml");
    fs::rename(helper.config_file(), &elsewhere).unwrap();
    let helper = helper.env("DOCKER_CREDENTIAL_LEASE_CONFIG", elsewhere.to_str().unwrap());
    chmod(&elsewhere, 0o666);
    is_refused(&helper, &elsewhere, "can be written by others");
    is_read(&helper);
}

#[test]
fn a_group_may_write_the_config_only_where_it_is_the_users_own() {
    if !is_root() {
        return;
    }
    let helper = helper();
    let file = helper.config_file();
    chmod(&file, 0o664);
    // Root's own group has root's number, as a user private group has its user's.
    is_read(&helper);
    chown(&file, None, Some(STRANGER)).unwrap();
    chmod(&file, 0o664);
    is_refused(&helper, &file, "can be written by its group");
    is_read(&helper);
    let folder = file.parent().unwrap();
    chown(folder, None, Some(STRANGER)).unwrap();
    chmod(folder, 0o775);
    is_refused(&helper, folder, "can be written by its group");
    is_read(&helper);
}

#[test]
fn a_config_that_belongs_to_another_user_is_refused() {
    if !is_root() {
        return;
    }
    let helper = helper();
    let file = helper.config_file();
    for path in [&file, file.parent().unwrap()] {
        chown(path, Some(STRANGER), None).unwrap();
        let variable = "give the config in $DOCKER_CREDENTIAL_LEASE_CONFIG_TOML";
        let answer = helper.get("ghcr.io");
        answer.fails_with(&["belongs to user 12345, not to user 0 or root", "hint: chown 0 ", variable]);
        is_refused(&helper, path, "belongs to user 12345");
        is_read(&helper);
    }
}

#[test]
fn a_user_reads_ones_own_config_and_roots_and_no_strangers() {
    if !is_root() {
        return;
    }
    let helper = helper();
    // The build's own folder may be closed to other users. `cp` does it: a file that this process itself writes
    // cannot be run while another test's thread is just starting a program.
    let binary = helper.home().join("docker-credential-lease");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_docker-credential-lease")).arg(&binary).status();
    assert!(copied.unwrap().success());
    let file = helper.config_file();
    chmod(&file, 0o644);
    for folder in file.ancestors().skip(1).take_while(|folder| folder.starts_with(helper.home())) {
        chmod(folder, 0o755);
    }
    let get_as_stranger = || {
        let mut command = Command::new(&binary);
        command.arg("get").env_clear().env("HOME", helper.home()).env("PAT", "pw-1").current_dir("/");
        Answer::of(command.uid(STRANGER).gid(STRANGER), b"ghcr.io")
    };
    get_as_stranger().is_found("ghcr.io", "octocat", "pw-1");
    chown(&file, Some(STRANGER), Some(STRANGER)).unwrap();
    chmod(&file, 0o660);
    get_as_stranger().is_found("ghcr.io", "octocat", "pw-1");
    chown(&file, Some(STRANGER + 1), None).unwrap();
    chmod(&file, 0o644);
    let answer = get_as_stranger();
    answer.fails_with(&["belongs to user 12346, not to user 12345 or root", "hint: chown 12345 "]);
    chmod(&file, 0o600);
    get_as_stranger().fails_with(&["config: cannot read ", "permission denied"]);
}

#[test]
fn a_config_that_is_no_file_is_a_sentence_and_holds_nothing_up() {
    let helper = Helper::new();
    let fifo = helper.home().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let helper = helper.env("PAT", "pw-1");
    let folder = helper.home().join("folder");
    fs::create_dir(&folder).unwrap();
    for path in [fifo.as_path(), &folder, Path::new("/dev/null"), Path::new("/dev/zero")] {
        let mut command = helper.command(&["get"]);
        command.env("DOCKER_CREDENTIAL_LEASE_CONFIG", path);
        let line = format!("config: cannot read {}: it is not a regular file", path.display());
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"ghcr.io").unwrap();
        drop(writer);
        Answer::in_time(&mut command, reader).0.is_line(&line);
    }
}

#[test]
fn a_config_that_is_no_text_or_too_long_is_a_sentence() {
    let helper = helper();
    fs::write(helper.config_file(), b"[registry.\"\xff\"]\n").unwrap();
    helper.get("ghcr.io").fails_with(&["config: cannot read ", "it is not UTF-8"]);
    fs::write(helper.config_file(), vec![b'\n'; 1024 * 1024 + 1]).unwrap();
    helper.get("ghcr.io").fails_with(&["config: cannot read ", "it is larger than 1048576 bytes"]);
}
