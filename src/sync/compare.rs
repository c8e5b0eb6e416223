//! Compares what was read with Clerk's own count, and reads again only the stretch that disagrees.

use std::collections::HashSet;

use tracing::{info, warn};

use crate::clerk::error::ClerkError;
use crate::clerk::wire;

use super::bounds::Bounds;
use super::checkpoint::{ListProgress, Stage, Stretch, Window};
use super::closure;
use super::copy::walk_to_end;
use super::endpoint::{Endpoint, ListName, Order, Paging};
use super::ids;
use super::known::hash_of;
use super::list_error::ListError;
use super::page::{ReadPage, ReadRow, RowKey};
use super::plan;
use super::run::{Run, Stop, progress_of};
use super::stretch::{Number, StretchBuilder};
use super::walk::{Beginning, Place, Walk, WalkStop, Way, row_at};

/// Repairs of one list before it is called drifted.
const MOST_REPAIRS: u32 = 12;

/// Asks a list's count of its own, such as `/users/count`, of the rows within bounds; where the server
/// includes the moments that bound them, rows of a millisecond more may be counted.
///
/// # Errors
/// [`Stop`].
pub(super) async fn count(
    run: &Run,
    endpoint: &'static Endpoint,
    path: &'static str,
    bounds: Bounds,
) -> Result<u64, Stop> {
    let filters = bounds.query();
    let query: Vec<(&str, &str)> =
        filters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let count = run
        .client
        .get(path, &query, |body| Ok(wire::decode_object::<wire::TotalCount>(&body)?.total_count))
        .await
        .map_err(ListError::of(endpoint))?;
    Ok(count)
}

/// Whether a question was not answered that need not be: there is another way to find out.
pub(super) const fn is_not_answered(stop: &Stop) -> bool {
    matches!(
        stop,
        Stop::List(ListError {
            error: ClerkError::Rejected { .. }
                | ClerkError::Unavailable { .. }
                | ClerkError::NotClerk { .. }
                | ClerkError::Protocol { .. },
            ..
        })
    )
}

