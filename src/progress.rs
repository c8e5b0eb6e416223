//! A progress display for a person at a terminal: rows, requests, rate, time left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clerk_snapshot::manifest::RunFacts;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::lists::table::lists_needed;
use crate::sync::checkpoint::document::Checkpoint;
use crate::sync::publish::summary;

/// Shows how far a run is; silent unless it was made for a terminal. Clones share the display.
#[derive(Debug, Clone, Default)]
pub struct Progress(Option<Arc<Display>>);

#[derive(Debug)]
struct Display {
    bars: MultiProgress,
    bar: ProgressBar,
    start: Mutex<Start>,
}

/// Where this invocation began. What earlier ones read says nothing about how fast it is.
#[derive(Debug, Clone, Copy)]
struct Start {
    at: Instant,
    /// Rows written.
    written: u64,
    /// Rows read of Clerk's lists.
    read: u64,
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
        let start = Mutex::new(Start { at: Instant::now(), written: 0, read: 0 });
        Self(Some(Arc::new(Display { bars, bar, start })))
    }

    /// Begins to count at what the checkpoint holds already.
    pub fn begin(&self, checkpoint: &Checkpoint) {
        let Some(display) = &self.0 else { return };
        let start =
            Start { at: Instant::now(), written: written(checkpoint), read: read(checkpoint) };
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

    /// Shows the run as the checkpoint has it.
    pub fn show(&self, checkpoint: &Checkpoint, facts: RunFacts) {
        let Some(display) = &self.0 else { return };
        let start = *display.start.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = start.at.elapsed().as_secs_f64().max(0.001);
        let rows = written(checkpoint);
        let rate = rows.saturating_sub(start.written) as f64 / elapsed;
        let read_now = read(checkpoint).saturating_sub(start.read);
        let left = match left_to_read(checkpoint) {
            Some(left) if read_now > 0 => {
                let seconds = left as f64 * elapsed / read_now as f64;
                format!(", about {seconds:.0} s left")
            }
            _ => String::new(),
        };
        display.bar.set_message(format!(
            "{rows} rows, {} requests, {rate:.0} rows/s{left}",
            facts.requests,
        ));
    }

    /// Takes the display away.
    pub fn finish(&self) {
        if let Some(display) = &self.0 {
            display.bar.finish_and_clear();
        }
    }
}

fn written(checkpoint: &Checkpoint) -> u64 {
    summary::progress(checkpoint).values().map(|dataset| dataset.records).sum()
}

/// How many rows of Clerk's lists have been read.
fn read(checkpoint: &Checkpoint) -> u64 {
    let lists = lists_needed(&checkpoint.resources).into_iter();
    lists.filter_map(|list| checkpoint.lists.get(&list)).map(|list| list.rows()).sum()
}

/// How many of Clerk's rows are still to be read, once the count of every list is known.
fn left_to_read(checkpoint: &Checkpoint) -> Option<u64> {
    let mut expected = 0;
    for list in lists_needed(&checkpoint.resources) {
        let count = checkpoint.lists.get(&list)?.source_count;
        expected += count.after.or(count.before)?;
    }
    Some(expected.saturating_sub(read(checkpoint)))
}
