//! Promise: `KEEP_SNAPSHOTS` removes what is older than the newest few, and nothing that is needed.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use clerk_store::Operation;
use serde_json::{Value, json};

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

/// The snapshots whose removal was begun and not finished, as files say.
fn being_removed(objects: &BTreeMap<String, Bytes>) -> Vec<&str> {
    objects.keys().filter_map(|key| key.strip_prefix("removing/")).collect()
}

#[tokio::test(start_paused = true)]
async fn the_newest_stay_and_the_others_go() {
    let (world, mut ids) = published(4).await;
    assert_eq!(world.snapshots(), ids, "all are kept without the setting");
    let world = world.with("KEEP_SNAPSHOTS", "2");
    ids.push(publish(&world).await);
    assert_eq!(world.snapshots(), ids[3..]);
    let world = world.with("KEEP_SNAPSHOTS", "1");
    ids.push(publish(&world).await);
    assert_eq!(world.snapshots(), ids[5..]);
    assert!(world.published().is_some());
}

/// A checkpoint that could not be removed names the snapshot that its run took the place of. That one
/// stays until the checkpoint is gone, however few are to be kept.
#[tokio::test(start_paused = true)]
async fn what_a_checkpoint_names_stays() {
    let (world, mut ids) = published(3).await;
    let world = world.with("KEEP_SNAPSHOTS", "1");
    let refused = Effect::Refuse(403, "AccessDenied");
    let fault = Fault::new(Operation::Delete, refused).on_key("checkpoint.json");
    world.store.fault(fault.from(1));
    ids.push(publish(&world).await);
    assert!(world.has_checkpoint());
    assert_eq!(world.snapshots(), ids[2..]);
    world.store.heal();
    ids.push(publish(&world).await);
    assert!(!world.has_checkpoint());
    assert_eq!(world.snapshots(), ids[4..]);
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
    assert_eq!(whole.world.snapshots().len(), 1);
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
        assert_eq!(stage.world.snapshots().len(), 1, "call {call}");
    }
}

/// A snapshot whose removal was cut off is gone, and not damaged, for whoever compares with it. The next sync that has
/// nothing else to do finishes the removal.
#[tokio::test(start_paused = true)]
async fn what_was_cut_off_is_gone_and_is_finished_by_the_next_sync() {
    let world = World::of(40, 6, 50);
    for _ in 0..3 {
        publish(&world).await;
        world.sandbox.add_user(world.sandbox.latest() + 1);
    }
    let before = world.memory.objects();
    let with = |objects: &BTreeMap<String, Bytes>| {
        let world = World::new(world.sandbox.clone());
        objects.iter().for_each(|(key, bytes)| world.memory.plant(key, bytes.clone()));
        world
    };
    let stage = || Stage::of(with(&before).with("KEEP_SNAPSHOTS", "1"));
    let whole = stage();
    publish(&whole.world).await;
    assert_eq!(being_removed(&whole.world.memory.objects()), [""; 0]);
    let (mut finished, mut reasons) = (0, BTreeMap::<String, u32>::new());
    for side in [Side::Before, Side::After] {
        for call in 1..=whole.store_calls() {
            let what = format!("cut {side:?} store call {call}");
            let stage = stage();
            tokio::time::advance(Duration::from_secs(2)).await;
            assert!(stage.cut_at_store_call(call, side).await.is_none(), "{what}");
            if !stage.has_published() {
                continue;
            }
            let objects = stage.world.memory.objects();
            let asked = with(&objects).with("CHANGES", "access");
            let answer = asked.handle(json!({"action": "changes"})).await.expect("changes");
            assert_eq!(answer["owed"], 0, "{what}: {answer:#}");
            let feeds = asked.memory.objects();
            for summary in feeds.iter().filter(|(key, _)| key.ends_with("/summary.json")) {
                let summary: Value = serde_json::from_slice(summary.1).expect("JSON");
                let reason = summary["datasets"]["users"]["reason"].as_str();
                *reasons.entry(reason.unwrap_or("compared").to_owned()).or_default() += 1;
            }
            tokio::time::advance(PAST_THE_LEASE).await;
            let next = stage.world.clone().with("SNAPSHOT_INTERVAL_MINUTES", "60");
            let answer = next.sync().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_eq!(answer["status"], "skipped", "{what}");
            assert_eq!(being_removed(&next.memory.objects()), [""; 0], "{what}");
            if !being_removed(&objects).is_empty() {
                finished += 1;
                assert_eq!(next.snapshots().len(), 1, "{what}");
            }
        }
    }
    assert!(finished > 20, "{finished}");
    assert!(reasons["previous_gone"] > 20 && reasons["compared"] > 20, "{reasons:?}");
    assert!(
        reasons.keys().all(|it| ["previous_gone", "compared"].contains(&it.as_str())),
        "{reasons:?}"
    );
}

