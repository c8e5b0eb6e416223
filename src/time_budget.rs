//! The time that an invocation may still work.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The time that an invocation may still work.
///
/// It ends at the earlier of two times: `TIME_BUDGET_SECONDS` after the start, and
/// `DEADLINE_RESERVE_SECONDS` before Lambda's deadline. With neither it never ends. It is measured
/// in monotonic time, so setting the machine's clock does not move it.
#[derive(Clone, Copy, Debug)]
pub struct TimeBudget {
    ends: Option<Instant>,
}

impl TimeBudget {
    /// The budget of an invocation that began at `started`.
    ///
    /// - `deadline_in`: the time from `started` to Lambda's deadline; the last `reserve` of it is
    ///   kept to flush and checkpoint. `None` if there is no deadline or it is unknown (see
    ///   [`time_until_deadline`]).
    /// - `configured`: the time to work, from the event or from `TIME_BUDGET_SECONDS`; the reserve
    ///   is not subtracted from it. `None` sets no limit.
    #[must_use]
    pub fn new(
        started: Instant,
        deadline_in: Option<Duration>,
        reserve: Duration,
        configured: Option<Duration>,
    ) -> Self {
        let before_deadline = deadline_in.map(|left| left.saturating_sub(reserve));
        let allowed = match (before_deadline, configured) {
            (Some(left), Some(configured)) => Some(left.min(configured)),
            (one, other) => one.or(other),
        };
        Self {
            // A budget too long for the clock to express is no limit.
            ends: allowed.and_then(|allowed| started.checked_add(allowed)),
        }
    }

    /// A budget that never ends.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { ends: None }
    }

    /// When it ends; `None` if there is no limit.
    #[must_use]
    pub const fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// The time left, zero once the budget is spent; `None` if there is no limit.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.ends.map(|ends| ends.saturating_duration_since(Instant::now()))
    }

    /// Whether no time is left.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    /// Whether some time would be left after `wait`. If not, the caller pauses the run instead of
    /// waiting.
    #[must_use]
    pub fn allows(&self, wait: Duration) -> bool {
        self.remaining().is_none_or(|left| wait < left)
    }

    /// Returns once the budget is spent: at once if it is, never if there is no limit.
    pub async fn until_spent(&self) {
        match self.ends {
            Some(ends) => tokio::time::sleep_until(ends).await,
            None => std::future::pending().await,
        }
    }
}

/// The time from `now` to Lambda's `deadline`. `None`, meaning unknown, if the deadline is not in
/// the future: local emulators send one near 1970.
#[must_use]
pub fn time_until_deadline(deadline: SystemTime, now: SystemTime) -> Option<Duration> {
    deadline.duration_since(now).ok().filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const RESERVE: Duration = Duration::from_secs(20);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn ends_at_the_earlier_of_the_two_limits() {
        let budget = |deadline_in, configured| {
            TimeBudget::new(Instant::now(), deadline_in, RESERVE, configured).remaining()
        };
        assert_eq!(budget(None, None), None);
        assert_eq!(budget(Some(seconds(900)), None), Some(seconds(880)));
        assert_eq!(budget(None, Some(seconds(60))), Some(seconds(60)));
        assert_eq!(budget(Some(seconds(900)), Some(seconds(60))), Some(seconds(60)));
        assert_eq!(budget(Some(seconds(70)), Some(seconds(60))), Some(seconds(50)));
        assert_eq!(budget(Some(seconds(10)), None), Some(Duration::ZERO));
        assert_eq!(budget(None, Some(Duration::MAX)), None);
    }

    // Promise 6: every wait is bounded by the budget.
    #[tokio::test(start_paused = true)]
    async fn allows_a_wait_only_if_time_is_left_after_it() {
        let budget = TimeBudget::new(Instant::now(), None, RESERVE, Some(seconds(10)));
        assert!(budget.allows(seconds(9)));
        assert!(!budget.allows(seconds(10)));
        tokio::time::advance(seconds(4)).await;
        assert!(!budget.allows(seconds(9)));
        assert!(budget.allows(seconds(5)));
        assert!(TimeBudget::unlimited().allows(Duration::MAX));
    }

    #[tokio::test(start_paused = true)]
    async fn is_spent_when_its_time_has_passed() {
        let started = Instant::now();
        let budget = TimeBudget::new(started, None, RESERVE, Some(seconds(10)));
        assert!(!budget.is_spent());
        budget.until_spent().await;
        assert_eq!(started.elapsed(), seconds(10));
        assert!(budget.is_spent());
        assert!(!budget.allows(Duration::ZERO));
        assert_eq!(budget.remaining(), Some(Duration::ZERO));

        let empty = TimeBudget::new(Instant::now(), None, RESERVE, Some(Duration::ZERO));
        assert!(empty.is_spent());
        empty.until_spent().await;
        assert!(!TimeBudget::unlimited().is_spent());
    }

    #[tokio::test(start_paused = true)]
    async fn an_unlimited_budget_is_never_spent() {
        let waited =
            tokio::time::timeout(seconds(1_000_000), TimeBudget::unlimited().until_spent()).await;
        assert!(waited.is_err());
    }

    // docs/reference.md, `DEADLINE_RESERVE_SECONDS`: a deadline in the past counts as unknown.
    #[test]
    fn a_deadline_in_the_past_is_unknown() {
        let now = UNIX_EPOCH + seconds(1_795_176_000);
        let emulator = UNIX_EPOCH + seconds(600);
        assert_eq!(time_until_deadline(emulator, now), None);
        assert_eq!(time_until_deadline(now, now), None);
        assert_eq!(time_until_deadline(now + seconds(900), now), Some(seconds(900)));
    }
}
