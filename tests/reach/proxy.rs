//! Proxies: which requests take one, and what a proxy that fails looks like.

use super::{ASKED, Setup, both_fail, both_give, giver};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::proxy::Proxy;
use crate::support::tls::TlsFront;

const HOST: &str = "vault.example.invalid";

/// A setup whose servers stand on another machine, behind plain HTTP.
fn plain() -> Setup {
    let url = format!("http://{HOST}:8200");
    Setup::new(&url, &url).both("allow-http = true")
}

/// The same behind TLS.
fn secure() -> Setup {
    let url = format!("https://{HOST}:8200");
    Setup::new(&url, &url)
}

#[test]
fn every_variable_leads_plain_requests_through_the_proxy() {
    let giver = giver();
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        let proxy = Proxy::to(&giver.authority);
        both_give(&plain().helper().env(name, proxy.url()));
        let lines = proxy.request_lines();
        let aws = format!("POST http://{HOST}:8200/ HTTP/1.1");
        let vault = format!("GET http://{HOST}:8200/v1/secret/data/hub HTTP/1.1");
        assert_eq!(lines, [aws, vault], "{name}");
    }
}

#[test]
fn every_variable_leads_secure_requests_through_a_tunnel() {
    let (giver, folder) = (giver(), tempfile::tempdir().unwrap());
    let front = TlsFront::new(&giver.authority, &[HOST], folder.path());
    let ca = format!("ca-cert = \"{}\"", front.ca.display());
    for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        let proxy = Proxy::to(&front.authority);
        both_give(&secure().both(&ca).helper().env(name, proxy.url()));
        let line = format!("CONNECT {HOST}:8200 HTTP/1.1");
        assert_eq!(proxy.request_lines(), [line.clone(), line], "{name}");
        // What is for the servers is not for the proxy.
        assert!(!proxy.asked().concat().contains("t0ken-of-ours"));
    }
}

#[test]
fn aws_s_own_host_is_reached_through_the_tunnel() {
    let (giver, folder) = (giver(), tempfile::tempdir().unwrap());
    let host = "secretsmanager.eu-west-1.amazonaws.com";
    let front = TlsFront::new(&giver.authority, &[host], folder.path());
    let proxy = Proxy::to(&front.authority);
    let config = "[registry.\"docker.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"hub\"\n";
    let helper = Helper::with_config(config).envs(&[
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_CA_BUNDLE", front.ca.to_str().unwrap()),
        ("HTTPS_PROXY", proxy.url().as_str()),
    ]);
    helper.get("docker.io").is_found("docker.io", "acme", "s3cr-et");
    assert_eq!(proxy.request_lines(), [format!("CONNECT {host}:443 HTTP/1.1")]);
    assert_eq!(giver.heard().len(), 1);
}

#[test]
fn the_scheme_s_own_variable_counts_before_the_one_for_all_and_lower_case_before_upper() {
    let giver = giver();
    for [right, wrong] in
        [["http_proxy", "HTTP_PROXY"], ["HTTP_PROXY", "all_proxy"], ["all_proxy", "ALL_PROXY"]]
    {
        let (proxy, unused) = (Proxy::to(&giver.authority), Proxy::to(&giver.authority));
        both_give(&plain().helper().env(right, proxy.url()).env(wrong, unused.url()));
        assert_eq!((proxy.asked().len(), unused.asked().len()), (2, 0), "{right}");
    }
}

#[test]
fn an_empty_proxy_variable_counts_as_unset() {
    let giver = giver();
    let proxy = Proxy::to(&giver.authority);
    both_give(&plain().helper().env("http_proxy", "").env("HTTP_PROXY", proxy.url()));
    assert_eq!(proxy.asked().len(), 2);
}

#[test]
fn no_proxy_names_hosts_that_are_reached_directly() {
    let giver = giver();
    // Not loopback to a proxy's rules, and yet this machine.
    let url = format!("http://{}", giver.authority.replace("127.0.0.1", "0.0.0.0"));
    let setup = Setup::new(&url, &url).both("allow-http = true");
    let proxy = Proxy::to(&giver.authority);
    let helper = |names: &str, value: &str| setup.helper().env("HTTP_PROXY", proxy.url()).env(names, value);
    for (name, value) in [("NO_PROXY", "0.0.0.0"), ("no_proxy", "x.example, 0.0.0.0/8"), ("NO_PROXY", "*")] {
        both_give(&helper(name, value));
        assert_eq!(proxy.asked().len(), 0, "{name}={value}");
    }
    both_give(&helper("NO_PROXY", "example.com"));
    assert_eq!(proxy.asked().len(), 2);
}

#[test]
fn this_machine_is_never_reached_through_a_proxy() {
    let (giver, unused) = (giver(), giver());
    let proxy = Proxy::to(&unused.authority);
    for host in ["127.0.0.1", "localhost"] {
        let url = giver.url().replace("127.0.0.1", host);
        let helper = Setup::new(&url, &url).helper();
        both_give(
            &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
                .into_iter()
                .fold(helper, |helper, name| helper.env(name, proxy.url())),
        );
    }
    assert!(proxy.asked().is_empty());
}

