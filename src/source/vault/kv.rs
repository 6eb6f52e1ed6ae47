//! K/V: the secrets of an engine that keeps what it is given, and how one of them is changed.

use std::time::Duration;

use http::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::refused::{Right, refused, unmounted};
use crate::deadline::Deadline;
use crate::error::{Kind, Problem};
use crate::vault::{Engine, Mount, Refusal, Session};

/// How long whoever was overtaken waits, in milliseconds: not all of them equally long.
const PAUSE: std::ops::Range<u64> = 5..50;
/// What a try needs, at the end of the time.
const ANOTHER_TRY: Duration = Duration::from_millis(100);
/// What to do about others who write at the same time.
const TRY_AGAIN: &str = "others write there all the time: try again";
/// What is shorter could stand in a sentence by chance.
const SHORTEST_SECRET: usize = 8;

/// An engine, as a connection sees it.
pub(super) struct Kv<'s> {
    session: &'s Session,
    /// Whether its token is a login's.
    logs_in: bool,
    is_versioned: bool,
    /// How many segments of a path are the mount's.
    depth: usize,
}

/// A secret of it.
pub(super) struct Secret<'s> {
    kv: Kv<'s>,
    path: Vec<String>,
}

/// What a secret held when it was read.
struct Held {
    /// Null where there is none.
    object: Value,
    /// The version's number, also of one that is deleted; 0 where there never was one, or none are counted.
    version: u64,
}

impl<'s> Kv<'s> {
    /// The engine that the path is below.
    pub(super) async fn find(session: &'s Session, path: &[String], logs_in: bool) -> Result<Self, Problem> {
        let Mount { engine, depth } = session.mount(path).await?.map_err(|refusal| unmounted(&refusal))?;
        let is_versioned = match engine {
            Engine::Kv => false,
            Engine::VersionedKv => true,
            Engine::Other => {
                return Err(Problem::new(
                    Kind::Malformed,
                    "the engine there is no K/V, and takes no credential",
                )
                .hint("name a secret of a K/V engine in path, or leave out store"));
            }
        };
        Ok(Self { session, logs_in, is_versioned, depth })
    }

    /// Where the API has the secret at the path, which may have `data/` after the mount or not.
    pub(super) fn secret_at(&self, path: &[String]) -> Result<Vec<String>, Problem> {
        self.below(path, "data")
    }

    /// Where the API names what is below the path.
    pub(super) fn folder_at(&self, path: &[String]) -> Result<Vec<String>, Problem> {
        self.below(path, "metadata")
    }

    fn below(&self, path: &[String], kind: &str) -> Result<Vec<String>, Problem> {
        let misplaced = |cause: &str| Err(Problem::new(Kind::Malformed, cause).hint("check path"));
        let Some((mount, rest)) = path.split_at_checked(self.depth) else {
            return misplaced("{host} stands in the name of the mount");
        };
        if !self.is_versioned {
            return Ok(path.to_vec());
        }
        let rest = match rest {
            [first, rest @ ..] if first == "data" => rest,
            [first, ..] if first == "metadata" => return misplaced("path names a secret's metadata"),
            rest => rest,
        };
        Ok([mount, &[kind.to_owned()], rest].concat())
    }

    pub(super) fn is_versioned(&self) -> bool {
        self.is_versioned
    }

    pub(super) fn refused(&self, refusal: &Refusal, path: &[String], right: Right) -> Problem {
        refused(refusal, path, right, self.logs_in)
    }
}

impl<'s> Secret<'s> {
    /// The secret at the path.
    pub(super) async fn find(session: &'s Session, path: &[String], logs_in: bool) -> Result<Self, Problem> {
        let kv = Kv::find(session, path, logs_in).await?;
        let at = kv.secret_at(path)?;
        if at.len() <= kv.depth + usize::from(kv.is_versioned) {
            return Err(Problem::new(Kind::Malformed, "path names a mount and no secret")
                .hint("name the secret after the mount"));
        }
        Ok(Self { kv, path: at })
    }

