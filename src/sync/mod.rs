//! A `sync`: find out how things stand, take the run, read what is missing, publish.
//!
//! In the order in which it happens:
//! - [`state`] finds the run in progress and what is published; `decide` says what to do about it.
//! - [`checkpoint::lease`] takes the run, so that no other invocation works on it.
//! - [`read`] copies the lists, each to its end; [`run`] is what all of it shares.
//! - `references` holds grants against the rows that the snapshot has.
//! - `write` stores pages as parts and notes them in the [`checkpoint`].
//! - [`daily_active_users`] counts users by the day of their latest activity.
//! - [`publish`] makes the snapshot visible and removes what nothing names.
//! - `outcome` leaves the run as the next invocation needs it; `answer` and [`error`] say how it ended.

mod answer;
pub mod checkpoint;
mod context;
pub mod daily_active_users;
mod decide;
pub mod error;
mod outcome;
pub mod publish;
pub mod read;
mod references;
pub mod run;
pub mod state;
mod write;

use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use clerk_snapshot::buffers::Buffers;
use clerk_snapshot::manifest::{Generator, Instance};
use clerk_store::Condition;
use clerk_store::conformance::prove;
use futures_util::FutureExt as _;
use futures_util::future::ready;
use tokio::time::Instant;
use tracing::warn;

use crate::clerk::client::{Client, KeysInstance};
use crate::config::Config;
use crate::dependencies::Dependencies;
use crate::error::internal;
use crate::error::store_unavailable;
use crate::error::{Error, with_causes};
use crate::event::SyncOptions;
use crate::invocation::Invocation;
use crate::redaction::Redaction;
use crate::response::SyncAnswer;
use crate::sync::checkpoint::document::{Checkpoint, PreviousSnapshot};
use crate::sync::checkpoint::lease::{LeaseError, LeasedCheckpoint};
use crate::sync::checkpoint::summary;
use crate::sync::context::{Failed, Sync};
use crate::sync::decide::{Decision, Found, SpentCheckpoint};
use crate::sync::error::Stop;
use crate::sync::publish::cleanup::clean_up;
use crate::sync::publish::{Complete, Published, Publisher};
use crate::sync::run::read_ahead::ReadAhead;
use crate::sync::run::remembered_ids::RememberedIds;
use crate::sync::run::unchecked_users::UncheckedUsers;
use crate::sync::run::{Output, Run};

/// Handles one `sync` event.
///
/// # Errors
/// [`Error`]. A run in progress and published snapshots stay as they are.
pub async fn sync(
    dependencies: &Dependencies,
    config: &Config,
    options: &SyncOptions,
    invocation: &Invocation,
) -> Result<SyncAnswer, Error> {
    let sync = Sync {
        dependencies,
        config,
        options,
        invocation,
        started: Instant::now(),
        reading: Mutex::new(None),
        abandoned: OnceLock::new(),
        warnings: Arc::default(),
    };
    let found = sync.find().await?;
    invocation.metrics.note(|measured| {
        measured.newest_started_at = found.latest.latest.as_ref().map(|latest| latest.started_at);
    });
    let begin = match sync.decide(&found) {
        Decision::Answer(answer) => {
            sync.remove_spent(found).await;
            return Ok(*answer);
        }
        Decision::Begin(begin) => *begin,
    };
    if let Some(reason) = begin.abandons {
        sync.abandon(reason);
    }
    if found.is_new() {
        sync.prove_store().await?;
    }
    let checkpoint = begin.checkpoint;
    invocation.metrics.note(|measured| measured.resumed = checkpoint.run.invocations > 0);
    let to_be_read = checkpoint.completed.is_none();
    let work_limit = Arc::clone(&invocation.work_limit);
    let mut client = dependencies.client(config, work_limit).boxed();
    let mut taken = pin!(sync.take(checkpoint, begin.condition));
    // The key is read while the lease is taken. What comes of it counts once the run is held.
    let (taken, client) = tokio::select! {
        biased;
        taken = &mut taken => (taken, client),
        made = &mut client, if to_be_read => (taken.await, ready(made).boxed()),
    };
    let leased = match taken {
        Ok(leased) => leased,
        Err(LeaseError::LeaseLost) => return sync.busy_with_another().await,
        Err(LeaseError::Store(error)) => return Err(store_unavailable(error)),
        Err(LeaseError::Json(error)) => return Err(internal(&error)),
    };
    let work = sync.work(&leased, client, found);
    let worked = tokio::select! {
        worked = work => worked,
        () = leased.renew() => Err(Failed::Stop(Stop::LeaseLost)),
    };
    if let Ok(Published::Complete(complete)) = &worked {
        sync.finish(&leased, complete).await;
    }
    sync.conclude(&leased, worked).await
}

/// Removes the checkpoint of a published run. If that fails, nobody has to wait for its lease, and the
/// next run replaces it.
async fn remove_or_release(leased: &LeasedCheckpoint) {
    let Err(error) = leased.remove().await else { return };
    warn!(error = %error, "checkpoint.json of the published snapshot could not be removed");
    if let Err(error) = leased.release(|_| ()).await {
        warn!(error = %error, "the lease could not be given back; it ends by itself");
    }
}

