//! `on-error = "anonymous"`, the log, and that no secret stands in either, whatever fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::hostile::Hostile;
use crate::support::own_bao::OwnBao;
use crate::support::servers::Bao;
use crate::support::{Answer, Helper, NOT_FOUND};

const TOKEN: &str = "hvs.CAESIJ-mine";
const SECRET: &str = "pw-of-the-registry";
const TYPED: &str = "pw-just-typed";
const PROXY: &str = "pw-of-the-proxy";

/// A set-up that fails: its name, what the cause holds, and the helper.
struct Failing {
    name: &'static str,
    cause: &'static str,
    helper: Helper,
}

/// A rule that turns failures into not-found, with more keys.
fn rule(path: &str, more: &str) -> String {
    super::rule(path, &format!("on-error = \"anonymous\"\n{more}"))
}

/// Every kind of failure that a rule's source can have, without a server of its own.
fn by_doubles() -> Vec<Failing> {
    let mut all = Vec::new();
    let leaking = json!({"data": {"username": SECRET, "other": SECRET}, "warnings": [SECRET]}).to_string();
    let echo = json!({"errors": [format!("permission denied for {TOKEN}")], "data": SECRET}).to_string();
    let deleted =
        json!({"data": {"data": null, "metadata": {"version": TOKEN, "deletion_time": SECRET}}}).to_string();
    for (name, status, body, cause) in [
        ("HTML", 502, format!("<html>{SECRET} {TOKEN}</html>"), "HTTP 502"),
        ("no JSON", 200, format!("{SECRET} {TOKEN}"), "no JSON"),
        ("no Vault", 200, json!([SECRET, TOKEN]).to_string(), ""),
        ("no data", 200, json!({"data": SECRET}).to_string(), "no data"),
        ("no key", 200, leaking, "no key `password`"),
        ("no string", 200, json!({"data": {"username": "u", "password": [SECRET]}}).to_string(), "no string"),
        ("echo", 403, echo, "HTTP 403"),
        ("deleted", 404, deleted, ""),
        ("rate limit", 429, json!({"errors": ["rate limit quota exceeded"]}).to_string(), "rate limit"),
        ("engine", 500, json!({"errors": ["1 error occurred:\n\t* no\n\n"]}).to_string(), ": no"),
    ] {
        let double = Hostile::answering(status, "", &body);
        let helper = Helper::with_config(&rule("secret/data/ghcr", "")).env("VAULT_ADDR", double.url());
        all.push(Failing { name, cause, helper: helper.env("VAULT_TOKEN", TOKEN) });
    }
    let redirect = format!("Location: http://127.0.0.1:1/{TOKEN}?{SECRET}\r\n");
    let redirecting = Hostile::answering(307, &redirect, "").url();
    let proxy = format!("http://user:{PROXY}@127.0.0.1:1");
    for (name, cause, variables) in [
        ("redirect", "redirected (307)", &[("VAULT_ADDR", redirecting.as_str())][..]),
        ("refused", "connection refused", &[("VAULT_ADDR", "http://127.0.0.1:1")]),
        ("reset", "connection reset", &[("VAULT_ADDR", Hostile::resetting().url().as_str())]),
        ("no address", "no address", &[]),
        ("userinfo", "holds more than", &[("VAULT_ADDR", &format!("http://user:{SECRET}@127.0.0.1:1"))]),
        ("plain http", "plain http", &[("VAULT_ADDR", "http://vault.invalid:8200")]),
        (
            "proxy",
            "the proxy 127.0.0.1:1",
            &[("VAULT_ADDR", "https://vault.invalid"), ("HTTPS_PROXY", &proxy)],
        ),
        (
            "no proxy",
            "HTTPS_PROXY is no proxy",
            &[("VAULT_ADDR", "https://vault.invalid"), ("HTTPS_PROXY", &format!("ftp://u:{PROXY}@x"))],
        ),
        (
            "skipped",
            "VAULT_SKIP_VERIFY",
            &[("VAULT_ADDR", "http://127.0.0.1:1"), ("VAULT_SKIP_VERIFY", "true")],
        ),
        (
            "no token",
            "is no token",
            &[("VAULT_ADDR", "http://127.0.0.1:1"), ("BAO_TOKEN", &format!("{TOKEN}\n{SECRET}"))],
        ),
    ] {
        let helper =
            Helper::with_config(&rule("secret/data/ghcr", "")).env("VAULT_TOKEN", TOKEN).envs(variables);
        all.push(Failing { name, cause, helper });
    }
    let helper = Helper::with_config(&rule("secret/data/ghcr", "")).env("VAULT_ADDR", "http://127.0.0.1:1");
    fs::write(helper.home().join(".vault-token"), TOKEN).unwrap();
    fs::set_permissions(helper.home().join(".vault-token"), fs::Permissions::from_mode(0o666)).unwrap();
    all.push(Failing { name: "token of others", cause: "can be written by others", helper });
    all
}

