//! Promise: every `sync` answers with exactly the fields of docs/reference.md, and says what happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clerk_sandbox::FaultRule;
use serde_json::{Value, json};

use crate::support::answers::{
    ask, assert_answer, assert_nothing_left_of, cut, keys, large, objects, watched,
};
use crate::support::scripted_secret::ScriptedSecret;
use crate::support::world::{ALL, World};

#[tokio::test(start_paused = true)]
async fn complete_names_the_snapshot_and_what_it_cost() {
    let world = World::of(120, 6, 90);
    world.sandbox.set_latency(Duration::from_millis(20), Duration::ZERO);
    world.sandbox.fault(FaultRule::on("/v1/users").call(1).status(503, "unavailable"));
    world.sandbox.fault(FaultRule::on("/v1/users/count").call(1).too_many_requests(1));
    let answer = ask(&world, json!({})).await;
    assert_answer(&answer, "complete", &[]);

    let snapshot = world.published().expect("published");
    let id = snapshot.latest["snapshot_id"].as_str().expect("an id");
    assert_eq!(answer["snapshot_id"], id);
    assert_eq!(answer["manifest"], format!("memory://snapshots/{id}/manifest.json"));
    let records: BTreeMap<&String, usize> =
        snapshot.datasets.iter().map(|(name, rows)| (name, rows.len())).collect();
    assert_eq!(answer["records"], json!(records));
    assert_eq!(answer["verified"], true);
    assert_eq!(answer["requests"], world.sandbox.total_requests());
    assert_eq!(answer["retries"], 2);
    assert_eq!(answer["rate_limited"], 1);
    assert_eq!(answer["invocations"], 1);
    assert!(answer["elapsed_ms"].as_u64().is_some_and(|it| it >= 1000), "it waited for Clerk");
}

#[tokio::test(start_paused = true)]
async fn partial_out_of_time_reports_progress() {
    let world = large();
    let answer = cut(&world).await;
    assert_answer(&answer, "partial", &["reason", "progress"]);
    assert_eq!(answer["reason"], "time_budget");
    assert_eq!(answer["manifest"], Value::Null);
    assert_eq!(answer["verified"], false);
    assert!(world.has_checkpoint());
    assert!(world.published().is_none());
    let progress = answer["progress"].as_object().expect("progress");
    assert!(!progress.is_empty());
    for (dataset, progress) in progress {
        assert_eq!(keys(progress), ["records", "expected"], "{dataset}");
    }
    let stored: u64 = progress.values().filter_map(|it| it["records"].as_u64()).sum();
    assert!(stored > 0, "even the smallest budget stores some progress first");
}

#[tokio::test(start_paused = true)]
async fn progress_grows_until_complete_and_counts_every_invocation() {
    let world = large();
    let id = cut(&world).await["snapshot_id"].clone();
    let mut users = 0;
    let mut invocations = 1;
    loop {
        let answer = ask(&world, json!({"time_budget_seconds": 0})).await;
        invocations += 1;
        assert_eq!(answer["snapshot_id"], id);
        assert_eq!(answer["invocations"], invocations);
        assert!(invocations < 50, "every invocation moves forward");
        if answer["status"] == "complete" {
            assert_eq!(answer["requests"], world.sandbox.total_requests());
            break;
        }
        let progress = &answer["progress"]["users"];
        let now = progress["records"].as_u64().expect("records");
        assert!(now >= users);
        users = now;
        if now > 0 {
            assert_eq!(progress["expected"], 2100);
        }
    }
}

/// Clerk's counts tell how many entitlements there will be: one for each permission and each machine,
/// and for each organization one and one more for each role. They tell nothing about grants.
#[tokio::test(start_paused = true)]
async fn progress_expects_the_right_number_of_entitlements_and_no_number_of_grants() {
    for machines_too in [false, true] {
        let resources = if machines_too { format!("{ALL},machines") } else { ALL.to_owned() };
        let world = World::of(40, 10, 60).with("RESOURCES", &resources);
        let count = |list| world.sandbox.count(list);
        let machines = if machines_too { count("machines") } else { 0 };
        let of_organizations = count("organizations") * (1 + count("organization_roles"));
        let entitlements = count("organization_permissions") + of_organizations + machines;
        let (mut was_expected, mut grants, mut invocations) = (false, Value::Null, 0);
        let records = loop {
            let answer = ask(&world, json!({"time_budget_seconds": 0})).await;
            invocations += 1;
            assert!(invocations < 50, "every invocation moves forward");
            if answer["status"] == "complete" {
                break answer["records"].clone();
            }
            let progress = &answer["progress"];
            let expected = &progress["entitlements"]["expected"];
            if !expected.is_null() {
                was_expected = true;
                assert_eq!(*expected, entitlements, "{resources}: {answer:#}");
            }
            assert_eq!(keys(&progress["grants"]), ["records", "expected"], "{resources}");
            assert_eq!(progress["grants"]["expected"], Value::Null, "{resources}: {answer:#}");
            grants = progress["grants"]["records"].clone();
        };
        assert!(was_expected, "{resources}: the lists were counted before the run was complete");
        assert_eq!(records["entitlements"], entitlements, "{resources}");
        assert_eq!(records["grants"], grants, "{resources}: they were read by then as well");
    }
}

