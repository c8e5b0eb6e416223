//! A progress display for a person at a terminal: rows, requests, rate, time left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

/// Shows how far a run is; silent unless it was made for a terminal. Clones share the display.
#[derive(Debug, Clone, Default)]
pub struct Progress(Option<Arc<Display>>);

#[derive(Debug)]
struct Display {
    bars: MultiProgress,
    bar: ProgressBar,
    start: Mutex<Start>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowCounts {
    /// Lines written, of all datasets.
    pub written: u64,
    /// Rows read of Clerk's lists.
    pub read: u64,
    /// Rows of Clerk's lists that are still to be read; `None` until the count of every list is known.
    pub left: Option<u64>,
}

/// Where this invocation began. What earlier ones read says nothing about how fast it is.
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

    /// A display that nobody sees, for [`message`](Self::message).
    #[must_use]
    pub fn unseen() -> Self {
        Self::on(ProgressDrawTarget::hidden())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        let bar = bars.add(ProgressBar::no_length());
        // The template is a constant; without it the bar keeps its usual style.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_message("starting");
        let start = Mutex::new(Start { at: Instant::now(), rows: RowCounts::default() });
        Self(Some(Arc::new(Display { bars, bar, start })))
    }

    /// Begins to count at what the run has already.
    pub fn begin(&self, rows: impl FnOnce() -> RowCounts) {
        let Some(display) = &self.0 else { return };
        let start = Start { at: Instant::now(), rows: rows() };
        *display.start.lock().unwrap_or_else(PoisonError::into_inner) = start;
    }

    /// What is shown at present; `None` without a display.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        self.0.as_ref().map(|display| display.bar.message())
    }

    /// The bars, for log lines to be written beside.
    #[must_use]
    pub fn bars(&self) -> Option<MultiProgress> {
        self.0.as_ref().map(|display| display.bars.clone())
    }

    /// Shows how far the run is, and how many requests it took. `rows` is only called if there is a display.
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

    /// Takes the display away.
    pub fn finish(&self) {
        if let Some(display) = &self.0 {
            display.bar.finish_and_clear();
        }
    }
}
