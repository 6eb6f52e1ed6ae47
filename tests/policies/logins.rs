//! The roles for Vault's logins: each lets in whom it names, and nobody else; what it gives is given back.

use serde_json::{Value, json};

use super::identity::{self, CLUSTER, WORDS};
use super::{json as role_file, rule};
use crate::support::hostile::Hostile;
use crate::support::jwt::{self, Signer, with};
use crate::support::servers::{Bao, request, unique};
use crate::support::tls::TlsFront;
use crate::support::{Answer, Helper};

/// A secret that the policy of the role may read, and a mount of the method with the role `ci`.
struct Login {
    bao: Bao,
    secret: String,
    policy: String,
    method: &'static str,
    mount: String,
}

impl Login {
    /// Mounts the method and configures it.
    fn at(method: &'static str, config: &Value) -> Option<Self> {
        let bao = Bao::find()?;
        let secret = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
        let policy = unique("docker-pull");
        let text = super::text("vault/read-kv2.hcl").replace("dockerhub", &secret);
        bao.call("PUT", &format!("sys/policies/acl/{policy}"), &json!({"policy": text}));
        let mount = unique(method);
        bao.call("POST", &format!("sys/auth/{mount}"), &json!({"type": method}));
        if !config.is_null() {
            bao.call("POST", &format!("auth/{mount}/config"), config);
        }
        Some(Self { bao, secret, policy, method, mount })
    }

    /// Writes the role as its file has it.
    fn role(&self, at: &str, file: &str, words: &[(&str, &str)], more: &Value) {
        let words = [words, &[("docker-pull", self.policy.as_str())]].concat();
        let mut role = role_file(file, &words);
        for (key, value) in more.as_object().into_iter().flatten() {
            role[key] = value.clone();
        }
        self.bao.call("POST", &format!("auth/{}/{at}", self.mount), &role);
    }

    /// A helper without any token, that logs in with these keys.
    fn helper(&self, keys: &str) -> Helper {
        let auth = format!(
            "[vault.default.auth]\nmethod = \"{}\"\nmount = \"{}\"\n{keys}\n",
            self.method, self.mount
        );
        Helper::with_config(&rule(&format!("secret/data/{}", self.secret), &auth))
            .env("VAULT_ADDR", self.bao.address.as_str())
    }

    /// Gets the secret; the log says how long the login would have lived, and that it was given back.
    #[track_caller]
    fn lets_in(&self, helper: Helper) {
        helper.get("docker.io").is_found("docker.io", "octocat", "pw-1");
        let logged = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").get("docker.io").stderr;
        let logged_in = format!("vault: logged in at auth/{} for 600 s\n", self.mount);
        assert!(logged.contains(&logged_in) && logged.contains("vault: login given back\n"), "{logged}");
    }

    #[track_caller]
    fn keeps_out(&self, answer: &Answer, cause: &str) {
        answer.fails_with(&[
            &format!("vault: secret/data/{}: login at auth/{}: ", self.secret, self.mount),
            cause,
        ]);
    }

    fn id(&self, method: &str, at: &str, key: &str) -> String {
        let answer = self.bao.call(method, &format!("auth/{}/role/ci/{at}", self.mount), &json!({}));
        answer["data"][key].as_str().unwrap().to_owned()
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let token = [("X-Vault-Token", self.bao.token.as_str())];
        for path in [format!("sys/auth/{}", self.mount), format!("sys/policies/acl/{}", self.policy)] {
            let _ = request("DELETE", &format!("{}/v1/{path}", self.bao.address), &token, "");
        }
    }
}

#[test]
fn an_approle_lets_in_whoever_has_its_role_id_and_a_secret_id() {
    let Some(login) = Login::at("approle", &Value::Null) else { return };
    login.role("role/ci", "vault/approle.json", &[], &Value::Null);
    let role_id = login.id("GET", "role-id", "role_id");
    let secret_id = login.id("POST", "secret-id", "secret_id");
    let keys = "role-id-env = \"ROLE_ID\"\nsecret-id-env = \"SECRET_ID\"";
    let helper =
        |secret_id: &str| login.helper(keys).envs(&[("ROLE_ID", &role_id), ("SECRET_ID", secret_id)]);
    login.lets_in(helper(&secret_id));
    login.keeps_out(&helper("wrong").get("docker.io"), "invalid role or secret ID");
    let without = login.helper("role-id-env = \"ROLE_ID\"").env("ROLE_ID", role_id.as_str());
    login.keeps_out(&without.get("docker.io"), "missing secret_id");
}

#[test]
fn without_the_default_policy_the_login_stays_and_is_told_in_the_log() {
    let Some(login) = Login::at("approle", &Value::Null) else { return };
    login.role("role/ci", "vault/approle.json", &[], &json!({"token_no_default_policy": true}));
    let (role_id, secret_id) =
        (login.id("GET", "role-id", "role_id"), login.id("POST", "secret-id", "secret_id"));
    let helper = login.helper("role-id-env = \"ROLE_ID\"\nsecret-id-env = \"SECRET_ID\"");
    let helper = helper.envs(&[("ROLE_ID", &role_id), ("SECRET_ID", &secret_id)]);
    helper.get("docker.io").is_found("docker.io", "octocat", "pw-1");
    let logged = helper.env("DOCKER_CREDENTIAL_LEASE_LOG", "1").get("docker.io").stderr;
    assert!(logged.contains("vault: login not given back: permission denied\n"), "{logged}");
}

