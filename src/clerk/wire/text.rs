//! A string of Clerk's, borrowed from the body unless JSON escapes something in it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

/// A string that borrows where it can.
///
/// serde borrows into a bare `Cow<str>` field but copies into an `Option<Cow<str>>`; this type borrows in both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'a> Text<'a> {
    /// The string, borrowed for as long as possible.
    pub(super) fn into_inner(self) -> Cow<'a, str> {
        self.0
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Expecting("a string"))
    }
}

/// Most bytes of an id or key; Clerk's have about thirty. Ids go into the checkpoint and the next request, which must
/// stay small whatever the server sends.
const LONGEST_IDENTIFIER: usize = 256;

/// Decodes a required id. An empty id is an error: it would name nothing and match everything.
pub(crate) fn identifier<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Text<'a>, D::Error> {
    let expecting = "a non-empty string";
    let text = short(deserializer, expecting)?;
    if text.is_empty() {
        return Err(Error::invalid_value(Unexpected::Str(""), &expecting));
    }
    Ok(text)
}

/// Decodes an optional id; an empty one counts as absent.
pub(crate) fn optional_identifier<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Text<'a>>, D::Error> {
    let text = optional_text(deserializer)?;
    text.map(within_the_longest).transpose()
}

/// Decodes an optional id that is not Clerk's own and may have any length; an empty one counts as absent.
pub(crate) fn optional_text<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Text<'a>>, D::Error> {
    let text = Option::<Text<'de>>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

/// Decodes a key. An empty key is accepted: it matches nothing.
pub(super) fn key<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Text<'a>, D::Error> {
    short(deserializer, "a string")
}

fn short<'de, D: Deserializer<'de>>(
    deserializer: D,
    expecting: &'static str,
) -> Result<Text<'de>, D::Error> {
    within_the_longest(deserializer.deserialize_str(Expecting(expecting))?)
}

fn within_the_longest<E: Error>(text: Text<'_>) -> Result<Text<'_>, E> {
    if text.len() > LONGEST_IDENTIFIER {
        return Err(E::invalid_value(Unexpected::Other("text"), &"at most 256 bytes"));
    }
    Ok(text)
}

/// Accepts any string; holds the text that an error gives as expected.
struct Expecting(&'static str);

impl<'de> Visitor<'de> for Expecting {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn text_borrows_unless_json_escapes_it() {
        let plain: Option<Text<'_>> = serde_json::from_str("\"Zoë 𝄞\"").unwrap();
        assert!(matches!(plain, Some(Text(Cow::Borrowed("Zoë 𝄞")))));
        let escaped: Option<Text<'_>> = serde_json::from_str(r#""Zo\u00eb \ud834\udd1e""#).unwrap();
        assert!(matches!(escaped, Some(Text(Cow::Owned(text))) if text == "Zoë 𝄞"));
    }
}
