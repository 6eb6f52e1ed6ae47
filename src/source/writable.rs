//! Writable: a source that takes credentials as well as giving them, and names what it holds.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Coming;
use crate::ask::Ask;
use crate::credential::Credential;
use crate::error::Problem;

/// A source that takes credentials.
pub trait Writable {
    /// Puts the credential in the place; whatever else stands there stays.
    fn store<'a>(&'a self, ask: &'a Ask<'a>, given: &'a Credential) -> Coming<'a, Result<(), Problem>>;

    /// Takes the credential out of the place, and the place away where nothing else is in it; nothing there is no
    /// failure.
    fn erase<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Result<(), Problem>>;

    /// Names everything that is held, as soon as it is known: the caller may not wait for the end. The registry of `ask`
    /// only stands in for the rule's pattern.
    fn list<'a>(&'a self, ask: &'a Ask<'a>, names: &'a Names) -> Coming<'a, Result<(), Problem>>;
}

/// What a source has named so far: users by what a client can ask for.
#[derive(Default)]
pub struct Names(RefCell<BTreeMap<String, String>>);

impl Names {
    /// A registry, in words that can be asked for, whose user is not known or not known yet.
    pub fn add(&self, name: impl Into<String>) {
        self.0.borrow_mut().entry(name.into()).or_default();
    }

    /// A registry with its user.
    pub fn add_with_user(&self, name: impl Into<String>, username: impl Into<String>) {
        self.0.borrow_mut().insert(name.into(), username.into());
    }

    /// What was named and turns out not to be there.
    pub fn remove(&self, name: &str) {
        self.0.borrow_mut().remove(name);
    }

    /// Everything that was named.
    pub fn take(self) -> BTreeMap<String, String> {
        self.0.into_inner()
    }
}
