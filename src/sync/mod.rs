//! A `sync`: finds the run in progress or starts one, reads what is missing from Clerk, and
//! publishes.
//!
//! A *run* makes one snapshot and may take several *invocations*. Its state is the *checkpoint*, which
//! only the invocation that holds the *lease* may write. A *window* is a range of creation times of a
//! list; to *walk* it is to read its pages from the stored position to its end. A row becomes *records*, one line
//! each, in one or more *datasets*. Pages that are stored together are a *segment*, with a file (a *part*) for each
//! dataset; a *draft* is a small segment that a later one replaces. A record of the dataset of *grants* says that a
//! *principal* (a user, a role, a machine) holds something on a *resource* (an organization, a permission, a machine); it
//! is *dangling* if Clerk no longer has one of the two.
//!
//! In the order in which it happens:
//!
//! - [`state`] reads the checkpoint of the run in progress and `latest.json`; `decide` chooses
//!   whether to continue that run, to start one, or to do nothing.
//! - [`checkpoint::lease`] takes the lease, so that no other invocation works on the run.
//! - [`read`] copies Clerk's lists to parts, each list to its end; [`run`] is what all readers
//!   share.
//! - `references` makes sure that the snapshot has the rows that grants refer to.
//! - `write` stores pages as parts, and the [`checkpoint`] names them.
//! - [`daily_active_users`] counts users by the day of their latest activity.
//! - [`publish`] writes the manifest and its signature, moves `latest.json`, and removes what no
//!   manifest names.
//! - `outcome` releases the lease, unless the run is over and its checkpoint removed, and builds the
//!   result; `answer` words it, and [`error`] maps failures to the documented errors.
//! - After that, without the lease, `athena` lists the snapshot's files, `feed` writes what changed since the
//!   previous snapshot, and `old_snapshots` removes older ones. If an invocation ends before that, a later
//!   one catches up: before it starts a run (lists and feed only), or when no snapshot is due.

mod answer;
mod athena;
pub mod checkpoint;
mod context;
pub mod daily_active_users;
mod decide;
pub mod error;
mod feed;
mod old_snapshots;
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
use clerk_snapshot::manifest::{Generator, Instance, RunStats};
use clerk_store::Condition;
use clerk_store::conformance::prove;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
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
use crate::sync::athena::ListsOfFiles;
use crate::sync::checkpoint::document::{Checkpoint, PublishedSnapshot};
use crate::sync::checkpoint::lease::{LeaseError, LeasedCheckpoint};
use crate::sync::checkpoint::summary;
use crate::sync::context::{Step, SyncInvocation};
use crate::sync::decide::{Begin, Decision, Found, SpentCheckpoint};
use crate::sync::error::{Pause, Stop, SyncError};
use crate::sync::publish::cleanup::clean_up;
use crate::sync::publish::retention::Trigger;
use crate::sync::publish::{Complete, PublishOutcome, Publisher};
use crate::sync::run::read_ahead::ReadAhead;
use crate::sync::run::remembered_ids::RememberedIds;
use crate::sync::run::unchecked_users::UncheckedUsers;
use crate::sync::run::{Output, RunContext};
use crate::time_limit::TimeLimit;

/// Handles one `sync` event.
///
/// # Errors
/// [`Error`]. The run in progress and published snapshots stay intact.
pub async fn sync(
    dependencies: &Dependencies,
    config: &Config,
    options: &SyncOptions,
    invocation: &Invocation,
) -> Result<SyncAnswer, Error> {
    let sync = SyncInvocation {
        dependencies,
        config,
        options,
        invocation,
        started: Instant::now(),
        client_use: Mutex::new(None),
        abandoned: OnceLock::new(),
        warnings: Arc::default(),
    };
    let found = sync.load_state().await.map_err(Error::with_nothing_left)?;
    invocation.metrics.note(|measured| {
        measured.newest_started_at = found.latest.latest.as_ref().map(|latest| latest.started_at);
    });
    match sync.decide(&found) {
        Decision::Skip(answer) => Ok(sync.catch_up(found, *answer).await),
        Decision::Wait(answer) => Ok(*answer),
        Decision::Begin(begin) => {
            if begin.checkpoint.is_new() {
                // The other half is for the run that begins.
                let limit = TimeLimit::half_of_what_is_left(&invocation.work_limit);
                sync.list_newest(&found, &limit).await;
                sync.write_owed_feed(&found, limit).await;
            }
            sync.run(*begin, found).await
        }
    }
}

