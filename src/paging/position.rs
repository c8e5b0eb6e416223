//! Where a walk stands in its list, and how it finds pages.

use serde::{Deserialize, Serialize};

use crate::lists::endpoint::{ByOwner, Endpoint, Paging, WholeList};
use crate::lists::page::RowKey;
use crate::paging::stalled::StalledRounds;

/// Where a walk stands: enough to continue it in another process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Index in Clerk's list just behind the last row taken, as last seen.
    pub offset: u64,
    /// The last rows taken, the newest at the end.
    pub tail: Vec<RowKey>,
    /// Of a list walked by owner, `offset` and `tail` being those of its owners: the owner whose rows
    /// have been taken in part.
    #[serde(rename = "within", default, skip_serializing_if = "Option::is_none")]
    pub owner_position: Option<Box<OwnerPosition>>,
    /// Rounds since the walk last got on.
    #[serde(rename = "fruitless", default, skip_serializing_if = "StalledRounds::are_none")]
    pub stalled: StalledRounds,
}

/// A place among what one owner owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerPosition {
    /// Whose part of the list it is.
    pub owner: RowKey,
    /// The place in that part.
    #[serde(rename = "place")]
    pub position: Position,
}

/// How many rows of a [`Place`] are kept: the walk loses its place only when all of them are
/// deleted at once.
pub const TAIL_ROWS: usize = 24;

impl Position {
    /// A row has been taken.
    pub(crate) fn remember(&mut self, key: RowKey) {
        if self.tail.len() >= TAIL_ROWS {
            self.tail.remove(0);
        }
        self.tail.push(key);
    }

    /// Whether a row is one of the last that were taken.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.tail.iter().any(|key| key.id == id)
    }
}

/// Which way pages are found. A list walked by cursor changes to offsets when its server ignores
/// or refuses the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagingMode {
    /// `starting_after=<id>`.
    Cursor,
    /// `offset=<n>`, overlapping by a row.
    Offset,
    /// The part of each owner by itself: see [`by_owner`](crate::paging::by_owner).
    ByOwner,
}

impl PagingMode {
    /// The way a list is first tried.
    #[must_use]
    pub const fn first(endpoint: &Endpoint) -> Self {
        match (endpoint.paging, endpoint.by_owner) {
            (_, Some(ByOwner { whole: WholeList::Missing, .. })) => Self::ByOwner,
            (Paging::Cursor { .. }, _) => Self::Cursor,
            (Paging::Offset(_) | Paging::Whole, _) => Self::Offset,
        }
    }
}
