//! Makes a complete run visible: verifies its parts, writes the manifest, and moves `latest.json`.
//!
//! Every step can be repeated after an interruption.

pub(crate) mod cleanup;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::manifest::{DatasetStatus, Instance, Latest, MANIFEST_FORMAT, Manifest};
use clerk_snapshot::part::Part;
use clerk_snapshot::resource::Dataset;
use clerk_store::{Condition, ContentType, Store};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tracing::info;

use crate::response::Shrunk;
use crate::sync::checkpoint::document::{Checkpoint, Completed, PreviousSnapshot, overtakes};
use crate::sync::checkpoint::lease::LeasedCheckpoint;
use crate::sync::checkpoint::summary;
use crate::sync::error::Stop;
use crate::sync::state::{LATEST_KEY, LatestFound, PublishedCounts};
use crate::sync::write::segment::{MANIFEST, snapshot_folder};

/// What publishing needs. It does not need Clerk, or the key.
#[derive(Debug)]
pub struct Publisher {
    /// Where everything is written.
    pub store: Arc<dyn Store>,
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
pub enum Published {
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
const MOST_ATTEMPTS: u32 = 3;
/// The guard ignores datasets with fewer records than this: small ones halve by chance.
const GUARDED_FROM: u64 = 20;

impl Publisher {
    /// Publishes the run whose lease is held.
    ///
    /// # Errors
    /// [`Stop`]. A reader of `latest.json` never sees an unfinished snapshot.
    pub async fn publish(&self) -> Result<Published, Stop> {
        let checkpoint = self.leased.read(Checkpoint::clone);
        let completed = checkpoint
            .completed
            .clone()
            .ok_or_else(|| Stop::Internal("publishing began before reading ended".to_owned()))?;
        let manifest = manifest(&checkpoint, completed);
        self.confirm_parts(&checkpoint, &manifest).await?;
        let (key, bytes) = (manifest_key(&checkpoint), json(&manifest)?);
        let sha256 = Sha256Hex::of(&bytes);
        self.leased.assure_held().await?;
        self.write_manifest(&key, bytes).await?;
        let shrunk = self.shrunk(&manifest);
        if !shrunk.is_empty() {
            return Ok(Published::Held(Box::new(manifest), shrunk));
        }
        let latest = Latest {
            snapshot_id: manifest.snapshot_id.clone(),
            manifest: key,
            manifest_sha256: sha256,
            started_at: manifest.started_at,
            completed_at: manifest.completed_at,
            verified: manifest.verified,
        };
        let answer_was_lost = self.point_latest_to(&latest).await?;
        info!(snapshot_id = manifest.snapshot_id, "snapshot published");
        Ok(Published::Complete(Box::new(Complete { manifest, latest, answer_was_lost })))
    }

    /// Verifies that every part is in the store with the size and checksum that the manifest will
    /// state.
    async fn confirm_parts(
        &self,
        checkpoint: &Checkpoint,
        manifest: &Manifest,
    ) -> Result<(), Stop> {
        let folder = snapshot_folder(checkpoint);
        stream::iter(manifest.datasets.values().flat_map(|dataset| &dataset.parts))
            .map(|part| self.confirm(format!("{folder}{}", part.key), part))
            .buffer_unordered(CONFIRMED_AT_ONCE)
            .try_collect()
            .await
    }

    async fn confirm(&self, key: String, part: &Part) -> Result<(), Stop> {
        let stored = self.store.verify(&key).await?;
        let as_written = stored.is_some_and(|stored| {
            stored.bytes == part.bytes
                && stored.sha256.is_none_or(|sha256| Sha256Hex(sha256) == part.sha256)
        });
        if as_written { Ok(()) } else { Err(Stop::PartLost(self.store.url_of(&key))) }
    }

    /// Writes the manifest once. If it exists it must be the same: an earlier attempt to publish
    /// this run wrote it, or a run that the guard held.
    async fn write_manifest(&self, key: &str, bytes: Bytes) -> Result<(), Stop> {
        let put = self.store.put(key, bytes.clone(), ContentType::Json, Condition::Absent).await;
        match put {
            Ok(_) => Ok(()),
            Err(error) if error.is_precondition_failed() => match self.store.get(key).await? {
                Some(standing) if standing.bytes == bytes => Ok(()),
                Some(_) => Err(Stop::ManifestDiffers(self.store.url_of(key))),
                None => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
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

    /// Moves `latest.json` forward: from the snapshot that the run follows, or from one that was
    /// started earlier. Returns whether the store's response was lost: a write that failed may have
    /// taken effect, and a condition may fail because an earlier attempt took effect.
    async fn point_latest_to(&self, latest: &Latest) -> Result<bool, Stop> {
        let bytes = json(latest)?;
        let mut found = self.latest.clone();
        let mut attempts = 0;
        loop {
            attempts += 1;
            if let Some(standing) = &found.latest {
                if standing == latest {
                    return Ok(true);
                }
                self.follow(standing, latest).await?;
            }
            self.leased.assure_held().await?;
            let condition = found.version.clone().map_or(Condition::Absent, Condition::Matches);
            let put = self.store.put(LATEST_KEY, bytes.clone(), ContentType::Json, condition).await;
            match put {
                Ok(_) => return Ok(false),
                Err(error) => match LatestFound::read_leniently(&*self.store).await {
                    Ok(standing) if standing.latest.as_ref() == Some(latest) => return Ok(true),
                    Ok(standing) if error.is_precondition_failed() && attempts < MOST_ATTEMPTS => {
                        found = standing;
                    }
                    Ok(_) | Err(_) => return Err(error.into()),
                },
            }
        }
    }

    /// Stores in the checkpoint which snapshot this one replaces, before `latest.json` is moved. An
    /// invocation that cleans up after an interruption can no longer read it there.
    async fn follow(&self, standing: &Latest, latest: &Latest) -> Result<(), Stop> {
        let follows = self.leased.read(|checkpoint| checkpoint.follows.clone());
        if overtakes(standing, &latest.snapshot_id, latest.started_at, follows.as_ref()) {
            return Err(Stop::Superseded(standing.snapshot_id.clone()));
        }
        let is_known = follows.is_some_and(|followed| followed.is(standing));
        // A latest.json that names this snapshot with another content was not written by this
        // program.
        if is_known || standing.snapshot_id == latest.snapshot_id {
            return Ok(());
        }
        let follow = |checkpoint: &mut Checkpoint| {
            checkpoint.abandoned.remove(&standing.snapshot_id);
            checkpoint.follows = Some(PreviousSnapshot::of(standing));
        };
        Ok(self.leased.commit(follow).await?)
    }
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
        previous: None,
        config_fingerprint: checkpoint.config_fingerprint.clone(),
        settings: None,
        redaction_key_id: None,
        resources: checkpoint.resources.iter().copied().collect(),
        compression: completed.compression,
        datasets,
        referential: summary::referential(checkpoint),
        run: completed.run,
    }
}

/// Key of a run's manifest.
#[must_use]
pub fn manifest_key(checkpoint: &Checkpoint) -> String {
    format!("{}{MANIFEST}", snapshot_folder(checkpoint))
}

fn json(document: &impl serde::Serialize) -> Result<Bytes, Stop> {
    let mut bytes =
        serde_json::to_vec_pretty(document).map_err(|error| Stop::Internal(error.to_string()))?;
    bytes.push(b'\n');
    Ok(Bytes::from(bytes))
}
