//! Source: a place that gives credentials, and the table of all there are.
//!
//! A source reads its own keys of a rule and answers look-ups. It knows neither the config file nor the protocol, and
//! no other source. A new one is a file in `source/` and a line in the table `SOURCES`.

mod docker_hub_oidc;
mod ecr;
mod env;
mod file;
mod helper;
mod secrets_manager;
mod shape;
mod vault;
mod writable;

pub use writable::{Names, Writable};

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;

use crate::ask::Ask;
use crate::credential::Credential;
use crate::environment::Environment;
use crate::error::Problem;
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use crate::registry::{Pattern, Registry};

/// Every source: its word in the config, and what reads its rules.
const SOURCES: &[(&str, Parse)] = &[
    (secrets_manager::NAME, secrets_manager::parse),
    (docker_hub_oidc::NAME, docker_hub_oidc::parse),
    (ecr::NAME, ecr::parse),
    (env::NAME, env::parse),
    (file::NAME, file::parse),
    (helper::NAME, helper::parse),
    (vault::NAME, vault::parse),
];

type Parse = fn(&Keys<'_>, &Setup<'_>) -> Read<Box<dyn Source>>;

/// What the rest of the config tells a rule's source.
pub struct Setup<'c> {
    /// The registries that the rule is for.
    pub pattern: &'c Pattern,
    /// Whether the rule may send one credential to hosts that its pattern does not pin down.
    pub any_host: bool,
    /// Whether the rule is the built-in default, which nobody wrote.
    pub built_in: bool,
    /// The folder for relative files; `None` where there is none.
    pub folder: Option<&'c Path>,
    /// The home folder.
    pub home: Option<&'c Path>,
    /// The region that the environment names.
    pub region: Option<&'c str>,
    /// The `[aws.NAME]` tables.
    pub aws: &'c BTreeMap<String, Rc<crate::aws::Connection>>,
    /// The `[vault.NAME]` tables.
    pub vault: &'c BTreeMap<String, Rc<crate::vault::Connection>>,
}

impl Setup<'_> {
    /// The connection that a rule names; one called `default` needs no table.
    pub(crate) fn connection<T>(
        &self,
        keys: &Keys<'_>,
        key: &'static str,
        all: &BTreeMap<String, Rc<T>>,
    ) -> Read<Rc<T>> {
        let name = keys.string(key)?.unwrap_or_else(|| "default".to_owned());
        let what = format!("names no connection: there is no [{key}.{name}]");
        all.get(&name).cloned().ok_or_else(|| keys.mistake(key, &what))
    }
}

/// What a source answers: a credential, or that it was asked and has none.
pub type Answer = Result<Option<Credential>, Problem>;

/// An answer on its way.
pub type Coming<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A place that gives credentials, with the keys of one rule.
pub trait Source {
    /// Its word in the config.
    fn name(&self) -> &'static str;

    /// The rule's secret name or path, its templates filled in; `None` where they do not fit the registry.
    fn place(&self, registry: &Registry) -> Option<String>;

    /// Fetches the credential.
    fn get<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Answer>;

    /// Whether a fetch makes a new credential, as far as the rule tells.
    fn mints(&self) -> bool {
        false
    }

    /// Whether a fetch begins with a login that is to be given back.
    fn logs_in(&self) -> bool {
        false
    }

    /// Whether a fetch runs a program, which a signal is to end too.
    fn runs_a_program(&self) -> bool {
        false
    }

    /// Whether the agent may keep its answers: not where asking costs nothing.
    fn is_kept(&self) -> bool {
        true
    }

    /// Adds everything that the answer depends on, but the rule itself and the registry: a login, wherever it is for.
    fn depends_on(&self, environment: &Environment, inputs: &mut Inputs);

    /// Adds what the registry fills in beside the place.
    fn fills_in(&self, _registry: &Registry, _inputs: &mut Inputs) {}

    /// Whether the place of the password differs from host to host.
    fn is_per_host(&self) -> bool {
        false
    }

    /// Whether the rule only answers look-ups with a path.
    fn needs_path(&self) -> bool {
        false
    }

    /// The user name, where the rule states it and nobody has to be asked for it.
    fn stated_username(&self, _environment: &Environment) -> Option<String> {
        None
    }

    /// The same for `list`, which also reads it where it stands alone.
    fn listed_username(&self, environment: &Environment) -> Option<String> {
        self.stated_username(environment)
    }

    /// Whether `list` names the rule's registry.
    fn is_listed(&self, _environment: &Environment) -> bool {
        true
    }

    /// The source as one that also takes credentials, or why it is none: the rest of a sentence about `store`.
    ///
    /// # Errors
    /// Why it takes none.
    fn writable(&self) -> Result<&dyn Writable, &'static str> {
        Err("its source gives credentials and takes none")
    }

    /// Whether it is a credential store of its own, which is also written to, deleted from and listed where the rule
    /// does not say so, and is asked in the client's own words.
    fn is_store(&self) -> bool {
        false
    }

    /// Whether two rules with the same place get the same answer, whatever else they say.
    fn is_the_place_all(&self) -> bool {
        false
    }
}

/// Reads the rule's source and the source's own keys.
///
/// # Errors
/// The first mistake in them.
pub fn parse(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Box<dyn Source>> {
    let parse = keys.word("source", SOURCES)?;
    match parse {
        Some(parse) => parse(keys, setup),
        None => {
            // A forgotten pair of quotes, or a misspelt `source`, is told before a missing one.
            if let Some(nested) = keys.only_table() {
                let name = keys.name().trim_start_matches("[registry.").trim_end_matches(']');
                return Err(keys.error(&format!(
                    "holds only a table: put the registry in quotes, [registry.\"{name}.{nested}\"]"
                )));
            }
            let known: Vec<&str> = SOURCES.iter().map(|(name, _)| *name).collect();
            let missing = || keys.error(&format!("needs the key `source`: one of {}", known.join(", ")));
            Err(keys.nearly("source").unwrap_or_else(missing))
        }
    }
}
