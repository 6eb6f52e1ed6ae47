//! Identity tokens as CI systems sign them, and a mount of the real OpenBao that trusts whoever signed them.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_types::base64;
use rcgen::{KeyPair, SigningKey};
use serde_json::{Value, json};

use super::Helper;
use super::servers::{Bao, request, unique};

/// What CircleCI calls an organization and a project, shortened.
pub(crate) const ORGANIZATION: &str = "6b1f-org";
pub(crate) const PROJECT: &str = "90ad-project";
/// Whom a token is for, where the rule says so.
pub(crate) const AUDIENCE: &str = "https://vault.example.com/a?b&c=d e";

/// A key that signs tokens. CI systems sign by RSA, which `ring` cannot make keys for; servers take ES256 as well.
pub(crate) struct Signer {
    key: KeyPair,
}

impl Signer {
    pub(crate) fn new() -> Self {
        Self { key: KeyPair::generate().unwrap() }
    }

    /// The public key, PEM.
    pub(crate) fn public_key(&self) -> String {
        self.key.public_key_pem()
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "typ": "JWT"});
        let text = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        format!("{text}.{}", encode(fixed(&self.key.sign(text.as_bytes()).unwrap())))
    }
}

/// Base64 for URLs, without padding.
fn encode(bytes: impl AsRef<[u8]>) -> String {
    base64::encode(bytes).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

/// The signature's two numbers, each in 32 bytes, out of its DER form (RFC 7518, section 3.4).
fn fixed(der: &[u8]) -> Vec<u8> {
    let (mut rest, mut numbers) = (&der[2..], Vec::new());
    while let [_integer, length, after @ ..] = rest {
        let (number, next) = after.split_at(usize::from(*length));
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        numbers.extend(std::iter::repeat_n(0, 32 - number.len()));
        numbers.extend_from_slice(number);
        rest = next;
    }
    numbers
}

/// Seconds since 1970, this many from now.
pub(crate) fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}

/// What CircleCI claims in a token of this job.
pub(crate) fn circleci() -> Value {
    json!({
        "iss": format!("https://oidc.circleci.com/org/{ORGANIZATION}"),
        "aud": ORGANIZATION,
        "sub": format!("org/{ORGANIZATION}/project/{PROJECT}/user/f00d-user/vcs-origin/github.com/acme/app/vcs-ref/refs/heads/main"),
        "iat": seconds_from_now(0),
        "exp": seconds_from_now(3600),
        "oidc.circleci.com/project-id": PROJECT,
        "oidc.circleci.com/context-ids": ["c0ffee-context"],
        "oidc.circleci.com/ssh-rerun": false,
    })
}

/// What GitHub claims in one.
pub(crate) fn github() -> Value {
    json!({
        "iss": "https://token.actions.githubusercontent.com",
        "aud": "https://github.com/acme",
        "sub": "repo:acme/app:ref:refs/heads/main",
        "iat": seconds_from_now(0),
        "nbf": seconds_from_now(0),
        "exp": seconds_from_now(300),
        "repository": "acme/app",
        "repository_owner": "acme",
        "ref": "refs/heads/main",
    })
}

/// The claims, with other values for some.
pub(crate) fn with(mut claims: Value, others: Value) -> Value {
    let Value::Object(others) = others else { panic!("an object") };
    claims.as_object_mut().unwrap().extend(others);
    claims
}

/// A mount of the `jwt` method that trusts one signer, and a secret that its role `ci` may read: `octocat`, `pw-1`.
/// The mount goes with it.
pub(crate) struct JwtMount {
    pub(crate) bao: Bao,
    pub(crate) name: String,
    pub(crate) signer: Signer,
    /// The secret's path.
    pub(crate) path: String,
    policy: String,
}

impl JwtMount {
    /// For jobs of CircleCI, set up as its manual says.
    pub(crate) fn circleci() -> Option<Self> {
        let issuer = format!("https://oidc.circleci.com/org/{ORGANIZATION}");
        Self::for_issuer(
            &issuer,
            &[ORGANIZATION, AUDIENCE],
            &json!({"oidc.circleci.com/project-id": PROJECT}),
        )
    }

    /// For jobs of GitHub.
    pub(crate) fn github() -> Option<Self> {
        let issuer = "https://token.actions.githubusercontent.com";
        Self::for_issuer(issuer, &["https://github.com/acme", AUDIENCE], &json!({"repository": "acme/app"}))
    }

    fn for_issuer(issuer: &str, audiences: &[&str], claims: &Value) -> Option<Self> {
        let bao = Bao::find()?;
        let (name, signer, policy) = (unique("jwt"), Signer::new(), unique("policy"));
        let secret = bao.secret(&json!({"username": "octocat", "password": "pw-1"}));
        let path = format!("secret/data/{secret}");
        let text = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
        bao.call("PUT", &format!("sys/policies/acl/{policy}"), &json!({ "policy": text }));
        bao.call("POST", &format!("sys/auth/{name}"), &json!({"type": "jwt"}));
        let config = json!({"jwt_validation_pubkeys": [signer.public_key()], "bound_issuer": issuer});
        bao.call("POST", &format!("auth/{name}/config"), &config);
        let mount = Self { bao, name, signer, path, policy };
        mount.role("ci", &json!({"bound_audiences": audiences, "bound_claims": claims}));
        Some(mount)
    }

    /// Writes a role with these settings; it may read the secret.
    pub(crate) fn role(&self, role: &str, settings: &Value) {
        let usual =
            json!({"role_type": "jwt", "user_claim": "sub", "token_policies": ["default", self.policy]});
        let path = format!("auth/{}/role/{role}", self.name);
        self.bao.call("POST", &path, &with(usual, settings.clone()));
    }

    /// A config that reads the secret as `role`, with a token from here.
    pub(crate) fn config(&self, role: &str, token: &str) -> String {
        format!(
            "[registry.\"ghcr.io\"]\nsource = \"vault\"\npath = \"{}\"\n[vault.default.auth]\nmethod = \"jwt\"\n\
             mount = \"{}\"\nrole = \"{role}\"\ntoken = {token}\n",
            self.path, self.name
        )
    }

    /// A helper that reads the secret with a token from here.
    pub(crate) fn helper(&self, token: &str) -> Helper {
        Helper::with_config(&self.config("ci", token)).env("VAULT_ADDR", &self.bao.address)
    }

    /// It reads the secret, and leaves no login behind.
    #[track_caller]
    pub(crate) fn gives(&self, helper: &Helper) {
        helper.get("ghcr.io").is_found("ghcr.io", "octocat", "pw-1");
        assert_eq!(self.logins(), 0);
    }

    /// It fails with this line after the place, and leaves no login behind; the line.
    #[track_caller]
    pub(crate) fn refuses(&self, helper: &Helper, sentence: &str) {
        helper.get("ghcr.io").is_line(&format!("vault: {}: {sentence}", self.path));
        assert_eq!(self.logins(), 0);
    }

    /// How many tokens stand there that a login gave.
    pub(crate) fn logins(&self) -> usize {
        self.bao.leases(&format!("auth/{}/login", self.name)).len()
    }
}

impl Drop for JwtMount {
    fn drop(&mut self) {
        let token = [("X-Vault-Token", self.bao.token.as_str())];
        for path in [format!("sys/auth/{}", self.name), format!("sys/policies/acl/{}", self.policy)] {
            let _ = request("DELETE", &format!("{}/v1/{path}", self.bao.address), &token, "");
        }
    }
}
