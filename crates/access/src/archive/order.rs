//! Puts snapshots in order, the newest first.

use std::cmp::Reverse;

use clerk_snapshot::manifest::Manifest;
use clerk_snapshot::timestamp::Timestamp;

/// When a snapshot was made: the start of its run, and its completion, then its id, which begins with the second of the
/// start and says nothing about the order within it.
pub type Made = (Timestamp, Timestamp, String);

/// When a snapshot was made, by its manifest.
#[must_use]
pub fn made(manifest: &Manifest) -> Made {
    (manifest.started_at, manifest.completed_at, manifest.snapshot_id.clone())
}

/// When a snapshot was made, by its id alone: for one whose manifest cannot be read.
#[must_use]
pub fn made_by_id(id: &str) -> Made {
    let second = started_at(id).unwrap_or_else(|| Timestamp::from(std::time::UNIX_EPOCH));
    (second, second, id.to_owned())
}

/// The second in which the run of the snapshot of this id began; `None` if the id has no time in it.
#[must_use]
pub fn started_at(id: &str) -> Option<Timestamp> {
    let part = |range: std::ops::Range<usize>| id.get(range);
    let date = [part(0..4)?, part(4..6)?, part(6..8)?].join("-");
    let time = [part(9..11)?, part(11..13)?, part(13..15)?].join(":");
    format!("{date}T{time}Z").parse().ok()
}

/// All snapshots, newest first. The published ones come in the order of their chain, newest first, and keep it; the
/// others take their places among them by `made`.
pub fn newest_first<T>(published: Vec<T>, mut others: Vec<T>, made: impl Fn(&T) -> Made) -> Vec<T> {
    others.sort_by_cached_key(|it| Reverse(made(it)));
    let mut others = others.into_iter().peekable();
    let mut all = Vec::with_capacity(published.len() + others.len());
    for next in published {
        let its = made(&next);
        while let Some(newer) = others.next_if(|other| made(other) > its) {
            all.push(newer);
        }
        all.push(next);
    }
    all.extend(others);
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn at(second: i64, id: &str) -> Made {
        let time = Timestamp::from_unix_millis(second * 1000).unwrap();
        (time, time, id.to_owned())
    }

    // Promise: published snapshots keep the order in which they were published, also if a clock was set back, and the
    // others stand among them by time.
    #[test]
    fn the_chain_keeps_its_order() {
        let published = vec![at(10, "c"), at(30, "b"), at(5, "a")];
        let others = vec![at(7, "y"), at(40, "z"), at(1, "x"), at(7, "w")];
        let ids: Vec<String> =
            newest_first(published, others, Clone::clone).into_iter().map(|it| it.2).collect();
        assert_eq!(ids, ["z", "c", "b", "y", "w", "a", "x"]);
    }

    #[test]
    fn an_id_begins_with_the_second_of_its_start() {
        let started: Timestamp = "2026-11-20T12:00:59Z".parse().unwrap();
        assert_eq!(started_at("20261120T120059Z-3f9a1c"), Some(started));
        for none in ["", "2026", "20261399T120059Z-3f9a1c"] {
            assert_eq!(started_at(none), None, "{none}");
        }
    }
}
