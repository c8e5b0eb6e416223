//! The answers of an invocation (docs/reference.md, Answers).

use std::collections::BTreeMap;

use clerk_snapshot::compare::Summary;
use clerk_snapshot::manifest::{DatasetStatus, Latest};
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_snapshot::timestamp::Timestamp;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The answer to an event, serialized as JSON.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// To `sync`.
    Sync(Box<SyncAnswer>),
    /// To `check`.
    Check(Vec<CheckAnswer>),
    /// To `status`.
    Status(Box<StatusAnswer>),
    /// To `lookup`.
    Lookup(LookupAnswer),
    /// To `changes`.
    Changes(ChangesAnswer),
}

impl Response {
    /// The exit status of the plain program (docs/reference.md).
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Check(checks) => u8::from(checks.iter().any(|check| !check.ok)),
            Self::Status(_) | Self::Lookup(_) | Self::Changes(ChangesAnswer::Summary(_)) => 0,
            Self::Changes(ChangesAnswer::Owed(answer)) => match answer.status {
                ChangesStatus::Complete => 0,
                ChangesStatus::Partial => 75,
            },
            Self::Sync(answer) => match answer.status {
                SyncStatus::Complete | SyncStatus::Skipped => 0,
                SyncStatus::Partial | SyncStatus::Busy => 75,
                SyncStatus::Held => 3,
            },
        }
    }

    /// As JSON. The records of a lookup are copied byte for byte: a `Value` cannot hold every number and string that Clerk's
    /// metadata may have.
    ///
    /// # Errors
    /// None that an answer can cause: every key is a string.
    pub fn to_json(&self) -> serde_json::Result<Box<RawValue>> {
        to_raw_value(self)
    }
}

/// How a `sync` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncStatus {
    /// Published; `latest.json` points to it.
    Complete,
    /// The checkpoint is stored, and the next invocation continues.
    Partial,
    /// Another invocation holds the run; nothing was done.
    Busy,
    /// A fresh enough snapshot exists.
    Skipped,
    /// Complete but not published: the shrink guard.
    Held,
}

/// The answer to `sync`. Counts are of the whole run, over all its invocations.
#[derive(Debug, Serialize)]
pub struct SyncAnswer {
    /// How it ended.
    pub status: SyncStatus,
    /// The snapshot that the answer is about.
    pub snapshot_id: Option<String>,
    /// URL of its manifest, once that is written.
    pub manifest: Option<String>,
    /// Lines by dataset. Leaves out datasets of which nothing could be read.
    pub records: BTreeMap<Dataset, u64>,
    /// Whether no dataset drifted or failed; `false` while incomplete.
    pub verified: bool,
    /// Requests sent to Clerk.
    pub requests: u64,
    /// Of these, retries.
    pub retries: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// Invocations that held the lease.
    pub invocations: u64,
    /// The time they worked, in milliseconds.
    pub elapsed_ms: u64,
    /// One sentence for a person.
    pub message: String,
    /// Only for `partial`: why the run paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<PauseReason>,
    /// Only for `partial`: how far each dataset is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<BTreeMap<Dataset, DatasetProgress>>,
    /// Only for `partial`: when Clerk may be asked again, if Clerk said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Only for `busy`: when the lease of the other invocation ends if it is not renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// Only for `skipped`: when the next snapshot is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_due_at: Option<Timestamp>,
    /// Only for `held`: the datasets that shrank or could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shrunk: Option<BTreeMap<Dataset, Shrunk>>,
    /// Only for `complete`, and if `CHANGES` is on: what changed since the snapshot before; `null` if it is the first,
    /// or if that is not written yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Option<PublishedChanges>>,
    /// Whether the event asked to restart: the same event once more would start over.
    #[serde(skip)]
    pub restarted: bool,
}

/// What changed since the snapshot before: numbers and ids alone, because the answer is sent on to others.
#[derive(Debug, Clone, Serialize)]
pub struct PublishedChanges {
    /// The snapshot before.
    pub from: String,
    /// URL of the summary.
    pub summary: String,
    /// Whether everything that was asked for could be compared.
    pub complete: bool,
    /// How many records have which event.
    pub events: BTreeMap<String, u64>,
    /// Grants added that let their holder give or take away access.
    pub privileged_granted: u64,
}

/// Why a run paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The time budget ran out.
    TimeBudget,
    /// Clerk asked for a wait longer than what is left.
    RateLimited,
    /// A signal asked to stop.
    Interrupted,
}

/// How far a dataset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DatasetProgress {
    /// Lines stored.
    pub records: u64,
    /// Lines expected, if Clerk's counts tell.
    pub expected: Option<u64>,
}

/// A dataset that lost more records than the guard allows, or that had records and could not be
/// read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shrunk {
    /// Records in the last published snapshot.
    pub before: u64,
    /// Records now.
    pub after: u64,
    /// `skipped` or `failed`, if it is that now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<DatasetStatus>,
}

/// One line of the answer to `check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckAnswer {
    /// What was checked.
    pub check: String,
    /// Whether it works.
    pub ok: bool,
    /// What was found, or what is wrong and what to do.
    pub detail: String,
}

/// The answer to `status`.
#[derive(Debug, Serialize)]
pub struct StatusAnswer {
    /// The run in progress, if any.
    pub run: Option<RunStatus>,
    /// The last published snapshot, if any.
    pub latest: Option<Latest>,
}

/// The run in progress.
#[derive(Debug, Serialize)]
pub struct RunStatus {
    /// The snapshot being made.
    pub snapshot_id: String,
    /// When the run began.
    pub started_at: Timestamp,
    /// Whether everything is read: the run is to be published, or the shrink guard holds it.
    pub complete: bool,
    /// Until when another invocation holds the lease; `None` if it is free.
    pub held_until: Option<Timestamp>,
    /// When Clerk may be asked again, if Clerk said so.
    pub retry_at: Option<Timestamp>,
    /// How far each dataset is.
    pub progress: BTreeMap<Dataset, DatasetProgress>,
    /// Requests sent to Clerk so far.
    pub requests: u64,
    /// Invocations that held the lease so far.
    pub invocations: u64,
}

/// The answer to `changes`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ChangesAnswer {
    /// Without `from` and `to`.
    Owed(OwedAnswer),
    /// With them: what changed between the two snapshots.
    Summary(Box<Summary>),
}

/// What was done of what is owed.
#[derive(Debug, Serialize)]
pub struct OwedAnswer {
    /// Whether anything is left.
    pub status: ChangesStatus,
    /// The snapshots whose changes are written now, newest first.
    pub made: Vec<String>,
    /// How many are still owed.
    pub owed: u64,
    /// One sentence for a person.
    pub message: String,
}

/// How a `changes` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangesStatus {
    /// Nothing is owed any more.
    Complete,
    /// Time ran out.
    Partial,
}

/// The answer to `lookup`.
#[derive(Debug, Serialize)]
pub struct LookupAnswer {
    /// The resource type.
    pub resource: Resource,
    /// The records that were found, as in a snapshot.
    pub records: Vec<Box<RawValue>>,
    /// Its grants, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Box<RawValue>>>,
    /// One sentence for a person.
    pub message: String,
}
