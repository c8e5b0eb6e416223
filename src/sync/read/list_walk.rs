//! Walks one list to its end: its windows side by side, in another way if one fails.
//!
//! What the rows of a page refer to is fetched before the page is stored, which may walk another list to its end.

use std::collections::BTreeSet;

use clerk_snapshot::resource::Resource;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::lists::endpoint::{Endpoint, Paging};
use crate::lists::page::ReadPage;
use crate::lists::table::REFERENCES;
use crate::lists::table::endpoint;
use crate::paging::created_range::CreatedRange;
use crate::paging::pager::{Allowed, Beginning, PagerStop};
use crate::paging::position::PagingMode;
use crate::sync::checkpoint::list_progress::{ListProgress, Stage};
use crate::sync::error::Stop;
use crate::sync::read::forecast;
use crate::sync::read::left_out;
use crate::sync::read::list_pager::ListPager;
use crate::sync::read::reconcile;
use crate::sync::read::strategy;
use crate::sync::read::window_queue::WindowQueue;
use crate::sync::read::windows::{divide, divide_again, most_parts, windows_wanted};
use crate::sync::references::insert::{insert, stored_after_place};
use crate::sync::references::resolve::{self, IDS_PER_REQUEST};
use crate::sync::run::Run;
use crate::sync::run::read_ahead::ALWAYS;
use crate::sync::write::compaction::join_small;
use crate::sync::write::pending::PendingPages;
use crate::sync::write::segment::Dangling;

/// How often a list is begun again after all rows known were deleted under the walk, by all invocations
/// together.
const MOST_RESTARTS: u32 = 2;

/// Walks on from where the list stands to its end, even if that was reached before.
///
/// # Errors
/// [`Stop`].
pub(crate) fn walk_to_end<'a>(
    run: &'a Run,
    endpoint: &'static Endpoint,
) -> BoxFuture<'a, Result<(), Stop>> {
    // Boxed, because memberships walk on users and organizations in the middle of their own walk.
    async move {
        let name = endpoint.name();
        let counted = count_before(run, endpoint).await?;
        forecast::look_ahead(run, endpoint).await?;
        loop {
            if run.list(name, ListProgress::is_left_out) {
                return Ok(());
            }
            match walk_windows(run, endpoint, counted).await {
                Ok(Walked::ToTheEnd) => return Ok(()),
                Ok(Walked::FarEnoughToDivide) => divide(run, endpoint).await?,
                // What is missing from a list that grants refer to is asked for by id.
                Err(WalkFailure::LostPlace) if run.others_refer_to(name) => {
                    return run.commit_list(name, |list| list.stage = Stage::Comparing).await;
                }
                Err(WalkFailure::LostPlace | WalkFailure::Unfiltered)
                    if run.list(name, |list| list.windows.len() > 1) =>
                {
                    warn!(
                        clerk.path = endpoint.path,
                        "reading the rest of the list without windows"
                    );
                    run.commit_list(name, ListProgress::join_windows).await?;
                }
                Err(WalkFailure::AnswersBadly) => {
                    run.commit_list(name, |list| list.begin_by_owner(endpoint)).await?;
                    forecast::look_ahead(run, endpoint).await?;
                }
                Err(WalkFailure::LostPlace)
                    if run.list(name, |list| list.restarts) < MOST_RESTARTS =>
                {
                    warn!(clerk.path = endpoint.path, "rows moved too far; reading the list again");
                    run.commit_list(name, |list| {
                        *list = list.anew(match list.mode {
                            PagingMode::ByOwner => PagingMode::ByOwner,
                            PagingMode::Cursor | PagingMode::Offset => PagingMode::first(endpoint),
                        });
                        list.restarts += 1;
                    })
                    .await?;
                }
                Err(WalkFailure::LostPlace | WalkFailure::Unfiltered) => {
                    // Whoever syncs again after this error may find the list at rest.
                    run.commit_list(name, |list| list.restarts = 0).await?;
                    return Err(PagerStop::LostPlace(endpoint).into());
                }
                Err(WalkFailure::Stop(stop)) => return Err(stop),
            }
        }
    }
    .boxed()
}

