//! Addresses that are Unix sockets: the server's own, and what is none.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::json;

use super::approle::AppRole;
use super::{double, rule};
use crate::support::Helper;
use crate::support::own_bao::OwnBao;
use crate::support::servers::unique;

fn at(socket: &Path, more: &str) -> Helper {
    let more = format!("[vault.default]\naddress = \"unix://{}\"\n{more}", socket.display());
    Helper::with_config(&rule("secret/data/ghcr", &more)).env("VAULT_TOKEN", "mine")
}

#[test]
fn the_servers_own_socket_takes_a_token_that_is_named_and_a_login() {
    let Some(own) = OwnBao::start() else { return };
    let role = AppRole::new(own.ready(), "", &unique("approle"), &json!({}));
    let url = format!("unix://{}", own.socket.display());
    let helper = |auth: &str| {
        Helper::with_config(&rule(&role.path, auth)).envs(&[
            ("VAULT_ADDR", &url),
            ("VAULT_TOKEN", &role.bao.token),
            ("CI_TOKEN", &role.bao.token),
        ])
    };
    helper("[vault.default.auth]\ntoken-env = \"CI_TOKEN\"")
        .get("ghcr.io")
        .is_found("ghcr.io", "octocat", "pw-1");
    let by_login = role.with_secret_id(&role.secret_id()).env("VAULT_ADDR", &url);
    by_login.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    // Behind a socket the usual variables are another's business: the way out is named.
    helper("").get("ghcr.io").is_line(&format!(
        "vault: {}: permission denied; hint: no token was sent: have the Vault Agent or Proxy add one that may, or name \
        one with token-env or token-file",
        role.path
    ));
}

#[test]
fn a_socket_that_is_missing_or_none_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let [missing, file] = ["missing.sock", "file"].map(|name| folder.path().join(name));
    fs::write(&file, "").unwrap();
    let remedy = "hint: start the Vault Agent or Proxy, or correct the address";
    for (path, told) in [
        (missing.as_path(), format!("there is no socket {}", missing.display())),
        (&file, format!("{} is no socket", file.display())),
        (folder.path(), format!("{} is no socket", folder.path().display())),
        (
            &file.join("below"),
            format!("cannot use {}: Not a directory (os error 20)", file.join("below").display()),
        ),
    ] {
        at(path, "").get("ghcr.io").is_line(&format!("vault: secret/data/ghcr: {told}; {remedy}"));
    }
}

#[test]
fn a_socket_without_a_listener_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("dead.sock");
    drop(UnixListener::bind(&socket).unwrap());
    at(&socket, "").get("ghcr.io").is_line(&format!(
        "vault: secret/data/ghcr: connection refused; hint: check that what listens at {} runs, and that you may connect \
        to it",
        socket.display()
    ));
}

#[test]
fn a_socket_that_another_user_could_have_put_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (inner, elsewhere) = (folder.path().join("run"), folder.path().join("linked"));
    let socket = inner.join("agent.sock");
    for folder in [&inner, &elsewhere] {
        fs::create_dir(folder).unwrap();
    }
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    symlink(&socket, elsewhere.join("agent.sock")).unwrap();
    for (path, open) in [
        (&socket, &inner),
        (&elsewhere.join("agent.sock"), &elsewhere),
        (&elsewhere.join("agent.sock"), &inner),
    ] {
        for (mode, who) in [(0o757, "others"), (0o775, "its group"), (0o777, "others")] {
            fs::set_permissions(open, fs::Permissions::from_mode(mode)).unwrap();
            if mode == 0o775 && !rustix::process::geteuid().is_root() {
                continue; // It may be the user's private group.
            }
            if mode == 0o775 {
                std::os::unix::fs::chown(open, None, Some(12345)).unwrap();
            }
            let open = open.display();
            let told = format!("{open} can be written by {who}; hint: chmod go-w {open}");
            at(path, "").get("ghcr.io").is_line(&format!("vault: secret/data/ghcr: {told}"));
        }
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert!(listener.accept().is_err(), "it was connected to");
}

#[test]
fn no_proxy_stands_before_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, double) = (folder.path().join("dead.sock"), double());
    drop(UnixListener::bind(&socket).unwrap());
    let variables = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"];
    let helper = variables.into_iter().fold(at(&socket, ""), |helper, name| helper.env(name, double.url()));
    helper
        .get("ghcr.io")
        .fails_with(&["vault: secret/data/ghcr: connection refused; hint: check that what listens"]);
    assert!(double.heard().is_empty());
}
