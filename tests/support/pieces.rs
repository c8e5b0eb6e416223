//! Completes runs in one invocation or in many, within bounds.

use std::time::Duration;

use clerk_sync::error::Error;
use serde_json::{Value, json};

use super::snapshot::Snapshot;
use super::world::World;

/// An invocation that takes more simulated time than this counts as endless. At a thousand requests
/// in ten seconds it is a hundred thousand requests.
const FOR_EVER: Duration = Duration::from_secs(1000);

/// The most invocations that a test needs for one run.
const MAX_INVOCATIONS: usize = 400;

/// Handles one event, and fails the test if it does not end.
pub(crate) async fn ends(world: &World, event: Value) -> Result<Value, Error> {
    tokio::time::timeout(FOR_EVER, world.handle(event)).await.expect("the invocation ends")
}

/// A `sync` that must end and be complete.
pub(crate) async fn complete(world: &World, what: &str) -> Snapshot {
    let answer = ends(world, json!({})).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
    world.published().expect("complete means published")
}

/// Syncs with this time budget until the run is complete; returns the number of invocations and the
/// snapshot.
pub(crate) async fn complete_in_pieces(
    world: &World,
    seconds: f64,
    what: &str,
) -> (usize, Snapshot) {
    for number in 1..=MAX_INVOCATIONS {
        let event = json!({ "time_budget_seconds": seconds });
        let answer = ends(world, event).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        if answer["status"] == "complete" {
            return (number, world.published().expect("complete means published"));
        }
        assert_eq!(answer["status"], "partial", "{what}: {answer:#}");
    }
    panic!("{what}: not complete after {MAX_INVOCATIONS} invocations");
}
