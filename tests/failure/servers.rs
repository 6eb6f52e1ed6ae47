//! Servers that cannot answer, or not in that way.

use std::net::TcpListener;

use super::rule;
use crate::support::Helper;
use crate::support::own_bao::OwnBao;
use crate::support::servers::Bao;

fn helper(address: &str) -> Helper {
    let variables = [("VAULT_ADDR", address), ("VAULT_TOKEN", "hvs.mine")];
    Helper::with_config(&rule("secret/data/ghcr", "")).envs(&variables)
}

#[test]
fn a_server_that_is_sealed_or_was_never_initialised() {
    let Some(own) = OwnBao::start() else { return };
    let line = "vault: secret/data/ghcr: Vault is sealed; hint: unseal the server";
    let helper = helper(&format!("http://{}", own.plain));
    helper.get("ghcr.io").is_line(line);
    let token = own.initialise();
    helper.env("VAULT_TOKEN", token).get("ghcr.io").is_line(line);
}

#[test]
fn plain_http_to_a_tls_port() {
    let Some(own) = OwnBao::start() else { return };
    let answer = helper(&format!("http://{}", own.tls)).get("ghcr.io");
    answer.fails_with(&["vault: secret/data/ghcr: HTTP 400", "; hint: ", "scheme"]);
}

#[test]
fn https_to_a_plain_port() {
    let Some(own) = OwnBao::start() else { return };
    let helper = helper(&format!("https://{}", own.plain)).env("VAULT_CACERT", own.ca.to_str().unwrap());
    helper.get("ghcr.io").fails_with(&[
        "vault: secret/data/ghcr: TLS: ",
        "; hint: ",
        "plain http on that port",
    ]);
}

#[test]
fn a_port_where_nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = helper(&format!("http://{address}")).get("ghcr.io");
    answer.fails_with(&["vault: secret/data/ghcr: connection refused"]);
}

#[test]
fn no_address_at_all() {
    let answer = helper("").get("ghcr.io");
    answer.fails_with(&["vault: secret/data/ghcr: no address; hint: set address", "VAULT_ADDR"]);
}

#[test]
fn an_address_that_is_none_is_named_and_not_repeated() {
    for address in [
        "127.0.0.1:8200",
        "localhost:8200",
        "http://",
        "http://user:pw-of-mine@127.0.0.1:1",
        "http://127.0.0.1/?t=pw-of-mine",
        "ftp://127.0.0.1",
        "unix://run/vault.sock",
        "unix:///",
    ] {
        let line = helper(address).get("ghcr.io");
        let line = line.fails_with(&["vault: secret/data/ghcr: VAULT_ADDR "]);
        assert!(!line.contains("pw-of-mine"), "{line}");
    }
}

#[test]
fn verification_is_never_skipped() {
    let Some(bao) = Bao::find() else { return };
    for (name, value) in [
        ("VAULT_SKIP_VERIFY", "true"),
        ("VAULT_SKIP_VERIFY", "1"),
        ("BAO_SKIP_VERIFY", "1"),
        ("BAO_SKIP_VERIFY", "yes"),
    ] {
        let answer = bao.helper(&rule("secret/data/ghcr", "")).env(name, value).get("ghcr.io");
        answer.fails_with(&[
            &format!("vault: secret/data/ghcr: {name} asks for TLS without verification"),
            &format!("hint: unset {name} and name the server's CA"),
        ]);
    }
    let path = format!("secret/data/{}", bao.secret(&serde_json::json!({"username": "u", "password": "pw"})));
    for (name, value) in [
        ("VAULT_SKIP_VERIFY", "false"),
        ("VAULT_SKIP_VERIFY", "0"),
        ("BAO_SKIP_VERIFY", "F"),
        ("BAO_SKIP_VERIFY", ""),
    ] {
        bao.helper(&rule(&path, "")).env(name, value).get("ghcr.io").is_found("ghcr.io", "u", "pw");
    }
}
