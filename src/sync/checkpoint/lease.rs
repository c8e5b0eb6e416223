//! Holds the lease of a run and writes its checkpoint.
//!
//! Every write is conditional on the previous one, so that at most one invocation moves the run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clerk_snapshot::timestamp::Timestamp;
use clerk_store::{Condition, ContentType, DeleteCondition, Object, Store, StoreError, Version};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use tracing::warn;

use crate::clock::Clock;
use crate::sync::checkpoint::document::{CHECKPOINT_KEY, Checkpoint, Lease};

/// Attempts to write or remove the checkpoint. It is tried again only if the file is our own, under
/// another version than the one that was given.
const MAX_ATTEMPTS: usize = 4;

/// A checkpoint whose lease this invocation holds.
#[derive(Debug)]
pub struct LeasedCheckpoint {
    store: Arc<dyn Store>,
    clock: Clock,
    lease_length: Duration,
    holder: String,
    token: String,
    /// The checkpoint as it will next be written: ahead of the file while changes are being stored.
    current: Mutex<Checkpoint>,
    /// The last write. Locked during a write, so that writes do not overlap.
    written: AsyncMutex<Written>,
    lost: AtomicBool,
}

#[derive(Debug)]
struct Written {
    version: Version,
    revision: u64,
    until: Timestamp,
    at: Instant,
}

