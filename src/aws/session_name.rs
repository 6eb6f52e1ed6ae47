//! Session name: what CloudTrail shows of a role that was assumed.

use crate::ask::Ask;
use crate::environment::Environment;

/// What AWS takes at most
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_RequestParameters>).
const LONGEST: usize = 64;
/// How much of it a registry's name may take.
const LONGEST_REGISTRY: usize = 28;

/// The variables by which CircleCI, GitHub and GitLab name a project and its job.
const JOBS: [(&str, &str); 3] = [
    ("CIRCLE_PROJECT_REPONAME", "CIRCLE_BUILD_NUM"),
    ("GITHUB_REPOSITORY", "GITHUB_RUN_ID"),
    ("CI_PROJECT_PATH", "CI_JOB_ID"),
];
/// Who it is elsewhere: a person, or a pod.
const OTHERS: [&str; 3] = ["USER", "LOGNAME", "HOSTNAME"];

/// Whether AWS takes the name.
pub(super) fn is_valid(name: &str) -> bool {
    (2..=LONGEST).contains(&name.len()) && name.chars().all(is_allowed)
}

/// `REGISTRY@JOB`, so that the trail tells which pull it was.
pub(super) fn usual(ask: &Ask<'_>) -> String {
    let registry = cleaned(&ask.registry.host_and_port(), LONGEST_REGISTRY);
    let job = job(ask.environment, LONGEST - registry.len() - 1);
    format!("{registry}@{job}")
}

fn job(environment: &Environment, longest: usize) -> String {
    let job = JOBS.iter().find_map(|(project, id)| Some((environment.get(project)?, environment.get(id)?)));
    if let Some((project, id)) = job {
        let id = cleaned(&id, 20);
        return format!("{}-{id}", cleaned(&project, longest - id.len() - 1));
    }
    let other = environment.first(&OTHERS).map(|(_, name)| name);
    cleaned(other.as_deref().unwrap_or(env!("CARGO_PKG_NAME")), longest)
}

/// The text with what AWS does not take replaced, and cut.
fn cleaned(text: &str, longest: usize) -> String {
    text.chars().map(|c| if is_allowed(c) { c } else { '-' }).take(longest).collect()
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::ask::Question;
    use crate::deadline::{Deadline, Limits};
    use crate::registry::{Asked, Registry};

    fn name(registry: &str, variables: &[(&str, &str)]) -> String {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = Environment::Fixed(variables.collect());
        let Asked::Registry(registry) = Asked::parse(registry) else { panic!("{registry} is none") };
        let registry: Registry = registry;
        let limit = Deadline::new(Instant::now(), Duration::from_secs(1));
        let question = Question::new(&registry, "");
        usual(&Ask::new(question, &environment, Limits { connect: limit, answer: limit }))
    }

    #[test]
    fn it_names_the_registry_and_the_job() {
        let circleci = [("CIRCLE_PROJECT_REPONAME", "app"), ("CIRCLE_BUILD_NUM", "17"), ("USER", "circleci")];
        assert_eq!(name("https://index.docker.io/v1/", &circleci), "docker.io@app-17");
        let github = [("GITHUB_REPOSITORY", "acme/app"), ("GITHUB_RUN_ID", "99")];
        assert_eq!(name("ghcr.io", &github), "ghcr.io@acme-app-99");
        assert_eq!(name("localhost:5000", &[("USER", "jörg")]), "localhost-5000@j-rg");
        assert_eq!(name("ghcr.io", &[]), "ghcr.io@docker-credential-lease");
    }

    #[test]
    fn it_is_never_longer_than_aws_takes() {
        let long = "x".repeat(200);
        let registry = format!("{}.example.com", "a".repeat(60));
        for variables in [
            vec![("GITHUB_REPOSITORY", long.as_str()), ("GITHUB_RUN_ID", long.as_str())],
            vec![("USER", long.as_str())],
            vec![],
        ] {
            let name = name(&registry, &variables);
            assert!(is_valid(&name), "{name}");
        }
    }

    #[test]
    fn only_what_aws_takes_is_valid() {
        assert!(is_valid("ab") && is_valid("a=b,c.d@e-f_g+h"));
        for name in ["", "a", "a b", "a/b", "ä-ö", "x".repeat(65).as_str()] {
            assert!(!is_valid(name), "{name}");
        }
    }
}
