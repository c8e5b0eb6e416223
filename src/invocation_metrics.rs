//! What an invocation of `sync` has taken and brought about, for whoever watches from outside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clerk_snapshot::manifest::{DatasetStatus, Manifest};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::timestamp::Timestamp;

/// Collects what one invocation did, to its end however that comes. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct InvocationMetrics(Arc<Mutex<Measured>>);

/// What has been measured so far, of this invocation alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// Whether it went on with a run that an earlier invocation began.
    pub resumed: bool,
    /// Requests sent to Clerk, repeated ones included.
    pub requests: u64,
    /// Requests that repeated an earlier one.
    pub retries: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// How long a request stood ready and was not sent, for the rate limit's sake.
    pub waited: Duration,
    /// What it published, if it did.
    pub published: Option<PublishedSizes>,
    /// How the datasets of the snapshot fared that it published or holds back.
    pub outcomes: Option<DatasetOutcomes>,
    /// Whether the shrink guard holds the snapshot.
    pub held: bool,
    /// When the newest published snapshot was started.
    pub newest_started_at: Option<Timestamp>,
}

/// The sizes of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishedSizes {
    /// Lines by dataset; a dataset that was skipped or failed is not named.
    pub records: BTreeMap<Dataset, u64>,
    /// Bytes of all parts as they are stored.
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

/// How many datasets of a snapshot are not what a reader would like.
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
    /// Adds to what is known.
    pub fn note(&self, change: impl FnOnce(&mut Measured)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is known by now.
    #[must_use]
    pub fn measured(&self) -> Measured {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
