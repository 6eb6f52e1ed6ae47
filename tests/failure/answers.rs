//! Answers that no Vault gives, from doubles: each gets one line, and nothing of them is repeated that could be secret.

use serde_json::json;

use super::rule;
use crate::support::hostile::Hostile;
use crate::support::{Answer, Helper, NOT_FOUND};

const TOKEN: &str = "hvs.CAESIJ-mine";

/// Asks a double that answers so, with [`TOKEN`].
fn ask(status: u16, headers: &str, body: &str) -> Answer {
    let double = Hostile::answering(status, headers, body);
    get(&double, &rule("secret/data/ghcr", ""))
}

fn get(double: &Hostile, config: &str) -> Answer {
    Helper::with_config(config).envs(&[("VAULT_ADDR", &double.url()), ("VAULT_TOKEN", TOKEN)]).get("ghcr.io")
}

fn errors(texts: &[&str]) -> String {
    json!({ "errors": texts }).to_string()
}

#[test]
fn a_proxys_html_is_named_by_its_status_alone() {
    for status in [400, 403, 404, 500, 502, 503] {
        let answer = ask(status, "Content-Type: text/html\r\n", "<html><h1>pw-1</h1>\n</html>");
        let line =
            answer.fails_with(&[&format!("vault: secret/data/ghcr: HTTP {status}"), "; hint: check that"]);
        assert!(!line.contains("pw-1") && !line.contains("html"), "{line}");
    }
}

#[test]
fn a_page_instead_of_an_answer_is_no_vault() {
    for body in ["<html>pw-1</html>", "pw-1", "{\"data\":{\"password\":\"pw-1\"", "\u{fffd}"] {
        let line = ask(200, "", body);
        let line = line.fails_with(&[
            "vault: secret/data/ghcr: the answer is no JSON object; hint: check that the address",
        ]);
        assert!(!line.contains("pw-1"), "{line}");
    }
}

#[test]
fn json_that_no_vault_answers_is_a_failure_and_no_panic() {
    for body in [
        "null",
        "true",
        "17",
        "\"pw-1\"",
        "[]",
        "[\"pw-1\"]",
        "{}",
        "",
        "{\"data\":null}",
        "{\"data\":\"pw-1\"}",
        "{\"data\":[\"pw-1\"]}",
        "{\"data\":{\"data\":null,\"metadata\":{\"version\":1}}}",
        "{\"data\":{\"data\":\"pw-1\",\"metadata\":{\"version\":1}}}",
        "{\"lease_id\":17,\"data\":17}",
    ] {
        for status in [200, 204, 299] {
            if status == 204 && !body.is_empty() {
                continue;
            }
            let line = ask(status, "", body);
            let line = line.fails_with(&["vault: secret/data/ghcr: "]);
            assert!(!line.contains("pw-1"), "{body}: {line}");
        }
    }
}

#[test]
fn a_refusal_in_an_odd_shape_is_a_failure_and_no_panic() {
    for body in [
        "null",
        "[]",
        "17",
        "\"pw-1\"",
        "{}",
        "{\"errors\":\"pw-1\"}",
        "{\"errors\":{\"a\":1}}",
        "{\"errors\":[1,null]}",
        "{\"data\":\"pw-1\"}",
        "{\"data\":{\"metadata\":[]}}",
        "{\"data\":{\"metadata\":{}}}",
        "{\"warnings\":7}",
    ] {
        for status in [100, 304, 400, 404, 418, 500, 599] {
            if status == 100 {
                continue;
            }
            let line = ask(status, "", body);
            let line = line.fails_with(&["vault: secret/data/ghcr: "]);
            assert!(!line.contains("pw-1"), "{status} {body}: {line}");
        }
    }
}

#[test]
fn a_server_that_echoes_the_token_is_not_repeated() {
    for text in [
        TOKEN.to_owned(),
        format!("token {TOKEN} is not valid"),
        format!("1 error occurred:\n\t* {TOKEN}\n\n"),
    ] {
        for status in [400, 403, 404, 405, 412, 429, 500, 503] {
            for body in [errors(&[&text]), errors(&["permission denied", &text])] {
                let line = ask(status, "", &body);
                let line = line.fails_with(&[&format!("vault: secret/data/ghcr: HTTP {status}")]);
                assert!(!line.contains(TOKEN), "{line}");
            }
        }
    }
}

#[test]
fn a_version_that_is_no_number_is_not_repeated() {
    for state in [json!({"destroyed": true}), json!({"destroyed": false}), json!({})] {
        let mut metadata = state;
        metadata["version"] = TOKEN.into();
        let line = ask(404, "", &json!({"data": {"data": null, "metadata": metadata}}).to_string());
        let line = line.fails_with(&["vault: secret/data/ghcr: "]);
        assert!(!line.contains(TOKEN), "{line}");
    }
}

