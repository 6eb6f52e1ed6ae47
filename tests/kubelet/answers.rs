//! What is answered to whom.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use super::{VERSIONS, ask, fails_with, given, request};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::servers::Bao;
use serde_json::json;

/// A rule that answers `USER` with what stands in the variable.
fn rule(pattern: &str, variable: &str) -> String {
    let user = format!("username = \"u-{}\"", variable.to_lowercase());
    format!("[registry.\"{pattern}\"]\nsource = \"env\"\n{user}\npassword-env = \"{variable}\"\n")
}

fn helper(rules: &[&str]) -> Helper {
    Helper::with_config(&rules.concat()).envs(&[("A", "p-a"), ("B", "p-b")])
}

#[test]
fn an_image_gets_its_registrys_credential_in_every_version() {
    let helper = helper(&[&rule("docker.io", "A"), &rule("localhost:5000", "B")]);
    for version in VERSIONS {
        let hub = given("Registry", "5m0s", &[("docker.io", "u-a", "p-a")]);
        assert_eq!(ask(&helper, version, "docker.io/library/nginx"), hub);
        let local = given("Registry", "5m0s", &[("localhost:5000", "u-b", "p-b")]);
        assert_eq!(ask(&helper, version, "localhost:5000/foo"), local);
    }
    let answer = helper.run(&["kubelet"], request("v1", "docker.io/library/nginx", "", &json!({})));
    assert_eq!(
        answer.stdout,
        "{\"kind\":\"CredentialProviderResponse\",\"apiVersion\":\"credentialprovider.kubelet.k8s.io/v1\",\
         \"cacheKeyType\":\"Registry\",\"cacheDuration\":\"5m0s\",\
         \"auth\":{\"docker.io\":{\"username\":\"u-a\",\"password\":\"p-a\"}}}\n"
    );
}

#[test]
fn the_registry_is_named_as_the_kubelet_looks_it_up() {
    let helper = helper(&[&rule("docker.io", "A"), &rule("ghcr.io", "B")]);
    for (image, host) in [
        ("index.docker.io/library/nginx", "index.docker.io"),
        ("registry-1.docker.io/library/nginx", "registry-1.docker.io"),
        ("ghcr.io:443/acme/app", "ghcr.io:443"),
        ("GHCR.io/acme/app", "GHCR.io"),
        ("ghcr.io/acme/app:v1", "ghcr.io"),
        ("ghcr.io/acme/app@sha256:0a1b", "ghcr.io"),
    ] {
        let found = ask(&helper, "v1", image);
        assert_eq!(found.auth.iter().map(|(host, ..)| host.as_str()).collect::<Vec<_>>(), [host], "{image}");
    }
}

#[test]
fn a_registry_whose_repositories_differ_is_asked_for_each_image() {
    let helper = helper(&[&rule("docker.io", "A"), &rule("docker.io/acme", "B"), &rule("ghcr.io", "A")]);
    let acme = given("Image", "5m0s", &[("docker.io", "u-b", "p-b")]);
    assert_eq!(ask(&helper, "v1", "docker.io/acme/app"), acme);
    // What the kubelet kept for the whole registry would be used for acme's images, too.
    let other = given("Image", "5m0s", &[("docker.io", "u-a", "p-a")]);
    assert_eq!(ask(&helper, "v1", "docker.io/acmeshop/app"), other);
    assert_eq!(ask(&helper, "v1", "ghcr.io/acme/app").cache_key_type, "Registry");
    ask(&self::helper(&[&rule("docker.io/acme", "B")]), "v1", "docker.io/library/nginx").is_empty("Image");
}

#[test]
fn a_place_that_differs_by_path_is_asked_for_each_image() {
    let Some(bao) = Bao::find() else { return };
    let name = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
    let config = "[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"secret/data/{path}\"\n";
    let found = ask(&bao.helper(config), "v1", &format!("ghcr.io/{name}"));
    assert_eq!(found, given("Image", "5m0s", &[("ghcr.io", "octocat", "pw-1")]));
}

