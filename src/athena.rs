//! Writes lists of files below `athena/`, which tables in Athena and other engines that know Hive's symlink format read
//! instead of a folder (`ATHENA_LATEST`; docs/data.md).
//!
//! - `athena/latest/<dataset>/symlink.txt` names the parts of the newest published snapshot, one address a line.
//! - `athena/changes/<id>.txt` names the parts of one feed of changes.
//! - `athena/latest.json` says which snapshot the lists of `athena/latest/` are of. It is written last.
//!
//! A list is only written over the version that was there before `latest.json` was looked at. So an invocation that
//! slept while a newer snapshot was published finds its writes refused. Where a list had the same bytes before and after,
//! the store cannot tell; then `athena/latest.json` is removed, and the next `sync` writes all lists again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use clerk_snapshot::compare::Summary;
use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::document;
use clerk_snapshot::layout::{
    CHANGES_FOLDER, feed_folder, feed_of_summary, feed_summary_key, snapshot_folder,
};
use clerk_snapshot::manifest::{Latest, Manifest};
use clerk_snapshot::reader::{ReadError, Snapshot, read_latest};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::source::Source;
use clerk_store::{
    Condition, ContentType, DeleteCondition, Object, Store, StoreError, StoreSource,
};
use futures_util::future::ready;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::error::with_causes;

/// Key of the file that says which snapshot the lists are of.
const MARKER_KEY: &str = "athena/latest.json";

/// The folder with a folder for each dataset.
const LATEST_FOLDER: &str = "athena/latest/";

/// The folder with a list for each feed.
const FEEDS_FOLDER: &str = "athena/changes/";

/// Lists that are read or written at the same time.
const AT_ONCE: usize = 8;

/// Why the lists could not be brought up to date. The next `sync` tries again.
#[derive(Debug, thiserror::Error)]
pub enum AthenaError {
    /// A file could not be read, written or listed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The snapshot could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Somebody else wrote a list meanwhile, or a newer snapshot was published, whose invocation writes the lists.
    #[error("another invocation is writing them, or has published a newer snapshot")]
    Overtaken,
    /// The file that names the snapshot could not be built (out of memory).
    #[error("athena/latest.json could not be written")]
    Encode(#[from] serde_json::Error),
}

/// Which snapshot the lists are of: `athena/latest.json`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    snapshot_id: String,
    manifest_sha256: Sha256Hex,
}

impl Listed {
    fn of(latest: &Latest) -> Self {
        let Latest { snapshot_id, manifest_sha256, .. } = latest;
        Self { snapshot_id: snapshot_id.clone(), manifest_sha256: *manifest_sha256 }
    }
}

/// Writes the lists of the parts of the newest published snapshot, unless they are there. A dataset that is not in it, or
/// has no records, has an empty list, which is a table without rows. What Athena makes of a table whose location has no
/// file is nowhere documented. Returns whether it wrote them.
///
/// # Errors
/// [`AthenaError`]. Some lists may have been written by then.
pub async fn list_snapshot(store: &Arc<dyn Store>, latest: &Latest) -> Result<bool, AthenaError> {
    let marker = store.get(MARKER_KEY).await?;
    let names = |object: &Object| serde_json::from_slice::<Listed>(&object.bytes).ok();
    if marker.as_ref().and_then(names) == Some(Listed::of(latest)) {
        return Ok(false);
    }
    let source: Arc<dyn Source> = Arc::new(StoreSource::new(Arc::clone(store)));
    let sha256 = Some(&latest.manifest_sha256);
    let snapshot = Snapshot::open(Arc::clone(&source), &latest.snapshot_id, sha256).await?;
    let standing = standing_lists(&**store).await?;
    if read_latest(&*source).await?.as_ref() != Some(latest) {
        return Err(AthenaError::Overtaken);
    }
    let written = write_all(&**store, latest, snapshot.manifest(), &standing, marker).await;
    if matches!(written, Err(AthenaError::Overtaken)) {
        store.delete(MARKER_KEY, DeleteCondition::Any).await?;
    }
    written?;
    if let Err(error) = list_older_feeds(&**store).await {
        let error = with_causes(&error);
        warn!(
            error,
            "older feeds have no list for Athena yet; the next snapshot's sync writes them"
        );
    }
    Ok(true)
}

/// Writes the lists, and then the marker, over what was there.
async fn write_all(
    store: &dyn Store,
    latest: &Latest,
    manifest: &Manifest,
    standing: &BTreeMap<String, Object>,
    marker: Option<Object>,
) -> Result<(), AthenaError> {
    write_lists(store, lists_of(store, manifest), standing).await?;
    let bytes = document::to_bytes(&Listed::of(latest))?;
    replace(store, MARKER_KEY, bytes, ContentType::Json, marker).await
}

