//! How long the kubelet may use an answer.

use std::time::Duration;

use serde_json::json;

use super::{ask, given};
use crate::support::Helper;
use crate::support::agent::Agent;
use crate::support::servers::Bao;

/// What Go wrote as a duration.
fn duration(text: &str) -> Duration {
    let (mut seconds, mut number) = (0, 0);
    for c in text.chars() {
        match c {
            'h' => (seconds, number) = (seconds + number * 3600, 0),
            'm' => (seconds, number) = (seconds + number * 60, 0),
            's' => (seconds, number) = (seconds + number, 0),
            digit => number = number * 10 + u64::from(digit.to_digit(10).unwrap()),
        }
    }
    Duration::from_secs(seconds)
}

#[track_caller]
fn is_about(text: &str, seconds: u64) {
    let found = duration(text);
    assert!(
        found <= Duration::from_secs(seconds)
            && found + Duration::from_secs(5) > Duration::from_secs(seconds),
        "{text}"
    );
}

#[test]
fn what_states_no_end_is_used_as_long_as_an_agent_would() {
    for (before, after, expected) in [
        ("", "", "5m0s"),
        ("[agent]\nttl = \"90m\"\n", "", "1h30m0s"),
        ("[agent]\nttl = \"0s\"\n", "", "0s"),
        ("", "ttl = \"10s\"\n", "10s"),
        ("", "ttl = \"1h\"\n", "5m0s"),
    ] {
        let rule = "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"u\"\npassword-env = \"P\"\n";
        let helper = Helper::with_config(&format!("{before}{rule}{after}")).env("P", "p");
        assert_eq!(ask(&helper, "v1", "ghcr.io/x"), given("Registry", expected, &[("ghcr.io", "u", "p")]));
    }
}

/// An engine whose credentials have leases of this many seconds.
fn leasing(bao: &Bao, seconds: u64) -> (String, String) {
    let lease = format!("{seconds}s");
    let mount = bao.mount(&json!({"type": "ssh", "config": {"default_lease_ttl": lease}}));
    let role = json!({"key_type": "otp", "default_user": "hubuser", "cidr_list": "127.0.0.0/8"});
    bao.call("POST", &format!("{mount}/roles/otp"), &role);
    let path = format!("{mount}/creds/otp");
    let rule = format!(
        "[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"{path}\"\nmethod = \"POST\"\n\
         body = {{ ip = \"127.0.0.1\" }}\npassword-key = \"key\"\n"
    );
    (path, rule)
}

#[test]
fn a_lease_that_nobody_keeps_is_for_one_pull() {
    let Some(bao) = Bao::find() else { return };
    let (path, rule) = leasing(&bao, 600);
    let helper = bao.helper(&rule);
    let (one, other) = (ask(&helper, "v1", "ghcr.io/x"), ask(&helper, "v1", "ghcr.io/x"));
    assert_eq!((one.cache_duration.as_str(), other.cache_duration.as_str()), ("0s", "0s"));
    assert_ne!(one.auth, other.auth);
    // It ends by itself.
    assert_eq!(bao.leases(&path).len(), 2);
}

#[test]
fn a_lease_that_an_agent_keeps_is_used_for_half_of_what_is_left() {
    let Some(bao) = Bao::find() else { return };
    let (path, rule) = leasing(&bao, 600);
    let agent = Agent::start();
    let helper = agent.serves(bao.helper(&rule));
    let (made, kept) = (ask(&helper, "v1", "ghcr.io/x"), ask(&helper, "v1", "ghcr.io/y"));
    assert_eq!((&made.auth, bao.leases(&path).len()), (&kept.auth, 1));
    is_about(&made.cache_duration, 300);
    is_about(&kept.cache_duration, 300);
    // An agent that nobody asks leaves, and gives it back.
    let helper = agent.serves(bao.helper(&format!("[agent]\nidle-timeout = \"4m\"\n{rule}")));
    is_about(&ask(&helper, "v1", "ghcr.io/x").cache_duration, 120);
    // A rule's own bound counts.
    let helper = agent.serves(bao.helper(&format!("{rule}ttl = \"20s\"\n")));
    assert_eq!(ask(&helper, "v1", "ghcr.io/x").cache_duration, "20s");
}

#[test]
fn what_states_its_end_is_used_for_half_of_what_is_left() {
    let setup = crate::docker_hub_oidc::Setup::giving(",\"expires_in\":3600");
    let agent = Agent::start();
    for helper in
        [setup.job(crate::docker_hub_oidc::RULE), agent.serves(setup.job(crate::docker_hub_oidc::RULE))]
    {
        for _ in 0..2 {
            let found = ask(&helper, "v1", "docker.io/acme/app");
            assert_eq!(found.auth, given("", "", &[("docker.io", "acme", "t-1")]).auth);
            is_about(&found.cache_duration, 1800);
        }
    }
    // Twice without the agent, once with it.
    assert_eq!(setup.hub_heard(), 3);
    let over = crate::docker_hub_oidc::Setup::giving(",\"expires_in\":0");
    assert_eq!(ask(&over.job(crate::docker_hub_oidc::RULE), "v1", "docker.io/x").cache_duration, "0s");
}
