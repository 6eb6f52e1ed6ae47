//! Place: where the agent's socket is, and whether it may be trusted.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::environment::Environment;
use crate::file::{self, FileError, Owner};

/// Names the socket.
pub(crate) const VARIABLE: &str = "DOCKER_CREDENTIAL_LEASE_SOCKET";
const NAME: &str = "docker-credential-lease";
/// What the socket is called in its folder.
pub(crate) const SOCKET: &str = "agent.sock";
/// What the kernels take (`sun_path`, with its end): 104 bytes on macOS, 108 on Linux.
pub(crate) const LONGEST: usize = 103;

/// Where the socket is.
pub(crate) struct Place {
    /// The socket.
    pub(crate) socket: PathBuf,
    /// Whether the variable names it: then one that cannot be used is a failure.
    pub(crate) is_named: bool,
}

/// Why a socket is not spoken to.
#[derive(Debug)]
pub(crate) enum Distrust {
    /// There is none.
    Missing,
    /// Somebody else could have put it there, or listens there: the sentence.
    Unsafe(String),
}

impl Place {
    /// The variable's, else below the runtime folder, else below the one for temporary files.
    pub(crate) fn find(environment: &Environment) -> Self {
        if let Some(socket) = environment.path(VARIABLE) {
            // An agent that is started in the background stands elsewhere.
            let socket = file::absolute(socket);
            return Self { socket, is_named: true };
        }
        let folder = match environment.runtime_dir() {
            Some(folder) => folder.join(NAME),
            None => environment.temp_dir().join(format!("{NAME}-{}", geteuid().as_raw())),
        };
        let folder = file::absolute(folder);
        Self { socket: folder.join(SOCKET), is_named: false }
    }

    /// Judges folder and socket: nobody else may replace the socket, which is one's own.
    ///
    /// # Errors
    /// [`Distrust`], before anything is said to whoever listens there.
    pub(crate) fn judge(&self) -> Result<(), Distrust> {
        self.judge_folder()?;
        let metadata = fs::symlink_metadata(&self.socket).map_err(missing)?;
        if !metadata.file_type().is_socket() {
            return Err(Distrust::Unsafe(format!("{} is no socket", self.socket.display())));
        }
        judge_socket(&self.socket, &metadata)
    }

    /// Makes the folder, for oneself alone.
    ///
    /// # Errors
    /// It cannot be made, or is somebody else's: the sentence.
    pub(crate) fn prepare(&self) -> Result<(), String> {
        let folder = self.folder();
        if self.socket.as_os_str().len() > LONGEST {
            return Err(format!(
                "the socket's path is longer than {LONGEST} bytes: {}; hint: set {VARIABLE} to a shorter one",
                self.socket.display()
            ));
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| {
            let hint = format!("set {VARIABLE} to a path in a folder of your own");
            format!("cannot make {}: {error}; hint: {hint}", folder.display())
        })?;
        match self.judge_folder() {
            Ok(()) => Ok(()),
            Err(Distrust::Missing) => Err(format!("there is no folder {}", folder.display())),
            Err(Distrust::Unsafe(why)) => Err(why),
        }
    }

    /// Makes the bound socket one's own.
    ///
    /// # Errors
    /// The file system does not do it.
    pub(crate) fn close_to_others(&self) -> io::Result<()> {
        fs::set_permissions(&self.socket, fs::Permissions::from_mode(0o600))
    }

    fn judge_folder(&self) -> Result<(), Distrust> {
        let folder = self.folder();
        let metadata = fs::symlink_metadata(folder).map_err(missing)?;
        // What it leads to could be judged; who may change the link could not.
        if metadata.is_symlink() {
            let hint = format!("set {VARIABLE} to a path in the folder that it leads to");
            return Err(Distrust::Unsafe(format!("{} is a link; hint: {hint}", folder.display())));
        }
        if !metadata.is_dir() {
            return Err(Distrust::Unsafe(format!("{} is no folder", folder.display())));
        }
        file::judge_folder(folder, Owner::SelfOrRoot).map_err(|error| match error {
            FileError::Missing => Distrust::Missing,
            FileError::Unreadable(why) => Distrust::Unsafe(format!("{}: {why}", folder.display())),
            FileError::Unsafe { what, mend } => Distrust::Unsafe(format!("{what}; hint: {mend}")),
        })
    }

    fn folder(&self) -> &Path {
        match self.socket.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => Path::new("/"),
        }
    }
}

fn missing(error: io::Error) -> Distrust {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Distrust::Missing,
        _ => Distrust::Unsafe(error.to_string()),
    }
}

/// Judges the socket itself: an agent of root's would not answer us either.
fn judge_socket(path: &Path, metadata: &fs::Metadata) -> Result<(), Distrust> {
    let own = geteuid().as_raw();
    if metadata.uid() != own {
        let hint = format!("set {VARIABLE} to a socket of your own");
        let what = format!("{} belongs to user {}, not to user {own}", path.display(), metadata.uid());
        return Err(Distrust::Unsafe(format!("{what}; hint: {hint}")));
    }
    if metadata.mode() & 0o022 != 0 {
        let what = format!("{} can be written by others", path.display());
        return Err(Distrust::Unsafe(format!("{what}; hint: chmod go-w {}", file::quoted(path))));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
