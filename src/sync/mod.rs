//! A `sync`: find out how things stand, take the run, read what is missing, publish.
//!
//! In the order in which it happens: [`state`] and this file's [`sync`]; [`checkpoint`] and
//! [`keeper`]; [`read`] through [`copy`], [`walk`], [`page`] and the table in [`endpoint`];
//! [`stretch`]; [`compare`] and [`closure`]; [`publish`] with [`summary`].

pub mod checkpoint;
mod closure;
mod compare;
mod copy;
pub mod endpoint;
pub mod keeper;
mod known;
pub mod page;
pub mod publish;
pub mod read;
pub mod run;
pub mod state;
mod stretch;
pub mod summary;
pub mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::time::Instant;
use tracing::{info, warn};

use crate::clerk::client::Client;
use crate::clerk::error::ClerkError;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::dependencies::Dependencies;
use crate::error::{Error, Failure};
use crate::event::SyncOptions;
use crate::handler::Invocation;
use crate::patience::Exhausted;
use crate::resource::{Dataset, Resource};
use crate::response::{PauseReason, Shrunk, SyncAnswer, SyncStatus};
use crate::snapshot::manifest::{Manifest, RunFacts};
use crate::snapshot::translate::RoleCatalogue;
use crate::store::{Condition, ContentType, StoreError, Version};

use checkpoint::{Checkpoint, Lease};
use keeper::{KeepError, Keeper};
use publish::{Published, Publisher, manifest_key};
use run::{Output, Run, Stop};
use state::{CheckpointFound, LatestFound, PublishedCounts, store_unavailable};

/// Handles one `sync` event.
///
/// # Errors
/// One of the contract's errors; a run in progress and what is published stay as they are.
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
    };
    let found = sync.find().await?;
    let begin = match sync.decide(&found) {
        Decision::Answer(answer) => return Ok(*answer),
        Decision::Begin(begin) => *begin,
    };
    if let Some(reason) = &begin.abandons {
        info!(
            snapshot_id = begin.checkpoint.snapshot_id,
            "the run in progress is given up: {reason}"
        );
    }
    let checkpoint = begin.checkpoint;
    let taken = Keeper::take(
        Arc::clone(&dependencies.store),
        dependencies.clock.clone(),
        config.lease,
        invocation.request_id.clone(),
        checkpoint,
        begin.condition,
    );
    let keeper = match taken.await {
        Ok(keeper) => keeper,
        Err(KeepError::LeaseLost) => return sync.busy_with_another().await,
        Err(KeepError::Store(error)) => return Err(store_unavailable(error)),
        Err(KeepError::Json(error)) => return Err(internal(&error)),
    };
    let work = sync.work(&keeper, found);
    let worked = tokio::select! {
        worked = work => worked,
        () = keeper.renew() => Err(Failed::Stop(Stop::LeaseLost)),
    };
    sync.conclude(&keeper, worked, begin.abandons).await
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
}

/// Who counts the requests of this invocation, and what the run had taken before it.
struct Reading {
    client: Arc<Client>,
    before: RunFacts,
}

/// How things stand when the invocation begins.
struct Found {
    checkpoint: Option<(Box<Checkpoint>, Version)>,
    /// A checkpoint that cannot be understood and is to be set aside.
    set_aside: Option<Version>,
    latest: LatestFound,
    published: Option<PublishedCounts>,
}

enum Decision {
    Answer(Box<SyncAnswer>),
    Begin(Box<Begin>),
}

