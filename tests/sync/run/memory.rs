//! Promise 8: the bytes in memory are capped, whatever they are waiting for.

use std::time::Duration;

use clerk_store::Operation;

use crate::support::captured::Captured;
use crate::support::faulty_store::{Effect, Fault};
use crate::support::world::World;

/// The number after `name=` in the last line about the pace of requests.
fn last_logged(log: &Captured, name: &str) -> usize {
    let log = log.text();
    let line = log.lines().rfind(|line| line.contains("request pacing")).expect("a line a second");
    let (_, value) = line.split_once(&format!("{name}=")).expect(name);
    value.split_whitespace().next().expect(name).parse().expect(name)
}

/// A part that is being stored counts, so that a slow store does not come on top of full room for bodies.
#[tokio::test(start_paused = true)]
async fn a_part_counts_as_bytes_in_memory_while_it_is_stored() {
    let log = Captured::start();
    let world = World::of(200, 0, 0).with("RESOURCES", "users").with("COMPRESSION", "none");
    world.store.fault(Fault::new(Operation::Put, Effect::Hang).on_key("part-").from(1));
    let synced = tokio::time::timeout(Duration::from_secs(10), world.sync()).await;
    assert!(synced.is_err(), "the store never answers: {synced:?}");
    assert_eq!((last_logged(&log, "in_flight"), last_logged(&log, "stores")), (0, 1));
    let held = last_logged(&log, "bytes_held");
    assert!(held > 200 * 500, "{held} bytes held, and the part has 200 users");
}
