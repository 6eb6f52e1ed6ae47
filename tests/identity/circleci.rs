//! CircleCI: the tokens of a job's environment, and those that its `circleci` command makes.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::{HANGS, Program, tells_nothing_of};
use crate::support::jwt::{AUDIENCE, JwtMount, ORGANIZATION, circleci, seconds_from_now, with};
use crate::support::relay::Relay;
use crate::support::{Answer, Helper};

const PLAIN: &str = "\"circleci\"";
/// Asks for another audience than CircleCI's own.
const FOR_VAULT: &str = "{ from = \"circleci\", audience = \"https://vault.example.com/a?b&c=d e\" }";
const FORKS: &str = "let the project pass secrets to builds of forked pull requests, or give the job a context, without which \
                     some servers make none";

/// A job's helper, with a fake of the `circleci` command that does this.
fn job(mount: &JwtMount, token: &str, does: &str) -> (Helper, Program) {
    let helper = mount.helper(token).env("CIRCLECI", "true");
    let program = Program::new("circleci", does);
    let path = program.path();
    (helper.env("PATH", path), program)
}

fn expired(seconds: i64) -> Value {
    with(circleci(), json!({"exp": seconds_from_now(-seconds)}))
}

/// Prints the token, as the command does, with a line end; what it says on stderr is nobody's business.
fn prints(token: &str) -> String {
    format!("echo 's3cret on stderr' >&2\necho '{token}'")
}

#[test]
fn the_newer_token_comes_before_the_older_one() {
    let Some(mount) = JwtMount::circleci() else { return };
    let good = mount.signer.sign(&circleci());
    let (helper, program) = job(&mount, PLAIN, "exit 9");
    mount.gives(&helper.envs(&[("CIRCLE_OIDC_TOKEN_V2", &good), ("CIRCLE_OIDC_TOKEN", "wrong")]));
    assert!(program.asked().is_empty());
    let helper = mount.helper(PLAIN).env("CIRCLE_OIDC_TOKEN_V2", "").env("CIRCLE_OIDC_TOKEN", &good);
    mount.gives(&helper);
    let helper = mount.helper(PLAIN).env("CIRCLE_OIDC_TOKEN_V2", "wrong").env("CIRCLE_OIDC_TOKEN", &good);
    helper.get("ghcr.io").fails_with(&[&format!("login at auth/{}: error validating token", mount.name)]);
}

#[test]
fn a_job_without_a_token_is_told_what_it_lacks() {
    let Some(mount) = JwtMount::circleci() else { return };
    let relay = Relay::to(&mount.bao.address);
    let none = "no CircleCI token: CIRCLE_OIDC_TOKEN_V2 is not set; hint: ";
    let (helper, program) = job(&mount, PLAIN, "exit 9");
    mount.refuses(&helper.env("VAULT_ADDR", relay.url()), &format!("{none}{FORKS}"));
    let helper = mount.helper(PLAIN).env("VAULT_ADDR", relay.url());
    mount.refuses(&helper, &format!("{none}it is set only in a CircleCI job"));
    assert_eq!((relay.counts(), program.asked().len()), ((0, 0), 0));
}

#[test]
fn a_token_for_the_audience_is_taken_as_it_is() {
    let Some(mount) = JwtMount::circleci() else { return };
    for audience in [json!(AUDIENCE), json!(["another", AUDIENCE])] {
        let (helper, program) = job(&mount, FOR_VAULT, "exit 9");
        let token = mount.signer.sign(&with(circleci(), json!({ "aud": audience })));
        mount.gives(&helper.env("CIRCLE_OIDC_TOKEN_V2", token));
        assert!(program.asked().is_empty());
    }
}

#[test]
fn a_token_for_another_audience_is_made_by_the_command() {
    let Some(mount) = JwtMount::circleci() else { return };
    // A role that takes nothing else.
    mount.role("ci", &json!({"bound_audiences": [AUDIENCE]}));
    let new = mount.signer.sign(&with(circleci(), json!({"aud": AUDIENCE})));
    let claims = format!("{{\"aud\":\"{AUDIENCE}\"}}");
    for old in [mount.signer.sign(&circleci()), "no-jwt".to_owned(), String::new()] {
        let (helper, program) = job(&mount, FOR_VAULT, &prints(&new));
        mount.gives(&helper.env("CIRCLE_OIDC_TOKEN_V2", old));
        assert_eq!(program.asked(), ["run", "oidc", "get", "--claims", &claims]);
    }
}

#[test]
fn an_expired_token_is_made_anew_for_the_same_audience() {
    let Some(mount) = JwtMount::circleci() else { return };
    let (old, new) = (mount.signer.sign(&expired(60)), mount.signer.sign(&circleci()));
    let (helper, program) = job(&mount, PLAIN, &prints(&new));
    mount.gives(&helper.env("CIRCLE_OIDC_TOKEN_V2", old));
    let claims = format!("{{\"aud\":\"{ORGANIZATION}\"}}");
    assert_eq!(program.asked(), ["run", "oidc", "get", "--claims", &claims]);
    // Where the old one does not say for whom it was, CircleCI does.
    let mut claimless = expired(60);
    claimless.as_object_mut().unwrap().remove("aud");
    let old = mount.signer.sign(&claimless);
    let (helper, program) = job(&mount, PLAIN, &prints(&new));
    mount.gives(&helper.envs(&[("CIRCLE_OIDC_TOKEN_V2", &old), ("CIRCLE_ORGANIZATION_ID", "the-org")]));
    assert_eq!(program.asked()[3..], ["--claims", "{\"aud\":\"the-org\"}"]);
    let (helper, program) = job(&mount, PLAIN, &prints(&new));
    mount.gives(&helper.env("CIRCLE_OIDC_TOKEN_V2", old));
    assert_eq!(program.asked(), ["run", "oidc", "get"]);
}

