//! Returns: leases that go back, those that somebody flushes and all of them at the end.

use std::time::{Duration, Instant};

use super::super::giving::give_back;
use super::super::keeper::Held;
use super::super::line::{self, Told, VERSION};
use super::{Agent, GIVE_BACK_LIMIT};
use crate::deadline::Deadline;

/// How often the end looks whether it is over.
const MOMENT: Duration = Duration::from_millis(5);

impl Agent {
    /// Gives leases back; what could not be stays listed.
    pub(super) async fn hand_back(&self, leases: Vec<Held>) -> Vec<String> {
        self.giving.update(|callers| callers + 1);
        let left = give_back(leases, Deadline::new(Instant::now(), GIVE_BACK_LIMIT)).await;
        self.giving.update(|callers| callers - 1);
        let mut keeper = self.keeper.borrow_mut();
        left.into_iter()
            .map(|(held, why)| {
                keeper.put_back(held);
                why
            })
            .collect()
    }

    /// Gives everything back, and tells those who said stop; what could not be, in sentences.
    pub(super) async fn give_all_back(&self) -> Vec<String> {
        self.is_ending.set(true);
        let limit = Deadline::new(Instant::now(), GIVE_BACK_LIMIT);
        let mut left = Vec::new();
        loop {
            // What is on its way goes back too, and what an earlier caller could not give back.
            let leases = self.keeper.borrow_mut().flush(&[]);
            let is_empty = leases.is_empty();
            left.extend(give_back(leases, limit).await.into_iter().map(|(_, why)| why));
            let is_quiet = self.giving.get() == 0 && !self.keeper.borrow().is_fetching();
            if limit.is_over() || (is_empty && is_quiet) {
                break;
            }
            tokio::time::sleep(MOMENT).await;
        }
        for mut stopper in self.stoppers.take() {
            let told = Told { v: VERSION, done: true, left: left.clone(), ..Told::default() };
            // One that does not wait for it does not want to know.
            let _ = line::write(&mut stopper, &told).await;
        }
        left
    }
}
