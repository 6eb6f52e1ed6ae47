//! The protocol to the letter, as real clients speak it.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::Helper;

const USAGE: &str = "Usage: docker-credential-lease <store|get|erase|list|version>\n";
const VERSION: &str = concat!(
    "docker-credential-lease (github.com/docker-credential-lease/docker-credential-lease) ",
    env!("CARGO_PKG_VERSION"),
    "\n"
);
const RULE: &str =
    "[registry.\"docker.io\"]\nsource = \"env\"\nusername = \"acme\"\npassword-env = \"TOKEN\"\n";

fn hub() -> Helper {
    Helper::with_config(RULE).env("TOKEN", "s3cret")
}

#[test]
fn version_and_help_answer_in_every_spelling() {
    let helper = Helper::new();
    for word in ["version", "--version", "-v"] {
        let answer = helper.run(&[word], "unused");
        assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (Some(0), VERSION, ""));
    }
    for word in ["--help", "-h"] {
        let answer = helper.run(&[word], "");
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
        assert!(answer.stdout.contains(USAGE), "{}", answer.stdout);
    }
}

#[test]
fn what_is_no_action_gets_the_usage_on_stdout() {
    let helper = Helper::new();
    for words in [&[][..], &["get", "docker.io"], &["version", "x"], &["get", "--help"]] {
        let answer = helper.run(words, "docker.io");
        assert_eq!(
            (answer.code, answer.stdout.as_str(), answer.stderr.as_str()),
            (Some(1), USAGE, ""),
            "{words:?}"
        );
    }
    let answer = helper.run(&["fetch"], "docker.io");
    let text = format!("docker-credential-lease: unknown action: fetch\n{USAGE}");
    assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (Some(1), text.as_str(), ""));
}

#[test]
fn the_asked_url_comes_back_trimmed_and_otherwise_untouched() {
    for (input, asked) in [
        ("https://index.docker.io/v1/", "https://index.docker.io/v1/"),
        ("index.docker.io\n", "index.docker.io"),
        (" Docker.IO \r\n", "Docker.IO"),
        ("https://registry.hub.docker.com:443/v2", "https://registry.hub.docker.com:443/v2"),
    ] {
        hub().get(input).is_found(asked, "acme", "s3cret");
    }
}

#[test]
fn an_answer_is_one_json_line_whatever_the_secret_holds() {
    let secret = "q\"u\\o\nte\u{1}ü<>&";
    Helper::with_config(RULE).env("TOKEN", secret).get("docker.io").is_found("docker.io", "acme", secret);
}

#[test]
fn an_empty_question_gets_dockers_own_sentence() {
    for input in ["", " \r\n"] {
        hub().get(input).is_line("no credentials server URL");
        hub().erase(input).is_line("no credentials server URL");
    }
}

#[test]
fn what_no_rule_names_is_not_found() {
    for asked in [
        "ghcr.io",
        "dhi.io",
        "registry.scout.docker.com",
        "auth.docker.io",
        "docker.io.evil.example",
        "evil.example/docker.io",
        "https://docker.io@evil.example/",
        "docker.io\\.evil.example",
        "docker.io.",
        "docker.io:5000",
        "nerdctl-experimental://k8s.io/host/docker.io/acme",
        "https://not.a.real.registry/url",
        "dοcker.io", // a Greek omicron
        "https://index.docker.io/v1/access-token",
        "https://index.docker.io/v1/refresh-token",
    ] {
        hub().get(asked).is_not_found();
    }
}

#[test]
fn a_store_of_what_get_gives_succeeds_and_another_is_refused() {
    hub().store("https://index.docker.io/v1/", "acme", "s3cret").is_silent();
    for (username, secret) in [("acme", "0ther"), ("other", "s3cret")] {
        let answer = hub().store("https://index.docker.io/v1/", username, secret);
        let line = answer.fails_with(&["env: TOKEN:", "store = \"ignore\""]);
        assert!(!line.contains("s3cret") && !line.contains("0ther"), "{line}");
    }
}

#[test]
fn a_store_that_is_to_be_ignored_succeeds() {
    let helper = Helper::with_config(&format!("{RULE}store = \"ignore\"\n"));
    helper.store("docker.io", "other", "0ther").is_silent();
}

