//! `source = "helper"`: the helper that was there before, in both directions.

mod circle;
mod failing;
mod real;
mod store;

use std::fs;

use crate::support::Helper;
use crate::support::program::write_script;

const RULE: &str = "[registry.\"*\"]\nsource = \"helper\"\nname = \"pass\"\n";

/// Has one for everything.
const KNOWS: &str = r#"echo '{"ServerURL":"x","Username":"octocat","Secret":"pw-1"}'"#;
/// What clients take for none.
const HAS_NONE: &str = "echo 'credentials not found in native keychain'; exit 1";

/// The helper with a rule for everything, and programs of its own on PATH.
struct Chain {
    helper: Helper,
}

impl Chain {
    /// With `docker-credential-pass`, a script that notes how it was called.
    fn new(script: &str) -> Self {
        Self::with_config(RULE, script)
    }

    fn with_config(config: &str, script: &str) -> Self {
        let helper = Helper::with_config(config);
        let path = format!("{}:{}", helper.home().join("bin").display(), std::env::var("PATH").unwrap());
        let chain = Self { helper: helper.env("PATH", path) };
        chain.program("docker-credential-pass", script);
        chain
    }

    fn env(self, name: &str, value: &str) -> Self {
        Self { helper: self.helper.env(name, value) }
    }

    fn program(&self, name: &str, script: &str) {
        let note =
            "asked=$(cat); echo \"${0##*/} $* <$asked> $DOCKER_CREDENTIAL_LEASE_DEPTH\" >>\"$HOME/calls\"";
        write_script(&self.helper.home().join("bin").join(name), &format!("{note}\n{script}"));
    }

    /// The calls since the last time.
    fn calls(&self) -> String {
        let file = self.helper.home().join("calls");
        let calls = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(file);
        calls
    }

    #[track_caller]
    fn were_called(&self, lines: &[&str]) {
        let lines: String = lines.iter().map(|line| format!("docker-credential-pass {line} 1\n")).collect();
        assert_eq!(self.calls(), lines);
    }
}

#[test]
fn it_is_asked_in_the_client_s_own_words() {
    let chain = Chain::new(KNOWS);
    for asked in ["ghcr.io", "https://Quay.IO/v2/", "http://10.0.0.1:5000/a/b", "my_registry:80"] {
        chain.helper.get(format!(" {asked}\r\n")).is_found(asked, "octocat", "pw-1");
        chain.were_called(&[&format!("get <{asked}>")]);
    }
    // What is no registry is asked of nobody.
    for asked in ["nerdctl-experimental://default/host/x", "a b", "https://u:p@ghcr.io"] {
        chain.helper.get(asked).is_not_found();
    }
    chain.were_called(&[]);
}

#[test]
fn a_more_specific_rule_answers_first() {
    let more = "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"rule\"\npassword-env = \"P\"\n";
    let chain = Chain::with_config(&format!("{RULE}{more}"), KNOWS).env("P", "pw-rule");
    chain.helper.get("ghcr.io").is_found("ghcr.io", "rule", "pw-rule");
    chain.were_called(&[]);
}

#[test]
fn what_it_has_not_is_not_found() {
    for script in [
        HAS_NONE,
        "printf ' credentials not found in native keychain \\r\\n\\n'; exit 3",
        r#"echo '{"ServerURL":"","Username":"","Secret":""}'"#,
        r#"echo '{"Username":"","Secret":""}'"#,
        r#"echo '{"ServerURL":"","Username":null,"Secret":null}'"#,
        "echo '{}'",
        "echo null",
    ] {
        let chain = Chain::new(script);
        chain.helper.get("ghcr.io").is_not_found();
        chain.were_called(&["get <ghcr.io>"]);
    }
}

