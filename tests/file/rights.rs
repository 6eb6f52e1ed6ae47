//! What another user could have written is neither read nor written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
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
    // It stays theirs.
    helper.store("ghcr.io", "octocat", "pw-2").is_silent();
    let metadata = fs::metadata(&file).unwrap();
    let owner =
        (std::os::unix::fs::MetadataExt::uid(&metadata), std::os::unix::fs::MetadataExt::gid(&metadata));
    assert_eq!((owner, super::mode(&file)), ((12345, 23456), 0o640));
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
