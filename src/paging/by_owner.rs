//! Reads a list owner by owner, in the order of the owners' list: the memberships of each organization, the sessions of
//! each user.
//!
//! Most owners have a single page, so the first pages of several owners are requested in parallel. Pages are returned
//! one owner after the other.

use std::collections::VecDeque;

use tracing::debug;

use crate::lists::endpoint::RowsOfOwner;
use crate::lists::list_error::ListError;
use crate::lists::page::{ReadPage, RowKey};
use crate::lists::row_request::{filled, is_path_safe};
use crate::paging::created_range::CreatedRange;
use crate::paging::pager::{Allowed, Batch, Pager, PagerStart, PagerStop};
use crate::paging::position::{OwnerPosition, PagingMode, Position};
use crate::paging::reader::Reader;

/// Reads a list owner by owner.
#[derive(Debug)]
pub struct ByOwnerPager {
    /// Reads the list; the path or filter differs per owner.
    reader: Reader,
    /// How one owner's rows are requested.
    rows: RowsOfOwner,
    /// Reads the owners' list.
    owners_reader: Reader,
    /// Pager of the owners' list; `None` once it has reached the end.
    owners: Option<Pager>,
    /// Owners to read next.
    waiting: VecDeque<RowKey>,
    /// Owners whose first pages have been requested.
    begun: VecDeque<Begun>,
    /// Just after the last owner whose rows have all been returned.
    position: Position,
    allowed: Allowed,
    unsaved: usize,
    finished: bool,
}

#[derive(Debug)]
struct Begun {
    owner: RowKey,
    pager: Pager,
}

impl ByOwnerPager {
    /// A pager that continues at `position`: after an owner, and within the rows of the next one. `owners` reads the
    /// owners' list.
    #[must_use]
    pub fn new(reader: Reader, rows: RowsOfOwner, owners: Reader, mut position: Position) -> Self {
        let owner_position = position.owner_position.take();
        let mode = PagingMode::first(owners.endpoint);
        let owners_reader = owners.clone();
        let owners = Pager::new(
            owners,
            PagerStart {
                range: CreatedRange::default(),
                mode,
                rows: position.offset,
                position: position.clone(),
                expected: None,
                ties: None,
            },
        );
        let mut pager = Self {
            reader,
            rows,
            owners_reader,
            owners: Some(owners),
            waiting: VecDeque::new(),
            begun: VecDeque::new(),
            position,
            allowed: Allowed { in_flight: 1, read_ahead: 1 },
            unsaved: 0,
            finished: false,
        };
        if let Some(owner_position) = owner_position {
            pager.begin(owner_position.owner, owner_position.position);
        }
        pager
    }

    /// Sets how many pages may be read ahead.
    pub const fn allow(&mut self, allowed: Allowed) {
        self.allowed = allowed;
    }

    /// Tells the pager that `pages` of the returned pages have been stored.
    pub const fn stored(&mut self, pages: usize) {
        self.unsaved -= pages;
    }

    /// Pages in flight, of the owners' list and of owners' rows.
    pub(crate) fn in_flight(&self) -> usize {
        let of_rows = self.begun.iter().map(|begun| begun.pager.in_flight());
        of_rows.chain(self.owners.as_ref().map(Pager::in_flight)).sum()
    }

    /// The next page of the next owner, or `None` after the last one.
    ///
    /// # Errors
    /// [`PagerStop`].
    pub async fn next(&mut self) -> Result<Option<Batch>, PagerStop> {
        while !self.finished {
            self.begin_owners().await?;
            let Some(mut next) = self.begun.pop_front() else {
                self.finished = true;
                return Ok(Some(self.end()));
            };
            let of_others: usize = self.begun.iter().map(|begun| begun.pager.unanswered()).sum();
            next.pager.allow(Allowed {
                in_flight: self.allowed.in_flight.saturating_sub(of_others),
                read_ahead: self.allowed.read_ahead.saturating_sub(self.begun.len() + self.unsaved),
            });
            match next.pager.next().await {
                Ok(Some(batch)) => {
                    // `self` counts the pages of all owners that are not stored yet.
                    next.pager.stored(1);
                    self.unsaved += 1;
                    return Ok(Some(self.hand_out(next, batch)));
                }
                Ok(None) => self.finish_owner(next.owner),
                Err(PagerStop::Clerk(failure))
                    if failure.error.says_absent() && self.is_gone(&next.owner).await? =>
                {
                    debug!("an owner and its rows no longer exist");
                    self.finish_owner(next.owner);
                }
                Err(stop) => {
                    self.begun.push_front(next);
                    return Err(stop);
                }
            }
        }
        Ok(None)
    }

