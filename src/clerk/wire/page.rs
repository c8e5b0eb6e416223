//! A page of a list.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Unexpected};

use super::decode::{DecodeError, decode};

/// A page in either of Clerk's two shapes.
#[derive(Debug)]
pub struct Page<R> {
    /// The rows, in Clerk's order.
    pub rows: Vec<R>,
    /// How many rows the whole list has; `None` for a bare array, which does not say.
    pub total_count: Option<u64>,
}

/// Reads a body that is a bare array (GET /users) or `{"data":[…],"total_count":n}` (all others).
///
/// An object without `data` or `total_count` is neither: an empty page is only ever one that says
/// so.
///
/// # Errors
/// [`DecodeError`], its path starting at the body: `data[3].id`, `[3].id`.
pub fn decode_page<'a, R: Deserialize<'a>>(body: &'a [u8]) -> Result<Page<R>, DecodeError> {
    let is_array = body.trim_ascii_start().starts_with(b"[");
    if is_array {
        return Ok(Page { rows: decode(body)?, total_count: None });
    }
    let DataAndTotal { data, total_count } = decode(body)?;
    Ok(Page { rows: data, total_count: Some(total_count) })
}

/// Clerk OpenAPI 2026-05-12, schemas Organizations, Roles, Permissions, OrganizationMemberships.
#[derive(Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de>"))]
struct DataAndTotal<R> {
    data: Vec<R>,
    #[serde(deserialize_with = "count")]
    total_count: u64,
}

/// Most rows that a list may have: some fifty times as many as the largest instances are thought to
/// have. A server that states more, or never comes to an end, is not Clerk.
pub const MOST_ROWS: u64 = 100_000_000;

/// A count of rows, of at most [`MOST_ROWS`].
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let count = u64::deserialize(deserializer)?;
    if count > MOST_ROWS {
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

    // Promise: absence is never invented.
    #[test]
    fn what_is_no_page_is_never_an_empty_one() {
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