#[tokio::test(start_paused = true)]
async fn partial_after_a_long_retry_after_says_when_to_retry() {
    let world = large().with("TIME_BUDGET_SECONDS", "30");
    world.sandbox.fault(FaultRule::on("/v1/users").calls(2, 2).too_many_requests(120));
    let begun = world.clock.now();
    let answer = ask(&world, json!({})).await;
    assert_answer(&answer, "partial", &["reason", "progress", "retry_at"]);
    assert_eq!(answer["reason"], "rate_limited");
    let retry_at = answer["retry_at"].as_str().expect("a time").to_owned();
    assert!(retry_at >= (begun + Duration::from_secs(120)).to_string(), "{retry_at}");
    assert!(retry_at <= (begun + Duration::from_secs(150)).to_string(), "{retry_at}");

    // An earlier retry neither waits nor sends requests to Clerk, and gives the same answer.
    let asked = world.sandbox.total_requests();
    let again = ask(&world, json!({})).await;
    assert_answer(&again, "partial", &["reason", "progress", "retry_at"]);
    assert_eq!(again["retry_at"], retry_at);
    assert_eq!(world.sandbox.total_requests(), asked);

    tokio::time::advance(Duration::from_secs(125)).await;
    assert_eq!(ask(&world, json!({})).await["status"], "complete");
}

#[tokio::test(start_paused = true)]
async fn partial_after_an_interrupt_keeps_what_was_read() {
    let world = large();
    let interrupt = world.interrupt.clone();
    world.sandbox.on_request(move |sandbox, request| {
        if request.path == "/v1/users" && sandbox.request_count("/v1/users") == 2 {
            interrupt.send_replace(true);
        }
    });
    let answer = ask(&world, json!({})).await;
    assert_answer(&answer, "partial", &["reason", "progress"]);
    assert_eq!(answer["reason"], "interrupted");

    world.sandbox.on_request(|_, _| {});
    world.interrupt.send_replace(false);
    let completed = ask(&world, json!({})).await;
    assert_answer(&completed, "complete", &[]);
    assert_eq!(completed["snapshot_id"], answer["snapshot_id"]);
}

#[tokio::test(start_paused = true)]
async fn busy_says_until_when_the_run_is_held_and_does_nothing() {
    let world = large().with("LEASE_SECONDS", "40");
    world.sandbox.set_latency(Duration::from_secs(1), Duration::ZERO);
    let second = async {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let (before, asked) = (objects(&world), world.sandbox.total_requests());
        let now = world.clock.now();
        let answer = ask(&world, json!({"force": true, "restart": true})).await;
        assert_eq!(objects(&world), before);
        assert_eq!(world.sandbox.total_requests(), asked);
        (answer, now)
    };
    let (first, (answer, now)) = tokio::join!(ask(&world, json!({})), second);
    assert_answer(&first, "complete", &[]);
    assert_answer(&answer, "busy", &["held_until"]);
    assert_eq!(answer["snapshot_id"], first["snapshot_id"]);
    let held_until = answer["held_until"].as_str().expect("a time");
    assert!(held_until > now.to_string().as_str(), "{held_until}");
    assert!(held_until <= (now + Duration::from_secs(40)).to_string().as_str(), "{held_until}");
}

