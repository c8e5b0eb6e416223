//! Records the latency of each list: the best and the recent average.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Latencies by list, measured from sending a request until its answer is complete or abandoned. Waiting for a turn is
/// not included.
#[derive(Debug, Default)]
pub(super) struct Latencies(Mutex<HashMap<String, Latency>>);

/// The latency of one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// The shortest latency.
    pub best: Duration,
    /// Moving average in which the latest answer counts a quarter.
    pub recent: Duration,
}

impl Latency {
    /// The latency, but not below `shortest`.
    pub(super) fn at_least(self, shortest: Duration) -> Self {
        Self { best: self.best.max(shortest), recent: self.recent.max(shortest) }
    }
}

impl Latencies {
    pub(super) fn record(&self, list: &str, took: Duration) {
        let mut latencies = self.lock();
        if let Some(latency) = latencies.get_mut(list) {
            latency.best = latency.best.min(took);
            latency.recent = (latency.recent * 3 + took) / 4;
        } else {
            latencies.insert(list.to_owned(), Latency { best: took, recent: took });
        }
    }

    pub(super) fn of(&self, list: &str) -> Option<Latency> {
        self.lock().get(list).copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Latency>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_stays_and_the_recent_follows() {
        let latencies = Latencies::default();
        assert_eq!(latencies.of("/users"), None);
        for milliseconds in [100, 300, 300, 300, 300, 300, 300, 300] {
            latencies.record("/users", Duration::from_millis(milliseconds));
        }
        let users = latencies.of("/users").unwrap();
        assert_eq!(users.best, Duration::from_millis(100));
        assert!(users.recent > Duration::from_millis(250), "{users:?}");
    }
}
