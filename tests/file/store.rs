//! `docker login` and `docker logout` with `store = "write"` and `erase = "delete"`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use super::{json_of, mode, names, with, write};
use crate::support::Helper;

const BOTH_WAYS: &str = "store = \"write\"\nerase = \"delete\"";

fn writable(pattern: &str, more: &str) -> Helper {
    with(pattern, &format!("{more}\n{BOTH_WAYS}"))
}

#[test]
fn what_is_not_there_yet_is_made_for_oneself_alone_and_goes_again() {
    let helper = writable("ghcr.io", "path = \"~/new/deep/f.json\"");
    helper.get("ghcr.io").is_not_found();
    helper.erase("ghcr.io").is_silent();
    helper.store("https://ghcr.io/v2/", "octocat", "pw-1 é\"").is_silent();
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1 é\"");
    let text = fs::read_to_string(helper.home().join("new/deep/f.json")).unwrap();
    assert_eq!(text, "{\n\t\"username\": \"octocat\",\n\t\"password\": \"pw-1 é\\\"\"\n}\n");
    for (path, rights) in [("new", 0o700), ("new/deep", 0o700), ("new/deep/f.json", 0o600)] {
        assert_eq!(mode(&helper.home().join(path)), rights, "{path}");
    }
    helper.erase("ghcr.io").is_silent();
    helper.get("ghcr.io").is_not_found();
    assert_eq!(names(&helper, "new/deep"), [""; 0]);
    helper.erase("ghcr.io").is_silent();
}

#[test]
fn other_keys_rights_and_the_indentation_stay() {
    let helper =
        writable("ghcr.io", "path = \"~/f\"\nusername-key = \"/prod/user\"\npassword-key = \"token\"");
    let file =
        write(&helper, "f", "{\n    \"a\": {\"b\": [1, 2.5, null, true]},\n    \"prod\": {\"x\": 1}\n}\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    assert_eq!(
        json_of(&helper, "f"),
        json!({"a": {"b": [1, 2.5, null, true]}, "prod": {"x": 1, "user": "octocat"}, "token": "pw-1"})
    );
    assert!(fs::read_to_string(&file).unwrap().starts_with("{\n    \"a\": {\n        \"b\": ["));
    assert_eq!(mode(&file), 0o640);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    helper.erase("ghcr.io").is_silent();
    assert_eq!(json_of(&helper, "f"), json!({"a": {"b": [1, 2.5, null, true]}, "prod": {"x": 1}}));
    helper.get("ghcr.io").is_not_found();
    assert_eq!(names(&helper, ""), [".config", "f"]);
}

#[test]
fn one_file_for_all_is_docker_s_own() {
    let helper = writable("*", "path = \"~/auth.json\"");
    helper.store("https://index.docker.io/v1/", "octocat", "pw-1").is_silent();
    helper.store("localhost:5000", "octocat", "pw-1").is_silent();
    helper.store("https://ghcr.io", "<token>", "ey.1").is_silent();
    let auth = json!({"auth": "b2N0b2NhdDpwdy0x"});
    assert_eq!(
        json_of(&helper, "auth.json"),
        json!({"auths": {"https://index.docker.io/v1/": auth, "localhost:5000": auth, "ghcr.io": {"identitytoken": "ey.1"}}})
    );
    for asked in ["docker.io", "localhost:5000"] {
        helper.get(asked).is_found(asked, "octocat", "pw-1");
    }
    helper.get("ghcr.io").is_found("ghcr.io", "<token>", "ey.1");
    helper.store("ghcr.io", "a:b", "pw").fails_with(&["a user name with a colon cannot stand under auths"]);
    helper.get("ghcr.io").is_found("ghcr.io", "<token>", "ey.1");
    for asked in ["docker.io", "http://localhost:5000", "ghcr.io"] {
        helper.erase(asked).is_silent();
        helper.get(asked).is_not_found();
    }
    assert_eq!(names(&helper, ""), [".config"]);
}

