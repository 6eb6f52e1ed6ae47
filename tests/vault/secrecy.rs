//! What a login shows and what it is given come back in no sentence, no log, no file and no other program.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::rule;
use crate::support::Helper;
use crate::support::app_role::AppRole;
use crate::support::gate::{Gate, Step};
use crate::support::hostile::Hostile;
use crate::support::servers::Bao;

const LOG: &str = "DOCKER_CREDENTIAL_LEASE_LOG";

/// A login that shows the secret, which stands in `SHOWN`, by each of the methods.
fn logins() -> [String; 4] {
    [
        "method = \"approle\"\nrole-id = \"r0le\"\nsecret-id-env = \"SHOWN\"",
        "method = \"approle\"\nrole-id-env = \"SHOWN\"",
        "method = \"userpass\"\nusername = \"ci\"\npassword-env = \"SHOWN\"",
        "method = \"jwt\"\nrole = \"ci\"\ntoken = { env = \"SHOWN\" }",
    ]
    .map(|auth| rule("secret/data/hub", &format!("[vault.default.auth]\n{auth}")))
}

/// A token as an identity provider signs them, without an end.
const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjaSJ9.c2lnbmF0dXJlLW9mLW91cnM";

/// Neither stdout nor the log holds it, in any case of letters, with any spaces.
#[track_caller]
fn is_kept_secret(helper: Helper, secret: &str, parts: &[&str]) {
    let plain = |text: &str| text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let answer = helper.get("ghcr.io");
    answer.fails_with(parts);
    let logged = helper.env(LOG, "1").get("ghcr.io");
    assert!(logged.stderr.contains("vault: "), "{logged:?}");
    for text in [&answer.stdout, &logged.stdout, &logged.stderr] {
        assert!(!plain(text).contains(&plain(secret)), "{text}");
    }
}

#[test]
fn a_server_that_repeats_what_a_login_shows_is_not_repeated() {
    for (config, shown) in logins().iter().zip(["5ecret-1d", "r0le-1d-of-ours", "pa  ss\"w\\ord", JWT]) {
        let echo = |text: &str| json!({"errors": [format!("no such thing: {text}, really")]}).to_string();
        let again = Value::String(shown.to_owned()).to_string();
        for body in [echo(shown), echo(&again), echo(&format!("{{\"x\":{again}}}"))] {
            let double = Hostile::answering(400, "", &body);
            let helper = Helper::with_config(config).env("VAULT_ADDR", double.url()).env("SHOWN", shown);
            is_kept_secret(helper, shown, &["login at auth/", ": HTTP 400; hint: "]);
        }
    }
}

#[test]
fn a_redirect_to_a_host_that_is_what_a_login_shows_is_not_repeated() {
    for (config, shown) in logins().iter().zip(["5ecret-1d", "r0le-1d-of-ours", "pa55-w0rd", JWT]) {
        let double = Hostile::answering(307, &format!("Location: https://{shown}.example/v1/x\r\n"), "");
        let helper = Helper::with_config(config).env("VAULT_ADDR", double.url()).env("SHOWN", shown);
        is_kept_secret(helper, shown, &["vault: secret/data/hub: "]);
        assert_eq!(double.heard().len(), 2, "a login is sent once, whatever becomes of it");
    }
}

const TOKEN: &str = "s.N3FhWlmvnZFhSHlgWz6kOgsJ";

/// A login with `5ecret-1d`, answered with the token; everything else is answered so, and nothing is taken back.
fn after_the_login(answer: &Value, status: u16) -> Helper {
    let answer = answer.to_string();
    let gate = Gate::holding("http://127.0.0.1:1", move |line| match line.contains("/login") {
        true => Step::answering(200, "", &json!({"auth": {"client_token": TOKEN}}).to_string()),
        false if line.contains("/revoke") => Step::answering(403, "", ""),
        false => Step::answering(status, "", &answer),
    });
    Helper::with_config(&logins()[0]).env("VAULT_ADDR", gate.url()).env("SHOWN", "5ecret-1d")
}

#[test]
fn a_read_that_repeats_the_login_is_not_repeated() {
    for secret in [TOKEN, "5ecret-1d"] {
        let helper = after_the_login(&json!({"errors": [format!("{secret} may not")]}), 403);
        is_kept_secret(helper, secret, &["vault: secret/data/hub: HTTP 403; hint: "]);
    }
}

#[test]
fn a_cause_that_names_the_role_is_repeated() {
    // What stands in the config is no secret, and words may be the same.
    let helper = after_the_login(&json!({"errors": ["nobody called r0le is known"]}), 500);
    helper.get("ghcr.io").fails_with(&["vault: secret/data/hub: nobody called r0le is known; hint: "]);
}

#[test]
fn a_lease_that_is_called_like_the_token_is_not_named() {
    let mut minted =
        json!({"lease_id": format!("x/{TOKEN}"), "lease_duration": 60, "data": {"username": "u"}});
    let helper = after_the_login(&minted, 200);
    is_kept_secret(helper, TOKEN, &["it has no key `password`"]);
    minted["data"]["password"] = json!("pw-1");
    let logged = after_the_login(&minted, 200).env(LOG, "1").get("ghcr.io");
    assert!(logged.code == Some(0) && !logged.stderr.contains(TOKEN), "{logged:?}");
}

