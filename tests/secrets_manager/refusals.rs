//! What AWS refuses, in its own word: a double says what moto never does.

use serde_json::json;

use super::rule;
use crate::support::Helper;
use crate::support::hostile::Hostile;

/// A helper with keys, that takes the double for AWS.
fn helper(double: &Hostile, keys: &str) -> Helper {
    Helper::with_config(&rule(&format!("secret = \"prod/hub\"\n{keys}"))).envs(&[
        ("AWS_ENDPOINT_URL", &double.url()),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
    ])
}

/// AWS's message for the code, which quotes who asked for what.
fn body(code: &str) -> String {
    json!({"__type": code, "Message": "User: arn:aws:iam::1:user/joe is not authorized"}).to_string()
}

/// The line for the code, however it is sent; the double was asked this often.
#[track_caller]
fn refused(code: &str, status: u16, requests: usize, line: &str) {
    let header = format!("x-amzn-errortype: {code}:http://internal.amazon.com/coral/\r\n");
    for (headers, body) in [
        (String::new(), body(code)),
        (String::new(), body(&format!("com.amazonaws.secretsmanager#{code}"))),
        (header, json!({"message": "User: arn:aws:iam::1:user/joe is not authorized"}).to_string()),
    ] {
        let double = Hostile::answering(status, &headers, &body);
        helper(&double, "").get("docker.io").is_line(line);
        assert_eq!(double.heard().len(), requests, "{headers}{body}");
    }
}

#[test]
fn one_signed_request_asks_for_the_secret_s_value() {
    let double = Hostile::answering(400, "", &body("AccessDeniedException"));
    let _ = helper(&double, "version-stage = \"AWSPREVIOUS\"").get("docker.io");
    let heard = double.heard();
    let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert_eq!(heard.len(), 1);
    assert!(head.starts_with("post / http/1.1\r\n"), "{head}");
    for header in [
        "\r\nx-amz-target: secretsmanager.getsecretvalue",
        "\r\ncontent-type: application/x-amz-json-1.1",
        "\r\nauthorization: aws4-hmac-sha256 credential=akiaexample/",
        "/eu-west-1/secretsmanager/aws4_request",
    ] {
        assert!(head.contains(header), "{header:?} is not in: {head}");
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body, json!({"SecretId": "prod/hub", "VersionStage": "AWSPREVIOUS"}));
}

#[test]
fn access_denied_names_the_permissions_that_are_needed() {
    refused(
        "AccessDeniedException",
        400,
        1,
        "aws-secrets-manager: prod/hub: AccessDeniedException: secretsmanager:GetSecretValue on prod/hub \
         as the keys in AWS_ACCESS_KEY_ID in eu-west-1; \
         hint: allow secretsmanager:GetSecretValue on it in eu-west-1, and kms:Decrypt on its key",
    );
}

#[test]
fn a_key_that_may_not_decrypt_is_named() {
    let line =
        "aws-secrets-manager: prod/hub: DecryptionFailure in eu-west-1; hint: allow kms:Decrypt on its key";
    refused("DecryptionFailure", 400, 1, line);
}

#[test]
fn an_ended_session_says_to_log_in_again() {
    for code in ["ExpiredTokenException", "ExpiredToken"] {
        let hint = "hint: the session has ended: log in to AWS again";
        refused(code, 400, 1, &format!("aws-secrets-manager: prod/hub: {code}; {hint}"));
    }
}

#[test]
fn a_wrong_signature_points_at_the_secret_key_and_the_clock() {
    for code in ["SignatureDoesNotMatch", "InvalidSignatureException"] {
        let hint = "hint: check AWS_SECRET_ACCESS_KEY and this machine's clock";
        refused(code, 400, 1, &format!("aws-secrets-manager: prod/hub: {code}; {hint}"));
    }
}

#[test]
fn unknown_keys_point_at_where_keys_come_from() {
    for code in ["InvalidClientTokenId", "UnrecognizedClientException"] {
        let hint = "hint: AWS does not know these keys: \
                    check AWS_ACCESS_KEY_ID, the profile and the session token";
        refused(code, 403, 1, &format!("aws-secrets-manager: prod/hub: {code}; {hint}"));
    }
}

#[test]
fn throttling_is_tried_a_second_time_and_no_third() {
    let line = "aws-secrets-manager: prod/hub: ThrottlingException; hint: AWS is asked too often: try again";
    refused("ThrottlingException", 400, 2, line);
}

#[test]
fn a_fault_that_passes_is_overcome_by_the_second_try() {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let double = Hostile::new(move |stream| {
        let first = tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        let text = json!({"username": "acme", "password": "p4ss"}).to_string();
        let (status, body) = match first {
            true => (500, json!({"__type": "InternalServiceError"})),
            false => (200, json!({ "SecretString": text })),
        };
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}", body.len());
        let _ = std::io::Write::write_all(stream, format!("{head}\r\n\r\n{body}").as_bytes());
    });
    helper(&double, "").get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(double.heard().len(), 2);
}

#[test]
fn a_code_that_nobody_knows_is_named_all_the_same() {
    let double = Hostile::answering(400, "", &body("SomethingNewException"));
    let answer = helper(&double, "").get("docker.io");
    let line = answer.fails_with(&["aws-secrets-manager: prod/hub: SomethingNewException"]);
    assert!(!line.contains("joe"), "{line}");
}

#[test]
fn a_code_cannot_break_the_line_or_fill_it() {
    for code in ["A\u{1b}[31m\nB", &"A".repeat(4000), "credentials not found in native keychain"] {
        let double = Hostile::answering(400, "", &body(code));
        let answer = helper(&double, "").get("docker.io");
        let line = answer.fails_with(&["aws-secrets-manager: prod/hub: "]);
        assert!(!line.contains('\u{1b}'), "{line}");
    }
}

#[test]
fn what_is_no_answer_of_aws_is_not_repeated() {
    for (status, body) in [
        (200, "<html>s3cret</html>"),
        (200, "[\"s3cret\"]"),
        (200, "{\"SecretString\":\"s3cret"),
        (400, "<html>s3cret</html>"),
        (404, ""),
    ] {
        let double = Hostile::answering(status, "Content-Type: text/html\r\n", body);
        let answer = helper(&double, "").get("docker.io");
        let line = answer.fails_with(&["aws-secrets-manager: prod/hub: ", "hint: check", "endpoint-url"]);
        assert!(!line.contains("s3cret") && !line.contains("HTTP 200"), "{line}");
        assert_eq!(double.heard().len(), 1);
    }
}

#[test]
fn an_answer_without_a_secret_is_a_failure() {
    let double = Hostile::answering(200, "", "{\"Name\":\"prod/hub\"}");
    helper(&double, "").get("docker.io").fails_with(&["aws-secrets-manager: prod/hub: it is empty"]);
}
