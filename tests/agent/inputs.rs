//! What was fetched for others is never given: every input that an answer depends on counts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::json;

use super::{Kv, rule};
use crate::support::Helper;
use crate::support::agent::{Agent, SOCKET, private_folder};
use crate::support::hostile::Hostile;
use crate::support::relay::Relay;
use crate::support::servers::Moto;

/// A token that may read the secret.
fn reader(kv: &Kv) -> String {
    kv.bao.token(&format!("path \"secret/data/{}\" {{ capabilities = [\"read\"] }}", kv.name))
}

/// A helper with the config as a text, and always the same home.
fn at_home(agent: &Agent, kv: &Kv, config: &str) -> Helper {
    agent.serves(Helper::new()).envs(&[
        ("HOME", agent.folder().to_str().unwrap()),
        ("DOCKER_CREDENTIAL_LEASE_CONFIG_TOML", config),
        ("VAULT_ADDR", &kv.relay.url()),
        ("VAULT_TOKEN", &kv.bao.token),
    ])
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[track_caller]
fn given(helper: &Helper) {
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn another_token_is_another_caller() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    let (one, other) = (reader(&kv), reader(&kv));
    let with = |token: &str| at_home(&agent, &kv, &kv.rule("")).env("VAULT_TOKEN", token);
    given(&with(&one));
    given(&with(&one));
    assert_eq!(kv.requests(), 1);
    given(&with(&other));
    assert_eq!(kv.requests(), 2);
    // One that may not read it is not given what another one may.
    with("hvs.nobody").get("ghcr.io").fails_with(&["permission denied"]);
    given(&with(&one));
}

#[test]
fn a_login_that_leaves_another_token_behind_is_seen_at_once() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    let helper = agent.serves(Helper::with_config(&kv.rule(""))).env("VAULT_ADDR", kv.relay.url());
    let file = helper.home().join(".vault-token");
    for turn in 1..=3 {
        // All of one length, written within the same second.
        write(&file, &reader(&kv));
        given(&helper);
        given(&helper);
        assert_eq!(kv.requests(), turn);
    }
    fs::remove_file(&file).unwrap();
    helper.get("ghcr.io").fails_with(&["no token: VAULT_TOKEN is not set and there is no ~/.vault-token"]);
}

#[test]
fn a_token_file_that_the_config_names_counts_when_it_is_rewritten() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    let config = kv.rule("[vault.default.auth]\ntoken-file = \"~/token\"");
    let helper = agent.serves(Helper::with_config(&config)).env("VAULT_ADDR", kv.relay.url());
    write(&helper.home().join("token"), &reader(&kv));
    given(&helper);
    given(&helper);
    assert_eq!(kv.requests(), 1);
    write(&helper.home().join("token"), "hvs.nobody");
    helper.get("ghcr.io").fails_with(&["permission denied"]);
}

#[test]
fn another_key_of_the_rule_or_connection_is_another_answer() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    let with = |more: &str| at_home(&agent, &kv, &kv.rule(more));
    given(&with(""));
    with("username = \"robot\"").get("ghcr.io").is_found("ghcr.io", "robot", "pw-1");
    with("password-key = \"username\"").get("ghcr.io").is_found("ghcr.io", "octocat", "octocat");
    with("[vault.default]\nnamespace = \"nobody\"").get("ghcr.io").fails_with(&["namespace not found"]);
    with("").env("VAULT_NAMESPACE", "nobody").get("ghcr.io").fails_with(&["namespace not found"]);
    given(&with(""));
    // A comment is none, and neither is another rule.
    let config = format!("# mine\n{}{}", rule("gcr.io", "secret/data/other", ""), kv.rule(""));
    let requests = kv.requests();
    given(&at_home(&agent, &kv, &config));
    assert_eq!(kv.requests(), requests);
}

#[test]
fn a_new_identity_token_of_the_job_is_shown() {
    // Only what is sent matters: whether the server knows the token is its affair.
    let body = r#"{"auth":{"client_token":"t","lease_duration":60,"token_type":"batch"},
        "data":{"data":{"username":"octocat","password":"pw-1"},"metadata":{"version":1}}}"#;
    let double = Hostile::answering(200, "", body);
    let agent = Agent::start();
    let auth = "[vault.default.auth]\nmethod = \"jwt\"\nrole = \"ci\"\ntoken = \"circleci\"\n";
    let helper = Helper::with_config(&rule("ghcr.io", "secret/data/x", auth));
    let mut helper = agent.serves(helper).env("VAULT_ADDR", double.url());
    for (turn, token) in ["a.b.one", "a.b.two"].into_iter().enumerate() {
        helper = helper.env("CIRCLE_OIDC_TOKEN_V2", token);
        given(&helper);
        given(&helper);
        let heard = double.heard();
        assert_eq!(heard.len(), 2 * (turn + 1));
        assert!(heard[2 * turn].contains(&format!("\"jwt\":\"{token}\"")), "{heard:?}");
    }
    helper.env("CIRCLE_OIDC_TOKEN_V2", "").get("ghcr.io").fails_with(&["CIRCLE_OIDC_TOKEN_V2"]);
}

