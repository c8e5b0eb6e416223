//! Walks one list to its end: its windows concurrently, each page by page into the store.
//!
//! - The rows that a page refers to are fetched before the page is stored; this may walk another
//!   list to its end.
//! - If a way to read the list fails, it is read in another way: without windows, by owner, or from
//!   its beginning.

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
use crate::paging::pager::{Allowed, Batch, PagerStart, PagerStop};
use crate::paging::position::PagingMode;
use crate::sync::checkpoint::list_progress::{ListProgress, Stage};
use crate::sync::error::{Pause, Stop, SyncError};
use crate::sync::read::forecast;
use crate::sync::read::left_out;
use crate::sync::read::list_pager::ListPager;
use crate::sync::read::reconcile;
use crate::sync::read::strategy;
use crate::sync::read::window_queue::WindowQueue;
use crate::sync::read::windows::{divide_list, divide_window, most_pieces, windows_wanted};
use crate::sync::references::insert::{insert, stored_after_position};
use crate::sync::references::resolve::{self, IDS_PER_REQUEST};
use crate::sync::run::RunContext;
use crate::sync::run::read_ahead::MINIMUM;
use crate::sync::write::compaction::compact;
use crate::sync::write::pending::PendingPages;
use crate::sync::write::segment::Dangling;

/// Most restarts of a list, over all invocations of a run, after every row that the pager could resume
/// from was deleted.
const MAX_RESTARTS: u32 = 2;

/// Walks a list from its stored position to its end. A list that was walked before is walked
/// further, because rows may have been added.
///
/// # Errors
/// [`Stop`].
pub(crate) fn walk_to_end<'a>(
    run: &'a RunContext,
    endpoint: &'static Endpoint,
) -> BoxFuture<'a, Result<(), Stop>> {
    // Boxed because it is recursive: while memberships are walked, users and organizations are, too. That is never the
    // same list twice at a time: rows refer only to lists of earlier phases (`REFERENCES`), and those are done, except
    // for users, which memberships do not wait for (`check_users`).
    async move {
        let name = endpoint.name();
        let count_before = requested_count_before(run, endpoint).await?;
        forecast::leave_out_if_too_slow(run, endpoint).await?;
        while !run.list(name, ListProgress::is_left_out) {
            match walk_windows(run, endpoint, count_before).await {
                Ok(Walked::ToTheEnd) => break,
                Ok(Walked::ReadyToDivideList) => divide_list(run, endpoint).await?,
                Err(failure) => match fall_back(run, endpoint, failure).await? {
                    Fallback::WalkAgain => {}
                    Fallback::Compare => break,
                },
            }
        }
        Ok(())
    }
    .boxed()
}

/// Clerk's count of a list before its walk, requested if the list's pages do not state it.
async fn requested_count_before(
    run: &RunContext,
    endpoint: &'static Endpoint,
) -> Result<Option<u64>, Stop> {
    let counted = run.list(endpoint.name(), |list| list.source_count.before);
    match endpoint.paging {
        Paging::Cursor { count_path } if counted.is_none() => {
            run.check_time_left()?;
            Ok(Some(reconcile::count(run, endpoint, count_path, CreatedRange::default()).await?))
        }
        _ => Ok(counted),
    }
}

/// How the walk of one window, or of all windows of a list, ended.
enum Walked {
    ToTheEnd,
    /// The rows that are stored are enough to find the edges of windows.
    ReadyToDivideList,
}

/// Why a walk failed.
enum WalkFailure {
    /// The pager cannot find the rows that it had reached.
    LostPosition,
    /// Clerk ignores the filters that bound the window, or fails because of them.
    Unfiltered,
    /// Clerk fails or is slow for the whole list, or at large offsets, but not for one owner's rows.
    ReadByOwner,
    Stop(Stop),
}

impl<E: Into<Stop>> From<E> for WalkFailure {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}

impl WalkFailure {
    /// Classifies what stopped a pager. May send requests to find out whether another way to read
    /// the list would work.
    async fn classify(run: &RunContext, endpoint: &'static Endpoint, stop: PagerStop) -> Self {
        let stop = match stop {
            PagerStop::LostPosition(_) => return Self::LostPosition,
            PagerStop::Unfiltered(_) => return Self::Unfiltered,
            stop => Stop::from(stop),
        };
        match strategy::is_refused_as_a_whole(run, endpoint, &stop).await {
            Ok(true) => return Self::ReadByOwner,
            Ok(false) => {}
            Err(stop) => return Self::Stop(stop),
        }
        if strategy::fails_at_large_offsets(run, endpoint, &stop).await {
            Self::ReadByOwner
        } else if strategy::fails_in_windows(run, endpoint, &stop).await {
            Self::Unfiltered
        } else {
            Self::Stop(stop)
        }
    }

