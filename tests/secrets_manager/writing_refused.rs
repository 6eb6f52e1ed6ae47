//! What is not written: nothing that is there is lost, and no line repeats what was to be written.

use serde_json::json;

use super::{mark_for_deletion, rule_for, store_for, text_of, versions};
use crate::support::Helper;
use crate::support::recorder::{Exchange, Recorder, Reply};
use crate::support::servers::{Moto, unique};

/// A helper for Docker Hub with a secret of the name, which takes the server for AWS.
fn helper_at(url: &str, keys: &str) -> Helper {
    Helper::with_config(&store_for("docker.io", keys)).envs(&[
        ("AWS_ENDPOINT_URL", url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
    ])
}

fn refusal(code: &str, message: &str) -> Reply {
    Reply::new(400, json!({"__type": code, "Message": message}).to_string())
}

#[test]
fn plain_text_where_the_rule_reads_an_object_stays() {
    let Some(moto) = Moto::find() else { return };
    for keys in ["", "username = \"acme\"\npassword-key = \"pat\""] {
        let name = moto.secret("plain-and-dear");
        let helper = moto.helper(&store_for("docker.io", &format!("secret = \"{name}\"\n{keys}")));
        let line = format!(
            "aws-secrets-manager: {name}: it is no JSON object, so nothing is written into it; hint: "
        );
        let answer = helper.store("docker.io", "acme", "g1ven");
        assert!(answer.fails_with(&["username"]).starts_with(&line), "{answer:?}");
        helper.erase("docker.io").fails_with(&[&name, "it is no JSON object"]);
        assert_eq!((versions(&moto, &name), text_of(&moto, &name).as_str()), (1, "plain-and-dear"));
    }
}

#[test]
fn a_pointer_through_what_is_no_object_changes_nothing() {
    let Some(moto) = Moto::find() else { return };
    let text = r#"{"hub":["old"],"user":"old"}"#;
    let name = moto.secret(text);
    let keys = format!("secret = \"{name}\"\nusername-key = \"user\"\npassword-key = \"/hub/0\"");
    let helper = moto.helper(&store_for("docker.io", &keys));
    helper.get("docker.io").is_found("docker.io", "old", "old");
    helper.store("docker.io", "acme", "g1ven").fails_with(&[&name, "`/hub/0`", "no object"]);
    helper.erase("docker.io").fails_with(&[&name, "list", "by hand"]);
    assert_eq!((versions(&moto, &name), text_of(&moto, &name).as_str()), (1, text));
}

#[test]
fn bytes_that_are_no_text_stay() {
    let Some(moto) = Moto::find() else { return };
    let name = unique("secret");
    moto.call("us-east-1", "CreateSecret", &json!({"Name": name, "SecretBinary": "//4A"}));
    let helper = moto.helper(&store_for("docker.io", &format!("secret = \"{name}\"\nusername = \"acme\"")));
    helper.store("docker.io", "acme", "g1ven").fails_with(&[&name, "binary and not UTF-8"]);
    helper.erase("docker.io").fails_with(&[&name, "binary and not UTF-8"]);
    assert_eq!(versions(&moto, &name), 1);
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"username":"acme","password":"old"}"#);
    let helper = moto.helper(&store_for("docker.io", &format!("secret = \"{name}\"")));
    helper.store("docker.io", "acme", "").fails_with(&[&name, "an empty password is not written", "hint: "]);
    let long = "x".repeat(65_536);
    helper.store("docker.io", "acme", &long).fails_with(&[&name, "longer than 64 KiB", "hint: "]);
    helper.get("docker.io").is_found("docker.io", "acme", "old");
}

#[test]
fn an_arn_cannot_be_made() {
    let Some(moto) = Moto::find() else { return };
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:never-made-AbCdEf";
    let helper = moto.helper(&store_for("docker.io", &format!("secret = \"{arn}\"")));
    helper.get("docker.io").is_not_found();
    helper.store("docker.io", "acme", "g1ven").fails_with(&[
        "ResourceNotFoundException",
        "by its name",
        "ARN",
    ]);
    helper.erase("docker.io").is_silent();
}

#[test]
fn only_the_current_stage_is_written() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"x":1}"#);
    let config =
        |stage: &str| store_for("docker.io", &format!("secret = \"{name}\"\nversion-stage = \"{stage}\""));
    let helper = moto.helper(&config("AWSPREVIOUS"));
    for answer in [helper.get("docker.io"), helper.store("docker.io", "acme", "g1ven")] {
        answer.fails_with(&["config: ", "store", "version-stage", "AWSCURRENT"]);
    }
    moto.helper(&config("AWSCURRENT")).store("docker.io", "acme", "p4ss").is_silent();
}

#[test]
fn without_store_write_what_is_not_there_stays_a_failure() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"username":"acme","password":"p4ss"}"#);
    mark_for_deletion(&moto, &name);
    for store in ["", "store = \"refuse\"", "store = \"ignore\""] {
        let restore = format!("aws secretsmanager restore-secret --secret-id {name}");
        moto.helper(&rule_for(&name, store))
            .get("docker.io")
            .fails_with(&["InvalidRequestException", &restore]);
    }
    let helper = moto.helper(&store_for("docker.io", &format!("secret = \"{name}\"")));
    helper.get("docker.io").is_not_found();
    // The same code without the reason.
    let other = Recorder::alone(|_| refusal("InvalidRequestException", "You can't do that now."));
    helper_at(&other.url(), "secret = \"hub\"").get("docker.io").fails_with(&["InvalidRequestException"]);
}

