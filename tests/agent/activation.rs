//! A socket that systemd made, and the units for it.

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Kv;
use crate::support::agent::{Line, SOCKET, private_folder, until};
use crate::support::program::Ends;

/// Hands the socket over as systemd does: as descriptor 3, to the process that the variable names.
const HAND_OVER: &str = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" agent";

/// An agent that is given the listener, and would else have a place of its own.
fn handed(listener: &UnixListener, script: &str, own: &Path) -> Ends {
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_docker-credential-lease")]);
    command.env_clear().env(SOCKET, own);
    Ends(command.stdin(Stdio::from(listener.as_fd().try_clone_to_owned().unwrap())).spawn().unwrap())
}

#[test]
fn the_socket_that_systemd_hands_over_is_listened_at_and_left_in_place() {
    let Some(kv) = Kv::find() else { return };
    let folder = private_folder();
    let socket = folder.path().join("handed.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).unwrap();
    let helper = kv.helper("").env(SOCKET, socket.to_str().unwrap());
    for turn in 1..=2 {
        let mut agent = handed(&listener, HAND_OVER, &folder.path().join("unused.sock"));
        for _ in 0..2 {
            helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        }
        assert_eq!(kv.requests(), turn);
        let answer = helper.run(&["agent", "status", "--json"], "");
        assert!(answer.stdout.contains(&format!("\"socket\":\"{}\"", socket.display())), "{answer:?}");
        assert_eq!(helper.run(&["agent", "stop"], "").code, Some(0));
        assert!(agent.0.wait().unwrap().success());
        // systemd goes on listening there.
        assert!(socket.exists());
    }
    drop(listener);
}

#[test]
fn a_socket_for_another_process_is_not_taken() {
    let folder = private_folder();
    let (theirs, own) = (folder.path().join("theirs.sock"), folder.path().join("agent.sock"));
    let listener = UnixListener::bind(&theirs).unwrap();
    let _agent = handed(&listener, &HAND_OVER.replace("$$", "1"), &own);
    until("it listens at its own", || own.exists());
    let told = Line::to(&own).ask_now(serde_json::json!({"status": true}));
    assert_eq!(told.unwrap()["status"]["socket"], own.to_str().unwrap());
}

/// The folder of the units.
fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd")
}

/// Debian's, where it is installed.
fn systemd_analyze(words: &[&str]) -> Option<Command> {
    let mut command = Command::new("systemd-analyze");
    if command.arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no systemd-analyze");
        return None;
    }
    let mut command = Command::new("systemd-analyze");
    command.arg("--user").args(words);
    Some(command)
}

/// What it thinks of the service, from 0 (closed) to 100: what is left open there only root can close, or a user with a
/// namespace of their own.
#[test]
fn systemd_finds_the_service_hardened() {
    let Some(mut command) = systemd_analyze(&["security", "--offline=yes", "--threshold=62"]) else { return };
    let folder = private_folder();
    let unit = units().join("docker-credential-lease-agent.service");
    let output = command.arg(unit).env("XDG_RUNTIME_DIR", folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn systemd_takes_the_units() {
    let Some(mut command) = systemd_analyze(&["--man=no", "verify"]) else { return };
    let folder = private_folder();
    for name in ["docker-credential-lease-agent.service", "docker-credential-lease-agent.socket"] {
        // The program is not where the package puts it.
        let unit = std::fs::read_to_string(units().join(name)).unwrap();
        let unit =
            unit.replace("/usr/bin/docker-credential-lease", env!("CARGO_BIN_EXE_docker-credential-lease"));
        std::fs::write(folder.path().join(name), unit).unwrap();
    }
    let paths =
        ["service", "socket"].map(|kind| folder.path().join(format!("docker-credential-lease-agent.{kind}")));
    command.args(&paths);
    command
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display()));
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !told.contains("docker-credential-lease"), "{told}");
}
