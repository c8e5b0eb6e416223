//! Defines what the table says of each list: path, order, paging, datasets and translation.

use std::fmt;

use clerk_snapshot::resource::{Dataset, Resource};
use serde::{Deserialize, Serialize};

use crate::lists::page::{Needed, PageContext, PageError, ReadPage, RowReader, read_rows};
use crate::lists::row_request::RowRequest;

/// Most rows of a page (Clerk OpenAPI, parameter `limit`: 1 to 500).
pub const PAGE_ROWS: u64 = 500;

/// One list of Clerk's Backend API.
#[derive(Debug)]
pub struct Endpoint {
    /// The resource that the user opts in to.
    pub resource: Resource,
    /// Which of the resource's lists this is. Most resources have only one, number 0.
    pub index: u8,
    /// Path below `/v1`.
    pub path: &'static str,
    /// Parameters sent with every page, in addition to `limit`, `offset` and the like.
    pub query: &'static [(&'static str, &'static str)],
    /// Rows requested per page: the most that Clerk allows. If more are requested, it may silently return ten.
    pub page_rows: u64,
    /// When it is read.
    pub phase: Phase,
    /// How its pages are found.
    pub paging: Paging,
    /// How to read it owner by owner, if Clerk can list it that way.
    pub by_owner: Option<ByOwner>,
    /// The datasets its rows are written to. The first is the list's own, from which the ids of its rows are read back.
    pub destinations: &'static [Destination],
    /// Requests for one of its rows, if Clerk has any. Several that take the same fields are tried in turn.
    pub row_requests: &'static [RowRequest],
    /// Path that lists the memberships of one of its rows, by the row's id. Their grants count as the row's.
    pub memberships: Option<fn(&str) -> String>,
    /// Fields that its rows must have, in addition to `id` and, in a list ordered by creation, `created_at`: those that
    /// grants are made from, and the keys of roles.
    pub needed: &'static [&'static str],
    /// How its rows are decoded.
    pub rows: Rows,
}

/// How the rows of a page are decoded.
#[derive(Debug, Clone, Copy)]
pub enum Rows {
    /// A whole page at once, by code generated for this row type: fast, for long lists. A page that needs a repair is
    /// decoded row by row like any other.
    PageAtOnce(fn(&[u8], &PageContext, Needed) -> Option<ReadPage>, RowReader),
    /// Row by row, by code shared by all other lists.
    Single(RowReader),
}

impl Endpoint {
    /// Decodes the body of one page.
    ///
    /// # Errors
    /// [`PageError`]; it names the field, never the value.
    pub fn read(&self, body: &[u8], context: &PageContext) -> Result<ReadPage, PageError> {
        let created_at =
            matches!(self.paging, Paging::Cursor { .. } | Paging::Offset(Order::Creation));
        let needed = Needed { created_at, fields: self.needed };
        let (at_once, row) = match self.rows {
            Rows::PageAtOnce(page, row) => (Some(page), row),
            Rows::Single(row) => (None, row),
        };
        let at_once = at_once.filter(|_| !context.translation.include_raw);
        match at_once.and_then(|page| page(body, context, needed)) {
            Some(page) => Ok(page),
            None => read_rows(body, context, needed, row),
        }
    }

    /// Whether the list is requested, rather than made from other lists.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.phase != Phase::Derived
    }

    /// Whether a row has grants in addition to its own record.
    #[must_use]
    pub fn has_grants(&self) -> bool {
        let further = self.destinations.iter().skip(1);
        self.memberships.is_some() || further.into_iter().any(|it| it.dataset == Dataset::Grants)
    }

    /// Whether Clerk counts this list as a whole.
    #[must_use]
    pub const fn is_counted_as_a_whole(&self) -> bool {
        matches!(self.by_owner, None | Some(ByOwner { whole: WholeList::Complete, .. }))
    }

    /// Its name in the checkpoint.
    #[must_use]
    pub const fn name(&self) -> ListName {
        ListName { resource: self.resource, index: self.index }
    }
}

