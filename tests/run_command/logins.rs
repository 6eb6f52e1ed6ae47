//! Registries that no rule is for: logins made inside, and those that the user's own `config.json` holds.

use serde_json::{Value, json};

use super::User;

/// A rule for another registry.
const RULE: &str = "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"rule\"\npassword-env = \"P\"\n";

/// Asks for a registry.
fn get(asked: &str) -> String {
    format!("echo '{asked}' | docker-credential-lease get")
}

/// Hands over what a `docker login` does.
fn store(server: &str, username: &str, secret: &str) -> String {
    let given = json!({"ServerURL": server, "Username": username, "Secret": secret});
    format!("echo '{given}' | docker-credential-lease store")
}

fn found(asked: &str, username: &str, secret: &str) -> String {
    format!("{{\"ServerURL\":\"{asked}\",\"Username\":\"{username}\",\"Secret\":\"{secret}\"}}\n")
}

const NONE: &str = "credentials not found in native keychain\n";

#[test]
fn a_login_made_inside_is_found_under_every_spelling_until_the_logout() {
    let user = User::with_config(RULE);
    let (login, ask) = (store("quay.io", "robot", "pw-inside"), get("https://quay.io/v2/"));
    let printed = user.prints(&format!(
        "{login}; {ask}; docker-credential-lease list; {}; echo quay.io | docker-credential-lease erase; {ask} || true",
        get("quay.io/acme/app")
    ));
    let expected = found("https://quay.io/v2/", "robot", "pw-inside")
        + "{\"quay.io\":\"robot\"}\n"
        + &found("quay.io/acme/app", "robot", "pw-inside")
        + NONE;
    assert_eq!(printed, expected);
    // The next run knows nothing of it.
    assert_eq!(user.script(&ask).stdout, NONE);
}

#[test]
fn a_login_made_inside_is_on_no_disk_and_in_no_words_of_a_process() {
    let user = User::with_config(RULE);
    let own = user.docker_config(&json!({"credsStore": "pass", "auths": {"x.example": {}}}));
    user.program("docker-credential-pass", &format!("echo called \"$@\" >>{}/calls", user.home().display()));
    let before = std::fs::read(&own).unwrap();
    let login = store("quay.io", "robot", "pw-needle");
    let held = user.held(&login, &get("quay.io"));
    let search = std::process::Command::new("grep")
        .args(["-rIlF", "-D", "skip", "pw-needle"])
        .arg(user.home())
        .output();
    assert_eq!(String::from_utf8(search.unwrap().stdout).unwrap(), "");
    #[cfg(target_os = "linux")]
    for agent in user.agents() {
        let process = format!("/proc/{}", agent.as_raw_nonzero());
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(format!("{process}/{file}")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains("pw-needle"), "{file}");
        }
    }
    // The log does not say it either.
    let answer = held.go_on();
    assert_eq!((answer.code, answer.stdout), (Some(0), found("quay.io", "robot", "pw-needle")));
    assert_eq!(std::fs::read(own).unwrap(), before);
    assert!(!user.home().join("calls").exists(), "the user's own store is asked for nothing");
}

#[test]
fn a_login_made_inside_beats_the_users_own() {
    let user = User::with_config(RULE);
    user.docker_config(&json!({"auths": {"quay.io": {"auth": "b3duOnB3"}}}));
    let (login, ask) = (store("quay.io", "robot", "pw"), get("quay.io"));
    let erase = "echo quay.io | docker-credential-lease erase";
    let printed = user.prints(&format!("{ask}; {login}; {ask}; {erase}; {ask}"));
    let own = found("quay.io", "own", "pw");
    assert_eq!(printed, format!("{own}{}{own}", found("quay.io", "robot", "pw")));
}

#[test]
fn a_rule_beats_every_login() {
    let user = User::with_config(RULE).env("P", "pw-rule");
    user.docker_config(&json!({"auths": {"ghcr.io": {"auth": "b3duOnB3"}}}));
    let answer = user.script(&format!("{}; {}", get("ghcr.io"), store("ghcr.io", "other", "pw")));
    assert_eq!(answer.code, Some(1));
    let refused = answer.stdout.strip_prefix(&found("ghcr.io", "rule", "pw-rule")).unwrap();
    assert!(refused.contains("it holds another credential, and nothing is kept here"), "{refused}");
}

#[test]
fn without_rule_and_variables_docker_hub_is_the_users_own_affair() {
    let user = User::new();
    user.docker_config(&json!({"auths": {"https://index.docker.io/v1/": {"auth": "b3duOnB3"}}}));
    let hub = "https://index.docker.io/v1/";
    let (login, ask) = (store(hub, "octocat", "pw-2"), get(hub));
    let printed =
        user.prints(&format!("{ask}; {}; {login}; {ask}; docker-credential-lease list", get("docker.io")));
    let expected =
        found(hub, "own", "pw") + &found("docker.io", "own", "pw") + &found(hub, "octocat", "pw-2");
    assert_eq!(printed, format!("{expected}{{\"{hub}\":\"octocat\"}}\n"));
    // With them, it is the rule's.
    let user = user.env("DOCKER_USER", "ci").env("DOCKER_ACCESS_TOKEN", "pw-ci");
    assert_eq!(user.prints(&ask), found(hub, "ci", "pw-ci"));
    // Half of them is a mistake that is told.
    let user = user.env("DOCKER_ACCESS_TOKEN", "");
    let answer = user.script(&ask);
    assert!(answer.stdout.contains("DOCKER_USER is set, but DOCKER_ACCESS_TOKEN is not"), "{answer:?}");
}

