//! A server that is away, and logins that it refuses.

use std::thread;
use std::time::{Duration, Instant};

use super::{AppRole, Kv, rule};
use crate::support::agent::{Agent, at_once};
use crate::support::sluice::Gate;

#[test]
fn while_the_server_is_away_what_is_kept_is_given_and_the_rest_fails() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    let gate = Gate::to(&kv.bao.address);
    let other = rule("gcr.io", &format!("secret/data/{}", kv.name), "username = \"other\"");
    let config = format!("timeout = \"2s\"\n{}{other}", kv.rule("ttl = \"10m\""));
    let config = format!("{config}[agent]\nttl = \"1s\"\n");
    let helper = agent.serves(kv.bao.helper(&config)).env("VAULT_ADDR", gate.url());
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    gate.close();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(2500) {
        // Also after its time to live: an old one is better than none.
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    }
    let started = Instant::now();
    let answer = helper.get("gcr.io");
    let line = answer.fails_with(&[&format!("vault: secret/data/{}: ", kv.name), "; hint: "]).to_owned();
    assert!(started.elapsed() < Duration::from_secs(3));
    // A burst of look-ups is told the same, and nobody else tries meanwhile.
    for answer in at_once(&helper, "gcr.io", 5) {
        answer.is_line(&line);
    }
    gate.open();
    let started = Instant::now();
    while helper.get("gcr.io").code != Some(0) {
        assert!(started.elapsed() < Duration::from_millis(2500), "it is back, and still failing");
        thread::sleep(Duration::from_millis(50));
    }
    helper.get("gcr.io").is_found("gcr.io", "other", "pw-1");
}

#[test]
fn what_the_server_refuses_is_not_outlived_by_what_is_kept() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    let token = kv.bao.token(&format!("path \"secret/data/{}\" {{ capabilities = [\"read\"] }}", kv.name));
    let config = format!("{}[agent]\nttl = \"500ms\"\n", kv.rule(""));
    let helper = agent.serves(kv.bao.helper(&config)).env("VAULT_TOKEN", token.clone());
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    kv.bao.call("POST", "auth/token/revoke", &serde_json::json!({ "token": token }));
    thread::sleep(Duration::from_millis(600));
    helper.get("ghcr.io").fails_with(&["permission denied"]);
}

#[test]
fn a_refused_login_is_tried_once_until_its_secret_changes_or_flush() {
    let Some(kv) = Kv::find() else { return };
    let policy = format!("path \"secret/data/{}\" {{ capabilities = [\"read\"] }}", kv.name);
    let role = AppRole::new(&kv.bao, &policy, serde_json::json!({}));
    let agent = Agent::start();
    let with = |secret_id: &str| agent.serves(kv.helper(&role.table())).env("SECRET_ID", secret_id);
    let wrong = with("c0ffee00-0000-0000-0000-000000000000");
    let line = format!(
        "vault: secret/data/{}: login at auth/{}: invalid role or secret ID; hint: check role-id, mount and \
         namespace, and that the secret-id is neither used up nor expired",
        kv.name, role.mount
    );
    let again =
        format!("{line}; not tried again for 5 minutes or until `docker-credential-lease agent flush`");
    for _ in 0..5 {
        wrong.get("ghcr.io").fails_with(&[&line]);
    }
    for answer in at_once(&wrong, "ghcr.io", 5) {
        answer.is_line(&again);
    }
    // Longer than other failures are remembered.
    thread::sleep(Duration::from_millis(2300));
    wrong.get("ghcr.io").is_line(&again);
    assert_eq!(kv.requests(), 1);
    // The role is not locked, and the right one is tried at once.
    with(&role.secret_id(&kv.bao)).get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    wrong.get("ghcr.io").fails_with(&[&line]);
    let requests = kv.requests();
    wrong.run(&["agent", "flush"], "").is_silent();
    wrong.get("ghcr.io").fails_with(&[&line]);
    assert_eq!(kv.requests(), requests + 1);
}
