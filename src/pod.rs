//! Pod: for whose image the kubelet asks, and what the config may take from its service account.

use std::collections::BTreeMap;

use secrecy::SecretString;

use crate::error::{Kind, Problem};

/// How a place for an annotation begins.
const OPENING: &str = "{annotation:";
/// The rest of a sentence about an annotation that stands anywhere else.
pub const ONLY_IN_ROLES: &str =
    "which only `role` and `role-arn` of a connection that logs in with the service account's token may have";

/// What the kubelet tells of the service account that a pod runs as.
pub struct Pod {
    /// A token of the account that is bound to the pod; `None` where the kubelet sends none.
    pub token: Option<SecretString>,
    /// Those of the account's annotations that the kubelet is told to send. Whoever may write the account chose them.
    pub annotations: BTreeMap<String, String>,
}

/// Text with `{annotation:NAME}` in it.
pub struct Annotated(Vec<Part>);

enum Part {
    Annotation(String),
    Literal(String),
}

/// Whether an annotation stands in the text.
pub fn is_annotated(text: &str) -> bool {
    text.contains(OPENING)
}

impl Annotated {
    /// Reads the text.
    ///
    /// # Errors
    /// The rest of a sentence about a place that names no annotation.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once(OPENING) {
            let (name, after) = after.split_once('}').filter(|(name, _)| is_name(name)).ok_or_else(|| {
                format!("names no annotation: it takes {OPENING}NAME}}, such as {OPENING}example.com/role}}")
            })?;
            parts.extend([Part::Literal(before.to_owned()), Part::Annotation(name.to_owned())]);
            rest = after;
        }
        parts.push(Part::Literal(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The text itself, where no annotation stands in it.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with the pod's annotations filled in; `key` is whose value it is.
    ///
    /// # Errors
    /// Nobody told the annotation.
    pub fn fill(&self, key: &str, pod: Option<&Pod>) -> Result<String, Problem> {
        self.0
            .iter()
            .map(|part| match (part, pod) {
                (Part::Literal(text), _) => Ok(text.as_str()),
                // The kubelet sends both or neither.
                (Part::Annotation(_), Some(Pod { token: None, .. })) => Err(no_token()),
                (Part::Annotation(name), Some(pod)) => {
                    pod.annotations.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or_else(
                        || {
                            let cause = format!("the pod's service account has no annotation {name}");
                            let hint = format!(
                                "annotate it, and name {name} in requiredServiceAccountAnnotationKeys of the kubelet's provider"
                            );
                            Problem::new(Kind::Unauthenticated, cause).hint(hint)
                        },
                    )
                }
                (Part::Annotation(name), None) => {
                    let cause = format!("{key} holds the annotation {name} of a pod, which only the kubelet tells");
                    Err(Problem::new(Kind::Unauthenticated, cause)
                        .hint(format!("use a connection whose {key} stands in the config")))
                }
            })
            .collect()
    }
}

/// What a look-up for a pod ends in that needs its token and got none.
pub fn no_token() -> Problem {
    Problem::new(Kind::Unauthenticated, "the kubelet sent no service account token")
        .hint("set tokenAttributes for this provider in the kubelet's config; static pods have none")
}

/// Whether Kubernetes takes the name: `[prefix/]name`
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set>).
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Option<String> {
        let annotations = [("a.b/c-d", "one"), ("e", "two"), ("empty", "")];
        let annotations = annotations.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Annotated::parse(text)
            .ok()?
            .fill("role", Some(&Pod { token: Some(SecretString::from("t")), annotations }))
            .ok()
    }

    #[test]
    fn annotations_are_filled_in() {
        assert_eq!(filled("x{annotation:a.b/c-d}y{annotation:e}").as_deref(), Some("xoneytwo"));
        assert_eq!(filled("{annotation:e}").as_deref(), Some("two"));
        assert_eq!(filled("a{b}{c").as_deref(), Some("a{b}{c"));
        for text in
            ["{annotation:none}", "{annotation:empty}", "{annotation:}", "{annotation:a b}", "{annotation:e"]
        {
            assert_eq!(filled(text), None, "{text}");
        }
        assert_eq!(Annotated::parse("plain").unwrap().literal(), Some("plain"));
        assert!(Annotated::parse("{annotation:e}").unwrap().literal().is_none());
        assert!(Annotated::parse("{annotation:e}").unwrap().fill("role", None).is_err());
    }
}
