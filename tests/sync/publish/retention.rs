//! Promise: `KEEP_SNAPSHOTS` removes what is older than the newest few, and nothing that is needed.

use std::time::Duration;

use clerk_store::Operation;
use serde_json::json;

use crate::support::faulty_store::{Effect, Fault};
use crate::support::feed::{Feed, assert_feeds};
use crate::support::fuse::Side;
use crate::support::scene::{PAST_THE_LEASE, Stage};
use crate::support::world::World;

/// A world with some published snapshots, and their ids, oldest first.
async fn published(count: usize) -> (World, Vec<String>) {
    let world = World::of(40, 6, 50);
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(publish(&world).await);
    }
    (world, ids)
}

async fn publish(world: &World) -> String {
    tokio::time::advance(Duration::from_secs(2)).await;
    world.complete().await.latest["snapshot_id"].as_str().expect("an id").to_owned()
}

/// The snapshots that have a file, oldest first.
fn there(world: &World) -> Vec<String> {
    let objects = world.memory.objects();
    let ids = objects.keys().filter_map(|key| key.strip_prefix("snapshots/")?.split_once('/'));
    let mut ids: Vec<String> = ids.map(|(id, _)| id.to_owned()).collect();
    ids.dedup();
    ids
}

#[tokio::test(start_paused = true)]
async fn the_newest_stay_and_the_others_go() {
    let (world, mut ids) = published(4).await;
    assert_eq!(there(&world), ids, "all are kept without the setting");
    let world = world.with("KEEP_SNAPSHOTS", "2");
    ids.push(publish(&world).await);
    assert_eq!(there(&world), ids[3..]);
    let world = world.with("KEEP_SNAPSHOTS", "1");
    ids.push(publish(&world).await);
    assert_eq!(there(&world), ids[5..]);
    assert!(world.published().is_some());
}

/// Wherever the power fails, what is left is whole, and the next sync goes on.
#[tokio::test(start_paused = true)]
async fn a_cut_at_any_store_call_leaves_whole_snapshots() {
    let (world, ids) = published(3).await;
    let before = world.memory.objects();
    let stage = || {
        let world = World::new(world.sandbox.clone()).with("KEEP_SNAPSHOTS", "1");
        before.iter().for_each(|(key, bytes)| world.memory.plant(key, bytes.clone()));
        Stage::of(world)
    };
    let whole = stage();
    publish(&whole.world).await;
    assert_eq!(there(&whole.world).len(), 1);
    for call in 1..=whole.store_calls() {
        let stage = stage();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(stage.cut_at_store_call(call, Side::After).await.is_none());
        // Each snapshot is there as a whole, or is one of the oldest that are going.
        assert!(stage.world.published().is_some(), "call {call}");
        let objects = stage.world.memory.objects();
        let has_all = |id: &String| {
            let own = |key: &&String| key.starts_with(&format!("snapshots/{id}/"));
            before.keys().filter(own).all(|key| objects.contains_key(key))
        };
        let left: Vec<bool> = ids.iter().map(has_all).collect();
        assert!(left.is_sorted(), "call {call}: the oldest goes first: {left:?}");
        tokio::time::advance(PAST_THE_LEASE).await;
        publish(&stage.world).await;
        assert_eq!(there(&stage.world).len(), 1, "call {call}");
    }
}

/// What is still to be compared stays until it is.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_still_to_be_compared_stays() {
    let (world, mut ids) = published(2).await;
    let world = world.with("KEEP_SNAPSHOTS", "1").with("CHANGES", "access");
    world.sandbox.add_user(world.sandbox.latest() + 1);
    world
        .store
        .fault(Fault::new(Operation::Put, Effect::FailBefore).on_key("summary.json").from(1));
    ids.push(publish(&world).await);
    assert_eq!(there(&world), ids, "its changes are owed");
    world.store.heal();
    ids.push(publish(&world).await);
    assert_eq!(there(&world), ids[3..]);
    assert_eq!(assert_feeds(&world.memory.objects()), 1);
    let objects = world.memory.objects();
    assert!(objects.contains_key(&format!("changes/{}/summary.json", ids[2])), "feeds stay");
    assert!(Feed::latest(&objects).is_some());
}

/// A failure leaves the snapshot published, and everything else to the next time.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_removed_is_removed_the_next_time() {
    for key in ["/users/part-", "/manifest.json"] {
        let (world, mut ids) = published(2).await;
        let world = world.with("KEEP_SNAPSHOTS", "1");
        let refused = Effect::Refuse(403, "AccessDenied");
        world.store.fault(Fault::new(Operation::Delete, refused).on_key(key).from(1));
        ids.push(publish(&world).await);
        let objects = world.memory.objects();
        assert!(objects.contains_key(&format!("snapshots/{}/manifest.json", ids[0])), "{key}");
        world.store.heal();
        ids.push(publish(&world).await);
        assert_eq!(there(&world), ids[3..], "{key}");
    }
}

/// Somebody moved `latest.json` back: the chain begins there, and what is not in it stays.
#[tokio::test(start_paused = true)]
async fn what_is_not_in_the_chain_stays() {
    let (world, mut ids) = published(4).await;
    let objects = world.memory.objects();
    world.memory.take_away(&format!("snapshots/{}/manifest.json", ids[1]));
    let world = world.with("KEEP_SNAPSHOTS", "1");
    ids.push(publish(&world).await);
    let left = there(&world);
    assert!(left.contains(&ids[0]) && left.contains(&ids[4]), "{left:?}");
    assert!(!left.contains(&ids[2]) && !left.contains(&ids[3]), "{left:?}");
    drop(objects);
}

#[tokio::test(start_paused = true)]
async fn at_least_one_is_kept() {
    for wrong in ["0", "-1", "1.5", "none", "1000001"] {
        let world = World::of(1, 1, 1).with("KEEP_SNAPSHOTS", wrong);
        let error = world.handle(json!({})).await.expect_err("it is wrong");
        assert!(error.message().contains("KEEP_SNAPSHOTS"), "{}", error.message());
    }
}
