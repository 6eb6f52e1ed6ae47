//! What a look-up fills into a path, and that it stays there.

use serde_json::json;

use super::{double, head, rule};
use crate::support::Helper;
use crate::support::relay::Relay;
use crate::support::servers::Bao;

fn wildcard(path: &str) -> String {
    format!("[registry.\"*\"]\nsource = \"vault\"\npath = \"{path}\"\n")
}

#[test]
fn a_host_with_its_port_is_one_encoded_segment() {
    let double = double();
    let config = "[registry.\"localhost:5000\"]\nsource = \"vault\"\npath = \"secret/data/{host}\"\n";
    let helper = Helper::with_config(config).envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "t")]);
    helper.get("http://LOCALHOST:5000/v2/").is_found("http://LOCALHOST:5000/v2/", "octocat", "pw-1");
    assert_eq!(head(&double.heard()[0]).0, "GET /v1/secret/data/localhost%3A5000 HTTP/1.1");
}

#[test]
fn the_server_reads_an_encoded_host_as_it_was_written() {
    let Some(bao) = Bao::find() else { return };
    let mount = bao.mount(&json!({"type": "kv", "options": {"version": "1"}}));
    for (written, asked) in
        [("localhost:5000", "localhost:5000"), ("docker.io", "https://index.docker.io/v1/")]
    {
        bao.call("POST", &format!("{mount}/{written}/pull"), &json!({"username": "u", "password": written}));
        bao.helper(&wildcard(&format!("{mount}/{{host}}/pull"))).get(asked).is_found(asked, "u", written);
    }
}

#[test]
fn whatever_is_asked_the_host_fills_one_segment() {
    let double = double();
    let helper = Helper::with_config(&wildcard("secret/data/{host}/ci"));
    let helper = helper.envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "t")]);
    for (asked, segment) in [
        ("[::1]:5000", "%5B%3A%3A1%5D%3A5000"),
        ("127.0.0.1:5000", "127.0.0.1%3A5000"),
        ("my_registry:8443/v2", "my_registry%3A8443"),
        ("evil.example/../../../sys/raw", "evil.example"),
        ("evil.example/%2e%2e%2fsys", "evil.example"),
        ("docker.io.evil.example", "docker.io.evil.example"),
    ] {
        helper.get(asked).is_found(asked, "octocat", "pw-1");
        let line = head(double.heard().last().unwrap()).0;
        assert_eq!(line, format!("GET /v1/secret/data/{segment}/ci HTTP/1.1"), "{asked}");
    }
    let count = double.heard().len();
    for asked in ["..", ".", "../sys/raw", "%2e%2e", "a%2f..%2fb", "..:80", "[..]", "a\\..\\b", "a?b", "a#b"]
    {
        helper.get(asked).is_not_found();
    }
    assert_eq!(double.heard().len(), count);
}

#[test]
fn what_a_path_holds_stays_in_its_segment() {
    let double = double();
    let helper = Helper::with_config(&rule("secret/data/my key%2F?x#y;z+é/..a", ""));
    let helper = helper.envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "t")]);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let line = "GET /v1/secret/data/my%20key%252F%3Fx%23y%3Bz%2B%C3%A9/..a HTTP/1.1";
    assert_eq!(head(&double.heard()[0]).0, line);
}

#[test]
fn a_path_that_was_asked_fills_its_segments() {
    let Some(bao) = Bao::find() else { return };
    let mount = bao.mount(&json!({"type": "kv", "options": {"version": "2"}}));
    bao.call(
        "POST",
        &format!("{mount}/data/hub/acme/app"),
        &json!({"data": {"username": "u", "password": "app"}}),
    );
    for path in [format!("{mount}/data/hub/{{path}}"), format!("{mount}/hub/{{path}}")] {
        let config = format!("[registry.\"docker.io\"]\nsource = \"vault\"\npath = \"{path}\"\n");
        let asked = "index.docker.io/acme/app:1.2@sha256:0a1b";
        bao.helper(&config).get(asked).is_found(asked, "u", "app");
    }
}

#[test]
fn a_path_that_climbs_or_is_missing_asks_nothing() {
    let Some(bao) = Bao::find() else { return };
    let relay = Relay::to(&bao.address);
    let config = "[registry.\"docker.io\"]\nsource = \"vault\"\npath = \"secret/data/hub/{path}\"\n";
    let helper = bao.helper(config).env("VAULT_ADDR", relay.url());
    for asked in [
        "docker.io",
        "docker.io/v2/",
        "docker.io/../sys",
        "docker.io/acme/..",
        "docker.io/acme/../../x",
        "docker.io/./acme",
        "docker.io/acme//app",
        "docker.io/acme%2f..%2fapp",
        "docker.io/~acme",
        "docker.io/acme;x",
    ] {
        helper.get(asked).is_not_found();
    }
    assert_eq!(relay.counts(), (0, 0));
}
