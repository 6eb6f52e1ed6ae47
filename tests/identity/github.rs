//! GitHub Actions: a double makes the tokens, and a real OpenBao or moto is shown them.

use serde_json::json;

use super::tells_nothing_of;
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::jwt::{AUDIENCE, JwtMount, Signer, github, seconds_from_now, with};
use crate::support::relay::Relay;
use crate::support::servers::Moto;

const PLAIN: &str = "\"github\"";
const FOR_VAULT: &str = "{ from = \"github\", audience = \"https://vault.example.com/a?b&c=d e\" }";

/// What a job asks with; no line may show it.
const BEARER: &str = "r3quest-token";
/// Where jobs ask, below the host.
const PATH: &str = "/a%20b/idtoken?api-version=2.0&x=%2F";

/// Makes this token for everybody.
fn maker(token: &str) -> Hostile {
    Hostile::answering(
        200,
        "Content-Type: application/json\r\n",
        &json!({"count": 1, "value": token}).to_string(),
    )
}

/// A job's variables.
fn job(helper: Helper, double: &Hostile) -> Helper {
    helper.envs(&[
        ("GITHUB_ACTIONS", "true"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{}{PATH}", double.url())),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", BEARER),
    ])
}

/// The one request that the double heard: its line, and its headers in lower case.
fn only_request(double: &Hostile) -> (String, String) {
    let heard = double.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    assert_eq!(body, "");
    (line.to_owned(), format!("\r\n{}\r\n", headers.to_ascii_lowercase()))
}

#[test]
fn a_token_is_asked_for_once_and_shown_to_vault() {
    let Some(mount) = JwtMount::github() else { return };
    let double = maker(&mount.signer.sign(&github()));
    let relay = Relay::to(&mount.bao.address);
    mount.gives(&job(mount.helper(PLAIN), &double).env("VAULT_ADDR", relay.url()));
    let (line, headers) = only_request(&double);
    assert_eq!(line, format!("GET {PATH} HTTP/1.1"));
    assert!(headers.contains(&format!("\r\nauthorization: bearer {BEARER}\r\n")), "{headers}");
    assert_eq!(relay.counts(), (1, 3));
}

#[test]
fn an_audience_is_appended_to_the_query_and_encoded() {
    let Some(mount) = JwtMount::github() else { return };
    mount.role("ci", &json!({"bound_audiences": [AUDIENCE]}));
    let double = maker(&mount.signer.sign(&with(github(), json!({"aud": AUDIENCE}))));
    mount.gives(&job(mount.helper(FOR_VAULT), &double));
    let audience = "https%3A%2F%2Fvault.example.com%2Fa%3Fb%26c%3Dd+e";
    assert_eq!(only_request(&double).0, format!("GET {PATH}&audience={audience} HTTP/1.1"));
}

