//! A spinner with a line of text, on standard error.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

#[derive(Debug)]
pub(super) struct Display {
    bars: MultiProgress,
    bar: ProgressBar,
}

impl Display {
    pub(super) fn on_terminal() -> Option<Self> {
        let display = Self::on(ProgressDrawTarget::stderr());
        display.bar.enable_steady_tick(Duration::from_millis(120));
        Some(display)
    }

    pub(super) fn unseen() -> Option<Self> {
        Some(Self::on(ProgressDrawTarget::hidden()))
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        let bar = bars.add(ProgressBar::no_length());
        // The template is a constant; without it the bar keeps its usual style.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_message("starting");
        Self { bars, bar }
    }

    pub(super) fn message(&self) -> String {
        self.bar.message()
    }

    pub(super) fn set_message(&self, message: String) {
        self.bar.set_message(message);
    }

    pub(super) fn suspend(&self, write: impl FnOnce()) {
        self.bars.suspend(write);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
