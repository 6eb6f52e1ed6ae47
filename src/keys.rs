//! Keys: typed reading of one TOML table, in which every mistake knows its place.
//!
//! A reader asks for each key that it knows, then calls [`Keys::finish`]: what was never asked for is a mistake that
//! names the nearest known key. So the list of known keys is the code that reads them.

mod annotated;
mod duration;
mod value;

use std::cell::RefCell;
use std::path::Path;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::file;
use crate::registry::Template;
use value::{to_json, type_name};

/// A mistake in the config: where, and the sentence.
#[derive(Debug)]
pub struct Mistake {
    /// Byte offset in the text.
    pub at: usize,
    /// The sentence, without file, line and column.
    pub what: String,
}

/// What reading a key gives.
pub type Read<T> = Result<T, Mistake>;

/// A value in its short or its long form.
pub enum Form<'d> {
    /// `key = "text"`
    Short(String),
    /// `key = { … }`
    Long(Keys<'d>),
}

/// A table of the config, with the name that it has there.
pub struct Keys<'d> {
    name: String,
    table: &'d DeTable<'d>,
    at: usize,
    known: RefCell<Vec<&'static str>>,
}

impl<'d> Keys<'d> {
    /// The table called `name` in sentences (`[aws.prod]`; empty for the top level), whose header is at `at`.
    pub fn new(name: String, table: &'d DeTable<'d>, at: usize) -> Self {
        Self { name, table, at, known: RefCell::default() }
    }

    /// Whether the key is there.
    pub fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    fn text(&self, key: &'static str) -> Read<Option<String>> {
        match self.value(key).map(Spanned::get_ref) {
            None => Ok(None),
            Some(DeValue::String(text)) if text.is_empty() => Err(self.mistake(key, "is empty")),
            Some(DeValue::String(text)) => Ok(Some(text.to_string())),
            Some(other) => Err(self.wrong_type(key, "a string", other)),
        }
    }

