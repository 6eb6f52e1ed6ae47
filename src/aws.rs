//! The connection to AWS: whose credentials, which region, and what its refusals mean.

mod credentials;
mod json;
mod partition;
mod provider;
mod refusal;
mod region;
mod role;
mod session_name;

pub use json::{Request, Service};
pub use partition::{Partition, is_region};
pub use refusal::{CHECK_ENDPOINT, Call};
pub use region::{NO_REGION, region_of, region_of_arn};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use crate::ask::Ask;
use crate::deadline::Limits;
use crate::environment::Environment;
use crate::error::{Kind, Problem};
use crate::http::{Proxies, SdkClient, Trust, reach_variables, server_url};
use crate::identity::{self, Verifier};
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use crate::log;
use crate::pod::Annotated;

/// The variables that name files which the SDK reads.
const FILE_VARIABLES: [&str; 6] = [
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CA_BUNDLE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "SSL_CERT_FILE",
];

/// One `[aws.NAME]` table.
pub struct Connection {
    /// The table itself.
    stated: String,
    login: Login,
    roles: Vec<Annotated>,
    external_id: Option<String>,
    session_name: Option<String>,
    region: Option<String>,
    endpoint_url: Option<String>,
    fips: Option<bool>,
    dual_stack: Option<bool>,
    imds: bool,
    ca_cert: Option<PathBuf>,
    allow_http: bool,
}

/// Whose credentials a connection begins with.
enum Login {
    /// The SDK's own: variables, profile, web identity, container, instance.
    Chain,
    Profile(String),
    WebIdentity(identity::Token),
}

/// A connection that is logged in.
pub struct Session {
    /// What an AWS client is made of.
    pub config: SdkConfig,
    /// The credentials themselves, for signing by hand.
    pub credentials: Credentials,
    /// Whose they are, in words.
    pub who: String,
    /// What sends the requests that no SDK client makes.
    http: SdkClient,
}

