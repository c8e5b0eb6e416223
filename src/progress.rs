//! The progress display on a terminal: rows, requests, rate and time left.

#[cfg(feature = "cli")]
#[path = "progress/terminal.rs"]
mod display;
#[cfg(not(feature = "cli"))]
#[path = "progress/none.rs"]
mod display;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use self::display::Display;

/// Shows how far a run is, if it was made for a terminal. Clones share the display.
#[derive(Debug, Clone, Default)]
pub struct Progress(Option<Arc<Shown>>);

#[derive(Debug)]
struct Shown {
    display: Display,
    start: Mutex<Start>,
}

/// How far a run is, in rows.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowCounts {
    /// Lines written, of all datasets.
    pub written: u64,
    /// Rows of Clerk's lists that were read.
    pub read: u64,
    /// Rows of Clerk's lists that are still to be read; `None` until every list has been counted.
    pub left: Option<u64>,
}

/// What the run had when this invocation began. The rate is that of this invocation.
#[derive(Debug, Clone, Copy)]
struct Start {
    at: Instant,
    rows: RowCounts,
}

impl Progress {
    /// A display on standard error, if the program is built with the feature `cli`.
    #[must_use]
    pub fn on_terminal() -> Self {
        Self::with(Display::on_terminal())
    }

    /// A hidden display, for tests that read its [`message`](Self::message).
    #[must_use]
    pub fn unseen() -> Self {
        Self::with(Display::unseen())
    }

    fn with(display: Option<Display>) -> Self {
        let start = Mutex::new(Start { at: Instant::now(), rows: RowCounts::default() });
        Self(display.map(|display| Arc::new(Shown { display, start })))
    }

    /// Starts to measure the rate, from the rows that the run already has.
    pub fn begin(&self, rows: impl FnOnce() -> RowCounts) {
        let Some(shown) = &self.0 else { return };
        let start = Start { at: Instant::now(), rows: rows() };
        *shown.start.lock().unwrap_or_else(PoisonError::into_inner) = start;
    }

    /// The text on display; `None` without a display.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        self.0.as_ref().map(|shown| shown.display.message())
    }

    /// Calls `write` while the display is cleared from the terminal.
    pub fn suspend(&self, write: impl FnOnce()) {
        match &self.0 {
            Some(shown) => shown.display.suspend(write),
            None => write(),
        }
    }

    /// Shows how far the run is, and how many requests it took. `rows` is called only if there is a
    /// display.
    pub fn show(&self, rows: impl FnOnce() -> RowCounts, requests: u64) {
        let Some(shown) = &self.0 else { return };
        let start = *shown.start.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = start.at.elapsed().as_secs_f64().max(0.001);
        let rows = rows();
        let rate = rows.written.saturating_sub(start.rows.written) as f64 / elapsed;
        let read_now = rows.read.saturating_sub(start.rows.read);
        let left = match rows.left {
            Some(left) if read_now > 0 => {
                let seconds = left as f64 * elapsed / read_now as f64;
                format!(", about {seconds:.0} s left")
            }
            _ => String::new(),
        };
        let message = format!("{} rows, {requests} requests, {rate:.0} rows/s{left}", rows.written);
        shown.display.set_message(message);
    }

    /// Removes the display.
    pub fn finish(&self) {
        if let Some(shown) = &self.0 {
            shown.display.finish();
        }
    }
}
