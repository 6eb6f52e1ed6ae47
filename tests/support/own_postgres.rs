//! A PostgreSQL server of the test's own, for OpenBao to make users in.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::own_bao::free_addresses;
use super::servers::setting;

/// Who may do everything there.
const SUPERUSER: &str = "admin";

/// A server that has its superuser and no other user. It ends with the test.
pub(crate) struct OwnPostgres {
    programs: Programs,
    /// `127.0.0.1:PORT`.
    address: String,
    password: String,
    server: Child,
    folder: TempDir,
}

impl OwnPostgres {
    /// `None` where `TEST_POSTGRES` names no programs: the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        let programs = Programs::find(&setting("TEST_POSTGRES")?);
        // Not below TMPDIR: root's may be closed to the account that the server runs as.
        let folder = tempfile::Builder::new().prefix("lease-postgres").tempdir_in("/tmp").unwrap();
        let (password, file) = (random(), folder.path().join("password"));
        fs::write(&file, &password).unwrap();
        for path in [folder.path(), &file] {
            programs.hand_over(path);
        }
        // A password, though all is thrown away: on loopback every user of this machine could connect.
        let made = programs
            .command("initdb", folder.path())
            .args(["--pgdata=data", "--auth=scram-sha-256", "--pwfile=password", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C", &format!("--username={SUPERUSER}")])
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let [address] = free_addresses();
        let log = File::create(folder.path().join("log")).unwrap();
        let server = programs
            .command("postgres", folder.path())
            .args(["-D", "data", "-h", "127.0.0.1", "-p", port_of(&address)])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .args(["-c", "shared_buffers=4MB", "-c", "max_connections=20"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut own = Self { programs, address, password, server, folder };
        let limit = Instant::now() + Duration::from_secs(20);
        while let Err(why) = own.query(SUPERUSER, &own.password, "SELECT 1") {
            let ended = own.server.try_wait().unwrap().is_some();
            let log = || fs::read_to_string(own.folder.path().join("log")).unwrap();
            assert!(!ended && Instant::now() < limit, "PostgreSQL did not come up: {why}\n{}", log());
            thread::sleep(Duration::from_millis(20));
        }
        Some(own)
    }

    /// What OpenBao's `database` engine is told to make users here.
    pub(crate) fn connection(&self) -> Value {
        json!({
            "plugin_name": "postgresql-database-plugin",
            "connection_url":
                format!("postgresql://{{{{username}}}}:{{{{password}}}}@{}/postgres?sslmode=disable", self.address),
            "username": SUPERUSER,
            "password": self.password,
            "allowed_roles": "*",
        })
    }

    /// The users whose names are like this, `%` standing for anything.
    pub(crate) fn users(&self, like: &str) -> Vec<String> {
        let sql = format!("SELECT rolname FROM pg_roles WHERE rolname LIKE '{like}' ORDER BY 1");
        self.query(SUPERUSER, &self.password, &sql).unwrap()
    }

    /// The lines that the user with the password gets for the statement, else what the server says against it.
    pub(crate) fn query(&self, user: &str, password: &str, sql: &str) -> Result<Vec<String>, String> {
        let output = self
            .programs
            .command("psql", self.folder.path())
            .args(["-X", "-w", "-A", "-t", "-h", "127.0.0.1", "-p", port_of(&self.address)])
            .args(["-U", user, "-d", "postgres", "-c", sql])
            .env("PGPASSWORD", password)
            .env("PGCONNECT_TIMEOUT", "5")
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        Ok(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        // Killed outright it would leave its own processes and its shared memory behind; asked more kindly it would
        // wait for OpenBao to hang up. It may have ended by itself.
        if matches!(self.server.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.server), Signal::QUIT);
            let _ = self.server.wait();
        }
    }
}

/// Where PostgreSQL's programs lie, and who runs them.
struct Programs {
    folder: PathBuf,
    /// Its user and group where it is not the test's: PostgreSQL refuses to run as root.
    account: Option<(u32, u32)>,
}

impl Programs {
    fn find(folder: &str) -> Self {
        let account = getuid().is_root().then(|| (id("-u"), id("-g")));
        Self { folder: PathBuf::from(folder), account }
    }

    fn hand_over(&self, path: &Path) {
        if let Some((user, group)) = self.account {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    fn command(&self, name: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command.env_clear().current_dir(folder).stdin(Stdio::null());
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        command
    }
}

/// A number of the account that has nothing.
fn id(option: &str) -> u32 {
    let output = Command::new("id").args([option, "nobody"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().expect("an account nobody")
}

fn port_of(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

/// What nobody can guess.
fn random() -> String {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes.map(|byte| format!("{byte:02x}")).concat()
}