#[test]
fn another_profile_or_rewritten_aws_file_is_another_caller() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"username":"octocat","password":"pw-1"}"#);
    let (agent, relay) = (Agent::start(), Relay::to(&moto.url));
    let config = format!("[registry.\"ghcr.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{name}\"\n");
    let home = Helper::with_config(&config);
    let keys = |id: &str| format!("aws_access_key_id = {id}\naws_secret_access_key = not-a-real-key\n");
    let file = home.home().join(".aws/credentials");
    write(&file, &format!("[default]\n{}[other]\n{}", keys("AKIAONE"), keys("AKIATWO")));
    let helper = agent.serves(home).envs(&[("AWS_ENDPOINT_URL", &relay.url()), ("AWS_REGION", "us-east-1")]);
    given(&helper);
    given(&helper);
    assert_eq!(relay.counts().1, 1);
    let helper = helper.env("AWS_PROFILE", "other");
    given(&helper);
    given(&helper);
    assert_eq!(relay.counts().1, 2);
    write(&file, &format!("[other]\n{}", keys("AKIAXYZ")));
    given(&helper);
    assert_eq!(relay.counts().1, 3);
    let helper = helper.env("AWS_REGION", "eu-west-1");
    helper.get("ghcr.io").fails_with(&["ResourceNotFoundException in eu-west-1"]);
}

#[test]
fn a_rewritten_web_identity_token_of_the_sdk_is_another_caller() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"username":"octocat","password":"pw-1"}"#);
    let (agent, relay) = (Agent::start(), Relay::to(&moto.url));
    let config = format!("[registry.\"ghcr.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{name}\"\n");
    let home = Helper::with_config(&config);
    let file = home.home().join("token");
    let helper = agent.serves(home).envs(&[
        ("AWS_ENDPOINT_URL", &relay.url()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pull"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
    ]);
    for (turn, token) in ["a.b.one", "a.b.two"].into_iter().enumerate() {
        write(&file, token);
        given(&helper);
        given(&helper);
        assert_eq!(relay.counts().1, 2 * (turn + 1), "one for the role, one for the secret");
    }
}

#[test]
fn what_the_host_fills_in_beside_the_place_counts() {
    let Some(moto) = Moto::find() else { return };
    let token = moto.secret("the-token");
    let users = ["a", "b"].map(|host| {
        let name = format!("{token}-user-{host}.example.com");
        let body = json!({"Name": name, "SecretString": format!("user-{host}")});
        moto.call("us-east-1", "CreateSecret", &body);
        host
    });
    let config = format!(
        "[registry.\"*.example.com\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{token}\"\n\
         username-secret = \"{token}-user-{{host}}\"\n"
    );
    let agent = Agent::start();
    let helper = agent.serves(moto.helper(&config));
    for host in users.into_iter().chain(users) {
        let asked = format!("{host}.example.com");
        helper.get(&asked).is_found(&asked, &format!("user-{host}"), "the-token");
    }
}

#[test]
fn what_the_host_fills_in_in_a_body_counts() {
    let double = Hostile::new(|stream| {
        let body = r#"{"lease_id":"","data":{"username":"u","password":"p"}}"#;
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", body.len());
        let _ = std::io::Write::write_all(stream, format!("{head}\r\n\r\n{body}").as_bytes());
    });
    let keys = "method = \"POST\"\nbody = { host = \"{host}\" }";
    let agent = Agent::start();
    let helper = Helper::with_config(&rule("*.example.com", "engine/creds/ci", keys));
    let helper = agent.serves(helper).envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", "t")]);
    for host in ["a.example.com", "b.example.com", "a.example.com", "b.example.com"] {
        helper.get(host).is_found(host, "u", "p");
    }
    let heard = double.heard();
    assert_eq!(heard.len(), 2);
    for (heard, host) in heard.iter().zip(["a", "b"]) {
        assert!(heard.ends_with(&format!("{{\"host\":\"{host}.example.com\"}}")), "{heard}");
    }
}

#[test]
fn another_home_is_another_caller() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    for turn in 1..=2 {
        let helper = agent.serves(Helper::with_config(&kv.rule(""))).env("VAULT_ADDR", kv.relay.url());
        write(&helper.home().join(".vault-token"), &reader(&kv));
        given(&helper);
        given(&helper);
        assert_eq!(kv.requests(), turn);
    }
}

#[test]
fn rules_for_the_environment_do_not_even_ask_the_agent() {
    let folder = private_folder();
    let socket = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).unwrap();
    let config = "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername-env = \"U\"\npassword-env = \"P\"\n";
    let helper = Helper::with_config(config).envs(&[("U", "octocat"), ("P", "pw-1")]);
    given(&helper.env(SOCKET, socket.to_str().unwrap()));
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody came");
}
