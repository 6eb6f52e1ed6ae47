//! A pod's own token and annotations: shown to whom the config says, and never another pod's.

use serde_json::{Value, json};

use super::{Given, fails_with, given, request};
use crate::support::agent::Agent;
use crate::support::jwt::{JwtMount, Signer, github, seconds_from_now, with};
use crate::support::recorder::Recorder;
use crate::support::relay::Relay;
use crate::support::servers::Moto;
use crate::support::{Answer, Helper};

const ROLE: &str = "arn:aws:iam::123456789012:role/pull";
const NONE: &str = "the kubelet sent no service account token; hint: set tokenAttributes for this provider in the \
                    kubelet's config; static pods have none";

fn pull(helper: &Helper, token: &str, annotations: &Value) -> Answer {
    helper.run(&["kubelet"], request("v1", "ghcr.io/acme/app", token, annotations))
}

/// A token of the mount for this pod.
fn token(mount: &JwtMount, pod: &str) -> String {
    mount.signer.sign(&with(github(), json!({"sub": format!("system:serviceaccount:ci:{pod}")})))
}

fn octocat() -> Given {
    given("Registry", "5m0s", &[("ghcr.io", "octocat", "pw-1")])
}

#[test]
fn a_pods_token_is_shown_to_vault() {
    let Some(mount) = JwtMount::github() else { return };
    let helper = mount.helper("\"service-account\"");
    let found = Given::of(pull(&helper, &token(&mount, "a"), &json!({})), "v1");
    assert_eq!((found, mount.logins()), (octocat(), 0));
    let relay = Relay::to(&mount.bao.address);
    let helper = mount.helper("\"service-account\"").env("VAULT_ADDR", relay.url());
    let place = format!("vault: {}: ", mount.path);
    assert_eq!(fails_with(&pull(&helper, "", &json!({})), &[]), format!("{place}{NONE}"));
    let old = mount.signer.sign(&with(github(), json!({"exp": seconds_from_now(-300)})));
    let line = fails_with(
        &pull(&helper, &old, &json!({})),
        &[&place, "the token that the kubelet sent expired 5 minutes ago"],
    );
    assert!(!line.contains("eyJ"), "{line}");
    fails_with(
        &pull(&helper, "no token", &json!({})),
        &["the token that the kubelet sent is no identity token"],
    );
    assert_eq!(relay.counts(), (0, 0));
    let stranger = Signer::new().sign(&github());
    let line = fails_with(&pull(&helper, &stranger, &json!({})), &["login at auth/"]);
    assert!(!line.contains("eyJ"), "{line}");
}

#[test]
fn pods_never_share_what_one_of_them_was_given() {
    let Some(mount) = JwtMount::github() else { return };
    let relay = Relay::to(&mount.bao.address);
    let agent = Agent::start();
    let helper = agent.serves(mount.helper("\"service-account\"").env("VAULT_ADDR", relay.url()));
    let requests = |token: &str, annotations: &Value| {
        let before = relay.counts().1;
        assert_eq!(Given::of(pull(&helper, token, annotations), "v1"), octocat());
        relay.counts().1 - before
    };
    let (a, b) = (token(&mount, "a"), token(&mount, "b"));
    // Login, read, and the login given back; then from memory.
    assert_eq!([requests(&a, &json!({})), requests(&a, &json!({}))], [3, 0]);
    assert_eq!([requests(&b, &json!({})), requests(&a, &json!({}))], [3, 0]);
    assert_eq!(requests(&a, &json!({"acme.example/team": "x"})), 3);
    // Whose token nobody knows is not given what others may have; nor is a person.
    fails_with(&pull(&helper, &Signer::new().sign(&github()), &json!({})), &["login at auth/"]);
    helper.get("ghcr.io").fails_with(&["no file /var/run/secrets/kubernetes.io/serviceaccount/token"]);
}

#[test]
fn other_connections_are_shared_by_all_pods() {
    let Some(mount) = JwtMount::github() else { return };
    let relay = Relay::to(&mount.bao.address);
    let agent = Agent::start();
    let helper = mount.helper("{ env = \"NODE_TOKEN\" }").env("NODE_TOKEN", token(&mount, "node"));
    let helper = agent.serves(helper.env("VAULT_ADDR", relay.url()));
    for pod in ["a", "b"] {
        assert_eq!(Given::of(pull(&helper, &token(&mount, pod), &json!({})), "v1"), octocat());
    }
    assert_eq!(relay.counts().1, 3);
}

