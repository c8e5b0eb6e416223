//! How far an invocation may run ahead of what is stored: little at first, so that a kill costs
//! little; a share of what is safe later, so that a long run fills the rate.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Pages stored by this invocation, and what follows from them.
#[derive(Debug)]
pub struct AtStake {
    stored: AtomicUsize,
    most: usize,
    grown: Notify,
}

/// Pages that may be lost to a kill at any time.
const ALWAYS: usize = 2;
/// Pages stored before more are put at stake.
const CAREFUL: usize = 16;
/// One page more is asked for ahead for so many stored.
const STORED_PER_PAGE_AHEAD: usize = 4;
/// One page more is stored together with others for so many stored.
const STORED_PER_PAGE_TOGETHER: usize = 16;
/// Most pages stored together, so that reading them again stays cheap.
const MOST_TOGETHER: usize = 32;

impl AtStake {
    /// Nothing is stored yet; never more than `most` pages of a list are asked for ahead.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { stored: AtomicUsize::new(0), most: most.max(ALWAYS), grown: Notify::new() }
    }

    /// `pages` more are stored.
    pub fn note_stored(&self, pages: usize) {
        self.stored.fetch_add(pages, Ordering::Relaxed);
        self.grown.notify_waiters();
    }

    /// Most pages of one list that may be asked for and not yet stored.
    #[must_use]
    pub fn allowed(&self) -> usize {
        let safe = self.stored.load(Ordering::Relaxed).saturating_sub(CAREFUL);
        (safe / STORED_PER_PAGE_AHEAD).clamp(ALWAYS, self.most)
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
            assert!(at_stake.allowed() <= (safe / 4).max(2), "{safe}");
            assert!(at_stake.pages_together(1) <= (safe / 16).max(1), "{safe}");
            assert!(at_stake.pages_together(32) <= at_stake.pages_together(1));
            at_stake.note_stored(1);
        }
        assert_eq!((at_stake.allowed(), at_stake.pages_together(1)), (32, 32));
    }
}
