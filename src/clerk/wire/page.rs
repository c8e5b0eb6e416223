//! Decodes a page of a list.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected,
    Visitor,
};

use super::decode::{AN_OBJECT, DecodeError, decode_with};

/// A page in either of Clerk's two shapes.
#[derive(Debug)]
pub struct Page<R> {
    /// The rows, in Clerk's order.
    pub rows: Vec<R>,
    /// The size of the whole list; `None` for a bare array, which does not state it.
    pub total_count: Option<u64>,
}

/// Decodes a body that is a bare array (GET /users) or `{"data":[…],"total_count":n}` (all other lists).
///
/// An object without `data` or `total_count` is an error: only a page that says so is empty.
///
/// # Errors
/// [`DecodeError`], with a path that starts at the body: `data[3].id`, `[3].id`.
pub fn decode_page<'a, R: Deserialize<'a>>(body: &'a [u8]) -> Result<Page<R>, DecodeError> {
    let mut rows = Vec::new();
    let total_count = decode_rows(body, |row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(Page { rows, total_count })
}

/// Decodes a page like [`decode_page`], passing each row to `take` as soon as it is read, because all rows of a page of
/// users take half a megabyte. Returns the page's `total_count`.
///
/// # Errors
/// Those of [`decode_page`]. If `take` refuses a row, an error that does not say which.
pub fn decode_rows<'a, R: Deserialize<'a>>(
    body: &'a [u8],
    take: impl FnMut(R) -> Result<(), DecodeError>,
) -> Result<Option<u64>, DecodeError> {
    decode_with(body, PageReader(RowsReader { take, row: PhantomData }))
}

/// Decodes a page in either shape.
struct PageReader<R, F>(RowsReader<R, F>);

/// Decodes an array of rows.
struct RowsReader<R, F> {
    take: F,
    row: PhantomData<R>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Data,
    TotalCount,
    #[serde(other)]
    Other,
}

impl<'de, R, F> DeserializeSeed<'de> for PageReader<R, F>
where
    R: Deserialize<'de>,
    F: FnMut(R) -> Result<(), DecodeError>,
{
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R, F> Visitor<'de> for PageReader<R, F>
where
    R: Deserialize<'de>,
    F: FnMut(R) -> Result<(), DecodeError>,
{
    type Value = Option<u64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(AN_OBJECT)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, rows: A) -> Result<Option<u64>, A::Error> {
        (&mut self.0).visit_seq(rows).map(|()| None)
    }

    /// The shape of Clerk OpenAPI 2026-05-12, schemas Organizations, Roles, Permissions, OrganizationMemberships.
    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Option<u64>, A::Error> {
        let (mut has_data, mut total_count) = (false, None);
        while let Some(field) = fields.next_key()? {
            match field {
                Field::Data if has_data => return Err(A::Error::duplicate_field("data")),
                Field::Data => {
                    fields.next_value_seed(&mut self.0)?;
                    has_data = true;
                }
                Field::TotalCount if total_count.is_some() => {
                    return Err(A::Error::duplicate_field("total_count"));
                }
                Field::TotalCount => total_count = Some(fields.next_value::<Count>()?.0),
                Field::Other => {
                    let IgnoredAny = fields.next_value()?;
                }
            }
        }
        if !has_data {
            return Err(A::Error::missing_field("data"));
        }
        total_count.map(Some).ok_or_else(|| A::Error::missing_field("total_count"))
    }
}
impl<'de, R, F> DeserializeSeed<'de> for &mut RowsReader<R, F>
where
    R: Deserialize<'de>,
    F: FnMut(R) -> Result<(), DecodeError>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, R, F> Visitor<'de> for &mut RowsReader<R, F>
where
    R: Deserialize<'de>,
    F: FnMut(R) -> Result<(), DecodeError>,
{
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element()? {
            (self.take)(row).map_err(|_| A::Error::custom("a row that was refused"))?;
        }
        Ok(())
    }
}

/// Most rows that a list may have: about fifty times as many as the largest instances are thought to have. A server
/// that states more, or whose list never ends, is not Clerk.
pub const MAX_ROWS: u64 = 100_000_000;

/// A count as decoded by [`count`].
#[derive(Deserialize)]
struct Count(#[serde(deserialize_with = "count")] u64);

/// Decodes a number of rows, at most [`MAX_ROWS`].
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let count = u64::deserialize(deserializer)?;
    if count > MAX_ROWS {
        return Err(D::Error::invalid_value(
            Unexpected::Unsigned(count),
            &"a count of at most 100000000",
        ));
    }
    Ok(count)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::clerk::wire::User;

    #[test]
    fn both_shapes_are_read() {
        let bare: Page<User<'_>> = decode_page(br#" [{"id":"u1"},{"id":"u2"}]"#).unwrap();
        assert_eq!((bare.rows.len(), bare.total_count), (2, None));
        let counted: Page<User<'_>> =
            decode_page(br#"{"data":[{"id":"u1"}],"total_count":7}"#).unwrap();
        assert_eq!((counted.rows.len(), counted.total_count), (1, Some(7)));
        let raw: Page<&RawValue> = decode_page(br#"[{"id": "u1"}]"#).unwrap();
        assert_eq!(raw.rows[0].get(), r#"{"id": "u1"}"#);
    }

    // Promise: a list is never empty unless the server says so.
    #[test]
    fn a_body_of_another_shape_is_never_an_empty_page() {
        for (body, problem) in [
            ("{}", "`data`: missing"),
            ("{\"data\":[]}", "`total_count`: missing"),
            ("{\"data\":null,\"total_count\":0}", "`data`: expected an array"),
            ("{\"errors\":[]}", "`data`: missing"),
            ("null", "`.`: expected an object"),
            ("", "`.`: the JSON is cut short"),
            ("[{\"id\":\"u1\"}", "`.`: the JSON is cut short"),
            ("[{\"id\":\"u1\"},{}]", "`[1].id`: missing"),
            (
                "{\"data\":[{\"id\":1}],\"total_count\":1}",
                "`data[0].id`: expected a non-empty string",
            ),
        ] {
            let error = decode_page::<User<'_>>(body.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), problem, "{body}");
        }
    }
}
