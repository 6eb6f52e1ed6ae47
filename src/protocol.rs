//! Docker's credential helper protocol: `get`, `store`, `erase` and `list` over any reader and writer.
//!
//! The contract is what real clients do (<https://github.com/docker/docker-credential-helpers>): stdin is read to its
//! end first, the answer is one line on stdout, and every failure is one line on stdout too.

mod list;
mod store;

use std::io::{self, Write};
use std::time::Instant;

use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use serde::Serialize;

use crate::ask::Question;
use crate::config::{Erase, Rule};
use crate::credential::Credential;
use crate::error::Error;
use crate::lookup::Session;
use crate::registry::{Asked, Registry};
use crate::{log, resolve};
use list::list;
use store::store;

/// The longest URL that is taken, in bytes.
const URL_LIMIT: usize = 4 * 1024;
/// The longest `store` that is taken, in bytes.
const STORE_LIMIT: usize = 256 * 1024;
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
        Verb::List => list(session).map(|named| write_line(output, &named)),
        Verb::Store => {
            let text = text(input, STORE_LIMIT, "the credential is larger than 256 KiB", session)?;
            store(&text, session).map(|()| Ok(()))
        }
    }
}

fn get(asked: &str, output: &mut dyn Write, session: &Session<'_>) -> Result<io::Result<()>, Error> {
    let credential = match Asked::parse(asked) {
        Asked::HubSubKey => {
            let hub = Registry::hub();
            let rule = hub_rule(&hub, session).ok_or(Error::NotFound)?;
            let fetched = session.fetch(rule, Question::new(&hub, asked));
            fetched.map_err(|error| resolve::soften(rule, error))?
        }
        Asked::NoRegistry => return Err(Error::NotFound),
        Asked::Registry(registry) => found(Question::new(&registry, asked), session)?,
    };
    let written = write_found(output, asked, &credential);
    if let (Err(_), Some(lease)) = (&written, &credential.lease) {
        // Nobody has the answer, so nobody would give it back.
        session.give_back(lease);
    }
    Ok(written)
}

fn found(question: Question<'_>, session: &Session<'_>) -> Result<Credential, Error> {
    let Some(rule) = rule_for(question.registry, session)? else {
        log::event(|| format!("{}: no rule", question.registry));
        return session.without_rule(question).ok_or(Error::NotFound);
    };
    let is_built_in = session.config()?.is_built_in;
    // Nobody wrote the built-in default: it makes nothing for who has a login of their own.
    let own = if is_built_in && rule.source.mints() { session.without_rule(question) } else { None };
    if let Some(own) = own {
        return Ok(own);
    }
    match session.fetch(rule, question) {
        // The built-in default without its variables is as good as no rule.
        Err(Error::NotFound) if is_built_in => session.without_rule(question).ok_or(Error::NotFound),
        fetched => fetched.map_err(|error| resolve::soften(rule, error)),
    }
}

fn write_found(output: &mut dyn Write, asked: &str, credential: &Credential) -> io::Result<()> {
    let secret = credential.secret.expose_secret();
    let found = Found { server_url: asked, username: &credential.username, secret };
    write_line(output, &found)
}

/// One line of JSON, wiped when it is written.
pub(crate) fn write_line(output: &mut dyn Write, answer: &impl Serialize) -> io::Result<()> {
    let mut line = Zeroizing::new(serde_json::to_vec(answer)?);
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

/// The agent forgets it, where one runs, and the source where the rule says so; nothing there is no failure.
fn erase(asked: &str, session: &Session<'_>) -> Result<(), Error> {
    let deletes = |rule: &&Rule| rule.erase == Erase::Delete;
    match Asked::parse(asked) {
        Asked::HubSubKey => {
            let hub = Registry::hub();
            match hub_rule(&hub, session).filter(deletes) {
                Some(rule) => session.delete(rule, Question::new(&hub, asked)),
                None => Ok(()),
            }
        }
        Asked::NoRegistry => Ok(()),
        Asked::Registry(registry) => match rule_for(&registry, session)?.filter(deletes) {
            Some(rule) => session.delete(rule, Question::new(&registry, asked)),
            None => {
                session.forget(&registry);
                Ok(())
            }
        },
    }
}

fn rule_for<'s>(registry: &Registry, session: &'s Session<'_>) -> Result<Option<&'s Rule>, Error> {
    Ok(session.config()?.rule(registry))
}

/// The rule that Docker Hub's sub-keys are for: a credential store's, which keeps them under their own names.
fn hub_rule<'s>(hub: &Registry, session: &'s Session<'_>) -> Option<&'s Rule> {
    // A broken config is told where a registry is asked for.
    rule_for(hub, session).ok()?.filter(|rule| rule.source.is_store())
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

/// What stands on the input.
///
/// # Errors
/// It is too long, too late or not UTF-8.
pub(crate) fn text(
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
