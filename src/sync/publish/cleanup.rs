//! Removes the files that no manifest names, after a snapshot is published.

use std::collections::{BTreeMap, BTreeSet};

use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::layout::{
    is_snapshot_id, manifest_key, manifest_signature_key, snapshot_folder,
};
use clerk_snapshot::part_name::is_part_of;
use clerk_snapshot::resource::Dataset;
use clerk_store::conformance::remove_probes;
use clerk_store::{DeleteCondition, Store, StoreError};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use tracing::warn;

use crate::sync::checkpoint::document::{CHECKPOINT_KEY, Checkpoint, PublishedSnapshot};
use crate::sync::checkpoint::ids_file::is_ids_key;

/// Objects that are removed concurrently.
const REMOVED_AT_ONCE: usize = 16;

/// Removes parts that were replaced or stored just before an interruption, the files of abandoned
/// runs, and files that an invocation without the lease stored after the previous snapshot was
/// published.
///
/// `checkpoint` is that of a published run, and `published` is the snapshot that `latest.json`
/// names. It can be repeated at any time and by any invocation: published snapshots do not change,
/// and abandoned runs are never published. Files of the published snapshot and of the one before it
/// stay, even if an edited checkpoint calls them abandoned.
///
/// Returns whether everything could be removed; the snapshot is published either way.
pub(crate) async fn clean_up(
    store: &dyn Store,
    checkpoint: &Checkpoint,
    published: &PublishedSnapshot,
) -> bool {
    let snapshots: Vec<&PublishedSnapshot> = checkpoint.follows.iter().chain([published]).collect();
    let mut result = Ok(());
    for snapshot in &snapshots {
        result = result.and(tidy(store, snapshot).await);
    }
    let was_published = |id: &String| snapshots.iter().any(|it| it.snapshot_id == *id);
    for abandoned in checkpoint.abandoned.iter().filter(|id| !was_published(id)) {
        result = result.and(remove_except(store, abandoned, &BTreeSet::new()).await);
    }
    result = result.and(remove_probes(store).await);
    result = result.and(store.remove_leftovers().await.map(|_| ()));
    if let Err(error) = &result {
        warn!(error = %error, "leftovers could not be removed; they are not part of any snapshot");
    }
    result.is_ok()
}

/// Removes the files of a run whose lease is lost, if another invocation has abandoned the run: nobody else would look
/// for files that this one stored after that one had cleaned up. A run that continues, or was published, keeps its
/// files.
pub(crate) async fn remove_if_abandoned(store: &dyn Store, snapshot_id: &str) {
    let removed = match is_abandoned(store, snapshot_id).await {
        Ok(false) => Ok(()),
        Ok(true) => remove_except(store, snapshot_id, &BTreeSet::new()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        warn!(error = %error, "leftovers of the abandoned run {snapshot_id} could not be removed");
    }
}

/// Whether the checkpoint is that of another run, or gone, although this one was not published. It cannot come back.
async fn is_abandoned(store: &dyn Store, snapshot_id: &str) -> Result<bool, StoreError> {
    #[derive(Deserialize)]
    struct Named {
        snapshot_id: String,
    }
    let is_in_progress = match store.get(CHECKPOINT_KEY).await? {
        None => false,
        // What cannot be understood may be this run's.
        Some(object) => serde_json::from_slice(&object.bytes)
            .map_or(true, |checkpoint: Named| checkpoint.snapshot_id == snapshot_id),
    };
    Ok(!is_in_progress && store.verify(&manifest_key(snapshot_id)).await?.is_none())
}

/// Removes the files in a published snapshot's folder that its manifest does not name.
async fn tidy(store: &dyn Store, published: &PublishedSnapshot) -> Result<(), StoreError> {
    match objects_of(store, published).await? {
        Some(named) => remove_except(store, &published.snapshot_id, &named).await,
        // Without the manifest nothing says which files to keep.
        None => Ok(()),
    }
}

/// Keys of the files of a published snapshot; `None` if its manifest is not the one that was
/// published.
async fn objects_of(
    store: &dyn Store,
    published: &PublishedSnapshot,
) -> Result<Option<BTreeSet<String>>, StoreError> {
    #[derive(Deserialize)]
    struct Named {
        datasets: BTreeMap<String, Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        parts: Vec<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        key: String,
    }
    let id = published.snapshot_id.as_str();
    if !is_snapshot_id(id) {
        return Ok(None);
    }
    let Some(object) = store.get(&manifest_key(id)).await? else { return Ok(None) };
    if published.manifest_sha256 != Some(Sha256Hex::of(&object.bytes)) {
        return Ok(None);
    }
    let Ok(Named { datasets }) = serde_json::from_slice(&object.bytes) else { return Ok(None) };
    let parts = datasets.values().flat_map(|dataset| &dataset.parts);
    let folder = snapshot_folder(id);
    let parts = parts.map(|part| format!("{folder}{}", part.key));
    Ok(Some(parts.chain([manifest_key(id), manifest_signature_key(id)]).collect()))
}

/// Removes every file in a snapshot's folder that is not named and that this program could have
/// written. Files of others stay.
///
/// # Errors
/// [`StoreError`] of the last file that cannot be removed; the others are removed.
pub(super) async fn remove_except(
    store: &dyn Store,
    snapshot_id: &str,
    named: &BTreeSet<String>,
) -> Result<(), StoreError> {
    let folder = snapshot_folder(snapshot_id);
    let beside_parts = [manifest_key(snapshot_id), manifest_signature_key(snapshot_id)];
    let is_ours = |key: &String| {
        let in_folder = key.strip_prefix(&folder).unwrap_or_default();
        beside_parts.contains(key)
            || is_ids_key(in_folder)
            || Dataset::ALL.iter().any(|&it| is_part_of(it, in_folder))
    };
    let listed = match store.list(&folder).await {
        // Tried twice: files that are missed now are not looked for again.
        Err(_) => store.list(&folder).await?,
        Ok(listed) => listed,
    };
    let listed = listed.into_iter().map(|listed| listed.key);
    stream::iter(listed.filter(|key| is_ours(key) && !named.contains(key)))
        .map(|key| async move { remove(store, &key).await })
        .buffer_unordered(REMOVED_AT_ONCE)
        .fold(Ok(()), async |result, removed| removed.and(result))
        .await
}

/// Removes a file.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn remove(store: &dyn Store, key: &str) -> Result<(), StoreError> {
    match store.delete(key, DeleteCondition::Any).await {
        // Tried twice: the file is not looked for again.
        Err(_) => store.delete(key, DeleteCondition::Any).await,
        removed => removed,
    }
}
