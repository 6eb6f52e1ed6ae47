//! What the command finds in `DOCKER_CONFIG`, and what the user's own folder looks like afterwards.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{User, held_script};

/// Rules of every kind: literal ones, one with a port, with a path, with `{path}`, with a `*`.
const RULES: &str = r#"
[registry."docker.io"]
source = "env"
[registry."ghcr.io"]
source = "env"
username = "u"
password-env = "P"
[registry."localhost:5000"]
source = "vault"
path = "secret/data/local"
[registry."quay.io/acme"]
source = "vault"
path = "secret/data/quay"
[registry."lscr.io"]
source = "vault"
path = "secret/data/{path}"
[registry."docker.io/acme"]
source = "vault"
path = "secret/data/{path}"
[registry."*.example.com"]
source = "vault"
path = "secret/data/{host}"
"#;

/// Every file and link below the folder, with what it holds.
fn everything(folder: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            found.push((path.clone(), metadata.mode(), Vec::new()));
            found.extend(everything(&path));
        } else {
            found.push((path.clone(), metadata.mode(), fs::read(&path).unwrap_or_default()));
        }
    }
    found.sort();
    found
}

#[test]
fn literal_rules_are_wired_in_and_what_the_user_has_stays() {
    let user = User::with_config(RULES);
    let own = json!({
        "auths": {"quay.io": {"auth": "dTpw"}, "ghcr.io": {}},
        "credsStore": "pass",
        "credHelpers": {"gcr.io": "gcloud", "ghcr.io": "gh", "empty.example": "", "quay.io": "pass"},
        "HttpHeaders": {"X-Meta": "1"},
        "psFormat": "table {{.ID}}",
        "currentContext": "remote",
        "plugins": {"x": {"y": "z"}},
        "someday": [1, {"a": null}],
    });
    user.docker_config(&own);
    let held = user.held("", "");
    let mut expected = own.clone();
    expected["credsStore"] = json!("lease");
    expected["credHelpers"] = json!({
        "gcr.io": "gcloud", "quay.io": "pass", "ghcr.io": "lease", "localhost:5000": "lease",
        "https://index.docker.io/v1/": "lease", "index.docker.io": "lease",
    });
    assert_eq!(held.json("docker/config.json"), expected);
    assert_eq!(
        held.json("auth.json"),
        json!({
            "auths": {"quay.io": {"auth": "dTpw"}, "ghcr.io": {}},
            "credHelpers": {
                "gcr.io": "gcloud", "quay.io": "pass", "ghcr.io": "lease", "localhost:5000": "lease", "docker.io": "lease",
            },
        })
    );
    assert_eq!(held.go_on().code, Some(0));
}

#[test]
fn without_any_docker_config_there_is_one_inside() {
    let user = User::with_config(
        "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"u\"\npassword-env = \"P\"\n",
    );
    let held = user.held("", "");
    assert_eq!(
        held.json("docker/config.json"),
        json!({"credsStore": "lease", "credHelpers": {"ghcr.io": "lease"}})
    );
    assert_eq!(held.json("auth.json"), json!({"auths": {}, "credHelpers": {"ghcr.io": "lease"}}));
    assert_eq!(held.go_on().code, Some(0));
    let left: Vec<_> = everything(&user.home().join(".docker"))
        .into_iter()
        .map(|(path, mode, _)| (path, mode & 0o777))
        .collect();
    let docker = user.home().join(".docker");
    assert_eq!(left, [(docker.join("buildx"), 0o700), (docker.join("contexts"), 0o700)]);
}

#[test]
fn the_built_in_default_is_wired_where_it_has_something_to_say() {
    let own = json!({"credHelpers": {"https://index.docker.io/v1/": "pass"}});
    let user = User::new();
    user.docker_config(&own);
    let held = user.held("", "");
    assert_eq!(held.json("docker/config.json")["credHelpers"], own["credHelpers"]);
    assert_eq!(held.go_on().code, Some(0));
    let user = User::new().env("DOCKER_USER", "octocat").env("DOCKER_ACCESS_TOKEN", "t");
    user.docker_config(&own);
    let held = user.held("", "");
    let expected = json!({"https://index.docker.io/v1/": "lease", "index.docker.io": "lease"});
    assert_eq!(held.json("docker/config.json")["credHelpers"], expected);
    assert_eq!(held.json("auth.json")["credHelpers"]["docker.io"], "lease");
    assert_eq!(held.go_on().code, Some(0));
}

