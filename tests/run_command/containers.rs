//! What podman, skopeo and buildah find: one file, out of all that they would have read.

use serde_json::{Value, json};

use super::User;

const RULE: &str = "[registry.\"ghcr.io\"]\nsource = \"env\"\nusername = \"u\"\npassword-env = \"P\"\n";

fn login(user: &str) -> Value {
    json!({ "auth": user })
}

/// The file that is effective inside.
#[track_caller]
fn inside(user: &User) -> Value {
    let printed = user.prints("cat \"$REGISTRY_AUTH_FILE\"");
    serde_json::from_str(&printed).unwrap()
}

#[test]
fn three_files_are_one_and_the_first_that_knows_a_registry_counts() {
    let user = User::with_config(RULE);
    let auths = |names: &[&str], by: &str| -> Value {
        names.iter().map(|name| ((*name).to_owned(), login(by))).collect::<serde_json::Map<_, _>>().into()
    };
    let first = json!({"auths": auths(&["a.example", "a.example/team", "ghcr.io"], "runtime"), "credHelpers": {"h.example": "one"}});
    let second = json!({"auths": auths(&["a.example", "b.example", "h.example"], "config"), "credHelpers": {"g.example": "two"}});
    let third = json!({
        "auths": auths(&["a.example", "b.example", "c.example", "https://index.docker.io/v1/"], "docker"),
        "credHelpers": {"h.example": "three", "a.example": "three", "g.example": ""},
        "credsStore": "pass", "psFormat": "x",
    });
    user.file("runtime/containers/auth.json", first.to_string());
    user.file(".config/containers/auth.json", second.to_string());
    user.docker_config(&third);
    let answer = user.helper.run(&["run", "cat", "/dev/null"], "");
    assert_eq!(answer.code, Some(0));
    let printed = user.helper.run(&["run", "--", "sh", "-c", "cat \"$REGISTRY_AUTH_FILE\""], "").stdout;
    assert_eq!(
        serde_json::from_str::<Value>(&printed).unwrap(),
        json!({
            "auths": {
                "a.example": login("runtime"), "a.example/team": login("runtime"), "ghcr.io": login("runtime"),
                "b.example": login("config"), "h.example": login("config"),
                "c.example": login("docker"), "https://index.docker.io/v1/": login("docker"),
            },
            // Of a login that is read first, no later helper takes anything away.
            "credHelpers": {"h.example": "one", "g.example": "two", "ghcr.io": "lease"},
        })
    );
}

#[test]
fn a_file_that_the_variable_names_is_the_only_one() {
    let user = User::with_config(RULE);
    user.docker_config(&json!({"auths": {"a.example": login("docker")}}));
    user.file(".config/containers/auth.json", json!({"auths": {"b.example": login("config")}}).to_string());
    let named = user.file("named.json", json!({"auths": {"c.example": login("named")}}).to_string());
    let user = user.env("REGISTRY_AUTH_FILE", named.to_str().unwrap());
    assert_eq!(inside(&user)["auths"], json!({"c.example": login("named")}));
    // One that is not there yet is one that podman would make.
    let user = user.env("REGISTRY_AUTH_FILE", "/no/such/auth.json");
    assert_eq!(inside(&user), json!({"auths": {}, "credHelpers": {"ghcr.io": "lease"}}));
}

#[test]
fn the_folder_for_configs_may_be_elsewhere() {
    let user = User::with_config(RULE);
    let config = user.helper.config_file().display().to_string();
    user.file(".config/containers/auth.json", json!({"auths": {"a.example": login("home")}}).to_string());
    user.file("xdg/containers/auth.json", json!({"auths": {"a.example": login("xdg")}}).to_string());
    let xdg = user.home().join("xdg").display().to_string();
    let user = user.env("XDG_CONFIG_HOME", xdg).env("DOCKER_CREDENTIAL_LEASE_CONFIG", config);
    assert_eq!(inside(&user)["auths"], json!({"a.example": login("xdg")}));
}

#[test]
fn a_login_that_podman_writes_inside_is_gone_afterwards() {
    let user = User::new();
    let own = json!({"auths": {"a.example": login("home")}}).to_string();
    let file = user.file(".config/containers/auth.json", &own);
    user.prints("echo '{\"auths\": {\"a.example\": {\"auth\": \"new\"}}}' >\"$REGISTRY_AUTH_FILE\"");
    assert_eq!(std::fs::read_to_string(file).unwrap(), own);
}
