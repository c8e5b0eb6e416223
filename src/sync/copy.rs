//! Copies one list to its end: pages become stretches, stretches are stored, the place advances.

use futures_util::FutureExt as _;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tracing::{info, warn};

use crate::clerk::error::ClerkError;
use crate::resource::Resource;

use super::bounds::Bounds;
use super::by_owner::WalkByOwner;
use super::checkpoint::{ListProgress, Stage};
use super::closure;
use super::compare;
use super::divide::{divide, windows_wanted};
use super::endpoint::{ByOwner, Endpoint, Paging, endpoint};
use super::page::PageContext;
use super::plan;
use super::run::{Run, Stop, progress_of};
use super::stretch::{Number, StretchBuilder};
use super::walk::{Allowed, Batch, Beginning, Place, Reader, Walk, WalkStop, Way};

/// How often a list is begun again after all rows known were deleted under the walk.
const MOST_RESTARTS: u32 = 2;

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

/// Walks on from where the list stands to its end, even if that was reached before.
///
/// # Errors
/// [`Stop`].
pub(super) fn walk_to_end<'a>(
    run: &'a Run,
    endpoint: &'static Endpoint,
) -> BoxFuture<'a, Result<(), Stop>> {
    // Boxed, because memberships walk on users and organizations in the middle of their own walk.
    async move {
        let resource = endpoint.resource;
        let counted = count_before(run, endpoint).await?;
        let mut restarts = 0;
        loop {
            match walk_windows(run, endpoint, counted).await {
                Ok(Walked::ToTheEnd) => return Ok(()),
                Ok(Walked::FarEnoughToDivide) => divide(run, endpoint).await?,
                // What is missing from a list that grants refer to is asked for by id.
                Err(WalkFailure::LostPlace) if closure::others_refer_to(run, resource) => {
                    return run.commit_list(resource, |list| list.stage = Stage::Comparing).await;
                }
                Err(WalkFailure::LostPlace | WalkFailure::Unfiltered)
                    if run.list(resource, |list| list.windows.len() > 1) =>
                {
                    warn!(clerk.path = endpoint.path, "walking on without windows");
                    run.commit_list(resource, ListProgress::join_windows).await?;
                }
                Err(WalkFailure::AnswersBadly) => {
                    run.commit_list(resource, ListProgress::begin_by_owner).await?;
                }
                Err(WalkFailure::LostPlace) if restarts < MOST_RESTARTS => {
                    restarts += 1;
                    warn!(clerk.path = endpoint.path, "rows moved too far; reading the list again");
                    run.commit_list(resource, |list| {
                        *list = ListProgress::new(match list.way {
                            Way::ByOwner => Way::ByOwner,
                            Way::Cursor | Way::Offset => Way::first(endpoint.paging),
                        });
                    })
                    .await?;
                }
                Err(WalkFailure::LostPlace | WalkFailure::Unfiltered) => {
                    return Err(WalkStop::LostPlace(endpoint.path).into());
                }
                Err(WalkFailure::Stop(stop)) => return Err(stop),
            }
        }
    }
    .boxed()
}

/// Clerk's count of a list before its walk, asked for where its pages do not state it.
async fn count_before(run: &Run, endpoint: &'static Endpoint) -> Result<Option<u64>, Stop> {
    let counted = run.list(endpoint.resource, |list| list.source_count.before);
    match endpoint.paging {
        Paging::Cursor { count_path } if counted.is_none() => {
            run.may_go_on()?;
            Ok(Some(compare::count(run, count_path, Bounds::default()).await?))
        }
        _ => Ok(counted),
    }
}

enum Walked {
    ToTheEnd,
    FarEnoughToDivide,
}

enum WalkFailure {
    LostPlace,
    Unfiltered,
    /// At large offsets, and what owns the rows answers better.
    AnswersBadly,
    Stop(Stop),
}

impl<E: Into<Stop>> From<E> for WalkFailure {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}

impl WalkFailure {
    /// Whether nothing more can be read, of this list or of another.
    const fn ends_the_run(&self) -> bool {
        match self {
            Self::LostPlace | Self::Unfiltered | Self::AnswersBadly => false,
            Self::Stop(stop) => !matches!(stop, Stop::Clerk(ClerkError::Refused { .. })),
        }
    }