/// Fetches what a page's rows refer to and the snapshot does not hold yet. Rows whose user or organization is gone are
/// marked as dangling and counted.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn close(run: &Run, page: &mut ReadPage) -> Result<Dangling, Stop> {
    for resource in REFERENCES.iter().flat_map(|(_, to)| to.iter().copied()) {
        let missing = resolve::missing(run, page, resource);
        if !missing.is_empty() {
            fetch_missing(run, resource, missing).await?;
        }
    }
    Ok(resolve::mark_gone(run, page))
}

/// Fetches rows that appeared during the run. Those that were created during the run stand at the end of their list;
/// those with an earlier date are requested by id and inserted at their place.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn fetch_missing(
    run: &Run,
    resource: Resource,
    ids: BTreeSet<String>,
) -> Result<(), Stop> {
    let endpoint = endpoint(resource);
    info!(
        clerk.path = endpoint.path,
        missing = ids.len(),
        "grants refer to rows that appeared during the run; fetching them"
    );
    walk_to_end(run, endpoint).await?;
    let still: Vec<String> =
        ids.into_iter().filter(|id| !resolve::is_known(run, resource, id)).collect();
    for ids in still.chunks(IDS_PER_REQUEST) {
        let Some(page) = resolve::page_by_id(run, endpoint, ids).await? else { break };
        insert(run, endpoint, &page).await?;
    }
    Ok(())
}

/// Clerk's count of a list before its walk, asked for where its pages do not state it.
async fn count_before(run: &Run, endpoint: &'static Endpoint) -> Result<Option<u64>, Stop> {
    let counted = run.list(endpoint.name(), |list| list.source_count.before);
    match endpoint.paging {
        Paging::Cursor { count_path } if counted.is_none() => {
            run.may_go_on()?;
            Ok(Some(reconcile::count(run, endpoint, count_path, CreatedRange::default()).await?))
        }
        _ => Ok(counted),
    }
}

enum Walked {
    ToTheEnd,
    FarEnoughToDivide,
}

/// How far a window was walked.
enum Turn {
    ToTheEnd,
    /// Until another had more rows left.
    Over(u32),
    FarEnoughToDivide,
}

enum WalkFailure {
    LostPlace,
    Unfiltered,
    /// At large offsets, or as a whole, and what owns the rows answers better.
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
    fn ends_the_run(&self) -> bool {
        match self {
            Self::LostPlace | Self::Unfiltered | Self::AnswersBadly => false,
            Self::Stop(stop) => left_out::ends_the_run(stop),
        }
    }

