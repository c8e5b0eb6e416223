//! Handles one event: passes it to the action that it asks for, and returns the answer.

use clerk_store::Store;

use crate::changes::action::changes;
use crate::check::check;
use crate::clock::Clock;
use crate::config::Config;
use crate::dependencies::Dependencies;
use crate::error::Error;
use crate::event::Event;
use crate::invocation::Invocation;
use crate::lookup::lookup;
use crate::response::{Response, RunStatus, StatusAnswer};
use crate::sync::checkpoint::document::Checkpoint;
use crate::sync::checkpoint::summary;
use crate::sync::state::{CheckpointFound, LatestFound};
use crate::sync::sync;

/// Handles one event.
///
/// # Errors
/// [`Error`].
pub async fn handle(
    event: &Event,
    config: &Config,
    dependencies: &Dependencies,
    invocation: &Invocation,
) -> Result<Response, Error> {
    match event {
        Event::Sync(options) => {
            dependencies.prepare_to_sign().await?;
            let answer = sync(dependencies, config, options, invocation).await?;
            Ok(Response::Sync(Box::new(answer)))
        }
        Event::Check => Ok(Response::Check(check(dependencies, config, invocation).await)),
        Event::Status => status(&*dependencies.store, &dependencies.clock).await,
        Event::Lookup(options) => {
            let answer = lookup(dependencies, config, options, invocation).await;
            Ok(Response::Lookup(answer.map_err(Error::outside_a_run)?))
        }
        Event::Changes(options) => {
            let answer = changes(dependencies, config, options, invocation).await;
            Ok(Response::Changes(answer.map_err(Error::outside_a_run)?))
        }
    }
}

/// The answer to `status`, from the store alone.
///
/// # Errors
/// [`Error::StoreUnavailable`] and [`Error::StateUnreadable`].
pub async fn status(store: &dyn Store, clock: &Clock) -> Result<Response, Error> {
    read_status(store, clock).await.map_err(Error::outside_a_run)
}

async fn read_status(store: &dyn Store, clock: &Clock) -> Result<Response, Error> {
    let checkpoint = CheckpointFound::read(store).await?.readable()?;
    let latest = LatestFound::read(store).await?.latest;
    let now = clock.now();
    let is_over = |run: &Checkpoint| latest.as_ref().is_some_and(|it| run.is_published(it));
    let in_progress = checkpoint.filter(|checkpoint| !is_over(checkpoint));
    let run = in_progress.map(|checkpoint| RunStatus {
        started_at: checkpoint.started_at,
        complete: checkpoint.completed.is_some(),
        held_until: checkpoint.lease.held_until(now),
        retry_at: checkpoint.retry_at,
        progress: summary::progress(&checkpoint),
        requests: checkpoint.stats.requests,
        invocations: checkpoint.stats.invocations,
        snapshot_id: checkpoint.snapshot_id,
    });
    Ok(Response::Status(Box::new(StatusAnswer { run, latest })))
}
