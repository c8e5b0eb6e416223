//! Divides a list that is walked by cursor into windows of creation times.
//!
//! - Each window is walked by its own cursor, so that enough pages are in flight to fill the rate.
//! - A window begins with a row. The row is requested by its offset, and its time of creation is the window's edge.
//! - Windows are divided again while they are walked, so that all end together.

use clerk_snapshot::part_name::MOST_WINDOWS;
use futures_util::future::join_all;
use tracing::{debug, info, warn};

use crate::lists::endpoint::PAGE_ROWS;
use crate::lists::endpoint::{Endpoint, Paging};
use crate::paging::created_range::CreatedRange;
use crate::paging::pager::Taken;
use crate::paging::reader::{Reader, row_at};
use crate::paging::stalled::StalledRounds;
use crate::sync::checkpoint::list_progress::{ListProgress, Window};
use crate::sync::error::Stop;
use crate::sync::run::Run;
use crate::work_limit::StopReason;

/// Fewest pages of a window.
const PAGES_OF_A_WINDOW: u64 = 4;
/// Fewest rows of a part, when a window is divided while it is walked: the page in flight, and one more.
const LEAST: u64 = 2 * PAGE_ROWS;
/// Most requests that windows may cost a list, and one more for every [`PAGES_PER_REQUEST`] pages. A window costs one
/// request for its edge and half a page, because its last page is half empty on average. A full sync may take 80 requests
/// more than the fewest possible, plus 2 %; what is left over is for counts.
const MOST_REQUESTS: u64 = 72;
const PAGES_PER_REQUEST: u64 = 50;
/// Requests that the first division leaves for windows that are divided while they are walked.
const KEPT_BACK: u64 = 6;

/// How many windows what is left of a list should be walked in; 1 when it is best left as it is.
pub(crate) fn windows_wanted(
    run: &Run,
    endpoint: &'static Endpoint,
    counted: Option<u64>,
) -> usize {
    let worth = run.list(endpoint.name(), |list| match list.windows.as_slice() {
        [window] if list.divisible && !window.ended => {
            let rows = window.expected.or(counted).unwrap_or(0);
            let left = rows.saturating_sub(window.rows());
            let affordable = windows_for(requests_left(list, rows).saturating_sub(KEPT_BACK));
            (left / (PAGES_OF_A_WINDOW * PAGE_ROWS)).min(affordable) as usize
        }
        _ => 0,
    });
    worth.min(run.client.max_concurrency()).min(run.pages_to_fill(endpoint)).max(1)
}

/// How many requests may still be spent on the windows of a list that has so many rows.
fn requests_left(list: &ListProgress, rows: u64) -> u64 {
    let spent = u64::from(list.edges_asked) + list.windows.len() as u64 / 2;
    (MOST_REQUESTS + rows / PAGE_ROWS / PAGES_PER_REQUEST).saturating_sub(spent)
}

/// How many windows that many requests pay for.
const fn windows_for(requests: u64) -> u64 {
    requests * 2 / 3
}

/// How many more windows a list can afford.
pub(crate) fn parts_affordable(list: &ListProgress) -> u64 {
    let rows = list.windows.iter().filter_map(|window| window.expected).sum();
    windows_for(requests_left(list, rows))
}

/// Divides a list behind the rows that are stored.
///
/// # Errors
/// [`Stop`]. If the server does not answer by offset, the list stays as it is.
pub(crate) async fn divide(run: &Run, endpoint: &'static Endpoint) -> Result<(), Stop> {
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

/// Most parts into which the rest of a window can be divided.
pub(crate) const fn most_parts(taken: &Taken) -> u64 {
    taken.expected.saturating_sub(taken.rows) / LEAST
}

/// Divides the rest of a window, behind what its walk has `taken`, into up to `wanted` parts. Returns the numbers of the
/// new windows: none if the server does not show where to divide, or if no numbers are left.
///
/// # Errors
/// As [`Run::commit`].
pub(crate) async fn divide_again(
    run: &Run,
    endpoint: &'static Endpoint,
    window: u32,
    taken: &Taken,
    wanted: usize,
) -> Result<Vec<u32>, Stop> {
    let edges = match find_edges(run, endpoint, taken, wanted).await {
        Ok(edges) => edges,
        // The walk meets the same end, and stores what it has.
        Err(Stop::Exhausted(_) | Stop::Paused(_)) => return Ok(Vec::new()),
        Err(stop) => return Err(stop),
    };
    let mut behind = Vec::new();
    run.commit_list(endpoint.name(), |list| {
        list.edges_asked += wanted as u32 - 1;
        behind = list.divide(window, &edges);
    })
    .await?;
    let left = taken.expected.saturating_sub(taken.rows);
    debug!(
        clerk.path = endpoint.path,
        window,
        left,
        parts = behind.len() + 1,
        "dividing a window again"
    );
    Ok(behind)
}

/// A moment, in milliseconds since 1970, and how many rows were created before it.
type Edge = (i64, u64);

/// Finds the edges between up to `wanted` windows; the first of them has `taken` some rows already. Edges that the server
/// does not show are missing.
async fn find_edges(
    run: &Run,
    endpoint: &'static Endpoint,
    taken: &Taken,
    wanted: usize,
) -> Result<Vec<Edge>, Stop> {
    if !matches!(endpoint.paging, Paging::Cursor { .. }) {
        return Ok(Vec::new());
    }
    run.may_go_on()?;
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
            // An invocation that has done nothing else yet goes on without this edge: the next one would not get further.
            Err(Stop::Exhausted(StopReason::TimeBudget)) if !run.work_limit.progressed() => {}
            // The list can be read without windows. If Clerk answers nothing at all, the walk fails.
            Err(stop) if stop.is_not_answered() => {
                warn!(
                    clerk.path = endpoint.path,
                    row,
                    "Clerk does not show the row at this offset; reading without a window there"
                );
            }
            Err(stop) => return Err(stop),
        }
    }
    Ok(edges(found, taken))
}

