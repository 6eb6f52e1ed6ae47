//! Credentials of another credential helper: the one that was there before.

use super::{Answer, Coming, Names, Setup, Source, Writable};
use crate::ask::Ask;
use crate::credential::Credential;
use crate::environment::Environment;
use crate::error::Problem;
use crate::helper::{Absent, Helper};
use crate::inputs::Inputs;
use crate::keys::{Keys, Read};
use crate::log;
use crate::registry::{Asked, HUB_URL, Registry};

/// Its word in the config.
pub(super) const NAME: &str = "helper";

/// What the client asks is passed on in the client's own words, since it is kept under them.
struct Passed {
    name: String,
}

/// Reads `name`.
pub(super) fn parse(keys: &Keys<'_>, _: &Setup<'_>) -> Read<Box<dyn Source>> {
    let name = keys.string("name")?;
    keys.finish()?;
    let name = keys.required("name", name)?;
    match Helper::is_name(&name) {
        true => Ok(Box::new(Passed { name })),
        false => Err(keys.mistake("name", "takes what stands after docker-credential-, such as \"pass\"")),
    }
}

impl Source for Passed {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self, _: &Registry) -> Option<String> {
        Some(Helper::program(&self.name))
    }

    fn get<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Answer> {
        Box::pin(async {
            let Some(helper) = self.helper(ask)? else { return Ok(None) };
            let until = ask.limits.answer;
            match helper.get(ask.asked, until).await? {
                // Docker keeps its own login there, whatever others call the same registry.
                None if is_hub_by_another_name(ask.asked) => helper.get(HUB_URL, until).await,
                found => Ok(found),
            }
        })
    }

    fn runs_a_program(&self) -> bool {
        true
    }

    fn is_kept(&self) -> bool {
        false
    }

    fn depends_on(&self, _: &Environment, _: &mut Inputs) {}

    fn is_per_host(&self) -> bool {
        true
    }

    fn writable(&self) -> Result<&dyn Writable, &'static str> {
        Ok(self)
    }

    fn is_store(&self) -> bool {
        true
    }
}

impl Writable for Passed {
    fn store<'a>(&'a self, ask: &'a Ask<'a>, given: &'a Credential) -> Coming<'a, Result<(), Problem>> {
        Box::pin(async {
            let helper =
                Helper::find(&self.name, ask.environment).map_err(|absent| absent.problem(&self.name))?;
            helper.store(ask.asked, given, ask.limits.answer).await
        })
    }

    fn erase<'a>(&'a self, ask: &'a Ask<'a>) -> Coming<'a, Result<(), Problem>> {
        Box::pin(async {
            let Some(helper) = self.helper(ask)? else { return Ok(()) };
            let until = ask.limits.answer;
            helper.erase(ask.asked, until).await?;
            // Else it would be given again; the Hub's own login is not a repository's to take.
            match is_hub_by_another_name(ask.asked) && ask.registry.path().is_empty() {
                true => helper.erase(HUB_URL, until).await,
                false => Ok(()),
            }
        })
    }

    fn list<'a>(&'a self, ask: &'a Ask<'a>, names: &'a Names) -> Coming<'a, Result<(), Problem>> {
        Box::pin(async {
            let Some(helper) = self.helper(ask)? else { return Ok(()) };
            for (name, username) in helper.list(ask.limits.answer).await? {
                names.add_with_user(name, username);
            }
            Ok(())
        })
    }
}

impl Passed {
    /// Whom to call; `None` where that would go in a circle, in which there is nothing to be had.
    fn helper(&self, ask: &Ask<'_>) -> Result<Option<Helper>, Problem> {
        match Helper::find(&self.name, ask.environment) {
            Ok(helper) => Ok(Some(helper)),
            Err(absent @ Absent::Circle) => {
                log::event(|| format!("{}: {}", Helper::program(&self.name), absent.problem(&self.name)));
                Ok(None)
            }
            Err(absent) => Err(absent.problem(&self.name)),
        }
    }
}

/// Whether it is Docker Hub, or a repository there, in other words than docker's; its sub-keys are nothing of it.
fn is_hub_by_another_name(asked: &str) -> bool {
    asked != HUB_URL && matches!(Asked::parse(asked), Asked::Registry(registry) if registry.is_hub())
}
