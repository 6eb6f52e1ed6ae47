//! The README: it names every file, and its commands, run as they stand, let the helper in by every login.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::identity::{self, CLUSTER, WORDS};
use super::logins::reviewed;
use super::{files, rule, text};
use crate::support::hostile::Hostile;
use crate::support::jwt::{self, Signer};
use crate::support::own_bao::OwnBao;
use crate::support::servers::{Bao, request};
use crate::support::tls::TlsFront;
use crate::support::{Answer, Helper};

/// The user's, whose sign and blank a shell must not touch.
const PASSWORD: &str = "pa$$ word";

/// The fenced blocks of the kind that begin so, one after another.
pub(super) fn blocks(kind: &str, beginning: &str) -> String {
    let (readme, opening) = (text("README.md"), format!("```{kind}\n"));
    let blocks = readme.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    let blocks: String = blocks.filter(|block| block.starts_with(beginning)).collect();
    assert!(!blocks.is_empty(), "the README has no {kind} block that begins with {beginning}");
    blocks
}

/// The folder's files, with words of the test's own in place of those that are to be filled in.
pub(super) fn filled_in(words: &[(&str, &str)]) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for of in ["aws", "vault"] {
        fs::create_dir(copy.path().join(of)).unwrap();
        for file in files(of) {
            let text = words.iter().fold(text(&file), |text, (word, own)| text.replace(word, own));
            fs::write(copy.path().join(&file), text).unwrap();
        }
    }
    copy
}

#[test]
fn it_names_every_file_and_every_word_to_be_filled_in() {
    let readme = text("README.md");
    let (opening, _) = readme.split_once("## AWS").unwrap();
    let all = [files("aws"), files("vault")].concat();
    for file in &all {
        let name = file.split_once('/').unwrap().1;
        assert!(readme.contains(&format!("| [{name}]({file}) |")), "{file} is in no table");
        // What comments and keys are made of is no word to be filled in.
        let text: String = text(file).lines().filter(|line| !line.starts_with('#')).collect();
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        for word in words.filter(|word| word.len() >= 4) {
            assert!(opening.contains(&format!("`{word}`")), "{word} of {file} is not told");
        }
    }
    for link in readme.split("](").skip(1) {
        let target = link.split(')').next().unwrap();
        assert!(all.iter().any(|file| file == target), "there is no {target}");
    }
}

/// A server that nobody has set up yet, but for the secret that the policy is about.
struct Fresh {
    own: OwnBao,
    bao: Bao,
}

impl Fresh {
    fn start() -> Option<Self> {
        let own = OwnBao::start()?;
        let url = format!("http://{}/v1/sys", own.plain);
        let put = |path: &str, body: Value| -> Value {
            let (status, answer) = request("PUT", &format!("{url}/{path}"), &[], &body.to_string());
            assert_eq!(status, 200, "{answer}");
            serde_json::from_str(&answer).unwrap()
        };
        let made = put("init", json!({"secret_shares": 1, "secret_threshold": 1}));
        put("unseal", json!({"key": made["keys"][0]}));
        let token = made["root_token"].as_str().unwrap().to_owned();
        let bao = Bao { address: format!("http://{}", own.plain), token };
        bao.call("POST", "sys/mounts/secret", &json!({"type": "kv", "options": {"version": "2"}}));
        // A new versioned engine takes no write before it has set itself up.
        let secret = json!({"data": {"username": "octocat", "password": "pw-1"}}).to_string();
        let write = || {
            let url = format!("{}/v1/secret/data/dockerhub", bao.address);
            request("POST", &url, &[("X-Vault-Token", &bao.token)], &secret).0 == 200
        };
        let limit = Instant::now() + Duration::from_secs(20);
        while !write() {
            assert!(Instant::now() < limit, "the engine did not set itself up");
            thread::sleep(Duration::from_millis(10));
        }
        Some(Self { own, bao })
    }

    /// Runs the commands in a shell that knows the server; what they print.
    fn run(&self, folder: &Path, commands: &str) -> String {
        let bin = folder.join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(std::env::var_os("TEST_BAO").unwrap(), bin.join("bao")).unwrap();
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", commands])
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", folder)
            .envs([("BAO_ADDR", &self.bao.address), ("BAO_TOKEN", &self.bao.token)])
            .current_dir(folder)
            .env("CI_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{printed}");
        printed
    }

    /// A look-up that logs in with these keys; nothing is left of it.
    #[track_caller]
    fn lets_in(&self, auth: &str, variables: &[(&str, &str)]) {
        let tokens = self.tokens();
        self.get(auth, variables).is_found("docker.io", "octocat", "pw-1");
        assert_eq!(self.tokens(), tokens, "{auth}");
    }

    fn get(&self, auth: &str, variables: &[(&str, &str)]) -> Answer {
        let config = rule("secret/data/dockerhub", &format!("[vault.default.auth]\n{auth}"));
        let helper = Helper::with_config(&config).env("VAULT_ADDR", self.bao.address.as_str());
        helper.envs(variables).get("docker.io")
    }

