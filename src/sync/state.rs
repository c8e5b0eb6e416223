//! Reads the state of the store: the run in progress and the last published snapshot.

use std::collections::{BTreeMap, BTreeSet};

use clerk_snapshot::layout::{LATEST_KEY, is_snapshot_id};
use clerk_snapshot::manifest::{Latest, Previous};
use clerk_store::{Store, StoreError, StoreErrorKind, Version};
use serde::Deserialize;

use crate::error::store_unavailable;
use crate::error::{Error, Failure};
use crate::sync::checkpoint::document::{CHECKPOINT_KEY, Checkpoint, Succession};
use crate::sync::checkpoint::json_error::Malformed;

/// The content of `checkpoint.json`.
#[derive(Debug)]
pub enum CheckpointFound {
    /// There is none.
    None,
    /// There is one.
    Readable(Box<Checkpoint>, Version),
    /// There is a file, but this version cannot read it.
    Unreadable {
        /// Its content.
        bytes: bytes::Bytes,
        /// Its version in the store.
        version: Version,
        /// What is wrong with it.
        error: Error,
    },
}

/// The content of `latest.json`.
#[derive(Debug, Clone, Default)]
pub struct LatestFound {
    /// The published snapshot; `None` if the file is missing, or unreadable and to be replaced.
    pub latest: Option<Latest>,
    /// Its version in the store; `None` if it is missing.
    pub version: Option<Version>,
    /// Its content, if it cannot be understood.
    pub unreadable: Option<bytes::Bytes>,
}

/// Which snapshot comes before another one, as `latest.json` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predecessor {
    /// None: there is no `latest.json`.
    Nothing,
    /// This one.
    Snapshot(Previous),
    /// `latest.json` cannot be understood, or names the snapshot itself.
    Unknown,
}

/// How many records the last published snapshot has, by dataset.
#[derive(Debug, Clone)]
pub struct PublishedCounts {
    /// Its id.
    pub snapshot_id: String,
    /// Records by dataset.
    pub records: BTreeMap<String, u64>,
    /// The datasets that were skipped or failed. They may have records all the same, from the lists
    /// that could be read.
    pub left_out: BTreeSet<String>,
}

impl CheckpointFound {
    /// Reads `checkpoint.json`.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`].
    pub async fn read(store: &dyn Store) -> Result<Self, Error> {
        let Some(object) = store.get(CHECKPOINT_KEY).await.map_err(store_unavailable)? else {
            return Ok(Self::None);
        };
        Ok(match Checkpoint::from_json(&object.bytes) {
            Ok(checkpoint) => Self::Readable(Box::new(checkpoint), object.version),
            Err(error) => Self::Unreadable {
                bytes: object.bytes,
                version: object.version,
                error: unreadable(store, CHECKPOINT_KEY, error),
            },
        })
    }

    /// The checkpoint, if there is one and it can be read.
    ///
    /// # Errors
    /// [`Error::StateUnreadable`].
    pub fn readable(self) -> Result<Option<Checkpoint>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Readable(checkpoint, _) => Ok(Some(*checkpoint)),
            Self::Unreadable { error, .. } => Err(error),
        }
    }
}

impl LatestFound {
    /// Reads `latest.json`.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`], or [`Error::StateUnreadable`] when it cannot be understood.
    pub async fn read(store: &dyn Store) -> Result<Self, Error> {
        let Some(object) = store.get(LATEST_KEY).await.map_err(store_unavailable)? else {
            return Ok(Self::default());
        };
        let latest = latest(&object.bytes).map_err(|error| unreadable(store, LATEST_KEY, error))?;
        Ok(Self { latest: Some(latest), version: Some(object.version), unreadable: None })
    }

    /// Reads `latest.json`. One that cannot be understood is treated as one to be replaced.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_leniently(store: &dyn Store) -> Result<Self, StoreError> {
        let Some(object) = store.get(LATEST_KEY).await? else { return Ok(Self::default()) };
        let latest = latest(&object.bytes).ok();
        let unreadable = latest.is_none().then_some(object.bytes);
        Ok(Self { latest, version: Some(object.version), unreadable })
    }

    /// The snapshot that it names, unless that is `snapshot_id` itself.
    #[must_use]
    pub fn predecessor_of(&self, snapshot_id: &str) -> Predecessor {
        match &self.latest {
            None if self.version.is_none() => Predecessor::Nothing,
            Some(Latest { snapshot_id: named, manifest_sha256, .. })
                if named != snapshot_id && is_snapshot_id(named) =>
            {
                let (snapshot_id, manifest_sha256) = (named.clone(), *manifest_sha256);
                Predecessor::Snapshot(Previous { snapshot_id, manifest_sha256 })
            }
            _ => Predecessor::Unknown,
        }
    }

    /// Whether `latest.json` has been replaced since it was read.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`].
    pub async fn has_changed(&self, store: &dyn Store) -> Result<bool, Error> {
        let now = Self::read_leniently(store).await.map_err(store_unavailable)?;
        Ok(now.version != self.version)
    }

    /// Reads the counts of the snapshot it names.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`], or [`Error::StateUnreadable`] when the manifest is gone or
    /// cannot be understood.
    pub async fn published_counts(
        &self,
        store: &dyn Store,
    ) -> Result<Option<PublishedCounts>, Error> {
        let Some(latest) = &self.latest else { return Ok(None) };
        let key = &latest.manifest;
        let object = match store.get(key).await {
            Ok(Some(object)) => object,
            Ok(None) => return Err(unreadable(store, key, Missing)),
            Err(error @ StoreError { kind: StoreErrorKind::InvalidKey(_), .. }) => {
                return Err(unreadable(store, LATEST_KEY, error));
            }
            Err(error) => return Err(store_unavailable(error)),
        };
        let counts = PublishedCounts::from_manifest(&object.bytes)
            .map_err(|error| unreadable(store, key, error))?;
        Ok(Some(counts))
    }
}

impl Predecessor {
    /// Whether `latest.json` contradicts the succession that is already stored. What is unknown
    /// contradicts nothing.
    #[must_use]
    pub fn contradicts(&self, succession: &Succession) -> bool {
        match self {
            Self::Nothing => succession.previous.is_some(),
            Self::Snapshot(named) => succession.previous.as_ref() != Some(named),
            Self::Unknown => false,
        }
    }
}

/// Parses `latest.json`.
///
/// # Errors
/// [`Malformed`].
pub fn latest(json: &[u8]) -> Result<Latest, Malformed> {
    Ok(serde_json::from_slice(json)?)
}

impl PublishedCounts {
    /// Reads the counts from a manifest of this version or another one. Only the fields that are
    /// needed are parsed.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn from_manifest(json: &[u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Counted {
            snapshot_id: String,
            datasets: BTreeMap<String, Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            status: String,
            records: u64,
        }
        let Counted { snapshot_id, datasets } = serde_json::from_slice(json)?;
        let is_left_out = |entry: &Entry| ["skipped", "failed"].contains(&entry.status.as_str());
        let left_out = datasets.iter().filter(|(_, entry)| is_left_out(entry));
        let left_out = left_out.map(|(name, _)| name.clone()).collect();
        let records = datasets.into_iter().map(|(name, entry)| (name, entry.records)).collect();
        Ok(Self { snapshot_id, records, left_out })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("latest.json names it, and it is missing")]
struct Missing;

fn unreadable(
    store: &dyn Store,
    key: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    let url = store.url_of(key);
    Error::StateUnreadable(Failure::new(format!("{url} cannot be understood")).caused_by(error))
}
