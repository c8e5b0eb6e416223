//! Divides what is left of a list that is walked by cursor into windows of creation times, so that
//! as many pages as fill the rate can be asked for at once. Clerk's counts balance the windows.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use tracing::{info, warn};

use crate::patience::Exhausted;

use super::bounds::Bounds;
use super::checkpoint::{ListProgress, Window};
use super::compare;
use super::endpoint::{Endpoint, Paging};
use super::fruitless::FruitlessRounds;
use super::part_name::MOST_WINDOWS;
use super::run::{Run, Stop};
use super::walk::PAGE_ROWS;

/// Pages that a window has at least: each window's last page is half empty, on average.
const PAGES_OF_A_WINDOW: u64 = 4;
/// Rounds of counts: each narrows the edges down between those that are known.
const MOST_ROUNDS: usize = 8;
/// Counts asked for in all.
const MOST_COUNTS: usize = 60;
/// Counts of one round between two known edges, where users may stand unevenly in time.
const COUNTS_BETWEEN: usize = 8;
/// Most counts of the first round: one for each window, in case they stand evenly.
const COUNTS_AT_FIRST: usize = 24;

/// How many windows what is left of a list should be walked in; 1 when it is best left as it is.
pub(super) fn windows_wanted(
    run: &Run,
    endpoint: &'static Endpoint,
    counted: Option<u64>,
) -> usize {
    let left = run.list(endpoint.name(), |list| match list.windows.as_slice() {
        [window] if list.divisible && !window.ended => {
            window.expected.or(counted).unwrap_or(0).saturating_sub(window.rows())
        }
        _ => 0,
    });
    let worth = usize::try_from(left / (PAGES_OF_A_WINDOW * PAGE_ROWS)).unwrap_or(usize::MAX);
    worth.min(run.client.max_concurrency()).min(run.pages_to_fill(endpoint)).max(1)
}

/// Divides a list behind the rows that are stored.
///
/// # Errors
/// [`Stop`]. A server that does not count by creation time is no error: the list stays as it is.
pub(super) async fn divide(run: &Run, endpoint: &'static Endpoint) -> Result<(), Stop> {
    let name = endpoint.name();
    let wanted = windows_wanted(run, endpoint, None);
    let begun = run.list(name, |list| {
        let window = list.windows.first()?;
        let newest = window.place.tail.last()?.created_at?;
        Some((newest, window.rows(), window.expected?))
    });
    let edges = match (endpoint.paging, begun) {
        (Paging::Cursor { count_path }, Some((newest, rows, expected))) => {
            let now = run.clock.now().unix_millis();
            let mut known = vec![(newest + 1, rows), (now.max(newest + 2), expected)];
            narrow_down(run, endpoint, count_path, &mut known, wanted).await?;
            edges(&known, wanted)
        }
        _ => Vec::new(),
    };
    info!(clerk.path = endpoint.path, windows = edges.len() + 1, "walking in windows");
    run.commit_list(name, |list| list.divide(&edges)).await?;
    run.patience.note_progress();
    Ok(())
}

/// A moment, in milliseconds since 1970, and how many rows were created before it.
type Edge = (i64, u64);

/// Counts rows before moments at which the windows should end, and ever closer to these. `known`
/// stays sorted, by moment and by count.
async fn narrow_down(
    run: &Run,
    endpoint: &'static Endpoint,
    count_path: &'static str,
    known: &mut Vec<Edge>,
    wanted: usize,
) -> Result<(), Stop> {
    let mut counts_left = MOST_COUNTS;
    for _ in 0..MOST_ROUNDS {
        let mut moments = next_moments(known, wanted);
        moments.truncate(counts_left);
        counts_left -= moments.len();
        if moments.is_empty() {
            break;
        }
        run.may_go_on()?;
        let counts = moments.iter().map(|&moment| async move {
            let bounds = Bounds { from: None, until: Some(moment) };
            (moment, compare::count(run, endpoint, count_path, bounds).await)
        });
        let mut is_over = false;
        for (moment, counted) in join_all(counts).await {
            match counted {
                Ok(counted) => learn(known, (moment, counted)),
                // An invocation that does nothing but count makes do with what it knows: the next one
                // would not get further.
                Err(Stop::Exhausted(Exhausted::TimeBudget)) if !run.patience.progressed() => {
                    is_over = true;
                }
                // If nothing answers, the walk will find out; without windows the list can be read.
                Err(stop) if compare::is_not_answered(&stop) => {
                    warn!(clerk.path = count_path, "the server does not count by creation time");
                    return Ok(());
                }
                Err(stop) => return Err(stop),
            }
        }
        if is_over {
            break;
        }
    }
    Ok(())
}

