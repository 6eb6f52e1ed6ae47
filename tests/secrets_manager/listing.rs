//! `list` of a rule with `{host}` in the name of its secret: whatever is there, with its user, in few requests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{called, mark_for_deletion, recorded, store_for};
use crate::support::Helper;
use crate::support::own_moto::OwnMoto;
use crate::support::recorder::{Exchange, Recorder, Reply};
use crate::support::servers::{Moto, unique};

type Listed = BTreeMap<String, String>;

#[track_caller]
fn listed(helper: &Helper) -> Listed {
    let answer = helper.list();
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

fn named(names: &[(&str, &str)]) -> Listed {
    names.iter().map(|(name, user)| ((*name).to_owned(), (*user).to_owned())).collect()
}

fn create(moto: &Moto, name: &str, text: &str) {
    moto.call("us-east-1", "CreateSecret", &json!({"Name": name, "SecretString": text}));
}

fn object(user: &str) -> String {
    json!({"username": user, "password": "p4ss"}).to_string()
}

#[test]
fn what_it_names_was_stored_and_can_be_asked_for() {
    let Some(moto) = Moto::find() else { return };
    let stem = unique("reg");
    let (helper, recorder) = recorded(&moto, "*", &format!("secret = \"{stem}/{{host}}/login\""));
    let hosts = [
        "https://index.docker.io/v1/",
        "ghcr.io",
        "localhost:5000",
        "my_reg.test:8443",
        "my_reg",
        "10.0.0.7:5000",
        "[::1]:5000",
        "[fe80::1]",
    ];
    for (at, host) in hosts.iter().enumerate() {
        helper.store(host, &format!("user-{at}"), "p4ss").is_silent();
    }
    // Nothing that any registry could have made, or of another rule.
    for name in ["a b", "GHCR.io/login", "x/y/login", "ghcr.io", "ghcr.io/login/more", "a+b+1/login"] {
        create(&moto, &format!("{stem}/{}", name.replace(' ', "@")), &object("nobody"));
    }
    create(&moto, &format!("{stem}-other/quay.io/login"), &object("nobody"));
    let gone = format!("{stem}/gone.io/login");
    create(&moto, &gone, &object("nobody"));
    mark_for_deletion(&moto, &gone);

    let before = called(&recorder).len();
    let listed = listed(&helper);
    let users = hosts.iter().enumerate().map(|(at, host)| ((*host).to_owned(), format!("user-{at}")));
    assert_eq!(listed, users.collect::<Listed>());
    assert_eq!(called(&recorder).split_off(before), ["ListSecrets", "BatchGetSecretValue"]);
    for (name, user) in listed {
        helper.get(&name).is_found(&name, &user, "p4ss");
        helper.erase(&name).is_silent();
    }
    assert_eq!(self::listed(&helper), Listed::new());
}

#[test]
fn three_hundred_secrets_come_with_their_users_in_eighteen_requests() {
    let Some(own) = OwnMoto::start() else { return };
    let moto = &own.moto;
    for at in 0..300 {
        create(moto, &format!("registries/reg-{at}.example.com"), &object(&format!("user-{at}")));
    }
    for at in 0..20 {
        create(moto, &format!("other/reg-{at}.example.com"), &object("nobody"));
    }
    let all: Listed = (0..300).map(|at| (format!("reg-{at}.example.com"), format!("user-{at}"))).collect();
    // On a machine that has much else to do, moto alone may need longer than a list may take.
    let in_time = (0..5).any(|_| {
        let (helper, recorder) = recorded(moto, "*", "secret = \"registries/{host}\"");
        let started = Instant::now();
        let listed = listed(&helper);
        let took = started.elapsed();
        assert!(took < Duration::from_secs(4), "{took:?}");
        if listed != all {
            eprintln!("after {} ms {} of 300 secrets were listed", took.as_millis(), listed.len());
            assert!(listed.keys().all(|name| all.contains_key(name)));
            return false;
        }
        let count = |action: &str| called(&recorder).iter().filter(|call| *call == action).count();
        assert_eq!(
            (count("ListSecrets"), count("BatchGetSecretValue"), called(&recorder).len()),
            (3, 15, 18)
        );
        true
    });
    if !in_time {
        let own = without_the_helper(moto);
        eprintln!("moto alone needs {} ms for the 18 requests", own.as_millis());
        assert!(own > Duration::from_millis(1200), "moto alone needs {} ms", own.as_millis());
    }
}

/// How long the same requests take without the helper, one after the other.
fn without_the_helper(moto: &Moto) -> Duration {
    let started = Instant::now();
    let begins = json!([{"Key": "name", "Values": ["registries/"]}]);
    let mut names: Vec<String> = Vec::new();
    let mut next = Value::Null;
    for _ in 0..3 {
        let page = json!({"MaxResults": 100, "Filters": begins, "NextToken": next});
        let page = moto.call("us-east-1", "ListSecrets", &page);
        let all = page["SecretList"].as_array().unwrap().iter();
        names.extend(all.map(|secret| secret["Name"].as_str().unwrap().to_owned()));
        next = page["NextToken"].clone();
    }
    for batch in names.chunks(20) {
        moto.call("us-east-1", "BatchGetSecretValue", &json!({"SecretIdList": batch}));
    }
    assert_eq!(names.len(), 300);
    started.elapsed()
}

#[test]
fn a_user_that_the_rule_states_is_not_read() {
    let Some(moto) = Moto::find() else { return };
    let stem = unique("reg");
    create(&moto, &format!("{stem}/ghcr.io"), "t0ken");
    let (helper, recorder) =
        recorded(&moto, "*", &format!("secret = \"{stem}/{{host}}\"\nusername = \"octocat\""));
    assert_eq!(listed(&helper), named(&[("ghcr.io", "octocat")]));
    assert_eq!(called(&recorder), ["ListSecrets"]);
}

#[test]
fn users_stand_in_secrets_of_their_own() {
    let Some(moto) = Moto::find() else { return };
    for (secret, user) in [("{host}/token", "{host}/id"), ("{host}", "{host}-id")] {
        let stem = unique("reg");
        let keys = format!("secret = \"{stem}/{secret}\"\nusername-secret = \"{stem}/{user}\"");
        let (helper, recorder) = recorded(&moto, "*", &keys);
        helper.store("ghcr.io", "octocat", "p4ss").is_silent();
        helper.store("localhost:5000", "acme", "p4ss").is_silent();
        // Half of one is none.
        create(&moto, &format!("{stem}/{}", secret.replace("{host}", "quay.io")), "p4ss");
        let before = called(&recorder).len();
        assert_eq!(listed(&helper), named(&[("ghcr.io", "octocat"), ("localhost:5000", "acme")]));
        assert_eq!(called(&recorder).split_off(before), ["ListSecrets", "BatchGetSecretValue"]);
    }
}

#[test]
fn what_a_look_up_would_not_find_is_not_named_and_what_is_broken_is() {
    let Some(moto) = Moto::find() else { return };
    let stem = unique("reg");
    create(&moto, &format!("{stem}/ghcr.io"), r#"{"x":1}"#);
    create(&moto, &format!("{stem}/quay.io"), "no object");
    create(&moto, &format!("{stem}/good.io"), &object("acme"));
    let (helper, _) = recorded(&moto, "*", &format!("secret = \"{stem}/{{host}}\""));
    assert_eq!(listed(&helper), named(&[("good.io", "acme"), ("quay.io", "")]));
    helper.get("ghcr.io").is_not_found();
}

#[test]
fn a_rule_reads_only_what_it_answers_for() {
    let Some(moto) = Moto::find() else { return };
    let stem = unique("reg");
    for host in ["a.example.com", "b.example.com", "ghcr.io"] {
        create(&moto, &format!("{stem}/{host}"), &object(host));
    }
    let recorder = Recorder::to(&moto.url);
    let config = store_for("*.example.com", &format!("secret = \"{stem}/{{host}}\""));
    let helper = moto.helper(&config).env("AWS_ENDPOINT_URL", recorder.url());
    let all = named(&[("a.example.com", "a.example.com"), ("b.example.com", "b.example.com")]);
    assert_eq!(listed(&helper), all);
    let batch: Value = serde_json::from_str(&recorder.exchanges().pop().unwrap().body).unwrap();
    let asked = json!([format!("{stem}/a.example.com"), format!("{stem}/b.example.com")]);
    assert_eq!(batch["SecretIdList"], asked);
}

#[test]
fn names_stay_where_users_may_not_be_read() {
    let Some(moto) = Moto::find() else { return };
    let stem = unique("reg");
    for at in 0..150 {
        create(&moto, &format!("{stem}/reg-{at}.io"), &object("acme"));
    }
    let recorder = Recorder::between(&moto.url, |asked: &Exchange| {
        let refusal = json!({"__type": "AccessDeniedException", "Message": "no"}).to_string();
        (asked.action() == "BatchGetSecretValue").then(|| Reply::new(400, refusal))
    });
    let helper = moto.helper(&store_for("*", &format!("secret = \"{stem}/{{host}}\"")));
    let helper = helper.env("AWS_ENDPOINT_URL", recorder.url());
    let all: Listed = (0..150).map(|at| (format!("reg-{at}.io"), String::new())).collect();
    assert_eq!(listed(&helper), all);
    // What was under way with the first one.
    assert!(called(&recorder).len() <= 2 + 4, "{:?}", called(&recorder));
    let told = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").list();
    for part in ["AccessDeniedException", "secretsmanager:BatchGetSecretValue", "hint: allow "] {
        assert!(told.stderr.contains(part), "{part}: {}", told.stderr);
    }
}

#[test]
fn an_aws_that_refuses_or_hangs_leaves_the_other_rules_their_names() {
    let refusing = Recorder::alone(|_| {
        Reply::new(400, json!({"__type": "AccessDeniedException", "Message": "no"}).to_string())
    });
    let hanging = crate::support::hostile::Hostile::silent();
    for url in [refusing.url(), hanging.url()] {
        let config = store_for("*", "secret = \"registries/{host}\"");
        let other =
            "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"octocat\"\npassword-env = \"PAT\"\n";
        let helper = Helper::with_config(&(config + other)).envs(&[
            ("AWS_ENDPOINT_URL", &url),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
            ("PAT", "x"),
            ("DOCKER_CREDENTIAL_LEASE_LOG", "1"),
        ]);
        let started = Instant::now();
        let answer = helper.list();
        assert!(started.elapsed() < Duration::from_secs(4));
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (Some(0), "{\"ghcr.io\":\"octocat\"}\n"),
            "{answer:?}"
        );
        let hint = if url == refusing.url() {
            "hint: allow secretsmanager:ListSecrets in us-east-1"
        } else {
            "timed out after 2s"
        };
        assert!(answer.stderr.contains(hint), "{}", answer.stderr);
    }
}
