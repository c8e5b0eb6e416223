//! What every step of one invocation's work shares.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::buffers::Buffers;
use crate::clerk::client::Client;
use crate::clerk::error::ClerkError;
use crate::clock::{Clock, Timestamp};
use crate::config::Compression;
use crate::patience::{Exhausted, Patience};
use crate::progress::Progress;
use crate::quoted::Quoted;
use crate::redaction::Redaction;
use crate::resource::{Dataset, Resource};
use crate::snapshot::manifest::{Generator, RunFacts};
use crate::snapshot::translate::{MetadataBags, Translation};
use crate::store::{Store, StoreError};

use super::at_stake::AtStake;
use super::checkpoint::{Checkpoint, ListProgress};
use super::endpoint::{Endpoint, Feed, ListName, endpoint, lists_of};
use super::forecast::Warnings;
use super::ids::RememberedIds;
use super::keeper::{KeepError, Keeper};
use super::known::Known;
use super::list_error::ListError;
use super::page::{PageContext, ReadRow};
use super::settle::UncheckedUsers;
use super::walk::{Reader, WalkStop, Way};

/// One invocation's hold on a run.
#[derive(Debug)]
pub struct Run {
    /// Where everything is written.
    pub store: Arc<dyn Store>,
    /// Asks Clerk.
    pub client: Arc<Client>,
    /// Writes the checkpoint.
    pub keeper: Arc<Keeper>,
    /// Ends the work in time.
    pub patience: Arc<Patience>,
    /// Tells the time of day.
    pub clock: Clock,
    /// What the manifest will say wrote it.
    pub generator: Generator,
    /// How rows are written.
    pub output: Output,
    /// How far it may run ahead of what is stored.
    pub at_stake: AtStake,
    /// What grants may refer to.
    pub known: Arc<RwLock<Known>>,
    /// For the lines of pages.
    pub buffers: Buffers,
    /// Which unreadable fields of which lists the log tells of already.
    pub told_unreadable: Mutex<BTreeSet<(ListName, String)>>,
    /// Ids of rows that this invocation has stored.
    pub remembered_ids: RememberedIds,
    /// The users of memberships that this invocation has stored unchecked.
    pub unchecked_users: UncheckedUsers,
    /// What the answer has to say beside how the work ended.
    pub warnings: Arc<Warnings>,
    /// At which age a run is given up.
    pub max_age: Duration,
    /// What the run had taken before this invocation.
    pub before: RunFacts,
    /// When this invocation began.
    pub started: Instant,
    /// Shows people how far it is.
    pub progress: Progress,
    /// How long ago a user may have been active last, for sessions to be asked for.
    pub sessions_lookback: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings that shape what is written.
#[derive(Debug, Clone)]
pub struct Output {
    /// Of parts.
    pub compression: Compression,
    /// Which metadata bags are copied.
    pub metadata: MetadataBags,
    /// Whether Clerk's own object is added.
    pub include_raw: bool,
    /// What is replaced in the rows.
    pub redaction: Option<Redaction>,
    /// How many days active users are counted of.
    pub dau_lookback_days: u16,
}

/// Why the work stops before a snapshot is published.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Time is up; what was read is stored.
    #[error("time is up")]
    Exhausted(Exhausted),
    /// Clerk asked for a pause that outlasts what is left.
    #[error("Clerk asked to wait until {0}")]
    Paused(Timestamp),
    /// Clerk did not say which instance the key belongs to.
    #[error(transparent)]
    Instance(ClerkError),
    /// Clerk did not answer for a list as needed.
    #[error(transparent)]
    List(ListError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part that the checkpoint names is not in the store as it was written.
    #[error("{0} is gone or altered")]
    PartLost(String),
    /// The run's manifest is there already, and says something else.
    #[error("{0} is there already with another content, and a manifest is never written twice")]
    ManifestDiffers(String),
    /// A newer snapshot has been published meanwhile.
    #[error("{0}, which is newer, has been published meanwhile")]
    Superseded(String),
    /// Another invocation has taken the run.
    #[error("another invocation has taken over the run")]
    LeaseLost,
    /// Something that cannot happen did.
    #[error("{0}")]
    Internal(String),
}

impl Stop {
    /// Clerk was asked for the instance.
    #[must_use]
    pub fn of_instance(error: ClerkError) -> Self {
        Self::pause_of(&error).unwrap_or(Self::Instance(error))
    }

