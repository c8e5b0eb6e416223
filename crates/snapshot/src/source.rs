//! Where snapshots are read from, behind one small trait.
//!
//! A reader needs less than a run: it never writes. So that the format of a snapshot does not depend on where it is
//! stored, the stores implement this trait elsewhere.

use std::error::Error;
use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

/// Why a source could not answer. Its text names the object and the cause, and never a credential or content.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// Reads whole objects below `SNAPSHOT_URL`.
#[async_trait]
pub trait Source: Send + Sync + Debug {
    /// The full address of a key, for messages: `s3://bucket/prefix/latest.json`.
    fn url_of(&self, key: &str) -> String;

    /// Reads an object; `None` if there is none.
    ///
    /// # Errors
    /// If the source gives no usable answer. It has made its own retries.
    async fn read(&self, key: &str) -> Result<Option<Bytes>, SourceError>;

    /// The keys that start with `prefix`, in ascending byte order. The prefix is plain text and may be empty.
    ///
    /// # Errors
    /// If the source gives no usable answer. It has made its own retries.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, SourceError>;
}