    async fn of(run: &Run, endpoint: &'static Endpoint, stop: WalkStop) -> Self {
        let stop = match stop {
            WalkStop::LostPlace(_) => return Self::LostPlace,
            WalkStop::Unfiltered(_) => return Self::Unfiltered,
            stop => Stop::from(stop),
        };
        if plan::fails_at_large_offsets(run, endpoint, &stop).await {
            Self::AnswersBadly
        } else {
            Self::Stop(stop)
        }
    }
}

/// Walks the windows that have not ended, or else the last one on, side by side: the more pages are
/// safe, the more at once.
async fn walk_windows(
    run: &Run,
    endpoint: &'static Endpoint,
    counted: Option<u64>,
) -> Result<Walked, WalkFailure> {
    let open: Vec<usize> = run.list(endpoint.resource, |list| {
        let windows = list.windows.iter().enumerate();
        let open = windows.filter(|(_, window)| !window.ended).map(|(index, _)| index);
        let last = list.windows.len() - 1;
        open.chain([last]).take(list.open_windows()).collect()
    });
    let mut waiting = open.into_iter().peekable();
    let mut walking = FuturesUnordered::new();
    let mut outcome = Ok(Walked::ToTheEnd);
    loop {
        while walking.len() < run.at_stake.allowed() && outcome.is_ok() {
            let Some(window) = waiting.next() else { break };
            walking.push(walk_window(run, endpoint, window, counted));
        }
        tokio::select! {
            walked = walking.next() => match walked {
                None => return outcome,
                Some(Ok(Walked::ToTheEnd)) => {}
                Some(Ok(Walked::FarEnoughToDivide)) => outcome = Ok(Walked::FarEnoughToDivide),
                Some(Err(failure)) => {
                    if failure.ends_the_run() {
                        // The others store what is in flight.
                        run.patience.halt();
                    }
                    if outcome.is_ok() {
                        outcome = Err(failure);
                    }
                }
            },
            () = run.at_stake.grown(), if waiting.peek().is_some() => {}
        }
    }
}

/// Walks one window to its end.
async fn walk_window(
    run: &Run,
    endpoint: &'static Endpoint,
    window: usize,
    counted: Option<u64>,
) -> Result<Walked, WalkFailure> {
    let beginning = run.list(endpoint.resource, |list| beginning(list, window, counted));
    let mut walk = Walker::new(run, endpoint, beginning);
    let mut gathering = Gathering::new(run, endpoint, window, counted)?;
    loop {
        let walks = walks_side_by_side(run, endpoint);
        let together = run.at_stake.pages_together(walks);
        let to_be_divided = windows_wanted(run, endpoint, counted) > 1;
        walk.allow(if to_be_divided {
            // The next page will belong to another window's walk.
            Allowed { in_flight: 1, at_stake: 1 }
        } else {
            let in_flight = (run.at_stake.allowed() / walks).max(1);
            Allowed { in_flight, at_stake: in_flight + together - 1 }
        });
        let has_begun = run.list(endpoint.resource, |list| list.rows() > 0);
        if to_be_divided && has_begun && gathering.is_empty() {
            return Ok(Walked::FarEnoughToDivide);
        }
        match walk.next().await {
            Ok(Some(batch)) => {
                let last = batch.last;
                gathering.add(run, batch).await?;
                if last
                    || gathering.stretch.pages() >= together
                    || gathering.stretch.is_full()
                    || run.patience.exhausted().is_some()
                {
                    let stored = gathering.store(run, endpoint).await?;
                    walk.stored(stored);
                    run.at_stake.note_stored(stored);
                    if !last && plan::is_slow_enough_to_change(run, endpoint).await? {
                        return Err(WalkFailure::AnswersBadly);
                    }
                }
            }
            Ok(None) => return Ok(Walked::ToTheEnd),
            Err(stop) => {
                gathering.store(run, endpoint).await?;
                return Err(WalkFailure::of(run, endpoint, stop).await);
            }
        }
    }
}

/// A walk of either kind.
enum Walker {
    Window(Box<Walk>),
    ByOwner(Box<WalkByOwner>),
}

impl Walker {
    fn new(run: &Run, list: &'static Endpoint, beginning: Beginning) -> Self {
        match list.by_owner {
            Some(ByOwner { owners, path }) if beginning.way == Way::ByOwner => {
                // For their ids alone.
                let context = Arc::new(PageContext::for_check());
                let owners = Reader { context, ..run.reader(endpoint(owners)) };
                let walk = WalkByOwner::new(run.reader(list), path, owners, beginning.place);
                Self::ByOwner(Box::new(walk))
            }
            _ => Self::Window(Box::new(Walk::new(run.reader(list), beginning))),
        }
    }

