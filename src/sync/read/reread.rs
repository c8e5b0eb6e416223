//! Reads stretches of a list again whose rows do not lie where they were found, and replaces them.

use std::collections::HashSet;

use tracing::warn;

use crate::lists::endpoint::{Endpoint, Order, Paging};
use crate::lists::id_index::hash_of;
use crate::lists::page::{ReadPage, ReadRow, RowKey};
use crate::paging::pager::{Beginning, Walk, WalkStop};
use crate::paging::position::{Place, Way};
use crate::sync::checkpoint::document::progress_of;
use crate::sync::checkpoint::list_progress::{ListProgress, Stretch, Window};
use crate::sync::error::Stop;
use crate::sync::read::list_walk::close;
use crate::sync::read::reconcile::Repair;
use crate::sync::run::Run;
use crate::sync::write::row_ids;
use crate::sync::write::segment::{Number, StretchBuilder};

/// Carries out a repair. If a stretch cannot be read again, the list stays as it is, to be compared once more.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn read_again(
    run: &Run,
    endpoint: &'static Endpoint,
    repair: Repair,
) -> Result<(), Stop> {
    // From the end: a stretch that has no rows any more is taken out of its window.
    for (window, stretch) in repair.stretches.into_iter().rev() {
        if !replace(run, endpoint, window, stretch).await? {
            return leave_unread(run, endpoint).await;
        }
    }
    if repair.windows.is_empty() {
        return Ok(());
    }
    run.commit_list(endpoint.name(), |list| list.reopen(repair.windows)).await
}

/// Reads a stretch again, from the one before it to the one behind it, and replaces it. False where the
/// walk is lost on the way: the stretch stays as it is.
async fn replace(
    run: &Run,
    endpoint: &'static Endpoint,
    window: usize,
    index: usize,
) -> Result<bool, Stop> {
    let name = endpoint.name();
    let (mut beginning, mut edge, number) = run.list(name, |list| {
        let of = &list.windows[window];
        let number = Number { window: of.number, sequence: of.stretches[index].sequence };
        (beginning(list, window, index), Edge::of(endpoint, of, index), number)
    });
    let neighbours = run.list(name, |list| Neighbours::of(&list.windows[window], index));
    beginning.moment = ids_of(run, endpoint, &neighbours.before).await?;
    edge.behind = ids_of(run, endpoint, &neighbours.behind).await?.into_iter().flatten().collect();
    let mut walk = Walk::new(run.reader(endpoint), beginning);
    let mut again = StretchBuilder::new(run, endpoint);
    let mut place = None;
    let mut total = None;
    let mut within = true;
    while within {
        let mut batch = match walk.next().await {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(WalkStop::LostPlace(_) | WalkStop::Unfiltered(_)) => return Ok(false),
            Err(stop) => return Err(stop.into()),
        };
        within = edge.clip(&mut batch.page);
        let dangling = close(run, &mut batch.page).await?;
        again.note_dangling(dangling);
        again.add(&batch.page)?;
        walk.stored(1);
        total = batch.total.or(total);
        place = Some(batch.place);
    }
    let stored = again.store(number).await?;
    let replacement = stored.stretch.clone();
    run.commit(|checkpoint| {
        stored.roles.into_iter().for_each(|role| checkpoint.roles.push(role));
        let list = progress_of(checkpoint, name);
        list.rows_repaired += stored.stretch.as_ref().map_or(0, |stretch| stretch.rows);
        list.source_count.after = total.or(list.source_count.after);
        let way = list.way;
        let window = &mut list.windows[window];
        window.stretches.splice(index..=index, stored.stretch);
        if edge.is_last {
            window.place = place.unwrap_or_default();
        }
        if way == Way::Offset || !edge.is_last {
            window.place.offset = window.rows();
        }
    })
    .await?;
    run.patience.note_progress();
    if let Some(stretch) = replacement {
        row_ids::note_stored(run, endpoint, &stretch, stored.ids).await?;
    }
    Ok(true)
}

