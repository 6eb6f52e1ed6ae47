//! It never calls itself, under whatever name.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use super::{Chain, KNOWS, RULE};

const BINARY: &str = env!("CARGO_BIN_EXE_docker-credential-lease");
const REFUSED: &str = "it is this program itself, or this program was called by a helper; hint: name another helper: \
    none is called in a circle";

/// There is nothing to be had, nothing is kept, and it does not take long.
#[track_caller]
fn ends(chain: &Chain, name: &str) {
    let started = Instant::now();
    chain.helper.get("ghcr.io").is_not_found();
    chain.helper.get("docker.io").is_not_found();
    chain.helper.get("https://index.docker.io/v1/refresh-token").is_not_found();
    assert_eq!(chain.helper.list().stdout, "{}\n", "{name}");
    chain.helper.erase("ghcr.io").is_silent();
    let answer = chain.helper.store("ghcr.io", "octocat", "pw-1");
    let line = answer.fails_with(&[&format!("helper: docker-credential-{name}: ")]);
    // A copy is called, and what it says after a `store` is not repeated.
    let refused = REFUSED.split(';').next().unwrap();
    assert!(line.contains(refused) || line.contains("what it printed is not repeated"), "{line}");
    assert!(!line.contains("pw-1"), "{line}");
    assert!(started.elapsed() < Duration::from_secs(2), "{name}: {:?}", started.elapsed());
}

#[test]
fn neither_by_name_nor_through_a_link_nor_as_a_copy() {
    let chain = Chain::new(KNOWS);
    let bin = chain.helper.home().join("bin");
    symlink(BINARY, bin.join("docker-credential-lease")).unwrap();
    symlink(bin.join("docker-credential-lease"), bin.join("docker-credential-link")).unwrap();
    fs::copy(BINARY, bin.join("docker-credential-copy")).unwrap();
    symlink(bin.join("docker-credential-copy"), bin.join("docker-credential-linked-copy")).unwrap();
    // Where the build stands on another file system there are no hard links.
    let linked = fs::hard_link(BINARY, bin.join("docker-credential-hard")).is_ok();
    for name in
        ["lease", "link", "copy", "linked-copy", "hard"].iter().filter(|name| **name != "hard" || linked)
    {
        fs::write(chain.helper.config_file(), RULE.replace("pass", name)).unwrap();
        ends(&chain, name);
    }
    assert_eq!(chain.calls(), "");
}

#[test]
fn who_was_called_by_a_helper_calls_none() {
    let chain = Chain::new(KNOWS).env("DOCKER_CREDENTIAL_LEASE_DEPTH", "1");
    ends(&chain, "pass");
    assert_eq!(chain.calls(), "");
    // Other rules still answer.
    let more = "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"rule\"\npassword-env = \"P\"\n";
    fs::write(chain.helper.config_file(), format!("{RULE}{more}")).unwrap();
    chain.env("P", "pw-rule").helper.get("ghcr.io").is_found("ghcr.io", "rule", "pw-rule");
}

#[test]
fn two_that_pass_on_to_each_other_come_to_an_end() {
    let chain = Chain::new(&format!("exec '{BINARY}' \"$1\" <<END\n$asked\nEND"));
    let started = Instant::now();
    chain.helper.get("ghcr.io").is_not_found();
    chain.were_called(&["get <ghcr.io>"]);
    assert_eq!(chain.helper.list().stdout, "{}\n");
    chain.were_called(&["list <unused>"]);
    assert!(started.elapsed() < Duration::from_secs(1));
}
