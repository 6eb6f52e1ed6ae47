//! Logins: what hangs and what is far away, proxies and CAs.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::support::Helper;
use crate::support::app_role::AppRole;
use crate::support::gate::{Gate, Step};
use crate::support::hostile::Hostile;
use crate::support::proxy::Proxy;
use crate::support::relay::Relay;
use crate::support::servers::{Bao, in_the_end};
use crate::support::tls::TlsFront;

/// A name that no resolver knows.
const HOST: &str = "vault.example.invalid";

/// A secret `octocat` with `pw-1`, and a role that may read it.
struct Secret {
    bao: Bao,
    role: AppRole,
    rule: String,
}

impl Secret {
    fn find() -> Option<Self> {
        let bao = Bao::find()?;
        let name = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
        let policy = format!("path \"secret/data/{name}\" {{ capabilities = [\"read\"] }}");
        let role = AppRole::new(&bao, &policy);
        let rule = format!("[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"secret/data/{name}\"\n");
        Some(Self { bao, role, rule })
    }

    /// A helper that has one second and asks the URL.
    fn helper(&self, url: &str, connection: &str) -> Helper {
        let config = format!("timeout = \"1s\"\n{}", self.rule);
        self.role.helper(&self.bao, &config, connection).env("VAULT_ADDR", url)
    }

    fn tokens(&self) -> usize {
        self.role.tokens(&self.bao)
    }
}

#[track_caller]
fn is_found(helper: &Helper) {
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

/// In front of the server; every request whose line holds one of these is never answered.
fn hanging(bao: &Bao, parts: &'static [&'static str]) -> Gate {
    Gate::holding(&bao.address, |line| match parts.iter().any(|part| line.contains(part)) {
        true => Step::Never,
        false => Step::Pass,
    })
}

/// The look-up takes so many seconds and less than one more; a busy machine gets a few more tries.
#[track_caller]
fn takes(seconds: u64, look_up: impl Fn()) {
    let seconds = Duration::from_secs(seconds);
    for turn in 1.. {
        let started = Instant::now();
        look_up();
        let took = started.elapsed();
        assert!(took >= seconds && turn < 4, "{took:?}");
        if took < seconds + Duration::from_secs(1) {
            return;
        }
    }
}

#[test]
fn a_login_that_hangs_is_left_at_the_deadline() {
    let Some(it) = Secret::find() else { return };
    takes(1, || {
        let gate = hanging(&it.bao, &["/login"]);
        let answer = it.helper(&gate.url(), "").get("ghcr.io");
        answer
            .fails_with(&["vault: secret/data/", ": timed out after 1s; hint: check that the server is up"]);
        assert_eq!(gate.told(), [format!("POST /v1/auth/{}/login 0", it.role.mount)]);
    });
}

#[test]
fn a_read_that_hangs_is_left_at_the_deadline_and_its_login_given_back() {
    let Some(it) = Secret::find() else { return };
    takes(1, || {
        let gate = hanging(&it.bao, &["/secret/"]);
        let answer = it.helper(&gate.url(), "").get("ghcr.io");
        answer.fails_with(&["vault: secret/data/", ": timed out after 1s; hint: "]);
        assert_eq!(gate.told().last().unwrap(), "POST /v1/auth/token/revoke-self 204");
        in_the_end(&0, || it.tokens());
    });
}

#[test]
fn a_server_that_hangs_after_the_login_holds_nobody_for_more_than_a_second() {
    let Some(it) = Secret::find() else { return };
    takes(2, || {
        let gate = hanging(&it.bao, &["/secret/", "/revoke-self"]);
        let answer = it.helper(&gate.url(), "").get("ghcr.io");
        answer.fails_with(&["vault: secret/data/", ": timed out after 1s; hint: "]);
        assert_eq!(gate.told().len(), 3);
    });
}

#[test]
fn a_login_whose_return_hangs_costs_the_time_that_is_left_and_no_credential() {
    let Some(it) = Secret::find() else { return };
    takes(1, || is_found(&it.helper(&hanging(&it.bao, &["/revoke-self"]).url(), "")));
}

#[test]
fn a_mint_is_seen_through_beyond_the_timeout_and_a_login_is_not() {
    let Some(it) = Secret::find() else { return };
    let mount = it.bao.mount(&json!({"type": "ssh"}));
    let role = json!({"key_type": "otp", "default_user": "hubuser", "cidr_list": "127.0.0.0/8"});
    it.bao.call("POST", &format!("{mount}/roles/otp"), &role);
    let path = format!("{mount}/creds/otp");
    let role =
        AppRole::new(&it.bao, &format!("path \"{path}\" {{ capabilities = [\"update\", \"create\"] }}"));
    let config = format!(
        "timeout = \"1s\"\n[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"{path}\"\nmethod = \"POST\"\n\
         body.ip = \"127.0.0.1\"\npassword-key = \"key\"\n"
    );
    let late = |part: &'static str| {
        Gate::holding(&it.bao.address, move |line| match line.contains(part) {
            true => Step::Late(Duration::from_millis(1200)),
            false => Step::Pass,
        })
    };
    let (mint, login) = (late("/creds/"), late("/login"));
    let answer = role.helper(&it.bao, &config, "").env("VAULT_ADDR", mint.url()).get("ghcr.io");
    assert!(answer.code == Some(0) && answer.stdout.contains("\"Username\":\"hubuser\""), "{answer:?}");
    assert_eq!(it.bao.leases(&path).len(), 1);
    let helper = role.helper(&it.bao, &config, "").env("VAULT_ADDR", login.url());
    helper.get("ghcr.io").fails_with(&[&format!("vault: {path}: timed out after 1s; hint: ")]);
    assert_eq!((login.told().len(), it.bao.leases(&path).len()), (1, 1));
}

