//! Credentials in files: JSON with user and password, docker's own `config.json`, or two plain files.

mod json;
mod place;
mod plain;
mod text;

use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;

use super::shape::Fields;
use super::{Answer, Coming, Names, Setup, Source, Writable};
use crate::ask::Ask;
use crate::credential::Credential;
use crate::deadline::Deadline;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::file::write::{self, Draft};
use crate::file::{self, FileError, Owner};
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use crate::registry::Registry;
use json::Json;
use place::Place;
use plain::{Plain, Username};

/// Its word in the config.
pub(super) const NAME: &str = "file";
/// The largest file that is read, in bytes.
const SIZE_LIMIT: u64 = 16 * 1024 * 1024;

/// How the files hold it.
enum File {
    Json(Json),
    Plain(Plain),
}

/// Reads `path`, `username`, `username-file`, `password-file`, `username-key` and `password-key`.
pub(super) fn parse(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Box<dyn Source>> {
    let place = Place::parse(keys, "path", setup)?;
    let username = keys.string("username")?;
    let username_file = plain_file(keys, "username-file", setup)?;
    let password_file = plain_file(keys, "password-file", setup)?;
    let fields = Fields::parse(keys)?;
    keys.finish()?;
    keys.exclusive(&["path", "password-file"])?;
    keys.exclusive(&["path", "username-file"])?;
    keys.exclusive(&["username", "username-file"])?;
    if let Some(place) = place {
        return Ok(Box::new(File::Json(Json::new(place, username, fields, setup))));
    }
    let password = password_file
        .ok_or_else(|| keys.error("needs the key `path`, or `password-file` for a plain file"))?;
    for (key, is_there) in
        [("username-key", fields.names_username()), ("password-key", fields.names_password())]
    {
        if is_there {
            return Err(keys.mistake(key, "is for a JSON file, which `path` names"));
        }
    }
    let username = username.map(Username::Literal).or(username_file.map(Username::File));
    let username = username.ok_or_else(|| keys.error("needs the key `username` or `username-file`"))?;
    Ok(Box::new(File::Plain(Plain { username, password })))
}

/// A file that holds one thing, whichever registry is asked for.
fn plain_file(keys: &Keys<'_>, key: &'static str, setup: &Setup<'_>) -> Read<Option<PathBuf>> {
    let text = keys.string(key)?.unwrap_or_default();
    if let Some(filled) = ["{host}", "{path}"].iter().find(|name| text.contains(**name)) {
        let what = format!("takes no {filled}: it is one file for all; give path for a JSON file for each");
        return Err(keys.mistake(key, &what));
    }
    keys.path(key, setup.folder, setup.home)
}

impl Source for File {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self, registry: &Registry) -> Option<String> {
        match self {
            Self::Json(json) => Some(json.place.fill(registry)?.display().to_string()),
            Self::Plain(plain) => Some(plain.password.display().to_string()),
        }
    }

    fn get<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Answer> {
        match self {
            Self::Json(json) => Box::pin(std::future::ready(json.get(ask))),
            Self::Plain(plain) => Box::pin(async { plain.get(ask.limits.answer).await.map(Some) }),
        }
    }

    fn is_kept(&self) -> bool {
        false
    }

    fn depends_on(&self, _: &Environment, _: &mut Inputs) {}

    fn is_per_host(&self) -> bool {
        match self {
            Self::Json(json) => json.is_per_host(),
            Self::Plain(_) => false,
        }
    }

    fn needs_path(&self) -> bool {
        matches!(self, Self::Json(json) if json.place.uses_path())
    }

    fn stated_username(&self, _: &Environment) -> Option<String> {
        match self {
            Self::Json(json) => json.username.clone(),
            Self::Plain(plain) => plain.stated_username(),
        }
    }

    fn listed_username(&self, environment: &Environment) -> Option<String> {
        match self {
            Self::Json(_) => self.stated_username(environment),
            Self::Plain(plain) => plain.username().ok(),
        }
    }

    fn writable(&self) -> Result<&dyn Writable, &'static str> {
        Ok(self)
    }
}

