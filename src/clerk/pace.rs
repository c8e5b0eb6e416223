//! Limits the request rate to the configured share of Clerk's limit, yields to the customer's own application, and
//! sends nothing during a Retry-After pause.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Length of the window in which Clerk counts requests (Clerk documentation, "Rate limits": 1000 or 100 requests per 10
/// seconds).
pub const WINDOW: Duration = Duration::from_secs(10);

/// Schedules requests at even intervals.
///
/// - Even spacing keeps *every* window of ten seconds within the allowance, wherever the server starts counting. A
///   token bucket, which can be emptied in one burst, does not.
/// - The limit is shared with the customer's application. A 429 means that both together reached it: the pace drops to
///   a fraction of what it was and recovers along a cubic curve, fast at first, flat around the rate at which the limit
///   was reached, then ever faster until it reaches the limit again or the full allowance.
#[derive(Debug)]
pub struct Pace {
    /// Interval between two requests when the whole allowance is used.
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The next free turn.
    next: Option<Instant>,
    /// Nothing is sent before this time, because the server asked for a pause.
    paused_until: Option<Instant>,
    /// Send times within the last window: the server still counts these requests.
    sent: VecDeque<Instant>,
    /// The last 429, until the pace has recovered from it.
    limit_hit: Option<LimitHit>,
}

/// The rate at which the limit was reached, and when.
#[derive(Debug, Clone, Copy)]
struct LimitHit {
    /// The share of the allowance that fitted below the limit.
    share: f64,
    /// When the recovery began. A 429 for a request sent before belongs to the same event.
    since: Instant,
}

/// How late a turn may be used without delaying the next one, so that late timers (they tick in milliseconds) do not
/// lower the rate. No more than this is caught up after a pause or a time without requests.
const CATCH_UP: Duration = Duration::from_millis(40);
/// Fraction of the allowance to aim for. The rest absorbs network jitter, which moves requests from one of the server's
/// windows into the next.
const AIM: f64 = 0.985;
/// Fraction that a 429 takes off the pace. With less, a customer who needs half of the limit would not notice; with
/// more, capacity that nobody asked for would be unused.
const YIELD: f64 = 0.3;
/// Time in which the pace returns to the rate at which it reached the limit: one window, because the server still
/// counts the requests sent in it.
const COME_BACK: Duration = WINDOW;
/// Share of the allowance that is added in the first `COME_BACK` after that. From half of the allowance, yielding
/// included, it takes 24 seconds to reach nine tenths.
const PROBE: f64 = 0.15;
/// Lowest share of the allowance. If someone else uses up the limit, the pace still tries now and then.
const LEAST: f64 = 0.01;

impl Pace {
    /// A pace of at most `allowance` requests in any window of ten seconds.
    #[must_use]
    pub fn new(allowance: f64) -> Self {
        // A window can have a request on each edge, so one less fits between them. Below two requests per window that
        // rule would stop everything.
        let spaced = (allowance - 1.0).max(allowance / 2.0) * AIM;
        Self {
            interval: WINDOW.div_f64(spaced.max(f64::MIN_POSITIVE)).min(WINDOW * 1000),
            state: Mutex::new(State {
                next: None,
                paused_until: None,
                sent: VecDeque::new(),
                limit_hit: None,
            }),
        }
    }

    /// Number of requests that the pace allows in `time`.
    #[must_use]
    pub fn requests_in(&self, time: Duration) -> f64 {
        time.div_duration_f64(self.interval)
    }