/// The same with real servers.
fn by_servers(bao: &Bao) -> Vec<Failing> {
    let name = bao.secret(&json!({"username": "octocat", "password": SECRET, "number": 7}));
    let token = bao.token("path \"secret/data/another\" { capabilities = [\"read\"] }");
    let helper = |path: &str, more: &str| bao.helper(&rule(path, more));
    let path = format!("secret/data/{name}");
    vec![
        Failing { name: "missing", cause: "no such secret", helper: helper("secret/data/never", "") },
        Failing {
            name: "denied",
            cause: "permission denied",
            helper: helper(&path, "").env("VAULT_TOKEN", token),
        },
        Failing {
            name: "unknown token",
            cause: "permission denied",
            helper: helper(&path, "").env("VAULT_TOKEN", TOKEN),
        },
        Failing {
            name: "missing token",
            cause: "no token",
            helper: helper(&path, "").env("VAULT_TOKEN", ""),
        },
        Failing {
            name: "missing key",
            cause: "no key `pat`",
            helper: helper(&path, "password-key = \"pat\""),
        },
        Failing { name: "a number", cause: "no string", helper: helper(&path, "password-key = \"number\"") },
        Failing { name: "no mount", cause: "no handler for route", helper: helper("no-such-mount/x", "") },
        Failing {
            name: "no namespace",
            cause: "namespace not found",
            helper: helper(&path, "[vault.default]\nnamespace = \"no-such-space\""),
        },
    ]
}

/// Not found on stdout; on stderr the log's lines, one of which holds the cause.
#[track_caller]
fn is_softened(failing: &Failing) {
    failing.helper.get("ghcr.io").is_not_found();
    let answer = logged(&failing.helper, &["get"], "ghcr.io");
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), NOT_FOUND), "{}", failing.name);
    let lines: Vec<&str> = answer.stderr.lines().collect();
    assert!(
        lines.iter().all(|line| line.starts_with("docker-credential-lease: ")),
        "{}: {lines:?}",
        failing.name
    );
    let causes =
        lines.iter().filter(|line| line.contains(" anonymous: vault: ") && line.contains(failing.cause));
    assert_eq!(causes.count(), 1, "{}: {lines:?}", failing.name);
}

/// The call with the log on.
fn logged(helper: &Helper, arguments: &[&str], input: &str) -> Answer {
    Answer::of(helper.command(arguments).env("DOCKER_CREDENTIAL_LEASE_LOG", "1"), input.as_bytes())
}

