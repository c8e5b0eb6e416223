//! Finds the run in progress and the published snapshot, and decides what the invocation does.

use std::collections::{BTreeMap, BTreeSet};

use clerk_snapshot::manifest::RunStats;
use clerk_snapshot::resource::Resource;
use clerk_snapshot::timestamp::Timestamp;
use clerk_store::{Condition, ContentType, StoreError, Version};
use tracing::warn;

use crate::error::Error;
use crate::error::store_unavailable;
use crate::response::SyncAnswer;
use crate::sync::checkpoint::document::{Checkpoint, Lease, PublishedSnapshot, overtakes};
use crate::sync::context::SyncInvocation;
use crate::sync::publish::cleanup::clean_up;
use crate::sync::state::{CheckpointFound, LatestFound, PublishedCounts};
use crate::translate::RoleCatalogue;

/// What the store holds when the invocation begins.
pub(crate) struct Found {
    /// The run in progress. A published run counts as one only while its lease is held.
    pub(crate) checkpoint: Option<(Box<Checkpoint>, Version)>,
    /// A `checkpoint.json` without a run in progress.
    pub(crate) spent: Option<SpentCheckpoint>,
    pub(crate) latest: LatestFound,
    pub(crate) published: Option<PublishedCounts>,
}

/// A `checkpoint.json` that the next run replaces: its run is published and the file could not be
/// removed, or the file cannot be understood and a copy of it is kept.
pub(crate) struct SpentCheckpoint {
    pub(crate) version: Version,
    /// The checkpoint of the published run. It is removed if no other run follows.
    pub(crate) checkpoint: Option<Box<Checkpoint>>,
    /// Ids of the snapshots of abandoned runs whose files could not be removed yet.
    abandoned: BTreeSet<String>,
}

impl Found {
    /// Whether nothing was ever written here.
    pub(crate) const fn is_new(&self) -> bool {
        self.checkpoint.is_none() && self.spent.is_none() && self.latest.version.is_none()
    }
}

impl SpentCheckpoint {
    /// A checkpoint that cannot be understood, so that nothing is known about what it named.
    const fn unreadable(version: Version) -> Self {
        Self { version, checkpoint: None, abandoned: BTreeSet::new() }
    }
}

pub(crate) enum Decision {
    /// No snapshot is due.
    Skip(Box<SyncAnswer>),
    /// There is a run to work on, but not now: another invocation works on it, or Clerk asked for a pause.
    Wait(Box<SyncAnswer>),
    /// Work on a run.
    Begin(Box<Begin>),
}

/// A run to begin or to continue.
pub(crate) struct Begin {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) condition: Condition,
    /// Why the run in progress is abandoned, if it is.
    pub(crate) abandons: Option<&'static str>,
}

