//! Giving: leases back to where they came from.

use std::time::Duration;

use super::keeper::Held;
use super::line::Leased;
use crate::credential::Lease;
use crate::deadline::Deadline;
use crate::error::Kind;
use crate::vault;

/// How long a try waits for the next one; also how often what is late, run out or due is looked for.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// Gives leases back at the same time; those that could not be, each with its sentence.
pub(super) async fn give_back(leases: Vec<Held>, until: Deadline) -> Vec<(Held, String)> {
    let tries: Vec<_> = leases
        .into_iter()
        .map(|held| {
            tokio::task::spawn_local(async move {
                let lease = lease(&held.lease);
                loop {
                    match vault::give_back(&lease, until).await {
                        Ok(()) => return None,
                        // Another try changes nothing where it is not allowed.
                        Err(problem) if problem.kind == Kind::Denied || until.left() <= TICK => {
                            let why = format!("the lease {} could not be given back: {problem}", lease.id);
                            return Some((held, why));
                        }
                        Err(_) => tokio::time::sleep(TICK).await,
                    }
                }
            })
        })
        .collect();
    let mut left = Vec::new();
    for one in tries {
        left.extend(one.await.ok().flatten());
    }
    left
}

/// As its connection knows it.
pub(super) fn lease(leased: &Leased) -> Lease {
    Lease {
        id: leased.id.clone(),
        duration: leased.duration,
        is_renewable: leased.is_renewable,
        holder: leased.holder.clone(),
    }
}
