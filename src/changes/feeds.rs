//! Makes the feed of a snapshot.
//!
//! - The parts are written first, then the summary that names them, then `changes/latest.json`: a reader that follows
//!   it never misses a file.
//! - Every step can be repeated after an interruption. The same two snapshots give the same bytes.
//! - If a snapshot is gone or damaged, or the one before is of another instance, the summary says so. Otherwise the feed
//!   would be owed for ever.

use std::sync::Arc;

use bytes::Bytes;
use clerk_snapshot::compare::summary::{Compared, DatasetSummary, LatestChanges};
use clerk_snapshot::compare::{Classes, CompareError, Comparison, Limits, Sink, Summary};
use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::document;
use clerk_snapshot::layout::{
    CHANGES_LATEST_KEY, FEED_SUMMARY, feed_folder, feed_summary_key, snapshot_folder,
};
use clerk_snapshot::manifest::{DatasetEntry, Manifest, Previous};
use clerk_snapshot::reader::{ReadError, Snapshot, read_latest};
use clerk_snapshot::source::Source;
use clerk_store::{Condition, ContentType, DeleteCondition, Store, StoreSource};
use tracing::{info, warn};

use super::error::FeedError;
use super::part_writer::PartWriter;
use crate::athena::list_feed;
use crate::error::with_causes;
use crate::invocation_metrics::FeedSizes;
use crate::time_limit::TimeLimit;

/// Makes feeds in one store.
#[derive(Debug)]
pub struct Feeds {
    pub(super) store: Arc<dyn Store>,
    pub(super) source: Arc<dyn Source>,
    /// The classes of changes that feeds have.
    pub(super) classes: Classes,
    /// Whether each feed gets a list of its parts for Athena.
    pub(super) listed_for_athena: bool,
    /// Until when this invocation may work on them.
    pub(super) limit: TimeLimit,
}

/// A feed.
#[derive(Debug, Clone)]
pub struct Feed {
    /// Its summary.
    pub summary: Summary,
    /// Address of the summary.
    pub url: String,
    /// Datasets that the snapshot before had, and that are `skipped` or `failed` now.
    pub datasets_lost: u64,
}

impl Feed {
    /// What the metrics say about it.
    #[must_use]
    pub fn sizes(&self) -> FeedSizes {
        let sum =
            |count: fn(&DatasetSummary) -> u64| self.summary.datasets.values().map(count).sum();
        FeedSizes {
            added: sum(|dataset| dataset.added),
            removed: sum(|dataset| dataset.removed),
            privileged_granted: self.summary.privileged_granted,
            datasets_lost: self.datasets_lost,
        }
    }
}

/// What can be compared, or why a summary says nothing about any dataset.
type Usable<T> = Result<T, &'static str>;

const PREVIOUS_GONE: &str = "previous_gone";
const PREVIOUS_DAMAGED: &str = "previous_damaged";
const OTHER_INSTANCE: &str = "previous_of_other_instance";
const GONE: &str = "snapshot_gone";
const DAMAGED: &str = "snapshot_damaged";

/// Attempts to move `changes/latest.json` while others seem to change it.
const MAX_ATTEMPTS: u32 = 3;

/// Less than a comparison may take by itself, because the run before it leaves memory behind.
fn limits() -> Limits {
    Limits {
        entries: 100_000,
        held_bytes: 12 * 1024 * 1024,
        read_ahead_bytes: 2 * 1024 * 1024,
        ..Limits::default()
    }
}

impl Feeds {
    /// Feeds of these classes.
    #[must_use]
    pub fn new(
        store: &Arc<dyn Store>,
        classes: Classes,
        listed_for_athena: bool,
        limit: TimeLimit,
    ) -> Self {
        let source = Arc::new(StoreSource::new(Arc::clone(store)));
        Self { store: Arc::clone(store), source, classes, listed_for_athena, limit }
    }

