//! The one integration binary: the built helper, real servers where there are any, hostile ones where not.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test ends by panicking, says what it skipped, and reads where the servers are"
)]

mod support;

mod agent;
mod aws;
mod config;
mod docker_hub_oidc;
mod ecr;
mod env;
mod failure;
mod file;
mod helper;
mod identity;
mod kept_apart;
mod kubelet;
mod policies;
mod protocol;
mod reach;
mod readme;
mod registry;
mod run_command;
mod secrets_manager;
mod vault;
