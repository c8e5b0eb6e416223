//! Compares what was read with Clerk's own count, and reads again only the stretch that disagrees.

use std::collections::HashSet;

use tracing::{info, warn};

use crate::clerk::error::ClerkError;
use crate::clerk::wire;
use crate::resource::Resource;

use super::checkpoint::{ListProgress, Stage, Stretch};
use super::closure;
use super::copy::walk_to_end;
use super::endpoint::{Endpoint, Paging};
use super::page::{ReadPage, RowKey};
use super::run::{Run, Stop, progress_of};
use super::stretch::StretchBuilder;
use super::walk::{Place, Walk, Way, row_at};

/// Repairs of one list before it is called drifted.
const MOST_REPAIRS: u32 = 12;

/// Asks a count of its own, such as `/users/count`.
///
/// # Errors
/// [`Stop`].
pub(super) async fn count(run: &Run, path: &'static str) -> Result<u64, Stop> {
    let count = run
        .client
        .get(path, &[], |body| Ok(wire::decode::<wire::TotalCount>(&body)?.total_count))
        .await?;
    Ok(count)
}

/// Compares a list that was walked to its end with Clerk's count. Where they differ, one repair is
/// tried, and the list is left to be compared again.
///
/// # Errors
/// [`Stop`].
pub(super) async fn compare(run: &Run, endpoint: &'static Endpoint) -> Result<(), Stop> {
    run.may_go_on()?;
    let resource = endpoint.resource;
    let counted = match endpoint.paging {
        Paging::Cursor { count_path } => count(run, count_path).await?,
        Paging::Offset => match run.list(resource, |list| list.source_count.after) {
            Some(counted) => counted,
            None => row_at(&run.reader(endpoint), 0).await?.1.unwrap_or_default(),
        },
    };
    let (rows, repairs) = run.list(resource, |list| (list.rows(), list.repairs));
    let stage = if rows == counted {
        Stage::Verified
    } else if repairs >= MOST_REPAIRS || closure::others_refer_to(run, resource) {
        warn!(
            clerk.path = endpoint.path,
            rows, counted, "Clerk changes faster than repair follows"
        );
        Stage::Drifted
    } else {
        Stage::Comparing
    };
    let disagrees = stage == Stage::Comparing;
    if stage == Stage::Drifted && rows == 0 {
        return Err(Stop::Clerk(ClerkError::Protocol {
            endpoint: endpoint.path.to_owned(),
            detail: "it lists no row though its count says there are some".to_owned(),
        }));
    }
    run.commit_list(resource, |list| {
        list.source_count.after = Some(counted);
        list.stage = stage;
    })
    .await?;
    if !disagrees {
        run.patience.note_progress();
        return Ok(());
    }
    // To know that counts disagree is not progress: the first repair of an invocation may begin
    // whatever the budget says.
    run.may_go_on()?;
    info!(clerk.path = endpoint.path, rows, counted, "counts disagree; looking for the place");
    repair(run, endpoint).await
}

/// Reads the first stretch again that does not lie where its rows were found, or the list's end
/// when all of them do.
async fn repair(run: &Run, endpoint: &'static Endpoint) -> Result<(), Stop> {
    let resource = endpoint.resource;
    let ends: Vec<(u64, RowKey)> = run.list(resource, |list| {
        let mut rows = 0;
        let end = |stretch: &Stretch| {
            rows += stretch.rows;
            (rows, stretch.last.clone())
        };
        list.stretches.iter().map(end).collect()
    });
    // Everything below `aligned` lies where it was found; `moved` and above does not.
    let (mut aligned, mut moved) = (0, ends.len());
    while aligned < moved {
        let middle = usize::midpoint(aligned, moved);
        let (rows, last) = &ends[middle];
        let (found, total) = row_at(&run.reader(endpoint), rows - 1).await?;
        note_total(run, resource, total).await?;
        if found.is_some_and(|found| found.id == last.id) {
            aligned = middle + 1;
        } else {
            moved = middle;
        }
    }
    if aligned < ends.len() {
        read_again(run, endpoint, aligned).await
    } else {
        run.commit_list(resource, |list| {
            list.repairs += 1;
            list.stage = Stage::Walking;
        })
        .await?;
        walk_to_end(run, endpoint).await
    }
}

