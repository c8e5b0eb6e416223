//! How many pages an invocation may read ahead of what is stored.
//!
//! - Enough pages to fill the rate limit while pages are requested and stored. If the process is
//!   killed, no more than these are requested again.
//! - Never more than fit into memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Statistics of the pages that this invocation has stored, and the limits that follow from them.
#[derive(Debug)]
pub struct ReadAhead {
    /// Pages stored.
    stored: AtomicUsize,
    /// Bytes of the lines of the largest page.
    largest: AtomicUsize,
    /// How long the latest writes of pages to the store took, newest first.
    storing: Mutex<VecDeque<Duration>>,
    /// Such writes in progress.
    stores: AtomicUsize,
    /// Most pages of a list to read ahead.
    most: usize,
    /// Notified when such a write has ended, and the limits may have grown.
    grown: Notify,
}

/// Pages that may be read ahead at any time, however few fill the rate limit.
pub(crate) const MINIMUM: usize = 2;

/// Most bytes of lines of the pages of one list that are in flight or not stored yet: 88 pages of
/// users, at 1.1 MiB of lines a page.
const MAX_UNDER_WAY: usize = 96 * 1024 * 1024;
/// How many of the latest writes are averaged.
const LATEST_WRITES: usize = 8;
/// The number of pages that are stored together grows by one for every 16 pages that have been
/// stored.
const STORED_PER_EXTRA_PAGE: usize = 16;
/// Most pages stored together, so that reading them again after a kill stays cheap.
const MAX_TOGETHER: usize = 32;
/// Most walks of a list that collect pages: each of them holds compressors and their output, 1 MiB
/// of memory. If there are more walks, each page is stored by itself.
const MAX_COLLECTING: usize = 16;

impl ReadAhead {
    /// No page is stored yet. `most` is the most pages of a list to read ahead.
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

    /// A page became this many bytes of lines.
    pub fn note_page(&self, bytes: usize) {
        self.largest.fetch_max(bytes, Ordering::Relaxed);
    }

    /// A store begins.
    pub fn note_storing(&self) {
        self.stores.fetch_add(1, Ordering::Relaxed);
    }

    /// Stores in progress.
    #[must_use]
    pub fn stores(&self) -> usize {
        self.stores.load(Ordering::Relaxed)
    }

    /// A store of `pages` pages has ended, and `took` this long.
    pub fn note_stored(&self, pages: usize, took: Duration) {
        self.stores.fetch_sub(1, Ordering::Relaxed);
        self.stored.fetch_add(pages, Ordering::Relaxed);
        let mut latest = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        latest.truncate(LATEST_WRITES - 1);
        latest.push_front(took);
        drop(latest);
        self.grown.notify_waiters();
    }

    /// How long a store takes: the mean of the latest ones.
    #[must_use]
    pub fn storing(&self) -> Duration {
        let latest = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        latest.iter().sum::<Duration>() / latest.len().max(1) as u32
    }

    /// How long a store takes without waiting for others: at most 1.5 times the fastest of the
    /// latest ones. If the wait counted in full, more pages would seem to be needed the longer
    /// stores wait, and they would wait longer.
    #[must_use]
    pub fn storing_unhindered(&self) -> Duration {
        let latest = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let least = latest.iter().min().copied().unwrap_or_default();
        drop(latest);
        self.storing().min(least * 3 / 2)
    }

    /// Most pages of one list that may be in flight or not stored, if `needed` of them fill the
    /// rate limit.
    #[must_use]
    pub fn limit(&self, needed: usize) -> usize {
        let that_fit = MAX_UNDER_WAY / self.largest.load(Ordering::Relaxed);
        (needed + MINIMUM).min(self.most).min(that_fit.max(1))
    }

    /// How many pages each of `walks` concurrent walks should store together.
    #[must_use]
    pub fn pages_together(&self, walks: usize) -> usize {
        if walks > MAX_COLLECTING {
            return 1;
        }
        let safe = self.stored.load(Ordering::Relaxed) / STORED_PER_EXTRA_PAGE;
        (safe / walks.max(1)).clamp(1, MAX_TOGETHER)
    }

    /// Returns when a store has ended since it was first polled.
    pub async fn grown(&self) {
        self.grown.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit is what fills the rate limit and two pages more; the pages stored together are a
    /// share of those already stored.
    #[test]
    fn the_limit_follows_the_rate_and_what_is_stored() {
        let read_ahead = ReadAhead::new(32);
        for needed in 0..30 {
            assert_eq!(read_ahead.limit(needed), needed + 2);
        }
        assert_eq!(read_ahead.limit(1000), 32);
        for safe in 0..1000 {
            assert!(read_ahead.pages_together(1) <= (safe / 16).max(1), "{safe}");
            assert!(read_ahead.pages_together(32) <= read_ahead.pages_together(1));
            read_ahead.note_storing();
            read_ahead.note_stored(1, Duration::ZERO);
        }
        assert_eq!((read_ahead.pages_together(1), read_ahead.pages_together(17)), (32, 1));
        // 62 pages, one for every 16 that are stored, are shared by the walks.
        assert_eq!((read_ahead.pages_together(4), read_ahead.pages_together(16)), (15, 3));
    }

    /// Few pages of 14 MB may be read ahead, however many would fill the rate limit.
    #[test]
    fn large_pages_are_few() {
        let read_ahead = ReadAhead::new(32);
        read_ahead.note_storing();
        read_ahead.note_stored(1000, Duration::ZERO);
        read_ahead.note_page(300_000);
        assert_eq!(read_ahead.limit(1000), 32);
        read_ahead.note_page(14_000_000);
        read_ahead.note_page(300_000);
        assert_eq!(read_ahead.limit(1000), 7);
    }

    /// A store takes as long as the latest ones did on average. Of the time that stores wait for each other, no more
    /// counts than half of the fastest one.
    #[test]
    fn the_latest_stores_say_how_long_one_takes() {
        let read_ahead = ReadAhead::new(32);
        let store = |milliseconds| {
            let before = read_ahead.stores();
            read_ahead.note_storing();
            assert_eq!(read_ahead.stores(), before + 1);
            read_ahead.note_stored(1, Duration::from_millis(milliseconds));
            assert_eq!(read_ahead.stores(), before);
        };
        let expected = || {
            let (mean, least) = (read_ahead.storing(), read_ahead.storing_unhindered());
            (mean.as_millis(), least.as_millis())
        };
        assert_eq!(read_ahead.stores(), 0);
        assert_eq!(expected(), (0, 0));
        [100, 200, 600].into_iter().for_each(store);
        assert_eq!(expected(), (300, 150));
        (0..LATEST_WRITES).for_each(|_| store(100));
        assert_eq!(expected(), (100, 100));
    }
}