    fn tokens(&self) -> usize {
        let url = format!("{}/v1/auth/token/accessors", self.bao.address);
        let (status, answer) = request("LIST", &url, &[("X-Vault-Token", &self.bao.token)], "");
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()["data"]["keys"].as_array().unwrap().len()
    }
}

/// A CA with a certificate for each of the names; their files, and the CA's.
fn certificates(folder: &Path, names: [&str; 2]) -> [(PathBuf, PathBuf); 2] {
    let key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(folder.join("ca.pem"), ca.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(ca, key);
    names.map(|name| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let files = (folder.join(format!("{name}.pem")), folder.join(format!("{name}-key.pem")));
        fs::write(&files.0, params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    })
}

#[test]
fn its_commands_let_the_helper_in_by_every_login() {
    let Some(fresh) = Fresh::start() else { return };
    let (signer, double) = (Signer::new(), reviewed("apps", "puller", CLUSTER));
    let folder = filled_in(&WORDS);
    let folder = folder.path();
    let cluster = TlsFront::new(&double.authority, &["127.0.0.1"], folder);
    fs::rename(&cluster.ca, folder.join("cluster.pem")).unwrap();
    let [client, stranger] = certificates(folder, ["ci.example.com", "other.example.com"]);
    fs::write(folder.join("jwt.pub"), signer.public_key()).unwrap();
    let mut commands = blocks("sh", "bao ").replace("ORG_ID", jwt::ORGANIZATION);
    // No issuer can be reached from here, and outside of a cluster the server has to be told of it.
    let issuer = format!("oidc_discovery_url=https://oidc.circleci.com/org/{}", jwt::ORGANIZATION);
    let host = format!(
        "kubernetes_host=https://{} kubernetes_ca_cert=@cluster.pem disable_local_ca_jwt=true",
        cluster.authority
    );
    for (theirs, ours) in [
        (issuer.as_str(), "jwt_validation_pubkeys=@jwt.pub"),
        ("oidc_discovery_url=https://token.actions.githubusercontent.com", "jwt_validation_pubkeys=@jwt.pub"),
        ("kubernetes_host=https://kubernetes.default.svc", &host),
    ] {
        assert!(commands.contains(theirs), "{theirs}");
        commands = commands.replace(theirs, ours);
    }
    let printed = fresh.run(folder, &commands);

    // Where nobody looks on, `bao` prints a field without an end of line: the two stand before the next word.
    let (ids, _) = printed.split_once("Success! Enabled jwt").unwrap();
    let (role_id, secret_id) = ids[ids.len() - 72..].split_at(36);
    let ids = [("ROLE_ID", role_id), ("SECRET_ID", secret_id)];
    fresh.lets_in("method = \"approle\"\nrole-id-env = \"ROLE_ID\"\nsecret-id-env = \"SECRET_ID\"", &ids);

    let token = signer.sign(&jwt::circleci());
    let job = "method = \"jwt\"\nrole = \"ci\"\ntoken = \"circleci\"";
    fresh.lets_in(job, &[("CIRCLE_OIDC_TOKEN_V2", &token)]);

    let token = signer.sign(&identity::github());
    let double = Hostile::answering(200, "", &json!({"value": token}).to_string());
    let asking = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", double.url()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token".to_owned()),
    ];
    let asking = asking.each_ref().map(|(name, value)| (*name, value.as_str()));
    fresh.lets_in("method = \"jwt\"\nmount = \"github\"\nrole = \"ci\"\ntoken = \"github\"", &asking);

    let token = signer.sign(&identity::pod("apps", "puller", CLUSTER));
    let pod = "method = \"kubernetes\"\nrole = \"ci\"\ntoken = { env = \"POD_TOKEN\" }";
    fresh.lets_in(pod, &[("POD_TOKEN", &token)]);

    let user = "method = \"userpass\"\nusername = \"ci\"\npassword-env = \"CI_PASSWORD\"";
    fresh.lets_in(user, &[("CI_PASSWORD", PASSWORD)]);

    let (address, ca) = (format!("https://{}", fresh.own.tls), fresh.own.ca.display().to_string());
    let showing = |(certificate, key): &(PathBuf, PathBuf)| {
        let auth = format!(
            "method = \"cert\"\nrole = \"ci\"\n[vault.default]\nclient-cert = {certificate:?}\nclient-key = {key:?}"
        );
        (auth, [("VAULT_ADDR", address.as_str()), ("VAULT_CACERT", ca.as_str())])
    };
    let (auth, variables) = showing(&client);
    fresh.lets_in(&auth, &variables);
    let (auth, variables) = showing(&stranger);
    fresh
        .get(&auth, &variables)
        .fails_with(&["login at auth/cert: ", "hint: check client-cert and client-key"]);
}
