//! Copies one list to its end: pages become stretches, stretches are stored, the place advances.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::{info, warn};

use crate::clerk::error::ClerkError;
use crate::resource::Resource;

use super::checkpoint::{ListProgress, Stage};
use super::closure;
use super::compare;
use super::endpoint::{Endpoint, Paging, endpoint};
use super::run::{Run, Stop, progress_of};
use super::stretch::{StoredStretch, StretchBuilder};
use super::walk::{Batch, Walk, WalkStop, Way};

/// How often a list is begun again after all rows known were deleted under the walk.
const MOST_RESTARTS: u32 = 2;
/// Most pages of one stretch, so that reading one again stays cheap.
const MOST_PAGES_TOGETHER: usize = 32;

/// Copies a list until it is done: walked to its end, and compared with Clerk's count.
///
/// # Errors
/// [`Stop`]; what was read before is stored.
pub(super) async fn copy_list(run: &Run, resource: Resource) -> Result<(), Stop> {
    let endpoint = endpoint(resource);
    loop {
        let step = match run.list(resource, |list| list.stage.clone()) {
            Stage::Walking => walk_to_end(run, endpoint).await,
            Stage::Comparing => compare::compare(run, endpoint).await,
            Stage::Verified | Stage::Drifted | Stage::Refused { .. } => return Ok(()),
        };
        match step {
            Err(Stop::Clerk(ClerkError::Refused { endpoint: path, status, refusal })) => {
                let code = refusal.code.clone().unwrap_or_else(|| status.to_string());
                warn!(
                    clerk.path = path,
                    clerk.code = code,
                    "Clerk refuses this list; it is skipped"
                );
                run.commit_list(resource, |list| refuse(list, code)).await?;
                run.patience.note_progress();
            }
            step => step?,
        }
    }
}

fn refuse(list: &mut ListProgress, code: String) {
    *list = ListProgress::new(list.way);
    list.stage = Stage::Refused { code };
}

/// Walks on from where the list stands to its end.
///
/// # Errors
/// [`Stop`].
pub(super) fn walk_to_end<'a>(
    run: &'a Run,
    endpoint: &'static Endpoint,
) -> BoxFuture<'a, Result<(), Stop>> {
    // Boxed, because memberships walk on users and organizations in the middle of their own walk.
    async move {
        let mut restarts = 0;
        loop {
            match walk_once(run, endpoint).await {
                // What is missing from a list that grants refer to is asked for by id.
                Err(WalkFailure::LostPlace) if closure::others_refer_to(run, endpoint.resource) => {
                    return run
                        .commit_list(endpoint.resource, |list| list.stage = Stage::Comparing)
                        .await;
                }
                Err(WalkFailure::LostPlace) if restarts < MOST_RESTARTS => {
                    restarts += 1;
                    warn!(clerk.path = endpoint.path, "rows moved too far; reading the list again");
                    run.commit_list(endpoint.resource, |list| {
                        *list = ListProgress::new(Way::first(endpoint.paging));
                    })
                    .await?;
                }
                Err(WalkFailure::LostPlace) => {
                    return Err(WalkStop::LostPlace(endpoint.path).into());
                }
                Err(WalkFailure::Stop(stop)) => return Err(stop),
                Ok(()) => return Ok(()),
            }
        }
    }
    .boxed()
}

enum WalkFailure {
    LostPlace,
    Stop(Stop),
}

impl<E: Into<Stop>> From<E> for WalkFailure {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}

async fn walk_once(run: &Run, endpoint: &'static Endpoint) -> Result<(), WalkFailure> {
    let resource = endpoint.resource;
    let mut begun = run.list(resource, ListProgress::clone_place);
    if let (None, Paging::Cursor { count_path }) = (begun.count_before, endpoint.paging) {
        run.may_go_on()?;
        begun.count_before = Some(compare::count(run, count_path).await?);
    }
    let expected = begun.count_after.or(begun.count_before);
    let mut walk = Walk::new(run.reader(endpoint), begun.way, begun.place, begun.rows, expected);
    let mut gathering = Gathering::new(run, endpoint, begun.count_before)?;
    let mut pages_stored = 0;
    loop {
        // Few pages are at stake at first, and never more than a share of what is safe: an
        // interruption costs little, and a long walk still fills the rate.
        walk.allow((pages_stored / 8).clamp(2, run.max_concurrency.max(2)));
        match walk.next().await {
            Ok(Some(batch)) => {
                let last = batch.last;
                gathering.add(run, batch).await?;
                let enough = (pages_stored / 16).clamp(1, MOST_PAGES_TOGETHER);
                if last
                    || gathering.stretch.pages() >= enough
                    || gathering.stretch.is_full()
                    || run.patience.exhausted().is_some()
                {
                    let stored = gathering.store(run, endpoint).await?;
                    walk.stored(stored);
                    pages_stored += stored;
                }
            }
            Ok(None) => return Ok(()),
            Err(stop) => {
                gathering.store(run, endpoint).await?;
                return Err(match stop {
                    WalkStop::LostPlace(_) => WalkFailure::LostPlace,
                    stop => stop.into(),
                });
            }
        }
    }
}

