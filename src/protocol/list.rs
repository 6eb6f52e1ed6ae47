//! List: the registries that can be asked for, each with its user where that is known without asking anybody.

use std::collections::BTreeMap;

use crate::config::{Config, ListKeys, Rule, Store};
use crate::error::Error;
use crate::lookup::Session;
use crate::registry::{Asked, HUB, HUB_URL};

/// Users by what can be asked for; only a broken config is a failure.
pub(super) fn list(session: &Session<'_>) -> Result<BTreeMap<String, String>, Error> {
    let config = session.config()?;
    let keys = Keys(config);
    let mut named = literal(config, session);
    let kept = session.kept();
    for (registry, username) in kept.of_rules {
        // Only what no table says.
        named.entry(keys.of(&registry)).and_modify(|known| {
            if known.is_empty() {
                *known = username;
            }
        });
    }
    let holders: Vec<&Rule> = config.rules.iter().filter(|rule| is_holder(rule)).collect();
    let (held, logins) = session.holdings(&holders);
    for (rule, held) in holders.iter().zip(held) {
        for (name, username) in held {
            // Another rule may answer for it.
            if keys.rule(&name).is_some_and(|winner| std::ptr::eq(winner, *rule)) {
                let key = if rule.source.is_store() { keys.kept_as(&name) } else { Some(keys.of(&name)) };
                if let Some(key) = key {
                    named.entry(key).or_insert(username);
                }
            }
        }
    }
    // Of what a rule is for, the rule says what there is.
    let is_free = |name: &str| config.is_built_in || keys.rule(name).is_none();
    for (name, username) in logins.into_iter().filter(|(name, _)| is_free(name)) {
        named.entry(keys.as_said(&name)).or_insert(username);
    }
    named.extend(kept.logins.into_iter().map(|(registry, username)| (keys.of(&registry), username)));
    Ok(named)
}

/// What the rules name one by one; a credential store says itself what it has.
fn literal(config: &Config, session: &Session<'_>) -> BTreeMap<String, String> {
    let environment = session.environment();
    let mut named = BTreeMap::new();
    for rule in config.rules.iter().filter(|rule| !rule.source.is_store()) {
        let Some(registry) = rule.pattern.literal() else { continue };
        if rule.source.needs_path() || !rule.source.is_listed(environment) {
            continue;
        }
        let username = rule.source.listed_username(environment).unwrap_or_default();
        named.insert(Keys(config).of(&registry.host_and_port()), username);
    }
    named
}

/// Whether the rule's source is asked what it holds.
fn is_holder(rule: &Rule) -> bool {
    rule.source.is_store() || rule.store == Store::Write && rule.pattern.is_wildcard()
}

/// How registries are named.
struct Keys<'c>(&'c Config);

impl<'c> Keys<'c> {
    /// A registry as rules spell it.
    fn of(&self, registry: &str) -> String {
        match self.0.list_keys {
            ListKeys::Url if registry == HUB => HUB_URL.to_owned(),
            _ => registry.to_owned(),
        }
    }

    /// A registry in the words of a credential store, which knows it by no others; `None` where it has too many for who
    /// takes bare hosts.
    fn kept_as(&self, name: &str) -> Option<String> {
        let bare = self.as_said(name);
        // Docker Hub is found under both.
        (bare == name || name == HUB_URL).then_some(bare)
    }

    /// A registry in anybody's words, who knows it by others too.
    fn as_said(&self, name: &str) -> String {
        match Asked::parse(name) {
            Asked::Registry(registry) if self.0.list_keys == ListKeys::Host => registry.host_and_port(),
            _ => name.to_owned(),
        }
    }

    /// The rule that answers for it.
    fn rule(&self, name: &str) -> Option<&'c Rule> {
        match Asked::parse(name) {
            Asked::Registry(registry) => self.0.rule(&registry),
            _ => None,
        }
    }
}
