//! Proves with a probe object that a store does what a run relies on.
//!
//! `check` does this every time, leaving no trace, and `sync` once for each new `SNAPSHOT_URL`. A store that ignores the conditions of
//! writes would let two invocations publish at once, which nothing else would detect.

use bytes::Bytes;
use clerk_snapshot::digest::Sha256Hex;

use super::{
    Condition, ContentType, DeleteCondition, Operation, Shortcoming, Store, StoreError,
    StoreErrorKind, Version,
};

/// Prefix of the keys of probe objects.
const PROBE_PREFIX: &str = "clerk-sync-check-";

/// Attempts at the proof. Another process's cleanup may remove the probe midway; it would have to do so this often for
/// a good store to be rejected.
const MAX_ATTEMPTS: u32 = 3;

const FIRST: Bytes = Bytes::from_static(b"{\"probe\":1}\n");
const SECOND: Bytes = Bytes::from_static(b"{\"probe\":2}\n");
const THIRD: Bytes = Bytes::from_static(b"{\"probe\":3}\n");

/// The result for a store that can be used.
#[derive(Debug)]
pub struct Proven {
    /// Why objects cannot be removed correctly, if they cannot. Snapshots can still be published, but more is left
    /// behind.
    pub removal: Option<StoreError>,
}

/// Performs the operations of a run, checks that the store refuses writes whose conditions do not hold, and removes the
/// probe object.
///
/// # Errors
/// [`StoreErrorKind::Unfit`] if the store does not keep a condition, or any error of the store.
pub async fn prove(store: &dyn Store) -> Result<Proven, StoreError> {
    let mut attempts = 1;
    loop {
        match prove_once(store).await {
            Err(StoreError { kind: StoreErrorKind::Unfit(_), .. }) if attempts < MAX_ATTEMPTS => {
                attempts += 1
            }
            proven => return proven,
        }
    }
}

/// Like [`prove`], and leaves nothing behind, not even what the first write to a store makes for good.
///
/// # Errors
/// Those of [`prove`].
pub async fn prove_without_a_trace(store: &dyn Store) -> Result<Proven, StoreError> {
    let rehearsal = store.rehearsal().await?;
    prove(rehearsal.as_deref().unwrap_or(store)).await
}

/// Removes probes left behind by an interrupted proof.
///
/// # Errors
/// [`StoreError`].
pub async fn remove_probes(store: &dyn Store) -> Result<(), StoreError> {
    for probe in store.list(PROBE_PREFIX).await? {
        store.delete(&probe.key, DeleteCondition::Any).await?;
    }
    Ok(())
}

async fn prove_once(store: &dyn Store) -> Result<Proven, StoreError> {
    let probe = Probe { store, key: format!("{PROBE_PREFIX}{:016x}.json", fastrand::u64(..)) };
    let removal = match probe.prove_writes().await {
        Ok(versions) => probe.prove_removals(versions).await,
        Err(error) => {
            // Report the first error, whether or not the probe can be removed.
            let _ = probe.delete(DeleteCondition::Any).await;
            return Err(error);
        }
    };
    if removal.is_err() {
        let _ = probe.delete(DeleteCondition::Any).await;
    }
    Ok(Proven { removal: removal.err() })
}

/// Versions of the probe, as a reader gets them.
struct Versions {
    stale: Version,
    fresh: Version,
}

struct Probe<'a> {
    store: &'a dyn Store,
    key: String,
}

impl Probe<'_> {
    async fn prove_writes(&self) -> Result<Versions, StoreError> {
        self.write(FIRST, Condition::Absent, Shortcoming::CreationRefused).await?;
        self.must_refuse(self.put(SECOND, Condition::Absent).await, Shortcoming::Overwrites)?;
        let stale = self.version_of(&FIRST).await?;
        self.prove_reads().await?;
        let fresh = Condition::Matches(stale.clone());
        self.write(SECOND, fresh.clone(), Shortcoming::VersionsOfReadsRefused).await?;
        self.must_refuse(self.put(THIRD, fresh).await, Shortcoming::IgnoresVersions)?;
        let fresh = self.version_of(&SECOND).await?;
        Ok(Versions { stale, fresh })
    }

    async fn prove_reads(&self) -> Result<(), StoreError> {
        let listed = self.store.list(&self.key).await?;
        let stored = self.store.verify(&self.key).await?;
        let as_written = stored.is_some_and(|stored| {
            stored.bytes == FIRST.len() as u64
                && stored.sha256.is_none_or(|sha256| sha256 == Sha256Hex::of(&FIRST).0)
        });
        if as_written && listed.iter().any(|listed| listed.key == self.key) {
            Ok(())
        } else {
            Err(self.unfit(Shortcoming::StaleReads))
        }
    }

    async fn prove_removals(&self, Versions { stale, fresh }: Versions) -> Result<(), StoreError> {
        let removed = self.delete(DeleteCondition::Matches(stale)).await;
        self.must_refuse(removed, Shortcoming::RemovesOtherVersions)?;
        match self.delete(DeleteCondition::Matches(fresh)).await {
            // An earlier attempt of the SDK, whose answer was lost, has removed it.
            Err(error) if error.is_precondition_failed() => {
                match self.store.get(&self.key).await? {
                    None => Ok(()),
                    Some(_) => Err(self.unfit(Shortcoming::VersionsOfReadsRefused)),
                }
            }
            removed => removed,
        }
    }

    /// A write that the store must accept. A refusal may follow an earlier attempt of the SDK that succeeded but whose
    /// answer was lost.
    async fn write(
        &self,
        bytes: Bytes,
        condition: Condition,
        refused: Shortcoming,
    ) -> Result<(), StoreError> {
        match self.put(bytes.clone(), condition).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_precondition_failed() => {
                let standing = self.store.get(&self.key).await?;
                let is_ours = standing.is_some_and(|object| object.bytes == bytes);
                if is_ours { Ok(()) } else { Err(self.unfit(refused)) }
            }
            Err(error) => Err(error),
        }
    }

    /// Checks that the store refused a write or removal whose condition does not hold.
    fn must_refuse<T>(
        &self,
        answer: Result<T, StoreError>,
        otherwise: Shortcoming,
    ) -> Result<(), StoreError> {
        match answer {
            Ok(_) => Err(self.unfit(otherwise)),
            Err(error) if error.is_precondition_failed() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn version_of(&self, bytes: &Bytes) -> Result<Version, StoreError> {
        match self.store.get(&self.key).await? {
            Some(object) if object.bytes == *bytes => Ok(object.version),
            Some(_) | None => Err(self.unfit(Shortcoming::StaleReads)),
        }
    }

    async fn put(&self, bytes: Bytes, condition: Condition) -> Result<Version, StoreError> {
        self.store.put(&self.key, bytes, ContentType::Json, condition).await
    }

    async fn delete(&self, condition: DeleteCondition) -> Result<(), StoreError> {
        self.store.delete(&self.key, condition).await
    }

    fn unfit(&self, shortcoming: Shortcoming) -> StoreError {
        StoreError::new(Operation::Put, self.store.url_of(""), StoreErrorKind::Unfit(shortcoming))
    }
}
