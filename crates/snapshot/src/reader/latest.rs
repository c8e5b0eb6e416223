//! Finds the newest published snapshot.

use std::sync::Arc;

use super::error::{Damage, ReadError};
use super::snapshot::Snapshot;
use crate::layout::{self, LATEST_KEY};
use crate::manifest::Latest;
use crate::source::Source;

/// What `latest.json` says; `None` if nothing was published yet.
///
/// # Errors
/// [`ReadError::Damaged`] if it cannot be understood; [`ReadError::Unavailable`].
pub async fn read_latest(source: &dyn Source) -> Result<Option<Latest>, ReadError> {
    let url = || source.url_of(LATEST_KEY);
    let bytes = match source.read(LATEST_KEY).await {
        Ok(bytes) => bytes,
        Err(source) => return Err(ReadError::Unavailable { url: url(), source }),
    };
    let Some(bytes) = bytes else { return Ok(None) };
    parse(&bytes).map(Some).map_err(|problem| ReadError::Damaged { url: url(), problem })
}

/// Opens the snapshot that `latest.json` names; `None` if nothing was published yet. If a newer one is published and this
/// one removed before it is opened, the newer one is opened.
///
/// # Errors
/// Those of [`read_latest`] and [`Snapshot::open`].
pub async fn open_latest(source: &Arc<dyn Source>) -> Result<Option<Snapshot>, ReadError> {
    let mut latest = read_latest(&**source).await?;
    while let Some(named) = latest {
        let sha256 = Some(&named.manifest_sha256);
        let failure = match Snapshot::open(Arc::clone(source), &named.snapshot_id, sha256).await {
            Err(failure @ (ReadError::NotFound { .. } | ReadError::Removed { .. })) => failure,
            opened => return opened.map(Some),
        };
        latest = read_latest(&**source).await?;
        if latest.as_ref() == Some(&named) {
            return Err(failure);
        }
    }
    Ok(None)
}

fn parse(bytes: &[u8]) -> Result<Latest, Damage> {
    let latest: Latest = serde_json::from_slice(bytes).map_err(|error| Damage::from(&error))?;
    if !layout::is_snapshot_id(&latest.snapshot_id) {
        return Err(Damage::SnapshotId);
    }
    if latest.manifest != layout::manifest_key(&latest.snapshot_id) {
        return Err(Damage::ManifestKey);
    }
    Ok(latest)
}