#[test]
fn without_the_command_the_sentence_says_what_would_make_a_token() {
    let Some(mount) = JwtMount::circleci() else { return };
    let hint = "hint: a new one is made by the `circleci` command, which is not on PATH";
    let nothing = tempfile::tempdir().unwrap();
    let helper = |token| mount.helper(token).env("PATH", nothing.path().display().to_string());
    let old = mount.signer.sign(&expired(12 * 60 + 5));
    mount.refuses(
        &helper(PLAIN).env("CIRCLE_OIDC_TOKEN_V2", old),
        &format!("the CircleCI token expired 12 minutes ago; {hint}"),
    );
    let other = mount.signer.sign(&circleci());
    mount.refuses(
        &helper(FOR_VAULT).env("CIRCLE_OIDC_TOKEN_V2", other),
        &format!("no CircleCI token is for the audience {AUDIENCE}; {hint}"),
    );
}

/// What the command does in the place of giving a token, and what is said of it.
#[track_caller]
fn is_of_no_use(does: &str, said: &str) {
    let Some(mount) = JwtMount::circleci() else { return };
    let relay = Relay::to(&mount.bao.address);
    let old = mount.signer.sign(&expired(12 * 60 + 5));
    let (helper, program) = job(&mount, PLAIN, &format!("echo s3cret >&2\n{does}"));
    let helper = helper.env("VAULT_ADDR", relay.url()).env("CIRCLE_OIDC_TOKEN_V2", &old);
    mount.refuses(&helper, said);
    assert_eq!((relay.counts(), program.asked().len()), ((0, 0), 5), "tried once, and nothing sent");
    let logged = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").get("ghcr.io");
    tells_nothing_of(&logged, &["s3cret", "eyJ"]);
}

#[test]
fn a_command_that_fails_is_not_repeated() {
    let said = "the CircleCI token expired 12 minutes ago, and `circleci` failed with exit status: 3; hint: run it by hand to see \
                what it says";
    is_of_no_use("echo s3cret; exit 3", said);
}

#[test]
fn a_command_that_prints_no_token_is_not_repeated() {
    let by_hand = "; hint: run it by hand to see what it says";
    for (does, said, hint) in [
        ("echo", "what the `circleci` command printed is empty", by_hand),
        (":", "what the `circleci` command printed is empty", by_hand),
        (
            "echo 's3cret s3cret'",
            "what the `circleci` command printed is no identity token",
            "; hint: it is one word of the form a.b.c",
        ),
        (
            "printf 's3cret\\377'",
            "the CircleCI token expired 12 minutes ago, and `circleci` printed what is not UTF-8",
            by_hand,
        ),
        (
            "exec /usr/bin/head -c 10000000 /dev/zero",
            "the CircleCI token expired 12 minutes ago, and `circleci` printed more than a token",
            by_hand,
        ),
        (
            "exec /bin/cat /dev/zero",
            "the CircleCI token expired 12 minutes ago, and `circleci` printed more than a token",
            by_hand,
        ),
    ] {
        is_of_no_use(does, &format!("{said}{hint}"));
    }
}

#[test]
fn a_command_that_prints_an_expired_token_names_the_clock() {
    let Some(mount) = JwtMount::circleci() else { return };
    let old = mount.signer.sign(&expired(125));
    let said =
        "the token that the `circleci` command gave expired 2 minutes ago; hint: check this machine's clock";
    is_of_no_use(&format!("echo {old}"), said);
}

#[test]
fn a_job_without_a_token_whose_command_fails_is_told_what_it_lacks() {
    let Some(mount) = JwtMount::circleci() else { return };
    let (helper, _program) = job(&mount, FOR_VAULT, "exit 1");
    let cause = format!(
        "no CircleCI token is for the audience {AUDIENCE}, and `circleci` failed with exit status: 1"
    );
    mount.refuses(&helper, &format!("{cause}; hint: {FORKS}"));
}

#[test]
fn a_command_that_hangs_is_ended_with_the_look_up() {
    let Some(mount) = JwtMount::circleci() else { return };
    let (helper, program) = job(&mount, FOR_VAULT, HANGS);
    let config = fs::read_to_string(helper.config_file()).unwrap();
    fs::write(helper.config_file(), format!("timeout = \"700ms\"\n{config}")).unwrap();
    let helper = helper.env("CIRCLE_OIDC_TOKEN_V2", mount.signer.sign(&circleci()));
    let mut command = helper.command(&["get"]);
    let (reader, writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut &writer, b"ghcr.io").unwrap();
    drop(writer);
    let (answer, took) = Answer::in_time(&mut command, reader);
    let cause =
        format!("no CircleCI token is for the audience {AUDIENCE}, and `circleci` did not end within 700ms");
    answer.is_line(&format!("vault: {}: {cause}; hint: run it by hand to see what it says", mount.path));
    assert!(took < Duration::from_secs(3), "{took:?}");
    program.is_ended();
}
