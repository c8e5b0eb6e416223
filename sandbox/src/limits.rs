//! The instance's request limit, over a sliding window.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The span over which Clerk states its limits.
const CLERK_WINDOW: Duration = Duration::from_secs(10);

/// A limit, what was used of it, and the busiest span seen.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    limit: Option<Limit>,
    /// Accepted requests within the limit's window.
    accepted: VecDeque<Instant>,
    /// All requests of the last ten seconds.
    arrivals: VecDeque<Instant>,
    busiest: usize,
    refused: u64,
}

#[derive(Debug, Clone, Copy)]
struct Limit {
    requests: usize,
    per: Duration,
    names_retry_after: bool,
}

/// A request beyond the limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Whole seconds until there is room again, at least 1; `None` when the server does not say.
    pub(crate) retry_after_seconds: Option<u64>,
}

impl Limits {
    pub(crate) fn set(&mut self, requests: usize, per: Duration, names_retry_after: bool) {
        self.limit = Some(Limit { requests, per, names_retry_after });
    }

    pub(crate) fn lift(&mut self) {
        self.limit = None;
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    pub(crate) fn busiest(&self) -> usize {
        self.busiest
    }

    /// Counts a request and says whether it is served. Refused requests use up nothing.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Refused> {
        forget(&mut self.arrivals, now, CLERK_WINDOW);
        self.arrivals.push_back(now);
        self.busiest = self.busiest.max(self.arrivals.len());
        let Some(limit) = self.limit else {
            return Ok(());
        };
        forget(&mut self.accepted, now, limit.per);
        if self.accepted.len() < limit.requests {
            self.accepted.push_back(now);
            return Ok(());
        }
        self.refused += 1;
        let free_at = self.accepted.front().map_or(now + limit.per, |first| *first + limit.per);
        let wait = free_at.saturating_duration_since(now);
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Err(Refused { retry_after_seconds: limit.names_retry_after.then_some(seconds.max(1)) })
    }
}

fn forget(moments: &mut VecDeque<Instant>, now: Instant, window: Duration) {
    while moments.front().is_some_and(|first| now.saturating_duration_since(*first) >= window) {
        moments.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn never_more_than_the_limit_in_any_window() {
        let mut limits = Limits::default();
        limits.set(3, Duration::from_secs(10), true);
        for _ in 0..3 {
            assert_eq!(limits.admit(Instant::now()), Ok(()));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(limits.admit(Instant::now()), Err(Refused { retry_after_seconds: Some(7) }));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(limits.admit(Instant::now()), Ok(()));
        assert_eq!((limits.refused(), limits.busiest()), (1, 4));
    }
}
