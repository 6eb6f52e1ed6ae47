//! Many `docker login`s at the same time, each a process of its own.

use std::io::Write;
use std::thread;

use serde_json::{Value, json};

use crate::support::kv::Kv;
use crate::support::{Answer, Helper};

const MANY: usize = 20;

/// Every one of these at once: the registry, the user, the secret.
fn store_all(helper: &Helper, logins: &[(String, String, String)]) {
    let mut started: Vec<_> = logins.iter().map(|_| helper.command(&["store"]).spawn().unwrap()).collect();
    for (child, (server, username, secret)) in started.iter_mut().zip(logins) {
        let given = json!({"ServerURL": server, "Username": username, "Secret": secret}).to_string();
        child.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
    }
    for child in started {
        Answer::from_output(child.wait_with_output().unwrap()).is_silent();
    }
}

fn logins(server: impl Fn(usize) -> String) -> Vec<(String, String, String)> {
    (0..MANY).map(|n| (server(n), format!("user-{n}"), format!("pw-{n}"))).collect()
}

#[test]
fn of_different_hosts_none_is_lost() {
    for kv in Kv::both() {
        let helper = kv.bao.helper(&kv.rule_for("*", "reg/{host}", ""));
        let logins = logins(|n| format!("r{n}.example.com:5000"));
        store_all(&helper, &logins);
        for (server, username, secret) in &logins {
            helper.get(server).is_found(server, username, secret);
        }
    }
}

#[test]
fn of_different_hosts_in_one_versioned_secret_none_is_lost() {
    let Some(kv) = Kv::versioned() else { return };
    kv.write("all", &json!({"owner": "ops"}));
    let rules: Vec<String> = (0..MANY)
        .map(|n| {
            let keys = format!("username-key = \"/r{n}/user\"\npassword-key = \"/r{n}/token\"");
            kv.rule_for(&format!("r{n}.example.com"), "all", &keys)
        })
        .collect();
    let config = format!("timeout = \"25s\"\n{}", rules.join("\n"));
    let helper = kv.bao.helper(&config);
    let logins = logins(|n| format!("r{n}.example.com"));
    store_all(&helper, &logins);
    for (server, username, secret) in &logins {
        helper.get(server).is_found(server, username, secret);
    }
    assert_eq!(kv.read("all")["owner"], "ops");
    // One after the other they go again, and the rest stays.
    thread::scope(|scope| {
        for (server, _, _) in &logins {
            let helper = &helper;
            scope.spawn(move || helper.erase(server).is_silent());
        }
    });
    assert_eq!(kv.read("all"), json!({"owner": "ops"}));
}

#[test]
fn of_one_host_the_last_one_wins_and_never_a_mixture() {
    for kv in Kv::both() {
        kv.write("ghcr", &json!({"owner": "ops"}));
        let helper = kv.bao.helper(&format!("timeout = \"25s\"\n{}", kv.rule("ghcr", "")));
        store_all(&helper, &logins(|_| "ghcr.io".to_owned()));
        let held = kv.read("ghcr");
        let number = |key: &str, stem: &str| -> Value {
            held[key].as_str().unwrap().strip_prefix(stem).unwrap().into()
        };
        assert_eq!(number("username", "user-"), number("password", "pw-"), "{held}");
        assert_eq!(held["owner"], "ops");
        if kv.is_versioned {
            // The seed's version, and one of each.
            assert_eq!(kv.versions("ghcr"), 1 + MANY as u64);
        }
    }
}
