//! The `kubernetes` login at a real OpenBao, which asks a double of the cluster's API about the token.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::hostile::Hostile;
use crate::support::jwt::{Signer, seconds_from_now, with};
use crate::support::own_bao::free_addresses;
use crate::support::relay::Relay;
use crate::support::servers::{Bao, request, unique};
use crate::support::tls::TlsFront;
use crate::support::{Answer, Helper};

/// Whom the cluster's tokens are for.
const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";

/// What a bound token of the service account `puller` in the namespace `ci` claims.
fn claims() -> Value {
    json!({
        "iss": CLUSTER,
        "aud": [CLUSTER],
        "sub": "system:serviceaccount:ci:puller",
        "iat": seconds_from_now(0),
        "exp": seconds_from_now(3600),
        "kubernetes.io": {
            "namespace": "ci",
            "pod": {"name": "runner-0", "uid": "p0d"},
            "serviceaccount": {"name": "puller", "uid": "5a"},
        },
    })
}

/// What the cluster says about a token: that it is this service account's, or nobody's.
fn review(account: Option<&str>) -> Hostile {
    let status = match account {
        Some(username) => json!({
            "authenticated": true,
            "audiences": [CLUSTER],
            "user": {"username": username, "uid": "5a", "groups": ["system:serviceaccounts"]},
        }),
        None => json!({"authenticated": false, "error": "invalid bearer token"}),
    };
    let kind = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status});
    Hostile::answering(201, "Content-Type: application/json\r\n", &kind.to_string())
}

/// A mount that asks the cluster at an address, and a secret that its role `ci` may read. The mount goes with it.
struct Mount {
    bao: Bao,
    name: String,
    path: String,
    policy: String,
    signer: Signer,
    /// The server's own token in the cluster.
    reviewer: String,
    folder: TempDir,
}

impl Mount {
    /// The cluster's API stands behind TLS, as it always does.
    fn before(cluster: &str) -> Option<Self> {
        let bao = Bao::find()?;
        let (name, policy, signer) = (unique("kubernetes"), unique("policy"), Signer::new());
        let folder = tempfile::tempdir().unwrap();
        let front = TlsFront::new(cluster, &["127.0.0.1"], folder.path());
        let secret = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
        let path = format!("secret/data/{secret}");
        let text = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
        bao.call("PUT", &format!("sys/policies/acl/{policy}"), &json!({ "policy": text }));
        bao.call("POST", &format!("sys/auth/{name}"), &json!({"type": "kubernetes"}));
        let reviewer = signer.sign(&json!({"sub": "system:serviceaccount:bao:reviewer"}));
        let mount = Self { bao, name, path, policy, signer, reviewer, folder };
        let config = json!({
            "kubernetes_host": format!("https://{}", front.authority),
            "kubernetes_ca_cert": std::fs::read_to_string(&front.ca).unwrap(),
            "disable_local_ca_jwt": true,
            "token_reviewer_jwt": mount.reviewer,
        });
        mount.bao.call("POST", &format!("auth/{}/config", mount.name), &config);
        mount.role(&json!({}));
        Some(mount)
    }

    /// Writes the role `ci`, with other settings than the usual ones.
    fn role(&self, settings: &Value) {
        let usual = json!({
            "bound_service_account_names": ["puller"],
            "bound_service_account_namespaces": ["ci"],
            "token_policies": ["default", self.policy],
        });
        self.bao.call("POST", &format!("auth/{}/role/ci", self.name), &with(usual, settings.clone()));
    }

    /// A helper whose token is the pod's own, or stands where `token` says.
    fn helper(&self, token: &str) -> Helper {
        let config = format!(
            "[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"{}\"\n[vault.default.auth]\n\
             method = \"kubernetes\"\nmount = \"{}\"\nrole = \"ci\"\n{token}\n",
            self.path, self.name
        );
        Helper::with_config(&config).env("VAULT_ADDR", &self.bao.address)
    }

    /// A helper with a token of these claims in a file.
    fn shows(&self, claims: &Value) -> Helper {
        let file = self.folder.path().join("token");
        std::fs::write(&file, self.signer.sign(claims)).unwrap();
        self.helper(&format!("token = {{ file = \"{}\" }}", file.display()))
    }

    #[track_caller]
    fn refuses(&self, helper: &Helper, sentence: &str) {
        let line = format!("vault: {}: login at auth/{}: {sentence}", self.path, self.name);
        helper.get("ghcr.io").is_line(&line);
        assert_eq!(self.logins(), 0);
    }

    fn logins(&self) -> usize {
        self.bao.leases(&format!("auth/{}/login", self.name)).len()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let token = [("X-Vault-Token", self.bao.token.as_str())];
        for path in [format!("sys/auth/{}", self.name), format!("sys/policies/acl/{}", self.policy)] {
            let _ = request("DELETE", &format!("{}/v1/{path}", self.bao.address), &token, "");
        }
    }
}

const REVIEW_HINT: &str = "; hint: check mount and namespace, and that the server may have this cluster review the token (TokenReview)";
const BINDING_HINT: &str =
    "; hint: check that the role binds this service account, its namespace and the token's audience";

