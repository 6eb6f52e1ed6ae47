//! Users that OpenBao's `database` engine makes in a real PostgreSQL when they are read.

use serde_json::json;

use super::own_postgres::OwnPostgres;
use super::servers::{Bao, unique};

/// How the names begin that the engine gives to users.
pub(crate) const MADE: &str = "v-%";

/// A mount of the engine with the role `ci`, in a PostgreSQL of the test's own.
pub(crate) struct Users {
    pub(crate) bao: Bao,
    pub(crate) postgres: OwnPostgres,
    mount: String,
}

impl Users {
    /// Each is there for `ttl`, and for `most` where it is renewed; `None` where a server is missing: the test is
    /// skipped.
    pub(crate) fn start(ttl: &str, most: &str) -> Option<Self> {
        let (bao, postgres) = (Bao::find()?, OwnPostgres::start()?);
        let (mount, connection) = (bao.mount(&json!({"type": "database"})), unique("postgres"));
        bao.call("POST", &format!("{mount}/config/{connection}"), &postgres.connection());
        let create =
            "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'";
        let role = json!({
            "db_name": connection, "creation_statements": [create], "default_ttl": ttl, "max_ttl": most,
        });
        bao.call("POST", &format!("{mount}/roles/ci"), &role);
        Some(Self { bao, postgres, mount })
    }

    pub(crate) fn path(&self) -> String {
        format!("{}/creds/ci", self.mount)
    }

    pub(crate) fn leases(&self) -> Vec<String> {
        self.bao.leases(&self.path())
    }
}