    /// Makes the feed that leads to a published snapshot, unless it is there. `None`: it is the first snapshot, and has
    /// no feed.
    ///
    /// # Errors
    /// [`FeedError`]. What was written is completed by the next attempt.
    pub async fn make(&self, to: &Snapshot) -> Result<Option<Feed>, FeedError> {
        let Some(previous) = &to.manifest().previous else { return Ok(None) };
        if let Some(why) = self.limit.exceeded() {
            return Err(FeedError::Stopped(why));
        }
        tokio::select! {
            made = self.make_after(previous, to) => made.map(Some),
            why = self.limit.reached() => Err(FeedError::Stopped(why)),
        }
    }

    async fn make_after(&self, previous: &Previous, to: &Snapshot) -> Result<Feed, FeedError> {
        let from = self.open(previous).await?;
        let (summary, sha256) = match self.written_summary(previous, to).await? {
            Some(written) => written,
            None => self.write(previous, &from, to).await?,
        };
        let latest = LatestChanges {
            summary: feed_summary_key(to.id()),
            summary_sha256: sha256,
            from: previous.snapshot_id.clone(),
            to: to.id().to_owned(),
        };
        if self.listed_for_athena {
            list_feed(&*self.store, &summary).await?;
        }
        self.point_latest_to(&latest).await?;
        info!(from = previous.snapshot_id, to = to.id(), "changes written");
        let datasets_lost = from.map_or(0, |from| datasets_lost(from.manifest(), to.manifest()));
        Ok(Feed { url: self.store.url_of(&latest.summary), summary, datasets_lost })
    }

    /// The snapshot that another one names as the one before it.
    pub(super) async fn open(&self, previous: &Previous) -> Result<Usable<Snapshot>, FeedError> {
        let expected = Some(&previous.manifest_sha256);
        match Snapshot::open(Arc::clone(&self.source), &previous.snapshot_id, expected).await {
            Ok(from) => Ok(Ok(from)),
            Err(ReadError::NotFound { .. } | ReadError::Removed { .. }) => Ok(Err(PREVIOUS_GONE)),
            Err(ReadError::Damaged { .. }) => Ok(Err(PREVIOUS_DAMAGED)),
            Err(error @ ReadError::Unavailable { .. }) => Err(error.into()),
        }
    }

    /// The summary that an earlier attempt has written, and its checksum. One that cannot be understood is written
    /// again.
    async fn written_summary(
        &self,
        previous: &Previous,
        to: &Snapshot,
    ) -> Result<Option<(Summary, Sha256Hex)>, FeedError> {
        let object = self.store.get(&feed_summary_key(to.id())).await?;
        Ok(object.and_then(|object| {
            let summary: Summary = serde_json::from_slice(&object.bytes).ok()?;
            let is_its = summary.to.manifest_sha256 == *to.manifest_sha256()
                && summary.from.manifest_sha256 == previous.manifest_sha256;
            is_its.then(|| (summary, Sha256Hex::of(&object.bytes)))
        }))
    }

    /// Compares, and writes the parts and the summary.
    async fn write(
        &self,
        previous: &Previous,
        from: &Usable<Snapshot>,
        to: &Snapshot,
    ) -> Result<(Summary, Sha256Hex), FeedError> {
        let unsaid = |from, reason| Summary::unsaid(from, to, self.classes, reason);
        let summary = match from {
            Ok(from) => match self.write_parts(from, to).await? {
                Ok(summary) => summary,
                Err(reason) => unsaid(Compared::of(from), reason),
            },
            Err(reason) => unsaid(Compared::unread(previous), reason),
        };
        self.remove_other_files(&summary).await?;
        let bytes = document::to_bytes(&summary)?;
        let sha256 = Sha256Hex::of(&bytes);
        let key = feed_summary_key(to.id());
        self.store.put(&key, bytes, ContentType::Json, Condition::Any).await?;
        Ok((summary, sha256))
    }

