//! The `credsStore` that the user had before: asked last, for what no rule is for, and never told anything.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::json;

use super::User;
use crate::support::Answer;

const RULE: &str =
    "timeout = \"1s\"\n[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"rule\"\npassword-env = \"P\"\n";
const NONE: &str = "credentials not found in native keychain\n";
const BINARY: &str = env!("CARGO_BIN_EXE_docker-credential-lease");

/// A user whose `credsStore` is `pass`: a program that notes how it was called and goes on with the script.
fn with_pass(script: &str) -> User {
    let user = User::with_config(RULE).env("P", "pw-rule");
    user.docker_config(&json!({"credsStore": "pass"}));
    let note = "asked=$(cat); echo \"$* <$asked> depth $DOCKER_CREDENTIAL_LEASE_DEPTH\" >>\"$HOME/calls\"";
    user.program("docker-credential-pass", &format!("{note}\n{script}"));
    user
}

const KNOWS: &str = r#"case $1 in
get) echo '{"ServerURL":"x","Username":"stored","Secret":"pw-stored"}' ;;
list) echo '{"https://quay.io/v1/":"stored","https://index.docker.io/v1/access-token":"t","a b":"x"}' ;;
*) exit 1 ;;
esac"#;

fn calls(user: &User) -> String {
    fs::read_to_string(user.home().join("calls")).unwrap_or_default()
}

fn ask(user: &User, asked: &str) -> Answer {
    user.script(&format!("echo '{asked}' | docker-credential-lease get"))
}

#[test]
fn it_is_asked_for_what_the_client_asked_for_and_only_without_a_rule() {
    let user = with_pass(KNOWS);
    for asked in ["https://quay.io/v1/", "Quay.IO", "http://10.0.0.1:5000/x"] {
        ask(&user, asked).is_found(asked, "stored", "pw-stored");
    }
    ask(&user, "ghcr.io").is_found("ghcr.io", "rule", "pw-rule");
    let expected =
        "get <https://quay.io/v1/> depth 1\nget <Quay.IO> depth 1\nget <http://10.0.0.1:5000/x> depth 1\n";
    assert_eq!(calls(&user), expected);
}

#[test]
fn store_and_erase_are_never_passed_on() {
    let user = with_pass(KNOWS);
    let login = json!({"ServerURL": "quay.io", "Username": "inside", "Secret": "pw-inside"});
    let printed = user.prints(&format!(
        "echo '{login}' | docker-credential-lease store; echo quay.io | docker-credential-lease get; \
         echo quay.io | docker-credential-lease erase; echo quay.io | docker-credential-lease get"
    ));
    assert_eq!(
        printed,
        "{\"ServerURL\":\"quay.io\",\"Username\":\"inside\",\"Secret\":\"pw-inside\"}\n\
         {\"ServerURL\":\"quay.io\",\"Username\":\"stored\",\"Secret\":\"pw-stored\"}\n"
    );
    assert_eq!(calls(&user), "get <quay.io> depth 1\n");
}

#[test]
fn an_inline_login_is_taken_before_it_is_asked() {
    let user = with_pass(KNOWS);
    user.docker_config(&json!({"credsStore": "pass", "auths": {"quay.io": {"auth": "b3duOnB3"}}}));
    ask(&user, "quay.io").is_found("quay.io", "own", "pw");
    assert_eq!(calls(&user), "");
}

#[test]
fn list_names_the_three_together() {
    let user = with_pass(KNOWS);
    user.docker_config(
        &json!({"credsStore": "pass", "auths": {"own.example": {"auth": "b3duOnB3"}, "x.example": {}}}),
    );
    let login = json!({"ServerURL": "new.example", "Username": "inside", "Secret": "pw"});
    let printed =
        user.prints(&format!("echo '{login}' | docker-credential-lease store; docker-credential-lease list"));
    let expected = json!({
        "ghcr.io": "rule", "https://quay.io/v1/": "stored", "own.example": "own", "new.example": "inside",
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), expected);
    assert_eq!(calls(&user), "list <unused> depth 1\n");
}

#[test]
fn list_names_hosts_where_the_config_says_so() {
    let user = User::with_config(&format!("list-keys = \"host\"\n{RULE}"));
    let auths = json!({"https://index.docker.io/v1/": {"auth": "b3duOnB3"}, "https://quay.io/v1/": {"auth": "b3duOnB3"}});
    user.docker_config(&json!({ "auths": auths }));
    let printed = user.prints("docker-credential-lease list");
    assert_eq!(printed, "{\"docker.io\":\"own\",\"quay.io\":\"own\"}\n");
}

