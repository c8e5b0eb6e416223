//! How many bytes of bodies are held at once: pages of users with large metadata are many megabytes
//! each, and the memory of a small function is not.
//!
//! Room is taken when a body arrives, not when it is asked for: many requests may wait for a far-away
//! server while few bodies are read. A body that finds no room is not read on, and its server waits.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The room that all bodies share.
#[derive(Debug, Default)]
pub struct BytesInFlight {
    state: Mutex<State>,
    freed: Notify,
    /// Held by the body whose reading begins next: a large one must not wait for ever while small
    /// ones slip by.
    entrance: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    /// Whether a body goes on past the room.
    overdrawn: bool,
    /// The size of a body to expect, by list.
    expected: HashMap<String, usize>,
}

/// All the room, in bytes. Ten pages of users of usual size; one page of 14 MB (the largest known)
/// at a time.
const ROOM: usize = 20 * 1024 * 1024;
/// The least by which a body's room grows, in bytes.
const STEP: usize = 64 * 1024;

impl BytesInFlight {
    /// The room for the next body of `list`; nothing is taken yet.
    pub fn room(&self, list: &str) -> Room<'_> {
        Room { of: self, list: list.to_owned(), held: 0, used: 0, overdrawn: false }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One body's room; dropping it gives it back.
#[derive(Debug)]
pub struct Room<'a> {
    of: &'a BytesInFlight,
    list: String,
    held: usize,
    used: usize,
    overdrawn: bool,
}

impl Room<'_> {
    /// Waits until `more` bytes of the body may be held.
    ///
    /// A body begins when there is room for as much as those of its list have had, or alone. One
    /// that turns out larger and finds the room taken goes on all the same, one at a time: bodies
    /// that all waited for each other's room would wait for ever.
    pub async fn take(&mut self, more: usize) {
        self.used += more;
        if self.used <= self.held {
            return;
        }
        let of = self.of;
        let _entrance = if self.held == 0 { Some(of.entrance.lock().await) } else { None };
        loop {
            let freed = of.freed.notified();
            if self.try_take() {
                return;
            }
            freed.await;
        }
    }

    fn try_take(&mut self) -> bool {
        let mut state = self.of.lock();
        let begins = self.held == 0;
        let wanted = if begins {
            let expected = state.expected.get(&self.list).copied().unwrap_or(STEP);
            self.used.max(expected.min(ROOM))
        } else {
            (self.used - self.held).max(STEP)
        };
        let fits = state.held + wanted <= ROOM;
        if !fits && !begins && !state.overdrawn {
            state.overdrawn = true;
            self.overdrawn = true;
        }
        let taken = fits || self.overdrawn || (begins && state.held == 0);
        if taken {
            state.held += wanted;
            self.held += wanted;
        }
        taken
    }

    /// The body is complete: room that it did not need is given back, and its size remembered.
    pub(super) fn complete(&mut self) {
        let mut state = self.of.lock();
        state.held -= self.held - self.used.min(self.held);
        self.held = self.used.min(self.held);
        let size = self.used;
        match state.expected.get_mut(&self.list) {
            // Smaller ones are soon forgotten again: the last page of a list, a look at one row.
            Some(expected) => *expected = size.max((*expected * 7 + size) / 8),
            None => {
                state.expected.insert(self.list.clone(), size);
            }
        }
        drop(state);
        self.of.freed.notify_waiters();
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut state = self.of.lock();
        state.held -= self.held;
        state.overdrawn &= !self.overdrawn;
        drop(state);
        self.of.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MEGABYTE: usize = 1_000_000;

    /// Whether so many bytes are given at once.
    async fn takes(room: &mut Room<'_>, bytes: usize) -> bool {
        tokio::time::timeout(Duration::from_millis(1), room.take(bytes)).await.is_ok()
    }

    fn learn(bytes: &BytesInFlight, list: &str, size: usize) {
        let mut room = bytes.room(list);
        room.used = size;
        room.complete();
    }

    /// How many bodies begin together, of which only the first bytes are there yet.
    async fn begin_together(bytes: &BytesInFlight, list: &str) -> usize {
        let mut rooms = Vec::new();
        loop {
            let mut room = bytes.room(list);
            if rooms.len() == 100 || !takes(&mut room, 1).await {
                return rooms.len();
            }
            rooms.push(room);
        }
    }

    /// Promise 8: bytes in flight are capped, whatever their number, and always move on.
    #[tokio::test(start_paused = true)]
    async fn large_pages_are_read_one_by_one_and_small_ones_together() {
        let bytes = BytesInFlight::default();
        assert_eq!(begin_together(&bytes, "/users").await, 100, "asking takes no room");
        learn(&bytes, "/users", 2 * MEGABYTE);
        assert_eq!(begin_together(&bytes, "/users").await, 10);
        learn(&bytes, "/users", 14 * MEGABYTE);
        assert_eq!(begin_together(&bytes, "/users").await, 1);
        learn(&bytes, "/users", 50 * MEGABYTE);
        assert_eq!(begin_together(&bytes, "/users").await, 1, "alone, though larger than the room");
        learn(&bytes, "/organizations", 700_000);
        assert_eq!(begin_together(&bytes, "/organizations").await, 29);
        (0..40).for_each(|_| learn(&bytes, "/users", 2 * MEGABYTE));
        assert_eq!(begin_together(&bytes, "/users").await, 9, "a large one is forgotten in time");
    }

    /// Bodies that all turn out larger than there is room for: one goes on, then the next.
    #[tokio::test(start_paused = true)]
    async fn bodies_never_wait_for_each_other_for_ever() {
        let bytes = BytesInFlight::default();
        let mut rooms: Vec<Room<'_>> = (0..10).map(|_| bytes.room("/users")).collect();
        for room in &mut rooms {
            assert!(takes(room, 2 * MEGABYTE).await);
        }
        for mut room in rooms.drain(..9) {
            assert!(takes(&mut room, 12 * MEGABYTE).await);
            assert!(bytes.lock().held <= ROOM + 14 * MEGABYTE);
        }
        assert!(takes(&mut rooms[0], 18 * MEGABYTE).await);
        let mut other = bytes.room("/users");
        assert!(!takes(&mut other, 10 * MEGABYTE).await, "one that has not begun waits");
        drop(rooms);
        assert!(takes(&mut other, 0).await);
        drop(other);
        let state = bytes.lock();
        assert_eq!((state.held, state.overdrawn), (0, false));
    }
}
