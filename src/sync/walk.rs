//! Walks one list from a place on, in ascending order, without losing or doubling a row whatever is
//! inserted or deleted around it.
//!
//! Every page after the first must contain a row that is already known: pages fetched by offset
//! overlap by a row, and a cursor page is checked not to begin again. Where a page does not join
//! what is known, the walk steps back until it does.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::clerk::client::Client;
use crate::clerk::error::{ClerkError, Unreadable};
use crate::clock::{Clock, Timestamp};
use crate::patience::{Exhausted, Patience};

use super::endpoint::{Endpoint, Paging};
use super::page::{PageContext, ReadPage, ReadRow, RowKey};

/// Most rows a page may have (Clerk OpenAPI, parameter `limit`: 1 to 500).
pub const PAGE_ROWS: u64 = 500;

/// Where a walk stands: enough to continue it in another process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Index in Clerk's list just behind the last row taken, as last seen.
    pub offset: u64,
    /// The last rows taken, the newest at the end.
    pub tail: Vec<RowKey>,
}

/// How many rows of a [`Place`] are kept: the walk loses its place only when all of them are
/// deleted at once.
pub const TAIL_ROWS: usize = 24;

impl Place {
    fn take(&mut self, row: &ReadRow) {
        if self.tail.len() >= TAIL_ROWS {
            self.tail.remove(0);
        }
        self.tail.push(row.key.clone());
    }

    fn knows(&self, id: &str) -> bool {
        self.tail.iter().any(|key| key.id == id)
    }
}

/// Which way pages are found. A list walked by cursor changes to offsets when its server ignores
/// or refuses the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// `starting_after=<id>`.
    Cursor,
    /// `offset=<n>`, overlapping by a row.
    Offset,
}

impl Way {
    /// The way a list is first tried.
    #[must_use]
    pub const fn first(paging: Paging) -> Self {
        match paging {
            Paging::Cursor { .. } => Self::Cursor,
            Paging::Offset => Self::Offset,
        }
    }
}

/// What a walk reads with.
#[derive(Debug, Clone)]
pub struct Reader {
    /// Asks Clerk.
    pub client: Arc<Client>,
    /// The list.
    pub endpoint: &'static Endpoint,
    /// How its rows become lines.
    pub context: Arc<PageContext>,
    /// Stamps pages.
    pub clock: Clock,
    /// Ends the wait for what is in flight.
    pub patience: Arc<Patience>,
}

impl Reader {
    /// Reads a page's body. A list that is walked by offset always states its size: without one an
    /// empty page would look like an empty list.
    fn read(&self, body: &[u8]) -> Result<ReadPage, Unreadable> {
        let page = (self.endpoint.read)(body, &self.context)?;
        if page.total.is_none() && self.endpoint.paging == Paging::Offset {
            return Err(Unreadable("`total_count`: missing".to_owned()));
        }
        Ok(page)
    }
}

/// A walk in progress.
#[derive(Debug)]
pub struct Walk {
    reader: Reader,
    way: Way,
    place: Place,
    /// Rows taken since the beginning of the list.
    rows: u64,
    /// The list's size as last heard.
    expected: Option<u64>,
    in_flight: VecDeque<InFlight>,
    /// Where the next page begins, by offset.
    next_offset: u64,
    /// How far the next step back goes; 0 while pages join.
    step_back: u64,
    /// How many rows of the tail the cursor steps back; 0 for the last one.
    cursor_back: usize,
    /// Pages in a row that brought nothing new though more was promised.
    stalled: u32,
    /// Most pages asked for and not yet stored.
    window: usize,
    not_stored: usize,
    finished: bool,
}

#[derive(Debug)]
struct InFlight {
    asked: Asked,
    answer: AbortOnDrop<Result<ReadPage, ClerkError>>,
}

/// Where a page was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Offset(u64),
    Cursor(Option<String>),
}

/// The rows of one page that are new, in order.
#[derive(Debug)]
pub struct Batch {
    /// The page; rows that were known already are not kept.
    pub page: ReadPage,
    /// Rows that Clerk listed again because others moved them.
    pub doubled: u64,
    /// Where the walk stands behind this page.
    pub place: Place,
    /// The way it is walked now.
    pub way: Way,
    /// Clerk's count, when this page told it.
    pub total: Option<u64>,
    /// Whether this page ends the list.
    pub last: bool,
}

