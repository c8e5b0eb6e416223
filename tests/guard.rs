//! Promise: a sudden shrink is held back, at exactly the edges the contract names
//! (`SHRINK_GUARD_PERCENT`, section 2): datasets of at least 20 records that lost more than so
//! many percent since the last published snapshot.

use clerk_sandbox::FaultRule;
use serde_json::{Value, json};

use crate::support::world::World;

/// A world that copies users only, with so many of them published.
async fn published(users: usize) -> World {
    let world = World::of(users, 0, 0).with("RESOURCES", "users");
    assert_eq!(world.complete().await.datasets["users"].len(), users);
    world
}

/// Deletes rows until so many are left.
fn shrink(world: &World, list: &str, left: usize) {
    for id in world.sandbox.ids(list).iter().skip(left) {
        assert!(world.sandbox.delete(list, id));
    }
}

/// A plain sync's answer and whether `latest.json` moved.
async fn sync(world: &World) -> (Value, bool) {
    let latest = || world.memory.objects().get("latest.json").cloned();
    let before = latest();
    let answer = world.sync().await.expect("an answer");
    (answer, latest() != before)
}

async fn assert_held(world: &World, dataset: &str, before: usize, after: usize) {
    let (answer, moved) = sync(world).await;
    assert_eq!(answer["status"], "held", "{answer:#}");
    assert_eq!(answer["shrunk"], json!({dataset: {"before": before, "after": after}}));
    assert!(!moved, "latest.json stays");
}

async fn assert_published(world: &World) {
    let (answer, moved) = sync(world).await;
    assert_eq!(answer["status"], "complete", "{answer:#}");
    assert!(answer.get("shrunk").is_none());
    assert!(moved, "latest.json moves");
}

#[tokio::test(start_paused = true)]
async fn half_of_twenty_records_may_go_and_one_more_may_not() {
    let world = published(20).await;
    shrink(&world, "users", 10);
    assert_published(&world).await;

    let world = published(20).await;
    shrink(&world, "users", 9);
    assert_held(&world, "users", 20, 9).await;
}

#[tokio::test(start_paused = true)]
async fn nineteen_records_may_all_go_and_twenty_may_not() {
    let world = published(19).await;
    shrink(&world, "users", 0);
    assert_published(&world).await;

    let world = published(20).await;
    shrink(&world, "users", 0);
    assert_held(&world, "users", 20, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_of_exactly_the_percentage_is_published() {
    for (percent, before, after) in [
        ("10", 30, 27),
        ("18", 150, 123),
        ("41", 100, 59),
        ("33", 100, 67),
        ("12.5", 24, 21),
        ("0.5", 200, 199),
    ] {
        let world = published(before).await.with("SHRINK_GUARD_PERCENT", percent);
        shrink(&world, "users", after);
        assert_published(&world).await;

        let world = published(before).await.with("SHRINK_GUARD_PERCENT", percent);
        shrink(&world, "users", after - 1);
        assert_held(&world, "users", before, after - 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn zero_turns_the_guard_off_and_a_hundred_lets_everything_go() {
    for percent in ["0", "100"] {
        let world = published(40).await.with("SHRINK_GUARD_PERCENT", percent);
        shrink(&world, "users", 0);
        assert_published(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_within_the_guard_counts_from_the_snapshot_published_last() {
    let world = published(80).await;
    for left in [40, 20] {
        shrink(&world, "users", left);
        assert_published(&world).await;
    }
    shrink(&world, "users", 9);
    assert_held(&world, "users", 20, 9).await;
    // Held snapshots are no yardstick: a new one is compared with the published one again.
    let restarted = world.handle(json!({"restart": true})).await.expect("an answer");
    assert_eq!(restarted["status"], "held");
    assert_eq!(restarted["shrunk"], json!({"users": {"before": 20, "after": 9}}));
}

#[tokio::test(start_paused = true)]
async fn growth_is_never_held() {
    let world = published(25).await;
    for number in 0..100 {
        world.sandbox.add_user(world.sandbox.latest() + number);
    }
    assert_published(&world).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_snapshot_is_published_whatever_it_holds() {
    let world = World::of(0, 0, 0);
    assert_published(&world).await;
}

#[tokio::test(start_paused = true)]
async fn every_dataset_that_shrank_is_named_and_no_other() {
    let world = World::of(60, 25, 120);
    let before = world.complete().await;
    shrink(&world, "organizations", 3);
    let (answer, moved) = sync(&world).await;
    assert_eq!(answer["status"], "held", "{answer:#}");
    assert!(!moved);
    let shrunk = answer["shrunk"].as_object().expect("shrunk");
    assert_eq!(shrunk["organizations"], json!({"before": 25, "after": 3}));
    for (dataset, records) in answer["records"].as_object().expect("records") {
        let (before, after) =
            (before.datasets[dataset].len() as u64, records.as_u64().expect("a count"));
        let lost_more_than_half = before >= 20 && after * 2 < before;
        assert_eq!(shrunk.contains_key(dataset), lost_more_than_half, "{dataset}");
    }
    assert!(shrunk.len() > 1, "the organizations' entitlements shrank as well");
    let message = answer["message"].as_str().expect("a message");
    for named in shrunk.keys().map(String::as_str).chain(["accept_shrink", "restart"]) {
        assert!(message.contains(named), "{named}: {message}");
    }
}

/// Skipped is never empty: a consumer sees the status, and nothing was lost.
#[tokio::test(start_paused = true)]
async fn a_dataset_that_clerk_refuses_has_not_shrunk() {
    let world = World::of(30, 40, 0).with("RESOURCES", "users,organizations");
    world.complete().await;
    world.sandbox.fault(
        FaultRule::on("/v1/organizations").status(403, "organization_not_enabled_in_instance"),
    );
    assert_published(&world).await;
    assert_eq!(
        world.published().expect("published").manifest["datasets"]["organizations"]["status"],
        "skipped"
    );

    // And it is new when it comes back, with however few rows.
    world.sandbox.clear_faults();
    shrink(&world, "organizations", 1);
    assert_published(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_dataset_that_is_new_or_no_longer_asked_for_has_not_shrunk() {
    let world = World::of(30, 40, 0).with("RESOURCES", "users");
    world.complete().await;
    let world = world.with("RESOURCES", "users,organizations");
    assert_published(&world).await;
    let world = world.with("RESOURCES", "users");
    assert_published(&world).await;
}

#[tokio::test(start_paused = true)]
async fn an_accepted_shrink_is_the_next_yardstick() {
    let world = published(100).await;
    shrink(&world, "users", 30);
    assert_held(&world, "users", 100, 30).await;
    let answer = world.handle(json!({"accept_shrink": true})).await.expect("an answer");
    assert_eq!(answer["status"], "complete");
    assert_published(&world).await;
    shrink(&world, "users", 14);
    assert_held(&world, "users", 30, 14).await;
}