    /// Requests the first pages of as many owners as are allowed.
    async fn begin_owners(&mut self) -> Result<(), PagerStop> {
        while self.begun.is_empty()
            || (self.begun.len() < self.allowed.in_flight
                && self.begun.len() + self.unsaved < self.allowed.read_ahead)
        {
            if let Some(why) = self.reader.work_limit.stop_reason() {
                let nothing_left = self.begun.is_empty() && !self.is_at_the_end();
                return if nothing_left { Err(PagerStop::OutOfTime(why)) } else { Ok(()) };
            }
            if let Some(owner) = self.waiting.pop_front() {
                self.check_path_safety(&owner.id)?;
                self.begin(owner, Position::default());
            } else if !self.list_owners().await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads another page of the owners' list. Returns whether there was one.
    async fn list_owners(&mut self) -> Result<bool, PagerStop> {
        let Some(owners) = &mut self.owners else { return Ok(false) };
        let batch = owners.next().await?;
        let Some(batch) = batch else {
            self.owners = None;
            return Ok(false);
        };
        owners.stored(1);
        if batch.last {
            self.owners = None;
        }
        // The owners' list continues after the last owner that was complete when this pager started. An owner read only
        // in part is listed again, and may be complete by now.
        let begun = |key: &RowKey| self.begun.iter().any(|begun| begun.owner.id == key.id);
        let is_new = |key: &RowKey| !begun(key) && !self.position.remembers(&key.id);
        let new = batch.page.kept_rows().map(|row| row.key.clone()).filter(is_new);
        self.waiting = new.collect();
        Ok(true)
    }

    fn is_at_the_end(&self) -> bool {
        self.owners.is_none() && self.waiting.is_empty()
    }

    fn begin(&mut self, owner: RowKey, position: Position) {
        let reader = rows_of_owner(&self.reader, self.rows, &owner.id);
        let start = PagerStart {
            range: CreatedRange::default(),
            mode: PagingMode::Offset,
            rows: position.offset,
            position,
            expected: None,
            ties: None,
        };
        let mut pager = Pager::new(reader, start);
        pager.ask();
        self.begun.push_back(Begun { owner, pager });
    }

    fn hand_out(&mut self, next: Begun, batch: Batch) -> Batch {
        if batch.last {
            self.finish_owner(next.owner);
        } else {
            let owner_position =
                OwnerPosition { owner: next.owner.clone(), position: batch.position };
            self.position.owner_position = Some(Box::new(owner_position));
            self.begun.push_front(next);
        }
        Batch {
            position: self.position.clone(),
            mode: PagingMode::ByOwner,
            total: batch.total.filter(|_| batch.last),
            last: false,
            ..batch
        }
    }

    /// Ids come from the server and become part of a path, so they must not be able to name another path.
    fn check_path_safety(&self, id: &str) -> Result<(), PagerStop> {
        if is_path_safe(id) {
            return Ok(());
        }
        let detail = "the id of an owner has characters that no id of Clerk's has".to_owned();
        Err(self.owners_reader.protocol(detail).into())
    }

    /// Whether an owner no longer exists. A 404 for the owner's rows is not enough: an error must never look like an
    /// owner without rows.
    async fn is_gone(&self, owner: &RowKey) -> Result<bool, ListError> {
        let Some(row_request) = self.owners_reader.endpoint.row_requests.first() else {
            return Ok(false);
        };
        let path = filled(row_request.path, &[("id", owner.id.clone())]);
        match self.owners_reader.client.get(&path, &[], |_| Ok(())).await {
            Ok(()) => Ok(false),
            Err(error) if error.says_absent() => Ok(true),
            Err(error) => Err(ListError::of(self.owners_reader.endpoint)(error)),
        }
    }

    /// Moves past an owner whose rows have all been returned.
    fn finish_owner(&mut self, owner: RowKey) {
        self.position.owner_position = None;
        self.position.offset += 1;
        self.position.remember(owner);
    }

    /// The final batch, after the last owner.
    fn end(&mut self) -> Batch {
        self.unsaved += 1;
        Batch {
            page: ReadPage::empty(&self.reader.context.datasets),
            duplicates: 0,
            position: self.position.clone(),
            mode: PagingMode::ByOwner,
            total: None,
            last: true,
        }
    }
}

/// A reader for the rows of one owner.
pub(crate) fn rows_of_owner(list: &Reader, rows: RowsOfOwner, owner: &str) -> Reader {
    match rows {
        RowsOfOwner::Path(path_of) => Reader { path: path_of(owner).into(), ..list.clone() },
        RowsOfOwner::Filter(parameter) => {
            Reader { filters: vec![(parameter, owner.to_owned())], ..list.clone() }
        }
    }
}
