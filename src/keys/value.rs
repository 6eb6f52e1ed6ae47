//! Value: a TOML value in words, and as JSON.

use serde_json::Value as Json;
use toml::de::DeValue;

/// What a sentence calls the value's type.
pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Array(_) => "an array",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Float(_) => "a float",
        DeValue::Integer(_) => "an integer",
        DeValue::String(_) => "a string",
        DeValue::Table(_) => "a table",
    }
}

/// The value as JSON; `None` for a number that JSON cannot say.
pub(super) fn to_json(value: &DeValue<'_>) -> Option<Json> {
    Some(match value {
        DeValue::Array(items) => {
            Json::Array(items.iter().map(|item| to_json(item.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Datetime(value) => Json::String(value.to_string()),
        DeValue::Float(value) => Json::Number(serde_json::Number::from_f64(value.as_str().parse().ok()?)?),
        DeValue::Integer(value) => i64::from_str_radix(value.as_str(), value.radix()).ok()?.into(),
        DeValue::String(value) => Json::String(value.to_string()),
        DeValue::Table(table) => Json::Object(
            table
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), to_json(value.get_ref())?)))
                .collect::<Option<_>>()?,
        ),
    })
}
