//! Decides what happens to a list that Clerk does not serve: its dataset is `skipped` or `failed`,
//! or the run ends with an error.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use clerk_snapshot::resource::Resource;
use tracing::warn;

use crate::clerk::error::ClerkError;
use crate::lists::endpoint::ListName;
use crate::lists::list_error::ListError;
use crate::lists::table::endpoint;
use crate::sync::checkpoint::list_progress::{ListProgress, Stage};
use crate::sync::error::{Stop, SyncError};
use crate::sync::run::RunContext;

/// The lists that must not fail: without them a snapshot says nothing about access. If one of them cannot
/// be read, the run ends with an error. If the instance does not have its feature, it is skipped all the
/// same.
const ESSENTIAL: [Resource; 5] = [
    Resource::Users,
    Resource::Organizations,
    Resource::OrganizationRoles,
    Resource::OrganizationPermissions,
    Resource::OrganizationMemberships,
];

/// Whether the run ends with an error if this list cannot be read.
pub(crate) fn is_essential(list: ListName) -> bool {
    ESSENTIAL.contains(&endpoint(list).resource)
}

/// The stage that an error puts the list that was requested in; `None` if the run ends with the
/// error.
fn stage_after(failure: &ListError) -> Option<Stage> {
    match &failure.error {
        ClerkError::Refused { status, refusal, .. } => {
            let code = refusal.code.clone().unwrap_or_else(|| status.to_string());
            Some(Stage::Refused { code })
        }
        error @ (ClerkError::Rejected { .. }
        | ClerkError::NotClerk { .. }
        | ClerkError::Protocol { .. })
            if !is_essential(failure.list) =>
        {
            Some(Stage::Failed { reason: error.to_string() })
        }
        _ => None,
    }
}

/// Whether the whole run ends, and not only the reading of a list.
pub(crate) fn ends_the_run(stop: &Stop) -> bool {
    stop.list_error().and_then(stage_after).is_none()
}

/// The lists that were requested once more before they are left out, each with the largest number
/// of rows that was stored at such a time.
#[derive(Debug, Default)]
pub(crate) struct AskedAgain(BTreeMap<ListName, u64>);

impl AskedAgain {
    /// Whether to request a list once more: it has rows, and more than at any earlier attempt. A
    /// list that restarts again and again reaches some number of rows every time, and must not be
    /// retried for ever.
    fn is_due(&mut self, run: &RunContext, list: ListName) -> bool {
        let rows = run.list(list, ListProgress::rows);
        let most = self.0.entry(list).or_default();
        let is_due = rows > *most;
        *most = rows.max(*most);
        is_due
    }
}

/// Leaves out the list whose request failed while `reading` was read, or lets it be requested once
/// more if it has stored rows. If that list is not read by the run or is left out already,
/// `reading` is left out, because it cannot be read without it.
///
/// # Errors
/// The failure itself if the run ends with it, or another [`Stop`].
pub(crate) async fn leave_out(
    run: &RunContext,
    reading: ListName,
    failure: ListError,
    asked_again: &mut AskedAgain,
) -> Result<(), Stop> {
    let Some(stage) = stage_after(&failure) else { return Err(SyncError::List(failure).into()) };
    let list = if run.reads(failure.list) { failure.list } else { reading };
    let path = endpoint(list).path;
    if asked_again.is_due(run, list) {
        warn!(clerk.path = path, cause = %failure, "asking once more before the list is left out");
        return Ok(());
    }
    match &stage {
        Stage::Refused { code } => {
            warn!(clerk.path = path, clerk.code = code, "Clerk refuses this list; it is skipped");
        }
        _ => warn!(clerk.path = path, cause = %failure, "this list cannot be read; it has failed"),
    }
    end_at(run, list, stage).await
}

/// Leaves out a list that is not essential: its dataset becomes `failed`, with this `reason`.
///
/// # Errors
/// As [`RunContext::commit_list`].
pub(crate) async fn fail(run: &RunContext, list: ListName, reason: String) -> Result<(), Stop> {
    end_at(run, list, Stage::Failed { reason }).await
}

/// Discards what was read of a list, and puts the list in a stage in which it is not read.
async fn end_at(run: &RunContext, list: ListName, stage: Stage) -> Result<(), Stop> {
    run.commit_list(list, |progress| {
        *progress = ListProgress { stage, ..ListProgress::new(progress.mode) };
    })
    .await?;
    let resource = endpoint(list).resource;
    if list == ListName::from(resource) {
        // Rows that refer to it are written as if it were not opted in.
        run.id_index.write().unwrap_or_else(PoisonError::into_inner).forget(resource);
    }
    run.work_limit.note_progress();
    Ok(())
}
