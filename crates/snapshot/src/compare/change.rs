//! A change record (docs/changes.md).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::class::Class;
use crate::resource::{Dataset, named};
use crate::timestamp::Timestamp;

/// A change of one record. Field order is the order in which keys are written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change<'a> {
    /// Always `change`.
    pub kind: ChangeKind,
    /// What happened to the record.
    pub op: Op,
    /// The same in the words of access.
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    /// What it is about.
    pub class: Class,
    /// Whether it is certain.
    pub certainty: Certainty,
    /// The record's dataset.
    pub dataset: Dataset,
    /// The record's id; of daily counts the date.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Who or what it is about.
    #[serde(borrow)]
    pub subject: Reference<'a>,
    /// What a grant or an entitlement is held on.
    #[serde(borrow)]
    pub target: Option<Reference<'a>>,
    /// The role of a role grant.
    #[serde(borrow)]
    pub role: Option<RoleName<'a>>,
    /// The membership that a grant comes from.
    #[serde(borrow)]
    pub pair: Option<Cow<'a, str>>,
    /// What explains it.
    #[serde(borrow)]
    pub cause: Option<Reference<'a>>,
    /// What differs, if the record is on both sides.
    #[serde(borrow)]
    pub fields: Vec<Field<'a>>,
    /// The whole record, if it was removed.
    #[serde(borrow)]
    pub before: Option<&'a RawValue>,
    /// The whole record, if it was added.
    #[serde(borrow)]
    pub after: Option<&'a RawValue>,
    /// When it happened.
    pub window: Window,
    /// Id of the snapshot that it is counted from.
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    /// Id of the snapshot that it leads to.
    #[serde(borrow)]
    pub to: Cow<'a, str>,
}

named! {
    /// The kind of a line.
    ChangeKind, "kind":
    /// A change.
    Change = "change",
}

named! {
    /// What happened to a record.
    Op, "op":
    /// Its id is in TO alone.
    Added = "added",
    /// Its id is in FROM alone.
    Removed = "removed",
    /// It is on both sides, and differs.
    Changed = "changed",
}

named! {
    /// Whether a change is certain.
    Certainty, "certainty":
    /// Both snapshots agree with Clerk's counts.
    Confirmed = "confirmed",
    /// A snapshot may have missed the record, because Clerk changed while it was read.
    Unconfirmed = "unconfirmed",
}

/// An object by type and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference<'a> {
    /// Its type.
    #[serde(rename = "type", borrow)]
    pub object_type: Cow<'a, str>,
    /// Its id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
}

impl<'a> Reference<'a> {
    pub(super) const fn new(object_type: &'a str, id: &'a str) -> Self {
        Self { object_type: Cow::Borrowed(object_type), id: Cow::Borrowed(id) }
    }
}

/// A role by id and key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleName<'a> {
    /// Its id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Its key.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
}

/// A leaf that differs. Its values are the text of the lines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Field<'a> {
    /// Names with dots between them.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
    /// The value in FROM.
    #[serde(borrow)]
    pub before: &'a RawValue,
    /// The value in TO.
    #[serde(borrow)]
    pub after: &'a RawValue,
}

/// The time between which a change happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When the run of FROM started.
    pub after: Timestamp,
    /// When the run of TO completed.
    pub before: Timestamp,
}
