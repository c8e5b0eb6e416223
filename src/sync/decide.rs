//! How things stand when an invocation begins, and what it is to do.

use std::collections::{BTreeMap, BTreeSet};

use tracing::warn;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::resource::Resource;
use crate::response::SyncAnswer;
use crate::snapshot::manifest::RunFacts;
use crate::snapshot::translate::RoleCatalogue;
use crate::store::{Condition, ContentType, StoreError, Version};

use super::Sync;
use super::checkpoint::{Checkpoint, Followed, Lease, overtakes};
use super::state::{CheckpointFound, LatestFound, PublishedCounts, store_unavailable};

/// How things stand when the invocation begins.
pub(super) struct Found {
    pub(super) checkpoint: Option<(Box<Checkpoint>, Version)>,
    /// A checkpoint that cannot be understood and is to be set aside.
    pub(super) set_aside: Option<Version>,
    pub(super) latest: LatestFound,
    pub(super) published: Option<PublishedCounts>,
}

pub(super) enum Decision {
    /// There is nothing to do.
    Answer(Box<SyncAnswer>),
    Begin(Box<Begin>),
}

/// A run to begin or to continue.
pub(super) struct Begin {
    pub(super) checkpoint: Checkpoint,
    pub(super) condition: Condition,
    /// Why the run in progress is given up, if one is.
    pub(super) abandons: Option<&'static str>,
}

impl Sync<'_> {
    pub(super) async fn find(&self) -> Result<Found, Error> {
        let store = &*self.dependencies.store;
        let latest = async {
            if self.options.accept_shrink {
                LatestFound::read_leniently(store).await.map_err(store_unavailable)
            } else {
                LatestFound::read(store).await
            }
        };
        let (checkpoint, latest) =
            futures_util::future::join(CheckpointFound::read(store), latest).await;
        let (checkpoint, set_aside) = match checkpoint? {
            CheckpointFound::None => (None, None),
            CheckpointFound::Readable(checkpoint, version) => (Some((checkpoint, version)), None),
            CheckpointFound::Unreadable { bytes, version, .. } if self.options.restart => {
                self.set_aside("checkpoint", bytes).await.map_err(store_unavailable)?;
                (None, Some(version))
            }
            CheckpointFound::Unreadable { error, .. } => return Err(error),
        };
        let latest = latest?;
        if let Some(bytes) = latest.unreadable.clone() {
            self.set_aside("latest", bytes).await.map_err(store_unavailable)?;
        }
        let guarded = self.config.shrink_guard_percent > 0.0 && !self.options.accept_shrink;
        let published = if guarded { latest.published_counts(store).await? } else { None };
        Ok(Found { checkpoint, set_aside, latest, published })
    }

    /// Keeps the bytes of a file that cannot be understood: somebody may want to look at it.
    async fn set_aside(&self, name: &str, bytes: bytes::Bytes) -> Result<(), StoreError> {
        let stamp = self.dependencies.clock.now().snapshot_id_stamp();
        let key = format!("{name}.unreadable-{stamp}.json");
        let store = &self.dependencies.store;
        store.put(&key, bytes, ContentType::Json, Condition::Any).await?;
        warn!("{name}.json cannot be understood; it is set aside as {}", store.url_of(&key));
        Ok(())
    }

    /// Whether there is anything to do, and with which run.
    pub(super) fn decide(&self, found: &Found) -> Decision {
        let now = self.dependencies.clock.now();
        let published = found.latest.latest.as_ref().map(Followed::of);
        let Some((checkpoint, version)) = &found.checkpoint else {
            if let Some(answer) = self.skip(found, now) {
                return Decision::Answer(Box::new(answer));
            }
            let condition = match &found.set_aside {
                Some(version) => Condition::Matches(version.clone()),
                None => Condition::Absent,
            };
            let checkpoint =
                Checkpoint { follows: published, ..self.new_run(now, BTreeSet::new()) };
            return Decision::Begin(Box::new(Begin { checkpoint, condition, abandons: None }));
        };
        if let Some(until) = checkpoint.lease.held_until(now) {
            return Decision::Answer(Box::new(self.busy(checkpoint, until)));
        }
        let is_published =
            published.as_ref().is_some_and(|latest| latest.snapshot_id == checkpoint.snapshot_id);
        let is_overtaken = found.latest.latest.as_ref().is_some_and(|latest| {
            let Checkpoint { snapshot_id, started_at, follows, .. } = &**checkpoint;
            overtakes(latest, snapshot_id, *started_at, follows.as_ref())
        });
        let abandons = self.why_abandon(checkpoint, is_published, is_overtaken, now);
        let next = if abandons.is_some() {
            let mut abandoned = checkpoint.abandoned.clone();
            if !is_published {
                abandoned.insert(checkpoint.snapshot_id.clone());
            }
            // What Clerk asked for outlives the run.
            let retry_at = checkpoint.retry_at;
            Checkpoint { retry_at, follows: published, ..self.new_run(now, abandoned) }
        } else {
            if let Some(answer) = self.still_paused(checkpoint, now) {
                return Decision::Answer(Box::new(answer));
            }
            (**checkpoint).clone()
        };
        Decision::Begin(Box::new(Begin {
            checkpoint: next,
            condition: Condition::Matches(version.clone()),
            abandons,
        }))
    }

    fn why_abandon(
        &self,
        checkpoint: &Checkpoint,
        is_published: bool,
        is_overtaken: bool,
        now: Timestamp,
    ) -> Option<&'static str> {
        let age = now.saturating_duration_since(checkpoint.started_at);
        if self.options.restart {
            Some("the event asks to restart")
        } else if is_published {
            None
        } else if is_overtaken {
            // Whoever began it was frozen before, and slept through another run.
            Some("a newer snapshot has been published since it was begun")
        } else if age >= self.config.snapshot_max_age {
            Some("it is older than SNAPSHOT_MAX_AGE_HOURS")
        } else if checkpoint.config_fingerprint
            != self.config.fingerprint(&self.resources(Some(checkpoint)))
        {
            Some("it was begun by another version or under another configuration")
        } else {
            None
        }
    }

    /// The event's resources, those of an event that the run was begun by, or the configuration's.
    fn resources(&self, in_progress: Option<&Checkpoint>) -> BTreeSet<Resource> {
        match (&self.options.resources, in_progress) {
            (Some(resources), _) => resources.clone(),
            (None, Some(run)) if run.resources_from_event => run.resources.clone(),
            (None, _) => self.config.resources.clone(),
        }
    }

    pub(super) fn new_run(&self, now: Timestamp, abandoned: BTreeSet<String>) -> Checkpoint {
        let resources = self.resources(None);
        let suffix = fastrand::u32(..) & 0x00ff_ffff;
        Checkpoint {
            snapshot_id: format!("{}-{suffix:06x}", now.snapshot_id_stamp()),
            started_at: now,
            config_fingerprint: self.config.fingerprint(&resources),
            resources,
            resources_from_event: self.options.resources.is_some(),
            instance: None,
            redaction_key_id: None,
            revision: 0,
            lease: Lease { holder: String::new(), token: String::new(), until: None },
            retry_at: None,
            roles: RoleCatalogue::default(),
            lists: BTreeMap::new(),
            run: RunFacts::default(),
            completed: None,
            abandoned,
            follows: None,
        }
    }
}
