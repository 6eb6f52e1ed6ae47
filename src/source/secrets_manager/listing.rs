//! Listing: the registries that a rule with `{host}` in the name of its secret has secrets for, and their users.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::stream::{self, TryStreamExt};

use super::super::Names;
use super::advice::advise;
use super::form;
use super::secret::{client, text};
use super::{SecretsManager, Username};
use crate::ask::Ask;
use crate::aws::{self, Call, Session};
use crate::error::{Kind, Problem};
use crate::registry::Registry;

/// The most that one answer names
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html>).
const PAGE: i32 = 100;
/// The most that are read at once
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html>).
const BATCH: usize = 20;
/// How many such requests are under way at a time.
const AT_A_TIME: usize = 4;

/// Registries by the secret that holds their user name; several may share one.
type Holders = BTreeMap<String, Vec<Registry>>;

impl SecretsManager {
    /// First every name, then the users: the caller may not wait for the end.
    pub(super) async fn name_all(&self, ask: &Ask<'_>, names: &Names) -> Result<(), Problem> {
        let session = self.open(ask).await?;
        let prefix = self.secret.prefix();
        // Of an ARN, what is no name.
        let arn = prefix.rfind(":secret:").map_or("", |at| &prefix[..at + ":secret:".len()]);
        let region = Region::new(&session, aws::region_of_arn(prefix), &prefix[arn.len()..]);
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let (page, after) = region.page(next).await?;
            for name in page {
                let registry = self.secret.unfill_name(&format!("{arn}{name}"));
                if let Some(registry) = registry.filter(|registry| self.pattern.matches(registry)) {
                    names.add(registry.host_and_port());
                    found.push((name, registry));
                }
            }
            next = after;
            if next.is_none() {
                break;
            }
        }
        let holders = self.holders(found, names);
        let ids: Vec<&String> = holders.keys().collect();
        stream::iter(ids.chunks(BATCH).map(Ok))
            .try_for_each_concurrent(AT_A_TIME, |batch| self.name_users(&region, batch, &holders, names))
            .await
    }

    /// Who has to be asked for the users; nobody where the rule states them.
    fn holders(&self, found: Vec<(String, Registry)>, names: &Names) -> Holders {
        let hosts: BTreeSet<String> = found.iter().map(|(_, registry)| registry.host_and_port()).collect();
        let mut holders = Holders::new();
        for (name, registry) in found {
            let host = registry.host_and_port();
            let holder = match &self.username {
                Username::Literal(username) => {
                    names.add_with_user(host, username);
                    continue;
                }
                Username::SameSecret => Some(name),
                Username::Secret(template) => match template.unfill_name(&name) {
                    // `{host}-user` beside `{host}` looks like a registry of its own.
                    Some(other) if other != registry && hosts.contains(&other.host_and_port()) => {
                        names.remove(&host);
                        continue;
                    }
                    _ => template.fill_name(&registry),
                },
            };
            holders.entry(holder.unwrap_or_default()).or_default().push(registry);
        }
        holders
    }

    async fn name_users(
        &self,
        region: &Region<'_>,
        batch: &[&String],
        holders: &Holders,
        names: &Names,
    ) -> Result<(), Problem> {
        for (id, text) in region.texts(batch).await? {
            let username = text.and_then(|text| match &self.username {
                Username::Secret(_) => form::username(&self.fields, &text),
                _ => form::both(&self.fields, &text).map(|(username, _)| username),
            });
            for registry in holders.get(&id).into_iter().flatten() {
                match &username {
                    Ok(username) => names.add_with_user(registry.host_and_port(), username),
                    // A look-up would not find it.
                    Err(problem) if problem.kind == Kind::Missing => names.remove(&registry.host_and_port()),
                    Err(_) => {}
                }
            }
        }
        Ok(())
    }
}

/// The calls that are about no single secret.
struct Region<'s> {
    client: Client,
    name: String,
    who: &'s str,
    /// What the names begin with.
    prefix: &'s str,
}

impl<'s> Region<'s> {
    fn new(session: &'s Session, region: Option<&str>, prefix: &'s str) -> Self {
        let (client, name) = client(session, region);
        Self { client, name, who: &session.who, prefix }
    }

    /// The next names, and where to go on. What is marked for deletion is not among them.
    async fn page(&self, next: Option<String>) -> Result<(Vec<String>, Option<String>), Problem> {
        let mut request = self.client.list_secrets().max_results(PAGE).set_next_token(next);
        if !self.prefix.is_empty() {
            let begins = Filter::builder().key(FilterNameStringType::Name).values(self.prefix);
            request = request.filters(begins.build());
        }
        let page =
            request.send().await.map_err(|error| self.problem("secretsmanager:ListSecrets", &error))?;
        let names = page.secret_list.unwrap_or_default().into_iter().filter_map(|secret| secret.name);
        Ok((names.collect(), page.next_token.filter(|token| !token.is_empty())))
    }

    /// What the secrets hold, or why that is not known.
    async fn texts(&self, ids: &[&String]) -> Result<Vec<(String, Result<String, Problem>)>, Problem> {
        let ids = ids.iter().map(|id| (*id).clone()).collect();
        let request = self.client.batch_get_secret_value().set_secret_id_list(Some(ids));
        let answer = request.send().await;
        let answer = answer.map_err(|error| self.problem("secretsmanager:BatchGetSecretValue", &error))?;
        let held = answer.secret_values.unwrap_or_default().into_iter().map(|held| {
            let text = text(held.secret_string, held.secret_binary).map(|(text, _)| text);
            (held.name.unwrap_or_default(), text)
        });
        let failed = answer.errors.unwrap_or_default().into_iter().map(|failed| {
            let kind = match failed.error_code.as_deref() {
                Some("ResourceNotFoundException") => Kind::Missing,
                _ => Kind::Denied,
            };
            (failed.secret_id.unwrap_or_default(), Err(Problem::new(kind, "it cannot be read")))
        });
        Ok(held.chain(failed).collect())
    }

    fn problem<E>(&self, action: &str, error: &SdkError<E, HttpResponse>) -> Problem
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let resource = format!("{}*", self.prefix);
        let call = Call { action, resource: &resource, who: self.who };
        advise(call.describe(error), action, self.prefix, &self.name)
    }
}
