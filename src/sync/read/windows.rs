//! Divides a list that is walked by cursor into windows of creation times.
//!
//! - Each window has its own cursor, so that enough pages are in flight to fill the rate limit.
//! - A window begins with a row. The row is requested by its offset, and its creation time becomes
//!   the window's edge.
//! - This happens twice: [`divide_list`] divides the rest of the list once its first page is stored, and
//!   [`divide_window`] divides one window again while it is walked, so that all of them end together.

use clerk_snapshot::part_name::MAX_WINDOWS;
use futures_util::future::join_all;
use tracing::{debug, info, warn};

use crate::lists::endpoint::PAGE_ROWS;
use crate::lists::endpoint::{Endpoint, Paging};
use crate::paging::created_range::CreatedRange;
use crate::paging::pager::Taken;
use crate::paging::reader::{Reader, row_at};
use crate::paging::stalled::StalledRounds;
use crate::sync::checkpoint::list_progress::{ListProgress, Window};
use crate::sync::error::{Pause, Stop};
use crate::sync::run::RunContext;
use crate::work_limit::StopReason;

/// Fewest pages of a window in the first division.
const PAGES_OF_A_WINDOW: u64 = 4;
/// Fewest rows of a piece when a window is divided while it is walked: the page in flight, and one
/// more.
const LEAST: u64 = 2 * PAGE_ROWS;
/// Most requests that windows may cost a list, plus one for every [`PAGES_PER_REQUEST`] pages. A
/// window costs one request for its edge and half a page, because its last page is half empty on
/// average. The target for a full sync is at most 80 requests more than the fewest possible, plus 2
/// %; the requests that are left over pay for counts.
const MAX_REQUESTS: u64 = 72;
const PAGES_PER_REQUEST: u64 = 50;
/// Requests that the first division leaves for later divisions.
const KEPT_BACK: u64 = 6;

/// How many windows to walk the rest of a list in; 1 if it should stay as it is.
pub(crate) fn windows_wanted(
    run: &RunContext,
    endpoint: &'static Endpoint,
    count_before: Option<u64>,
) -> usize {
    let worth = run.list(endpoint.name(), |list| match list.windows.as_slice() {
        [window] if list.divisible && !window.ended => {
            let rows = window.expected.or(count_before).unwrap_or(0);
            let left = rows.saturating_sub(window.rows());
            let affordable = windows_for(requests_left(list, rows).saturating_sub(KEPT_BACK));
            (left / (PAGES_OF_A_WINDOW * PAGE_ROWS)).min(affordable) as usize
        }
        _ => 0,
    });
    worth.min(run.client.max_concurrency()).min(run.pages_to_fill(endpoint)).max(1)
}

/// How many requests the windows of a list with this number of rows may still cost.
fn requests_left(list: &ListProgress, rows: u64) -> u64 {
    let spent = u64::from(list.edges_asked) + list.windows.len() as u64 / 2;
    (MAX_REQUESTS + rows / PAGE_ROWS / PAGES_PER_REQUEST).saturating_sub(spent)
}

/// How many windows this number of requests pays for.
const fn windows_for(requests: u64) -> u64 {
    requests * 2 / 3
}

/// How many more windows a list can afford.
pub(crate) fn windows_affordable(list: &ListProgress) -> u64 {
    let rows = list.windows.iter().filter_map(|window| window.expected).sum();
    windows_for(requests_left(list, rows))
}

/// Divides the part of a list that is not stored yet into windows.
///
/// # Errors
/// [`Stop`]. If the server does not return rows by offset, the list stays undivided.
pub(crate) async fn divide_list(run: &RunContext, endpoint: &'static Endpoint) -> Result<(), Stop> {
    let name = endpoint.name();
    let wanted = windows_wanted(run, endpoint, None);
    let begun = run.list(name, |list| {
        let window = list.windows.first()?;
        Taken::of(&window.position, window.rows(), window.expected?, window.range)
    });
    let edges = match begun {
        Some(taken) => find_edges(run, endpoint, &taken, wanted).await?,
        None => Vec::new(),
    };
    info!(clerk.path = endpoint.path, windows = edges.len() + 1, "reading the list in windows");
    run.commit_list(name, |list| {
        list.divisible = false;
        list.edges_asked += wanted as u32 - 1;
        if let Some(number) = list.windows.first().map(|window| window.number) {
            list.divide(number, &edges);
        }
    })
    .await?;
    run.work_limit.note_progress();
    Ok(())
}

/// Most pieces that the rest of a window can be divided into.
pub(crate) const fn most_pieces(taken: &Taken) -> u64 {
    taken.expected.saturating_sub(taken.rows) / LEAST
}

