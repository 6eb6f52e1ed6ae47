//! Mount: the engine that a path belongs to.

use http::Method;

use super::server::segments;
use super::{Answer, Refusal, Session};
use crate::error::{Kind, Problem};

/// A mount, as seen from a path below it.
pub struct Mount {
    /// What it is.
    pub engine: Engine,
    /// How many of the path's segments are its own; a namespace may be among them.
    pub depth: usize,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Engine {
    /// K/V of version 1: what was written is what is there.
    Kv,
    /// Anything that is no K/V.
    Other,
    /// K/V of version 2, with `data/` after the mount.
    VersionedKv,
}

impl Session {
    /// The mount that the path is below: what `bao kv get` asks first. Whoever may touch something below it may ask.
    ///
    /// # Errors
    /// Not reached, or no answer of a Vault: a [`Problem`]. A refusal is the inner `Err`: no mount, or nothing there that
    /// the token may touch.
    pub async fn mount(&self, path: &[String]) -> Result<Result<Mount, Refusal>, Problem> {
        let mut question = segments("sys/internal/ui/mounts");
        question.extend_from_slice(path);
        // The server asks for no token here, though it looks at one, and so counts no use of it.
        let answer = match self.call(Method::GET, &question, None, self.limits.connect).await? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let described = depth(&answer, path).map(|depth| Mount { engine: engine(&answer), depth });
        let nonsense =
            || Problem::new(Kind::Malformed, "the answer describes no mount").hint("check the address");
        described.map(Ok).ok_or_else(nonsense)
    }

    /// The path with `data/` after its mount, where it is one of a versioned K/V engine and lacks it.
    pub async fn versioned_path(&self, path: &[String]) -> Option<Vec<String>> {
        if self.is_used_up() {
            return None;
        }
        let Mount { engine, depth } = self.mount(path).await.ok()?.ok()?;
        let next = path.get(depth)?;
        if engine != Engine::VersionedKv || next == "data" || next == "metadata" {
            return None;
        }
        Some([&path[..depth], &["data".to_owned()], &path[depth..]].concat())
    }
}

/// Where the mount's own part of the path ends; a namespace may stand before it.
fn depth(answer: &Answer, path: &[String]) -> Option<usize> {
    let mount = segments(answer.whole().get("path")?.as_str()?);
    let at = path.windows(mount.len().max(1)).position(|window| window.iter().eq(mount.iter()))?;
    Some(at + mount.len())
}

fn engine(answer: &Answer) -> Engine {
    let mount = answer.whole();
    match mount["type"].as_str() {
        Some("kv") if mount["options"]["version"] == "2" => Engine::VersionedKv,
        // What the first version was called before there was a second one.
        Some("kv" | "generic") => Engine::Kv,
        _ => Engine::Other,
    }
}
