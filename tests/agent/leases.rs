//! Leases: one for any number of look-ups, renewed while somebody asks, and given back.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::{AppRole, Otp, rule, secret};
use crate::support::Helper;
use crate::support::agent::{Agent, until};
use crate::support::sluice::Gate;
use crate::support::users::Users;

/// A rule that asks for them.
fn rule_for(users: &Users) -> String {
    rule("ghcr.io", &users.path(), "")
}

/// Whether the user may still log in, as the registry would see it.
fn works(users: &Users, made: &(String, String)) -> bool {
    users.postgres.query(&made.0, &made.1, "SELECT 1").is_ok()
}

/// User and password that the helper gives.
#[track_caller]
fn made(helper: &Helper) -> (String, String) {
    let answer = helper.get("ghcr.io");
    let password = secret(&answer);
    let found: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    (found["Username"].as_str().unwrap().to_owned(), password)
}

#[test]
fn ten_look_ups_make_one_lease_and_status_names_it() {
    let Some(otp) = Otp::find() else { return };
    let agent = Agent::start();
    let helper = agent.serves(otp.helper(""));
    let first = secret(&helper.get("ghcr.io"));
    for _ in 0..9 {
        assert_eq!(secret(&helper.get("https://ghcr.io/v2/")), first);
    }
    let leases = otp.leases();
    assert_eq!((leases.len(), otp.relay.counts().1), (1, 2));
    let kept = agent.kept();
    assert_eq!(kept.len(), 1);
    let mut keys: Vec<&str> = kept[0].as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["expires", "fetched", "lease", "place", "registry", "source", "username"]);
    assert_eq!(kept[0]["registry"], "ghcr.io");
    assert_eq!(kept[0]["source"], "vault");
    assert_eq!(kept[0]["place"], otp.path());
    assert_eq!(kept[0]["username"], "hubuser");
    assert_eq!(kept[0]["lease"], leases[0]);
    for time in ["fetched", "expires"] {
        let time = kept[0][time].as_str().unwrap();
        assert!(time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
    }
    let answer = agent.talker().run(&["agent", "status"], "");
    let line = answer.stdout.lines().nth(1).unwrap();
    assert!(line.starts_with(&format!("ghcr.io: hubuser from vault: {}, fetched 2", otp.path())), "{line}");
    assert!(line.contains(", expires 2") && line.ends_with(&format!(", lease {}", leases[0])), "{line}");
}

#[test]
fn a_secret_without_a_lease_is_listed_without_an_end() {
    let Some(kv) = super::Kv::find() else { return };
    let agent = Agent::start();
    agent.serves(kv.helper("")).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let kept = agent.kept();
    assert!(kept[0]["expires"].is_null() && kept[0]["lease"].is_null(), "{kept:?}");
}

#[test]
fn erase_flush_and_stop_take_it_back() {
    let Some(otp) = Otp::find() else { return };
    let agent = Agent::start();
    let helper = agent.serves(otp.helper(""));
    let mut before = String::new();
    for words in [
        &["erase"][..],
        &["agent", "flush"],
        &["agent", "flush", "https://GHCR.io/v2/"],
        &["agent", "flush", "docker.io", "ghcr.io/acme/app:latest"],
        &["agent", "stop"],
    ] {
        let now = secret(&helper.get("ghcr.io"));
        assert_ne!(now, before);
        assert_eq!(otp.leases().len(), 1, "{words:?}");
        helper.run(words, if words[0] == "erase" { "ghcr.io" } else { "" }).is_silent();
        assert_eq!(otp.leases().len(), 0, "{words:?}");
        before = now;
    }
}

#[test]
fn what_is_for_another_registry_stays() {
    let Some(otp) = Otp::find() else { return };
    let agent = Agent::start();
    let helper = agent.serves(otp.helper(""));
    let first = secret(&helper.get("ghcr.io"));
    helper.run(&["agent", "flush", "docker.io", "ghcr.io:5000"], "").is_silent();
    helper.erase("docker.io").is_silent();
    assert_eq!(secret(&helper.get("ghcr.io")), first);
    let answer = helper.run(&["agent", "flush", "ghcr.io", "no registry"], "");
    let line = "docker-credential-lease: `no registry` is no registry\n";
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), line));
    assert_eq!(otp.leases().len(), 1);
}

