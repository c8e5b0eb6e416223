//! Reads one window of a list in ascending order, from a position on, without losing or repeating a row when others are
//! inserted or deleted meanwhile.
//!
//! - Every page after the first must join the rows before it: a page by offset repeats a known row, and a page by cursor
//!   must not start again from the beginning.
//! - If a page does not join the known rows, the pager steps back until one does.

use std::collections::{HashSet, VecDeque};

use clerk_snapshot::records::Records;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::clerk::error::ClerkError;
use crate::clerk::urgency::Urgency;
use crate::clerk::wire::MAX_ROWS;
use crate::lists::endpoint::{Endpoint, Paging};
use crate::lists::id_index::hash_of;
use crate::lists::list_error::ListError;
use crate::lists::page::{ReadPage, ReadRow, RowKey};
use crate::paging::created_range::CreatedRange;
use crate::paging::position::{PagingMode, Position, TAIL_ROWS};
use crate::paging::reader::{PageRequest, Reader, fetch};
use crate::paging::ties::Ties;
use crate::work_limit::StopReason;

/// Most bytes of one list's lines that wait to be stored: 27 pages of ordinary users, or 14 of memberships with many
/// permissions.
pub(crate) const MAX_WAITING: usize = 16 * 1024 * 1024;

/// Reads one window of a list, page by page.
#[derive(Debug)]
pub struct Pager {
    reader: Reader,
    range: CreatedRange,
    mode: PagingMode,
    position: Position,
    /// The rows taken with the same creation time as the last one.
    ties: Ties,
    /// Rows taken since the start of the window.
    rows: u64,
    /// Size of the window, as last stated by the server.
    expected: Option<u64>,
    in_flight: VecDeque<InFlight>,
    /// Offset of the next page.
    next_offset: u64,
    /// Rows per page that this server returns, which may be fewer than requested.
    page_rows: u64,
    /// How many rows the last step back went; 0 while pages join.
    step_back: u64,
    /// How many rows before the last one the cursor is; 0 for the last row itself.
    cursor_back: usize,
    /// The fewest rows ever left after a page, by the stated size of the list.
    fewest_left: u64,
    /// Rows after the position that are already stored, as the [`hash_of`] their ids.
    stored_after: HashSet<u64>,
    allowed: Allowed,
    /// Whether a page with none in flight behind it may wait for room as long as it likes, because no page that holds
    /// room waits for this pager.
    waits_for_room: bool,
    /// Pages returned but not stored yet.
    unsaved: usize,
    finished: bool,
}

/// Where a pager starts.
#[derive(Debug)]
pub struct PagerStart {
    /// The range of the list to read; position and counts refer to it.
    pub range: CreatedRange,
    /// How pages are requested.
    pub mode: PagingMode,
    /// Just after the rows already taken.
    pub position: Position,
    /// How many rows have been taken.
    pub rows: u64,
    /// Size of the window, as last stated by the server.
    pub expected: Option<u64>,
    /// Hashed ids of all rows taken with the same creation time as the last one; `None` if only the position is known.
    pub ties: Option<Vec<u64>>,
}

/// How far a pager may read ahead. It may always request one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Most pages in flight.
    pub in_flight: usize,
    /// Most pages in flight or returned, but not stored yet.
    pub read_ahead: usize,
}

#[derive(Debug)]
struct InFlight {
    asked: PageRequest,
    urgency: Urgency,
    answer: AbortOnDrop<Result<ReadPage, ListError>>,
}

/// Progress of a pager by cursor in its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Rows taken.
    pub rows: u64,
    /// Creation time of the newest one, in milliseconds since 1970.
    pub newest: i64,
    /// Size of the window, as last stated by the server.
    pub expected: u64,
    /// Range of the window.
    pub range: CreatedRange,
}

impl Taken {
    /// Progress of a pager at `position`; `None` if it has taken no row, or rows without a creation time.
    pub(crate) fn of(
        position: &Position,
        rows: u64,
        expected: u64,
        range: CreatedRange,
    ) -> Option<Self> {
        let newest = position.tail.last()?.created_at?;
        Some(Self { rows, newest, expected, range })
    }
}

