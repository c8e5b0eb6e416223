//! The request rate: at most share × limit, less while the customer's own application needs the
//! room, and nothing inside a Retry-After pause.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Clerk counts requests in windows of this length
/// (Clerk documentation, "Rate limits": 1000 or 100 requests per 10 seconds).
pub const WINDOW: Duration = Duration::from_secs(10);

/// Hands out moments at which a request may be sent, evenly spaced.
///
/// Even spacing keeps *every* window of ten seconds within the allowance, wherever the server
/// starts counting, which a bucket that may be emptied in one burst does not.
///
/// The limit is shared with the customer's application. A 429 means that both together met it: the
/// pace falls to a part of what it was and comes back along a cubic, quickly at first, level around
/// where the limit was met, and then ever faster until it is met again or the allowance is reached.
#[derive(Debug)]
pub struct Pace {
    /// Between two requests when the whole allowance is used.
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The next moment not yet handed out.
    next: Option<Instant>,
    /// Nothing is sent before this moment: the server said so.
    paused_until: Option<Instant>,
    /// What was sent within the last window: the server still counts it.
    sent: VecDeque<Instant>,
    /// The last meeting with the limit, until the pace has recovered from it.
    met: Option<Met>,
}

/// A meeting with the limit.
#[derive(Debug, Clone, Copy)]
struct Met {
    /// The share of the allowance that there was room for.
    share: f64,
    /// When the pace began to come back. What was sent before belongs to the same meeting.
    since: Instant,
}

/// How far a moment may lie in the past and still be made up for, so that a late timer (they tick
/// in milliseconds) does not lower the rate.
const CATCH_UP: Duration = Duration::from_millis(40);
/// The part of the allowance that is aimed at: the rest absorbs the network's jitter, which moves
/// requests from one window of the server's into the next.
const AIM: f64 = 0.985;
/// What a 429 takes off the pace. Less is not noticed by a customer who needs half of the limit;
/// more leaves room unused that nobody asked for.
const YIELD: f64 = 0.3;
/// How long the pace takes back to where it met the limit: the server still counts what was sent
/// a window ago.
const COME_BACK: Duration = WINDOW;
/// What is added to the pace, as a share of the allowance, in the first `COME_BACK` after that. From
/// half of the allowance to nine tenths, yielding included, takes 24 seconds.
const PROBE: f64 = 0.15;
/// The least share of the allowance: someone else may use the limit up, and it is tried again.
const LEAST: f64 = 0.01;

impl Pace {
    /// A pace of at most `allowance` requests in any window of ten seconds.
    #[must_use]
    pub fn new(allowance: f64) -> Self {
        // One request can stand on each edge of a window, so one less fits between; below two
        // requests a window that rule would stop everything.
        let spaced = (allowance - 1.0).max(allowance / 2.0) * AIM;
        Self {
            interval: WINDOW.div_f64(spaced.max(f64::MIN_POSITIVE)).min(WINDOW * 1000),
            state: Mutex::new(State {
                next: None,
                paused_until: None,
                sent: VecDeque::new(),
                met: None,
            }),
        }
    }

    /// How many requests it lets through in a time.
    #[must_use]
    pub fn requests_in(&self, time: Duration) -> f64 {
        time.div_duration_f64(self.interval)
    }

