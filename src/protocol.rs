//! Docker's credential helper protocol: `get`, `store`, `erase` and `list` over any reader and writer.
//!
//! The contract is what real clients do (<https://github.com/docker/docker-credential-helpers>): stdin is read to its
//! end first, the answer is one line on stdout, and every failure is one line on stdout too.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Instant;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{ListKeys, Rule, Store};
use crate::credential::Credential;
use crate::error::Error;
use crate::lookup::Session;
use crate::registry::{Asked, Registry};
use crate::{log, resolve};

/// The longest URL that is taken, in bytes.
const URL_LIMIT: usize = 4 * 1024;
/// The longest `store` that is taken, in bytes.
const STORE_LIMIT: usize = 256 * 1024;
/// What docker asks for where it means Docker Hub.
const HUB_URL: &str = "https://index.docker.io/v1/";

/// How a rule names it.
const HUB: &str = "docker.io";

/// One of the protocol's verbs that work with registries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// Forget a credential.
    Erase,
    /// Give a credential.
    Get,
    /// Name every registry that has one.
    List,
    /// Keep a credential.
    Store,
}

/// Where a client's words come from.
pub trait Input {
    /// Reads to the end, keeps at most `keep` bytes, and gives up at `until`.
    fn collect(&mut self, keep: usize, until: Instant) -> Collected;
}

/// What stood on the input.
pub enum Collected {
    /// All of it.
    All(Zeroizing<Vec<u8>>),
    /// It did not end in time.
    Late,
    /// It was read to its end and holds more than was to be kept.
    TooLong,
}

/// What `store` is given (<https://github.com/docker/docker-credential-helpers/blob/master/credentials/credentials.go>).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    #[serde(rename = "ServerURL")]
    server_url: Option<String>,
    username: Option<String>,
    secret: Option<SecretString>,
}

/// What `get` answers.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Found<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

/// Answers one call of a client.
///
/// # Errors
/// [`Error`], whose line goes to the client; the inner error is that the answer could not be written.
pub fn serve(
    verb: Verb,
    input: &mut dyn Input,
    output: &mut dyn Write,
    session: &Session<'_>,
) -> Result<io::Result<()>, Error> {
    match verb {
        Verb::Erase => {
            let asked = server_url(input, session)?;
            erase(&asked, session).map(|()| Ok(()))
        }
        Verb::Get => {
            let asked = server_url(input, session)?;
            get(&asked, output, session)
        }
        // Its input says nothing; the caller has read it away.
        Verb::List => list(output, session),
        Verb::Store => {
            let text = text(input, STORE_LIMIT, "the credential is larger than 256 KiB", session)?;
            store(&text, session).map(|()| Ok(()))
        }
    }
}

fn get(asked: &str, output: &mut dyn Write, session: &Session<'_>) -> Result<io::Result<()>, Error> {
    let Asked::Registry(registry) = Asked::parse(asked) else { return Err(Error::NotFound) };
    let Some(rule) = rule_for(&registry, session)? else {
        log::event(|| format!("{registry}: no rule"));
        let credential = session.without_rule(&registry, asked).ok_or(Error::NotFound)?;
        return Ok(write_found(output, asked, &credential));
    };
    let credential = match session.fetch(rule, &registry) {
        // The built-in default without its variables is as good as no rule.
        Err(Error::NotFound) => session.without_rule(&registry, asked).ok_or(Error::NotFound)?,
        fetched => fetched.map_err(|error| resolve::soften(rule, error))?,
    };
    let written = write_found(output, asked, &credential);
    if let (Err(_), Some(lease)) = (&written, &credential.lease) {
        // Nobody has the answer, so nobody would give it back.
        session.give_back(lease);
    }
    Ok(written)
}

fn write_found(output: &mut dyn Write, asked: &str, credential: &Credential) -> io::Result<()> {
    let secret = credential.secret.expose_secret();
    let found = Found { server_url: asked, username: &credential.username, secret };
    write_line(output, &found)
}

/// One line of JSON, wiped when it is written.
fn write_line(output: &mut dyn Write, answer: &impl Serialize) -> io::Result<()> {
    let mut line = Zeroizing::new(serde_json::to_vec(answer)?);
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

fn store(text: &str, session: &Session<'_>) -> Result<(), Error> {
    // The parser's own words may quote the secret.
    let given: Given = serde_json::from_str(text).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        Error::Input(format!(
            "the input is not the JSON object with ServerURL, Username and Secret that clients send ({place})"
        ))
    })?;
    let server_url = judged_url(given.server_url.as_deref().unwrap_or_default())?;
    let username = given.username.filter(|username| !username.is_empty()).ok_or(Error::MissingUsername)?;
    let secret = given.secret.unwrap_or_default();
    let registry = match Asked::parse(server_url) {
        Asked::HubSubKey => return Ok(()),
        Asked::NoRegistry => {
            return Err(Error::Refused("the ServerURL is no registry, so nothing is kept".to_owned()));
        }
        Asked::Registry(registry) => registry,
    };
    let Some(rule) = rule_for(&registry, session)? else {
        let credential = Credential::new(username, secret);
        return keep(&registry, credential, session).map_err(|()| no_rule(&registry, session));
    };
    if rule.source.mints() {
        return judge_username(rule, &username, &registry, session);
    }
    if rule.store == Store::Ignore {
        return Ok(());
    }
    // What the agent has may be older than what the source holds.
    let credential = match session.fetch_anew(rule, &registry) {
        Err(Error::NotFound) => {
            let credential = Credential::new(username, secret);
            return keep(&registry, credential, session).map_err(|()| nothing_to_compare(&registry, session));
        }
        fetched => fetched?,
    };
    if let Some(lease) = &credential.lease {
        session.give_back(lease);
        return judge_username(rule, &username, &registry, session);
    }
    if credential.is(&username, &secret) {
        return Ok(());
    }
    let (source, place) = (rule.source.name(), rule.source.place(&registry).unwrap_or_default());
    Err(Error::Refused(format!(
        "{source}: {place}: it holds another credential, and nothing is kept here; hint: change it there, or set store = \"ignore\" in the rule"
    )))
}

