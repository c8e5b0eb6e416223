//! Words the answer to `lookup`: every value of a record in a line of its own.

use serde_json::Value;
use serde_json::value::RawValue;

use super::text::{Cell, Text, words};
use crate::lists::table::endpoint;
use crate::response::LookupAnswer;

pub(super) fn write(answer: &LookupAnswer, text: &mut Text) {
    let found = if answer.records.is_empty() { "not found" } else { "found" };
    text.line(&format!("{found}: {}", answer.message));
    for record in &answer.records {
        text.gap();
        text.rows(lines_of(record));
    }
    if let Some(grants) = answer.grants.as_ref().filter(|grants| !grants.is_empty()) {
        text.gap();
        text.line("Grants:");
        text.rows(grants.iter().map(|grant| grant_row(grant)).collect());
    }
    if answer.records.is_empty() {
        text.next("check the value; clerk-sync check shows which instance the key belongs to");
    } else if answer.grants.is_none() && endpoint(answer.resource).has_grants() {
        text.next("--grants shows its grants, too");
    }
}

/// A row for each value in a record: where it is, and the value.
fn lines_of(record: &RawValue) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    match serde_json::from_str(record.get()) {
        Ok(value) => add(&mut rows, String::new(), &value),
        // A record is JSON; if one were not, it would be shown as it is.
        Err(_) => rows.push(vec![words(record.get())]),
    }
    rows
}

fn add(rows: &mut Vec<Vec<Cell>>, path: String, value: &Value) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let separator = if path.is_empty() { "" } else { "." };
                add(rows, format!("{path}{separator}{name}"), value);
            }
        }
        Value::Array(items) if items.iter().any(|it| it.is_object() || it.is_array()) => {
            for (at, value) in items.iter().enumerate() {
                add(rows, format!("{path}[{at}]"), value);
            }
        }
        value => rows.push(vec![words(path), words(plain(value))]),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A grant in a row: who, what, where, since when.
fn grant_row(grant: &RawValue) -> Vec<Cell> {
    let grant: Value = serde_json::from_str(grant.get()).unwrap_or_default();
    let text = |pointer: &str| grant.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let named = |of: &str| {
        let kind = text(&format!("{of}/type")).unwrap_or_default();
        format!("{kind} {}", text(&format!("{of}/id")).unwrap_or_default())
    };
    let held = text("/role/key").or_else(|| text("/slug")).unwrap_or_default();
    let since = text("/created_at").map(|at| format!("since {at}")).unwrap_or_default();
    vec![words(named("/principal")), words(held), words(named("/resource")), words(since)]
}