/// A secret, a role that may read it, and a helper with its secret-id in a file; requests that begin so hang.
fn reader(bao: &Bao, gate: &Gate) -> (AppRole, Helper) {
    let name = bao.secret(&json!({"username": "octocat", "password": "pw-of-ours"}));
    let policy = format!("path \"secret/data/{name}\" {{ capabilities = [\"read\"] }}");
    let role = AppRole::new(bao, &policy);
    let config = rule(&format!("secret/data/{name}"), "");
    let text = fs::read_to_string(role.helper(bao, &config, "").config_file()).unwrap();
    let file = text.replace("secret-id-env = \"SECRET_ID\"", "secret-id-file = \"~/secret-id\"");
    assert_ne!(text, file);
    let helper = Helper::with_config(&file).env("VAULT_ADDR", gate.url());
    let path = helper.home().join("secret-id");
    fs::write(&path, format!("{}\n", role.secret_id)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    (role, helper)
}

/// The token that a login through the gate was answered with.
fn token(gate: &Gate) -> String {
    let answer: Value = serde_json::from_str(&gate.passed()[0].answer).unwrap();
    answer["auth"]["client_token"].as_str().unwrap().to_owned()
}

#[test]
fn the_log_tells_of_the_login_and_holds_no_secret() {
    let Some(bao) = Bao::find() else { return };
    let gate = Gate::to(&bao.address);
    let (role, helper) = reader(&bao, &gate);
    let answer = helper.env(LOG, "1").get("ghcr.io");
    assert!(answer.code == Some(0) && answer.stderr.contains("vault: login given back"), "{answer:?}");
    for secret in [token(&gate).as_str(), role.secret_id.as_str(), "pw-of-ours"] {
        assert!(!answer.stderr.contains(secret), "{answer:?}");
    }
}

#[test]
fn no_other_program_sees_a_secret_and_no_file_holds_one() {
    let Some(bao) = Bao::find() else { return };
    let gate = Gate::holding(&bao.address, |line| match line.starts_with("GET ") {
        true => Step::Late(Duration::from_millis(300)),
        false => Step::Pass,
    });
    let (role, helper) = reader(&bao, &gate);
    let temporary = helper.home().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let helper = helper.env("TMPDIR", temporary.to_str().unwrap());
    let before = files(helper.home());
    let mut child = helper.command(&["get"]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"ghcr.io").unwrap();
    while gate.passed().len() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early: {:?}", gate.told());
        thread::sleep(Duration::from_millis(2));
    }
    // Now the helper has everything but the answer.
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let seen = ["cmdline", "environ"].map(|name| fs::read(process.join(name)).unwrap());
    let children = fs::read_to_string(process.join(format!("task/{}/children", child.id()))).unwrap();
    let during = files(helper.home());
    assert!(child.wait_with_output().unwrap().status.success());
    for secret in [token(&gate), role.secret_id] {
        for text in &seen {
            assert!(!text.windows(secret.len()).any(|part| part == secret.as_bytes()));
        }
    }
    assert_eq!((children.as_str(), &during, &files(helper.home())), ("", &before, &before));
}

/// Every file below the folder, with what it holds.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let text = fs::read(&path).unwrap();
            found.push((path, text));
        }
    }
    found.sort();
    found
}

#[test]
fn a_login_goes_to_its_own_connection_alone() {
    let Some(bao) = Bao::find() else { return };
    let gates = [Gate::to(&bao.address), Gate::to(&bao.address)];
    let name = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
    let policy = format!("path \"secret/data/{name}\" {{ capabilities = [\"read\"] }}");
    let roles = [AppRole::new(&bao, &policy), AppRole::new(&bao, &policy)];
    let mut config = String::new();
    for (number, (registry, role)) in ["one.example", "two.example"].iter().zip(&roles).enumerate() {
        config += &format!(
            "[registry.\"{registry}\"]\nsource = \"vault\"\npath = \"secret/data/{name}\"\nvault = \"v{number}\"\n\
             [vault.v{number}]\naddress = \"{}\"\n[vault.v{number}.auth]\nmethod = \"approle\"\n\
             mount = \"{}\"\nrole-id = \"{}\"\nsecret-id-env = \"SECRET_{number}\"\n",
            gates[number].url(),
            role.mount,
            role.role_id
        );
    }
    let helper = Helper::with_config(&config)
        .envs(&[("SECRET_0", &roles[0].secret_id), ("SECRET_1", &roles[1].secret_id)]);
    helper.get("one.example").is_found("one.example", "octocat", "pw-1");
    assert_eq!((gates[0].passed().len(), gates[1].passed().len()), (3, 0));
    helper.get("two.example").is_found("two.example", "octocat", "pw-1");
    assert_eq!((gates[0].passed().len(), gates[1].passed().len()), (3, 3));
    let first = [token(&gates[0]), roles[0].secret_id.clone(), roles[0].role_id.clone()];
    for passed in gates[1].passed() {
        for secret in &first {
            assert!(!passed.request.contains(secret.as_str()), "{}", passed.line);
        }
    }
    // Nobody's rule: nobody is asked.
    helper.get("three.example").is_not_found();
    assert_eq!((gates[0].connections(), gates[1].connections()), (1, 1));
}
