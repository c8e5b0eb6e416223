//! Keeps the checkpoint and the lease: every write is conditional on the one before, so that at
//! most one invocation moves the run.

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

/// How often one write or removal of the checkpoint is tried: again only where our own checkpoint stands
/// under another version than the one that was named.
const MOST_ATTEMPTS: usize = 4;

/// Holds the lease of a run and writes its checkpoint.
#[derive(Debug)]
pub struct LeasedCheckpoint {
    store: Arc<dyn Store>,
    clock: Clock,
    lease: Duration,
    holder: String,
    token: String,
    draft: Mutex<Checkpoint>,
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
    /// Another invocation has taken the run. Nothing more may be written.
    #[error("another invocation has taken over the run")]
    LeaseLost,
    /// The store failed; whether the write took effect is not known.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint could not be put into words.
    #[error("the checkpoint could not be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl LeasedCheckpoint {
    /// Takes the lease by writing `checkpoint` where `condition` holds.
    ///
    /// # Errors
    /// [`LeaseError::LeaseLost`] when another invocation was faster.
    pub async fn take(
        store: Arc<dyn Store>,
        clock: Clock,
        lease: Duration,
        holder: String,
        mut checkpoint: Checkpoint,
        condition: Condition,
    ) -> Result<Arc<Self>, LeaseError> {
        let token = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        checkpoint.revision += 1;
        let leased = Self {
            store,
            clock,
            lease,
            holder,
            token,
            written: AsyncMutex::new(Written {
                version: Version::new(""),
                revision: 0,
                until: checkpoint.started_at,
                at: Instant::now(),
            }),
            draft: Mutex::new(checkpoint),
            lost: AtomicBool::new(false),
        };
        {
            let mut written = leased.written.lock().await;
            leased.write(&mut written, condition).await?;
        }
        Ok(Arc::new(leased))
    }

    /// Reads the checkpoint as it will next be written.
    pub fn read<T>(&self, read: impl FnOnce(&Checkpoint) -> T) -> T {
        read(&self.draft())
    }

    /// Changes the checkpoint and returns when the change is stored. Changes made side by side
    /// share a write.
    ///
    /// # Errors
    /// [`LeaseError`]; after [`LeaseError::LeaseLost`] every further call fails likewise.
    pub async fn commit(&self, change: impl FnOnce(&mut Checkpoint)) -> Result<(), LeaseError> {
        let revision = {
            let mut draft = self.draft();
            change(&mut draft);
            draft.revision += 1;
            draft.revision
        };
        let mut written = self.written.lock().await;
        if written.revision >= revision {
            return Ok(());
        }
        let condition = Condition::Matches(written.version.clone());
        self.write(&mut written, condition).await
    }

    /// Makes sure that the lease is held for a while yet, before something is written that is not
    /// conditional on it.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn assure_held(&self) -> Result<(), LeaseError> {
        if self.lost.load(Ordering::Acquire) {
            return Err(LeaseError::LeaseLost);
        }
        let until = self.written.lock().await.until;
        if self.clock.now() + self.lease / 2 < until { Ok(()) } else { self.commit(|_| ()).await }
    }

    /// Renews the lease for as long as it is polled, well within every quarter of its length.
    /// Returns only when the lease is lost.
    pub async fn renew(&self) {
        let interval = self.lease / 6;
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

    /// Gives the lease back: the next invocation continues at once.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn release(&self, change: impl FnOnce(&mut Checkpoint)) -> Result<(), LeaseError> {
        let mut written = self.written.lock().await;
        {
            let mut draft = self.draft();
            change(&mut draft);
            draft.revision += 1;
        }
        let condition = Condition::Matches(written.version.clone());
        self.write_with(&mut written, condition, None).await
    }

    /// Removes the checkpoint: the run is over.
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn remove(&self) -> Result<(), LeaseError> {
        // Some stores remove without a look at the version.
        self.assure_held().await?;
        let mut written = self.written.lock().await;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let condition = DeleteCondition::Matches(written.version.clone());
            match self.store.delete(CHECKPOINT_KEY, condition).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_precondition_failed() => {
                    match self.standing().await? {
                        Stands::Ours(it)
                            if it.version != written.version && attempts < MOST_ATTEMPTS =>
                        {
                            written.version = it.version;
                        }
                        // Removed already: the answer to an earlier attempt was lost.
                        Stands::Nothing => return Ok(()),
                        Stands::Ours(_) => return Err(error.into()),
                        Stands::Theirs => return Err(self.lose()),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn write(&self, written: &mut Written, condition: Condition) -> Result<(), LeaseError> {
        let until = self.clock.now() + self.lease;
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
            let mut draft = self.draft();
            let (holder, token) = (self.holder.clone(), self.token.clone());
            draft.lease = Lease { holder, token, until };
            (Bytes::from(draft.to_json()?), draft.revision)
        };
        let at = Instant::now();
        let mut attempts = 0;
        let version = loop {
            attempts += 1;
            let put =
                self.store.put(CHECKPOINT_KEY, bytes.clone(), ContentType::Json, condition.clone());
            match put.await {
                Ok(version) => break version,
                // The write may be refused because an attempt of ours did take effect and only its
                // answer was lost: this one or an earlier one. Our token tells.
                Err(error) if error.is_precondition_failed() => match self.standing().await? {
                    Stands::Ours(it) if it.bytes == bytes => break it.version,
                    Stands::Ours(it)
                        if attempts < MOST_ATTEMPTS
                            && condition != Condition::Matches(it.version.clone()) =>
                    {
                        condition = Condition::Matches(it.version);
                    }
                    Stands::Ours(_) => return Err(error.into()),
                    Stands::Nothing | Stands::Theirs => return Err(self.lose()),
                },
                Err(error) => return Err(error.into()),
            }
        };
        *written = Written { version, revision, until: until.unwrap_or(written.until), at };
        Ok(())
    }

    async fn standing(&self) -> Result<Stands, StoreError> {
        let Some(object) = self.store.get(CHECKPOINT_KEY).await? else {
            return Ok(Stands::Nothing);
        };
        Ok(match Checkpoint::from_json(&object.bytes) {
            Ok(checkpoint) if checkpoint.lease.token == self.token => Stands::Ours(object),
            _ => Stands::Theirs,
        })
    }

    fn lose(&self) -> LeaseError {
        self.lost.store(true, Ordering::Release);
        LeaseError::LeaseLost
    }

    fn draft(&self) -> MutexGuard<'_, Checkpoint> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose checkpoint stands in the store.
enum Stands {
    Ours(Object),
    Theirs,
    Nothing,
}