/// One page, with the rows that are new.
#[derive(Debug)]
pub struct Batch {
    /// The page; rows that were already known are not marked as kept.
    pub page: ReadPage,
    /// Rows that were listed again because inserted rows had moved them.
    pub duplicates: u64,
    /// Position of the pager after this page.
    pub position: Position,
    /// Paging mode from here on.
    pub mode: PagingMode,
    /// Clerk's count, if the page had one. When paging by owner, the count of one owner's rows, with the last page of
    /// that owner.
    pub total: Option<u64>,
    /// Whether this is the last page of the window.
    pub last: bool,
}

/// Why a pager returns no further page.
#[derive(Debug, thiserror::Error)]
pub enum PagerStop {
    /// Clerk's answer makes it impossible to continue.
    #[error(transparent)]
    Clerk(#[from] ListError),
    /// No new request may start, and none is in flight.
    #[error("the invocation's time is up")]
    OutOfTime(StopReason),
    /// None of the last rows taken is in the list any more.
    #[error("the position in {} is lost", .0.path)]
    LostPosition(&'static Endpoint),
    /// The server does not apply the filters that define a window.
    #[error("{} is not filtered by creation time", .0.path)]
    Unfiltered(&'static Endpoint),
}

impl PagerStop {
    /// Converts the reason into an error of the list.
    ///
    /// # Errors
    /// [`StopReason`], if the list is fine but no request may start.
    pub fn into_list_error(self) -> Result<ListError, StopReason> {
        let protocol = |endpoint: &'static Endpoint, detail: &str| {
            let (endpoint_path, detail) = (endpoint.path.to_owned(), detail.to_owned());
            ListError::of(endpoint)(ClerkError::Protocol { endpoint: endpoint_path, detail })
        };
        match self {
            Self::Clerk(failure) => Ok(failure),
            Self::OutOfTime(why) => Err(why),
            Self::LostPosition(endpoint) => Ok(protocol(
                endpoint,
                "its pages do not join the rows read before: its rows change faster than they can be read",
            )),
            Self::Unfiltered(endpoint) => {
                Ok(protocol(endpoint, "it lists rows created at other times than were asked for"))
            }
        }
    }
}

impl Pager {
    /// A pager with one page in flight at a time, until [`allow`](Self::allow) raises that.
    #[must_use]
    pub fn new(reader: Reader, start: PagerStart) -> Self {
        let PagerStart { range, mode, position, rows, expected, ties } = start;
        let last = position.tail.last();
        Self {
            page_rows: reader.endpoint.page_rows,
            next_offset: overlap(position.offset),
            ties: match ties {
                Some(ids) => Ties::of(last.and_then(|key| key.created_at), ids),
                None => Ties::at_end_of(&position.tail, rows),
            },
            reader,
            range,
            mode,
            position,
            rows,
            expected,
            in_flight: VecDeque::new(),
            step_back: 0,
            cursor_back: 0,
            fewest_left: u64::MAX,
            stored_after: HashSet::new(),
            allowed: Allowed { in_flight: 1, read_ahead: 1 },
            waits_for_room: false,
            unsaved: 0,
            finished: false,
        }
    }

    /// Skips rows after the position that are already stored, given as the [`hash_of`] their ids.
    pub(crate) fn skip(&mut self, stored: HashSet<u64>) {
        self.stored_after = stored;
    }

    /// Sets how many pages may be read ahead.
    pub const fn allow(&mut self, allowed: Allowed) {
        self.allowed = allowed;
    }

    /// Sets whether the next page may wait for room as long as it likes, unless pages in flight behind it hold room
    /// until it is stored. It may if other windows of the list are read in parallel, because their pages are stored
    /// independently of this one.
    pub(crate) const fn wait_for_room(&mut self, waits: bool) {
        self.waits_for_room = waits;
    }

    /// Tells the pager that `pages` of the returned pages have been stored.
    pub const fn stored(&mut self, pages: usize) {
        self.unsaved -= pages;
    }

    /// Progress, if the pager is advancing by cursor so that its window could be split.
    pub(crate) fn taken(&self) -> Option<Taken> {
        let advances_by_cursor =
            self.mode == PagingMode::Cursor && self.cursor_back == 0 && !self.finished;
        let expected = self.expected.filter(|_| advances_by_cursor)?;
        Taken::of(&self.position, self.rows, expected, self.range)
    }

    /// Ends the window earlier, but after the rows taken. Rows beyond that are dropped from pages in flight.
    pub(crate) const fn narrow(&mut self, range: CreatedRange, expected: u64) {
        self.range = range;
        self.expected = Some(expected);
    }

    /// Pages in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Pages in flight whose answer has not arrived yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.in_flight.iter().filter(|page| !page.answer.0.is_finished()).count()
    }

    /// The next page, or `None` after the last one.
    ///
    /// # Errors
    /// [`PagerStop`]; an error never looks like the end of the list.
    pub async fn next(&mut self) -> Result<Option<Batch>, PagerStop> {
        while !self.finished {
            if self.in_flight.is_empty() {
                self.ask();
            }
            self.ask_ahead();
            let Some(next) = self.in_flight.pop_front() else {
                let why = self.reader.work_limit.stop_reason().unwrap_or(StopReason::Halted);
                return Err(PagerStop::OutOfTime(why));
            };
            if !self.waits_for_room || !self.in_flight.is_empty() {
                next.urgency.set();
            }
            let page = match Self::arrival(next.answer).await {
                Ok(page) => page,
                Err(PagerStop::Clerk(failure))
                    if failure.error.rejects_the_request()
                        && matches!(next.asked, PageRequest::Cursor(Some(_))) =>
                {
                    self.cursor_rejected();
                    continue;
                }
                Err(PagerStop::Clerk(failure))
                    if failure.error.rejects_the_request() && self.range.is_bounded() =>
                {
                    return Err(PagerStop::Unfiltered(self.reader.endpoint));
                }
                Err(stop) => return Err(stop),
            };
            if self.range.is_ignored_by(&page.rows) {
                return Err(PagerStop::Unfiltered(self.reader.endpoint));
            }
            let batch = match next.asked {
                PageRequest::Offset(offset) => self.join_by_offset(offset, page)?,
                PageRequest::Cursor(cursor) => self.join_by_cursor(cursor.as_deref(), page),
            };
            if self.rows > MAX_ROWS {
                return Err(self
                    .reader
                    .protocol(format!("it lists more than {MAX_ROWS} rows"))
                    .into());
            }
            self.unsaved += 1;
            self.finished = batch.last;
            if batch.page.records.size() <= MAX_WAITING / 2 {
                // Let Clerk answer the next request while this page is being stored.
                self.ask_ahead();
            }
            return Ok(Some(batch));
        }
        Ok(None)
    }

    /// Requests as many pages as are allowed.
    fn ask_ahead(&mut self) {
        while !self.finished
            && self.in_flight.len() < self.allowed.in_flight
            && self.in_flight.len() + self.unsaved < self.allowed.read_ahead
            && self.ask()
        {}
    }

    /// Requests the next page, if its start is known and there is time. Returns whether it did.
    pub(crate) fn ask(&mut self) -> bool {
        let is_first = self.in_flight.is_empty();
        // Read ahead only to offsets where a row must exist.
        let is_expected = self.expected.is_some_and(|rows| self.next_offset + 1 < rows);
        let asked = match self.mode {
            _ if self.reader.work_limit.stop_reason().is_some() => return false,
            PagingMode::Cursor if is_first && self.cursor_back > 0 && self.has_no_cursor() => {
                self.abandon_the_cursor("returns no row after");
                return self.ask();
            }
            PagingMode::Cursor if is_first => PageRequest::Cursor(self.cursor()),
            // The next cursor is known only when the page has arrived.
            PagingMode::Cursor => return false,
            PagingMode::Offset | PagingMode::ByOwner
                if is_first || (self.step_back == 0 && is_expected && !self.is_whole()) =>
            {
                PageRequest::Offset(self.next_offset)
            }
            PagingMode::Offset | PagingMode::ByOwner => return false,
        };
        if let PageRequest::Offset(offset) = asked {
            self.next_offset = offset + self.page_rows - 1;
        }
        let urgency = Urgency::default();
        let fetching = fetch(self.reader.clone(), self.range, asked.clone(), urgency.clone());
        let answer = AbortOnDrop(tokio::spawn(fetching));
        self.in_flight.push_back(InFlight { asked, urgency, answer });
        true
    }

    fn cursor(&self) -> Option<String> {
        let index = self.position.tail.len().checked_sub(1 + self.cursor_back)?;
        Some(self.position.tail[index].id.clone())
    }

    /// Whether the cursor would have to step back beyond the remembered rows.
    fn has_no_cursor(&self) -> bool {
        self.cursor().is_none() && self.rows > self.position.tail.len() as u64
    }

    /// Whether a single answer has all rows.
    fn is_whole(&self) -> bool {
        self.reader.endpoint.paging == Paging::SinglePage
    }

    /// Whether a row is remembered as taken.
    fn remembers(&self, key: &RowKey) -> bool {
        self.position.remembers(&key.id) || self.ties.has(key)
    }

    /// Whether a row has been taken, or was already stored.
    fn is_stored(&self, key: &RowKey) -> bool {
        self.remembers(key)
            || (!self.stored_after.is_empty() && self.stored_after.contains(&hash_of(&key.id)))
    }

    async fn arrival(
        mut answer: AbortOnDrop<Result<ReadPage, ListError>>,
    ) -> Result<ReadPage, PagerStop> {
        match (&mut answer.0).await {
            Ok(page) => Ok(page?),
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(PagerStop::OutOfTime(StopReason::Halted)),
            },
        }
    }