    fn allow(&mut self, allowed: Allowed) {
        match self {
            Self::Window(walk) => walk.allow(allowed),
            Self::ByOwner(walk) => walk.allow(allowed),
        }
    }

    fn stored(&mut self, pages: usize) {
        match self {
            Self::Window(walk) => walk.stored(pages),
            Self::ByOwner(walk) => walk.stored(pages),
        }
    }

    async fn next(&mut self) -> Result<Option<Batch>, WalkStop> {
        match self {
            Self::Window(walk) => walk.next().await,
            Self::ByOwner(walk) => walk.next().await,
        }
    }
}

/// How many windows of a list are walked at the same time.
fn walks_side_by_side(run: &Run, endpoint: &'static Endpoint) -> usize {
    run.list(endpoint.resource, ListProgress::open_windows).min(run.at_stake.allowed())
}

/// Where the walk of a window goes on.
fn beginning(list: &ListProgress, window: usize, counted: Option<u64>) -> Beginning {
    let window = &list.windows[window];
    Beginning {
        bounds: window.bounds,
        way: list.way,
        place: window.place.clone(),
        rows: window.rows(),
        expected: window.expected.or(counted),
    }
}

/// Pages on their way into the store.
struct Gathering<'a> {
    window: usize,
    counted: Option<u64>,
    stretch: StretchBuilder<'a>,
    newest: Option<Newest>,
    doubled: u64,
}

/// What the newest page said of the walk.
struct Newest {
    place: Place,
    way: Way,
    total: Option<u64>,
    last: bool,
}

impl<'a> Gathering<'a> {
    fn new(
        run: &'a Run,
        endpoint: &'static Endpoint,
        window: usize,
        counted: Option<u64>,
    ) -> Result<Self, Stop> {
        let stretch = StretchBuilder::new(run, endpoint)?;
        Ok(Self { window, counted, stretch, newest: None, doubled: 0 })
    }

    const fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    async fn add(&mut self, run: &Run, mut batch: Batch) -> Result<(), Stop> {
        closure::close(run, &mut batch.page, &mut self.stretch).await?;
        self.stretch.add(&batch.page)?;
        self.doubled += batch.doubled;
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
        let gathered =
            std::mem::replace(self, Self::new(run, endpoint, self.window, self.counted)?);
        let number = run.list(endpoint.resource, |list| Number {
            window: gathered.window,
            sequence: list.windows[gathered.window].next_sequence(),
        });
        let stored = gathered.stretch.store(number).await?;
        let pages = stored.pages;
        let added = stored.stretch.clone();
        run.commit(|checkpoint| {
            stored.roles.into_iter().for_each(|role| checkpoint.roles.push(role));
            let list = progress_of(checkpoint, endpoint.resource);
            list.duplicates_dropped += gathered.doubled;
            list.source_count.before =
                list.source_count.before.or(gathered.counted).or(newest.total);
            if list.way == Way::Cursor {
                // What one window has found out about the server holds for all.
                list.way = newest.way;
            }
            if stored.stretch.is_some() {
                list.stage = Stage::Walking;
            }
            if list.stage == Stage::Walking {
                list.source_count.after = newest.total.or(list.source_count.after);
            }
            let window = &mut list.windows[gathered.window];
            window.stretches.extend(stored.stretch);
            window.place = newest.place;
            window.expected = newest.total.or(window.expected).or(gathered.counted);
            window.ended = newest.last;
            list.divisible &= !newest.last;
            let all_ended = list.windows.iter().all(|window| window.ended);
            if all_ended && list.stage == Stage::Walking {
                list.stage = Stage::Comparing;
            }
        })
        .await?;
        // Where nothing was new the next invocation would stand where this one does.
        if let Some(stretch) = added {
            run.patience.note_progress();
            closure::note_stored(run, endpoint, &stretch);
        }
        run.keeper.read(|checkpoint| run.progress.show(checkpoint, run.facts()));
        let (rows, ended) =
            run.list(endpoint.resource, |list| (list.rows(), list.stage == Stage::Comparing));
        if ended {
            info!(clerk.path = endpoint.path, rows, "list read to its end");
        }
        Ok(pages)
    }
}
