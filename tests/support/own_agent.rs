//! An Agent or Proxy of OpenBao's, of the test's own: it logs in by itself and answers on a Unix socket.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::program::Ends;
use super::servers::setting;

/// What it logs in with.
pub(crate) struct AppRoleLogin<'a> {
    pub(crate) mount: &'a str,
    pub(crate) role_id: &'a str,
    pub(crate) secret_id: &'a str,
}

/// An Agent or Proxy that is logged in. It ends with the test.
pub(crate) struct OwnAgent {
    pub(crate) socket: PathBuf,
    _process: Ends,
    _folder: TempDir,
}

impl OwnAgent {
    /// Starts `kind`, `agent` or `proxy`, before the server; `adding`, `api_proxy` or `cache`, is what adds its token.
    /// `None` where `TEST_BAO` names no program to start: the test is skipped.
    pub(crate) fn start(kind: &str, server: &str, login: &AppRoleLogin<'_>, adding: &str) -> Option<Self> {
        let binary = setting("TEST_BAO")?;
        let folder = tempfile::Builder::new().prefix("lease-agent").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("role-id"), login.role_id).unwrap();
        fs::write(at("secret-id"), login.secret_id).unwrap();
        let socket = at("agent.sock");
        let config = format!(
            r#"
vault {{ address = "{server}" }}
auto_auth {{
  method "approle" {{
    mount_path = "auth/{}"
    config = {{
      role_id_file_path = "{}"
      secret_id_file_path = "{}"
      remove_secret_id_file_after_reading = false
    }}
  }}
}}
listener "unix" {{
  address = "{}"
  tls_disable = true
}}
{adding} {{ use_auto_auth_token = true }}
"#,
            login.mount,
            at("role-id").display(),
            at("secret-id").display(),
            socket.display()
        );
        fs::write(at("config.hcl"), config).unwrap();
        let process = Command::new(binary)
            .arg(kind)
            .arg(format!("-config={}", at("config.hcl").display()))
            .env_clear()
            .env("HOME", folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut process = Ends(process);
        process.comes_up(&format!("the {kind}"), || is_logged_in(&socket));
        Some(Self { socket, _process: process, _folder: folder })
    }

    /// Whether it adds a token that is good for something: asked for without one of our own.
    pub(crate) fn is_logged_in(&self) -> bool {
        is_logged_in(&self.socket)
    }

    /// Its address, as the helper takes it.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

fn is_logged_in(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    let question = "GET /v1/auth/token/lookup-self HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = Vec::new();
    let asked = stream.write_all(question.as_bytes()).and_then(|()| stream.read_to_end(&mut answer));
    asked.is_ok() && answer.starts_with(b"HTTP/1.1 200 ")
}
