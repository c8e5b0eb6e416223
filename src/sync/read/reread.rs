//! Reads segments of a list again whose rows are no longer where they were read, and replaces them.

use std::collections::HashSet;

use tracing::warn;

use crate::lists::endpoint::{Endpoint, Order, Paging};
use crate::lists::id_index::hash_of;
use crate::lists::page::{ReadPage, ReadRow, RowKey};
use crate::paging::pager::{Pager, PagerStart, PagerStop};
use crate::paging::position::{PagingMode, Position};
use crate::sync::checkpoint::document::progress_of;
use crate::sync::checkpoint::list_progress::{ListProgress, Segment, Window};
use crate::sync::error::{Stop, SyncError};
use crate::sync::read::list_walk::fetch_references;
use crate::sync::read::reconcile::Repair;
use crate::sync::run::RunContext;
use crate::sync::write::row_ids;
use crate::sync::write::segment::{SegmentBuilder, SegmentId};

/// Carries out a repair. If a segment cannot be read again it stays as it is, and the list is
/// compared once more.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn read_again(
    run: &RunContext,
    endpoint: &'static Endpoint,
    repair: Repair,
) -> Result<(), Stop> {
    // From the last one, because a segment that has no rows any more is removed from its window, which
    // shifts the indices after it.
    for (window, segment) in repair.segments.into_iter().rev() {
        if !replace(run, endpoint, window, segment).await? {
            leave_unread(run, endpoint).await?;
            return Ok(());
        }
    }
    if repair.windows.is_empty() {
        return Ok(());
    }
    run.commit_list(endpoint.name(), |list| list.reopen(repair.windows)).await?;
    Ok(())
}

/// Reads a segment again, from the end of the previous one to the start of the next one, and replaces
/// it. `false` if the pager lost its position on the way; the segment then stays as it is.
async fn replace(
    run: &RunContext,
    endpoint: &'static Endpoint,
    window: usize,
    index: usize,
) -> Result<bool, Stop> {
    let name = endpoint.name();
    let (mut start, mut edge, id) = run.list(name, |list| {
        let of = &list.windows[window];
        let id = SegmentId { window: of.number, sequence: of.segments[index].sequence };
        (pager_start(list, window, index), Edge::of(endpoint, of, index), id)
    });
    let neighbours = run.list(name, |list| Neighbours::of(&list.windows[window], index));
    start.ties = ids_of(run, endpoint, &neighbours.before).await?;
    edge.later_tied_ids =
        ids_of(run, endpoint, &neighbours.after).await?.into_iter().flatten().collect();
    let Some(reread) = read_to_edge(run, endpoint, start, &edge).await? else {
        return Ok(false);
    };
    let Reread { segment, position, total } = reread;
    let stored = segment.store(id).await?;
    let replacement = stored.segment.clone();
    run.commit(|checkpoint| {
        // All rows of the list are replaced.
        if progress_of(checkpoint, name).segments().count() == 1 {
            checkpoint.forget_roles_of(name);
        }
        stored.roles.into_iter().for_each(|role| checkpoint.roles.push(role));
        let list = progress_of(checkpoint, name);
        list.rows_repaired += stored.segment.as_ref().map_or(0, |segment| segment.rows);
        list.source_count.after = total.or(list.source_count.after);
        let mode = list.mode;
        let window = &mut list.windows[window];
        window.segments.splice(index..=index, stored.segment);
        if edge.is_last {
            window.position = position.unwrap_or_default();
        }
        if mode == PagingMode::Offset || !edge.is_last {
            window.position.offset = window.rows();
        }
    })
    .await?;
    run.work_limit.note_progress();
    if let Some(segment) = replacement {
        row_ids::add_segment(run, endpoint, &segment, stored.ids).await?;
    }
    Ok(true)
}

/// The rows of a segment, read again.
struct Reread<'a> {
    segment: SegmentBuilder<'a>,
    /// The pager's position after the last page; `None` if there was no page.
    position: Option<Position>,
    /// Clerk's count, as the newest page states it.
    total: Option<u64>,
}

/// Reads from `start` to the edge of a segment; `None` if the pager lost its position.
async fn read_to_edge<'a>(
    run: &'a RunContext,
    endpoint: &'static Endpoint,
    start: PagerStart,
    edge: &Edge,
) -> Result<Option<Reread<'a>>, Stop> {
    let mut pager = Pager::new(run.reader(endpoint), start);
    let mut reread =
        Reread { segment: SegmentBuilder::new(run, endpoint), position: None, total: None };
    let mut within = true;
    while within {
        let mut batch = match pager.next().await {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(PagerStop::LostPosition(_) | PagerStop::Unfiltered(_)) => return Ok(None),
            Err(stop) => return Err(stop.into()),
        };
        within = edge.clip(&mut batch.page);
        let dangling = fetch_references(run, &mut batch.page).await?;
        reread.segment.add_dangling(dangling);
        reread.segment.add(&batch.page)?;
        pager.stored(1);
        reread.total = batch.total.or(reread.total);
        reread.position = Some(batch.position);
    }
    Ok(Some(reread))
}

