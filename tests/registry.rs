//! Properties of registries, patterns and templates, whatever a client or a Dockerfile names.

use docker_credential_lease::config::Config;
use docker_credential_lease::environment::Environment;
use docker_credential_lease::registry::{Asked, Pattern, Registry, Template};
use proptest::prelude::*;

/// Text that is made to look like Docker Hub and other registries.
fn hostile_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("docker.io"),
        Just("index.docker.io"),
        Just("registry-1."),
        Just("hub.docker.com"),
        Just("evil.example"),
        Just("http://"),
        Just("https://"),
        Just("HTTPS://"),
        Just("/"),
        Just("//"),
        Just("\\"),
        Just("@"),
        Just(":"),
        Just(":443"),
        Just(":80"),
        Just("."),
        Just(".."),
        Just("/v1/"),
        Just("v2"),
        Just("access-token"),
        Just("?"),
        Just("#"),
        Just("%2f"),
        Just("%00"),
        Just(" "),
        Just("\t"),
        Just("*"),
        Just("[::1]"),
        Just("127.0.0.1"),
        Just("xn--"),
        Just("о"),
        Just("ＤOCKER.io"),
        Just("user:password"),
        Just("acme/app"),
        Just("sha256:00ff"),
    ];
    prop::collection::vec(part, 1..6).prop_map(|parts| parts.concat())
}

/// Patterns over a small alphabet, so that many of them meet.
fn pattern_text() -> impl Strategy<Value = String> {
    let label = "(a|b|ab|\\*|a\\*|\\*b|a\\*b)";
    let text = format!("\\*|{label}(\\.{label}){{1,2}}(:5000)?(/a|/a/b|/b)?");
    prop::string::string_regex(&text).unwrap()
}

fn registry_text() -> impl Strategy<Value = String> {
    "(a|b|ab|aab|aabb)(\\.(a|b|ab|abb)){1,2}(:5000)?(/a|/a/b|/b|/ab|/a/b/c)?"
}

proptest! {
    #[test]
    fn reading_never_panics(text in any::<String>(), hostile in hostile_text()) {
        for text in [text, hostile] {
            let _ = Asked::parse(&text);
            let _ = Pattern::parse(&text);
            let _ = Template::parse(&text);
        }
    }

    #[test]
    fn what_is_not_docker_hub_never_matches_docker_hub(text in prop_oneof![any::<String>(), hostile_text()]) {
        let Some(registry) = Registry::parse(&text) else { return Ok(()) };
        if Pattern::parse("docker.io").unwrap().matches(&registry) {
            // Said again, by other means: what stands before the first slash is one of Docker Hub's names.
            let lower = text.to_lowercase();
            let rest = lower.strip_prefix("https://").or(lower.strip_prefix("http://")).unwrap_or(&lower);
            let authority = rest.split('/').next().unwrap();
            let port = if lower.starts_with("http://") { ":80" } else { ":443" };
            let host = authority.strip_suffix(port).unwrap_or(authority);
            let names = ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];
            prop_assert!(names.contains(&host), "{text}");
        }
    }

    #[test]
    fn a_registry_reads_the_same_from_its_own_text(text in prop_oneof![hostile_text(), registry_text()]) {
        if let Some(registry) = Registry::parse(&text) {
            // The scheme says which port is its own.
            let scheme = if text.to_lowercase().starts_with("http://") { "http://" } else { "" };
            let again = Registry::parse(&format!("{scheme}{registry}"));
            prop_assert_eq!(again.as_ref(), Some(&registry), "{}", text);
        }
    }

    #[test]
    fn the_winner_does_not_depend_on_the_order_of_the_rules(
        patterns in prop::collection::btree_set(pattern_text(), 1..6),
        asked in registry_text(),
        seed in any::<usize>(),
    ) {
        let rule = |pattern: &String| format!(
            "[registry.\"{pattern}\"]\nsource = \"env\"\nusername = \"x\"\npassword-env = \"P\"\nany-host = true\n"
        );
        let text: String = patterns.iter().map(rule).collect();
        let variables = [("DOCKER_CREDENTIAL_LEASE_CONFIG_TOML".to_owned(), text)];
        // A config with a tie is refused; every other one has one winner.
        let Ok(mut config) = Config::load(&Environment::Fixed(variables.into())) else { return Ok(()) };
        let registry = Registry::parse(&asked).unwrap();
        let winner = config.rule(&registry).map(|rule| rule.pattern.clone());
        let equals = config.rules.iter().filter(|rule| rule.pattern.matches(&registry)
            && winner.as_ref().is_some_and(|winner| rule.pattern.precedence(winner).is_eq()));
        prop_assert_eq!(equals.count(), usize::from(winner.is_some()));
        let turns = seed % config.rules.len();
        config.rules.rotate_left(turns);
        if seed % 2 == 0 {
            config.rules.reverse();
        }
        prop_assert_eq!(config.rule(&registry).map(|rule| rule.pattern.clone()), winner);
    }

    #[test]
    fn a_filled_template_never_leaves_its_place(asked in prop_oneof![hostile_text(), registry_text()]) {
        let Some(registry) = Registry::parse(&asked) else { return Ok(()) };
        let host = Template::parse("{host}").unwrap();
        prop_assert!(!host.fill(&registry).unwrap().contains(['/', '\\', '%', '?', '#']));
        prop_assert!(!host.fill_name(&registry).unwrap().contains([':', '[', ']', '/', '\\']));
        if let Some(path) = Template::parse("{path}").unwrap().fill(&registry) {
            for segment in path.split('/') {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
                prop_assert!(!matches!(segment, "" | "." | "..") && segment.chars().all(plain), "{asked}: {path}");
            }
        }
    }
}