/// How many rows are to lie before the end of each window but the last.
fn targets(known: &[Edge], wanted: usize) -> impl Iterator<Item = u64> + use<> {
    let (from, to) = match known {
        [(_, from), .., (_, to)] => (*from, *to),
        _ => (0, 0),
    };
    (1..wanted as u64).map(move |number| from + (to - from) * number / wanted as u64)
}

/// Where to count next: where the targets should lie that no known edge is near to, if users stood
/// evenly between the edges around, and at some more places in case they do not.
fn next_moments(known: &[Edge], wanted: usize) -> Vec<i64> {
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return Vec::new() };
    let near_enough = (last.1 - first.1) / wanted as u64 / 3;
    let mut gaps: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for target in targets(known, wanted) {
        let behind = known.partition_point(|&(_, rows)| rows < target);
        let is_known = |index: usize| known[index].1.abs_diff(target) <= near_enough;
        if behind > 0 && !is_known(behind) && !is_known(behind - 1) {
            gaps.entry(behind).or_default().push(target);
        }
    }
    let most = match known.len() {
        2 => wanted.clamp(COUNTS_BETWEEN, COUNTS_AT_FIRST),
        _ => COUNTS_BETWEEN,
    };
    let more = most / gaps.len().max(1);
    let mut moments: Vec<i64> = gaps
        .into_iter()
        .flat_map(|(behind, targets)| {
            let ((from, fewer), (to, rows)) = (known[behind - 1], known[behind]);
            let share = move |target| (target - fewer) as f64 / (rows - fewer) as f64;
            let more = more.saturating_sub(targets.len());
            let evenly = (1..=more).map(move |place| place as f64 / (more + 1) as f64);
            let step = targets.len().div_ceil(most);
            let guesses = targets.into_iter().step_by(step).map(share);
            let place = move |share| from + ((to - from) as f64 * share) as i64;
            guesses.chain(evenly).map(place).filter(move |&it| from < it && it < to)
        })
        .collect();
    moments.sort_unstable();
    moments.dedup();
    moments
}

/// Adds an edge, unless the instance has changed so that it contradicts others.
fn learn(known: &mut Vec<Edge>, edge: Edge) {
    let place = known.partition_point(|&(moment, _)| moment < edge.0);
    let fits_before = place.checked_sub(1).is_none_or(|before| known[before].1 <= edge.1);
    let fits_behind =
        known.get(place).is_none_or(|&(moment, rows)| moment > edge.0 && rows >= edge.1);
    if fits_before && fits_behind {
        known.insert(place, edge);
    }
}

/// The edges nearest to the targets, each once, without those that make a window of next to nothing.
fn edges(known: &[Edge], wanted: usize) -> Vec<Edge> {
    let (Some(&first), Some(&last)) = (known.first(), known.last()) else { return Vec::new() };
    let inner = known.get(1..known.len() - 1).unwrap_or_default();
    let mut edges = vec![first];
    for target in targets(known, wanted) {
        let nearest = inner.iter().min_by_key(|(_, rows)| rows.abs_diff(target));
        let before = edges[edges.len() - 1];
        edges.extend(nearest.filter(|edge| edge.1 >= before.1 + 2 * PAGE_ROWS));
    }
    edges.retain(|edge| edge.1 + 2 * PAGE_ROWS <= last.1);
    edges
}