    /// The server refused the cursor, whose row may be deleted: try an earlier row, then offsets.
    fn cursor_rejected(&mut self) {
        if self.cursor_back + 1 < self.position.tail.len().min(3) {
            self.cursor_back += 1;
        } else {
            self.abandon_the_cursor("rejects");
        }
    }

    fn abandon_the_cursor(&mut self, what_it_does: &'static str) {
        warn!(
            clerk.path = self.reader.endpoint.path,
            "the server {what_it_does} the cursor; reading the rest of the list by offset"
        );
        self.mode = PagingMode::Offset;
        self.cursor_back = 0;
        self.in_flight.clear();
        self.next_offset = overlap(self.position.offset);
    }

    fn join_by_cursor(&mut self, cursor: Option<&str>, mut page: ReadPage) -> Batch {
        let confirming = std::mem::take(&mut self.cursor_back) > 0;
        if cursor.is_some_and(|cursor| self.begins_again(cursor, &page.rows)) {
            self.abandon_the_cursor("ignores");
            return self.batch_without_rows(page);
        }
        let newest = self.position.tail.last().and_then(|key| key.created_at);
        let repeated = rows_repeated(&page);
        for row in &mut page.rows {
            // Rows older than the last one taken appeared meanwhile. Reconciliation finds them.
            let is_late_enough = row.key.created_at.is_none_or(|created| Some(created) >= newest);
            row.kept &= is_late_enough && self.range.contains(row) && !self.is_stored(&row.key);
        }
        let new = page.kept_rows().count() as u64;
        let full = page.rows.len() as u64 >= self.reader.endpoint.page_rows;
        let begun = !self.position.tail.is_empty();
        let all_seen = self.expected.is_some_and(|expected| self.rows + new >= expected);
        let last = if page.rows.iter().any(|row| self.range.ends_before(row)) {
            true
        } else if page.rows.is_empty() {
            !begun && (all_seen || confirming)
        } else {
            let known_again = || page.rows.iter().any(|row| self.remembers(&row.key));
            !full && (all_seen || (new == 0 && known_again()))
        };
        let has_advanced = new > 0 || last;
        let too_many = self.position.stalled.count_round(has_advanced).is_err();
        if !has_advanced && (full || confirming || too_many) {
            // The rows at the cursor may be deleted, which must not look like the end of the list. The same request
            // would return the same page again.
            self.abandon_the_cursor("returns neither a new nor a known row after");
            return self.batch_without_rows(page);
        }
        // A short page should end the list, but servers have been seen to send short pages in the middle. Unless the
        // count agrees, confirm the end with a page that repeats a known row.
        self.cursor_back = usize::from(!last && (!full || all_seen));
        self.batch(page, new, repeated, last)
    }