/// Where a walk begins that reads a stretch again.
fn beginning(list: &ListProgress, window: usize, index: usize) -> Beginning {
    let window = &list.windows[window];
    let before = &window.stretches[..index];
    let rows = before.iter().map(|stretch| stretch.rows).sum();
    Beginning {
        bounds: window.bounds,
        way: list.way,
        place: Place {
            offset: rows,
            tail: before.last().map(|stretch| stretch.last.clone()).into_iter().collect(),
            ..Place::default()
        },
        rows,
        // The rows before it may not be as many as they were: no count says where it ends.
        expected: None,
        moment: None,
    }
}

/// The stretches around one that may hold rows of its first and of its last moment: where rows were
/// deleted, only their ids tell whose such a row is.
struct Neighbours {
    before: Vec<Stretch>,
    behind: Vec<Stretch>,
}

impl Neighbours {
    fn of(window: &Window, index: usize) -> Self {
        let stretches = &window.stretches;
        let last_before = stretches[..index].last().map(|stretch| stretch.last.created_at);
        let reach = |stretch: &&Stretch| Some(stretch.last.created_at) == last_before;
        let moment = stretches[index].last.created_at;
        Self {
            before: stretches[..index].iter().rev().take_while(reach).cloned().collect(),
            behind: stretches[index + 1..]
                .iter()
                .take_while(|stretch| stretch.first.created_at == moment)
                .cloned()
                .collect(),
        }
    }
}

/// The ids of all rows of some stretches, by [`hash_of`]; `None` where they are not written.
async fn ids_of(
    run: &Run,
    endpoint: &'static Endpoint,
    stretches: &[Stretch],
) -> Result<Option<Vec<u64>>, Stop> {
    let mut ids = Vec::new();
    for stretch in stretches {
        match row_ids::of_stretch(run, endpoint, stretch).await? {
            Some(more) => ids.extend(more),
            None => return Ok(None),
        }
    }
    Ok(Some(ids))
}

/// Where a stretch that is read again ends.
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
        let behind = &window.stretches[index + 1..];
        Self {
            is_by_creation: endpoint.paging != Paging::Offset(Order::Any),
            page_rows: endpoint.page_rows,
            last: window.stretches[index].last.clone(),
            others: behind.iter().map(|stretch| stretch.first.id.clone()).collect(),
            behind: HashSet::new(),
            is_last: behind.is_empty(),
        }
    }

    /// Drops the rows of a page that belong to a later stretch; whether more may follow.
    fn clip(&self, page: &mut ReadPage) -> bool {
        if self.is_last {
            return !self.is_passed(page);
        }
        let mut within = true;
        for row in &mut page.rows {
            let beyond = self.others.contains(&row.key.id)
                || (!self.behind.is_empty() && self.behind.contains(&hash_of(&row.key.id)))
                || self.is_before(row);
            within &= !beyond;
            row.kept &= within;
            within &= row.key.id != self.last.id;
        }
        within
    }

    /// Whether a page reaches beyond the end of the last stretch, and is not full. What was created
    /// since is walked when the counts are compared again: here it might never end, as no count says
    /// where.
    fn is_passed(&self, page: &ReadPage) -> bool {
        (page.rows.len() as u64) < self.page_rows
            && page.rows.iter().any(|row| row.key.id == self.last.id || self.is_before(row))
    }

    /// Whether a row was created later than the last of the stretch.
    fn is_before(&self, row: &ReadRow) -> bool {
        self.is_by_creation
            && matches!(
                (row.key.created_at, self.last.created_at),
                (Some(created), Some(last)) if created > last
            )
    }
}

/// A stretch could not be read again: the counts are compared once more, and in the end the list is
/// called drifted. One without an order is read again from its beginning: nothing else says where a
/// stretch of it lies.
async fn leave_unread(run: &Run, endpoint: &'static Endpoint) -> Result<(), Stop> {
    warn!(clerk.path = endpoint.path, "rows moved too far to read a part of the list again");
    match endpoint.paging {
        Paging::Offset(Order::Any) => {
            run.commit_list(endpoint.name(), ListProgress::begin_again).await
        }
        _ => Ok(()),
    }
}
