//! Store: what becomes of a credential that a client hands over.

use secrecy::SecretString;
use serde::Deserialize;

use super::{hub_rule, judged_url, rule_for};
use crate::ask::Question;
use crate::config::{Rule, Store};
use crate::credential::Credential;
use crate::error::Error;
use crate::lookup::Session;
use crate::registry::{Asked, Registry};

/// What `store` is given (<https://github.com/docker/docker-credential-helpers/blob/master/credentials/credentials.go>).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    #[serde(rename = "ServerURL")]
    server_url: Option<String>,
    username: Option<String>,
    secret: Option<SecretString>,
}

/// Does with it what the rule says.
pub(super) fn store(text: &str, session: &Session<'_>) -> Result<(), Error> {
    // The parser's own words may quote the secret.
    let given: Given = serde_json::from_str(text).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        Error::Input(format!(
            "the input is not the JSON object with ServerURL, Username and Secret that clients send ({place})"
        ))
    })?;
    let asked = judged_url(given.server_url.as_deref().unwrap_or_default())?;
    let username = given.username.filter(|username| !username.is_empty()).ok_or(Error::MissingUsername)?;
    let credential = Credential::new(username, given.secret.unwrap_or_default());
    let registry = match Asked::parse(asked) {
        Asked::HubSubKey => {
            let hub = Registry::hub();
            return match hub_rule(&hub, session) {
                Some(rule) if rule.store == Store::Write => {
                    session.write(rule, Question::new(&hub, asked), &credential)
                }
                _ => Ok(()),
            };
        }
        Asked::NoRegistry => {
            return Err(Error::Refused("the ServerURL is no registry, so nothing is kept".to_owned()));
        }
        Asked::Registry(registry) => registry,
    };
    match rule_for(&registry, session)? {
        Some(rule) => by_rule(rule, Question::new(&registry, asked), credential, session),
        None => keep(&registry, credential, session).map_err(|()| no_rule(&registry, session)),
    }
}

fn by_rule(
    rule: &Rule,
    question: Question<'_>,
    credential: Credential,
    session: &Session<'_>,
) -> Result<(), Error> {
    let registry = question.registry;
    if rule.source.mints() {
        let username = credential.username.clone();
        // Nobody wrote the built-in default, and whoever logs in has something else in mind.
        if session.config()?.is_built_in && keep(registry, credential, session).is_ok() {
            return Ok(());
        }
        return judge_username(rule, &username, registry, session);
    }
    match rule.store {
        Store::Ignore => return Ok(()),
        Store::Refuse => {}
        Store::Write => {
            judge_username(rule, &credential.username, registry, session)?;
            return session.write(rule, question, &credential);
        }
    }
    // What the agent has may be older than what the source holds.
    let held = match session.fetch_anew(rule, question) {
        Err(Error::NotFound) if session.config()?.is_built_in => {
            return keep(registry, credential, session).map_err(|()| nothing_to_compare(registry, session));
        }
        Err(Error::NotFound) => return Err(refused(rule, registry, "it holds no credential")),
        fetched => fetched?,
    };
    if let Some(lease) = &held.lease {
        session.give_back(lease);
        return judge_username(rule, &credential.username, registry, session);
    }
    if held.is(&credential.username, &credential.secret) {
        return Ok(());
    }
    Err(refused(rule, registry, "it holds another credential"))
}

fn refused(rule: &Rule, registry: &Registry, what: &str) -> Error {
    let (source, place) = (rule.source.name(), rule.source.place(registry).unwrap_or_default());
    let write = if rule.source.writable().is_ok() { " (or \"write\")" } else { "" };
    Error::Refused(format!(
        "{source}: {place}: {what}, and nothing is kept here; hint: change it there, or set store = \"ignore\"{write} in the rule"
    ))
}

/// The agent keeps what no rule is for, where one runs.
fn keep(registry: &Registry, credential: Credential, session: &Session<'_>) -> Result<(), ()> {
    if session.keep(registry, credential) { Ok(()) } else { Err(()) }
}

/// A source that mints keeps nothing, and one that is written to not the user name that its rule states; one that
/// contradicts it is worth a word.
fn judge_username(rule: &Rule, given: &str, registry: &Registry, session: &Session<'_>) -> Result<(), Error> {
    match rule.source.stated_username(session.environment()) {
        Some(stated) if stated != given && rule.store != Store::Ignore => {
            // Nobody wrote the built-in rule, so nobody could change it.
            let written = !session.config()?.is_built_in;
            let ignore = if written { ", or set store = \"ignore\" in the rule" } else { "" };
            Err(Error::Refused(format!(
                "{}: {registry}: the rule's user is {stated}, not the given one; hint: log in as {stated}{ignore}",
                rule.source.name()
            )))
        }
        _ => Ok(()),
    }
}

fn no_rule(registry: &Registry, session: &Session<'_>) -> Error {
    let host = registry.host_and_port();
    let hint = add_a_rule(&host, session);
    Error::Refused(format!("no rule for {host}, and nothing is kept on disk; hint: {hint}"))
}

/// The built-in default answers for Docker Hub once its variables are set.
fn nothing_to_compare(registry: &Registry, session: &Session<'_>) -> Error {
    let host = registry.host_and_port();
    let hint = add_a_rule(&host, session);
    Error::Refused(format!(
        "no credential for {host}, and nothing is kept on disk; hint: set DOCKER_USER and DOCKER_ACCESS_TOKEN, or {hint}"
    ))
}

fn add_a_rule(host: &str, session: &Session<'_>) -> String {
    let file = session.config().map(|config| config.origin.as_str()).unwrap_or_default();
    format!("add [registry.\"{host}\"] to {file}")
}