/// Divides the rest of a window, after the rows in `taken`, into up to `wanted` pieces. Returns the
/// numbers of the new windows: none if the server does not return the rows at their edges, or if no
/// numbers are free.
///
/// # Errors
/// As [`RunContext::commit`].
pub(crate) async fn divide_window(
    run: &RunContext,
    endpoint: &'static Endpoint,
    window: u32,
    taken: &Taken,
    wanted: usize,
) -> Result<Vec<u32>, Stop> {
    let edges = match find_edges(run, endpoint, taken, wanted).await {
        Ok(edges) => edges,
        // The walk will stop for the same reason, and store what it has.
        Err(Stop::Pause(_)) => return Ok(Vec::new()),
        Err(stop) => return Err(stop),
    };
    let mut added = Vec::new();
    run.commit_list(endpoint.name(), |list| {
        list.edges_asked += wanted as u32 - 1;
        added = list.divide(window, &edges);
    })
    .await?;
    let left = taken.expected.saturating_sub(taken.rows);
    debug!(
        clerk.path = endpoint.path,
        window,
        left,
        pieces = added.len() + 1,
        "dividing a window again"
    );
    Ok(added)
}

/// A creation time in milliseconds since 1970, and how many rows were created before it.
type Edge = (i64, u64);

/// Requests the edges between up to `wanted` windows, of which the first has read the rows in
/// `taken`. Leaves out edges that the server does not return.
async fn find_edges(
    run: &RunContext,
    endpoint: &'static Endpoint,
    taken: &Taken,
    wanted: usize,
) -> Result<Vec<Edge>, Stop> {
    if !matches!(endpoint.paging, Paging::Cursor { .. }) {
        return Ok(Vec::new());
    }
    run.check_time_left()?;
    let reader = Reader { filters: taken.range.query(), ..run.reader(endpoint) };
    let left = taken.expected.saturating_sub(taken.rows);
    let rows = (1..wanted as u64).map(|number| taken.rows + left * number / wanted as u64);
    let reader = &reader;
    let answers =
        rows.map(|row| async move { (row, row_at(reader, row).await.map_err(Stop::from)) });
    let mut found = Vec::new();
    for (row, answer) in join_all(answers).await {
        match answer {
            Ok((first, _)) => found.extend(first.and_then(|key| key.created_at).zip(Some(row))),
            // An invocation that has made no progress yet continues without this edge: the next one
            // would not get further.
            Err(Stop::Pause(Pause::OutOfTime(StopReason::TimeBudget)))
                if !run.work_limit.progressed() => {}
            // The list can be read without windows. If Clerk does not respond at all, the walk will
            // fail.
            Err(stop) if stop.may_be_ignored() => {
                warn!(
                    clerk.path = endpoint.path,
                    row,
                    "Clerk does not return the row at this offset; reading without a window there"
                );
            }
            Err(stop) => return Err(stop),
        }
    }
    Ok(edges(found, taken))
}

/// The edges that are in ascending order and leave enough rows to each window, whatever the server
/// has returned.
fn edges(found: Vec<Edge>, taken: &Taken) -> Vec<Edge> {
    let mut edges: Vec<Edge> = Vec::new();
    let (mut created, mut rows) = (taken.newest, taken.rows);
    for edge in found {
        let is_between = edge.0 > created && taken.range.until.is_none_or(|until| edge.0 < until);
        if is_between && edge.1 >= rows + LEAST && edge.1 + LEAST <= taken.expected {
            (created, rows) = edge;
            edges.push(edge);
        }
    }
    edges
}

impl ListProgress {
    /// Ends a window at the first edge, and adds a window after each edge. Returns the numbers of
    /// the new windows: none if there are too few free numbers before the next window.
    fn divide(&mut self, number: u32, edges: &[Edge]) -> Vec<u32> {
        let position = self.index_of(number);
        let next = self.windows.get(position + 1).map_or(MAX_WINDOWS, |next| next.number);
        // Spread over the free numbers, so that each new window can be divided again.
        let step = (next - number) / (edges.len() as u32 + 1);
        if step == 0 {
            return Vec::new();
        }
        let window = &mut self.windows[position];
        let (until, all) = (window.range.until, window.expected);
        let added: Vec<Window> = (1..)
            .zip(edges)
            .map(|(part, &(from, rows))| {
                let next = edges.get(part as usize);
                let (until, end) =
                    next.map_or((until, all), |&(created, rows)| (Some(created), Some(rows)));
                let expected = end.map(|end| end.saturating_sub(rows));
                let range = CreatedRange { from: Some(from), until };
                Window { number: number + part * step, range, expected, ..Window::default() }
            })
            .collect();
        if let Some(&(created, rows)) = edges.first() {
            window.range.until = Some(created);
            window.expected = Some(rows);
        }
        let numbers = added.iter().map(|window| window.number).collect();
        self.windows.splice(position + 1..position + 1, added);
        numbers
    }

