//! `store = "write"`: what `docker login` gives is what `get` gives from then on, and whatever else is there stays.

use serde_json::json;

use super::{called, description, mark_for_deletion, object_of, recorded, store_for, text_of, versions};
use crate::support::agent::Agent;
use crate::support::recorder::{Recorder, Reply};
use crate::support::servers::{Moto, in_the_end, unique};

#[test]
fn the_first_login_makes_the_secret_and_says_who_made_it() {
    let Some(moto) = Moto::find() else { return };
    let stem = unique("reg");
    for (pattern, asked, host, tag) in [
        ("docker.io", "https://index.docker.io/v1/", "docker.io", "docker.io"),
        ("my_reg.test:5000", "my_reg.test:5000", "my_reg.test+5000", "my_reg.test:5000"),
        ("[::1]:5000", "[::1]:5000", "+++1++5000", "+::1+:5000"),
    ] {
        let recorder = Recorder::to(&moto.url);
        let config = store_for(pattern, &format!("secret = \"{stem}/{{host}}\""));
        let helper = moto.helper(&config).env("AWS_ENDPOINT_URL", recorder.url());
        let name = format!("{stem}/{host}");
        helper.get(asked).is_not_found();
        helper.store(asked, "acme", "p4ss").is_silent();
        helper.get(asked).is_found(asked, "acme", "p4ss");
        let calls = ["GetSecretValue", "GetSecretValue", "CreateSecret", "GetSecretValue"];
        assert_eq!(called(&recorder), calls);
        assert_eq!(object_of(&moto, &name), json!({"username": "acme", "password": "p4ss"}));
        let told = description(&moto, &name);
        let tags = json!([
            {"Key": "managed-by", "Value": "docker-credential-lease"},
            {"Key": "registry", "Value": tag},
        ]);
        assert_eq!(told["Tags"], tags);
        let host = tag.replacen("+::1+", "[::1]", 1);
        let text = format!("Registry credential for {host}, written by docker-credential-lease");
        assert_eq!((told["Description"].as_str(), told["KmsKeyId"].as_str()), (Some(text.as_str()), None));
    }
}

#[test]
fn whatever_else_the_object_holds_stays() {
    let Some(moto) = Moto::find() else { return };
    let name =
        moto.secret(r#"{"username":"old","password":"old","email":"a@b","n":7,"deep":{"x":[1,null]}}"#);
    let (helper, recorder) = recorded(&moto, "docker.io", &format!("secret = \"{name}\""));
    helper.store("docker.io", "acme", "p\"ß\\ w").is_silent();
    assert_eq!(called(&recorder), ["GetSecretValue", "PutSecretValue"]);
    let there =
        json!({"username": "acme", "password": "p\"ß\\ w", "email": "a@b", "n": 7, "deep": {"x": [1, null]}});
    assert_eq!(object_of(&moto, &name), there);
    helper.get("docker.io").is_found("docker.io", "acme", "p\"ß\\ w");
}

#[test]
fn keys_and_json_pointers_of_the_rule_are_written_where_they_are_read() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"prod":{"user":"old","x":1},"test":{"user":"t","token":"tt"}}"#);
    for (stage, user, token) in [("prod", "acme", "p4ss"), ("test", "tester", "t0ken")] {
        let keys = format!("username-key = \"/{stage}/user\"\npassword-key = \"/{stage}/token\"");
        let (helper, _) = recorded(&moto, "docker.io", &format!("secret = \"{name}\"\n{keys}"));
        helper.store("docker.io", user, token).is_silent();
        helper.get("docker.io").is_found("docker.io", user, token);
    }
    let there = json!({
        "prod": {"user": "acme", "token": "p4ss", "x": 1},
        "test": {"user": "tester", "token": "t0ken"},
    });
    assert_eq!(object_of(&moto, &name), there);
}