#[test]
fn whatever_the_server_says_stays_one_short_line() {
    let long = "x".repeat(10_000);
    let wide = "\u{1f433}".repeat(3_000);
    let not_found = NOT_FOUND.trim_end();
    for text in [
        "first\nsecond\r\nthird\u{2028}\u{85}",
        "\u{1b}[31mred\u{1b}[0m \u{7}\u{0}\u{9b}",
        not_found,
        &format!("x {not_found} y"),
        "credentials not\nfound in\tnative  keychain",
        &long,
        &wide,
        &format!("1 error occurred:\n\t* {long}\n\n"),
    ] {
        for status in [403, 405, 429, 503] {
            let answer = ask(status, "", &errors(&[text]));
            let line = answer.fails_with(&["vault: secret/data/ghcr: ", "; hint: "]);
            assert!(!line.contains(char::is_control), "{line:?}");
            let hint = line.split_once("; hint: ").unwrap().1;
            assert!(!hint.contains('…'), "the hint is cut: {line}");
        }
    }
    let answer = ask(503, "", &errors(&[&long]));
    assert!(answer.stdout.ends_with("…; hint: the server is not ready: try again\n"), "{answer:?}");
}

#[test]
fn a_long_place_gives_way_to_the_remedy() {
    let double = Hostile::answering(503, "", &errors(&["Vault is sealed"]));
    let answer = get(&double, &rule(&format!("secret/data/{}", "p".repeat(2000)), ""));
    let line = answer.fails_with(&["vault: secret/data/ppp"]);
    assert!(line.ends_with("…: Vault is sealed; hint: unseal the server"), "{line}");
}

#[test]
fn a_redirect_is_named_and_not_followed() {
    let other = Hostile::answering(200, "", "{}");
    for status in [301, 302, 307, 308] {
        let location = format!("Location: {}/v1/secret/data/ghcr?{TOKEN}\r\n", other.url());
        let answer = ask(status, &location, "");
        let line = answer.fails_with(&[
            &format!("vault: secret/data/ghcr: redirected ({status}) to {}", other.url()),
            "; hint: set the address",
        ]);
        assert!(!line.contains(TOKEN), "{line}");
    }
    assert!(other.heard().is_empty());
    // What the server cleans is not followed either.
    ask(307, "Location: /v1/secret/data/other\r\n", "")
        .fails_with(&["redirected (307) to http://127.0.0.1:"]);
    ask(307, "", "").fails_with(&["vault: secret/data/ghcr: HTTP 307"]);
}

#[test]
fn a_server_that_may_not_answer_now_says_so_in_its_own_word() {
    for (status, word, remedy) in [
        (
            429,
            "request path \"secret/data/ghcr\": rate limit quota exceeded",
            "; hint: the server is asked too often",
        ),
        (412, "required index state not present", "; hint: the server has not caught up"),
        (472, "DR secondary", "; hint: it is a disaster recovery secondary: set address to the primary"),
        (473, "performance standby", "; hint: it is a performance standby"),
        (503, "the backend is starting", "; hint: the server is not ready: try again"),
        (500, "failed to create auth token: 429", "; hint: look at the server's own log"),
    ] {
        ask(status, "", &errors(&[word])).fails_with(&[&format!("vault: secret/data/ghcr: {word}{remedy}")]);
        ask(status, "", &errors(&[]))
            .fails_with(&[&format!("vault: secret/data/ghcr: HTTP {status}{remedy}")]);
    }
    for (status, word, remedy) in [
        (503, "Vault is sealed", "unseal the server"),
        (
            500,
            "local node not active but active cluster node not found",
            "the cluster has no active server at the moment",
        ),
    ] {
        ask(status, "", &errors(&[word])).fails_with(&[&format!("{word}; hint: {remedy}")]);
    }
}

#[test]
fn an_engines_error_is_said_without_the_servers_list() {
    let text = "1 error occurred:\n\t* unable to start transaction: failed to connect to `host=db`\n\n";
    let answer = ask(500, "", &errors(&[text]));
    answer.fails_with(&[
        "vault: secret/data/ghcr: unable to start transaction: failed to connect to `host=db`",
    ]);
    let two = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n";
    ask(403, "", &errors(&[two]))
        .fails_with(&["vault: secret/data/ghcr: permission denied, invalid token; hint: "]);
}

#[test]
fn an_endless_answer_and_a_broken_one_end_at_once() {
    let started = std::time::Instant::now();
    let config = rule("secret/data/ghcr", "");
    get(&Hostile::endless(), &config)
        .fails_with(&["vault: secret/data/ghcr: the answer is larger than 1 MiB"]);
    get(&Hostile::resetting(), &config).fails_with(&["vault: secret/data/ghcr: connection reset"]);
    for head in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"data\":{\"password\":\"pw-1\"",
        "SSH-2.0-pw-1\r\n\r\n",
    ] {
        let double = Hostile::new(move |stream| {
            let _ = std::io::Write::write_all(stream, head.as_bytes());
        });
        let answer = get(&double, &config);
        let line = answer.fails_with(&["vault: secret/data/ghcr: "]);
        assert!(!line.contains("pw-1"), "{line}");
    }
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}