/// Pages on their way into the store.
struct Gathering<'a> {
    stretch: StretchBuilder<'a>,
    count_before: Option<u64>,
    newest: Option<Newest>,
    doubled: u64,
}

/// What the newest page said of the walk.
struct Newest {
    place: super::walk::Place,
    way: Way,
    total: Option<u64>,
    last: bool,
}

impl<'a> Gathering<'a> {
    fn new(
        run: &'a Run,
        endpoint: &'static Endpoint,
        count_before: Option<u64>,
    ) -> Result<Self, Stop> {
        let sequence = run.list(endpoint.resource, ListProgress::next_sequence);
        Ok(Self {
            stretch: StretchBuilder::new(run, endpoint, sequence)?,
            count_before,
            newest: None,
            doubled: 0,
        })
    }

    async fn add(&mut self, run: &Run, mut batch: Batch) -> Result<(), Stop> {
        closure::close(run, &mut batch.page, &mut self.stretch).await?;
        self.stretch.add(&batch.page)?;
        self.doubled += batch.doubled;
        self.count_before = self.count_before.or(batch.total);
        self.newest = Some(Newest {
            place: batch.place,
            way: batch.way,
            total: batch.total,
            last: batch.last,
        });
        Ok(())
    }

    /// Stores what was gathered and begins anew; gives the number of pages.
    async fn store(&mut self, run: &'a Run, endpoint: &'static Endpoint) -> Result<usize, Stop> {
        let Some(newest) = self.newest.take() else { return Ok(0) };
        let empty = StretchBuilder::new(run, endpoint, 0)?;
        let stored = std::mem::replace(&mut self.stretch, empty).store().await?;
        let pages = stored.pages;
        let count_before = self.count_before;
        let doubled = std::mem::take(&mut self.doubled);
        add_stretch(run, endpoint, stored, |list| {
            list.place = newest.place;
            list.way = newest.way;
            list.duplicates_dropped += doubled;
            list.source_count.before = count_before;
            list.source_count.after = newest.total.or(list.source_count.after);
            if newest.last {
                list.stage = Stage::Comparing;
            }
        })
        .await?;
        let rows = run.list(endpoint.resource, ListProgress::rows);
        if newest.last {
            info!(clerk.path = endpoint.path, rows, "list read to its end");
        }
        *self = Self::new(run, endpoint, count_before)?;
        Ok(pages)
    }
}

/// Adds a stored stretch to its list and advances the place, in one write of the checkpoint.
async fn add_stretch(
    run: &Run,
    endpoint: &'static Endpoint,
    stored: StoredStretch,
    advance: impl FnOnce(&mut ListProgress),
) -> Result<(), Stop> {
    let added = stored.stretch.clone();
    run.commit(|checkpoint| {
        stored.roles.into_iter().for_each(|role| checkpoint.roles.push(role));
        let list = progress_of(checkpoint, endpoint.resource);
        list.stretches.extend(stored.stretch);
        advance(list);
    })
    .await?;
    // Where nothing was new the next invocation would stand where this one does.
    if let Some(stretch) = added {
        run.patience.note_progress();
        closure::note_stored(run, endpoint, &stretch);
    }
    run.keeper.read(|checkpoint| run.progress.show(checkpoint, run.facts()));
    Ok(())
}

/// Where a list stands, without its stretches.
struct Begun {
    way: Way,
    place: super::walk::Place,
    rows: u64,
    count_before: Option<u64>,
    count_after: Option<u64>,
}

impl ListProgress {
    fn clone_place(&self) -> Begun {
        Begun {
            way: self.way,
            place: self.place.clone(),
            rows: self.rows(),
            count_before: self.source_count.before,
            count_after: self.source_count.after,
        }
    }
}