impl Writable for File {
    fn store<'a>(&'a self, ask: &'a Ask<'a>, given: &'a Credential) -> Coming<'a, Result<(), Problem>> {
        match self {
            Self::Json(json) => Box::pin(json.store(ask, given)),
            Self::Plain(plain) => Box::pin(plain.store(ask.limits.answer, given)),
        }
    }

    fn erase<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Result<(), Problem>> {
        match self {
            Self::Json(json) => Box::pin(json.erase(ask)),
            Self::Plain(plain) => Box::pin(plain.erase(ask.limits.answer)),
        }
    }

    fn list<'a>(&'a self, ask: &'a Ask<'a>, names: &'a Names) -> Coming<'a, Result<(), Problem>> {
        match self {
            Self::Json(json) => Box::pin(std::future::ready(json.list(ask, names))),
            // It is one credential, whoever may have it.
            Self::Plain(_) => Box::pin(std::future::ready(Ok(()))),
        }
    }
}

/// What stands in the file.
fn read(path: &Path) -> Result<Zeroizing<String>, Problem> {
    file::read_text(path, Owner::Anyone, SIZE_LIMIT).map(Zeroizing::new).map_err(unread)
}

fn unread(error: FileError) -> Problem {
    match error {
        FileError::Missing => Problem::new(Kind::Missing, "there is no such file")
            .hint("have it written there, or correct the path in the rule"),
        FileError::Unreadable(why) => Problem::new(Kind::Malformed, format!("it cannot be read: {why}"))
            .hint("whoever runs docker must be able to read it"),
        FileError::Unsafe { what, mend } => {
            Problem::new(Kind::Untrusted, format!("{what}, so it is not read")).hint(mend)
        }
    }
}

/// The file that is to be changed, behind all links.
fn judged(path: &Path) -> Result<PathBuf, Problem> {
    write::judged_target(path).map_err(unchanged)
}

/// The same for a file that is to be written; where its folder is not there, it is made.
fn prepared(path: &Path) -> Result<PathBuf, Problem> {
    let target = judged(path)?;
    write::make_folder(write::folder(&target)).map_err(|error| unwritten(&error))?;
    judged(path)
}

/// Writes the text in the file's place.
fn write_whole(target: &Path, text: &[u8]) -> Result<(), Problem> {
    let draft = Draft::write(target, text).map_err(unchanged)?;
    draft.publish().map_err(|error| unwritten(&error))?;
    write::settle(write::folder(target));
    Ok(())
}

/// Writes both of the texts, or neither: where the second one cannot be put in its place, the first one goes back.
fn write_both(first: (&Path, &[u8]), second: (&Path, &[u8])) -> Result<(), Problem> {
    let old = match read(first.0) {
        Err(problem) if problem.kind == Kind::Missing => None,
        old => Some(Draft::write(first.0, old?.as_bytes()).map_err(unchanged)?),
    };
    let draft = |(target, text)| Draft::write(target, text).map_err(unchanged);
    let drafts = (draft(first)?, draft(second)?);
    drafts.0.publish().map_err(|error| unwritten(&error))?;
    let published = drafts.1.publish();
    if published.is_err() {
        // It is the second one's problem that is told.
        let _ = match old {
            Some(old) => old.publish(),
            None => write::remove(first.0),
        };
    }
    // Only now, so that whoever reads in between finds no mixture for long.
    write::settle(write::folder(first.0));
    write::settle(write::folder(second.0));
    published.map_err(|error| {
        let problem = unwritten(&error);
        Problem { cause: format!("{}: {}", second.0.display(), problem.cause), ..problem }
    })
}

fn unchanged(error: FileError) -> Problem {
    match error {
        FileError::Unsafe { what, mend } => {
            Problem::new(Kind::Untrusted, format!("{what}, so nothing is changed there")).hint(mend)
        }
        FileError::Unreadable(why) => unwritten(&why),
        FileError::Missing => unread(error),
    }
}

fn unwritten(error: &impl std::fmt::Display) -> Problem {
    Problem::new(Kind::Denied, format!("it cannot be written: {error}"))
        .hint("whoever runs docker must be able to write to its folder")
}

fn held(until: Deadline) -> Problem {
    Problem::new(Kind::Unavailable, format!("timed out after {until}: another program holds its folder"))
        .hint("see which one with `fuser`, and try again")
}