    /// Whether a page by cursor contains rows from before the cursor.
    fn begins_again(&self, cursor: &str, rows: &[ReadRow]) -> bool {
        let tail = &self.position.tail;
        let Some(index) = tail.iter().position(|key| key.id == cursor) else { return false };
        let later = &tail[index + 1..];
        let is_later = |row: &ReadRow| later.iter().any(|key| key.id == row.key.id);
        rows.iter().any(|row| self.remembers(&row.key) && !is_later(row))
            || rows.first().is_some_and(|row| row.key.created_at < tail[index].created_at)
    }

    fn join_by_offset(&mut self, offset: u64, mut page: ReadPage) -> Result<Batch, PagerStop> {
        if page.total.is_some() {
            self.expected = page.total;
        }
        let Some(from) = self.seam(&page.rows, offset) else {
            self.step_back()?;
            return Ok(self.batch_without_rows(page));
        };
        let wanted_again = self.position.offset.saturating_sub(offset);
        let stepped_back = std::mem::take(&mut self.step_back) > 0;
        let duplicates = if stepped_back { 0 } else { (from as u64).saturating_sub(wanted_again) };
        let repeated = rows_repeated(&page);
        for (index, row) in page.rows.iter_mut().enumerate() {
            row.kept &= index >= from && self.range.contains(row) && !self.is_stored(&row.key);
        }
        let beyond = page.rows.iter().any(|row| self.range.ends_before(row));
        let new = page.rows.iter().filter(|row| row.kept).count() as u64;
        let end = offset + page.rows.len() as u64;
        let full = page.rows.len() as u64 >= self.reader.endpoint.page_rows;
        // Servers have been seen to send short pages in the middle. Unless the count agrees, the list ends where one
        // more request returns nothing.
        let continues = new > 0 || stepped_back || end > self.position.offset;
        let last = match page.total {
            _ if beyond || self.is_whole() => true,
            // A total that is too small must not hide the rows after a full page.
            Some(total) => !full && end >= total,
            None => {
                let all_seen = self.expected.is_some_and(|rows| self.rows + new >= rows);
                !full && (all_seen || !continues)
            }
        };
        // At least one row to overlap and one to advance.
        let page_rows = (page.rows.len() as u64).clamp(2, self.reader.endpoint.page_rows);
        if !last && page_rows != self.page_rows {
            // The pages requested after a short page do not join it.
            self.page_rows = page_rows;
            self.in_flight.clear();
            self.next_offset = overlap(end);
        }
        let has_advanced = last || (new > 0 && (full || self.comes_nearer(end)));
        // After a step back, pages of rows that have all been taken lead up to the new ones.
        let is_catching_up = (full || continues) && end <= self.rows;
        if has_advanced || !is_catching_up {
            self.position
                .stalled
                .count_round(has_advanced)
                .map_err(|_| self.ends_before_its_total())?;
        }
        self.position.offset = end;
        Ok(self.batch(page, new, duplicates + repeated, last))
    }

