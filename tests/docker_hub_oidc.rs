//! Docker Hub's token exchange: a double of GitHub makes the tokens, and a double of Hub, reached as Hub is, takes them.

mod refusals;

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use url::form_urlencoded;

use crate::support::agent::{Agent, at_once};
use crate::support::hostile::Hostile;
use crate::support::jwt::{Signer, github, seconds_from_now, with};
use crate::support::proxy::Proxy;
use crate::support::tls::TlsFront;
use crate::support::{Answer, Helper};

const HOST: &str = "identity.docker.com";
const CONNECTION: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
pub(crate) const RULE: &str =
    "[registry.\"docker.io\"]\nsource = \"docker-hub-oidc\"\norganization = \"acme\"\n";
/// What to look at where Hub refuses.
const HINT: &str = "; hint: check organization and connection-id, that a ruleset of the connection lets this job in, \
                    and that the token is GitHub's, for the audience https://identity.docker.com";

/// GitHub, and Hub behind its own name: a proxy leads to it, and a CA of the test's own vouches for it.
pub(crate) struct Setup {
    github: Hostile,
    token: String,
    hub: Hostile,
    proxy: Proxy,
    front: TlsFront,
    folder: TempDir,
}

impl Setup {
    fn with(hub: Hostile) -> Self {
        let token = Signer::new().sign(&with(github(), json!({"aud": "https://identity.docker.com"})));
        let github = Hostile::answering(200, "", &json!({ "value": token }).to_string());
        let folder = tempfile::tempdir().unwrap();
        let front = TlsFront::new(&hub.authority, &[HOST], folder.path());
        let proxy = Proxy::to(&front.authority);
        Self { github, token, hub, proxy, front, folder }
    }

    /// Hub gives `t-1`, for as long as `more` says.
    pub(crate) fn giving(more: &str) -> Self {
        Self::with(Hostile::answering(200, "", &format!("{{\"access_token\":\"t-1\"{more}}}")))
    }

    fn refusing(status: u16, body: &str) -> Self {
        Self::with(Hostile::answering(status, "", body))
    }

    /// A GitHub job with the config.
    pub(crate) fn job(&self, config: &str) -> Helper {
        Helper::with_config(config).envs(&[
            ("GITHUB_ACTIONS", "true"),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{}/idtoken?v=1", self.github.url())),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "r3quest-token"),
            ("HTTPS_PROXY", &self.proxy.url()),
            ("SSL_CERT_FILE", self.front.ca.to_str().unwrap()),
            ("DOCKERHUB_OIDC_CONNECTIONID", CONNECTION),
        ])
    }

    /// How often Hub was asked.
    pub(crate) fn hub_heard(&self) -> usize {
        self.hub.heard().len()
    }

    /// Head and fields of the only request that Hub heard.
    fn asked(&self) -> (String, Vec<(String, String)>) {
        let heard = self.hub.heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
        let fields = form_urlencoded::parse(body.as_bytes()).map(|(name, value)| (name.into(), value.into()));
        (head.to_owned(), fields.collect())
    }

    fn field(&self, name: &str) -> String {
        self.asked()
            .1
            .into_iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value)
            .unwrap_or_default()
    }

    /// The look-up fails so, and nothing that it says holds a secret.
    #[track_caller]
    fn fails(&self, helper: Helper, sentence: &str) {
        let mut answer = helper.get("docker.io");
        // What comes from Hub comes through the proxy.
        if let Some((cause, rest)) = answer.stdout.split_once(" (through the proxy 127.0.0.1:") {
            let rest = rest.split_once(')').unwrap().1;
            answer.stdout = format!("{cause}{rest}");
        }
        answer.is_line(&format!("docker-hub-oidc: acme: {sentence}"));
        self.tells_nothing(&helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").get("docker.io"));
    }

    #[track_caller]
    fn tells_nothing(&self, answer: &Answer) {
        let told = format!("{}{}", answer.stdout, answer.stderr);
        let parts = self.token.split('.').chain(["r3quest-token", "t-1"]);
        parts.for_each(|secret| assert!(!told.contains(secret), "{secret}: {told}"));
    }
}

