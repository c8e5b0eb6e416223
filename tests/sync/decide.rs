//! Promise: a run in progress is continued, or abandoned for a reason that the answer states.

use std::time::{Duration, SystemTime};

use clerk_sandbox::FaultRule;
use clerk_snapshot::digest::Sha256Hex;
use clerk_sync::clock::Clock;
use serde_json::{Value, json};

use crate::support::answers::{
    ask, assert_answer, assert_nothing_left_of, cut, keys, large, message, objects, watched,
};
use crate::support::scripted_secret::ScriptedSecret;
use crate::support::world::World;

/// A clock that was wrong once must not block the schedule until the right time has caught up with
/// it.
#[tokio::test(start_paused = true)]
async fn a_snapshot_or_lease_dated_in_the_future_blocks_nothing() {
    for minutes in ["0", "60"] {
        let mut world = World::of(30, 2, 20).with("SNAPSHOT_INTERVAL_MINUTES", minutes);
        let right = world.clock.clone();
        let wrong = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        world.clock = Clock::simulated(wrong);
        let ahead = world.complete().await;
        world.clock = right;
        let now = world.complete().await;
        assert_ne!(now.latest["snapshot_id"], ahead.latest["snapshot_id"], "{minutes} minutes");
        assert!(now.latest["started_at"].as_str() < ahead.latest["started_at"].as_str());
    }
    // A holder with a wrong clock was killed.
    let world = World::of(30, 2, 20);
    let paused = world.handle(json!({"time_budget_seconds": 0})).await.expect("sync");
    assert_eq!(paused["status"], "partial");
    let checkpoint = world.memory.objects().remove("checkpoint.json").expect("a checkpoint");
    let mut checkpoint: Value = serde_json::from_slice(&checkpoint).expect("JSON");
    checkpoint["lease"]["until"] = json!("2096-10-02T07:06:40.000Z");
    world.memory.plant("checkpoint.json", checkpoint.to_string());
    let status = world.handle(json!({"action": "status"})).await.expect("status");
    assert_eq!(status["run"]["held_until"], Value::Null, "{status:#}");
    world.complete().await;
}

/// The answer `skipped` names the time from which on a snapshot is due.
#[tokio::test(start_paused = true)]
async fn a_snapshot_is_due_at_exactly_the_time_that_was_named() {
    let world = World::of(30, 2, 20).with("SNAPSHOT_INTERVAL_MINUTES", "60");
    let due = world.clock.now() + Duration::from_secs(3600);
    world.complete().await;
    let left = due.saturating_duration_since(world.clock.now());
    tokio::time::advance(left - Duration::from_millis(1)).await;
    let answer = ask(&world, json!({})).await;
    assert_answer(&answer, "skipped", &["next_due_at"]);
    assert_eq!(answer["next_due_at"], due.to_string());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_answer(&ask(&world, json!({})).await, "complete", &[]);
}

/// Clerk asked for a pause that is longer than the time left. An earlier sync reads no key, writes nothing, and does
/// not count as an invocation of the run.
#[tokio::test(start_paused = true)]
async fn a_run_that_clerk_asked_to_pause_is_left_as_it_is_until_then() {
    let (world, secret) = watched(large().with("TIME_BUDGET_SECONDS", "30"));
    world.sandbox.fault(FaultRule::on("/v1/users").calls(2, 2).too_many_requests(120));
    let paused = ask(&world, json!({})).await;
    assert_answer(&paused, "partial", &["reason", "progress", "retry_at"]);
    let before = objects(&world);
    let spent = || (world.sandbox.total_requests(), secret.times_read());
    let spent_before = spent();
    let early = ask(&world, json!({})).await;
    assert_answer(&early, "partial", &["reason", "progress", "retry_at"]);
    for field in ["snapshot_id", "reason", "retry_at", "invocations"] {
        assert_eq!(early[field], paused[field], "{field}");
    }
    assert_eq!(spent(), spent_before);
    assert_eq!(objects(&world), before);
}

#[tokio::test(start_paused = true)]
async fn a_run_in_progress_is_continued_whatever_the_interval() {
    let world = large().with("SNAPSHOT_INTERVAL_MINUTES", "600");
    world.complete().await;
    let cut = ask(&world, json!({"force": true, "time_budget_seconds": 0})).await;
    assert_eq!(cut["status"], "partial");
    let answer = ask(&world, json!({})).await;
    assert_answer(&answer, "complete", &[]);
    assert_eq!(answer["snapshot_id"], cut["snapshot_id"]);
    assert_eq!(answer["invocations"], 2);
}

/// After a run was cut, a sync that must start over, and say that and why.
async fn assert_starts_over(world: &World, cut: &Value, event: Value, why: &str) {
    let answer = ask(world, event).await;
    assert_answer(&answer, "complete", &[]);
    assert_ne!(answer["snapshot_id"], cut["snapshot_id"]);
    assert_eq!(answer["invocations"], 1);
    assert!(message(&answer).contains("abandoned"), "{}", message(&answer));
    assert!(message(&answer).contains(why), "{}", message(&answer));
    assert_nothing_left_of(world, cut);
    let snapshot = world.published().expect("published");
    assert_eq!(snapshot.latest["snapshot_id"], answer["snapshot_id"]);
}

