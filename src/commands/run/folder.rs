//! Folder: the private one of a `run`, gone at its end.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::agent::life::FOLDER;
use crate::agent::place::{LONGEST, SOCKET};
use crate::environment::Environment;
use crate::file;

/// Where every system lets its users make folders.
const LAST_RESORT: &str = "/tmp";

/// A folder that only its owner may enter.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Below the first folder that can be used: the runtime one (`sudo` and containers often name one that is not
    /// there), the one for temporary files, `/tmp`.
    pub(super) fn make(environment: &Environment) -> Result<Self, String> {
        let mut parents: Vec<PathBuf> = environment.runtime_dir().into_iter().collect();
        parents.extend([environment.temp_dir(), PathBuf::from(LAST_RESORT)]);
        // The command may stand in another folder.
        for parent in &mut parents {
            *parent = file::absolute(std::mem::take(parent));
        }
        parents.dedup();
        let mut faults = Vec::new();
        for parent in parents {
            match Self::below(&parent) {
                Ok(folder) => return Ok(folder),
                Err(why) => faults.push(format!("{}: {why}", parent.display())),
            }
        }
        let faults = faults.join("; ");
        Err(format!("cannot make a folder: {faults}; hint: set TMPDIR to a folder that can be written"))
    }

    fn below(parent: &Path) -> Result<Self, String> {
        loop {
            let name: String = std::iter::repeat_with(fastrand::alphanumeric).take(12).collect();
            let path = parent.join(format!("{FOLDER}{name}"));
            // It stands in variables: in PATH, which a colon would split, and in one that must be UTF-8.
            match path.join(SOCKET).to_str() {
                None => return Err("its name is not UTF-8".to_owned()),
                Some(socket) if socket.contains(':') => return Err("its name has a colon".to_owned()),
                Some(socket) if socket.len() > LONGEST => {
                    return Err("its name is too long for a socket".to_owned());
                }
                Some(_) => {}
            }
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path.join(SOCKET)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Links in it are removed, not followed; the agent may have done it before.
        let _ = fs::remove_dir_all(&self.path);
    }
}
