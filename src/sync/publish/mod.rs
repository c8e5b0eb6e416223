//! Makes a complete run visible: verifies its parts, settles which snapshot it follows, writes the
//! manifest and its signature, and moves `latest.json`.
//!
//! - Every step can be repeated after an interruption.
//! - The manifest names the snapshot that `latest.json` names before it is moved. The checkpoint stores
//!   that name before the manifest is written, so that every invocation that publishes the run writes
//!   the same bytes.
//! - A manifest cannot be changed. If `latest.json` names another snapshot by the time it would be
//!   moved, the run is not published, and the next invocation abandons it.

pub(crate) mod cleanup;
pub(crate) mod retention;

use std::collections::BTreeMap;
use std::sync::Arc;

use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::document;
use clerk_snapshot::layout::{LATEST_KEY, manifest_key, manifest_signature_key, snapshot_folder};
use clerk_snapshot::manifest::{
    DatasetStatus, Instance, Latest, MANIFEST_FORMAT, Manifest, Previous,
};
use clerk_snapshot::part::Part;
use clerk_snapshot::redaction::shown_key_id;
use clerk_snapshot::resource::Dataset;
use clerk_store::{Condition, ContentType, Store};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tracing::info;

use crate::response::Shrunk;
use crate::signing::Signer;
use crate::sync::checkpoint::document::{
    Checkpoint, Completed, PublishedSnapshot, Succession, overtakes,
};
use crate::sync::checkpoint::lease::LeasedCheckpoint;
use crate::sync::checkpoint::summary;
use crate::sync::error::SyncError;
use crate::sync::state::{LatestFound, Predecessor, PublishedCounts};

/// What publishing needs. It does not need Clerk, or the key.
#[derive(Debug)]
pub struct Publisher {
    /// Where everything is written.
    pub store: Arc<dyn Store>,
    /// Signs the manifest; `None` if `SIGNING_KEY_ID` is not set.
    pub signer: Option<Arc<dyn Signer>>,
    /// Holds the lease.
    pub leased: Arc<LeasedCheckpoint>,
    /// Share of its records that a dataset may lose, in per cent; 0 allows everything.
    pub shrink_guard_percent: f64,
    /// `latest.json` as it was when this invocation began.
    pub latest: LatestFound,
    /// Counts of the snapshot that it names; `None` if there is none or the guard is off.
    pub published: Option<PublishedCounts>,
}

/// How publishing ended.
#[derive(Debug)]
pub enum PublishOutcome {
    /// This invocation has moved `latest.json` to the snapshot.
    Complete(Box<Complete>),
    /// The shrink guard holds it back.
    Held(Box<Manifest>, BTreeMap<Dataset, Shrunk>),
}

/// A snapshot that was just published.
#[derive(Debug)]
pub struct Complete {
    /// Its manifest.
    pub manifest: Manifest,
    /// The content of `latest.json` for it.
    pub latest: Latest,
    /// Whether the store's response to the write of `latest.json` was lost, and the file was found
    /// as written.
    pub answer_was_lost: bool,
}

/// Parts that are verified concurrently.
const CONFIRMED_AT_ONCE: usize = 16;
/// Attempts to move `latest.json` while others seem to change it.
const MAX_ATTEMPTS: u32 = 3;
/// The guard ignores datasets with fewer records than this: small ones halve by chance.
const GUARDED_FROM: u64 = 20;

impl Publisher {
    /// Publishes the run whose lease is held.
    ///
    /// # Errors
    /// [`SyncError`]. A reader of `latest.json` never sees an unfinished snapshot.
    pub async fn publish(&self) -> Result<PublishOutcome, SyncError> {
        let checkpoint = self.leased.with_checkpoint(Checkpoint::clone);
        let completed = checkpoint.completed.clone().ok_or_else(|| {
            SyncError::Internal("publishing began before reading ended".to_owned())
        })?;
        let mut manifest = manifest(&checkpoint, completed);
        self.confirm_parts(&checkpoint, &manifest).await?;
        // Read again: hours may have passed since this invocation began.
        let found = LatestFound::read_leniently(&*self.store).await?;
        manifest.previous = self.settle_succession(&found).await?;
        let key = manifest_key(&checkpoint.snapshot_id);
        self.leased.assure_held().await?;
        let sha256 = self.write_manifest(&key, &manifest).await?;
        self.sign_manifest(&checkpoint.snapshot_id, sha256).await?;
        let shrunk = self.shrunk(&manifest);
        if !shrunk.is_empty() {
            return Ok(PublishOutcome::Held(Box::new(manifest), shrunk));
        }
        let latest = Latest {
            snapshot_id: manifest.snapshot_id.clone(),
            manifest: key,
            manifest_sha256: sha256,
            started_at: manifest.started_at,
            completed_at: manifest.completed_at,
            verified: manifest.verified,
        };
        let answer_was_lost = self.point_latest_to(&latest, found).await?;
        info!(snapshot_id = manifest.snapshot_id, "snapshot published");
        Ok(PublishOutcome::Complete(Box::new(Complete { manifest, latest, answer_was_lost })))
    }

