//! Text: a JSON file as an object, and the object as text again.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use secrecy::zeroize::Zeroizing;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::{SIZE_LIMIT, read};
use crate::error::{Kind, Problem};

/// How docker writes its own.
const INDENT: &str = "\t";
/// The widest indentation that is kept.
const INDENT_LIMIT: usize = 8;

/// The JSON object that the text is; its parser's own words may quote the secret and are not repeated.
pub(super) fn object(text: &str) -> Result<Value, Problem> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ if text.trim().is_empty() => Err(Problem::new(Kind::Malformed, "it is empty")),
        _ => Err(Problem::new(Kind::Malformed, "it is no JSON object")
            .hint("for a plain file give password-file instead of path")),
    }
}

/// What stands in the file that is to be changed: nothing where it is not there, or empty.
pub(super) fn before(target: &Path) -> Result<(Zeroizing<String>, Value), Problem> {
    let text = match read(target) {
        Err(problem) if problem.kind == Kind::Missing => return Ok((Zeroizing::default(), Value::Null)),
        text => text?,
    };
    if text.trim().is_empty() {
        return Ok((text, Value::Null));
    }
    let object = object(&text)?;
    // One of the two would be lost.
    if serde_json::from_str::<Once>(&text).is_err() {
        let cause = "one of its keys stands there twice, so nothing is changed there";
        return Err(Problem::new(Kind::Malformed, cause).hint("take one of them out by hand"));
    }
    Ok((text, object))
}

/// The object as text, indented as the old one was.
///
/// # Errors
/// It is longer than what is read again.
pub(super) fn text(object: &Value, old: &str) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let second = old.split_once('\n').map_or("", |(_, rest)| rest);
    let blanks = second.bytes().take(INDENT_LIMIT).take_while(|byte| b" \t".contains(byte)).count();
    let indent = if blanks == 0 { INDENT } else { &second[..blanks] };
    let mut text = Limited(Zeroizing::new(Vec::new()));
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    let written = object.serialize(&mut Serializer::with_formatter(&mut text, formatter));
    written.map_err(io::Error::from).and_then(|()| text.write_all(b"\n")).map_err(|_| {
        let cause = format!("it would be larger than {SIZE_LIMIT} bytes, so nothing is changed there");
        Problem::new(Kind::Malformed, cause).hint("put {host} into path: each has a file of its own then")
    })?;
    Ok(text.0)
}

/// Takes no more than what is read again, however deep the indentation gets.
struct Limited(Zeroizing<Vec<u8>>);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.0.len() + bytes.len()) as u64 > SIZE_LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// JSON in which no object has a key twice.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("each key once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        // A number may be a map of one key too.
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key) {
                return Err(A::Error::custom("twice"));
            }
            map.next_value::<Self>()?;
        }
        Ok(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(Self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_indented_as_before_and_no_wider_than_eight() {
        let object: Value = serde_json::from_str(r#"{"b":{"y":1.10},"a":[1e+5]}"#).unwrap();
        for (old, indent) in
            [("", "\t"), ("{}", "\t"), ("{\n\"a\"", "\t"), ("{\n  \"a\"", "  "), ("{\n \t\"a\"", " \t")]
        {
            let written = text(&object, old).map(|text| String::from_utf8(text.to_vec()));
            let wanted = "{\n>\"b\": {\n>>\"y\": 1.10\n>},\n>\"a\": [\n>>1e+5\n>]\n}\n".replace('>', indent);
            assert_eq!(written.ok(), Some(Ok(wanted)), "{old}");
        }
        let wide = text(&object, &format!("{{\n{}\"é", " ".repeat(200_000)));
        assert_eq!(
            wide.map(|text| text.len()).ok(),
            text(&object, "{\n        é").map(|text| text.len()).ok()
        );
    }

    #[test]
    fn what_could_not_be_read_again_is_no_text() {
        // Little on one line, and much more with a line for each.
        let deep = format!("{}{}{}", "[".repeat(100), vec!["1"; 30_000].join(","), "]".repeat(100));
        let object: Value = serde_json::from_str(&format!("{{\"a\":{deep}}}")).unwrap();
        assert!(text(&object, "{\n        \"a\"").is_err());
        assert!(text(&object, "{\n \"a\"").is_ok());
    }

    #[test]
    fn a_key_that_stands_twice_is_found_at_any_depth() {
        let is_once = |text: &str| serde_json::from_str::<Once>(text).is_ok();
        assert!(is_once(
            r#"{"a": {"a": [1, -2.5, 1e400, "x", "\u00e9", null, true, {"a": {}}]}, "b": {"a": 1}}"#
        ));
        for twice in
            [r#"{"a": 1, "\u0061": 2}"#, r#"{"b": {"a": 1, "c": 3, "a": 2}}"#, r#"[{"a": 1, "a": 1}]"#]
        {
            assert!(!is_once(twice), "{twice}");
        }
    }
}