#[test]
fn an_unknown_registry_gets_an_empty_map_and_opens_no_connection() {
    let vault = Hostile::silent();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let config = "[registry.\"docker.io\"]\nsource = \"vault\"\npath = \"secret/hub\"\n\
                  [registry.\"ghcr.io/acme\"]\nsource = \"vault\"\npath = \"secret/ghcr\"\n";
    let helper = Helper::with_config(config);
    let socket = helper.home().join("agent.sock");
    let agent = UnixListener::bind(&socket).unwrap();
    agent.set_nonblocking(true).unwrap();
    let helper = helper.envs(&[
        ("VAULT_ADDR", vault.url().as_str()),
        ("VAULT_TOKEN", "t"),
        ("HTTPS_PROXY", &format!("http://{}", proxy.local_addr().unwrap())),
        ("DOCKER_CREDENTIAL_LEASE_SOCKET", socket.to_str().unwrap()),
    ]);
    for version in VERSIONS {
        for image in ["quay.io/acme/app", "docker.io.evil.example/x", "localhost:5000/docker.io/x"] {
            ask(&helper, version, image).is_empty("Registry");
        }
        ask(&helper, version, "ghcr.io/other/app").is_empty("Image");
        ask(&helper, version, "docker.io./library/nginx").is_empty("Image");
    }
    let answer = helper.run(&["kubelet"], request("v1", "quay.io/acme/app", "", &json!({})));
    assert_eq!(
        answer.stdout,
        "{\"kind\":\"CredentialProviderResponse\",\"apiVersion\":\"credentialprovider.kubelet.k8s.io/v1\",\
         \"cacheKeyType\":\"Registry\",\"cacheDuration\":\"0s\",\"auth\":{}}\n"
    );
    assert!(vault.heard().is_empty() && proxy.accept().is_err() && agent.accept().is_err());
}

#[test]
fn without_a_config_there_is_the_usual_default() {
    ask(&Helper::new(), "v1", "docker.io/library/nginx").is_empty("Registry");
    let helper = Helper::new().envs(&[("DOCKER_USER", "octocat"), ("DOCKER_ACCESS_TOKEN", "pat")]);
    let found = ask(&helper, "v1", "docker.io/library/nginx");
    assert_eq!(found, given("Registry", "5m0s", &[("docker.io", "octocat", "pat")]));
}

#[test]
fn a_source_that_fails_is_one_line_in_the_kubelets_log_or_nothing() {
    let double = Hostile::answering(403, "", r#"{"errors":["permission denied"]}"#);
    let config = "[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"secret/data/ghcr\"\n";
    let with = |more: &str| {
        Helper::with_config(&format!("{config}{more}"))
            .envs(&[("VAULT_ADDR", double.url().as_str()), ("VAULT_TOKEN", "t0ken-of-ours")])
    };
    let asked = request("v1", "ghcr.io/acme/app", "", &json!({}));
    let line =
        fails_with(&with("").run(&["kubelet"], &asked), &["vault: secret/data/ghcr: permission denied"]);
    assert!(line.contains("; hint: ") && !line.contains("t0ken-of-ours"), "{line}");
    ask(&with("on-error = \"anonymous\"\n"), "v1", "ghcr.io/acme/app").is_empty("Registry");
    let broken = Helper::with_config("[registry.\"ghcr.io\"]\nsource = \"evn\"\n");
    fails_with(&broken.run(&["kubelet"], &asked), &["config: ", "config.toml:2:1: `source`"]);
}

#[test]
fn a_credential_store_is_asked_for_the_host() {
    let rule = "[registry.\"*\"]\nsource = \"helper\"\nname = \"hosts\"\n";
    let helper = Helper::with_config(rule);
    let path = format!("{}:{}", helper.home().join("bin").display(), std::env::var("PATH").unwrap());
    crate::support::program::write_script(
        &helper.home().join("bin/docker-credential-hosts"),
        "if [ \"$(cat)\" = ghcr.io:8443 ]; then echo '{\"Username\":\"u\",\"Secret\":\"p\"}'; else exit 1; fi",
    );
    let helper = helper.env("PATH", path);
    let found = given("Registry", "5m0s", &[("ghcr.io:8443", "u", "p")]);
    assert_eq!(ask(&helper, "v1", "ghcr.io:8443/acme/app"), found);
}

#[test]
fn a_login_for_a_path_is_not_the_registry_s() {
    let helper = Helper::with_config("[registry.\"*\"]\nsource = \"file\"\npath = \"~/pull.json\"\n");
    let login = |user: &str| json!({"username": user, "password": "p"});
    let auths = json!({"auths": {
        "quay.io": login("all"), "quay.io/acme": login("acme"), "ghcr.io": login("one"),
    }});
    std::fs::write(helper.home().join("pull.json"), auths.to_string()).unwrap();
    for (image, kind, host, user) in [
        ("quay.io/acme/app", "Image", "quay.io", "acme"),
        ("quay.io/other/app", "Image", "quay.io", "all"),
        ("ghcr.io/acme/app", "Registry", "ghcr.io", "one"),
    ] {
        assert_eq!(ask(&helper, "v1", image), given(kind, "5m0s", &[(host, user, "p")]), "{image}");
    }
}
