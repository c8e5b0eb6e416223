//! A `sync`: find out how things stand, take the run, read what is missing, publish.
//!
//! In the order in which it happens:
//! - `state` finds the run in progress and what is published; `decide` says what to do about it;
//! - `keeper` takes the lease and writes the `checkpoint`, which is believed if it is `plausible`;
//! - `read` goes through the lists of the table in `endpoint`: `copy` takes each to its end, in
//!   windows if there is something to `divide`, some of which are `waiting`, by a `walk` over its `page`s, or
//!   `by_owner` if that is the better `plan`, with a `forecast` of how long that takes;
//!   pages on their way are in a `gathering`, and stored in `stretch`es under `part_name`s that keep
//!   them in order;
//! - `compare` holds what was read against Clerk's counts, `closure` holds grants against `known`
//!   users and organizations, whose `ids` a continued run reads back from `ids_file`s, and `insert`s those
//!   that are missing; what was stored before that could be done is `settle`d;
//! - `activity` writes down which days the users were active on;
//! - `publish` makes it visible, with `summary`'s counts, and then `cleanup` takes away what nothing
//!   names; `answers` and `failure` say how it ended.

pub mod activity;
mod answers;
pub mod at_stake;
pub mod bounds;
pub mod by_owner;
pub mod checkpoint;
mod cleanup;
mod closure;
mod compare;
mod copy;
mod decide;
mod divide;
pub mod endpoint;
pub mod failure;
mod forecast;
pub mod fruitless;
mod gathering;
mod ids;
mod ids_file;
mod insert;
mod join;
pub mod keeper;
mod known;
mod left_out;
pub mod list_error;
pub mod malformed;
mod moment;
pub mod naming;
mod narrowed;
pub mod page;
mod part_name;
mod plan;
mod plausible;
pub mod publish;
pub mod read;
pub mod run;
mod settle;
pub mod state;
mod stretch;
pub mod summary;
mod timeline;
mod waiting;
pub mod walk;
mod walker;

use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use futures_util::FutureExt as _;
use futures_util::future::ready;
use tokio::time::Instant;
use tracing::warn;

use crate::buffers::Buffers;
use crate::clerk::client::{Client, KeysInstance};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::dependencies::Dependencies;
use crate::error::{Error, with_causes};
use crate::event::SyncOptions;
use crate::handler::Invocation;
use crate::measures::{DatasetOutcomes, PublishedSizes};
use crate::patience::Exhausted;
use crate::redaction::Redaction;
use crate::response::{PauseReason, SyncAnswer, SyncStatus};
use crate::snapshot::manifest::{Generator, Instance, RunFacts};
use crate::store::Condition;
use crate::store::conformance::prove;

use answers::{complete_message, held_message};
use at_stake::AtStake;
use checkpoint::{Checkpoint, Followed};
use cleanup::clean_up;
use decide::{Decision, Found, SpentCheckpoint};
use failure::{error_of, internal};
use forecast::Warnings;
use ids::RememberedIds;
use keeper::{KeepError, Keeper};
use publish::{Complete, Published, Publisher};
use run::{Output, Run, Stop};
use settle::UncheckedUsers;
use state::store_unavailable;
use stretch::snapshot_folder;

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
        gave_up: OnceLock::new(),
        warnings: Arc::default(),
    };
    let found = sync.find().await?;
    invocation.measures.note(|measured| {
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
        sync.give_up(reason);
    }
    if found.is_new() {
        sync.prove_store().await?;
    }
    let checkpoint = begin.checkpoint;
    invocation.measures.note(|measured| measured.resumed = checkpoint.run.invocations > 0);
    let to_be_read = checkpoint.completed.is_none();
    let patience = Arc::clone(&invocation.patience);
    let mut client = dependencies.client(config, patience).boxed();
    let mut taken = pin!(sync.take(checkpoint, begin.condition));
    // The key is read while the lease is taken. What comes of it counts once the run is held.
    let (taken, client) = tokio::select! {
        biased;
        taken = &mut taken => (taken, client),
        made = &mut client, if to_be_read => (taken.await, ready(made).boxed()),
    };
    let keeper = match taken {
        Ok(keeper) => keeper,
        Err(KeepError::LeaseLost) => return sync.busy_with_another().await,
        Err(KeepError::Store(error)) => return Err(store_unavailable(error)),
        Err(KeepError::Json(error)) => return Err(internal(&error)),
    };
    let work = sync.work(&keeper, client, found);
    let worked = tokio::select! {
        worked = work => worked,
        () = keeper.renew() => Err(Failed::Stop(Stop::LeaseLost)),
    };
    if let Ok(Published::Complete(complete)) = &worked {
        sync.finish(&keeper, complete).await;
    }
    sync.conclude(&keeper, worked).await
}

/// Removes the checkpoint of a published run. If that fails, nobody has to wait for its lease, and the
/// next run replaces it.
async fn remove_or_release(keeper: &Keeper) {
    let Err(error) = keeper.remove().await else { return };
    warn!(error = %error, "checkpoint.json of the published snapshot could not be removed");
    if let Err(error) = keeper.release(|_| ()).await {
        warn!(error = %error, "the lease could not be given back; it ends by itself");
    }
}