#[tokio::test(start_paused = true)]
async fn skipped_says_when_the_next_snapshot_is_due_and_reads_no_key() {
    let (world, secret) = watched(World::of(30, 2, 20).with("SNAPSHOT_INTERVAL_MINUTES", "60"));
    let begun = world.clock.now();
    let first = ask(&world, json!({})).await;
    let (before, asked) = (objects(&world), world.sandbox.total_requests());

    tokio::time::advance(Duration::from_secs(3500)).await;
    let answer = ask(&world, json!({})).await;
    assert_answer(&answer, "skipped", &["next_due_at"]);
    assert_eq!(answer["next_due_at"], (begun + Duration::from_secs(3600)).to_string());
    assert_eq!(answer["snapshot_id"], first["snapshot_id"]);
    assert_eq!(answer["records"], first["records"]);
    let without_guard = world.clone().with("SHRINK_GUARD_PERCENT", "0");
    assert_eq!(ask(&without_guard, json!({})).await["records"], first["records"]);
    assert_eq!(objects(&world), before);
    assert_eq!(world.sandbox.total_requests(), asked);
    assert_eq!(secret.times_read(), 1);

    tokio::time::advance(Duration::from_secs(101)).await;
    let due = ask(&world, json!({})).await;
    assert_answer(&due, "complete", &[]);
    assert_ne!(due["snapshot_id"], first["snapshot_id"]);
}

#[tokio::test(start_paused = true)]
async fn force_ignores_the_interval_and_schedulers_do_not() {
    let world = World::of(30, 2, 20).with("SNAPSHOT_INTERVAL_MINUTES", "60");
    world.complete().await;
    for scheduled in [
        json!({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}),
        json!({"source": "aws.scheduler", "detail": "{}"}),
        json!({"action": "sync"}),
    ] {
        assert_answer(&ask(&world, scheduled).await, "skipped", &["next_due_at"]);
    }
    assert_answer(&ask(&world, json!({"force": true})).await, "complete", &[]);
    assert_answer(&ask(&world, json!({})).await, "skipped", &["next_due_at"]);
}

/// A world with a published snapshot of 60 users, and a complete one of 20 that is held back.
async fn held() -> (World, Arc<ScriptedSecret>, Value) {
    let (world, secret) = watched(World::of(60, 3, 30));
    world.complete().await;
    for id in &world.sandbox.ids("users")[20..] {
        world.sandbox.delete("users", id);
    }
    let answer = ask(&world, json!({})).await;
    (world, secret, answer)
}

#[tokio::test(start_paused = true)]
async fn held_says_what_shrank_and_stays_held() {
    let (world, secret, answer) = held().await;
    assert_answer(&answer, "held", &["shrunk"]);
    assert_eq!(answer["shrunk"]["users"], json!({"before": 60, "after": 20}));
    assert!(world.has_checkpoint());
    let manifest = answer["manifest"].as_str().expect("an address");
    let key = manifest.strip_prefix("memory://").expect("the store's");
    assert!(objects(&world).contains_key(key), "the held snapshot can be inspected");
    let latest = objects(&world)["latest.json"].clone();

    let (asked, read) = (world.sandbox.total_requests(), secret.times_read());
    let again = ask(&world, json!({})).await;
    assert_answer(&again, "held", &["shrunk"]);
    for field in ["snapshot_id", "manifest", "records", "shrunk"] {
        assert_eq!(again[field], answer[field], "{field}");
    }
    assert_eq!(objects(&world)["latest.json"], latest);
    assert_eq!((world.sandbox.total_requests(), secret.times_read()), (asked, read));
}

#[tokio::test(start_paused = true)]
async fn accept_shrink_publishes_the_held_snapshot_without_reading_clerk_again() {
    let (world, secret, held) = held().await;
    let (asked, read) = (world.sandbox.total_requests(), secret.times_read());
    let answer = ask(&world, json!({"accept_shrink": true})).await;
    assert_answer(&answer, "complete", &[]);
    for field in ["snapshot_id", "manifest", "records", "verified"] {
        assert_eq!(answer[field], held[field], "{field}");
    }
    assert_eq!((world.sandbox.total_requests(), secret.times_read()), (asked, read));
    let snapshot = world.published().expect("published");
    assert_eq!(snapshot.latest["snapshot_id"], answer["snapshot_id"]);
    assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"));
    assert!(!world.has_checkpoint());
}

#[tokio::test(start_paused = true)]
async fn restart_abandons_the_held_run_and_reads_again() {
    let (world, _, held) = held().await;
    for _ in 0..40 {
        world.sandbox.add_user(world.sandbox.latest());
    }
    let answer = ask(&world, json!({"restart": true})).await;
    assert_answer(&answer, "complete", &[]);
    assert_ne!(answer["snapshot_id"], held["snapshot_id"]);
    assert_nothing_left_of(&world, &held);
}