#[test]
fn for_aws_the_audience_is_its_token_service_unless_another_is_stated() {
    let Some(moto) = Moto::find() else { return };
    let secret = moto.secret(r#"{"username":"octocat","password":"pw-1"}"#);
    for (token, audience) in [
        (PLAIN, "sts.amazonaws.com"),
        ("{ from = \"github\" }", "sts.amazonaws.com"),
        ("{ from = \"github\", audience = \"sts.amazonaws.com.cn\" }", "sts.amazonaws.com.cn"),
    ] {
        let double = maker(&Signer::new().sign(&github()));
        let config = format!(
            "[registry.\"ghcr.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{secret}\"\n[aws.default]\n\
             web-identity = {token}\nrole-arn = \"arn:aws:iam::123456789012:role/pull\"\n"
        );
        let helper = Helper::with_config(&config);
        let helper = helper.envs(&[("AWS_ENDPOINT_URL", &moto.url), ("AWS_REGION", "us-east-1")]);
        job(helper, &double).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        assert_eq!(only_request(&double).0, format!("GET {PATH}&audience={audience} HTTP/1.1"));
    }
}

#[test]
fn the_tokens_go_where_they_belong_and_nowhere_else() {
    let token = Signer::new().sign(&github());
    let (double, vault) = (maker(&token), Hostile::answering(400, "", r#"{"errors":["no"]}"#));
    let config = "[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"secret/data/ghcr\"\n[vault.default.auth]\n\
                  method = \"jwt\"\nrole = \"ci\"\ntoken = \"github\"\n";
    let helper = Helper::with_config(config).env("VAULT_ADDR", vault.url()).env("VAULT_TOKEN", "hvs.other");
    let answer = job(helper, &double).env("DOCKER_CREDENTIAL_LEASE_LOG", "1").get("ghcr.io");
    tells_nothing_of(&answer, &[BEARER, "eyJ", "hvs."]);
    let (to_github, to_vault) = (double.heard().concat(), vault.heard().concat());
    assert!(!to_github.contains("hvs.") && !to_github.contains("eyJ"), "{to_github}");
    assert!(
        !to_vault.contains(BEARER) && !to_vault.contains("hvs.") && to_vault.contains(&token),
        "{to_vault}"
    );
}

/// No token comes of it; nothing is sent to the server, and the request's token is not told.
#[track_caller]
fn fails(helper: Helper, mount: &JwtMount, sentence: &str) {
    let relay = Relay::to(&mount.bao.address);
    let helper = helper.env("VAULT_ADDR", relay.url());
    mount.refuses(&helper, sentence);
    assert_eq!(relay.counts(), (0, 0));
    let logged = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").get("ghcr.io");
    tells_nothing_of(&logged, &[BEARER, "s3cret", "eyJ"]);
}

#[test]
fn a_job_that_may_not_ask_is_told_the_permission() {
    let Some(mount) = JwtMount::github() else { return };
    let double = maker("a.b.c");
    let hint =
        "hint: give the job `permissions: id-token: write`; builds of forked pull requests cannot have it";
    for missing in ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"] {
        let cause = format!("no GitHub token: {missing} is not set; ");
        fails(job(mount.helper(PLAIN), &double).env(missing, ""), &mount, &format!("{cause}{hint}"));
        let outside = job(mount.helper(PLAIN), &double).env(missing, "").env("GITHUB_ACTIONS", "");
        let hint = "hint: it is set only in a GitHub Actions job with `permissions: id-token: write`";
        fails(outside, &mount, &format!("{cause}{hint}"));
    }
    assert!(double.heard().is_empty());
}

#[test]
fn a_refusal_is_told_and_a_passing_fault_asked_again_once() {
    let Some(mount) = JwtMount::github() else { return };
    let permission = "give the job `permissions: id-token: write`; a request works only while the job runs";
    let address = "check ACTIONS_ID_TOKEN_REQUEST_URL";
    for (status, requests, hint) in [
        (401, 1, permission),
        (403, 1, permission),
        (400, 1, address),
        (404, 1, address),
        (429, 2, "try again"),
        (500, 2, "try again"),
    ] {
        let body = json!({"message": format!("s3cret {BEARER}"), "value": "a.b.c"});
        let double = Hostile::answering(status, "", &body.to_string());
        let sentence = format!("GitHub gave no identity token: HTTP {status}; hint: {hint}");
        fails(job(mount.helper(PLAIN), &double), &mount, &sentence);
        // Once more, with the log.
        assert_eq!(double.heard().len(), 2 * requests, "{status}");
    }
}

#[test]
fn a_fault_that_passes_is_not_told() {
    let Some(mount) = JwtMount::github() else { return };
    let good = json!({"value": mount.signer.sign(&github())}).to_string();
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let double = Hostile::new(move |stream| {
        let (status, body) = match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => (502, "s3cret"),
            _ => (200, good.as_str()),
        };
        let head =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = std::io::Write::write_all(stream, format!("{head}{body}").as_bytes());
    });
    mount.gives(&job(mount.helper(PLAIN), &double));
    assert_eq!(double.heard().len(), 2);
}

#[test]
fn an_answer_without_a_token_is_told_and_not_repeated() {
    let Some(mount) = JwtMount::github() else { return };
    for body in
        ["", "s3cret", "[]", "null", "{}", "{\"value\":\"\"}", "{\"value\":[\"s3cret\"]}", "{\"value\":null}"]
    {
        let double = Hostile::answering(200, "", body);
        let sentence = "GitHub gave no identity token: the answer holds no token; hint: check ACTIONS_ID_TOKEN_REQUEST_URL";
        fails(job(mount.helper(PLAIN), &double), &mount, sentence);
    }
    for value in ["s3cret s3cret", "s3cret\r\nX-Header: y", "s3cr\u{e9}t"] {
        let sentence = "the GitHub token is no identity token; hint: it is one word of the form a.b.c";
        fails(job(mount.helper(PLAIN), &maker(value)), &mount, sentence);
    }
    let old = mount.signer.sign(&with(github(), json!({"exp": seconds_from_now(-305)})));
    let sentence = "the GitHub token expired 5 minutes ago; hint: check this machine's clock";
    fails(job(mount.helper(PLAIN), &maker(&old)), &mount, sentence);
}

#[test]
fn an_answer_without_end_or_at_another_place_is_not_taken() {
    let Some(mount) = JwtMount::github() else { return };
    let gave = "GitHub gave no identity token: ";
    let endless = job(mount.helper(PLAIN), &Hostile::endless()).get("ghcr.io");
    endless.fails_with(&[gave, "the answer is larger than 1 MiB", "hint: "]);
    let elsewhere = maker("a.b.c");
    let location = format!("Location: {}/{BEARER}\r\n", elsewhere.url());
    let moved = job(mount.helper(PLAIN), &Hostile::answering(302, &location, "")).get("ghcr.io");
    moved.fails_with(&[gave, &format!("redirected (302) to {}, which is not followed", elsewhere.url())]);
    tells_nothing_of(&moved, &[BEARER]);
    assert!(elsewhere.heard().is_empty());
}

#[test]
fn the_request_s_token_is_not_sent_in_the_clear() {
    let Some(mount) = JwtMount::github() else { return };
    let unused = maker("a.b.c");
    for (url, cause) in [
        ("http://github.example.invalid/token", "plain http to http://github.example.invalid is refused"),
        ("http://10.1.2.3:80/token", "plain http to http://10.1.2.3 is refused"),
        ("ftp://github.example.invalid/", "an address begins with https://, not ftp://"),
    ] {
        let helper = job(mount.helper(PLAIN), &unused).env("ACTIONS_ID_TOKEN_REQUEST_URL", url);
        let sentence =
            format!("ACTIONS_ID_TOKEN_REQUEST_URL: {cause}; hint: leave it as GitHub sets it, with https://");
        fails(helper, &mount, &sentence);
    }
    for url in ["github.example.invalid/token", "s3cret", "/token", "mailto:s3cret"] {
        let helper = job(mount.helper(PLAIN), &unused).env("ACTIONS_ID_TOKEN_REQUEST_URL", url);
        let sentence = "ACTIONS_ID_TOKEN_REQUEST_URL is no address; hint: leave it as GitHub sets it";
        fails(helper, &mount, sentence);
    }
    let helper =
        job(mount.helper(PLAIN), &unused).env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", format!("{BEARER}\n"));
    let sentence =
        "what ACTIONS_ID_TOKEN_REQUEST_TOKEN holds cannot be sent; hint: leave it as GitHub sets it";
    fails(helper, &mount, sentence);
    assert!(unused.heard().is_empty());
}

#[test]
fn nothing_is_asked_where_another_rule_answers_or_only_names_are_listed() {
    let double = maker("a.b.c");
    let config = "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"u\"\npassword-env = \"PAT\"\n\
                  [vault.default.auth]\nmethod = \"jwt\"\nrole = \"ci\"\ntoken = \"github\"\n";
    job(Helper::with_config(config).env("PAT", "p"), &double).get("ghcr.io").is_found("ghcr.io", "u", "p");
    let config = config.replace("source = \"env\"", "source = \"vault\"\npath = \"x/y\"");
    let helper = Helper::with_config(&config.replace("password-env = \"PAT\"\n", ""));
    assert_eq!(job(helper, &double).list().stdout, "{\"ghcr.io\":\"u\"}\n");
    assert!(double.heard().is_empty());
}