    /// Those errors that only mean that it is not the time to ask.
    fn pause_of(error: &ClerkError) -> Option<Self> {
        match error.root() {
            ClerkError::Paused { retry_at } => Some(Self::Paused(*retry_at)),
            ClerkError::OutOfTime { why, .. } => Some(Self::Exhausted(*why)),
            _ => None,
        }
    }
}

/// There is no such conversion of a bare [`ClerkError`]: it would not say which list was asked.
impl From<ListError> for Stop {
    fn from(failure: ListError) -> Self {
        Self::pause_of(&failure.error).unwrap_or(Self::List(failure))
    }
}

impl From<WalkStop> for Stop {
    fn from(stop: WalkStop) -> Self {
        match stop {
            WalkStop::Clerk(failure) => failure.into(),
            WalkStop::Exhausted(why) => Self::Exhausted(why),
            WalkStop::LostPlace(endpoint) => {
                Self::List(ListError::of(endpoint)(ClerkError::Protocol {
                    endpoint: endpoint.path.to_owned(),
                    detail:
                        "its pages do not join the rows read before: its rows change faster than \
                             they can be read"
                            .to_owned(),
                }))
            }
            WalkStop::Unfiltered(endpoint) => {
                Self::List(ListError::of(endpoint)(ClerkError::Protocol {
                    endpoint: endpoint.path.to_owned(),
                    detail: "it lists rows created at other times than were asked for".to_owned(),
                }))
            }
        }
    }
}

impl From<KeepError> for Stop {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::LeaseLost => Self::LeaseLost,
            KeepError::Store(error) => Self::Store(error),
            KeepError::Json(error) => Self::Internal(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(format!("a part could not be compressed or read back: {error}"))
    }
}

impl Run {
    /// Changes the checkpoint, with the counts of requests as they are now, and stores it.
    ///
    /// # Errors
    /// [`Stop::LeaseLost`] or [`Stop::Store`].
    pub async fn commit(&self, change: impl FnOnce(&mut Checkpoint)) -> Result<(), Stop> {
        let facts = self.facts();
        self.keeper
            .commit(|checkpoint| {
                checkpoint.run = facts;
                change(checkpoint);
            })
            .await?;
        Ok(())
    }

    /// Whether new work may begin.
    ///
    /// # Errors
    /// [`Stop::Exhausted`] when it may not.
    pub fn may_go_on(&self) -> Result<(), Stop> {
        self.patience.exhausted().map_or(Ok(()), |why| Err(Stop::Exhausted(why)))
    }

    /// What the run has taken up to now.
    pub fn facts(&self) -> RunFacts {
        facts(&self.client, self.before, self.started)
    }

    /// Reads one list's progress.
    pub fn list<T>(&self, list: impl Into<ListName>, read: impl FnOnce(&ListProgress) -> T) -> T {
        let list = list.into();
        self.keeper.read(|checkpoint| match checkpoint.lists.get(&list) {
            Some(list) => read(list),
            None => read(&ListProgress::new(Way::first(endpoint(list)))),
        })
    }

    /// Whether a list is one of the run's, and has not been left out.
    pub fn reads(&self, list: ListName) -> bool {
        let needed = self.keeper.read(|checkpoint| lists_needed(&checkpoint.resources));
        needed.contains(&list) && !self.list(list, ListProgress::is_left_out)
    }

    /// Changes one list's progress and stores the checkpoint.
    ///
    /// # Errors
    /// As [`Run::commit`].
    pub async fn commit_list(
        &self,
        list: impl Into<ListName>,
        change: impl FnOnce(&mut ListProgress),
    ) -> Result<(), Stop> {
        let list = list.into();
        self.commit(|checkpoint| change(progress_of(checkpoint, list))).await
    }

    /// Who was active after this moment, in milliseconds since 1970, was active lately. Days count
    /// whole, and all invocations of a run name the same.
    pub fn active_after(&self) -> i64 {
        let started_at = self.keeper.read(|checkpoint| checkpoint.started_at).unix_millis();
        let first = started_at - self.sessions_lookback.as_millis() as i64;
        first - first.rem_euclid(DAY.as_millis() as i64) - 1
    }

