//! Checks that the rows of a page match the filters that were sent. A server that ignores a filter lists other rows,
//! and its count agrees with them.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::clerk::wire::{self, Text};

/// The filters that can be checked: each has the name of the field that it compares.
const FIELDS: [&str; 3] = ["status", "user_id", "subject"];

/// The fields that can be compared. A list without such a field has `None`.
#[derive(Deserialize)]
struct Filtered<'a> {
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    subject: Option<&'a RawValue>,
}

impl Filtered<'_> {
    /// The text of a field; `None` if it is of another type, which proves nothing.
    fn field(&self, name: &str) -> Option<Text<'_>> {
        let field = match name {
            "status" => self.status,
            "user_id" => self.user_id,
            _ => self.subject,
        };
        serde_json::from_str(field?.get()).ok()
    }
}

/// The filter that the server did not apply, if the rows of this page show that.
pub(crate) fn ignored<'q>(
    body: &[u8],
    query: impl Iterator<Item = (&'q str, &'q str)>,
) -> Option<&'q str> {
    let compared: Vec<_> = query.filter(|(name, _)| FIELDS.contains(name)).collect();
    if compared.is_empty() {
        return None;
    }
    // A page that does not decode is reported by the code that decodes its rows.
    let page = wire::decode_page::<wire::Object<Filtered<'_>>>(body).ok()?;
    let is_other = |name, value| {
        let mut fields = page.rows.iter().filter_map(|row| row.0.field(name));
        fields.any(|field| &*field != value)
    };
    compared.into_iter().find(|&(name, value)| is_other(name, value)).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_do_not_match_show_an_ignored_filter() {
        let ignored = |body: &str, query: &[(&'static str, &'static str)]| {
            ignored(body.as_bytes(), query.iter().copied())
        };
        let two = r#"{"data":[{"status":"revoked"},{"status":"pending"}],"total_count":2}"#;
        assert_eq!(ignored(two, &[("limit", "2"), ("status", "revoked")]), Some("status"));
        assert_eq!(ignored(two, &[("limit", "2")]), None);
        assert_eq!(ignored(two, &[("user_id", "user_1")]), None);
        let one = r#"[{"user_id":"user_1","status":"active"}]"#;
        assert_eq!(ignored(one, &[("user_id", "user_1")]), None);
        assert_eq!(ignored(one, &[("user_id", "user_2")]), Some("user_id"));
        let odd = r#"[{"user_id":7},{"user_id":"user_1","status":[]}]"#;
        assert_eq!(ignored(odd, &[("user_id", "user_2")]), Some("user_id"));
        assert_eq!(ignored(odd, &[("user_id", "user_1")]), None);
        assert_eq!(ignored("[1]", &[("user_id", "user_2")]), None);
    }
}
