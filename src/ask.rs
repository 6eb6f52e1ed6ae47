//! Ask: one look-up, as sources and connections see it.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;

use crate::deadline::Limits;
use crate::environment::Environment;
use crate::pod::Pod;
use crate::registry::Registry;

/// What a client asks for.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The registry.
    pub registry: &'a Registry,
    /// The client's own words for it.
    pub asked: &'a str,
    /// For which pod, where the kubelet asks.
    pub pod: Option<&'a Pod>,
}

/// One look-up.
pub struct Ask<'a> {
    /// What was asked.
    pub registry: &'a Registry,
    /// The same in the client's own words, for whoever keeps it under them.
    pub asked: &'a str,
    /// For which pod, where the kubelet asks.
    pub pod: Option<&'a Pod>,
    /// Where variables come from.
    pub environment: &'a Environment,
    /// When the answer must be there.
    pub limits: Limits,
    afterwards: RefCell<Vec<Work>>,
}

type Work = Pin<Box<dyn Future<Output = ()>>>;

impl<'a> Question<'a> {
    /// What any client but the kubelet asks.
    pub fn new(registry: &'a Registry, asked: &'a str) -> Self {
        Self { registry, asked, pod: None }
    }
}

impl<'a> Ask<'a> {
    /// A look-up for which nothing has been done yet.
    pub fn new(question: Question<'a>, environment: &'a Environment, limits: Limits) -> Self {
        let Question { registry, asked, pod } = question;
        Self { registry, asked, pod, environment, limits, afterwards: RefCell::default() }
    }

    /// Leaves something to be done when the look-up has ended, also where it was given up: a login is given back.
    pub fn afterwards(&self, work: impl Future<Output = ()> + 'static) {
        self.afterwards.borrow_mut().push(Box::pin(work));
    }

    /// Does what was left, one after the other.
    pub async fn tidy_up(&self) {
        let left = self.afterwards.take();
        for work in left {
            work.await;
        }
    }
}