#[test]
fn githubs_token_becomes_hubs() {
    let setup = Setup::giving(",\"token_type\":\"Bearer\",\"expires_in\":300");
    setup.job(RULE).get("https://index.docker.io/v1/").is_found("https://index.docker.io/v1/", "acme", "t-1");
    let (head, fields) = setup.asked();
    let (line, headers) = head.split_once("\r\n").unwrap();
    assert_eq!(line, "POST /oauth/token HTTP/1.1");
    let headers = format!("\r\n{}\r\n", headers.to_ascii_lowercase());
    for header in ["host: identity.docker.com", "content-type: application/x-www-form-urlencoded"] {
        assert!(headers.contains(&format!("\r\n{header}\r\n")), "{headers}");
    }
    assert!(!headers.contains("authorization"), "{headers}");
    let expected = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("subject_token", &setup.token),
        ("connection_id", CONNECTION),
        ("expires_in", "300"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    // GitHub is asked for a token for Hub, and neither sees what is for the other, or for the proxy.
    let to_github = setup.github.heard();
    assert!(
        to_github[0].starts_with("GET /idtoken?v=1&audience=https%3A%2F%2Fidentity.docker.com HTTP/1.1\r\n")
    );
    assert_eq!(to_github.len(), 1);
    assert!(!setup.hub.heard().concat().contains("r3quest-token"));
    assert_eq!(setup.proxy.request_lines(), [format!("CONNECT {HOST}:443 HTTP/1.1")]);
    setup.tells_nothing(&setup.job(RULE).env("DOCKER_CREDENTIAL_LEASE_LOG", "1").list());
}

#[test]
fn the_rule_counts_before_the_environment() {
    let other = "11111111-2222-3333-4444-555555555555";
    let rule = format!("{RULE}connection-id = \"{other}\"\nexpires-in = 3600\n");
    for (rule, variables, expected) in [
        (RULE, vec![], (CONNECTION, "300")),
        (RULE, vec![("DOCKERHUB_OIDC_EXPIREIN", " 21600\n")], (CONNECTION, "21600")),
        (&rule, vec![("DOCKERHUB_OIDC_EXPIREIN", "nonsense")], (other, "3600")),
        (&rule, vec![("DOCKERHUB_OIDC_CONNECTIONID", "")], (other, "3600")),
    ] {
        let setup = Setup::giving("");
        setup.job(rule).envs(&variables).get("docker.io").is_found("docker.io", "acme", "t-1");
        let (connection, lifetime) = (setup.field("connection_id"), setup.field("expires_in"));
        assert_eq!((connection.as_str(), lifetime.as_str()), expected);
    }
}

#[test]
fn any_identity_token_can_be_shown() {
    let setup = Setup::giving("");
    let token = Signer::new().sign(&github());
    let rule = format!("{RULE}token = {{ env = \"JOB_TOKEN\" }}\n");
    let helper = setup.job(&rule).env("JOB_TOKEN", &token);
    helper.get("docker.io").is_found("docker.io", "acme", "t-1");
    assert_eq!(setup.field("subject_token"), token);
    assert!(setup.github.heard().is_empty());
    let old = Signer::new().sign(&with(github(), json!({"exp": seconds_from_now(-600)})));
    let sentence = "the token in JOB_TOKEN expired 10 minutes ago; hint: set it to a new one";
    setup.fails(setup.job(&rule).env("JOB_TOKEN", old), sentence);
    assert_eq!(setup.hub.heard().len(), 1);
}

#[test]
fn what_is_missing_is_named_and_nobody_is_asked() {
    let setup = Setup::giving("");
    let hint = "; hint: set connection-id in the rule, or DOCKERHUB_OIDC_CONNECTIONID, to the connection's UUID, as \
                Docker Hub shows it";
    let without = "no connection: DOCKERHUB_OIDC_CONNECTIONID is not set";
    setup.fails(setup.job(RULE).env("DOCKERHUB_OIDC_CONNECTIONID", ""), &format!("{without}{hint}"));
    let wrong = "what DOCKERHUB_OIDC_CONNECTIONID holds is no UUID";
    setup.fails(setup.job(RULE).env("DOCKERHUB_OIDC_CONNECTIONID", "t-1"), &format!("{wrong}{hint}"));
    for lifetime in ["299", "21601", "5m", "-300", "300.5"] {
        let sentence = "what DOCKERHUB_OIDC_EXPIREIN holds is not a whole number of seconds from 300 to 21600; \
                        hint: set expires-in in the rule, or correct it";
        setup.fails(setup.job(RULE).env("DOCKERHUB_OIDC_EXPIREIN", lifetime), sentence);
    }
    let permission = "no GitHub token: ACTIONS_ID_TOKEN_REQUEST_URL is not set; hint: give the job `permissions: \
                      id-token: write`; builds of forked pull requests cannot have it";
    setup.fails(setup.job(RULE).env("ACTIONS_ID_TOKEN_REQUEST_URL", ""), permission);
    assert!(setup.github.heard().is_empty() && setup.hub.heard().is_empty());
}

#[test]
fn an_agent_keeps_it_until_it_ends_and_has_it_fetched_anew() {
    let answers = ["t-1", "t-2"].map(|token| format!("{{\"access_token\":\"{token}\",\"expires_in\":4}}"));
    let answers: Vec<(u16, &str, &str)> = answers.iter().map(|body| (200, "", body.as_str())).collect();
    let (setup, agent) = (Setup::with(Hostile::in_turn(&answers)), Agent::start());
    let helper = agent.serves(setup.job(RULE));
    for answer in at_once(&helper, "docker.io", 8) {
        answer.is_found("docker.io", "acme", "t-1");
    }
    assert_eq!((setup.github.heard().len(), setup.hub.heard().len()), (1, 1));
    let kept = &agent.kept()[0];
    assert_eq!(
        (&kept["source"], &kept["place"], &kept["username"]),
        (&json!("docker-hub-oidc"), &json!("acme"), &json!("acme"))
    );
    assert!(kept["expires"].is_string() && kept["lease"] == Value::Null, "{kept}");
    // Half of its life is over.
    thread::sleep(Duration::from_millis(2100));
    helper.get("docker.io").is_found("docker.io", "acme", "t-2");
    assert_eq!(setup.hub.heard().len(), 2);
}

#[test]
fn a_life_that_hub_does_not_state_is_the_one_that_was_asked_for() {
    let (setup, agent) = (Setup::giving(""), Agent::start());
    let helper = agent.serves(setup.job(&format!("{RULE}expires-in = 3600\n")));
    helper.get("docker.io").is_found("docker.io", "acme", "t-1");
    let kept = agent.kept();
    let life = |name: &str| kept[0][name].as_str().map(str::to_owned);
    let (fetched, expires) = (life("fetched").unwrap(), life("expires").unwrap());
    // An hour on, give or take the second in which it was asked.
    let hour = |time: &str| time[11..13].parse::<u32>().unwrap();
    assert_eq!((hour(&fetched) + 1) % 24, hour(&expires), "{fetched} {expires}");
}

#[test]
fn another_job_or_connection_is_another_question() {
    let (setup, agent) = (Setup::giving(",\"expires_in\":3600"), Agent::start());
    let helper = || agent.serves(setup.job(RULE));
    let asked = |helper: Helper| {
        helper.get("docker.io").is_found("docker.io", "acme", "t-1");
        setup.hub.heard().len()
    };
    // The home is another one each time, the question is not.
    let config =
        |helper: Helper| helper.env("DOCKER_CREDENTIAL_LEASE_CONFIG_TOML", RULE).env("HOME", "/nowhere");
    assert_eq!(asked(config(helper())), 1);
    assert_eq!(asked(config(helper())), 1);
    assert_eq!(asked(config(helper()).env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "another")), 2);
    let other = "11111111-2222-3333-4444-555555555555";
    assert_eq!(asked(config(helper()).env("DOCKERHUB_OIDC_CONNECTIONID", other)), 3);
    assert_eq!(asked(config(helper()).env("DOCKERHUB_OIDC_EXPIREIN", "600")), 4);
}

#[test]
fn docker_login_and_list_mint_nothing() {
    let setup = Setup::giving("");
    let helper = setup.job(RULE);
    assert_eq!(helper.list().stdout, "{\"https://index.docker.io/v1/\":\"acme\"}\n");
    helper.store("https://index.docker.io/v1/", "acme", "anything").is_silent();
    helper
        .store("https://index.docker.io/v1/", "someone", "anything")
        .fails_with(&["the rule's user is acme"]);
    helper.erase("https://index.docker.io/v1/").is_silent();
    assert!(setup.github.heard().is_empty() && setup.hub.heard().is_empty());
}
