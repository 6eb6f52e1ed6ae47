//! Logins by client certificate, at an OpenBao that speaks TLS.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::rule;
use crate::support::Helper;
use crate::support::own_bao::OwnBao;
use crate::support::servers::Bao;
use crate::support::tls::TlsFront;

/// A server that trusts a CA's certificates at `auth/cert`, where its role `ci` may read one secret.
struct World {
    own: OwnBao,
    bao: Bao,
    _folder: TempDir,
    /// Only its CA and its certificates are used.
    trusted: TlsFront,
    other: TlsFront,
}

impl World {
    fn start() -> Option<Self> {
        let own = OwnBao::start()?;
        let bao = own.ready();
        let folder = tempfile::tempdir().unwrap();
        let [trusted, other] = ["trusted", "other"].map(|name| {
            let at = folder.path().join(name);
            fs::create_dir(&at).unwrap();
            TlsFront::new(&own.tls, &["127.0.0.1"], &at)
        });
        bao.call("POST", "secret/data/ghcr", &json!({"data": {"username": "u", "password": "pw-1"}}));
        let policy = "path \"secret/data/ghcr\" { capabilities = [\"read\"] }";
        bao.call("PUT", "sys/policies/acl/ci", &json!({ "policy": policy }));
        bao.call("POST", "sys/auth/cert", &json!({"type": "cert"}));
        let ca = fs::read_to_string(&trusted.ca).unwrap();
        bao.call("POST", "auth/cert/certs/ci", &json!({"certificate": ca, "token_policies": ["ci"]}));
        Some(Self { own, bao, _folder: folder, trusted, other })
    }

    fn helper(&self, connection: &str, auth: &str) -> Helper {
        let more = format!("[vault.default]\n{connection}\n[vault.default.auth]\nmethod = \"cert\"\n{auth}");
        Helper::with_config(&rule("secret/data/ghcr", &more)).envs(&[
            ("VAULT_ADDR", &format!("https://{}", self.own.tls)),
            ("VAULT_CACERT", text(&self.own.ca)),
            ("VAULT_TOKEN", "wrong"),
        ])
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn shown(front: &TlsFront) -> String {
    format!("client-cert = \"{}\"\nclient-key = \"{}\"", text(&front.client.0), text(&front.client.1))
}

const CHECK: &str = "hint: check client-cert and client-key, and that a role trusts the certificate's CA";

#[test]
fn a_certificate_is_a_login() {
    let Some(world) = World::start() else { return };
    let own = shown(&world.trusted);
    world.helper(&own, "role = \"ci\"").get("ghcr.io").is_found("ghcr.io", "u", "pw-1");
    let (certificate, key) = (text(&world.trusted.client.0), text(&world.trusted.client.1));
    for prefix in ["VAULT", "BAO"] {
        let helper = world.helper("", "role = \"ci\"").env(&format!("{prefix}_CLIENT_CERT"), certificate);
        let helper = helper.env(&format!("{prefix}_CLIENT_KEY"), key);
        helper.get("ghcr.io").is_found("ghcr.io", "u", "pw-1");
    }
    // The role that is named is the one that counts.
    let ca = fs::read_to_string(&world.trusted.ca).unwrap();
    world.bao.call("POST", "auth/cert/certs/idle", &json!({"certificate": ca}));
    let answer = world.helper(&own, "role = \"idle\"").get("ghcr.io");
    answer.fails_with(&["permission denied; hint: the policies of the login's role must allow read"]);
    let refused = |helper: Helper, told: &str| {
        helper.get("ghcr.io").is_line(&format!("vault: secret/data/ghcr: login at auth/cert: {told}"));
    };
    let unknown = "invalid certificate or no client certificate supplied";
    refused(world.helper(&own, "role = \"other\""), &format!("{unknown}; {CHECK}"));
    refused(world.helper(&shown(&world.other), "role = \"ci\""), &format!("{unknown}; {CHECK}"));
    refused(world.helper("", "role = \"ci\""), &format!("no client certificate found; {CHECK}"));
    let plain = format!("address = \"http://{}\"\n{own}", world.own.plain);
    let told = "a certificate is shown over TLS only; hint: use an https:// address";
    refused(world.helper(&plain, "role = \"ci\""), told);
    let socket = format!("address = \"unix://{}\"\n{own}", text(&world.own.socket));
    refused(world.helper(&socket, "role = \"ci\""), told);
}

#[test]
fn a_role_need_not_be_named() {
    let Some(world) = World::start() else { return };
    world.helper(&shown(&world.trusted), "").get("ghcr.io").is_found("ghcr.io", "u", "pw-1");
}
