//! Reads every list that the opted-in resources need: each one as soon as the lists that it depends
//! on are done.

pub(crate) mod check_users;
pub(crate) mod forecast;
pub(crate) mod left_out;
pub(crate) mod list;
pub(crate) mod list_pager;
pub(crate) mod list_walk;
pub(crate) mod reconcile;
pub(crate) mod reread;
pub(crate) mod strategy;
pub(crate) mod window_queue;
pub(crate) mod windows;

use std::collections::BTreeSet;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::lists::endpoint::{ListName, Phase};
use crate::lists::table::endpoint;
use crate::lists::table::lists_needed;
use crate::sync::checkpoint::document::Completed;
use crate::sync::checkpoint::list_progress::ListProgress;
use crate::sync::daily_active_users;
use crate::sync::error::{Pause, Stop, SyncError};
use crate::sync::read::check_users::check_users;
use crate::sync::read::list::copy_list;
use crate::sync::references::resolve;
use crate::sync::run::RunContext;
use crate::work_limit::StopReason;

/// Reads every list that is needed and not done, and stores that the run is complete.
///
/// # Errors
/// [`Stop`]; pages that were read before are stored.
pub async fn read_everything(run: &RunContext) -> Result<(), Stop> {
    let needed = run.leased.with_checkpoint(|checkpoint| lists_needed(&checkpoint.resources));
    read_lists(run, not_done(run, &needed), Phase::follows).await?;
    check_users(run).await?;
    // Lists that grants refer to may have grown: a row that was fetched for another list (`fetch_missing`) sets
    // its own list back to `Walking` or `Comparing`. They are compared once more, one phase after the other, so
    // that no list grows while it is compared.
    run.remembered_ids.clear();
    read_lists(run, not_done(run, &needed), |phase, other| other < phase).await?;
    run.check_time_left()?;
    daily_active_users::write(run).await?;
    let completed = Completed {
        at: run.clock.now(),
        run: run.stats(),
        generator: run.generator.clone(),
        compression: run.output.compression,
        settings: Some(run.settings.clone()),
        succession: None,
    };
    run.commit(|checkpoint| {
        checkpoint.retry_at = None;
        checkpoint.completed = Some(completed);
    })
    .await?;
    Ok(())
}

/// The needed lists that Clerk serves and that are not done, in the order in which they start.
fn not_done(run: &RunContext, needed: &BTreeSet<ListName>) -> Vec<ListName> {
    let is_open =
        |&list: &ListName| endpoint(list).is_read() && !run.list(list, ListProgress::is_done);
    let mut lists: Vec<ListName> = needed.iter().copied().filter(is_open).collect();
    lists.sort_by_key(|&list| endpoint(list).phase);
    lists
}

/// Lists that are read concurrently. Each may hold a part and its pending pages in memory.
const LISTS_AT_ONCE: usize = 4;

/// Reads lists concurrently, unless one `follows` the other. If one fails, the others store the
/// pages in flight; the most significant failure is returned.
async fn read_lists(
    run: &RunContext,
    mut waiting: Vec<ListName>,
    follows: fn(Phase, Phase) -> bool,
) -> Result<(), Stop> {
    let mut open = waiting.clone();
    let mut reading = FuturesUnordered::new();
    let mut stops = Vec::new();
    loop {
        while reading.len() < LISTS_AT_ONCE && stops.is_empty() {
            let Some(next) = waiting.iter().position(|&list| is_next(list, &open, follows)) else {
                break;
            };
            let list = waiting.remove(next);
            reading.push(async move { (list, read_list(run, list).await) });
        }
        match reading.next().await {
            None => return stops.into_iter().min_by_key(significance).map_or(Ok(()), Err),
            Some((list, Ok(()))) => open.retain(|&other| other != list),
            Some((_, Err(stop))) => {
                run.work_limit.halt();
                stops.push(stop);
            }
        }
    }
}

/// Whether every list that this one follows is done.
fn is_next(list: ListName, open: &[ListName], follows: fn(Phase, Phase) -> bool) -> bool {
    let phase = endpoint(list).phase;
    !open.iter().any(|&other| follows(phase, endpoint(other).phase))
}

async fn read_list(run: &RunContext, list: ListName) -> Result<(), Stop> {
    run.check_time_left()?;
    resolve::load_referenced_ids(run, list).await?;
    copy_list(run, list).await?;
    resolve::load_ids_if_pending(run, list).await
}

/// The rank of a failure; the lowest is reported.
const fn significance(stop: &Stop) -> u8 {
    let error = match stop {
        Stop::Fail(error) => error,
        Stop::Pause(Pause::RateLimited(_)) => return 4,
        Stop::Pause(Pause::OutOfTime(StopReason::Interrupted)) => return 5,
        Stop::Pause(Pause::OutOfTime(StopReason::TimeBudget)) => return 6,
        Stop::Pause(Pause::OutOfTime(StopReason::Halted)) => return 7,
    };
    match error {
        SyncError::LeaseLost => 0,
        SyncError::Internal(_)
        | SyncError::PartLost(_)
        | SyncError::ManifestDiffers(_)
        | SyncError::Superseded(_)
        | SyncError::Unfollowed(_)
        | SyncError::LatestDamaged(_) => 1,
        SyncError::Store(_) | SyncError::Signing(_) => 2,
        SyncError::NoClient(_) | SyncError::Instance(_) | SyncError::List(_) => 3,
    }
}
