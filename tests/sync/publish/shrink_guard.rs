//! Promise: a sudden shrink is held back, at exactly the documented limits
//! (`SHRINK_GUARD_PERCENT`): datasets of at least 20 records that lost more than this percentage
//! since the last published snapshot, and datasets that had records and cannot be read now, however
//! few.

use std::time::Duration;

use clerk_sandbox::{FaultRule, Population, Sandbox};
use clerk_store::Operation;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::faulty_store::{Effect, Fault};
use crate::support::world::World;

/// A world that copies only users, with this many published.
async fn published(users: usize) -> World {
    let world = World::of(users, 0, 0).with("RESOURCES", "users");
    assert_eq!(world.complete().await.datasets["users"].len(), users);
    world
}

/// Deletes rows until this many are left.
fn shrink(world: &World, list: &str, left: usize) {
    for id in world.sandbox.ids(list).iter().skip(left) {
        assert!(world.sandbox.delete(list, id));
    }
}

/// The answer of a plain sync, and whether `latest.json` moved.
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
    // A held snapshot is not a basis for comparison: the next one is compared with the published
    // one again.
    let restarted = world.handle(json!({"restart": true})).await.expect("an answer");
    assert_eq!(restarted["status"], "held");
    assert_eq!(restarted["shrunk"], json!({"users": {"before": 20, "after": 9}}));
}

/// Whoever accepts a held snapshot has looked at that one. It is published, and nothing else, even if a plain sync would
/// start over because of its age or of other settings.
#[tokio::test(start_paused = true)]
async fn an_accepted_snapshot_is_the_one_that_was_held_however_old_it_is() {
    for (hours, metadata) in [(25, ""), (0, "public")] {
        let world = published(40).await;
        shrink(&world, "users", 0);
        assert_held(&world, "users", 40, 0).await;
        let held = world.sync().await.expect("an answer");
        tokio::time::advance(Duration::from_secs(hours * 3600)).await;
        let world = world.with("METADATA", metadata);
        world.sandbox.add_user(world.sandbox.latest() + 1);
        world.sandbox.clear_requests();
        let accepted = world.handle(json!({"accept_shrink": true})).await.expect("an answer");
        assert_eq!(accepted["status"], "complete", "{accepted:#}");
        assert_eq!(accepted["snapshot_id"], held["snapshot_id"]);
        assert_eq!(world.sandbox.total_requests(), 0);
        assert_eq!(world.published().expect("published").datasets["users"].len(), 0);
    }
}

/// Nobody has accepted it, so a plain sync reads again.
#[tokio::test(start_paused = true)]
async fn a_held_snapshot_that_is_too_old_or_of_other_settings_is_abandoned_by_a_plain_sync() {
    for (hours, metadata, why) in
        [(25, "", "SNAPSHOT_MAX_AGE_HOURS"), (0, "public", "configuration")]
    {
        let world = published(40).await;
        shrink(&world, "users", 0);
        let (held, _) = sync(&world).await;
        assert_eq!(held["status"], "held", "{held:#}");
        tokio::time::advance(Duration::from_secs(hours * 3600)).await;
        let world = world.with("METADATA", metadata);
        let (again, moved) = sync(&world).await;
        assert_eq!(again["status"], "held", "{again:#}");
        assert_ne!(again["snapshot_id"], held["snapshot_id"], "{why}");
        let message = again["message"].as_str().expect("a message");
        assert!(message.contains("abandoned") && message.contains(why), "{message}");
        assert!(!moved, "latest.json stays");
    }
}

