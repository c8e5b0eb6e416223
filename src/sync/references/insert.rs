//! Inserts rows into stored segments: rows that grants refer to, and that Clerk now lists before rows
//! that are stored already.
//!
//! No row that is stored leaves its segment.

use std::collections::{BTreeMap, HashSet};

use clerk_snapshot::part::PartBuilder;
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::timestamp::Timestamp;
use serde::Deserialize;

use crate::lists::endpoint::Endpoint;
use crate::lists::id_index::hash_of;
use crate::lists::page::{ReadPage, ReadRow};
use crate::paging::position::PagingMode;
use crate::paging::reader::fetched;
use crate::sync::checkpoint::document::progress_of;
use crate::sync::checkpoint::json_error::Malformed;
use crate::sync::checkpoint::list_progress::{ListProgress, Segment, Stage, StoredPart};
use crate::sync::error::SyncError;
use crate::sync::run::RunContext;
use crate::sync::write::row_ids::{add_segment, of_segment};
use crate::sync::write::segment::{SegmentId, each_line, store_part};

/// Inserts the rows of a page that are kept into the list's segments, each where its creation time
/// belongs.
///
/// # Errors
/// [`SyncError`].
pub(crate) async fn insert(
    run: &RunContext,
    endpoint: &'static Endpoint,
    page: &ReadPage,
) -> Result<(), SyncError> {
    let mut by_segment: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (index, row) in page.rows.iter().enumerate().filter(|(_, row)| row.kept) {
        if let Some(position) = run.list(endpoint.name(), |list| place_of(list, row)) {
            by_segment.entry(position).or_default().push(index);
        }
    }
    for (segment, mut rows) in by_segment {
        rows.sort_by_key(|&row| page.rows[row].key.created_at);
        insert_into(run, endpoint, segment, page, &rows).await?;
    }
    Ok(())
}

/// The index of the window, and of its segment, that a row belongs to: the first segment that ends
/// at or after the row's creation time, or the last one.
fn place_of(list: &ListProgress, row: &ReadRow) -> Option<(usize, usize)> {
    let mut last = None;
    for (index, window) in list.windows.iter().enumerate() {
        let reaches = |it: &Segment| it.last.created_at >= row.key.created_at;
        if let Some(segment) = window.segments.iter().position(reaches) {
            return Some((index, segment));
        }
        last = window.segments.len().checked_sub(1).map(|segment| (index, segment)).or(last);
    }
    last
}

/// Rows of a page by index, each list of them under the id of the row that they go before; under
/// `None` those that go to the end.
type Before = BTreeMap<Option<String>, Vec<usize>>;

/// Inserts some rows of a page, in ascending order of their creation time, into one segment: stores its
/// parts again with the new lines, and replaces it in the checkpoint.
async fn insert_into(
    run: &RunContext,
    endpoint: &'static Endpoint,
    (window, index): (usize, usize),
    page: &ReadPage,
    rows: &[usize],
) -> Result<(), SyncError> {
    let (number, segment) = run.list(endpoint.name(), |list| {
        let window = &list.windows[window];
        (window.number, window.segments[index].clone())
    });
    let id = SegmentId { window: number, sequence: segment.sequence };
    let Some(parts) = merge_parts(run, endpoint, id, &segment, page, rows).await? else {
        return Ok(());
    };
    let merged = with_rows(run, endpoint, segment, parts, page, rows);
    let stored = merged.clone();
    let inserted = rows.len() as u64;
    run.commit(|checkpoint| {
        let list = progress_of(checkpoint, endpoint.name());
        list.rows_repaired += inserted;
        // Compare it again, with a count that includes the inserted rows.
        list.stage = Stage::Comparing;
        list.source_count.after = None;
        let window = &mut list.windows[window];
        window.segments[index] = merged;
        window.position.offset += inserted;
    })
    .await?;
    run.work_limit.note_progress();
    let ids = rows.iter().map(|&row| hash_of(&page.rows[row].key.id)).collect();
    add_segment(run, endpoint, &stored, ids).await
}

/// Stores the parts of a segment again, with the lines of the new rows. `None` if the list's rows are
/// not written at all.
async fn merge_parts(
    run: &RunContext,
    endpoint: &'static Endpoint,
    id: SegmentId,
    segment: &Segment,
    page: &ReadPage,
    rows: &[usize],
) -> Result<Option<BTreeMap<Dataset, StoredPart>>, SyncError> {
    let destinations = run.destinations(endpoint);
    let Some(own) =
        destinations.first().and_then(|destination| segment.parts.get(&destination.dataset))
    else {
        return Ok(None);
    };
    let before = places(run, own, page, rows).await?;
    let mut parts = BTreeMap::new();
    for (position, destination) in destinations.iter().enumerate() {
        let Some(stored) = segment.parts.get(&destination.dataset) else { continue };
        let merged = merge(run, stored, &before, page, position, destination.dataset).await?;
        if let Some(finished) = merged.finish()? {
            parts.extend([store_part(run, destination, id, finished).await?]);
        }
    }
    Ok(Some(parts))
}