    /// Verifies that every part is in the store with the size and checksum that the manifest will
    /// state.
    async fn confirm_parts(
        &self,
        checkpoint: &Checkpoint,
        manifest: &Manifest,
    ) -> Result<(), SyncError> {
        let folder = snapshot_folder(&checkpoint.snapshot_id);
        stream::iter(manifest.datasets.values().flat_map(|dataset| &dataset.parts))
            .map(|part| self.confirm(format!("{folder}{}", part.key), part))
            .buffer_unordered(CONFIRMED_AT_ONCE)
            .try_collect()
            .await
    }

    async fn confirm(&self, key: String, part: &Part) -> Result<(), SyncError> {
        let stored = self.store.verify(&key).await?;
        let as_written = stored.is_some_and(|stored| {
            stored.bytes == part.bytes
                && stored.sha256.is_none_or(|sha256| Sha256Hex(sha256) == part.sha256)
        });
        if as_written { Ok(()) } else { Err(SyncError::PartLost(self.store.url_of(&key))) }
    }

    /// Settles which snapshot this one follows, and stores it before the manifest says so: an invocation
    /// that continues or cleans up after an interruption may find `latest.json` moved.
    async fn settle_succession(&self, found: &LatestFound) -> Result<Option<Previous>, SyncError> {
        self.assert_may_follow(found)?;
        let settled = self.leased.with_checkpoint(|checkpoint| succession(checkpoint).cloned());
        if let Some(Succession { previous }) = settled {
            return Ok(previous);
        }
        let snapshot_id = self.leased.with_checkpoint(|checkpoint| checkpoint.snapshot_id.clone());
        let previous = match found.predecessor_of(&snapshot_id) {
            Predecessor::Snapshot(previous) => Some(previous),
            Predecessor::Nothing | Predecessor::Unknown => None,
        };
        let settle = |checkpoint: &mut Checkpoint| {
            // A latest.json that already names this snapshot was not written by this program.
            let existing = found.latest.as_ref().filter(|it| it.snapshot_id != snapshot_id);
            if let Some(existing) = existing {
                checkpoint.abandoned.remove(&existing.snapshot_id);
                checkpoint.follows = Some(PublishedSnapshot::of(existing));
            }
            if let Some(completed) = &mut checkpoint.completed {
                completed.succession = Some(Succession { previous: previous.clone() });
            }
        };
        self.leased.commit(settle).await?;
        Ok(previous)
    }

    /// Checks whether the run's snapshot may replace the one that `latest.json` names: one that the run
    /// follows, or one that was started earlier; once its manifest may have been written, only the one
    /// that the manifest names.
    fn assert_may_follow(&self, found: &LatestFound) -> Result<(), SyncError> {
        // A file that could not be understood when the invocation began has been set aside.
        if found.unreadable.is_some() && found.version != self.latest.version {
            return Err(SyncError::LatestDamaged(self.store.url_of(LATEST_KEY)));
        }
        self.leased.with_checkpoint(|checkpoint| {
            let Checkpoint { snapshot_id, started_at, follows, .. } = checkpoint;
            if let Some(existing) = &found.latest
                && overtakes(existing, snapshot_id, *started_at, follows.as_ref())
            {
                return Err(SyncError::Superseded(existing.snapshot_id.clone()));
            }
            let named = found.predecessor_of(snapshot_id);
            if succession(checkpoint).is_some_and(|settled| named.contradicts(settled)) {
                return Err(SyncError::Unfollowed(self.store.url_of(LATEST_KEY)));
            }
            Ok(())
        })
    }