/// Identifies a list: its resource, plus a number if the resource has several lists, as in `invitations.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListName {
    resource: Resource,
    index: u8,
}

impl ListName {
    /// One of a resource's several lists.
    #[must_use]
    pub const fn of(resource: Resource, index: u8) -> Self {
        Self { resource, index }
    }
}

impl From<Resource> for ListName {
    /// The resource's first list, which is usually its only one.
    fn from(resource: Resource) -> Self {
        Self { resource, index: 0 }
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            0 => self.resource.fmt(formatter),
            index => write!(formatter, "{}.{index}", self.resource),
        }
    }
}

impl From<ListName> for String {
    fn from(name: ListName) -> Self {
        name.to_string()
    }
}

/// When a list is read: lists that others refer to come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Permissions, which roles refer to.
    Permissions,
    /// Roles, which are needed to translate memberships and organizations.
    Roles,
    /// Users, which memberships refer to. They need no other list.
    Users,
    /// Organizations, which memberships also refer to.
    Organizations,
    /// Memberships. They are read in parallel with users; `check_users` checks them afterwards.
    Memberships,
    /// All other lists. No list of an earlier phase refers to them, and none of this one.
    Others,
    /// Lists read after all others: rows may have moved to them (revoked invitations), or they refer to a list of
    /// [`Others`](Self::Others) (what machines may call).
    Last,
    /// Datasets made from other lists once those are complete. No list is requested for them.
    Derived,
}

impl Phase {
    /// Whether lists of this phase wait for those of `other`. Lists that do not wait for each other are read in
    /// parallel.
    #[must_use]
    pub fn follows(self, other: Self) -> bool {
        match (self, other) {
            (Self::Users, _) | (Self::Organizations | Self::Memberships, Self::Users) => false,
            _ => other < self,
        }
    }
}

/// How the pages of a list are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// By cursor, the id of the last row. The count takes a separate request.
    Cursor {
        /// Path that returns the count.
        count_path: &'static str,
    },
    /// By offset. Each page overlaps the previous one by a row.
    Offset(Order),
    /// No paging: one answer has all rows.
    SinglePage,
}

/// The order of rows in a list that is read by offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first: new rows appear at the end.
    Creation,
    /// Newest first, or unspecified: only known rows show where a page belongs.
    Any,
}

/// A list whose rows each belong to a row of another list, and that Clerk also lists by that owner.
#[derive(Debug, Clone, Copy)]
pub struct ByOwner {
    /// The owners' list.
    pub owners: Resource,
    /// Whether to read only owners that were active recently (`SESSIONS_LOOKBACK_DAYS`).
    pub active_only: bool,
    /// How one owner's rows are requested.
    pub rows: RowsOfOwner,
    /// What the list as a whole returns.
    pub whole: WholeList,
}

/// How the rows of one owner are requested.
#[derive(Debug, Clone, Copy)]
pub enum RowsOfOwner {
    /// At a path made from the owner's id.
    Path(fn(&str) -> String),
    /// With this parameter, whose value is the owner's id.
    Filter(&'static str),
}

/// What Clerk returns for the whole of a list that it also lists by owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeList {
    /// All rows: the whole list is read.
    Complete,
    /// Perhaps not all rows, or a refusal: the whole list is tried first.
    Doubtful,
    /// Nothing: only the owners' parts can be read.
    Missing,
}

/// A dataset that a list's rows are written to.
#[derive(Debug, Clone, Copy)]
pub struct Destination {
    /// The dataset.
    pub dataset: Dataset,
    /// Position of these lines among those of other lists: lower sections come first.
    pub section: u16,
    /// Another list that some of these lines need.
    pub needs: Option<Resource>,
}

impl Destination {
    /// The first section of a dataset, for lines that need no other list.
    #[must_use]
    pub const fn of(dataset: Dataset) -> Self {
        Self { dataset, section: 0, needs: None }
    }
}
