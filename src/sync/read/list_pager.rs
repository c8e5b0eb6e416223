//! Pages through a list by window or by owner, behind one interface.

use std::collections::HashSet;
use std::sync::Arc;

use crate::lists::endpoint::{ByOwner, Endpoint};
use crate::lists::page::PageContext;
use crate::lists::table::endpoint;
use crate::paging::by_owner::ByOwnerPager;
use crate::paging::created_range::CreatedRange;
use crate::paging::pager::{Allowed, Batch, Pager, PagerStart, PagerStop, Taken};
use crate::paging::position::PagingMode;
use crate::paging::reader::Reader;
use crate::sync::run::RunContext;

/// A reader for the owners of a list. Only their ids are needed.
pub(crate) fn owners(run: &RunContext, by_owner: ByOwner) -> Reader {
    let filters = match by_owner.active_only {
        true => vec![("last_active_at_after", run.active_after().to_string())],
        false => Vec::new(),
    };
    let context = Arc::new(PageContext::without_lines());
    Reader { context, filters, ..run.reader(endpoint(by_owner.owners)) }
}

/// The pager of a window of a list, or of the rows that each owner has in the list.
pub(crate) enum ListPager {
    /// Page after page.
    Window(Box<Pager>),
    /// Owner after owner.
    ByOwner(Box<ByOwnerPager>),
}

impl ListPager {
    /// A pager that continues from `start`, in the mode that it states.
    pub(crate) fn new(run: &RunContext, list: &'static Endpoint, start: PagerStart) -> Self {
        match list.by_owner {
            Some(by_owner) if start.mode == PagingMode::ByOwner => {
                let owners = owners(run, by_owner);
                let pager =
                    ByOwnerPager::new(run.reader(list), by_owner.rows, owners, start.position);
                Self::ByOwner(Box::new(pager))
            }
            _ => Self::Window(Box::new(Pager::new(run.reader(list), start))),
        }
    }

    /// Skips rows of the window that are stored already, given the hashes of their ids.
    pub(crate) fn skip(&mut self, stored: HashSet<u64>) {
        match self {
            Self::Window(pager) => pager.skip(stored),
            Self::ByOwner(_) => {}
        }
    }

    /// Sets how far it may read ahead.
    pub(crate) fn allow(&mut self, allowed: Allowed) {
        match self {
            Self::Window(pager) => pager.allow(allowed),
            Self::ByOwner(pager) => pager.allow(allowed),
        }
    }

    /// Sets whether the next page may wait for memory without a time limit.
    pub(crate) fn wait_for_room(&mut self, waits: bool) {
        match self {
            Self::Window(pager) => pager.wait_for_room(waits),
            Self::ByOwner(_) => {}
        }
    }

    /// Pages in flight; by owner, also those of the owners' list.
    pub(crate) fn in_flight(&self) -> usize {
        match self {
            Self::Window(pager) => pager.in_flight(),
            Self::ByOwner(pager) => pager.in_flight(),
        }
    }

    /// `pages` of the pages that it returned have been stored.
    pub(crate) fn stored(&mut self, pages: usize) {
        match self {
            Self::Window(pager) => pager.stored(pages),
            Self::ByOwner(pager) => pager.stored(pages),
        }
    }

    /// What has been read of the window, if it could be divided.
    pub(crate) fn taken(&self) -> Option<Taken> {
        match self {
            Self::Window(pager) => pager.taken(),
            Self::ByOwner(_) => None,
        }
    }

    /// Ends the window sooner, at the end of `range`. `expected` is the new number of its rows.
    pub(crate) fn narrow(&mut self, range: CreatedRange, expected: u64) {
        match self {
            Self::Window(pager) => pager.narrow(range, expected),
            Self::ByOwner(_) => {}
        }
    }

    /// The next page, or `None` after the last one.
    ///
    /// # Errors
    /// [`PagerStop`].
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, PagerStop> {
        match self {
            Self::Window(pager) => pager.next().await,
            Self::ByOwner(pager) => pager.next().await,
        }
    }
}
