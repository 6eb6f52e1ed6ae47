//! Tokens for Amazon ECR, private and public, made by GetAuthorizationToken.

mod hosts;

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use aws_smithy_types::base64;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Coming, Setup, Source};
use crate::ask::Ask;
use crate::aws::{self, Call, Request, Service, Session};
use crate::credential::Credential;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use crate::log;
use crate::registry::Registry;
use hosts::{Host, is_account};

/// Its word in the config.
pub(super) const NAME: &str = "ecr";

/// Whose name every token is for.
const USERNAME: &str = "AWS";

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html>
const PRIVATE: Service = Service { id: "ECR", name: "ecr", target: "AmazonEC2ContainerRegistry_V20150921" };
/// <https://docs.aws.amazon.com/AmazonECRPublic/latest/APIReference/API_GetAuthorizationToken.html>
const PUBLIC: Service = Service { id: "ECR PUBLIC", name: "ecr-public", target: "SpencerFrontendService" };
/// The one region that gives tokens for the public registry.
const PUBLIC_REGION: &str = "us-east-1";

struct Ecr {
    account: Option<String>,
    region: Option<String>,
    /// Where neither the rule nor the host names one: the connection's, else the environment's.
    usual_region: Option<String>,
    /// Whether the rule's own registry is one that it answers for; of a pattern nobody knows.
    is_listed: bool,
    /// Whether the rule names one registry, whichever that is.
    is_literal: bool,
    /// Nobody wrote the rule: what can be pulled by anybody is not its business.
    private_only: bool,
    aws: Rc<aws::Connection>,
}

/// What a token is for.
enum Wanted<'a> {
    /// The region is the SDK's to find where it is not known.
    Private {
        account: &'a str,
        region: Option<&'a str>,
    },
    Public,
}

/// What the private service answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    authorization_data: Vec<Token>,
}

/// What the public one answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublicToken {
    authorization_data: Token,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    /// `AWS:password` in base64.
    authorization_token: SecretString,
    /// Seconds since 1970, with a fraction.
    expires_at: Option<f64>,
}

/// Reads `account`, `region` and `aws`.
pub(super) fn parse(keys: &Keys<'_>, setup: &Setup<'_>) -> Read<Box<dyn Source>> {
    let account = keys.string("account")?;
    let region = keys.string("region")?;
    let aws = setup.connection(keys, "aws", setup.aws)?;
    keys.finish()?;
    if account.as_deref().is_some_and(|account| !is_account(account)) {
        return Err(keys.mistake("account", "takes an account's 12 digits in quotes"));
    }
    if region.as_deref().is_some_and(|region| !aws::is_region(region)) {
        return Err(keys.mistake("region", "takes a region such as eu-west-1"));
    }
    let literal = setup.pattern.literal().map(|registry| registry.host_and_port());
    if literal.as_deref().and_then(Host::parse) == Some(Host::Public) {
        for (key, is_there) in [("account", account.is_some()), ("region", region.is_some())] {
            if is_there {
                return Err(
                    keys.mistake(key, "says nothing here: the public registry is in no account or region")
                );
            }
        }
    }
    let usual_region = aws.stated_region().or(setup.region).map(str::to_owned);
    let private_only = setup.built_in;
    let mut source =
        Ecr { account, region, usual_region, is_listed: true, is_literal: false, private_only, aws };
    source.is_listed = setup.pattern.literal().is_none_or(|registry| source.place(&registry).is_some());
    source.is_literal = !setup.pattern.is_wildcard();
    Ok(Box::new(source))
}

impl Source for Ecr {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Account and region, all that tokens differ by.
    fn place(&self, registry: &Registry) -> Option<String> {
        let host = registry.host_and_port();
        let Some(wanted) = self.wanted(&host) else {
            // Where a pattern leaves it to other rules, one that names it has the last word: there is none.
            return self.is_literal.then(|| "no account".to_owned());
        };
        Some(match wanted {
            Wanted::Private { account, region: Some(region) } => format!("{account} in {region}"),
            Wanted::Private { account, region: None } => account.to_owned(),
            Wanted::Public => "public.ecr.aws".to_owned(),
        })
    }

    fn get<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Answer> {
        Box::pin(self.fetch(ask))
    }

    fn mints(&self) -> bool {
        true
    }

    fn depends_on(&self, environment: &Environment, inputs: &mut Inputs) {
        self.aws.depends_on(environment, inputs);
    }

    /// A host that is not its own account's gets nothing.
    fn is_per_host(&self) -> bool {
        self.account.is_none()
    }

    fn stated_username(&self, _: &Environment) -> Option<String> {
        Some(USERNAME.to_owned())
    }

