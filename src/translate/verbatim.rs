//! Copies JSON exactly as Clerk wrote it.

use std::borrow::Cow;

use clerk_snapshot::json;
use serde::Deserialize;
use serde::de::Deserializer;
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A metadata bag that is copied byte for byte, keeping numbers, key order and escapes; `null` if Clerk sent none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verbatim<'a>(pub(super) Option<&'a RawValue>);

impl<'a> Verbatim<'a> {
    /// The bag if `METADATA` selects it, otherwise no field at all.
    pub(super) fn if_asked(asked: bool, bag: Option<&'a RawValue>) -> Option<Self> {
        asked.then_some(Self(bag))
    }
}

impl Serialize for Verbatim<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(raw) = self.0 else {
            return serializer.serialize_none();
        };
        json::verbatim(&on_one_line(raw.get()), serializer)
    }
}

/// JSON of any shape that is read and written unchanged.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Json<'a>(#[serde(borrow)] &'a RawValue);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Verbatim(Some(self.0)).serialize(serializer)
    }
}

/// A metadata bag in a row that is its own profile. It is written only if `METADATA` selects it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bag<'a> {
    bag: Option<&'a RawValue>,
    is_asked_for: bool,
}

impl Bag<'_> {
    /// Sets whether it is written.
    pub(super) const fn ask(&mut self, is_asked_for: bool) {
        self.is_asked_for = is_asked_for;
    }

    /// Whether it is left out.
    pub(super) const fn is_not_asked_for(&self) -> bool {
        !self.is_asked_for
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bag<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bag = Option::<&RawValue>::deserialize(deserializer)?;
        Ok(Self { bag, is_asked_for: false })
    }
}

impl Serialize for Bag<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Verbatim(self.bag).serialize(serializer)
    }
}

/// `json` unchanged, or without white space between tokens if it has line breaks, because a record is one line. Strings
/// stay as they are: a line break inside a string is always escaped.
pub(super) fn on_one_line(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    if !bytes.contains(&b'\n') && !bytes.contains(&b'\r') {
        return Cow::Borrowed(json);
    }
    let mut compact = String::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if matches!(character, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            in_string = character == '"';
        }
        compact.push(character);
    }
    Cow::Owned(compact)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn written(raw: Option<&RawValue>) -> String {
        let mut output = Vec::new();
        json::write(&Verbatim(raw), &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    fn verbatim(json: &str) -> String {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        written(Some(raw))
    }

    #[test]
    fn json_without_line_breaks_stays_byte_for_byte() {
        let json = r#"{"z": 1.0,  "a":1e400,"n":-0,"s":"\u00e9\/ é 𝄞"}"#;
        assert_eq!(verbatim(json), json);
        assert_eq!(written(None), "null");
    }

    // Promise: a record is one line.
    #[test]
    fn line_breaks_between_tokens_are_removed_and_strings_are_kept() {
        let json = "{\r\n\t\"a b\" : [ 1.0 ,\n \"x \\\" \\\\\" , \"\\\\\\\" y\\n\" ]\n}";
        assert_eq!(verbatim(json), r#"{"a b":[1.0,"x \" \\","\\\" y\n"]}"#);
    }

    // `on_one_line` relies on this: JSON forbids unescaped control characters inside strings.
    #[test]
    fn a_bare_line_break_inside_a_string_is_not_json() {
        assert!(serde_json::from_str::<&RawValue>("\"a\nb\"").is_err());
        assert!(serde_json::from_str::<&RawValue>("{\"a\rb\":1}").is_err());
    }
}