#[test]
fn nobody_else_can_read_what_is_in_the_folder() {
    let user = User::new();
    user.docker_config(&json!({"auths": {"ghcr.io": {"auth": "dTpw"}}}));
    // However loose the umask is.
    let bare = user.bare(&["sh", "-c", &held_script("", "")]);
    let mut shell = user.like(&bare, "sh");
    shell.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(bare.get_program()).args(bare.get_args());
    let held = user.held_by(shell);
    let mode = |path: &str| fs::metadata(held.folder.join(path)).unwrap().permissions().mode() & 0o777;
    for (path, expected) in [
        ("", 0o700),
        ("docker", 0o700),
        ("bin", 0o700),
        ("docker/config.json", 0o600),
        ("auth.json", 0o600),
        ("agent.sock", 0o600),
    ] {
        assert_eq!(mode(path), expected, "{path}");
    }
    assert_eq!(held.go_on().code, Some(0));
}

#[test]
fn the_users_own_files_are_untouched_and_reached_through_links() {
    let user = User::with_config(RULES);
    // As people write it: tabs, an odd order, no newline at its end.
    user.file(
        ".docker/config.json",
        "{\n\t\"credsStore\":   \"pass\",\n\t\"auths\": {\"x.example\": {}},\n\t\"a\": 1\n}",
    );
    user.file(".docker/cli-plugins/docker-x", "plugin");
    user.file(".docker/contexts/meta/abc/meta.json", "{}");
    user.file(".docker/buildx/current", "{}");
    user.file(".docker/.token_seed", "seed");
    let before = everything(&user.home().join(".docker"));
    let printed = user.prints(
        "cd \"$DOCKER_CONFIG\" && cat cli-plugins/docker-x contexts/meta/abc/meta.json buildx/current .token_seed && ls -A",
    );
    assert_eq!(printed, "plugin{}{}seed.token_seed\nbuildx\ncli-plugins\nconfig.json\ncontexts\n");
    assert_eq!(everything(&user.home().join(".docker")), before);
}

#[test]
fn what_docker_writes_into_its_config_inside_is_gone_afterwards() {
    let user = User::new();
    let own = user.docker_config(&json!({"credsStore": "pass"}));
    let before = fs::read(&own).unwrap();
    // As docker does it: a new file, then a rename.
    user.prints(
        "cd \"$DOCKER_CONFIG\" && echo '{\"auths\": {}}' >config.json.new && mv config.json.new config.json",
    );
    assert_eq!(fs::read(&own).unwrap(), before);
    assert_eq!(fs::read_dir(own.parent().unwrap()).unwrap().count(), 3, "config.json, buildx, contexts");
}

#[test]
fn a_builder_and_a_context_made_inside_are_there_afterwards() {
    for has_folder in [false, true] {
        let user = User::new();
        if has_folder {
            user.docker_config(&json!({}));
        }
        user.prints(
            "cd \"$DOCKER_CONFIG\" && mkdir -p buildx/instances contexts/meta/abc \
             && echo b >buildx/instances/mine && echo c >contexts/meta/abc/meta.json",
        );
        let docker = user.home().join(".docker");
        assert_eq!(fs::read(docker.join("buildx/instances/mine")).unwrap(), b"b\n");
        assert_eq!(fs::read(docker.join("contexts/meta/abc/meta.json")).unwrap(), b"c\n");
    }
}

#[test]
fn links_in_the_folder_are_removed_and_not_followed() {
    let user = User::new();
    let keep = user.file("keep/precious", "1");
    user.file(".docker/cli-plugins/docker-x", "plugin");
    let script = format!(
        "ln -s {0} \"$DOCKER_CONFIG/mine\"; ln -s {0} \"$DOCKER_CONFIG/..\"",
        keep.parent().unwrap().display()
    );
    user.prints(&script);
    assert!(keep.exists() && user.home().join(".docker/cli-plugins/docker-x").exists());
}

