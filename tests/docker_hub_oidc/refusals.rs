//! What Hub refuses, and what is asked twice: only what has certainly made nothing.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{HINT, HOST, RULE, Setup};
use crate::support::hostile::{Hostile, answer};
use crate::support::proxy::Proxy;
use crate::support::tls::TlsFront;

#[test]
fn a_refusal_is_told_in_hubs_own_words() {
    let echoed = |setup: &Setup| {
        let part = setup.token.split('.').nth(1).unwrap().to_owned();
        json!({"error": "invalid_grant", "error_description": format!("not this: {part}")}).to_string()
    };
    for (status, body, sentence) in [
        (
            401,
            r#"{"error":"invalid_grant","error_description":"no ruleset\n matches"}"#,
            "invalid_grant: no ruleset matches",
        ),
        (400, r#"{"error":"invalid_request"}"#, "invalid_request"),
        (403, r#"{"message":"s3cret"}"#, "HTTP 403"),
        (404, "", "HTTP 404"),
        (400, r#"{"error":["s3cret"]}"#, "HTTP 400"),
    ] {
        let setup = Setup::refusing(status, body);
        setup.fails(setup.job(RULE), &format!("{sentence}{HINT}"));
        // Once more, with the log: never tried again by itself.
        assert_eq!(setup.hub.heard().len(), 2);
    }
    // A server that repeats the token is not repeated.
    let first = Setup::giving("");
    let hub = Hostile::answering(400, "", &echoed(&first));
    let front = TlsFront::new(&hub.authority, &[HOST], first.folder.path());
    let proxy = Proxy::to(&front.authority);
    let helper = first.job(RULE).env("HTTPS_PROXY", proxy.url());
    first.fails(helper.env("SSL_CERT_FILE", front.ca.to_str().unwrap()), &format!("invalid_grant{HINT}"));
}

#[test]
fn who_is_asked_too_often_is_asked_once_more_where_there_is_time() {
    let given = r#"{"access_token":"t-1"}"#;
    let setup = Setup::with(Hostile::in_turn(&[(429, "Retry-After: 0\r\n", "{}"), (200, "", given)]));
    setup.job(RULE).get("docker.io").is_found("docker.io", "acme", "t-1");
    assert_eq!(setup.hub.heard().len(), 2);
    let hint = "; hint: Docker Hub is asked too often: try again later";
    let setup = Setup::with(Hostile::answering(429, "Retry-After: 0\r\n", r#"{"error":"slow_down"}"#));
    setup.fails(setup.job(&format!("timeout = \"4s\"\n{RULE}")), &format!("slow_down{hint}"));
    assert_eq!(setup.hub.heard().len(), 4);
    // Longer than a look-up may take, but not than a mint: nobody waits for it.
    let setup = Setup::with(Hostile::answering(429, "Retry-After: 8\r\n", ""));
    let started = Instant::now();
    setup.fails(setup.job(&format!("timeout = \"4s\"\n{RULE}")), &format!("HTTP 429{hint}"));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(setup.hub.heard().len(), 2);
}

#[test]
fn what_may_have_been_made_is_not_asked_for_again() {
    for status in [500, 503] {
        let setup = Setup::refusing(status, "s3cret");
        setup.fails(setup.job(RULE), &format!("HTTP {status}; hint: try again"));
        assert_eq!(setup.hub.heard().len(), 2, "{status}");
    }
    for body in ["", "s3cret", "[]", "{}", r#"{"access_token":""}"#, r#"{"access_token":["s3cret"]}"#] {
        let setup = Setup::refusing(200, body);
        let hint = "check that identity.docker.com is what answers";
        setup.fails(setup.job(RULE), &format!("the answer holds no token; hint: {hint}"));
    }
    let slow = Hostile::new(|stream| {
        thread::sleep(Duration::from_millis(1500));
        let text = answer(200, "", r#"{"access_token":"t-1"}"#);
        let _ = stream.write_all(text.as_bytes());
    });
    // What has been sent is waited for, whatever the look-up may take.
    let setup = Setup::with(slow);
    let helper = setup.job(&format!("timeout = \"1s\"\n{RULE}"));
    helper.get("docker.io").is_found("docker.io", "acme", "t-1");
    assert_eq!(setup.hub.heard().len(), 1);
}

#[test]
fn only_hub_itself_is_shown_the_token() {
    let setup = Setup::giving("");
    let answer = setup.job(RULE).env("SSL_CERT_FILE", "").get("docker.io");
    answer.fails_with(&["docker-hub-oidc: acme: TLS: ", " (through the proxy ", "; hint: "]);
    let elsewhere = Setup::giving("");
    let location = format!("Location: {}/{}\r\n", elsewhere.hub.url(), "x");
    let moved = Setup::with(Hostile::answering(307, &location, ""));
    let answer = moved.job(RULE).get("docker.io");
    answer.fails_with(&["redirected (307) to http://127.0.0.1:", ", which is not followed"]);
    assert!(setup.hub.heard().is_empty() && elsewhere.hub.heard().is_empty());
}
