//! Write: a file that holds a credential is changed whole or not at all, and by one at a time.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{FileError, Owner};
use crate::deadline::Deadline;

/// How long until a folder that somebody holds is tried again.
const AGAIN: Duration = Duration::from_millis(2);

/// A folder that nobody else changes meanwhile, as far as they ask.
pub struct Hold(#[expect(dead_code, reason = "the kernel lets go of it when it is closed")] Option<File>);

impl Hold {
    /// Waits until nobody changes the folder; a folder that cannot be opened, or on which the file system holds nothing,
    /// is not held.
    ///
    /// # Errors
    /// Somebody holds it until the deadline.
    pub async fn to_read(folder: &Path, until: Deadline) -> Result<Self, Deadline> {
        Self::take(folder, FlockOperation::NonBlockingLockShared, until).await
    }

    /// Waits until nobody else reads or changes the folder.
    ///
    /// # Errors
    /// As [`Self::to_read`].
    pub async fn to_write(folder: &Path, until: Deadline) -> Result<Self, Deadline> {
        Self::take(folder, FlockOperation::NonBlockingLockExclusive, until).await
    }

    async fn take(folder: &Path, how: FlockOperation, until: Deadline) -> Result<Self, Deadline> {
        let Ok(file) = File::open(folder) else { return Ok(Self(None)) };
        loop {
            match flock(&file, how) {
                Ok(()) => return Ok(Self(Some(file))),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if until.is_over() => return Err(until),
                Err(Errno::WOULDBLOCK) => {
                    // Whoever waits for us gives up at the same moment.
                    let next = (Instant::now() + AGAIN).min(until.at());
                    tokio::time::sleep_until(next.into()).await;
                }
                Err(_) => return Ok(Self(None)),
            }
        }
    }
}

/// What the kernel follows at most.
const LINKS: usize = 40;

/// The file that the path's links lead to, also where it is not there yet.
pub fn target(path: &Path) -> PathBuf {
    let mut at = super::absolute(path.to_owned());
    for _ in 0..LINKS {
        match (at.read_link(), at.parent()) {
            (Ok(link), Some(folder)) => at = folder.join(link),
            _ => break,
        }
    }
    at
}

/// The same for a file that is to be changed: whoever could turn one of the links could have another file changed, and
/// whose the file is could read what is written into it.
///
/// # Errors
/// As [`super::judge_folders`]; [`FileError::Unsafe`] also for a file that is none, that others can write, or that belongs,
/// as each link, to neither oneself nor root. Nothing need be there.
pub fn judged_target(path: &Path) -> Result<PathBuf, FileError> {
    match super::judge_folders(path, Owner::Anyone) {
        Ok(()) | Err(FileError::Missing) => {}
        Err(error) => return Err(error),
    }
    let mut at = super::absolute(path.to_owned());
    for _ in 0..LINKS {
        let Some(link) = there(&at)?.filter(Metadata::is_symlink) else { break };
        super::judge_owner(&at, &link, Owner::SelfOrRoot)?;
        let to = at.read_link().map_err(unwritten)?;
        at = folder(&at).join(to);
    }
    judged(&at)?;
    Ok(at)
}

/// The file that is to be changed, behind all links; `None` where there is none.
///
/// # Errors
/// [`FileError::Unsafe`]: it is no regular file, it belongs to neither oneself nor root, or others can write it.
fn judged(target: &Path) -> Result<Option<Metadata>, FileError> {
    let Some(old) = there(target)? else { return Ok(None) };
    if !old.is_file() {
        let path = super::quoted(target);
        return Err(FileError::Unsafe {
            what: format!("{} is not a regular file", target.display()),
            mend: format!("mv {path} {path}.old"),
        });
    }
    super::judge(target, &old, Owner::SelfOrRoot)?;
    Ok(Some(old))
}

/// What stands under the very name.
fn there(path: &Path) -> Result<Option<Metadata>, FileError> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some).map_err(unwritten),
    }
}

fn unwritten(error: io::Error) -> FileError {
    FileError::Unreadable(error.to_string())
}

/// The folder of a file.
pub fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}

/// Makes the folder, and those above it, for oneself alone; one that is there stays as it is.
///
/// # Errors
/// It cannot be made.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A file's new text, on disk beside it under a name of its own; dropped, it is gone.
pub struct Draft {
    own: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// Writes the text. It is for its owner alone, or whose the file was and for whom.
    ///
    /// # Errors
    /// It cannot be written, or the file is none that may be changed ([`judged_target`]); the file is as it was.
    pub fn write(target: &Path, text: &[u8]) -> Result<Self, FileError> {
        // Its rights are those that are judged, whoever has put something else there in between.
        let old = judged(target)?;
        Self::beside(target, old.as_ref(), text).map_err(unwritten)
    }

    fn beside(target: &Path, old: Option<&Metadata>, text: &[u8]) -> io::Result<Self> {
        let own = folder(target).join(format!(".lease-{:016x}", fastrand::u64(..)));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&own)?;
        let draft = Self { own, target: target.to_owned() };
        if let Some(old) = old {
            let new = file.metadata()?;
            let is_same = (old.uid(), old.gid()) == (new.uid(), new.gid());
            // Its old rights would let in others where it is another's now.
            if is_same || fchown(&file, Some(old.uid()), Some(old.gid())).is_ok() {
                file.set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
            }
        }
        file.write_all(text)?;
        file.sync_all()?;
        Ok(draft)
    }

    /// Puts it in the file's place.
    ///
    /// # Errors
    /// It cannot be put there; the file is as it was.
    pub fn publish(self) -> io::Result<()> {
        fs::rename(&self.own, &self.target)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Where it was published there is nothing.
        let _ = fs::remove_file(&self.own);
    }
}

/// Removes the file; that there is none is no failure.
///
/// # Errors
/// It cannot be removed.
pub fn remove(target: &Path) -> io::Result<()> {
    match fs::remove_file(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => {
            settle(folder(target));
            Ok(())
        }
    }
}

/// Has the disk know the folder's names; where that cannot be, they are there all the same.
pub fn settle(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}
