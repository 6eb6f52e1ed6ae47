//! What is no request gets one line, and loses nothing.

use std::process::Stdio;

use serde_json::{Value, json};

use super::{GROUP, ask, fails_with, given};
use crate::support::{Answer, Helper};

fn helper() -> Helper {
    let rule = "[registry.\"docker.io\"]\nsource = \"env\"\nusername = \"u\"\npassword-env = \"P\"\n";
    Helper::with_config(rule).env("P", "p")
}

/// A good request with other values for some of it.
fn with(others: &Value) -> String {
    let mut request = json!({
        "kind": "CredentialProviderRequest", "apiVersion": format!("{GROUP}/v1"), "image": "docker.io/x",
    });
    request.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    request.to_string()
}

#[test]
fn what_is_no_request_is_told_and_not_repeated() {
    let no_request = "the input is no CredentialProviderRequest: this is run by the kubelet";
    let duplicate = with(&json!({})).replacen('{', "{\"image\":\"ghcr.io/s3cret\",", 1);
    for (input, line) in [
        (String::new(), no_request),
        ("docker.io\n".to_owned(), no_request),
        ("[]".to_owned(), no_request),
        ("{\"serviceAccountToken\":\"s3cret\"".to_owned(), no_request),
        ("{}".to_owned(), no_request),
        (duplicate, no_request),
        (with(&json!({"serviceAccountToken": ["s3cret"]})), no_request),
        (with(&json!({"serviceAccountAnnotations": "s3cret"})), no_request),
        (format!("{}{}", with(&json!({})), "s3cret"), no_request),
        (
            with(&json!({"kind": "CredentialProviderResponse"})),
            "the input's kind is not CredentialProviderRequest",
        ),
        (
            with(&json!({"apiVersion": "credentialprovider.kubelet.k8s.io/v2"})),
            "the request's apiVersion is not credentialprovider.kubelet.k8s.io/ with v1 or v1beta1 or v1alpha1",
        ),
        (
            with(&json!({"apiVersion": "v1"})),
            "the request's apiVersion is not credentialprovider.kubelet.k8s.io/ with v1 or v1beta1 or v1alpha1",
        ),
        (with(&json!({"image": ""})), "the request names no image"),
        (with(&json!({"image": "docker.io/a\nb"})), "the image holds a control character"),
        (
            with(&json!({"image": format!("docker.io/{}", "a".repeat(5000))})),
            "the image is longer than 4 KiB",
        ),
        ("x".repeat(2 * 1024 * 1024), "the request is larger than 1 MiB"),
    ] {
        assert_eq!(fails_with(&helper().run(&["kubelet"], &input), &[]), line);
    }
    let garbled = helper().run(&["kubelet"], b"\xff\xfe");
    assert_eq!(fails_with(&garbled, &[]), "the input is not UTF-8");
}

#[test]
fn what_later_versions_add_does_no_harm() {
    let input =
        with(&json!({"podName": "x", "serviceAccountToken": null, "serviceAccountAnnotations": null}));
    let answer = helper().run(&["kubelet"], input);
    assert!(answer.stdout.contains("\"username\":\"u\""), "{answer:?}");
    // The longest annotations that Kubernetes takes.
    let long = with(&json!({"serviceAccountAnnotations": {"a/b": "x".repeat(256 * 1024)}}));
    assert_eq!(helper().run(&["kubelet"], long).code, Some(0));
}

#[test]
fn an_input_without_end_is_left_at_the_deadline() {
    let helper = Helper::with_config("timeout = \"300ms\"\n");
    let mut command = helper.command(&["kubelet"]);
    let (answer, _) = Answer::in_time(&mut command, Stdio::piped());
    fails_with(&answer, &["timed out after 300ms waiting for the end of the input"]);
}

#[test]
fn other_words_are_told() {
    for words in [["kubelet", "get"], ["kubelet", "--x"]] {
        let answer = helper().run(&words, "");
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""));
        let usage = "Usage: docker-credential-lease kubelet, with a CredentialProviderRequest on stdin";
        assert_eq!(
            answer.stderr,
            format!("docker-credential-lease: cannot take: {}\n{usage}\n", words.join(" "))
        );
    }
    assert!(helper().run(&["kubelet", "--help"], "").stdout.contains("CredentialProviderRequest"));
    // Empty variables of AWS count as unset here, too: the program starts anew, with its input unread.
    let found = ask(&helper().env("AWS_PROFILE", ""), "v1", "docker.io/x");
    assert_eq!(found, given("Registry", "5m0s", &[("docker.io", "u", "p")]));
}

#[test]
fn an_answer_that_nobody_takes_is_a_failure() {
    let helper = helper();
    let mut child = helper.command(&["kubelet"]).spawn().unwrap();
    drop(child.stdout.take());
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), with(&json!({})).as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
