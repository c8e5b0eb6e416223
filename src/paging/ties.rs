//! The rows taken that were created at the moment of the last one. Once rows around them are deleted,
//! the order of a list does not say any more which of these have been taken: only their ids do.

use crate::lists::id_index::hash_of;
use crate::lists::page::RowKey;

/// Rows of one moment, at eight bytes each.
#[derive(Debug)]
pub(crate) struct Ties {
    created_at: Option<i64>,
    /// Their ids, by [`hash_of`].
    ids: Vec<u64>,
    /// Whether no other row of this moment was taken.
    is_complete: bool,
}

/// Past so many rows of one moment they are no longer counted upon: it takes 0.8 MB, and a walk is lost
/// only if all the [last rows](crate::paging::position::TAIL_ROWS) are deleted as well.
const MOST_ROWS: usize = 100_000;

impl Ties {
    /// Behind the `tail` of `rows` that were taken in all.
    pub(crate) fn behind(tail: &[RowKey], rows: u64) -> Self {
        let created_at = tail.last().and_then(|key| key.created_at);
        let here = || tail.iter().filter(|key| key.created_at == created_at);
        Self {
            created_at,
            ids: here().map(|key| hash_of(&key.id)).collect(),
            // The rows before those of the moment are remembered, or there were none.
            is_complete: here().count() < tail.len() || rows <= tail.len() as u64,
        }
    }

    /// Rows that were all that were taken at a moment.
    pub(crate) const fn of(created_at: Option<i64>, ids: Vec<u64>) -> Self {
        Self { created_at, ids, is_complete: true }
    }

    /// A row has been taken, behind all that were before.
    pub(crate) fn take(&mut self, key: &RowKey) {
        if key.created_at > self.created_at {
            self.created_at = key.created_at;
            self.ids.clear();
            self.is_complete = true;
        }
        if key.created_at == self.created_at && self.is_complete {
            self.ids.push(hash_of(&key.id));
            self.is_complete = self.ids.len() < MOST_ROWS;
        }
    }

    /// Whether a row is one of those taken.
    pub(crate) fn has(&self, key: &RowKey) -> bool {
        key.created_at.is_some()
            && key.created_at == self.created_at
            && self.ids.contains(&hash_of(&key.id))
    }

    /// Whether a row of this moment that is none of these has not been taken.
    pub(crate) const fn is_complete(&self) -> bool {
        self.is_complete && self.created_at.is_some()
    }
}
