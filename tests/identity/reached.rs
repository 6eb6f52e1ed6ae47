//! How GitHub is reached for a token: proxies, certificates, and the look-up's own time.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::jwt::{JwtMount, github};
use crate::support::own_bao::free_addresses;
use crate::support::proxy::Proxy;
use crate::support::tls::TlsFront;

const HOST: &str = "actions.example.invalid";

/// A double behind TLS with a private CA, and a real OpenBao that takes what it makes.
struct Setup {
    mount: JwtMount,
    double: Hostile,
    front: TlsFront,
    _folder: tempfile::TempDir,
}

impl Setup {
    /// It makes good tokens.
    fn new(name: &str) -> Option<Self> {
        let mount = JwtMount::github()?;
        let answer = json!({"value": mount.signer.sign(&github())}).to_string();
        Some(Self::with(mount, Hostile::answering(200, "", &answer), name))
    }

    fn with(mount: JwtMount, double: Hostile, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let front = TlsFront::new(&double.authority, &[name], folder.path());
        Self { mount, double, front, _folder: folder }
    }

    /// A job that asks there.
    fn job(&self, authority: &str) -> Helper {
        self.mount.helper("\"github\"").envs(&[
            ("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("https://{authority}/token?v=1")),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "r3quest-token"),
        ])
    }

    fn ca(&self) -> &str {
        self.front.ca.to_str().unwrap()
    }
}

#[test]
fn a_token_comes_through_the_proxy_from_a_host_with_a_private_ca() {
    let Some(setup) = Setup::new(HOST) else { return };
    let proxy = Proxy::to(&setup.front.authority);
    let helper = setup.job(HOST).env("SSL_CERT_FILE", setup.ca()).env("HTTPS_PROXY", proxy.url());
    setup.mount.gives(&helper);
    // OpenBao is on this machine, and asked without it.
    assert_eq!(proxy.request_lines(), [format!("CONNECT {HOST}:443 HTTP/1.1")]);
    assert!(!proxy.asked().concat().contains("r3quest-token"));
    assert_eq!(setup.double.heard().len(), 1);
}

#[test]
fn no_proxy_names_hosts_that_are_asked_directly() {
    // Not loopback to a proxy's rules, and yet this machine.
    let Some(setup) = Setup::new("0.0.0.0") else { return };
    let proxy = Proxy::to(&setup.front.authority);
    let helper = setup.job(&format!("0.0.0.0:{}", setup.front.port)).env("SSL_CERT_FILE", setup.ca());
    let helper = helper.env("HTTPS_PROXY", proxy.url());
    setup.mount.gives(&helper);
    assert_eq!(proxy.asked().len(), 1);
    setup.mount.gives(&helper.env("NO_PROXY", "0.0.0.0"));
    assert_eq!(proxy.asked().len(), 1);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_not_asked() {
    let Some(setup) = Setup::new("127.0.0.1") else { return };
    let answer = setup.job(&setup.front.authority).get("ghcr.io");
    answer.fails_with(&[": GitHub gave no identity token: TLS: ", "; hint: "]);
    let Some(other) = Setup::new("another.example.invalid") else { return };
    let answer = other.job(&other.front.authority).env("SSL_CERT_FILE", other.ca()).get("ghcr.io");
    answer.fails_with(&[": GitHub gave no identity token: TLS: ", "; hint: "]);
    assert!(setup.double.heard().is_empty() && other.double.heard().is_empty());
}

#[test]
fn what_vault_is_reached_by_does_not_count_for_github() {
    let Some(setup) = Setup::new("127.0.0.1") else { return };
    let helper = setup.job(&setup.front.authority).env("VAULT_CACERT", setup.ca());
    helper.get("ghcr.io").fails_with(&[": GitHub gave no identity token: TLS: "]);
    assert!(setup.double.heard().is_empty());
    setup.mount.gives(&setup.job(&setup.front.authority).env("SSL_CERT_FILE", setup.ca()));
}

#[test]
fn a_refusal_or_silence_behind_a_proxy_names_the_proxy() {
    let Some(setup) = Setup::new(HOST) else { return };
    let [nobody] = free_addresses();
    for (authority, cause) in [
        (Hostile::answering(407, "", "s3cret").authority.clone(), "user and password"),
        (nobody, "connection refused"),
    ] {
        let helper = setup.job(HOST).env("SSL_CERT_FILE", setup.ca());
        let helper = helper.env("HTTPS_PROXY", format!("http://user:pr0xy-pass@{authority}"));
        let answer = helper.get("ghcr.io");
        let through = format!(" (through the proxy {authority}); hint: ");
        let line = answer.fails_with(&["GitHub gave no identity token: ", cause, &through]);
        assert!(!line.contains("pr0xy-pass") && !line.contains("s3cret"), "{line}");
    }
}

#[test]
fn a_refusal_from_behind_a_proxy_names_it_too() {
    let Some(mount) = JwtMount::github() else { return };
    let setup = Setup::with(mount, Hostile::answering(403, "", "{}"), HOST);
    let proxy = Proxy::to(&setup.front.authority);
    let helper = setup.job(HOST).env("SSL_CERT_FILE", setup.ca()).env("HTTPS_PROXY", proxy.url());
    let through = format!("HTTP 403 (through the proxy {}); hint: ", proxy.authority);
    helper.get("ghcr.io").fails_with(&["GitHub gave no identity token: ", &through]);
}

#[test]
fn a_host_that_never_answers_is_left_at_the_deadline() {
    let Some(mount) = JwtMount::github() else { return };
    let double = Hostile::silent();
    let config = format!("timeout = \"600ms\"\n{}", mount.config("ci", "\"github\""));
    let helper = Helper::with_config(&config).envs(&[
        ("VAULT_ADDR", mount.bao.address.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{}/token", double.url())),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "r3quest-token"),
    ]);
    let started = Instant::now();
    let hint = "check that the server is up and reachable from here";
    mount.refuses(&helper, &format!("GitHub gave no identity token: timed out after 600ms; hint: {hint}"));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
