//! Failures: one line that says source, place, cause and remedy, and never a secret.

mod answers;
mod files;
mod input;
mod refusals;
mod servers;
mod softened;
mod tokens;

/// A rule for `ghcr.io` that asks the path, with more keys.
fn rule(path: &str, more: &str) -> String {
    format!("[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"{path}\"\n{more}\n")
}