    /// How many pages of a list have to be under way for the pace to be kept: while they are asked for, and
    /// then stored.
    pub fn pages_to_fill(&self, endpoint: &Endpoint) -> usize {
        let latency = self.client.expected_latency(endpoint.path);
        self.client.requests_to_fill(latency, self.at_stake.storing_unhindered())
    }

    /// How many more pages of a list would fill the rate, beside all requests in flight or waiting.
    pub fn requests_to_spare(&self, endpoint: &Endpoint) -> usize {
        self.pages_to_fill(endpoint).saturating_sub(self.client.usage().places.asked_for())
    }

    /// What a list's pages are read with.
    pub fn reader(&self, endpoint: &'static Endpoint) -> Reader {
        let roles = self.keeper.read(|checkpoint| checkpoint.roles.clone());
        Reader {
            client: Arc::clone(&self.client),
            endpoint,
            path: endpoint.path.into(),
            ordered: true,
            filters: Vec::new(),
            context: Arc::new(PageContext {
                translation: Translation {
                    metadata: self.output.metadata,
                    include_raw: self.output.include_raw,
                    redaction: self.output.redaction.clone(),
                    roles,
                },
                datasets: self.feeds(endpoint).iter().map(|feed| feed.dataset).collect(),
                known: Arc::clone(&self.known),
                buffers: self.buffers.clone(),
            }),
            clock: self.clock.clone(),
            patience: Arc::clone(&self.patience),
        }
    }

    /// What a list's rows are written to: nothing when it is read for another resource's sake.
    pub fn feeds(&self, endpoint: &'static Endpoint) -> &'static [Feed] {
        let opted_in =
            self.keeper.read(|checkpoint| checkpoint.resources.contains(&endpoint.resource));
        if opted_in { endpoint.feeds } else { &[] }
    }

    /// Logs the fields of a row that could not be read, each field of a list once.
    pub fn note_unreadable(&self, endpoint: &Endpoint, row: &ReadRow) {
        for field in &row.unreadable {
            let mut told = self.told_unreadable.lock().unwrap_or_else(PoisonError::into_inner);
            if told.insert((endpoint.name(), field.clone())) {
                warn!(
                    clerk.path = endpoint.path,
                    clerk.field = field,
                    clerk.id = %Quoted(&row.key.id),
                    "a value is not of the type that Clerk's API promises; it is null in the \
                     snapshot, and the manifest counts such rows"
                );
            }
        }
    }
}

/// What a run has taken: `before` this invocation, and since it `started`.
#[must_use]
pub fn facts(client: &Client, before: RunFacts, started: Instant) -> RunFacts {
    let counted = client.counted();
    RunFacts {
        invocations: before.invocations + 1,
        requests: before.requests + counted.requests,
        retries: before.retries + counted.retries,
        rate_limited: before.rate_limited + counted.rate_limited,
        elapsed_seconds: before.elapsed_seconds + started.elapsed().as_secs_f64(),
    }
}

/// One list's progress, begun if need be.
pub fn progress_of(checkpoint: &mut Checkpoint, list: impl Into<ListName>) -> &mut ListProgress {
    let list = list.into();
    checkpoint.lists.entry(list).or_insert_with(|| ListProgress::new(Way::first(endpoint(list))))
}

/// The lists that have to be read for what is opted in.
#[must_use]
pub fn lists_needed(resources: &BTreeSet<Resource>) -> BTreeSet<ListName> {
    let mut needed = resources.clone();
    let resolves_roles = [
        Resource::Organizations,
        Resource::OrganizationMemberships,
        Resource::OrganizationInvitations,
    ];
    if resolves_roles.iter().any(|resource| resources.contains(resource)) {
        needed.insert(Resource::OrganizationRoles);
    }
    if resources.contains(&Resource::DailyActiveUsers) {
        needed.insert(Resource::Users);
    }
    lists_of(&needed).map(Endpoint::name).collect()
}

/// The datasets of what is opted in, in the order of docs/data.md.
#[must_use]
pub fn datasets_of(resources: &BTreeSet<Resource>) -> BTreeSet<Dataset> {
    lists_of(resources).flat_map(|list| list.feeds.iter().map(|feed| feed.dataset)).collect()
}
