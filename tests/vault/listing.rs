//! What a K/V engine holds for a rule with a wildcard.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Answer;
use crate::support::app_role::AppRole;
use crate::support::gate::{Gate, Step};
use crate::support::kv::Kv;
use crate::support::relay::Relay;
use crate::support::servers::in_the_end;

const HUB: &str = "https://index.docker.io/v1/";

fn pair(username: &str) -> Value {
    json!({"username": username, "password": "pw"})
}

/// What a policy calls the folder that is listed.
fn folder(kv: &Kv) -> String {
    kv.path("reg/").replace("/data/", "/metadata/")
}

fn listed(answer: &Answer) -> BTreeMap<String, String> {
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

#[track_caller]
fn lists(answer: &Answer, expected: &[(&str, &str)]) {
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(name, user)| ((*name).to_owned(), (*user).to_owned())).collect();
    assert_eq!(listed(answer), expected);
}

#[test]
fn what_list_names_can_be_asked_for_verbatim() {
    const ASKED: [&str; 8] =
        ["docker.io", "ghcr.io", "localhost:5000", "my_reg:80", "[::1]:5000", "10.0.0.1:5000", "[::1]", "a"];
    for kv in Kv::both() {
        for place in ["reg/{host}", "{host}", "deep/{host}/pull", "pre-{host}-post", "{host}/{host}"] {
            let kv = kv.another();
            let helper = kv.bao.helper(&kv.rule_for("*", place, ""));
            for asked in ASKED {
                helper.store(asked, &format!("user of {asked}"), &format!("pw of {asked}")).is_silent();
            }
            let named = listed(&helper.list());
            assert_eq!(named.len(), ASKED.len(), "{place}: {named:?}");
            for asked in ASKED {
                let name = if asked == "docker.io" { HUB } else { asked };
                assert_eq!(named[name], format!("user of {asked}"), "{place}");
                helper.get(name).is_found(name, &format!("user of {asked}"), &format!("pw of {asked}"));
            }
        }
    }
}

#[test]
fn a_path_without_data_is_listed_too() {
    let Some(kv) = Kv::versioned() else { return };
    let path = kv.path("reg/{host}");
    let without = kv.rule_for("*", "reg/{host}", "").replace(&path, &format!("{}/reg/{{host}}", kv.mount));
    let helper = kv.bao.helper(&without);
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    lists(&helper.list(), &[("ghcr.io", "octocat")]);
}

#[test]
fn only_what_get_would_find_by_this_rule_is_named() {
    for kv in Kv::both() {
        for (name, data) in [
            ("reg/a.example.com", pair("octocat")),
            ("reg/deleted.example.com", pair("gone")),
            ("reg/half.example.com", json!({"username": "half"})),
            ("reg/nobody.example.com", json!({"password": "pw"})),
            ("reg/odd.example.com", json!({"username": 7, "password": "pw"})),
            ("reg/elsewhere.example.net", pair("elsewhere")),
            ("reg/own.example.com", pair("not-asked")),
            ("reg/port.example.com:5000", pair("port")),
            ("reg/UPPER.example.com", pair("upper")),
            ("reg/no name", pair("no name")),
            ("reg/folder.example.com/below", pair("below")),
            ("reg/docker.io", pair("hub")),
        ] {
            // The engine reads one segment, whatever it holds.
            let path = kv.path(name).replace(' ', "%20");
            let body = if kv.is_versioned { json!({ "data": data }) } else { data };
            kv.bao.call("POST", &path, &body);
        }
        kv.bao.call("DELETE", &kv.path("reg/deleted.example.com"), &Value::Null);
        let own =
            "[registry.\"own.example.com\"]\nsource = \"env\"\nusername = \"own\"\npassword-env = \"OWN\"\n";
        let config = format!("{}{own}", kv.rule_for("*.example.com", "reg/{host}", ""));
        let gate = Gate::to(&kv.bao.address);
        let helper = kv.bao.helper(&config).env("OWN", "pw").env("VAULT_ADDR", gate.url());
        lists(
            &helper.list(),
            &[("a.example.com", "octocat"), ("odd.example.com", ""), ("own.example.com", "own")],
        );
        // What is not the rule's is not read.
        let told = gate.told();
        assert!(!told.iter().any(|line| line.contains("elsewhere") || line.contains("5000")), "{told:?}");
    }
}

#[test]
fn a_user_that_the_rule_states_is_named_and_still_only_where_there_is_something() {
    for kv in Kv::both() {
        for name in ["reg/a.io", "reg/b.io"] {
            kv.write(name, &json!({"password": "pw"}));
        }
        kv.bao.call("DELETE", &kv.path("reg/b.io"), &Value::Null);
        let gate = Gate::to(&kv.bao.address);
        let config = kv.rule_for("*", "reg/{host}", "username = \"robot\"");
        let helper = kv.bao.helper(&config).env("VAULT_ADDR", gate.url());
        lists(&helper.list(), &[("a.io", "robot")]);
        // Only a versioned engine still names what was deleted.
        assert_eq!(gate.told().len(), if kv.is_versioned { 4 } else { 2 });
    }
}

