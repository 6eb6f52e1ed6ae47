//! Auths: the logins that stand in a `config.json` of docker, each under what it is for
//! (<https://github.com/docker/cli/blob/master/cli/config/configfile/file.go>).

use aws_smithy_types::base64;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::ask::Question;
use crate::credential::Credential;
use crate::error::{Kind, Problem};
use crate::registry::{HUB_URL, Pattern, Registry};

/// The key below which they stand.
const KEY: &str = "auths";
/// The user name that an identity token has where a user name is wanted
/// (<https://github.com/docker/docker-credential-helpers/blob/master/client/client.go>).
const TOKEN_USER: &str = "<token>";
/// What of an entry is the login.
const LOGIN: [&str; 4] = ["auth", "username", "password", "identitytoken"];

/// The login under the very name that was asked, else under another spelling of it.
pub fn find(config: &Value, Question { registry, asked, .. }: Question<'_>) -> Option<Credential> {
    let verbatim = entries(config).find(|(key, _)| *key == asked).and_then(|(_, entry)| login(entry));
    // One with a path is for what is below it, as a rule's would be; the longest is meant.
    let fits = |key: &str| Pattern::parse(key).ok().filter(|own| !own.is_wildcard() && own.matches(registry));
    let found = verbatim.or_else(|| {
        let found = entries(config).filter_map(|(key, entry)| Some((fits(key)?, login(entry)?)));
        found.max_by(|(one, _), (two, _)| one.precedence(two)).map(|(_, credential)| credential)
    })?;
    let by_path =
        |key: &str| Pattern::parse(key).is_ok_and(|own| own.has_path() && own.matches_host(registry));
    Some(Credential { is_by_path: entries(config).any(|(key, _)| by_path(key)), ..found })
}

/// Every login, with its key.
pub fn logins(config: &Value) -> impl Iterator<Item = (&String, Credential)> {
    entries(config).filter_map(|(key, entry)| Some((key, login(entry)?)))
}

/// Whether the login is an identity token, which has no user name.
pub fn is_token(login: &Credential) -> bool {
    login.username == TOKEN_USER
}

/// Whether there is a table of them, however empty.
pub fn are_in(config: &Value) -> bool {
    config[KEY].is_object()
}

/// Puts the login under the registry's own key, in place of what stands there under any spelling; what else is in the
/// file, or in the entry, stays. The file is a JSON object, or nothing yet.
///
/// # Errors
/// The login cannot be written so.
pub fn put(config: &mut Value, registry: &Registry, given: &Credential) -> Result<(), Problem> {
    if given.username.is_empty() || given.secret.expose_secret().is_empty() {
        let cause = "a login without a user name or a secret would not be given again";
        return Err(Problem::new(Kind::Malformed, cause).hint("log in with a password or token"));
    }
    if given.username.contains(':') {
        let cause = "a user name with a colon cannot stand under auths";
        return Err(Problem::new(Kind::Malformed, cause).hint("keep it in a file of its own"));
    }
    if !config[KEY].is_object() && !config[KEY].is_null() {
        let cause = "its auths are no JSON object";
        return Err(Problem::new(Kind::Malformed, cause).hint("mend it, or move it away"));
    }
    let taken = take(config, registry);
    let key = taken.as_ref().map_or_else(|| own_key(registry), |(key, _)| key.clone());
    let mut entry = taken.map(|(_, kept)| kept).unwrap_or_default();
    let secret = given.secret.expose_secret();
    match given.username.as_str() {
        TOKEN_USER => entry.insert("identitytoken".to_owned(), Value::from(secret)),
        username => {
            let auth = Zeroizing::new(format!("{username}:{secret}"));
            entry.insert("auth".to_owned(), Value::from(base64::encode(auth.as_bytes())))
        }
    };
    config[KEY][key] = Value::Object(entry);
    Ok(())
}

/// Takes the registry's login away, under whatever spelling, and the table where nothing else is in it.
pub fn remove(config: &mut Value, registry: &Registry) {
    let Some((key, kept)) = take(config, registry) else { return };
    if !kept.is_empty() {
        config[KEY][key] = Value::Object(kept);
    }
    let is_empty = config[KEY].as_object().is_some_and(Map::is_empty);
    if let Value::Object(fields) = config
        && is_empty
    {
        fields.shift_remove(KEY);
    }
}

/// Takes the registry's entries out: the first key, and what was in them beside the login.
fn take(config: &mut Value, registry: &Registry) -> Option<(String, Map<String, Value>)> {
    let entries = config.get_mut(KEY)?.as_object_mut()?;
    let same = |key: &&String| Registry::parse(key).is_some_and(|own| own == *registry);
    let keys: Vec<String> = entries.keys().filter(same).cloned().collect();
    let mut kept = Map::new();
    for key in &keys {
        if let Some(Value::Object(entry)) = entries.shift_remove(key) {
            kept.extend(entry.into_iter().filter(|(key, _)| !LOGIN.contains(&key.as_str())));
        }
    }
    keys.into_iter().next().map(|key| (key, kept))
}

/// The key under which docker keeps it.
fn own_key(registry: &Registry) -> String {
    match registry.is_hub() && registry.path().is_empty() {
        true => HUB_URL.to_owned(),
        false => registry.to_string(),
    }
}

fn entries(config: &Value) -> impl Iterator<Item = (&String, &Value)> {
    config[KEY].as_object().into_iter().flatten()
}

