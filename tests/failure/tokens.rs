//! Token files that another user could have written, or that are none.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{chmod, is_read, rule};
use crate::support::hostile::Hostile;
use crate::support::{Answer, Helper};

const TOKEN: &str = "hvs.CAESIJ-mine";
const ANSWER: &str = r#"{"data":{"username":"octocat","password":"pw-1"}}"#;

/// A helper whose token is in the file that a login leaves, or in one that its config names.
fn helpers() -> [(Helper, PathBuf); 2] {
    let double = Hostile::answering(200, "", ANSWER);
    let config = rule("secret/ghcr", "");
    let usual = Helper::with_config(&config).env("VAULT_ADDR", double.url());
    let file = usual.home().join(".vault-token");
    fs::write(&file, TOKEN).unwrap();
    let config = format!("{config}[vault.default.auth]\ntoken-file = \"~/run/token\"\n");
    let named = Helper::with_config(&config).env("VAULT_ADDR", double.url());
    fs::create_dir(named.home().join("run")).unwrap();
    let other = named.home().join("run/token");
    fs::write(&other, TOKEN).unwrap();
    [(usual, file), (named, other)]
}

/// Refused with the path, the reason and the command that mends it, and never with the token.
#[track_caller]
fn is_refused(helper: &Helper, path: &Path, why: &str) {
    let answer = helper.get("ghcr.io");
    let path = path.display();
    let line = answer.fails_with(&[&format!("vault: secret/ghcr: {path} {why}; hint: chmod go-w {path}")]);
    assert!(!line.contains(TOKEN), "{line}");
}

#[test]
fn a_token_that_others_can_write_is_refused() {
    for (helper, file) in helpers() {
        is_read(&helper);
        chmod(&file, 0o646);
        is_refused(&helper, &file, "can be written by others");
        chmod(&file, 0o644);
        is_read(&helper);
    }
}

#[test]
fn a_token_in_a_folder_that_others_can_write_is_refused_unless_it_is_sticky() {
    for (helper, file) in helpers() {
        let folder = file.parent().unwrap();
        chmod(folder, 0o777);
        is_refused(&helper, folder, "can be written by others");
        chmod(folder, 0o1777);
        is_read(&helper);
        chmod(folder, 0o755);
    }
}

#[test]
fn a_linked_token_is_judged_where_it_leads() {
    for (helper, file) in helpers() {
        let target = helper.home().join("mounted/token");
        fs::create_dir(target.parent().unwrap()).unwrap();
        fs::rename(&file, &target).unwrap();
        symlink(&target, &file).unwrap();
        is_read(&helper);
        chmod(target.parent().unwrap(), 0o777);
        is_refused(&helper, target.parent().unwrap(), "can be written by others");
    }
}

#[test]
fn a_token_may_belong_to_anybody_since_the_config_names_it() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files to other users");
        return;
    }
    for (helper, file) in helpers() {
        chown(&file, Some(12345), Some(12345)).unwrap();
        is_read(&helper);
        chmod(&file, 0o660);
        is_refused(&helper, &file, "can be written by its group");
    }
}

#[test]
fn a_token_file_that_is_none_is_a_sentence_and_holds_nothing_up() {
    for (helper, file) in helpers() {
        fs::write(&file, "\n").unwrap();
        helper.get("ghcr.io").fails_with(&[&format!("what {} holds is no token", file.display())]);
        fs::write(&file, format!("{TOKEN}\nhvs.second")).unwrap();
        let answer = helper.get("ghcr.io");
        let line = answer.fails_with(&["vault: secret/ghcr: ", "holds is no token"]);
        assert!(!line.contains("hvs."), "{line}");
        fs::remove_file(&file).unwrap();
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"ghcr.io").unwrap();
        drop(writer);
        let (answer, _) = Answer::in_time(&mut helper.command(&["get"]), reader);
        answer.fails_with(&["vault: secret/ghcr: cannot read ", "it is not a regular file"]);
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        helper.get("ghcr.io").fails_with(&["vault: secret/ghcr: cannot read ", "it is not a regular file"]);
    }
}

#[test]
fn a_token_file_that_is_missing_is_named() {
    let [(usual, file), (named, other)] = helpers();
    fs::remove_file(&file).unwrap();
    usual.get("ghcr.io").fails_with(&["vault: secret/ghcr: no token: ", "no ~/.vault-token; hint: log in"]);
    fs::remove_file(&other).unwrap();
    named.get("ghcr.io").fails_with(&[&format!("vault: secret/ghcr: no file {}", other.display())]);
}
