//! What writable files hold is named, and can be asked for.

use serde_json::{Value, json};

use super::{rule, with, write};
use crate::support::Helper;

fn listed(helper: &Helper) -> Value {
    let answer = helper.list();
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

#[test]
fn the_hosts_that_have_a_file() {
    let helper = with("*", "path = \"~/creds/{host}.json\"\nstore = \"write\"");
    assert_eq!(listed(&helper), json!({}));
    let names = ["https://index.docker.io/v1/", "ghcr.io", "localhost:5000", "my_registry:80", "[::1]:5000"];
    for name in names {
        helper.store(name, "octocat", name).is_silent();
    }
    let one = json!({"username": "u", "password": "p"}).to_string();
    for other in [
        "creds/GHCR.io.json",
        "creds/x",
        "creds/a b.json",
        "creds/.json",
        "creds/dir.json/x",
        "creds/.lease-1",
    ] {
        write(&helper, other, &one);
    }
    for broken in ["creds/broken.example.json", "creds/half.example.json"] {
        write(&helper, broken, "{\"username\": \"u\"}");
    }
    let expected: Value = names.iter().map(|name| ((*name).to_owned(), json!("octocat"))).collect();
    assert_eq!(listed(&helper), expected);
    for name in names {
        helper.get(name).is_found(name, "octocat", name);
    }
}

#[test]
fn a_host_may_be_a_folder_and_another_rule_s_is_left_out() {
    let literal = rule("ghcr.io", "path = \"~/f\"\nusername = \"rule\"");
    let wild = rule("*", "path = \"creds/{host}/{host}.json\"\nstore = \"write\"\nusername = \"stated\"");
    let helper = Helper::with_config(&format!("{literal}{wild}"));
    for name in ["ghcr.io", "quay.io", "x.example"] {
        let path = format!(".config/docker-credential-lease/creds/{name}/{name}.json");
        write(&helper, &path, "{\"password\": \"p\"}");
    }
    assert_eq!(listed(&helper), json!({"ghcr.io": "rule", "quay.io": "stated", "x.example": "stated"}));
}

#[test]
fn the_keys_of_auths() {
    let auths = json!({"auths": {
        "https://index.docker.io/v1/": {"auth": "b2N0b2NhdDpwdy0x"}, "https://index.docker.io/v1/access-token": {"auth": "dDp0"},
        "https://quay.io/v1/": {"auth": "b2N0b2NhdDpwdy0x"}, "ghcr.io": {"identitytoken": "t"}, "empty.example": {}, "a b": {"auth": "dDp0"},
    }});
    let helper = with("*", "path = \"~/f\"\nstore = \"write\"");
    write(&helper, "f", auths.to_string());
    let expected =
        json!({"https://index.docker.io/v1/": "octocat", "quay.io": "octocat", "ghcr.io": "<token>"});
    assert_eq!(listed(&helper), expected);
    let hosts = Helper::with_config(&format!(
        "list-keys = \"host\"\n{}",
        rule("*", "path = \"~/f\"\nstore = \"write\"")
    ));
    write(&hosts, "f", auths.to_string());
    assert_eq!(listed(&hosts), json!({"docker.io": "octocat", "quay.io": "octocat", "ghcr.io": "<token>"}));
    // A file that is not written to names nothing, and a broken one breaks nothing.
    let helper = with("*", "path = \"~/f\"");
    write(&helper, "f", auths.to_string());
    assert_eq!(listed(&helper), json!({}));
    let helper = with("*", "path = \"~/f\"\nstore = \"write\"");
    write(&helper, "f", "{");
    assert_eq!(listed(&helper), json!({}));
}

#[test]
fn a_rule_for_one_registry_names_it_without_reading() {
    assert_eq!(listed(&with("ghcr.io", "path = \"~/nowhere\"")), json!({"ghcr.io": ""}));
    assert_eq!(
        listed(&with("ghcr.io", "path = \"~/nowhere\"\nusername = \"octocat\"")),
        json!({"ghcr.io": "octocat"})
    );
    let helper = with("ghcr.io", "username-file = \"~/user\"\npassword-file = \"~/password\"");
    assert_eq!(listed(&helper), json!({"ghcr.io": ""}));
    write(&helper, "user", "octocat\n");
    assert_eq!(listed(&helper), json!({"ghcr.io": "octocat"}));
}