#[test]
fn a_service_account_logs_in_once_the_cluster_has_vouched_for_it() {
    let cluster = review(Some("system:serviceaccount:ci:puller"));
    let Some(mount) = Mount::before(&cluster.authority) else { return };
    let relay = Relay::to(&mount.bao.address);
    let helper = mount.shows(&claims()).env("VAULT_ADDR", relay.url());
    helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
    assert_eq!((relay.counts(), mount.logins()), ((1, 3), 0), "login, read, revoke-self");
    // The cluster was asked by the server, about our token.
    let heard = cluster.heard();
    let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(heard.len(), 1);
    assert!(head.starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nAuthorization: Bearer {}\r\n", mount.reviewer)), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    let token = std::fs::read_to_string(mount.folder.path().join("token")).unwrap();
    assert_eq!(body["spec"]["token"], json!(token));
}

#[test]
fn the_pods_own_token_is_where_the_kubelet_puts_it() {
    let cluster = review(Some("system:serviceaccount:ci:puller"));
    let Some(mount) = Mount::before(&cluster.authority) else { return };
    let Some(pod) = Pod::with(&mount.signer.sign(&claims())) else { return };
    for token in ["", "token = \"service-account\""] {
        pod.get(&mount.helper(token)).is_found("ghcr.io", "octocat", "pw-1");
        assert_eq!(mount.logins(), 0);
    }
}

#[test]
fn outside_of_a_pod_there_is_no_token() {
    let Some(mount) = Mount::before("127.0.0.1:1") else { return };
    let file = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    if Path::new(file).exists() {
        eprintln!("SKIPPED: this is a pod");
        return;
    }
    let hint = "a pod has it, unless it says automountServiceAccountToken: false";
    let line = format!("vault: {}: no file {file}; hint: {hint}", mount.path);
    let relay = Relay::to(&mount.bao.address);
    mount.helper("").env("VAULT_ADDR", relay.url()).get("ghcr.io").is_line(&line);
    assert_eq!(relay.counts(), (0, 0));
}

#[test]
fn another_service_account_or_namespace_is_not_let_in() {
    let cluster = review(Some("system:serviceaccount:ci:puller"));
    let Some(mount) = Mount::before(&cluster.authority) else { return };
    let other = |namespace: &str, name: &str| {
        let account = json!({"namespace": namespace, "serviceaccount": {"name": name, "uid": "5a"}});
        let subject = format!("system:serviceaccount:{namespace}:{name}");
        mount.shows(&with(claims(), json!({"sub": subject, "kubernetes.io": account})))
    };
    mount.refuses(&other("ci", "stranger"), &format!("service account name not authorized{BINDING_HINT}"));
    mount.refuses(&other("kube-system", "puller"), &format!("namespace not authorized{BINDING_HINT}"));
    mount.role(&json!({"audience": "https://vault.example.com"}));
    let cause = "invalid audience (aud) claim: audience claim does not match any expected audience";
    mount.refuses(&mount.shows(&claims()), &format!("{cause}{BINDING_HINT}"));
    assert!(cluster.heard().is_empty());
}

#[test]
fn a_token_that_the_cluster_does_not_know_is_not_let_in() {
    for cluster in [
        review(None),
        review(Some("system:serviceaccount:ci:somebody-else")),
        Hostile::answering(403, "", r#"{"kind":"Status","status":"Failure","message":"forbidden"}"#),
    ] {
        let Some(mount) = Mount::before(&cluster.authority) else { return };
        mount.refuses(&mount.shows(&claims()), &format!("permission denied{REVIEW_HINT}"));
        assert_eq!(cluster.heard().len(), 1);
    }
}

#[test]
fn a_cluster_that_is_down_lets_nobody_in() {
    let [nobody] = free_addresses();
    let Some(mount) = Mount::before(&nobody) else { return };
    mount.refuses(&mount.shows(&claims()), &format!("permission denied{REVIEW_HINT}"));
}

#[test]
fn a_role_or_mount_that_is_not_there_is_named() {
    let Some(mount) = Mount::before("127.0.0.1:1") else { return };
    let _ = mount.shows(&claims());
    let file = mount.folder.path().join("token");
    let token = format!("token = {{ file = \"{}\" }}", file.display());
    let changed = |from: &str, to: &str| {
        let helper = mount.helper(&token);
        let config = std::fs::read_to_string(helper.config_file()).unwrap();
        std::fs::write(helper.config_file(), config.replace(from, to)).unwrap();
        helper
    };
    let nobody = changed("role = \"ci\"", "role = \"nobody\"");
    mount.refuses(&nobody, "invalid role name \"nobody\"; hint: check role");
    let line = format!("vault: {}: login at auth/nowhere: permission denied{REVIEW_HINT}", mount.path);
    changed(&format!("\"{}\"", mount.name), "\"nowhere\"").get("ghcr.io").is_line(&line);
}

/// A place where the kubelet's files are, as it lays them out: a mount of its own, and links that it swaps at once.
struct Pod {
    _folder: TempDir,
    token: PathBuf,
}

impl Pod {
    const ENTER: &str = "mount -t tmpfs none /run && folder=/var/run/secrets/kubernetes.io/serviceaccount && \
        mkdir -p $folder && mount -t tmpfs -o mode=1777 none $folder && mkdir $folder/..2026_01_01 && \
        cp \"$TOKEN\" $folder/..2026_01_01/token && chmod 644 $folder/..2026_01_01/token && \
        ln -s ..2026_01_01 $folder/..data && ln -s ..data/token $folder/token && exec \"$HELPER\" get";

    /// `None` where this process may make no mounts: the test is skipped.
    fn with(token: &str) -> Option<Self> {
        let try_out = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/run"]).output();
        if !try_out.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: only root, with mounts of its own, can lay out a pod's files");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::File::create(&file).unwrap().write_all(token.as_bytes()).unwrap();
        Some(Self { _folder: folder, token: file })
    }

    /// What the helper answers in there.
    fn get(&self, helper: &Helper) -> Answer {
        let own = helper.command(&["get"]);
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", Self::ENTER]).env_clear().current_dir(helper.home());
        command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("HELPER", own.get_program()).env("TOKEN", &self.token);
        Answer::of(&mut command, b"ghcr.io")
    }
}
