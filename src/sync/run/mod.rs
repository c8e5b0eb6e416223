//! What the readers of one invocation share: the client, the lease with the checkpoint, the
//! settings of the output, and what is remembered of stored rows.

pub mod read_ahead;
pub mod remembered_ids;
pub(crate) mod timeline;
pub mod unchecked_users;
pub mod warnings;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use clerk_snapshot::buffers::Buffers;
use clerk_snapshot::compression::Compression;
use clerk_snapshot::manifest::{Generator, RunStats, Settings};
use clerk_snapshot::resource::Resource;
use clerk_snapshot::timestamp::{Day, day_of};
use clerk_store::Store;
use clerk_store::quoted::Quoted;
use tokio::time::Instant;
use tracing::warn;

use crate::clerk::client::Client;
use crate::clock::Clock;
use crate::lists::endpoint::{Destination, Endpoint, ListName};
use crate::lists::id_index::IdIndex;
use crate::lists::page::{PageContext, ReadRow};
use crate::lists::table::endpoint;
use crate::lists::table::{lists_needed, lists_referring_to};
use crate::paging::position::PagingMode;
use crate::paging::reader::Reader;
use crate::progress::Progress;
use crate::redaction::Redaction;
use crate::sync::checkpoint::document::Checkpoint;
use crate::sync::checkpoint::document::progress_of;
use crate::sync::checkpoint::lease::LeasedCheckpoint;
use crate::sync::checkpoint::list_progress::ListProgress;
use crate::sync::checkpoint::list_progress::Segment;
use crate::sync::error::{Pause, Stop, SyncError};
use crate::sync::run::read_ahead::ReadAhead;
use crate::sync::run::remembered_ids::RememberedIds;
use crate::sync::run::unchecked_users::UncheckedUsers;
use crate::sync::run::warnings::Warnings;
use crate::translate::{MetadataBags, Translation};
use crate::work_limit::WorkLimit;

/// What one invocation needs to work on a run: connections, limits, and what it has in memory. The run's own state is the
/// [`Checkpoint`].
#[derive(Debug)]
pub struct RunContext {
    /// Where everything is written.
    pub store: Arc<dyn Store>,
    /// Sends requests to Clerk.
    pub client: Arc<Client>,
    /// Holds the lease and writes the checkpoint.
    pub leased: Arc<LeasedCheckpoint>,
    /// Says when no new work may begin.
    pub work_limit: Arc<WorkLimit>,
    /// The time of day.
    pub clock: Clock,
    /// The program that the manifest names as its writer.
    pub generator: Generator,
    /// What the manifest will say shaped the records.
    pub settings: Settings,
    /// How rows are written.
    pub output: Output,
    /// How many pages may be read ahead of what is stored.
    pub read_ahead: ReadAhead,
    /// The ids of the rows that grants may refer to.
    pub id_index: Arc<RwLock<IdIndex>>,
    /// Reusable memory for the lines of pages.
    pub buffers: Buffers,
    /// The unreadable fields that have been logged, each with its list.
    pub logged_unreadable: Mutex<BTreeSet<(ListName, String)>>,
    /// Ids of rows that this invocation has stored, and that are in no file yet.
    pub remembered_ids: RememberedIds,
    /// The users of memberships that this invocation has stored unchecked.
    pub unchecked_users: UncheckedUsers,
    /// Warnings that become part of the answer.
    pub warnings: Arc<Warnings>,
    /// The age at which a run is abandoned (`SNAPSHOT_MAX_AGE_HOURS`).
    pub max_age: Duration,
    /// What earlier invocations of the run have spent.
    pub before: RunStats,
    /// When this invocation started.
    pub started: Instant,
    /// The progress display.
    pub progress: Progress,
    /// If sessions have to be read user by user: only of users that were active this long before
    /// the run started (`SESSIONS_LOOKBACK_DAYS`).
    pub sessions_lookback: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings that shape the output.
#[derive(Debug, Clone)]
pub struct Output {
    /// The format of parts.
    pub compression: Compression,
    /// Which metadata bags are copied.
    pub metadata: MetadataBags,
    /// Whether Clerk's own object is added to each record.
    pub include_raw: bool,
    /// Replaces personal data in the rows; `None` if `REDACT` is not set.
    pub redaction: Option<Redaction>,
    /// For how many days active users are counted.
    pub dau_lookback_days: u16,
}

impl RunContext {
    /// Changes the checkpoint, updates its request counts, and stores it.
    ///
    /// # Errors
    /// [`SyncError::LeaseLost`] or [`SyncError::Store`].
    pub async fn commit(&self, change: impl FnOnce(&mut Checkpoint)) -> Result<(), SyncError> {
        let stats = self.stats();
        self.leased
            .commit(|checkpoint| {
                checkpoint.stats = stats;
                change(checkpoint);
            })
            .await?;
        Ok(())
    }

    /// Checks whether new work may begin.
    ///
    /// # Errors
    /// [`Stop::Pause`] if it may not.
    pub fn check_time_left(&self) -> Result<(), Stop> {
        self.work_limit.stop_reason().map_or(Ok(()), |why| Err(Stop::Pause(Pause::OutOfTime(why))))
    }

    /// What the run has spent up to now.
    pub fn stats(&self) -> RunStats {
        stats(&self.client, self.before, self.started)
    }

    /// Reads one list's progress. A list that the checkpoint does not have yet has not begun.
    pub fn list<T>(&self, list: impl Into<ListName>, read: impl FnOnce(&ListProgress) -> T) -> T {
        let list = list.into();
        self.leased.with_checkpoint(|checkpoint| match checkpoint.lists.get(&list) {
            Some(list) => read(list),
            None => read(&ListProgress::new(PagingMode::first(endpoint(list)))),
        })
    }