    /// What is left of a pause at `now`, if there is one.
    pub fn pause_left(&self, now: Instant) -> Option<Duration> {
        self.lock().paused_until?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Takes a turn for one request: `Ok` if it may be sent at `now`. Turns are given out first come, first served.
    ///
    /// # Errors
    /// [`NotYet`] with the time at which to ask again.
    pub fn take(&self, now: Instant) -> Result<(), NotYet> {
        let mut state = self.lock();
        if let Some(until) = state.paused_until {
            if now < until {
                return Err(NotYet { until, paused: true });
            }
            state.paused_until = None;
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

    /// Sends nothing for `wait` from `now` on. A longer pause that is already in force stays.
    pub fn pause(&self, now: Instant, wait: Duration) {
        self.lock().pause(now, wait);
    }

    /// Records a 429 at `now` for a request sent at `sent`. The pace yields once for all requests that reached the
    /// limit together, and pauses for `wait` if the server asked for it.
    pub fn refused(&self, sent: Instant, now: Instant, wait: Option<Duration>) {
        let mut state = self.lock();
        if state.limit_hit.is_none_or(|limit_hit| sent >= limit_hit.since) {
            // The requests sent in the last window fitted beside the customer's; the pace may have risen since. After a
            // pause that number says little.
            state.forget_sent(now);
            let had_room = self.interval.mul_f64(state.sent.len() as f64).div_duration_f64(WINDOW);
            let share = state.share(now);
            let share = had_room.clamp(share / 2.0, share);
            state.limit_hit = Some(LimitHit { share, since: now });
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
        if let Some(limit_hit) = &mut self.limit_hit {
            // While nothing is sent, nothing is learnt about the free capacity.
            limit_hit.since = limit_hit.since.max(until);
        }
    }

    fn forget_sent(&mut self, now: Instant) {
        while self.sent.front().is_some_and(|&sent| now - sent >= WINDOW) {
            self.sent.pop_front();
        }
    }

    /// The share of the allowance that may be used at `now`.
    fn share(&mut self, now: Instant) -> f64 {
        let Some(limit_hit) = self.limit_hit else { return 1.0 };
        let since = now.saturating_duration_since(limit_hit.since);
        let turns = since.as_secs_f64() / COME_BACK.as_secs_f64() - 1.0;
        let steepness = if turns < 0.0 { YIELD * limit_hit.share } else { PROBE };
        let share = limit_hit.share + steepness * turns.powi(3);
        if share >= 1.0 {
            self.limit_hit = None;
        }
        share.clamp(LEAST, 1.0)
    }
}

/// A request may not be sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotYet {
    /// The time at which to ask again.
    pub until: Instant,
    /// Whether a Retry-After pause is the reason, rather than the pace.
    pub paused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends as fast as the pace allows and returns the send times in milliseconds.
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

    /// No window of ten seconds ever holds more requests than the allowance, and at least 95 % of it is used, even if
    /// every timer fires a millisecond late.
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

    /// Even an allowance of one request per window makes progress.
    #[tokio::test(start_paused = true)]
    async fn the_smallest_allowance_still_sends() {
        let sent = moments(&Pace::new(0.5), Instant::now(), 3, Duration::ZERO);
        assert!(sent[2] < 100_000, "{sent:?}");
        assert!(busiest_window(&sent) <= 1);
    }

    /// Nothing is sent during a pause, and no burst follows it.
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

    /// One event lowers the pace once, however many requests got a 429. The pace then returns to where it was, stays
    /// there for a while, and recovers the full allowance.
    #[tokio::test(start_paused = true)]
    async fn the_pace_yields_once_to_a_refusal_and_recovers() {
        let start = Instant::now();
        let after = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let pace = Pace::new(1000.0);
        moments(&pace, start, 1000, Duration::ZERO);
        for late in 0..20 {
            let told = after(10.0 + f64::from(late) / 10.0);
            pace.refused(after(10.0), told, Some(Duration::from_secs(1)));
        }
        // Paused until second 13: a request sent before that belongs to the same event.
        pace.refused(after(11.0), after(13.5), None);
        let [low, half_way, back, recovered] =
            [12.9, 17.9, 22.9, 29.0].map(|at| share(&pace, after(at)));
        assert!((low - 0.7).abs() < 0.01, "{low}");
        assert!((half_way - 0.9625).abs() < 0.01, "{half_way}");
        assert!(back > 0.98 && recovered >= 1.0, "{back}, {recovered}");
    }

    /// The free capacity is measured by the requests sent in the last window, because the pace may have risen since.
    #[tokio::test(start_paused = true)]
    async fn the_pace_returns_to_the_free_capacity() {
        let pace = Pace::new(1000.0);
        let start = Instant::now();
        moments(&pace, start, 700, Duration::ZERO);
        let met = start + Duration::from_secs(10);
        pace.refused(met, met, None);
        let back = share(&pace, met + COME_BACK);
        assert!((back - 0.7).abs() < 0.02, "{back}");
        // Too few requests were sent to measure anything.
        let pace = Pace::new(1000.0);
        pace.refused(start, start, None);
        assert!((share(&pace, start + COME_BACK) - 0.5).abs() < 0.001);
    }

    #[tokio::test(start_paused = true)]
    async fn from_half_of_the_allowance_it_takes_less_than_half_a_minute_to_recover() {
        let start = Instant::now();
        for met in [0.1, 0.3, 0.5, 0.8] {
            let pace = Pace::new(1000.0);
            pace.lock().limit_hit = Some(LimitHit { share: met, since: start });
            let window = WINDOW.as_secs_f64();
            for tenth in 0..400 {
                let at = start + Duration::from_millis(tenth * 100);
                // Around the previous limit it probes gently: at most an eighth of a probe above it.
                if tenth as f64 / 10.0 <= 1.5 * window {
                    assert!(share(&pace, at) <= met + PROBE / 8.0 + 1e-9);
                }
            }
            pace.lock().limit_hit = Some(LimitHit { share: met, since: start });
            assert!(share(&pace, start + Duration::from_secs(29)) >= 0.9, "{met}");
        }
    }

    /// Even if every request is refused, the pace still tries now and then.
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
