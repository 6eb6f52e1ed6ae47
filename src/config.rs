//! Config: the TOML text, checked.
//!
//! One file is the whole config. Every mistake is one sentence with file, line and column, and nothing is answered
//! until it is mended: a rule that was half understood could send a credential to the wrong place.

mod agent;
mod rule;

pub use agent::Agent;
pub use rule::{Erase, OnError, Rule, Store};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use toml::de::DeTable;

use crate::aws;
use crate::environment::Environment;
use crate::file::{self, FileError, Owner};
use crate::keys::{Keys, Mistake, Read};
use crate::log;
use crate::registry::{Pattern, Registry};
use crate::source::Setup;
use crate::vault;

/// Names the config's file.
const FILE_VARIABLE: &str = "DOCKER_CREDENTIAL_LEASE_CONFIG";
/// Holds the config itself, for CI contexts.
const TEXT_VARIABLE: &str = "DOCKER_CREDENTIAL_LEASE_CONFIG_TOML";
/// Where the config stands below a folder for configuration.
const FILE_NAME: &str = "docker-credential-lease/config.toml";
const SYSTEM_FOLDER: &str = "/etc";
const SIZE_LIMIT: u64 = 1024 * 1024;

/// What answers where nobody wrote a config.
/// The second rule matches private hosts of ECR alone: the source
/// knows them, and has no place for any other.
const BUILT_IN: &str = "[registry.\"docker.io\"]\nsource = \"env\"\n[registry.\"*\"]\nsource = \"ecr\"\n";

/// How long a look-up may take where the config does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that it may say: testcontainers gives a helper 30 s.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(25);

/// The whole config, checked.
pub struct Config {
    /// The rules; their order says nothing.
    pub rules: Vec<Rule>,
    /// How long a look-up may take, from reading stdin to the answer.
    pub timeout: Duration,
    /// How `list` names Docker Hub.
    pub list_keys: ListKeys,
    /// What look-ups tell the agent.
    pub agent: Agent,
    /// Whether nobody wrote one.
    pub is_built_in: bool,
    /// Where it stands, as a sentence names it; where nobody wrote one, where it would.
    pub origin: String,
}

/// How `list` names Docker Hub.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ListKeys {
    /// `docker.io`, for `podman --remote`, which dies of a URL.
    Host,
    /// `https://index.docker.io/v1/`, as docker asks for it.
    Url,
}

impl Config {
    /// Reads the config from where the environment says it is.
    ///
    /// # Errors
    /// The sentence for the first mistake, with file, line and column.
    pub fn load(environment: &Environment) -> Result<Self, String> {
        if let Some(path) = environment.path(FILE_VARIABLE) {
            return Self::from_file(&path, environment)?
                .ok_or_else(|| format!("{}: no such file; ${FILE_VARIABLE} names it", path.display()));
        }
        if environment.is_garbled(TEXT_VARIABLE) {
            return Err(format!("${TEXT_VARIABLE} is not UTF-8"));
        }
        if let Some(text) = environment.get(TEXT_VARIABLE) {
            return Self::parse(&text, &format!("${TEXT_VARIABLE}"), None, environment, false);
        }
        let folders = environment.config_dir().into_iter().chain([PathBuf::from(SYSTEM_FOLDER)]);
        let files: Vec<PathBuf> = folders.map(|folder| folder.join(FILE_NAME)).collect();
        for file in &files {
            if let Some(config) = Self::from_file(file, environment)? {
                return Ok(config);
            }
        }
        let origin = files[0].display().to_string();
        Self::parse(BUILT_IN, &origin, None, environment, true)
    }

    fn from_file(path: &Path, environment: &Environment) -> Result<Option<Self>, String> {
        let name = path.display().to_string();
        let text = match file::read_text(path, Owner::SelfOrRoot, SIZE_LIMIT) {
            Ok(text) => text,
            Err(FileError::Missing) => return Ok(None),
            Err(FileError::Unreadable(why)) => {
                return Err(format!("cannot read {name}: {why}"));
            }
            Err(FileError::Unsafe { what, mend }) => {
                let hint = format!("hint: {mend}, or give the config in ${TEXT_VARIABLE}");
                return Err(format!("{what}, so it is not read; {hint}"));
            }
        };
        let folder = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
        Self::parse(&text, &name, folder.as_deref(), environment, false).map(Some)
    }