    /// Whether fewer rows are left after this offset than after any before. The end of a list that grows as fast as it
    /// is read is never reached.
    fn comes_nearer(&mut self, end: u64) -> bool {
        let Some(expected) = self.expected else { return true };
        let left = expected.saturating_sub(end);
        let is_nearer = left < self.fewest_left;
        self.fewest_left = self.fewest_left.min(left);
        is_nearer
    }

    fn ends_before_its_total(&self) -> PagerStop {
        self.reader.protocol("pages end before the `total_count` they state".to_owned()).into()
    }

    /// Index of the first new row in a page at `offset`: after the last known row. `None` if the page cannot be joined
    /// to the known rows.
    fn seam(&self, rows: &[ReadRow], offset: u64) -> Option<usize> {
        let Some(last) = self.position.tail.last() else {
            return (offset == 0).then_some(0);
        };
        if let Some(index) = rows.iter().rposition(|row| row.key.id == last.id) {
            return Some(index + 1);
        }
        if self.reader.is_in_any_order() {
            let known = rows.iter().rposition(|row| self.position.remembers(&row.key.id));
            return known.map(|index| index + 1).or((offset == 0 && rows.is_empty()).then_some(0));
        }
        // The last row taken is gone. Unknown rows that are not older than it come after it. The page must reach back
        // to a known or an older row, because new rows could otherwise be missed before it.
        let known = |row: &ReadRow| self.remembers(&row.key);
        let last_created = last.created_at?;
        let joins = rows.first().is_some_and(|row| {
            known(row) || row.key.created_at.is_some_and(|created| created < last_created)
        }) || (offset == 0 && !rows.is_empty());
        if !joins {
            return (offset == 0).then_some(0);
        }
        let after_known = rows.iter().rposition(known).map_or(0, |index| index + 1);
        let first_new = rows[after_known..]
            .iter()
            .position(|row| row.key.created_at.is_some_and(|created| created >= last_created))
            .map_or(rows.len(), |index| after_known + index);
        // Rows with the creation time of the last row may or may not have been taken. That is decided if a known row
        // precedes them, or if all rows taken at that time are known.
        let is_decided = after_known > 0
            || self.ties.is_complete()
            || rows.get(first_new).is_none_or(|row| row.key.created_at > Some(last_created));
        is_decided.then_some(first_new)
    }