/// A TLS listener for the name in front of the server, and the line that makes its CA known.
fn behind_tls(target: &str, name: &str, folder: &TempDir) -> (TlsFront, String) {
    let front = TlsFront::new(target.trim_start_matches("http://"), &[name], folder.path());
    let ca = format!("ca-cert = \"{}\"", front.ca.display());
    (front, ca)
}

#[test]
fn a_far_server_costs_five_round_trips_with_a_login() {
    let (Some(it), folder) = (Secret::find(), TempDir::new().unwrap()) else { return };
    let one_way = Duration::from_millis(25);
    let (front, ca) = behind_tls(&it.bao.address, "127.0.0.1", &folder);
    let (near, far) = (Relay::to(&front.authority), Relay::far(&front.authority, one_way));
    let helper_at = |relay: &Relay| it.helper(&format!("https://{}", relay.authority), &ca);
    let [nearby, far_away] = [&near, &far].map(helper_at);
    let time = |helper: &Helper| {
        let started = Instant::now();
        is_found(helper);
        started.elapsed()
    };
    // The connection, TLS 1.3, the login, the read, and the login's end.
    let distance = 5 * 2 * one_way;
    let limit = distance + Duration::from_millis(30);
    let (mut quick, mut slow) = (Duration::MAX, Duration::MAX);
    for turn in 1.. {
        quick = quick.min(time(&nearby));
        slow = slow.min(time(&far_away));
        assert_eq!(far.counts().0, turn, "one connection for each");
        assert!(slow >= distance, "the relay was not far: {slow:?}");
        if turn > 2 && slow <= quick + limit {
            break;
        }
        assert!(turn < 30, "{quick:?} nearby, {slow:?} far away");
    }
}

#[test]
fn a_login_goes_through_the_tunnel_and_its_ca_is_the_connections() {
    let (Some(it), folder) = (Secret::find(), TempDir::new().unwrap()) else { return };
    let gate = Gate::to(&it.bao.address);
    let (front, ca) = behind_tls(&gate.url(), HOST, &folder);
    let proxy = Proxy::to(&front.authority);
    let url = format!("https://{HOST}:8200");
    let through = |connection: &str| it.helper(&url, connection).env("HTTPS_PROXY", proxy.url());
    is_found(&through(&ca));
    is_found(&through(&ca).env("NO_PROXY", "example.com, 10.0.0.0/8"));
    let line = format!("CONNECT {HOST}:8200 HTTP/1.1");
    assert_eq!(proxy.request_lines(), [line.clone(), line]);
    in_the_end(&0, || it.tokens());
    let shown = proxy.asked().concat();
    assert!(!shown.contains(&it.role.secret_id), "what is for the server is not for the proxy");
    let heard = gate.passed().len();
    // A CA that nobody made known.
    let named = format!("through the proxy {}", proxy.authority);
    let answer = through("").get("ghcr.io");
    answer.fails_with(&["TLS: ", &named, "hint: ", "ca-cert"]);
    assert_eq!(gate.passed().len(), heard);
    // A host that the proxy is not for.
    let answer = through(&ca).env("NO_PROXY", ".invalid").get("ghcr.io");
    let line = answer.fails_with(&[&format!("no address for the host {HOST}")]);
    assert!(!line.contains("proxy"), "{line}");
    assert_eq!(proxy.asked().len(), 3);
}

#[test]
fn a_refused_login_behind_a_proxy_names_the_proxy() {
    let (Some(it), folder) = (Secret::find(), TempDir::new().unwrap()) else { return };
    let (front, ca) = behind_tls(&it.bao.address, HOST, &folder);
    let proxy = Proxy::to(&front.authority);
    let helper = it.helper(&format!("https://{HOST}:8200"), &ca).env("HTTPS_PROXY", proxy.url());
    let named = format!("invalid role or secret ID (through the proxy {}); hint: ", proxy.authority);
    helper.env("SECRET_ID", "another").get("ghcr.io").fails_with(&["login at auth/", &named]);
}

#[test]
fn a_proxy_that_hangs_or_is_gone_is_named_before_anything_is_shown() {
    let Some(it) = Secret::find() else { return };
    let silent = Hostile::silent();
    let helper = |url: &str| it.helper(&format!("https://{HOST}:8200"), "").env("HTTPS_PROXY", url);
    let named = |authority: &str| format!("(through the proxy {authority})");
    takes(1, || {
        let answer = helper(&silent.url()).get("ghcr.io");
        answer.fails_with(&["timed out after 1s", &named(&silent.authority), "hint: "]);
    });
    assert!(!silent.heard().concat().contains(&it.role.secret_id));
    let gone = helper("http://127.0.0.1:1");
    gone.get("ghcr.io").fails_with(&[
        "connection refused",
        &named("127.0.0.1:1"),
        "hint: check the proxy's address",
    ]);
}
