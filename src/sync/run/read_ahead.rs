//! How far an invocation may run ahead of what is stored: as far as the pace needs while pages are asked for
//! and stored, so that a kill costs no more than that; and never further than there is memory for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Pages stored by this invocation and the largest of them, and what follows from that.
#[derive(Debug)]
pub struct ReadAhead {
    stored: AtomicUsize,
    /// Bytes of its lines.
    largest: AtomicUsize,
    /// How long the latest stores took, newest first.
    storing: Mutex<VecDeque<Duration>>,
    /// How many are being stored.
    stores: AtomicUsize,
    most: usize,
    grown: Notify,
}

/// Pages that may be lost to a kill at any time.
pub(crate) const ALWAYS: usize = 2;

/// Most bytes of lines that the pages of one list may become that are under way: 88 pages of users whose
/// lines take 1.1 MiB a page.
const MOST_UNDER_WAY: usize = 96 * 1024 * 1024;
/// How many of the latest stores are remembered.
const LATEST_STORES: usize = 8;
/// One page more is stored together with others for so many stored.
const STORED_PER_PAGE_TOGETHER: usize = 16;
/// Most pages stored together, so that reading them again stays cheap.
const MOST_TOGETHER: usize = 32;
/// Most walks of a list that gather pages: each holds compressors meanwhile, and what they have compressed, a
/// mebibyte of memory. Where there are more, each page is stored by itself.
const MOST_GATHERING: usize = 16;

impl ReadAhead {
    /// Nothing is stored yet; never more than `most` pages of a list are asked for ahead.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            stored: AtomicUsize::new(0),
            largest: AtomicUsize::new(1),
            storing: Mutex::default(),
            stores: AtomicUsize::new(0),
            most: most.max(1),
            grown: Notify::new(),
        }
    }

    /// A page became lines of so many bytes.
    pub fn note_page(&self, bytes: usize) {
        self.largest.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Pages are about to be stored.
    pub fn note_storing(&self) {
        self.stores.fetch_add(1, Ordering::Relaxed);
    }

    /// How often pages are being stored at present.
    #[must_use]
    pub fn stores(&self) -> usize {
        self.stores.load(Ordering::Relaxed)
    }

    /// `pages` that were about to be stored are, which took so long.
    pub fn note_stored(&self, pages: usize, took: Duration) {
        self.stores.fetch_sub(1, Ordering::Relaxed);
        self.stored.fetch_add(pages, Ordering::Relaxed);
        let mut latest = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        latest.truncate(LATEST_STORES - 1);
        latest.push_front(took);
        drop(latest);
        self.grown.notify_waiters();
    }

    /// How long it takes to store pages: the mean of the latest.
    #[must_use]
    pub fn storing(&self) -> Duration {
        let latest = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        latest.iter().sum::<Duration>() / latest.len().max(1) as u32
    }

    /// How long it takes to store pages if they do not wait for each other: at most 1.5 times the fastest of the latest
    /// stores. If stores that wait for each other counted in full, more pages would seem to be needed the longer they
    /// wait.
    #[must_use]
    pub fn storing_unhindered(&self) -> Duration {
        let latest = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let least = latest.iter().min().copied().unwrap_or_default();
        drop(latest);
        self.storing().min(least * 3 / 2)
    }

    /// Most pages of one list that may be under way, where so many are `needed` to keep the pace.
    #[must_use]
    pub fn allowed(&self, needed: usize) -> usize {
        let there_is_room = MOST_UNDER_WAY / self.largest.load(Ordering::Relaxed);
        (needed + ALWAYS).min(self.most).min(there_is_room.max(1))
    }

    /// How many pages are worth storing together by each of `walks` that go on side by side.
    #[must_use]
    pub fn pages_together(&self, walks: usize) -> usize {
        if walks > MOST_GATHERING {
            return 1;
        }
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

    /// What is asked for ahead is what the pace needs and two pages more; what is stored together is a share
    /// of what is safe.
    #[test]
    fn what_is_at_stake_follows_the_pace_and_what_is_safe() {
        let read_ahead = ReadAhead::new(32);
        for needed in 0..30 {
            assert_eq!(read_ahead.allowed(needed), needed + 2);
        }
        assert_eq!(read_ahead.allowed(1000), 32);
        for safe in 0..1000 {
            assert!(read_ahead.pages_together(1) <= (safe / 16).max(1), "{safe}");
            assert!(read_ahead.pages_together(32) <= read_ahead.pages_together(1));
            read_ahead.note_storing();
            read_ahead.note_stored(1, Duration::ZERO);
        }
        assert_eq!((read_ahead.pages_together(1), read_ahead.pages_together(17)), (32, 1));
    }

    /// Of pages of 14 MB few are under way, however many the pace needs.
    #[test]
    fn large_pages_are_few() {
        let read_ahead = ReadAhead::new(32);
        read_ahead.note_storing();
        read_ahead.note_stored(1000, Duration::ZERO);
        read_ahead.note_page(300_000);
        assert_eq!(read_ahead.allowed(1000), 32);
        read_ahead.note_page(14_000_000);
        read_ahead.note_page(300_000);
        assert_eq!(read_ahead.allowed(1000), 7);
    }
}
