//! Decides whether an invocation may start work or wait.
//!
//! - It stops when the time budget is spent, at an interrupt, and when another part of the run has
//!   failed.
//! - Even the smallest budget allows the first progress, so that every invocation gets the run
//!   further.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::time_budget::TimeBudget;

/// When an invocation stops. Everything that waits or starts work asks it.
#[derive(Debug)]
pub struct WorkLimit {
    budget: TimeBudget,
    /// Until this time, waits are allowed while nothing has been stored yet.
    first_progress_until: Instant,
    /// Until this time, the first response is awaited.
    first_answer_until: Instant,
    progressed: AtomicBool,
    halted: AtomicBool,
    interrupt: watch::Receiver<bool>,
    /// How long requests in flight may still take when time is up.
    drain: Duration,
}

/// Why an invocation stops before its work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The time budget is spent.
    TimeBudget,
    /// A signal asked the program to stop.
    Interrupted,
    /// Another part of the run has failed; pages in flight are still stored.
    Halted,
}

/// How much longer than its budget an invocation may work for its first progress
/// (docs/reference.md, `TIME_BUDGET_SECONDS`).
const FIRST_PROGRESS: Duration = Duration::from_secs(5);

/// How long requests in flight may still take when time is up: a response that is stored need not
/// be requested again. Well below the 10 seconds that supervisors grant between a signal to stop
/// and a kill.
const LONGEST_DRAIN: Duration = Duration::from_secs(3);
/// How long they may take while nothing has been stored yet: otherwise a slow server and a small
/// budget would never make progress. As long as a single response may take.
const LONGEST_FIRST_ANSWER: Duration = Duration::from_secs(90);

/// The longest Retry-After to wait for if there is no budget: as long as the longest Lambda
/// invocation. The run pauses for a longer one, even on a laptop.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

impl WorkLimit {
    /// `deadline_in` is the time until the process is killed, if known, and `reserve` the part of
    /// it that the budget keeps for the end. `interrupt` becomes true when the user asks to stop.
    #[must_use]
    pub fn new(
        budget: TimeBudget,
        deadline_in: Option<Duration>,
        reserve: Duration,
        interrupt: watch::Receiver<bool>,
    ) -> Self {
        let now = Instant::now();
        let at_most = |longest: Duration| deadline_in.map_or(longest, |left| longest.min(left / 2));
        Self {
            budget,
            first_progress_until: now + at_most(FIRST_PROGRESS),
            first_answer_until: now + at_most(LONGEST_FIRST_ANSWER),
            progressed: AtomicBool::new(false),
            halted: AtomicBool::new(false),
            interrupt,
            drain: match deadline_in {
                Some(_) => at_most(LONGEST_DRAIN).min(reserve / 2),
                None => LONGEST_DRAIN,
            },
        }
    }

    /// Something was stored that the next invocation continues from.
    pub fn note_progress(&self) {
        self.progressed.store(true, Ordering::Relaxed);
    }

    /// Whether this invocation has stored something that the next one continues from.
    pub fn progressed(&self) -> bool {
        self.progressed.load(Ordering::Relaxed)
    }

    /// From now on no new work begins.
    pub fn halt(&self) {
        self.halted.store(true, Ordering::Relaxed);
    }

    /// Why no new work may begin; `None` if it may. The first progress of an invocation may begin
    /// whatever the budget says.
    pub fn stop_reason(&self) -> Option<StopReason> {
        if self.is_interrupted() {
            Some(StopReason::Interrupted)
        } else if self.halted.load(Ordering::Relaxed) {
            Some(StopReason::Halted)
        } else if self.progressed() && self.budget.is_spent() {
            Some(StopReason::TimeBudget)
        } else {
            None
        }
    }

    /// When work must end; `None` if there is no limit. The first progress of an invocation has a few seconds, whatever
    /// the budget says.
    pub fn ends(&self) -> Option<Instant> {
        let ends = self.budget.ends()?;
        Some(if self.progressed() { ends } else { ends.max(self.first_progress_until) })
    }

    /// Whether a signal asked the program to stop.
    pub fn is_interrupted(&self) -> bool {
        *self.interrupt.borrow()
    }

    /// Returns once a signal asks the program to stop.
    pub async fn interrupted(&self) {
        interrupted(&mut self.interrupt.clone()).await;
    }

    /// Whether there is time for work that takes this long.
    pub fn allows(&self, time: Duration) -> bool {
        self.budget.allows(time)
    }

    /// Whether there is time for a pause that Clerk asked for.
    pub fn allows_pause(&self, wait: Duration) -> bool {
        wait <= LONGEST_PAUSE && self.budget.allows(wait)
    }

    /// Returns when time is up and requests in flight have had their time to finish.
    pub async fn drained(&self) -> StopReason {
        let mut interrupt = self.interrupt.clone();
        let why = tokio::select! {
            () = self.budget.until_spent() => StopReason::TimeBudget,
            () = interrupted(&mut interrupt) => StopReason::Interrupted,
        };
        tokio::time::sleep(self.drain).await;
        if why == StopReason::TimeBudget && !self.progressed() {
            tokio::select! {
                () = tokio::time::sleep_until(self.first_answer_until) => {}
                () = interrupted(&mut interrupt) => return StopReason::Interrupted,
            }
        }
        why
    }

    /// Sleeps until `until`.
    ///
    /// # Errors
    /// [`StopReason`]: at once if there is no time for the wait, or at an interrupt.
    pub async fn sleep_until(&self, until: Instant) -> Result<(), StopReason> {
        let now = Instant::now();
        let overdraft = !self.progressed() && until <= self.first_progress_until;
        if !overdraft && !self.budget.allows(until.saturating_duration_since(now)) {
            return Err(StopReason::TimeBudget);
        }
        let mut interrupt = self.interrupt.clone();
        tokio::select! {
            () = tokio::time::sleep_until(until) => Ok(()),
            () = interrupted(&mut interrupt) => Err(StopReason::Interrupted),
        }
    }
}

async fn interrupted(interrupt: &mut watch::Receiver<bool>) {
    if interrupt.wait_for(|interrupted| *interrupted).await.is_err() {
        // The sender is gone, so nobody can interrupt any more.
        std::future::pending().await
    }
}
