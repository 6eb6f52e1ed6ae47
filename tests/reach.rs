//! How servers are reached: the same rules for AWS and for Vault.

mod login;
mod proxy;
mod time;
mod tls;

use std::thread;

use serde_json::json;

use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::proxy::Proxy;
use crate::support::servers::{Bao, Moto, unique};

/// What is asked of AWS, and what is asked of Vault.
const ASKED: [&str; 2] = ["docker.io", "ghcr.io"];

/// Keys and token, which no line may show.
const LOGIN: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
    ("AWS_REGION", "us-east-1"),
    ("VAULT_TOKEN", "t0ken-of-ours"),
];

/// One answer that is right for both: `acme` and `s3cr-et`.
const GIFT: &str = r#"{"SecretString":"{\"username\":\"acme\",\"password\":\"s3cr-et\"}",
    "data":{"data":{"username":"acme","password":"s3cr-et"},"metadata":{"created_time":"2026-01-01T00:00:00Z","deletion_time":"","destroyed":false,"version":1}}}"#;

/// A double that gives everybody the same credential.
fn giver() -> Hostile {
    Hostile::answering(200, "Content-Type: application/json\r\n", GIFT)
}

/// A helper with two rules: `docker.io` asks AWS, `ghcr.io` asks Vault.
struct Setup {
    secret: String,
    aws: String,
    vault: String,
    top: String,
}

impl Setup {
    /// With these addresses of AWS and Vault.
    fn new(aws: &str, vault: &str) -> Self {
        Self { secret: "hub".to_owned(), top: String::new(), aws: String::new(), vault: String::new() }
            .aws(&format!("endpoint-url = \"{aws}\""))
            .vault(&format!("address = \"{vault}\""))
    }

    /// The secret's name in both.
    fn secret(self, name: &str) -> Self {
        Self { secret: name.to_owned(), ..self }
    }

    /// A line of `[aws.default]`.
    fn aws(self, line: &str) -> Self {
        Self { aws: format!("{}{line}\n", self.aws), ..self }
    }

    /// A line of `[vault.default]`.
    fn vault(self, line: &str) -> Self {
        Self { vault: format!("{}{line}\n", self.vault), ..self }
    }

    /// A line of both.
    fn both(self, line: &str) -> Self {
        self.aws(line).vault(line)
    }

    /// A line at the top.
    fn top(self, line: &str) -> Self {
        Self { top: format!("{}{line}\n", self.top), ..self }
    }

    fn helper(&self) -> Helper {
        let Self { secret, aws, vault, top } = self;
        Helper::with_config(&format!(
            "{top}[registry.\"docker.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{secret}\"\n\
             [registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"secret/data/{secret}\"\n\
             [aws.default]\n{aws}[vault.default]\n{vault}"
        ))
        .envs(&LOGIN)
    }
}

/// Puts the credential into moto and OpenBao under one name of its own; the name.
fn stored(moto: &Moto, bao: &Bao) -> String {
    let name = unique("reach");
    let credential = json!({"username": "acme", "password": "s3cr-et"});
    let body = json!({"Name": name, "SecretString": credential.to_string()});
    moto.call("us-east-1", "CreateSecret", &body);
    bao.call("POST", &format!("secret/data/{name}"), &json!({ "data": credential }));
    name
}

/// Both give the credential.
#[track_caller]
fn both_give(helper: &Helper) {
    for asked in ASKED {
        helper.get(asked).is_found(asked, "acme", "s3cr-et");
    }
}

