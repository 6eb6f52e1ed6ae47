//! Place: a path with `{host}` and `{path}` in it, and the registries that have a file there.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::error::{Kind, Problem};
use crate::file;
use crate::keys::{Keys, Read};
use crate::registry::{Registry, Template};
use crate::source::Setup;

/// A path, relative to a folder.
pub(super) struct Place {
    template: Template,
    folder: Option<PathBuf>,
    home: Option<PathBuf>,
    /// What stands before the part with `{host}`, and that part.
    hosts: Option<(String, Template)>,
}

impl Place {
    /// Reads the key.
    pub(super) fn parse(keys: &Keys<'_>, key: &'static str, setup: &Setup<'_>) -> Read<Option<Self>> {
        let (Some(template), Some(text)) = (keys.template(key)?, keys.string(key)?) else { return Ok(None) };
        keys.path(key, setup.folder, setup.home)?;
        let hosts = text.find("{host}").and_then(|at| {
            let start = text[..at].rfind('/').map_or(0, |slash| slash + 1);
            let end = text[at..].find('/').map_or(text.len(), |slash| at + slash);
            Some((text[..start].to_owned(), Template::parse(&text[start..end]).ok()?))
        });
        let (folder, home) = (setup.folder.map(ToOwned::to_owned), setup.home.map(ToOwned::to_owned));
        Ok(Some(Self { template, folder, home, hosts }))
    }

    /// The registry's file; `None` where it can have none.
    pub(super) fn fill(&self, registry: &Registry) -> Option<PathBuf> {
        self.located(&self.template.fill_name(registry)?)
    }

    pub(super) fn uses_host(&self) -> bool {
        self.hosts.is_some()
    }

    pub(super) fn uses_path(&self) -> bool {
        self.template.uses_path()
    }

    /// The registries that have a file, in order.
    pub(super) fn registries(&self) -> Result<Vec<Registry>, Problem> {
        let Some((before, part)) = &self.hosts else { return Ok(Vec::new()) };
        let Some(folder) = self.located(before) else { return Ok(Vec::new()) };
        let names: io::Result<Vec<OsString>> =
            folder.read_dir().and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
        let names = match names {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(|error| {
                Problem::new(Kind::Denied, format!("its folder cannot be read: {error}"))
                    .hint("whoever runs docker must be able to read it")
            })?,
        };
        let read = names.iter().filter_map(|name| part.unfill_name(name.to_str()?));
        let mut found: Vec<Registry> =
            read.filter(|registry| self.fill(registry).is_some_and(|file| file.is_file())).collect();
        found.sort_by_key(Registry::to_string);
        Ok(found)
    }

    fn located(&self, text: &str) -> Option<PathBuf> {
        file::located(text, self.folder.as_deref(), self.home.as_deref()).ok()
    }
}
