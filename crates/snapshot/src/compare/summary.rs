//! Counts the records of a comparison (docs/changes.md, `summary.json`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::change::{Change, Op};
use super::class::{Class, Classes};
use super::record::Record;
use super::verdict::{DatasetResult, Verdict};
use crate::digest::Sha256Hex;
use crate::manifest::{Manifest, Previous};
use crate::reader::Snapshot;
use crate::resource::Dataset;
use crate::timestamp::Timestamp;

/// The format tag of [`Summary`].
pub const CHANGES_FORMAT: &str = "clerk-sync/changes/1";
/// Most records in [`Summary::highlights`]: what fits into a message.
pub const MAX_HIGHLIGHTS: usize = 20;
/// Permissions that let their holder give access to others, or take away everybody's.
pub const PRIVILEGED: [&str; 3] =
    ["org:sys_memberships:manage", "org:sys_profile:delete", "org:sys_domains:manage"];

/// What a comparison found. Field order is the order in which keys are written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// [`CHANGES_FORMAT`].
    pub format: String,
    /// The snapshot that changes are counted from.
    pub from: Compared,
    /// The snapshot that they lead to.
    pub to: Compared,
    /// The classes that were asked for, most important first.
    pub classes: Vec<Class>,
    /// Whether everything was said about the datasets that were asked for.
    pub complete: bool,
    /// Every dataset of either side.
    pub datasets: BTreeMap<Dataset, DatasetSummary>,
    /// How many records have which event.
    pub events: BTreeMap<String, u64>,
    /// Grants added with one of [`PRIVILEGED`].
    pub privileged_granted: u64,
    /// The most important records, at most [`MAX_HIGHLIGHTS`], without `fields`, `before` and `after`.
    pub highlights: Vec<Box<RawValue>>,
    /// The files that hold the records, if they were written to any.
    pub parts: Vec<ChangesPart>,
}

/// A snapshot that was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Its id.
    pub snapshot_id: String,
    /// SHA-256 of its manifest.
    pub manifest_sha256: Sha256Hex,
    /// When its run started; `None` if its manifest could not be read.
    pub started_at: Option<Timestamp>,
    /// When its last dataset was complete; `None` if its manifest could not be read.
    pub completed_at: Option<Timestamp>,
}

impl Compared {
    /// What a summary says about a snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let Manifest { snapshot_id, started_at, completed_at, .. } = snapshot.manifest();
        Self {
            snapshot_id: snapshot_id.clone(),
            manifest_sha256: *snapshot.manifest_sha256(),
            started_at: Some(*started_at),
            completed_at: Some(*completed_at),
        }
    }

    /// What a summary says about a snapshot whose manifest could not be read.
    #[must_use]
    pub fn unread(named: &Previous) -> Self {
        let Previous { snapshot_id, manifest_sha256 } = named.clone();
        Self { snapshot_id, manifest_sha256, started_at: None, completed_at: None }
    }
}

impl Summary {
    /// The summary for `to` if nothing can be said about any of its datasets, and why.
    #[must_use]
    pub fn unsaid(from: Compared, to: &Snapshot, classes: Classes, reason: &str) -> Self {
        let entry = DatasetSummary {
            result: DatasetResult::NotCompared,
            reason: Some(reason.to_owned()),
            added: 0,
            removed: 0,
            changed: 0,
            records: None,
        };
        let datasets = to.manifest().datasets.keys().map(|&dataset| (dataset, entry.clone()));
        Self {
            format: CHANGES_FORMAT.to_owned(),
            from,
            to: Compared::of(to),
            classes: classes.iter().collect(),
            complete: false,
            datasets: datasets.collect(),
            events: BTreeMap::new(),
            privileged_granted: 0,
            highlights: Vec::new(),
            parts: Vec::new(),
        }
    }
}

/// `changes/latest.json`: names the newest feed. Field order is the file's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatestChanges {
    /// Key of its summary.
    pub summary: String,
    /// SHA-256 of the summary's bytes.
    pub summary_sha256: Sha256Hex,
    /// The snapshot that changes are counted from.
    pub from: String,
    /// The snapshot that they lead to.
    pub to: String,
}

