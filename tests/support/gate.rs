//! Stops a whole invocation at a store call, for good or until it continues, as when Lambda freezes
//! and thaws a process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use clerk_store::{
    Condition, ContentType, DeleteCondition, Listed, Object, Store, StoreError, Stored, Version,
};
use tokio::sync::watch;

use super::fuse::Side;

/// The gate that all calls of one invocation pass, to its store and to Clerk.
#[derive(Debug)]
pub(crate) struct Gate {
    calls: AtomicU64,
    /// By the number of the call: whether the gate shuts before or after it, and whether the
    /// invocation freezes.
    stops: Mutex<BTreeMap<u64, (Side, bool)>>,
    /// Whether the invocation froze, once it has stopped.
    reached: watch::Sender<Option<bool>>,
    open: watch::Sender<bool>,
}

impl Gate {
    /// A gate that shuts at these store calls; the first is 1.
    pub(crate) fn of(stops: impl IntoIterator<Item = (u64, Side, bool)>) -> Arc<Self> {
        let stops = stops.into_iter().map(|(call, side, freezes)| (call, (side, freezes)));
        Arc::new(Self {
            calls: AtomicU64::new(0),
            stops: Mutex::new(stops.collect()),
            reached: watch::channel(None).0,
            open: watch::channel(true).0,
        })
    }

    /// Returns once it has shut, and whether the invocation froze.
    pub(crate) async fn reached(&self) -> bool {
        let mut reached = self.reached.subscribe();
        let reached = reached.wait_for(Option::is_some).await.expect("the sender is at hand");
        (*reached).unwrap_or_default()
    }

    /// Lets everything continue, and never shuts again.
    pub(crate) fn open(&self) {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.open.send_replace(true);
    }

    /// Waits while it is shut.
    pub(crate) async fn pass(&self) {
        self.open.subscribe().wait_for(|&open| open).await.expect("the sender is at hand");
    }

    /// Counts a store call, and returns whether the gate shuts before or after it.
    fn count(&self) -> Option<(Side, bool)> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.stops.lock().unwrap_or_else(PoisonError::into_inner).remove(&call)
    }

    fn shut(&self, freezes: bool) {
        self.open.send_replace(false);
        self.reached.send_replace(Some(freezes));
    }
}

/// A [`Store`] behind a gate.
#[derive(Debug)]
pub(crate) struct GatedStore {
    inner: Arc<dyn Store>,
    gate: Arc<Gate>,
}

impl GatedStore {
    /// The store, with its calls counted by the gate.
    pub(crate) fn behind(inner: Arc<dyn Store>, gate: Arc<Gate>) -> Arc<dyn Store> {
        Arc::new(Self { inner, gate })
    }

    async fn through<T>(&self, work: impl Future<Output = T> + Send) -> T {
        self.gate.pass().await;
        let stop = self.gate.count();
        if let Some((Side::Before, freezes)) = stop {
            self.gate.shut(freezes);
            self.gate.pass().await;
        }
        let done = work.await;
        if let Some((Side::After, freezes)) = stop {
            self.gate.shut(freezes);
        }
        self.gate.pass().await;
        done
    }
}

#[async_trait]
impl Store for GatedStore {
    fn url_of(&self, key: &str) -> String {
        self.inner.url_of(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.through(self.inner.get(key)).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError> {
        self.through(self.inner.put(key, bytes, content_type, condition)).await
    }

    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError> {
        self.through(self.inner.delete(key, condition)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.through(self.inner.list(prefix)).await
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.through(self.inner.verify(key)).await
    }

    async fn remove_leftovers(&self) -> Result<u64, StoreError> {
        self.through(self.inner.remove_leftovers()).await
    }
}