/// A key of `auths`, its entry, what is asked, and the user and password that are found.
type Case<'a> = (&'a str, Value, &'a str, Option<(&'a str, &'a str)>);

#[test]
fn every_form_of_an_inline_login_is_read() {
    let user = User::with_config(RULE);
    let auth = |auth: &str| json!({ "auth": auth });
    let cases: [Case<'_>; 17] = [
        ("a.example", auth("dXNlcjpwdw=="), "a.example", Some(("user", "pw"))),
        ("https://b.example/v1/", auth("dXNlcjpwdw=="), "b.example", Some(("user", "pw"))),
        ("http://c.example:5000", auth("dXNlcjpwdw=="), "c.example:5000", Some(("user", "pw"))),
        ("D.Example:443", auth("dXNlcjpwdw=="), "https://d.example", Some(("user", "pw"))),
        // With colons in the password, with NULs at its end.
        ("e.example", auth("dTpwOnE6cg=="), "e.example", Some(("u", "p:q:r"))),
        ("f.example", auth("dTpwAAA="), "f.example", Some(("u", "p"))),
        ("g.example", auth("dTrDpA=="), "g.example", Some(("u", "\u{e4}"))),
        (
            "h.example",
            json!({"auth": "MDAwMDo=", "identitytoken": "idt"}),
            "h.example",
            Some(("<token>", "idt")),
        ),
        ("i.example", json!({"username": "u", "password": "p"}), "i.example", Some(("u", "p"))),
        (
            "j.example",
            json!({"auth": "dXNlcjpwdw==", "username": "x", "password": "y"}),
            "j.example",
            Some(("user", "pw")),
        ),
        // What is no login.
        ("k.example", json!({}), "k.example", None),
        ("l.example", auth("not base64!"), "l.example", None),
        ("q.example", auth("dTpwOnE6cg"), "q.example", None),
        ("m.example", auth("bm8gY29sb24="), "m.example", None),
        ("n.example", json!({"auth": 5, "identitytoken": ""}), "n.example", None),
        ("o.example", json!("x"), "o.example", None),
        ("p.example", auth("dXNlcjpwdw=="), "p.example.evil.example", None),
    ];
    let auths: serde_json::Map<String, Value> =
        cases.iter().map(|(key, entry, ..)| ((*key).to_owned(), entry.clone())).collect();
    user.docker_config(&json!({ "auths": auths }));
    let script: String = cases.iter().map(|(_, _, asked, _)| format!("{}\n", get(asked))).collect();
    let printed = user.script(&script).stdout;
    let expected: String = cases
        .iter()
        .map(|(_, _, asked, login)| {
            login.map_or(NONE.to_owned(), |(name, secret)| found(asked, name, secret))
        })
        .collect();
    assert_eq!(printed, expected);
}

#[test]
fn of_two_spellings_the_one_that_is_asked_for_counts() {
    let user = User::new();
    user.docker_config(&json!({"auths": {
        "docker.io": {"auth": "c2Vjb25kOnB3"}, "https://index.docker.io/v1/": {"auth": "Zmlyc3Q6cHc="},
    }}));
    let printed = user.prints(&format!("{}; {}", get("https://index.docker.io/v1/"), get("docker.io")));
    assert_eq!(
        printed,
        found("https://index.docker.io/v1/", "first", "pw") + &found("docker.io", "second", "pw")
    );
}

#[test]
fn docker_hubs_sub_keys_are_never_answered() {
    let user = User::new();
    let key = "https://index.docker.io/v1/access-token";
    user.docker_config(
        &json!({"auths": {(key): {"auth": "dXNlcjpwdw=="}, "https://index.docker.io/v1/": {}}}),
    );
    assert_eq!(user.script(&format!("{}; {}", get(key), get("docker.io"))).stdout, NONE.repeat(2));
}

#[test]
fn outside_of_run_the_users_own_logins_are_not_read() {
    let user = User::with_config(RULE);
    user.docker_config(&json!({"auths": {"quay.io": {"auth": "dXNlcjpwdw=="}}, "credsStore": "pass"}));
    user.helper.get("quay.io").is_not_found();
}

#[test]
fn a_config_that_others_may_write_is_not_read_inside_and_the_log_says_so() {
    let user = User::with_config(RULE).env("DOCKER_CREDENTIAL_LEASE_LOG", "1");
    let own = user.docker_config(&json!({"auths": {"quay.io": {"auth": "dXNlcjpwdw=="}}}));
    std::fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let answer = user.script(&get("quay.io"));
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), NONE));
    let own = own.display().to_string();
    assert!(answer.stderr.contains(&format!("chmod go-w {own}")), "{}", answer.stderr);
}
