//! Folder: the private one of a `run`, gone at its end.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::agent::life::FOLDER;
use crate::environment::Environment;

/// A folder that only its owner may enter.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Below the runtime folder, else below the one for temporary files.
    pub(super) fn make(environment: &Environment) -> Result<Self, String> {
        let parent = environment.runtime_dir().unwrap_or_else(|| environment.temp_dir());
        let parent = std::path::absolute(&parent).unwrap_or(parent);
        loop {
            let name: String = std::iter::repeat_with(fastrand::alphanumeric).take(12).collect();
            let path = parent.join(format!("{FOLDER}{name}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(format!(
                        "cannot make a folder in {}: {error}; hint: set TMPDIR to one that can be written",
                        parent.display()
                    ));
                }
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path.join("agent.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Links in it are removed, not followed; the agent may have done it before.
        let _ = fs::remove_dir_all(&self.path);
    }
}
