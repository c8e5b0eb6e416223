//! Compares the rows that were read of a list with Clerk's own count, and finds the segments that
//! differ.

use std::ops::Range;

use tracing::{info, warn};

use crate::clerk::wire;
use crate::lists::endpoint::{ByOwner, Endpoint, ListName, Order, Paging};
use crate::lists::list_error::ListError;
use crate::lists::page::RowKey;
use crate::paging::created_range::CreatedRange;
use crate::paging::position::PagingMode;
use crate::paging::reader::row_at;
use crate::sync::checkpoint::document::progress_of;
use crate::sync::checkpoint::list_progress::{ListProgress, Stage};
use crate::sync::error::Stop;
use crate::sync::read::{forecast, strategy};
use crate::sync::run::RunContext;
use crate::sync::write::row_ids;

/// Repairs of one list before it becomes drifted.
const MAX_REPAIRS: u32 = 12;

/// What to do with a list after the comparison.
pub(crate) enum Next {
    /// What its stage now says: it is done, or it is walked again from its beginning.
    FollowStage,
    /// Read some of it again, and then compare it again.
    ReadAgain(Repair),
}

/// What to read again of a list.
pub(crate) struct Repair {
    /// Segments in ascending order: the index of the window, and of the segment in it.
    pub segments: Vec<(usize, usize)>,
    /// Indices of the windows that may have ended too early, and are walked further.
    pub windows: Range<usize>,
}

/// Compares a list that was walked to its end with Clerk's count, and stores its new stage. If they
/// differ, returns what to read again.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn reconcile(run: &RunContext, endpoint: &'static Endpoint) -> Result<Next, Stop> {
    run.check_time_left()?;
    let name = endpoint.name();
    let (rows, mode) = run.list(name, |list| (list.rows(), list.mode));
    let counted = count_now(run, endpoint, mode).await?;
    let agree = rows == counted && has_all_owners(run, endpoint, mode).await?;
    let has_duplicates = agree && finds_duplicates(run, endpoint).await?;
    let stage = stage_after_comparison(run, endpoint, agree && !has_duplicates);
    if mode != PagingMode::ByOwner && strategy::answers_in_part(run, endpoint, &stage).await? {
        run.commit_list(name, |list| list.restart_by_owner(endpoint)).await?;
        return Ok(Next::FollowStage);
    }
    if stage == Stage::Drifted {
        let path = endpoint.path;
        let problem = match rows == counted {
            true => "rows may be missing although Clerk counts as many",
            false => "the list still differs from Clerk's count",
        };
        warn!(clerk.path = path, rows, counted, "{problem}, and it cannot be repaired further");
    }
    if stage == Stage::Drifted && rows == 0 && counted > 0 {
        let detail = "it lists no row though its count says there are some".to_owned();
        return Err(run.reader(endpoint).protocol(detail).into());
    }
    let is_final = stage != Stage::Comparing;
    run.commit_list(name, |list| {
        list.source_count.after = Some(counted);
        list.stage = stage;
    })
    .await?;
    if is_final {
        run.work_limit.note_progress();
        return Ok(Next::FollowStage);
    }
    // A comparison that fails is no progress: the first repair of an invocation may begin whatever
    // the budget says.
    run.check_time_left()?;
    if has_duplicates || endpoint.paging == Paging::SinglePage {
        info!(clerk.path = endpoint.path, rows, counted, "rows differ; reading the list again");
        run.commit_list(name, ListProgress::restart).await?;
        return Ok(Next::FollowStage);
    }
    info!(
        clerk.path = endpoint.path,
        rows, counted, "counts differ; looking for the rows that moved"
    );
    find_repair(run, endpoint).await.map(Next::ReadAgain)
}

/// Whether a list that is read by owner has moved past as many owners as Clerk counts. If Clerk counts the rows of each
/// owner alone, no such count shows that a page of owners left one out. Owners that are listed by their activity are
/// not compared: users become active in any place of their list while it is read.
async fn has_all_owners(
    run: &RunContext,
    endpoint: &'static Endpoint,
    mode: PagingMode,
) -> Result<bool, Stop> {
    let is_meant = |by_owner: &ByOwner| {
        mode == PagingMode::ByOwner && !by_owner.active_only && !endpoint.is_counted_as_a_whole()
    };
    let Some(by_owner) = endpoint.by_owner.filter(is_meant) else { return Ok(true) };
    let passed = forecast::owners_passed(run, endpoint);
    let counted = forecast::count_owners(run, by_owner).await?.unwrap_or_default();
    if counted > passed {
        let owners = by_owner.owners.name();
        info!(
            clerk.path = endpoint.path,
            owners, counted, passed, "Clerk counts more owners than were read"
        );
    }
    Ok(counted <= passed)
}

/// Clerk's count of a list, requested unless the pages have just stated it.
async fn count_now(
    run: &RunContext,
    endpoint: &'static Endpoint,
    mode: PagingMode,
) -> Result<u64, Stop> {
    match endpoint.paging {
        Paging::Cursor { count_path } => {
            count(run, endpoint, count_path, CreatedRange::default()).await
        }
        Paging::Offset(_) | Paging::SinglePage => {
            let stated = run.list(endpoint.name(), |list| list.source_count.after);
            match stated {
                Some(counted)
                    if mode != PagingMode::ByOwner || !endpoint.is_counted_as_a_whole() =>
                {
                    Ok(counted)
                }
                _ => Ok(row_at(&run.reader(endpoint), 0).await?.1.unwrap_or_default()),
            }
        }
    }
}

