//! Many at once: nothing is lost, and nobody reads a mixture.

use std::fs::{self, File};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use super::{json_of, names, with};

#[test]
fn stores_of_different_hosts_lose_none() {
    let helper = with("*", "path = \"~/f\"\nstore = \"write\"\nerase = \"delete\"");
    let helper = &helper;
    let hosts: Vec<String> = (0..24).map(|number| format!("h{number}.example")).collect();
    thread::scope(|scope| {
        for host in &hosts {
            scope.spawn(move || helper.store(host, "octocat", host).is_silent());
        }
    });
    assert_eq!(json_of(helper, "f")["auths"].as_object().unwrap().len(), hosts.len());
    thread::scope(|scope| {
        for host in &hosts[1..] {
            scope.spawn(move || helper.erase(host).is_silent());
        }
    });
    let left: Vec<String> = json_of(helper, "f")["auths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(left, [hosts[0].clone()]);
    assert_eq!(names(helper, ""), [".config", "f"]);
}

#[test]
fn one_host_ends_with_one_of_them_and_is_never_read_as_a_mixture() {
    for rule in ["path = \"~/f/json\"", "username-file = \"~/f/user\"\npassword-file = \"~/f/password\""] {
        let helper = with("ghcr.io", &format!("{rule}\nstore = \"write\""));
        helper.store("ghcr.io", "user-0", "pw-0").is_silent();
        let read = || {
            let answer = helper.get("ghcr.io");
            let found: Value = serde_json::from_str(&answer.stdout).unwrap_or_else(|_| panic!("{answer:?}"));
            let number = |key: &str, before: &str| {
                found[key].as_str().unwrap().strip_prefix(before).unwrap().to_owned()
            };
            assert_eq!(number("Username", "user-"), number("Secret", "pw-"));
        };
        thread::scope(|scope| {
            for writer in 1..=3 {
                let helper = &helper;
                scope.spawn(move || {
                    for round in 0..6 {
                        let number = writer * 100 + round;
                        helper
                            .store("ghcr.io", &format!("user-{number}"), &format!("pw-{number}"))
                            .is_silent();
                    }
                });
            }
            for _ in 0..3 {
                scope.spawn(|| (0..8).for_each(|_| read()));
            }
        });
        read();
        assert!(!names(&helper, "f").iter().any(|name| name.starts_with('.')));
    }
}

#[test]
fn a_folder_that_somebody_holds_is_waited_for_and_no_longer_than_the_deadline() {
    let helper = with("ghcr.io", "path = \"~/f/json\"\nstore = \"write\"");
    fs::create_dir(helper.home().join("f")).unwrap();
    let folder = File::open(helper.home().join("f")).unwrap();
    flock(&folder, FlockOperation::LockExclusive).unwrap();
    let started = Instant::now();
    thread::scope(|scope| {
        let storing = scope.spawn(|| helper.store("ghcr.io", "octocat", "pw-1").is_silent());
        thread::sleep(Duration::from_millis(300));
        assert!(!helper.home().join("f/json").exists());
        flock(&folder, FlockOperation::Unlock).unwrap();
        storing.join().unwrap();
    });
    assert!(started.elapsed() < Duration::from_secs(5));
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let text = fs::read_to_string(helper.config_file()).unwrap();
    fs::write(helper.config_file(), format!("timeout = \"1s\"\n{text}")).unwrap();
    flock(&folder, FlockOperation::LockExclusive).unwrap();
    let line = format!(
        "file: {}: timed out after 1s: another program holds its folder; hint: see which one with `fuser`, and try again",
        helper.home().join("f/json").display()
    );
    helper.store("ghcr.io", "octocat", "pw-2").is_line(&line);
    helper.erase("ghcr.io").is_silent();
    // What is put in its place whole is read whatever anybody holds.
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn whoever_holds_the_folder_keeps_nobody_from_reading() {
    let helper = with("ghcr.io", "username-file = \"~/f/user\"\npassword-file = \"~/f/password\"");
    super::write(&helper, "f/user", "octocat");
    super::write(&helper, "f/password", "pw-1");
    let folder = File::open(helper.home().join("f")).unwrap();
    flock(&folder, FlockOperation::LockExclusive).unwrap();
    let started = Instant::now();
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
