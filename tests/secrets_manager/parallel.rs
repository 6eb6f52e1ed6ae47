//! Any number of logins at once: none is lost, and of two for one registry one stays, whole.

use std::thread;

use serde_json::json;

use super::store_for;
use crate::support::Helper;
use crate::support::own_moto::OwnMoto;
use crate::support::recorder::Recorder;
use crate::support::servers::Moto;

/// How many log in at once.
const LOGINS: usize = 20;

/// All of them at once, the n-th for the host, as `user-n` with `token-n`.
fn log_in(helper: &Helper, host: impl Fn(usize) -> String + Sync) {
    thread::scope(|scope| {
        for at in 0..LOGINS {
            let host = &host;
            scope.spawn(move || {
                helper.store(&host(at), &format!("user-{at}"), &format!("token-{at}")).is_silent();
            });
        }
    });
}

/// moto breaks off where one secret is added while another one is looked for; AWS does not.
fn helper(moto: &Moto, keys: &str) -> Helper {
    let retrying = Recorder::to(&moto.url);
    let config = format!("timeout = \"25s\"\n{}", store_for("*", keys));
    moto.helper(&config).env("AWS_ENDPOINT_URL", retrying.url())
}

/// Whose credential the registry's is.
fn owner(helper: &Helper, asked: &str) -> usize {
    let answer = helper.get(asked);
    let at = (0..LOGINS).find(|at| {
        let found =
            json!({"ServerURL": asked, "Username": format!("user-{at}"), "Secret": format!("token-{at}")});
        serde_json::from_str::<serde_json::Value>(&answer.stdout).is_ok_and(|answer| answer == found)
    });
    at.unwrap_or_else(|| panic!("a mixture: {answer:?}"))
}

// One test, since the server takes a few seconds to start.
#[test]
fn logins_at_once_lose_and_mix_nothing() {
    let Some(own) = OwnMoto::start() else { return };
    let object = helper(&own.moto, "secret = \"object/{host}\"");
    let pair = helper(&own.moto, "secret = \"pair/{host}/token\"\nusername-secret = \"pair/{host}/id\"");
    for (helper, rounds) in [(&object, 1), (&pair, 2)] {
        log_in(helper, |at| format!("reg-{at}.example.com"));
        for at in 0..LOGINS {
            assert_eq!(owner(helper, &format!("reg-{at}.example.com")), at);
        }
        for round in 0..rounds {
            let host = format!("shared-{round}.example.com");
            // Nothing is there yet, and then somebody's.
            for _ in 0..2 {
                log_in(helper, |_| host.clone());
                owner(helper, &host);
            }
            helper.store(&host, "user-7", "token-7").is_silent();
            assert_eq!(owner(helper, &host), 7);
        }
    }
}
