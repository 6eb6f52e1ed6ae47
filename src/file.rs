//! Files that decide over credentials, read only where nobody else could have written them.
//!
//! Judged are the opened file and the folders of each link and of the target, so that a swap between the look and
//! the reading gains nothing.

pub mod write;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
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

/// Why a file was not read, or not written.
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
    /// It cannot be read, or written: the cause.
    Unreadable(String),
}

/// Reads the whole file, at most `limit` bytes of it.
///
/// # Errors
/// [`FileError`]; a larger file is [`FileError::Unreadable`].
pub fn read(path: &Path, owner: Owner, limit: u64) -> Result<Vec<u8>, FileError> {
    let (file, metadata) = open(path)?;
    judge(path, &metadata, owner)?;
    judge_folders(path, owner)?;
    contents(file, limit)
}

/// Reads the whole of a file that decides over nothing by being changed, such as a certificate that names itself.
///
/// # Errors
/// As [`read`], without judging who could have written it.
pub fn read_unjudged(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    contents(open(path)?.0, limit)
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

/// Judges a socket that the config names: whoever may replace it could answer in its stead. Who may write to it is
/// whom its owner lets connect.
///
/// # Errors
/// The sentence, with the command that mends it where one does.
pub fn judge_socket(path: &Path) -> Result<(), (String, String)> {
    let told = |error| match error {
        FileError::Missing => (format!("there is no socket {}", path.display()), String::new()),
        FileError::Unreadable(why) => (format!("cannot use {}: {why}", path.display()), String::new()),
        FileError::Unsafe { what, mend } => (what, mend),
    };
    let metadata = path.metadata().map_err(|error| told(unreadable(error)))?;
    if !metadata.file_type().is_socket() {
        return Err((format!("{} is no socket", path.display()), String::new()));
    }
    for folder in folders(path).map_err(told)? {
        judge_folder(&folder, Owner::Anyone).map_err(told)?;
    }
    Ok(())
}

/// The path as it stays for whoever stands in another folder.
pub fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// The place of `text` beside `folder`: `~/` is the home, an absolute path stays.
pub fn located(text: &str, folder: Option<&Path>, home: Option<&Path>) -> Result<PathBuf, &'static str> {
    if let Some(rest) = text.strip_prefix("~/") {
        return home.map(|home| home.join(rest)).ok_or("there is no home folder for `~/`");
    }
    match (Path::new(text), folder) {
        (path, _) if path.is_absolute() => Ok(path.to_owned()),
        (path, Some(folder)) => Ok(folder.join(path)),
        (_, None) => Err("a relative path has no folder here: write it from `/` or `~/`"),
    }
}

/// Opens a regular file without blocking: a pipe put in its place must not hold the look-up.
fn open(path: &Path) -> Result<(File, Metadata), FileError> {
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    match metadata.is_file() {
        true => Ok((file, metadata)),
        false => Err(FileError::Unreadable("it is not a regular file".to_owned())),
    }
}

fn contents(file: File, limit: u64) -> Result<Vec<u8>, FileError> {
    let size = file.metadata().map_or(0, |metadata| metadata.len().min(limit));
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
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

/// The folders in which the path, and each link on the way to its target, stand.
fn folders(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    // What the kernel follows at most; `open` has followed them already, so this ends.
    const LINKS: usize = 40;
    let mut at = std::path::absolute(path).map_err(unreadable)?;
    let mut folders: Vec<PathBuf> = Vec::new();
    for _ in 0..=LINKS {
        let folder = at.parent().unwrap_or(Path::new("/")).canonicalize().map_err(unreadable)?;
        let target = at.read_link().ok().map(|target| folder.join(target));
        if !folders.contains(&folder) {
            folders.push(folder);
        }
        match target {
            Some(target) => at = target,
            None => break,
        }
    }
    Ok(folders)
}

/// Judges the folders of each link and of the target, which need not be there.
///
/// # Errors
/// As [`judge_folder`]; [`FileError::Missing`] where one of them is not there.
pub fn judge_folders(path: &Path, owner: Owner) -> Result<(), FileError> {
    folders(path)?.iter().try_for_each(|folder| judge_folder(folder, owner))
}

/// Judges a folder: whoever may write to it could replace what stands in it.
///
/// # Errors
/// [`FileError::Unsafe`], or that it cannot be looked at.
pub fn judge_folder(folder: &Path, owner: Owner) -> Result<(), FileError> {
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
        mend: format!("chmod go-w {}", quoted(path)),
    })
}

fn judge_owner(path: &Path, metadata: &Metadata, owner: Owner) -> Result<(), FileError> {
    let own = geteuid().as_raw();
    if owner == Owner::Anyone || metadata.uid() == own || metadata.uid() == 0 {
        return Ok(());
    }
    let chown = if metadata.is_symlink() { "chown -h" } else { "chown" };
    Err(FileError::Unsafe {
        what: format!("{} belongs to user {}, not to user {own} or root", path.display(), metadata.uid()),
        mend: format!("{chown} {own} {}", quoted(path)),
    })
}

/// The path as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
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
