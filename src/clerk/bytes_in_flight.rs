//! How many bytes of bodies, and of the lines they become, are held at once: pages of users with large
//! metadata are many megabytes each, and the memory of a small function is not.
//!
//! Room is taken when a body arrives, not when it is asked for: many requests may wait for a far-away
//! server while few bodies are read. A body that finds no room is not read on, and its server waits. A page
//! that has to wait for its turn to be stored keeps the room of its lines.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::urgency::Urgency;

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
    /// The room for the next body of `list`, for which others wait if it is of some `urgency`; nothing is
    /// taken yet.
    pub fn room(self: &Arc<Self>, list: &str, urgency: Urgency) -> Room {
        Room {
            of: Arc::clone(self),
            list: list.to_owned(),
            urgency,
            held: 0,
            used: 0,
            overdrawn: false,
            waited: Duration::ZERO,
        }
    }

    /// How many bytes are held, and whether a body waits for room to begin.
    pub fn usage(&self) -> (usize, bool) {
        (self.lock().held, self.entrance.try_lock().is_err())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One body's room; dropping it gives it back.
#[derive(Debug)]
pub struct Room {
    of: Arc<BytesInFlight>,
    list: String,
    urgency: Urgency,
    held: usize,
    used: usize,
    overdrawn: bool,
    waited: Duration,
}

impl Room {
    /// Waits until `more` bytes of the body may be held.
    ///
    /// A body begins when there is room for as much as those of its list have had, or alone. One
    /// that turns out larger and finds the room taken goes on all the same, one at a time: bodies
    /// that all waited for each other's room would wait for ever. So does an urgent one that has not begun.
    pub async fn take(&mut self, more: usize) {
        self.used += more;
        if self.used <= self.held {
            return;
        }
        let (of, urgency, began) = (Arc::clone(&self.of), self.urgency.clone(), Instant::now());
        let waits_for_entrance = self.held == 0 && !urgency.is_set();
        let _entrance = tokio::select! {
            biased;
            entrance = of.entrance.lock(), if waits_for_entrance => Some(entrance),
            () = urgency.until_set(), if waits_for_entrance => None,
            else => None,
        };
        loop {
            let (freed, is_urgent) = (of.freed.notified(), urgency.is_set());
            if self.try_take() {
                break;
            }
            tokio::select! {
                () = freed => {}
                () = urgency.until_set(), if !is_urgent => {}
            }
        }
        self.waited += began.elapsed();
    }

    /// How long it has waited for room: its server is not to blame for that.
    #[must_use]
    pub(super) const fn waited(&self) -> Duration {
        self.waited
    }

    /// The body has become something of this size and is let go of.
    pub(super) fn hold(&mut self, bytes: usize) {
        let mut state = self.of.lock();
        state.held = state.held - self.held + bytes;
        state.overdrawn &= !self.overdrawn;
        (self.held, self.used, self.overdrawn) = (bytes, bytes, false);
        drop(state);
        self.of.freed.notify_waiters();
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
        let may_overdraw = !begins || self.urgency.is_set();
        if !fits && may_overdraw && !state.overdrawn {
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

impl Drop for Room {
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
    async fn takes(room: &mut Room, bytes: usize) -> bool {
        tokio::time::timeout(Duration::from_millis(1), room.take(bytes)).await.is_ok()
    }

    fn learn(bytes: &Arc<BytesInFlight>, list: &str, size: usize) {
        let mut room = bytes.room(list, Urgency::default());
        room.used = size;
        room.complete();
    }

    /// How many bodies begin together, of which only the first bytes are there yet.
    async fn begin_together(bytes: &Arc<BytesInFlight>, list: &str) -> usize {
        let mut rooms = Vec::new();
        loop {
            let mut room = bytes.room(list, Urgency::default());
            if rooms.len() == 100 || !takes(&mut room, 1).await {
                return rooms.len();
            }
            rooms.push(room);
        }
    }

    /// Promise 8: bytes in flight are capped, whatever their number, and always move on.
    #[tokio::test(start_paused = true)]
    async fn large_pages_are_read_one_by_one_and_small_ones_together() {
        let bytes = Arc::new(BytesInFlight::default());
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

    /// What a page has become keeps its room until it is stored; the page that all others wait for is read
    /// whatever they keep.
    #[tokio::test(start_paused = true)]
    async fn pages_that_wait_keep_their_room_and_the_urgent_one_comes_through() {
        let bytes = Arc::new(BytesInFlight::default());
        learn(&bytes, "/users", 2 * MEGABYTE);
        let mut waiting = Vec::new();
        for _ in 0..32 {
            let mut room = bytes.room("/users", Urgency::default());
            assert!(takes(&mut room, 2 * MEGABYTE).await, "{} wait", waiting.len());
            room.complete();
            room.hold(600_000);
            waiting.push(room);
        }
        let urgency = Urgency::default();
        let mut late = bytes.room("/users", urgency.clone());
        let mut further = bytes.room("/users", Urgency::default());
        assert!(!takes(&mut late, 1).await && !takes(&mut further, 1).await);
        let come_through = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            urgency.set();
        };
        let ((), ()) = tokio::join!(late.take(2 * MEGABYTE), come_through);
        assert!(!takes(&mut further, 1).await, "the others still wait");
        assert!(late.waited() >= Duration::from_secs(1));
        waiting.clear();
        drop(late);
        assert!(takes(&mut further, 1).await);
    }

    /// Bodies that all turn out larger than there is room for: one goes on, then the next.
    #[tokio::test(start_paused = true)]
    async fn bodies_never_wait_for_each_other_for_ever() {
        let bytes = Arc::new(BytesInFlight::default());
        let mut rooms: Vec<Room> =
            (0..10).map(|_| bytes.room("/users", Urgency::default())).collect();
        for room in &mut rooms {
            assert!(takes(room, 2 * MEGABYTE).await);
        }
        for mut room in rooms.drain(..9) {
            assert!(takes(&mut room, 12 * MEGABYTE).await);
            assert!(bytes.lock().held <= ROOM + 14 * MEGABYTE);
        }
        assert!(takes(&mut rooms[0], 18 * MEGABYTE).await);
        let mut other = bytes.room("/users", Urgency::default());
        assert!(!takes(&mut other, 10 * MEGABYTE).await, "one that has not begun waits");
        drop(rooms);
        assert!(takes(&mut other, 0).await);
        drop(other);
        let state = bytes.lock();
        assert_eq!((state.held, state.overdrawn), (0, false));
    }
}
