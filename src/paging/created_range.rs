//! A range of creation times, which makes a window of a list.

use serde::{Deserialize, Serialize};

use crate::lists::page::ReadRow;

/// A range of creation times, in milliseconds since 1970. The default is unbounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedRange {
    /// First time inside the range.
    pub from: Option<i64>,
    /// First time after the range.
    pub until: Option<i64>,
}

impl CreatedRange {
    /// The filters that request these rows from Clerk. Its documentation does not say whether a filter includes the
    /// time it names, so each may return rows of one millisecond more.
    #[must_use]
    pub fn query(self) -> Vec<(&'static str, String)> {
        let after = self.from.map(|from| ("created_at_after", (from - 1).to_string()));
        let before = self.until.map(|until| ("created_at_before", until.to_string()));
        after.into_iter().chain(before).collect()
    }

    /// Whether the range has any bound.
    #[must_use]
    pub const fn is_bounded(self) -> bool {
        self.from.is_some() || self.until.is_some()
    }

    /// Whether a row is inside the range.
    #[must_use]
    pub fn contains(self, row: &ReadRow) -> bool {
        !self.ends_before(row)
            && row.key.created_at.is_none_or(|created| self.from.is_none_or(|from| created >= from))
    }

    /// Whether a row, and so every later one, is after the range.
    #[must_use]
    pub fn ends_before(self, row: &ReadRow) -> bool {
        matches!((row.key.created_at, self.until), (Some(created), Some(until)) if created >= until)
    }

    /// Whether the rows prove that the server ignored the filters.
    #[must_use]
    pub fn is_ignored_by(self, rows: &[ReadRow]) -> bool {
        let Some(from) = self.from else { return false };
        rows.iter().any(|row| row.key.created_at.is_some_and(|created| created < from - 1))
    }
}