/// What a double refuses of one call while all others go through, and what is said of it.
#[track_caller]
fn refused(call: &'static str, code: &'static str, keys: &str, change: impl Fn(&Helper), parts: &[&str]) {
    let Some(moto) = Moto::find() else { return };
    let recorder = Recorder::between(&moto.url, move |asked: &Exchange| {
        (asked.action() == call).then(|| refusal(code, "no"))
    });
    let helper = helper_at(&recorder.url(), keys);
    change(&helper);
    assert!(recorder.actions().iter().any(|action| action == call), "{:?}", recorder.actions());
    let answer = match call {
        "DeleteSecret" => helper.erase("docker.io"),
        _ => helper.store("docker.io", "acme-robot", "g1ven-t0ken"),
    };
    let line = answer.fails_with(&[parts, &["aws-secrets-manager: ", code, "hint: "]].concat());
    assert!(!line.contains("acme-robot") && !line.contains("g1ven"), "{line}");
}

#[test]
fn a_right_that_is_missing_is_named() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"username":"u","password":"p"}"#);
    let keys = format!("secret = \"{name}\"");
    let store = |helper: &Helper| drop(helper.store("docker.io", "a", "b"));
    let denied = "AccessDeniedException";
    let put = "allow secretsmanager:PutSecretValue on it in us-east-1, and kms:GenerateDataKey on its key";
    refused("PutSecretValue", denied, &keys, store, &["secretsmanager:PutSecretValue on ", put]);
    let erase = |helper: &Helper| drop(helper.erase("docker.io"));
    refused("DeleteSecret", denied, &keys, erase, &["allow secretsmanager:DeleteSecret on it in us-east-1"]);
    mark_for_deletion(&moto, &name);
    refused(
        "RestoreSecret",
        denied,
        &keys,
        store,
        &["allow secretsmanager:RestoreSecret on it in us-east-1"],
    );
    let keys = format!("secret = \"{}\"", unique("secret"));
    let create = "allow secretsmanager:CreateSecret and secretsmanager:TagResource on it in us-east-1";
    refused("CreateSecret", denied, &keys, store, &[create]);
    refused("CreateSecret", "LimitExceededException", &keys, store, &["quota"]);
    refused("CreateSecret", "EncryptionFailure", &keys, store, &["kms:GenerateDataKey"]);
    refused("CreateSecret", "InvalidParameterException", &keys, store, &["letters, digits and /_+=.@-"]);
    refused("CreateSecret", "InvalidRequestException", &keys, store, &["another AWS service"]);
}

/// Code and message, made of the user name and the token.
type Echo = fn(&str, &str) -> (String, String);

#[test]
fn what_is_to_be_written_is_never_repeated() {
    let (username, token) = ("acme-robot", "hunter2");
    // As the code, in the code, as the action, as the identity, in the message, whole.
    let echoes: [Echo; 6] = [
        |_, token| (token.to_owned(), "no".to_owned()),
        |_, token| (format!("X{token}X"), "no".to_owned()),
        |_, token| {
            (
                "AccessDeniedException".to_owned(),
                format!("not authorized to perform: secretsmanager:{token} on"),
            )
        },
        |user, _| {
            let who = format!("User: arn:aws:iam::111122223333:user/{user} is not authorized");
            ("AccessDeniedException".to_owned(), who)
        },
        |user, token| ("ValidationException".to_owned(), format!("'{user}' and '{token}' at 'secretString'")),
        |user, token| (format!("{user}{token}").replace('-', ""), "no".to_owned()),
    ];
    for (there, keys) in [
        (json!({"SecretString": "{}"}), "secret = \"hub\""),
        (json!({"SecretBinary": "e30="}), "secret = \"hub\""),
        (json!({"SecretString": "old"}), "secret = \"hub\"\nusername-secret = \"id\""),
        (json!({"__type": "ResourceNotFoundException"}), "secret = \"hub\""),
    ] {
        for echo in echoes {
            let there = there.clone();
            let double = Recorder::alone(move |asked| match asked.action().as_str() {
                "GetSecretValue" if there["__type"].is_null() => Reply::new(200, there.to_string()),
                "GetSecretValue" => refusal("ResourceNotFoundException", "none"),
                _ => {
                    // It knows of two what the request tells it; bytes it can read.
                    let tells = |text| asked.body.contains("SecretBinary") || asked.body.contains(text);
                    let known = |text| if tells(text) { text } else { "something" };
                    let (code, message) = echo(known(username), known(token));
                    refusal(&code, &message)
                }
            });
            let answer = helper_at(&double.url(), keys).store("docker.io", username, token);
            let line = answer.fails_with(&["aws-secrets-manager: hub: "]);
            assert!(!line.contains(token) && !line.contains(username), "{line}");
            let wrote = double.actions().iter().any(|action| action != "GetSecretValue");
            assert!(wrote, "{:?}", double.actions());
        }
    }
}

#[test]
fn where_one_of_two_secrets_cannot_be_written_the_other_stays_too() {
    let Some(moto) = Moto::find() else { return };
    let (user, token) = (moto.secret("old-user"), moto.secret("old-token"));
    for locked in [user.clone(), token.clone()] {
        let secret = locked.clone();
        let recorder = Recorder::between(&moto.url, move |asked: &Exchange| {
            let is_locked = asked.action() == "PutSecretValue" && asked.body.contains(&secret);
            is_locked.then(|| refusal("AccessDeniedException", "no"))
        });
        let keys = format!("secret = \"{token}\"\nusername-secret = \"{user}\"");
        let helper = helper_at(&recorder.url(), &keys);
        let line = helper.store("docker.io", "acme", "g1ven");
        let line = line.fails_with(&["secretsmanager:PutSecretValue"]);
        assert_eq!(line.contains(&format!("the username-secret {user}: ")), locked == user, "{line}");
        assert_eq!(
            (text_of(&moto, &user), text_of(&moto, &token)),
            ("old-user".to_owned(), "old-token".to_owned())
        );
    }
}