    fn texts(&self, key: &'static str) -> Read<Option<Vec<String>>> {
        let wanted = "a string or an array of strings";
        match self.value(key).map(Spanned::get_ref) {
            Some(DeValue::Array(items)) if items.is_empty() => Err(self.mistake(key, "is empty")),
            Some(DeValue::Array(items)) => {
                let text = |item: &Spanned<DeValue<'d>>| match item.get_ref() {
                    DeValue::String(text) if text.is_empty() => {
                        Err(self.mistake(key, "holds an empty string"))
                    }
                    DeValue::String(text) => Ok(text.to_string()),
                    other => {
                        Err(self.mistake(key, &format!("takes {wanted}, and holds {}", type_name(other))))
                    }
                };
                items.iter().map(text).collect::<Read<_>>().map(Some)
            }
            None | Some(DeValue::String(_)) => Ok(self.text(key)?.map(|text| vec![text])),
            Some(other) => Err(self.wrong_type(key, wanted, other)),
        }
    }

    /// A string or a table, for what has a short and a long form.
    pub fn string_or_table(&self, key: &'static str) -> Read<Option<Form<'d>>> {
        match self.value(key).map(Spanned::get_ref) {
            Some(DeValue::Table(_)) => Ok(self.table(key)?.map(Form::Long)),
            None | Some(DeValue::String(_)) => Ok(self.string(key)?.map(Form::Short)),
            Some(other) => Err(self.wrong_type(key, "a string or a table", other)),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self, key: &'static str) -> Read<Option<bool>> {
        match self.value(key).map(Spanned::get_ref) {
            None => Ok(None),
            Some(DeValue::Boolean(value)) => Ok(Some(*value)),
            Some(other) => Err(self.wrong_type(key, "true or false", other)),
        }
    }

    /// One of the given words, as what it stands for.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Read<Option<T>> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(self.mistake(key, &format!("takes {}, not `{text}`", known.join(" or "))))
            }
        }
    }

    /// Text with `{host}` and `{path}` in it.
    pub fn template(&self, key: &'static str) -> Read<Option<Template>> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        Template::parse(&text).map(Some).map_err(|why| self.mistake(key, &format!("has an {why}")))
    }

    /// A file: relative to `folder`; `~/` is the home.
    pub fn path(
        &self,
        key: &'static str,
        folder: Option<&Path>,
        home: Option<&Path>,
    ) -> Read<Option<std::path::PathBuf>> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        file::located(&text, folder, home)
            .map(Some)
            .map_err(|why| self.mistake(key, &format!("is no file: {why}")))
    }

    /// A table as JSON, for what is passed on as it stands.
    pub fn json(&self, key: &'static str) -> Read<Option<Json>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            return Err(self.wrong_type(key, "a table", value.get_ref()));
        }
        to_json(value.get_ref())
            .map(Some)
            .ok_or_else(|| self.mistake(key, "holds a number that JSON cannot say"))
    }

    /// The whole table as JSON: two that say the same say it in the same words.
    pub fn whole(&self) -> String {
        let fields =
            self.table.iter().map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())));
        let fields: std::collections::BTreeMap<String, Option<Json>> = fields.collect();
        serde_json::to_string(&fields).unwrap_or_default()
    }

    /// A table below this one.
    pub fn table(&self, key: &'static str) -> Read<Option<Keys<'d>>> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => match value.get_ref() {
                DeValue::Table(table) => Ok(Some(Keys::new(self.below(key), table, self.offset(key)))),
                other => Err(self.wrong_type(key, "a table", other)),
            },
        }
    }

    /// Every table below `key`, whatever they are called, in the order of the text.
    pub fn tables(&self, key: &'static str) -> Read<Vec<(String, Keys<'d>)>> {
        let Some(parent) = self.table(key)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (name, value) in parent.table {
            let header = format!("[{key}.{}]", quoted(name.get_ref()));
            let DeValue::Table(table) = value.get_ref() else {
                let stray = format!("`{}` stands outside a table of its own", name.get_ref());
                let what =
                    format!("{stray}: below [{key}] there are tables such as [{key}.{}]", example(key));
                return Err(Mistake { at: name.span().start, what });
            };
            found.push((name.get_ref().to_string(), Keys::new(header, table, name.span().start)));
        }
        found.sort_by_key(|(_, keys)| keys.at);
        Ok(found)
    }

    /// Judges what is left: a key that was never asked for is unknown.
    pub fn finish(&self) -> Read<()> {
        let known = self.known.borrow();
        let unknown = self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let distance = |word: &&str| strsim::damerau_levenshtein(word, key.get_ref());
        let nearest = known.iter().copied().min_by_key(distance).unwrap_or_default();
        let advice = match strsim::damerau_levenshtein(nearest, key.get_ref()) {
            0..=3 => format!("did you mean `{nearest}`?"),
            _ => format!("the nearest known key is `{nearest}`"),
        };
        let what = format!("unknown key `{}`{}; {advice}", key.get_ref(), self.inside());
        Err(Mistake { at: key.span().start, what })
    }

    /// The name of the one table in it, where there is nothing else.
    pub fn only_table(&self) -> Option<String> {
        let mut entries = self.table.iter();
        match (entries.next(), entries.next()) {
            (Some((name, value)), None) if matches!(value.get_ref(), DeValue::Table(_)) => {
                Some(name.get_ref().to_string())
            }
            _ => None,
        }
    }

    /// The mistake that an unknown key is, where it looks like `word`.
    pub fn nearly(&self, word: &str) -> Option<Mistake> {
        let near = self.table.keys().any(|key| strsim::damerau_levenshtein(key.get_ref(), word) <= 2);
        if near { self.finish().err() } else { None }
    }

    /// The value, or the mistake that the key is missing.
    pub fn required<T>(&self, key: &'static str, value: Option<T>) -> Read<T> {
        value.ok_or_else(|| self.error(&format!("needs the key `{key}`")))
    }

    /// Refuses two of these keys together.
    pub fn exclusive(&self, keys: &[&'static str]) -> Read<()> {
        let mut there = keys.iter().filter(|key| self.table.contains_key(**key));
        match (there.next(), there.next()) {
            (Some(one), Some(two)) => {
                Err(self.mistake(two, &format!("contradicts `{one}`: give one of them")))
            }
            _ => Ok(()),
        }
    }

    /// A mistake at the key: `key` and then the rest of the sentence.
    pub fn mistake(&self, key: &str, what: &str) -> Mistake {
        Mistake { at: self.offset(key), what: format!("`{key}`{} {what}", self.inside()) }
    }

    /// A mistake of the whole table: its name and then the rest of the sentence.
    pub fn error(&self, what: &str) -> Mistake {
        Mistake { at: self.at, what: format!("{} {what}", self.name) }
    }

    /// The table's name in sentences, such as `[aws.prod]`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Byte offset of the table's header.
    pub fn at(&self) -> usize {
        self.at
    }

    fn value(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table.get(key)
    }

    fn offset(&self, key: &str) -> usize {
        self.table.get_key_value(key).map_or(self.at, |(key, _)| key.span().start)
    }

    fn wrong_type(&self, key: &str, wanted: &str, found: &DeValue<'_>) -> Mistake {
        self.mistake(key, &format!("takes {wanted}, not {}", type_name(found)))
    }

    fn inside(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) }
    }

    fn below(&self, key: &str) -> String {
        match self.name.strip_suffix(']') {
            Some(name) => format!("{name}.{key}]"),
            None => format!("[{key}]"),
        }
    }
}

/// What a table below `key` may be called.
fn example(key: &str) -> &'static str {
    if key == "registry" { "\"docker.io\"" } else { "default" }
}

/// A table's name as TOML writes it.
fn quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { format!("\"{name}\"") }
}
