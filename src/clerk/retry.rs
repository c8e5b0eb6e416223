//! Decides how often and after how long a request is retried.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Bounds on the attempts at one request and on the waits between them.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Most attempts at one request that end in a fault (a 5xx, a broken connection, an unreadable body), the first
    /// included.
    pub attempts: u32,
    /// Most attempts at one request that are answered with 429. More than `attempts`, because a customer's own traffic
    /// may legitimately use up the limit for a while.
    pub rate_limited_attempts: u32,
    /// Upper bound of the first wait; it doubles with each attempt.
    pub base: Duration,
    /// Upper bound of any wait that the server did not ask for.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            rate_limited_attempts: 20,
            base: Duration::from_millis(250),
            cap: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// The wait after attempt number `attempt`, counted from 1: exponential back-off with full jitter. `random` is
    /// uniform in 0..1.
    #[must_use]
    pub fn wait(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(16);
        self.base.saturating_mul(1 << doublings).min(self.cap).mul_f64(random.clamp(0.0, 1.0))
    }
}

/// Longest `Retry-After` that is honoured. Clerk asks for seconds; one faulty header must not stop the snapshots for
/// more than a day.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses a `Retry-After` value: seconds, or an HTTP date relative to `now` (RFC 9110, section 10.2.3), at most
/// [`MAX_RETRY_AFTER`]. `None` for anything else, and if no time is left to wait: the caller then backs off.
#[must_use]
pub fn retry_after(value: &str, now: OffsetDateTime) -> Option<Duration> {
    parsed(value.trim(), now).filter(|wait| !wait.is_zero()).map(|wait| wait.min(MAX_RETRY_AFTER))
}

fn parsed(value: &str, now: OffsetDateTime) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs));
    }
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = OffsetDateTime::parse(value, &Rfc2822).ok()?;
    Duration::try_from(at - now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 6: every wait that the program chooses itself is bounded.
    #[test]
    fn waits_double_up_to_the_cap() {
        let policy = RetryPolicy::default();
        let longest: Vec<u128> = (1..=9).map(|n| policy.wait(n, 1.0).as_millis()).collect();
        assert_eq!(longest, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
        assert_eq!(policy.wait(u32::MAX, 1.0), policy.cap);
        assert_eq!(policy.wait(3, 0.0), Duration::ZERO);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = OffsetDateTime::from_unix_timestamp(1_445_412_480).unwrap();
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(" 0.5 ", now), Some(Duration::from_millis(500)));
        assert_eq!(
            retry_after("Wed, 21 Oct 2015 07:28:10 GMT", now),
            Some(Duration::from_secs(10))
        );
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:27:00 GMT", now), None);
        assert_eq!(retry_after("0", now), None);
        assert_eq!(retry_after("18446744073709551615", now), Some(MAX_RETRY_AFTER));
        assert_eq!(retry_after("99999999999999999999999", now), Some(MAX_RETRY_AFTER));
        for nonsense in ["", "soon", "-3", "NaN", "inf", "1e400"] {
            assert_eq!(retry_after(nonsense, now), None, "{nonsense}");
        }
    }
}
