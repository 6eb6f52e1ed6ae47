//! The table `[agent]`: what look-ups tell the agent, which reads no config.

use std::time::Duration;

use crate::keys::{Keys, Read};

/// The table `[agent]`.
#[derive(Clone, Copy)]
pub struct Agent {
    /// How long an answer that states no expiry is given out; zero: it is not kept.
    pub ttl: Duration,
    /// How long the agent stays without being asked.
    pub idle_timeout: Duration,
    /// Whether the first look-up starts one.
    pub autostart: bool,
}

impl Default for Agent {
    fn default() -> Self {
        let (ttl, idle_timeout) = (Duration::from_secs(5 * 60), Duration::from_secs(30 * 60));
        Self { ttl, idle_timeout, autostart: false }
    }
}

impl Agent {
    /// Reads it.
    pub(super) fn parse(keys: &Keys<'_>) -> Read<Self> {
        let usual = Self::default();
        let agent = Self {
            ttl: keys.duration("ttl")?.unwrap_or(usual.ttl),
            idle_timeout: keys.duration("idle-timeout")?.unwrap_or(usual.idle_timeout),
            autostart: keys.boolean("autostart")?.unwrap_or(usual.autostart),
        };
        keys.finish()?;
        if agent.idle_timeout.is_zero() {
            return Err(keys.mistake("idle-timeout", "takes more than 0s"));
        }
        Ok(agent)
    }
}
