//! Promise: a snapshot equals its source.

use crate::support::world::World;

/// Every dataset has as many records as the source gives rise to, and agrees with Clerk's counts.
#[tokio::test(start_paused = true)]
async fn a_snapshot_holds_everything() {
    let world = World::of(1200, 30, 2600);
    let snapshot = world.complete().await;
    assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"));
    assert_eq!(snapshot.ids("organizations"), world.sandbox.ids("organizations"));
    assert_eq!(snapshot.manifest["verified"], true);
    assert!(!world.has_checkpoint());
    assert!(world.sandbox.violations().is_empty());
}
