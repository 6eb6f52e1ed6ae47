//! Users in a real PostgreSQL that hang on a login.

use std::time::Duration;

use serde_json::{Value, json};

use super::minting::get_and_hang_up;
use super::rule;
use crate::support::Helper;
use crate::support::app_role::AppRole;
use crate::support::gate::{Gate, Step};
use crate::support::servers::{in_the_end, request};
use crate::support::users::{MADE, Users};

/// The database, and a role that may have users made there.
struct Made {
    users: Users,
    role: AppRole,
    gate: Gate,
}

impl Made {
    fn find() -> Option<Self> {
        let users = Users::start("1m", "2m")?;
        let policy = format!("path \"{}\" {{ capabilities = [\"read\"] }}", users.path());
        let role = AppRole::new(&users.bao, &policy);
        let gate = Gate::to(&users.bao.address);
        Some(Self { users, role, gate })
    }

    fn helper(&self, more: &str) -> Helper {
        let config = rule(&self.users.path(), more);
        self.role.helper(&self.users.bao, &config, "").env("VAULT_ADDR", self.gate.url())
    }

    /// So many users, leases and tokens are there in the end.
    #[track_caller]
    fn leaves(&self, expected: [usize; 3]) {
        in_the_end(&expected, || {
            let made = self.users.postgres.users(MADE).len();
            [made, self.users.leases().len(), self.role.tokens(&self.users.bao)]
        });
    }
}

#[test]
fn a_user_lives_as_long_as_the_login_that_stays_behind() {
    let Some(it) = Made::find() else { return };
    let answer = it.helper("").get("ghcr.io");
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    let [user, password] = ["Username", "Secret"].map(|key| found[key].as_str().unwrap());
    let log_in = || it.users.postgres.query(user, password, "SELECT current_user");
    assert_eq!(log_in().unwrap(), [user]);
    it.leaves([1, 1, 1]);
    // One login, one read: nothing was given back.
    let passed = it.gate.passed();
    let [login, read] = passed.as_slice() else { panic!("{:?}", it.gate.told()) };
    let read: Value = serde_json::from_str(&read.answer).unwrap();
    assert_eq!((&read["renewable"], &read["lease_duration"]), (&json!(true), &json!(60)));
    let login: Value = serde_json::from_str(&login.answer).unwrap();
    let token = login["auth"]["client_token"].as_str().unwrap();
    let url = format!("{}/v1/auth/token/revoke-self", it.users.bao.address);
    assert_eq!(request("POST", &url, &[("X-Vault-Token", token)], "").0, 204);
    it.leaves([0, 0, 0]);
    assert!(log_in().is_err());
    // A lease lives no longer than its login, and the log says so.
    let policy = format!("path \"{}\" {{ capabilities = [\"read\"] }}", it.users.path());
    let role = AppRole::with(&it.users.bao, "", &policy, &json!({"token_ttl": "30s"}));
    let helper = role.helper(&it.users.bao, &rule(&it.users.path(), ""), "");
    let answer = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").get("ghcr.io");
    let leases = it.users.leases();
    let [lease] = leases.as_slice() else { panic!("{leases:?}") };
    let logged = answer.stderr.contains(&format!("vault: lease {lease} for 30 s\n"));
    assert!(answer.code == Some(0) && logged, "{answer:?}");
}

#[test]
fn nobody_is_left_in_the_database_whom_nobody_knows() {
    let Some(it) = Made::find() else { return };
    // docker login: it keeps nothing, and compares nothing with what is new each time.
    it.helper("").store("ghcr.io", "anybody", "pw-just-typed").is_silent();
    it.leaves([0, 0, 0]);
    let mismatch = it.helper("username = \"robot\"").store("ghcr.io", "hubot", "pw-just-typed");
    mismatch.fails_with(&["hint: log in as robot"]);
    it.leaves([0, 0, 0]);
    // A key that is not there.
    it.helper("password-key = \"token\"").get("ghcr.io").fails_with(&["it has no key `token`; hint: "]);
    it.leaves([0, 0, 0]);
    // A caller that is gone.
    assert_eq!(get_and_hang_up(&it.helper("")).code, Some(1));
    it.leaves([0, 0, 0]);
    // Each time a login, a read, and the login's end.
    assert_eq!(it.gate.told().len(), 4 * 3, "{:?}", it.gate.told());
    // A read whose answer comes too late: the login that is given back takes the user along.
    let late = Gate::holding(&it.users.bao.address, |line| match line.starts_with("GET ") {
        true => Step::Late(Duration::from_secs(5)),
        false => Step::Pass,
    });
    let config = format!("timeout = \"1s\"\n{}", rule(&it.users.path(), ""));
    let helper = it.role.helper(&it.users.bao, &config, "").env("VAULT_ADDR", late.url());
    helper.get("ghcr.io").fails_with(&["timed out after 1s"]);
    it.leaves([0, 0, 0]);
    assert!(late.passed().iter().any(|passed| passed.answer.contains("lease_id\":\"")), "{:?}", late.told());
}
