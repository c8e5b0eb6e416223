//! Tells a snapshot that is being removed from one that is damaged.
//!
//! Whoever removes a snapshot first writes a file that says so, then removes the parts, then the manifest, and then that
//! file. So if a part is missing, and then neither that file is there nor, after that, the manifest is gone, something
//! else has taken the part.

use std::collections::BTreeSet;

use super::error::{Damage, ReadError};
use crate::layout::{REMOVALS_FOLDER, manifest_key, removal_key, snapshot_of_removal};
use crate::source::{Source, SourceError};

/// The ids of the snapshots that are being removed: some of their files may be gone.
///
/// # Errors
/// If the source gives no usable answer.
pub async fn being_removed(source: &dyn Source) -> Result<BTreeSet<String>, SourceError> {
    let keys = source.list(REMOVALS_FOLDER).await?;
    Ok(keys.iter().filter_map(|key| snapshot_of_removal(key)).map(str::to_owned).collect())
}

/// Whether a snapshot is being removed, or gone, of which a file was found missing.
///
/// # Errors
/// [`ReadError::Unavailable`].
pub async fn is_removed(source: &dyn Source, snapshot_id: &str) -> Result<bool, ReadError> {
    let is_there = async |key: String| match source.read(&key).await {
        Ok(found) => Ok(found.is_some()),
        Err(error) => Err(ReadError::Unavailable { url: source.url_of(&key), source: error }),
    };
    // In this order: if the removal ends in between, the manifest is gone.
    Ok(is_there(removal_key(snapshot_id)).await? || !is_there(manifest_key(snapshot_id)).await?)
}

/// Why a part of a snapshot is missing that its manifest names. `url` is the part's.
pub(super) async fn why_missing(source: &dyn Source, snapshot_id: &str, url: String) -> ReadError {
    match is_removed(source, snapshot_id).await {
        Ok(true) => ReadError::Removed { url },
        Ok(false) => ReadError::Damaged { url, problem: Damage::Missing },
        Err(error) => error,
    }
}
