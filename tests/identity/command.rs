//! `{ command }`: a program whose output is the token.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{HANGS, Program, tells_nothing_of, write};
use crate::support::jwt::{JwtMount, circleci, seconds_from_now, with};
use crate::support::program::write_script;
use crate::support::relay::Relay;
use crate::support::{Answer, Helper};

#[test]
fn a_bare_name_is_found_on_path_and_gets_its_arguments() {
    let Some(mount) = JwtMount::circleci() else { return };
    let helper = mount.helper(r#"{ command = ["token-for", "a b", "$HOME", "--x='y'"] }"#);
    let program = Program::new("token-for", &format!("echo '  {} '", mount.signer.sign(&circleci())));
    // What lies where a client happens to stand is not run, nor asked.
    write_script(&helper.home().join("token-for"), "echo wrong");
    mount.gives(&helper.env("PATH", program.path()));
    assert_eq!(program.asked(), ["a b", "$HOME", "--x='y'"]);
}

#[test]
fn a_single_word_may_stand_alone() {
    let Some(mount) = JwtMount::circleci() else { return };
    let helper = mount.helper("{ command = \"token-for\" }");
    let program = Program::new("token-for", &format!("echo {}", mount.signer.sign(&circleci())));
    mount.gives(&helper.env("PATH", program.path()));
}

#[test]
fn a_path_is_beside_the_config_or_in_the_home() {
    let Some(mount) = JwtMount::circleci() else { return };
    let gives = format!("echo {}", mount.signer.sign(&circleci()));
    for (written, stands) in [
        ("bin/token", ".config/docker-credential-lease/bin/token"),
        ("./token", ".config/docker-credential-lease/token"),
        ("~/bin/token", "bin/token"),
    ] {
        let helper = mount.helper(&format!("{{ command = [\"{written}\"] }}"));
        // What a client stands beside is another matter.
        write_script(&helper.home().join("token"), "echo wrong");
        write_script(&helper.home().join(stands), &gives);
        mount.gives(&helper);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn docker_s_question_is_not_for_the_program() {
    let Some(mount) = JwtMount::circleci() else { return };
    let helper = mount.helper("{ command = [\"token-for\"] }");
    // By the time it runs the helper has read its own stdin to the end, so that reading would tell nothing.
    let stdin = "test \"$(/bin/readlink /proc/self/fd/0)\" = /dev/null";
    let does = format!("{stdin} && echo {}", mount.signer.sign(&circleci()));
    let program = Program::new("token-for", &does);
    mount.gives(&helper.env("PATH", program.path()));
}

#[test]
fn a_signal_ends_the_program_too() {
    let Some(mount) = JwtMount::circleci() else { return };
    let helper = mount.helper("{ command = [\"token-for\"] }");
    let program = Program::new("token-for", HANGS);
    let helper = helper.env("PATH", program.path());
    let mut child = helper.command(&["get"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"ghcr.io").unwrap();
    while program.process().is_none() {
        assert!(child.try_wait().unwrap().is_none(), "it ended without the program");
        thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let answer = Answer::from_output(child.wait_with_output().unwrap());
    answer.fails_with(&["ended by a signal"]);
    program.is_ended();
}

/// The helper fails with this line; nothing is sent to the server, and nothing of what the program printed is said.
#[track_caller]
fn fails(mount: &JwtMount, helper: Helper, sentence: &str) {
    let relay = Relay::to(&mount.bao.address);
    let helper = helper.env("VAULT_ADDR", relay.url());
    mount.refuses(&helper, sentence);
    assert_eq!(relay.counts(), (0, 0));
    let logged = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").get("ghcr.io");
    tells_nothing_of(&logged, &["s3cret", "eyJ"]);
}

#[test]
fn a_program_that_gives_no_token_is_not_repeated() {
    let Some(mount) = JwtMount::circleci() else { return };
    let by_hand = "; hint: run it by hand to see what it says";
    let old = mount.signer.sign(&with(circleci(), json!({"exp": seconds_from_now(-3605)})));
    for (does, said) in [
        ("echo s3cret; exit 1", format!("`token-for` failed with exit status: 1{by_hand}")),
        ("echo s3cret; kill -9 $$", format!("`token-for` failed with signal: 9 (SIGKILL){by_hand}")),
        (":", "the token that `token-for` gave is empty; hint: have it give a new one".to_owned()),
        (
            "echo s3cret; echo s3cret",
            "the token that `token-for` gave is no identity token; hint: it is one word of the form a.b.c"
                .to_owned(),
        ),
        (
            &format!("echo {old}"),
            "the token that `token-for` gave expired 60 minutes ago; hint: have it give a new one".to_owned(),
        ),
        ("exec /usr/bin/head -c 70000 /dev/zero", format!("`token-for` printed more than a token{by_hand}")),
    ] {
        let helper = mount.helper("{ command = [\"token-for\"] }");
        let program = Program::new("token-for", &format!("echo s3cret >&2\n{does}"));
        fails(&mount, helper.env("PATH", program.path()), &said);
    }
}

#[test]
fn a_program_that_cannot_be_run_is_named() {
    let Some(mount) = JwtMount::circleci() else { return };
    let hint = "hint: install it where PATH finds it, or write its whole path in command";
    let helper = mount.helper("{ command = [\"token-for\"] }").env("PATH", "/nowhere");
    fails(&mount, helper, &format!("there is no program `token-for`; {hint}"));
    let helper = mount.helper("{ command = [\"./token-for\"] }");
    let place = helper.config_file().with_file_name("./token-for");
    fails(&mount, helper, &format!("there is no program `{}`; {hint}", place.display()));
    let helper = mount.helper("{ command = [\"~/token-for\"] }");
    let place = helper.home().join("token-for");
    write(&place, "no program");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).unwrap();
    let sentence = format!("`{}` cannot be started: ", place.display());
    helper.get("ghcr.io").fails_with(&[&sentence, "ermission denied", "hint: "]);
}

#[test]
fn a_config_in_a_variable_has_no_folder_for_relative_programs() {
    let Some(mount) = JwtMount::circleci() else { return };
    let config = mount.config("ci", "{ command = [\"./token-for\"] }");
    let helper = Helper::new().env("DOCKER_CREDENTIAL_LEASE_CONFIG_TOML", config);
    helper.get("ghcr.io").fails_with(&[
        "config: $DOCKER_CREDENTIAL_LEASE_CONFIG_TOML:8:11: `command` in [vault.default.auth.token] names no program",
        "write it from `/` or `~/`",
    ]);
}
