//! The rows of `diff` and `history`.

use std::borrow::Cow;

use clerk_snapshot::compare::Change;
use clerk_snapshot::compare::change::Reference;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::output::{Cell, Column, List, Row};

/// What `diff` lists. All changes of a comparison happened between the same two times, which the envelope has.
pub const DIFF: List = List { name: "changes", columns: &columns(Column::hidden("window_before")) };

/// What `history` lists.
pub const HISTORY: List =
    List { name: "changes", columns: &columns(Column::shown("window_before", "By")) };

const fn columns(window_before: Column) -> [Column; 20] {
    [
        Column::shown("event", "Event"),
        Column::hidden("op"),
        Column::hidden("class"),
        Column::hidden("dataset"),
        Column::hidden("id"),
        Column::hidden("subject_type"),
        Column::shown("subject_id", "Who or what"),
        Column::hidden("target_type"),
        Column::shown("target_id", "Where"),
        Column::hidden("role_id"),
        Column::shown("role_key", "Role"),
        Column::hidden("membership_id"),
        Column::shown("detail", "Detail"),
        Column::hidden("cause_type"),
        Column::shown("cause_id", "Because of"),
        // A table says it beside the event, where it is not certain.
        Column::hidden("certainty"),
        Column::hidden("window_after"),
        window_before,
        Column::hidden("from"),
        Column::hidden("to"),
    ]
}

/// A record as it comes: its JSON is the record's own line.
#[derive(Debug)]
pub struct ChangeRow<'a> {
    change: &'a Change<'a>,
    line: &'a RawValue,
}

impl<'a> ChangeRow<'a> {
    /// The row of a record and its line.
    ///
    /// # Errors
    /// If the line is not JSON, which records are.
    pub fn new(change: &'a Change<'a>, line: &'a [u8]) -> Result<Self, serde_json::Error> {
        Ok(Self { change, line: serde_json::from_slice(line)? })
    }
}

impl Serialize for ChangeRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.line.serialize(serializer)
    }
}

impl Row for ChangeRow<'_> {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        vec![cells(self.change)]
    }
}

/// The cells of a record.
#[must_use]
pub fn cells<'a>(change: &'a Change<'a>) -> Vec<Cell<'a>> {
    let object_type =
        |reference: Option<&'a Reference<'a>>| reference.map(|it| &*it.object_type).into();
    let id = |reference: Option<&'a Reference<'a>>| reference.map(|it| &*it.id).into();
    let (target, cause) = (change.target.as_ref(), change.cause.as_ref());
    vec![
        (&*change.event).into(),
        change.op.name().into(),
        change.class.name().into(),
        change.dataset.name().into(),
        (&*change.id).into(),
        (&*change.subject.object_type).into(),
        (&*change.subject.id).into(),
        object_type(target),
        id(target),
        change.role.as_ref().map(|role| &*role.id).into(),
        change.role.as_ref().map(|role| &*role.key).into(),
        change.pair.as_deref().into(),
        detail(change, Reader::Program),
        object_type(cause),
        id(cause),
        change.certainty.name().into(),
        change.window.after.to_string().into(),
        change.window.before.to_string().into(),
        (&*change.from).into(),
        (&*change.to).into(),
    ]
}

/// For whom a detail is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Everything that differs.
    Program,
    /// Without the time of the update, which changes with everything else.
    Person,
}

/// What differs, or what an object that came or went is called.
#[must_use]
pub fn detail<'a>(change: &'a Change<'a>, reader: Reader) -> Cell<'a> {
    if !change.fields.is_empty() {
        let is_alone = change.fields.len() == 1;
        let is_shown = |path: &str| reader == Reader::Program || is_alone || path != "updated_at";
        let fields = change.fields.iter().filter(|field| is_shown(&field.path));
        return Cell::joined(fields.map(|field| {
            format!("{}: {} -> {}", field.path, plain(field.before.get()), plain(field.after.get()))
        }));
    }
    #[derive(serde::Deserialize)]
    struct Named {
        display_name: Option<String>,
    }
    let record =
        change.after.or(change.before).and_then(|record| serde_json::from_str(record.get()).ok());
    record.and_then(|Named { display_name }| display_name).into()
}

/// A string without its quotes, and other JSON as it is.
fn plain(json: &str) -> Cow<'_, str> {
    match serde_json::from_str::<String>(json) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(json),
    }
}
