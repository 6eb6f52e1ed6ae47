//! Place: where the agent's socket is, and whether it may be trusted.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::environment::Environment;

/// Names the socket.
pub(crate) const VARIABLE: &str = "DOCKER_CREDENTIAL_LEASE_SOCKET";
const NAME: &str = "docker-credential-lease";
const SOCKET: &str = "agent.sock";
/// What the kernels take (`sun_path`, with its end): 104 bytes on macOS, 108 on Linux.
const LONGEST: usize = 103;

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
            // The agent itself stands in another folder.
            let socket = std::path::absolute(&socket).unwrap_or(socket);
            return Self { socket, is_named: true };
        }
        let folder = match environment.runtime_dir() {
            Some(folder) => folder.join(NAME),
            None => environment.temp_dir().join(format!("{NAME}-{}", geteuid().as_raw())),
        };
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        Self { socket: folder.join(SOCKET), is_named: false }
    }

    /// Judges folder and socket: both one's own, and nobody else may write to either.
    ///
    /// # Errors
    /// [`Distrust`], before anything is said to whoever listens there.
    pub(crate) fn judge(&self) -> Result<(), Distrust> {
        self.judge_folder()?;
        let metadata = fs::symlink_metadata(&self.socket).map_err(missing)?;
        if !metadata.file_type().is_socket() {
            return Err(Distrust::Unsafe(format!("{} is no socket", self.socket.display())));
        }
        judge(&self.socket, &metadata)
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
        // A link in its place would be followed: what it leads to is judged, and so is who may change it.
        let folder = self.folder();
        let metadata = fs::symlink_metadata(folder).map_err(missing)?;
        if !metadata.is_dir() {
            return Err(Distrust::Unsafe(format!("{} is no folder", folder.display())));
        }
        judge(folder, &metadata)
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

fn judge(path: &Path, metadata: &fs::Metadata) -> Result<(), Distrust> {
    let own = geteuid().as_raw();
    if metadata.uid() != own {
        let what = format!("{} belongs to user {}, not to user {own}", path.display(), metadata.uid());
        return Err(Distrust::Unsafe(what));
    }
    if metadata.mode() & 0o022 != 0 {
        let what = format!("{} can be written by others; hint: chmod go-w {0}", path.display());
        return Err(Distrust::Unsafe(what));
    }
    Ok(())
}
