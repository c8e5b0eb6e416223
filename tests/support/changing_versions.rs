//! A store in which the checkpoint seems to be written again and again by somebody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use clerk_store::{
    Condition, ContentType, DeleteCondition, Listed, Object, Store, StoreError, Stored, Version,
};
use clerk_sync::sync::checkpoint::document::CHECKPOINT_KEY;

/// Reports another version of the checkpoint at every read, and takes each of them for the right one.
#[derive(Debug)]
pub(crate) struct ChangingVersions {
    inner: Arc<dyn Store>,
    reads: AtomicU64,
}

/// Between the version in the store and the number of the read.
const SEPARATOR: &str = " read ";

impl ChangingVersions {
    pub(crate) fn around(inner: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Self { inner, reads: AtomicU64::new(0) })
    }
}

/// The version in the store.
fn stored(version: &Version) -> Version {
    Version::new(version.as_str().split(SEPARATOR).next().unwrap_or_default())
}

#[async_trait]
impl Store for ChangingVersions {
    fn url_of(&self, key: &str) -> String {
        self.inner.url_of(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let object = self.inner.get(key).await?;
        if key != CHECKPOINT_KEY {
            return Ok(object);
        }
        let read = self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(object.map(|Object { bytes, version }| {
            let version = Version::new(format!("{}{SEPARATOR}{read}", version.as_str()));
            Object { bytes, version }
        }))
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError> {
        let condition = match condition {
            Condition::Matches(version) => Condition::Matches(stored(&version)),
            condition => condition,
        };
        self.inner.put(key, bytes, content_type, condition).await
    }

    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError> {
        let condition = match condition {
            DeleteCondition::Matches(version) => DeleteCondition::Matches(stored(&version)),
            condition => condition,
        };
        self.inner.delete(key, condition).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(prefix).await
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.inner.verify(key).await
    }
}