impl Sync<'_> {
    /// Makes sure, before the first run in a store, that it does what runs rely on.
    async fn prove_store(&self) -> Result<(), Error> {
        let store = &*self.dependencies.store;
        if let Some(error) = prove(store).await.map_err(store_unavailable)?.removal {
            let error = with_causes(&error);
            warn!(error, "files in {} cannot be removed as they should", store.url_of(""));
        }
        Ok(())
    }

    /// Reads what is missing and publishes.
    async fn work(
        &self,
        leased: &Arc<LeasedCheckpoint>,
        client: impl Future<Output = Result<(Client, Option<Redaction>), Error>>,
        found: Found,
    ) -> Result<Published, Failed> {
        if leased.read(|checkpoint| checkpoint.completed.is_none()) {
            let (client, redaction) = client.await.map_err(Failed::Error)?;
            let run = self.begin_reading(leased, Arc::new(client), redaction).await?;
            tokio::select! {
                read = read::read_everything(&run) => read?,
                never = run::timeline::log(&run) => match never {},
            }
            if let Some(why) = self.invocation.work_limit.exhausted() {
                return Err(Stop::Exhausted(why).into());
            }
        }
        let publisher = Publisher {
            store: Arc::clone(&self.dependencies.store),
            leased: Arc::clone(leased),
            shrink_guard_percent: self.config.shrink_guard_percent,
            latest: found.latest,
            published: found.published,
        };
        Ok(publisher.publish().await?)
    }

    /// Removes the checkpoint of a published run where no new run replaces it. The run is taken
    /// first: some stores remove whatever stands there by then.
    async fn remove_spent(&self, found: Found) {
        let Some(SpentCheckpoint { version, run: Some(run), .. }) = found.spent else { return };
        match self.take(*run, Condition::Matches(version)).await {
            Ok(leased) => remove_or_release(&leased).await,
            Err(error) => warn!(error = %error, "the finished run's checkpoint could not be taken"),
        }
    }

    async fn take(
        &self,
        checkpoint: Checkpoint,
        condition: Condition,
    ) -> Result<Arc<LeasedCheckpoint>, LeaseError> {
        LeasedCheckpoint::take(
            Arc::clone(&self.dependencies.store),
            self.dependencies.clock.clone(),
            self.config.lease,
            self.invocation.request_id.clone(),
            checkpoint,
            condition,
        )
        .await
    }

    /// Ends a run whose snapshot is published, which it stays whatever becomes of this: the next
    /// invocation takes a checkpoint that is left for what it is.
    async fn finish(&self, leased: &LeasedCheckpoint, complete: &Complete) {
        let published = PreviousSnapshot::of(&complete.latest);
        let end = async {
            let checkpoint = leased.read(Checkpoint::clone);
            clean_up(&*self.dependencies.store, &checkpoint, &published).await;
            remove_or_release(leased).await;
        };
        tokio::select! {
            () = end => {}
            () = leased.renew() => warn!("another invocation has begun the next run"),
        }
    }

    /// Asks Clerk for its instance, and makes sure that it is the run's, and so is the key of the
    /// hashes.
    async fn begin_reading(
        &self,
        leased: &Arc<LeasedCheckpoint>,
        client: Arc<Client>,
        redaction: Option<Redaction>,
    ) -> Result<Run, Failed> {
        self.note_reading(&client, leased.read(|checkpoint| checkpoint.run));
        let now = self.dependencies.clock.now();
        if let Some(retry_at) = leased.read(|checkpoint| checkpoint.paused_until(now)) {
            client.pause_for(retry_at.saturating_duration_since(now));
        }
        let KeysInstance { id, environment } =
            client.instance().await.map_err(Stop::of_instance)?;
        let instance = Instance { id, environment };
        let redaction_key_id = redaction.as_ref().and_then(Redaction::key_id);
        let other = leased.read(|checkpoint| match &checkpoint.instance {
            None => None,
            Some(begun) if begun.id != instance.id => {
                Some("the key belongs to another Clerk instance now")
            }
            Some(_) if checkpoint.redaction_key_id != redaction_key_id => {
                Some("the secret holds another redaction_key now")
            }
            Some(_) => None,
        });
        if let Some(reason) = other {
            self.abandon(reason);
            leased
                .commit(|checkpoint| {
                    let mut abandoned = std::mem::take(&mut checkpoint.abandoned);
                    abandoned.insert(checkpoint.snapshot_id.clone());
                    let begun = self.new_run(self.dependencies.clock.now(), abandoned);
                    let Checkpoint { revision, follows, .. } = checkpoint.clone();
                    *checkpoint = Checkpoint { revision, follows, ..begun };
                })
                .await
                .map_err(Stop::from)?;
        }
        let before = leased.read(|checkpoint| checkpoint.run);
        self.note_reading(&client, before);
        self.invocation.progress.begin(|| leased.read(summary::row_counts));
        let read_ahead = ReadAhead::new(client.max_concurrency());
        let run = Run {
            store: Arc::clone(&self.dependencies.store),
            client,
            leased: Arc::clone(leased),
            work_limit: Arc::clone(&self.invocation.work_limit),
            clock: self.dependencies.clock.clone(),
            generator: Generator {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                clerk_api_version: self.config.clerk.api_version.clone(),
            },
            settings: leased.read(|checkpoint| self.config.settings(&checkpoint.resources)),
            output: Output {
                compression: self.config.compression,
                metadata: self.config.metadata,
                include_raw: self.config.include_raw,
                redaction,
                dau_lookback_days: self.config.dau_lookback_days,
            },
            read_ahead,
            id_index: Arc::new(RwLock::default()),
            buffers: Buffers::default(),
            logged_unreadable: Mutex::default(),
            remembered_ids: RememberedIds::default(),
            unchecked_users: UncheckedUsers::default(),
            warnings: Arc::clone(&self.warnings),
            max_age: self.config.snapshot_max_age,
            before,
            started: self.started,
            progress: self.invocation.progress.clone(),
            sessions_lookback: self.config.sessions_lookback,
        };
        run.commit(|checkpoint| {
            checkpoint.instance = Some(instance);
            checkpoint.redaction_key_id = redaction_key_id;
            checkpoint.retry_at = None;
        })
        .await?;
        Ok(run)
    }
}