impl ListProgress {
    /// Ends the only window at the first edge but one, and adds a window for each of the others.
    /// The first edge is where the list stands.
    fn divide(&mut self, edges: &[Edge]) {
        self.divisible = false;
        let [window] = self.windows.as_mut_slice() else { return };
        let all = window.expected;
        let ends = edges.iter().skip(1).map(|&(moment, rows)| (Some(moment), Some(rows)));
        let mut begin = None;
        let mut before = Some(0);
        let mut divided: Vec<Window> = Vec::new();
        // Far apart, so that between any two there is room for others.
        let step = MOST_WINDOWS / edges.len().max(1) as u32;
        for (until, rows) in ends.chain([(None, all)]) {
            let expected = rows.zip(before).map(|(rows, before)| rows.saturating_sub(before));
            let bounds = Bounds { from: begin, until };
            divided.push(if divided.is_empty() {
                Window { bounds, expected, ..std::mem::take(window) }
            } else {
                let number = divided.len() as u32 * step;
                Window { number, bounds, expected, ..Window::default() }
            });
            (begin, before) = (until, rows);
        }
        self.windows = divided;
    }

    /// Goes on from the first window as if the list had never been divided. What the others hold is
    /// read again.
    pub(super) fn join_windows(&mut self) {
        self.divisible = false;
        self.windows.truncate(1);
        for window in &mut self.windows {
            window.bounds = Bounds::default();
            window.expected = self.source_count.after.or(self.source_count.before);
            window.ended = false;
            window.place.fruitless = FruitlessRounds::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    use super::*;
    use crate::sync::endpoint::MOST_FEEDS;
    use crate::sync::page::{ReadRow, RowKey};
    use crate::sync::walk::Way;

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

    /// The edges that so many windows get, with `counted` for Clerk's count up to a moment.
    fn divided(
        mut known: Vec<Edge>,
        wanted: usize,
        mut counted: impl FnMut(i64) -> u64,
    ) -> Vec<Edge> {
        for _ in 0..MOST_ROUNDS {
            let (first, last) = (known[0].0, known[known.len() - 1].0);
            for moment in next_moments(&known, wanted) {
                assert!(first < moment && moment < last);
                learn(&mut known, (moment, counted(moment)));
            }
            assert!(known.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        }
        edges(&known, wanted)
    }

    proptest! {
        #![proptest_config(Config {
            cases: 200,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..Config::default()
        })]

        /// However rows lie in time, and whatever Clerk counts meanwhile: every moment belongs to one
        /// window, the windows stand in order, and they promise as many rows as the list has.
        #[test]
        fn windows_cover_all_time_once(
            created in moments(),
            read in 1..1000_usize,
            wanted in 2..200_usize,
            off in vec(-2000..2000_i64, 1..20),
            others in vec(any::<i64>(), 0..20),
        ) {
            let read = read.min(created.len());
            let (newest, expected) = (created[read - 1], created.len() as u64);
            let known = vec![(newest + 1, read as u64), (created[created.len() - 1] + 2, expected)];
            let mut off = off.into_iter().cycle();
            let edges = divided(known, wanted, |moment| {
                let counted = created.partition_point(|&created| created < moment) as u64;
                counted.saturating_add_signed(off.next().unwrap_or_default())
            });
            let mut list = ListProgress::new(Way::Cursor);
            list.windows[0].expected = Some(expected);
            list.divide(&edges);

            let windows = &list.windows;
            prop_assert!(windows.len() <= wanted);
            prop_assert_eq!((windows[0].bounds.from, windows[windows.len() - 1].bounds.until), (None, None));
            for pair in windows.windows(2) {
                prop_assert_eq!(pair[0].bounds.until, pair[1].bounds.from);
                prop_assert!(pair[0].bounds.until > pair[0].bounds.from);
            }
            let promised: u64 = windows.iter().filter_map(|window| window.expected).sum();
            prop_assert_eq!(promised, expected);
            let edges = edges.iter().flat_map(|&(edge, _)| [edge - 1, edge, edge + 1]);
            for moment in edges.chain(others).chain([i64::MIN, i64::MAX]) {
                let row = row(moment);
                let holding = windows.iter().filter(|window| window.bounds.hold(&row)).count();
                prop_assert_eq!(holding, 1, "{}", moment);
            }
        }
    }
}