/// A run to begin or to continue.
struct Begin {
    checkpoint: Checkpoint,
    condition: Condition,
    /// Why the run in progress is given up, if one is.
    abandons: Option<String>,
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
    async fn find(&self) -> Result<Found, Error> {
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
                self.set_aside(bytes).await.map_err(store_unavailable)?;
                (None, Some(version))
            }
            CheckpointFound::Unreadable { error, .. } => return Err(error),
        };
        let latest = latest?;
        let guarded = self.config.shrink_guard_percent > 0.0 && !self.options.accept_shrink;
        let published = if guarded { latest.published_counts(store).await? } else { None };
        Ok(Found { checkpoint, set_aside, latest, published })
    }

    /// Keeps the bytes of a checkpoint that cannot be understood: somebody may want to look at it.
    async fn set_aside(&self, bytes: bytes::Bytes) -> Result<(), StoreError> {
        let stamp = self.dependencies.clock.now().snapshot_id_stamp();
        let key = format!("checkpoint.unreadable-{stamp}.json");
        let store = &self.dependencies.store;
        store.put(&key, bytes, ContentType::Json, Condition::Any).await?;
        warn!("checkpoint.json cannot be understood; it is set aside as {}", store.url_of(&key));
        Ok(())
    }

    /// Whether there is anything to do, and with which run.
    fn decide(&self, found: &Found) -> Decision {
        let now = self.dependencies.clock.now();
        let Some((checkpoint, version)) = &found.checkpoint else {
            if let Some(answer) = self.skip(found, now) {
                return Decision::Answer(Box::new(answer));
            }
            let condition = match &found.set_aside {
                Some(version) => Condition::Matches(version.clone()),
                None => Condition::Absent,
            };
            let checkpoint = self.new_run(now, BTreeSet::new());
            return Decision::Begin(Box::new(Begin { checkpoint, condition, abandons: None }));
        };
        if let Some(until) = checkpoint.lease.until.filter(|&until| until > now) {
            return Decision::Answer(Box::new(self.busy(checkpoint, until)));
        }
        let published = found.latest.latest.as_ref().map(|latest| &latest.snapshot_id);
        let is_published = published == Some(&checkpoint.snapshot_id);
        let abandons = self.why_abandon(checkpoint, is_published, now);
        let next = if abandons.is_some() {
            let mut abandoned = checkpoint.abandoned.clone();
            if !is_published {
                abandoned.insert(checkpoint.snapshot_id.clone());
            }
            self.new_run(now, abandoned)
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

    fn skip(&self, found: &Found, now: Timestamp) -> Option<SyncAnswer> {
        let latest = found.latest.latest.as_ref()?;
        let due = latest.started_at + self.config.snapshot_interval;
        if self.options.force || self.options.restart || now >= due {
            return None;
        }
        let records = found.published.as_ref().map_or_else(BTreeMap::new, |published| {
            let named =
                |(name, &records): (&String, &u64)| Some((Dataset::from_name(name)?, records));
            published.records.iter().filter_map(named).collect()
        });
        Some(SyncAnswer {
            snapshot_id: Some(latest.snapshot_id.clone()),
            manifest: Some(self.dependencies.store.url_of(&latest.manifest)),
            records,
            verified: latest.verified,
            next_due_at: Some(due),
            message: format!(
                "The snapshot started at {} is fresh enough; the next one is due at {due}.",
                latest.started_at
            ),
            ..self.answer(SyncStatus::Skipped, RunFacts::default())
        })
    }

    fn why_abandon(
        &self,
        checkpoint: &Checkpoint,
        is_published: bool,
        now: Timestamp,
    ) -> Option<String> {
        let age = now.saturating_duration_since(checkpoint.started_at);
        if self.options.restart {
            Some("the event asks to restart".to_owned())
        } else if is_published {
            None
        } else if age >= self.config.snapshot_max_age {
            Some("it is older than SNAPSHOT_MAX_AGE_HOURS".to_owned())
        } else if checkpoint.config_fingerprint
            != self.config.fingerprint(&self.resources(Some(checkpoint)))
        {
            Some("it was begun under another configuration".to_owned())
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

    /// A pause that Clerk asked an earlier invocation for and that outlasts this one, too.
    fn still_paused(&self, checkpoint: &Checkpoint, now: Timestamp) -> Option<SyncAnswer> {
        let until = checkpoint.retry_at.filter(|_| checkpoint.completed.is_none())?;
        let wait = until.saturating_duration_since(now);
        (!self.invocation.patience.allows_pause(wait)).then(|| {
            self.partial(checkpoint, checkpoint.run, PauseReason::RateLimited, Some(until))
        })
    }

    fn new_run(&self, now: Timestamp, abandoned: BTreeSet<String>) -> Checkpoint {
        let resources = self.resources(None);
        let suffix = fastrand::u32(..) & 0x00ff_ffff;
        Checkpoint {
            snapshot_id: format!("{}-{suffix:06x}", now.snapshot_id_stamp()),
            started_at: now,
            config_fingerprint: self.config.fingerprint(&resources),
            resources,
            resources_from_event: self.options.resources.is_some(),
            instance: None,
            revision: 0,
            lease: Lease { holder: String::new(), token: String::new(), until: None },
            retry_at: None,
            roles: RoleCatalogue::default(),
            lists: BTreeMap::new(),
            run: RunFacts::default(),
            completed: None,
            abandoned,
        }
    }

    /// Reads what is missing and publishes.
    async fn work(&self, keeper: &Arc<Keeper>, found: Found) -> Result<Published, Failed> {
        if keeper.read(|checkpoint| checkpoint.completed.is_none()) {
            let run = self.begin_reading(keeper).await?;
            read::read_everything(&run).await?;
            if self.invocation.patience.exhausted() == Some(Exhausted::TimeBudget) {
                return Err(Stop::Exhausted(Exhausted::TimeBudget).into());
            }
        }
        let publisher = Publisher {
            store: Arc::clone(&self.dependencies.store),
            keeper: Arc::clone(keeper),
            config: self.config,
            latest: found.latest,
            published: found.published,
        };
        Ok(publisher.publish().await?)
    }

    /// Reads the key, asks Clerk for its instance, and makes sure that it is the run's.
    async fn begin_reading(&self, keeper: &Arc<Keeper>) -> Result<Run, Failed> {
        let client = Arc::new(
            self.dependencies
                .client(self.config, Arc::clone(&self.invocation.patience))
                .await
                .map_err(Failed::Error)?,
        );
        self.note_reading(&client, keeper.read(|checkpoint| checkpoint.run));
        let retry_at = keeper.read(|checkpoint| checkpoint.retry_at);
        if let Some(retry_at) = retry_at {
            let now = self.dependencies.clock.now();
            client.pause_for(retry_at.saturating_duration_since(now));
        }
        let instance = read::instance(&client).await.map_err(Stop::from)?;
        let other = keeper.read(|checkpoint| {
            checkpoint.instance.as_ref().is_some_and(|begun| begun.id != instance.id)
        });
        if other {
            warn!(
                "the key belongs to another Clerk instance than the run in progress: it is given up"
            );
            keeper
                .commit(|checkpoint| {
                    let mut abandoned = std::mem::take(&mut checkpoint.abandoned);
                    abandoned.insert(checkpoint.snapshot_id.clone());
                    let revision = checkpoint.revision;
                    *checkpoint = self.new_run(self.dependencies.clock.now(), abandoned);
                    checkpoint.revision = revision;
                })
                .await
                .map_err(Stop::from)?;
        }
        let before = keeper.read(|checkpoint| checkpoint.run);
        self.note_reading(&client, before);
        let run = Run {
            store: Arc::clone(&self.dependencies.store),
            client,
            keeper: Arc::clone(keeper),
            patience: Arc::clone(&self.invocation.patience),
            clock: self.dependencies.clock.clone(),
            output: Output {
                compression: self.config.compression,
                metadata: self.config.metadata,
                include_raw: self.config.include_raw,
            },
            max_concurrency: self.config.clerk.max_concurrency,
            known: Arc::new(RwLock::default()),
            ids_by_part: Mutex::new(HashMap::new()),
            before,
            started: self.started,
            progress: self.invocation.progress.clone(),
        };
        run.commit(|checkpoint| {
            checkpoint.instance = Some(instance);
            checkpoint.retry_at = None;
        })
        .await?;
        Ok(run)
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
        abandons: Option<String>,
    ) -> Result<SyncAnswer, Error> {
        let facts = self.facts(keeper);
        let mut answer = match worked {
            Ok(Published::Complete(manifest)) => {
                let mut answer =
                    self.about_manifest(SyncStatus::Complete, keeper, &manifest, facts);
                answer.message = complete_message(&answer);
                answer
            }
            Ok(Published::Held(manifest, shrunk)) => {
                self.release(keeper, facts, None).await?;
                SyncAnswer {
                    message: held_message(&shrunk),
                    shrunk: Some(shrunk),
                    ..self.about_manifest(SyncStatus::Held, keeper, &manifest, facts)
                }
            }
            Err(Failed::Stop(Stop::Exhausted(why))) => {
                let reason = match why {
                    Exhausted::Interrupted => PauseReason::Interrupted,
                    Exhausted::TimeBudget | Exhausted::Halted => PauseReason::TimeBudget,
                };
                self.pause(keeper, facts, reason, None).await?
            }
            Err(Failed::Stop(Stop::Paused(retry_at))) => {
                self.pause(keeper, facts, PauseReason::RateLimited, Some(retry_at)).await?
            }
            Err(failed) => return Err(self.fail(keeper, facts, failed).await),
        };
        if let Some(reason) = abandons {
            answer.message.push_str(&format!(" The run before it was given up: {reason}."));
        }
        Ok(answer)
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
        let released = keeper
            .release(|checkpoint| {
                checkpoint.retry_at = retry_at;
                checkpoint.run = facts;
            })
            .await;
        match released {
            Ok(()) => Ok(()),
            Err(KeepError::Store(error)) => Err(store_unavailable(error)),
            Err(KeepError::LeaseLost) => Err(error_of(Stop::LeaseLost)),
            Err(KeepError::Json(error)) => Err(internal(&error)),
        }
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
        let left = if untouched {
            keeper.remove().await
        } else {
            keeper.release(|checkpoint| checkpoint.run = facts).await
        };
        if let Err(left) = left {
            warn!(error = %left, "the lease could not be given back; it ends by itself");
        }
        error
    }

    /// Another invocation was faster in taking the run.
    async fn busy_with_another(&self) -> Result<SyncAnswer, Error> {
        let found = CheckpointFound::read(&*self.dependencies.store).await?.readable()?;
        let now = self.dependencies.clock.now();
        Ok(match found {
            Some(checkpoint) => {
                let until = checkpoint.lease.until.unwrap_or(now);
                self.busy(&checkpoint, until)
            }
            None => SyncAnswer {
                held_until: Some(now),
                message: "Another invocation has just finished the run; nothing was done."
                    .to_owned(),
                ..self.answer(SyncStatus::Busy, RunFacts::default())
            },
        })
    }

    fn busy(&self, checkpoint: &Checkpoint, until: Timestamp) -> SyncAnswer {
        SyncAnswer {
            held_until: Some(until),
            message: format!(
                "Another invocation holds the run until {until} or longer; nothing was done."
            ),
            ..self.about(checkpoint, self.answer(SyncStatus::Busy, checkpoint.run))
        }
    }

    fn partial(
        &self,
        checkpoint: &Checkpoint,
        facts: RunFacts,
        reason: PauseReason,
        retry_at: Option<Timestamp>,
    ) -> SyncAnswer {
        let why = match (reason, retry_at) {
            (PauseReason::RateLimited, Some(at)) => {
                format!("Clerk asked to wait until {at}")
            }
            (PauseReason::RateLimited, None) => "Clerk asked to wait".to_owned(),
            (PauseReason::TimeBudget, _) => "the time budget ran out".to_owned(),
            (PauseReason::Interrupted, _) => "it was interrupted".to_owned(),
        };
        SyncAnswer {
            reason: Some(reason),
            progress: Some(summary::progress(checkpoint)),
            retry_at,
            message: format!(
                "The run paused because {why}; what was read is stored, and the next sync continues."
            ),
            ..self.about(checkpoint, self.answer(SyncStatus::Partial, facts))
        }
    }

    fn about_manifest(
        &self,
        status: SyncStatus,
        keeper: &Keeper,
        manifest: &Manifest,
        facts: RunFacts,
    ) -> SyncAnswer {
        let checkpoint = keeper.read(Checkpoint::clone);
        SyncAnswer {
            manifest: Some(self.dependencies.store.url_of(&manifest_key(&checkpoint))),
            verified: manifest.verified,
            ..self.about(&checkpoint, self.answer(status, facts))
        }
    }

    fn about(&self, checkpoint: &Checkpoint, answer: SyncAnswer) -> SyncAnswer {
        SyncAnswer {
            snapshot_id: Some(checkpoint.snapshot_id.clone()),
            records: summary::records(checkpoint),
            ..answer
        }
    }

    fn answer(&self, status: SyncStatus, facts: RunFacts) -> SyncAnswer {
        SyncAnswer {
            status,
            snapshot_id: None,
            manifest: None,
            records: BTreeMap::new(),
            verified: false,
            requests: facts.requests,
            retries: facts.retries,
            rate_limited: facts.rate_limited,
            invocations: facts.invocations,
            elapsed_ms: (facts.elapsed_seconds * 1000.0) as u64,
            message: String::new(),
            reason: None,
            progress: None,
            retry_at: None,
            held_until: None,
            next_due_at: None,
            shrunk: None,
        }
    }
}

fn complete_message(answer: &SyncAnswer) -> String {
    let records: u64 = answer.records.values().sum();
    let verified = if answer.verified {
        "and agrees with Clerk's own counts"
    } else {
        "but Clerk changed faster than repair could follow: see `drifted` in the manifest"
    };
    format!("The snapshot of {records} records is published {verified}.")
}

fn held_message(shrunk: &BTreeMap<Dataset, Shrunk>) -> String {
    let names: Vec<_> = shrunk.keys().map(|dataset| dataset.name()).collect();
    format!(
        "The snapshot is complete and held back, because {} lost more than SHRINK_GUARD_PERCENT \
         allows since the last one; look at it, then publish it with \"accept_shrink\": true or \
         begin anew with \"restart\": true.",
        names.join(", ")
    )
}

/// The contract's name for what stopped the work.
fn error_of(stop: Stop) -> Error {
    match stop {
        Stop::Clerk(error) => clerk_error(error),
        Stop::Store(error) => store_unavailable(error),
        stop @ Stop::PartLost(_) => Error::StoreUnavailable(
            Failure::new("a part of the run in progress is not as it was stored; begin anew with \"restart\": true")
                .caused_by(stop),
        ),
        stop @ Stop::LeaseLost => {
            Error::LeaseLost(Failure::new("the run was lost to another invocation").caused_by(stop))
        }
        stop @ Stop::Superseded(_) => Error::LeaseLost(
            Failure::new("the run was not published, and latest.json stays as it is").caused_by(stop),
        ),
        stop => internal(&stop),
    }
}

/// The contract's name for Clerk's failures.
#[must_use]
pub fn clerk_error(error: ClerkError) -> Error {
    match error {
        ClerkError::Unauthorized { .. } => {
            Error::ClerkUnauthorized(Failure::new("the secret key is not valid").caused_by(error))
        }
        ClerkError::SecretUnavailable { .. } => {
            Error::SecretUnavailable(Failure::new("the secret could not be read").caused_by(error))
        }
        ClerkError::Unavailable { .. }
        | ClerkError::Paused { .. }
        | ClerkError::OutOfTime { .. } => {
            Error::ClerkUnavailable(Failure::new("Clerk could not be read").caused_by(error))
        }
        ClerkError::Protocol { .. } | ClerkError::Rejected { .. } | ClerkError::Refused { .. } => {
            Error::ClerkProtocol(Failure::new("Clerk could not be understood").caused_by(error))
        }
    }
}

fn internal(error: &dyn std::error::Error) -> Error {
    Error::Internal(Failure::new(error.to_string()))
}
