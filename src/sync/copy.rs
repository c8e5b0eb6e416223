//! Copies one list to its end: walks its windows side by side, and changes the plan where it fails.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;
use tracing::warn;

use super::bounds::Bounds;
use super::checkpoint::{ListProgress, Stage};
use super::closure;
use super::compare;
use super::divide::{divide, windows_wanted};
use super::endpoint::{Endpoint, ListName, Paging, endpoint};
use super::forecast;
use super::gathering::Gathering;
use super::insert::stored_after_place;
use super::join::join_small;
use super::left_out::{self, AskedAgain, leave_out};
use super::plan;
use super::run::{Run, Stop};
use super::waiting::Waiting;
use super::walk::{Allowed, Beginning, WalkStop, Way};
use super::walker::Walker;

/// How often a list is begun again after all rows known were deleted under the walk, by all invocations
/// together.
const MOST_RESTARTS: u32 = 2;

/// Copies a list until it is done: walked to its end, and compared with Clerk's count; or left out,
/// because Clerk does not list it.
///
/// # Errors
/// [`Stop`]; what was read before is stored.
pub(super) async fn copy_list(run: &Run, name: ListName) -> Result<(), Stop> {
    let endpoint = endpoint(name);
    let mut asked_again = AskedAgain::default();
    while !run.list(name, ListProgress::is_done) {
        let step = match run.list(name, |list| list.stage.clone()) {
            Stage::Comparing => compare::compare(run, endpoint).await,
            _ => walk_to_end(run, endpoint).await,
        };
        match step {
            Err(Stop::List(failure)) => leave_out(run, name, failure, &mut asked_again).await?,
            step => step?,
        }
    }
    Ok(())
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
                Err(WalkFailure::LostPlace) if closure::others_refer_to(run, name) => {
                    return run.commit_list(name, |list| list.stage = Stage::Comparing).await;
                }
                Err(WalkFailure::LostPlace | WalkFailure::Unfiltered)
                    if run.list(name, |list| list.windows.len() > 1) =>
                {
                    warn!(clerk.path = endpoint.path, "walking on without windows");
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
                        *list = list.anew(match list.way {
                            Way::ByOwner => Way::ByOwner,
                            Way::Cursor | Way::Offset => Way::first(endpoint),
                        });
                        list.restarts += 1;
                    })
                    .await?;
                }
                Err(WalkFailure::LostPlace | WalkFailure::Unfiltered) => {
                    // Whoever syncs again after this error may find the list at rest.
                    run.commit_list(name, |list| list.restarts = 0).await?;
                    return Err(WalkStop::LostPlace(endpoint).into());
                }
                Err(WalkFailure::Stop(stop)) => return Err(stop),
            }
        }
    }
    .boxed()
}