#[test]
fn a_lease_that_is_used_is_renewed_with_its_login_and_one_that_is_not_ends() {
    let Some(users) = Users::start("6s", "1m") else { return };
    // The login ends before the lease would: without renewing it too the user would be gone.
    let policy = format!(
        "path \"{}\" {{ capabilities = [\"read\"] }}\npath \"sys/leases/renew\" {{ capabilities = [\"update\"] }}",
        users.path()
    );
    let role = AppRole::new(&users.bao, &policy, json!({"token_ttl": "6s", "token_max_ttl": "1m"}));
    let config = format!("{}{}", rule_for(&users), role.table());
    let agent = Agent::start();
    let helper = agent.serves(users.bao.helper(&config)).env("SECRET_ID", role.secret_id(&users.bao));
    let first = made(&helper);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(7) {
        assert_eq!(made(&helper), first, "after {:?}", started.elapsed());
        assert!(works(&users, &first), "after {:?}", started.elapsed());
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(users.leases().len(), 1);
    // Once more for the last look-up, and no more after that.
    until("it has ended", || users.leases().is_empty() && !works(&users, &first));
    let second = made(&helper);
    assert_ne!(second.0, first.0);
    assert!(works(&users, &second));
}

#[test]
fn a_lease_is_not_believed_to_outlive_a_login_that_cannot_be_renewed() {
    let Some(users) = Users::start("30s", "1m") else { return };
    let policy = format!(
        "path \"{}\" {{ capabilities = [\"read\"] }}\npath \"sys/leases/renew\" {{ capabilities = [\"update\"] }}",
        users.path()
    );
    let settings = json!({"token_ttl": "4s", "token_no_default_policy": true});
    let role = AppRole::new(&users.bao, &policy, settings);
    let config = format!("{}{}", rule_for(&users), role.table());
    let agent = Agent::start();
    let helper = agent.serves(users.bao.helper(&config)).env("SECRET_ID", role.secret_id(&users.bao));
    let started = Instant::now();
    let first = made(&helper);
    while started.elapsed() < Duration::from_secs(6) {
        let now = made(&helper);
        assert!(works(&users, &now), "a dead one is given out after {:?}", started.elapsed());
        thread::sleep(Duration::from_millis(150));
    }
    assert_ne!(made(&helper), first);
}

#[test]
fn a_revocation_that_is_not_allowed_is_told_at_once_with_the_lease() {
    let Some(otp) = Otp::find() else { return };
    let token = otp.bao.token(&format!("path \"{}\" {{ capabilities = [\"update\"] }}", otp.path()));
    let mut agent = Agent::start();
    let helper = agent.serves(otp.helper("")).env("VAULT_TOKEN", token);
    let first = secret(&helper.get("ghcr.io"));
    let lease = otp.leases().remove(0);
    let line = format!(
        "docker-credential-lease: the lease {lease} could not be given back: permission denied; \
         hint: allow update on sys/leases/revoke, or leave it: it ends by itself\n"
    );
    let started = Instant::now();
    let answer = helper.run(&["agent", "flush"], "");
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), line.as_str()));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // It is still listed, and given out no more; `docker logout` does not fail for it.
    assert_eq!(agent.kept()[0]["lease"], lease.as_str());
    assert_ne!(secret(&helper.get("ghcr.io")), first);
    helper.erase("ghcr.io").is_silent();
    assert_eq!(agent.kept().len(), 2);
    agent.signal(Signal::TERM);
    let (answer, _) = agent.ended();
    assert_eq!((answer.code, answer.stderr.lines().count()), (Some(0), 2), "{answer:?}");
    assert!(answer.stderr.contains(&line), "{answer:?}");
}