/// A login as `config.json` has it: an identity token, or user and password, in base64 or as they are.
fn login(entry: &Value) -> Option<Credential> {
    if let Some(token) = entry["identitytoken"].as_str().filter(|token| !token.is_empty()) {
        return Some(Credential::new(TOKEN_USER, SecretString::from(token)));
    }
    let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty());
    let Some(auth) = text("auth") else {
        return Some(Credential::new(text("username")?, SecretString::from(text("password")?)));
    };
    let bytes = Zeroizing::new(base64::decode(auth).ok()?);
    let text = std::str::from_utf8(&bytes).ok()?.trim_end_matches('\0');
    let (username, secret) = text.split_once(':')?;
    if username.is_empty() || secret.is_empty() {
        return None;
    }
    Some(Credential::new(username, SecretString::from(secret)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(username: &str, secret: &str) -> Credential {
        Credential::new(username, SecretString::from(secret))
    }

    fn found(config: &Value, asked: &str) -> Option<(String, String)> {
        let registry = Registry::parse(asked)?;
        let credential = find(config, Question::new(&registry, asked))?;
        Some((credential.username, credential.secret.expose_secret().to_owned()))
    }

    fn pair(username: &str, secret: &str) -> Option<(String, String)> {
        Some((username.to_owned(), secret.to_owned()))
    }

    #[test]
    fn a_login_goes_in_as_docker_writes_it_and_comes_out_again() {
        let mut config = Value::Null;
        for asked in ["docker.io", "https://ghcr.io/v2/", "[::1]:5000", "quay.io/acme"] {
            assert!(put(&mut config, &Registry::parse(asked).unwrap(), &given("octocat", "pw:é")).is_ok());
        }
        let auth = json!({"auth": "b2N0b2NhdDpwdzrDqQ=="});
        assert_eq!(
            config,
            json!({"auths": {"https://index.docker.io/v1/": auth, "ghcr.io": auth, "[::1]:5000": auth, "quay.io/acme": auth}})
        );
        assert_eq!(found(&config, "registry-1.docker.io"), pair("octocat", "pw:é"));
        assert_eq!(found(&config, "quay.io/acme/app"), pair("octocat", "pw:é"));
        assert_eq!(found(&config, "quay.io"), None);
        assert!(put(&mut config, &Registry::parse("ghcr.io").unwrap(), &given("<token>", "ey.1")).is_ok());
        assert_eq!(config["auths"]["ghcr.io"], json!({"identitytoken": "ey.1"}));
        assert_eq!(found(&config, "ghcr.io"), pair("<token>", "ey.1"));
        for asked in ["https://index.docker.io/v1/", "GHCR.io", "[::1]:5000", "quay.io/acme"] {
            remove(&mut config, &Registry::parse(asked).unwrap());
        }
        assert_eq!(config, json!({}));
    }

    #[test]
    fn every_spelling_is_one_registry_and_what_else_is_there_stays() {
        let mut config = json!({"HttpHeaders": {"x": "y"}, "auths": {
            "docker.io": {"auth": "b2xkOm9sZA==", "email": "a@b"},
            "https://index.docker.io/v1/": {"username": "older", "password": "older"},
            "https://index.docker.io/v1/access-token": {"auth": "dDp0"},
            "docker.io/acme": {"auth": "dDp0"},
        }});
        assert!(put(&mut config, &Registry::hub(), &given("octocat", "new")).is_ok());
        let rest = json!({"https://index.docker.io/v1/access-token": {"auth": "dDp0"}, "docker.io/acme": {"auth": "dDp0"}});
        let mut expected = json!({"HttpHeaders": {"x": "y"}, "auths": rest});
        expected["auths"]["docker.io"] = json!({"auth": "b2N0b2NhdDpuZXc=", "email": "a@b"});
        assert_eq!(config, expected);
        remove(&mut config, &Registry::hub());
        expected["auths"]["docker.io"] = json!({"email": "a@b"});
        assert_eq!(config, expected);
        remove(&mut config, &Registry::parse("ghcr.io").unwrap());
        assert_eq!(config, expected);
    }

    #[test]
    fn what_cannot_be_written_so_changes_nothing() {
        let registry = Registry::hub();
        for (mut config, username, secret) in [
            (json!({"auths": {}}), "a:b", "pw"),
            (json!({"auths": [1]}), "octocat", "pw"),
            (json!({"auths": {"docker.io": {"auth": "dTpw"}}}), "octocat", ""),
            (json!({"auths": {"docker.io": {"auth": "dTpw"}}}), "<token>", ""),
            (Value::Null, "", "pw"),
        ] {
            let before = config.clone();
            assert!(put(&mut config, &registry, &given(username, secret)).is_err());
            assert_eq!(config, before);
        }
    }

    #[test]
    fn half_a_login_is_none() {
        let text = |text: &str| json!({"auth": base64::encode(text.as_bytes())});
        for entry in
            [text("u:"), text(":pw"), text(":"), text("u:\0"), json!({"username": "u", "password": ""})]
        {
            let config = json!({"auths": {"ghcr.io": entry}});
            assert_eq!((found(&config, "ghcr.io"), logins(&config).count()), (None, 0), "{config}");
        }
        let token = json!({"auths": {"ghcr.io": {"auth": text("u:")["auth"], "identitytoken": "ey.1"}}});
        assert_eq!(found(&token, "ghcr.io"), pair("<token>", "ey.1"));
    }
}
