//! The snapshots below `SNAPSHOT_URL`: chooses one, and reads of it what a question needs.
//!
//! - [`which`] parses what is asked for; [`choose`] finds that snapshot among the published ones, or by its id.
//! - [`order`] puts snapshots in order, the newest first.
//! - [`scan`] reads a dataset's parts side by side, each held against its SHA-256; [`stream`] reads them in order.

pub mod choose;
pub mod order;
pub mod scan;
pub mod stream;
pub mod which;

use std::sync::Arc;

use clerk_snapshot::source::Source;
use clerk_store::aws::LazyAwsConfig;
use clerk_store::{S3Options, SnapshotUrl, StoreSource};

pub use choose::ChooseError;
pub use scan::{Lines, ScanError};
pub use which::{InvalidWhich, Which};

/// Most parts that are read at once from S3, where each answer takes tens of milliseconds.
const PARTS_AT_ONCE_FROM_S3: usize = 16;

/// The snapshots below one `SNAPSHOT_URL`.
#[derive(Debug, Clone)]
pub struct Archive {
    source: Arc<dyn Source>,
    url: String,
    parts_at_once: usize,
}

impl Archive {
    /// The snapshots at `url`, in a bucket that must belong to `expected_owner`, if that is given. Nothing is read yet.
    pub async fn open(url: &SnapshotUrl, expected_owner: Option<String>) -> Self {
        let options = S3Options { expected_owner, ..S3Options::default() };
        let store = clerk_store::open(url, &LazyAwsConfig::new(), &options).await;
        let parts_at_once = match url {
            SnapshotUrl::S3 { .. } => PARTS_AT_ONCE_FROM_S3,
            SnapshotUrl::Folder(_) => scan::processors(),
        };
        Self { source: Arc::new(StoreSource::new(store)), url: url.to_string(), parts_at_once }
    }

    /// The snapshots of any source, of which `parts_at_once` parts are read at once.
    #[must_use]
    pub fn of(source: Arc<dyn Source>, parts_at_once: usize) -> Self {
        let url = source.url_of("");
        Self { source, url, parts_at_once }
    }

    /// Where the snapshots are read from.
    #[must_use]
    pub const fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// The address of the place, for messages.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many parts are read at once.
    #[must_use]
    pub const fn parts_at_once(&self) -> usize {
        self.parts_at_once
    }
}