#[test]
fn a_user_is_let_in_by_the_password() {
    let Some(login) = Login::at("userpass", &Value::Null) else { return };
    login.role("users/ci", "vault/userpass.json", &[], &json!({"password": "pa$$ word"}));
    let helper = |password: &str| {
        login.helper("username = \"ci\"\npassword-env = \"CI_PASSWORD\"").env("CI_PASSWORD", password)
    };
    login.lets_in(helper("pa$$ word"));
    login.keeps_out(&helper("wrong").get("docker.io"), "invalid username or password");
}

/// A mount that takes the signer's tokens, as servers without a way to the issuer are configured.
fn jwt_mount(signer: &Signer, issuer: &str) -> Option<Login> {
    Login::at("jwt", &json!({"jwt_validation_pubkeys": [signer.public_key()], "bound_issuer": issuer}))
}

#[test]
fn jobs_of_one_circleci_project_are_let_in() {
    let (signer, issuer) = (Signer::new(), format!("https://oidc.circleci.com/org/{}", jwt::ORGANIZATION));
    let Some(login) = jwt_mount(&signer, &issuer) else { return };
    login.role("role/ci", "vault/jwt-circleci.json", &WORDS[..2], &Value::Null);
    let helper = |claims: &Value| {
        let helper = login.helper("role = \"ci\"\ntoken = \"circleci\"");
        helper.env("CIRCLE_OIDC_TOKEN_V2", signer.sign(claims))
    };
    login.lets_in(helper(&jwt::circleci()));
    let claim = "claim \"oidc.circleci.com/project-id\" does not match any associated bound claim values";
    for (others, cause) in [
        (json!({"oidc.circleci.com/project-id": "another"}), claim),
        (json!({"iss": "https://oidc.circleci.com/org/another"}), "invalid issuer (iss) claim"),
        (json!({"aud": "another"}), "invalid audience (aud) claim"),
    ] {
        login.keeps_out(&helper(&with(jwt::circleci(), others)).get("docker.io"), cause);
    }
}

#[test]
fn jobs_of_one_github_repository_are_let_in() {
    let signer = Signer::new();
    let Some(login) = jwt_mount(&signer, "https://token.actions.githubusercontent.com") else { return };
    login.role("role/ci", "vault/jwt-github.json", &WORDS[2..4], &Value::Null);
    let asked = |claims: &Value, check: &dyn Fn(Helper)| {
        let double = Hostile::answering(200, "", &json!({"value": signer.sign(claims)}).to_string());
        let helper = login.helper("role = \"ci\"\ntoken = \"github\"");
        check(helper.envs(&[
            ("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{}/token?api-version=2.0", double.url())),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token"),
        ]));
        // No audience is asked for: the role takes the one that GitHub chooses by itself.
        assert!(double.heard()[0].starts_with("GET /token?api-version=2.0 HTTP/1.1\r\n"));
    };
    asked(&identity::github(), &|helper| login.lets_in(helper));
    let claim = "claim \"repository_id\" does not match any associated bound claim values";
    for (others, cause) in [
        // The same name, taken over by somebody else.
        (json!({"repository_id": "456790"}), claim),
        (json!({"aud": "https://github.com/mallory"}), "invalid audience (aud) claim"),
        (json!({"iss": "https://github.example.com/_services/token"}), "invalid issuer (iss) claim"),
    ] {
        let claims = with(identity::github(), others);
        asked(&claims, &|helper| login.keeps_out(&helper.get("docker.io"), cause));
    }
}

/// What Kubernetes answers where a token is one of this account.
pub(super) fn reviewed(namespace: &str, account: &str, audience: &str) -> Hostile {
    let user = json!({
        "username": format!("system:serviceaccount:{namespace}:{account}"), "uid": "5a",
        "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}")],
    });
    let status = json!({"authenticated": true, "user": user, "audiences": [audience]});
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status});
    Hostile::answering(201, "Content-Type: application/json\r\n", &review.to_string())
}

#[test]
fn pods_of_one_service_account_are_let_in() {
    let (signer, folder) = (Signer::new(), tempfile::tempdir().unwrap());
    for (namespace, account, audience, cause) in [
        ("apps", "puller", CLUSTER, None),
        ("apps", "default", CLUSTER, Some("service account name not authorized")),
        ("other", "puller", CLUSTER, Some("namespace not authorized")),
        ("apps", "puller", "https://vault.example.com", Some("invalid audience (aud) claim")),
    ] {
        let double = reviewed(namespace, account, audience);
        let cluster = TlsFront::new(&double.authority, &["127.0.0.1"], folder.path());
        let config = json!({
            "kubernetes_host": format!("https://{}", cluster.authority), "disable_local_ca_jwt": true,
            "kubernetes_ca_cert": std::fs::read_to_string(&cluster.ca).unwrap(),
        });
        let Some(login) = Login::at("kubernetes", &config) else { return };
        login.role("role/ci", "vault/kubernetes.json", &WORDS[4..7], &Value::Null);
        let helper = login.helper("role = \"ci\"\ntoken = { env = \"POD_TOKEN\" }");
        let helper = helper.env("POD_TOKEN", signer.sign(&identity::pod(namespace, account, audience)));
        match cause {
            None => {
                login.lets_in(helper);
                assert!(double.heard()[0].starts_with("POST /apis/authentication.k8s.io/v1/tokenreviews "));
            }
            Some(cause) => login.keeps_out(&helper.get("docker.io"), cause),
        }
    }
}

#[test]
fn what_only_vault_has_is_at_least_what_it_takes() {
    // OpenBao has neither method. With these very keys both let the helper in at Vault 1.21.1.
    let keys = |file| {
        let role = role_file(file, &[]);
        role.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    let aws = ["auth_type", "bound_iam_principal_arn", "token_policies", "token_ttl", "token_max_ttl"];
    assert_eq!(keys("vault/aws.json"), aws);
    assert_eq!(keys("vault/ldap.json"), ["policies"]);
}