#[test]
fn one_that_has_none_fails_or_is_not_there_means_none() {
    for script in [
        "echo 'credentials not found in native keychain'; exit 1",
        "echo 'the keychain is locked'; exit 1",
        "echo '{\"Secret\":\"pw-needle\"}'; exit 1",
        "echo pw-needle",
        "[ \"$1\" = list ] || echo '{\"Username\": [\"u\"]}'",
        "head -c 3000000 /dev/zero",
        "kill -KILL $$",
    ] {
        let user = with_pass(script);
        ask(&user, "quay.io").is_not_found();
        let logged = user.script("echo quay.io | DOCKER_CREDENTIAL_LEASE_LOG=1 docker-credential-lease get");
        assert_eq!(logged.stdout, NONE);
        assert!(!logged.stderr.contains("pw-needle"), "{}", logged.stderr);
        assert_eq!(user.prints("docker-credential-lease list"), "{\"ghcr.io\":\"rule\"}\n");
    }
    let user = User::with_config(RULE);
    user.docker_config(&json!({"credsStore": "nobody-has-it"}));
    let logged = user.script("echo quay.io | DOCKER_CREDENTIAL_LEASE_LOG=1 docker-credential-lease get");
    assert_eq!(logged.stdout, NONE);
    assert!(
        logged.stderr.contains("docker-credential-nobody-has-it: there is no such program on PATH"),
        "{logged:?}"
    );
    let user = with_pass("echo 'the keychain is locked'; exit 1");
    let logged = user.script("echo quay.io | DOCKER_CREDENTIAL_LEASE_LOG=1 docker-credential-lease get");
    assert!(logged.stderr.contains("docker-credential-pass: the keychain is locked"), "{logged:?}");
    user.docker_config(&json!({"credsStore": "nobody-has-it"}));
    let text = user.file("bin/docker-credential-nobody-has-it", "#!/bin/sh\n");
    let logged = user.script("echo quay.io | DOCKER_CREDENTIAL_LEASE_LOG=1 docker-credential-lease get");
    assert!(text.exists() && logged.stderr.contains("cannot be started: Permission denied"), "{logged:?}");
}

#[test]
fn one_that_hangs_is_left_at_the_deadline() {
    let user = with_pass("echo $$ >\"$HOME/pid\"; exec sleep 60");
    let started = Instant::now();
    ask(&user, "quay.io").is_not_found();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let pid: i32 = fs::read_to_string(user.home().join("pid")).unwrap().trim().parse().unwrap();
    let is_gone =
        || rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap()).is_err();
    while !is_gone() {
        assert!(started.elapsed() < Duration::from_secs(5), "it is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
    let started = Instant::now();
    assert_eq!(user.prints("docker-credential-lease list"), "{\"ghcr.io\":\"rule\"}\n");
    assert!(started.elapsed() < Duration::from_millis(2700), "{:?}", started.elapsed());
}

#[test]
fn it_is_never_this_program_under_whatever_name() {
    let user = User::with_config(RULE).env("P", "pw-rule");
    let bin = user.home().join("bin");
    symlink(BINARY, bin.join("docker-credential-link")).unwrap();
    fs::copy(BINARY, bin.join("docker-credential-copy")).unwrap();
    symlink(bin.join("docker-credential-copy"), bin.join("docker-credential-linked-copy")).unwrap();
    for name in ["lease", "link", "copy", "linked-copy", "../../bin/copy", "", " ", "-x"] {
        user.docker_config(&json!({ "credsStore": name }));
        let started = Instant::now();
        ask(&user, "quay.io").is_not_found();
        assert_eq!(user.prints("docker-credential-lease list"), "{\"ghcr.io\":\"rule\"}\n", "{name}");
        // A circle would go on until the look-up's own end, after ten.
        assert!(started.elapsed() < Duration::from_secs(5), "{name}: {:?}", started.elapsed());
    }
}

#[test]
fn who_was_called_by_a_helper_calls_none() {
    let user = with_pass(KNOWS);
    let answer = user.script("echo quay.io | DOCKER_CREDENTIAL_LEASE_DEPTH=1 docker-credential-lease get");
    assert_eq!((answer.stdout.as_str(), calls(&user).as_str()), (NONE, ""));
    // Two programs that each pass on to the other come to an end.
    let user = with_pass("exec docker-credential-lease \"$1\" <<END\n$asked\nEND");
    let started = Instant::now();
    ask(&user, "quay.io").is_not_found();
    assert_eq!(calls(&user), "get <quay.io> depth 1\n");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn many_at_once_are_all_answered() {
    let user = with_pass(KNOWS);
    let script = "for i in 1 2 3 4 5 6 7 8; do echo quay.io | docker-credential-lease get & done; wait";
    let found = "{\"ServerURL\":\"quay.io\",\"Username\":\"stored\",\"Secret\":\"pw-stored\"}\n";
    assert_eq!(user.prints(script), found.repeat(8));
}
