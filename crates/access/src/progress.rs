//! Shows on standard error how far long work is, if that is a terminal.

use std::io::{self, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Work that takes less time shows nothing.
const SILENT: Duration = Duration::from_millis(700);

/// Time between two updates: more often than a person can read is wasted.
const INTERVAL: Duration = Duration::from_millis(100);

/// Erases the line and goes to its beginning.
const ERASE_LINE: &str = "\r\x1b[K";

/// Shows progress, or nothing where nobody looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    is_shown: bool,
}

impl Progress {
    /// Progress on standard error if `is_shown`, else none.
    #[must_use]
    pub const fn new(is_shown: bool) -> Self {
        Self { is_shown }
    }

    /// Begins a stage of `total` units of work, such as bytes.
    #[must_use]
    pub fn stage(&self, name: &'static str, total: u64) -> Stage {
        let state = State { done: 0, next: Instant::now() + SILENT, is_visible: false };
        Stage { is_shown: self.is_shown, name, total, state: Mutex::new(state) }
    }
}

/// A stage of the work. Dropping it removes what it shows.
#[derive(Debug)]
pub struct Stage {
    is_shown: bool,
    name: &'static str,
    total: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    done: u64,
    next: Instant,
    is_visible: bool,
}

impl Stage {
    /// Adds units of work that are done.
    pub fn advance(&self, units: u64) {
        let Ok(mut state) = self.state.lock() else { return };
        state.done += units;
        let now = Instant::now();
        if !self.is_shown || now < state.next {
            return;
        }
        state.next = now + INTERVAL;
        state.is_visible = true;
        let percent = (state.done.min(self.total) * 100).checked_div(self.total).unwrap_or(100);
        show(&format!("{ERASE_LINE}reading {}: {percent} %", self.name));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.state.get_mut().is_ok_and(|state| state.is_visible) {
            show(ERASE_LINE);
        }
    }
}

/// A terminal that is gone is no reason to stop.
fn show(text: &str) {
    let mut terminal = io::stderr().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}