impl SyncInvocation<'_> {
    /// Reads the checkpoint and `latest.json`. Also sets files aside that cannot be understood, and cleans up after a run
    /// that was published and whose invocation was interrupted before it could.
    ///
    /// # Errors
    /// [`Error`]: the store, or a checkpoint or `latest.json` that cannot be understood, unless the event allows it.
    pub(crate) async fn load_state(&self) -> Result<Found, Error> {
        loop {
            if let Some(found) = self.try_load_state().await? {
                return Ok(found);
            }
        }
    }

    /// `None`: the snapshot that `latest.json` named could not be read, and another one was published meanwhile.
    /// `KEEP_SNAPSHOTS` may have removed the earlier one.
    async fn try_load_state(&self) -> Result<Option<Found>, Error> {
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
                (None, Some(SpentCheckpoint::unreadable(version)))
            }
            CheckpointFound::Unreadable { error, .. } => return Err(error),
        };
        let latest = latest?;
        if let Some(bytes) = latest.unreadable.clone() {
            self.set_aside("latest", bytes).await.map_err(store_unavailable)?;
        }
        let (checkpoint, spent) = match checkpoint {
            Some((checkpoint, version)) => match self.publication(&checkpoint, &latest) {
                Some(published) => {
                    (None, Some(self.clean_up_published(checkpoint, version, &published).await))
                }
                None => (Some((checkpoint, version)), None),
            },
            None => (None, set_aside),
        };
        let is_guarded = self.config.shrink_guard_percent > 0.0 && !self.options.accept_shrink;
        let published = if is_guarded {
            match latest.published_counts(store).await {
                Err(Error::StateUnreadable(_)) if latest.has_changed(store).await? => {
                    return Ok(None);
                }
                counts => counts?,
            }
        } else if checkpoint.is_none() && self.next_due(&latest).is_some() {
            // Only for the answer, which is `skipped`.
            latest.published_counts(store).await.unwrap_or_default()
        } else {
            None
        };
        Ok(Some(Found { checkpoint, spent, latest, published }))
    }

    /// The published snapshot of a checkpoint whose run is published and whose lease is not held.
    fn publication(
        &self,
        checkpoint: &Checkpoint,
        latest: &LatestFound,
    ) -> Option<PublishedSnapshot> {
        let is_held = checkpoint.lease.held_until(self.dependencies.clock.now()).is_some();
        let latest = latest.latest.as_ref()?;
        (checkpoint.is_published(latest) && !is_held).then(|| PublishedSnapshot::of(latest))
    }

    /// Cleans up in place of the invocation that published the run and was interrupted.
    async fn clean_up_published(
        &self,
        checkpoint: Box<Checkpoint>,
        version: Version,
        published: &PublishedSnapshot,
    ) -> SpentCheckpoint {
        let is_clean = clean_up(&*self.dependencies.store, &checkpoint, published).await;
        let abandoned = if is_clean { BTreeSet::new() } else { checkpoint.abandoned.clone() };
        SpentCheckpoint { version, checkpoint: Some(checkpoint), abandoned }
    }

    /// Keeps a copy of a file that cannot be understood, for people to look at.
    async fn set_aside(&self, name: &str, bytes: bytes::Bytes) -> Result<(), StoreError> {
        let stamp = self.dependencies.clock.now().snapshot_id_stamp();
        let key = format!("{name}.unreadable-{stamp}.json");
        let store = &self.dependencies.store;
        store.put(&key, bytes, ContentType::Json, Condition::Any).await?;
        warn!("{name}.json cannot be understood; it is set aside as {}", store.url_of(&key));
        Ok(())
    }

    /// Decides whether there is anything to do, and on which run.
    pub(crate) fn decide(&self, found: &Found) -> Decision {
        let now = self.dependencies.clock.now();
        let latest = found.latest.latest.as_ref();
        let follows = latest.map(PublishedSnapshot::of);
        let Some((checkpoint, version)) = &found.checkpoint else {
            if let Some(answer) = self.skip(found) {
                return Decision::Skip(Box::new(answer));
            }
            let (condition, abandoned) = match &found.spent {
                Some(spent) => (Condition::Matches(spent.version.clone()), spent.abandoned.clone()),
                None => (Condition::Absent, BTreeSet::new()),
            };
            let checkpoint = Checkpoint { follows, ..self.new_run(now, abandoned) };
            return Decision::Begin(Box::new(Begin { checkpoint, condition, abandons: None }));
        };
        if let Some(until) = checkpoint.lease.held_until(now) {
            return Decision::Wait(Box::new(self.busy(checkpoint, until)));
        }
        let abandons = self.why_abandon(checkpoint, &found.latest, now);
        let next = if abandons.is_some() {
            let mut abandoned = checkpoint.abandoned.clone();
            abandoned.insert(checkpoint.snapshot_id.clone());
            // A published snapshot is not abandoned.
            latest.map(|latest| abandoned.remove(&latest.snapshot_id));
            // A pause that Clerk asked for applies to the next run as well.
            let retry_at = checkpoint.retry_at;
            Checkpoint { retry_at, follows, ..self.new_run(now, abandoned) }
        } else {
            if let Some(answer) = self.still_paused(checkpoint, now) {
                return Decision::Wait(Box::new(answer));
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
        found: &LatestFound,
        now: Timestamp,
    ) -> Option<&'static str> {
        let Checkpoint { snapshot_id, started_at, follows, completed, .. } = checkpoint;
        let is_overtaken = found
            .latest
            .as_ref()
            .is_some_and(|latest| overtakes(latest, snapshot_id, *started_at, follows.as_ref()));
        let succession = completed.as_ref().and_then(|completed| completed.succession.as_ref());
        let is_unfollowed =
            succession.is_some_and(|it| found.predecessor_of(snapshot_id).contradicts(it));
        let age = now.saturating_duration_since(*started_at);
        // It is published as it was read, however long ago and under whatever settings.
        let is_accepted = self.options.accept_shrink && completed.is_some();
        if self.options.restart {
            Some("the event asks to restart")
        } else if is_overtaken {
            // The invocation that started it was frozen while another run was published.
            Some("a newer snapshot has been published since it was begun")
        } else if is_unfollowed {
            Some("latest.json no longer names the snapshot that the run follows")
        } else if is_accepted {
            None
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

    /// The event's resources, or those of the event that started the run, or the configuration's.
    fn resources(&self, in_progress: Option<&Checkpoint>) -> BTreeSet<Resource> {
        match (&self.options.resources, in_progress) {
            (Some(resources), _) => resources.clone(),
            (None, Some(run)) if run.resources_from_event => run.resources.clone(),
            (None, _) => self.config.resources.clone(),
        }
    }

    pub(crate) fn new_run(&self, now: Timestamp, abandoned: BTreeSet<String>) -> Checkpoint {
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
            stats: RunStats::default(),
            completed: None,
            abandoned,
            follows: None,
        }
    }
}
