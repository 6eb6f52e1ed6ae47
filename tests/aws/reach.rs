//! STS is reached as all of AWS is: proxies, certificates, and few round trips.

use std::time::{Duration, Instant};

use super::{OBJECT, ROLE, config, refusal, token};
use crate::support::Helper;
use crate::support::hostile::Hostile;
use crate::support::proxy::Proxy;
use crate::support::recorder::{Recorder, Reply};
use crate::support::relay::Relay;
use crate::support::servers::Moto;
use crate::support::tls::TlsFront;

const STS: &str = "sts.eu-west-1.amazonaws.com";
const SECRETS_MANAGER: &str = "secretsmanager.eu-west-1.amazonaws.com";

/// A connection that begins with the job's token.
fn by_token(more: &str) -> String {
    format!("web-identity = {{ env = \"JOB_TOKEN\" }}\nrole-arn = \"{ROLE}\"\n{more}")
}

/// A helper that asks AWS's own hosts, through what the variables say.
fn helper(secret: &str, more: &str) -> Helper {
    Helper::with_config(&config(secret, &by_token(&format!("region = \"eu-west-1\"\n{more}"))))
        .env("JOB_TOKEN", token("aws"))
}

fn ca(front: &TlsFront) -> String {
    format!("ca-cert = \"{}\"", front.ca.display())
}

#[test]
fn aws_s_own_hosts_are_reached_through_the_tunnel_and_believed_by_the_connection_s_ca() {
    let Some(moto) = Moto::find() else { return };
    let (aws, folder) = (Recorder::to(&moto.url), tempfile::tempdir().unwrap());
    let front = TlsFront::new(&aws.authority, &[STS, SECRETS_MANAGER], folder.path());
    let proxy = Proxy::to(&front.authority);
    let name = moto.secret(OBJECT);
    moto.call(
        "us-east-1",
        "ReplicateSecretToRegions",
        &serde_json::json!({
            "SecretId": name, "AddReplicaRegions": [{"Region": "eu-west-1"}],
        }),
    );
    let helper = helper(&name, &ca(&front)).env("HTTPS_PROXY", proxy.url());
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    let tunnel = |host: &str| format!("CONNECT {host}:443 HTTP/1.1");
    assert_eq!(proxy.request_lines(), [tunnel(STS), tunnel(SECRETS_MANAGER)]);
    assert_eq!(aws.actions(), ["AssumeRoleWithWebIdentity", "GetSecretValue"]);
    // The token is for STS, not for the proxy.
    assert!(!proxy.asked().concat().contains(&token("aws")));
}

#[test]
fn a_proxy_that_refuses_is_named() {
    for (status, cause) in [(407, "proxy authorization required"), (403, "tunnel error")] {
        let proxy = Hostile::answering(status, "", "n0t-t0-be-shown");
        let url = format!("http://user:n0t-t0-be-shown@{}", proxy.authority);
        let answer = helper("hub", "").env("HTTPS_PROXY", url).get("docker.io");
        let line =
            answer.fails_with(&["aws-secrets-manager: hub: ", cause, "proxy", &proxy.authority, "hint: "]);
        assert!(!line.contains("n0t-t0-be-shown"), "{line}");
        assert!(!proxy.heard().concat().contains(&token("aws")));
    }
}

#[test]
fn a_proxy_that_answers_for_sts_is_named() {
    // Plain HTTP, so that the proxy sees the request and answers it in STS's stead.
    let proxy = Recorder::alone(|_| Reply::new(403, refusal("AccessDenied", "blocked")));
    let connection =
        by_token("allow-http = true\nendpoint-url = \"http://sts.example.invalid\"\nregion = \"us-east-1\"");
    let helper = Helper::with_config(&config("hub", &connection)).env("JOB_TOKEN", token("aws"));
    helper.env("HTTP_PROXY", proxy.url()).get("docker.io").fails_with(&[
        "AccessDenied: sts:AssumeRoleWithWebIdentity",
        "proxy",
        &proxy.authority,
    ]);
}