    /// Changes what it holds, and does so anew where somebody else has written in between; `edit` says whether what is
    /// left is not worth keeping. Of an engine without versions the last one wins.
    pub(super) async fn change(
        &self,
        until: Deadline,
        edit: impl Fn(&mut Value) -> Result<bool, Problem>,
    ) -> Result<(), Problem> {
        loop {
            let held = self.read().await?;
            let mut object = held.object.clone();
            let is_over = edit(&mut object)?;
            if object == held.object {
                return Ok(());
            }
            if self.kv.session.is_used_up() {
                return Err(Problem::new(Kind::Denied, "the login's token is used up by the read")
                    .hint("raise token_num_uses of the login's role, or leave it out"));
            }
            let changed = if is_over { self.delete(&held).await } else { self.write(object, &held).await };
            let Some(overtaken) = changed? else { return Ok(()) };
            let pause = Duration::from_millis(fastrand::u64(PAUSE));
            if until.left() < pause + ANOTHER_TRY {
                return Err(overtaken);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn read(&self) -> Result<Held, Problem> {
        let answer = match self.kv.session.read(&self.path).await? {
            Ok(answer) => answer,
            Err(refusal) => {
                let problem = self.kv.refused(&refusal, &self.path, Right::Read);
                if problem.kind != Kind::Missing {
                    return Err(problem);
                }
                // The next version is counted from the one that was deleted.
                let version = refusal.data["metadata"]["version"].as_u64().unwrap_or_default();
                return Ok(Held { object: Value::Null, version });
            }
        };
        let data = answer.whole();
        let held = match data["metadata"]["version"].as_u64() {
            Some(version) if self.kv.is_versioned => Some(Held { object: data["data"].clone(), version }),
            None if self.kv.is_versioned => None,
            _ => data.is_object().then(|| Held { object: data.clone(), version: 0 }),
        };
        // Written over, it would be lost.
        held.ok_or_else(|| {
            Problem::new(Kind::Malformed, "the answer holds no secret").hint("check the address and path")
        })
    }

    /// Writes the whole of it; the refusal of whoever was overtaken.
    async fn write(&self, object: Value, held: &Held) -> Result<Option<Problem>, Problem> {
        hide(&object, self.kv.session);
        let body = match self.kv.is_versioned {
            true => json!({"options": {"cas": held.version}, "data": object}),
            false => object,
        };
        let refusal = match self.kv.session.write(Method::POST, &self.path, &body).await? {
            Ok(_) => return Ok(None),
            Err(refusal) => refusal,
        };
        if refusal.is_overtaken {
            return Ok(Some(refusal.problem(Kind::Unavailable, TRY_AGAIN)));
        }
        let is_new = held.object.is_null() && held.version == 0;
        let right = if is_new { Right::Create } else { Right::Update };
        Err(self.kv.refused(&refusal, &self.path, right))
    }

    /// Deletes it; of a versioned engine the version that was read, which its owner can undelete. The problem of whoever
    /// was overtaken: what is there now has not been read.
    async fn delete(&self, held: &Held) -> Result<Option<Problem>, Problem> {
        if !self.kv.is_versioned {
            let deleted = self.kv.session.delete(&self.path).await?;
            return match deleted {
                Ok(_) => Ok(None),
                Err(refusal) => Err(self.kv.refused(&refusal, &self.path, Right::Delete)),
            };
        }
        let path = self.versions();
        let body = json!({"versions": [held.version]});
        let deleted = self.kv.session.write(Method::POST, &path, &body).await?;
        let is_used_up = self.kv.session.is_used_up();
        match deleted {
            // Nothing more can be asked; hardly ever has somebody else written.
            Ok(_) if is_used_up => Ok(None),
            Ok(_) => Ok(self.is_overtaken(held).await?.then(overtaken)),
            Err(refusal) if refusal.status == 403 && !is_used_up => self.delete_newest(held).await,
            Err(refusal) => Err(self.kv.refused(&refusal, &path, Right::Update)),
        }
    }

    /// Deletes the newest version, for whoever may not name one: it is looked at once more right before.
    async fn delete_newest(&self, held: &Held) -> Result<Option<Problem>, Problem> {
        if self.is_overtaken(held).await? {
            return Ok(Some(overtaken()));
        }
        let refusal = match self.kv.session.delete(&self.path).await? {
            Ok(_) => return Ok(None),
            Err(refusal) => refusal,
        };
        let problem = self.kv.refused(&refusal, &self.path, Right::Delete);
        if problem.kind != Kind::Denied || !refusal.sent_token {
            return Err(problem);
        }
        let hint = format!("{}, or better update on {}", problem.hint, self.versions().join("/"));
        Err(problem.hint(hint))
    }

    /// Whether the newest version is another one than that which was read.
    async fn is_overtaken(&self, held: &Held) -> Result<bool, Problem> {
        Ok(self.read().await?.version != held.version)
    }

    /// Where the API deletes single versions of it.
    fn versions(&self) -> Vec<String> {
        let mut path = self.path.clone();
        if let Some(kind) = path.get_mut(self.kv.depth) {
            "delete".clone_into(kind);
        }
        path
    }
}

fn overtaken() -> Problem {
    Problem::new(Kind::Unavailable, "others have written there in between").hint(TRY_AGAIN)
}

/// Keeps everything that is written out of every sentence: what stands beside a credential may be another one.
fn hide(value: &Value, session: &Session) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| hide(item, session)),
        Value::Object(fields) => fields.values().for_each(|field| hide(field, session)),
        Value::String(text) if text.len() >= SHORTEST_SECRET => {
            session.hide(SecretString::from(text.as_str()));
        }
        _ => {}
    }
}