#[tokio::test(start_paused = true)]
async fn restart_abandons_a_run_in_progress() {
    let world = large();
    let begun = cut(&world).await;
    assert_starts_over(&world, &begun, json!({"restart": true}), "restart").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_past_its_maximum_age_is_abandoned_and_a_younger_one_is_continued() {
    let world = large().with("SNAPSHOT_MAX_AGE_HOURS", "2");
    let begun = cut(&world).await;
    tokio::time::advance(Duration::from_secs(7000)).await;
    let continued = ask(&world, json!({"time_budget_seconds": 0})).await;
    assert_eq!(continued["snapshot_id"], begun["snapshot_id"]);
    assert!(!message(&continued).contains("abandoned"));
    tokio::time::advance(Duration::from_secs(201)).await;
    assert_starts_over(&world, &begun, json!({}), "SNAPSHOT_MAX_AGE_HOURS").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_configuration_is_not_continued() {
    for (setting, value) in [
        ("METADATA", "public"),
        ("INCLUDE_RAW", "true"),
        ("COMPRESSION", "zstd"),
        ("RESOURCES", "users,organizations"),
        ("CLERK_API_VERSION", "2025-11-10"),
        ("CLERK_API_URL", "http://127.0.0.1:2"),
    ] {
        let world = large();
        let begun = cut(&world).await;
        let world = world.with(setting, value);
        assert_starts_over(&world, &begun, json!({}), "configuration").await;
    }
}

/// A run of an earlier version has parts and records of another shape.
#[tokio::test(start_paused = true)]
async fn a_run_of_an_earlier_version_is_not_continued() {
    let world = large();
    let begun = cut(&world).await;
    let fingerprint = Sha256Hex::of(
        b"clerk-sync/fingerprint/1\n\
          resources=organization_memberships,organization_permissions,organization_roles,\
          organizations,users\n\
          clerk_api_url=http://127.0.0.1:1/v1\nclerk_api_version=2026-05-12\ncompression=gzip\n\
          metadata_public=false\nmetadata_private=false\nmetadata_unsafe=false\n\
          include_raw=false\n",
    );
    world.edit_checkpoint(|checkpoint| {
        checkpoint["config_fingerprint"] = json!(format!("sha256:{fingerprint}"));
    });
    assert_starts_over(&world, &begun, json!({}), "begun by another version").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_instance_is_not_continued() {
    let world = large();
    let begun = cut(&world).await;
    world.sandbox.set_instance("ins_another", "development");
    assert_starts_over(&world, &begun, json!({}), "instance").await;
    let manifest = world.published().expect("published").manifest;
    assert_eq!(manifest["instance"], json!({"id": "ins_another", "environment": "development"}));
}

#[tokio::test(start_paused = true)]
async fn a_run_is_continued_at_another_speed_and_with_a_rotated_key() {
    let world = large();
    let begun = cut(&world).await;
    world.sandbox.rotate_key("sk_test_rotated");
    let world = world
        .with("CLERK_REQUESTS_PER_10S", "5000")
        .with("MAX_CONCURRENCY", "2")
        .with("LEASE_SECONDS", "20")
        .with("SHRINK_GUARD_PERCENT", "10")
        .with_secret(ScriptedSecret::new(["sk_test_rotated"]));
    let answer = ask(&world, json!({})).await;
    assert_answer(&answer, "complete", &[]);
    assert_eq!(answer["snapshot_id"], begun["snapshot_id"]);
}

#[tokio::test(start_paused = true)]
async fn the_resources_of_the_event_override_the_setting() {
    let world = World::of(40, 4, 30);
    let answer = ask(&world, json!({"resources": ["organizations"]})).await;
    assert_answer(&answer, "complete", &[]);
    assert_eq!(keys(&answer["records"]), ["organizations", "entitlements"]);
    let snapshot = world.published().expect("published");
    assert_eq!(snapshot.manifest["resources"], json!(["organizations"]));
    assert_eq!(world.sandbox.request_count("/v1/users"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_started_with_the_resources_of_an_event_keeps_them() {
    let world = large();
    let event = json!({"resources": "users", "time_budget_seconds": 0});
    let begun = ask(&world, event).await;
    assert_eq!(begun["status"], "partial");
    let answer = ask(&world, json!({})).await;
    assert_answer(&answer, "complete", &[]);
    assert_eq!(answer["snapshot_id"], begun["snapshot_id"]);
    assert_eq!(keys(&answer["records"]), ["users"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_with_other_resources_starts_over() {
    let world = large();
    let begun = cut(&world).await;
    assert_starts_over(&world, &begun, json!({"resources": ["users"]}), "configuration").await;
}
