//! Duration: spans of time as the config writes them.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::value::to_json;
use super::{Keys, Read};

impl Keys<'_> {
    /// A span of time such as `10s`, `5m`, `1h30m` or `500ms`.
    pub fn duration(&self, key: &'static str) -> Read<Option<Duration>> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        let value = parse(&text);
        value.map(Some).ok_or_else(|| self.mistake(key, &format!("is no time such as 10s or 5m: `{text}`")))
    }

    /// A whole number of seconds within a range, for what others measure so.
    pub fn seconds(&self, key: &'static str, range: RangeInclusive<u64>) -> Read<Option<Duration>> {
        let Some(value) = self.value(key).map(Spanned::get_ref) else { return Ok(None) };
        let (least, most) = (range.start(), range.end());
        let wanted = format!("a whole number of seconds from {least} to {most}");
        let DeValue::Integer(_) = value else { return Err(self.wrong_type(key, &wanted, value)) };
        let seconds =
            to_json(value).and_then(|number| number.as_u64()).filter(|number| range.contains(number));
        seconds
            .map(|seconds| Some(Duration::from_secs(seconds)))
            .ok_or_else(|| self.mistake(key, &format!("takes {wanted}")))
    }
}

/// Reads `10s`, `5m`, `1h30m` or `500ms`; a number without a unit says nothing.
fn parse(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let millis = match &rest[digits..unit] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, millis) in
            [("10s", 10_000), ("1m30s", 90_000), ("500ms", 500), ("0s", 0), ("1h", 3_600_000)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1.5s", "10 s", "1d", "99999999999999999999s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