    fn parse(
        text: &str,
        origin: &str,
        folder: Option<&Path>,
        environment: &Environment,
        built_in: bool,
    ) -> Result<Self, String> {
        // A byte order mark is what some editors leave behind, not a key.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let reader =
            Reader { folder, home: environment.home(), region: aws::region_of(environment), built_in };
        let read = DeTable::parse(text)
            .map_err(|error| Mistake {
                at: error.span().map_or(0, |span| span.start),
                what: error.message().to_owned(),
            })
            .and_then(|table| reader.read(&Keys::new(String::new(), table.get_ref(), 0), text));
        match read {
            Ok(config) => {
                log::event(|| {
                    format!("config: {}", if built_in { "none, the built-in default" } else { origin })
                });
                Ok(Self { origin: origin.to_owned(), ..config })
            }
            Err(Mistake { at, what }) => {
                let (line, column) = line_and_column(text, at);
                Err(format!("{origin}:{line}:{column}: {what}"))
            }
        }
    }

    /// The rule that answers for the registry: of those that match, the most specific one.
    pub fn rule(&self, registry: &Registry) -> Option<&Rule> {
        self.rules
            .iter()
            .filter(|rule| rule.pattern.matches(registry) && rule.source.place(registry).is_some())
            .max_by(|one, two| one.pattern.precedence(&two.pattern))
    }
}

/// Reads the tables of one text.
struct Reader<'a> {
    folder: Option<&'a Path>,
    home: Option<PathBuf>,
    region: Option<String>,
    built_in: bool,
}

impl Reader<'_> {
    fn read(&self, top: &Keys<'_>, text: &str) -> Read<Config> {
        let timeout = top.duration("timeout")?.unwrap_or(DEFAULT_TIMEOUT);
        let list_keys = top.word("list-keys", &[("host", ListKeys::Host), ("url", ListKeys::Url)])?;
        let agent = match top.table("agent")? {
            Some(keys) => Agent::parse(&keys)?,
            None => Agent::default(),
        };
        let (rules, aws, vault) = (top.tables("registry")?, top.tables("aws")?, top.tables("vault")?);
        top.finish()?;
        if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
            return Err(top.mistake("timeout", "takes more than 0s and at most 25s"));
        }
        let home = self.home.as_deref();
        let aws = connections(&aws, |keys| aws::Connection::parse(keys, self.folder, home))?;
        let around = vault::Setup { folder: self.folder, home, aws: &aws };
        let vault = connections(&vault, |keys| vault::Connection::parse(keys, &around))?;
        let mut read: Vec<Rule> = Vec::new();
        for (name, keys) in &rules {
            let pattern = Pattern::parse(name).map_err(|why| keys.error(&format!("is no pattern: {why}")))?;
            let setup = Setup {
                pattern: &pattern,
                any_host: keys.boolean("any-host")?.unwrap_or(false),
                built_in: self.built_in,
                folder: self.folder,
                home,
                region: self.region.as_deref(),
                aws: &aws,
                vault: &vault,
            };
            let rule = Rule::parse(keys, &setup)?;
            if let Some(other) = read.iter().find(|other| other.pattern.ties_with(&rule.pattern)) {
                let (line, _) = line_and_column(text, other.at);
                let what =
                    format!("and {} in line {line} match the same registries: remove one", other.header);
                return Err(keys.error(&what));
            }
            read.push(rule);
        }
        Ok(Config {
            rules: read,
            timeout,
            list_keys: list_keys.unwrap_or(ListKeys::Url),
            agent,
            is_built_in: self.built_in,
            origin: String::new(),
        })
    }
}

/// The tables of one kind of connection; `default` is there even where nobody wrote it.
fn connections<T>(
    tables: &[(String, Keys<'_>)],
    parse: impl Fn(&Keys<'_>) -> Read<T>,
) -> Read<BTreeMap<String, Rc<T>>> {
    let mut found = BTreeMap::new();
    for (name, keys) in tables {
        found.insert(name.clone(), Rc::new(parse(keys)?));
    }
    if !found.contains_key("default") {
        let nothing = DeTable::new();
        found.insert("default".to_owned(), Rc::new(parse(&Keys::new(String::new(), &nothing, 0))?));
    }
    Ok(found)
}

/// Line and column of a byte, both from 1; columns are characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
