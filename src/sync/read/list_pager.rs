//! Either kind of walk, behind one face.

use std::collections::HashSet;
use std::sync::Arc;

use crate::lists::endpoint::{ByOwner, Endpoint};
use crate::lists::page::PageContext;
use crate::lists::table::endpoint;
use crate::paging::by_owner::ByOwnerPager;
use crate::paging::created_range::CreatedRange;
use crate::paging::pager::{Allowed, Batch, Beginning, Pager, PagerStop, Taken};
use crate::paging::position::PagingMode;
use crate::paging::reader::Reader;
use crate::sync::run::Run;

/// What the owners of a list are read with: for their ids alone.
pub(crate) fn owners(run: &Run, by_owner: ByOwner) -> Reader {
    let filters = match by_owner.active_only {
        true => vec![("last_active_at_after", run.active_after().to_string())],
        false => Vec::new(),
    };
    let context = Arc::new(PageContext::for_check());
    Reader { context, filters, ..run.reader(endpoint(by_owner.owners)) }
}

/// A walk over a window of a list, or over the parts that its owners have of it.
pub(crate) enum ListPager {
    /// Page after page.
    Window(Box<Pager>),
    /// Owner after owner.
    ByOwner(Box<ByOwnerPager>),
}

impl ListPager {
    /// The walk that goes on where `beginning` says, and the way it says.
    pub(crate) fn new(run: &Run, list: &'static Endpoint, beginning: Beginning) -> Self {
        match list.by_owner {
            Some(by_owner) if beginning.mode == PagingMode::ByOwner => {
                let owners = owners(run, by_owner);
                let walk =
                    ByOwnerPager::new(run.reader(list), by_owner.part, owners, beginning.position);
                Self::ByOwner(Box::new(walk))
            }
            _ => Self::Window(Box::new(Pager::new(run.reader(list), beginning))),
        }
    }

    /// Skips rows of a window that are stored already, by the hashes of their ids.
    pub(crate) fn skip(&mut self, stored: HashSet<u64>) {
        match self {
            Self::Window(walk) => walk.skip(stored),
            Self::ByOwner(_) => {}
        }
    }

    /// Lets it run ahead.
    pub(crate) fn allow(&mut self, allowed: Allowed) {
        match self {
            Self::Window(walk) => walk.allow(allowed),
            Self::ByOwner(walk) => walk.allow(allowed),
        }
    }

    /// Whether the next page may wait for room however long.
    pub(crate) fn wait_for_room(&mut self, waits: bool) {
        match self {
            Self::Window(walk) => walk.wait_for_room(waits),
            Self::ByOwner(_) => {}
        }
    }

    /// Pages in flight of a window; 0 for a walk by owner, which does not count its own.
    pub(crate) fn in_flight(&self) -> usize {
        match self {
            Self::Window(walk) => walk.in_flight(),
            Self::ByOwner(_) => 0,
        }
    }

    /// `pages` of the pages handed out have been stored.
    pub(crate) fn stored(&mut self, pages: usize) {
        match self {
            Self::Window(walk) => walk.stored(pages),
            Self::ByOwner(walk) => walk.stored(pages),
        }
    }

    /// What has been taken of a window that could be divided.
    pub(crate) fn taken(&self) -> Option<Taken> {
        match self {
            Self::Window(walk) => walk.taken(),
            Self::ByOwner(_) => None,
        }
    }

    /// The window ends sooner.
    pub(crate) fn narrow(&mut self, range: CreatedRange, expected: u64) {
        match self {
            Self::Window(walk) => walk.narrow(range, expected),
            Self::ByOwner(_) => {}
        }
    }

    /// Whether nothing is in flight that would be lost if it went no further.
    pub(crate) fn is_at_rest(&self) -> bool {
        match self {
            Self::Window(walk) => walk.is_at_rest(),
            Self::ByOwner(_) => false,
        }
    }

    /// The next page, or `None` behind the last one.
    ///
    /// # Errors
    /// [`PagerStop`].
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, PagerStop> {
        match self {
            Self::Window(walk) => walk.next().await,
            Self::ByOwner(walk) => walk.next().await,
        }
    }
}
