//! What there is to say of a list: path, order, paging, datasets and translation. The table says it of
//! each.

use std::fmt;

use clerk_snapshot::resource::{Dataset, Resource};
use serde::{Deserialize, Serialize};

use crate::lists::page::{Needed, PageContext, PageError, ReadPage, RowReader, read_rows};
use crate::lists::row_request::RowRequest;

/// Most rows a page may have (Clerk OpenAPI, parameter `limit`: 1 to 500).
pub const PAGE_ROWS: u64 = 500;

/// One list of Clerk's Backend API.
#[derive(Debug)]
pub struct Endpoint {
    /// The resource that opts the list in.
    pub resource: Resource,
    /// Which of the resource's lists it is; most have one, which is the first.
    pub part: u8,
    /// Below `/v1`.
    pub path: &'static str,
    /// Sent with every page, beside `limit`, `offset` and the like.
    pub query: &'static [(&'static str, &'static str)],
    /// Rows of a page: the most that Clerk allows. Asked for more it may silently give ten.
    pub page_rows: u64,
    /// When it is read.
    pub phase: Phase,
    /// How its pages are found.
    pub paging: Paging,
    /// How it can be read in parts, where it can.
    pub by_owner: Option<ByOwner>,
    /// What its rows become, in order of their sections.
    pub feeds: &'static [Feed],
    /// How one of its rows is asked for by itself, where Clerk allows it. Several that take the same
    /// fields are tried in turn.
    pub named_by: &'static [RowRequest],
    /// Where the memberships of one of its rows are listed, by the row's id: their grants are the
    /// row's.
    pub memberships: Option<fn(&str) -> String>,
    /// What its rows cannot be without, beside their ids and, where it is walked in the order of their
    /// creation, `created_at`: the fields that grants are made of and roles are known by.
    pub needed: &'static [&'static str],
    /// How its rows are read.
    pub rows: Rows,
}

/// How the rows of a page are read.
#[derive(Debug, Clone, Copy)]
pub enum Rows {
    /// All of a page by code of their own, which is fast: for the lists that are long. A page that has
    /// to be read row by row is read as those of the others.
    Whole(fn(&[u8], &PageContext, Needed) -> Option<ReadPage>, RowReader),
    /// One by one, by code that is shared: for all others.
    Single(RowReader),
}

impl Endpoint {
    /// Reads one page's body.
    ///
    /// # Errors
    /// [`PageError`], naming the field and never its value.
    pub fn read(&self, body: &[u8], context: &PageContext) -> Result<ReadPage, PageError> {
        let created_at =
            matches!(self.paging, Paging::Cursor { .. } | Paging::Offset(Order::Creation));
        let needed = Needed { created_at, fields: self.needed };
        let (at_once, row) = match self.rows {
            Rows::Whole(page, row) => (Some(page), row),
            Rows::Single(row) => (None, row),
        };
        let at_once = at_once.filter(|_| !context.translation.include_raw);
        match at_once.and_then(|page| page(body, context, needed)) {
            Some(page) => Ok(page),
            None => read_rows(body, context, needed, row),
        }
    }

    /// Whether it is read, and not made of what another list has brought.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.phase != Phase::Derived
    }

    /// Whether a row has grants beside its own record.
    #[must_use]
    pub fn has_grants(&self) -> bool {
        let further = self.feeds.iter().skip(1);
        self.memberships.is_some() || further.into_iter().any(|it| it.dataset == Dataset::Grants)
    }

    /// Whether this list as a whole says how many rows it has.
    #[must_use]
    pub const fn is_counted_as_a_whole(&self) -> bool {
        matches!(self.by_owner, None | Some(ByOwner { whole: WholeList::Complete, .. }))
    }

    /// How the checkpoint calls it.
    #[must_use]
    pub const fn name(&self) -> ListName {
        ListName { resource: self.resource, part: self.part }
    }
}

/// Names a list: by its resource, and by a number where the resource is read from several, such as
/// `invitations.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListName {
    resource: Resource,
    part: u8,
}

impl ListName {
    /// One of several lists of a resource.
    #[must_use]
    pub const fn of(resource: Resource, part: u8) -> Self {
        Self { resource, part }
    }
}

impl From<Resource> for ListName {
    /// The first list of a resource, and mostly the only one.
    fn from(resource: Resource) -> Self {
        Self { resource, part: 0 }
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            0 => self.resource.fmt(formatter),
            part => write!(formatter, "{}.{part}", self.resource),
        }
    }
}

impl From<ListName> for String {
    fn from(name: ListName) -> Self {
        name.to_string()
    }
}

/// When a list is read: what others refer to comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// What roles refer to.
    Permissions,
    /// What translates memberships and organizations.
    Roles,
    /// What memberships refer to; it needs no other list.
    Users,
    /// What memberships refer to as well.
    Organizations,
    /// What refers to users and organizations. It is read beside users; `settle` checks its users afterwards.
    Memberships,
    /// What nothing refers to, and is not needed for anything else.
    Others,
    /// What rows of others may have become meanwhile.
    Last,
    /// What is made of other lists when they are done: nothing is read for it.
    Derived,
}

impl Phase {
    /// Whether a list of this phase is read only when those of `other` are done. Lists that do not follow each
    /// other are read side by side.
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
    /// By the id of the last row seen; the count comes from a request of its own.
    Cursor {
        /// Path of the count.
        count_path: &'static str,
    },
    /// By offset, each page overlapping the one before by a row.
    Offset(Order),
    /// Not at all: one answer has all rows.
    Whole,
}

/// In which order a list that is read by offset has its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first: what is created comes at the end.
    Creation,
    /// Newest first, or whatever the server likes: where a page stands is told by known rows alone.
    Any,
}

/// Every row of a list belongs to a row of another, under which it is listed as well.
#[derive(Debug, Clone, Copy)]
pub struct ByOwner {
    /// The list of owners.
    pub owners: Resource,
    /// Whether only owners that were active lately are asked for theirs (`SESSIONS_LOOKBACK_DAYS`).
    pub active_only: bool,
    /// How one owner's part is asked for.
    pub part: PartOfOwner,
    /// What there is beside the parts.
    pub whole: WholeList,
}

/// How the part of a list is asked for that belongs to one owner.
#[derive(Debug, Clone, Copy)]
pub enum PartOfOwner {
    /// By a path of its own, made from the owner's id.
    Path(fn(&str) -> String),
    /// By this parameter, which takes the owner's id.
    Filter(&'static str),
}

/// What a list that is also listed by owner is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeList {
    /// Complete, and read rather than the parts.
    Complete,
    /// Tried, but it may be refused or answer in part.
    Doubtful,
    /// Not listed at all.
    Missing,
}

/// A dataset that a list's rows become lines of.
#[derive(Debug, Clone, Copy)]
pub struct Feed {
    /// The dataset.
    pub dataset: Dataset,
    /// Where these lines stand among those of other lists: lower sections come first.
    pub section: u16,
    /// Another list that some of these lines cannot be made without.
    pub needs: Option<Resource>,
}

impl Feed {
    /// The lines of one list alone, of which each can be made by itself.
    #[must_use]
    pub const fn of(dataset: Dataset) -> Self {
        Self { dataset, section: 0, needs: None }
    }
}
