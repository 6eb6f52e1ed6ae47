//! CircleCI: a token stands in the job's environment for an hour, and the `circleci` command makes others
//! (<https://circleci.com/docs/openid-connect-tokens/>, <https://circleci.com/docs/oidc-tokens-with-custom-claims/>).

use std::time::SystemTime;

use secrecy::SecretString;
use serde_json::json;

use super::jwt::Claims;
use super::program::{self, Failure};
use super::{missing, shaped};
use crate::ask::Ask;
use crate::error::Problem;

/// The newer one's subject also tells the branch.
const VARIABLES: [&str; 2] = ["CIRCLE_OIDC_TOKEN_V2", "CIRCLE_OIDC_TOKEN"];
const PROGRAM: &str = "circleci";

/// The job's token, or a new one where it has expired or is for somebody else.
pub(super) async fn fetch(audience: Option<&str>, ask: &Ask<'_>) -> Result<SecretString, Problem> {
    let found = ask.environment.first(&VARIABLES);
    let found =
        found.map(|(name, token)| shaped(&token, name, "leave it as CircleCI sets it")).transpose()?;
    let claims = found.as_ref().and_then(Claims::read);
    let expired = claims.as_ref().and_then(|claims| claims.expired(SystemTime::now()));
    let audiences = claims.map(|claims| claims.audiences).unwrap_or_default();
    let fits = audience.is_none_or(|wanted| audiences.iter().any(|audience| audience == wanted));
    let had_none = found.is_none();
    let why = match (found, audience) {
        (Some(token), _) if fits && expired.is_none() => return Ok(token),
        (None, None) => {
            let hint = without_token(ask).unwrap_or("it is set only in a CircleCI job");
            return Err(missing(format!("no CircleCI token: {} is not set", VARIABLES[0])).hint(hint));
        }
        (Some(_), _) if fits => format!("the CircleCI token expired {} ago", expired.unwrap_or_default()),
        (_, audience) => format!("no CircleCI token is for the audience {}", audience.unwrap_or_default()),
    };
    // For whom the first was; else for whom CircleCI makes them.
    let wanted = audience
        .map(str::to_owned)
        .or_else(|| audiences.into_iter().next())
        .or_else(|| ask.environment.get("CIRCLE_ORGANIZATION_ID"));
    let token = make(wanted.as_deref(), ask).await.map_err(|failure| match failure {
        Failure::Missing(_) => {
            missing(why).hint("a new one is made by the `circleci` command, which is not on PATH")
        }
        Failure::Failed(problem) => {
            let hint = without_token(ask).filter(|_| had_none).map_or(problem.hint, str::to_owned);
            Problem { cause: format!("{why}, and {}", problem.cause), hint, ..problem }
        }
    })?;
    let token = shaped(&token, "what the `circleci` command printed", "run it by hand to see what it says")?;
    match Claims::read(&token).and_then(|claims| claims.expired(SystemTime::now())) {
        Some(ago) => Err(missing(format!("the token that the `circleci` command gave expired {ago} ago"))
            .hint("check this machine's clock")),
        None => Ok(token),
    }
}

/// What a job lacks that has no token at all; `None` outside of CircleCI.
fn without_token(ask: &Ask<'_>) -> Option<&'static str> {
    const HINT: &str = "let the project pass secrets to builds of forked pull requests, or give the job a context, \
                        without which some servers make none";
    ask.environment.get("CIRCLECI").map(|_| HINT)
}

async fn make(audience: Option<&str>, ask: &Ask<'_>) -> Result<secrecy::zeroize::Zeroizing<String>, Failure> {
    let mut words: Vec<String> = [PROGRAM, "run", "oidc", "get"].map(str::to_owned).into();
    if let Some(audience) = audience {
        words.extend(["--claims".to_owned(), json!({ "aud": audience }).to_string()]);
    }
    program::output(&words, ask).await
}
