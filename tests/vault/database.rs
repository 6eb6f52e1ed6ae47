//! Users that OpenBao's `database` engine makes in a real PostgreSQL when they are read.

use serde_json::{Value, json};

use super::minting::get_and_hang_up;
use super::rule;
use crate::support::Helper;
use crate::support::relay::Relay;
use crate::support::users::{MADE, Users};

fn helper(users: &Users) -> Helper {
    users.bao.helper(&rule(&users.path(), ""))
}

#[test]
fn a_read_makes_a_user_who_may_log_in_until_the_lease_is_revoked() {
    let Some(users) = Users::start("1m", "2m") else { return };
    let answer = helper(&users).get("ghcr.io");
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    let [user, password] = ["Username", "Secret"].map(|key| found[key].as_str().unwrap());
    let until =
        "SELECT rolname, rolvaliduntil < now() + '2 minutes' FROM pg_roles WHERE rolname = current_user";
    let log_in = |password| users.postgres.query(user, password, until);
    assert_eq!(log_in(password).unwrap(), [format!("{user}|t")]);
    assert!(log_in("wrong").unwrap_err().contains("password authentication failed"));
    assert_eq!(users.postgres.users(MADE), [user]);
    let leases = users.leases();
    assert_eq!(leases.len(), 1);
    users.bao.call("PUT", "sys/leases/revoke", &json!({"lease_id": leases[0], "sync": true}));
    assert!(log_in(password).is_err());
    assert_eq!(users.postgres.users(MADE), [""; 0]);
}

#[test]
fn a_caller_that_is_gone_leaves_no_user_behind() {
    let Some(users) = Users::start("1m", "2m") else { return };
    let relay = Relay::to(&users.bao.address);
    let answer = get_and_hang_up(&helper(&users).env("VAULT_ADDR", relay.url()));
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""));
    assert_eq!(relay.counts().1, 2, "the read, then the revocation");
    assert_eq!((users.leases().len(), users.postgres.users(MADE).len()), (0, 0));
}
