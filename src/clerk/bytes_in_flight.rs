//! How many bytes of bodies are held at once: pages of users with large metadata are many megabytes
//! each, and the memory of a small function is not.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Lets a request begin when there is room for the body it is expected to bring.
#[derive(Debug)]
pub(super) struct BytesInFlight {
    /// One permit a KiB.
    room: Semaphore,
    /// The largest body seen, in KiB, by path.
    largest: Mutex<HashMap<String, u32>>,
}

/// All the room, in KiB. Eight pages of usual size; one page of 14 MB (the largest known) at a time.
const ROOM: u32 = 20 * 1024;
/// What a body is expected to have before one of its list was seen: a page of 500 users.
const USUAL: u32 = 2 * 1024;

impl Default for BytesInFlight {
    fn default() -> Self {
        Self { room: Semaphore::new(ROOM as usize), largest: Mutex::default() }
    }
}

impl BytesInFlight {
    /// Waits until a body of the usual size at `path` has room; a larger one than all the room is
    /// let in alone.
    pub(super) async fn allow(&self, path: &str) -> Option<SemaphorePermit<'_>> {
        let expected = self.lock().get(path).copied().unwrap_or(USUAL);
        // Never closed, so the permit is always given in the end.
        self.room.acquire_many(expected.clamp(1, ROOM)).await.ok()
    }

    /// Remembers the size of a body.
    pub(super) fn note(&self, path: &str, bytes: usize) {
        let size = u32::try_from(bytes.div_ceil(1024)).unwrap_or(ROOM);
        let mut largest = self.lock();
        match largest.get_mut(path) {
            Some(largest) => *largest = size.max(*largest),
            None => {
                largest.insert(path.to_owned(), size);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.largest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn fits(bytes: &BytesInFlight, path: &str) -> usize {
        let mut held = Vec::new();
        while let Ok(permit) =
            tokio::time::timeout(Duration::from_millis(1), bytes.allow(path)).await
        {
            held.push(permit);
        }
        held.len()
    }

    /// Promise 8: bytes in flight are capped, whatever their number, and always move on.
    #[tokio::test(start_paused = true)]
    async fn large_pages_go_alone_and_small_ones_together() {
        let bytes = BytesInFlight::default();
        assert_eq!(fits(&bytes, "/users").await, 10);
        bytes.note("/users", 14 * 1024 * 1024);
        assert_eq!(fits(&bytes, "/users").await, 1);
        bytes.note("/users", 50 * 1024 * 1024);
        bytes.note("/users", 100);
        assert_eq!(fits(&bytes, "/users").await, 1);
        bytes.note("/organization_memberships", 700 * 1024);
        assert_eq!(fits(&bytes, "/organization_memberships").await, 29);
    }
}