#[test]
fn what_is_there_already_is_not_written_again() {
    let Some(moto) = Moto::find() else { return };
    for (text, keys) in [
        (r#"{"username":"acme","password":"p4ss"}"#, ""),
        (r#"{"password":"p4ss"}"#, "username = \"acme\""),
        ("p4ss\r\n", "username = \"acme\""),
    ] {
        let name = moto.secret(text);
        let (helper, recorder) = recorded(&moto, "docker.io", &format!("secret = \"{name}\"\n{keys}"));
        helper.store("docker.io", "acme", "p4ss").is_silent();
        assert_eq!(called(&recorder), ["GetSecretValue"]);
        assert_eq!((versions(&moto, &name), text_of(&moto, &name).as_str()), (1, text));
    }
}

#[test]
fn a_plain_token_stays_plain_and_an_object_an_object() {
    let Some(moto) = Moto::find() else { return };
    for (there, keys, text) in [
        (Some("old\n"), "", "t0ken"),
        (Some(r#"{"password":"old","x":1}"#), "", r#"{"password":"t0ken","x":1}"#),
        (Some(r#"{"x":1}"#), "password-key = \"pat\"", r#"{"x":1,"pat":"t0ken"}"#),
        (
            Some(r#"{"x":12345678901234567890123,"password":"old","a":1.10}"#),
            "",
            r#"{"x":12345678901234567890123,"password":"t0ken","a":1.10}"#,
        ),
        (None, "", "t0ken"),
        (None, "password-key = \"pat\"", r#"{"pat":"t0ken"}"#),
    ] {
        let name = there.map_or_else(|| unique("secret"), |there| moto.secret(there));
        let (helper, _) =
            recorded(&moto, "docker.io", &format!("secret = \"{name}\"\nusername = \"acme\"\n{keys}"));
        helper.store("docker.io", "acme", "t0ken").is_silent();
        assert_eq!(text_of(&moto, &name), text);
        helper.get("docker.io").is_found("docker.io", "acme", "t0ken");
    }
}

#[test]
fn a_token_that_would_not_be_read_as_it_is_stands_in_an_object() {
    let Some(moto) = Moto::find() else { return };
    for token in [r#"{"type":"service_account","private_key":"k\n"}"#, "p4ss\n", "{}"] {
        for there in [None, Some("old")] {
            let name = there.map_or_else(|| unique("secret"), |there| moto.secret(there));
            let (helper, _) =
                recorded(&moto, "docker.io", &format!("secret = \"{name}\"\nusername = \"_json_key\""));
            helper.store("docker.io", "_json_key", token).is_silent();
            helper.get("docker.io").is_found("docker.io", "_json_key", token);
        }
    }
}

#[test]
fn two_secrets_are_both_written_and_read_again() {
    let Some(moto) = Moto::find() else { return };
    let stem = unique("reg");
    let keys = format!("secret = \"{stem}/token\"\nusername-secret = \"{stem}/id\"");
    let (helper, recorder) = recorded(&moto, "docker.io", &keys);
    helper.get("docker.io").is_not_found();
    // Both were asked at once, and the answer does not wait for the second one's no.
    in_the_end(&2, || called(&recorder).len());
    for (username, token, writes) in [
        ("acme", "one", "CreateSecret"),
        ("hubot", "two", "PutSecretValue"),
        ("hubot", "three", "PutSecretValue"),
    ] {
        let before = called(&recorder).len();
        helper.store("docker.io", username, token).is_silent();
        let calls = called(&recorder).split_off(before);
        let count = |action: &str| calls.iter().filter(|call| *call == action).count();
        let written = if token == "three" { 1 } else { 2 };
        assert_eq!(
            (count("GetSecretValue"), count(writes), calls.len()),
            (4, written, 4 + written),
            "{calls:?}"
        );
        helper.get("docker.io").is_found("docker.io", username, token);
        let texts = (text_of(&moto, &format!("{stem}/id")), text_of(&moto, &format!("{stem}/token")));
        assert_eq!(texts, (username.to_owned(), token.to_owned()));
    }
}

#[test]
fn a_secret_for_the_user_names_alone_may_be_an_object() {
    let Some(moto) = Moto::find() else { return };
    let (user, token) = (moto.secret(r#"{"login":"old","x":1}"#), moto.secret(r#"{"password":"old"}"#));
    let keys = format!("secret = \"{token}\"\nusername-secret = \"{user}\"\nusername-key = \"login\"");
    let (helper, _) = recorded(&moto, "docker.io", &keys);
    helper.store("docker.io", "acme", "p4ss").is_silent();
    assert_eq!(object_of(&moto, &user), json!({"login": "acme", "x": 1}));
    assert_eq!(object_of(&moto, &token), json!({"password": "p4ss"}));
}

#[test]
fn one_secret_named_twice_holds_both() {
    let Some(moto) = Moto::find() else { return };
    let name = unique("secret");
    let (helper, recorder) =
        recorded(&moto, "docker.io", &format!("secret = \"{name}\"\nusername-secret = \"{name}\""));
    helper.store("docker.io", "acme", "p4ss").is_silent();
    assert_eq!(called(&recorder), ["GetSecretValue", "CreateSecret"]);
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    helper.erase("docker.io").is_silent();
    helper.get("docker.io").is_not_found();
}

#[test]
fn bytes_stay_bytes() {
    let Some(moto) = Moto::find() else { return };
    let name = unique("secret");
    // {"username":"acme","password":"old","x":1}
    let old = "eyJ1c2VybmFtZSI6ImFjbWUiLCJwYXNzd29yZCI6Im9sZCIsIngiOjF9";
    moto.call("us-east-1", "CreateSecret", &json!({"Name": name, "SecretBinary": old}));
    let (helper, _) = recorded(&moto, "docker.io", &format!("secret = \"{name}\""));
    helper.store("docker.io", "acme", "new").is_silent();
    helper.get("docker.io").is_found("docker.io", "acme", "new");
    let value = moto.call("us-east-1", "GetSecretValue", &json!({"SecretId": name}));
    // {"username":"acme","password":"new","x":1}
    let new = "eyJ1c2VybmFtZSI6ImFjbWUiLCJwYXNzd29yZCI6Im5ldyIsIngiOjF9";
    assert_eq!((value["SecretBinary"].as_str(), value.get("SecretString")), (Some(new), None));
}

#[test]
fn a_secret_that_is_marked_for_deletion_is_restored_with_all_that_is_in_it() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"username":"old","password":"old","x":1}"#);
    mark_for_deletion(&moto, &name);
    let (helper, recorder) = recorded(&moto, "docker.io", &format!("secret = \"{name}\""));
    helper.get("docker.io").is_not_found();
    helper.store("docker.io", "acme", "p4ss").is_silent();
    let calls = ["GetSecretValue", "GetSecretValue", "RestoreSecret", "GetSecretValue", "PutSecretValue"];
    assert_eq!(called(&recorder), calls);
    assert_eq!(object_of(&moto, &name), json!({"username": "acme", "password": "p4ss", "x": 1}));
    assert!(description(&moto, &name)["DeletedDate"].is_null());
}

#[test]
fn a_secret_that_another_one_made_meanwhile_keeps_what_that_one_wrote() {
    let Some(moto) = Moto::find() else { return };
    let name = moto.secret(r#"{"x":1}"#);
    let missing = json!({"__type": "ResourceNotFoundException", "Message": "none"}).to_string();
    let is_first = std::sync::atomic::AtomicBool::new(true);
    let recorder = Recorder::between(&moto.url, move |_| {
        is_first.swap(false, std::sync::atomic::Ordering::SeqCst).then(|| Reply::new(400, missing.clone()))
    });
    let helper = moto.helper(&store_for("docker.io", &format!("secret = \"{name}\"")));
    let helper = helper.env("AWS_ENDPOINT_URL", recorder.url());
    helper.store("docker.io", "acme", "p4ss").is_silent();
    assert_eq!(called(&recorder), ["GetSecretValue", "CreateSecret", "GetSecretValue", "PutSecretValue"]);
    assert_eq!(object_of(&moto, &name), json!({"username": "acme", "password": "p4ss", "x": 1}));
}

#[test]
fn a_secret_that_was_made_without_a_value_gets_one() {
    let Some(moto) = Moto::find() else { return };
    let name = unique("secret");
    moto.call("us-east-1", "CreateSecret", &json!({"Name": name, "Description": "made by hand"}));
    let (helper, recorder) = recorded(&moto, "docker.io", &format!("secret = \"{name}\""));
    helper.get("docker.io").is_not_found();
    helper.store("docker.io", "acme", "p4ss").is_silent();
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    assert_eq!(called(&recorder).iter().filter(|action| *action == "CreateSecret").count(), 1);
    assert_eq!(description(&moto, &name)["Description"], "made by hand");
}

#[test]
fn an_arn_is_written_to_in_its_own_region() {
    let Some(moto) = Moto::find() else { return };
    let name = unique("secret");
    let secret = json!({"Name": name, "SecretString": r#"{"x":1}"#});
    let arn = moto.call("eu-west-1", "CreateSecret", &secret)["ARN"].as_str().unwrap().to_owned();
    let (helper, _) = recorded(&moto, "docker.io", &format!("secret = \"{arn}\""));
    helper.get("docker.io").is_not_found();
    helper.store("docker.io", "acme", "p4ss").is_silent();
    helper.get("docker.io").is_found("docker.io", "acme", "p4ss");
    helper.erase("docker.io").is_silent();
    let value = moto.call("eu-west-1", "GetSecretValue", &json!({"SecretId": arn}));
    assert_eq!(value["SecretString"], r#"{"x":1}"#);
}

#[test]
fn the_agent_gives_what_was_written_last() {
    let Some(moto) = Moto::find() else { return };
    let name = unique("secret");
    let agent = Agent::start();
    let helper = agent.serves(moto.helper(&store_for("docker.io", &format!("secret = \"{name}\""))));
    helper.get("docker.io").is_not_found();
    for token in ["one", "two"] {
        helper.store("docker.io", "acme", token).is_silent();
        helper.get("docker.io").is_found("docker.io", "acme", token);
        helper.get("docker.io").is_found("docker.io", "acme", token);
    }
    helper.erase("docker.io").is_silent();
    helper.get("docker.io").is_not_found();
    helper.store("docker.io", "acme", "three").is_silent();
    helper.get("docker.io").is_found("docker.io", "acme", "three");
}
