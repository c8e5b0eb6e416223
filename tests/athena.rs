//! Promise: with `ATHENA_LATEST`, the lists below `athena/` name the files of the newest published snapshot and of the
//! feeds, and never go back to an older one.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use clerk_sandbox::{Population, Sandbox};
use clerk_store::Operation;
use serde_json::{Value, json};

use crate::support::faulty_store::{Effect, Fault};
use crate::support::fuse::Side;
use crate::support::lists_of_files::assert_listed;
use crate::support::scene::{PAST_THE_LEASE, Stage, frozen};
use crate::support::world::World;

fn small() -> Sandbox {
    Sandbox::new(Population::default().users(40).organizations(6).memberships(50))
}

fn world(sandbox: &Sandbox) -> World {
    World::new(sandbox.clone()).with("ATHENA_LATEST", "true").with("CHANGES", "access")
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_lists_name_the_newest_snapshot() {
    let world = world(&small());
    for _ in 0..3 {
        let snapshot = world.complete().await;
        let objects = world.memory.objects();
        assert_eq!(assert_listed(&objects).as_deref(), snapshot.latest["snapshot_id"].as_str());
        world.sandbox.add_user(world.sandbox.latest() + 1);
        pass(2).await;
    }
    let objects = world.memory.objects();
    let feeds = objects.keys().filter(|key| key.starts_with("athena/changes/")).count();
    assert_eq!(feeds, 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_without_the_setting() {
    let world = world(&small()).with("ATHENA_LATEST", "");
    world.complete().await;
    assert!(!world.memory.objects().keys().any(|key| key.starts_with("athena/")));
}

/// A table without rows, rather than yesterday's rows.
#[tokio::test(start_paused = true)]
async fn a_dataset_that_is_no_longer_copied_has_an_empty_list() {
    let world = world(&small());
    world.complete().await;
    pass(2).await;
    world.clone().with("RESOURCES", "organizations").complete().await;
    let objects = world.memory.objects();
    assert_listed(&objects);
    assert_eq!(objects["athena/latest/users/symlink.txt"], "");
    assert_ne!(objects["athena/latest/organizations/symlink.txt"], "");
}

/// Feeds that were made before the setting was set have lists, too.
#[tokio::test(start_paused = true)]
async fn older_feeds_are_listed_with_the_next_snapshot() {
    let off = world(&small()).with("ATHENA_LATEST", "false");
    for _ in 0..2 {
        off.complete().await;
        off.sandbox.add_user(off.sandbox.latest() + 1);
        pass(2).await;
    }
    let on = off.with("ATHENA_LATEST", "true");
    on.complete().await;
    let objects = on.memory.objects();
    assert_listed(&objects);
    assert_eq!(objects.keys().filter(|key| key.starts_with("athena/changes/")).count(), 2);
}

/// Wherever the power fails, the next `sync` brings the lists up to date, also one that has nothing else to do.
#[tokio::test(start_paused = true)]
async fn a_cut_at_any_store_call_is_made_good_by_the_next_sync() {
    let sandbox = small();
    let first = world(&sandbox);
    first.complete().await;
    pass(2).await;
    sandbox.add_user(sandbox.latest() + 1);
    let before = first.memory.objects();
    let stage = || Stage::of(again(&sandbox, &before));
    let whole = stage();
    whole.world.complete().await;
    assert_listed(&whole.world.memory.objects());
    for side in [Side::Before, Side::After] {
        for call in 1..=whole.store_calls() {
            let what = format!("cut {side:?} store call {call}");
            let stage = stage();
            assert!(stage.cut_at_store_call(call, side).await.is_none(), "{what}");
            let interval = if stage.has_published() { "60" } else { "0" };
            pass(PAST_THE_LEASE.as_secs()).await;
            let next = stage.world.clone().with("SNAPSHOT_INTERVAL_MINUTES", interval);
            let answer = next.sync().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_eq!(answer["status"] == "skipped", stage.has_published() && interval == "60");
            let objects = stage.world.memory.objects();
            let newest = stage.world.published().expect("published").latest;
            assert_eq!(
                assert_listed(&objects).as_deref(),
                newest["snapshot_id"].as_str(),
                "{what}"
            );
        }
    }
}

/// An invocation that sleeps at any store call, while another one publishes a newer snapshot, does not put older lists
/// in the place of the newer ones when it wakes up.
#[tokio::test(start_paused = true)]
async fn an_invocation_that_slept_does_not_bring_older_lists_back() {
    let sandbox = small();
    let first = world(&sandbox);
    first.complete().await;
    pass(2).await;
    let before = first.memory.objects();
    let calls = {
        let whole = Stage::of(again(&sandbox, &before));
        whole.world.complete().await;
        whole.store_calls()
    };
    let mut overtaken = 0;
    for side in [Side::Before, Side::After] {
        for call in 1..=calls {
            let what = format!("asleep {side:?} store call {call}");
            let stage = Stage::of(again(&sandbox, &before));
            let fuse = stage.fuse_at_store_call(call, side);
            let sleeper = frozen(&stage.world, &fuse, &what).await;
            if stage.has_published() {
                overtaken += 1;
            }
            let other =
                stage.world.sync().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_eq!(other["status"], "complete", "{what}");
            fuse.mend();
            // Whatever it answers.
            let _ = sleeper.await;
            // If it noticed that it was late, nothing says any more which snapshot the lists are of.
            let newest = stage.world.published().expect("published").latest;
            let listed = stage.world.memory.objects();
            if listed.contains_key("athena/latest.json") {
                let listed = assert_listed(&listed);
                assert_eq!(listed.as_deref(), newest["snapshot_id"].as_str(), "{what}");
            }
            assert_put_right(&stage.world, &what).await;
        }
    }
    assert!(overtaken > 10, "it slept after it had published only {overtaken} times");
}

/// The list of a dataset that was empty before, has rows in the snapshot of the invocation that slept, and is empty again
/// in the newest one: the store cannot tell its versions apart, and the next sync puts it right. It is the last list that
/// is written, so that the invocation may find out only afterwards that it is late.
#[tokio::test(start_paused = true)]
async fn a_list_that_was_the_same_before_is_put_right_by_the_next_sync() {
    let sandbox = Sandbox::new(Population::default().users(0).organizations(3).memberships(0));
    let first = world(&sandbox);
    first.complete().await;
    pass(2).await;
    let before = first.memory.objects();
    let users = |count: i64| {
        for id in sandbox.ids("users") {
            sandbox.delete("users", &id);
        }
        for number in 0..count {
            sandbox.add_user(sandbox.latest() + number + 1);
        }
    };
    users(1);
    let calls = {
        let whole = Stage::of(again(&sandbox, &before));
        whole.world.complete().await;
        whole.store_calls()
    };
    let (mut overtaken, mut brought_back) = (0, 0);
    for call in 1..=calls {
        let what = format!("asleep before store call {call}");
        let stage = Stage::of(again(&sandbox, &before));
        users(1);
        let fuse = stage.fuse_at_store_call(call, Side::Before);
        let sleeper = frozen(&stage.world, &fuse, &what).await;
        overtaken += u32::from(stage.has_published());
        users(0);
        let accept = json!({"accept_shrink": true, "restart": !stage.has_published()});
        // It would write the list of the snapshot of the invocation that sleeps, and then its own.
        let refused = Fault::new(Operation::Put, Effect::Refuse(403, "AccessDenied"));
        stage.world.store.fault(refused.on_key("athena/latest/users/").from(1));
        let other =
            stage.world.handle(accept).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        stage.world.store.heal();
        assert_eq!(other["status"], "complete", "{what}");
        fuse.mend();
        // Whatever it answers.
        let _ = sleeper.await;
        let list = stage.world.memory.objects().remove("athena/latest/users/symlink.txt");
        brought_back += u32::from(list.is_some_and(|list| !list.is_empty()));
        assert_put_right(&stage.world, &what).await;
    }
    assert!(overtaken > 5, "it slept after it had published only {overtaken} times");
    assert!(brought_back > 0, "no invocation that slept has written an older list");
}

/// Two snapshots are published, of which one is to be kept. The store refused the lists of the newer one. Also returns
/// the answer of the `sync` that published it.
async fn with_lists_of_the_older_of_two() -> (World, Value) {
    let world = world(&small()).with("KEEP_SNAPSHOTS", "1");
    world.complete().await;
    pass(2).await;
    let refused = Effect::Refuse(403, "AccessDenied");
    world.store.fault(Fault::new(Operation::Put, refused).on_key("athena/latest/").from(1));
    let answer = world.sync().await.expect("an answer");
    assert_eq!(answer["status"], "complete", "it is published all the same");
    (world, answer)
}

/// Lists that still name an older snapshot keep it from being removed.
#[tokio::test(start_paused = true)]
async fn a_snapshot_stays_while_the_lists_name_it() {
    let (world, answer) = with_lists_of_the_older_of_two().await;
    let message = answer["message"].as_str().expect("a sentence");
    assert!(message.contains("lists for Athena still name an older snapshot"), "{message}");
    assert_listed_whole(&world.memory.objects());
    world.store.heal();
    pass(2).await;
    world.complete().await;
    let objects = world.memory.objects();
    assert_listed(&objects);
    assert_eq!(objects.keys().filter(|key| key.ends_with("/manifest.json")).count(), 1);
}

/// Once the lists are written, by a `sync` that publishes nothing, that snapshot is removed.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_only_the_lists_kept_is_removed_when_they_are_written() {
    let (world, _) = with_lists_of_the_older_of_two().await;
    assert_eq!(world.snapshots().len(), 2, "the lists name the older one");
    world.store.heal();
    let world = world.with("SNAPSHOT_INTERVAL_MINUTES", "60");
    let answer = world.sync().await.expect("an answer");
    assert_eq!(answer["status"], "skipped");
    assert_listed(&world.memory.objects());
    assert_eq!(world.snapshots().len(), 1);
}

/// After another `sync`, which has nothing else to do, the lists are those of the newest snapshot.
async fn assert_put_right(world: &World, what: &str) {
    pass(PAST_THE_LEASE.as_secs()).await;
    let next = world.clone().with("SNAPSHOT_INTERVAL_MINUTES", "60");
    next.sync().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let newest = world.published().expect("published").latest;
    let objects = world.memory.objects();
    assert_eq!(assert_listed(&objects).as_deref(), newest["snapshot_id"].as_str(), "{what}");
}

/// Every file that a list names is there.
fn assert_listed_whole(objects: &BTreeMap<String, Bytes>) {
    let lists = objects.iter().filter(|(key, _)| key.ends_with("symlink.txt"));
    for (list, lines) in lists {
        for line in std::str::from_utf8(lines).expect("text").lines() {
            let key = &line[line.find("snapshots/").expect("a part")..];
            assert!(objects.contains_key(key), "{list}: {key}");
        }
    }
}

/// Nobody can read the lists any more if the marker was damaged: they are written again.
#[tokio::test(start_paused = true)]
async fn a_damaged_marker_is_written_again() {
    let world = world(&small()).with("SNAPSHOT_INTERVAL_MINUTES", "60");
    world.complete().await;
    world.memory.plant("athena/latest.json", "damaged");
    world.memory.plant("athena/latest/users/symlink.txt", "s3://elsewhere/users\n");
    let answer: Value = world.handle(json!({})).await.expect("an answer");
    assert_eq!(answer["status"], "skipped");
    assert_listed(&world.memory.objects());
}

/// The same Clerk, and a store of its own with these objects.
fn again(sandbox: &Sandbox, objects: &BTreeMap<String, Bytes>) -> World {
    let again = world(sandbox);
    for (key, bytes) in objects {
        again.memory.plant(key, bytes.clone());
    }
    again
}
