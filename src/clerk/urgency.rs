//! Marks a request whose answer all others wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A flag shared by everything that handles one request: set when all other work waits for its answer. Pages are stored
/// in order, so pages behind it keep their room until it arrives.
///
/// An urgent request may exceed the room for bodies and the present concurrency limit, one such request at a time.
/// Otherwise it could wait for room or a slot held by pages that wait for it.
#[derive(Debug, Clone, Default)]
pub struct Urgency(Arc<Urgent>);

#[derive(Debug, Default)]
struct Urgent {
    is_set: AtomicBool,
    set: Notify,
}

impl Urgency {
    /// The flag of a request that is urgent from the start.
    #[must_use]
    pub fn at_once() -> Self {
        let urgency = Self::default();
        urgency.set();
        urgency
    }

    /// Marks the request as urgent.
    pub fn set(&self) {
        self.0.is_set.store(true, Ordering::Release);
        self.0.set.notify_waiters();
    }

    /// Whether the request is urgent.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::Acquire)
    }

    /// Whether both flags belong to the same request.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns as soon as the request is urgent.
    pub async fn until_set(&self) {
        let set = self.0.set.notified();
        if !self.is_set() {
            set.await;
        }
    }
}