/// The edges that are in order and leave enough rows to each window, whatever the server has answered.
fn edges(found: Vec<Edge>, taken: &Taken) -> Vec<Edge> {
    let mut edges: Vec<Edge> = Vec::new();
    let (mut moment, mut rows) = (taken.newest, taken.rows);
    for edge in found {
        let is_between = edge.0 > moment && taken.range.until.is_none_or(|until| edge.0 < until);
        if is_between && edge.1 >= rows + LEAST && edge.1 + LEAST <= taken.expected {
            (moment, rows) = edge;
            edges.push(edge);
        }
    }
    edges
}

impl ListProgress {
    /// Ends a window at the first edge, and adds a window behind each edge. Returns the numbers of the new windows: none if
    /// too few numbers are free before the next window.
    fn divide(&mut self, number: u32, edges: &[Edge]) -> Vec<u32> {
        let position = self.place_of(number);
        let next = self.windows.get(position + 1).map_or(MOST_WINDOWS, |next| next.number);
        // Far apart, so that between any two there is room for others.
        let step = (next - number) / (edges.len() as u32 + 1);
        if step == 0 {
            return Vec::new();
        }
        let window = &mut self.windows[position];
        let (until, all) = (window.range.until, window.expected);
        let behind: Vec<Window> = (1..)
            .zip(edges)
            .map(|(part, &(from, rows))| {
                let next = edges.get(part as usize);
                let (until, end) =
                    next.map_or((until, all), |&(moment, rows)| (Some(moment), Some(rows)));
                let expected = end.map(|end| end.saturating_sub(rows));
                let range = CreatedRange { from: Some(from), until };
                Window { number: number + part * step, range, expected, ..Window::default() }
            })
            .collect();
        if let Some(&(moment, rows)) = edges.first() {
            window.range.until = Some(moment);
            window.expected = Some(rows);
        }
        let numbers = behind.iter().map(|window| window.number).collect();
        self.windows.splice(position + 1..position + 1, behind);
        numbers
    }

    /// Goes on from the first window as if the list had never been divided. What the others hold is
    /// read again.
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
    use crate::lists::page::MOST_FEEDS;
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
            lines: [0; MOST_FEEDS],
            unknown: None,
            unresolved_role_key: None,
            active_on: None,
            role: None,
        }
    }

    /// When rows were created, in order: crowds of so many, so many milliseconds apart.
    fn moments() -> impl Strategy<Value = Vec<i64>> {
        let gaps = prop_oneof![Just(0), 1..10_i64, 1_000_000..100_000_000_000_i64];
        vec((1..20_000_usize, gaps), 1..8).prop_map(|crowds| {
            let rows = crowds.iter().flat_map(|&(rows, gap)| std::iter::repeat_n(gap, rows));
            let sum = |moment: &mut i64, gap| {
                *moment += gap;
                Some(*moment)
            };
            rows.scan(1_500_000_000_000, sum).collect()
        })
    }

    /// However often windows are divided again, they cost no more requests than a full sync may take.
    #[test]
    fn windows_cost_no_more_than_a_full_sync_may_take() {
        for rows in [20_000, 100_000, 300_000, 1_000_000, 10_000_000] {
            let mut list = ListProgress::new(PagingMode::Cursor);
            list.windows[0].expected = Some(rows);
            for _ in 0..10 {
                let more = parts_affordable(&list);
                list.edges_asked += more as u32;
                list.windows.extend((0..more).map(|_| Window::default()));
            }
            let cost = u64::from(list.edges_asked) + list.windows.len() as u64 / 2;
            assert!(cost <= 76 + rows / PAGE_ROWS / 50, "{rows} rows: {cost} requests");
            assert!(list.windows.len() > 40, "{rows} rows: {} windows", list.windows.len());
        }
    }

    proptest! {
        #![proptest_config(Config {
            cases: 200,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..Config::default()
        })]

        /// However rows are spread in time, and whatever rows the server shows: every moment belongs to one
        /// window, the windows stand in order, and they promise as many rows as the list has.
        #[test]
        fn windows_cover_all_time_once(
            created in moments(),
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
            let promised: u64 = windows.iter().filter_map(|window| window.expected).sum();
            prop_assert_eq!(promised, expected);
            let edges = edges.iter().flat_map(|&(edge, _)| [edge.saturating_sub(1), edge, edge.saturating_add(1)]);
            for moment in edges.chain(others).chain([i64::MIN, i64::MAX]) {
                let row = row(moment);
                let holding = windows.iter().filter(|window| window.range.hold(&row)).count();
                prop_assert_eq!(holding, 1, "{}", moment);
            }
        }
    }
}
