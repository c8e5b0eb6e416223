//! Promise: what could not be written is owed, the next invocation makes the newest, the action `changes` makes the
//! rest, and nothing stays owed for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use clerk_sandbox::{FaultRule, Population, Sandbox};
use clerk_store::Operation;
use clerk_sync::invocation_metrics::{FeedSizes, Owed};
use serde_json::{Value, json};

use super::feeds::changed;
use crate::support::faulty_store::{Effect, Fault};
use crate::support::feed::{Feed, assert_feeds};
use crate::support::fuse::Side;
use crate::support::scene::{PAST_THE_LEASE, Stage, frozen};
use crate::support::world::World;

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

/// Wherever the power fails, the feed is made in the end, and is what it would have been.
#[tokio::test(start_paused = true)]
async fn a_cut_at_any_store_call_leaves_a_whole_feed_in_the_end() {
    let (world, changed) = changed("access").await;
    let before = world.memory.objects();
    let calls = {
        let whole = Stage::of(again(&world, &before));
        whole.world.complete().await;
        assert_eq!(assert_feeds(&whole.world.memory.objects()), 1);
        whole.store_calls()
    };
    for side in [Side::Before, Side::After] {
        for call in 1..=calls {
            let what = format!("cut {side:?} store call {call} of {calls}");
            let stage = Stage::of(again(&world, &before));
            assert!(stage.cut_at_store_call(call, side).await.is_none(), "{what}");
            let id = stage.world.published().expect("published").latest["snapshot_id"].clone();
            let was_published = stage.has_published();
            pass(PAST_THE_LEASE.as_secs()).await;
            // One that would answer `skipped` pays what is owed; otherwise the run is continued or begun.
            let interval = if was_published { "60" } else { "0" };
            let next = stage.world.clone().with("SNAPSHOT_INTERVAL_MINUTES", interval);
            let answer = next.sync().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_eq!(answer["status"] == "skipped", was_published, "{what}: {answer:#}");
            let objects = stage.world.memory.objects();
            assert_eq!(assert_feeds(&objects), 1, "{what}");
            let feed = Feed::latest(&objects).expect("a feed");
            assert_eq!(feed.ids_of("user_removed"), [changed.left.as_str()], "{what}");
            assert!(!was_published || feed.summary["to"]["snapshot_id"] == id, "{what}");
            assert_eq!(stage.world.measured().owed, Some(Owed::Nothing), "{what}");
        }
    }
}

/// The power fails after a feed's summary and before `changes/latest.json`: the feed is still owed, and the action
/// `changes` completes it, too.
#[tokio::test(start_paused = true)]
async fn a_feed_that_nothing_points_to_is_owed() {
    let (world, _) = changed("access").await;
    for _ in 0..2 {
        pass(2).await;
        world.complete().await;
    }
    let whole = world.memory.objects();
    let newest = world.published().expect("published").latest["snapshot_id"].clone();
    for standing in [None, Some("older"), Some("damaged")] {
        let again = again(&world, &whole);
        match standing {
            None => drop(again.memory.take_away("changes/latest.json")),
            Some("older") => {
                let latest: Value = serde_json::from_slice(&whole["changes/latest.json"]).unwrap();
                let from = latest["from"].as_str().unwrap();
                let older = json!({
                    "summary": format!("changes/{from}/summary.json"), "from": "", "to": from,
                    "summary_sha256": latest["summary_sha256"],
                });
                again.memory.plant("changes/latest.json", older.to_string());
            }
            Some(damaged) => again.memory.plant("changes/latest.json", damaged),
        }
        let answer = again.handle(json!({"action": "changes"})).await.expect("an answer");
        assert_eq!(answer["made"], json!([newest]), "{standing:?}: {answer:#}");
        assert_eq!(again.memory.objects(), whole, "{standing:?}");
        let answer = again.handle(json!({"action": "changes"})).await.expect("an answer");
        assert_eq!((&answer["made"], &answer["owed"]), (&json!([]), &json!(0)), "{standing:?}");
    }
}

/// The same Clerk, and a store of its own with these objects.
fn again(world: &World, objects: &BTreeMap<String, Bytes>) -> World {
    let again = World::new(world.sandbox.clone()).with("CHANGES", "access");
    for (key, bytes) in objects {
        again.memory.plant(key, bytes.clone());
    }
    again
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_begins_a_run_makes_the_newest_first_and_the_action_the_older_ones() {
    let (world, _) = changed("access").await;
    let off = world.clone().with("CHANGES", "off");
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(off.complete().await.latest["snapshot_id"].clone());
        pass(1).await;
    }
    let newest = world.complete().await.latest["snapshot_id"].clone();
    let objects = world.memory.objects();
    let has_feed = |id: &Value| {
        objects.contains_key(&format!("changes/{}/summary.json", id.as_str().unwrap()))
    };
    assert_eq!(ids.iter().map(has_feed).collect::<Vec<_>>(), [false, false, true]);
    assert!(has_feed(&newest));

    let answer = world.handle(json!({"action": "changes"})).await.expect("changes");
    assert_eq!(answer["status"], "complete");
    assert_eq!(answer["made"], json!([ids[1], ids[0]]), "newest first");
    assert_eq!(answer["owed"], 0);
    assert_eq!(assert_feeds(&world.memory.objects()), 4, "changes/latest.json did not move back");
    let sizes = world.measured().feeds;
    assert_eq!(sizes.iter().map(|it| it.privileged_granted).collect::<Vec<_>>(), [0, 1]);

    let answer = world.handle(json!({"action": "changes"})).await.expect("changes");
    assert_eq!((&answer["made"], &answer["status"]), (&json!([]), &json!("complete")));
}