/// The agent keeps what no rule is for, where one runs.
fn keep(registry: &Registry, credential: Credential, session: &Session<'_>) -> Result<(), ()> {
    if session.keep(registry, credential) { Ok(()) } else { Err(()) }
}

/// A source that mints keeps nothing; only a user name that the rule contradicts is worth a word.
fn judge_username(rule: &Rule, given: &str, registry: &Registry, session: &Session<'_>) -> Result<(), Error> {
    match rule.source.stated_username(session.environment()) {
        Some(stated) if stated != given && rule.store == Store::Refuse => Err(Error::Refused(format!(
            "{}: {registry}: the rule's user is {stated}, not the given one; hint: log in as {stated}, or set store = \"ignore\" in the rule",
            rule.source.name()
        ))),
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

/// The agent forgets it, where one runs; only what cannot be understood is a failure.
fn erase(asked: &str, session: &Session<'_>) -> Result<(), Error> {
    if let Asked::Registry(registry) = Asked::parse(asked) {
        rule_for(&registry, session)?;
        session.forget(&registry);
    }
    Ok(())
}

fn list(output: &mut dyn Write, session: &Session<'_>) -> Result<io::Result<()>, Error> {
    let config = session.config()?;
    let environment = session.environment();
    let mut named = BTreeMap::new();
    for rule in &config.rules {
        let Some(registry) = rule.pattern.literal() else { continue };
        if rule.source.needs_path() || !rule.source.is_listed(environment) {
            continue;
        }
        let key = match config.list_keys {
            ListKeys::Url if registry.is_hub() => HUB_URL.to_owned(),
            _ => registry.host_and_port(),
        };
        named.insert(key, rule.source.stated_username(environment).unwrap_or_default());
    }
    let key = |registry: String| match config.list_keys {
        ListKeys::Url if registry == HUB => HUB_URL.to_owned(),
        _ => registry,
    };
    let kept = session.kept();
    for (registry, username) in kept.of_rules {
        // Only what no table says.
        named.entry(key(registry)).and_modify(|known| {
            if known.is_empty() {
                *known = username;
            }
        });
    }
    for (name, username) in session.fallback_list() {
        let name = match Asked::parse(&name) {
            Asked::Registry(registry) if config.list_keys == ListKeys::Host => registry.host_and_port(),
            _ => name,
        };
        named.entry(name).or_insert(username);
    }
    named.extend(kept.logins.into_iter().map(|(registry, username)| (key(registry), username)));
    Ok(write_line(output, &named))
}

fn rule_for<'s>(registry: &Registry, session: &'s Session<'_>) -> Result<Option<&'s Rule>, Error> {
    Ok(session.config()?.rule(registry))
}

/// The URL that a client asks for, without the line end that shells and some clients add.
fn server_url(input: &mut dyn Input, session: &Session<'_>) -> Result<String, Error> {
    let text = text(input, 2 * URL_LIMIT, TOO_LONG, session)?;
    judged_url(&text).map(str::to_owned)
}

const TOO_LONG: &str = "the server URL is longer than 4 KiB";

fn judged_url(text: &str) -> Result<&str, Error> {
    let url = text.trim();
    if url.is_empty() {
        return Err(Error::MissingServerUrl);
    }
    if url.len() > URL_LIMIT {
        return Err(Error::Input(TOO_LONG.to_owned()));
    }
    if url.contains(char::is_control) {
        return Err(Error::Input("the server URL holds a control character".to_owned()));
    }
    Ok(url)
}

fn text(
    input: &mut dyn Input,
    limit: usize,
    too_long: &str,
    session: &Session<'_>,
) -> Result<Zeroizing<String>, Error> {
    match input.collect(limit, session.deadline().at()) {
        Collected::All(mut bytes) => String::from_utf8(std::mem::take(&mut *bytes))
            .map(Zeroizing::new)
            .map_err(|_| Error::Input("the input is not UTF-8".to_owned())),
        Collected::Late => Err(Error::Input(format!(
            "timed out after {} waiting for the end of the input",
            session.deadline()
        ))),
        Collected::TooLong => Err(Error::Input(too_long.to_owned())),
    }
}