#[test]
fn the_users_docker_config_variable_names_the_folder() {
    let user = User::new();
    user.docker_config(&json!({"credsStore": "not-this-one"}));
    user.file("work/d/config.json", json!({"psFormat": "x", "credsStore": "pass"}).to_string());
    let elsewhere = user.file("elsewhere/file", "");
    // A relative one too, whatever folder the command goes to.
    let script = format!(
        "cat \"$DOCKER_CONFIG/config.json\"; cd {} && ls -d \"$DOCKER_CONFIG/buildx/.\" && echo \"$DOCKER_CREDENTIAL_LEASE_FALLBACK\"",
        elsewhere.parent().unwrap().display()
    );
    let mut command = user.command(&["sh", "-c", &script]);
    let output = command.env("DOCKER_CONFIG", "d").current_dir(user.home().join("work")).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && printed.contains("\"psFormat\": \"x\""), "{printed}");
    assert!(printed.ends_with(&format!("{}\n", user.home().join("work/d").display())), "{printed}");
}

#[test]
fn a_home_that_cannot_be_written_or_is_not_there_is_no_obstacle() {
    let user = User::new();
    for home in ["/proc/self", "/no/such/home"] {
        let mut command = user.command(&["sh", "-c", "cd \"$DOCKER_CONFIG\" && mkdir buildx && ls"]);
        let output = command.env("HOME", home).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!((output.status.code(), printed.as_str()), (Some(0), "buildx\nconfig.json\n"), "{home}");
        user.has_nothing_left();
    }
    let docker = user.home().join("d");
    let mut command = user.command(&["true"]);
    command.env_remove("HOME").env("DOCKER_CONFIG", &docker).env("XDG_CONFIG_HOME", user.home());
    assert!(command.status().unwrap().success());
}

#[test]
fn a_config_that_is_no_json_is_named_and_nothing_is_run() {
    for (path, text) in [
        (".docker/config.json", "{\"auths\": {\"ghcr.io\": {\"auth\": \"c2VjcmV0\"}},}"),
        (".docker/config.json", "[]"),
        (".config/containers/auth.json", "auths: c2VjcmV0"),
    ] {
        let user = User::new();
        let file = user.file(path, text);
        let answer = user.script("echo it ran");
        let said = format!(
            "docker-credential-lease: {} is no JSON object; hint: mend it, or move it away\n",
            file.display()
        );
        assert_eq!((answer.code, answer.stdout, answer.stderr), (Some(125), String::new(), said));
    }
}

#[test]
fn an_empty_config_counts_as_none() {
    let user = User::new();
    user.file(".docker/config.json", "\n");
    let held = user.held("", "");
    assert_eq!(held.json("docker/config.json"), json!({"credsStore": "lease", "credHelpers": {}}));
    assert_eq!(held.go_on().code, Some(0));
}

#[test]
fn odd_values_in_the_config_make_no_difference() {
    let user = User::with_config(RULES);
    user.docker_config(&json!({"credHelpers": "x", "credsStore": 5, "auths": ["y"]}));
    let held = user.held("echo ghcr.io | docker-credential-lease get", "");
    let wired: Value = held.json("docker/config.json");
    assert_eq!((&wired["credsStore"], &wired["credHelpers"]["ghcr.io"]), (&json!("lease"), &json!("lease")));
    assert_eq!(held.go_on().code, Some(0));
}

#[test]
fn the_folder_goes_where_there_is_room_for_it() {
    let user = User::new();
    let long = user.file(&format!("{}/file", "long".repeat(30)), "").parent().unwrap().display().to_string();
    let file = user.file("file", "").display().to_string();
    let colon = user.file("a:b/file", "").parent().unwrap().display().to_string();
    let runtime = user.runtime().display().to_string();
    let temp = user.file("temp/file", "").parent().unwrap().display().to_string();
    for (first, second, expected) in [
        (runtime.as_str(), temp.as_str(), runtime.as_str()),
        ("/no/such/folder", temp.as_str(), temp.as_str()),
        (long.as_str(), temp.as_str(), temp.as_str()),
        (file.as_str(), temp.as_str(), temp.as_str()),
        (colon.as_str(), long.as_str(), "/tmp"),
        ("", temp.as_str(), temp.as_str()),
    ] {
        let script = "test -d \"$DOCKER_CONFIG\" && echo \"$DOCKER_CONFIG\" && docker-credential-lease agent status >&2";
        let mut command = user.command(&["sh", "-c", script]);
        let output = command.env("XDG_RUNTIME_DIR", first).env("TMPDIR", second).output().unwrap();
        let folder = String::from_utf8(output.stdout).unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && folder.starts_with(&format!("{expected}/lease-")),
            "{folder} {told}"
        );
        assert!(!Path::new(folder.trim()).exists());
    }
}
