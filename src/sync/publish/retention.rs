//! Removes published snapshots that are older than the newest few (`KEEP_SNAPSHOTS`).
//!
//! - The chain of `previous` says which snapshots are published, and in which order. What is behind a gap in it stays.
//! - The oldest goes first, its manifest last: after an interruption the chain still leads to what is left.
//! - What `latest.json` or the run in progress names stays, however few are to be kept.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use clerk_snapshot::layout::{manifest_key, snapshot_folder};
use clerk_snapshot::reader::{Chain, Link, ReadError};
use clerk_store::{Store, StoreError, StoreSource};
use tracing::{info, warn};

use crate::error::with_causes;
use crate::sync::checkpoint::document::{CHECKPOINT_KEY, Checkpoint};
use crate::sync::publish::cleanup::{remove, remove_all};
use crate::time_limit::TimeLimit;

/// Why older snapshots could not be removed. The next invocation that publishes tries again.
#[derive(Debug, thiserror::Error)]
enum RetentionError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody knows which snapshots such a checkpoint names.
    #[error("checkpoint.json cannot be understood")]
    Checkpoint,
}

/// Removes published snapshots but the newest `keep`, for as long as there is time. Nothing depends on it, so a failure
/// is logged.
pub(crate) async fn remove_older(store: &Arc<dyn Store>, keep: NonZeroUsize, limit: &TimeLimit) {
    let removing = remove_all_but(store, keep, limit);
    let removed = tokio::select! {
        removed = removing => removed,
        _ = limit.reached() => {
            warn!("there was no time left to remove all older snapshots; the next sync that publishes goes on");
            return;
        }
    };
    match removed {
        Ok(0) => {}
        Ok(removed) => info!(removed, "older snapshots removed"),
        Err(error) => {
            let error = with_causes(&error);
            warn!(
                error,
                "older snapshots could not be removed; the next sync that publishes tries again"
            );
        }
    }
}

async fn remove_all_but(
    store: &Arc<dyn Store>,
    keep: NonZeroUsize,
    limit: &TimeLimit,
) -> Result<u64, RetentionError> {
    let published = published(store).await?;
    let in_use = in_use(&**store).await?;
    let older = published.iter().skip(keep.get()).filter(|id| !in_use.contains(*id));
    let mut removed = 0;
    for id in older.rev() {
        if limit.exceeded().is_some() {
            break;
        }
        let manifest = manifest_key(id);
        let but = BTreeSet::from([manifest.clone()]);
        remove_all(&**store, &snapshot_folder(id), &but).await?;
        remove(&**store, &manifest).await?;
        removed += 1;
    }
    Ok(removed)
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