    /// Whether the whole run ends, and not only the walk of this list.
    fn ends_the_run(&self) -> bool {
        match self {
            Self::LostPosition | Self::Unfiltered | Self::ReadByOwner => false,
            Self::Stop(stop) => left_out::ends_the_run(stop),
        }
    }

    /// Whether it is to be reported instead of an earlier failure of another window: it says why the run cannot go on now,
    /// while the earlier one only asked for another way to read the list.
    fn outweighs(&self, earlier: &Self) -> bool {
        let says_why =
            matches!(self, Self::Stop(Stop::Fail(_) | Stop::Pause(Pause::RateLimited(_))));
        says_why && self.ends_the_run() && !matches!(earlier, Self::Stop(_))
    }
}

/// What to do after a walk has failed.
enum Fallback {
    /// Walk again: the checkpoint says in which way.
    WalkAgain,
    /// Compare what was read with Clerk's count.
    Compare,
}

/// Chooses another way to read a list after its walk has failed, and stores the choice.
async fn fall_back(
    run: &RunContext,
    endpoint: &'static Endpoint,
    failure: WalkFailure,
) -> Result<Fallback, Stop> {
    let name = endpoint.name();
    match failure {
        WalkFailure::Stop(stop) => return Err(stop),
        WalkFailure::ReadByOwner => {
            run.commit_list(name, |list| list.restart_by_owner(endpoint)).await?;
            forecast::leave_out_if_too_slow(run, endpoint).await?;
        }
        // Rows that grants refer to must stay, so the list cannot restart. Rows that are missing from
        // it are requested by id.
        WalkFailure::LostPosition | WalkFailure::Unfiltered if run.rows_must_stay(name) => {
            run.commit_list(name, |list| list.stage = Stage::Comparing).await?;
            return Ok(Fallback::Compare);
        }
        WalkFailure::LostPosition | WalkFailure::Unfiltered
            if run.list(name, |list| list.windows.len() > 1) =>
        {
            warn!(clerk.path = endpoint.path, "reading the rest of the list without windows");
            run.commit_list(name, ListProgress::join_windows).await?;
        }
        WalkFailure::LostPosition if run.list(name, |list| list.restarts) < MAX_RESTARTS => {
            warn!(clerk.path = endpoint.path, "rows moved too far; reading the list again");
            run.commit_list(name, |list| {
                *list = list.restarted(match list.mode {
                    PagingMode::ByOwner => PagingMode::ByOwner,
                    PagingMode::Cursor | PagingMode::Offset => PagingMode::first(endpoint),
                });
                list.restarts += 1;
            })
            .await?;
        }
        WalkFailure::LostPosition | WalkFailure::Unfiltered => {
            // The next sync may find that the list no longer changes, so it may restart it again.
            run.commit_list(name, |list| list.restarts = 0).await?;
            return Err(PagerStop::LostPosition(endpoint).into());
        }
    }
    Ok(Fallback::WalkAgain)
}

/// Walks the windows that have not ended, or else the last one further. As many are walked at a time
/// as the rate limit allows, those with the most rows left first.
async fn walk_windows(
    run: &RunContext,
    endpoint: &'static Endpoint,
    count_before: Option<u64>,
) -> Result<Walked, WalkFailure> {
    let queue = WindowQueue::new(run, endpoint);
    let mut walking = FuturesUnordered::new();
    let mut outcome = Ok(Walked::ToTheEnd);
    loop {
        while walking.len() < most_in_flight(run, endpoint) && outcome.is_ok() {
            let Some(window) = queue.take() else { break };
            walking.push(walk_window(run, endpoint, window, count_before, &queue));
        }
        tokio::select! {
            walked = walking.next() => match walked {
                None => return outcome,
                Some(Ok(Walked::ToTheEnd)) => {}
                Some(Ok(Walked::ReadyToDivideList)) => outcome = Ok(Walked::ReadyToDivideList),
                Some(Err(failure)) => {
                    if failure.ends_the_run() {
                        // The other walks store the pages that are in flight.
                        run.work_limit.halt();
                    }
                    if outcome.as_ref().err().is_none_or(|first| failure.outweighs(first)) {
                        outcome = Err(failure);
                    }
                }
            },
            () = queue.added() => {}
            () = run.read_ahead.grown(), if !queue.is_empty() => {}
        }
    }
}

/// Most windows of a list to walk at a time: enough to fill the rate limit.
fn most_in_flight(run: &RunContext, endpoint: &'static Endpoint) -> usize {
    run.read_ahead.limit(run.pages_to_fill(endpoint)).max(1)
}

