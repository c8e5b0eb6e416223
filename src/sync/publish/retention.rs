//! Removes published snapshots except the newest few (`KEEP_SNAPSHOTS`).
//!
//! - The chain of `previous` says which snapshots are published, and in which order. What is behind a gap in it stays.
//! - The oldest goes first, its manifest last: after an interruption the chain still leads to what is left.
//! - A file below `removing/` says that a snapshot is being removed, so that readers do not take it for damaged, and the
//!   next invocation knows that there is something to finish. Nothing is removed because of such a file alone.
//! - What `latest.json` or the run in progress names stays, however few are to be kept.
//! - What changed between a snapshot and the one after it is written before the snapshot goes.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use clerk_snapshot::document;
use clerk_snapshot::layout::{REMOVALS_FOLDER, manifest_key, removal_key, snapshot_of_removal};
use clerk_snapshot::reader::{Chain, Link, ReadError};
use clerk_store::{Condition, ContentType, Store, StoreError, StoreSource};
use serde::Serialize;
use tracing::{info, warn};

use crate::changes::error::FeedError;
use crate::changes::feeds::{Feed, Feeds};
use crate::error::with_causes;
use crate::invocation_metrics::InvocationMetrics;
use crate::sync::checkpoint::document::{CHECKPOINT_KEY, Checkpoint};
use crate::sync::publish::cleanup::{remove, remove_except};
use crate::time_limit::TimeLimit;

/// Removes published snapshots except the newest `keep`.
pub(crate) struct Retention<'a> {
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) keep: NonZeroUsize,
    /// Writes what changed; `None` if `CHANGES` is off.
    pub(crate) feeds: Option<Feeds>,
    pub(crate) limit: TimeLimit,
    pub(crate) metrics: &'a InvocationMetrics,
}

/// Why snapshots may have to be removed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// A snapshot was published, or a list or a feed was written that older snapshots were kept for.
    Due,
    /// Nothing new. Only removals that an earlier invocation began are finished; if there are none, this costs one
    /// listing.
    Unfinished,
}

/// Why older snapshots could not be removed. A later invocation tries again.
#[derive(Debug, thiserror::Error)]
enum RetentionError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody knows which snapshots such a checkpoint names.
    #[error("checkpoint.json cannot be understood")]
    Checkpoint,
    /// The changes of the newest snapshot are owed. They are not written here, because the answer says what became of
    /// them.
    #[error("what changed with the newest snapshot is still to be written")]
    Owed,
    #[error("what changed with {1} could not be written")]
    Feed(#[source] FeedError, String),
    /// Out of memory.
    #[error(transparent)]
    Encode(#[from] serde_json::Error),
}

impl Retention<'_> {
    /// Removes the snapshots for as long as there is time. Nothing depends on it, so a failure is logged.
    pub(crate) async fn enforce(&self, trigger: Trigger) {
        let removed = tokio::select! {
            removed = self.remove_all_but_newest(trigger) => removed,
            _ = self.limit.reached() => {
                warn!("there was no time left to remove all older snapshots; a later sync goes on");
                return;
            }
        };
        match removed {
            Ok(0) => {}
            Ok(removed) => info!(removed, "older snapshots removed"),
            Err(error) => {
                let error = with_causes(&error);
                warn!(error, "older snapshots could not be removed; a later sync tries again");
            }
        }
    }

    async fn remove_all_but_newest(&self, trigger: Trigger) -> Result<u64, RetentionError> {
        let store = &**self.store;
        let begun = begun(store).await?;
        if trigger == Trigger::Unfinished && begun.is_empty() {
            return Ok(0);
        }
        let published = published(self.store).await?;
        let in_use = in_use(store).await?;
        let mut gone = BTreeSet::new();
        // Each with the one after it.
        let older = published.windows(2).skip(self.keep.get() - 1).rev();
        for pair in older.filter(|pair| !in_use.contains(&pair[1])) {
            if self.limit.exceeded().is_some() {
                return Ok(gone.len() as u64);
            }
            let [after, id] = pair else { continue };
            self.write_changes(after, &published[0]).await?;
            if !begun.contains(id) {
                announce(store, id).await?;
            }
            let manifest = manifest_key(id);
            let but = BTreeSet::from([manifest.clone()]);
            remove_except(store, id, &but).await?;
            remove(store, &manifest).await?;
            gone.insert(id.clone());
        }
        let removed = gone.len() as u64;
        for id in begun.into_iter().filter(|id| !published.contains(id)) {
            if store.verify(&manifest_key(&id)).await?.is_none() {
                gone.insert(id);
            }
        }
        for id in &gone {
            remove(store, &removal_key(id)).await?;
        }
        Ok(removed)
    }

    /// Writes what changed with the snapshot `after` one that is about to be removed, if that is still owed: nobody
    /// could find it out later.
    async fn write_changes(&self, after: &str, newest: &str) -> Result<(), RetentionError> {
        let Some(feeds) = &self.feeds else { return Ok(()) };
        let failed = |error| RetentionError::Feed(error, after.to_owned());
        if feeds.has_feed(after).await.map_err(failed)? {
            return Ok(());
        }
        if after == newest {
            return Err(RetentionError::Owed);
        }
        let feed = feeds.make_of_id(after).await.map_err(failed)?;
        self.metrics.note(|measured| measured.feeds.extend(feed.iter().map(Feed::sizes)));
        Ok(())
    }
}

/// The snapshots whose removal was begun. If all went well since, there is none.
async fn begun(store: &dyn Store) -> Result<BTreeSet<String>, StoreError> {
    let listed = store.list(REMOVALS_FOLDER).await?;
    let ids = listed.iter().filter_map(|listed| snapshot_of_removal(&listed.key));
    Ok(ids.map(str::to_owned).collect())
}

/// Says that a snapshot is being removed. The file stays until every snapshot that is due is removed, so that a later
/// invocation can go on.
async fn announce(store: &dyn Store, snapshot_id: &str) -> Result<(), RetentionError> {
    #[derive(Serialize)]
    struct Removal<'a> {
        snapshot_id: &'a str,
    }
    let bytes = document::to_bytes(&Removal { snapshot_id })?;
    store.put(&removal_key(snapshot_id), bytes, ContentType::Json, Condition::Any).await?;
    Ok(())
}

/// The ids of the published snapshots, newest first.
async fn published(store: &Arc<dyn Store>) -> Result<Vec<String>, ReadError> {
    let mut chain = Chain::from_latest(Arc::new(StoreSource::new(Arc::clone(store))));
    let mut ids = Vec::new();
    while let Some(Link::Snapshot(snapshot)) = chain.next().await? {
        ids.push(snapshot.id().to_owned());
    }
    Ok(ids)
}

/// The snapshots that the run in progress names: its own, and the one that it follows.
async fn in_use(store: &dyn Store) -> Result<BTreeSet<String>, RetentionError> {
    let Some(object) = store.get(CHECKPOINT_KEY).await? else { return Ok(BTreeSet::new()) };
    let checkpoint =
        Checkpoint::from_json(&object.bytes).map_err(|_| RetentionError::Checkpoint)?;
    let follows = checkpoint.follows.map(|follows| follows.snapshot_id);
    let settled = checkpoint.completed.and_then(|completed| completed.succession);
    let previous = settled.and_then(|settled| settled.previous);
    let previous = previous.map(|previous| previous.snapshot_id);
    Ok([Some(checkpoint.snapshot_id), follows, previous].into_iter().flatten().collect())
}
