//! The windows of a list that nobody walks at the moment, of which the one with most rows left is
//! next: so that all of them end together, and the pace is filled to the end.

use std::sync::{Mutex, PoisonError};

use super::checkpoint::{ListProgress, Window};
use super::endpoint::Endpoint;
use super::run::Run;

/// Indexes of windows, each to be walked on by whoever takes it.
pub(super) struct Waiting<'a> {
    run: &'a Run,
    endpoint: &'static Endpoint,
    windows: Mutex<Vec<usize>>,
}

impl<'a> Waiting<'a> {
    /// The windows that have not ended, or else the last one: at its end a list can be walked on.
    pub(super) fn new(run: &'a Run, endpoint: &'static Endpoint) -> Self {
        let windows = run.list(endpoint.name(), |list| {
            let mut open: Vec<usize> =
                (0..list.windows.len()).filter(|&index| !list.windows[index].ended).collect();
            if open.is_empty() {
                open.push(list.windows.len() - 1);
            }
            open
        });
        Self { run, endpoint, windows: Mutex::new(windows) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.with(|windows, _| windows.is_empty())
    }

    /// Takes the one with most rows left.
    pub(super) fn take(&self) -> Option<usize> {
        self.with(|windows, list| {
            let longest = (0..windows.len())
                .rev()
                .max_by_key(|&place| left(&list.windows[windows[place]]))?;
            Some(windows.remove(longest))
        })
    }

    /// A window that is walked no further for now.
    pub(super) fn put(&self, window: usize) {
        self.with(|windows, _| windows.push(window));
    }

    /// Whether one has more rows left than `window`.
    pub(super) fn has_longer_than(&self, window: usize) -> bool {
        self.with(|windows, list| {
            let walked = left(&list.windows[window]);
            windows.iter().any(|&other| left(&list.windows[other]) > walked)
        })
    }

    fn with<T>(&self, action: impl FnOnce(&mut Vec<usize>, &ListProgress) -> T) -> T {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        self.run.list(self.endpoint.name(), |list| action(&mut windows, list))
    }
}

/// Rows of a window that are not stored yet, as far as Clerk's counts can tell.
fn left(window: &Window) -> u64 {
    window.expected.unwrap_or(0).saturating_sub(window.rows())
}
