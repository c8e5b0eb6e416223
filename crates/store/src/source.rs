//! Reads snapshots from a store.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use clerk_snapshot::source::{Source, SourceError};

use crate::Store;

/// A store that readers of snapshots read from. They can only read.
#[derive(Debug, Clone)]
pub struct StoreSource(Arc<dyn Store>);

impl StoreSource {
    /// Reads from `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

#[async_trait]
impl Source for StoreSource {
    fn url_of(&self, key: &str) -> String {
        self.0.url_of(key)
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, SourceError> {
        Ok(self.0.get(key).await?.map(|object| object.bytes))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, SourceError> {
        Ok(self.0.list(prefix).await?.into_iter().map(|listed| listed.key).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Condition, ContentType, FolderStore, SnapshotUrl};

    // Promise: readers see what the store has, and an object that is not there is no error.
    #[tokio::test]
    async fn a_source_shows_what_the_store_has() {
        let folder = tempfile::tempdir().unwrap();
        let url: SnapshotUrl = format!("file://{}", folder.path().display()).parse().unwrap();
        let SnapshotUrl::Folder(path) = &url else { panic!("{url}") };
        let store: Arc<dyn Store> = Arc::new(FolderStore::new(path));
        let bytes = Bytes::from_static(b"{}");
        let keys = ["latest.json", "snapshots/a/manifest.json", "snapshots/b/manifest.json"];
        for key in keys {
            store.put(key, bytes.clone(), ContentType::Json, Condition::Any).await.unwrap();
        }
        let source = StoreSource::new(Arc::clone(&store));
        assert_eq!(source.url_of(keys[0]), store.url_of(keys[0]));
        assert_eq!(source.read(keys[0]).await.unwrap(), Some(bytes));
        assert_eq!(source.read("other.json").await.unwrap(), None);
        assert_eq!(source.list("snapshots/").await.unwrap(), keys[1..]);
        assert!(source.read("../other").await.is_err(), "the store's errors are passed on");
    }
}
