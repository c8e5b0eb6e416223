//! Whether all else waits for an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether all else waits for an answer, by now: pages are stored in order, and those behind it keep their room
/// until it is. It goes on past the room for bodies and past what may be in flight for the moment, one such answer at
/// a time, for what it waits for may itself wait for it.
#[derive(Debug, Clone, Default)]
pub struct Urgency(Arc<Urgent>);

#[derive(Debug, Default)]
struct Urgent {
    is_set: AtomicBool,
    set: Notify,
}

impl Urgency {
    /// Of an answer that is urgent from the beginning.
    #[must_use]
    pub fn at_once() -> Self {
        let urgency = Self::default();
        urgency.set();
        urgency
    }

    /// From now on all else waits for it.
    pub fn set(&self) {
        self.0.is_set.store(true, Ordering::Release);
        self.0.set.notify_waiters();
    }

    /// Whether it is urgent by now.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::Acquire)
    }

    /// Whether both are that of the same answer.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns as soon as it is urgent.
    pub async fn until_set(&self) {
        let set = self.0.set.notified();
        if !self.is_set() {
            set.await;
        }
    }
}
