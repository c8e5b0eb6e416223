//! Walks a list owner by owner, in the order of its owners: the memberships of each organization,
//! the sessions of each user.
//!
//! Many owners have one page each, so the first pages of several are asked for at once; they are
//! handed out one owner after the other.

use std::collections::VecDeque;

use tracing::debug;

use crate::lists::endpoint::PartOfOwner;
use crate::lists::list_error::ListError;
use crate::lists::page::{ReadPage, RowKey};
use crate::lists::row_request::{filled, is_path_safe};
use crate::paging::created_range::CreatedRange;
use crate::paging::pager::{Allowed, Batch, Beginning, Pager, PagerStop};
use crate::paging::position::{OwnerPosition, PagingMode, Position};
use crate::paging::reader::Reader;

/// A walk in progress.
#[derive(Debug)]
pub struct ByOwnerPager {
    /// Reads the list; its path is another for each owner.
    reader: Reader,
    /// How an owner's part of the list is asked for.
    part: PartOfOwner,
    /// Reads the list of owners.
    owners_reader: Reader,
    /// The list of owners, not walked to its end yet.
    owners: Option<Pager>,
    /// Owners that are next.
    waiting: VecDeque<RowKey>,
    /// Owners whose first pages have been asked for.
    begun: VecDeque<Begun>,
    /// Behind the last owner whose rows have all been handed out.
    position: Position,
    allowed: Allowed,
    not_stored: usize,
    finished: bool,
}

#[derive(Debug)]
struct Begun {
    owner: RowKey,
    walk: Pager,
}

impl ByOwnerPager {
    /// A walk from `place` on: an owner's place, and the place within what it owns. `owners` reads
    /// the list of owners.
    #[must_use]
    pub fn new(reader: Reader, part: PartOfOwner, owners: Reader, mut position: Position) -> Self {
        let owner_position = position.owner_position.take();
        let mode = PagingMode::first(owners.endpoint);
        let owners_reader = owners.clone();
        let owners = Pager::new(
            owners,
            Beginning {
                range: CreatedRange::default(),
                mode,
                rows: position.offset,
                position: position.clone(),
                expected: None,
                ties: None,
            },
        );
        let mut walk = Self {
            reader,
            part,
            owners_reader,
            owners: Some(owners),
            waiting: VecDeque::new(),
            begun: VecDeque::new(),
            position,
            allowed: Allowed { in_flight: 1, read_ahead: 1 },
            not_stored: 0,
            finished: false,
        };
        if let Some(owner_position) = owner_position {
            walk.begin(owner_position.owner, owner_position.position);
        }
        walk
    }

    /// Lets the walk run ahead.
    pub const fn allow(&mut self, allowed: Allowed) {
        self.allowed = allowed;
    }

    /// `pages` of the pages handed out have been stored.
    pub const fn stored(&mut self, pages: usize) {
        self.not_stored -= pages;
    }

    /// The next page of the next owner, or `None` behind the last one.
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
            next.walk.allow(Allowed {
                in_flight: self.allowed.in_flight.saturating_sub(self.begun.len()),
                read_ahead: self.allowed.read_ahead.saturating_sub(self.begun.len()),
            });
            match next.walk.next().await {
                Ok(Some(batch)) => {
                    self.not_stored += 1;
                    return Ok(Some(self.hand_out(next, batch)));
                }
                Ok(None) => self.pass(next.owner),
                Err(PagerStop::Clerk(failure))
                    if failure.error.says_absent() && self.is_gone(&next.owner).await? =>
                {
                    debug!("an owner is gone, and what it owned with it");
                    self.pass(next.owner);
                }
                Err(stop) => {
                    self.begun.push_front(next);
                    return Err(stop);
                }
            }
        }
        Ok(None)
    }

    /// Asks for the first pages of as many owners as are allowed.
    async fn begin_owners(&mut self) -> Result<(), PagerStop> {
        while self.begun.is_empty()
            || (self.begun.len() < self.allowed.in_flight
                && self.begun.len() + self.not_stored < self.allowed.read_ahead)
        {
            if let Some(why) = self.reader.work_limit.exhausted() {
                let nothing_left = self.begun.is_empty() && !self.is_at_the_end();
                return if nothing_left { Err(PagerStop::Exhausted(why)) } else { Ok(()) };
            }
            if let Some(owner) = self.waiting.pop_front() {
                self.may_stand_in_a_path(&owner.id)?;
                self.begin(owner, Position::default());
            } else if !self.list_owners().await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lists a page more of owners; whether there was one.
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
        // The list of owners continues after the last owner that was complete when this walk began. An owner
        // that was half read is listed again, and may be complete by now.
        let begun = |key: &RowKey| self.begun.iter().any(|begun| begun.owner.id == key.id);
        let is_new = |key: &RowKey| !begun(key) && !self.position.knows(&key.id);
        let new = batch.page.kept_rows().map(|row| row.key.clone()).filter(is_new);
        self.waiting = new.collect();
        Ok(true)
    }

    fn is_at_the_end(&self) -> bool {
        self.owners.is_none() && self.waiting.is_empty()
    }

    fn begin(&mut self, owner: RowKey, position: Position) {
        let reader = part_of(&self.reader, self.part, &owner.id);
        let beginning = Beginning {
            range: CreatedRange::default(),
            mode: PagingMode::Offset,
            rows: position.offset,
            position,
            expected: None,
            ties: None,
        };
        let mut walk = Pager::new(reader, beginning);
        walk.ask();
        self.begun.push_back(Begun { owner, walk });
    }

    fn hand_out(&mut self, next: Begun, batch: Batch) -> Batch {
        if batch.last {
            self.pass(next.owner);
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

    /// Ids come from the server and go into a path here: nothing else may be meant by them.
    fn may_stand_in_a_path(&self, id: &str) -> Result<(), PagerStop> {
        if is_path_safe(id) {
            return Ok(());
        }
        let detail = "the id of an owner has characters that no id of Clerk's has".to_owned();
        Err(self.owners_reader.protocol(detail).into())
    }

    /// Whether Clerk has an owner no more. That it does not find what the owner owns is not enough:
    /// an error must not look like an owner that owns nothing.
    async fn is_gone(&self, owner: &RowKey) -> Result<bool, ListError> {
        let Some(row_request) = self.owners_reader.endpoint.named_by.first() else {
            return Ok(false);
        };
        let path = filled(row_request.path, &[("id", owner.id.clone())]);
        match self.owners_reader.client.get(&path, &[], |_| Ok(())).await {
            Ok(()) => Ok(false),
            Err(error) if error.says_absent() => Ok(true),
            Err(error) => Err(ListError::of(self.owners_reader.endpoint)(error)),
        }
    }

    /// Everything of an owner has been handed out.
    fn pass(&mut self, owner: RowKey) {
        self.position.owner_position = None;
        self.position.offset += 1;
        self.position.remember(owner);
    }

    /// Says that no owner is left.
    fn end(&mut self) -> Batch {
        self.not_stored += 1;
        Batch {
            page: ReadPage::empty(&self.reader.context.datasets),
            doubled: 0,
            position: self.position.clone(),
            mode: PagingMode::ByOwner,
            total: None,
            last: true,
        }
    }
}

/// What an owner's part of a list is read with.
pub(crate) fn part_of(list: &Reader, part: PartOfOwner, owner: &str) -> Reader {
    match part {
        PartOfOwner::Path(path_of) => Reader { path: path_of(owner).into(), ..list.clone() },
        PartOfOwner::Filter(parameter) => {
            Reader { filters: vec![(parameter, owner.to_owned())], ..list.clone() }
        }
    }
}
