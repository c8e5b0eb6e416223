//! Decides whether a list is better read by owner, because Clerk is slow or fails at large offsets,
//! or does not list everything.
//!
//! Reading the whole list never takes more requests than reading it by owner, so it is tried first.

use std::time::Duration;

use tracing::warn;

use crate::clerk::error::{ClerkError, Fault};
use crate::lists::endpoint::PAGE_ROWS;
use crate::lists::endpoint::{ByOwner, Endpoint, WholeList};
use crate::lists::list_error::ListError;
use crate::lists::table::endpoint;
use crate::paging::by_owner::rows_of_owner;
use crate::paging::position::PagingMode;
use crate::paging::reader::{first_rows, row_at};
use crate::sync::checkpoint::list_progress::{ListProgress, Stage};
use crate::sync::error::Stop;
use crate::sync::read::list_pager::owners;
use crate::sync::run::RunContext;

/// A response that comes within this time is never slow.
const SLOW: Duration = Duration::from_secs(1);
/// A response is slow if it takes this many times as long as the fastest one.
const TIMES_SLOWER: u32 = 4;

/// Whether reading the list by owner from its beginning would now take less time than reading the
/// rest of it.
///
/// # Errors
/// [`Stop`], if the owners cannot be counted.
pub(crate) async fn is_slow_enough_to_change(
    run: &RunContext,
    endpoint: &'static Endpoint,
) -> Result<bool, Stop> {
    let Some(by_owner) = by_owner(run, endpoint, WholeList::Complete) else { return Ok(false) };
    let Some(latency) = run.client.latency_of(endpoint.path) else { return Ok(false) };
    let (left, best) = run.list(endpoint.name(), |list| {
        let left = list.source_count.after.unwrap_or_default().saturating_sub(list.rows());
        (left, list.best_latency_ms.map_or(latency.best, Duration::from_millis))
    });
    if latency.recent < SLOW || latency.recent < best * TIMES_SLOWER {
        return Ok(false);
    }
    let Some(owners) = owners_listed(run, by_owner).await? else { return Ok(false) };
    let as_it_is = run.client.time_for(left.div_ceil(PAGE_ROWS), latency.recent);
    let by_owners = run.client.time_for(owners, best);
    if as_it_is <= by_owners {
        return Ok(false);
    }
    warn!(
        clerk.path = endpoint.path,
        latency_ms = latency.recent.as_millis() as u64,
        "Clerk is slow at large offsets; reading the list by owner"
    );
    Ok(true)
}

/// Whether a request failed because of its offset: the beginning of the list can be read.
pub(crate) async fn fails_at_large_offsets(
    run: &RunContext,
    endpoint: &'static Endpoint,
    stop: &Stop,
) -> bool {
    let has_begun = run.list(endpoint.name(), |list| list.rows() > 0);
    if !has_begun
        || !is_read_as_a_whole(run, endpoint)
        || !only_fails_there(run, endpoint, stop).await
    {
        return false;
    }
    warn!(clerk.path = endpoint.path, "Clerk fails at large offsets; reading the list by owner");
    true
}

/// Whether a request failed because of the filters that bound a window: it succeeds without them.
pub(crate) async fn fails_in_windows(
    run: &RunContext,
    endpoint: &'static Endpoint,
    stop: &Stop,
) -> bool {
    let in_windows = run.list(endpoint.name(), |list| list.windows.len() > 1);
    in_windows && only_fails_there(run, endpoint, stop).await
}

/// Whether a request failed, and a request for the first row of the list succeeds.
async fn only_fails_there(run: &RunContext, endpoint: &'static Endpoint, stop: &Stop) -> bool {
    let did_not_answer = matches!(
        stop.list_error().map(|failure| &failure.error),
        Some(ClerkError::Unavailable { last: Fault::Transport(_) | Fault::Status(_), .. })
    );
    did_not_answer && row_at(&run.reader(endpoint), 0).await.is_ok()
}

/// Whether Clerk refuses a list of which it need not serve the whole, and may serve it by owner.
///
/// # Errors
/// [`Stop`], if this cannot be found out.
pub(crate) async fn is_refused_as_a_whole(
    run: &RunContext,
    endpoint: &'static Endpoint,
    stop: &Stop,
) -> Result<bool, Stop> {
    let Some(by_owner) = by_owner(run, endpoint, WholeList::Doubtful) else { return Ok(false) };
    let Some(ListError { list, error }) = stop.list_error() else { return Ok(false) };
    let changes = match error {
        _ if *list != endpoint.name() => false,
        ClerkError::Rejected { status: 400 | 422, .. }
        | ClerkError::Unavailable { last: Fault::NotClerks(400 | 422), .. }
        | ClerkError::NotClerk { .. }
        | ClerkError::Protocol { .. } => true,
        ClerkError::Refused { .. } => first_owner_is_answered(run, endpoint, by_owner).await?,
        _ => false,
    };
    if changes {
        warn!(
            clerk.path = endpoint.path,
            "Clerk does not serve the list as a whole; reading it by owner"
        );
    }
    Ok(changes)
}