#[tokio::test(start_paused = true)]
async fn the_metrics_count_the_records_and_the_time_owed() {
    let (world, _) = changed("access").await;
    world.complete().await;
    let measured = world.measured();
    let [FeedSizes { added, removed, privileged_granted, datasets_lost }] = measured.feeds[..]
    else {
        panic!("{measured:?}")
    };
    let feed = Feed::latest(&world.memory.objects()).expect("a feed");
    let count = |op: &str| feed.records.iter().filter(|record| record["op"] == op).count() as u64;
    assert_eq!((added, removed), (count("added"), count("removed")));
    assert_eq!((privileged_granted, datasets_lost), (1, 0));
    assert_eq!(measured.owed, Some(Owed::Nothing));
}

/// A snapshot that is removed while it is compared with is gone, and not damaged.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_removed_while_it_is_read_is_gone() {
    let (world, _) = changed("access").await;
    let before = world.memory.objects();
    let folder = before.keys().find(|key| key.ends_with("/manifest.json")).expect("a manifest");
    let folder = folder.trim_end_matches("manifest.json");
    let calls = {
        let whole = Stage::of(again(&world, &before));
        whole.world.complete().await;
        whole.store_calls()
    };
    let mut reasons = BTreeMap::<String, u32>::new();
    for call in 1..=calls {
        let what = format!("removed at store call {call} of {calls}");
        let stage = Stage::of(again(&world, &before));
        let fuse = stage.fuse_at_store_call(call, Side::Before);
        let invocation = frozen(&stage.world, &fuse, &what).await;
        if !stage.has_published() {
            continue;
        }
        for key in before.keys().filter(|key| key.starts_with(folder)) {
            stage.world.memory.take_away(key);
        }
        fuse.mend();
        let answer = invocation.await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(answer["status"], "complete", "{what}");
        let objects = stage.world.memory.objects();
        let summary = objects.iter().find(|(key, _)| key.ends_with("/summary.json"));
        let Some((_, summary)) = summary else { continue };
        let summary: Value = serde_json::from_slice(summary).expect("JSON");
        let reason = summary["datasets"]["users"]["reason"].as_str().unwrap_or("compared");
        *reasons.entry(reason.to_owned()).or_default() += 1;
    }
    assert!(reasons["previous_gone"] > 3, "{reasons:?}");
    assert!(!reasons.contains_key("previous_damaged"), "{reasons:?}");
}

/// `KEEP_SNAPSHOTS` takes no snapshot with which one is still to be compared, however many are owed. The next sync writes
/// what is owed of them, and then they go; so they do if one of them is damaged, and nothing can be said.
#[tokio::test(start_paused = true)]
async fn old_snapshots_stay_until_all_that_is_owed_of_them_is_written() {
    for (interval, is_damaged) in [("0", false), ("60", false), ("60", true)] {
        let what = format!("interval {interval}, damaged: {is_damaged}");
        let (world, changed) = changed("access").await;
        let world = world.with("KEEP_SNAPSHOTS", "1");
        world
            .store
            .fault(Fault::new(Operation::Put, Effect::FailBefore).on_key("summary.json").from(1));
        let mut ids = world.snapshots();
        for _ in 0..2 {
            world.complete().await;
            ids = world.snapshots();
            pass(1).await;
        }
        assert_eq!(ids.len(), 3, "{what}: all changes are owed");
        world.store.heal();
        if is_damaged {
            let folder = format!("snapshots/{}/users/part-", ids[0]);
            let objects = world.memory.objects();
            let part = objects.keys().find(|key| key.starts_with(&folder)).expect("a part");
            world.memory.plant(part, "damaged");
        }
        let world = world.with("SNAPSHOT_INTERVAL_MINUTES", interval);
        let answer = world.sync().await.expect("an answer");
        assert_eq!(answer["status"] == "skipped", interval == "60", "{what}: {answer:#}");
        assert_eq!(world.snapshots().len(), 1, "{what}");
        let objects = world.memory.objects();
        let owed = Feed::to(&objects, &ids[1]).expect("the older feed").summary;
        if is_damaged {
            assert_eq!(owed["datasets"]["users"]["reason"], "previous_damaged", "{what}");
        } else {
            let feed = Feed::to(&objects, &ids[1]).expect("the older feed");
            assert_eq!(feed.ids_of("user_removed"), [changed.left.as_str()], "{what}");
        }
        let newer = Feed::to(&objects, &ids[2]).expect("the newer feed").summary;
        assert_eq!(newer["complete"], true, "{what}");
        let newest = Feed::latest(&objects).expect("a feed").summary;
        assert_eq!(newest["to"]["snapshot_id"], world.snapshots()[0], "{what}");
        let written = if interval == "60" { 2 } else { 3 };
        assert_eq!(world.measured().feeds.len(), written, "{what}");
    }
}