/// One `sync` and what it works with.
struct Sync<'a> {
    dependencies: &'a Dependencies,
    config: &'a Config,
    options: &'a SyncOptions,
    invocation: &'a Invocation,
    started: Instant,
    /// Set while Clerk is read.
    reading: Mutex<Option<Reading>>,
    /// Why the run in progress was given up, if it was.
    gave_up: OnceLock<&'static str>,
    /// What is to be said beside how it ended.
    warnings: Arc<Warnings>,
}

/// Who counts the requests of this invocation, and what the run had taken before it.
struct Reading {
    client: Arc<Client>,
    before: RunFacts,
}

/// How the work ended that did not end well.
enum Failed {
    Stop(Stop),
    Error(Error),
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
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
        keeper: &Arc<Keeper>,
        client: impl Future<Output = Result<(Client, Option<Redaction>), Error>>,
        found: Found,
    ) -> Result<Published, Failed> {
        if keeper.read(|checkpoint| checkpoint.completed.is_none()) {
            let (client, redaction) = client.await.map_err(Failed::Error)?;
            let run = self.begin_reading(keeper, Arc::new(client), redaction).await?;
            tokio::select! {
                read = read::read_everything(&run) => read?,
                never = timeline::log(&run) => match never {},
            }
            if let Some(why) = self.invocation.patience.exhausted() {
                return Err(Stop::Exhausted(why).into());
            }
        }
        let publisher = Publisher {
            store: Arc::clone(&self.dependencies.store),
            keeper: Arc::clone(keeper),
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
            Ok(keeper) => remove_or_release(&keeper).await,
            Err(error) => warn!(error = %error, "the finished run's checkpoint could not be taken"),
        }
    }

    async fn take(
        &self,
        checkpoint: Checkpoint,
        condition: Condition,
    ) -> Result<Arc<Keeper>, KeepError> {
        Keeper::take(
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
    async fn finish(&self, keeper: &Keeper, complete: &Complete) {
        let published = Followed::of(&complete.latest);
        let end = async {
            let checkpoint = keeper.read(Checkpoint::clone);
            clean_up(&*self.dependencies.store, &checkpoint, &published).await;
            remove_or_release(keeper).await;
        };
        tokio::select! {
            () = end => {}
            () = keeper.renew() => warn!("another invocation has begun the next run"),
        }
    }

    /// Asks Clerk for its instance, and makes sure that it is the run's, and so is the key of the
    /// hashes.
    async fn begin_reading(
        &self,
        keeper: &Arc<Keeper>,
        client: Arc<Client>,
        redaction: Option<Redaction>,
    ) -> Result<Run, Failed> {
        self.note_reading(&client, keeper.read(|checkpoint| checkpoint.run));
        let now = self.dependencies.clock.now();
        if let Some(retry_at) = keeper.read(|checkpoint| checkpoint.paused_until(now)) {
            client.pause_for(retry_at.saturating_duration_since(now));
        }
        let KeysInstance { id, environment } =
            client.instance().await.map_err(Stop::of_instance)?;
        let instance = Instance { id, environment };
        let redaction_key_id = redaction.as_ref().and_then(Redaction::key_id);
        let other = keeper.read(|checkpoint| match &checkpoint.instance {
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
            self.give_up(reason);
            keeper
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
        let before = keeper.read(|checkpoint| checkpoint.run);
        self.note_reading(&client, before);
        keeper.read(|checkpoint| self.invocation.progress.begin(checkpoint));
        let at_stake = AtStake::new(client.max_concurrency());
        let run = Run {
            store: Arc::clone(&self.dependencies.store),
            client,
            keeper: Arc::clone(keeper),
            patience: Arc::clone(&self.invocation.patience),
            clock: self.dependencies.clock.clone(),
            generator: Generator::this(&self.config.clerk.api_version),
            output: Output {
                compression: self.config.compression,
                metadata: self.config.metadata,
                include_raw: self.config.include_raw,
                redaction,
                dau_lookback_days: self.config.dau_lookback_days,
            },
            at_stake,
            known: Arc::new(RwLock::default()),
            buffers: Buffers::default(),
            told_unreadable: Mutex::default(),
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

    fn give_up(&self, reason: &'static str) {
        warn!("abandoning the run in progress: {reason}");
        self.gave_up.get_or_init(|| reason);
    }

    fn note_reading(&self, client: &Arc<Client>, before: RunFacts) {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Reading { client: Arc::clone(client), before });
    }

    /// What the run has taken, this invocation included.
    fn facts(&self, keeper: &Keeper) -> RunFacts {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match &*reading {
            Some(reading) => run::facts(&reading.client, reading.before, self.started),
            None => {
                let before = keeper.read(|checkpoint| checkpoint.run);
                RunFacts {
                    invocations: before.invocations + 1,
                    elapsed_seconds: before.elapsed_seconds + self.started.elapsed().as_secs_f64(),
                    ..before
                }
            }
        }
    }

    /// Leaves the run as the next invocation needs it, and puts the outcome into words.
    async fn conclude(
        &self,
        keeper: &Keeper,
        worked: Result<Published, Failed>,
    ) -> Result<SyncAnswer, Error> {
        let facts = self.facts(keeper);
        self.measure(&worked);
        let mut answer = match worked {
            Ok(Published::Complete(complete)) => {
                let manifest = &complete.manifest;
                let mut answer = self.about_manifest(SyncStatus::Complete, keeper, manifest, facts);
                answer.message = complete_message(&answer, &complete);
                answer
            }
            Ok(Published::Held(manifest, shrunk)) => {
                self.release(keeper, facts, None).await?;
                SyncAnswer {
                    message: held_message(&shrunk, &manifest),
                    shrunk: Some(shrunk),
                    ..self.about_manifest(SyncStatus::Held, keeper, &manifest, facts)
                }
            }
            Err(Failed::Stop(Stop::Exhausted(why))) => {
                let reason = match why {
                    Exhausted::Interrupted => PauseReason::Interrupted,
                    Exhausted::TimeBudget | Exhausted::Halted => PauseReason::TimeBudget,
                };
                self.pause(keeper, facts, reason, self.retry_at()).await?
            }
            Err(Failed::Stop(Stop::Paused(retry_at))) => {
                self.pause(keeper, facts, PauseReason::RateLimited, Some(retry_at)).await?
            }
            Err(failed) => return Err(self.fail(keeper, facts, failed).await),
        };
        answer.message.push_str(&self.warnings.sentences());
        if let Some(reason) = self.gave_up.get() {
            answer.message.push_str(&format!(" The run before it was given up: {reason}."));
        }
        Ok(answer)
    }

    fn measure(&self, worked: &Result<Published, Failed>) {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = reading.as_ref().map(|reading| reading.client.counted()).unwrap_or_default();
        self.invocation.measures.note(|measured| {
            measured.requests = counted.requests;
            measured.retries = counted.retries;
            measured.rate_limited = counted.rate_limited;
            measured.waited = counted.waited;
            match worked {
                Ok(Published::Complete(complete)) => {
                    measured.outcomes = Some(DatasetOutcomes::of(&complete.manifest));
                    measured.newest_started_at = Some(complete.manifest.started_at);
                    measured.published = Some(PublishedSizes::of(&complete.manifest));
                }
                Ok(Published::Held(manifest, _)) => {
                    measured.outcomes = Some(DatasetOutcomes::of(manifest));
                    measured.held = true;
                }
                Err(_) => {}
            }
        });
    }

    async fn pause(
        &self,
        keeper: &Keeper,
        facts: RunFacts,
        reason: PauseReason,
        retry_at: Option<Timestamp>,
    ) -> Result<SyncAnswer, Error> {
        self.release(keeper, facts, retry_at).await?;
        Ok(self.partial(&keeper.read(Checkpoint::clone), facts, reason, retry_at))
    }

    async fn release(
        &self,
        keeper: &Keeper,
        facts: RunFacts,
        retry_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        match self.release_to_next(keeper, facts, retry_at).await {
            Ok(()) => Ok(()),
            Err(KeepError::Store(error)) => Err(store_unavailable(error)),
            Err(KeepError::LeaseLost) => Err(error_of(Stop::LeaseLost)),
            Err(KeepError::Json(error)) => Err(internal(&error)),
        }
    }

    async fn release_to_next(
        &self,
        keeper: &Keeper,
        facts: RunFacts,
        retry_at: Option<Timestamp>,
    ) -> Result<(), KeepError> {
        keeper
            .release(|checkpoint| {
                checkpoint.retry_at = retry_at;
                checkpoint.run = facts;
            })
            .await
    }

    /// A pause that Clerk asked for and that is not over.
    fn retry_at(&self) -> Option<Timestamp> {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.as_ref()?.client.retry_at()
    }

    /// Gives the lease back, or takes away a checkpoint in which nothing stands yet, so that a
    /// mistake leaves no trace. The failure itself is what is answered.
    async fn fail(&self, keeper: &Keeper, facts: RunFacts, failed: Failed) -> Error {
        let error = match failed {
            Failed::Stop(Stop::LeaseLost) => return error_of(Stop::LeaseLost),
            Failed::Stop(stop) => error_of(stop),
            Failed::Error(error) => error,
        };
        let untouched = keeper
            .read(|checkpoint| checkpoint.lists.is_empty() && checkpoint.abandoned.is_empty());
        let left = if untouched && self.has_stored_nothing(keeper).await {
            keeper.remove().await
        } else {
            self.release_to_next(keeper, facts, self.retry_at()).await
        };
        if let Err(left) = left {
            warn!(error = %left, "the lease could not be given back; it ends by itself");
        }
        error
    }

    /// Whether there are no parts that the run stored before its first checkpoint. They are not taken
    /// away: an invocation that was frozen here and has lost its lease would take those of whoever
    /// went on with the run, and published it.
    async fn has_stored_nothing(&self, keeper: &Keeper) -> bool {
        let folder = keeper.read(snapshot_folder);
        self.dependencies.store.list(&folder).await.is_ok_and(|parts| parts.is_empty())
    }
}
