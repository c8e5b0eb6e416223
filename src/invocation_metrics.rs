//! Collects the metrics of one invocation of `sync`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clerk_snapshot::manifest::{DatasetStatus, Manifest};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::timestamp::Timestamp;

/// The metrics of one invocation, which exist even if it fails. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct InvocationMetrics(Arc<Mutex<Measured>>);

/// What has been measured so far, for this invocation alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// Whether it continued a run that an earlier invocation began.
    pub resumed: bool,
    /// Requests sent to Clerk, including retries.
    pub requests: u64,
    /// Retries.
    pub retries: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// How long requests were ready but held back by the rate limit.
    pub waited: Duration,
    /// The sizes of the snapshot that it published; `None` if it published none.
    pub published: Option<PublishedSizes>,
    /// Outcomes of the datasets of the snapshot that it published or holds back.
    pub outcomes: Option<DatasetOutcomes>,
    /// Whether the shrink guard holds the snapshot back.
    pub held: bool,
    /// When the newest published snapshot was started.
    pub newest_started_at: Option<Timestamp>,
    /// The feeds of changes that it wrote.
    pub feeds: Vec<FeedSizes>,
    /// Whether the feed of the newest published snapshot is there; `None` if `CHANGES` is off.
    pub owed: Option<Owed>,
}

/// The size of a feed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedSizes {
    /// Records that were added.
    pub added: u64,
    /// Records that were removed.
    pub removed: u64,
    /// Grants added that let their holder give or take away access.
    pub privileged_granted: u64,
    /// Datasets that the snapshot before had, and that are `skipped` or `failed` now.
    pub datasets_lost: u64,
}

/// Whether the feed of the newest published snapshot is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owed {
    /// It is there.
    Nothing,
    /// It is missing since the snapshot was complete.
    Since(Timestamp),
}

/// The sizes of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishedSizes {
    /// Lines by dataset. Leaves out datasets that were skipped or failed.
    pub records: BTreeMap<Dataset, u64>,
    /// Stored bytes of all parts.
    pub bytes: u64,
}

impl PublishedSizes {
    /// The sizes of the snapshot that a manifest describes.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let read = manifest.datasets.iter().filter(|(_, entry)| !entry.status.is_left_out());
        let parts = manifest.datasets.values().flat_map(|entry| &entry.parts);
        Self {
            records: read.map(|(&dataset, entry)| (dataset, entry.records)).collect(),
            bytes: parts.map(|part| part.bytes).sum(),
        }
    }
}

/// How many datasets of a snapshot are incomplete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DatasetOutcomes {
    /// Clerk refused a list they need.
    pub skipped: u64,
    /// They could not be read.
    pub failed: u64,
    /// Clerk changed faster than repair could follow.
    pub drifted: u64,
}

impl DatasetOutcomes {
    /// Those of the snapshot that a manifest describes.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let count = |status| {
            manifest.datasets.values().filter(|entry| entry.status == status).count() as u64
        };
        Self {
            skipped: count(DatasetStatus::Skipped),
            failed: count(DatasetStatus::Failed),
            drifted: count(DatasetStatus::Drifted),
        }
    }
}

impl InvocationMetrics {
    /// Adds to the metrics.
    pub fn note(&self, change: impl FnOnce(&mut Measured)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The metrics up to now.
    #[must_use]
    pub fn measured(&self) -> Measured {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
