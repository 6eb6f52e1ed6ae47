//! What stands on stdin and is no look-up: one line, in time, and never the secret that stands in it.

use std::fs::File;
use std::io::{self, Write};
use std::process::Stdio;
use std::time::Duration;

use super::rule;
use crate::support::{Answer, Helper};

const SECRET: &str = "pw-just-typed";
const NO_URL: &str = "no credentials server URL";
const NO_USER: &str = "no credentials username";
const LATE: &str = "timed out after 400ms waiting for the end of the input";

/// A helper that takes any `store` for `ghcr.io`.
fn helper(timeout: &str) -> Helper {
    Helper::with_config(&format!(
        "timeout = \"{timeout}\"\n{}",
        rule("secret/data/ghcr", "store = \"ignore\"")
    ))
}

fn call(verb: &str, input: impl AsRef<[u8]>) -> Answer {
    helper("10s").run(&[verb], input)
}

#[test]
fn what_is_not_utf8_is_said() {
    for verb in ["get", "store", "erase"] {
        for input in
            [&b"docker.io/\xff"[..], b"\xff\xfe\x00d", b"{\"Secret\":\"pw-just-typed\xc3\"}", &[0x80; 64]]
        {
            call(verb, input).is_line("the input is not UTF-8");
        }
    }
}

#[test]
fn an_empty_look_up_gets_dockers_own_sentence() {
    for verb in ["get", "erase"] {
        for input in ["", "\n", " \r\n\t"] {
            call(verb, input).is_line(NO_URL);
        }
    }
}

#[test]
fn control_characters_are_refused_and_not_printed() {
    for verb in ["get", "erase"] {
        for input in [
            "docker.io\0",
            "\0",
            "docker\u{1b}[31m.io",
            "docker.io\nghcr.io",
            "docker\t.io",
            "docker.io\u{85}x",
        ] {
            call(verb, input).is_line("the server URL holds a control character");
        }
    }
    let input = serde_json::json!({"ServerURL": "ghcr.io\nx", "Username": "u", "Secret": SECRET}).to_string();
    call("store", input).is_line("the server URL holds a control character");
}

#[test]
fn a_url_may_have_4_kib_and_no_more() {
    let url = |length: usize| format!("quay.io/{}", "a".repeat(length - 8));
    for verb in ["get", "erase"] {
        for length in [4097, 8192, 8193, 100_000] {
            call(verb, url(length)).is_line("the server URL is longer than 4 KiB");
        }
    }
    call("get", url(4096)).is_not_found();
    call("get", format!("{}\r\n", url(4096))).is_not_found();
    let input = serde_json::json!({"ServerURL": url(4097), "Username": "u", "Secret": SECRET}).to_string();
    call("store", input).is_line("the server URL is longer than 4 KiB");
}

#[test]
fn a_store_may_have_256_kib_and_no_more() {
    let given = |length: usize| {
        let empty = r#"{"ServerURL":"ghcr.io","Username":"u","Secret":""}"#;
        empty.replace("\"\"}", &format!("\"{}\"}}", "x".repeat(length - empty.len())))
    };
    call("store", given(256 * 1024)).is_silent();
    call("store", given(256 * 1024 + 1)).is_line("the credential is larger than 256 KiB");
}

#[test]
fn ten_megabytes_are_read_to_their_end_and_refused() {
    let input = vec![b'a'; 10 * 1024 * 1024];
    let long = "the server URL is longer than 4 KiB";
    for (verb, line) in [("get", long), ("erase", long), ("store", "the credential is larger than 256 KiB")] {
        call(verb, &input).is_line(line);
    }
    let listed = call("list", &input);
    assert_eq!((listed.code, listed.stdout.as_str()), (Some(0), "{\"ghcr.io\":\"\"}\n"));
}