/// Requests the count of the rows in a creation range from a count endpoint such as `/users/count`.
/// Servers that include both bounds of the range count the rows of one more millisecond.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn count(
    run: &RunContext,
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

/// The stage of a list after a comparison.
fn stage_after_comparison(run: &RunContext, endpoint: &'static Endpoint, agrees: bool) -> Stage {
    let name = endpoint.name();
    let (repairs, mode) = run.list(name, |list| (list.repairs, list.mode));
    // By owner, a row's offset says nothing about its place, so a repair only reads the list further. It finds owners
    // that were created meanwhile.
    let once = mode == PagingMode::ByOwner && endpoint.is_counted_as_a_whole();
    let most_repairs = if once { 1 } else { MAX_REPAIRS };
    if agrees {
        Stage::Verified
    } else if repairs >= most_repairs || run.rows_must_stay(name) {
        Stage::Drifted
    } else {
        Stage::Comparing
    }
}

/// Whether a list without an order has stored a row twice. The row moved while the list was read,
/// so another row may have been missed although the counts agree. Compares all ids with each other,
/// as hashes of 8 bytes. A list of one page cannot have this problem. Several pages are several segments, unless the
/// server returns fewer rows than were asked for and they are stored together.
async fn finds_duplicates(run: &RunContext, endpoint: &'static Endpoint) -> Result<bool, Stop> {
    let (mode, rows, segments) =
        run.list(endpoint.name(), |list| (list.mode, list.rows(), list.segments().count()));
    let is_one_list = endpoint.paging == Paging::Offset(Order::Any) && mode == PagingMode::Offset;
    if !is_one_list || (rows <= endpoint.page_rows && segments <= 1) {
        return Ok(false);
    }
    let mut ids = row_ids::load(run, endpoint).await?;
    ids.sort_unstable();
    Ok(ids.windows(2).any(|pair| pair[0] == pair[1]))
}

/// The first group of neighbouring segments whose rows have moved, and the windows before it that may have ended
/// too early. If no segment has moved, the last window.
async fn find_repair(run: &RunContext, endpoint: &'static Endpoint) -> Result<Repair, Stop> {
    let name = endpoint.name();
    // Counted before any request, so that a search that never gets further ends as well.
    run.commit_list(name, |list| list.repairs += 1).await?;
    let ends = run.list(name, ends);
    let probe = Probe::of(run, endpoint).await?;
    // Binary search over the ends that can be probed: before `aligned` nothing has moved, from
    // `moved` on something has.
    let probed: Vec<usize> =
        (0..ends.len()).filter(|&index| probe.can_tell(&ends[index])).collect();
    let (mut aligned, mut moved) = (0, probed.len());
    while aligned < moved {
        let middle = usize::midpoint(aligned, moved);
        if probe.is_aligned(run, endpoint, &ends[probed[middle]]).await? {
            aligned = middle + 1;
        } else {
            moved = middle;
        }
    }
    let last_aligned = aligned.checked_sub(1).map(|before| probed[before]);
    let last = probed.get(aligned).copied();
    // A window that ended too early lies between the last aligned segment and the first one that has
    // moved, or after all segments.
    let windows = run.list(name, |list| {
        let first = last_aligned.map_or(0, |end| ends[end].window);
        first..last.map_or(list.windows.len(), |end| ends[end].window)
    });
    let segments = last.map_or(Vec::new(), |last| {
        let first = last_aligned.map_or(0, |before| before + 1);
        ends[first..=last].iter().map(|end| (end.window, end.segment)).collect()
    });
    Ok(Repair { segments, windows })
}

/// The end of a segment.
struct End {
    window: usize,
    segment: usize,
    /// Rows of the list up to here.
    rows: u64,
    last: RowKey,
    /// The first row after it.
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

/// How to find out whether Clerk has as many rows up to the end of a segment as were read.
enum Probe {
    /// Count the rows created up to it, at this path.
    Count(&'static str),
    /// Look at the row with its offset.
    Row,
    /// Not at all: by owner, offsets in the whole list say nothing.
    Nowhere,
}

impl Probe {
    async fn of(run: &RunContext, endpoint: &'static Endpoint) -> Result<Self, Stop> {
        if run.list(endpoint.name(), |list| list.mode) == PagingMode::ByOwner {
            return Ok(Self::Nowhere);
        }
        let Paging::Cursor { count_path } = endpoint.paging else { return Ok(Self::Row) };
        // No row was created in 1970: a server that counts some ignores the filter.
        let longest_ago = CreatedRange { from: None, until: Some(1) };
        match count(run, endpoint, count_path, longest_ago).await {
            Ok(0) => Ok(Self::Count(count_path)),
            Ok(_) => Ok(Self::Row),
            Err(stop) if stop.may_be_ignored() => Ok(Self::Row),
            Err(stop) => Err(stop),
        }
    }

    /// A count by creation time is exact only if no other row was created within the next two
    /// milliseconds.
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
        run: &RunContext,
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

async fn note_total(run: &RunContext, name: ListName, total: Option<u64>) -> Result<(), Stop> {
    if total.is_some() && total != run.list(name, |list| list.source_count.after) {
        run.commit(|checkpoint| progress_of(checkpoint, name).source_count.after = total).await?;
    }
    Ok(())
}
