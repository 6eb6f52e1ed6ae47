//! Annotated: values in which a pod's annotations may stand, and all others, in which they may not.

use super::{Keys, Read};
use crate::pod::{Annotated, ONLY_IN_ROLES, is_annotated};

impl Keys<'_> {
    /// A string that is not empty.
    pub fn string(&self, key: &'static str) -> Read<Option<String>> {
        let text = self.text(key)?;
        self.without_annotation(key, text.iter())?;
        Ok(text)
    }

    /// A string, or an array of them; none of them is empty.
    pub fn strings(&self, key: &'static str) -> Read<Option<Vec<String>>> {
        let texts = self.texts(key)?;
        self.without_annotation(key, texts.iter().flatten())?;
        Ok(texts)
    }

    /// A string with `{annotation:NAME}` in it; whether it may is for [`Self::may_be_annotated`] to say.
    pub fn annotated(&self, key: &'static str) -> Read<Option<Annotated>> {
        self.text(key)?.map(|text| self.annotation(key, &text)).transpose()
    }

    /// The same for a string, or an array of them.
    pub fn all_annotated(&self, key: &'static str) -> Read<Option<Vec<Annotated>>> {
        let Some(texts) = self.texts(key)? else { return Ok(None) };
        texts.iter().map(|text| self.annotation(key, text)).collect::<Read<_>>().map(Some)
    }

    /// Refuses annotations where the connection does not log in as a pod.
    pub fn may_be_annotated<'v>(
        &self,
        key: &'static str,
        values: impl IntoIterator<Item = &'v Annotated>,
        as_pod: bool,
    ) -> Read<()> {
        match as_pod || values.into_iter().all(|value| value.literal().is_some()) {
            true => Ok(()),
            false => Err(self.mistake(key, &format!("holds an annotation, {ONLY_IN_ROLES}"))),
        }
    }

    pub(super) fn without_annotation<'v>(
        &self,
        key: &'static str,
        mut texts: impl Iterator<Item = &'v String>,
    ) -> Read<()> {
        match texts.any(|text| is_annotated(text)) {
            true => Err(self.mistake(key, &format!("holds an annotation, {ONLY_IN_ROLES}"))),
            false => Ok(()),
        }
    }

    fn annotation(&self, key: &'static str, text: &str) -> Read<Annotated> {
        Annotated::parse(text).map_err(|why| self.mistake(key, &why))
    }
}
