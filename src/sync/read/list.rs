//! Copies one list: walks it to its end, compares it with Clerk's count, and reads again what disagrees.

use crate::lists::endpoint::ListName;
use crate::lists::table::endpoint;
use crate::sync::checkpoint::list_progress::{ListProgress, Stage};
use crate::sync::error::Stop;
use crate::sync::read::left_out::{AskedAgain, leave_out};
use crate::sync::read::list_walk::walk_to_end;
use crate::sync::read::reconcile::{Next, reconcile};
use crate::sync::read::reread::read_again;
use crate::sync::run::Run;

/// Copies a list until it is done: walked to its end, and compared with Clerk's count; or left out,
/// because Clerk does not list it.
///
/// # Errors
/// [`Stop`]; what was read before is stored.
pub(crate) async fn copy_list(run: &Run, name: ListName) -> Result<(), Stop> {
    let endpoint = endpoint(name);
    let mut asked_again = AskedAgain::default();
    while !run.list(name, ListProgress::is_done) {
        let step = match run.list(name, |list| list.stage.clone()) {
            Stage::Comparing => match reconcile(run, endpoint).await {
                Ok(Next::Settled) => Ok(()),
                Ok(Next::ReadAgain(repair)) => read_again(run, endpoint, repair).await,
                Err(stop) => Err(stop),
            },
            _ => walk_to_end(run, endpoint).await,
        };
        match step {
            Err(Stop::List(failure)) => leave_out(run, name, failure, &mut asked_again).await?,
            step => step?,
        }
    }
    Ok(())
}