#[test]
fn nothing_there_and_no_right_to_look_name_nothing() {
    for kv in Kv::both() {
        let helper = kv.bao.helper(&kv.rule_for("*", "reg/{host}", ""));
        lists(&helper.list(), &[]);
        kv.write("reg/ghcr.io", &pair("octocat"));
        let path = kv.path("reg/*");
        let token = kv.bao.token(&format!("path \"{path}\" {{ capabilities = [\"read\"] }}"));
        let helper = helper.env("VAULT_TOKEN", token).env("DOCKER_CREDENTIAL_LEASE_LOG", "1");
        let answer = helper.list();
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "{}\n"));
        assert!(answer.stderr.contains(&format!("allow list on {}", folder(&kv))), "{}", answer.stderr);
    }
}

#[test]
fn one_secret_for_every_host_names_none_and_asks_nobody() {
    let Some(kv) = Kv::versioned() else { return };
    let gate = Gate::to(&kv.bao.address);
    let helper = kv.bao.helper(&kv.rule_for("*", "shared", "any-host = true")).env("VAULT_ADDR", gate.url());
    lists(&helper.list(), &[]);
    assert_eq!(gate.told(), [""; 0]);
}

#[test]
fn a_secret_that_may_not_be_read_keeps_its_name() {
    for kv in Kv::both() {
        kv.write("reg/a.io", &pair("octocat"));
        kv.write("reg/b.io", &pair("hubot"));
        let policy = format!(
            "path \"{}\" {{ capabilities = [\"list\"] }}\npath \"{}\" {{ capabilities = [\"read\"] }}",
            folder(&kv),
            kv.path("reg/a.io")
        );
        let token = kv.bao.token(&policy);
        let helper = kv.bao.helper(&kv.rule_for("*", "reg/{host}", "")).env("VAULT_TOKEN", token);
        lists(&helper.list(), &[("a.io", "octocat"), ("b.io", "")]);
    }
}

#[test]
fn three_hundred_are_named_with_their_users_within_the_two_seconds_that_list_has() {
    for kv in Kv::both() {
        for n in 0..300 {
            kv.write(&format!("reg/r{n}.example.com:5000"), &pair(&format!("user-{n}")));
        }
        let policy = format!(
            "path \"{}\" {{ capabilities = [\"read\"] }}\npath \"{}\" {{ capabilities = [\"list\"] }}",
            kv.path("reg/*"),
            folder(&kv)
        );
        let role = AppRole::new(&kv.bao, &policy);
        let config = kv.rule_for("*", "reg/{host}", "");
        let in_time = || {
            let relay = Relay::to(&kv.bao.address);
            let named = listed(&role.helper(&kv.bao, &config, "").env("VAULT_ADDR", relay.url()).list());
            assert_eq!(named.len(), 300);
            let with_user =
                (0..300).filter(|n| named[&format!("r{n}.example.com:5000")] == format!("user-{n}"));
            (with_user.count() == 300).then(|| relay.counts())
        };
        // On a machine that does much else at the same time it may take longer.
        let (connections, requests) = (0..10).find_map(|_| in_time()).expect("once in time");
        // Login, mount, list, a read each, and the login given back.
        assert_eq!(requests, 304);
        // A connection is free again a moment after its answer.
        assert!((2..32).contains(&connections), "{connections}");
        in_the_end(&0, || role.tokens(&kv.bao));
    }
}

#[test]
fn names_survive_where_the_users_do_not_come_in_time() {
    for kv in Kv::both() {
        for n in 0..40 {
            kv.write(&format!("reg/r{n}.io"), &pair("octocat"));
        }
        let gate = Gate::holding(&kv.bao.address, |line| {
            let reads =
                line.starts_with("GET ") && !line.contains("/sys/internal/") && !line.contains("/r0.io");
            if reads { Step::Never } else { Step::Pass }
        });
        let helper = kv.bao.helper(&kv.rule_for("*", "reg/{host}", "")).env("VAULT_ADDR", gate.url());
        let started = Instant::now();
        let named = listed(&helper.list());
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        assert_eq!(named.len(), 40);
        assert_eq!((named["r0.io"].as_str(), named["r39.io"].as_str()), ("octocat", ""));
    }
}

#[test]
fn a_server_that_is_down_breaks_no_list() {
    let Some(kv) = Kv::versioned() else { return };
    let own =
        "[registry.\"own.example.com\"]\nsource = \"env\"\nusername = \"own\"\npassword-env = \"OWN\"\n";
    let config = format!("{own}{}", kv.rule_for("*", "reg/{host}", ""));
    let helper = kv.bao.helper(&config).env("OWN", "pw").env("VAULT_ADDR", "http://127.0.0.1:1");
    lists(&helper.list(), &[("own.example.com", "own")]);
}
