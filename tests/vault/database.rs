//! Users that OpenBao's `database` engine makes in a real PostgreSQL when they are read.

use serde_json::{Value, json};

use super::minting::get_and_hang_up;
use super::rule;
use crate::support::Helper;
use crate::support::own_postgres::OwnPostgres;
use crate::support::relay::Relay;
use crate::support::servers::{Bao, unique};

/// How the names begin that the engine gives to users.
pub(super) const MADE: &str = "v-%";

/// A mount of the engine with one role, and a rule that asks it.
pub(super) struct Database {
    pub(super) bao: Bao,
    pub(super) postgres: OwnPostgres,
    mount: String,
}

impl Database {
    pub(super) fn start() -> Option<Self> {
        let (bao, postgres) = (Bao::find()?, OwnPostgres::start()?);
        let (mount, connection) = (bao.mount(&json!({"type": "database"})), unique("postgres"));
        bao.call("POST", &format!("{mount}/config/{connection}"), &postgres.connection());
        let create =
            "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'";
        let role = json!({
            "db_name": connection, "creation_statements": [create], "default_ttl": "1m", "max_ttl": "2m",
        });
        bao.call("POST", &format!("{mount}/roles/ci"), &role);
        Some(Self { bao, postgres, mount })
    }

    pub(super) fn path(&self) -> String {
        format!("{}/creds/ci", self.mount)
    }

    fn helper(&self) -> Helper {
        self.bao.helper(&rule(&self.path(), ""))
    }

    pub(super) fn leases(&self) -> Vec<String> {
        self.bao.leases(&self.path())
    }
}

#[test]
fn a_read_makes_a_user_who_may_log_in_until_the_lease_is_revoked() {
    let Some(database) = Database::start() else { return };
    let answer = database.helper().get("ghcr.io");
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    let [user, password] = ["Username", "Secret"].map(|key| found[key].as_str().unwrap());
    let until =
        "SELECT rolname, rolvaliduntil < now() + '2 minutes' FROM pg_roles WHERE rolname = current_user";
    let log_in = |password| database.postgres.query(user, password, until);
    assert_eq!(log_in(password).unwrap(), [format!("{user}|t")]);
    assert!(log_in("wrong").unwrap_err().contains("password authentication failed"));
    assert_eq!(database.postgres.users(MADE), [user]);
    let leases = database.leases();
    assert_eq!(leases.len(), 1);
    database.bao.call("PUT", "sys/leases/revoke", &json!({"lease_id": leases[0], "sync": true}));
    assert!(log_in(password).is_err());
    assert_eq!(database.postgres.users(MADE), [""; 0]);
}

#[test]
fn a_caller_that_is_gone_leaves_no_user_behind() {
    let Some(database) = Database::start() else { return };
    let relay = Relay::to(&database.bao.address);
    let answer = get_and_hang_up(&database.helper().env("VAULT_ADDR", relay.url()));
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""));
    assert_eq!(relay.counts().1, 2, "the read, then the revocation");
    assert_eq!((database.leases().len(), database.postgres.users(MADE).len()), (0, 0));
}