/// Nothing stays owed for ever: if the snapshot before cannot be compared with, the summary says so.
#[tokio::test(start_paused = true)]
async fn a_snapshot_before_that_is_gone_or_damaged_gives_a_summary_that_says_so() {
    for (what, reason) in [
        ("everything", "previous_gone"),
        ("manifest", "previous_gone"),
        ("manifest damaged", "previous_damaged"),
        ("manifest forged", "previous_damaged"),
        ("part", "previous_damaged"),
        ("part damaged", "previous_damaged"),
        ("own part damaged", "snapshot_damaged"),
    ] {
        let (world, _) = changed("access").await;
        let before = world.published().expect("published");
        let off = world.clone().with("CHANGES", "off");
        let own = off.complete().await;
        let is_own = what.starts_with("own");
        let id = |snapshot: &Value| snapshot["snapshot_id"].as_str().expect("an id").to_owned();
        let folder =
            format!("snapshots/{}/", id(if is_own { &own.latest } else { &before.latest }));
        let objects = world.memory.objects();
        let mut files = objects.keys().filter(|key| key.starts_with(&folder));
        match what {
            "everything" => files.for_each(|key| drop(world.memory.take_away(key))),
            "manifest" => drop(world.memory.take_away(&format!("{folder}manifest.json"))),
            "manifest damaged" => world.memory.plant(&format!("{folder}manifest.json"), "{}"),
            "manifest forged" => {
                let key = format!("{folder}manifest.json");
                world.memory.plant(&key, [&objects[&key][..], b"\n"].concat());
            }
            _ => {
                let part = files.find(|key| key.contains("/grants/part-01-")).expect("a part");
                if what == "part" {
                    world.memory.take_away(part);
                } else {
                    world.memory.plant(part, "damaged");
                }
            }
        }
        let answer = world.handle(json!({"action": "changes"})).await.expect("changes");
        assert_eq!(answer["owed"], 0, "{what}: {answer:#}");
        let bytes = &world.memory.objects()["changes/latest.json"];
        let latest: Value = serde_json::from_slice(bytes).expect("JSON");
        assert_eq!(latest["to"], own.latest["snapshot_id"], "{what}");
        let summary = &world.memory.objects()[latest["summary"].as_str().expect("a key")];
        let summary: Value = serde_json::from_slice(summary).expect("JSON");
        assert_eq!(summary["complete"], false, "{what}");
        assert_eq!(summary["from"]["snapshot_id"], before.latest["snapshot_id"], "{what}");
        assert_eq!(
            summary["from"]["started_at"].is_null(),
            what.contains("manifest") || what == "everything"
        );
        let expected = json!({"result": "not_compared", "reason": reason, "added": 0, "removed": 0, "changed": 0});
        let datasets = summary["datasets"].as_object().expect("datasets");
        assert_eq!(datasets.len(), own.datasets.len(), "{what}");
        assert!(datasets.values().all(|entry| *entry == expected), "{what}: {summary:#}");
        assert_eq!((&summary["parts"], &summary["events"]), (&json!([]), &json!({})), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_before_of_another_instance_is_not_compared() {
    let (world, _) = changed("access").await;
    world.sandbox.set_instance("ins_other", "production");
    let answer = world.handle(json!({"accept_shrink": true})).await.expect("sync");
    assert_eq!(answer["changes"]["complete"], false, "{answer:#}");
    let summary = Feed::latest(&world.memory.objects()).expect("a feed").summary;
    assert_eq!(summary["datasets"]["users"]["reason"], "previous_of_other_instance");
}

/// A dataset that Clerk refuses now is not one that everybody left.
#[tokio::test(start_paused = true)]
async fn a_dataset_that_is_skipped_now_is_lost_and_has_no_removals() {
    let population = Population::default().users(20).organizations(3).memberships(20);
    let sandbox = Sandbox::new(population);
    sandbox.add_sample("redirect_urls", sandbox.latest() + 1).expect("a sample");
    let resources = "users,redirect_urls";
    let world = World::new(sandbox).with("RESOURCES", resources).with("CHANGES", "access");
    world.complete().await;
    pass(1).await;
    let refused = FaultRule::on("/v1/redirect_urls");
    world.sandbox.fault(refused.status(402, "unsupported_subscription_plan_features"));
    let answer = world.handle(json!({"accept_shrink": true})).await.expect("sync");
    assert_eq!(answer["changes"]["complete"], false, "{answer:#}");
    let feed = Feed::latest(&world.memory.objects()).expect("a feed");
    assert_eq!(feed.summary["datasets"]["redirect_urls"]["result"], "not_compared");
    assert_eq!(feed.records, Vec::<Value>::new());
    assert_eq!(world.measured().feeds[0].datasets_lost, 1);
}
