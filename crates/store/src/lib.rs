//! Stores objects in S3 or in a folder, behind one small trait.
//!
//! - [`open`] returns the [`Store`] for a [`SnapshotUrl`]: [`S3Store`] or [`FolderStore`].
//! - [`StoreSource`] lets readers of snapshots read from a store.
//! - [`conformance`] proves that a store keeps the conditions that publishing relies on.
//! - [`aws`] loads the AWS settings and classifies failed calls; [`no_answer`] says why a server could not be reached.
//! - [`quoted`] makes foreign text safe for errors and logs; [`nearest`] suggests what a mistyped name was meant to be.

pub mod aws;
pub mod conformance;
mod error;
mod folder;
mod key;
pub mod nearest;
pub mod no_answer;
pub mod quoted;
mod s3;
mod s3_options;
mod snapshot_url;
mod source;
mod unopened;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::{FolderProblem, KeyProblem, Operation, Shortcoming, StoreError, StoreErrorKind};
pub use folder::FolderStore;
pub use s3::S3Store;
pub use s3_options::{Encryption, S3Options};
pub use snapshot_url::{SnapshotUrl, SnapshotUrlError};
pub use source::StoreSource;
use unopened::Unopened;

use crate::aws::LazyAwsConfig;

/// Opens the store at `url`. Nothing is read or written yet, so a missing bucket or wrong AWS settings show at the
/// first operation. A missing folder is created by the first write.
///
/// `aws` is loaded only for S3, and `options` count only there.
pub async fn open(url: &SnapshotUrl, aws: &LazyAwsConfig, options: &S3Options) -> Arc<dyn Store> {
    let (bucket, prefix) = match url {
        SnapshotUrl::S3 { bucket, prefix } => (bucket, prefix),
        SnapshotUrl::Folder(folder) => return Arc::new(FolderStore::new(folder)),
    };
    match aws.load().await {
        Err(obstacle) => Arc::new(Unopened::behind(url.to_string(), obstacle)),
        Ok(config) => match S3Store::new(config, bucket, prefix) {
            Some(store) => Arc::new(store.with(options.clone())),
            None => Arc::new(Unopened::without_region(url.to_string())),
        },
    }
}

/// Stores whole objects under keys like `snapshots/<id>/users/part-00-0000-00000000-1a2b3c4d.ndjson.gz`.
///
/// - Keys are relative to `SNAPSHOT_URL`.
/// - An object appears whole or not at all.
/// - A conditional write is atomic: of several writers that saw the same version, one succeeds.
/// - A call that is dropped before it returns may still take effect, and so may a write that fails with
///   [`StoreErrorKind::Unavailable`]. To find out, read the object again.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// The full address of a key, for messages and responses: `s3://bucket/prefix/latest.json`.
    fn url_of(&self, key: &str) -> String;

    /// Reads an object; `None` if there is none. At most [`MAX_BYTES_READ`] bytes.
    ///
    /// # Errors
    /// [`StoreError`], also if the object is larger.
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError>;

    /// Writes an object if `condition` holds and returns the version written.
    ///
    /// # Errors
    /// [`StoreErrorKind::PreconditionFailed`] if the condition does not hold; then nothing has changed. After any other
    /// error nobody knows whether the object was written.
    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError>;

    /// Removes an object. If there is none, [`DeleteCondition::Any`] succeeds.
    ///
    /// # Errors
    /// [`StoreErrorKind::PreconditionFailed`] if the condition does not hold, also because there is no object. After any
    /// other error nobody knows whether the object was removed.
    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError>;

    /// Lists all objects whose key starts with `prefix`, in ascending byte order of the keys. The prefix is plain text,
    /// not a folder, and may be empty.
    ///
    /// # Errors
    /// [`StoreError`]; a listing is never returned in part.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError>;

    /// Size and checksum of an object according to the store, to compare with what was sent; `None` if there is no such
    /// object.
    ///
    /// # Errors
    /// [`StoreError`] of the request; a wrong size or checksum is no error here.
    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError>;

    /// A store of the same kind in the same place for a proof that must leave no trace, if one in this store would: what
    /// it makes is removed when it is dropped. `None` if a proof in this store leaves none. Only a folder has one: its
    /// first write makes a file that stays.
    async fn rehearsal(&self) -> Result<Option<Box<dyn Store>>, StoreError> {
        Ok(None)
    }

    /// Removes files that killed processes left behind and that readers never see. Returns how many. Only a folder has
    /// any: temporary files older than an hour.
    async fn remove_leftovers(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// An object as read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// Its content.
    pub bytes: Bytes,
    /// Its version when it was read, for a later conditional write.
    pub version: Version,
}

/// Identifies the content of an object: the ETag in S3, the SHA-256 of the content in a folder. Equal content may have
/// equal versions, so a document compared by version must contain something unique.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version(String);

impl Version {
    /// A version with the store's own name for it.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The store's name for it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Condition of a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Always: replaces any existing object.
    Any,
    /// Only if no such object exists.
    Absent,
    /// Only if the object has exactly this version.
    Matches(Version),
}

/// Condition of a removal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeleteCondition {
    /// Always.
    Any,
    /// Only if the object has exactly this version.
    Matches(Version),
}

/// Content type of an object (docs/data.md). A folder does not store it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentType {
    /// One JSON document.
    Json,
    /// Newline-delimited JSON, compressed or not.
    Ndjson,
    /// Plain text.
    Text,
    /// Data without a format of its own.
    Binary,
}

impl ContentType {
    /// The media type sent to S3.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Text => "text/plain; charset=utf-8",
            Self::Binary => "application/octet-stream",
        }
    }
}

/// An object in a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Key relative to `SNAPSHOT_URL`, as the other operations take it.
    pub key: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// Largest object that is read as a whole, in bytes. The largest that this program reads back are parts (a few
/// megabytes plus one page) and the checkpoint (some hundred bytes per part). A larger object is someone else's and
/// would fill the memory.
pub const MAX_BYTES_READ: u64 = 256 * 1024 * 1024;

/// Size and checksum of an object according to the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, if the store knows it: always in a folder, and in S3 for objects written with a
    /// checksum, as this program does.
    pub sha256: Option<[u8; 32]>,
}
