//! A source in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::source::{Source, SourceError};

/// Objects in memory, with their keys. Counts what is read, and fails where it is told to.
#[derive(Debug, Default)]
pub struct MemorySource(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    objects: BTreeMap<String, Bytes>,
    unavailable: BTreeSet<String>,
    before_reads: BTreeMap<String, BTreeMap<String, Bytes>>,
    reads: Vec<String>,
}

impl MemorySource {
    /// Stores an object.
    pub fn put(&self, key: impl Into<String>, bytes: impl Into<Bytes>) {
        self.content().objects.insert(key.into(), bytes.into());
    }

    /// Removes an object. Returns what it was.
    pub fn remove(&self, key: &str) -> Option<Bytes> {
        self.content().objects.remove(key)
    }

    /// An object, without counting as a read.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Bytes> {
        self.content().objects.get(key).cloned()
    }

    /// All keys, in ascending order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.content().objects.keys().cloned().collect()
    }

    /// Makes every read of this object fail.
    pub fn make_unavailable(&self, key: impl Into<String>) {
        self.content().unavailable.insert(key.into());
    }

    /// Just before the next read of this object, replaces all objects with those of `other`.
    pub fn replace_before_read(&self, key: impl Into<String>, other: &Self) {
        let objects = other.content().objects.clone();
        self.content().before_reads.insert(key.into(), objects);
    }

    /// The keys that were read since the last call, in order.
    pub fn take_reads(&self) -> Vec<String> {
        std::mem::take(&mut self.content().reads)
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for MemorySource {
    fn url_of(&self, key: &str) -> String {
        format!("memory://{key}")
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, SourceError> {
        let mut content = self.content();
        content.reads.push(key.to_owned());
        if let Some(objects) = content.before_reads.remove(key) {
            content.objects = objects;
        }
        if content.unavailable.contains(key) {
            return Err("the memory gives no answer".into());
        }
        Ok(content.objects.get(key).cloned())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, SourceError> {
        let content = self.content();
        Ok(content.objects.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }
}
