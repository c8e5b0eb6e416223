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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paging::position::TAIL_ROWS;

    const EARLIER: i64 = 1000;
    const LATER: i64 = 2000;

    fn row(number: usize, created_at: i64) -> RowKey {
        RowKey { id: format!("user_{number}"), created_at: Some(created_at) }
    }

    /// As many rows of one creation time as a position remembers.
    fn tail() -> Vec<RowKey> {
        (0..TAIL_ROWS).map(|number| row(number, EARLIER)).collect()
    }

    /// A continued pager knows the last rows that were taken. These are all rows of their creation time only if they
    /// show it: they begin with an earlier time, or with the first row of the list.
    #[test]
    fn a_continued_pager_knows_all_ties_only_if_its_position_shows_them() {
        let mut tail = tail();
        let rows = tail.len() as u64;
        assert!(!Ties::at_end_of(&[], 0).is_complete());
        assert!(Ties::at_end_of(&tail, rows).is_complete());
        assert!(!Ties::at_end_of(&tail, rows + 1).is_complete());
        assert!(Ties::at_end_of(&tail, rows + 1).has(&tail[0]));
        tail[0].created_at = Some(EARLIER - 1);
        let ties = Ties::at_end_of(&tail, 500);
        assert!(ties.is_complete());
        assert!(!ties.has(&tail[0]) && tail[1..].iter().all(|key| ties.has(key)));
    }

    /// Rows that were taken with the time of the last one are known, and no others.
    #[test]
    fn the_rows_taken_with_the_time_of_the_last_one_are_known() {
        let mut ties = Ties::at_end_of(&[], 0);
        ties.take(&row(1, EARLIER));
        assert!(ties.is_complete());
        ties.take(&row(2, EARLIER));
        assert!(ties.is_complete());
        assert!(ties.has(&row(1, EARLIER)) && ties.has(&row(2, EARLIER)));
        assert!(!ties.has(&row(3, EARLIER)) && !ties.has(&row(1, LATER)));
        ties.take(&row(4, LATER));
        assert!(ties.is_complete());
        assert!(ties.has(&row(4, LATER)));
        assert!(!ties.has(&row(1, EARLIER)) && !ties.has(&row(1, LATER)));
    }

    /// If rows are missing from what is known of a time, later rows of that time do not change it. Those of a later
    /// time do.
    #[test]
    fn ties_are_incomplete_until_a_later_time() {
        let tail = tail();
        let mut ties = Ties::at_end_of(&tail, 500);
        ties.take(&row(100, EARLIER));
        assert!(!ties.is_complete());
        assert!(ties.has(&tail[0]));
        ties.take(&row(101, LATER));
        assert!(ties.is_complete());
        assert!(ties.has(&row(101, LATER)) && !ties.has(&tail[0]));
    }

    /// Promise 8: however many rows have one creation time, only so many are remembered.
    #[test]
    fn no_more_than_so_many_ties_are_known() {
        let mut ties = Ties::at_end_of(&[], 0);
        (1..MAX_ROWS).for_each(|number| ties.take(&row(number, EARLIER)));
        assert!(ties.is_complete());
        (MAX_ROWS..MAX_ROWS + 10).for_each(|number| ties.take(&row(number, EARLIER)));
        assert!(!ties.is_complete());
        assert_eq!(ties.ids.len(), MAX_ROWS);
        ties.take(&row(0, LATER));
        assert!(ties.is_complete());
    }
}