#[test]
fn an_existing_one_keeps_its_shape() {
    let auths = json!({"auths": {"quay.io": {"auth": "dDp0"}, "https://ghcr.io/v1/": {"auth": "b2xkOm9sZA==", "email": "a@b"}}, "psFormat": "x"});
    for pattern in ["ghcr.io", "*"] {
        let helper = writable(pattern, "path = \"~/f\"");
        write(&helper, "f", auths.to_string());
        helper.store("ghcr.io", "octocat", "pw-1").is_silent();
        let mut expected = auths.clone();
        expected["auths"]["https://ghcr.io/v1/"]["auth"] = json!("b2N0b2NhdDpwdy0x");
        assert_eq!(json_of(&helper, "f"), expected);
        helper.erase("ghcr.io").is_silent();
        expected["auths"]["https://ghcr.io/v1/"] = json!({"email": "a@b"});
        assert_eq!(json_of(&helper, "f"), expected);
    }
    // Docker's own is one, with whatever is in it.
    let helper = writable("ghcr.io", "path = \"~/.docker/config.json\"");
    write(&helper, ".docker/config.json", json!({"credsStore": "pass"}).to_string());
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    let expected = json!({"credsStore": "pass", "auths": {"ghcr.io": {"auth": "b2N0b2NhdDpwdy0x"}}});
    assert_eq!(json_of(&helper, ".docker/config.json"), expected);
    // One credential for the hosts of one owner stays one.
    let helper = writable("*.example.com", "path = \"~/f\"");
    write(&helper, "f", json!({"username": "old", "password": "old", "x": 1}).to_string());
    helper.store("a.example.com", "octocat", "pw-1").is_silent();
    assert_eq!(json_of(&helper, "f"), json!({"username": "octocat", "password": "pw-1", "x": 1}));
    helper.get("b.example.com").is_found("b.example.com", "octocat", "pw-1");
}

#[test]
fn each_host_has_a_file_of_its_own_where_the_path_says_so() {
    let helper = writable("*", "path = \"~/creds/{host}.json\"");
    for asked in ["https://index.docker.io/v1/", "localhost:5000", "my_registry"] {
        helper.store(asked, "octocat", asked).is_silent();
        helper.get(asked).is_found(asked, "octocat", asked);
    }
    assert_eq!(names(&helper, "creds"), ["docker.io.json", "localhost+5000.json", "my_registry.json"]);
    helper.erase("localhost:5000").is_silent();
    assert_eq!(names(&helper, "creds"), ["docker.io.json", "my_registry.json"]);
}

#[test]
fn a_link_stays_and_its_target_is_written() {
    let helper = writable("ghcr.io", "path = \"~/link\"");
    let target = helper.home().join("there/f");
    fs::create_dir(target.parent().unwrap()).unwrap();
    symlink("there/f", helper.home().join("link")).unwrap();
    for password in ["pw-1", "pw-2"] {
        helper.store("ghcr.io", "octocat", password).is_silent();
        assert_eq!(json_of(&helper, "there/f"), json!({"username": "octocat", "password": password}));
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", password);
    }
    assert_eq!(fs::read_link(helper.home().join("link")).unwrap().to_str(), Some("there/f"));
    helper.erase("ghcr.io").is_silent();
    assert!(!target.exists());
}

#[test]
fn what_cannot_be_changed_is_told_and_loses_nothing() {
    let helper = writable("ghcr.io", "path = \"~/f\"");
    for text in ["pw-needle", "[1]", "{\"a\": "] {
        let file = write(&helper, "f", text);
        for answer in [helper.store("ghcr.io", "octocat", "pw-1"), helper.erase("ghcr.io")] {
            let line = answer.fails_with(&["f: it is no JSON object"]);
            assert!(!line.contains("pw-"), "{line}");
        }
        assert_eq!(fs::read_to_string(file).unwrap(), text);
    }
    let helper = writable("ghcr.io", "path = \"~/f\"\npassword-key = \"/a/b\"");
    let file = write(&helper, "f", "{\"a\": \"text\"}");
    helper
        .store("ghcr.io", "octocat", "pw-1")
        .fails_with(&["f: its key `/a/b` leads through what is no object"]);
    assert_eq!(fs::read_to_string(file).unwrap(), "{\"a\": \"text\"}");
    let helper = writable("ghcr.io", "path = \"~/f/below\"");
    write(&helper, "f", "no folder");
    helper.store("ghcr.io", "octocat", "pw-1").fails_with(&["f/below: it cannot be written: "]);
    // An empty one holds nothing that could be lost.
    let helper = writable("ghcr.io", "path = \"~/f\"");
    write(&helper, "f", "\n");
    helper.erase("ghcr.io").is_silent();
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
}

