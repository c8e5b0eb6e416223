//! Decodes JSON, with errors that name the path and the problem but never repeat the value.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::error::Category;

use super::place::{path_of, written};

/// Why some JSON does not have the expected shape.
///
/// serde_json's own message is not kept as the source: it quotes the value, which may be personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {problem}")]
pub struct DecodeError {
    /// Path of the value: `email_addresses[0].id`, or `.` for the whole document.
    pub path: String,
    /// What is wrong: `missing`, `expected an integer`, `not JSON`, …
    pub problem: String,
}

/// Reads one JSON value that borrows from `json`.
///
/// # Errors
/// [`DecodeError`] if `json` is not JSON, or does not have the shape of `T`.
pub fn decode<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, DecodeError> {
    decode_with(json, PhantomData)
}

/// Reads one JSON value that borrows from `json`, using `seed`.
///
/// # Errors
/// Those of [`decode`].
pub(super) fn decode_with<'a, S: DeserializeSeed<'a>>(
    json: &'a [u8],
    seed: S,
) -> Result<S::Value, DecodeError> {
    // Checking UTF-8 once for the whole body, rather than for each string, saves a quarter of the time.
    let json = std::str::from_utf8(json).map_err(|_| DecodeError::whole("not UTF-8"))?;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = seed.deserialize(&mut deserializer);
    let whole = value.and_then(|value| deserializer.end().map(|()| value));
    whole.map_err(|error| DecodeError::new(json, &error))
}

/// Reads one JSON object.
///
/// # Errors
/// Those of [`decode`], and if it is an array.
pub fn decode_object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, DecodeError> {
    decode(json).map(|Object(value)| value)
}

/// A value that must be a JSON object. By default serde also accepts an array for a struct, with its elements as the
/// fields in order, which Clerk's API does not have.
#[derive(Clone, Copy, Debug)]
pub struct Object<T>(pub T);

/// How serde's errors call a value that should have been an [`Object`].
pub(super) const AN_OBJECT: &str = "an object";

impl<T> Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Object<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Serialize> Serialize for Object<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(AN_OBJECT)
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

/// Distinguishes a `null` field (`Some(None)`) from an absent one (`None`).
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

impl DecodeError {
    fn whole(problem: &str) -> Self {
        Self { path: ".".to_owned(), problem: problem.to_owned() }
    }

    /// A required field is absent.
    pub(crate) fn missing(field: &str) -> Self {
        Self { path: field.to_owned(), problem: "missing".to_owned() }
    }

    /// Converts serde_json's error about `json`.
    pub(crate) fn new(json: &str, error: &serde_json::Error) -> Self {
        match error.classify() {
            Category::Eof => Self::whole("the JSON is cut short"),
            Category::Syntax | Category::Io => Self::whole("not JSON"),
            Category::Data => Self::at(json, error),
        }
    }

    /// Converts an error about a value in complete JSON. A value that serde_json cannot represent (half of a surrogate
    /// pair, a number out of range) is a problem of that value only.
    pub(super) fn at(json: &str, error: &serde_json::Error) -> Self {
        let message = error.to_string();
        let missing = between(&message, "missing field `", "`");
        let parent = written(&path_of(json, error, missing.is_some()));
        let (path, problem) = match missing {
            Some(field) if parent == "." => (field.to_owned(), "missing".to_owned()),
            Some(field) => (format!("{parent}.{field}"), "missing".to_owned()),
            None => (parent, without_the_value(&message)),
        };
        Self { path, problem }
    }
}

/// The text between `start`, which must begin `text`, and the next `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.split_once(end).map(|(inside, _)| inside)
}

/// `invalid type: string "…", expected a boolean at line 1 column 9` → `expected a boolean`. serde puts its own `,
/// expected ` last: a quoted value comes before it.
fn without_the_value(message: &str) -> String {
    let Some((_, expected)) = message.rsplit_once(", expected ") else {
        return "not the documented shape".to_owned();
    };
    let expected = expected.split(" at line ").next().unwrap_or(expected);
    format!("expected {}", in_json_terms(expected))
}

/// Translates names of Rust and serde into those of Clerk's documentation.
fn in_json_terms(expected: &str) -> &str {
    match expected {
        "i64" => "a 64-bit integer",
        "u64" => "a 64-bit integer of at least 0",
        "a sequence" => "an array",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::clerk::wire::{Organization, OrganizationMembership, OrganizationPermission, User};

    fn problem<'a, T: Deserialize<'a>>(json: &'a str) -> String {
        match decode::<T>(json.as_bytes()) {
            Ok(_) => panic!("{json} should be refused"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        assert_eq!(
            problem::<User<'_>>(r#"{"id":"u","email_addresses":[{"id":7}]}"#),
            "`email_addresses[0].id`: expected a string"
        );
        assert_eq!(
            problem::<User<'_>>(r#"{"id":"u","created_at":"2026-01-01"}"#),
            "`created_at`: expected a time in milliseconds up to the year 9999"
        );
        assert_eq!(problem::<Organization<'_>>(r#"{"id":7}"#), "`id`: expected a non-empty string");
        assert_eq!(problem::<User<'_>>(r#"{"id":""}"#), "`id`: expected a non-empty string");
        assert_eq!(problem::<User<'_>>(r#"{"id":null}"#), "`id`: expected a non-empty string");
    }

    #[test]
    fn an_array_is_not_accepted_for_an_object_inside_a_row() {
        let json = r#"{"id":"u","email_addresses":[{"verification":["verified"]}]}"#;
        assert_eq!(
            problem::<User<'_>>(json),
            "`email_addresses[0].verification`: expected an object"
        );
    }

    #[test]
    fn a_missing_field_is_named_by_its_path() {
        assert_eq!(problem::<User<'_>>("{}"), "`id`: missing");
        assert_eq!(
            problem::<OrganizationMembership<'_>>(
                r#"{"id":"m","role":"org:admin","organization":{},"public_user_data":{"user_id":"u"}}"#
            ),
            "`organization.id`: missing"
        );
    }

    // Promise: errors contain no body and no personal data.
    #[test]
    fn the_value_is_never_repeated() {
        let json = r#"{"id":"u","banned":"ada@example.com, expected at line 3"}"#;
        assert_eq!(problem::<User<'_>>(json), "`banned`: expected a boolean");
        let json = r#"{"id":"u","email_addresses":"ada@example.com"}"#;
        assert_eq!(problem::<User<'_>>(json), "`email_addresses`: expected an array");
    }

    #[test]
    fn an_array_is_not_accepted_for_an_object() {
        let row = br#"["p",null,"k",null,null,1,2]"#;
        assert!(decode::<OrganizationPermission<'_>>(row).is_ok(), "serde's default");
        let error = decode_object::<OrganizationPermission<'_>>(row).unwrap_err();
        assert_eq!(error.to_string(), "`.`: expected an object");
    }

    #[test]
    fn invalid_json_is_reported_as_such() {
        assert_eq!(problem::<User<'_>>(r#"{"id":"u""#), "`.`: the JSON is cut short");
        assert_eq!(problem::<User<'_>>("<html>"), "`.`: not JSON");
        assert_eq!(problem::<User<'_>>(r#"{"id":"u"} x"#), "`.`: not JSON");
        let error = decode::<User<'_>>(b"{\"id\":\"\xff\"}").unwrap_err();
        assert_eq!(error.to_string(), "`.`: not UTF-8");
    }
}
