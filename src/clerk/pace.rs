//! The request rate: at most share × limit, and nothing inside a Retry-After pause.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Clerk counts requests in windows of this length
/// (Clerk documentation, "Rate limits": 1000 or 100 requests per 10 seconds).
pub const WINDOW: Duration = Duration::from_secs(10);

/// Hands out moments at which a request may be sent, evenly spaced.
///
/// Even spacing keeps *every* window of ten seconds within the allowance, wherever the server
/// starts counting, which a bucket that may be emptied in one burst does not.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The next moment not yet handed out.
    next: Option<Instant>,
    /// Nothing is sent before this moment: the server said so.
    paused_until: Option<Instant>,
}

/// How far a moment may lie in the past and still be made up for, so that a late timer (they tick
/// in milliseconds) does not lower the rate.
const CATCH_UP: Duration = Duration::from_millis(40);
/// The part of the allowance that is aimed at: the rest absorbs the network's jitter, which moves
/// requests from one window of the server's into the next.
const AIM: f64 = 0.985;

impl Pace {
    /// A pace of at most `allowance` requests in any window of ten seconds.
    #[must_use]
    pub fn new(allowance: f64) -> Self {
        // One request can stand on each edge of a window, so one less fits between; below two
        // requests a window that rule would stop everything.
        let spaced = (allowance - 1.0).max(allowance / 2.0) * AIM;
        Self {
            interval: WINDOW.div_f64(spaced.max(f64::MIN_POSITIVE)).min(WINDOW * 1000),
            state: Mutex::new(State { next: None, paused_until: None }),
        }
    }

    /// How many requests it lets through in a time.
    #[must_use]
    pub fn requests_in(&self, time: Duration) -> f64 {
        time.div_duration_f64(self.interval)
    }

    /// How much of a pause is left at `now`, if one is in force.
    pub fn pause_left(&self, now: Instant) -> Option<Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.paused_until?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Takes the moment for one request: `Ok` when it may be sent at `now`, otherwise the moment
    /// to ask again at. Moments not yet reached are handed out first come, first served.
    ///
    /// # Errors
    /// [`NotYet`] with the moment to wait for.
    pub fn take(&self, now: Instant) -> Result<(), NotYet> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = state.paused_until {
            if now < until {
                return Err(NotYet { until, paused: true });
            }
            state.paused_until = None;
            // What was held back must not come out as a burst.
            state.next = state.next.map(|next| next.max(now));
        }
        let next = state.next.unwrap_or(now);
        if now < next {
            return Err(NotYet { until: next, paused: false });
        }
        let oldest = now.checked_sub(CATCH_UP).unwrap_or(now);
        state.next = Some(next.max(oldest) + self.interval);
        Ok(())
    }

    /// Nothing is sent for `wait` from `now` on. A longer pause already in force stays.
    pub fn pause(&self, now: Instant, wait: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let until = now + wait;
        state.paused_until = Some(state.paused_until.map_or(until, |earlier| earlier.max(until)));
    }
}

/// A request may not be sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotYet {
    /// The moment to ask again at.
    pub until: Instant,
    /// Whether a Retry-After pause is the reason, not the pace.
    pub paused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends as fast as the pace lets it and returns the moments, in milliseconds.
    fn moments(pace: &Pace, start: Instant, how_many: usize, lateness: Duration) -> Vec<u128> {
        let mut now = start;
        let mut sent = Vec::new();
        while sent.len() < how_many {
            match pace.take(now) {
                Ok(()) => sent.push((now - start).as_millis()),
                Err(not_yet) => now = not_yet.until + lateness,
            }
        }
        sent
    }

    fn busiest_window(sent: &[u128]) -> usize {
        sent.iter()
            .map(|&from| sent.iter().filter(|&&at| at >= from && at < from + 10_000).count())
            .max()
            .unwrap_or(0)
    }

    /// No window of ten seconds ever holds more than the allowance, and at least 95 % of it is
    /// used, even when every timer fires a millisecond late.
    #[tokio::test(start_paused = true)]
    async fn every_window_holds_the_allowance() {
        for allowance in [50.0, 100.0, 500.0, 1000.0] {
            for lateness in [0, 1] {
                let pace = Pace::new(allowance);
                let wanted = allowance as usize * 4;
                let sent = moments(&pace, Instant::now(), wanted, Duration::from_millis(lateness));
                assert!(busiest_window(&sent) <= allowance as usize, "{allowance}");
                let seconds = *sent.last().unwrap() as f64 / 1000.0;
                let used = wanted as f64 / (allowance * seconds / 10.0);
                assert!(used > 0.95, "{allowance}: {used}");
            }
        }
    }

    /// Even one request a window moves on.
    #[tokio::test(start_paused = true)]
    async fn the_smallest_allowance_still_sends() {
        let sent = moments(&Pace::new(0.5), Instant::now(), 3, Duration::ZERO);
        assert!(sent[2] < 100_000, "{sent:?}");
        assert!(busiest_window(&sent) <= 1);
    }

    /// Nothing is sent inside a pause, and nothing bursts after it.
    #[tokio::test(start_paused = true)]
    async fn a_pause_stops_everything() {
        let start = Instant::now();
        let pace = Pace::new(1000.0);
        assert!(pace.take(start).is_ok());
        pace.pause(start, Duration::from_secs(5));
        pace.pause(start, Duration::from_secs(1));
        let sent = moments(&pace, start, 100, Duration::ZERO);
        assert_eq!(sent[0], 5000);
        assert!(sent[99] >= 5000 + 95 * 10);
    }
}
