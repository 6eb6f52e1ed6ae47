//! Many callers and many credentials: what that costs, and that nothing is mixed up.

use std::fs;
use std::thread;

use serde_json::{Value, json};

use super::Kv;
use crate::support::agent::{Agent, at_once};

/// A look-up of the test's own.
fn want(at: usize) -> Value {
    let about =
        json!({"registry": format!("r{at}.example.com"), "source": "vault", "place": "secret/data/x"});
    json!({"key": format!("{at:064}"), "login": format!("l{at}"), "about": about, "patience": 5000, "idle": 60_000})
}

/// Has the agent keep a credential for it, with its number in the secret.
fn bring(agent: &Agent, at: usize) {
    let mut line = agent.connect();
    assert_eq!(line.ask_now(json!({"want": want(at)})).unwrap()["fetch"], true);
    let secret = format!("pw-{at}-{}", "x".repeat(1000));
    let ttl = json!({"secs": 300, "nanos": 0});
    let brought =
        json!({"username": "u", "secret": secret, "expires": null, "ttl": ttl, "cap": null, "lease": null});
    assert_eq!(line.ask_now(json!({"have": {"want": want(at), "brought": brought}})).unwrap()["done"], true);
}

/// How many descriptors it has open; `None` where nobody may know.
fn descriptors(agent: &Agent) -> Option<usize> {
    fs::read_dir(format!("/proc/{}/fd", agent.pid())).ok().map(Iterator::count)
}

#[test]
fn a_thousand_credentials_fit_and_ten_thousand_look_ups_leave_nothing_behind() {
    const THREADS: usize = 50;
    let agent = Agent::start();
    (0..1000).for_each(|at| bring(&agent, at));
    // What a debug build maps of its own file is not the point.
    let full = agent.memory("RssAnon");
    eprintln!("1,000 credentials of 1 KB: {full} KiB, {} KiB with its file", agent.memory("VmRSS"));
    assert!(full <= 16 * 1024, "{full} KiB");
    let wave = |number: usize| {
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let agent = &agent;
                scope.spawn(move || {
                    for at in (thread * 7..).step_by(31).map(|at| at % 1000).take(number / THREADS) {
                        let told = agent.connect().ask_now(json!({"want": want(at)})).unwrap();
                        let kept = &told["kept"];
                        assert_eq!(kept["registry"], format!("r{at}.example.com"));
                        assert!(kept["secret"].as_str().unwrap().starts_with(&format!("pw-{at}-x")));
                    }
                });
            }
        });
    };
    wave(2000);
    let (before, open) = (agent.memory("RssAnon"), descriptors(&agent));
    wave(10_000);
    assert_eq!(agent.status()["credentials"].as_array().unwrap().len(), 1000);
    let after = agent.memory("RssAnon");
    assert!(after <= before + 1024, "{before} KiB before, {after} KiB after");
    crate::support::agent::until("all are closed", || descriptors(&agent) <= open);
}

#[test]
fn two_hundred_warm_look_ups_ask_the_server_nothing() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    let helper = agent.serves(kv.helper(""));
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    for _ in 0..4 {
        for answer in at_once(&helper, "ghcr.io", 50) {
            answer.is_found("ghcr.io", "octocat", "pw-1");
        }
    }
    assert_eq!(kv.requests(), 1);
}