    async fn of(run: &Run, endpoint: &'static Endpoint, stop: PagerStop) -> Self {
        let stop = match stop {
            PagerStop::LostPlace(_) => return Self::LostPlace,
            PagerStop::Unfiltered(_) => return Self::Unfiltered,
            stop => Stop::from(stop),
        };
        match strategy::is_refused_as_a_whole(run, endpoint, &stop).await {
            Ok(true) => return Self::AnswersBadly,
            Ok(false) => {}
            Err(stop) => return Self::Stop(stop),
        }
        if strategy::fails_at_large_offsets(run, endpoint, &stop).await {
            Self::AnswersBadly
        } else if strategy::fails_in_windows(run, endpoint, &stop).await {
            Self::Unfiltered
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
    let waiting = WindowQueue::new(run, endpoint);
    let mut walking = FuturesUnordered::new();
    let mut outcome = Ok(Walked::ToTheEnd);
    loop {
        while walking.len() < walks_at_once(run, endpoint) && outcome.is_ok() {
            let Some(window) = waiting.take() else { break };
            walking.push(walk_window(run, endpoint, window, counted, &waiting));
        }
        tokio::select! {
            walked = walking.next() => match walked {
                None => return outcome,
                Some(Ok(Turn::ToTheEnd)) => {}
                Some(Ok(Turn::Over(window))) => waiting.put(window),
                Some(Ok(Turn::FarEnoughToDivide)) => outcome = Ok(Walked::FarEnoughToDivide),
                Some(Err(failure)) => {
                    if failure.ends_the_run() {
                        // The others store what is in flight.
                        run.work_limit.halt();
                    }
                    if outcome.is_ok() {
                        outcome = Err(failure);
                    }
                }
            },
            () = waiting.added() => {}
            () = run.read_ahead.grown(), if !waiting.is_empty() => {}
        }
    }
}

/// How many windows are walked at the same time: as many as fill the pace.
fn walks_at_once(run: &Run, endpoint: &'static Endpoint) -> usize {
    run.read_ahead.allowed(run.pages_to_fill(endpoint)).max(1)
}

/// Walks one window to its end, or until one that waits has more rows left.
async fn walk_window(
    run: &Run,
    endpoint: &'static Endpoint,
    window: u32,
    counted: Option<u64>,
    waiting: &WindowQueue<'_>,
) -> Result<Turn, WalkFailure> {
    let beginning = run.list(endpoint.name(), |list| beginning(list, window, counted));
    let mut walk = ListPager::new(run, endpoint, beginning);
    walk.skip(stored_after_place(run, endpoint, window).await?);
    let mut pending = PendingPages::new(run, endpoint, window, counted);
    let mut divisible_from = 0;
    loop {
        divide_if_wanted(run, endpoint, window, &mut walk, waiting, &mut divisible_from).await?;
        let Ahead { in_flight, together, unsaved } = ahead(run, endpoint, walk.in_flight());
        let to_be_divided = windows_wanted(run, endpoint, counted) > 1;
        walk.allow(if to_be_divided {
            // The next page will belong to another window's walk.
            Allowed { in_flight: 1, read_ahead: 1 }
        } else {
            // Clerk answers while pages are stored.
            Allowed { in_flight, read_ahead: in_flight + unsaved }
        });
        walk.wait_for_room(walks_side_by_side(run, endpoint) > 1);
        let has_begun = run.list(endpoint.name(), |list| list.rows() > 0);
        if to_be_divided && has_begun && pending.is_empty() {
            return Ok(Turn::FarEnoughToDivide);
        }
        match walk.next().await {
            Ok(Some(mut batch)) => {
                let last = batch.last;
                let dangling = close(run, &mut batch.page).await?;
                pending.add(batch, dangling, unsaved < together)?;
                let is_whole = last
                    || pending.pages() >= together
                    || pending.is_full()
                    || run.work_limit.exhausted().is_some();
                if is_whole || pending.waiting() >= unsaved {
                    let before = run.list(endpoint.name(), |list| list.window(window).rows());
                    run.read_ahead.note_storing();
                    let began = Instant::now();
                    let stored = match is_whole {
                        true => pending.store().await?,
                        false => pending.store_draft().await?,
                    };
                    walk.stored(stored);
                    run.read_ahead.note_stored(stored, began.elapsed());
                    join_small(run, endpoint, window).await?;
                    if !last && strategy::is_slow_enough_to_change(run, endpoint).await? {
                        return Err(WalkFailure::AnswersBadly);
                    }
                    // What a walk knows about a list that does not get on must not be forgotten.
                    let got_on =
                        run.list(endpoint.name(), |list| list.window(window).rows()) > before;
                    let is_at_rest = is_whole && walk.is_at_rest();
                    if !last && got_on && is_at_rest && waiting.has_longer_than(window) {
                        return Ok(Turn::Over(window));
                    }
                }
            }
            Ok(None) => return Ok(Turn::ToTheEnd),
            Err(stop) => {
                pending.store().await?;
                return Err(WalkFailure::of(run, endpoint, stop).await);
            }
        }
    }
}

/// How far one walk may run ahead of what is stored.
struct Ahead {
    /// Most pages in flight.
    in_flight: usize,
    /// Pages that are stored together.
    together: usize,
    /// Most pages that wait to be stored, if only as drafts.
    unsaved: usize,
}

/// As far as the rate allows. A list whose pages refer to one that is still being read uses only the part of the rate
/// that other lists leave; `are_in_flight` is how many of its own pages are in flight.
fn ahead(run: &Run, endpoint: &'static Endpoint, are_in_flight: usize) -> Ahead {
    let walks = walks_side_by_side(run, endpoint);
    let together = run.read_ahead.pages_together(walks);
    // What comes while others are stored, and two pages.
    let meanwhile = run.client.requests_in(run.read_ahead.storing());
    let unsaved = ((meanwhile + ALWAYS) / walks).clamp(1, together);
    let is_by_owner = run.list(endpoint.name(), |list| list.mode) == PagingMode::ByOwner;
    let mut in_flight = (walks_at_once(run, endpoint) / walks).max(1);
    if resolve::is_early(run, endpoint.name()) {
        let by_others = run.client.usage().places.asked_for().saturating_sub(are_in_flight);
        in_flight = in_flight.saturating_sub(by_others).max(1);
    }
    Ahead {
        in_flight,
        // Where a page is no more than the rows of one owner no draft is worth its while: small segments are
        // joined later.
        together: if is_by_owner { together.min(meanwhile).max(1) } else { together },
        unsaved: if is_by_owner { together } else { unsaved },
    }
}

/// How many windows of a list are walked at the same time.
fn walks_side_by_side(run: &Run, endpoint: &'static Endpoint) -> usize {
    run.list(endpoint.name(), ListProgress::open_windows).min(walks_at_once(run, endpoint))
}

/// Divides what is left of a window if others have ended, so that the pace is not kept any more, and it is
/// among the longest of those that are left. Where that cannot be done it is not tried again before so many rows of
/// the window have been taken as `divisible_from` says.
async fn divide_if_wanted(
    run: &Run,
    endpoint: &'static Endpoint,
    window: u32,
    walk: &mut ListPager,
    waiting: &WindowQueue<'_>,
    divisible_from: &mut u64,
) -> Result<(), Stop> {
    let Some(taken) = walk.taken().filter(|_| run.work_limit.exhausted().is_none()) else {
        return Ok(());
    };
    let in_windows = run.list(endpoint.name(), |list| list.windows.len() > 1);
    if !in_windows || most_parts(&taken) < 2 || taken.rows < *divisible_from {
        return Ok(());
    }
    let open = run.list(endpoint.name(), ListProgress::open_windows);
    let more = walks_at_once(run, endpoint).saturating_sub(open);
    waiting.want(more.min(run.requests_to_spare(endpoint)));
    let Some(wanted) = waiting.parts_wanted(window, &taken) else { return Ok(()) };
    let divided = divide_again(run, endpoint, window, &taken, wanted).await;
    let behind = divided.as_deref().unwrap_or_default();
    waiting.divided(wanted, behind);
    let is_divided = !behind.is_empty();
    divided?;
    if !is_divided {
        *divisible_from = taken.rows + (taken.expected - taken.rows) / 4;
        return Ok(());
    }
    let (range, expected) = run.list(endpoint.name(), |list| {
        let window = list.window(window);
        (window.range, window.expected)
    });
    walk.narrow(range, expected.unwrap_or(taken.expected));
    Ok(())
}

/// Where the walk of a window goes on.
fn beginning(list: &ListProgress, window: u32, counted: Option<u64>) -> Beginning {
    let window = list.window(window);
    Beginning {
        range: window.range,
        mode: list.mode,
        position: window.position.clone(),
        rows: window.rows(),
        expected: window.expected.or(counted),
        ties: None,
    }
}
