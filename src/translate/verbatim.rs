//! JSON that is taken over as Clerk wrote it.

use std::borrow::Cow;

use clerk_snapshot::json;
use serde::Deserialize;
use serde::de::Deserializer;
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A metadata bag, copied byte for byte: numbers, key order and escapes stay as they are. `null`
/// where Clerk did not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verbatim<'a>(pub(super) Option<&'a RawValue>);

impl<'a> Verbatim<'a> {
    /// `bag` if it was asked for, else nothing at all.
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

/// JSON of any shape, which is both read and written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Json<'a>(#[serde(borrow)] &'a RawValue);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Verbatim(Some(self.0)).serialize(serializer)
    }
}

/// A metadata bag of a row that is its own profile. It is left out unless it was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bag<'a> {
    said: Option<&'a RawValue>,
    is_asked_for: bool,
}

impl Bag<'_> {
    /// Says whether it is to be written.
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
        let said = Option::<&RawValue>::deserialize(deserializer)?;
        Ok(Self { said, is_asked_for: false })
    }
}

impl Serialize for Bag<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Verbatim(self.said).serialize(serializer)
    }
}

/// `json` as it is, or without the white space between its tokens if that breaks the line: a record
/// is one line. White space inside of strings stays; a line break in there is an escape anyway.
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

    // Promise: one record, one line.
    #[test]
    fn line_breaks_between_tokens_go_and_strings_stay() {
        let json = "{\r\n\t\"a b\" : [ 1.0 ,\n \"x \\\" \\\\\" , \"\\\\\\\" y\\n\" ]\n}";
        assert_eq!(verbatim(json), r#"{"a b":[1.0,"x \" \\","\\\" y\n"]}"#);
    }

    // What `on_one_line` relies on: JSON forbids bare control characters inside of strings.
    #[test]
    fn a_bare_line_break_inside_a_string_is_not_json() {
        assert!(serde_json::from_str::<&RawValue>("\"a\nb\"").is_err());
        assert!(serde_json::from_str::<&RawValue>("{\"a\rb\":1}").is_err());
    }
}
