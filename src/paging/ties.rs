//! Remembers the rows that were taken with the same creation time as the last one. When rows around them are deleted,
//! the order of the list no longer shows which of these were taken; only their ids do.

use crate::lists::id_index::hash_of;
use crate::lists::page::RowKey;

/// Rows with the same creation time, at eight bytes each.
#[derive(Debug)]
pub(crate) struct Ties {
    created_at: Option<i64>,
    /// The [`hash_of`] their ids.
    ids: Vec<u64>,
    /// Whether these are all rows taken with that creation time.
    is_complete: bool,
}

/// Most rows with the same creation time that are remembered. They take 0.8 MB, and even beyond this a pager loses its
/// position only if all its [last rows](crate::paging::position::TAIL_ROWS) are deleted as well.
const MAX_ROWS: usize = 100_000;

impl Ties {
    /// The ties at the end of `tail`, after `rows` rows in total.
    pub(crate) fn at_end_of(tail: &[RowKey], rows: u64) -> Self {
        let created_at = tail.last().and_then(|key| key.created_at);
        let here = || tail.iter().filter(|key| key.created_at == created_at);
        Self {
            created_at,
            ids: here().map(|key| hash_of(&key.id)).collect(),
            // Complete if an earlier creation time is still remembered, or no earlier row was taken.
            is_complete: here().count() < tail.len() || rows <= tail.len() as u64,
        }
    }

    /// All rows that were taken with this creation time, by their hashed ids.
    pub(crate) const fn of(created_at: Option<i64>, ids: Vec<u64>) -> Self {
        Self { created_at, ids, is_complete: true }
    }

    /// Records a row as taken, after all earlier ones.
    pub(crate) fn take(&mut self, key: &RowKey) {
        if key.created_at > self.created_at {
            self.created_at = key.created_at;
            self.ids.clear();
            self.is_complete = true;
        }
        if key.created_at == self.created_at && self.is_complete {
            self.ids.push(hash_of(&key.id));
            self.is_complete = self.ids.len() < MAX_ROWS;
        }
    }

    /// Whether a row is one of those taken.
    pub(crate) fn has(&self, key: &RowKey) -> bool {
        key.created_at.is_some()
            && key.created_at == self.created_at
            && self.ids.contains(&hash_of(&key.id))
    }

    /// Whether a row with this creation time that is not remembered has not been taken.
    pub(crate) const fn is_complete(&self) -> bool {
        self.is_complete && self.created_at.is_some()
    }
}
