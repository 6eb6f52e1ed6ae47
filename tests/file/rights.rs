//! What another user could have written is neither read nor written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::process::Command;

use super::{with, write};
use crate::support::Helper;

/// Refused with the reason; then runs the command that mends it as a shell would.
#[track_caller]
fn is_refused(helper: &Helper, parts: &[&str]) {
    let answer = helper.get("ghcr.io");
    let line = answer.fails_with(parts);
    let command = line.split_once("hint: ").unwrap().1;
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn a_file_or_folder_that_others_can_write_is_refused_until_it_is_mended() {
    let json = r#"{"username": "octocat", "password": "pw-1"}"#;
    for (rule, text) in
        [("path = \"~/a/f\"", json), ("username = \"octocat\"\npassword-file = \"~/a/f\"", "pw-1")]
    {
        let helper = with("ghcr.io", rule);
        let file = write(&helper, "a/f", text);
        for (path, mode) in
            [(file.as_path(), 0o646), (file.as_path(), 0o602), (file.parent().unwrap(), 0o777)]
        {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            is_refused(
                &helper,
                &[&format!("{} can be written by others, so it is not read", path.display())],
            );
        }
        // The folder of a link's target counts too.
        let target = write(&helper, "b/f", text);
        fs::remove_file(&file).unwrap();
        symlink(&target, &file).unwrap();
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        fs::set_permissions(target.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
        is_refused(&helper, &["/b can be written by others, so it is not read"]);
    }
}

#[test]
fn a_file_may_be_anybody_s() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files to other users");
        return;
    }
    let helper = with("ghcr.io", "path = \"~/a/f\"\nstore = \"write\"");
    let file = write(&helper, "a/f", r#"{"username": "octocat", "password": "pw-1"}"#);
    chown(&file, Some(12345), Some(23456)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    // What is written into it they could read.
    let own = helper.store("ghcr.io", "octocat", "pw-needle");
    let line =
        own.fails_with(&["/a/f belongs to user 12345, not to user 0 or root, so nothing is changed there"]);
    assert!(line.contains("hint: chown 0 /"), "{line}");
    assert_eq!(
        super::json_of(&helper, "a/f"),
        serde_json::json!({"username": "octocat", "password": "pw-1"})
    );
}

#[test]
fn nothing_is_written_into_what_another_user_made_beforehand() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files to other users");
        return;
    }
    for rule in ["path = \"~/a/f\"", "username = \"octocat\"\npassword-file = \"~/a/f\""] {
        let helper = with("ghcr.io", &format!("{rule}\nstore = \"write\"\nerase = \"delete\""));
        let file = write(&helper, "a/f", "");
        fs::set_permissions(file.parent().unwrap(), fs::Permissions::from_mode(0o1777)).unwrap();
        let victim = write(&helper, "victim", "{}");
        chown(&file, Some(12345), Some(12345)).unwrap();
        let refused = |hint: &str| {
            for answer in [helper.store("ghcr.io", "octocat", "pw-needle"), helper.erase("ghcr.io")] {
                let line = answer
                    .fails_with(&["/a/f belongs to user 12345, ", "so nothing is changed there; hint: "]);
                assert!(line.contains(hint) && !line.contains("pw-needle"), "{line}");
            }
        };
        refused("chown 0 /");
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
        fs::remove_file(&file).unwrap();
        symlink(&victim, &file).unwrap();
        lchown(&file, Some(12345), Some(12345)).unwrap();
        refused("chown -h 0 /");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "{}");
        assert_eq!(super::names(&helper, "a"), ["f"]);
    }
}

#[test]
fn nothing_is_written_into_what_others_can_write_or_what_is_no_file() {
    for rule in [
        "path = \"~/a/f\"",
        "username = \"octocat\"\npassword-file = \"~/a/f\"",
        "username-file = \"~/a/f\"\npassword-file = \"~/a/p\"",
    ] {
        let helper = with("ghcr.io", &format!("{rule}\nstore = \"write\""));
        let file = write(&helper, "a/f", "");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        let is_mended = |what: &str| {
            let answer = helper.store("ghcr.io", "octocat", "pw-1");
            let line = answer.fails_with(&[&format!("/a/f {what}, so nothing is changed there; hint: ")]);
            assert_eq!(super::names(&helper, "a"), ["f"]);
            let command = line.split_once("hint: ").unwrap().1;
            assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
            helper.store("ghcr.io", "octocat", "pw-1").is_silent();
            helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        };
        is_mended("can be written by others");
        assert_eq!(super::mode(&file), 0o644);
        fs::remove_dir_all(helper.home().join("a")).unwrap();
        fs::create_dir(helper.home().join("a")).unwrap();
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        is_mended("is not a regular file");
    }
}

#[test]
fn nothing_is_changed_behind_a_link_that_others_could_turn() {
    let helper = with("ghcr.io", "path = \"~/a/f\"\nstore = \"write\"\nerase = \"delete\"");
    let kept = "{\"username\": \"u\", \"password\": \"p\"}";
    let target = write(&helper, "b/f", kept);
    let folder = helper.home().join("a");
    fs::create_dir(&folder).unwrap();
    symlink(&target, folder.join("f")).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    for answer in [helper.store("ghcr.io", "octocat", "pw-1"), helper.erase("ghcr.io")] {
        answer.fails_with(&[&format!(
            "{} can be written by others, so nothing is changed there",
            folder.display()
        )]);
    }
    assert_eq!(fs::read_to_string(target).unwrap(), kept);
}

#[test]
fn nothing_is_written_where_others_could_replace_it() {
    for rule in ["path = \"~/a/f\"", "username = \"octocat\"\npassword-file = \"~/a/f\""] {
        let helper = with("ghcr.io", &format!("{rule}\nstore = \"write\""));
        let folder = helper.home().join("a");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let answer = helper.store("ghcr.io", "octocat", "pw-needle");
        let line = answer.fails_with(&[&format!(
            "{} can be written by others, so nothing is changed there; hint: chmod go-w ",
            folder.display()
        )]);
        assert!(!line.contains("pw-needle"));
        assert_eq!(super::names(&helper, "a"), [""; 0]);
    }
}
