//! Inputs: a digest of everything that an answer depends on, so that nobody is given what was fetched for others.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::environment::Environment;
use crate::pod::Pod;

/// What is known of them so far.
#[derive(Clone)]
pub struct Inputs {
    digest: Sha256,
    /// The digest of the pod that is asked for.
    pod: Option<String>,
}

impl Inputs {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { digest: Sha256::new(), pod: None }
    }

    /// Nothing yet of a look-up for this pod.
    pub fn for_pod(pod: Option<&Pod>) -> Self {
        let told = pod.map(|Pod { token, annotations }| {
            let mut told = Self::new();
            told.text(token.as_ref().map_or("", |token| token.expose_secret()));
            annotations.iter().flat_map(|(name, value)| [name, value]).for_each(|text| told.text(text));
            told.finish()
        });
        Self { pod: told, ..Self::new() }
    }

    /// The pod, by what the kubelet tells of its service account; false where nobody asks for one.
    pub fn pod(&mut self) -> bool {
        let Some(pod) = self.pod.clone() else { return false };
        self.text(&pod);
        true
    }

    /// A text, such as a table of the config; each with its length, so that two never read as one.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// The values of variables.
    pub fn variables<'n>(&mut self, environment: &Environment, names: impl IntoIterator<Item = &'n str>) {
        for name in names {
            let value = environment.get(name);
            self.text(name);
            self.text(if value.is_some() { "set" } else { "unset" });
            self.text(value.as_deref().unwrap_or_default());
        }
    }

    /// All variables whose names begin so.
    pub fn beginning_with(&mut self, environment: &Environment, prefix: &str) {
        let found = environment.beginning_with(prefix);
        // How many they are, so that none of them reads as what comes after.
        self.digest.update((found.len() as u64).to_be_bytes());
        for (name, value) in found {
            self.text(&name);
            self.text(&value);
        }
    }

    /// A file, by what changes when it is written or replaced; its own clock (ctime) too, since tokens are of one length
    /// and the other time can be set back.
    pub fn file(&mut self, path: &Path) {
        self.bytes(path.as_os_str().as_bytes());
        let stamp = path.metadata().map(|file| {
            [
                file.dev(),
                file.ino(),
                file.mtime().cast_unsigned(),
                file.mtime_nsec().cast_unsigned(),
                file.ctime().cast_unsigned(),
                file.ctime_nsec().cast_unsigned(),
                file.size(),
            ]
        });
        self.text(&stamp.map_or_else(|_| "none".to_owned(), |stamp| format!("{stamp:x?}")));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.digest.update((bytes.len() as u64).to_be_bytes());
        self.digest.update(bytes);
    }

    /// The digest, in hexadecimal.
    pub fn finish(self) -> String {
        let mut text = String::new();
        for byte in self.digest.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

impl Default for Inputs {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