/// A checkpoint that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another invocation has taken the lease or removed the checkpoint. Nothing more may be written.
    #[error("another invocation has taken over the run")]
    LeaseLost,
    /// The store failed. Whether the write took effect is unknown.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint could not be serialized.
    #[error("the checkpoint could not be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl LeasedCheckpoint {
    /// Takes the lease by writing `checkpoint` where `condition` holds.
    ///
    /// # Errors
    /// [`LeaseError::LeaseLost`] if another invocation was faster; otherwise those of the store, or of writing JSON.
    pub async fn take(
        store: Arc<dyn Store>,
        clock: Clock,
        lease_length: Duration,
        holder: String,
        mut checkpoint: Checkpoint,
        condition: Condition,
    ) -> Result<Arc<Self>, LeaseError> {
        let token = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        checkpoint.revision += 1;
        let leased = Self {
            store,
            clock,
            lease_length,
            holder,
            token,
            written: AsyncMutex::new(Written {
                version: Version::new(""),
                revision: 0,
                until: checkpoint.started_at,
                at: Instant::now(),
            }),
            current: Mutex::new(checkpoint),
            lost: AtomicBool::new(false),
        };
        {
            let mut written = leased.written.lock().await;
            leased.write(&mut written, condition).await?;
        }
        Ok(Arc::new(leased))
    }

    /// Shows the checkpoint as it will next be written. Reads nothing from the store.
    pub fn with_checkpoint<T>(&self, look: impl FnOnce(&Checkpoint) -> T) -> T {
        look(&self.current())
    }

    /// Changes the checkpoint, and returns when the change is stored. Concurrent changes share a
    /// write. If the write fails the change stays, and the next write carries it.
    ///
    /// # Errors
    /// [`LeaseError`]. After [`LeaseError::LeaseLost`] every further call fails with it.
    pub async fn commit(&self, change: impl FnOnce(&mut Checkpoint)) -> Result<(), LeaseError> {
        let revision = {
            let mut current = self.current();
            change(&mut current);
            current.revision += 1;
            current.revision
        };
        let mut written = self.written.lock().await;
        if written.revision >= revision {
            return Ok(());
        }
        let condition = Condition::Matches(written.version.clone());
        self.write(&mut written, condition).await
    }

    /// Makes sure that the lease is held for at least half its length. Called before writes that
    /// are not conditional on the lease.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn assure_held(&self) -> Result<(), LeaseError> {
        if self.lost.load(Ordering::Acquire) {
            return Err(LeaseError::LeaseLost);
        }
        let until = self.written.lock().await.until;
        if self.clock.now() + self.lease_length / 2 < until {
            Ok(())
        } else {
            self.commit(|_| ()).await
        }
    }

    /// Renews the lease whenever a sixth of its length has passed since the last write, for as long as
    /// it is polled. Returns only if the lease is lost.
    pub async fn renew(&self) {
        let interval = self.lease_length / 6;
        loop {
            let last = self.written.lock().await.at;
            tokio::time::sleep_until(last + interval).await;
            if self.written.lock().await.at > last {
                continue;
            }
            match self.commit(|_| ()).await {
                Ok(()) => {}
                Err(LeaseError::LeaseLost) => return,
                Err(error) => {
                    warn!(error = %error, "the lease could not be renewed; trying again");
                    tokio::time::sleep(interval).await;
                }
            }
        }
    }

    /// Releases the lease: the next invocation can continue at once.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn release(&self, change: impl FnOnce(&mut Checkpoint)) -> Result<(), LeaseError> {
        let mut written = self.written.lock().await;
        {
            let mut current = self.current();
            change(&mut current);
            current.revision += 1;
        }
        let condition = Condition::Matches(written.version.clone());
        self.write_with(&mut written, condition, None).await
    }

    /// Removes the checkpoint, because the run is over.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn remove(&self) -> Result<(), LeaseError> {
        // Some stores ignore the version when they remove a file.
        self.assure_held().await?;
        let mut written = self.written.lock().await;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let condition = DeleteCondition::Matches(written.version.clone());
            match self.store.delete(CHECKPOINT_KEY, condition).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_precondition_failed() => {
                    match self.stored_by().await? {
                        StoredBy::Us(it)
                            if it.version != written.version && attempts < MAX_ATTEMPTS =>
                        {
                            written.version = it.version;
                        }
                        // Removed already: the answer to an earlier attempt was lost.
                        StoredBy::Nobody => return Ok(()),
                        StoredBy::Us(_) => return Err(error.into()),
                        StoredBy::Other => return Err(self.lose()),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn write(&self, written: &mut Written, condition: Condition) -> Result<(), LeaseError> {
        let until = self.clock.now() + self.lease_length;
        self.write_with(written, condition, Some(until)).await
    }

    async fn write_with(
        &self,
        written: &mut Written,
        mut condition: Condition,
        until: Option<Timestamp>,
    ) -> Result<(), LeaseError> {
        if self.lost.load(Ordering::Acquire) {
            return Err(LeaseError::LeaseLost);
        }
        let (bytes, revision) = {
            let mut current = self.current();
            let (holder, token) = (self.holder.clone(), self.token.clone());
            current.lease = Lease { holder, token, until };
            (Bytes::from(current.to_json()?), current.revision)
        };
        let at = Instant::now();
        let mut attempts = 0;
        let version = loop {
            attempts += 1;
            let put =
                self.store.put(CHECKPOINT_KEY, bytes.clone(), ContentType::Json, condition.clone());
            match put.await {
                Ok(version) => break version,
                // The condition may fail because one of our own attempts took effect and its
                // response was lost. The token in the file shows whose the file is.
                Err(error) if error.is_precondition_failed() => match self.stored_by().await? {
                    StoredBy::Us(it) if it.bytes == bytes => break it.version,
                    StoredBy::Us(it)
                        if attempts < MAX_ATTEMPTS
                            && condition != Condition::Matches(it.version.clone()) =>
                    {
                        condition = Condition::Matches(it.version);
                    }
                    StoredBy::Us(_) => return Err(error.into()),
                    StoredBy::Nobody | StoredBy::Other => return Err(self.lose()),
                },
                Err(error) => return Err(error.into()),
            }
        };
        *written = Written { version, revision, until: until.unwrap_or(written.until), at };
        Ok(())
    }

    /// Reads the checkpoint back, to see which invocation wrote it.
    async fn stored_by(&self) -> Result<StoredBy, StoreError> {
        let Some(object) = self.store.get(CHECKPOINT_KEY).await? else {
            return Ok(StoredBy::Nobody);
        };
        Ok(match Checkpoint::from_json(&object.bytes) {
            Ok(checkpoint) if checkpoint.lease.token == self.token => StoredBy::Us(object),
            _ => StoredBy::Other,
        })
    }

    fn lose(&self) -> LeaseError {
        self.lost.store(true, Ordering::Release);
        LeaseError::LeaseLost
    }

    fn current(&self) -> MutexGuard<'_, Checkpoint> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which invocation wrote the checkpoint in the store.
enum StoredBy {
    Us(Object),
    Other,
    Nobody,
}