async fn write_lists(
    store: &dyn Store,
    lists: BTreeMap<String, Bytes>,
    standing: &BTreeMap<String, Object>,
) -> Result<(), AthenaError> {
    stream::iter(lists.into_iter().map(|(key, list)| (standing.get(&key).cloned(), key, list)))
        .map(|(standing, key, list)| async move {
            replace(store, &key, list, ContentType::Text, standing).await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// The lists that are there now, by key.
async fn standing_lists(store: &dyn Store) -> Result<BTreeMap<String, Object>, StoreError> {
    let listed = store.list(LATEST_FOLDER).await?;
    stream::iter(listed.into_iter().map(|listed| listed.key))
        .map(|key| async move { Ok(store.get(&key).await?.map(|object| (key, object))) })
        .buffer_unordered(AT_ONCE)
        .try_filter_map(|found| ready(Ok(found)))
        .try_collect()
        .await
}

/// The list of each dataset, by key.
fn lists_of(store: &dyn Store, manifest: &Manifest) -> BTreeMap<String, Bytes> {
    let folder = snapshot_folder(&manifest.snapshot_id);
    let no_parts = Dataset::ALL.iter().map(|&dataset| (list_key(dataset), Bytes::new()));
    let parts = manifest.datasets.iter().map(|(&dataset, entry)| {
        let keys = entry.parts.iter().map(|part| part.key.as_str());
        (list_key(dataset), list(store, &folder, keys))
    });
    no_parts.chain(parts).collect()
}

fn list_key(dataset: Dataset) -> String {
    format!("{LATEST_FOLDER}{dataset}/symlink.txt")
}

/// Writes the list of a feed's parts.
///
/// # Errors
/// [`StoreError`].
pub async fn list_feed(store: &dyn Store, feed: &Summary) -> Result<(), StoreError> {
    let to_id = &feed.to.snapshot_id;
    let parts = feed.parts.iter().map(|part| part.key.as_str());
    let list = list(store, &feed_folder(to_id), parts);
    store.put(&feed_list_key(to_id), list, ContentType::Text, Condition::Any).await?;
    Ok(())
}

/// Writes the lists of the feeds that have none: `ATHENA_LATEST` was not set when they were made.
async fn list_older_feeds(store: &dyn Store) -> Result<(), StoreError> {
    let keys = async |folder| -> Result<Vec<String>, StoreError> {
        Ok(store.list(folder).await?.into_iter().map(|listed| listed.key).collect())
    };
    let standing: BTreeSet<String> = keys(FEEDS_FOLDER).await?.into_iter().collect();
    for id in keys(CHANGES_FOLDER).await?.iter().filter_map(|key| feed_of_summary(key)) {
        if standing.contains(&feed_list_key(id)) {
            continue;
        }
        let summary = store.get(&feed_summary_key(id)).await?;
        let summary: Option<Summary> =
            summary.and_then(|object| serde_json::from_slice(&object.bytes).ok());
        // A summary that cannot be understood, or was copied from another folder, names no files of this feed.
        if let Some(summary) = summary.filter(|summary| summary.to.snapshot_id == id) {
            list_feed(store, &summary).await?;
        }
    }
    Ok(())
}

fn feed_list_key(to_id: &str) -> String {
    format!("{FEEDS_FOLDER}{to_id}.txt")
}

/// The addresses of files in a folder, a line each.
fn list<'a>(store: &dyn Store, folder: &str, keys: impl Iterator<Item = &'a str>) -> Bytes {
    keys.map(|key| store.url_of(&format!("{folder}{key}")) + "\n").collect::<String>().into()
}

/// Writes a file, unless it says this already or somebody has written it meanwhile.
async fn replace(
    store: &dyn Store,
    key: &str,
    bytes: Bytes,
    content_type: ContentType,
    standing: Option<Object>,
) -> Result<(), AthenaError> {
    let condition = match standing {
        Some(Object { bytes: standing, .. }) if standing == bytes => return Ok(()),
        Some(Object { version, .. }) => Condition::Matches(version),
        None => Condition::Absent,
    };
    match store.put(key, bytes.clone(), content_type, condition).await {
        Ok(_) => Ok(()),
        // The first attempt may have taken effect, and its answer was lost.
        Err(error) if error.is_precondition_failed() => match store.get(key).await? {
            Some(object) if object.bytes == bytes => Ok(()),
            Some(_) | None => Err(AthenaError::Overtaken),
        },
        Err(error) => Err(error.into()),
    }
}
