//! Promise: every invocation says what it did, in exactly the words of the contract's section 3,
//! and a run that is found is continued, waited for, or given up for a reason that is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use clerk_sandbox::{DEFAULT_KEY, FaultRule};
use clerk_snapshot::digest::Sha256Hex;
use clerk_store::Operation;
use clerk_sync::clock::Clock;
use clerk_sync::secret_key::SecretKey;
use clerk_sync::secret_source::{Label, SecretError, SecretSource};
use serde_json::{Value, json};

use crate::support::faulty_store::{Effect, Fault};
use crate::support::scripted_secret::ScriptedSecret;
use crate::support::world::{ALL, World};

/// The fields of every answer to `sync`, in the contract's order.
const FIELDS: [&str; 11] = [
    "status",
    "snapshot_id",
    "manifest",
    "records",
    "verified",
    "requests",
    "retries",
    "rate_limited",
    "invocations",
    "elapsed_ms",
    "message",
];

/// Exactly the contract's fields and these, and one sentence or more for a person.
fn assert_answer(answer: &Value, status: &str, further: &[&str]) {
    let fields: Vec<&str> = keys(answer);
    let expected: Vec<&str> = FIELDS.iter().chain(further).copied().collect();
    assert_eq!(answer["status"], status, "{answer:#}");
    assert_eq!(fields, expected, "{answer:#}");
    assert!(message(answer).ends_with('.'), "{answer:#}");
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn message(answer: &Value) -> &str {
    answer["message"].as_str().expect("a message")
}

/// An instance whose users need several pages, so that a run without time is cut in their midst.
fn large() -> World {
    World::of(2100, 10, 60)
}

/// A run cut after its first progress; gives its answer.
async fn cut(world: &World) -> Value {
    let answer = world.handle(json!({"time_budget_seconds": 0})).await.expect("an answer");
    assert_eq!(answer["status"], "partial", "{answer:#}");
    answer
}

async fn ask(world: &World, event: Value) -> Value {
    world.handle(event).await.expect("an answer")
}

fn objects(world: &World) -> BTreeMap<String, Bytes> {
    world.memory.objects()
}

/// A world whose secret counts how often it is read.
fn watched(mut world: World) -> (World, Arc<ScriptedSecret>) {
    let secret = Arc::new(ScriptedSecret::new([DEFAULT_KEY]));
    world.secret = Arc::clone(&secret) as _;
    (world, secret)
}

// ---- the statuses

/// A clock that was wrong once must not stop the schedule until the others have caught up with it.
#[tokio::test(start_paused = true)]
async fn a_snapshot_or_a_lease_from_the_future_stops_nothing() {
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
    // A holder whose clock was wrong was killed.
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

#[tokio::test(start_paused = true)]
async fn complete_tells_the_snapshot_and_what_it_took() {
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
async fn partial_by_time_tells_how_far_it_is() {
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

#[tokio::test(start_paused = true)]
async fn partial_by_clerks_own_wish_tells_when_to_come_back() {
    let world = large().with("TIME_BUDGET_SECONDS", "30");
    world.sandbox.fault(FaultRule::on("/v1/users").calls(2, 2).too_many_requests(120));
    let begun = world.clock.now();
    let answer = ask(&world, json!({})).await;
    assert_answer(&answer, "partial", &["reason", "progress", "retry_at"]);
    assert_eq!(answer["reason"], "rate_limited");
    let retry_at = answer["retry_at"].as_str().expect("a time").to_owned();
    assert!(retry_at >= (begun + Duration::from_secs(120)).to_string(), "{retry_at}");
    assert!(retry_at <= (begun + Duration::from_secs(150)).to_string(), "{retry_at}");

    // Asked again before that, it neither waits nor asks Clerk, and says the same.
    let asked = world.sandbox.total_requests();
    let again = ask(&world, json!({})).await;
    assert_answer(&again, "partial", &["reason", "progress", "retry_at"]);
    assert_eq!(again["retry_at"], retry_at);
    assert_eq!(world.sandbox.total_requests(), asked);

    tokio::time::advance(Duration::from_secs(125)).await;
    assert_eq!(ask(&world, json!({})).await["status"], "complete");
}

#[tokio::test(start_paused = true)]
async fn partial_by_interruption_keeps_what_was_read() {
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
async fn busy_tells_until_when_the_run_is_held_and_does_nothing() {
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
async fn skipped_tells_when_the_next_snapshot_is_due_and_reads_no_key() {
    let (world, secret) = watched(World::of(30, 2, 20).with("SNAPSHOT_INTERVAL_MINUTES", "60"));
    let begun = world.clock.now();
    let first = ask(&world, json!({})).await;
    let (before, asked) = (objects(&world), world.sandbox.total_requests());

    tokio::time::advance(Duration::from_secs(3500)).await;
    let answer = ask(&world, json!({})).await;
    assert_answer(&answer, "skipped", &["next_due_at"]);
    assert_eq!(answer["next_due_at"], (begun + Duration::from_secs(3600)).to_string());
    assert_eq!(answer["snapshot_id"], first["snapshot_id"]);
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

// ---- held

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
async fn held_tells_what_shrank_and_stays_held() {
    let (world, secret, answer) = held().await;
    assert_answer(&answer, "held", &["shrunk"]);
    assert_eq!(answer["shrunk"]["users"], json!({"before": 60, "after": 20}));
    assert!(world.has_checkpoint());
    let manifest = answer["manifest"].as_str().expect("an address");
    let key = manifest.strip_prefix("memory://").expect("the store's");
    assert!(objects(&world).contains_key(key), "whoever decides can look at it");
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
async fn accept_shrink_publishes_what_is_held_without_reading_clerk_again() {
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
async fn restart_gives_up_what_is_held_and_reads_anew() {
    let (world, _, held) = held().await;
    for _ in 0..40 {
        world.sandbox.add_user(world.sandbox.latest());
    }
    let answer = ask(&world, json!({"restart": true})).await;
    assert_answer(&answer, "complete", &[]);
    assert_ne!(answer["snapshot_id"], held["snapshot_id"]);
    assert_nothing_left_of(&world, &held);
}

/// Leftovers of a run given up are removed once another is published.
fn assert_nothing_left_of(world: &World, abandoned: &Value) {
    let id = abandoned["snapshot_id"].as_str().expect("an id");
    let left: Vec<String> = objects(world).into_keys().filter(|key| key.contains(id)).collect();
    assert_eq!(left, [""; 0]);
}

// ---- a run that is not continued

/// A cut run, then a sync that must begin anew and say that and why.
async fn assert_begins_anew(world: &World, cut: &Value, event: Value, why: &str) {
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
async fn restart_begins_anew() {
    let world = large();
    let begun = cut(&world).await;
    assert_begins_anew(&world, &begun, json!({"restart": true}), "restart").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_past_its_age_is_given_up_and_one_within_is_continued() {
    let world = large().with("SNAPSHOT_MAX_AGE_HOURS", "2");
    let begun = cut(&world).await;
    tokio::time::advance(Duration::from_secs(7000)).await;
    let continued = ask(&world, json!({"time_budget_seconds": 0})).await;
    assert_eq!(continued["snapshot_id"], begun["snapshot_id"]);
    assert!(!message(&continued).contains("abandoned"));
    tokio::time::advance(Duration::from_secs(201)).await;
    assert_begins_anew(&world, &begun, json!({}), "SNAPSHOT_MAX_AGE_HOURS").await;
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
        assert_begins_anew(&world, &begun, json!({}), "configuration").await;
    }
}

/// What an earlier version began has parts and records of another shape.
#[tokio::test(start_paused = true)]
async fn a_run_that_an_earlier_version_began_is_not_continued() {
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
    assert_begins_anew(&world, &begun, json!({}), "begun by another version").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_of_another_instance_is_not_continued() {
    let world = large();
    let begun = cut(&world).await;
    world.sandbox.set_instance("ins_another", "development");
    assert_begins_anew(&world, &begun, json!({}), "instance").await;
    let manifest = world.published().expect("published").manifest;
    assert_eq!(manifest["instance"], json!({"id": "ins_another", "environment": "development"}));
}

#[tokio::test(start_paused = true)]
async fn a_run_is_continued_faster_slower_and_with_a_rotated_key() {
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

// ---- resources of the event

#[tokio::test(start_paused = true)]
async fn the_events_resources_count_instead_of_the_settings() {
    let world = World::of(40, 4, 30);
    let answer = ask(&world, json!({"resources": ["organizations"]})).await;
    assert_answer(&answer, "complete", &[]);
    assert_eq!(keys(&answer["records"]), ["organizations", "entitlements"]);
    let snapshot = world.published().expect("published");
    assert_eq!(snapshot.manifest["resources"], json!(["organizations"]));
    assert_eq!(world.sandbox.request_count("/v1/users"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_begun_with_the_events_resources_is_continued_with_them() {
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
async fn an_event_with_other_resources_begins_anew() {
    let world = large();
    let begun = cut(&world).await;
    assert_begins_anew(&world, &begun, json!({"resources": ["users"]}), "configuration").await;
}

// ---- check

/// What `check` says, by the name of the check; it must have changed nothing.
async fn check(world: &World) -> BTreeMap<String, (bool, String)> {
    let before = objects(world);
    let answer = ask(world, json!({"action": "check"})).await;
    assert_eq!(objects(world), before, "check changes nothing");
    let items = answer.as_array().expect("a list");
    let mut checks = BTreeMap::new();
    for item in items {
        assert_eq!(keys(item), ["check", "ok", "detail"]);
        let name = item["check"].as_str().expect("a name").to_owned();
        let detail = item["detail"].as_str().expect("a detail").to_owned();
        assert!(!detail.is_empty() && !detail.contains(DEFAULT_KEY), "{name}: {detail}");
        let ok = item["ok"].as_bool().expect("a verdict");
        assert!(checks.insert(name, (ok, detail)).is_none(), "each check is told once");
    }
    checks
}

fn failing(checks: &BTreeMap<String, (bool, String)>) -> Vec<&str> {
    checks.iter().filter(|(_, (ok, _))| !ok).map(|(name, _)| name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn check_asks_for_the_secret_the_instance_a_row_each_and_the_store() {
    let (world, secret) = watched(large());
    cut(&world).await;
    world.sandbox.clear_requests();
    let read = secret.times_read();
    let checks = check(&world).await;
    assert_eq!(failing(&checks), [""; 0], "{checks:?}");
    for name in ALL.split(',').map(str::trim).chain(["secret", "instance", "store"]) {
        assert!(checks.contains_key(name), "{name}");
    }
    assert!(checks["instance"].1.contains(&world.sandbox.instance_id()));
    assert_eq!(secret.times_read(), read + 1);
    for request in world.sandbox.requests() {
        assert!(request.path == "/v1/instance" || request.parameter("limit") == Some("1"));
        assert!(request.rows <= 1, "{request:?}");
    }
    let calls = world.store.calls();
    let written = calls.iter().rev().find(|it| it.operation == Operation::Put).expect("a probe");
    assert!(calls.iter().any(|it| it.operation == Operation::Delete && it.key == written.key));
}

#[tokio::test(start_paused = true)]
async fn check_asks_for_nothing_that_is_not_opted_in() {
    let world = World::of(5, 2, 4).with("RESOURCES", "users,organization_permissions");
    assert_eq!(failing(&check(&world).await), [""; 0]);
    let read: Vec<String> = world.sandbox.requests_by_path().into_keys().collect();
    assert_eq!(read, ["/v1/instance", "/v1/organization_permissions", "/v1/users"]);
}

#[tokio::test(start_paused = true)]
async fn check_names_each_thing_that_fails_and_what_to_do() {
    let world = World::of(5, 2, 4);
    world.sandbox.rotate_key("sk_test_rotated");
    let checks = check(&world).await;
    assert_all_told(&checks);
    assert_eq!(checks.values().filter(|(ok, _)| *ok).count(), 2, "secret and store: {checks:?}");
    assert!(checks["instance"].1.contains("401"), "{checks:?}");
    assert!(checks["users"].1.contains("not asked, because Clerk does not accept the key"));
    assert!(checks["secret"].0 && checks["store"].0);

    let world = World::of(5, 2, 4);
    world.sandbox.fault(
        FaultRule::on("/v1/organizations").status(403, "organization_not_enabled_in_instance"),
    );
    world.sandbox.fault(FaultRule::on("/v1/organization_permissions").status(503, "unavailable"));
    world.sandbox.fault(FaultRule::on("/v1/users").effect(clerk_sandbox::Effect::Html(200)));
    let checks = check(&world).await;
    assert_eq!(failing(&checks), ["organization_permissions", "organizations", "users"]);
    assert!(checks["organizations"].1.contains("organization_not_enabled_in_instance"));
    assert!(checks["organization_permissions"].1.contains("503"), "{checks:?}");
    assert!(checks["users"].1.contains("/users"), "{checks:?}");

    for (operation, effect) in [
        (Operation::Put, Effect::FailBefore),
        (Operation::Put, Effect::FailAfter),
        (Operation::Delete, Effect::FailBefore),
        (Operation::Get, Effect::FailBefore),
        (Operation::List, Effect::FailBefore),
    ] {
        let world = World::of(5, 2, 4);
        world.store.fault(Fault::new(operation, effect));
        let answer = ask(&world, json!({"action": "check"})).await;
        let store = answer.as_array().expect("a list").iter().find(|it| it["check"] == "store");
        let store = store.expect("the store is checked");
        assert_eq!(store["ok"], false, "{operation:?} {effect:?}");
        assert!(
            store["detail"].as_str().is_some_and(|it| it.contains("clerk-sync-check")),
            "{store}"
        );
        let others = answer.as_array().into_iter().flatten();
        assert!(others.filter(|it| it["check"] != "store").all(|it| it["ok"] == true), "{answer}");
    }
}

fn assert_all_told(checks: &BTreeMap<String, (bool, String)>) {
    for name in ALL.split(',').map(str::trim).chain(["secret", "instance", "store"]) {
        assert!(checks.contains_key(name), "{name} is not told: {checks:?}");
    }
}

/// Whatever failed before, every check is told; one that cannot be made is not ok.
#[tokio::test(start_paused = true)]
async fn check_tells_every_check_whatever_failed_before() {
    let world = World::of(5, 2, 4).with_secret(NoSecret);
    let checks = check(&world).await;
    assert_all_told(&checks);
    assert_eq!(checks.values().filter(|(ok, _)| *ok).count(), 1, "the store: {checks:?}");
    assert!(checks["users"].1.contains("not asked, because the secret"), "{checks:?}");
    assert_eq!(world.sandbox.total_requests(), 0);

    // The instance says nothing of the lists: a firewall may let one through and not the other.
    let world = World::of(5, 2, 4);
    world.sandbox.fault(FaultRule::on("/v1/instance").effect(clerk_sandbox::Effect::MalformedJson));
    let checks = check(&world).await;
    assert_all_told(&checks);
    assert_eq!(failing(&checks), ["instance"]);

    let world = World::of(5, 2, 4);
    world.sandbox.fault(FaultRule::on("*").status(503, "unavailable"));
    let checks = check(&world).await;
    assert_all_told(&checks);
    assert!(checks["users"].1.contains("not asked, because Clerk could not be reached"));
    assert!(checks["secret"].0 && checks["store"].0, "{checks:?}");
}

/// A secret that cannot be read.
#[derive(Debug)]
struct NoSecret;

#[async_trait]
impl SecretSource for NoSecret {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        Err(SecretError::NoValue { secret_id: Label::new("clerk/secret-key").expect("no key") })
    }

    fn can_rotate(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn check_removes_its_probe_also_when_looking_at_it_failed() {
    for operation in [Operation::Get, Operation::List, Operation::Verify] {
        let world = World::of(5, 2, 4);
        world.store.fault(Fault::new(operation, Effect::FailBefore));
        assert_eq!(failing(&check(&world).await), ["store"], "{operation:?}");
    }
}

// ---- status

#[tokio::test(start_paused = true)]
async fn status_of_nothing_is_null_and_null() {
    let world = World::of(5, 2, 4);
    let answer = ask(&world, json!({"action": "status"})).await;
    assert_eq!(answer, json!({"run": null, "latest": null}));
}

#[tokio::test(start_paused = true)]
async fn status_tells_run_and_snapshot_from_the_store_alone() {
    let (world, secret) = watched(large());
    world.complete().await;
    let begun = cut(&world).await;
    world.sandbox.clear_requests();
    let (before, read) = (objects(&world), secret.times_read());
    let status = ask(&world, json!({"action": "status"})).await;
    assert_eq!(world.sandbox.total_requests(), 0, "Clerk is not asked");
    assert_eq!(secret.times_read(), read, "the key is not read");
    assert_eq!(objects(&world), before, "nothing changes");

    let latest: Value = serde_json::from_slice(&before["latest.json"]).expect("JSON");
    assert_eq!(status["latest"], latest);
    let run = &status["run"];
    assert_eq!(run["snapshot_id"], begun["snapshot_id"]);
    assert_eq!(run["progress"], begun["progress"]);
    assert_eq!(run["requests"], begun["requests"]);
    assert_eq!(run["held_until"], Value::Null, "a paused run is free to take");

    ask(&world, json!({})).await;
    assert_eq!(ask(&world, json!({"action": "status"})).await["run"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn status_tells_who_waits_for_whom() {
    let world = large();
    world.sandbox.set_latency(Duration::from_secs(1), Duration::ZERO);
    let second = async {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let status = ask(&world, json!({"action": "status"})).await;
        let busy = ask(&world, json!({})).await;
        assert_eq!(busy["status"], "busy");
        assert_eq!(status["run"]["held_until"], busy["held_until"]);
    };
    tokio::join!(ask(&world, json!({})), second);

    let world = large().with("TIME_BUDGET_SECONDS", "30");
    world.sandbox.fault(FaultRule::on("/v1/users").calls(2, 2).too_many_requests(120));
    let partial = ask(&world, json!({})).await;
    let status = ask(&world, json!({"action": "status"})).await;
    assert_eq!(status["run"]["retry_at"], partial["retry_at"]);
}
