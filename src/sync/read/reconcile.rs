//! Compares what was read with Clerk's own count, and finds the segments that disagree.

use std::ops::Range;

use tracing::{info, warn};

use crate::clerk::wire;
use crate::lists::endpoint::{Endpoint, ListName, Order, Paging};
use crate::lists::list_error::ListError;
use crate::lists::page::RowKey;
use crate::paging::created_range::CreatedRange;
use crate::paging::position::PagingMode;
use crate::paging::reader::row_at;
use crate::sync::checkpoint::document::progress_of;
use crate::sync::checkpoint::list_progress::{ListProgress, Stage};
use crate::sync::error::Stop;
use crate::sync::read::strategy;
use crate::sync::run::Run;
use crate::sync::write::row_ids;

/// Repairs of one list before it is called drifted.
const MOST_REPAIRS: u32 = 12;

/// Asks a list's count of its own, such as `/users/count`, of the rows within bounds; where the server
/// includes the moments that bound them, rows of a millisecond more may be counted.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn count(
    run: &Run,
    endpoint: &'static Endpoint,
    path: &'static str,
    range: CreatedRange,
) -> Result<u64, Stop> {
    let filters = range.query();
    let query: Vec<(&str, &str)> =
        filters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let count = run
        .client
        .get(path, &query, |body| Ok(wire::decode_object::<wire::TotalCount>(&body)?.total_count))
        .await
        .map_err(ListError::of(endpoint))?;
    Ok(count)
}

/// What is to be done with a list that was compared.
pub(crate) enum Next {
    /// Nothing but what its stage says: it is done, or begins anew.
    Settled,
    /// Some of it is to be read again, and then it is to be compared again.
    ReadAgain(Repair),
}

/// What is to be read again of a list.
pub(crate) struct Repair {
    /// Segments, in order: the place of the window, and of the segment in it.
    pub segments: Vec<(usize, usize)>,
    /// Windows that may have ended too early, and are walked on.
    pub windows: Range<usize>,
}

/// Compares a list that was walked to its end with Clerk's count. If they differ, says what is to be read again.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn reconcile(run: &Run, endpoint: &'static Endpoint) -> Result<Next, Stop> {
    run.may_go_on()?;
    let name = endpoint.name();
    let (rows, repairs, mode) = run.list(name, |list| (list.rows(), list.repairs, list.mode));
    let counted = match endpoint.paging {
        Paging::Cursor { count_path } => {
            count(run, endpoint, count_path, CreatedRange::default()).await?
        }
        Paging::Offset(_) | Paging::Whole => match run.list(name, |list| list.source_count.after) {
            Some(counted) if mode != PagingMode::ByOwner || !endpoint.is_counted_as_a_whole() => {
                counted
            }
            _ => row_at(&run.reader(endpoint), 0).await?.1.unwrap_or_default(),
        },
    };
    // By owner, rows do not stand where the whole list has them: only its end can be looked at.
    let most_repairs = if mode == PagingMode::ByOwner { 1 } else { MOST_REPAIRS };
    let agree = rows == counted;
    let is_doubled = agree && has_doubled_rows(run, endpoint).await?;
    let stage = if agree && !is_doubled {
        Stage::Verified
    } else if repairs >= most_repairs || run.others_refer_to(name) {
        warn!(
            clerk.path = endpoint.path,
            rows, counted, "Clerk changes faster than repair follows"
        );
        Stage::Drifted
    } else {
        Stage::Comparing
    };
    if mode != PagingMode::ByOwner && strategy::answers_in_part(run, endpoint, &stage).await? {
        run.commit_list(name, |list| list.begin_by_owner(endpoint)).await?;
        return Ok(Next::Settled);
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
        run.work_limit.note_progress();
        return Ok(Next::Settled);
    }
    // To know that counts disagree is not progress: the first repair of an invocation may begin
    // whatever the budget says.
    run.may_go_on()?;
    if is_doubled || endpoint.paging == Paging::Whole {
        info!(clerk.path = endpoint.path, rows, counted, "rows disagree; reading the list again");
        run.commit_list(name, ListProgress::begin_again).await?;
        return Ok(Next::Settled);
    }
    info!(clerk.path = endpoint.path, rows, counted, "counts disagree; looking for the place");
    find_repair(run, endpoint).await.map(Next::ReadAgain)
}

/// Whether a row of a list without an order is stored twice: it moved while the list was read, and
/// another may have been missed for it, though the count agrees. All ids are held against each
/// other, as hashes of 8 bytes; one page cannot disagree with itself.
async fn has_doubled_rows(run: &Run, endpoint: &'static Endpoint) -> Result<bool, Stop> {
    let rows = run.list(endpoint.name(), ListProgress::rows);
    let mode = run.list(endpoint.name(), |list| list.mode);
    let is_one_list = endpoint.paging == Paging::Offset(Order::Any) && mode == PagingMode::Offset;
    if !is_one_list || rows <= endpoint.page_rows {
        return Ok(false);
    }
    let mut ids = row_ids::load(run, endpoint).await?;
    ids.sort_unstable();
    Ok(ids.windows(2).any(|pair| pair[0] == pair[1]))
}

/// The first segments that do not lie where their rows were found, and the windows in front of them that may have ended
/// too early; or the end of the list, if all segments lie where they should.
async fn find_repair(run: &Run, endpoint: &'static Endpoint) -> Result<Repair, Stop> {
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
    // A window that ended too early lies between a segment that is aligned and one that is not, or
    // behind them all.
    let windows = run.list(name, |list| {
        let first = behind.map_or(0, |end| ends[end].window);
        first..last.map_or(list.windows.len(), |end| ends[end].window)
    });
    let segments = last.map_or(Vec::new(), |last| {
        let first = behind.map_or(0, |before| before + 1);
        ends[first..=last].iter().map(|end| (end.window, end.segment)).collect()
    });
    Ok(Repair { segments, windows })
}

/// Where a segment ends.
struct End {
    window: usize,
    segment: usize,
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
        for (segment, stored) in its.segments.iter().enumerate() {
            if let Some(before) = ends.last_mut() {
                before.next = Some(stored.first.clone());
            }
            rows += stored.rows;
            ends.push(End { window, segment, rows, last: stored.last.clone(), next: None });
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
        if run.list(endpoint.name(), |list| list.mode) == PagingMode::ByOwner {
            return Ok(Self::Nowhere);
        }
        let Paging::Cursor { count_path } = endpoint.paging else { return Ok(Self::Row) };
        // Nothing was created in 1970; a server that says otherwise does not apply the filter.
        let longest_ago = CreatedRange { from: None, until: Some(1) };
        match count(run, endpoint, count_path, longest_ago).await {
            Ok(0) => Ok(Self::Count(count_path)),
            Ok(_) => Ok(Self::Row),
            Err(stop) if stop.is_not_answered() => Ok(Self::Row),
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
                let range =
                    CreatedRange { from: None, until: end.last.created_at.map(|last| last + 1) };
                Ok(count(run, endpoint, path, range).await? == end.rows)
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