/// Where to begin reading a segment again.
fn pager_start(list: &ListProgress, window: usize, index: usize) -> PagerStart {
    let window = &list.windows[window];
    let before = &window.segments[..index];
    let rows = before.iter().map(|segment| segment.rows).sum();
    PagerStart {
        range: window.range,
        mode: list.mode,
        position: Position {
            offset: rows,
            tail: before.last().map(|segment| segment.last.clone()).into_iter().collect(),
            ..Position::default()
        },
        rows,
        // Rows before it may have been deleted, so no count says where the segment ends.
        expected: None,
        ties: None,
    }
}

/// The segments before and after one that may have rows with the creation time of its first and
/// its last row. If rows were deleted, only the ids tell which segment such a row belongs to.
struct Neighbours {
    before: Vec<Segment>,
    after: Vec<Segment>,
}

impl Neighbours {
    fn of(window: &Window, index: usize) -> Self {
        let segments = &window.segments;
        let last_before = segments[..index].last().map(|segment| segment.last.created_at);
        let reach = |segment: &&Segment| Some(segment.last.created_at) == last_before;
        let end = segments[index].last.created_at;
        Self {
            before: segments[..index].iter().rev().take_while(reach).cloned().collect(),
            after: segments[index + 1..]
                .iter()
                .take_while(|segment| segment.first.created_at == end)
                .cloned()
                .collect(),
        }
    }
}

/// The ids of all rows of some segments, by [`hash_of`]; `None` if they are not stored.
async fn ids_of(
    run: &RunContext,
    endpoint: &'static Endpoint,
    segments: &[Segment],
) -> Result<Option<Vec<u64>>, Stop> {
    let mut ids = Vec::new();
    for segment in segments {
        match row_ids::of_segment(run, endpoint, segment).await? {
            Some(more) => ids.extend(more),
            None => return Ok(None),
        }
    }
    Ok(Some(ids))
}

/// Where a segment that is read again ends.
struct Edge {
    /// The last row of the segment, as first read.
    last: RowKey,
    /// Whether the list is in ascending order of creation time.
    is_by_creation: bool,
    /// Rows of a full page.
    page_rows: u64,
    /// The ids of the first rows of the later segments.
    later_first_ids: HashSet<String>,
    /// The hashed ids of all rows of those later segments that begin at the creation time it ends
    /// with, by [`hash_of`].
    later_tied_ids: HashSet<u64>,
    /// Whether it is the last segment of its window.
    is_last: bool,
}

impl Edge {
    fn of(endpoint: &Endpoint, window: &Window, index: usize) -> Self {
        let later = &window.segments[index + 1..];
        Self {
            is_by_creation: endpoint.paging != Paging::Offset(Order::Any),
            page_rows: endpoint.page_rows,
            last: window.segments[index].last.clone(),
            later_first_ids: later.iter().map(|segment| segment.first.id.clone()).collect(),
            later_tied_ids: HashSet::new(),
            is_last: later.is_empty(),
        }
    }

    /// Excludes the rows of a page that belong to a later segment. Returns whether more rows of
    /// this one may follow.
    fn clip(&self, page: &mut ReadPage) -> bool {
        if self.is_last {
            return !self.is_passed(page);
        }
        let mut within = true;
        for row in &mut page.rows {
            let beyond = self.later_first_ids.contains(&row.key.id)
                || (!self.later_tied_ids.is_empty()
                    && self.later_tied_ids.contains(&hash_of(&row.key.id)))
                || self.is_created_after_it(row);
            within &= !beyond;
            row.kept &= within;
            within &= row.key.id != self.last.id;
        }
        within
    }

    /// Whether a page reaches past the end of the last segment, and is not full. Rows that were
    /// created since are walked after the next comparison: reading them here might never end,
    /// because no count says where to stop.
    fn is_passed(&self, page: &ReadPage) -> bool {
        (page.rows.len() as u64) < self.page_rows
            && page
                .rows
                .iter()
                .any(|row| row.key.id == self.last.id || self.is_created_after_it(row))
    }

    /// Whether a row was created later than the last row of the segment.
    fn is_created_after_it(&self, row: &ReadRow) -> bool {
        self.is_by_creation
            && matches!(
                (row.key.created_at, self.last.created_at),
                (Some(created), Some(last)) if created > last
            )
    }
}

/// Gives up reading a segment again: the counts are compared once more, and in the end the list
/// becomes drifted. A list without an order restarts instead, because nothing else tells where a
/// segment of it lies.
async fn leave_unread(run: &RunContext, endpoint: &'static Endpoint) -> Result<(), SyncError> {
    warn!(clerk.path = endpoint.path, "rows moved too far to read a part of the list again");
    match endpoint.paging {
        Paging::Offset(Order::Any) => run.commit_list(endpoint.name(), ListProgress::restart).await,
        _ => Ok(()),
    }
}
