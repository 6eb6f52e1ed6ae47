//! Failures: one line that says source, place, cause and remedy, and never a secret.

mod answers;
mod files;
mod input;
mod refusals;
mod servers;
mod softened;
mod tokens;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::Helper;

/// A rule for `ghcr.io` that asks the path, with more keys.
fn rule(path: &str, more: &str) -> String {
    format!("[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"{path}\"\n{more}\n")
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The credential that these tests hide behind files is given.
#[track_caller]
fn is_read(helper: &Helper) {
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}