    fn is_listed(&self, _: &Environment) -> bool {
        self.is_listed
    }

    fn is_the_place_all(&self) -> bool {
        true
    }
}

impl Ecr {
    /// What the host's token is for: what the rule says counts before what the name does.
    fn wanted<'a>(&'a self, host: &'a str) -> Option<Wanted<'a>> {
        let (account, region) = match Host::parse(host) {
            Some(Host::Public) => return (!self.private_only).then_some(Wanted::Public),
            Some(Host::Private { account, region }) => (Some(account), Some(region)),
            None => (None, None),
        };
        let account = self.account.as_deref().or(account)?;
        let region = self.region.as_deref().or(region).or(self.usual_region.as_deref());
        Some(Wanted::Private { account, region })
    }

    async fn fetch(&self, ask: &Ask<'_>) -> Answer {
        let host = ask.registry.host_and_port();
        let Some(wanted) = self.wanted(&host) else {
            log::event(|| format!("{NAME}: {host} is none of ECR's hosts, and the rule names no account"));
            return Ok(None);
        };
        let token = match wanted {
            Wanted::Private { account, region } => {
                let session =
                    self.aws.open(ask, region).await.map_err(|problem| advise_region(problem, region))?;
                let region = region.or(session.config.region().map(AsRef::as_ref)).unwrap_or_default();
                let body = json!({ "registryIds": [account] });
                let request = Request { service: &PRIVATE, region, operation: OPERATION, body: &body };
                let call = call("ecr:GetAuthorizationToken", &session);
                let answer = session.json::<Tokens>(&request, &call, ask.limits.answer).await;
                let tokens =
                    answer.map_err(|problem| advise(problem, region, "ecr:GetAuthorizationToken"))?;
                tokens.authorization_data.into_iter().next()
            }
            Wanted::Public => {
                let session = self.aws.open(ask, Some(PUBLIC_REGION)).await?;
                let body = json!({});
                let request =
                    Request { service: &PUBLIC, region: PUBLIC_REGION, operation: OPERATION, body: &body };
                let call = call("ecr-public:GetAuthorizationToken", &session);
                let answer = session.json::<PublicToken>(&request, &call, ask.limits.answer).await;
                let rights = "ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken";
                Some(answer.map_err(|problem| advise(problem, PUBLIC_REGION, rights))?.authorization_data)
            }
        };
        let token = token.ok_or_else(|| Problem::new(Kind::Malformed, "the answer holds no token"))?;
        token.read().map(Some)
    }
}

const OPERATION: &str = "GetAuthorizationToken";

/// Neither service knows of resources: a policy allows it for all or for none.
fn call<'a>(action: &'a str, session: &'a Session) -> Call<'a> {
    Call { action, resource: "*", who: &session.who }
}

impl Token {
    /// The password in it, which is never told where it cannot be read.
    fn read(&self) -> Result<Credential, Problem> {
        let unreadable =
            || Problem::new(Kind::Malformed, "the token is not what ECR gives").hint(aws::CHECK_ENDPOINT);
        let bytes = base64::decode(self.authorization_token.expose_secret()).map_err(|_| unreadable())?;
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes).map_err(|_| unreadable())?;
        let (username, password) = text.split_once(':').ok_or_else(unreadable)?;
        if username.is_empty() || password.is_empty() {
            return Err(unreadable());
        }
        let expires = self.expires_at.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let expires = expires.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        Ok(Credential { expires, ..Credential::new(username, SecretString::from(password)) })
    }
}

/// Where no region is known, the rule can name one too.
fn advise_region(problem: Problem, region: Option<&str>) -> Problem {
    match region {
        None if problem.cause == aws::NO_REGION => {
            problem.hint("set region in the rule or in its connection's table, or AWS_REGION")
        }
        _ => problem,
    }
}

/// The remedies that are ECR's own.
fn advise(problem: Problem, region: &str, rights: &str) -> Problem {
    let (kind, hint) = match problem.cause.split(':').next().unwrap_or_default() {
        "AccessDenied" | "AccessDeniedException" => (problem.kind, format!("allow {rights} on \"*\"")),
        "InvalidParameterException" => (problem.kind, "check the account".to_owned()),
        "ServerException" => (Kind::Unavailable, "AWS has a fault of its own: try again".to_owned()),
        "UnrecognizedClientException" => (
            problem.kind,
            format!(
                "check the keys and the session token, and that the account has the region {region} enabled"
            ),
        ),
        _ => return problem,
    };
    Problem { kind, cause: format!("{} in {region}", problem.cause), ..problem }.hint(hint)
}
