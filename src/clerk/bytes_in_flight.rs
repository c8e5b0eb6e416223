//! Limits how many bytes of response bodies, and of the lines and parts made from them, are in memory at once. A page of
//! users with large metadata can be many megabytes, and a small function has little memory.
//!
//! - A body reserves room when it arrives, not when it is requested: many requests may wait for a distant server while
//!   few bodies are being read.
//! - A body that finds no room is not read any further, so its server has to wait. What has arrived of it counts.
//! - A page keeps the room of its lines until they are compressed, and a part counts while it is being stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::urgency::Urgency;

/// The room shared by all bodies.
#[derive(Debug, Default)]
pub struct BytesInFlight {
    state: Mutex<State>,
    freed: Notify,
    /// Held by the body that reads next, so that small bodies cannot starve a large one.
    entrance: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    /// The bytes that have arrived of bodies that wait for room to start.
    arrived: usize,
    /// Whether some body has exceeded the limit.
    overdrawn: bool,
    /// The expected size of a body in bytes, by list.
    expected: HashMap<String, usize>,
}

/// The total room in bytes: eight pages of users of ordinary size, or one page of 14 MB, the largest known, at a time.
const ROOM: usize = 17 * 1024 * 1024;
/// The smallest step in bytes by which a body's room grows.
const STEP: usize = 64 * 1024;

impl BytesInFlight {
    /// Room for the next body of `list`. Nothing is reserved yet. If `urgency` is set, the body goes ahead of the
    /// others.
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

    /// Room for bytes that are in memory already, so it is granted at once, even if there is none. The holder must not
    /// wait for a body.
    #[must_use]
    pub fn room_already_taken(self: &Arc<Self>, bytes: usize) -> Room {
        let mut room = self.room("", Urgency::default());
        room.hold(bytes);
        room
    }

