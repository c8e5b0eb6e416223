//! Makes a change record from the lines of both sides.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::causes::Causes;
use super::change::{Certainty, Change, ChangeKind, Field, Op, Reference, Window};
use super::class::Class;
use super::differences::Side;
use super::error::CompareError;
use super::field_table::class_of_records;
use super::fields;
use super::record::{NotARecord, Record};
use super::verdict::Verdict;
use crate::manifest::{DatasetStatus, Manifest};
use crate::record::ObjectType;
use crate::resource::Dataset;

/// What all records of a dataset have in common.
pub(super) struct Drafts<'a> {
    pub(super) from: &'a Manifest,
    pub(super) to: &'a Manifest,
    pub(super) dataset: Dataset,
    pub(super) verdict: &'a Verdict,
}

/// A record in the making.
pub(super) enum Draft {
    /// The lines say the same, as far as anything may be said.
    Nothing,
    /// A record, as the line that it is written as.
    Record { op: Op, class: Class, line: Vec<u8> },
}

/// Why there is no draft.
pub(super) enum DraftError {
    NotARecord,
    Compare(CompareError),
}

impl From<NotARecord> for DraftError {
    fn from(_: NotARecord) -> Self {
        Self::NotARecord
    }
}

impl From<CompareError> for DraftError {
    fn from(error: CompareError) -> Self {
        Self::Compare(error)
    }
}

impl Drafts<'_> {
    /// The record for the lines of one id. `hash` gives the two hashes of an id.
    pub(super) fn draft(
        &self,
        lines: [Option<&[u8]>; 2],
        causes: &mut Causes,
        hash: impl Fn(&str) -> (u64, u64),
    ) -> Result<Draft, DraftError> {
        let (op, newest) = match lines {
            [None, None] => return Ok(Draft::Nothing),
            [Some(line), None] => (Op::Removed, line),
            [None, Some(line)] => (Op::Added, line),
            [Some(before), Some(after)] if before == after => return Ok(Draft::Nothing),
            [Some(_), Some(line)] => (Op::Changed, line),
        };
        let record = Record::parse(newest)?;
        let [before, after] = match lines {
            [before, after] => [raw(before)?, raw(after)?],
        };
        let fields = match (before, after) {
            (Some(before), Some(after)) => {
                let older =
                    if self.from.started_at <= self.to.started_at { Side::From } else { Side::To };
                fields::differing((before, after), older, self.dataset, &self.verdict.touched)?
            }
            _ => Vec::new(),
        };
        if op == Op::Changed && fields.is_empty() {
            return Ok(Draft::Nothing);
        }
        let class = match op {
            Op::Changed => fields::class_of_change(self.dataset, &fields),
            Op::Added | Op::Removed => class_of_records(self.dataset),
        };
        let is_grant = self.dataset == Dataset::Grants;
        let cause = causes.of(self.dataset, op, &record, hash)?;
        let change = Change {
            kind: ChangeKind::Change,
            op,
            event: event(self.dataset, op, &record, &fields),
            class,
            certainty: self.certainty(op, &record),
            dataset: self.dataset,
            id: Cow::Borrowed(record.id()),
            subject: match &record.principal {
                Some(principal) if is_grant => principal.clone(),
                _ => Reference::new(record.type_name(), record.id()),
            },
            target: record.resource.clone(),
            role: record.role.clone().filter(|_| is_grant),
            pair: record.source.as_ref().filter(|_| is_grant).map(|source| source.id.clone()),
            cause,
            fields,
            before: before.filter(|_| op == Op::Removed),
            after: after.filter(|_| op == Op::Added),
            window: Window { after: self.from.started_at, before: self.to.completed_at },
            from: Cow::Borrowed(&self.from.snapshot_id),
            to: Cow::Borrowed(&self.to.snapshot_id),
        };
        let mut line = serde_json::to_vec(&change).map_err(|_| DraftError::NotARecord)?;
        line.push(b'\n');
        Ok(Draft::Record { op, class, line })
    }

    /// A dataset that drifted may lack rows that were there.
    fn certainty(&self, op: Op, record: &Record<'_>) -> Certainty {
        let drifted = |side: &Manifest| {
            side.datasets.get(&self.dataset).is_some_and(|it| it.status == DatasetStatus::Drifted)
        };
        let is_old = record.created_at.is_some_and(|created_at| created_at < self.from.started_at);
        let is_unconfirmed = match op {
            Op::Removed => drifted(self.from) || drifted(self.to),
            Op::Added => drifted(self.from) && is_old,
            Op::Changed => false,
        };
        if is_unconfirmed { Certainty::Unconfirmed } else { Certainty::Confirmed }
    }
}

fn raw(line: Option<&[u8]>) -> Result<Option<&RawValue>, NotARecord> {
    line.map(|line| serde_json::from_slice(line).map_err(|_| NotARecord)).transpose()
}

/// What happened, in the words of access.
fn event(dataset: Dataset, op: Op, record: &Record<'_>, fields: &[Field<'_>]) -> Cow<'static, str> {
    let named = match (dataset, op) {
        (Dataset::Grants, Op::Added) => grant_event(record).map(|(added, _)| added),
        (Dataset::Grants, Op::Removed) => grant_event(record).map(|(_, removed)| removed),
        (Dataset::Users, Op::Changed) => user_event(fields),
        _ => None,
    };
    named.map_or_else(|| Cow::Owned(format!("{}_{op}", record.type_name())), Cow::Borrowed)
}

/// The events of a grant that is added and of one that is removed, by what it is held on.
fn grant_event(record: &Record<'_>) -> Option<(&'static str, &'static str)> {
    match ObjectType::from_name(&record.resource.as_ref()?.object_type)? {
        ObjectType::Organization if record.role.is_some() => Some(("role_granted", "role_revoked")),
        ObjectType::Organization => Some(("member_added", "member_removed")),
        ObjectType::OrganizationPermission => {
            Some(("role_permission_added", "role_permission_removed"))
        }
        ObjectType::Machine => Some(("machine_scope_added", "machine_scope_removed")),
        _ => None,
    }
}

/// The most important thing that happened to a user.
fn user_event(fields: &[Field<'_>]) -> Option<&'static str> {
    let values = |path: &str| {
        let field = fields.iter().find(|field| field.path == path)?;
        Some((field.before.get(), field.after.get()))
    };
    match values("status") {
        Some((_, "\"disabled\"")) => return Some("user_disabled"),
        Some((_, "\"enabled\"")) => return Some("user_enabled"),
        _ => {}
    }
    match values("profile.two_factor_enabled") {
        Some((_, "true")) => Some("second_factor_on"),
        Some(("true", _)) => Some("second_factor_off"),
        _ => None,
    }
}