#[test]
fn an_sts_of_an_unknown_ca_is_sent_nothing() {
    let (giver, folder) = (Hostile::answering(500, "", ""), tempfile::tempdir().unwrap());
    let front = TlsFront::new(&giver.authority, &[STS], folder.path());
    let other = tempfile::tempdir().unwrap();
    let other = TlsFront::new(&giver.authority, &[STS], other.path());
    let proxy = Proxy::to(&front.authority);
    let answer =
        helper("hub", "").env("HTTPS_PROXY", proxy.url()).env("SSL_CERT_FILE", other.ca.to_str().unwrap());
    let hint = "hint: name the server's CA in ca-cert of the connection, or in SSL_CERT_FILE";
    answer.get("docker.io").fails_with(&[
        "aws-secrets-manager: hub: TLS: ",
        "UnknownIssuer",
        hint,
        &proxy.authority,
    ]);
    assert!(giver.heard().is_empty());
}

#[test]
fn plain_http_to_another_machine_is_refused_before_the_token_is_sent() {
    let proxy = Recorder::to("http://127.0.0.1:1");
    let connection = by_token("endpoint-url = \"http://sts.example.invalid\"\nregion = \"us-east-1\"");
    let helper = Helper::with_config(&config("hub", &connection)).env("JOB_TOKEN", token("aws"));
    helper
        .env("HTTP_PROXY", proxy.url())
        .get("docker.io")
        .fails_with(&["plain http to http://sts.example.invalid is refused"]);
    assert!(proxy.exchanges().is_empty());
}

#[test]
fn an_sts_that_never_answers_is_left_at_the_deadline() {
    let silent = Hostile::silent();
    let connection = by_token("region = \"us-east-1\"");
    let text = format!("timeout = \"1s\"\n{}", config("hub", &connection));
    let helper = Helper::with_config(&text)
        .envs(&[("AWS_ENDPOINT_URL", silent.url().as_str()), ("JOB_TOKEN", token("aws").as_str())]);
    let started = Instant::now();
    helper.get("docker.io").fails_with(&["aws-secrets-manager: hub: timed out after 1s; hint: "]);
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(2), "{took:?}");
    assert_eq!(silent.heard().len(), 1);
}

fn time(helper: &Helper) -> Duration {
    let started = Instant::now();
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    started.elapsed()
}

#[test]
fn a_far_aws_costs_three_round_trips_for_each_of_its_servers() {
    let Some(moto) = Moto::find() else { return };
    let (one_way, folder) = (Duration::from_millis(25), tempfile::tempdir().unwrap());
    let front = TlsFront::new(moto.url.trim_start_matches("http://"), &["127.0.0.1"], folder.path());
    let name = moto.secret(OBJECT);
    // Two addresses, since STS and Secrets Manager are two servers.
    let near = [Relay::to(&front.authority), Relay::to(&front.authority)];
    let far = [Relay::far(&front.authority, one_way), Relay::far(&front.authority, one_way)];
    let helper_at = |relays: &[Relay; 2]| {
        let [sts, secrets] = relays.each_ref().map(|relay| format!("https://{}", relay.authority));
        Helper::with_config(&config(&name, &by_token(&format!("region = \"us-east-1\"\n{}", ca(&front)))))
            .envs(&[
                ("AWS_ENDPOINT_URL_STS", sts.as_str()),
                ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.as_str()),
                ("JOB_TOKEN", token("aws").as_str()),
            ])
    };
    let (near_helper, far_helper) = (helper_at(&near), helper_at(&far));
    // To each: one for the connection, one for TLS 1.3, one for the request.
    let distance = 6 * 2 * one_way;
    let limit = distance + Duration::from_millis(30);
    // What a busy machine adds to either passes; a round trip more would stay in the quickest too.
    let (mut quick, mut slow) = (Duration::MAX, Duration::MAX);
    for turn in 0.. {
        quick = quick.min(time(&near_helper));
        slow = slow.min(time(&far_helper));
        assert!(slow >= distance, "the relays were not far: {slow:?}");
        if turn >= 2 && slow <= quick + limit {
            break;
        }
        assert!(turn < 30, "{quick:?} nearby, {slow:?} far away");
    }
}
