//! How far a pager has come in its list, and how it requests pages.

use serde::{Deserialize, Serialize};

use crate::lists::endpoint::{ByOwner, Endpoint, Paging, WholeList};
use crate::lists::page::RowKey;
use crate::paging::stalled::StalledRounds;

/// The position of a pager: enough to continue it in another process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Index in Clerk's list just after the last row taken, as last seen.
    pub offset: u64,
    /// The last rows taken, the newest last.
    pub tail: Vec<RowKey>,
    /// The owner whose rows have been taken in part, when paging by owner. `offset` and `tail` then refer to the
    /// owners' list.
    #[serde(rename = "within", default, skip_serializing_if = "Option::is_none")]
    pub owner_position: Option<Box<OwnerPosition>>,
    /// Rounds since the pager last advanced.
    #[serde(rename = "fruitless", default, skip_serializing_if = "StalledRounds::is_none")]
    pub stalled: StalledRounds,
}

/// The position within one owner's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerPosition {
    /// The owner.
    pub owner: RowKey,
    /// The position in the owner's rows.
    #[serde(rename = "place")]
    pub position: Position,
}

/// How many rows a [`Position`] remembers. The pager loses its position only if all of them are deleted at once.
pub const TAIL_ROWS: usize = 24;

impl Position {
    /// Records a row as taken.
    pub(crate) fn remember(&mut self, key: RowKey) {
        if self.tail.len() >= TAIL_ROWS {
            self.tail.remove(0);
        }
        self.tail.push(key);
    }

    /// Whether a row is one of the last that were taken.
    pub(crate) fn remembers(&self, id: &str) -> bool {
        self.tail.iter().any(|key| key.id == id)
    }
}

/// How pages are requested. A pager by cursor switches to offsets if the server ignores or rejects the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagingMode {
    /// `starting_after=<id>`.
    Cursor,
    /// `offset=<n>`, overlapping by one row.
    Offset,
    /// Owner by owner: see [`by_owner`](crate::paging::by_owner).
    ByOwner,
}

impl PagingMode {
    /// The mode in which a list is tried first.
    #[must_use]
    pub const fn first(endpoint: &Endpoint) -> Self {
        match (endpoint.paging, endpoint.by_owner) {
            (_, Some(ByOwner { whole: WholeList::Missing, .. })) => Self::ByOwner,
            (Paging::Cursor { .. }, _) => Self::Cursor,
            (Paging::Offset(_) | Paging::SinglePage, _) => Self::Offset,
        }
    }
}