    /// Whether the run needs a list and has not left it out.
    pub fn reads(&self, list: ListName) -> bool {
        let needed = self.leased.with_checkpoint(|checkpoint| lists_needed(&checkpoint.resources));
        needed.contains(&list) && !self.list(list, ListProgress::is_left_out)
    }

    /// Changes one list's progress and stores the checkpoint.
    ///
    /// # Errors
    /// As [`RunContext::commit`].
    pub async fn commit_list(
        &self,
        list: impl Into<ListName>,
        change: impl FnOnce(&mut ListProgress),
    ) -> Result<(), SyncError> {
        let list = list.into();
        self.commit(|checkpoint| {
            let progress = progress_of(checkpoint, list);
            change(progress);
            // The catalogue has the roles whose rows are stored, and no others.
            if progress.segments().next().is_none() {
                checkpoint.forget_roles_of(list);
            }
        })
        .await
    }

    /// The time, in milliseconds since 1970, after which users must have been active to have their
    /// sessions read. It is the end of a UTC day, and the same in all invocations of a run.
    pub fn active_after(&self) -> i64 {
        let started_at =
            self.leased.with_checkpoint(|checkpoint| checkpoint.started_at).unix_millis();
        let first = started_at - self.sessions_lookback.as_millis() as i64;
        first - first.rem_euclid(DAY.as_millis() as i64) - 1
    }

    /// How many pages of a list have to be in flight or waiting to be stored to fill the rate
    /// limit.
    pub fn pages_to_fill(&self, endpoint: &Endpoint) -> usize {
        let latency = self.client.expected_latency(endpoint.path);
        self.client.requests_to_fill(latency, self.read_ahead.storing_unhindered())
    }

    /// How many more pages of a list would fill the rate limit, in addition to all requests in
    /// flight or waiting.
    pub fn requests_to_spare(&self, endpoint: &Endpoint) -> usize {
        self.pages_to_fill(endpoint).saturating_sub(self.client.usage().slots.asked_for())
    }

    /// A reader for the pages of a list.
    pub fn reader(&self, endpoint: &'static Endpoint) -> Reader {
        let roles = self.leased.with_checkpoint(|checkpoint| checkpoint.roles.clone());
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
                datasets: self
                    .destinations(endpoint)
                    .iter()
                    .map(|destination| destination.dataset)
                    .collect(),
                id_index: Arc::clone(&self.id_index),
                buffers: self.buffers.clone(),
            }),
            clock: self.clock.clone(),
            work_limit: Arc::clone(&self.work_limit),
        }
    }

    /// The days for which active users are counted, up to the one the run started on; `None` if
    /// they are not opted in.
    pub(crate) fn days_counted(&self) -> Option<RangeInclusive<Day>> {
        let lookback = Day::from(self.output.dau_lookback_days);
        self.leased.with_checkpoint(|checkpoint| {
            let today = day_of(checkpoint.started_at.unix_millis());
            let opted_in = checkpoint.resources.contains(&Resource::DailyActiveUsers);
            opted_in.then_some(today - lookback + 1..=today)
        })
    }

    /// The opted-in lists whose grants refer to this one.
    fn referring_to(&self, list: ListName) -> Vec<ListName> {
        self.leased
            .with_checkpoint(|checkpoint| lists_referring_to(list, &checkpoint.resources).collect())
    }

    /// Whether grants of opted-in lists refer to the rows of a list.
    pub(crate) fn is_referred_to(&self, list: ListName) -> bool {
        !self.referring_to(list).is_empty()
    }

    /// Whether no row may leave a list any more: grants that refer to its rows have been stored and
    /// checked, or pages in memory were checked against its ids when they were decoded.
    pub(crate) fn rows_must_stay(&self, list: ListName) -> bool {
        let resource = endpoint(list).resource;
        if ListName::from(resource) == list && self.id_index().is_sealed(resource) {
            return true;
        }
        let are_users = resource == Resource::Users;
        let refers = |segment: &Segment| !(are_users && segment.users_unchecked);
        let mut referring = self.referring_to(list).into_iter();
        referring.any(|from| self.list(from, |list| list.segments().any(refers)))
    }

    /// The index of ids that grants may refer to.
    pub(crate) fn id_index(&self) -> RwLockReadGuard<'_, IdIndex> {
        self.id_index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a list's rows are written to: nothing if the list is only read for another resource.
    pub fn destinations(&self, endpoint: &'static Endpoint) -> &'static [Destination] {
        let opted_in = self
            .leased
            .with_checkpoint(|checkpoint| checkpoint.resources.contains(&endpoint.resource));
        if opted_in { endpoint.destinations } else { &[] }
    }

    /// Logs the fields of a row that could not be read, each field of a list once.
    pub fn note_unreadable(&self, endpoint: &Endpoint, row: &ReadRow) {
        for field in &row.unreadable {
            let mut logged = self.logged_unreadable.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.insert((endpoint.name(), field.clone())) {
                warn!(
                    clerk.path = endpoint.path,
                    clerk.field = field,
                    clerk.id = %Quoted(&row.key.id),
                    "a value does not have the type that Clerk's API documents; it is null in the \
                     snapshot, and the manifest counts such rows"
                );
            }
        }
    }
}

/// What a run has spent: `before` this invocation, and since it `started`.
#[must_use]
pub fn stats(client: &Client, before: RunStats, started: Instant) -> RunStats {
    let counted = client.counted();
    RunStats {
        invocations: before.invocations + 1,
        requests: before.requests + counted.requests,
        retries: before.retries + counted.retries,
        rate_limited: before.rate_limited + counted.rate_limited,
        elapsed_seconds: before.elapsed_seconds + started.elapsed().as_secs_f64(),
    }
}
