//! Template: a name or path with places for the registry that was asked.

use super::Registry;
use crate::pod::{ONLY_IN_ROLES, is_annotated};

/// Text with `{host}` and `{path}` in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Host,
    Literal(String),
    Path,
}

impl Template {
    /// Reads a template; braces around anything but a word stand for themselves.
    ///
    /// # Errors
    /// A sentence that names the unknown word.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(open) = rest.find('{') {
            literal.push_str(&rest[..open]);
            rest = &rest[open..];
            if is_annotated(rest) {
                return Err(format!("annotation, {ONLY_IN_ROLES}"));
            }
            let Some(word) = rest[1..].split_once('}').map(|(word, _)| word).filter(|word| is_word(word))
            else {
                literal.push('{');
                rest = &rest[1..];
                continue;
            };
            let part = match word {
                "host" => Part::Host,
                "path" => Part::Path,
                other => {
                    return Err(format!("unknown template {{{other}}}, known are {{host}} and {{path}}"));
                }
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(part);
            rest = &rest[word.len() + 2..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// Whether `{host}` stands in it.
    pub fn uses_host(&self) -> bool {
        self.0.contains(&Part::Host)
    }

    /// Whether `{path}` stands in it.
    pub fn uses_path(&self) -> bool {
        self.0.contains(&Part::Path)
    }

    /// The text with the registry filled in as it stands.
    ///
    /// `None` where it uses `{path}` and the registry's path is missing or could leave its place.
    pub fn fill(&self, registry: &Registry) -> Option<String> {
        self.fill_with(registry, |host| host)
    }

    /// The same for names: `:`, `[` and `]` of the host become `+`, which Secrets Manager and file systems allow.
    pub fn fill_name(&self, registry: &Registry) -> Option<String> {
        self.fill_with(registry, |host| host.replace([':', '[', ']'], "+"))
    }

    /// The registry that [`Self::fill`] made the text of; `None` where no registry could.
    pub fn unfill(&self, text: &str) -> Option<Registry> {
        self.unfill_with(text, str::to_owned, Self::fill)
    }

    /// The same for [`Self::fill_name`].
    pub fn unfill_name(&self, name: &str) -> Option<Registry> {
        self.unfill_with(name, unescaped, Self::fill_name)
    }

    /// What stands before the first place that is filled in.
    pub fn prefix(&self) -> &str {
        match self.0.first() {
            Some(Part::Literal(literal)) => literal,
            _ => "",
        }
    }

    fn unfill_with(
        &self,
        text: &str,
        host: impl Fn(&str) -> String,
        fill: impl Fn(&Self, &Registry) -> Option<String>,
    ) -> Option<Registry> {
        if !self.uses_host() {
            return None;
        }
        let rest = text.strip_prefix(self.prefix())?;
        // It ends where the rest of the template begins: only filling it in again tells where that is.
        let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8());
        ends.filter_map(|end| Registry::parse(&host(&rest[..end])))
            .find(|registry| registry.path.is_empty() && fill(self, registry).as_deref() == Some(text))
    }

    fn fill_with(&self, registry: &Registry, host: impl Fn(String) -> String) -> Option<String> {
        if self.uses_path() && !registry.has_plain_path() {
            return None;
        }
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Host => text.push_str(&host(registry.host_and_port())),
                Part::Literal(literal) => text.push_str(literal),
                Part::Path => text.push_str(registry.path()),
            }
        }
        Some(text)
    }
}

/// `:`, `[` and `]` of a host again: an address begins with a bracket, and no name holds a `+`.
fn unescaped(name: &str) -> String {
    let Some(address) = name.strip_prefix('+') else { return name.replacen('+', ":", 1) };
    match (address.strip_suffix('+'), address.rsplit_once("++")) {
        (Some(address), _) => format!("[{}]", address.replace('+', ":")),
        (None, Some((address, port))) => format!("[{}]:{port}", address.replace('+', ":")),
        (None, None) => name.to_owned(),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str, asked: &str) -> Option<String> {
        Template::parse(template).ok()?.fill_name(&Registry::parse(asked)?)
    }

    #[test]
    fn a_registry_is_read_out_of_the_name_that_was_made_of_it() {
        for template in ["reg/{host}", "{host}", "{host}/creds", "a-{host}-b-{host}", "x{host}x"] {
            let template = Template::parse(template).unwrap();
            for asked in [
                "docker.io",
                "ghcr.io",
                "localhost:5000",
                "my_reg:80",
                "[::1]",
                "[::1]:5000",
                "10.0.0.1:5000",
                "x.x",
            ] {
                let registry = Registry::parse(asked).unwrap();
                let name = template.fill_name(&registry).unwrap();
                assert_eq!(template.unfill_name(&name), Some(registry.clone()), "{name}");
                assert_eq!(template.unfill(&template.fill(&registry).unwrap()), Some(registry));
            }
        }
        let template = Template::parse("reg/{host}").unwrap();
        for name in [
            "",
            "reg/",
            "reg",
            "other/ghcr.io",
            "reg/a b",
            "reg/ghcr.io/x",
            "reg/GHCR.io",
            "reg/a+b+1",
            "reg/.x",
        ] {
            assert_eq!(template.unfill_name(name), None, "{name}");
        }
        assert_eq!(Template::parse("literal").unwrap().unfill("literal"), None);
    }

    #[test]
    fn fills_host_and_path() {
        assert_eq!(fill("reg/{host}", "https://index.docker.io/v1/").as_deref(), Some("reg/docker.io"));
        assert_eq!(fill("{host}", "[::1]:5000").as_deref(), Some("+++1++5000"));
        assert_eq!(fill("reg/{host}/x", "localhost:5000").as_deref(), Some("reg/localhost+5000/x"));
        assert_eq!(fill("r/{path}", "docker.io/acme/app:1").as_deref(), Some("r/acme/app"));
        assert_eq!(fill("a{b\"}{", "docker.io").as_deref(), Some("a{b\"}{"));
    }

    #[test]
    fn a_path_that_could_leave_its_place_fills_nothing() {
        for asked in [
            "docker.io",
            "docker.io/a/../b",
            "docker.io/a//b",
            "docker.io/./a",
            "docker.io/a%2fb",
            "docker.io/~a",
        ] {
            assert_eq!(fill("r/{path}", asked), None, "{asked}");
        }
    }

    #[test]
    fn an_unknown_word_is_named() {
        let error = Template::parse("r/{hots}").unwrap_err();
        assert!(error.contains("{hots}"), "{error}");
    }
}