/// Both fail with a line that holds the parts, the source and the place, and nothing that is secret.
#[track_caller]
fn both_fail(helper: &Helper, parts: &[&str]) {
    // Both at once: some of these lines come only with the deadline.
    let answers = thread::scope(|scope| {
        ASKED.map(|asked| scope.spawn(move || helper.get(asked))).map(|running| running.join().unwrap())
    });
    for (answer, place) in answers.iter().zip(["aws-secrets-manager: hub: ", "vault: secret/data/hub: "]) {
        let line = answer.fails_with(parts);
        assert!(line.starts_with(place), "{line}");
        for secret in ["t0ken-of-ours", "not-a-real-key", "s3cr-et", "pr0xy-pass"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[test]
fn plain_http_to_another_machine_is_refused_and_nothing_is_sent() {
    let giver = giver();
    let proxy = Proxy::to(&giver.authority);
    for host in
        ["vault.example.invalid:8200", "192.0.2.1:8200", "[2001:db8::1]:8200", "localhost.example.invalid"]
    {
        let url = format!("http://{host}");
        let helper = Setup::new(&url, &url).helper().env("HTTP_PROXY", proxy.url());
        let named = format!("plain http to {url} is refused");
        both_fail(&helper, &[&named, "hint: use https, or set allow-http = true"]);
    }
    assert!(proxy.asked().is_empty() && giver.heard().is_empty());
}

/// The same two rules, with the address in the environment.
fn helper_with_variables(url: &str) -> Helper {
    let config = "[registry.\"docker.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"hub\"\n\
                  [registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"secret/data/hub\"\n";
    let helper = Helper::with_config(config).envs(&[("AWS_ENDPOINT_URL", url), ("VAULT_ADDR", url)]);
    helper.envs(&LOGIN)
}

#[test]
fn plain_http_in_a_variable_is_refused_as_well() {
    let giver = giver();
    let proxy = Proxy::to(&giver.authority);
    let helper = helper_with_variables("http://vault.example.invalid").env("HTTP_PROXY", proxy.url());
    both_fail(&helper, &["plain http to http://vault.example.invalid is refused"]);
    assert!(proxy.asked().is_empty() && giver.heard().is_empty());
}

#[test]
fn another_scheme_in_a_variable_is_refused() {
    both_fail(&helper_with_variables("ftp://127.0.0.1"), &["https://"]);
}

#[test]
fn allow_http_lifts_the_refusal() {
    let giver = giver();
    let proxy = Proxy::to(&giver.authority);
    let url = "http://vault.example.invalid:8200";
    let helper = Setup::new(url, url).both("allow-http = true").helper().env("HTTP_PROXY", proxy.url());
    both_give(&helper);
    assert_eq!(giver.heard().len(), 2);
}

#[test]
fn allow_http_of_one_connection_says_nothing_for_another() {
    let url = "http://vault.example.invalid:8200";
    let proxy = Proxy::to(&giver().authority);
    let helper = Setup::new(url, url).aws("allow-http = true").helper().env("HTTP_PROXY", proxy.url());
    helper.get("docker.io").is_found("docker.io", "acme", "s3cr-et");
    helper.get("ghcr.io").fails_with(&["plain http to ", "is refused"]);
    assert_eq!(proxy.asked().len(), 1);
}

#[test]
fn plain_http_on_this_machine_needs_no_leave() {
    let giver = giver();
    let (_, port) = giver.authority.split_once(':').unwrap();
    for host in ["127.0.0.1", "localhost", "vault.localhost", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}");
        let helper = Setup::new(&url, &url).helper();
        // Only this machine's resolver decides whether a name below localhost has an address.
        if host == "vault.localhost" {
            for asked in ASKED {
                assert!(!helper.get(asked).stdout.contains("plain http"));
            }
        } else {
            both_give(&helper);
        }
    }
}

#[test]
fn a_redirect_is_refused_naming_its_target_and_nothing_is_sent_there() {
    let target = giver();
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: http://user:pr0xy-pass@{}/v1/x?q=s3cr-et\r\n", target.authority);
        let standby = Hostile::answering(status, &location, "");
        let named = format!("redirected ({status}) to {}, which is not followed", target.url());
        both_fail(&Setup::new(&standby.url(), &standby.url()).helper(), &[&named, "hint: set the address"]);
        assert_eq!(standby.heard().len(), 2);
    }
    assert!(target.heard().is_empty());
}

#[test]
fn a_redirect_within_the_server_is_not_followed_either() {
    let standby = Hostile::answering(307, "Location: /v1/elsewhere\r\n", "");
    both_fail(
        &Setup::new(&standby.url(), &standby.url()).helper(),
        &["redirected (307) to ", &standby.url()],
    );
    assert_eq!(standby.heard().len(), 2);
}

#[test]
fn an_address_without_a_server_is_a_failure_that_names_it() {
    // Bound and never listening: nothing answers, and nobody else gets the port.
    let taken = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None);
    let taken = taken.unwrap();
    rustix::net::bind(&taken, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = std::net::SocketAddr::try_from(rustix::net::getsockname(&taken).unwrap()).unwrap();
    let url = format!("http://{address}");
    both_fail(&Setup::new(&url, &url).helper(), &["connection refused", "hint: ", &url]);
}

#[test]
fn a_host_without_an_address_is_named() {
    let url = "https://vault.example.invalid:8200";
    both_fail(
        &Setup::new(url, url).helper(),
        &["no address for the host vault.example.invalid", "hint: check the address"],
    );
}

#[test]
fn a_connection_that_is_reset_is_a_failure_and_tried_once_more_for_a_read() {
    let double = Hostile::resetting();
    both_fail(&Setup::new(&double.url(), &double.url()).helper(), &["connection reset", "hint: "]);
    let reads = double.heard().iter().filter(|request| request.starts_with("GET ")).count();
    assert_eq!((reads, double.heard().len()), (2, 3), "Vault twice, AWS once");
}

#[test]
fn a_connection_that_ends_without_an_answer_is_a_failure() {
    let double = Hostile::new(|_| {});
    both_fail(&Setup::new(&double.url(), &double.url()).helper(), &["hint: "]);
    assert_eq!(double.heard().len(), 3, "Vault twice, AWS once");
}

#[test]
fn an_answer_that_is_no_http_is_not_repeated() {
    let double = Hostile::new(|stream| {
        let _ = std::io::Write::write_all(stream, b"SSH-2.0-s3cr-et\r\n\r\n");
    });
    both_fail(&Setup::new(&double.url(), &double.url()).helper(), &["hint: "]);
}

#[test]
fn an_answer_that_is_no_json_is_not_repeated() {
    for body in ["<html>s3cr-et</html>", "{\"data\":\"s3cr-et", "\u{0}s3cr-et"] {
        let double = Hostile::answering(200, "Content-Type: application/json\r\n", body);
        both_fail(&Setup::new(&double.url(), &double.url()).helper(), &["the answer is ", "hint: "]);
    }
}

#[test]
fn an_answer_shorter_than_it_says_is_a_failure() {
    let double = Hostile::new(|stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5000";
        let _ = std::io::Write::write_all(stream, format!("{head}\r\n\r\n{GIFT}").as_bytes());
    });
    both_fail(&Setup::new(&double.url(), &double.url()).helper(), &["hint: "]);
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let double = Hostile::endless();
    both_fail(&Setup::new(&double.url(), &double.url()).helper(), &["the answer is larger than 1 MiB"]);
}