#[test]
fn the_proxy_s_password_reaches_the_proxy_alone() {
    let (giver, folder) = (giver(), tempfile::tempdir().unwrap());
    let front = TlsFront::new(&giver.authority, &[HOST], folder.path());
    let ca = format!("ca-cert = \"{}\"", front.ca.display());
    for (setup, name, target) in
        [(plain(), "HTTP_PROXY", &giver.authority), (secure().both(&ca), "HTTPS_PROXY", &front.authority)]
    {
        let proxy = Proxy::to(target);
        let url = format!("http://us%40er:pr0xy-pass@{}", proxy.authority);
        both_give(&setup.helper().env(name, url));
        for head in proxy.asked() {
            // us@er:pr0xy-pass
            let sent =
                head.lines().find(|line| line.to_ascii_lowercase().starts_with("proxy-authorization:"));
            assert_eq!(sent.unwrap().split_once(": ").unwrap().1, "Basic dXNAZXI6cHIweHktcGFzcw==", "{name}");
        }
        assert_eq!(proxy.asked().len(), 2);
    }
    let heard = giver.heard().concat().to_ascii_lowercase();
    assert!(!heard.contains("proxy-authorization") && !heard.contains("pr0xy-pass"), "{heard}");
}

/// Every failure behind this proxy names it, for both kinds of requests, and never its password.
#[track_caller]
fn names_the_proxy(authority: &str, top: &str, parts: &[&str]) {
    let url = format!("http://user:pr0xy-pass@{authority}");
    let through = format!("through the proxy {authority}");
    let parts = [parts, &[through.as_str(), "hint: "]].concat();
    for setup in [plain(), secure()] {
        both_fail(&setup.top(top).helper().env("ALL_PROXY", &url), &parts);
    }
}

#[test]
fn a_proxy_that_wants_a_login_is_named() {
    let headers = "Proxy-Authenticate: Basic realm=\"x\"\r\n";
    names_the_proxy(&Hostile::answering(407, headers, "pr0xy-pass").authority, "", &["user and password"]);
}

#[test]
fn a_proxy_that_cannot_reach_the_server_is_named() {
    for status in [403, 502, 503] {
        names_the_proxy(&Hostile::answering(status, "", "s3cr-et").authority, "", &[]);
    }
}

#[test]
fn a_proxy_that_is_down_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    drop(listener);
    names_the_proxy(&authority, "", &["connection refused"]);
}

#[test]
fn a_proxy_that_hangs_is_named() {
    let timeout = "timeout = \"300ms\"";
    names_the_proxy(&Hostile::silent().authority, timeout, &["timed out after 300ms"]);
}

#[test]
fn a_refusal_behind_a_proxy_names_the_proxy() {
    let refusal = r#"{"__type":"AccessDeniedException","errors":["permission denied"]}"#;
    let double = Hostile::answering(403, "", refusal);
    let proxy = Proxy::to(&double.authority);
    let through = format!("through the proxy {}", proxy.authority);
    let helper = plain().helper().env("HTTP_PROXY", proxy.url());
    helper.get("docker.io").fails_with(&["AccessDeniedException: secretsmanager:", &through, "hint: allow"]);
    helper.get("ghcr.io").fails_with(&["permission denied", &through, "hint: the token"]);
}

#[test]
fn a_wrong_certificate_behind_a_proxy_names_the_proxy() {
    let (giver, folder) = (giver(), tempfile::tempdir().unwrap());
    let front = TlsFront::new(&giver.authority, &["other.example.invalid"], folder.path());
    let proxy = Proxy::to(&front.authority);
    let setup = secure().both(&format!("ca-cert = \"{}\"", front.ca.display()));
    let through = format!("through the proxy {}", proxy.authority);
    both_fail(&setup.helper().env("HTTPS_PROXY", proxy.url()), &["TLS: ", &through, "hint: "]);
    assert!(giver.heard().is_empty());
}

#[test]
fn a_variable_that_is_no_proxy_s_address_is_named_and_not_quoted() {
    for value in ["ftp://user:pr0xy-pass@one:1", "http://user:pr0xy-pass@"] {
        let helper = plain().helper().env("HTTP_PROXY", value);
        both_fail(&helper, &["HTTP_PROXY is no proxy's address", "hint: "]);
    }
}

#[test]
fn a_server_s_name_does_not_go_through_a_proxy() {
    let proxy = Proxy::to(&giver().authority);
    let setup = secure().vault("tls-server-name = \"other.example.invalid\"");
    let answer = setup.helper().env("HTTPS_PROXY", proxy.url()).get(ASKED[1]);
    answer.fails_with(&["tls-server-name", &proxy.authority, "hint: ", "NO_PROXY"]);
    assert!(proxy.asked().is_empty());
}
