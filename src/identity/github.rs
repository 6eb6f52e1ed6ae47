//! GitHub Actions: a token is made for each request
//! (<https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token>).

use http::HeaderValue;
use http::header::AUTHORIZATION;
use secrecy::zeroize::Zeroizing;
use serde_json::Value;
use url::Url;

use super::missing;
use crate::ask::Ask;
use crate::error::{Kind, Problem};
use crate::http::{Client, Repeat, Settings, judge_scheme};

const URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
/// What a job lacks that may not ask.
const NOT_PERMITTED: &str =
    "give the job `permissions: id-token: write`; builds of forked pull requests cannot have it";

/// Has a token made; without an audience it is for the repository's owner.
pub(super) async fn fetch(audience: Option<&str>, ask: &Ask<'_>) -> Result<Zeroizing<String>, Problem> {
    let environment = ask.environment;
    let read = |name: &str| {
        environment.get(name).ok_or_else(|| {
            let hint = match environment.get("GITHUB_ACTIONS") {
                Some(_) => NOT_PERMITTED,
                None => "it is set only in a GitHub Actions job with `permissions: id-token: write`",
            };
            missing(format!("no GitHub token: {name} is not set")).hint(hint)
        })
    };
    let mut url = Url::parse(&read(URL)?).ok().filter(Url::has_host).ok_or_else(no_address)?;
    let bearer = Zeroizing::new(format!("Bearer {}", read(TOKEN)?));
    judge_scheme(&url, false).map_err(|problem| Problem {
        cause: format!("{URL}: {}", problem.cause),
        hint: "leave it as GitHub sets it, with https://".to_owned(),
        ..problem
    })?;
    if let Some(audience) = audience {
        url.query_pairs_mut().append_pair("audience", audience);
    }
    let mut request = http::Request::new(Vec::new());
    *request.uri_mut() = url.as_str().parse().map_err(|_| no_address())?;
    let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| {
        missing(format!("what {TOKEN} holds cannot be sent")).hint("leave it as GitHub sets it")
    })?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    let settings = Settings::from_environment(environment, ask.limits.connect);
    let client = Client::new(settings, url.scheme() == "https")?;
    let answer = client.send_again(request, ask.limits.connect, Repeat::Read).await.map_err(named)?;
    let refused = |cause: String, hint: &str| {
        let problem = Problem::new(Kind::Unauthenticated, cause).hint(hint);
        named(Problem { proxy: answer.proxy.clone(), ..problem })
    };
    match answer.status {
        200 => {}
        401 | 403 => {
            let hint = "give the job `permissions: id-token: write`; a request works only while the job runs";
            return Err(refused(format!("HTTP {}", answer.status), hint));
        }
        status @ (429 | 500..=599) => return Err(refused(format!("HTTP {status}"), "try again")),
        status => return Err(refused(format!("HTTP {status}"), &format!("check {URL}"))),
    }
    let token = serde_json::from_slice(&answer.body).ok().and_then(|body: Value| match body {
        Value::Object(mut fields) => match fields.remove("value") {
            Some(Value::String(token)) if !token.is_empty() => Some(Zeroizing::new(token)),
            _ => None,
        },
        _ => None,
    });
    token.ok_or_else(|| refused("the answer holds no token".to_owned(), &format!("check {URL}")))
}

fn no_address() -> Problem {
    missing(format!("{URL} is no address")).hint("leave it as GitHub sets it")
}

fn named(problem: Problem) -> Problem {
    Problem { cause: format!("GitHub gave no identity token: {}", problem.cause), ..problem }
}
