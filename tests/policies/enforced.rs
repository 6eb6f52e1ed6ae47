//! The README's commands for AWS, and then IAM's own judgement: a moto of the test's own plays it.
//!
//! Its judgement has limits. It looks at the actions of a role's policies, but at their resources for STS alone, and at
//! no condition on an identity token: what stands there is only seen to be taken.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::identity::WORDS;
use super::readme::{blocks, filled_in};
use super::text;
use crate::support::jwt::{self, Signer};
use crate::support::servers::{Moto, request};
use crate::support::{Answer, Helper};

/// The account that the files name.
const ACCOUNT: &str = "111122223333";
const CREDENTIAL: &str = r#"{"username":"octocat","password":"pw-1"}"#;

/// A moto server that plays the account. It ends with the test.
struct OwnMoto {
    moto: Moto,
    server: Child,
    home: TempDir,
}

impl OwnMoto {
    /// `None` where there is none to start: the test is skipped.
    fn start() -> Option<Self> {
        // The one that tests/run.sh starts too.
        let moto = Moto::find()?;
        let venv = venv();
        assert!(venv.join("moto_server").exists(), "{} plays AWS, but tests/setup.sh made no moto", moto.url);
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let home = tempfile::tempdir().unwrap();
        let port = address.port().to_string();
        let server = isolated(&venv.join("moto_server"), home.path())
            .args(["-H", "127.0.0.1", "-p", &port])
            .env("MOTO_ACCOUNT_ID", ACCOUNT)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let own = Self { moto: Moto { url: format!("http://{address}") }, server, home };
        let limit = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < limit, "moto did not come up");
            thread::sleep(Duration::from_millis(20));
        }
        Some(own)
    }

    /// Runs the commands, `aws` being Python's.
    fn run(&self, folder: &Path, commands: &str) {
        let mut python = isolated(&venv().join("python"), self.home.path())
            .args(["-I", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/aws.py")])
            .envs([("AWS_ENDPOINT_URL", self.moto.url.as_str()), ("AWS_DEFAULT_REGION", "eu-west-1")])
            .envs([("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "not-a-real-key")])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
        assert!(python.wait().unwrap().success(), "{commands}");
    }

    /// From the request after the next few on, nothing goes without the right to it.
    fn judge_after(&self, requests: u32) {
        let url = format!("{}/moto-api/reset-auth", self.moto.url);
        assert_eq!(request("POST", &url, &[], &requests.to_string()).0, 200);
    }

    fn judge_nothing(&self) {
        self.judge_after(u32::MAX);
    }

    /// Calls IAM; the answer's XML.
    fn iam(&self, action: &str, fields: &[(&str, &str)]) -> String {
        let (status, answer) = super::iam::call(&self.moto, action, fields);
        assert_eq!(status, 200, "{action}: {answer}");
        answer
    }
}

impl Drop for OwnMoto {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn venv() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin")
}

fn isolated(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command.stdin(Stdio::null());
    command
}

/// A helper for the README's connection, in a job of the project.
fn job(own: &OwnMoto) -> Helper {
    let rule =
        "[registry.\"docker.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"dockerhub-credentials\"\n";
    let token = Signer::new().sign(&jwt::circleci());
    Helper::with_config(&format!("{rule}{}", blocks("toml", "[aws.default]")))
        .envs(&[("AWS_ENDPOINT_URL", &own.moto.url), ("CIRCLE_OIDC_TOKEN_V2", &token)])
}

#[test]
fn the_readmes_commands_let_a_job_read_the_secret_and_no_right_can_be_left_out() {
    let Some(own) = OwnMoto::start() else { return };
    let folder = filled_in(&WORDS);
    own.run(folder.path(), &blocks("sh", "aws "));
    let secret = json!({"Name": "dockerhub-credentials", "SecretString": CREDENTIAL});
    let arn = own.moto.call("eu-west-1", "CreateSecret", &secret)["ARN"].as_str().unwrap().to_owned();
    assert!(arn.starts_with(&format!("arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:")), "{arn}");
    job(&own).get("docker.io").is_found("docker.io", "octocat", "pw-1");

    // moto takes a policy for one secret as one for none: for all of them, then.
    let file = text("aws/read-secret.json");
    let stated = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:dockerhub-credentials-??????";
    let (enough, action) = (file.replace(stated, "*"), "secretsmanager:GetSecretValue");
    let allow = |policy: &str| {
        own.judge_nothing();
        let fields = [("RoleName", "pull"), ("PolicyName", "read-dockerhub"), ("PolicyDocument", policy)];
        own.iam("PutRolePolicy", &fields);
        // The role is taken on without keys, so without a right to it.
        own.judge_after(1);
    };
    allow(&enough);
    job(&own).get("docker.io").is_found("docker.io", "octocat", "pw-1");
    for less in [enough.replace(action, "secretsmanager:DescribeSecret"), enough.replace("Allow", "Deny")] {
        allow(&less);
        // It says so in XML, which is not what AWS does here, so its word is not read.
        job(&own).get("docker.io").fails_with(&["aws-secrets-manager: dockerhub-credentials: HTTP 403"]);
    }
    allow(&enough);
    an_external_id_is_asked_for(&own);
}

/// The role, now trusting a caller with an external id, who is a user: moto knows those by their ARN.
fn an_external_id_is_asked_for(own: &OwnMoto) {
    own.judge_nothing();
    own.iam("CreateUser", &[("UserName", "ci")]);
    let key = own.iam("CreateAccessKey", &[("UserName", "ci")]);
    let within = |tag: &str| {
        let (_, rest) = key.split_once(&format!("<{tag}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    let (id, secret_key) = (within("AccessKeyId"), within("SecretAccessKey"));
    let trust = text("aws/trust-external-id.json").replace("EXTERNAL_ID", "agreed-word");
    let trust =
        trust.replace("arn:aws:iam::444455556666:role/CALLER", &format!("arn:aws:iam::{ACCOUNT}:user/ci"));
    own.iam("UpdateAssumeRolePolicy", &[("RoleName", "pull"), ("PolicyDocument", &trust)]);
    let may = |policy: &str| {
        own.judge_nothing();
        own.iam("PutUserPolicy", &[("UserName", "ci"), ("PolicyName", "may"), ("PolicyDocument", policy)]);
        own.judge_after(0);
    };
    let get = |external_id: &str| {
        let config = format!(
            "[registry.\"docker.io\"]\nsource = \"aws-secrets-manager\"\nsecret = \"dockerhub-credentials\"\n\
             [aws.default]\nregion = \"eu-west-1\"\nrole-arn = \"arn:aws:iam::{ACCOUNT}:role/pull\"\n\
             external-id = \"{external_id}\"\n"
        );
        Helper::with_config(&config)
            .envs(&[("AWS_ENDPOINT_URL", &own.moto.url)])
            .envs(&[("AWS_ACCESS_KEY_ID", &id), ("AWS_SECRET_ACCESS_KEY", &secret_key)])
            .get("docker.io")
    };
    let assume = text("aws/assume-role.json");
    may(&assume);
    get("agreed-word").is_found("docker.io", "octocat", "pw-1");
    // moto's words for it are not AWS's here either; what differs from the look-up before is the reason.
    let is_refused = |answer: Answer| {
        answer.fails_with(&["aws-secrets-manager: dockerhub-credentials: HTTP 403"]);
    };
    is_refused(get("another-word"));
    for less in [assume.replace("role/pull", "role/push"), assume.replace("sts:AssumeRole", "sts:TagSession")]
    {
        may(&less);
        is_refused(get("agreed-word"));
    }
}
