//! Tokens in the agent: one for all hosts of an account and region, for as long as it says.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{ACCOUNT, HOST, TOKEN, helper, rule};
use crate::support::agent::{Agent, at_once};
use crate::support::recorder::{Recorder, Reply};
use crate::support::servers::Moto;

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// moto, whose tokens end so many seconds from now, as AWS's do after twelve hours; its own have ended in 2015.
fn moto_with_life(moto: &Moto, seconds: f64) -> Recorder {
    Recorder::rewording(&moto.url, move |asked| {
        let (_, body) = asked.answer.split_once("\r\n\r\n")?;
        let mut body: Value = serde_json::from_str(body).ok()?;
        body["authorizationData"][0]["expiresAt"] = json!(now() + seconds);
        Some(Reply::new(200, body.to_string()))
    })
}

const HALF_A_DAY: f64 = 12.0 * 60.0 * 60.0;

/// A wildcard for each form, and aliases in rules of their own.
fn rules() -> String {
    let alias = |pattern: &str, keys: &str| rule(pattern, &format!("account = \"{ACCOUNT}\"\n{keys}"));
    [
        rule("*.dkr.ecr.*.amazonaws.com", ""),
        rule("*.dkr.ecr-fips.*.amazonaws.com", "ttl = \"1h\""),
        rule("*.dkr-ecr.*.on.aws", "on-error = \"anonymous\""),
        rule("*.dkr-ecr-fips.*.on.aws", "store = \"ignore\""),
        alias("cache.example.com", "region = \"us-east-1\""),
        alias("mirror.example.com", ""),
        alias("localhost:5000", "region = \"us-east-1\""),
        alias("docker.io", "region = \"us-east-1\""),
        alias("*.pull.example.com", "region = \"us-east-1\""),
    ]
    .concat()
}

#[test]
fn ten_hosts_of_one_account_and_region_take_one_request() {
    let Some(moto) = Moto::find() else { return };
    let (agent, aws) = (Agent::start(), moto_with_life(&moto, HALF_A_DAY));
    let helper = agent.serves(helper(&aws, &rules())).env("AWS_REGION", "us-east-1");
    let private = |rest: &str| format!("{ACCOUNT}.{rest}");
    let hosts = [
        HOST.to_owned(),
        private("dkr.ecr-fips.us-east-1.amazonaws.com"),
        private("dkr-ecr.us-east-1.on.aws"),
        private("dkr-ecr-fips.us-east-1.on.aws"),
        "cache.example.com".to_owned(),
        "mirror.example.com".to_owned(),
        "localhost:5000".to_owned(),
        "https://index.docker.io/v1/".to_owned(),
        "a.pull.example.com".to_owned(),
        "b.pull.example.com".to_owned(),
    ];
    for host in &hosts {
        helper.get(host).is_found(host, "AWS", TOKEN);
    }
    assert_eq!(aws.exchanges().len(), 1);
    let kept = agent.kept();
    assert_eq!((kept.len(), &kept[0]["place"]), (1, &json!("123456789012 in us-east-1")));
    // A logout at any of them forgets it.
    helper.erase("cache.example.com").is_silent();
    helper.get(HOST).is_found(HOST, "AWS", TOKEN);
    assert_eq!(aws.exchanges().len(), 2);
}

#[test]
fn another_account_another_region_and_another_identity_are_other_tokens() {
    let Some(moto) = Moto::find() else { return };
    let (agent, aws) = (Agent::start(), moto_with_life(&moto, HALF_A_DAY));
    let ours = agent.serves(helper(&aws, &rules()));
    let other = "999988887777.dkr.ecr.us-east-1.amazonaws.com";
    for _ in 0..2 {
        ours.get(HOST).is_found(HOST, "AWS", TOKEN);
        ours.get(other).is_found(other, "AWS", "999988887777-auth-token");
        let far = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        ours.get(far).is_found(far, "AWS", TOKEN);
    }
    assert_eq!(aws.exchanges().len(), 3);
    let theirs = agent.serves(helper(&aws, &rules())).env("AWS_ACCESS_KEY_ID", "AKIAOTHER");
    theirs.get(HOST).is_found(HOST, "AWS", TOKEN);
    assert_eq!(aws.exchanges().len(), 4);
}

#[test]
fn fifty_at_once_ask_once() {
    let Some(moto) = Moto::find() else { return };
    let (agent, aws) = (Agent::start(), moto_with_life(&moto, HALF_A_DAY));
    let helper = agent.serves(helper(&aws, &rules()));
    for answer in at_once(&helper, HOST, 50) {
        answer.is_found(HOST, "AWS", TOKEN);
    }
    assert_eq!(aws.exchanges().len(), 1);
}

#[test]
fn a_token_is_kept_for_as_long_as_it_says() {
    let Some(moto) = Moto::find() else { return };
    let (agent, aws) = (Agent::start(), moto_with_life(&moto, HALF_A_DAY));
    agent.serves(helper(&aws, &rules())).get(HOST).is_found(HOST, "AWS", TOKEN);
    let kept = agent.kept().pop().unwrap();
    assert_eq!(
        (&kept["source"], &kept["username"], &kept["lease"]),
        (&json!("ecr"), &json!("AWS"), &json!(null))
    );
    let (date, _) = kept["expires"].as_str().unwrap().split_once('T').unwrap();
    let in_half_a_day = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{}", now() + HALF_A_DAY), "+%F"])
        .output()
        .unwrap();
    assert_eq!(date, String::from_utf8(in_half_a_day.stdout).unwrap().trim_end());
}

#[test]
fn a_token_that_has_ended_is_given_and_not_kept() {
    let Some(moto) = Moto::find() else { return };
    // As moto gives it, and as a clock that is an hour fast sees AWS's.
    for aws in [Recorder::to(&moto.url), moto_with_life(&moto, -3600.0)] {
        let agent = Agent::start();
        let helper = agent.serves(helper(&aws, &rules()));
        for _ in 0..2 {
            helper.get(HOST).is_found(HOST, "AWS", TOKEN);
        }
        assert_eq!((aws.exchanges().len(), agent.kept().len()), (2, 0));
    }
}

#[test]
fn a_rule_s_own_ttl_bounds_what_others_let_be_kept() {
    let Some(moto) = Moto::find() else { return };
    let (agent, aws) = (Agent::start(), moto_with_life(&moto, HALF_A_DAY));
    let alias = rule("cache.example.com", &format!("account = \"{ACCOUNT}\"\nttl = \"0s\""));
    let helper = agent.serves(helper(&aws, &(rules_of_one() + &alias))).env("AWS_REGION", "us-east-1");
    for (host, requests) in [(HOST, 1), ("cache.example.com", 2), (HOST, 2), ("cache.example.com", 3)] {
        helper.get(host).is_found(host, "AWS", TOKEN);
        assert_eq!(aws.exchanges().len(), requests, "{host}");
    }
}

fn rules_of_one() -> String {
    rule("*.dkr.ecr.*.amazonaws.com", "")
}