#[test]
fn json_that_is_broken_or_in_another_shape_is_never_quoted() {
    let deep = format!("{{\"x\":{}", "[".repeat(10_000));
    for input in [
        "pw-just-typed",
        "{\"ServerURL\":\"ghcr.io\",\"Username\":\"u\",\"Secret\":\"pw-just-typed",
        "{\"ServerURL\":\"ghcr.io\",\"Username\":\"u\",\"Secret\":pw-just-typed}",
        "{\"ServerURL\":\"ghcr.io\",\"Username\":\"u\",\"Secret\":\"pw-just-typed\\q\"}",
        "{\"ServerURL\":\"ghcr.io\",\"Username\":\"u\",\"Secret\":\"pw-just-typed\"} pw-just-typed",
        "{\"ServerURL\":\"ghcr.io\",\"Username\":\"u\",\"Secret\":{\"pw-just-typed\":\"pw-just-typed\"}}",
        "{\"ServerURL\":\"ghcr.io\",\"Username\":\"u\",\"Secret\":[\"pw-just-typed\"]}",
        "{\"ServerURL\":\"ghcr.io\",\"Username\":[\"pw-just-typed\"],\"Secret\":\"pw-just-typed\"}",
        "{\"ServerURL\":7,\"Username\":\"u\",\"Secret\":\"pw-just-typed\"}",
        "{\"Secret\":\"pw-just-typed\",\"Secret\":\"pw-just-typed\"}",
        "\"pw-just-typed\"",
        "[\"pw-just-typed\"]",
        "17042",
        "true",
        "",
        &deep,
    ] {
        let answer = call("store", input);
        let line =
            answer.fails_with(&["the input is not the JSON object with ServerURL, Username and Secret"]);
        assert!(!line.contains("pw-") && !line.contains("17042"), "{line}");
    }
}

#[test]
fn a_store_without_a_registry_or_a_user_gets_dockers_own_sentence() {
    for (input, line) in [
        ("{}", NO_URL),
        ("{\"Username\":\"u\",\"Secret\":\"pw-just-typed\"}", NO_URL),
        ("{\"ServerURL\":\"\",\"Username\":\"u\",\"Secret\":\"pw-just-typed\"}", NO_URL),
        ("{\"ServerURL\":null,\"Username\":\"u\",\"Secret\":\"pw-just-typed\"}", NO_URL),
        ("{\"ServerURL\":\"ghcr.io\",\"Secret\":\"pw-just-typed\"}", NO_USER),
        ("{\"ServerURL\":\"ghcr.io\",\"Username\":\"\",\"Secret\":\"pw-just-typed\"}", NO_USER),
        ("{\"serverurl\":\"ghcr.io\",\"username\":\"u\",\"secret\":\"pw-just-typed\"}", NO_URL),
    ] {
        call("store", input).is_line(line);
    }
}

#[test]
fn an_input_that_never_ends_gets_one_line_in_time() {
    for verb in ["get", "store", "erase"] {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"docker.io").unwrap();
        let (answer, took) = until_it_leaves(verb, reader);
        drop(writer);
        answer.is_line(LATE);
        assert!((300..3000).contains(&took.as_millis()), "{took:?}");
    }
}

#[test]
fn an_input_that_pours_forever_gets_one_line_in_time() {
    for verb in ["get", "store", "erase"] {
        let (answer, took) = until_it_leaves(verb, File::open("/dev/zero").unwrap());
        answer.is_line(LATE);
        assert!((300..3000).contains(&took.as_millis()), "{took:?}");
    }
}

#[test]
fn a_verb_that_needs_no_input_does_not_read_forever() {
    for (verb, line) in [("list", "{\"ghcr.io\":\"\"}\n"), ("version", "docker-credential-lease (")] {
        let (answer, took) = until_it_leaves(verb, File::open("/dev/zero").unwrap());
        assert!(answer.code == Some(0) && answer.stdout.starts_with(line), "{answer:?}");
        assert!(took.as_millis() < 3000, "{took:?}");
    }
}

/// The answer, and how long it took.
fn until_it_leaves(verb: &str, stdin: impl Into<Stdio>) -> (Answer, Duration) {
    Answer::in_time(&mut helper("400ms").command(&[verb]), stdin)
}
