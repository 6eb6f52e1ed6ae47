//! Logins that no rule is for: in the agent's memory, and nowhere else.

use std::fs;
use std::path::Path;

use super::Kv;
use crate::support::Helper;
use crate::support::agent::Agent;

/// Every file below the folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path().display().to_string()),
        }
    }
    found.sort();
    found
}

#[test]
fn a_login_lives_in_memory_until_it_is_erased() {
    let agent = Agent::start();
    let helper = agent.serves(Helper::with_config(""));
    helper.store("https://gcr.io/v2/", "me", "pw-login").is_silent();
    helper.store("https://index.docker.io/v1/", "hub", "pw-hub").is_silent();
    helper.get("gcr.io").is_found("gcr.io", "me", "pw-login");
    helper.get("docker.io").is_found("docker.io", "hub", "pw-hub");
    // The port is part of the registry, and no other registry is given it.
    for other in ["gcr.io:5000", "eu.gcr.io", "gcr.io.evil.example", "evil.example/gcr.io"] {
        helper.get(other).is_not_found();
    }
    assert_eq!(helper.list().stdout, "{\"gcr.io\":\"me\",\"https://index.docker.io/v1/\":\"hub\"}\n");
    helper.store("gcr.io", "you", "pw-new").is_silent();
    helper.get("gcr.io").is_found("gcr.io", "you", "pw-new");
    helper.erase("https://gcr.io").is_silent();
    helper.get("gcr.io").is_not_found();
    helper.erase("gcr.io").is_silent();
    assert_eq!(helper.list().stdout, "{\"https://index.docker.io/v1/\":\"hub\"}\n");
    assert_eq!(files(helper.home()), [helper.config_file().display().to_string()]);
    let names: Vec<String> = files(agent.folder());
    assert_eq!(names.len(), 2, "the socket and its lock: {names:?}");
    assert_eq!(fs::read(agent.folder().join("agent.sock.lock")).unwrap(), b"");
}

#[test]
fn flush_and_the_agents_end_forget_logins() {
    let mut agent = Agent::start();
    agent.talker().store("gcr.io", "me", "pw-login").is_silent();
    agent.talker().run(&["agent", "flush", "ghcr.io"], "").is_silent();
    agent.talker().get("gcr.io").is_found("gcr.io", "me", "pw-login");
    agent.talker().run(&["agent", "flush"], "").is_silent();
    agent.talker().get("gcr.io").is_not_found();
    agent.talker().store("gcr.io", "me", "pw-login").is_silent();
    agent.start_again(|_| {});
    agent.talker().get("gcr.io").is_not_found();
    assert_eq!(agent.talker().list().stdout, "{}\n");
}

#[test]
fn without_an_agent_a_login_is_refused_with_the_pattern_to_add() {
    let helper = Helper::with_config("");
    let line = format!(
        "no rule for gcr.io, and nothing is kept on disk; hint: add [registry.\"gcr.io\"] to {}",
        helper.config_file().display()
    );
    helper.store("gcr.io", "me", "pw-login").is_line(&line);
}

#[test]
fn a_rule_counts_before_any_login() {
    let Some(kv) = Kv::find() else { return };
    let agent = Agent::start();
    // Kept while there was no rule for it.
    agent.talker().store("ghcr.io", "me", "pw-login").is_silent();
    let helper = agent.serves(kv.helper(""));
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    helper.store("ghcr.io", "me", "pw-login").fails_with(&["it holds another credential"]);
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
}

#[test]
fn a_login_that_holds_anything_comes_back_as_it_was() {
    let agent = Agent::start();
    let secret = "\u{0}\"\\\n\u{1b}😀".repeat(1000);
    agent.talker().store("gcr.io", "ü\"\n", &secret).is_silent();
    agent.talker().get("gcr.io").is_found("gcr.io", "ü\"\n", &secret);
}

#[test]
fn status_names_them_without_their_secret() {
    let agent = Agent::start();
    agent.talker().store("gcr.io", "me", "pw-login").is_silent();
    let kept = agent.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!((&kept[0]["registry"], &kept[0]["source"]), (&"gcr.io".into(), &"login".into()));
    assert_eq!((&kept[0]["username"], &kept[0]["expires"]), (&"me".into(), &serde_json::Value::Null));
    assert!(kept[0]["fetched"].as_str().unwrap().starts_with("20"));
    let told = agent.talker().run(&["agent", "status"], "").stdout;
    assert!(told.contains("gcr.io: me from login: memory") && !told.contains("pw-"), "{told}");
}
