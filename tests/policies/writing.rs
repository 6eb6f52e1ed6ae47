//! The policy for a rule that is written to: with it everything goes, and with less the helper names what is missing.
//!
//! moto looks at the actions of a policy and not at its resources, and asks for no right to tag what is made.

use serde_json::{Value, json};

use super::json as policy;
use crate::support::Helper;
use crate::support::own_moto::OwnMoto;
use crate::support::recorder::{Recorder, Reply};

/// What the user's policy lacks, and who that is.
const LESS: [(&str, &str); 8] = [
    ("secretsmanager:GetSecretValue", "reader"),
    ("secretsmanager:PutSecretValue", "writer"),
    ("secretsmanager:CreateSecret", "maker"),
    ("secretsmanager:DeleteSecret", "eraser"),
    ("secretsmanager:RestoreSecret", "restorer"),
    ("secretsmanager:ListSecrets", "lister"),
    ("secretsmanager:BatchGetSecretValue", "user-lister"),
    ("nothing", "owner"),
];

/// The statements, for all that moto knows, without the one action.
fn without(action: &str) -> String {
    let mut policy = policy(
        "aws/write-secrets.json",
        &[("arn:aws:secretsmanager:eu-west-1:111122223333:secret:registries/*", "*")],
    );
    for statement in policy["Statement"].as_array_mut().unwrap() {
        statement["Action"].as_array_mut().unwrap().retain(|allowed| allowed != action);
    }
    policy.to_string()
}

// One test, since the server takes a few seconds to start.
#[test]
fn everything_in_the_policy_is_needed_and_nothing_else_is() {
    let Some(own) = OwnMoto::start() else { return };
    let object = json!({"username": "acme", "password": "p4ss"}).to_string();
    let create = |name: &str| {
        own.moto.call("us-east-1", "CreateSecret", &json!({"Name": name, "SecretString": object}));
    };
    let users: Vec<(&str, &str, (String, String))> = LESS
        .iter()
        .map(|(action, name)| {
            create(&format!("registries/{name}/there.io"));
            let gone = format!("registries/{name}/gone.io");
            create(&gone);
            own.moto.call("us-east-1", "DeleteSecret", &json!({"SecretId": gone}));
            let key = own.user(name);
            let policy = without(action);
            own.iam("PutUserPolicy", &[("UserName", name), ("PolicyName", "p"), ("PolicyDocument", &policy)]);
            (*action, *name, key)
        })
        .collect();
    own.enforce();
    // moto words its refusals as EC2 would.
    let aws = Recorder::rewording(&own.moto.url, |asked| {
        let (code, message) = (asked.answered("Code"), asked.answered("Message"));
        let refused = asked.answer.starts_with("HTTP/1.1 403 ") && !code.is_empty();
        refused.then(|| {
            Reply::new(400, json!({"__type": "AccessDeniedException", "Message": message}).to_string())
        })
    });
    for (action, name, (id, key)) in &users {
        let config = format!(
            "[registry.\"*\"]\nsource = \"aws-secrets-manager\"\nsecret = \"registries/{name}/{{host}}\"\n\
             store = \"write\"\nerase = \"delete\"\n"
        );
        let helper = Helper::with_config(&config).envs(&[
            ("AWS_ENDPOINT_URL", aws.url().as_str()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", key),
        ]);
        let who = format!("arn:aws:iam::123456789012:user/{name}");
        let goes = |needed: &[&str], answer: crate::support::Answer| {
            if needed.contains(action) {
                answer.fails_with(&["AccessDeniedException: ", action, &who, "hint: allow "]);
            } else {
                assert_eq!(answer.code, Some(0), "{name}: {answer:?}");
            }
        };
        let get = "secretsmanager:GetSecretValue";
        goes(&[get], helper.get("there.io"));
        goes(&[get, "secretsmanager:PutSecretValue"], helper.store("there.io", "acme", "another"));
        goes(&[get, "secretsmanager:CreateSecret"], helper.store("new.io", "acme", "p4ss"));
        goes(&[get, "secretsmanager:RestoreSecret"], helper.store("gone.io", "acme", "p4ss"));
        let listed: Value = serde_json::from_str(&helper.list().stdout).unwrap();
        let user = match *action {
            "secretsmanager:ListSecrets" => Value::Null,
            // What is read at once is each a secret of its own to AWS, but not to moto.
            "secretsmanager:BatchGetSecretValue" => json!(""),
            _ => json!("acme"),
        };
        assert_eq!(listed["there.io"], user, "{name}: {listed}");
        goes(&[get, "secretsmanager:DeleteSecret"], helper.erase("there.io"));
    }
}