    /// How much of a pause is left at `now`, if one is in force.
    pub fn pause_left(&self, now: Instant) -> Option<Duration> {
        self.lock().paused_until?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Takes the moment for one request: `Ok` when it may be sent at `now`, otherwise the moment
    /// to ask again at. Moments not yet reached are handed out first come, first served.
    ///
    /// # Errors
    /// [`NotYet`] with the moment to wait for.
    pub fn take(&self, now: Instant) -> Result<(), NotYet> {
        let mut state = self.lock();
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
        state.forget_sent(now);
        state.sent.push_back(now);
        state.next = Some(next.max(oldest) + self.interval.div_f64(state.share(now)));
        Ok(())
    }

    /// Nothing is sent for `wait` from `now` on. A longer pause already in force stays.
    pub fn pause(&self, now: Instant, wait: Duration) {
        self.lock().pause(now, wait);
    }

    /// A request sent at `sent` was answered 429 at `now`: the pace yields, once for all the
    /// requests that met the limit together, and pauses for as long as the server said.
    pub fn refused(&self, sent: Instant, now: Instant, wait: Option<Duration>) {
        let mut state = self.lock();
        if state.met.is_none_or(|met| sent >= met.since) {
            // What was sent in the last window had room beside the customer's requests; the pace
            // may have risen past that since. After a pause it says little.
            state.forget_sent(now);
            let had_room = self.interval.mul_f64(state.sent.len() as f64).div_duration_f64(WINDOW);
            let share = state.share(now);
            let share = had_room.clamp(share / 2.0, share);
            state.met = Some(Met { share, since: now });
        }
        if let Some(wait) = wait {
            state.pause(now, wait);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pause(&mut self, now: Instant, wait: Duration) {
        let until = self.paused_until.map_or(now + wait, |earlier| earlier.max(now + wait));
        self.paused_until = Some(until);
        if let Some(met) = &mut self.met {
            // Nothing is learnt about the room while nothing is sent.
            met.since = met.since.max(until);
        }
    }

    fn forget_sent(&mut self, now: Instant) {
        while self.sent.front().is_some_and(|&sent| now - sent >= WINDOW) {
            self.sent.pop_front();
        }
    }

    /// The share of the allowance that may be used at `now`.
    fn share(&mut self, now: Instant) -> f64 {
        let Some(met) = self.met else { return 1.0 };
        let since = now.saturating_duration_since(met.since);
        let turns = since.as_secs_f64() / COME_BACK.as_secs_f64() - 1.0;
        let steepness = if turns < 0.0 { YIELD * met.share } else { PROBE };
        let share = met.share + steepness * turns.powi(3);
        if share >= 1.0 {
            self.met = None;
        }
        share.clamp(LEAST, 1.0)
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

    fn share(pace: &Pace, at: Instant) -> f64 {
        pace.lock().share(at)
    }

    /// One meeting with the limit takes a part off the pace, however many requests met it, and the
    /// pace comes back to where it was, stays about there, and then recovers the allowance.
    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_yielded_to_once_and_recovered_from() {
        let start = Instant::now();
        let after = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let pace = Pace::new(1000.0);
        moments(&pace, start, 1000, Duration::ZERO);
        for late in 0..20 {
            let told = after(10.0 + f64::from(late) / 10.0);
            pace.refused(after(10.0), told, Some(Duration::from_secs(1)));
        }
        // Paused until the thirteenth second; sent before, that is no other meeting.
        pace.refused(after(11.0), after(13.5), None);
        let [low, half_way, back, recovered] =
            [12.9, 17.9, 22.9, 29.0].map(|at| share(&pace, after(at)));
        assert!((low - 0.7).abs() < 0.01, "{low}");
        assert!((half_way - 0.9625).abs() < 0.01, "{half_way}");
        assert!(back > 0.98 && recovered >= 1.0, "{back}, {recovered}");
    }

    /// What there was room for is what was sent in the last window: the pace may have risen since.
    #[tokio::test(start_paused = true)]
    async fn the_pace_comes_back_to_what_there_was_room_for() {
        let pace = Pace::new(1000.0);
        let start = Instant::now();
        moments(&pace, start, 700, Duration::ZERO);
        let met = start + Duration::from_secs(10);
        pace.refused(met, met, None);
        let back = share(&pace, met + COME_BACK);
        assert!((back - 0.7).abs() < 0.02, "{back}");
        // Hardly anything was sent: that is no measure.
        let pace = Pace::new(1000.0);
        pace.refused(start, start, None);
        assert!((share(&pace, start + COME_BACK) - 0.5).abs() < 0.001);
    }

    #[tokio::test(start_paused = true)]
    async fn from_half_of_the_allowance_it_takes_less_than_half_a_minute_to_recover() {
        let start = Instant::now();
        for met in [0.1, 0.3, 0.5, 0.8] {
            let pace = Pace::new(1000.0);
            pace.lock().met = Some(Met { share: met, since: start });
            let window = WINDOW.as_secs_f64();
            for tenth in 0..400 {
                let at = start + Duration::from_millis(tenth * 100);
                // Around the limit met it probes gently: at most an eighth of a probe above it.
                if tenth as f64 / 10.0 <= 1.5 * window {
                    assert!(share(&pace, at) <= met + PROBE / 8.0 + 1e-9);
                }
            }
            pace.lock().met = Some(Met { share: met, since: start });
            assert!(share(&pace, start + Duration::from_secs(29)) >= 0.9, "{met}");
        }
    }

    /// Refused for ever, it still tries now and then.
    #[tokio::test(start_paused = true)]
    async fn the_pace_does_not_fall_to_nothing() {
        let mut now = Instant::now();
        let pace = Pace::new(1000.0);
        for _ in 0..100 {
            now += Duration::from_secs(1);
            pace.refused(now, now, None);
        }
        assert!((share(&pace, now) - LEAST).abs() < 1e-9);
        assert!(pace.take(now).is_ok());
        let next = pace.take(now).unwrap_err().until - now;
        assert!(next < Duration::from_secs(2), "{next:?}");
    }
}
