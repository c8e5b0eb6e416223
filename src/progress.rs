//! The progress display on a terminal: rows, requests, rate and time left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

/// Shows how far a run is, if it was made for a terminal. Clones share the display.
#[derive(Debug, Clone, Default)]
pub struct Progress(Option<Arc<Display>>);

#[derive(Debug)]
struct Display {
    bars: MultiProgress,
    bar: ProgressBar,
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
    /// A display on standard error.
    #[must_use]
    pub fn on_terminal() -> Self {
        let progress = Self::on(ProgressDrawTarget::stderr());
        if let Some(display) = &progress.0 {
            display.bar.enable_steady_tick(Duration::from_millis(120));
        }
        progress
    }

    /// A hidden display, for tests that read its [`message`](Self::message).
    #[must_use]
    pub fn unseen() -> Self {
        Self::on(ProgressDrawTarget::hidden())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        let bar = bars.add(ProgressBar::no_length());
        // The template is a constant and valid; if it were not, the bar would keep its default
        // style.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_message("starting");
        let start = Mutex::new(Start { at: Instant::now(), rows: RowCounts::default() });
        Self(Some(Arc::new(Display { bars, bar, start })))
    }

    /// Starts to count from what the run already has.
    pub fn begin(&self, rows: impl FnOnce() -> RowCounts) {
        let Some(display) = &self.0 else { return };
        let start = Start { at: Instant::now(), rows: rows() };
        *display.start.lock().unwrap_or_else(PoisonError::into_inner) = start;
    }

    /// The text of the display; `None` without one.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        self.0.as_ref().map(|display| display.bar.message())
    }

    /// The bars, to hide them while log lines are written.
    #[must_use]
    pub fn bars(&self) -> Option<MultiProgress> {
        self.0.as_ref().map(|display| display.bars.clone())
    }

    /// Shows how far the run is, and how many requests it took. `rows` is called only if there is a
    /// display.
    pub fn show(&self, rows: impl FnOnce() -> RowCounts, requests: u64) {
        let Some(display) = &self.0 else { return };
        let start = *display.start.lock().unwrap_or_else(PoisonError::into_inner);
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
        display.bar.set_message(format!(
            "{} rows, {requests} requests, {rate:.0} rows/s{left}",
            rows.written,
        ));
    }

    /// Removes the display.
    pub fn finish(&self) {
        if let Some(display) = &self.0 {
            display.bar.finish_and_clear();
        }
    }
}