/// Walks one window to its end, or until the list can be divided into windows.
async fn walk_window(
    run: &RunContext,
    endpoint: &'static Endpoint,
    window: u32,
    count_before: Option<u64>,
    queue: &WindowQueue<'_>,
) -> Result<Walked, WalkFailure> {
    let start = run.list(endpoint.name(), |list| pager_start(list, window, count_before));
    let mut pager = ListPager::new(run, endpoint, start);
    pager.skip(stored_after_position(run, endpoint, window).await?);
    let pending = PendingPages::new(run, endpoint, window, count_before);
    let walk = WindowWalk {
        run,
        endpoint,
        window,
        count_before,
        queue,
        pager,
        pending,
        divisible_from: 0,
    };
    walk.read_to_end().await
}

/// Where the walk of a window continues.
fn pager_start(list: &ListProgress, window: u32, count_before: Option<u64>) -> PagerStart {
    let window = list.window(window);
    PagerStart {
        range: window.range,
        mode: list.mode,
        position: window.position.clone(),
        rows: window.rows(),
        expected: window.expected.or(count_before),
        ties: None,
    }
}

/// The walk of one window: pages from the pager, through `pending`, into the store.
struct WindowWalk<'a> {
    run: &'a RunContext,
    endpoint: &'static Endpoint,
    /// The window's number.
    window: u32,
    /// Clerk's count of the list before its walk, if it was requested.
    count_before: Option<u64>,
    /// The windows that wait to be walked.
    queue: &'a WindowQueue<'a>,
    pager: ListPager,
    pending: PendingPages<'a>,
    /// Rows of the window to read before it is divided again: the last attempt to divide it failed.
    divisible_from: u64,
}

impl WindowWalk<'_> {
    async fn read_to_end(mut self) -> Result<Walked, WalkFailure> {
        let (run, endpoint) = (self.run, self.endpoint);
        loop {
            if let Err(stop) = self.divide_window_if_wanted().await {
                return Err(self.stopped_by(stop).await);
            }
            let ahead = Ahead::of(run, endpoint, self.pager.in_flight());
            let list_is_to_be_divided = windows_wanted(run, endpoint, self.count_before) > 1;
            self.pager.allow(if list_is_to_be_divided {
                // The next page will belong to another window.
                Allowed { in_flight: 1, read_ahead: 1 }
            } else {
                // Clerk answers further requests while pages are stored.
                Allowed { in_flight: ahead.in_flight, read_ahead: ahead.in_flight + ahead.unsaved }
            });
            self.pager.wait_for_room(concurrent_walks(run, endpoint) > 1);
            let has_begun = run.list(endpoint.name(), |list| list.rows() > 0);
            if list_is_to_be_divided && has_begun && self.pending.all_stored() {
                return Ok(Walked::ReadyToDivideList);
            }
            match self.pager.next().await {
                Ok(Some(batch)) => self.add_page(batch, &ahead).await?,
                Ok(None) => return Ok(Walked::ToTheEnd),
                Err(stop) => {
                    self.pending.store().await?;
                    return Err(WalkFailure::classify(run, endpoint, stop).await);
                }
            }
        }
    }

    /// Adds a page to the pending ones, and stores them if it is time.
    async fn add_page(&mut self, mut batch: Batch, ahead: &Ahead) -> Result<(), WalkFailure> {
        let (run, endpoint) = (self.run, self.endpoint);
        let last = batch.last;
        let dangling = match fetch_references(run, &mut batch.page).await {
            Ok(dangling) => dangling,
            Err(stop) => return Err(self.stopped_by(stop).await),
        };
        self.pending.add(batch, dangling, ahead.unsaved < ahead.together)?;
        let is_complete = last
            || self.pending.pages() >= ahead.together
            || self.pending.is_full()
            || run.work_limit.stop_reason().is_some();
        if !is_complete && self.pending.unsaved() < ahead.unsaved {
            return Ok(());
        }
        self.store(is_complete).await?;
        // After the last page the pager returns `None` next, which ends the walk.
        if !last && strategy::is_slow_enough_to_change(run, endpoint).await? {
            return Err(WalkFailure::ReadByOwner);
        }
        Ok(())
    }

    /// Stores the pages that were read before `stop`, which ends the walk between two pages.
    async fn stopped_by(&mut self, stop: Stop) -> WalkFailure {
        match self.pending.store().await {
            Ok(_) => stop.into(),
            Err(error) => error.into(),
        }
    }

    /// Stores the pending pages: as a segment if it is complete, otherwise as a draft.
    async fn store(&mut self, is_complete: bool) -> Result<(), SyncError> {
        let run = self.run;
        run.read_ahead.note_storing();
        let began = Instant::now();
        let stored = match is_complete {
            true => self.pending.store().await?,
            false => self.pending.store_draft().await?,
        };
        self.pager.stored(stored);
        run.read_ahead.note_stored(stored, began.elapsed());
        compact(run, self.endpoint, self.window).await
    }

    /// Divides the rest of the window if there are too few open windows to fill the rate limit and
    /// this is one of the longest. If it cannot be divided, waits for a quarter of the rows that are
    /// left before it tries again.
    async fn divide_window_if_wanted(&mut self) -> Result<(), Stop> {
        let (run, endpoint, window) = (self.run, self.endpoint, self.window);
        let Some(taken) = self.pager.taken().filter(|_| run.work_limit.stop_reason().is_none())
        else {
            return Ok(());
        };
        let in_windows = run.list(endpoint.name(), |list| list.windows.len() > 1);
        if !in_windows || most_pieces(&taken) < 2 || taken.rows < self.divisible_from {
            return Ok(());
        }
        let open = run.list(endpoint.name(), ListProgress::open_windows);
        let more = most_in_flight(run, endpoint).saturating_sub(open);
        let more = more.min(run.requests_to_spare(endpoint));
        let Some(wanted) = self.queue.pieces_wanted(window, &taken, more) else { return Ok(()) };
        let divided = divide_window(run, endpoint, window, &taken, wanted).await;
        let added = divided.as_deref().unwrap_or_default();
        self.queue.divided(wanted, added);
        let is_divided = !added.is_empty();
        divided?;
        if !is_divided {
            self.divisible_from = taken.rows + (taken.expected - taken.rows) / 4;
            return Ok(());
        }
        let (range, expected) = run.list(endpoint.name(), |list| {
            let window = list.window(window);
            (window.range, window.expected)
        });
        self.pager.narrow(range, expected.unwrap_or(taken.expected));
        Ok(())
    }
}