#[test]
fn an_annotation_names_vaults_role() {
    let Some(mount) = JwtMount::github() else { return };
    mount.role("team-a", &json!({"bound_audiences": ["https://github.com/acme"]}));
    let relay = Relay::to(&mount.bao.address);
    let with = |role: &str| {
        let config = mount.config(role, "\"service-account\"");
        Helper::with_config(&config).env("VAULT_ADDR", relay.url())
    };
    let helper = with("team-{annotation:acme.example/team}");
    let told = json!({"acme.example/team": "a"});
    assert_eq!(Given::of(pull(&helper, &token(&mount, "a"), &told), "v1"), octocat());
    let requests = relay.counts().1;
    let missing = "the pod's service account has no annotation acme.example/team; hint: annotate it, and name \
                   acme.example/team in requiredServiceAccountAnnotationKeys of the kubelet's provider";
    for annotations in [json!({}), json!({"acme.example/other": "a"}), json!({"acme.example/team": ""})] {
        fails_with(&pull(&helper, &token(&mount, "a"), &annotations), &[missing]);
    }
    for hostile in ["../ci", "a/b", "a\nb", "a b", "a\u{0}"] {
        let told = json!({"acme.example/team": hostile});
        fails_with(
            &pull(&helper, &token(&mount, "a"), &told),
            &["the annotation makes no role's name; hint: "],
        );
    }
    let elsewhere = "role holds the annotation acme.example/team of a pod, which only the kubelet tells; hint: use a \
                     connection whose role stands in the config";
    helper.get("ghcr.io").fails_with(&[elsewhere]);
    assert_eq!(relay.counts().1, requests, "none of these was sent");
    // A role that is not the pod's to have is the server's to refuse.
    let told = json!({"acme.example/team": "b"});
    fails_with(&pull(&helper, &token(&mount, "a"), &told), &["login at auth/", "team-b"]);
}

#[test]
fn a_pods_token_and_role_are_shown_to_aws() {
    let Some(moto) = Moto::find() else { return };
    let secret = moto.secret(r#"{"username":"octocat","password":"pw-1"}"#);
    let config = |role: &str| {
        format!(
            "[registry.\"ghcr.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"{secret}\"\n[aws.default]\n\
             web-identity = \"service-account\"\n{role}\n"
        )
    };
    let recorder = Recorder::to(&moto.url);
    let with = |role: &str| {
        // What the node itself has must not count.
        Helper::with_config(&config(role)).envs(&[
            ("AWS_ENDPOINT_URL", &recorder.url()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"),
        ])
    };
    let token = Signer::new().sign(&github());
    let helper = with("role-arn = \"{annotation:eks.amazonaws.com/role-arn}\"");
    let told = json!({"eks.amazonaws.com/role-arn": ROLE});
    assert_eq!(Given::of(pull(&helper, &token, &told), "v1"), octocat());
    let first = &recorder.exchanges()[0];
    assert_eq!((first.field("WebIdentityToken"), first.field("RoleArn").as_str()), (token.clone(), ROLE));
    assert_eq!(recorder.actions(), ["AssumeRoleWithWebIdentity", "GetSecretValue"]);
    for hostile in
        ["pull", "arn:aws:iam::1:user/x", "arn:aws:iam::123456789012:role/a b", "n0t an arn:role/x"]
    {
        let told = json!({"eks.amazonaws.com/role-arn": hostile});
        let line = fails_with(
            &pull(&helper, &token, &told),
            &["role-arn is no role's ARN with the pod's annotations filled in"],
        );
        assert!(!line.contains(hostile) || hostile == "pull", "{line}");
    }
    fails_with(&pull(&helper, &token, &json!({})), &["no annotation eks.amazonaws.com/role-arn"]);
    fails_with(&pull(&helper, "", &told), &[NONE]);
    helper.get("ghcr.io").fails_with(&["role-arn holds the annotation eks.amazonaws.com/role-arn of a pod"]);
    assert_eq!(recorder.exchanges().len(), 2);
    // A stated role, and one that the account's name makes.
    let named = json!({"acme.example/role": "pull"});
    for role in [
        format!("role-arn = \"{ROLE}\""),
        "role-arn = \"arn:aws:iam::123456789012:role/{annotation:acme.example/role}\"".to_owned(),
    ] {
        assert_eq!(Given::of(pull(&with(&role), &token, &named), "v1"), octocat());
        assert_eq!(recorder.exchanges().iter().rev().nth(1).unwrap().field("RoleArn"), ROLE);
    }
}