#[test]
fn everything_else_stays_as_it_stands() {
    let helper = writable("ghcr.io", "path = \"~/f\"");
    let text = "{\n  \"z\": 12345678901234567890123,\n  \"password\": \"old\",\n  \"a\": {\n    \"y\": 1.10,\n    \
        \"x\": 1e+5\n  },\n  \"username\": \"old\",\n  \"b\": -0.0\n}\n";
    let file = write(&helper, "f", text);
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    let changed = text.replacen("old", "pw-1", 1).replace("old", "octocat");
    assert_eq!(fs::read_to_string(&file).unwrap(), changed);
    helper.erase("ghcr.io").is_silent();
    let left =
        changed.replace("  \"password\": \"pw-1\",\n", "").replace("  \"username\": \"octocat\",\n", "");
    assert_eq!(fs::read_to_string(&file).unwrap(), left);
    // Under auths too.
    let helper = writable("ghcr.io", "path = \"~/f\"");
    let text = "{\n\t\"z\": 1.10,\n\t\"auths\": {\n\t\t\"quay.io\": {},\n\t\t\"ghcr.io\": {\n\t\t\t\"auth\": \
        \"b2N0b2NhdDpwdy0x\"\n\t\t},\n\t\t\"a.example\": {}\n\t},\n\t\"a\": 1\n}\n";
    let file = write(&helper, "f", text);
    helper.erase("ghcr.io").is_silent();
    let left = "{\n\t\"z\": 1.10,\n\t\"auths\": {\n\t\t\"quay.io\": {},\n\t\t\"a.example\": {}\n\t},\n\t\"a\": 1\n}\n";
    assert_eq!(fs::read_to_string(&file).unwrap(), left);
}

#[test]
fn a_key_that_stands_twice_is_not_lost() {
    let helper = writable("*", "path = \"~/f\"");
    for text in
        [r#"{"a": 1, "auths": {}, "a": 2}"#, r#"{"auths": {"quay.io": {"auth": "dTp0"}, "quay.io": {}}}"#]
    {
        let file = write(&helper, "f", text);
        for answer in [helper.store("ghcr.io", "octocat", "pw-1"), helper.erase("ghcr.io")] {
            answer.fails_with(&[
                "f: one of its keys stands there twice, so nothing is changed there; hint: take one",
            ]);
        }
        assert_eq!(fs::read_to_string(file).unwrap(), text);
    }
}

#[test]
fn what_stands_in_a_list_is_not_said_to_be_taken_out() {
    let helper = writable("ghcr.io", "path = \"~/f\"\nusername-key = \"/a/0/u\"\npassword-key = \"/a/0/p\"");
    let text = r#"{"a": [{"u": "octocat", "p": "pw-1"}]}"#;
    let file = write(&helper, "f", text);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    helper.erase("ghcr.io").fails_with(&["f: its key leads through a list, so it is not taken out"]);
    assert_eq!(fs::read_to_string(file).unwrap(), text);
}

#[test]
fn what_is_written_does_not_outgrow_what_is_read() {
    let helper = writable("ghcr.io", "path = \"~/f\"");
    let deep = |items| format!("{}1{}{}", "[1,".repeat(60), ",1".repeat(items), "]".repeat(60));
    let wide = format!("{{\n{}\"a\": {}}}", " ".repeat(200_000), deep(1));
    let file = write(&helper, "f", &wide);
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    assert!(fs::metadata(&file).unwrap().len() < 100_000);
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    let wide = format!("{{\n{}\"a\": {}}}", " ".repeat(8), deep(50_000));
    let file = write(&helper, "f", &wide);
    helper
        .store("ghcr.io", "octocat", "pw-1")
        .fails_with(&["f: it would be larger than 16777216 bytes, so nothing is changed there"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), wide);
    assert_eq!(names(&helper, ""), [".config", "f"]);
}

#[test]
fn half_a_login_is_neither_written_nor_given() {
    let helper = writable("*", "path = \"~/f\"");
    helper.store("quay.io", "octocat", "pw-1").is_silent();
    helper
        .store("ghcr.io", "octocat", "")
        .fails_with(&["f: a login without a user name or a secret would not be given again"]);
    assert_eq!(json_of(&helper, "f")["auths"].as_object().unwrap().len(), 1);
    // `octocat:` and `:pw-1`
    write(
        &helper,
        "f",
        r#"{"auths": {"ghcr.io": {"auth": "b2N0b2NhdDo="}, "quay.io": {"auth": "OnB3LTE="}}}"#,
    );
    helper.get("ghcr.io").is_not_found();
    helper.get("quay.io").is_not_found();
    assert_eq!(helper.list().stdout, "{}\n");
}

#[test]
fn without_the_word_nothing_is_written() {
    let helper = with("ghcr.io", "path = \"~/f\"");
    let kept: Value = json!({"username": "octocat", "password": "pw-1"});
    let file = write(&helper, "f", kept.to_string());
    helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    helper.store("ghcr.io", "octocat", "pw-2").is_line(&format!(
        "file: {}: it holds another credential, and nothing is kept here; hint: change it there, or set store = \"ignore\" \
         (or \"write\") in the rule",
        file.display()
    ));
    helper.erase("ghcr.io").is_silent();
    assert_eq!(json_of(&helper, "f"), kept);
}