    /// Requests earlier pages, because this one starts after the known rows: rows before it were deleted.
    fn step_back(&mut self) -> Result<(), PagerStop> {
        let from = self.position.offset;
        if self.step_back >= from || self.position.stalled.count_round(false).is_err() {
            return Err(PagerStop::LostPosition(self.reader.endpoint));
        }
        self.step_back = if self.step_back == 0 { 8 } else { self.step_back * 4 };
        info!(
            clerk.path = self.reader.endpoint.path,
            rows = self.step_back,
            "rows moved while they were read; stepping back to known ones"
        );
        self.in_flight.clear();
        self.next_offset = from.saturating_sub(self.step_back);
        Ok(())
    }

    /// A batch without rows for a page that does not join. Every round returns a batch, so that the count of stalled
    /// rounds is stored.
    fn batch_without_rows(&mut self, page: ReadPage) -> Batch {
        let records = Records::new(&self.reader.context.datasets);
        self.batch(ReadPage { rows: Vec::new(), records, ..page }, 0, 0, false)
    }

    fn batch(&mut self, page: ReadPage, new: u64, duplicates: u64, last: bool) -> Batch {
        let kept = page.kept_rows().count();
        for (index, row) in page.kept_rows().enumerate() {
            self.ties.take(&row.key);
            if index + TAIL_ROWS >= kept {
                self.position.remember(row.key.clone());
            }
        }
        if self.mode == PagingMode::Cursor {
            self.position.offset += new;
        }
        self.rows += new;
        Batch {
            duplicates,
            position: self.position.clone(),
            mode: self.mode,
            total: page.total,
            last,
            page,
        }
    }
}

/// Number of rows that the page contains twice.
fn rows_repeated(page: &ReadPage) -> u64 {
    page.rows.iter().filter(|row| !row.kept).count() as u64
}

/// Offset of the next page: it repeats the last row before `offset`.
const fn overlap(offset: u64) -> u64 {
    offset.saturating_sub(1)
}

/// A spawned task that is aborted when dropped: a dropped pager must not keep sending requests.
#[derive(Debug)]
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    /// A request that nobody waits for any more does not go on, in Lambda beside those of the next invocation.
    #[tokio::test(start_paused = true)]
    async fn a_request_in_flight_ends_with_its_pager() {
        let (held, let_go) = oneshot::channel::<()>();
        let request = tokio::spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(AbortOnDrop(request));
        let ended = tokio::time::timeout(Duration::from_secs(60), let_go).await;
        assert!(ended.expect("the request ends").is_err());
    }
}