/// Why a walk brings no further page.
#[derive(Debug, thiserror::Error)]
pub enum WalkStop {
    /// Clerk's answer does not allow to go on.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// No new request may begin, and nothing is in flight any more.
    #[error("the invocation's time is up")]
    Exhausted(Exhausted),
    /// None of the rows last taken is in the list any more.
    #[error("the walk lost its place in {0}")]
    LostPlace(&'static str),
}

/// Pages without a new row, though more rows were promised, that are asked for in a row.
const MOST_STALLED: u32 = 3;

impl Walk {
    /// A walk from `place` on, of a list of which `rows` rows have been taken and which had
    /// `expected` rows when last heard of.
    #[must_use]
    pub fn new(reader: Reader, way: Way, place: Place, rows: u64, expected: Option<u64>) -> Self {
        Self {
            next_offset: overlap(place.offset),
            reader,
            way,
            place,
            rows,
            expected,
            in_flight: VecDeque::new(),
            step_back: 0,
            cursor_back: 0,
            stalled: 0,
            window: 2,
            not_stored: 0,
            finished: false,
        }
    }

    /// Allows `window` pages that are asked for or arrived and not yet stored.
    pub fn allow(&mut self, window: usize) {
        self.window = window.max(1);
    }

    /// `pages` of the pages handed out have been stored.
    pub fn stored(&mut self, pages: usize) {
        self.not_stored -= pages;
    }

