//! The users of memberships that were stored before all users were read, to be checked afterwards.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::sync::checkpoint::list_progress::Segment;

/// The users of memberships that this invocation has stored unchecked: hashes of their ids, by the
/// key of the part. The key follows from the part's content, so a segment that is replaced gets
/// another one.
#[derive(Debug, Default)]
pub struct UncheckedUsers(Mutex<HashMap<String, Vec<u64>>>);

impl UncheckedUsers {
    /// Remembers the users of a stored segment, if there is room.
    pub(crate) fn note(&self, segment: &Segment, users: Vec<u64>) {
        let Some(stored) = segment.parts.values().next().filter(|_| segment.users_unchecked) else {
            return;
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let remembered: usize = all.values().map(Vec::len).sum();
        if remembered + users.len() <= MAX_REMEMBERED {
            all.insert(stored.part.key.clone(), users);
        }
    }

    /// Removes and returns the users of a segment; `None` if they are not remembered.
    pub(crate) fn take(&self, segment: &Segment) -> Option<Vec<u64>> {
        let stored = segment.parts.values().next()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&stored.part.key)
    }
}

/// Most users that an invocation remembers: 2 MiB. The parts of other segments are read back.
const MAX_REMEMBERED: usize = 256 * 1024;
