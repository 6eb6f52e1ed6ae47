//! The process's environment: the only file that reads it.
//!
//! An empty variable counts as unset, everywhere.

#![expect(clippy::disallowed_methods, reason = "this is the one file that may read the environment")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The process's variables of AWS that are set and empty. The SDK reads the environment by itself, looks for a profile
/// without a name, and panics at an endpoint without a URL.
pub fn empty_aws_variables() -> Vec<OsString> {
    let is_empty_aws = |(name, value): &(OsString, OsString)| {
        value.is_empty() && name.as_encoded_bytes().starts_with(b"AWS_")
    };
    std::env::vars_os().filter(is_empty_aws).map(|(name, _)| name).collect()
}

/// Where variables and the user's folders come from.
pub enum Environment {
    /// The given variables and no others; the folders follow from `HOME` and `XDG_CONFIG_HOME`.
    Fixed(BTreeMap<String, String>),
    /// The process's own.
    Process,
}

impl Environment {
    /// The variable's value; `None` where it is unset, empty or not UTF-8.
    pub fn get(&self, name: &str) -> Option<String> {
        let value = match self {
            Self::Fixed(variables) => variables.get(name).cloned(),
            Self::Process => std::env::var(name).ok(),
        };
        value.filter(|value| !value.is_empty())
    }

    /// The variable's value as a path, in whatever encoding; `None` where it is unset or empty.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Fixed(_) => self.get(name).map(PathBuf::from),
            Self::Process => std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from),
        }
    }

    /// Whether the variable is set to what is not UTF-8, and so cannot be read.
    pub fn is_garbled(&self, name: &str) -> bool {
        matches!(self, Self::Process) && matches!(std::env::var(name), Err(std::env::VarError::NotUnicode(_)))
    }

    /// The first of the variables that is set, with its name.
    pub fn first<'n>(&self, names: &[&'n str]) -> Option<(&'n str, String)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        match self {
            Self::Fixed(_) => self.get("HOME").map(PathBuf::from),
            Self::Process => Some(directories::BaseDirs::new()?.home_dir().to_owned()),
        }
    }

    /// The user's folder for sockets, which goes when the session does; `None` where there is none (macOS).
    pub fn runtime_dir(&self) -> Option<PathBuf> {
        match self {
            Self::Fixed(_) => self.get("XDG_RUNTIME_DIR").map(PathBuf::from),
            Self::Process => directories::BaseDirs::new()?.runtime_dir().map(std::borrow::ToOwned::to_owned),
        }
    }

    /// The folder for temporary files.
    pub fn temp_dir(&self) -> PathBuf {
        self.path("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp"))
    }

    /// All variables whose names begin so, in order.
    pub fn beginning_with(&self, prefix: &str) -> BTreeMap<String, String> {
        let named = |(name, value): &(String, String)| name.starts_with(prefix) && !value.is_empty();
        match self {
            Self::Fixed(all) => {
                all.iter().map(|(name, value)| (name.clone(), value.clone())).filter(named).collect()
            }
            Self::Process => std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .filter(named)
                .collect(),
        }
    }

    /// The user's folder for configuration: `~/.config` on Linux, `~/Library/Application Support` on macOS.
    pub fn config_dir(&self) -> Option<PathBuf> {
        match self {
            Self::Fixed(_) => Some(self.home()?.join(".config")),
            Self::Process => Some(directories::BaseDirs::new()?.config_dir().to_owned()),
        }
    }
}