/// How far one walk may read ahead of what is stored, in pages.
struct Ahead {
    /// Most pages in flight.
    in_flight: usize,
    /// Pages that are stored as one segment.
    together: usize,
    /// Most pages that are in no segment and no draft.
    unsaved: usize,
}

impl Ahead {
    /// As far as the rate limit and the memory allow. A list whose rows refer to a list that is still
    /// being read uses only the part of the rate that other lists leave; `own_in_flight` is how many
    /// of the requests in flight are its own.
    fn of(run: &RunContext, endpoint: &'static Endpoint, own_in_flight: usize) -> Self {
        let walks = concurrent_walks(run, endpoint);
        let together = run.read_ahead.pages_together(walks);
        // The pages that arrive while others are stored, and two more.
        let meanwhile = run.client.requests_in(run.read_ahead.storing());
        let unsaved = ((meanwhile + MINIMUM) / walks).clamp(1, together);
        let is_by_owner = run.list(endpoint.name(), |list| list.mode == PagingMode::ByOwner);
        let mut in_flight = (most_in_flight(run, endpoint) / walks).max(1);
        if resolve::refers_to_pending_list(run, endpoint.name()) {
            let by_others = run.client.usage().slots.asked_for().saturating_sub(own_in_flight);
            in_flight = in_flight.saturating_sub(by_others).max(1);
        }
        Self {
            in_flight,
            // A page of one owner's rows is too small to be worth a draft: `compact` joins small
            // segments later.
            together: if is_by_owner { together.min(meanwhile).max(1) } else { together },
            unsaved: if is_by_owner { together } else { unsaved },
        }
    }
}

/// How many windows of a list are walked now.
fn concurrent_walks(run: &RunContext, endpoint: &'static Endpoint) -> usize {
    run.list(endpoint.name(), ListProgress::open_windows).min(most_in_flight(run, endpoint))
}

/// Fetches the rows of other lists that a page refers to ([`REFERENCES`]) and the snapshot does not have yet. Rows of the
/// page that refer to something that no longer exists are marked as dangling, and counted.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn fetch_references(
    run: &RunContext,
    page: &mut ReadPage,
) -> Result<Dangling, Stop> {
    for resource in REFERENCES.iter().flat_map(|(_, to)| to.iter().copied()) {
        let missing = resolve::missing(run, page, resource);
        if !missing.is_empty() {
            fetch_missing(run, resource, missing).await?;
        }
    }
    Ok(resolve::mark_dangling(run, page))
}

/// Fetches rows that appeared during the run. Most stand at the end of their list, which is walked
/// further. The others are requested by id and inserted where their creation time belongs.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn fetch_missing(
    run: &RunContext,
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
    let still_missing: Vec<String> =
        ids.into_iter().filter(|id| !resolve::is_known(run, resource, id)).collect();
    for ids in still_missing.chunks(IDS_PER_REQUEST) {
        let Some(page) = resolve::page_by_id(run, endpoint, ids).await? else { break };
        insert(run, endpoint, &page).await?;
    }
    Ok(())
}
