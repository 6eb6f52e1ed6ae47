//! Wrapping: a secret-id that is handed over in a token which can be opened once
//! (<https://developer.hashicorp.com/vault/docs/concepts/response-wrapping#response-wrapping-token-validation>).

use http::Method;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::Refusal;
use super::server::{Call, Server, segments};
use crate::deadline::Deadline;
use crate::error::{Kind, Problem};

/// Opens the wrapping, once it is known that a secret-id of this mount is in it: whoever could put a token of their own
/// in its place would have the pull run as somebody else.
pub(super) async fn secret_id(
    server: &Server,
    wrapping: &SecretString,
    mount: &[String],
    namespace: Option<&str>,
    until: Deadline,
) -> Result<SecretString, Problem> {
    let token = SecretString::from(wrapping.expose_secret().trim());
    let question = serde_json::json!({ "token": token.expose_secret() }).to_string();
    let secrets = std::slice::from_ref(&token);
    let call =
        |path, body, token| Call { method: Method::POST, path, body, namespace: None, token, secrets, until };
    let path = segments("sys/wrapping/lookup");
    let body = Some(Zeroizing::new(question.into_bytes()));
    let about = server.call(call(&path, body, None)).await?.map_err(|refusal| refused(&refusal))?;
    let made_at = about.data().and_then(|data| data["creation_path"].as_str()).unwrap_or_default().to_owned();
    if !is_of_mount(&made_at, mount, namespace.unwrap_or_default()) {
        let cause = "the wrapped secret-id was made somewhere else";
        return Err(Problem::new(Kind::Denied, cause).hint(format!(
            "it must come from auth/{}/role/ROLE/secret-id: somebody may have put another one in its place",
            mount.join("/")
        )));
    }
    let path = segments("sys/wrapping/unwrap");
    let opened = server.call(call(&path, None, Some(&token))).await?;
    let mut opened = opened.map_err(|refusal| refused(&refusal))?;
    opened.secret("secret_id").ok_or_else(|| {
        Problem::new(Kind::Malformed, "there is no secret-id in the wrapping").hint("wrap it anew")
    })
}

/// The namespace of the login may stand before the mount, and nothing else: whoever took the secret-id out could wrap it
/// anew at a path of their own cubbyhole that ends alike.
fn is_of_mount(made_at: &str, mount: &[String], namespace: &str) -> bool {
    let made_at = segments(made_at);
    let Some((last, before)) = made_at.split_last() else { return false };
    let Some((_role, before)) = before.split_last() else { return false };
    let wanted: Vec<String> =
        segments("auth").into_iter().chain(mount.iter().cloned()).chain(segments("role")).collect();
    let before =
        before.strip_prefix(segments(namespace).as_slice()).filter(|rest| *rest == wanted).unwrap_or(before);
    matches!(last.as_str(), "secret-id" | "custom-secret-id") && before == wanted
}

fn refused(refusal: &Refusal) -> Problem {
    let (kind, hint) = refusal.state().unwrap_or((
        Kind::Unauthenticated,
        "it opens once and for a short time: wrap a new one; if this one was not used here, somebody may have read it",
    ));
    let problem = refusal.problem(kind, hint);
    Problem { cause: format!("the wrapped secret-id: {}", problem.cause), ..problem }
}

#[cfg(test)]
mod tests {
    use super::is_of_mount;

    #[test]
    fn only_a_secret_id_of_the_mount_is_opened() {
        let mount = ["team".to_owned(), "approle".to_owned()];
        for path in
            ["auth/team/approle/role/ci/secret-id", "/ns/a/auth/team/approle/role/ci/custom-secret-id"]
        {
            assert!(is_of_mount(path, &mount, "ns/a/"), "{path}");
        }
        for path in [
            "",
            "secret/data/x",
            "auth/approle/role/ci/secret-id",
            "auth/other/approle/role/ci/secret-id",
            "auth/team/approle/role/ci/role-id",
            "auth/team/approle/role/secret-id",
            "secret/data/auth/team/approle/secret-id",
            "cubbyhole/auth/team/approle/role/ci/secret-id",
            "ns/auth/team/approle/role/ci/secret-id",
            "a/auth/team/approle/role/ci/secret-id",
        ] {
            assert!(!is_of_mount(path, &mount, "ns/a"), "{path}");
        }
    }
}