    /// The bytes in memory, and whether a body is waiting for room to start.
    pub fn usage(&self) -> (usize, bool) {
        let state = self.lock();
        let bytes = state.held + state.arrived;
        drop(state);
        (bytes, self.entrance.try_lock().is_err())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The room of one body. Dropping it releases the room.
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
    /// - A body starts when there is room for the expected size of its list's bodies, or when nothing else is held.
    /// - A body that turns out to be larger and finds no room exceeds the limit, one body at a time; otherwise bodies
    ///   could wait for each other forever.
    /// - An urgent body may exceed the limit before it has started.
    pub async fn take(&mut self, more: usize) {
        self.used += more;
        if self.used <= self.held {
            return;
        }
        if self.held == 0 {
            self.of.lock().arrived += more;
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

    /// How long this body has waited for room. That time does not count towards the server's latency.
    #[must_use]
    pub(super) const fn waited(&self) -> Duration {
        self.waited
    }

    /// Replaces the body's reservation with `bytes`, the size of what was made from it.
    pub(super) fn hold(&mut self, bytes: usize) {
        let mut state = self.of.lock();
        state.arrived -= self.arrived();
        state.held = state.held - self.held + bytes;
        state.overdrawn &= !self.overdrawn;
        (self.held, self.used, self.overdrawn) = (bytes, bytes, false);
        drop(state);
        self.of.freed.notify_waiters();
    }

    /// The bytes that have arrived, if the body has not started: those that [`State::arrived`] includes.
    const fn arrived(&self) -> usize {
        if self.held == 0 { self.used } else { 0 }
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
        let fits = state.held + (state.arrived - self.arrived()) + wanted <= ROOM;
        let may_overdraw = !begins || self.urgency.is_set();
        if !fits && may_overdraw && !state.overdrawn {
            state.overdrawn = true;
            self.overdrawn = true;
        }
        let taken = fits || self.overdrawn || (begins && state.held == 0);
        if taken {
            state.arrived -= self.arrived();
            state.held += wanted;
            self.held += wanted;
        }
        taken
    }

    /// Marks the body as complete: releases the room that it did not need and remembers its size.
    pub(super) fn complete(&mut self) {
        let mut state = self.of.lock();
        state.held -= self.held - self.used.min(self.held);
        self.held = self.used.min(self.held);
        let size = self.used;
        match state.expected.get_mut(&self.list) {
            // Larger sizes count at once, smaller ones gradually: they may be a list's last page or a single row.
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
        state.arrived -= self.arrived();
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

    /// Whether `bytes` are granted at once.
    async fn takes(room: &mut Room, bytes: usize) -> bool {
        tokio::time::timeout(Duration::from_millis(1), room.take(bytes)).await.is_ok()
    }

    fn learn(bytes: &Arc<BytesInFlight>, list: &str, size: usize) {
        let mut room = bytes.room(list, Urgency::default());
        room.hold(size);
        room.complete();
    }

    /// How many bodies can start together when only their first bytes have arrived.
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

    /// Promise 8: the bytes in flight are capped, however many bodies there are, and reading never stalls.
    #[tokio::test(start_paused = true)]
    async fn large_pages_are_read_one_by_one_and_small_ones_together() {
        let bytes = Arc::new(BytesInFlight::default());
        assert_eq!(begin_together(&bytes, "/users").await, 100, "a request reserves no room");
        learn(&bytes, "/users", 2 * MEGABYTE);
        assert_eq!(begin_together(&bytes, "/users").await, 8);
        learn(&bytes, "/users", 14 * MEGABYTE);
        assert_eq!(begin_together(&bytes, "/users").await, 1);
        learn(&bytes, "/users", 50 * MEGABYTE);
        assert_eq!(
            begin_together(&bytes, "/users").await,
            1,
            "alone, even if larger than the room"
        );
        learn(&bytes, "/organizations", 700_000);
        assert_eq!(begin_together(&bytes, "/organizations").await, 25);
        (0..40).for_each(|_| learn(&bytes, "/users", 2 * MEGABYTE));
        assert_eq!(
            begin_together(&bytes, "/users").await,
            7,
            "one large body is forgotten over time"
        );
    }

    /// A page keeps its room until it is stored. The page that all others wait for is read regardless.
    #[tokio::test(start_paused = true)]
    async fn waiting_pages_keep_their_room_and_an_urgent_one_passes() {
        let bytes = Arc::new(BytesInFlight::default());
        learn(&bytes, "/users", 2 * MEGABYTE);
        let mut waiting = Vec::new();
        for _ in 0..27 {
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
        let become_urgent = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            urgency.set();
        };
        let ((), ()) = tokio::join!(late.take(2 * MEGABYTE), become_urgent);
        assert!(!takes(&mut further, 1).await, "the others still wait");
        assert!(late.waited() >= Duration::from_secs(1));
        waiting.clear();
        drop(late);
        assert!(takes(&mut further, 1).await);
    }

    /// Bodies that wait count as far as they have arrived, and so do parts that are being stored. One body is read even
    /// so.
    #[tokio::test(start_paused = true)]
    async fn bodies_that_wait_and_parts_being_stored_count() {
        let bytes = Arc::new(BytesInFlight::default());
        learn(&bytes, "/users", 2 * MEGABYTE);
        let part = bytes.room_already_taken(16 * MEGABYTE);
        let mut rooms: Vec<Room> =
            (0..20).map(|_| bytes.room("/users", Urgency::default())).collect();
        for room in &mut rooms {
            assert!(!takes(room, MEGABYTE).await, "the part takes the room");
        }
        assert_eq!(bytes.usage().0, 36 * MEGABYTE);
        drop(part);
        assert!(takes(&mut rooms[0], 0).await);
        assert!(
            !takes(&mut rooms[1], 0).await,
            "19 MB have arrived, so one body is read at a time"
        );
        rooms.truncate(12);
        assert!(takes(&mut rooms[2], 0).await, "10 MB have arrived, and one body is being read");
        drop(rooms);
        assert_eq!(bytes.usage().0, 0);
    }

    /// If all bodies turn out to be larger than the room, one continues, then the next.
    #[tokio::test(start_paused = true)]
    async fn bodies_never_deadlock() {
        let bytes = Arc::new(BytesInFlight::default());
        let mut rooms: Vec<Room> =
            (0..8).map(|_| bytes.room("/users", Urgency::default())).collect();
        for room in &mut rooms {
            assert!(takes(room, 2 * MEGABYTE).await);
        }
        for mut room in rooms.drain(..7) {
            assert!(takes(&mut room, 12 * MEGABYTE).await);
            assert!(bytes.lock().held <= ROOM + 14 * MEGABYTE);
        }
        assert!(takes(&mut rooms[0], 18 * MEGABYTE).await);
        let mut other = bytes.room("/users", Urgency::default());
        assert!(!takes(&mut other, 10 * MEGABYTE).await, "a body that has not started waits");
        drop(rooms);
        assert!(takes(&mut other, 0).await);
        drop(other);
        let state = bytes.lock();
        assert_eq!((state.held, state.overdrawn), (0, false));
    }
}
