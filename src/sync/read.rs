//! Reads everything that is opted in, list after list.

use futures_util::future::join_all;

use crate::patience::Exhausted;

use super::activity;
use super::checkpoint::{Completed, ListProgress};
use super::closure;
use super::copy::copy_list;
use super::endpoint::{ListName, Phase, endpoint};
use super::run::{Run, Stop, lists_needed};

/// Reads every list that is needed and not done, and notes that the run is complete.
///
/// # Errors
/// [`Stop`]; everything read before is stored.
pub async fn read_everything(run: &Run) -> Result<(), Stop> {
    let needed = run.keeper.read(|checkpoint| lists_needed(&checkpoint.resources));
    for phase in Phase::ALL {
        let lists: Vec<ListName> = needed
            .iter()
            .copied()
            .filter(|&list| endpoint(list).phase == phase && !run.list(list, ListProgress::is_done))
            .collect();
        if lists.is_empty() {
            continue;
        }
        run.may_go_on()?;
        closure::learn(run, &lists).await?;
        side_by_side(run, &lists).await?;
    }
    // Grants may have made the lists grow that they refer to: these are compared once more.
    run.remembered_ids.clear();
    let reopened: Vec<ListName> = needed
        .into_iter()
        .filter(|&list| endpoint(list).is_read() && !run.list(list, ListProgress::is_done))
        .collect();
    side_by_side(run, &reopened).await?;
    run.may_go_on()?;
    activity::write_down(run).await?;
    let completed = Completed {
        at: run.clock.now(),
        run: run.facts(),
        generator: run.generator.clone(),
        compression: run.output.compression,
    };
    run.commit(|checkpoint| {
        checkpoint.retry_at = None;
        checkpoint.completed = Some(completed);
    })
    .await
}

/// Lists that are read at once: each may hold a part and pages that wait for it.
const LISTS_AT_ONCE: usize = 4;

/// Copies lists, some of them side by side. When one fails the others store what is in flight, and
/// the failure that says most is returned.
async fn side_by_side(run: &Run, lists: &[ListName]) -> Result<(), Stop> {
    for lists in lists.chunks(LISTS_AT_ONCE) {
        at_once(run, lists).await?;
    }
    Ok(())
}

async fn at_once(run: &Run, lists: &[ListName]) -> Result<(), Stop> {
    let copies = lists.iter().map(|&list| async move {
        let copied = copy_list(run, list).await;
        if copied.is_err() {
            run.patience.halt();
        }
        copied
    });
    let stops = join_all(copies).await.into_iter().filter_map(Result::err);
    stops.min_by_key(significance).map_or(Ok(()), Err)
}

const fn significance(stop: &Stop) -> u8 {
    match stop {
        Stop::LeaseLost => 0,
        Stop::Internal(_) | Stop::PartLost(_) | Stop::ManifestDiffers(_) | Stop::Superseded(_) => 1,
        Stop::Store(_) => 2,
        Stop::Instance(_) | Stop::List(_) => 3,
        Stop::Paused(_) => 4,
        Stop::Exhausted(Exhausted::Interrupted) => 5,
        Stop::Exhausted(Exhausted::TimeBudget) => 6,
        Stop::Exhausted(Exhausted::Halted) => 7,
    }
}
