//! A progress display for a person at a terminal: rows, requests, rate, time left.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::snapshot::manifest::RunFacts;
use crate::sync::checkpoint::Checkpoint;
use crate::sync::run::lists_needed;
use crate::sync::summary;

/// Shows how far a run is; silent unless it was made for a terminal. Clones share the display.
#[derive(Debug, Clone, Default)]
pub struct Progress(Option<Arc<Display>>);

#[derive(Debug)]
struct Display {
    bars: MultiProgress,
    bar: ProgressBar,
    began: Instant,
}

impl Progress {
    /// A display on standard error.
    #[must_use]
    pub fn on_terminal() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let bar = bars.add(ProgressBar::no_length());
        // The template is a constant; without it the bar keeps its usual style.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        bar.set_message("starting");
        Self(Some(Arc::new(Display { bars, bar, began: Instant::now() })))
    }

    /// The bars, for log lines to be written beside.
    #[must_use]
    pub fn bars(&self) -> Option<MultiProgress> {
        self.0.as_ref().map(|display| display.bars.clone())
    }

    /// Shows the run as the checkpoint has it.
    pub fn show(&self, checkpoint: &Checkpoint, facts: RunFacts) {
        let Some(display) = &self.0 else { return };
        let datasets = summary::progress(checkpoint);
        let rows: u64 = datasets.values().map(|dataset| dataset.records).sum();
        let elapsed = display.began.elapsed().as_secs_f64().max(0.001);
        let left = share_read(checkpoint).map_or_else(String::new, |done| {
            let seconds = (elapsed / done - elapsed).max(0.0);
            format!(", about {seconds:.0} s left")
        });
        display.bar.set_message(format!(
            "{rows} rows, {} requests, {:.0} rows/s{left}",
            facts.requests,
            rows as f64 / elapsed,
        ));
    }

    /// Takes the display away.
    pub fn finish(&self) {
        if let Some(display) = &self.0 {
            display.bar.finish_and_clear();
        }
    }
}

/// The share of Clerk's rows read, once the count of every list is known.
fn share_read(checkpoint: &Checkpoint) -> Option<f64> {
    let (mut rows, mut expected) = (0, 0);
    for list in lists_needed(&checkpoint.resources) {
        let list = checkpoint.lists.get(&list)?;
        rows += list.rows();
        expected += list.source_count.after.or(list.source_count.before)?;
    }
    (rows > 0 && expected > 0).then(|| (rows as f64 / expected as f64).min(1.0))
}
