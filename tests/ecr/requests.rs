//! How often AWS is asked for a token, and what it may answer.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{ANY, HOST, TOKEN, helper, keyed, public};
use crate::support::hostile::Hostile;
use crate::support::recorder::{Recorder, Reply};
use crate::support::relay::Relay;
use crate::support::servers::Moto;
use crate::support::{Answer, Helper};

#[test]
fn a_token_takes_one_request() {
    let Some(moto) = Moto::find() else { return };
    let relay = Relay::to(&moto.url);
    let helper = moto.helper(ANY).env("AWS_ENDPOINT_URL", relay.url());
    helper.get(HOST).is_found(HOST, "AWS", TOKEN);
    assert_eq!(relay.counts(), (1, 1));
}

/// What the helper makes of an answer with this body.
fn answered(status: u16, body: &str) -> Answer {
    let double = Hostile::answering(status, "", body);
    let answer = keyed(Helper::with_config(ANY)).env("AWS_ENDPOINT_URL", double.url()).get(HOST);
    assert_eq!(double.heard().len(), 1, "a mint is never repeated");
    answer
}

/// The same with one such token.
fn answered_with(token: &str) -> Answer {
    let data = json!({"authorizationData": [{"authorizationToken": token, "expiresAt": 1}]});
    answered(200, &data.to_string())
}

#[test]
fn a_token_is_user_and_password_and_may_hold_anything() {
    // AWS:p:a"ß
    answered_with("QVdTOnA6YSLDnw==").is_found(HOST, "AWS", "p:a\"ß");
    for expires in ["", ",\"expiresAt\":null", ",\"expiresAt\":-1.5", ",\"expiresAt\":1e300"] {
        let body = format!("{{\"authorizationData\":[{{\"authorizationToken\":\"QVdTOnA=\"{expires}}}]}}");
        answered(200, &body).is_found(HOST, "AWS", "p");
    }
}

#[test]
fn a_token_that_cannot_be_read_is_a_failure_and_never_shown() {
    for (token, shown) in [
        ("not base64!", "base64"),
        ("czNjcmV0", "s3cret"),     // s3cret
        ("QVdTOg==", "QVdT"),       // AWS:
        ("OnMzY3JldA==", "s3cret"), // :s3cret
        ("QVdTOv8=", "QVdT"),       // AWS: and no UTF-8
        ("", "authorizationToken"),
    ] {
        let answer = answered_with(token);
        let line = answer.fails_with(&[
            "ecr: 123456789012 in us-east-1: the token is not what ECR gives",
            "hint: check endpoint-url",
        ]);
        assert!(!line.contains(shown), "{line}");
    }
}

#[test]
fn an_answer_of_another_shape_is_a_failure_and_never_quoted() {
    for body in [
        "",
        "s3cret",
        "[]",
        "{\"authorizationData\":{\"authorizationToken\":\"s3cret\"}}",
        "{\"authorizationData\":[{\"authorizationToken\":7}]}",
        "{\"authorizationData\":[{\"expiresAt\":\"s3cret\",\"authorizationToken\":\"QVdTOnA=\"}]}",
    ] {
        let answer = answered(200, body);
        let line =
            answer.fails_with(&["ecr: ", "the answer is not what AWS sends", "hint: check endpoint-url"]);
        assert!(!line.contains("s3cret"), "{line}");
    }
    answered(200, "{\"authorizationData\":[]}").fails_with(&["ecr: ", "the answer holds no token"]);
}

#[test]
fn the_endpoint_of_the_service_counts_before_the_one_for_all() {
    let Some(moto) = Moto::find() else { return };
    let (own, other) = (Recorder::to(&moto.url), Recorder::to(&moto.url));
    let asks_own = |helper: &Helper| {
        let before = own.exchanges().len();
        helper.get(HOST).is_found(HOST, "AWS", TOKEN);
        assert_eq!((own.exchanges().len(), other.exchanges().len()), (before + 1, 0));
    };
    asks_own(&helper(&other, ANY).env("AWS_ENDPOINT_URL_ECR", own.url()));
    // Of a profile, and of its table of services.
    let profile = |text: &str| {
        let helper = keyed(Helper::with_config(ANY));
        std::fs::create_dir(helper.home().join(".aws")).unwrap();
        std::fs::write(helper.home().join(".aws/config"), text).unwrap();
        helper
    };
    let (own_url, other_url) = (own.url(), other.url());
    asks_own(&profile(&format!("[default]\nendpoint_url = {own_url}\n")));
    asks_own(&profile(&format!(
        "[default]\nservices = local\nendpoint_url = {other_url}\n[services local]\necr =\n  endpoint_url = {own_url}\n"
    )));
    // What the connection says counts before all of them; a path in it is kept.
    let stated = format!("{ANY}[aws.default]\nendpoint-url = \"{own_url}\"\n");
    asks_own(&helper(&other, &stated).env("AWS_ENDPOINT_URL_ECR", other_url));
    let double = public();
    let helper = helper(&other, ANY).env("AWS_ENDPOINT_URL_ECR_PUBLIC", format!("{}/ecr", double.url()));
    helper.get("public.ecr.aws").is_found("public.ecr.aws", "AWS", "public");
    assert_eq!(double.exchanges()[0].line, "POST /ecr/ HTTP/1.1");
}

#[test]
fn a_mint_that_was_sent_is_waited_for_and_a_login_is_not() {
    let slow = |action: &'static str| {
        Recorder::alone(move |asked| {
            if asked.action() == action {
                std::thread::sleep(Duration::from_millis(1500));
            }
            let token = json!({"authorizationData": [{"authorizationToken": "QVdTOnA="}]});
            Reply::new(200, token.to_string())
        })
    };
    let aws = slow("GetAuthorizationToken");
    let config = format!("timeout = \"1s\"\n{ANY}");
    helper(&aws, &config).get(HOST).is_found(HOST, "AWS", "p");
    let aws = slow("AssumeRole");
    let role = "[aws.default]\nrole-arn = \"arn:aws:iam::123456789012:role/pull\"\n";
    let started = Instant::now();
    helper(&aws, &[&config, role].concat()).get(HOST).fails_with(&["timed out after 1s"]);
    assert!(started.elapsed() < Duration::from_millis(1450), "{:?}", started.elapsed());
}