/// Neither stream holds a token, a secret or a panic, whatever the verb and whether the log is on or not.
#[track_caller]
fn keeps_every_secret(failing: &Failing, more: &[&str]) {
    let given = json!({"ServerURL": "ghcr.io", "Username": "octocat", "Secret": TYPED}).to_string();
    for (verb, input) in [("get", "ghcr.io"), ("store", &given), ("erase", "ghcr.io"), ("list", "")] {
        for answer in [failing.helper.run(&[verb], input), logged(&failing.helper, &[verb], input)] {
            let said = format!("{}\n{}", answer.stdout, answer.stderr);
            for secret in [TOKEN, SECRET, TYPED, PROXY, "panicked"].iter().chain(more) {
                assert!(!said.contains(secret), "{} ({verb}): {said}", failing.name);
            }
        }
    }
}

#[test]
fn every_failure_of_a_double_is_softened_and_its_cause_logged() {
    by_doubles().iter().for_each(is_softened);
}

#[test]
fn every_failure_of_a_server_is_softened_and_its_cause_logged() {
    let Some(bao) = Bao::find() else { return };
    by_servers(&bao).iter().for_each(is_softened);
    let Some(own) = OwnBao::start() else { return };
    let helper = bao.helper(&rule("secret/data/ghcr", "")).env("VAULT_ADDR", format!("http://{}", own.plain));
    is_softened(&Failing { name: "sealed", cause: "Vault is sealed", helper });
}

#[test]
fn no_failure_of_a_double_tells_a_secret() {
    for failing in by_doubles() {
        keeps_every_secret(&failing, &[]);
    }
}

#[test]
fn no_failure_of_a_server_tells_a_secret() {
    let Some(bao) = Bao::find() else { return };
    // Softened or not: the line and the log are made in different places.
    for failing in by_servers(&bao) {
        keeps_every_secret(&failing, &[]);
        let plain =
            fs::read_to_string(failing.helper.config_file()).unwrap().replace("on-error = \"anonymous\"", "");
        fs::write(failing.helper.config_file(), plain).unwrap();
        assert_ne!(failing.helper.get("ghcr.io").stdout, NOT_FOUND);
        keeps_every_secret(&failing, &[]);
    }
}

#[test]
fn no_success_tells_a_secret_to_the_log() {
    let Some(bao) = Bao::find() else { return };
    let token = bao.token("path \"secret/data/*\" { capabilities = [\"read\"] }");
    let name = bao.secret(&json!({"username": "octocat", "password": SECRET}));
    let helper = bao.helper(&rule(&format!("secret/data/{name}"), "")).env("VAULT_TOKEN", &token);
    let answer = logged(&helper, &["get"], "ghcr.io");
    assert_eq!(answer.code, Some(0));
    let config = helper.config_file();
    let events = [
        format!("docker-credential-lease: config: {}\n", config.display()),
        format!("docker-credential-lease: ghcr.io: rule ghcr.io asks vault: secret/data/{name}\n"),
    ];
    assert_eq!(answer.stderr, events.concat());
    keeps_every_secret_but_the_answer(&answer, &token);
}

#[track_caller]
fn keeps_every_secret_but_the_answer(answer: &Answer, token: &str) {
    assert!(!answer.stderr.contains(SECRET) && !answer.stderr.contains(token), "{}", answer.stderr);
    assert!(answer.stdout.contains(SECRET) && !answer.stdout.contains(token));
}

#[test]
fn the_log_is_silent_unless_it_is_asked_for() {
    let helper = Helper::with_config(&rule("secret/data/ghcr", "")).env("VAULT_ADDR", "http://127.0.0.1:1");
    for value in ["", "0"] {
        let mut command = helper.command(&["get"]);
        Answer::of(command.env("DOCKER_CREDENTIAL_LEASE_LOG", value), b"ghcr.io").is_not_found();
    }
}

#[test]
fn a_broken_config_is_never_softened() {
    let helper = Helper::with_config(&rule("secret/data/ghcr", "unknown-key = \"pw-of-the-registry\""));
    let answer = helper.get("ghcr.io");
    let line = answer.fails_with(&["config: ", "unknown-key"]);
    assert!(!line.contains(SECRET), "{line}");
    keeps_every_secret(&Failing { name: "unknown key", cause: "", helper }, &[]);
}