    /// Writes the records as parts.
    async fn write_parts(
        &self,
        from: &Snapshot,
        to: &Snapshot,
    ) -> Result<Usable<Summary>, FeedError> {
        let mut writer = PartWriter {
            store: &*self.store,
            folder: feed_folder(to.id()),
            compression: to.manifest().compression,
            completed_at: to.manifest().completed_at,
            limit: &self.limit,
            open: None,
            written: Vec::new(),
        };
        match self.compare(from, to, &mut writer).await {
            Ok(summary) => {
                let parts = writer.finish().await.map_err(CompareError::Sink)?;
                Ok(Ok(Summary { parts, ..summary }))
            }
            Err(CompareError::Stopped) => Err(FeedError::Stopped(self.limit.reached().await)),
            Err(CompareError::DifferentInstances { .. }) => Ok(Err(OTHER_INSTANCE)),
            Err(CompareError::Read(error)) => {
                let Some(reason) = why_unsaid(&error, from) else { return Err(error.into()) };
                warn!(error = with_causes(&error), "what changed cannot be said");
                Ok(Err(reason))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Compares two snapshots, and writes nothing.
    pub(super) async fn compare(
        &self,
        from: &Snapshot,
        to: &Snapshot,
        sink: &mut dyn Sink,
    ) -> Result<Summary, CompareError> {
        Comparison::new(from, to)?.classes(self.classes).limits(limits()).run(sink).await
    }

    /// Removes parts that an earlier attempt wrote for other classes: a query that reads the whole folder must not
    /// find them.
    async fn remove_other_files(&self, summary: &Summary) -> Result<(), FeedError> {
        let folder = feed_folder(&summary.to.snapshot_id);
        for listed in self.store.list(&folder).await? {
            let name = &listed.key[folder.len()..];
            if name != FEED_SUMMARY && !summary.parts.iter().any(|part| part.key == name) {
                self.store.delete(&listed.key, DeleteCondition::Any).await?;
            }
        }
        Ok(())
    }

    /// Moves `changes/latest.json`, unless it names a newer feed.
    async fn point_latest_to(&self, latest: &LatestChanges) -> Result<(), FeedError> {
        let bytes = document::to_bytes(latest)?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let standing = self.store.get(CHANGES_LATEST_KEY).await?;
            let named = standing.as_ref().and_then(|object| named(&object.bytes));
            if let Some(named) = named
                && (named == *latest
                    || (named.to > latest.to && !self.is_newest(&latest.to).await?))
            {
                return Ok(());
            }
            let condition =
                standing.map_or(Condition::Absent, |object| Condition::Matches(object.version));
            let put = self
                .store
                .put(CHANGES_LATEST_KEY, bytes.clone(), ContentType::Json, condition)
                .await;
            match put {
                Ok(_) => return Ok(()),
                Err(error) if error.is_precondition_failed() && attempts < MAX_ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether `latest.json` names this snapshot. Ids follow the clock, which may have been set back.
    async fn is_newest(&self, snapshot_id: &str) -> Result<bool, FeedError> {
        let latest = read_latest(&*self.source).await?;
        Ok(latest.is_some_and(|latest| latest.snapshot_id == snapshot_id))
    }
}

/// What `changes/latest.json` says; `None` if it cannot be understood, and is to be replaced.
pub(super) fn named(bytes: &Bytes) -> Option<LatestChanges> {
    serde_json::from_slice(bytes).ok()
}

/// What a summary says if a file of one of the two snapshots is damaged or gone; `None` if that may pass.
fn why_unsaid(error: &ReadError, from: &Snapshot) -> Option<&'static str> {
    let (url, of_from, of_to) = match error {
        ReadError::Removed { url } => (url, PREVIOUS_GONE, GONE),
        ReadError::Damaged { url, .. } => (url, PREVIOUS_DAMAGED, DAMAGED),
        ReadError::NotFound { .. } | ReadError::Unavailable { .. } => return None,
    };
    Some(if is_of(from, url) { of_from } else { of_to })
}

/// Whether a file is one of this snapshot's.
pub(super) fn is_of(snapshot: &Snapshot, url: &str) -> bool {
    url.starts_with(&snapshot.source().url_of(&snapshot_folder(snapshot.id())))
}

fn datasets_lost(from: &Manifest, to: &Manifest) -> u64 {
    let is_read = |entry: &DatasetEntry| !entry.status.is_left_out();
    let left_out = to.datasets.iter().filter(|(_, entry)| !is_read(entry));
    left_out.filter(|(dataset, _)| from.datasets.get(dataset).is_some_and(is_read)).count() as u64
}