/// Whether Clerk serves the rows of one owner at least. If not, it refuses the list itself, which
/// is then skipped and not taken for empty.
async fn first_owner_is_answered(
    run: &RunContext,
    endpoint: &'static Endpoint,
    by_owner: ByOwner,
) -> Result<bool, Stop> {
    let owners = match first_rows(&owners(run, by_owner), 1).await {
        Err(failure) if is_left_out(run, &failure) => return Ok(false),
        owners => owners?,
    };
    let Some(owner) = owners.first() else { return Ok(false) };
    let part = rows_of_owner(&run.reader(endpoint), by_owner.rows, &owner.id);
    match row_at(&part, 0).await {
        Err(ListError {
            error: ClerkError::Refused { .. } | ClerkError::Rejected { .. }, ..
        }) => Ok(false),
        answered => Ok(answered.map(|_| true)?),
    }
}

/// Whether Clerk refuses a list that the run does not read, or no longer reads. No dataset depends
/// on it.
fn is_left_out(run: &RunContext, failure: &ListError) -> bool {
    matches!(failure.error, ClerkError::Refused { .. }) && !run.reads(failure.list)
}

/// Owners to try when a list seems to lack rows.
const OWNERS_TRIED: u64 = 5;

/// Whether Clerk has served only a part of a list: the counts never agree, or the list is empty
/// although one of the first owners has rows in it.
///
/// # Errors
/// [`Stop`].
pub(crate) async fn answers_in_part(
    run: &RunContext,
    endpoint: &'static Endpoint,
    stage: &Stage,
) -> Result<bool, Stop> {
    let Some(by_owner) = by_owner(run, endpoint, WholeList::Doubtful) else { return Ok(false) };
    let is_empty = run.list(endpoint.name(), |list| list.rows() == 0);
    let changes = *stage == Stage::Drifted
        || (*stage == Stage::Verified
            && is_empty
            && some_own_rows(run, endpoint, by_owner).await?);
    if changes {
        warn!(
            clerk.path = endpoint.path,
            "Clerk serves only a part of the list; reading it by owner"
        );
    }
    Ok(changes)
}

/// Whether one of the first owners has rows in the list.
async fn some_own_rows(
    run: &RunContext,
    endpoint: &'static Endpoint,
    by_owner: ByOwner,
) -> Result<bool, Stop> {
    let list = run.reader(endpoint);
    for owner in first_rows(&owners(run, by_owner), OWNERS_TRIED).await? {
        let (_, total) = row_at(&rows_of_owner(&list, by_owner.rows, &owner.id), 0).await?;
        if total.is_some_and(|total| total > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How the list could be read by owner, if Clerk serves its whole as `whole` says and it is not
/// read by owner yet.
fn by_owner(run: &RunContext, endpoint: &'static Endpoint, whole: WholeList) -> Option<ByOwner> {
    endpoint.by_owner.filter(|it| it.whole == whole && is_read_as_a_whole(run, endpoint))
}

/// Whether the list could be read by owner, and is not yet.
fn is_read_as_a_whole(run: &RunContext, endpoint: &'static Endpoint) -> bool {
    endpoint.by_owner.is_some() && run.list(endpoint.name(), |list| list.mode == PagingMode::Offset)
}

/// How many owners there are; `None` if Clerk does not list them.
async fn owners_listed(run: &RunContext, by_owner: ByOwner) -> Result<Option<u64>, Stop> {
    let counted = run.list(by_owner.owners, |list| list.source_count.after);
    if counted.is_some() {
        return Ok(counted);
    }
    match row_at(&run.reader(endpoint(by_owner.owners)), 0).await {
        Err(failure) if is_left_out(run, &failure) => Ok(None),
        counted => Ok(Some(counted?.1.unwrap_or(u64::MAX))),
    }
}

impl ListProgress {
    /// Restarts the list, by owner.
    pub(crate) fn restart_by_owner(&mut self, endpoint: &Endpoint) {
        let before = self.source_count.before.filter(|_| endpoint.is_counted_as_a_whole());
        *self = self.restarted(PagingMode::ByOwner);
        self.source_count.before = before;
    }
}
