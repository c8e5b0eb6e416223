//! Stops an invocation at its n-th step: the power fails, or the process freezes and continues
//! later.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use clerk_store::{
    Condition, ContentType, DeleteCondition, Listed, Object, Store, StoreError, Stored, Version,
};
use tokio::sync::watch;

/// Counts steps and blows at one of them.
#[derive(Debug)]
pub(crate) struct Fuse {
    left: AtomicU64,
    blown: watch::Sender<bool>,
    mended: watch::Sender<bool>,
}

impl Fuse {
    /// Blows at the n-th step; the first is 1.
    pub(crate) fn blowing_at(step: u64) -> Arc<Self> {
        let (blown, mended) = (watch::channel(false).0, watch::channel(false).0);
        Arc::new(Self { left: AtomicU64::new(step), blown, mended })
    }

    /// Takes a step, and returns whether the fuse blows at it.
    pub(crate) fn step(&self) -> bool {
        let took =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let blows = took == Ok(1);
        if blows {
            self.blown.send_replace(true);
        }
        blows
    }

    /// Returns once it has blown.
    pub(crate) async fn blown(&self) {
        turned(&self.blown).await;
    }

    /// Lets everything that stopped at it continue.
    pub(crate) fn mend(&self) {
        self.mended.send_replace(true);
    }

    async fn mended(&self) {
        turned(&self.mended).await;
    }
}

async fn turned(flag: &watch::Sender<bool>) {
    flag.subscribe().wait_for(|&turned| turned).await.expect("the sender is at hand");
}

/// Whether the fuse blows before or after a store call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The call has not taken effect. It does if the fuse is mended.
    Before,
    /// The call has taken effect, and its answer has not arrived.
    After,
}

/// A [`Store`] whose calls are the steps of a fuse.
#[derive(Debug)]
pub(crate) struct FusedStore {
    inner: Arc<dyn Store>,
    fuse: Mutex<Option<(Arc<Fuse>, Side)>>,
    calls: AtomicU64,
}

impl FusedStore {
    /// A store without a fuse so far.
    pub(crate) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, fuse: Mutex::default(), calls: AtomicU64::default() })
    }

    /// Calls that begin from now on are steps of this fuse, or of none.
    pub(crate) fn put_in(&self, fuse: Option<(Arc<Fuse>, Side)>) {
        *self.fuse.lock().unwrap_or_else(PoisonError::into_inner) = fuse;
    }

    /// The number of calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn step<T>(&self, work: impl Future<Output = T> + Send) -> T {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let fuse = self.fuse.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match fuse.filter(|(fuse, _)| fuse.step()) {
            None => work.await,
            Some((fuse, Side::Before)) => {
                fuse.mended().await;
                work.await
            }
            Some((fuse, Side::After)) => {
                let done = work.await;
                fuse.mended().await;
                done
            }
        }
    }
}

#[async_trait]
impl Store for FusedStore {
    fn url_of(&self, key: &str) -> String {
        self.inner.url_of(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.step(self.inner.get(key)).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError> {
        self.step(self.inner.put(key, bytes, content_type, condition)).await
    }

    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError> {
        self.step(self.inner.delete(key, condition)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.step(self.inner.list(prefix)).await
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.step(self.inner.verify(key)).await
    }

    async fn remove_leftovers(&self) -> Result<u64, StoreError> {
        self.step(self.inner.remove_leftovers()).await
    }
}