#[test]
fn a_store_without_a_rule_says_which_pattern_to_add() {
    let helper = hub();
    let file = helper.config_file();
    let file = file.display().to_string();
    helper.store("https://quay.io/v1/", "u", "p").fails_with(&["[registry.\"quay.io\"]", &file]);
    Helper::new()
        .store("localhost:5000", "u", "p")
        .fails_with(&["[registry.\"localhost:5000\"]", "/.config/docker-credential-lease/config.toml"]);
}

#[test]
fn a_store_is_read_as_json_in_any_order_and_escape() {
    for input in [
        "{\"Secret\":\"s3cret\",\"Username\":\"acme\",\"ServerURL\":\"docker.io\"}",
        "{\"ServerURL\":\"docker.io\",\"Username\":\"\\u0061cme\",\"Secret\":\"s3cret\",\"Extra\":1}\n",
    ] {
        hub().run(&["store"], input).is_silent();
    }
    hub()
        .run(&["store"], "{\"ServerURL\":\"\",\"Username\":\"u\",\"Secret\":\"p\"}")
        .is_line("no credentials server URL");
    hub()
        .run(&["store"], "{\"ServerURL\":\"docker.io\",\"Secret\":\"p\"}")
        .is_line("no credentials username");
}

#[test]
fn the_web_logins_own_keys_are_taken_and_not_kept() {
    for key in ["access-token", "refresh-token"] {
        let asked = format!("https://index.docker.io/v1/{key}");
        hub().store(&asked, "acme", "jwt..client").is_silent();
        hub().get(&asked).is_not_found();
    }
}

#[test]
fn erase_has_nothing_to_forget_and_says_nothing() {
    for asked in [
        "https://index.docker.io/v1/",
        "ghcr.io",
        "https://index.docker.io/v1/refresh-token",
        "not a registry",
    ] {
        hub().erase(asked).is_silent();
    }
    hub().get("docker.io").is_found("docker.io", "acme", "s3cret");
}

#[test]
fn list_names_what_the_config_names() {
    let config = "
        [registry.\"docker.io\"]
        source = \"env\"
        [registry.\"ghcr.io\"]
        source = \"vault\"
        path = \"secret/data/ghcr\"
        username = \"octocat\"
        [registry.\"ghcr.io/acme\"]
        source = \"vault\"
        path = \"secret/data/acme\"
        [registry.\"localhost:5000\"]
        source = \"aws-secrets-manager\"
        secret = \"local\"
        [registry.\"quay.io\"]
        source = \"vault\"
        path = \"secret/data/{path}\"
        [registry.\"*.example.com\"]
        source = \"env\"
        username = \"x\"
        password-env = \"TOKEN\"
    ";
    let helper = Helper::with_config(config);
    let listed = |helper: &Helper| {
        let answer = helper.list();
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
        answer.stdout
    };
    assert_eq!(listed(&helper), "{\"ghcr.io\":\"octocat\",\"localhost:5000\":\"\"}\n");
    let helper = helper.env("DOCKER_USER", "acme").env("DOCKER_ACCESS_TOKEN", "t");
    let all = "{\"ghcr.io\":\"octocat\",\"https://index.docker.io/v1/\":\"acme\",\"localhost:5000\":\"\"}\n";
    assert_eq!(listed(&helper), all);
    let bare = Helper::with_config(&format!("list-keys = \"host\"\n{RULE}")).env("TOKEN", "t");
    assert_eq!(listed(&bare), "{\"docker.io\":\"acme\"}\n");
    assert_eq!(listed(&Helper::new()), "{}\n");
}

#[test]
fn a_verb_that_needs_no_input_does_not_wait_for_its_end() {
    for words in [&["version"][..], &["list"], &["--help"], &[]] {
        let mut child = Helper::new().command(words).spawn().unwrap();
        let started = Instant::now();
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        child.wait().unwrap();
        assert!(!stdout.is_empty() && started.elapsed() < Duration::from_secs(5), "{words:?}: {stdout}");
    }
}

#[test]
fn input_is_read_to_its_end_before_the_answer_whatever_the_verb() {
    // More than a pipe holds, written slowly: leaving early would break the pipe.
    for words in [&["get"][..], &["list"], &["version"], &["unknown"]] {
        let mut child = Helper::new().command(words).stdout(Stdio::null()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for _ in 0..20 {
            stdin.write_all(&[b'x'; 8192]).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(stdin);
        child.wait().unwrap();
    }
}

#[test]
fn a_closed_stdin_is_an_empty_question() {
    let output = hub().command(&["get"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.stdout, b"no credentials server URL\n");
}