    /// The next page, or `None` behind the last one.
    ///
    /// # Errors
    /// [`WalkStop`]; an error never looks like the end of the list.
    pub async fn next(&mut self) -> Result<Option<Batch>, WalkStop> {
        while !self.finished {
            self.ask_ahead();
            let Some(next) = self.in_flight.pop_front() else {
                let why = self.reader.patience.exhausted().unwrap_or(Exhausted::Halted);
                return Err(WalkStop::Exhausted(why));
            };
            let page = match Self::arrival(next.answer).await {
                Ok(page) => page,
                Err(WalkStop::Clerk(ClerkError::Rejected { .. }))
                    if matches!(next.asked, Asked::Cursor(Some(_))) =>
                {
                    self.cursor_rejected();
                    continue;
                }
                Err(stop) => return Err(stop),
            };
            let batch = match next.asked {
                Asked::Offset(offset) => self.join_by_offset(offset, page)?,
                Asked::Cursor(cursor) => self.join_by_cursor(cursor.as_deref(), page),
            };
            if let Some(batch) = batch {
                self.not_stored += 1;
                self.finished = batch.last;
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Asks for as many pages as the window allows.
    fn ask_ahead(&mut self) {
        while self.in_flight.is_empty() || self.in_flight.len() + self.not_stored < self.window {
            if self.reader.patience.exhausted().is_some() {
                return;
            }
            let asked = match self.way {
                // The next cursor is known when the page has arrived.
                Way::Cursor if !self.in_flight.is_empty() => return,
                Way::Cursor => Asked::Cursor(self.cursor()),
                Way::Offset if self.in_flight.is_empty() => Asked::Offset(self.next_offset),
                Way::Offset if self.step_back > 0 => return,
                // Beyond the first page only where a row is known to stand.
                Way::Offset if self.expected.is_some_and(|rows| self.next_offset + 1 < rows) => {
                    Asked::Offset(self.next_offset)
                }
                Way::Offset => return,
            };
            if let Asked::Offset(offset) = asked {
                self.next_offset = offset + PAGE_ROWS - 1;
            }
            let answer = AbortOnDrop(tokio::spawn(fetch(self.reader.clone(), asked.clone())));
            self.in_flight.push_back(InFlight { asked, answer });
        }
    }

    fn cursor(&self) -> Option<String> {
        let index = self.place.tail.len().checked_sub(1 + self.cursor_back)?;
        Some(self.place.tail[index].id.clone())
    }

    async fn arrival(
        mut answer: AbortOnDrop<Result<ReadPage, ClerkError>>,
    ) -> Result<ReadPage, WalkStop> {
        match (&mut answer.0).await {
            Ok(page) => Ok(page?),
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(WalkStop::Exhausted(Exhausted::Halted)),
            },
        }
    }

    /// The cursor's row may be deleted: an earlier one is tried, then offsets.
    fn cursor_rejected(&mut self) {
        if self.cursor_back + 1 < self.place.tail.len().min(3) {
            self.cursor_back += 1;
        } else {
            self.give_up_the_cursor("refuses");
        }
    }

    fn give_up_the_cursor(&mut self, what_it_does: &'static str) {
        warn!(
            clerk.path = self.reader.endpoint.path,
            "the server {what_it_does} the cursor; walking by offset from here on"
        );
        self.way = Way::Offset;
        self.cursor_back = 0;
        self.in_flight.clear();
        self.next_offset = overlap(self.place.offset);
    }

    fn join_by_cursor(&mut self, cursor: Option<&str>, mut page: ReadPage) -> Option<Batch> {
        let confirming = std::mem::take(&mut self.cursor_back) > 0;
        if cursor.is_some_and(|cursor| self.begins_again(cursor, &page.rows)) {
            self.give_up_the_cursor("ignores");
            return None;
        }
        let newest = self.place.tail.last().and_then(|key| key.created_at);
        let known_again = page.rows.iter().any(|row| self.place.knows(&row.key.id));
        for row in &mut page.rows {
            // Rows older than the last one taken appeared meanwhile; the comparison finds them.
            let is_behind = row.key.created_at.is_none_or(|created| Some(created) >= newest);
            row.kept = is_behind && !self.place.knows(&row.key.id);
        }
        let new = page.kept_rows().count() as u64;
        let full = page.rows.len() as u64 >= PAGE_ROWS;
        let begun = !self.place.tail.is_empty();
        if (full && new == 0) || (confirming && begun && page.rows.is_empty()) {
            // The rows at the cursor may be deleted: that must not look like the end of the list.
            self.give_up_the_cursor("brings no row behind");
            return None;
        }
        let all_seen = self.expected.is_some_and(|expected| self.rows + new >= expected);
        let last = if page.rows.is_empty() {
            !begun && (all_seen || confirming)
        } else {
            !full && (all_seen || (known_again && new == 0))
        };
        // A short page ends the list, but servers have been seen to send short pages in the middle:
        // unless the count agrees, the end is confirmed by a page that repeats a known row.
        self.cursor_back = usize::from(!last && (!full || all_seen));
        Some(self.batch(page, new, 0, last))
    }

    /// Whether a cursor page shows rows from before its cursor.
    fn begins_again(&self, cursor: &str, rows: &[ReadRow]) -> bool {
        let tail = &self.place.tail;
        let Some(index) = tail.iter().position(|key| key.id == cursor) else { return false };
        let seen = &tail[..=index];
        rows.iter().any(|row| seen.iter().any(|key| key.id == row.key.id))
            || rows.first().is_some_and(|row| row.key.created_at < tail[index].created_at)
    }

    fn join_by_offset(
        &mut self,
        offset: u64,
        mut page: ReadPage,
    ) -> Result<Option<Batch>, WalkStop> {
        if page.total.is_some() {
            self.expected = page.total;
        }
        let Some(from) = seam(&self.place.tail, &page.rows, offset) else {
            return self.step_back().map(|()| None);
        };
        let wanted_again = self.place.offset.saturating_sub(offset);
        let stepped_back = std::mem::take(&mut self.step_back) > 0;
        let doubled = if stepped_back { 0 } else { (from as u64).saturating_sub(wanted_again) };
        for (index, row) in page.rows.iter_mut().enumerate() {
            row.kept = index >= from && !self.place.knows(&row.key.id);
        }
        let new = page.rows.iter().filter(|row| row.kept).count() as u64;
        let behind = offset + page.rows.len() as u64;
        let full = page.rows.len() as u64 >= PAGE_ROWS;
        let last = match (page.total, self.expected) {
            // A total that is too small must not hide the rows behind a full page.
            (Some(total), _) => !full && behind >= total,
            (None, Some(expected)) => !full && (self.rows + new >= expected || new == 0),
            (None, None) => !full,
        };
        if !last && !full {
            // Pages asked for beyond a short one do not join it.
            self.in_flight.clear();
            self.next_offset = overlap(behind);
        }
        self.stalled = if new > 0 || last { 0 } else { self.stalled + 1 };
        if self.stalled > MOST_STALLED {
            return Err(WalkStop::Clerk(ClerkError::Protocol {
                endpoint: self.reader.endpoint.path.to_owned(),
                detail: "pages end before the `total_count` they state".to_owned(),
            }));
        }
        self.place.offset = behind;
        Ok(Some(self.batch(page, new, doubled, last)))
    }

    /// The page begins behind what is known: rows before it were deleted. Looks further up.
    fn step_back(&mut self) -> Result<(), WalkStop> {
        let from = self.place.offset;
        if self.step_back >= from {
            return Err(WalkStop::LostPlace(self.reader.endpoint.path));
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

    fn batch(&mut self, page: ReadPage, new: u64, doubled: u64, last: bool) -> Batch {
        for row in page.kept_rows() {
            self.place.take(row);
        }
        if self.way == Way::Cursor {
            self.place.offset += new;
        }
        self.rows += new;
        Batch { doubled, place: self.place.clone(), way: self.way, total: page.total, last, page }
    }
}

/// Index of the row that the next page must repeat.
const fn overlap(offset: u64) -> u64 {
    offset.saturating_sub(1)
}

/// Where the new rows of a page begin that was asked for at `offset`: behind the last known row.
/// `None` when the page cannot be joined to what is known.
fn seam(tail: &[RowKey], rows: &[ReadRow], offset: u64) -> Option<usize> {
    let Some(last) = tail.last() else {
        return (offset == 0).then_some(0);
    };
    if let Some(index) = rows.iter().rposition(|row| row.key.id == last.id) {
        return Some(index + 1);
    }
    // The last row taken is gone. Rows that are not known and not older than it come behind it;
    // and the page must reach back to a known or an older row, or some may lie before the page.
    let known = |row: &ReadRow| tail.iter().any(|key| key.id == row.key.id);
    let last_created = last.created_at?;
    let joins = rows.first().is_some_and(|row| {
        known(row) || row.key.created_at.is_some_and(|created| created < last_created)
    }) || (offset == 0 && !rows.is_empty());
    if !joins {
        return (offset == 0).then_some(0);
    }
    let behind = rows.iter().position(|row| {
        !known(row) && row.key.created_at.is_some_and(|created| created >= last_created)
    });
    Some(behind.unwrap_or(rows.len()))
}

async fn fetch(reader: Reader, asked: Asked) -> Result<ReadPage, ClerkError> {
    let limit = PAGE_ROWS.to_string();
    let place = match &asked {
        Asked::Offset(offset) => Some(("offset", offset.to_string())),
        Asked::Cursor(cursor) => cursor.clone().map(|cursor| ("starting_after", cursor)),
    };
    let mut query = reader.endpoint.query.to_vec();
    query.push(("limit", &limit));
    if let Some((name, value)) = &place {
        query.push((name, value));
    }
    let from = reader.clock.now();
    let mut page = reader
        .client
        .get(reader.endpoint.path, &query, |body| {
            let page = reader.read(&body)?;
            not_cut_short(&page, &asked)?;
            Ok(page)
        })
        .await?;
    page.fetched = Some((from, reader.clock.now()));
    Ok(page)
}

/// A page without rows where the list has some is a fault, not an end.
fn not_cut_short(page: &ReadPage, asked: &Asked) -> Result<(), Unreadable> {
    match (asked, page.total) {
        (Asked::Offset(offset), Some(total)) if page.rows.is_empty() && *offset < total => {
            Err(Unreadable("the page is empty though `total_count` says there are rows".to_owned()))
        }
        _ => Ok(()),
    }
}

/// A spawned task that ends with its owner: an abandoned walk must not go on asking.
#[derive(Debug)]
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One row of the list at an index, to see whether rows have moved.
///
/// # Errors
/// As of any request.
pub async fn row_at(
    reader: &Reader,
    index: u64,
) -> Result<(Option<RowKey>, Option<u64>), ClerkError> {
    let offset = index.to_string();
    let mut query = reader.endpoint.query.to_vec();
    query.extend([("limit", "1"), ("offset", offset.as_str())]);
    let page = reader.client.get(reader.endpoint.path, &query, |body| reader.read(&body)).await?;
    Ok((page.rows.into_iter().next().map(|row| row.key), page.total))
}

/// Time stamps of a page, as the walk set them.
#[must_use]
pub fn fetched(page: &ReadPage, clock: &Clock) -> (Timestamp, Timestamp) {
    page.fetched.unwrap_or_else(|| (clock.now(), clock.now()))
}
