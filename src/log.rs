//! Our own events, one line each, where the user asked for them. The SDK's own are never on: they print answers.

use std::sync::OnceLock;

use crate::environment::Environment;
use crate::error::one_line;

/// Switches the log on.
const VARIABLE: &str = "DOCKER_CREDENTIAL_LEASE_LOG";

static SINK: OnceLock<fn(&str)> = OnceLock::new();

/// Sends events to `sink`, where the environment asks for them.
pub fn start(environment: &Environment, sink: fn(&str)) {
    if environment.get(VARIABLE).is_some_and(|value| value != "0") {
        // A second start changes nothing.
        let _ = SINK.set(sink);
    }
}

/// Says what happened; the text is only made where somebody reads it.
pub fn event(text: impl FnOnce() -> String) {
    if let Some(sink) = SINK.get() {
        sink(&one_line(&text()));
    }
}
