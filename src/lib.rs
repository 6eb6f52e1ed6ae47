//! A Docker credential helper that fetches registry credentials at the moment of the pull.
//!
//! The modules, from the top down; arrows run down only:
//!
//! - [`cli`]: words and flags. [`protocol`]: `get`, `store`, `erase`, `list`.
//! - [`commands`]: everything else that is started by a word.
//! - [`lookup`]: one look-up under one deadline. `agent`: what is kept between look-ups. [`resolve`]: registry → rule →
//!   source → credential.
//! - [`config`]: the TOML text, checked. [`source`]: the places that give credentials, one file each.
//! - [`aws`], [`vault`]: the two connections. [`http`]: the one TLS stack. [`helper`]: another credential helper.
//!   [`program`]: another program at all. [`auths`]: the logins in a `config.json` of docker.
//! - [`ask`]: one look-up, [`pod`]: for whom. [`registry`], [`credential`], [`error`]: the words of all of them. [`deadline`], [`runtime`],
//!   [`keys`], [`file`](mod@file), [`environment`], [`log`]: how they wait, what they read and where they tell.

mod agent;
pub mod ask;
pub mod auths;
pub mod aws;
pub mod cli;
pub mod commands;
pub mod config;
pub mod credential;
pub mod deadline;
pub mod environment;
pub mod error;
pub mod fallback;
pub mod file;
pub mod helper;
pub mod http;
pub mod identity;
pub mod inputs;
pub mod keys;
pub mod log;
pub mod lookup;
pub mod pod;
pub mod program;
pub mod protocol;
pub mod registry;
pub mod resolve;
pub mod runtime;
pub mod source;
pub mod vault;
