//! Agent: a process that keeps in memory what `get` processes have fetched, and gives leases back.
//!
//! It is a keeper and nothing more: who asks also fetches. It reads no config, no environment and no cloud, so that it
//! answers exactly what the caller would have got by itself, whoever started it.

pub(crate) mod client;
mod giving;
mod keeper;
mod kept;
pub(crate) mod life;
pub(crate) mod line;
mod listed;
#[cfg(test)]
mod made;
pub(crate) mod place;
pub(crate) mod seat;
pub(crate) mod server;