#[test]
fn docker_hub_under_another_name_is_also_asked_for_as_docker_calls_it() {
    let chain =
        Chain::new(&format!("[ \"$asked\" = https://index.docker.io/v1/ ] && {KNOWS} && exit\n{HAS_NONE}"));
    for asked in
        ["docker.io", "index.docker.io", "https://registry-1.docker.io:443", "index.docker.io/library/alpine"]
    {
        chain.helper.get(asked).is_found(asked, "octocat", "pw-1");
        chain.were_called(&[&format!("get <{asked}>"), "get <https://index.docker.io/v1/>"]);
    }
    chain.helper.get("https://index.docker.io/v1/").is_found(
        "https://index.docker.io/v1/",
        "octocat",
        "pw-1",
    );
    chain.were_called(&["get <https://index.docker.io/v1/>"]);
    // Its sub-keys are nothing that the Hub's login would do for.
    for asked in ["https://index.docker.io/v1/access-token", "https://index.docker.io/v1/refresh-token"] {
        chain.helper.get(asked).is_not_found();
        chain.were_called(&[&format!("get <{asked}>")]);
    }
    for asked in ["ghcr.io", "hub.docker.com", "docker.io.evil.example"] {
        chain.helper.get(asked).is_not_found();
        chain.were_called(&[&format!("get <{asked}>")]);
    }
}

#[test]
fn what_it_has_under_the_very_name_comes_first() {
    let chain = Chain::new(KNOWS);
    for asked in ["docker.io", "https://index.docker.io/v1/access-token"] {
        chain.helper.get(asked).is_found(asked, "octocat", "pw-1");
        chain.were_called(&[&format!("get <{asked}>")]);
    }
}

#[test]
fn sub_keys_are_asked_only_where_the_rule_is_for_docker_hub() {
    let chain = Chain::with_config(&RULE.replace("\"*\"", "\"ghcr.io\""), KNOWS);
    chain.helper.get("https://index.docker.io/v1/access-token").is_not_found();
    chain.were_called(&[]);
    let chain = Chain::with_config(&RULE.replace("\"*\"", "\"docker.io\""), KNOWS);
    let asked = "https://index.docker.io/v1/access-token";
    chain.helper.get(asked).is_found(asked, "octocat", "pw-1");
    chain.were_called(&[&format!("get <{asked}>")]);
}

#[test]
fn an_identity_token_passes_through() {
    let chain = Chain::new(
        r#"printf %s '{"ServerURL":"x","Username":"\u003ctoken\u003e","Secret":"ey.\"\u00e9\n","More":[1]}'"#,
    );
    chain.helper.get("ghcr.io").is_found("ghcr.io", "<token>", "ey.\"é\n");
}

#[test]
fn an_answer_is_taken_as_clients_take_it() {
    for printed in [
        r#"{"username":"octocat","secret":"pw-1"}"#,
        r#"{"Username":"octocat","Secret":"pw-1"} more"#,
        r#"{"Username":"octocat","Secret":"pw-1"}{"#,
        r#"{"ServerURL":null,"Username":"octocat","Secret":"pw-1"}
bye"#,
    ] {
        let chain = Chain::new(&format!("echo '{printed}'"));
        chain.helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    }
    let chain = Chain::new(r#"echo '{"Username":null,"Secret":"pw-1"}'"#);
    chain.helper.get("ghcr.io").is_found("ghcr.io", "", "pw-1");
    let chain = Chain::new(r#"echo '{"quay.io":"octocat"} more'"#);
    assert_eq!(chain.helper.list().stdout, "{\"quay.io\":\"octocat\"}\n");
}

#[test]
fn what_it_says_on_stderr_is_not_shown_where_it_succeeds() {
    let chain = Chain::new(&format!("echo noise >&2\n{KNOWS}\nhead -c 300000 /dev/zero >&2"));
    let answer = chain.helper.get("ghcr.io");
    answer.is_found("ghcr.io", "octocat", "pw-1");
    let chain = Chain::new(&format!("echo noise >&2\n{HAS_NONE}"));
    chain.helper.get("ghcr.io").is_not_found();
}

#[test]
fn what_it_has_started_is_neither_waited_for_nor_ended() {
    // As an agent of its own would, it keeps stderr open.
    let chain = Chain::new(&format!("(sleep 1; echo late >\"$HOME/late\") >/dev/null &\n{KNOWS}"));
    let started = std::time::Instant::now();
    chain.helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert!(started.elapsed() < std::time::Duration::from_millis(900), "{:?}", started.elapsed());
    let late = chain.helper.home().join("late");
    while !late.exists() {
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "it was ended");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn an_agent_never_keeps_its_answers() {
    let chain = Chain::with_config(&format!("{RULE}[agent]\nautostart = true\n"), KNOWS);
    for _ in 0..2 {
        chain.helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        chain.were_called(&["get <ghcr.io>"]);
    }
    assert_eq!(chain.helper.run(&["agent", "status"], "").code, Some(1));
}
