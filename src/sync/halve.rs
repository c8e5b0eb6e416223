//! Divides what is left of a window while it is walked. When other windows have ended, too few pages are
//! on their way to keep the pace: the longest window that is left is walked by two from then on, so that
//! all end together and the last one is not walked alone.

use futures_util::future::join_all;
use tracing::debug;

use super::bounds::Bounds;
use super::checkpoint::{ListProgress, Window};
use super::compare;
use super::endpoint::{Endpoint, Paging};
use super::part_name::MOST_WINDOWS;
use super::run::{Run, Stop};
use super::walk::{PAGE_ROWS, Taken};

/// Rows left of a window for which dividing it is worth a count and half a page: two pages for each half,
/// beside the one that is on its way.
pub(super) const WORTH: u64 = 5 * PAGE_ROWS;
/// Rounds of counts for one division, where users stand unevenly in time.
const MOST_ROUNDS: usize = 4;
/// Counts of each round but the first: more than one, for users who were imported at one time stand in a moment of
/// the time that is left.
const COUNTS: i64 = 4;

/// What a window was divided into.
pub(super) struct Halved {
    /// What is left of the window that is walked.
    pub bounds: Bounds,
    /// Its size, the rows that were taken included.
    pub expected: u64,
    /// The number of the window behind it.
    pub behind: u32,
}

/// Divides a window behind what its walk has `taken`, about in the middle of what is left. `None` if it
/// cannot be told where that is, or there is no number left for another window.
///
/// # Errors
/// As [`Run::commit`].
pub(super) async fn halve(
    run: &Run,
    endpoint: &'static Endpoint,
    window: u32,
    taken: &Taken,
) -> Result<Option<Halved>, Stop> {
    let Paging::Cursor { count_path } = endpoint.paging else { return Ok(None) };
    let Taken { rows, newest, expected, bounds, .. } = *taken;
    let Some(left) = expected.checked_sub(rows).filter(|&left| left >= WORTH) else {
        return Ok(None);
    };
    let until = bounds.until.unwrap_or_else(|| run.clock.now().unix_millis());
    let mut search =
        Search { from: (newest + 1, 0), to: (until, left), wanted: left / 2, found: None };
    let mut moments = search.first_moments(taken.milliseconds_a_row);
    for _ in 0..MOST_ROUNDS {
        let counts = moments.into_iter().map(|moment| async move {
            let behind_what_is_taken = Bounds { from: Some(newest + 1), until: Some(moment) };
            (moment, compare::count(run, endpoint, count_path, behind_what_is_taken).await)
        });
        for (moment, counted) in join_all(counts).await {
            match counted {
                Ok(counted) => search.learn(moment, counted),
                // The walk will find out.
                Err(Stop::Exhausted(_) | Stop::Paused(_)) => return Ok(None),
                Err(stop) if compare::is_not_answered(&stop) => return Ok(None),
                Err(stop) => return Err(stop),
            }
        }
        if search.is_near_enough() {
            break;
        }
        moments = search.next_moments();
    }
    let Some((moment, counted)) = search.found.filter(|found| search.is_worth(found.1)) else {
        return Ok(None);
    };
    let expected = rows + counted;
    let mut behind = None;
    run.commit_list(endpoint.name(), |list| {
        behind = list.halve(window, moment, expected, left - counted);
    })
    .await?;
    debug!(clerk.path = endpoint.path, window, left, counted, "dividing a window that is walked");
    let bounds = Bounds { until: Some(moment), ..bounds };
    Ok(behind.map(|behind| Halved { bounds, expected, behind }))
}

/// Where to divide: a moment before which about half of the rows that are left were created.
struct Search {
    /// A moment, and how many of the rows that are left were created before it: fewer than wanted.
    from: (i64, u64),
    /// Likewise: as many as wanted, or more.
    to: (i64, u64),
    wanted: u64,
    /// The moment that was counted at which is nearest, and its count.
    found: Option<(i64, u64)>,
}

impl Search {
    /// Where the wanted row should stand if rows went on to come evenly until the end, and if they came as those
    /// before them did.
    fn first_moments(&self, milliseconds_a_row: f64) -> Vec<i64> {
        let as_before = self.from.0 + (self.wanted as f64 * milliseconds_a_row) as i64;
        let evenly = self.evenly();
        let differ = as_before < self.from.0 + (evenly - self.from.0) / 2;
        self.within([Some(evenly), differ.then_some(as_before)].into_iter().flatten())
    }

    /// Where the wanted row should stand if rows stood evenly between the moments known, and places all over the
    /// time between them, in case they do not.
    fn next_moments(&self) -> Vec<i64> {
        let (from, to) = (self.from.0, self.to.0);
        let places = (1..COUNTS).map(|place| from + (to - from) * place / COUNTS);
        self.within(places.chain([self.evenly()]))
    }

    fn evenly(&self) -> i64 {
        let ((from, fewer), (to, more)) = (self.from, self.to);
        let share = (self.wanted - fewer) as f64 / (more - fewer).max(1) as f64;
        from + ((to - from) as f64 * share) as i64
    }

    fn within(&self, moments: impl Iterator<Item = i64>) -> Vec<i64> {
        let mut moments: Vec<i64> =
            moments.filter(|&moment| self.from.0 < moment && moment < self.to.0).collect();
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// Whether each half gets more than a third of the rows.
    fn is_near_enough(&self) -> bool {
        self.found.is_some_and(|(_, counted)| counted.abs_diff(self.wanted) <= self.wanted / 3)
    }

    /// Whether each half gets more than a page.
    const fn is_worth(&self, counted: u64) -> bool {
        counted > 2 * PAGE_ROWS && counted + PAGE_ROWS < 2 * self.wanted
    }

    fn learn(&mut self, moment: i64, counted: u64) {
        if self
            .found
            .is_none_or(|(_, found)| counted.abs_diff(self.wanted) < found.abs_diff(self.wanted))
        {
            self.found = Some((moment, counted));
        }
        if counted < self.wanted && moment > self.from.0 {
            self.from = (moment, counted.max(self.from.1));
        } else if counted >= self.wanted && moment < self.to.0 {
            self.to = (moment, counted.min(self.to.1));
        }
    }
}

impl ListProgress {
    /// Ends a window at a moment, up to which it is `expected` to have so many rows, and adds one for what
    /// is `left` behind it. Gives the new one's number; `None` where there is none between the window's and the
    /// next one's.
    fn halve(&mut self, number: u32, moment: i64, expected: u64, left: u64) -> Option<u32> {
        let place = self.place_of(number);
        let next = self.windows.get(place + 1).map_or(MOST_WINDOWS, |next| next.number);
        let behind = number + (next - number) / 2;
        if behind == number {
            return None;
        }
        let window = &mut self.windows[place];
        let bounds = Bounds { from: Some(moment), until: window.bounds.until };
        window.bounds.until = Some(moment);
        window.expected = Some(expected);
        let half = Window { number: behind, bounds, expected: Some(left), ..Window::default() };
        self.windows.insert(place + 1, half);
        Some(behind)
    }
}