#[track_caller]
fn matches(pattern: &str, asked: &str) -> bool {
    let pattern = Pattern::parse(pattern).unwrap_or_else(|why| panic!("{pattern}: {why}"));
    pattern.matches(&Registry::parse(asked).unwrap_or_else(|| panic!("{asked} is no registry")))
}

#[test]
fn a_pattern_matches_what_its_words_say() {
    for (pattern, asked) in [
        ("docker.io", "https://index.docker.io/v1/"),
        ("https://index.docker.io/v1/", "docker.io/library/alpine"),
        ("docker.io/acme", "index.docker.io/acme/app:1"),
        ("docker.io/acme", "docker.io/acme"),
        ("GHCR.io", "ghcr.io"),
        ("ghcr.io:443", "ghcr.io"),
        ("localhost:5000", "http://localhost:5000/v2/"),
        ("*", "localhost:5000/x"),
        ("*", "127.0.0.1"),
        ("*.dkr.ecr.*.amazonaws.com", "123456789012.dkr.ecr.eu-west-1.amazonaws.com"),
        ("*-docker.pkg.dev", "europe-docker.pkg.dev/acme/repo/app"),
        ("[::1]:5000", "[0:0:0:0:0:0:0:1]:5000"),
        ("my_registry", "my_registry/app"),
    ] {
        assert!(matches(pattern, asked), "{pattern} should match {asked}");
    }
    for (pattern, asked) in [
        ("docker.io", "docker.io.evil.example"),
        ("docker.io", "docker.io:5000"),
        ("docker.io/acme", "docker.io/acmeevil/app"),
        ("docker.io/acme", "docker.io"),
        ("docker.io/acme", "docker.io/acme/../evil"),
        ("ghcr.io", "ghcr.io:5000"),
        ("localhost:5000", "localhost"),
        ("*.example.com", "example.com"),
        ("*.example.com", ".example.com/x".trim_start_matches('.')),
        ("*.example.com", "a.b.example.com"),
        ("*-docker.pkg.dev", "-docker.pkg.dev"),
        ("*.0.0.1", "127.0.0.1"),
        ("*.*.*.*", "127.0.0.1"),
        ("*.1", "127.1"),
    ] {
        assert!(!matches(pattern, asked), "{pattern} should not match {asked}");
    }
}

#[test]
fn the_most_specific_rule_wins() {
    for (asked, winner, others) in [
        ("docker.io/acme/app", "docker.io/acme", &["docker.io", "*"][..]),
        ("docker.io/acme/app/x", "docker.io/acme/app", &["docker.io/acme", "docker.io"]),
        ("docker.io/other", "docker.io", &["docker.io/acme", "*"]),
        ("a.example.com", "a.example.com", &["*.example.com", "a.*.com", "*"]),
        ("ab.example.com/x", "*.example.com/x", &["ab.example.com", "*"]),
        ("ab.example.com", "a*.example.com", &["*.example.com", "*"]),
        ("abc.example.com", "*bc.example.com", &["a*.example.com", "*.example.com"]),
        ("ab.example.com", "*.*.com", &["*"]),
        ("ab.example.com:5000", "ab.example.com:5000", &["ab.example.com", "*"]),
    ] {
        let mut patterns: Vec<Pattern> =
            others.iter().chain([&winner]).map(|text| Pattern::parse(text).unwrap()).collect();
        for _ in 0..2 {
            let rule = |pattern: &Pattern| {
                format!(
                    "[registry.\"{pattern}\"]\nsource = \"env\"\nusername = \"x\"\npassword-env = \"P\"\n{}",
                    if pattern.is_wildcard() { "any-host = true\n" } else { "" }
                )
            };
            let text: String = patterns.iter().map(rule).collect();
            let variables = [("DOCKER_CREDENTIAL_LEASE_CONFIG_TOML".to_owned(), text)];
            let mut config =
                Config::load(&Environment::Fixed(variables.into())).unwrap_or_else(|why| panic!("{why}"));
            let registry = Registry::parse(asked).unwrap();
            for _ in 0..2 {
                let won = config.rule(&registry).map(|rule| rule.pattern.to_string());
                assert_eq!(won.as_deref(), Some(winner), "{asked}");
                config.rules.reverse();
            }
            patterns.reverse();
        }
    }
}