/// The counts of an answer cover the whole run: also the invocations that ask Clerk for nothing, and
/// the time that publishing takes.
#[tokio::test(start_paused = true)]
async fn a_held_run_counts_all_its_invocations_and_all_their_time() {
    let assert_spent = |answer: &Value, invocations: u64, time: Duration| {
        assert_eq!(answer["invocations"], invocations, "{answer:#}");
        let elapsed = answer["elapsed_ms"].as_u64().expect("milliseconds");
        let differs = Duration::from_millis(elapsed).abs_diff(time);
        assert!(differs < Duration::from_millis(5), "{time:?}: {answer:#}");
    };
    let world = published(40).await;
    shrink(&world, "users", 0);
    world.sandbox.set_latency(Duration::from_secs(1), Duration::ZERO);
    let began = Instant::now();
    let (held, _) = sync(&world).await;
    let reading = began.elapsed();
    assert!(reading >= Duration::from_secs(2), "{reading:?}");
    assert_eq!(held["status"], "held", "{held:#}");
    assert_spent(&held, 1, reading);

    let (again, _) = sync(&world).await;
    assert_eq!(again["status"], "held", "{again:#}");
    assert_spent(&again, 2, reading);

    world.store.fault(Fault::new(Operation::Put, Effect::Linger).on_key("latest.json"));
    let accepted = world.handle(json!({"accept_shrink": true})).await.expect("an answer");
    assert_eq!(accepted["status"], "complete", "{accepted:#}");
    assert_spent(&accepted, 3, reading + Duration::from_secs(1));
    assert_eq!(accepted["requests"], held["requests"]);
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

// ---- Datasets that had records before and cannot be read now

/// What happens to a list from now on.
type Trouble = fn(FaultRule) -> FaultRule;

const LEFT_OUT: [(&str, Trouble); 2] = [
    ("skipped", |rule| rule.status(403, "feature_not_enabled")),
    ("failed", |rule| rule.status(404, "resource_not_found")),
];

/// A world with this many waitlist entries published, and the path of their list.
async fn with_entries(entries: usize) -> (World, &'static str) {
    let sandbox = Sandbox::new(Population::default().users(5).other_rows(entries));
    let world = World::new(sandbox).with("RESOURCES", "users,waitlist_entries");
    let published = world.complete().await.datasets["waitlist_entries"].len();
    assert_eq!(published, entries);
    tokio::time::advance(Duration::from_secs(1)).await;
    (world, "/v1/waitlist_entries")
}

#[tokio::test(start_paused = true)]
async fn a_dataset_that_had_records_and_cannot_be_read_now_is_held_however_few() {
    for entries in [1, 3, 40] {
        for percent in ["0.5", "50", "100"] {
            for (status, trouble) in LEFT_OUT {
                let what = format!("{entries} entries, {percent} %, {status}");
                let (world, path) = with_entries(entries).await;
                let world = world.with("SHRINK_GUARD_PERCENT", percent);
                world.sandbox.fault(trouble(FaultRule::on(path)));
                let (answer, moved) = sync(&world).await;
                assert_eq!(answer["status"], "held", "{what}: {answer:#}");
                let expected = json!({"before": entries, "after": 0, "status": status});
                assert_eq!(answer["shrunk"], json!({"waitlist_entries": expected}), "{what}");
                assert!(!moved, "{what}: latest.json stays");
                let message = answer["message"].as_str().expect("a message");
                for word in ["waitlist_entries", status, "accept_shrink", "restart"] {
                    assert!(message.contains(word), "{what}: {word}: {message}");
                }
                // It stays held, without any further requests.
                let asked = world.sandbox.total_requests();
                assert_eq!(sync(&world).await.0["shrunk"], answer["shrunk"], "{what}");
                assert_eq!(world.sandbox.total_requests(), asked, "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn zero_also_turns_off_the_guard_for_datasets_that_cannot_be_read() {
    for (status, trouble) in LEFT_OUT {
        let (world, path) = with_entries(40).await;
        let world = world.with("SHRINK_GUARD_PERCENT", "0");
        world.sandbox.fault(trouble(FaultRule::on(path)));
        assert_published(&world).await;
        let snapshot = world.published().expect("published");
        assert_eq!(snapshot.manifest["datasets"]["waitlist_entries"]["status"], status);
    }
}

#[tokio::test(start_paused = true)]
async fn an_accepted_gap_is_not_held_again() {
    for (status, trouble) in LEFT_OUT {
        let (world, path) = with_entries(40).await;
        world.sandbox.fault(trouble(FaultRule::on(path)));
        assert_eq!(sync(&world).await.0["status"], "held", "{status}");
        let accepted = world.handle(json!({"accept_shrink": true})).await.expect("an answer");
        assert_eq!(accepted["status"], "complete", "{status}: {accepted:#}");
        tokio::time::advance(Duration::from_secs(1)).await;
        // The snapshot published last has no entries, so nothing is lost.
        assert_published(&world).await;
        // The dataset counts as new when it returns, however few rows it has.
        world.sandbox.clear_faults();
        shrink(&world, "waitlist_entries", 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_published(&world).await;
    }
}

/// A dataset that was empty lost nothing.
#[tokio::test(start_paused = true)]
async fn a_dataset_that_was_empty_may_be_left_out() {
    for (_, trouble) in LEFT_OUT {
        let (world, path) = with_entries(0).await;
        world.sandbox.fault(trouble(FaultRule::on(path)));
        assert_published(&world).await;
    }
}

/// A dataset that is no longer opted in lost nothing either, whatever Clerk would answer.
#[tokio::test(start_paused = true)]
async fn a_dataset_that_is_no_longer_opted_in_may_be_refused() {
    let (world, path) = with_entries(40).await;
    let world = world.with("RESOURCES", "users");
    world.sandbox.fault(FaultRule::on(path).status(403, "feature_not_enabled"));
    assert_published(&world).await;
}

/// The grants of roles are there, and those of memberships are missing.
#[tokio::test(start_paused = true)]
async fn a_skipped_dataset_that_keeps_some_records_is_held() {
    let world = World::of(30, 4, 40);
    let before = world.complete().await.datasets["grants"].len();
    world
        .sandbox
        .fault(FaultRule::on("/v1/organization_memberships").status(403, "feature_not_enabled"));
    let (answer, moved) = sync(&world).await;
    assert_eq!(answer["status"], "held", "{answer:#}");
    let grants = &answer["shrunk"]["grants"];
    assert_eq!((&grants["before"], &grants["status"]), (&json!(before), &json!("skipped")));
    let after = grants["after"].as_u64().expect("a count");
    assert!(0 < after && (after as usize) < before, "{answer:#}");
    assert!(!moved);
}

/// The entitlements of organizations are there, and those of permissions are missing: now, or now
/// and before.
#[tokio::test(start_paused = true)]
async fn a_skipped_dataset_that_loses_what_it_had_is_held_and_one_that_stays_as_it_was_is_not() {
    let sandbox = Sandbox::new(Population::default().organizations(12));
    let roles = sandbox.count("organization_roles");
    assert!((2..20).contains(&roles), "they are too few to be guarded themselves");
    let world = World::new(sandbox).with("RESOURCES", "organizations,organization_permissions");
    let path = "/v1/organization_permissions";
    world.sandbox.fault(FaultRule::on(path).status(403, "feature_not_enabled"));
    let before = 12 * (1 + roles);
    let entry = world.complete().await.manifest["datasets"]["entitlements"].clone();
    assert_eq!((&entry["status"], &entry["records"]), (&json!("skipped"), &json!(before)));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_published(&world).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    shrink(&world, "organization_roles", 0);
    let (answer, moved) = sync(&world).await;
    assert_eq!(answer["status"], "held", "{answer:#}");
    let lost = json!({"before": before, "after": 12, "status": "skipped"});
    assert_eq!(answer["shrunk"], json!({"entitlements": lost}));
    assert!(!moved, "latest.json stays");
}

#[tokio::test(start_paused = true)]
async fn a_dataset_that_is_new_or_no_longer_opted_in_has_not_shrunk() {
    let world = World::of(30, 40, 0).with("RESOURCES", "users");
    world.complete().await;
    let world = world.with("RESOURCES", "users,organizations");
    assert_published(&world).await;
    let world = world.with("RESOURCES", "users");
    assert_published(&world).await;
}

#[tokio::test(start_paused = true)]
async fn later_snapshots_are_compared_with_an_accepted_shrink() {
    let world = published(100).await;
    shrink(&world, "users", 30);
    assert_held(&world, "users", 100, 30).await;
    let answer = world.handle(json!({"accept_shrink": true})).await.expect("an answer");
    assert_eq!(answer["status"], "complete");
    assert_published(&world).await;
    shrink(&world, "users", 14);
    assert_held(&world, "users", 30, 14).await;
}
