//! Where snapshots are kept: S3 or a folder, behind one small trait.

pub mod aws;
pub mod conformance;
mod error;
mod folder;
mod key;
pub mod no_answer;
pub mod quoted;
mod s3;
mod snapshot_url;
mod unopened;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::{FolderProblem, KeyProblem, Operation, Shortcoming, StoreError};
pub use folder::FolderStore;
pub use s3::S3Store;
pub use snapshot_url::{SnapshotUrl, SnapshotUrlError};
use unopened::Unopened;

use crate::aws::LazyAwsConfig;

/// Opens the store at `url`. Nothing is read or written yet: a missing bucket or folder, or AWS
/// settings that lead nowhere, show at the first operation (a folder is made by the first write).
///
/// `aws` is loaded only for S3.
pub async fn open(url: &SnapshotUrl, aws: &LazyAwsConfig) -> Arc<dyn Store> {
    let (bucket, prefix) = match url {
        SnapshotUrl::S3 { bucket, prefix } => (bucket, prefix),
        SnapshotUrl::Folder(folder) => return Arc::new(FolderStore::new(folder)),
    };
    match aws.load().await {
        Err(obstacle) => Arc::new(Unopened::behind(url.to_string(), obstacle)),
        Ok(config) => match S3Store::new(config, bucket, prefix) {
            Ok(store) => Arc::new(store),
            Err(_) => Arc::new(Unopened::without_region(url.to_string())),
        },
    }
}

/// A place that keeps whole objects under keys like `snapshots/<id>/users/part-00-0000-00000000-1a2b3c4d.ndjson.gz`.
///
/// Keys are relative to `SNAPSHOT_URL`. An object appears whole or not at all, and a conditional
/// write is atomic: of several writers that saw the same version, one wins.
///
/// A call that is dropped before it answers may still take effect, as may a write that fails with
/// [`StoreError::Unavailable`]: read the object again to know.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// The full address of a key, for messages and responses: `s3://bucket/prefix/latest.json`.
    fn url_of(&self, key: &str) -> String;

    /// Reads an object; `None` where there is none.
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError>;

    /// Writes an object if `condition` holds and gives the version written; otherwise nothing
    /// changes and the error is [`StoreError::PreconditionFailed`].
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError>;

    /// Removes an object. With [`DeleteCondition::Any`] an absent one is fine; with
    /// [`DeleteCondition::Matches`] it is a [`StoreError::PreconditionFailed`].
    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError>;

    /// Every object whose key starts with `prefix` (plain text, not a folder; may be empty), in
    /// ascending byte order of the keys.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError>;

    /// What the store itself says it holds, to be compared with what was sent; `None` where there
    /// is no such object.
    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError>;

    /// Removes what killed processes left behind and readers never see; gives how many. Only a
    /// folder has any: its temporary files that are older than an hour.
    async fn remove_leftovers(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// An object as read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// Its content.
    pub bytes: Bytes,
    /// Its version at that moment, for a later conditional write.
    pub version: Version,
}

/// Which content a key had: the ETag on S3, the SHA-256 of the content in a folder. Equal content
/// may have equal versions, so a document that is compared by version needs something unique in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version(String);

impl Version {
    /// A version as the store names it.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The store's name for it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// When a write may take place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Whatever is there is replaced.
    Any,
    /// Only where no such object exists.
    Absent,
    /// Only over exactly this version.
    Matches(Version),
}

/// When a removal may take place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeleteCondition {
    /// Whatever is there.
    Any,
    /// Only exactly this version.
    Matches(Version),
}

/// What an object contains (docs/data.md). A folder does not record it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentType {
    /// One JSON document.
    Json,
    /// Newline-delimited JSON, compressed or not.
    Ndjson,
    /// Bytes that only this program reads.
    Binary,
}

impl ContentType {
    /// The media type sent to S3.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Binary => "application/octet-stream",
        }
    }
}

/// One line of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Relative to `SNAPSHOT_URL`, ready for the other operations.
    pub key: String,
    /// Size.
    pub bytes: u64,
}

/// Most bytes of an object that is read as a whole. The largest that this program reads back are parts
/// (a few megabytes, and one page more) and the checkpoint (some hundred bytes a part); what is
/// larger was put there by somebody else, and would fill the memory.
pub const MOST_BYTES_READ: u64 = 256 * 1024 * 1024;

/// What a store says it holds under a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Size.
    pub bytes: u64,
    /// SHA-256 of the content, where the store knows it: always in a folder, and on S3 for objects
    /// written with one, as this program does.
    pub sha256: Option<[u8; 32]>,
}
