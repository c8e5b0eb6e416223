//! How long each list takes to answer, and how long it took when it answered best.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Measured from sending a request to the end of its answer, or to giving it up; waits for a turn
/// are not in it.
#[derive(Debug, Default)]
pub(super) struct Latencies(Mutex<HashMap<String, Latency>>);

/// The latency of one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// The shortest.
    pub best: Duration,
    /// The mean of late, in which the latest counts a quarter.
    pub recent: Duration,
}

impl Latencies {
    pub(super) fn note(&self, path: &str, took: Duration) {
        let mut latencies = self.lock();
        let first = Latency { best: took, recent: took };
        latencies
            .entry(kind(path))
            .and_modify(|latency| {
                latency.best = latency.best.min(took);
                latency.recent = (latency.recent * 3 + took) / 4;
            })
            .or_insert(first);
    }

    pub(super) fn of(&self, path: &str) -> Option<Latency> {
        self.lock().get(&kind(path)).copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Latency>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path without the ids in it: `/organizations/…/memberships` is one kind.
fn kind(path: &str) -> String {
    match path.trim_start_matches('/').split_once('/') {
        None => path.to_owned(),
        Some((first, rest)) => {
            let last = rest.rsplit('/').next().unwrap_or_default();
            format!("/{first}/…/{last}")
        }
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
            latencies.note("/users", Duration::from_millis(milliseconds));
        }
        let users = latencies.of("/users").unwrap();
        assert_eq!(users.best, Duration::from_millis(100));
        assert!(users.recent > Duration::from_millis(250), "{users:?}");
    }

    #[test]
    fn the_parts_of_a_list_are_one_kind() {
        let latencies = Latencies::default();
        latencies.note("/organizations/org_1/memberships", Duration::from_millis(5));
        assert!(latencies.of("/organizations/org_2/memberships").is_some());
        assert!(latencies.of("/organizations").is_none());
        assert!(latencies.of("/users/count").is_none());
    }
}