/// Clerk's count of a list before its walk, asked for where its pages do not state it.
async fn count_before(run: &Run, endpoint: &'static Endpoint) -> Result<Option<u64>, Stop> {
    let counted = run.list(endpoint.name(), |list| list.source_count.before);
    match endpoint.paging {
        Paging::Cursor { count_path } if counted.is_none() => {
            run.may_go_on()?;
            Ok(Some(compare::count(run, endpoint, count_path, Bounds::default()).await?))
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
    Over(usize),
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

    async fn of(run: &Run, endpoint: &'static Endpoint, stop: WalkStop) -> Self {
        let stop = match stop {
            WalkStop::LostPlace(_) => return Self::LostPlace,
            WalkStop::Unfiltered(_) => return Self::Unfiltered,
            stop => Stop::from(stop),
        };
        match plan::is_refused_as_a_whole(run, endpoint, &stop).await {
            Ok(true) => return Self::AnswersBadly,
            Ok(false) => {}
            Err(stop) => return Self::Stop(stop),
        }
        if plan::fails_at_large_offsets(run, endpoint, &stop).await {
            Self::AnswersBadly
        } else if plan::fails_in_windows(run, endpoint, &stop).await {
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
    let waiting = Waiting::new(run, endpoint);
    let mut walking = FuturesUnordered::new();
    let mut outcome = Ok(Walked::ToTheEnd);
    loop {
        while walking.len() < walks_at_once(run) && outcome.is_ok() {
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
                        run.patience.halt();
                    }
                    if outcome.is_ok() {
                        outcome = Err(failure);
                    }
                }
            },
            () = run.at_stake.grown(), if !waiting.is_empty() => {}
        }
    }
}

/// How many windows are walked at the same time: as many as fill the pace, and are safe.
fn walks_at_once(run: &Run) -> usize {
    run.at_stake.allowed().min(run.client.requests_to_fill_the_pace()).max(1)
}

/// Walks one window to its end, or until one that waits has more rows left.
async fn walk_window(
    run: &Run,
    endpoint: &'static Endpoint,
    window: usize,
    counted: Option<u64>,
    waiting: &Waiting<'_>,
) -> Result<Turn, WalkFailure> {
    let beginning = run.list(endpoint.name(), |list| beginning(list, window, counted));
    let mut walk = Walker::new(run, endpoint, beginning);
    walk.skip(stored_after_place(run, endpoint, window).await?);
    let mut gathering = Gathering::new(run, endpoint, window, counted);
    loop {
        let Ahead { in_flight, together } = ahead(run, endpoint);
        let to_be_divided = windows_wanted(run, endpoint, counted) > 1;
        walk.allow(if to_be_divided {
            // The next page will belong to another window's walk.
            Allowed { in_flight: 1, at_stake: 1 }
        } else {
            Allowed { in_flight, at_stake: in_flight + together - 1 }
        });
        let has_begun = run.list(endpoint.name(), |list| list.rows() > 0);
        if to_be_divided && has_begun && gathering.is_empty() {
            return Ok(Turn::FarEnoughToDivide);
        }
        match walk.next().await {
            Ok(Some(batch)) => {
                let last = batch.last;
                gathering.add(run, batch).await?;
                if last
                    || gathering.pages() >= together
                    || gathering.is_full()
                    || run.patience.exhausted().is_some()
                {
                    let before = run.list(endpoint.name(), |list| list.windows[window].rows());
                    let began = Instant::now();
                    let stored = gathering.store(run, endpoint).await?;
                    walk.stored(stored);
                    run.at_stake.note_stored(stored, began.elapsed());
                    join_small(run, endpoint, window).await?;
                    if !last && plan::is_slow_enough_to_change(run, endpoint).await? {
                        return Err(WalkFailure::AnswersBadly);
                    }
                    // What a walk knows about a list that does not get on must not be forgotten.
                    let got_on =
                        run.list(endpoint.name(), |list| list.windows[window].rows()) > before;
                    if !last && got_on && walk.is_at_rest() && waiting.has_longer_than(window) {
                        return Ok(Turn::Over(window));
                    }
                }
            }
            Ok(None) => return Ok(Turn::ToTheEnd),
            Err(stop) => {
                gathering.store(run, endpoint).await?;
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
}

/// Where so few requests keep the pace up, no more are put at stake, if each has no more than the rows of
/// one owner: there a page is lost as soon as another, and costs a request like any other.
const FEW: usize = 8;

/// As far as is safe, or as the pace needs.
fn ahead(run: &Run, endpoint: &'static Endpoint) -> Ahead {
    let walks = walks_side_by_side(run, endpoint);
    let safe = Ahead {
        in_flight: (run.at_stake.allowed() / walks).max(1),
        together: run.at_stake.pages_together(walks),
    };
    let storing = run.at_stake.storing();
    let needed = run.client.requests_to_fill(run.client.latest_latency() + storing);
    if needed > FEW || run.list(endpoint.name(), |list| list.way) != Way::ByOwner {
        return safe;
    }
    Ahead {
        in_flight: safe.in_flight.min(needed.max(2)),
        together: safe.together.min(run.client.requests_to_fill(storing)).max(1),
    }
}

/// How many windows of a list are walked at the same time.
fn walks_side_by_side(run: &Run, endpoint: &'static Endpoint) -> usize {
    run.list(endpoint.name(), ListProgress::open_windows).min(walks_at_once(run))
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
        moment: None,
    }
}
