//! Rule: one `[registry."PATTERN"]` table.

use std::path::Path;
use std::time::Duration;

use crate::keys::{Keys, Read};
use crate::registry::Pattern;
use crate::source::{self, Setup, Source};

/// One `[registry."PATTERN"]` table.
pub struct Rule {
    /// Which registries it is for.
    pub pattern: Pattern,
    /// Where their credentials come from.
    pub source: Box<dyn Source>,
    /// What a failed source means to the client.
    pub on_error: OnError,
    /// What `docker login` may do.
    pub store: Store,
    /// What `docker logout` does.
    pub erase: Erase,
    /// How long the agent keeps an answer at most.
    pub ttl: Option<Duration>,
    /// The table itself, and the folder that its files are relative to.
    pub stated: String,
    /// The table's header, as the text has it, and where it is.
    pub(super) header: String,
    pub(super) at: usize,
}

/// What a failed source means to the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnError {
    /// Not found, so that it goes on without a credential.
    Anonymous,
    /// A failure, said in one line.
    Fail,
}

/// What `store` does with a credential that a client hands over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Store {
    /// Succeeds and keeps nothing.
    Ignore,
    /// Succeeds only with what `get` would give.
    Refuse,
    /// Puts it where the source keeps it.
    Write,
}

/// What `erase` does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Erase {
    /// Takes it out of the source too.
    Delete,
    /// Has the agent forget it, and gives its lease back.
    Forget,
}

impl Rule {
    /// Reads the table.
    ///
    /// # Errors
    /// The first mistake in it.
    pub(super) fn parse(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Self> {
        let on_error =
            keys.word("on-error", &[("anonymous", OnError::Anonymous), ("fail", OnError::Fail)])?;
        let store = [("ignore", Store::Ignore), ("refuse", Store::Refuse), ("write", Store::Write)];
        let store = keys.word("store", &store)?;
        let erase = keys.word("erase", &[("delete", Erase::Delete), ("forget", Erase::Forget)])?;
        let ttl = keys.duration("ttl")?;
        let source = source::parse(keys, setup)?;
        let (store, erase) = changes(keys, source.as_ref(), store, erase)?;
        let pattern = setup.pattern.clone();
        if source.needs_path() && pattern.is_wildcard() {
            return Err(keys.error("uses {path}, which only a pattern without `*` may do"));
        }
        if !(setup.any_host || pattern.pins_owner() || source.is_per_host()) {
            return Err(keys.error(
                "would send one credential to every host that it matches: put {host} into the place of the password, \
                 narrow the pattern, or set any-host = true",
            ));
        }
        Ok(Self {
            pattern,
            source,
            on_error: on_error.unwrap_or(OnError::Fail),
            store,
            erase,
            ttl,
            stated: format!("{}\n{}", setup.folder.unwrap_or(Path::new("")).display(), keys.whole()),
            header: keys.name().to_owned(),
            at: keys.at(),
        })
    }
}

/// What clients may change, judged: only what the source can do.
fn changes(
    keys: &Keys<'_>,
    source: &dyn Source,
    store: Option<Store>,
    erase: Option<Erase>,
) -> Read<(Store, Erase)> {
    let usual =
        if source.is_store() { (Store::Write, Erase::Delete) } else { (Store::Refuse, Erase::Forget) };
    let store = store.unwrap_or(usual.0);
    if store != Store::Write {
        if erase == Some(Erase::Delete) {
            return Err(keys.mistake("erase", "needs store = \"write\" to delete"));
        }
        return Ok((store, Erase::Forget));
    }
    source.writable().map_err(|why| keys.mistake("store", &format!("cannot be \"write\": {why}")))?;
    Ok((store, erase.unwrap_or(usual.1)))
}