#[test]
fn a_revocation_that_fails_is_tried_again_and_then_told() {
    let Some(otp) = Otp::find() else { return };
    let gate = Gate::to(&otp.bao.address);
    let mut agent = Agent::start();
    let helper = agent.serves(otp.helper("")).env("VAULT_ADDR", gate.url());
    let _ = secret(&helper.get("ghcr.io"));
    // Away for a moment: nobody hears of it.
    gate.close();
    thread::scope(|scope| {
        let flush = scope.spawn(|| helper.run(&["agent", "flush"], ""));
        thread::sleep(Duration::from_millis(700));
        gate.open();
        flush.join().unwrap().is_silent();
    });
    assert_eq!(otp.leases().len(), 0);
    // Away for good: that is told after five seconds.
    let _ = secret(&helper.get("ghcr.io"));
    let lease = otp.leases().remove(0);
    gate.close();
    let started = Instant::now();
    let answer = helper.run(&["agent", "stop"], "");
    let took = started.elapsed();
    let line = format!("docker-credential-lease: the lease {lease} could not be given back: ");
    assert!(answer.code == Some(1) && answer.stderr.starts_with(&line), "{answer:?}");
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(7), "{took:?}");
    let (answer, _) = agent.ended();
    assert!(answer.code == Some(0) && answer.stderr.starts_with(&line), "{answer:?}");
}

#[test]
fn what_is_being_given_back_is_not_forgotten_when_the_agent_ends() {
    let Some(otp) = Otp::find() else { return };
    let gate = Gate::to(&otp.bao.address);
    let mut agent = Agent::start();
    let helper = agent.serves(otp.helper("")).env("VAULT_ADDR", gate.url());
    let _ = secret(&helper.get("ghcr.io"));
    gate.close();
    thread::scope(|scope| {
        let erased = scope.spawn(|| helper.erase("ghcr.io"));
        until("it is no longer kept", || agent.kept().is_empty());
        gate.open();
        agent.signal(Signal::TERM);
        erased.join().unwrap().is_silent();
    });
    assert_eq!(agent.ended().0.stderr, "");
    assert_eq!(otp.leases().len(), 0);
}

#[test]
fn a_login_is_given_back_with_its_lease_and_at_once_after_a_read() {
    let (Some(otp), Some(kv)) = (Otp::find(), super::Kv::find()) else { return };
    let policy = format!(
        "path \"{}\" {{ capabilities = [\"update\"] }}\npath \"secret/data/{}\" {{ capabilities = [\"read\"] }}",
        otp.path(),
        kv.name
    );
    let role = AppRole::new(&otp.bao, &policy, json!({"token_ttl": "10m"}));
    let agent = Agent::start();
    let with = |rule: String| {
        let helper = otp.bao.helper(&format!("{rule}{}", role.table())).env("VAULT_ADDR", otp.relay.url());
        agent.serves(helper).env("SECRET_ID", role.secret_id(&otp.bao))
    };
    let (minter, reader) = (with(otp.rule("")), with(kv.rule("")));
    reader.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert_eq!(otp.relay.counts().1, 3, "logged in, read, logged out");
    let _ = secret(&minter.get("ghcr.io"));
    assert_eq!((otp.relay.counts().1, otp.leases().len()), (5, 1));
    // The policy allows no revoking of leases: only the end of the login takes it back.
    minter.erase("ghcr.io").is_silent();
    assert_eq!((otp.relay.counts().1, otp.leases().len()), (6, 0));
}

#[test]
fn a_killed_command_leaves_its_lease_to_the_agent() {
    let Some(otp) = Otp::find() else { return };
    let mut agent = Agent::start();
    let helper = agent.serves(otp.helper(""));
    for _ in 0..3 {
        let mut child = helper.command(&["get"]).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"ghcr.io").unwrap();
        until("it is made", || !agent.kept().is_empty());
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert_eq!(otp.leases().len(), 1);
    agent.signal(Signal::INT);
    assert_eq!(agent.ended().0.code, Some(0));
    assert_eq!(otp.leases().len(), 0);
}