/// The client with the key that was read, and the redaction if `REDACT` is set.
type ClientFuture<'a> = BoxFuture<'a, Result<(Client, Option<Redaction>), Error>>;

impl SyncInvocation<'_> {
    /// Does what earlier invocations did not get to after they had published. There is no run to begin or to continue.
    async fn catch_up(&self, found: Found, mut answer: SyncAnswer) -> SyncAnswer {
        let limit = TimeLimit::all_that_is_left(&self.invocation.work_limit);
        let lists = self.list_newest(&found, &limit).await;
        let written = self.write_owed_feed(&found, limit).await;
        // First the checkpoint: no snapshot that a checkpoint names is removed.
        self.remove_spent(found).await;
        if lists != ListsOfFiles::Stale {
            // Lists and a feed that have been written no longer need the older snapshots.
            let is_due = lists == ListsOfFiles::Written || written.is_some();
            let trigger = if is_due { Trigger::Due } else { Trigger::Unfinished };
            self.remove_old_snapshots(trigger).await;
        }
        answer.message.extend(written);
        answer
    }

    /// Starts or continues a run: takes its lease, reads and publishes, and says how it ended.
    async fn run(&self, begin: Begin, found: Found) -> Result<SyncAnswer, Error> {
        if let Some(reason) = begin.abandons {
            self.abandon(reason);
        }
        if found.is_new() {
            self.prove_store().await.map_err(Error::with_nothing_left)?;
        }
        let checkpoint = &begin.checkpoint;
        let resumed = !checkpoint.is_new();
        self.invocation.metrics.note(|measured| measured.resumed = resumed);
        let (taken, client) = self.take_and_read_key(begin).await;
        let leased = match taken {
            Ok(leased) => leased,
            Err(LeaseError::LeaseLost) => return self.busy_with_another().await,
            Err(LeaseError::Store(error)) if resumed => return Err(store_unavailable(error)),
            Err(LeaseError::Store(error)) => {
                return Err(store_unavailable(error).with_nothing_left());
            }
            Err(LeaseError::Json(error)) => return Err(internal(&error)),
        };
        let step = tokio::select! {
            step = self.work(&leased, client, found) => step,
            () = leased.renew() => Err(SyncError::LeaseLost),
        };
        let mut published = None;
        if let Ok(Step::Finished(PublishOutcome::Complete(complete))) = &step {
            self.finish(&leased, complete).await;
            published = Some(complete.latest.clone());
        }
        let mut answer = self.conclude(&leased, step).await?;
        if let Some(latest) = published {
            let lists = self.list_published(&latest, &mut answer).await;
            self.add_changes(&latest, &mut answer).await;
            if lists != ListsOfFiles::Stale {
                self.remove_old_snapshots(Trigger::Due).await;
            }
        }
        Ok(answer)
    }

    /// Checks, before the first run in a store, that the store does what runs rely on.
    async fn prove_store(&self) -> Result<(), Error> {
        let store = &*self.dependencies.store;
        if let Some(error) = prove(store).await.map_err(store_unavailable)?.removal {
            let error = with_causes(&error);
            warn!(error, "files in {} cannot be removed", store.url_of(""));
        }
        Ok(())
    }

    /// Takes the lease and reads the key at the same time. A failure to read the key is returned in
    /// the future, so that it counts only once the lease is held.
    async fn take_and_read_key(
        &self,
        begin: Begin,
    ) -> (Result<Arc<LeasedCheckpoint>, LeaseError>, ClientFuture<'_>) {
        let needs_clerk = begin.checkpoint.completed.is_none();
        let work_limit = Arc::clone(&self.invocation.work_limit);
        let mut client = self.dependencies.client(self.config, work_limit).boxed();
        let mut taken = pin!(self.take(begin.checkpoint, begin.condition));
        tokio::select! {
            biased;
            taken = &mut taken => (taken, client),
            made = &mut client, if needs_clerk => (taken.await, ready(made).boxed()),
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

    /// Reads what is missing and publishes, or pauses.
    async fn work(
        &self,
        leased: &Arc<LeasedCheckpoint>,
        client: ClientFuture<'_>,
        found: Found,
    ) -> Result<Step, SyncError> {
        match self.read_and_publish(leased, client, found).await {
            Ok(outcome) => Ok(Step::Finished(outcome)),
            Err(Stop::Pause(pause)) => Ok(Step::Paused(pause)),
            Err(Stop::Fail(error)) => Err(error),
        }
    }

    async fn read_and_publish(
        &self,
        leased: &Arc<LeasedCheckpoint>,
        client: ClientFuture<'_>,
        found: Found,
    ) -> Result<PublishOutcome, Stop> {
        if leased.with_checkpoint(|checkpoint| checkpoint.completed.is_none()) {
            let (client, redaction) = client.await.map_err(SyncError::NoClient)?;
            let run = self.begin_reading(leased, Arc::new(client), redaction).await?;
            tokio::select! {
                read = read::read_everything(&run) => read?,
                never = run::timeline::log(&run) => match never {},
            }
            if let Some(why) = self.invocation.work_limit.stop_reason() {
                return Err(Stop::Pause(Pause::OutOfTime(why)));
            }
        }
        let publisher = Publisher {
            store: Arc::clone(&self.dependencies.store),
            signer: self.dependencies.signer.clone(),
            leased: Arc::clone(leased),
            shrink_guard_percent: self.config.shrink_guard_percent,
            latest: found.latest,
            published: found.published,
        };
        Ok(publisher.publish().await?)
    }

    /// Asks Clerk for its instance, restarts the run if it began with another instance or another
    /// redaction key, and stores both in the checkpoint.
    async fn begin_reading(
        &self,
        leased: &Arc<LeasedCheckpoint>,
        client: Arc<Client>,
        redaction: Option<Redaction>,
    ) -> Result<RunContext, Stop> {
        self.note_client(&client, leased.with_checkpoint(|checkpoint| checkpoint.stats));
        let now = self.dependencies.clock.now();
        if let Some(retry_at) = leased.with_checkpoint(|checkpoint| checkpoint.paused_until(now)) {
            client.pause_for(retry_at.saturating_duration_since(now));
        }
        let KeysInstance { id, environment } =
            client.instance().await.map_err(Stop::of_instance)?;
        let instance = Instance { id, environment };
        let redaction_key_id = redaction.as_ref().and_then(Redaction::key_id);
        let change = leased.with_checkpoint(|checkpoint| {
            secret_change(checkpoint, &instance, redaction_key_id.as_deref())
        });
        if let Some(reason) = change {
            self.restart(leased, reason).await?;
        }
        // A run that was restarted has spent nothing yet.
        let before = leased.with_checkpoint(|checkpoint| checkpoint.stats);
        self.note_client(&client, before);
        self.invocation.progress.begin(|| leased.with_checkpoint(summary::row_counts));
        let run = self.open_run(leased, client, redaction, before);
        run.commit(|checkpoint| {
            checkpoint.instance = Some(instance);
            checkpoint.redaction_key_id = redaction_key_id;
            checkpoint.retry_at = None;
        })
        .await?;
        Ok(run)
    }

    /// Abandons the run and starts another one under the same lease.
    async fn restart(
        &self,
        leased: &LeasedCheckpoint,
        reason: &'static str,
    ) -> Result<(), SyncError> {
        self.abandon(reason);
        leased
            .commit(|checkpoint| {
                let mut abandoned = std::mem::take(&mut checkpoint.abandoned);
                abandoned.insert(checkpoint.snapshot_id.clone());
                let begun = self.new_run(self.dependencies.clock.now(), abandoned);
                let Checkpoint { revision, follows, .. } = checkpoint.clone();
                *checkpoint = Checkpoint { revision, follows, ..begun };
            })
            .await?;
        Ok(())
    }

    /// What the readers share. `before` is what earlier invocations of the run have spent.
    fn open_run(
        &self,
        leased: &Arc<LeasedCheckpoint>,
        client: Arc<Client>,
        redaction: Option<Redaction>,
        before: RunStats,
    ) -> RunContext {
        RunContext {
            store: Arc::clone(&self.dependencies.store),
            leased: Arc::clone(leased),
            work_limit: Arc::clone(&self.invocation.work_limit),
            clock: self.dependencies.clock.clone(),
            generator: Generator {
                name: env!("CARGO_PKG_NAME").to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                clerk_api_version: self.config.clerk.api_version.clone(),
            },
            settings: leased
                .with_checkpoint(|checkpoint| self.config.settings(&checkpoint.resources)),
            output: Output {
                compression: self.config.compression,
                metadata: self.config.metadata,
                include_raw: self.config.include_raw,
                redaction,
                dau_lookback_days: self.config.dau_lookback_days,
            },
            read_ahead: ReadAhead::new(client.max_concurrency()),
            client,
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
        }
    }

    /// Cleans up after a run whose snapshot has just been published, and removes its checkpoint. If
    /// this fails the snapshot stays published, and the next invocation recognizes the checkpoint as
    /// that of a published run.
    async fn finish(&self, leased: &LeasedCheckpoint, complete: &Complete) {
        let published = PublishedSnapshot::of(&complete.latest);
        let end = async {
            let checkpoint = leased.with_checkpoint(Checkpoint::clone);
            clean_up(&*self.dependencies.store, &checkpoint, &published).await;
            remove_or_release(leased).await;
        };
        tokio::select! {
            () = end => {}
            () = leased.renew() => warn!("another invocation has begun the next run"),
        }
    }

    /// Removes the checkpoint of a published run if no new run replaces it. The lease is taken
    /// first, because some stores ignore the version when they remove a file.
    async fn remove_spent(&self, found: Found) {
        let Some(SpentCheckpoint { version, checkpoint: Some(checkpoint), .. }) = found.spent
        else {
            return;
        };
        match self.take(*checkpoint, Condition::Matches(version)).await {
            Ok(leased) => remove_or_release(&leased).await,
            Err(error) => warn!(error = %error, "the finished run's checkpoint could not be taken"),
        }
    }
}

/// Why the secret no longer fits the run that the checkpoint describes; `None` if it does.
fn secret_change(
    checkpoint: &Checkpoint,
    instance: &Instance,
    redaction_key_id: Option<&str>,
) -> Option<&'static str> {
    let begun = checkpoint.instance.as_ref()?;
    if begun.id != instance.id {
        Some("the key belongs to another Clerk instance now")
    } else if checkpoint.redaction_key_id.as_deref() != redaction_key_id {
        Some("the secret holds another redaction_key now")
    } else {
        None
    }
}

/// Removes the checkpoint of a published run. If that fails, releases the lease: then the next run
/// replaces the checkpoint without waiting.
async fn remove_or_release(leased: &LeasedCheckpoint) {
    let Err(error) = leased.remove().await else { return };
    warn!(error = %error, "checkpoint.json of the published snapshot could not be removed");
    if let Err(error) = leased.release(|_| ()).await {
        warn!(error = %error, "the lease could not be released; it will expire");
    }
}
