//! `docker login`, `docker logout` and `list` go through to it.

use serde_json::{Value, json};

use super::{Chain, HAS_NONE, KNOWS, RULE};

/// A helper that keeps what it is given in a file, under the very words.
const KEEPS: &str = r#"printf %s "$asked" | python3 -I -c '
import json, os, sys
file = os.environ["HOME"] + "/kept.json"
kept = json.load(open(file)) if os.path.exists(file) else {}
action, asked = sys.argv[1], sys.stdin.read()
if action == "store":
    given = json.loads(asked)
    kept[given["ServerURL"]] = given
elif action == "list":
    print(json.dumps({name: given["Username"] for name, given in kept.items()}))
elif asked not in kept:
    print("credentials not found in native keychain")
    sys.exit(1)
elif action == "erase":
    del kept[asked]
else:
    print(json.dumps(kept[asked]))
json.dump(kept, open(file, "w"))
' "$1""#;

fn listed(chain: &Chain) -> Value {
    let answer = chain.helper.list();
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

#[test]
fn what_is_stored_can_be_had_listed_and_erased_under_the_very_words() {
    let chain = Chain::new(KEEPS);
    assert_eq!(listed(&chain), json!({}));
    let names = [
        "https://index.docker.io/v1/",
        "https://index.docker.io/v1/access-token",
        "https://index.docker.io/v1/refresh-token",
        "ghcr.io",
        "localhost:5000",
        "https://quay.io/v2/",
        "my_registry:80",
    ];
    for name in names {
        chain.helper.store(name, "<token>", "pw \"\\é\n&1").is_silent();
        chain.helper.get(name).is_found(name, "<token>", "pw \"\\é\n&1");
        chain.helper.store(name, "octocat", "pw-2").is_silent();
        chain.helper.get(name).is_found(name, "octocat", "pw-2");
    }
    // Docker Hub's sub-keys are nothing that could be pulled from.
    let registries = names.iter().filter(|name| !name.ends_with("-token"));
    let expected: Value = registries.map(|name| ((*name).to_owned(), json!("octocat"))).collect();
    assert_eq!(listed(&chain), expected);
    for name in names {
        chain.helper.erase(name).is_silent();
        chain.helper.get(name).is_not_found();
        chain.helper.erase(name).is_silent();
    }
    assert_eq!(listed(&chain), json!({}));
}

#[test]
fn it_is_given_what_clients_give() {
    let chain = Chain::new("");
    chain.helper.store("https://Ghcr.IO", "octocat", "pw-1").is_silent();
    chain.were_called(&[r#"store <{"ServerURL":"https://Ghcr.IO","Username":"octocat","Secret":"pw-1"}>"#]);
    chain.helper.erase("https://Ghcr.IO\n").is_silent();
    chain.were_called(&["erase <https://Ghcr.IO>"]);
    // What is no registry goes to nobody.
    chain.helper.erase("a b").is_silent();
    chain.helper.store("a b", "octocat", "pw-1").fails_with(&["the ServerURL is no registry"]);
    chain.were_called(&[]);
}

#[test]
fn its_refusal_is_told_and_never_the_secret() {
    let line = |cause: &str| {
        format!(
            "helper: docker-credential-pass: {cause}; hint: run `docker-credential-pass store` by hand to see what it says"
        )
    };
    let silent = "it failed with exit status: 1, and what it printed is not repeated";
    for (script, cause) in [
        // Whatever it says may hold a part of the secret, or hold it in other letters.
        ("echo 'the keychain is locked'; exit 1", silent),
        ("echo 'bad password pw-need...'; exit 1", silent),
        ("echo 'cannot keep auth b2N0b2NhdDpwdy1uZWVkbGUgIDE='; exit 1", silent),
        ("echo \"$asked\"; exit 1", silent),
        (HAS_NONE, silent),
        ("echo 'pw-needle 1' >&2; exit 1", "it failed with exit status: 1 and said nothing on stdout"),
    ] {
        let chain = Chain::new(script);
        chain.helper.store("ghcr.io", "octocat", "pw-needle  1").is_line(&line(cause));
        let logged = chain.env("DOCKER_CREDENTIAL_LEASE_LOG", "1");
        let logged = logged.helper.store("ghcr.io", "octocat", "pw-needle  1");
        assert!(!logged.stderr.contains("pw-needle"), "{}", logged.stderr);
    }
}

#[test]
fn an_erase_of_what_is_not_there_is_silent_and_any_other_failure_is_told() {
    Chain::new(HAS_NONE).helper.erase("ghcr.io").is_silent();
    // As `pass` does.
    let chain =
        Chain::new(&format!("[ \"$1\" = erase ] && echo 'is not in the store' && exit 1\n{HAS_NONE}"));
    chain.helper.erase("ghcr.io").is_silent();
    chain.were_called(&["erase <ghcr.io>", "get <ghcr.io>"]);
    let chain = Chain::new(&format!("[ \"$1\" = erase ] && echo 'is not yours' && exit 1\n{KNOWS}"));
    chain.helper.erase("ghcr.io").fails_with(&["helper: docker-credential-pass: is not yours; hint: "]);
    Chain::new("echo 'it is locked'; exit 1").helper.erase("ghcr.io").is_line(
        "helper: docker-credential-pass: it is locked; hint: run `docker-credential-pass erase` by hand to see what it says",
    );
}

#[test]
fn an_erase_of_docker_hub_under_another_name_takes_what_get_would_give() {
    for asked in ["docker.io", "index.docker.io", "https://registry-1.docker.io:443"] {
        let chain = Chain::new(KEEPS);
        chain.helper.store("https://index.docker.io/v1/", "octocat", "pw-1").is_silent();
        chain.helper.get(asked).is_found(asked, "octocat", "pw-1");
        chain.helper.erase(asked).is_silent();
        chain.helper.get(asked).is_not_found();
        chain.helper.get("https://index.docker.io/v1/").is_not_found();
    }
    // One of a repository, or of a sub-key, is not the Hub's own.
    let chain = Chain::new(KEEPS);
    chain.helper.store("https://index.docker.io/v1/", "octocat", "pw-1").is_silent();
    for asked in ["docker.io/acme/app", "https://index.docker.io/v1/access-token", "ghcr.io"] {
        chain.helper.erase(asked).is_silent();
    }
    chain.helper.get("docker.io").is_found("docker.io", "octocat", "pw-1");
}

#[test]
fn the_rule_may_keep_clients_from_changing_it() {
    let chain = Chain::with_config(&format!("{RULE}store = \"refuse\"\n"), KNOWS);
    chain.helper.store("ghcr.io", "octocat", "pw-1").is_silent();
    chain.helper.store("ghcr.io", "octocat", "pw-2").fails_with(&["it holds another credential"]);
    chain.helper.erase("ghcr.io").is_silent();
    chain.were_called(&["get <ghcr.io>", "get <ghcr.io>"]);
    let chain = Chain::with_config(&format!("{RULE}store = \"ignore\"\n"), KNOWS);
    chain.helper.store("ghcr.io", "octocat", "pw-2").is_silent();
    chain.helper.store("https://index.docker.io/v1/access-token", "octocat", "pw-2").is_silent();
    chain.were_called(&[]);
    let chain = Chain::with_config(&format!("{RULE}erase = \"forget\"\n"), KNOWS);
    chain.helper.erase("ghcr.io").is_silent();
    chain.were_called(&[]);
}

#[test]
fn list_names_what_it_has_in_its_words_and_leaves_out_what_is_no_registry() {
    let has = r#"echo '{"https://index.docker.io/v1/":"hub","docker.io":"podman","https://index.docker.io/v1/access-token":"t",
        "https://quay.io/v1/":"quay","ghcr.io":"elsewhere","localhost:5000":"","a b":"x","docker-credential-helpers":"label","https://u:p@x.example":"x"}'"#;
    let more = "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"rule\"\npassword-env = \"P\"\n";
    let chain = Chain::with_config(&format!("{RULE}{more}"), has).env("P", "pw-rule");
    assert_eq!(
        listed(&chain),
        json!({"https://index.docker.io/v1/": "hub", "docker.io": "podman", "https://quay.io/v1/": "quay", "ghcr.io": "rule",
            "localhost:5000": "", "docker-credential-helpers": "label"})
    );
    chain.were_called(&["list <unused>"]);
    let chain = Chain::with_config(&format!("list-keys = \"host\"\n{RULE}"), has);
    assert_eq!(
        listed(&chain),
        // It would not find quay.io under the bare name.
        json!({"docker.io": "podman", "ghcr.io": "elsewhere", "localhost:5000": "", "docker-credential-helpers": "label"})
    );
}

#[test]
fn one_that_fails_or_hangs_never_breaks_list() {
    let more = "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"rule\"\npassword-env = \"P\"\n";
    for script in [
        "echo 'it is locked'; exit 1",
        "echo '[]'",
        "echo '{\"a\":1}'",
        "echo null",
        "echo '{\"a\"'",
        "",
        "exec sleep 60",
        "kill -KILL $$",
    ] {
        let chain = Chain::with_config(&format!("{RULE}{more}"), script).env("P", "pw-rule");
        let started = std::time::Instant::now();
        assert_eq!(listed(&chain), json!({"ghcr.io": "rule"}), "{script}");
        assert!(started.elapsed() < std::time::Duration::from_millis(2700), "{:?}", started.elapsed());
    }
}

#[test]
fn a_rule_for_one_registry_names_only_that() {
    let chain = Chain::with_config(
        &RULE.replace("\"*\"", "\"quay.io\""),
        r#"echo '{"quay.io":"quay","ghcr.io":"x"}'"#,
    );
    assert_eq!(listed(&chain), json!({"quay.io": "quay"}));
}