/// The segment with the new rows counted and `parts` in place of its own.
fn with_rows(
    run: &RunContext,
    endpoint: &'static Endpoint,
    segment: Segment,
    parts: BTreeMap<Dataset, StoredPart>,
    page: &ReadPage,
    rows: &[usize],
) -> Segment {
    let mut active = segment.active.clone();
    if let Some(days) = run.days_counted() {
        active.add(&days, rows.iter().map(|&row| &page.rows[row]));
    }
    let mut unreadable_fields = segment.unreadable_fields.clone();
    for row in rows.iter().map(|&row| &page.rows[row]) {
        run.note_unreadable(endpoint, row);
        row.count_unreadable(&mut unreadable_fields);
    }
    let first = page.rows[rows[0]].key.clone();
    let last = page.rows[rows[rows.len() - 1]].key.clone();
    Segment {
        rows: segment.rows + rows.len() as u64,
        first: if first.created_at < segment.first.created_at { first } else { segment.first },
        last: if last.created_at >= segment.last.created_at { last } else { segment.last },
        parts,
        active,
        unreadable_fields,
        ..segment
    }
}

/// The fields of a stored line that decide where rows are inserted: the id of its row, and when
/// that was created.
#[derive(Deserialize)]
struct Line {
    id: String,
    resource: Option<Owner>,
    created_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Owner {
    id: String,
}

impl Line {
    fn read(line: &str) -> Result<Self, SyncError> {
        serde_json::from_str(line).map_err(|error| {
            SyncError::Internal(format!(
                "a stored record cannot be read: {}",
                Malformed::from(error)
            ))
        })
    }

    /// The id of the row that the line was made of.
    fn row(self) -> String {
        self.resource.map_or(self.id, |owner| owner.id)
    }
}

/// Finds the rows that the new ones go before, in the part of the list's own dataset.
async fn places(
    run: &RunContext,
    own: &StoredPart,
    page: &ReadPage,
    rows: &[usize],
) -> Result<Before, SyncError> {
    let mut waiting = rows.iter().copied().peekable();
    let mut before = Before::new();
    each_line(run, own, |line| {
        let line = Line::read(line)?;
        let created_at = line.created_at.map(Timestamp::unix_millis);
        while let Some(row) = waiting.next_if(|&row| page.rows[row].key.created_at < created_at) {
            before.entry(Some(line.id.clone())).or_default().push(row);
        }
        Ok(())
    })
    .await?;
    before.entry(None).or_default().extend(waiting);
    Ok(before)
}

/// The lines of a stored part with the lines of the new rows inserted.
async fn merge(
    run: &RunContext,
    stored: &StoredPart,
    before: &Before,
    page: &ReadPage,
    position: usize,
    dataset: Dataset,
) -> Result<PartBuilder, SyncError> {
    let as_fetched = (stored.part.fetched_from, stored.part.fetched_to);
    let now = fetched(page, &run.clock);
    let mut merged = PartBuilder::new(run.output.compression)?;
    let mut last_row = None;
    each_line(run, stored, |line| {
        let row = Some(Line::read(line)?.row());
        if last_row != row {
            for &new in before.get(&row).into_iter().flatten() {
                merged.add_lines(&page.lines_of(new, position, dataset), now)?;
            }
            last_row = row;
        }
        Ok(merged.add_lines(line.as_bytes(), as_fetched)?)
    })
    .await?;
    for &new in before.get(&None).into_iter().flatten() {
        merged.add_lines(&page.lines_of(new, position, dataset), now)?;
    }
    Ok(merged)
}

/// Hashed ids of stored rows, by [`hash_of`], that include every row that was inserted after the
/// position of a window's walk. The walk will meet those rows again.
///
/// # Errors
/// [`SyncError::Store`] or [`SyncError::PartLost`] if a part cannot be read.
pub(crate) async fn stored_after_position(
    run: &RunContext,
    endpoint: &'static Endpoint,
    window: u32,
) -> Result<HashSet<u64>, SyncError> {
    let segments = run.list(endpoint.name(), |list| segments_after_position(list, window));
    let mut ids = HashSet::new();
    for segment in &segments {
        ids.extend(of_segment(run, endpoint, segment).await?.into_iter().flatten());
    }
    Ok(ids)
}

/// The segments of a window that end after the last row that its walk has read.
fn segments_after_position(list: &ListProgress, window: u32) -> Vec<Segment> {
    let window = list.window(window);
    // Every insertion counts as a repair. By owner, the position is one in the list of owners.
    let may_exist = list.rows_repaired > 0 && list.mode != PagingMode::ByOwner;
    let Some(taken) = window.position.tail.last().filter(|_| may_exist) else { return Vec::new() };
    let last_sequence = window.segments.last().map(|last| last.sequence);
    let ends_after = |segment: &&Segment| {
        segment.last.created_at > taken.created_at
            || (segment.last.created_at == taken.created_at
                && segment.last.id != taken.id
                && Some(segment.sequence) == last_sequence)
    };
    window.segments.iter().filter(ends_after).cloned().collect()
}