    /// Writes the manifest once, and returns its checksum. If it exists it must be the same: an earlier
    /// attempt to publish this run wrote it, or a run that the guard held.
    async fn write_manifest(&self, key: &str, manifest: &Manifest) -> Result<Sha256Hex, SyncError> {
        let bytes = document::to_bytes(manifest)?;
        let put = self.store.put(key, bytes.clone(), ContentType::Json, Condition::Absent).await;
        match put {
            Ok(_) => Ok(Sha256Hex::of(&bytes)),
            Err(error) if error.is_precondition_failed() => match self.store.get(key).await? {
                Some(existing) if existing.bytes == bytes => Ok(Sha256Hex::of(&bytes)),
                Some(existing) if is_of_older_version(&existing.bytes, manifest)? => {
                    Ok(Sha256Hex::of(&existing.bytes))
                }
                Some(_) => Err(SyncError::ManifestDiffers(self.store.url_of(key))),
                None => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Stores the signature beside the manifest. An earlier attempt may have stored another one, which was as good if
    /// it was by the same key.
    async fn sign_manifest(&self, snapshot_id: &str, sha256: Sha256Hex) -> Result<(), SyncError> {
        let Some(signer) = &self.signer else { return Ok(()) };
        let signature = signer.sign(sha256).await?;
        // KMS may have taken a minute, and another invocation may sign with another key by now.
        self.leased.assure_held().await?;
        let key = manifest_signature_key(snapshot_id);
        self.store.put(&key, signature, ContentType::Binary, Condition::Any).await?;
        Ok(())
    }

    /// The datasets that lost more records than the guard allows, and those that had records,
    /// however few, and are skipped or failed now. If one was skipped or failed before already it
    /// does not count, or a feature that is switched off would hold every snapshot. A dataset that
    /// is no longer opted in has not shrunk: somebody decided that.
    fn shrunk(&self, manifest: &Manifest) -> BTreeMap<Dataset, Shrunk> {
        let Some(published) = &self.published else { return BTreeMap::new() };
        if published.snapshot_id == manifest.snapshot_id {
            return BTreeMap::new();
        }
        let allowed = self.shrink_guard_percent;
        let entries = manifest.datasets.iter();
        entries
            .filter_map(|(&dataset, entry)| {
                let before = *published.records.get(dataset.name())?;
                let after = entry.records;
                let status = Some(entry.status).filter(|status| status.is_left_out());
                let was_left_out = published.left_out.contains(dataset.name());
                let is_gone = before > 0 && status.is_some() && !was_left_out;
                // Both sides are exact for whole percentages, so the comparison is exact at the
                // limit.
                let lost_too_much =
                    before.saturating_sub(after) as f64 * 100.0 > before as f64 * allowed;
                (is_gone || (before >= GUARDED_FROM && lost_too_much))
                    .then_some((dataset, Shrunk { before, after, status }))
            })
            .collect()
    }

    /// Moves `latest.json` forward from the file that was found. Returns whether the store's response was
    /// lost: a write that failed may have taken effect, and a condition may fail because an earlier attempt
    /// took effect.
    async fn point_latest_to(
        &self,
        latest: &Latest,
        mut found: LatestFound,
    ) -> Result<bool, SyncError> {
        let bytes = document::to_bytes(latest)?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            if found.latest.as_ref() == Some(latest) {
                return Ok(true);
            }
            self.assert_may_follow(&found)?;
            self.leased.assure_held().await?;
            let condition = found.version.clone().map_or(Condition::Absent, Condition::Matches);
            let put = self.store.put(LATEST_KEY, bytes.clone(), ContentType::Json, condition).await;
            match put {
                Ok(_) => return Ok(false),
                Err(error) => match LatestFound::read_leniently(&*self.store).await {
                    Ok(existing) if existing.latest.as_ref() == Some(latest) => return Ok(true),
                    Ok(existing) if error.is_precondition_failed() && attempts < MAX_ATTEMPTS => {
                        found = existing;
                    }
                    Ok(_) | Err(_) => return Err(error.into()),
                },
            }
        }
    }
}

/// What is settled of the succession of a run's snapshot.
fn succession(checkpoint: &Checkpoint) -> Option<&Succession> {
    checkpoint.completed.as_ref()?.succession.as_ref()
}

/// Whether these are the bytes that a version wrote which did not know the newest fields, for a run that
/// such a version completed.
fn is_of_older_version(existing: &[u8], manifest: &Manifest) -> Result<bool, SyncError> {
    const NEWEST: [&str; 3] = ["previous", "settings", "redaction_key_id"];
    if manifest.settings.is_some() {
        return Ok(false);
    }
    let json = document::to_bytes(&Manifest {
        previous: None,
        redaction_key_id: None,
        ..manifest.clone()
    })?;
    let is_newest = |line: &[u8]| {
        NEWEST.iter().any(|field| line == format!("  \"{field}\": null,\n").as_bytes())
    };
    let older = json.split_inclusive(|&byte| byte == b'\n').filter(|line| !is_newest(line));
    Ok(older.flatten().eq(existing))
}

/// The manifest depends on the checkpoint alone, so that every invocation writes the same bytes.
fn manifest(checkpoint: &Checkpoint, completed: Completed) -> Manifest {
    let datasets = summary::entries(checkpoint);
    let unnamed = || Instance { id: String::new(), environment: String::new() };
    Manifest {
        format: MANIFEST_FORMAT.to_owned(),
        snapshot_id: checkpoint.snapshot_id.clone(),
        instance: checkpoint.instance.clone().unwrap_or_else(unnamed),
        started_at: checkpoint.started_at,
        completed_at: completed.at,
        verified: datasets.values().all(|dataset| {
            !matches!(dataset.status, DatasetStatus::Drifted | DatasetStatus::Failed)
        }),
        generator: completed.generator,
        previous: completed.succession.and_then(|settled| settled.previous),
        config_fingerprint: checkpoint.config_fingerprint.clone(),
        settings: completed.settings,
        redaction_key_id: checkpoint.redaction_key_id.as_deref().and_then(shown_key_id),
        resources: checkpoint.resources.iter().copied().collect(),
        compression: completed.compression,
        datasets,
        referential: summary::referential(checkpoint),
        run: completed.run,
    }
}