/// What was done with a dataset, and its records of the classes that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetSummary {
    /// What was done.
    pub result: DatasetResult,
    /// Why no more may be said.
    pub reason: Option<String>,
    /// Records added.
    pub added: u64,
    /// Records removed.
    pub removed: u64,
    /// Records changed.
    pub changed: u64,
    /// How many lines TO has, of a dataset that FROM has not got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
}

impl DatasetSummary {
    /// A dataset without records so far.
    #[must_use]
    pub fn new(dataset: Dataset, verdict: &Verdict, to: &Manifest) -> Self {
        let records = to.datasets.get(&dataset).map(|entry| entry.records);
        Self {
            result: verdict.result,
            reason: verdict.reason.clone(),
            added: 0,
            removed: 0,
            changed: 0,
            records: records.filter(|_| verdict.result == DatasetResult::Baseline),
        }
    }
}

/// A file of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesPart {
    /// Key below the folder of the summary.
    pub key: String,
    /// Number of lines.
    pub records: u64,
    /// Stored size in bytes.
    pub bytes: u64,
    /// SHA-256 of the stored bytes.
    pub sha256: Sha256Hex,
}

/// Counts records as they are handed out.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) datasets: BTreeMap<Dataset, DatasetSummary>,
    pub(super) events: BTreeMap<String, u64>,
    pub(super) privileged_granted: u64,
    /// Importance, and the record. Ascending; of equal importance in the order of the records.
    pub(super) highlights: Vec<(u8, Box<RawValue>)>,
}

impl Tally {
    pub(super) fn of(datasets: BTreeMap<Dataset, DatasetSummary>) -> Self {
        Self { datasets, ..Self::default() }
    }

    pub(super) fn count(&mut self, change: &Change<'_>) {
        if let Some(counts) = self.datasets.get_mut(&change.dataset) {
            match change.op {
                Op::Added => counts.added += 1,
                Op::Removed => counts.removed += 1,
                Op::Changed => counts.changed += 1,
            }
        }
        match self.events.get_mut(&*change.event) {
            Some(count) => *count += 1,
            None => drop(self.events.insert(change.event.to_string(), 1)),
        }
        let is_privileged = is_privileged_grant(change);
        self.privileged_granted += u64::from(is_privileged);
        self.highlight(change, is_privileged);
    }

    fn highlight(&mut self, change: &Change<'_>, is_privileged: bool) {
        let Some(importance) = importance(change, is_privileged) else { return };
        let is_full = self.highlights.len() == MAX_HIGHLIGHTS;
        if is_full && self.highlights.last().is_some_and(|(last, _)| *last <= importance) {
            return;
        }
        let bare = Change { fields: Vec::new(), before: None, after: None, ..change.clone() };
        let Ok(record) = serde_json::value::to_raw_value(&bare) else { return };
        let place = self.highlights.partition_point(|(own, _)| *own <= importance);
        self.highlights.insert(place, (importance, record));
        self.highlights.truncate(MAX_HIGHLIGHTS);
    }
}

fn is_privileged_grant(change: &Change<'_>) -> bool {
    let (Dataset::Grants, Op::Added, Some(after)) = (change.dataset, change.op, change.after)
    else {
        return false;
    };
    let Ok(record) = Record::parse(after.get().as_bytes()) else { return false };
    let mut keys = record.permissions.iter().flatten().flatten();
    keys.any(|key| PRIVILEGED.contains(&&**key))
}

/// How important a record is, from 0; `None` if it is no highlight: what another record explains, and what is neither
/// access nor security.
fn importance(change: &Change<'_>, is_privileged: bool) -> Option<u8> {
    if change.cause.is_some() || !matches!(change.class, Class::Access | Class::Security) {
        return None;
    }
    Some(match (&*change.event, change.class) {
        _ if is_privileged => 0,
        ("role_permission_added" | "machine_scope_added", _) => 1,
        ("organization_removed" | "user_removed" | "user_disabled" | "second_factor_off", _) => 2,
        ("role_granted", _) => 3,
        ("member_added" | "role_revoked" | "member_removed", _) => 4,
        (_, Class::Access) => 5,
        _ => 6,
    })
}
