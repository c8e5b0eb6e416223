//! A range of creation times: what makes a window of a list.

use serde::{Deserialize, Serialize};

use crate::lists::page::ReadRow;

/// Times of creation, in milliseconds since 1970. The default holds everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedRange {
    /// The first that belongs to it.
    pub from: Option<i64>,
    /// The first that does not belong to it any more.
    pub until: Option<i64>,
}

impl CreatedRange {
    /// The filters that ask Clerk for these rows. Its documentation does not say whether a filter
    /// includes the moment it names, so each may bring rows of one millisecond more.
    #[must_use]
    pub fn query(self) -> Vec<(&'static str, String)> {
        let after = self.from.map(|from| ("created_at_after", (from - 1).to_string()));
        let before = self.until.map(|until| ("created_at_before", until.to_string()));
        after.into_iter().chain(before).collect()
    }

    /// Whether anything is bounded at all.
    #[must_use]
    pub const fn are_some(self) -> bool {
        self.from.is_some() || self.until.is_some()
    }

    /// Whether a row belongs to it.
    #[must_use]
    pub fn hold(self, row: &ReadRow) -> bool {
        !self.end_before(row)
            && row.key.created_at.is_none_or(|created| self.from.is_none_or(|from| created >= from))
    }

    /// Whether a row lies behind its end, as do all that follow.
    #[must_use]
    pub fn end_before(self, row: &ReadRow) -> bool {
        matches!((row.key.created_at, self.until), (Some(created), Some(until)) if created >= until)
    }

    /// Whether rows show that the server did not apply the filters.
    #[must_use]
    pub fn are_ignored_by(self, rows: &[ReadRow]) -> bool {
        let Some(from) = self.from else { return false };
        rows.iter().any(|row| row.key.created_at.is_some_and(|created| created < from - 1))
    }
}
