//! A store in memory whose versions are never used twice, as S3's conditional writes require.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use clerk_snapshot::digest::Sha256Hex;
use clerk_store::{
    Condition, ContentType, DeleteCondition, Listed, Object, Operation, Store, StoreError,
    StoreErrorKind, Stored, Version,
};

/// Objects by key.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore(Mutex<Objects>);

#[derive(Debug, Default)]
struct Objects {
    writes: u64,
    objects: BTreeMap<String, Object>,
    pointers: Vec<Pointer>,
}

/// `latest.json` at one time.
#[derive(Debug, Clone)]
pub(crate) struct Pointer {
    /// What it held; `None` when it was taken away.
    pub(crate) bytes: Option<Bytes>,
    /// Whether the program wrote it.
    pub(crate) is_own: bool,
}

impl Objects {
    fn remember(&mut self, key: &str, bytes: Option<&Bytes>, is_own: bool) {
        if key == "latest.json" {
            self.pointers.push(Pointer { bytes: bytes.cloned(), is_own });
        }
    }
}

impl MemoryStore {
    /// Every key and its content.
    pub(crate) fn objects(&self) -> BTreeMap<String, Bytes> {
        let objects = self.lock();
        objects.objects.iter().map(|(key, object)| (key.clone(), object.bytes.clone())).collect()
    }

    /// Writes bytes as somebody else would.
    pub(crate) fn plant(&self, key: &str, bytes: impl Into<Bytes>) {
        let mut objects = self.lock();
        objects.writes += 1;
        let (bytes, version) = (bytes.into(), Version::new(objects.writes.to_string()));
        objects.remember(key, Some(&bytes), false);
        objects.objects.insert(key.to_owned(), Object { bytes, version });
    }

    /// Removes an object as somebody else would.
    pub(crate) fn take_away(&self, key: &str) -> Option<Bytes> {
        let mut objects = self.lock();
        objects.remember(key, None, false);
        objects.objects.remove(key).map(|object| object.bytes)
    }

    /// Everything that `latest.json` ever was, in order.
    pub(crate) fn pointers(&self) -> Vec<Pointer> {
        self.lock().pointers.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(operation: Operation, key: &str) -> StoreError {
    StoreError::new(operation, format!("memory://{key}"), StoreErrorKind::PreconditionFailed)
}

#[async_trait]
impl Store for MemoryStore {
    fn url_of(&self, key: &str) -> String {
        format!("memory://{key}")
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        Ok(self.lock().objects.get(key).cloned())
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        _content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError> {
        let mut objects = self.lock();
        let standing = objects.objects.get(key).map(|object| &object.version);
        let holds = match &condition {
            Condition::Any => true,
            Condition::Absent => standing.is_none(),
            Condition::Matches(version) => standing == Some(version),
        };
        if !holds {
            return Err(refused(Operation::Put, key));
        }
        objects.writes += 1;
        let version = Version::new(objects.writes.to_string());
        objects.remember(key, Some(&bytes), true);
        objects.objects.insert(key.to_owned(), Object { bytes, version: version.clone() });
        Ok(version)
    }

    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError> {
        let mut objects = self.lock();
        let standing = objects.objects.get(key).map(|object| &object.version);
        if let DeleteCondition::Matches(version) = &condition
            && standing != Some(version)
        {
            return Err(refused(Operation::Delete, key));
        }
        objects.objects.remove(key);
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let objects = self.lock();
        let below = objects.objects.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(below
            .map(|(key, object)| Listed { key: key.clone(), bytes: object.bytes.len() as u64 })
            .collect())
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        Ok(self.lock().objects.get(key).map(|object| Stored {
            bytes: object.bytes.len() as u64,
            sha256: Some(Sha256Hex::of(&object.bytes).0),
        }))
    }
}
