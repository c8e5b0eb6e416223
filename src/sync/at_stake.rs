//! How far an invocation may run ahead of what is stored: little at first, so that a kill costs
//! little; a share of what is safe later, so that a long run fills the rate; and never more than
//! there is memory for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Pages stored by this invocation and the largest of them, and what follows from that.
#[derive(Debug)]
pub struct AtStake {
    stored: AtomicUsize,
    /// Bytes of its lines.
    largest: AtomicUsize,
    /// How long the latest ones took to be stored, in microseconds.
    storing: AtomicU64,
    most: usize,
    grown: Notify,
}

/// Pages that may be lost to a kill at any time.
const ALWAYS: usize = 2;
/// Pages stored before more are put at stake.
const CAREFUL: usize = 8;
/// One page more is asked for ahead for so many stored.
const STORED_PER_PAGE_AHEAD: usize = 3;
/// Most bytes of lines of one list that wait for their turn to be stored: 27 pages of usual users, or
/// 14 of memberships with many permissions.
pub(super) const MOST_WAITING: usize = 16 * 1024 * 1024;
/// One page more is stored together with others for so many stored.
const STORED_PER_PAGE_TOGETHER: usize = 16;
/// Most pages stored together, so that reading them again stays cheap.
const MOST_TOGETHER: usize = 32;

impl AtStake {
    /// Nothing is stored yet; never more than `most` pages of a list are asked for ahead.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            stored: AtomicUsize::new(0),
            largest: AtomicUsize::new(1),
            storing: AtomicU64::new(0),
            most: most.max(ALWAYS),
            grown: Notify::new(),
        }
    }

    /// A page became lines of so many bytes.
    pub fn note_page(&self, bytes: usize) {
        self.largest.fetch_max(bytes, Ordering::Relaxed);
    }

    /// `pages` more are stored, which took so long.
    pub fn note_stored(&self, pages: usize, took: Duration) {
        self.stored.fetch_add(pages, Ordering::Relaxed);
        self.storing.store(took.as_micros() as u64, Ordering::Relaxed);
        self.grown.notify_waiters();
    }

    /// How long it takes to store pages.
    #[must_use]
    pub fn storing(&self) -> Duration {
        Duration::from_micros(self.storing.load(Ordering::Relaxed))
    }

    /// Most pages of one list that may be asked for and not yet stored.
    #[must_use]
    pub fn allowed(&self) -> usize {
        let safe = self.stored.load(Ordering::Relaxed).saturating_sub(CAREFUL);
        let there_is_room = MOST_WAITING / self.largest.load(Ordering::Relaxed);
        // Of the largest pages there is room for one.
        let always = ALWAYS.min(there_is_room).max(1);
        (safe / STORED_PER_PAGE_AHEAD).min(there_is_room).clamp(always, self.most)
    }

    /// How many pages are worth storing together by each of `walks` that go on side by side.
    #[must_use]
    pub fn pages_together(&self, walks: usize) -> usize {
        let safe = self.stored.load(Ordering::Relaxed) / STORED_PER_PAGE_TOGETHER;
        (safe / walks.max(1)).clamp(1, MOST_TOGETHER)
    }

    /// Returns when more has been stored than when it was first polled.
    pub async fn grown(&self) {
        self.grown.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kill early in an invocation costs two pages of a list, and one at any later time a share of
    /// what is safe.
    #[test]
    fn what_is_at_stake_follows_what_is_safe() {
        let at_stake = AtStake::new(32);
        for safe in 0..1000 {
            assert!(at_stake.allowed() <= (safe / 3).max(2), "{safe}");
            assert!(at_stake.pages_together(1) <= (safe / 16).max(1), "{safe}");
            assert!(at_stake.pages_together(32) <= at_stake.pages_together(1));
            at_stake.note_stored(1, Duration::ZERO);
        }
        assert_eq!((at_stake.allowed(), at_stake.pages_together(1)), (32, 32));
    }

    /// Pages of 14 MB are asked for one at a time, however much is stored.
    #[test]
    fn large_pages_are_few() {
        let at_stake = AtStake::new(32);
        at_stake.note_stored(1000, Duration::ZERO);
        at_stake.note_page(300_000);
        assert_eq!(at_stake.allowed(), 32);
        at_stake.note_page(14_000_000);
        at_stake.note_page(300_000);
        assert_eq!(at_stake.allowed(), 1);
    }
}
