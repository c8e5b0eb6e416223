//! Enforces the instance's request limit over a sliding window.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The window for which Clerk states its limits.
const CLERK_WINDOW: Duration = Duration::from_secs(10);

/// The limit, its use by the reader and the customer, and the busiest window so far.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    limit: Option<Limit>,
    /// Accepted requests within the limit's window, including the customer's.
    accepted: VecDeque<Instant>,
    /// All requests of the last ten seconds, except the customer's.
    arrivals: VecDeque<Instant>,
    busiest: usize,
    refused: u64,
    customer: Option<Customer>,
    customer_requests: u64,
    customer_refused: u64,
}

#[derive(Debug, Clone, Copy)]
struct Limit {
    requests: usize,
    per: Duration,
    names_retry_after: bool,
}

/// The customer's own application, whose requests count in the same window. They are generated lazily when the reader's
/// next request arrives, which has the same effect.
#[derive(Debug)]
struct Customer {
    /// The mean time between two requests.
    gap: Duration,
    next: Instant,
    random: fastrand::Rng,
}

/// A request was refused by the limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Whole seconds until a request fits again, at least 1; `None` if the server does not state it.
    pub(crate) retry_after_seconds: Option<u64>,
}

impl Limits {
    pub(crate) fn set(&mut self, requests: usize, per: Duration, names_retry_after: bool) {
        self.limit = Some(Limit { requests, per, names_retry_after });
    }

    /// Removes the limit. A limit set later starts counting from zero.
    pub(crate) fn lift(&mut self) {
        self.limit = None;
        self.accepted.clear();
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    pub(crate) fn busiest(&self) -> usize {
        self.busiest
    }

    /// From `now` on, the customer sends this many requests in ten seconds, at random times.
    pub(crate) fn set_customer(&mut self, now: Instant, requests_per_10s: usize) {
        self.serve_customer(now);
        let seed = self.customer_requests;
        self.customer = (requests_per_10s > 0).then(|| {
            let gap = CLERK_WINDOW.div_f64(requests_per_10s as f64);
            Customer { gap, next: now + gap, random: fastrand::Rng::with_seed(seed) }
        });
    }

    /// Number of requests that the customer has sent until `now`, and how many of them were refused.
    pub(crate) fn customer(&mut self, now: Instant) -> (u64, u64) {
        self.serve_customer(now);
        (self.customer_requests, self.customer_refused)
    }

    /// Counts a request and decides whether it is served. Refused requests do not count towards the limit.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Refused> {
        self.serve_customer(now);
        forget(&mut self.arrivals, now, CLERK_WINDOW);
        self.arrivals.push_back(now);
        self.busiest = self.busiest.max(self.arrivals.len());
        let admitted = self.find_room(now);
        self.refused += u64::from(admitted.is_err());
        admitted
    }

    fn serve_customer(&mut self, now: Instant) {
        let Some(mut customer) = self.customer.take() else { return };
        while customer.next <= now {
            self.customer_requests += 1;
            self.customer_refused += u64::from(self.find_room(customer.next).is_err());
            // Independent arrivals: the gaps between them have an exponential distribution.
            let gap = customer.gap.mul_f64(-(1.0 - customer.random.f64()).ln());
            customer.next += gap.max(Duration::from_nanos(1));
        }
        self.customer = Some(customer);
    }

    fn find_room(&mut self, now: Instant) -> Result<(), Refused> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        forget(&mut self.accepted, now, limit.per);
        if self.accepted.len() < limit.requests {
            self.accepted.push_back(now);
            return Ok(());
        }
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

    #[tokio::test(start_paused = true)]
    async fn the_customers_requests_count_in_the_same_window() {
        let mut limits = Limits::default();
        limits.set(100, Duration::from_secs(10), true);
        limits.set_customer(Instant::now(), 80);
        tokio::time::advance(Duration::from_secs(100)).await;
        let served = (0..100).filter(|_| limits.admit(Instant::now()).is_ok()).count();
        assert!((10..30).contains(&served), "{served} places were left");
        let (sent, refused) = limits.customer(Instant::now());
        assert!((700..900).contains(&sent) && refused < sent / 10, "{refused} of {sent}");
        limits.set_customer(Instant::now(), 0);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(limits.customer(Instant::now()), (sent, refused));
        assert_eq!(limits.busiest(), 100);
    }
}
