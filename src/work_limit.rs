//! What one invocation may still wait for: its time budget, the user's interrupt, and the first
//! progress that even the smallest budget allows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::time_budget::TimeBudget;

/// Asked by everything that waits or starts work.
#[derive(Debug)]
pub struct WorkLimit {
    budget: TimeBudget,
    /// Until this moment short waits are allowed while nothing has been stored yet.
    first_progress_until: Instant,
    /// Until this moment the first answer is waited for.
    first_answer_until: Instant,
    progressed: AtomicBool,
    halted: AtomicBool,
    interrupt: watch::Receiver<bool>,
    drain: Duration,
}

/// Why an invocation stops before its work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The time budget is spent.
    TimeBudget,
    /// A signal asked the program to stop.
    Interrupted,
    /// Another part of the run has failed; what is in flight is still stored.
    Halted,
}

/// How long a spent budget may be overdrawn for the first progress (docs/reference.md, `TIME_BUDGET_SECONDS`:
/// "However small, something is stored first").
const FIRST_PROGRESS: Duration = Duration::from_secs(5);

/// How long requests in flight may still take when time is up: an answer that is stored need not be
/// asked for again. Well below the ten seconds after which supervisors kill what they have asked to
/// stop.
const LONGEST_DRAIN: Duration = Duration::from_secs(3);
/// How long they may take while nothing has been stored yet: otherwise a slow server and a small
/// budget would never get anywhere. As long as one answer may take at the very most.
const LONGEST_FIRST_ANSWER: Duration = Duration::from_secs(90);

/// The longest Retry-After that is sat out when no budget bounds it: as long as the longest Lambda
/// invocation. A longer one becomes a checkpoint even on a laptop.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

impl WorkLimit {
    /// `deadline_in` is the time left until the process is killed, when known, and `reserve` the part
    /// of it that the budget keeps in hand; `interrupt` turns true when the user asks to stop.
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

    /// Something was stored that the next invocation builds on.
    pub fn note_progress(&self) {
        self.progressed.store(true, Ordering::Relaxed);
    }

    /// Whether this invocation has stored anything the next one builds on.
    pub fn progressed(&self) -> bool {
        self.progressed.load(Ordering::Relaxed)
    }

    /// No new work is begun from now on.
    pub fn halt(&self) {
        self.halted.store(true, Ordering::Relaxed);
    }

    /// Why no new work may begin, if so. The first progress of an invocation may begin whatever
    /// the budget says.
    pub fn exhausted(&self) -> Option<StopReason> {
        if *self.interrupt.borrow() {
            Some(StopReason::Interrupted)
        } else if self.halted.load(Ordering::Relaxed) {
            Some(StopReason::Halted)
        } else if self.progressed() && self.budget.is_spent() {
            Some(StopReason::TimeBudget)
        } else {
            None
        }
    }

    /// Whether work that takes so long can be done before time is up.
    pub fn allows(&self, time: Duration) -> bool {
        self.budget.allows(time)
    }

    /// Whether a pause that Clerk asked for fits into what is left.
    pub fn allows_pause(&self, wait: Duration) -> bool {
        wait <= LONGEST_PAUSE && self.budget.allows(wait)
    }

    /// Returns when time is up and what was in flight has had its time to arrive.
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

    /// Sleeps until `moment`, unless that outlasts the budget or is interrupted.
    ///
    /// # Errors
    /// [`StopReason`], at once when `moment` lies past what is left.
    pub async fn sleep_until(&self, moment: Instant) -> Result<(), StopReason> {
        let now = Instant::now();
        let overdraft = !self.progressed() && moment <= self.first_progress_until;
        if !overdraft && !self.budget.allows(moment.saturating_duration_since(now)) {
            return Err(StopReason::TimeBudget);
        }
        let mut interrupt = self.interrupt.clone();
        tokio::select! {
            () = tokio::time::sleep_until(moment) => Ok(()),
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
