//! An OpenBao server of the test's own, for states that a shared one must not be in.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::Ends;
use super::servers::{Bao, request, setting};

/// A server that nobody has initialised yet. It ends with the test.
pub(crate) struct OwnBao {
    /// Its plain port, `127.0.0.1:PORT`.
    pub(crate) plain: String,
    /// Its TLS port, likewise.
    pub(crate) tls: String,
    /// The certificate of its TLS port, PEM.
    pub(crate) ca: PathBuf,
    /// Its Unix socket.
    pub(crate) socket: PathBuf,
    _server: Ends,
    _folder: TempDir,
}

impl OwnBao {
    /// `None` where `TEST_BAO` names no server to start: the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        let binary = setting("TEST_BAO")?;
        let folder = tempfile::Builder::new().prefix("lease-bao").tempdir().unwrap();
        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let (ca, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        fs::write(&ca, certified.cert.pem()).unwrap();
        fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let [plain, tls] = free_addresses();
        let socket = folder.path().join("bao.sock");
        let config = folder.path().join("bao.json");
        let settings = json!({
            "storage": {"inmem": {}},
            "listener": [
                {"tcp": {"address": plain, "tls_disable": true}},
                {"tcp": {"address": tls, "tls_cert_file": ca, "tls_key_file": key}},
                {"unix": {"address": socket, "tls_disable": true}},
            ],
        });
        fs::write(&config, settings.to_string()).unwrap();
        let server = Command::new(binary)
            .arg("server")
            .arg("-config")
            .arg(&config)
            .env_clear()
            .env("HOME", folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Ends(server);
        server
            .comes_up("OpenBao", || [&plain, &tls].iter().all(|address| TcpStream::connect(address).is_ok()));
        Some(Self { plain, tls, ca, socket, _server: server, _folder: folder })
    }

    /// Initialises it and leaves it sealed; the root token.
    pub(crate) fn initialise(&self) -> String {
        self.initialised()["root_token"].as_str().unwrap().to_owned()
    }

    /// Initialises it and opens it for use, with a versioned K/V engine at `secret/`.
    pub(crate) fn ready(&self) -> Bao {
        let made = self.initialised();
        self.put("sys/unseal", &json!({"key": made["keys"][0]}));
        let token = made["root_token"].as_str().unwrap().to_owned();
        let bao = Bao { address: format!("http://{}", self.plain), token };
        bao.call("POST", "sys/mounts/secret", &json!({"type": "kv", "options": {"version": "2"}}));
        bao
    }

    fn initialised(&self) -> Value {
        self.put("sys/init", &json!({"secret_shares": 1, "secret_threshold": 1}))
    }

    fn put(&self, path: &str, body: &Value) -> Value {
        let (status, answer) =
            request("PUT", &format!("http://{}/v1/{path}", self.plain), &[], &body.to_string());
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }
}

/// Ports that were free a moment ago, `127.0.0.1:PORT`.
pub(crate) fn free_addresses<const N: usize>() -> [String; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.each_ref().map(|listener| listener.local_addr().unwrap().to_string())
}