async fn note_total(run: &Run, resource: Resource, total: Option<u64>) -> Result<(), Stop> {
    if total.is_some() && total != run.list(resource, |list| list.source_count.after) {
        run.commit(|checkpoint| progress_of(checkpoint, resource).source_count.after = total)
            .await?;
    }
    Ok(())
}

/// Reads stretch `index` again, from the stretch before it to the one behind it, and replaces it.
async fn read_again(run: &Run, endpoint: &'static Endpoint, index: usize) -> Result<(), Stop> {
    let resource = endpoint.resource;
    let (way, begin, bounds, sequence) = run.list(resource, |list| {
        (list.way, beginning(list, index), Bounds::of(list, index), list.stretches[index].sequence)
    });
    let (rows, expected) = (begin.offset, run.list(resource, |list| list.source_count.after));
    let mut walk = Walk::new(run.reader(endpoint), way, begin, rows, expected);
    let mut again = StretchBuilder::new(run, endpoint, sequence)?;
    let mut place = None;
    let mut total = None;
    let mut within = true;
    while within && let Some(mut batch) = walk.next().await? {
        within = bounds.clip(&mut batch.page);
        closure::close(run, &mut batch.page, &mut again).await?;
        again.add(&batch.page)?;
        walk.stored(1);
        total = batch.total.or(total);
        place = Some(batch.place);
    }
    let stored = again.store().await?;
    let replacement = stored.stretch.clone();
    run.commit(|checkpoint| {
        stored.roles.into_iter().for_each(|role| checkpoint.roles.push(role));
        let list = progress_of(checkpoint, resource);
        list.repairs += 1;
        list.rows_repaired += stored.stretch.as_ref().map_or(0, |stretch| stretch.rows);
        list.source_count.after = total.or(list.source_count.after);
        list.stretches.splice(index..=index, stored.stretch);
        if bounds.is_last {
            list.place = place.unwrap_or_default();
        }
        if list.way == Way::Offset || !bounds.is_last {
            list.place.offset = list.rows();
        }
    })
    .await?;
    run.patience.note_progress();
    if let Some(stretch) = replacement {
        closure::note_stored(run, endpoint, &stretch);
    }
    Ok(())
}

/// The place at which a stretch begins.
fn beginning(list: &ListProgress, index: usize) -> Place {
    let before = &list.stretches[..index];
    Place {
        offset: before.iter().map(|stretch| stretch.rows).sum(),
        tail: before.last().map(|stretch| stretch.last.clone()).into_iter().collect(),
    }
}

/// Where a stretch that is read again ends.
struct Bounds {
    /// Its last row, as first read.
    last: RowKey,
    /// The first rows of those behind it.
    others: HashSet<String>,
    /// Whether it ends with the list.
    is_last: bool,
}

impl Bounds {
    fn of(list: &ListProgress, index: usize) -> Self {
        let behind = &list.stretches[index + 1..];
        Self {
            last: list.stretches[index].last.clone(),
            others: behind.iter().map(|stretch| stretch.first.id.clone()).collect(),
            is_last: behind.is_empty(),
        }
    }

    /// Drops the rows of a page that belong to a later stretch; whether more may follow.
    fn clip(&self, page: &mut ReadPage) -> bool {
        if self.is_last {
            return true;
        }
        let mut within = true;
        for row in &mut page.rows {
            let beyond = self.others.contains(&row.key.id)
                || matches!(
                    (row.key.created_at, self.last.created_at),
                    (Some(created), Some(last)) if created > last
                );
            within &= !beyond;
            row.kept &= within;
            within &= row.key.id != self.last.id;
        }
        within
    }
}
