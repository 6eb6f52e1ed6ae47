//! Body: what a write carries.

use serde_json::Value;

use crate::registry::{Registry, Template};

/// What a write carries, with templates in its strings.
pub(super) enum Body {
    Fixed(Value),
    List(Vec<Body>),
    Object(Vec<(String, Body)>),
    Text(Template),
}

impl Body {
    pub(super) fn parse(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::Array(items) => Self::List(items.into_iter().map(Self::parse).collect::<Result<_, _>>()?),
            Value::Object(fields) => {
                let parse = |(key, value)| Ok::<_, String>((key, Self::parse(value)?));
                Self::Object(fields.into_iter().map(parse).collect::<Result<_, _>>()?)
            }
            Value::String(text) => Self::Text(Template::parse(&text)?),
            other => Self::Fixed(other),
        })
    }

    pub(super) fn uses_path(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::List(items) => items.iter().any(Self::uses_path),
            Self::Object(fields) => fields.iter().any(|(_, value)| value.uses_path()),
            Self::Text(template) => template.uses_path(),
        }
    }

    pub(super) fn fill(&self, registry: &Registry) -> Option<Value> {
        Some(match self {
            Self::Fixed(value) => value.clone(),
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.fill(registry)).collect::<Option<_>>()?)
            }
            Self::Object(fields) => {
                let fill = |(key, value): &(String, Self)| Some((key.clone(), value.fill(registry)?));
                Value::Object(fields.iter().map(fill).collect::<Option<_>>()?)
            }
            Self::Text(template) => Value::String(template.fill(registry)?),
        })
    }
}
