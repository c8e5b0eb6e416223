//! Inserts rows into segments that are stored: rows that were created with an earlier date while the
//! run was under way, and that grants refer to. Nothing that is stored leaves.

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
use crate::sync::checkpoint::list_progress::{ListProgress, Segment, Stage, StoredPart};
use crate::sync::error::Stop;
use crate::sync::run::Run;
use crate::sync::write::row_ids::{note_stored, of_segment};
use crate::sync::write::segment::{Number, each_line, store_part};

/// Inserts the rows of a page that are kept into the list's segments, each where its time of
/// creation belongs.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn insert(
    run: &Run,
    endpoint: &'static Endpoint,
    page: &ReadPage,
) -> Result<(), Stop> {
    let mut by_stretch: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (index, row) in page.rows.iter().enumerate().filter(|(_, row)| row.kept) {
        if let Some(position) = run.list(endpoint.name(), |list| place_of(list, row)) {
            by_stretch.entry(position).or_default().push(index);
        }
    }
    for (segment, mut rows) in by_stretch {
        rows.sort_by_key(|&row| page.rows[row].key.created_at);
        insert_into(run, endpoint, segment, page, &rows).await?;
    }
    Ok(())
}

/// Index of the window and of its segment to which a row belongs: the first that reaches as far, or
/// the last of all.
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

/// Ids of stored rows, by [`hash_of`], that include every row inserted after the place where the walk of a
/// window stands. The walk will meet those rows again.
///
/// # Errors
/// [`Stop::Store`] or [`Stop::PartLost`] when a part cannot be read.
pub(crate) async fn stored_after_place(
    run: &Run,
    endpoint: &'static Endpoint,
    window: u32,
) -> Result<HashSet<u64>, Stop> {
    let segments = run.list(endpoint.name(), |list| stretches_after_place(list, window));
    let mut ids = HashSet::new();
    for segment in &segments {
        ids.extend(of_segment(run, endpoint, segment).await?.into_iter().flatten());
    }
    Ok(ids)
}

/// The segments of a window that end after the last row that its walk has taken.
fn stretches_after_place(list: &ListProgress, window: u32) -> Vec<Segment> {
    let window = list.window(window);
    // Every insertion counts as a repair; and by owner, the place is one among the owners.
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

/// Rows of a page that are to stand before a row, by the id of that row; `None`: at the end.
type Before = BTreeMap<Option<String>, Vec<usize>>;

async fn insert_into(
    run: &Run,
    endpoint: &'static Endpoint,
    (window, index): (usize, usize),
    page: &ReadPage,
    rows: &[usize],
) -> Result<(), Stop> {
    let (number, segment) = run.list(endpoint.name(), |list| {
        let window = &list.windows[window];
        (window.number, window.segments[index].clone())
    });
    let feeds = run.feeds(endpoint);
    let Some(own) = feeds.first().and_then(|feed| segment.parts.get(&feed.dataset)) else {
        return Ok(());
    };
    let before = places(run, own, page, rows).await?;
    run.leased.assure_held().await?;
    let mut parts = BTreeMap::new();
    for (position, feed) in feeds.iter().enumerate() {
        let Some(stored) = segment.parts.get(&feed.dataset) else { continue };
        let merged = merge(run, stored, &before, page, position, feed.dataset).await?;
        if let Some(finished) = merged.finish()? {
            let number = Number { window: number, sequence: segment.sequence };
            let stored = store_part(run, feed.dataset, feed.section, number, finished);
            parts.extend([stored.await?]);
        }
    }
    let mut active = segment.active.clone();
    if let Some(days) = run.days_counted() {
        active.add(&days, rows.iter().map(|&row| &page.rows[row]));
    }
    let mut unreadable_fields = segment.unreadable_fields.clone();
    for row in rows.iter().map(|&row| &page.rows[row]) {
        run.note_unreadable(endpoint, row);
        row.count_unreadable(&mut unreadable_fields);
    }
    let inserted = rows.len() as u64;
    let first = page.rows[rows[0]].key.clone();
    let last = page.rows[rows[rows.len() - 1]].key.clone();
    let merged = Segment {
        rows: segment.rows + inserted,
        first: if first.created_at < segment.first.created_at { first } else { segment.first },
        last: if last.created_at >= segment.last.created_at { last } else { segment.last },
        parts,
        active,
        unreadable_fields,
        ..segment
    };
    let stored = merged.clone();
    run.commit(|checkpoint| {
        let list = progress_of(checkpoint, endpoint.name());
        list.rows_repaired += inserted;
        // To be compared with a count that knows of them.
        list.stage = Stage::Comparing;
        list.source_count.after = None;
        let window = &mut list.windows[window];
        window.segments[index] = merged;
        window.position.offset += inserted;
    })
    .await?;
    run.work_limit.note_progress();
    let ids = rows.iter().map(|&row| hash_of(&page.rows[row].key.id)).collect();
    note_stored(run, endpoint, &stored, ids).await
}

/// What places a line: whose it is, and when that was created.
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
    fn read(line: &str) -> Result<Self, Stop> {
        serde_json::from_str(line)
            .map_err(|error| Stop::Internal(format!("a stored record cannot be read: {error}")))
    }

    /// The id of the row that the line was made of.
    fn row(self) -> String {
        self.resource.map_or(self.id, |owner| owner.id)
    }
}

/// Before which rows of a list's own part the new ones belong.
async fn places(
    run: &Run,
    own: &StoredPart,
    page: &ReadPage,
    rows: &[usize],
) -> Result<Before, Stop> {
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

/// The lines of a stored part with those of the new rows among them.
async fn merge(
    run: &Run,
    stored: &StoredPart,
    before: &Before,
    page: &ReadPage,
    position: usize,
    dataset: Dataset,
) -> Result<PartBuilder, Stop> {
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