/// It costs one listing to see that there is nothing to finish, and whatever goes wrong with it changes no answer.
#[tokio::test(start_paused = true)]
async fn a_sync_that_has_nothing_to_do_answers_whatever_becomes_of_a_removal() {
    let (world, ids) = published(3).await;
    let world = world.with("SNAPSHOT_INTERVAL_MINUTES", "60");
    let counted = async |world: &World| {
        let before = world.store.calls().len();
        let answer = world.sync().await.expect("an answer");
        (answer, world.store.calls().len() - before)
    };
    let (expected, calls) = counted(&world).await;
    assert_eq!(expected["status"], "skipped");
    let world = world.with("KEEP_SNAPSHOTS", "1");
    assert_eq!(counted(&world).await, (expected.clone(), calls + 1));
    assert_eq!(world.snapshots(), ids, "nothing was published since fewer are to be kept");

    world.memory.plant(&format!("removing/{}.json", ids[0]), "{}");
    for (operation, key) in [
        (Operation::List, "removing/"),
        (Operation::List, "snapshots/"),
        (Operation::Delete, "snapshots/"),
        (Operation::Put, "removing/"),
        (Operation::Delete, "removing/"),
    ] {
        let refused = Effect::Refuse(403, "AccessDenied");
        world.store.fault(Fault::new(operation, refused).on_key(key).from(1));
        assert_eq!(counted(&world).await.0, expected, "{operation:?} {key}");
        world.store.heal();
        assert!(!being_removed(&world.memory.objects()).is_empty(), "{operation:?} {key}");
    }
    assert_eq!(counted(&world).await.0, expected);
    assert_eq!(world.snapshots(), ids[2..]);
    assert_eq!(being_removed(&world.memory.objects()), [""; 0]);
}

/// A file below `removing/` says what is going on, and decides nothing.
#[tokio::test(start_paused = true)]
async fn nothing_is_removed_because_a_file_says_so() {
    let (world, ids) = published(4).await;
    let world = world.with("KEEP_SNAPSHOTS", "3").with("SNAPSHOT_INTERVAL_MINUTES", "60");
    let stranger = "20200101T000000Z-3f9a1c";
    for name in ids.iter().map(String::as_str).chain([stranger]) {
        world.memory.plant(&format!("removing/{name}.json"), "{}");
    }
    world.memory.plant("removing/notes.txt", "of somebody else");
    assert_eq!(world.sync().await.expect("an answer")["status"], "skipped");
    assert_eq!(world.snapshots(), ids[1..], "what is too old is removed in any case");
    let objects = world.memory.objects();
    let left = being_removed(&objects);
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left.contains(&"notes.txt") && !left.iter().any(|it| it.starts_with(stranger)));
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
    assert_eq!(world.snapshots(), ids, "its changes are owed");
    world.store.heal();
    ids.push(publish(&world).await);
    assert_eq!(world.snapshots(), ids[3..]);
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
        assert_eq!(world.snapshots(), ids[3..], "{key}");
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
    let left = world.snapshots();
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