/// Compares a list that was walked to its end with Clerk's count. Where they differ, one repair is
/// tried, and the list is left to be compared again.
///
/// # Errors
/// [`Stop`].
pub(super) async fn compare(run: &Run, endpoint: &'static Endpoint) -> Result<(), Stop> {
    run.may_go_on()?;
    let name = endpoint.name();
    let (rows, repairs, way) = run.list(name, |list| (list.rows(), list.repairs, list.way));
    let counted = match endpoint.paging {
        Paging::Cursor { count_path } => {
            count(run, endpoint, count_path, Bounds::default()).await?
        }
        Paging::Offset(_) | Paging::Whole => match run.list(name, |list| list.source_count.after) {
            Some(counted) if way != Way::ByOwner || !endpoint.is_counted_as_a_whole() => counted,
            _ => row_at(&run.reader(endpoint), 0).await?.1.unwrap_or_default(),
        },
    };
    // By owner, rows do not stand where the whole list has them: only its end can be looked at.
    let most_repairs = if way == Way::ByOwner { 1 } else { MOST_REPAIRS };
    let agree = rows == counted;
    let is_doubled = agree && has_doubled_rows(run, endpoint).await?;
    let stage = if agree && !is_doubled {
        Stage::Verified
    } else if repairs >= most_repairs || closure::others_refer_to(run, name) {
        warn!(
            clerk.path = endpoint.path,
            rows, counted, "Clerk changes faster than repair follows"
        );
        Stage::Drifted
    } else {
        Stage::Comparing
    };
    if way != Way::ByOwner && plan::answers_in_part(run, endpoint, &stage).await? {
        return run.commit_list(name, |list| list.begin_by_owner(endpoint)).await;
    }
    let disagrees = stage == Stage::Comparing;
    if stage == Stage::Drifted && rows == 0 {
        let detail = "it lists no row though its count says there are some".to_owned();
        return Err(run.reader(endpoint).protocol(detail).into());
    }
    run.commit_list(name, |list| {
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
    if is_doubled || endpoint.paging == Paging::Whole {
        info!(clerk.path = endpoint.path, rows, counted, "rows disagree; reading the list again");
        return run.commit_list(name, ListProgress::begin_again).await;
    }
    info!(clerk.path = endpoint.path, rows, counted, "counts disagree; looking for the place");
    repair(run, endpoint).await
}

/// Whether a row of a list without an order is stored twice: it moved while the list was read, and
/// another may have been missed for it, though the count agrees. All ids are held against each
/// other, as hashes of 8 bytes; one page cannot disagree with itself.
async fn has_doubled_rows(run: &Run, endpoint: &'static Endpoint) -> Result<bool, Stop> {
    let rows = run.list(endpoint.name(), ListProgress::rows);
    let way = run.list(endpoint.name(), |list| list.way);
    let is_one_list = endpoint.paging == Paging::Offset(Order::Any) && way == Way::Offset;
    if !is_one_list || rows <= endpoint.page_rows {
        return Ok(false);
    }
    let mut ids = ids::load(run, endpoint).await?;
    ids.sort_unstable();
    Ok(ids.windows(2).any(|pair| pair[0] == pair[1]))
}

/// Reads the first stretches again that do not lie where their rows were found, and walks on at the
/// ends of windows in front of them; or at the list's end, when all of them do.
async fn repair(run: &Run, endpoint: &'static Endpoint) -> Result<(), Stop> {
    let name = endpoint.name();
    // Counted before anything is asked: a repair that never gets beyond looking must end as well.
    run.commit_list(name, |list| list.repairs += 1).await?;
    let ends = run.list(name, ends);
    let probe = Probe::of(run, endpoint).await?;
    // Only where it can be told: below the first of these everything is aligned, from the last on
    // something is not.
    let told: Vec<usize> = (0..ends.len()).filter(|&index| probe.can_tell(&ends[index])).collect();
    let (mut aligned, mut moved) = (0, told.len());
    while aligned < moved {
        let middle = usize::midpoint(aligned, moved);
        if probe.is_aligned(run, endpoint, &ends[told[middle]]).await? {
            aligned = middle + 1;
        } else {
            moved = middle;
        }
    }
    let behind = aligned.checked_sub(1).map(|before| told[before]);
    let last = told.get(aligned).copied();
    // A window that ended too early lies between a stretch that is aligned and one that is not, or
    // behind them all.
    let windows = run.list(name, |list| {
        let first = behind.map_or(0, |end| ends[end].window);
        first..last.map_or(list.windows.len(), |end| ends[end].window)
    });
    if let Some(last) = last {
        // From the end: a stretch that has no rows any more is taken out of its window.
        for end in ends[behind.map_or(0, |before| before + 1)..=last].iter().rev() {
            if !read_again(run, endpoint, end.window, end.stretch).await? {
                return leave_unread(run, endpoint).await;
            }
        }
    }
    if windows.is_empty() {
        return Ok(());
    }
    run.commit_list(name, |list| list.reopen(windows)).await?;
    walk_to_end(run, endpoint).await
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

/// Where a stretch ends.
struct End {
    window: usize,
    stretch: usize,
    /// Rows of the list up to there.
    rows: u64,
    last: RowKey,
    /// The first row behind it.
    next: Option<RowKey>,
}

fn ends(list: &ListProgress) -> Vec<End> {
    let mut rows = 0;
    let mut ends: Vec<End> = Vec::new();
    for (window, its) in list.windows.iter().enumerate() {
        for (stretch, stored) in its.stretches.iter().enumerate() {
            if let Some(before) = ends.last_mut() {
                before.next = Some(stored.first.clone());
            }
            rows += stored.rows;
            ends.push(End { window, stretch, rows, last: stored.last.clone(), next: None });
        }
    }
    ends
}

/// How to find out whether Clerk has as many rows up to a place as were read.
enum Probe {
    /// By counting the rows created up to it.
    Count(&'static str),
    /// By looking at the row there.
    Row,
    /// Not at all: read by owner, rows do not stand where the whole list has them.
    Nowhere,
}

impl Probe {
    async fn of(run: &Run, endpoint: &'static Endpoint) -> Result<Self, Stop> {
        if run.list(endpoint.name(), |list| list.way) == Way::ByOwner {
            return Ok(Self::Nowhere);
        }
        let Paging::Cursor { count_path } = endpoint.paging else { return Ok(Self::Row) };
        // Nothing was created in 1970; a server that says otherwise does not apply the filter.
        let longest_ago = Bounds { from: None, until: Some(1) };
        match count(run, endpoint, count_path, longest_ago).await {
            Ok(0) => Ok(Self::Count(count_path)),
            Ok(_) => Ok(Self::Row),
            Err(stop) if is_not_answered(&stop) => Ok(Self::Row),
            Err(stop) => Err(stop),
        }
    }

    /// A count by time tells only where no row follows within the next two milliseconds.
    fn can_tell(&self, end: &End) -> bool {
        match (self, end.last.created_at, &end.next) {
            (Self::Nowhere, _, _) => false,
            (Self::Row, _, _) => true,
            (Self::Count(_), None, _) => false,
            (Self::Count(_), Some(_), None) => true,
            (Self::Count(_), Some(last), Some(next)) => {
                next.created_at.is_some_and(|next| next > last + 1)
            }
        }
    }

    async fn is_aligned(
        &self,
        run: &Run,
        endpoint: &'static Endpoint,
        end: &End,
    ) -> Result<bool, Stop> {
        match self {
            Self::Count(path) => {
                let bounds = Bounds { from: None, until: end.last.created_at.map(|last| last + 1) };
                Ok(count(run, endpoint, path, bounds).await? == end.rows)
            }
            Self::Nowhere | Self::Row => {
                let (found, total) = row_at(&run.reader(endpoint), end.rows - 1).await?;
                note_total(run, endpoint.name(), total).await?;
                Ok(found.is_some_and(|found| found.id == end.last.id))
            }
        }
    }
}

async fn note_total(run: &Run, name: ListName, total: Option<u64>) -> Result<(), Stop> {
    if total.is_some() && total != run.list(name, |list| list.source_count.after) {
        run.commit(|checkpoint| progress_of(checkpoint, name).source_count.after = total).await?;
    }
    Ok(())
}

/// Reads a stretch again, from the one before it to the one behind it, and replaces it. False where the
/// walk is lost on the way: the stretch stays as it is.
async fn read_again(
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
        let dangling = closure::close(run, &mut batch.page).await?;
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
        ids::note_stored(run, endpoint, &stretch, stored.ids).await?;
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
        match ids::of_stretch(run, endpoint, stretch).await? {
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
