//! Seat: the socket that an agent listens at, and that is its alone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::place::Place;
use crate::environment::Environment;

/// A socket that is ours until it is dropped.
pub(crate) struct Seat {
    listener: UnixListener,
    /// Removed at the end; `None` where systemd made the socket.
    own: Option<Own>,
}

struct Own {
    path: PathBuf,
    /// Device and inode.
    stamp: (u64, u64),
    /// Held for as long as we listen: whoever cannot have it is the second one.
    _lock: File,
}

impl Seat {
    /// What systemd hands over, else the place that the environment names; `None` where another agent sits there.
    ///
    /// # Errors
    /// It cannot be had: the sentence.
    pub(super) fn take(environment: &Environment) -> Result<Option<Self>, String> {
        if let Some(listener) = listenfd::ListenFd::from_env().take_unix_listener(0).ok().flatten() {
            return Ok(Some(Self { listener, own: None }));
        }
        let place = Place::find(environment);
        place.prepare()?;
        let path = place.socket.clone();
        let told = |what: &str, error: io::Error| format!("cannot {what} {}: {error}", path.display());
        let mut lock = path.clone().into_os_string();
        lock.push(".lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock);
        let lock = lock.map_err(|error| told("lock", error))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        // Whoever had it is gone, or the lock would be held: a socket that is left there is nobody's.
        match fs::symlink_metadata(&path) {
            Ok(left) if left.file_type().is_socket() => {
                fs::remove_file(&path).map_err(|error| told("replace", error))?;
            }
            Ok(_) => return Err(format!("{} is there and is no socket", path.display())),
            Err(_) => {}
        }
        // Closed to others from the first moment: its folder is.
        let listener = UnixListener::bind(&path).map_err(|error| told("listen at", error))?;
        place.close_to_others().map_err(|error| told("close to others", error))?;
        let stamp = stamp(&path).map_err(|error| told("look at", error))?;
        Ok(Some(Self { listener, own: Some(Own { path, stamp, _lock: lock }) }))
    }

    /// Where callers come.
    pub(super) fn listen(&self) -> io::Result<tokio::net::UnixListener> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        tokio::net::UnixListener::from_std(listener)
    }

    /// Its path, for people.
    pub(super) fn name(&self) -> String {
        let address = self.listener.local_addr().ok();
        let path = address.as_ref().and_then(|address| address.as_pathname());
        path.map(|path| path.display().to_string()).unwrap_or_default()
    }

    /// Whether callers still find it: whoever tidies up a folder for temporary files may have removed it.
    pub(super) fn is_in_place(&self) -> bool {
        self.own.as_ref().is_none_or(|own| stamp(&own.path).is_ok_and(|stamp| stamp == own.stamp))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Another one may have taken the place.
        if let Some(own) = self.own.as_ref().filter(|_| self.is_in_place()) {
            // Somebody may have removed it this moment.
            let _ = fs::remove_file(&own.path);
        }
    }
}

fn stamp(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}
