//! Copies one list: walks it to its end, compares it with Clerk's count, and reads again what
//! differs.
//!
//! How a row gets from Clerk into a part:
//!
//! 1. [`walk_to_end`](crate::sync::read::list_walk::walk_to_end) walks the list in one or more
//!    windows. A window is a range of creation times; windows are walked concurrently.
//! 2. In each window, a [`ListPager`](crate::sync::read::list_pager::ListPager) requests page after
//!    page, several of them ahead. [`Endpoint::read`](crate::lists::endpoint::Endpoint::read)
//!    parses a page and translates its rows to lines of NDJSON.
//! 3. [`fetch_references`](crate::sync::read::list_walk::fetch_references) fetches the rows of other
//!    lists (users, organizations, permissions, machines) that the page's rows refer to and the
//!    snapshot does not have yet.
//! 4. [`PendingPages`](crate::sync::write::pending::PendingPages) collects pages, compresses their
//!    lines, stores them as a segment (a part for each dataset), and then commits the checkpoint, which
//!    names the parts and the position after them. Until there are enough pages for a segment, it
//!    stores drafts, which the segment replaces. `compact` joins segments that stayed small (of lists
//!    read by owner), and `row_ids` stores the ids of rows that grants refer to.
//! 5. When every window has ended, [`reconcile`] compares the number of rows with Clerk's count. If
//!    they differ it names segments to read again, which [`read_again`] does, and windows to walk
//!    further.
//!
//! When all lists are done, [`read_everything`](crate::sync::read::read_everything) checks the users
//! of memberships that were read before the users were, and copies lists further that grew meanwhile.

use crate::lists::endpoint::ListName;
use crate::lists::table::endpoint;
use crate::sync::checkpoint::list_progress::{ListProgress, Stage};
use crate::sync::error::{Stop, SyncError};
use crate::sync::read::left_out::{AskedAgain, leave_out};
use crate::sync::read::list_walk::walk_to_end;
use crate::sync::read::reconcile::{Next, reconcile};
use crate::sync::read::reread::read_again;
use crate::sync::run::RunContext;

/// Copies a list until it is done: verified, drifted, or left out.
///
/// # Errors
/// [`Stop`]; pages that were read before are stored.
pub(crate) async fn copy_list(run: &RunContext, name: ListName) -> Result<(), Stop> {
    let endpoint = endpoint(name);
    let mut asked_again = AskedAgain::default();
    while !run.list(name, ListProgress::is_done) {
        let step = match run.list(name, |list| list.stage.clone()) {
            Stage::Comparing => match reconcile(run, endpoint).await {
                Ok(Next::FollowStage) => Ok(()),
                Ok(Next::ReadAgain(repair)) => read_again(run, endpoint, repair).await,
                Err(stop) => Err(stop),
            },
            // `Walking`: the other stages are done.
            _ => walk_to_end(run, endpoint).await,
        };
        match step {
            Err(Stop::Fail(SyncError::List(failure))) => {
                leave_out(run, name, failure, &mut asked_again).await?
            }
            step => step?,
        }
    }
    Ok(())
}