    /// Continues from the first window as if the list had never been divided. Rows that the other
    /// windows have stored are read again.
    pub(crate) fn join_windows(&mut self) {
        self.divisible = false;
        self.windows.truncate(1);
        for window in &mut self.windows {
            window.range = CreatedRange::default();
            window.expected = self.source_count.after.or(self.source_count.before);
            window.ended = false;
            window.position.stalled = StalledRounds::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    use super::*;
    use crate::lists::page::MAX_DESTINATIONS;
    use crate::lists::page::{ReadRow, RowKey};
    use crate::paging::position::PagingMode;

    fn row(created_at: i64) -> ReadRow {
        ReadRow {
            key: RowKey { id: "user_1".to_owned(), created_at: Some(created_at) },
            kept: true,
            dangling: false,
            belongs_to_nobody: false,
            unreadable: Vec::new(),
            left_out: Vec::new(),
            lines: [0; MAX_DESTINATIONS],
            unresolved_references: None,
            unresolved_role_key: None,
            active_on: None,
            role: None,
        }
    }

    /// Creation times in order: groups of rows with the same gap, in milliseconds, between one row
    /// and the next.
    fn creation_times() -> impl Strategy<Value = Vec<i64>> {
        let gaps = prop_oneof![Just(0), 1..10_i64, 1_000_000..100_000_000_000_i64];
        vec((1..20_000_usize, gaps), 1..8).prop_map(|crowds| {
            let rows = crowds.iter().flat_map(|&(rows, gap)| std::iter::repeat_n(gap, rows));
            let sum = |time: &mut i64, gap| {
                *time += gap;
                Some(*time)
            };
            rows.scan(1_500_000_000_000, sum).collect()
        })
    }

    #[test]
    fn repeated_divisions_stay_within_the_request_limit() {
        for rows in [10_499, 20_000, 100_000, 300_000, 1_000_000, 10_000_000] {
            for most_at_once in [u64::MAX, 3] {
                let mut list = ListProgress::new(PagingMode::Cursor);
                list.windows[0].expected = Some(rows);
                for _ in 0..200 {
                    let more = windows_affordable(&list).min(most_at_once);
                    list.edges_asked += more as u32;
                    list.windows.extend((0..more).map(|_| Window::default()));
                }
                let windows = list.windows.len() as u64;
                let cost = u64::from(list.edges_asked) + windows / 2;
                let extra = rows / PAGE_ROWS / 50;
                assert!(cost <= 76 + extra, "{rows} rows: {cost} requests");
                assert!(windows > 40 + extra / 2, "{rows} rows: {windows} windows");
            }
        }
    }

    proptest! {
        #![proptest_config(Config {
            cases: 200,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..Config::default()
        })]

        /// Whatever the creation times and whatever rows the server returns: each creation time
        /// belongs to exactly one window, the windows are in order, and they expect as many rows as
        /// the list has.
        #[test]
        fn windows_cover_all_time_once(
            created in creation_times(),
            read in 1..1000_usize,
            wanted in 2..200_u64,
            off in vec(prop_oneof![Just(0), -2000..2000_i64, any::<i64>()], 1..20),
            others in vec(any::<i64>(), 0..20),
        ) {
            let read = read.min(created.len());
            let (newest, expected) = (created[read - 1], created.len() as u64);
            let taken =
                Taken { rows: read as u64, newest, expected, range: CreatedRange::default() };
            let rows = (1..wanted).map(|it| taken.rows + (expected - taken.rows) * it / wanted);
            let shown = |(row, off): (u64, &i64)| (created[row as usize].saturating_add(*off), row);
            let found = rows.filter(|&row| row < expected).zip(off.iter().cycle()).map(shown);
            let edges = edges(found.collect(), &taken);
            let mut list = ListProgress::new(PagingMode::Cursor);
            list.windows[0].expected = Some(expected);
            list.divide(0, &edges);

            let windows = &list.windows;
            prop_assert!(windows.len() as u64 <= wanted);
            prop_assert_eq!((windows[0].range.from, windows[windows.len() - 1].range.until), (None, None));
            for pair in windows.windows(2) {
                prop_assert_eq!(pair[0].range.until, pair[1].range.from);
                prop_assert!(pair[0].range.until > pair[0].range.from);
            }
            let expected_sum: u64 = windows.iter().filter_map(|window| window.expected).sum();
            prop_assert_eq!(expected_sum, expected);
            let edges = edges.iter().flat_map(|&(edge, _)| [edge.saturating_sub(1), edge, edge.saturating_add(1)]);
            for time in edges.chain(others).chain([i64::MIN, i64::MAX]) {
                let row = row(time);
                let holding = windows.iter().filter(|window| window.range.contains(&row)).count();
                prop_assert_eq!(holding, 1, "{}", time);
            }
        }
    }
}
