//! Stores objects in a folder, with the same guarantees as S3.

mod lock;
mod rehearsal;
mod temporary;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::rehearsal::Rehearsal;
use self::tree::Tree;
use super::{
    Condition, ContentType, DeleteCondition, Listed, Object, Operation, Store, StoreError,
    StoreErrorKind, Stored, Version,
};

/// A folder as a [`Store`], with the same tree as in S3. The first write creates it.
///
/// - Conditional writes are atomic between processes that use this program, on one machine or on a network file system
///   with working locks.
/// - Symbolic links below the folder are not followed.
/// - The files and folders that it creates are accessible only to their owner.
#[derive(Clone, Debug)]
pub struct FolderStore {
    tree: Arc<Tree>,
    /// What is removed when the last clone of a store for a proof is dropped.
    _rehearsal: Option<Arc<Rehearsal>>,
}

impl FolderStore {
    /// A store in `folder`, an absolute path. Nothing is read or written yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { tree: Arc::new(Tree::new(folder.into())), _rehearsal: None }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.tree.root()
    }

    /// Runs file operations, which block, on the runtime's threads for blocking work.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: Operation,
        key: &str,
        work: impl FnOnce(&Tree, &str) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let tree = Arc::clone(&self.tree);
        let owned_key = key.to_owned();
        match tokio::task::spawn_blocking(move || work(&tree, &owned_key)).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(cancelled) => Err(StoreError::new(
                    operation,
                    self.url_of(key),
                    StoreErrorKind::Unavailable { source: Box::new(cancelled) },
                )),
            },
        }
    }
}

#[async_trait]
impl Store for FolderStore {
    fn url_of(&self, key: &str) -> String {
        self.tree.url_of(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.blocking(Operation::Get, key, Tree::get).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        _content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError> {
        self.blocking(Operation::Put, key, move |tree, key| tree.put(key, &bytes, &condition)).await
    }

    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError> {
        self.blocking(Operation::Delete, key, move |tree, key| tree.delete(key, &condition)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.blocking(Operation::List, prefix, Tree::list).await
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.blocking(Operation::Verify, key, Tree::verify).await
    }

    async fn rehearsal(&self) -> Result<Option<Box<dyn Store>>, StoreError> {
        let begun = self.blocking(Operation::Put, "", |tree, _| tree.rehearse()).await?;
        Ok(begun.map(|rehearsal| -> Box<dyn Store> {
            let tree = Arc::new(Tree::new(rehearsal.folder().to_owned()));
            Box::new(Self { tree, _rehearsal: Some(Arc::new(rehearsal)) })
        }))
    }

    async fn remove_leftovers(&self) -> Result<u64, StoreError> {
        self.blocking(Operation::RemoveLeftovers, "", |tree, _| tree.remove_leftovers()).await
    }
}
