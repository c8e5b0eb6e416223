//! `checkpoint.json`: the run in progress. It holds places, parts and counts, never rows, and is
//! all that the next invocation needs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clerk_snapshot::compression::Compression;
use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::manifest::{Generator, Instance, Latest, Previous, RunStats, Settings};
use clerk_snapshot::resource::Resource;
use clerk_snapshot::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clerk::retry::LONGEST_NAMED;
use crate::lists::endpoint::ListName;
use crate::lists::table::endpoint;
use crate::paging::position::PagingMode;
use crate::sync::checkpoint::list_progress::ListProgress;
use crate::translate::RoleCatalogue;

/// Key of the checkpoint, below `SNAPSHOT_URL`.
pub const CHECKPOINT_KEY: &str = "checkpoint.json";

/// The formats that are read; the first is written.
pub(crate) const FORMATS: [&str; 2] = ["clerk-sync/checkpoint/4", "clerk-sync/checkpoint/3"];

/// The file, tagged with its version: a version this program does not know is never guessed at.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "format")]
pub(crate) enum Document {
    // Version 3 has no `users_unchecked`. A program that knows only version 3 must not continue a run of version 4.
    #[serde(rename = "clerk-sync/checkpoint/4", alias = "clerk-sync/checkpoint/3")]
    V4(Checkpoint),
}

/// A run in progress.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Names the snapshot being made.
    pub snapshot_id: String,
    /// When the run began.
    pub started_at: Timestamp,
    /// Of every setting that changes the output; a run is continued under the same ones only.
    pub config_fingerprint: String,
    /// What is opted in.
    pub resources: BTreeSet<Resource>,
    /// Whether `resources` came with the event rather than from the configuration.
    pub resources_from_event: bool,
    /// The Clerk instance that is read, once it has said its name.
    pub instance: Option<Instance>,
    /// Which key the hashes in its records are made with, if `REDACT` asks for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redaction_key_id: Option<String>,
    /// Counts the writes, so that no two versions of the file are equal.
    pub revision: u64,
    /// Who may write.
    pub lease: Lease,
    /// Clerk is not asked before this moment: it said so.
    pub retry_at: Option<Timestamp>,
    /// Role ids and names, once the roles have been read.
    pub roles: RoleCatalogue,
    /// The walks, by list.
    pub lists: BTreeMap<ListName, ListProgress>,
    /// What the run has taken so far.
    pub run: RunStats,
    /// Set when every list is done: from then on the manifest's bytes no longer change.
    pub completed: Option<Completed>,
    /// Snapshots of runs given up, whose files are still to be removed.
    pub abandoned: BTreeSet<String>,
    /// The newest published snapshot when the run began, or the one that was published since: what the
    /// run's own takes the place of, whatever the clocks said.
    #[serde(default)]
    pub follows: Option<PreviousSnapshot>,
}

/// A published snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousSnapshot {
    /// Its name.
    pub snapshot_id: String,
    /// When it was started, by the clock of that time.
    pub started_at: Timestamp,
    /// Of its manifest; `None` in checkpoints of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_sha256: Option<Sha256Hex>,
}

impl PreviousSnapshot {
    /// The snapshot that `latest.json` names.
    #[must_use]
    pub fn of(latest: &Latest) -> Self {
        Self {
            snapshot_id: latest.snapshot_id.clone(),
            started_at: latest.started_at,
            manifest_sha256: Some(latest.manifest_sha256),
        }
    }

    /// Whether `latest.json` names this snapshot.
    #[must_use]
    pub fn is(&self, latest: &Latest) -> bool {
        self.snapshot_id == latest.snapshot_id && self.started_at == latest.started_at
    }
}

/// Whether what `latest.json` names overtakes another snapshot, and is not the one that its run
/// follows: that may be dated ahead by a wrong clock.
#[must_use]
pub fn overtakes(
    latest: &Latest,
    snapshot_id: &str,
    started_at: Timestamp,
    follows: Option<&PreviousSnapshot>,
) -> bool {
    latest.started_at > started_at
        && latest.snapshot_id != snapshot_id
        && !follows.is_some_and(|followed| followed.is(latest))
}

/// What the manifest says of a run that is complete. All of it stands in the checkpoint, so that
/// whoever publishes the run, under whatever settings or version, writes the same bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Completed {
    /// When its last list was done.
    pub at: Timestamp,
    /// What it had taken by then.
    pub run: RunStats,
    /// What read it.
    pub generator: Generator,
    /// How its parts are stored.
    pub compression: Compression,
    /// The settings that shaped its records; `None` if an older version completed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Which snapshot it takes the place of. `None` until that is settled, which it is once, before the
    /// manifest is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succession: Option<Succession>,
}

/// Which snapshot another takes the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Succession {
    /// What its manifest says; `None` if it is the first, or nobody knows.
    pub previous: Option<Previous>,
}

/// Who may write, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The holder's request id, for people.
    pub holder: String,
    /// Drawn anew by each invocation: a request id can be delivered twice.
    pub token: String,
    /// Free to take from this moment on; `None` when it was given back.
    pub until: Option<Timestamp>,
}

/// No lease is longer: `LEASE_SECONDS` is at most 900.
const LONGEST_LEASE: Duration = Duration::from_secs(900);

impl Lease {
    /// Until when somebody holds the run, if somebody does at `now`.
    ///
    /// A lease that reaches further ahead than any can was taken by a clock that was wrong, or this
    /// one is; the run must not stand still until the two agree. Its holder, if there is one, finds
    /// its next write refused.
    #[must_use]
    pub fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|&until| until > now && until <= now + LONGEST_LEASE)
    }
}

/// About what a segment takes in the file.
const BYTES_OF_A_SEGMENT: usize = 640;
/// About what all else does.
const BYTES_OF_THE_REST: usize = 12 * 1024;

impl Checkpoint {
    /// The file's bytes.
    ///
    /// # Errors
    /// None that a checkpoint can cause: every key is a string.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        #[derive(Serialize)]
        #[serde(tag = "format")]
        enum Document<'a> {
            #[serde(rename = "clerk-sync/checkpoint/4")]
            V4(&'a Checkpoint),
        }
        // In one piece, and one of few sizes: it is written many times a second, and pieces that grow leave
        // holes in the heap that no later one fits.
        let segments: usize = self.lists.values().map(|list| list.segments().count()).sum();
        let mut bytes = Vec::with_capacity(
            (BYTES_OF_THE_REST + segments * BYTES_OF_A_SEGMENT).next_power_of_two(),
        );
        serde_json::to_writer(&mut bytes, &Document::V4(self))?;
        Ok(bytes)
    }
}

impl Checkpoint {
    /// Whether the run is over: it is complete, and `latest.json` names its snapshot.
    #[must_use]
    pub fn is_published(&self, latest: &Latest) -> bool {
        latest.snapshot_id == self.snapshot_id && self.completed.is_some()
    }

    /// Until when Clerk is not asked, if that lies ahead of `now`; further ahead than any wait that
    /// is believed it was a clock that was wrong.
    #[must_use]
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.retry_at.filter(|&until| until > now && until <= now + LONGEST_NAMED)
    }
}

/// One list's progress, begun if need be.
pub fn progress_of(checkpoint: &mut Checkpoint, list: impl Into<ListName>) -> &mut ListProgress {
    let list = list.into();
    checkpoint
        .lists
        .entry(list)
        .or_insert_with(|| ListProgress::new(PagingMode::first(endpoint(list))))
}