impl Connection {
    /// Reads the table.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse(keys: &Keys<'_>, folder: Option<&Path>, home: Option<&Path>) -> Read<Self> {
        let profile = keys.string("profile")?;
        let token = identity::Token::parse(keys, "web-identity", folder, home)?;
        let connection = Self {
            stated: keys.whole(),
            roles: keys.all_annotated("role-arn")?.unwrap_or_default(),
            external_id: keys.string("external-id")?,
            session_name: keys.string("session-name")?,
            region: keys.string("region")?,
            endpoint_url: keys.string("endpoint-url")?,
            fips: keys.boolean("fips")?,
            dual_stack: keys.boolean("dual-stack")?,
            imds: keys.boolean("imds")?.unwrap_or(true),
            ca_cert: keys.path("ca-cert", folder, home)?,
            allow_http: keys.boolean("allow-http")?.unwrap_or(false),
            login: match (profile, token) {
                (Some(profile), _) => Login::Profile(profile),
                (None, Some(token)) => Login::WebIdentity(token),
                (None, None) => Login::Chain,
            },
        };
        keys.finish()?;
        keys.exclusive(&["profile", "web-identity"])?;
        connection.judge(keys)?;
        Ok(connection)
    }

    /// Refuses what would never be sent, or could not be.
    fn judge(&self, keys: &Keys<'_>) -> Read<()> {
        let as_pod = matches!(&self.login, Login::WebIdentity(token) if token.is_service_account());
        keys.may_be_annotated("role-arn", &self.roles, as_pod)?;
        if !self.roles.iter().all(|role| role.literal().is_none_or(role::is_arn)) {
            return Err(keys.mistake("role-arn", "takes ARNs such as arn:aws:iam::111122223333:role/pull"));
        }
        let by_token = matches!(self.login, Login::WebIdentity(_));
        if self.external_id.is_some() && self.roles.len() <= usize::from(by_token) {
            let what = match by_token {
                true => "is not sent with a web identity, only where its role assumes another",
                false => "needs the key `role-arn`",
            };
            return Err(keys.mistake("external-id", what));
        }
        if let Some(name) = &self.session_name {
            if self.roles.is_empty() && !by_token {
                return Err(keys.mistake("session-name", "needs the key `role-arn`"));
            }
            if !session_name::is_valid(name) {
                return Err(keys.mistake("session-name", "takes 2 to 64 letters, digits and _+=,.@-"));
            }
        }
        if self.endpoint_url.as_deref().is_some_and(|url| server_url(url).is_none()) {
            return Err(keys.mistake("endpoint-url", "is no URL such as https://localhost:4566"));
        }
        // The SDK makes both of its own endpoints, and refuses them beside another.
        if self.fips == Some(true) {
            keys.exclusive(&["endpoint-url", "fips"])?;
        }
        if self.dual_stack == Some(true) {
            keys.exclusive(&["endpoint-url", "dual-stack"])?;
        }
        Ok(())
    }

    /// Adds everything that its answers depend on.
    pub fn depends_on(&self, environment: &Environment, inputs: &mut Inputs) {
        inputs.text(&self.stated);
        inputs.beginning_with(environment, "AWS_");
        inputs.variables(environment, reach_variables());
        inputs.variables(environment, ["HOME", "PATH"]);
        let stated = FILE_VARIABLES.iter().filter_map(|name| environment.path(name));
        let folder = environment.home().map(|home| home.join(".aws")).into_iter();
        let home = folder.clone().flat_map(|folder| [folder.join("config"), folder.join("credentials")]);
        // `aws sso login` writes here.
        let cache = folder.flat_map(|folder| folder.join("sso/cache").read_dir()).flatten().flatten();
        let mut cache: Vec<PathBuf> = cache.map(|entry| entry.path()).collect();
        cache.sort();
        for file in stated.chain(home).chain(cache).chain(self.ca_cert.clone()) {
            inputs.file(&file);
        }
        if let Login::WebIdentity(token) = &self.login {
            token.depends_on(environment, inputs);
        }
    }

    /// The region that the table itself names.
    pub fn stated_region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Logs in, and takes on the roles in their order.
    ///
    /// # Errors
    /// No region, no credentials, a refused role, or a CA that cannot be read.
    pub async fn open(&self, ask: &Ask<'_>, fallback_region: Option<&str>) -> Result<Session, Problem> {
        let stated = self.roles(ask)?;
        let http = self.http(ask);
        let region = self.region(ask.environment, fallback_region).await?;
        let client = http.clone();
        let config = |http, region| self.config(http, region);
        let (config, mut held, roles) = match &self.login {
            Login::WebIdentity(token) => {
                let (role, roles) = role::first(&stated, ask.environment)?;
                let token = token.fetch(ask, Verifier::Aws).await?;
                let config = config(http, region).await;
                let name = self.session_name(ask);
                let held = role::by_web_identity(&config, &role, &token, &name).await?;
                (config, held, roles)
            }
            _ => {
                let held = self.credentials(ask.environment, &region, &http).await?;
                (config(http, region).await, held, stated.as_slice())
            }
        };
        for role in roles {
            let (external_id, name) = (self.external_id.as_deref(), self.session_name(ask));
            held = role::by_credentials(&config, role, &held, external_id, &name).await?;
        }
        log::event(|| format!("aws: as {}", held.who));
        let provider = SharedCredentialsProvider::new(held.credentials.clone());
        let config = config.into_builder().credentials_provider(provider).build();
        Ok(Session { config, credentials: held.credentials, who: held.who, http: client })
    }

    /// The roles that the table states, a pod's annotations filled in.
    fn roles(&self, ask: &Ask<'_>) -> Result<Vec<String>, Problem> {
        let filled = |role: &Annotated| {
            let role = role.fill("role-arn", ask.pod)?;
            // Whoever chose the annotation could put anything there: it is not repeated.
            role::is_arn(&role).then_some(role).ok_or_else(|| {
                Problem::new(Kind::Denied, "role-arn is no role's ARN with the pod's annotations filled in")
                    .hint("have the annotation make an ARN such as arn:aws:iam::111122223333:role/pull")
            })
        };
        self.roles.iter().map(filled).collect()
    }

    fn session_name(&self, ask: &Ask<'_>) -> String {
        self.session_name.clone().unwrap_or_else(|| session_name::usual(ask))
    }

    /// What the SDK's clients share; whose credentials they sign with comes later.
    async fn config(&self, http: SdkClient, region: Region) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(region)
            .http_client(http)
            .no_credentials()
            // One deadline stands over the look-up; a second attempt is for throttling and passing faults.
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Login::Profile(profile) = &self.login {
            // Its endpoint and FIPS settings count too.
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(fips) = self.fips {
            loader = loader.use_fips(fips);
        }
        if let Some(dual_stack) = self.dual_stack {
            loader = loader.use_dual_stack(dual_stack);
        }
        loader.load().await
    }

    fn http(&self, ask: &Ask<'_>) -> SdkClient {
        // The SDK's own client would use neither proxies nor AWS_CA_BUNDLE.
        let environment = ask.environment;
        let bundle = self.ca_cert.clone().or_else(|| environment.get("AWS_CA_BUNDLE").map(PathBuf::from));
        let trust = bundle.map_or_else(|| Trust::system(environment), Trust::file);
        let proxies = Arc::new(Proxies::from_environment(environment));
        // Only a mint is waited for longer than the look-up may take, and a login is none.
        let limits = Limits { answer: ask.limits.connect, ..ask.limits };
        SdkClient::new(proxies, trust, limits, self.allow_http)
    }
}
