//! Reads segments of a list again whose rows do not lie where they were found, and replaces them.

use std::collections::HashSet;

use tracing::warn;

use crate::lists::endpoint::{Endpoint, Order, Paging};
use crate::lists::id_index::hash_of;
use crate::lists::page::{ReadPage, ReadRow, RowKey};
use crate::paging::pager::{Beginning, Pager, PagerStop};
use crate::paging::position::{PagingMode, Position};
use crate::sync::checkpoint::document::progress_of;
use crate::sync::checkpoint::list_progress::{ListProgress, Segment, Window};
use crate::sync::error::Stop;
use crate::sync::read::list_walk::close;
use crate::sync::read::reconcile::Repair;
use crate::sync::run::Run;
use crate::sync::write::row_ids;
use crate::sync::write::segment::{Number, SegmentBuilder};

/// Carries out a repair. If a segment cannot be read again, the list stays as it is, to be compared once more.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn read_again(
    run: &Run,
    endpoint: &'static Endpoint,
    repair: Repair,
) -> Result<(), Stop> {
    // From the end: a segment that has no rows any more is taken out of its window.
    for (window, segment) in repair.segments.into_iter().rev() {
        if !replace(run, endpoint, window, segment).await? {
            return leave_unread(run, endpoint).await;
        }
    }
    if repair.windows.is_empty() {
        return Ok(());
    }
    run.commit_list(endpoint.name(), |list| list.reopen(repair.windows)).await
}

/// Reads a segment again, from the one before it to the one behind it, and replaces it. False where the
/// walk is lost on the way: the segment stays as it is.
async fn replace(
    run: &Run,
    endpoint: &'static Endpoint,
    window: usize,
    index: usize,
) -> Result<bool, Stop> {
    let name = endpoint.name();
    let (mut beginning, mut edge, number) = run.list(name, |list| {
        let of = &list.windows[window];
        let number = Number { window: of.number, sequence: of.segments[index].sequence };
        (beginning(list, window, index), Edge::of(endpoint, of, index), number)
    });
    let neighbours = run.list(name, |list| Neighbours::of(&list.windows[window], index));
    beginning.ties = ids_of(run, endpoint, &neighbours.before).await?;
    edge.behind = ids_of(run, endpoint, &neighbours.behind).await?.into_iter().flatten().collect();
    let mut walk = Pager::new(run.reader(endpoint), beginning);
    let mut again = SegmentBuilder::new(run, endpoint);
    let mut position = None;
    let mut total = None;
    let mut owner_position = true;
    while owner_position {
        let mut batch = match walk.next().await {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(PagerStop::LostPlace(_) | PagerStop::Unfiltered(_)) => return Ok(false),
            Err(stop) => return Err(stop.into()),
        };
        owner_position = edge.clip(&mut batch.page);
        let dangling = close(run, &mut batch.page).await?;
        again.note_dangling(dangling);
        again.add(&batch.page)?;
        walk.stored(1);
        total = batch.total.or(total);
        position = Some(batch.position);
    }
    let stored = again.store(number).await?;
    let replacement = stored.segment.clone();
    run.commit(|checkpoint| {
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
        row_ids::note_stored(run, endpoint, &segment, stored.ids).await?;
    }
    Ok(true)
}

/// Where a walk begins that reads a segment again.
fn beginning(list: &ListProgress, window: usize, index: usize) -> Beginning {
    let window = &list.windows[window];
    let before = &window.segments[..index];
    let rows = before.iter().map(|segment| segment.rows).sum();
    Beginning {
        range: window.range,
        mode: list.mode,
        position: Position {
            offset: rows,
            tail: before.last().map(|segment| segment.last.clone()).into_iter().collect(),
            ..Position::default()
        },
        rows,
        // The rows before it may not be as many as they were: no count says where it ends.
        expected: None,
        ties: None,
    }
}

/// The segments around one that may hold rows of its first and of its last moment: where rows were
/// deleted, only their ids tell whose such a row is.
struct Neighbours {
    before: Vec<Segment>,
    behind: Vec<Segment>,
}

impl Neighbours {
    fn of(window: &Window, index: usize) -> Self {
        let segments = &window.segments;
        let last_before = segments[..index].last().map(|segment| segment.last.created_at);
        let reach = |segment: &&Segment| Some(segment.last.created_at) == last_before;
        let moment = segments[index].last.created_at;
        Self {
            before: segments[..index].iter().rev().take_while(reach).cloned().collect(),
            behind: segments[index + 1..]
                .iter()
                .take_while(|segment| segment.first.created_at == moment)
                .cloned()
                .collect(),
        }
    }
}

/// The ids of all rows of some segments, by [`hash_of`]; `None` where they are not written.
async fn ids_of(
    run: &Run,
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
    /// Its last row, as first read.
    last: RowKey,
    /// Whether later rows are those behind it.
    is_by_creation: bool,
    /// Rows of a full page.
    page_rows: u64,
    /// The first rows of those behind it.
    others: HashSet<String>,
    /// Of those behind it that begin at the moment it ends, all rows, by [`hash_of`] their ids.
    behind: HashSet<u64>,
    /// Whether it ends with its window.
    is_last: bool,
}

impl Edge {
    fn of(endpoint: &Endpoint, window: &Window, index: usize) -> Self {
        let behind = &window.segments[index + 1..];
        Self {
            is_by_creation: endpoint.paging != Paging::Offset(Order::Any),
            page_rows: endpoint.page_rows,
            last: window.segments[index].last.clone(),
            others: behind.iter().map(|segment| segment.first.id.clone()).collect(),
            behind: HashSet::new(),
            is_last: behind.is_empty(),
        }
    }

    /// Drops the rows of a page that belong to a later segment; whether more may follow.
    fn clip(&self, page: &mut ReadPage) -> bool {
        if self.is_last {
            return !self.is_passed(page);
        }
        let mut owner_position = true;
        for row in &mut page.rows {
            let beyond = self.others.contains(&row.key.id)
                || (!self.behind.is_empty() && self.behind.contains(&hash_of(&row.key.id)))
                || self.is_before(row);
            owner_position &= !beyond;
            row.kept &= owner_position;
            owner_position &= row.key.id != self.last.id;
        }
        owner_position
    }

    /// Whether a page reaches beyond the end of the last segment, and is not full. What was created
    /// since is walked when the counts are compared again: here it might never end, as no count says
    /// where.
    fn is_passed(&self, page: &ReadPage) -> bool {
        (page.rows.len() as u64) < self.page_rows
            && page.rows.iter().any(|row| row.key.id == self.last.id || self.is_before(row))
    }

    /// Whether a row was created later than the last of the segment.
    fn is_before(&self, row: &ReadRow) -> bool {
        self.is_by_creation
            && matches!(
                (row.key.created_at, self.last.created_at),
                (Some(created), Some(last)) if created > last
            )
    }
}

/// A segment could not be read again: the counts are compared once more, and in the end the list is
/// called drifted. One without an order is read again from its beginning: nothing else says where a
/// segment of it lies.
async fn leave_unread(run: &Run, endpoint: &'static Endpoint) -> Result<(), Stop> {
    warn!(clerk.path = endpoint.path, "rows moved too far to read a part of the list again");
    match endpoint.paging {
        Paging::Offset(Order::Any) => {
            run.commit_list(endpoint.name(), ListProgress::begin_again).await
        }
        _ => Ok(()),
    }
}
