//! Builds answers: pages and errors in Clerk's shapes.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::data::Data;
use crate::lists::{List, ORGANIZATIONS, Shape};
use crate::query::{Query, Selection};
use crate::refusal::Refusal;
use crate::requests::Outcome;
use crate::rows::Row;

/// An HTTP response, complete or cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case with their values. `content-length` is always that of the whole body.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// If set, only this many bytes of the body are sent before the connection is reset.
    pub cut_after: Option<usize>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into(), cut_after: None }
    }

    pub(crate) fn of_json(body: impl Into<Bytes>) -> Self {
        Self::new(200, "application/json", body)
    }
}

/// The connection was reset before any answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection was reset before an answer")]
pub struct ConnectionReset;

impl Refusal {
    /// The answer, and its entry for the log.
    pub(crate) fn outcome(&self, sequence: u64) -> (Answer, Outcome) {
        let code = Some(self.code.clone()).filter(|code| !code.is_empty());
        (self.answer(sequence), Outcome { code, ..Outcome::default() })
    }

    pub(crate) fn answer(&self, sequence: u64) -> Answer {
        let meta = match self.parameter {
            Some(parameter) => json!({ "param_name": parameter }),
            None => json!({}),
        };
        let body = json!({
            "errors": [{
                "message": self.message, "long_message": self.message, "code": self.code, "meta": meta,
            }],
            "meta": {},
            "clerk_trace_id": format!("{sequence:032x}"),
        });
        Answer::new(self.status, "application/json", body.to_string())
    }
}

/// Renders a page in the shape of its list.
pub(crate) fn page(
    data: &Data,
    list: &List,
    query: &Query,
    selection: &Selection,
    total: impl FnOnce(usize) -> i64,
) -> String {
    let wrapped = match list.shape {
        Shape::Array => false,
        Shape::ArrayUnlessPaginated => query.flag("paginated"),
        Shape::DataAndTotal => true,
    };
    let bytes: usize = selection.rows.iter().map(|row| row.text().len() + 64).sum();
    let mut out = String::with_capacity(bytes + 64);
    if wrapped {
        out.push_str("{\"");
        out.push_str(list.data_field);
        out.push_str("\":");
    }
    out.push('[');
    for (number, row) in selection.rows.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        push_row(&mut out, data, list, query, row);
    }
    out.push(']');
    if wrapped {
        out.push_str(&format!(",\"total_count\":{}}}", total(selection.total)));
    }
    out
}

/// Renders one row.
pub(crate) fn push_row(out: &mut String, data: &Data, list: &List, query: &Query, row: &Arc<Row>) {
    let text = row.text();
    if list.name == ORGANIZATIONS && query.flag("include_members_count") {
        let (members, pending) = data.organization_counts(&row.id);
        out.push_str(&format!(
            "{{\"members_count\":{members},\"pending_invitations_count\":{pending},"
        ));
        out.push_str(&text[1..]);
    } else {
        out.push_str(text);
    }
}
