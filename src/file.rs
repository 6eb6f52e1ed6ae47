//! Files that decide over credentials, read only where nobody else could have written them.
//!
//! Judged are the opened file and the folders of the link and of its target, so that a swap between the look and
//! the reading gains nothing.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags, StatxAttributes, StatxFlags};
use rustix::process::{getegid, geteuid};

/// Whose a file may be.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Owner {
    /// Anybody's: the config names it (mounted secrets, a token that an agent writes).
    Anyone,
    /// One's own or root's, and its folder likewise: the config itself.
    SelfOrRoot,
}

/// Why a file was not read.
#[derive(Debug)]
pub enum FileError {
    /// There is none.
    Missing,
    /// Another user could have written it: what is wrong, and the command that mends it.
    Unsafe {
        /// What is wrong, with the path.
        what: String,
        /// The command that mends it.
        mend: String,
    },
    /// It is there and cannot be read: the cause.
    Unreadable(String),
}

/// Reads the whole file, at most `limit` bytes of it.
///
/// # Errors
/// [`FileError`]; a larger file is [`FileError::Unreadable`].
pub fn read(path: &Path, owner: Owner, limit: u64) -> Result<Vec<u8>, FileError> {
    // Not blocking: a pipe put in the file's place must not hold the look-up.
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(FileError::Unreadable("it is not a regular file".to_owned()));
    }
    judge(path, &metadata, owner)?;
    for folder in folders(path)? {
        judge_folder(&folder, owner)?;
    }
    contents(file, limit)
}

/// Reads the whole file as text.
///
/// # Errors
/// As [`read`]; text that is not UTF-8 is [`FileError::Unreadable`].
pub fn read_text(path: &Path, owner: Owner, limit: u64) -> Result<String, FileError> {
    String::from_utf8(read(path, owner, limit)?)
        .map_err(|_| FileError::Unreadable("it is not UTF-8".to_owned()))
}

/// Reads a file that holds one secret: trailing CR and LF are dropped.
///
/// # Errors
/// As [`read_text`], with a sentence that names the path and, where one exists, the command that mends it.
pub fn read_secret(path: &Path) -> Result<String, (String, String)> {
    const LIMIT: u64 = 1024 * 1024;
    match read_text(path, Owner::Anyone, LIMIT) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(FileError::Missing) => Err((format!("no file {}", path.display()), String::new())),
        Err(FileError::Unreadable(why)) => {
            Err((format!("cannot read {}: {why}", path.display()), String::new()))
        }
        Err(FileError::Unsafe { what, mend }) => Err((what, mend)),
    }
}

/// The place of `text` beside `folder`: `~/` is the home, an absolute path stays.
pub fn place(text: &str, folder: Option<&Path>, home: Option<&Path>) -> Result<PathBuf, &'static str> {
    if let Some(rest) = text.strip_prefix("~/") {
        return home.map(|home| home.join(rest)).ok_or("there is no home folder for `~/`");
    }
    match (Path::new(text), folder) {
        (path, _) if path.is_absolute() => Ok(path.to_owned()),
        (path, Some(folder)) => Ok(folder.join(path)),
        (_, None) => Err("a relative path has no folder here: write it from `/` or `~/`"),
    }
}

fn contents(file: File, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(FileError::Unreadable(format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

fn unreadable(error: io::Error) -> FileError {
    match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing,
        io::ErrorKind::PermissionDenied => FileError::Unreadable("permission denied".to_owned()),
        _ => FileError::Unreadable(error.to_string()),
    }
}

/// The folder in which the path itself stands, and the one in which what it links to stands.
fn folders(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let here = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("/"),
    };
    let target = path.canonicalize().map_err(unreadable)?;
    let there = target.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(if here.canonicalize().is_ok_and(|here| here == there) { vec![here] } else { vec![here, there] })
}

fn judge_folder(folder: &Path, owner: Owner) -> Result<(), FileError> {
    let metadata = folder.metadata().map_err(unreadable)?;
    const STICKY: u32 = 0o1000;
    if metadata.mode() & STICKY != 0 || is_mount_point(folder) {
        // In a sticky folder nobody replaces another's file; a mount of its own (emptyDir) is its pod's alone.
        return judge_owner(folder, &metadata, owner);
    }
    judge(folder, &metadata, owner)
}

fn judge(path: &Path, metadata: &Metadata, owner: Owner) -> Result<(), FileError> {
    judge_owner(path, metadata, owner)?;
    let others = metadata.mode() & 0o002 != 0;
    let group = metadata.mode() & 0o020 != 0 && !is_private_group(metadata.gid());
    if !others && !group {
        return Ok(());
    }
    let who = if others { "others" } else { "its group" };
    Err(FileError::Unsafe {
        what: format!("{} can be written by {who}", path.display()),
        mend: format!("chmod go-w {}", path.display()),
    })
}

fn judge_owner(path: &Path, metadata: &Metadata, owner: Owner) -> Result<(), FileError> {
    let own = geteuid().as_raw();
    if owner == Owner::Anyone || metadata.uid() == own || metadata.uid() == 0 {
        return Ok(());
    }
    Err(FileError::Unsafe {
        what: format!("{} belongs to user {}, not to user {own} or root", path.display(), metadata.uid()),
        mend: format!("chown {own} {}", path.display()),
    })
}

/// Whether the group is the user's alone: its number is both one's own and one's primary group's
/// (Debian's user private groups).
fn is_private_group(gid: u32) -> bool {
    gid == geteuid().as_raw() && gid == getegid().as_raw()
}

#[cfg(target_os = "linux")]
fn is_mount_point(folder: &Path) -> bool {
    rustix::fs::statx(CWD, folder, AtFlags::empty(), StatxFlags::BASIC_STATS)
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(not(target_os = "linux"))]
fn is_mount_point(folder: &Path) -> bool {
    match (folder.metadata(), folder.join("..").metadata()) {
        (Ok(own), Ok(parent)) => own.dev() != parent.dev(),
        _ => false,
    }
}
