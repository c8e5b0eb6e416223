//! The windows of a list that wait to be walked; the one with the most rows left is next.
//!
//! Also decides which walk divides its window, and into how many pieces, if more windows could be walked than exist.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::lists::endpoint::Endpoint;
use crate::paging::pager::Taken;
use crate::sync::checkpoint::list_progress::{ListProgress, Window};
use crate::sync::read::windows::{most_pieces, windows_affordable};
use crate::sync::run::RunContext;

/// The numbers of the windows that wait to be walked.
pub(crate) struct WindowQueue<'a> {
    run: &'a RunContext,
    endpoint: &'static Endpoint,
    state: Mutex<State>,
    added: Notify,
}

#[derive(Default)]
struct State {
    windows: Vec<u32>,
    /// Windows that divisions in progress will add.
    dividing: usize,
}

impl<'a> WindowQueue<'a> {
    /// A queue of the windows that have not ended, or else of the last one: a list can always be
    /// walked further at its end.
    pub(crate) fn new(run: &'a RunContext, endpoint: &'static Endpoint) -> Self {
        let windows = run.list(endpoint.name(), |list| {
            let open = list.windows.iter().filter(|window| !window.ended);
            let mut open: Vec<u32> = open.map(|window| window.number).collect();
            if open.is_empty() {
                open.extend(list.windows.last().map(|last| last.number));
            }
            open
        });
        let state = Mutex::new(State { windows, ..State::default() });
        Self { run, endpoint, state, added: Notify::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.with(|state, _| state.windows.is_empty())
    }

    /// Takes the window with the most rows left.
    pub(crate) fn take(&self) -> Option<u32> {
        self.with(|State { windows, .. }, list| {
            let longest = (0..windows.len())
                .rev()
                .max_by_key(|&position| left(list.window(windows[position])))?;
            Some(windows.remove(longest))
        })
    }

    /// Returns when a window has been added.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// How many pieces to divide a window into while it is walked, if `more` windows could be walked
    /// than exist; `None` if divisions in progress add as many, or if enough others are longer. The
    /// caller must call [`divided`](Self::divided) afterwards.
    pub(crate) fn pieces_wanted(&self, window: u32, taken: &Taken, more: usize) -> Option<usize> {
        let rows_left = taken.expected.saturating_sub(taken.rows);
        self.with(|state, list| {
            let others = list.windows.iter().filter(|it| !it.ended && it.number != window);
            let others: Vec<u64> = others.map(left).collect();
            let longer = others.iter().filter(|&&left| left > rows_left).count();
            let affordable =
                windows_affordable(list).saturating_sub(state.dividing as u64) as usize;
            let wanted = more.saturating_sub(state.dividing).min(affordable);
            if longer >= wanted {
                return None;
            }
            // So many that a piece is as long as the average window will be.
            let windows = (others.len() + 1 + wanted) as u64;
            let mean = (others.iter().sum::<u64>() + rows_left) / windows;
            let pieces = (rows_left / mean.max(1)).min(most_pieces(taken)) as usize;
            let pieces = pieces.clamp(2, wanted + 1);
            state.dividing += pieces - 1;
            Some(pieces)
        })
    }

    /// Ends a division into `pieces` pieces that was announced by
    /// [`pieces_wanted`](Self::pieces_wanted). It has added the windows `added`.
    pub(crate) fn divided(&self, pieces: usize, added: &[u32]) {
        self.with(|state, _| {
            state.dividing -= pieces - 1;
            state.windows.extend(added);
        });
        self.added.notify_one();
    }

    fn with<T>(&self, action: impl FnOnce(&mut State, &ListProgress) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.run.list(self.endpoint.name(), |list| action(&mut state, list))
    }
}

/// Rows of a window that are not stored yet, according to Clerk's count.
fn left(window: &Window) -> u64 {
    window.expected.unwrap_or(0).saturating_sub(window.rows())
}
