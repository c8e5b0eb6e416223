//! Promise: every failure has one of the documented error names and a message that says what
//! happened, where, and what to do. A failure publishes nothing and loses nothing: a failed first
//! start leaves no trace, and a later failure leaves the run free to be continued.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use bytes::Bytes;
use clerk_sandbox::{DEFAULT_KEY, FaultRule};
use clerk_store::Operation;
use clerk_sync::secret_key::SecretKey;
use clerk_sync::secret_source::{SecretError, SecretSource, SecretsManager};
use serde_json::{Value, json};

use crate::support::answers::assert_nothing_left_of;
use crate::support::faulty_store::{Effect, Fault};
use crate::support::oracle::Oracle;
use crate::support::scripted_secret::ScriptedSecret;
use crate::support::world::World;

/// The message of a `sync` that must fail under this name. `latest.json` must not change.
async fn fails(world: &World, event: Value, name: &str) -> String {
    let latest = || world.memory.objects().get("latest.json").cloned();
    let before = latest();
    let error = match world.handle(event).await {
        Err(error) => error,
        Ok(answer) => panic!("{name} was expected: {answer:#}"),
    };
    assert_eq!(error.name(), name, "{error}");
    assert_eq!(latest(), before, "latest.json stays as it is");
    let message = error.message();
    assert!(!message.contains('\n') && message.ends_with('.'), "{message}");
    assert!(!message.contains(DEFAULT_KEY), "{message}");
    message
}

fn assert_names(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is missing: {message}");
    }
}

/// The message of a first start that must fail and leave nothing behind.
async fn fails_without_trace(world: &World, name: &str) -> String {
    let before = world.memory.objects();
    let message = fails(world, json!({}), name).await;
    assert_eq!(world.memory.objects(), before, "a failed first start leaves nothing");
    assert!(message.ends_with("Nothing was copied; run it again afterwards."), "{message}");
    assert!(!message.contains("continues") && !message.contains("is kept"), "{message}");
    message
}

/// An instance whose users need several pages.
fn large() -> World {
    World::of(2100, 10, 60)
}

/// The run in progress, which nobody holds.
async fn free_run(world: &World) -> Value {
    let status = world.handle(json!({"action": "status"})).await.expect("status");
    let run = &status["run"];
    assert!(run.is_object(), "a run is in progress");
    assert_eq!(run["held_until"], Value::Null, "and free to be continued at once");
    run["snapshot_id"].clone()
}

/// Once the cause is gone, the run continues and equals its source.
async fn assert_continues(world: &World) {
    let run = free_run(world).await;
    world.sandbox.clear_requests();
    let answer = world.sync().await.expect("sync");
    assert_eq!(answer["status"], "complete", "{answer:#}");
    assert_eq!(answer["snapshot_id"], run);
    assert_equals_source(world);
}

fn assert_equals_source(world: &World) {
    let snapshot = world.published().expect("published");
    let expected = Oracle::plain().datasets(&world.sandbox);
    for (name, rows) in &expected {
        assert!(snapshot.datasets[name] == *rows, "{name} equals its source");
    }
}

// ---- InvalidConfig, InvalidEvent

#[tokio::test(start_paused = true)]
async fn a_wrong_setting_is_named_before_anything_is_read_or_written() {
    let secret = Arc::new(ScriptedSecret::new([DEFAULT_KEY]));
    let mut world = World::of(3, 1, 2)
        .with("RESOURCES", "users,teams")
        .with("SNAPSHOT_URL", "")
        .with("COMPRESSION", "brotli")
        .with("SHRINK_GUARD_PERCENT", "101")
        .with("CLERK_SECRET_KEY", DEFAULT_KEY);
    world.secret = Arc::clone(&secret) as _;
    for event in [json!({}), json!({"action": "check"}), json!({"action": "status"})] {
        let message = fails(&world, event, "InvalidConfig").await;
        assert_names(
            &message,
            &[
                "RESOURCES",
                "teams",
                "organization_memberships",
                "SNAPSHOT_URL",
                "s3://",
                "COMPRESSION",
                "zstd",
                "SHRINK_GUARD_PERCENT",
                "CLERK_SECRET_ID",
                "CLERK_SECRET_KEY",
            ],
        );
    }
    assert_nothing_happened(&world, &secret);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_event_is_named_before_anything_is_read_or_written() {
    let secret = Arc::new(ScriptedSecret::new([DEFAULT_KEY]));
    let mut world = World::of(3, 1, 2);
    world.secret = Arc::clone(&secret) as _;
    for (event, words) in [
        (json!({"action": "snyc"}), vec!["snyc", "sync", "check", "status"]),
        (json!({"forced": true}), vec!["forced", "force"]),
        (json!({"resources": ["teams"], "force": 1}), vec!["teams", "users", "force"]),
        (json!([]), vec!["object"]),
    ] {
        assert_names(&fails(&world, event, "InvalidEvent").await, &words);
    }
    assert_nothing_happened(&world, &secret);
}

fn assert_nothing_happened(world: &World, secret: &ScriptedSecret) {
    assert_eq!(secret.times_read(), 0);
    assert_eq!(world.sandbox.total_requests(), 0);
    assert_eq!(world.store.calls(), []);
}

// ---- SecretUnavailable, ClerkUnauthorized

/// Returns the sandbox's key this many times, then fails.
#[derive(Debug)]
struct VanishingSecret(AtomicU32);

#[async_trait]
impl SecretSource for VanishingSecret {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        let left =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1));
        if left.is_ok() {
            return Ok(SecretKey::parse(DEFAULT_KEY).expect("a key"));
        }
        // The real source fails the same way if there is nowhere to read from.
        let nowhere = SdkConfig::builder().build();
        SecretsManager::new(&nowhere, "clerk/secret-key", None)?.read().await
    }

    fn can_rotate(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_secret_leaves_no_trace() {
    let world = World::of(3, 1, 2).with_secret(VanishingSecret(AtomicU32::new(0)));
    let message = fails_without_trace(&world, "SecretUnavailable").await;
    assert_names(&message, &["clerk/secret-key", "CLERK_SECRET_ID"]);
    assert_eq!(world.sandbox.total_requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_secret_leaves_a_run_in_progress_as_it_was() {
    let world = large();
    let cut = world.handle(json!({"time_budget_seconds": 0})).await.expect("an answer");
    assert_eq!(cut["status"], "partial");
    let without = world.clone().with_secret(VanishingSecret(AtomicU32::new(0)));
    fails(&without, json!({}), "SecretUnavailable").await;
    assert_eq!(free_run(&world).await, cut["snapshot_id"]);
    assert_continues(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_vanishes_while_clerk_answers_401_keeps_what_was_read() {
    let world = large();
    let leased = world.clone().with_secret(VanishingSecret(AtomicU32::new(1)));
    refuse_key_from(&world, 2);
    assert_names(&fails(&leased, json!({}), "SecretUnavailable").await, &["clerk/secret-key"]);
    world.sandbox.clear_faults();
    assert_continues(&world).await;
}

/// Clerk answers 401 from the n-th page of users on.
fn refuse_key_from(world: &World, page: u64) {
    world
        .sandbox
        .fault(FaultRule::on("/v1/users").calls(page, u64::MAX).status(401, "clerk_key_invalid"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_read_once_more_and_leaves_no_trace() {
    let secret = Arc::new(ScriptedSecret::new([DEFAULT_KEY]));
    let mut world = World::of(3, 1, 2);
    world.secret = Arc::clone(&secret) as _;
    world.sandbox.rotate_key("sk_test_another");
    let message = fails_without_trace(&world, "ClerkUnauthorized").await;
    assert_names(&message, &["401", "clerk_key_invalid", "/instance", "into the secret;"]);
    assert_eq!(secret.times_read(), 2);
    assert_eq!(world.sandbox.total_requests(), 1, "the same key is not tried again");
}

#[tokio::test(start_paused = true)]
async fn a_key_refused_during_a_run_keeps_what_was_read() {
    let world = large();
    refuse_key_from(&world, 2);
    let message = fails(&world, json!({}), "ClerkUnauthorized").await;
    assert_names(&message, &["/users", "The next invocation continues the run."]);
    world.sandbox.clear_faults();
    assert_continues(&world).await;
}

/// The new run has read nothing yet, but it is to remove the files of the run that was given up.
#[tokio::test(start_paused = true)]
async fn a_key_refused_right_after_a_restart_keeps_track_of_the_files_of_the_run_before() {
    let world = large();
    let cut = world.handle(json!({"time_budget_seconds": 0})).await.expect("an answer");
    assert!(!part_keys(&world).is_empty(), "it has stored something");
    world.sandbox.fault(FaultRule::on("/v1/instance").status(401, "clerk_key_invalid"));
    fails(&world, json!({"restart": true}), "ClerkUnauthorized").await;
    assert_ne!(free_run(&world).await, cut["snapshot_id"]);
    world.sandbox.clear_faults();
    assert_continues(&world).await;
    assert_nothing_left_of(&world, &cut);
}

#[tokio::test(start_paused = true)]
async fn a_key_rotated_during_a_run_is_no_error() {
    let world = large().with_secret(ScriptedSecret::new([DEFAULT_KEY, "sk_test_rotated"]));
    world.sandbox.on_request(|sandbox, request| {
        if request.path == "/v1/users" && request.parameter("starting_after").is_some() {
            sandbox.rotate_key("sk_test_rotated");
        }
    });
    world.complete().await;
    assert_equals_source(&world);
}

// ---- ClerkUnavailable, ClerkProtocol

#[tokio::test(start_paused = true)]
async fn a_clerk_that_is_down_leaves_no_trace() {
    for rule in [
        FaultRule::on("*").status(503, "unavailable"),
        FaultRule::on("*").effect(clerk_sandbox::Effect::Html(502)),
        FaultRule::on("*").reset(),
    ] {
        let world = World::of(3, 1, 2);
        world.sandbox.fault(rule);
        let message = fails_without_trace(&world, "ClerkUnavailable").await;
        assert_names(&message, &["/instance", "attempts"]);
        assert!(world.sandbox.total_requests() > 1, "the request was retried");
        assert!(world.sandbox.total_requests() < 50, "but not forever");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_goes_down_during_a_run_keeps_what_was_read() {
    for path in [
        "/v1/users",
        "/v1/users/count",
        "/v1/organizations",
        "/v1/organization_roles",
        "/v1/organization_permissions",
        "/v1/organization_memberships",
    ] {
        for (rule, name) in [
            (FaultRule::on(path).status(500, "internal_error"), "ClerkUnavailable"),
            (FaultRule::on(path).effect(clerk_sandbox::Effect::MalformedJson), "ClerkProtocol"),
            (FaultRule::on(path).status(404, "resource_not_found"), "ClerkProtocol"),
            (FaultRule::on(path).effect(clerk_sandbox::Effect::Html(200)), "ClerkProtocol"),
        ] {
            let world = World::of(1100, 10, 60);
            world.sandbox.fault(rule);
            let message = fails(&world, json!({}), name).await;
            assert_names(&message, &[path.trim_start_matches("/v1")]);
            assert!(world.published().is_none());
            world.sandbox.clear_faults();
            assert_continues(&world).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn progress_before_a_failure_is_not_read_again() {
    let world = large().with("MAX_CONCURRENCY", "1").with("RESOURCES", "users");
    world.sandbox.fault(FaultRule::on("/v1/users").calls(4, 40).status(500, "internal_error"));
    fails(&world, json!({}), "ClerkUnavailable").await;
    let run = free_run(&world).await;
    world.sandbox.clear_faults();
    world.sandbox.clear_requests();
    let answer = world.sync().await.expect("sync");
    assert_eq!(answer["snapshot_id"], run);
    // Three of five pages were stored; an interruption may cost two extra pages.
    let rows: usize = world.sandbox.requests().iter().map(|request| request.rows).sum();
    assert!(rows <= 2100 - 1500 + 2 * 500, "{rows} rows were read");
    let snapshot = world.published().expect("published");
    assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_required_field_names_endpoint_and_field() {
    for (list, field) in [
        ("users", "id"),
        ("organizations", "id"),
        ("organization_roles", "key"),
        ("organization_permissions", "id"),
        ("organization_memberships", "role"),
        ("organization_memberships", "organization"),
    ] {
        let world = World::of(30, 5, 30);
        world.complete().await;
        world
            .sandbox
            .fault(FaultRule::on(format!("/v1/{list}")).drop_field(1, format!("/{field}")));
        let message = fails(&world, json!({}), "ClerkProtocol").await;
        assert_names(&message, &[&format!("/{list}"), field]);
        world.sandbox.clear_faults();
        assert_continues(&world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_there_is_never_an_empty_dataset() {
    let world = World::of(30, 0, 0).with("CLERK_API_URL", "http://127.0.0.1:1/wrong");
    let message = fails_without_trace(&world, "ClerkProtocol").await;
    assert_names(&message, &["404", "CLERK_API_URL"]);
}

/// A message quotes Clerk's code, never Clerk's words, which could repeat personal data.
#[tokio::test(start_paused = true)]
async fn bodies_are_never_part_of_a_message() {
    let planted = "ada@example.com said so";
    let body = json!([{"id": 7, "email_addresses": planted}]).to_string();
    let world = World::of(3, 1, 2);
    world.sandbox.fault(FaultRule::on("/v1/users").effect(clerk_sandbox::Effect::Body(body)));
    let message = fails(&world, json!({}), "ClerkProtocol").await;
    assert!(!message.contains("ada"), "{message}");
}

// ---- StoreUnavailable

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_or_taken_is_named_and_clerk_is_not_asked() {
    for fault in [
        Fault::new(Operation::Get, Effect::FailBefore).on_key("checkpoint.json"),
        Fault::new(Operation::Get, Effect::FailBefore).on_key("latest.json"),
        Fault::new(Operation::Put, Effect::FailBefore).on_key("checkpoint.json"),
    ] {
        let world = World::of(3, 1, 2);
        world.store.fault(fault.from(1));
        let message = fails_without_trace(&world, "StoreUnavailable").await;
        assert_names(&message, &["memory://", ".json", "SNAPSHOT_URL"]);
        assert_eq!(world.sandbox.total_requests(), 0);
        world.store.heal();
        world.complete().await;
    }
}

/// What an earlier invocation has copied is still there, and the message says so.
#[tokio::test(start_paused = true)]
async fn a_run_in_progress_that_cannot_be_taken_continues_later() {
    let world = large();
    world.handle(json!({"time_budget_seconds": 0})).await.expect("an answer");
    let fault = Fault::new(Operation::Put, Effect::FailBefore).on_key("checkpoint.json");
    world.store.fault(fault.from(1));
    let message = fails(&world, json!({}), "StoreUnavailable").await;
    assert_names(&message, &["memory://checkpoint.json", "The next invocation continues."]);
    assert!(!message.contains("Nothing was copied"), "{message}");
    world.store.heal();
    assert_continues(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_cannot_be_stored_is_named_and_the_run_goes_on_later() {
    for effect in [Effect::FailBefore, Effect::FailAfter, Effect::LoseAnswer] {
        // Permissions are read first and make two parts. A failure before anything is stored leaves
        // no run.
        for call in [3, 5] {
            let world = large();
            world.store.fault(Fault::new(Operation::Put, effect).on_key("/part-").at(call));
            let message = fails(&world, json!({}), "StoreUnavailable").await;
            assert_names(&message, &["memory://snapshots/", "/part-", "SNAPSHOT_URL"]);
            assert_names(&message, &["The next invocation continues."]);
            world.store.heal();
            assert_continues(&world).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_or_pointer_that_cannot_be_stored_publishes_nothing() {
    for (key, effect) in [
        ("manifest.json", Effect::FailBefore),
        ("manifest.json", Effect::LoseAnswer),
        ("latest.json", Effect::FailBefore),
    ] {
        let world = World::of(30, 3, 20);
        world.complete().await;
        world.store.fault(Fault::new(Operation::Put, effect).on_key(key));
        let message = fails(&world, json!({}), "StoreUnavailable").await;
        assert_names(&message, &[key, "SNAPSHOT_URL"]);
        world.store.heal();
        let run = free_run(&world).await;
        world.sandbox.clear_requests();
        let answer = world.sync().await.expect("sync");
        assert_eq!((&answer["status"], &answer["snapshot_id"]), (&json!("complete"), &run));
        assert_eq!(world.sandbox.total_requests(), 0, "everything had been read");
    }
}

/// A part that the checkpoint names is not published if it is missing, cut or altered.
#[tokio::test(start_paused = true)]
async fn a_damaged_part_is_named_and_restart_helps() {
    type Tamper = fn(Bytes) -> Option<Bytes>;
    let tampers: [Tamper; 3] = [
        |_| None,
        |bytes| Some(bytes.slice(1..)),
        |bytes| Some(bytes.iter().rev().copied().collect()),
    ];
    for tamper in tampers {
        let world = large();
        world.handle(json!({"time_budget_seconds": 0})).await.expect("an answer");
        let part = part_keys(&world).remove(0);
        let bytes = world.memory.take_away(&part).expect("the part");
        if let Some(other) = tamper(bytes) {
            world.memory.plant(&part, other);
        }
        let message = fails(&world, json!({}), "StoreUnavailable").await;
        assert_names(&message, &[&part, "restart"]);
        assert!(world.published().is_none());
        let answer = world.handle(json!({"restart": true})).await.expect("an answer");
        assert_eq!(answer["status"], "complete");
        assert_equals_source(&world);
    }
}

fn part_keys(world: &World) -> Vec<String> {
    world.memory.objects().into_keys().filter(|key| key.contains("/part-")).collect()
}

// ---- LeaseLost

#[tokio::test(start_paused = true)]
async fn an_invocation_that_lost_its_lease_writes_nothing_that_the_holder_could_see() {
    let world = large().with("MAX_CONCURRENCY", "1");
    let memory = Arc::clone(&world.memory);
    // Another invocation takes the run while this one waits for its second page.
    world.sandbox.on_request(move |sandbox, request| {
        if request.path == "/v1/users" && sandbox.request_count("/v1/users") == 3 {
            let mut checkpoint = checkpoint_in(&memory.objects());
            checkpoint["lease"]["holder"] = json!("somebody-else");
            checkpoint["lease"]["token"] = json!("another-token");
            memory.plant("checkpoint.json", checkpoint.to_string());
        }
    });
    let message = fails(&world, json!({}), "LeaseLost").await;
    assert_names(&message, &["another invocation", "LEASE_SECONDS"]);
    world.sandbox.on_request(|_, _| {});
    assert_eq!(checkpoint_in(&world.memory.objects())["lease"]["holder"], "somebody-else");
    assert!(world.published().is_none());

    // Once that holder is dead, its run continues.
    tokio::time::advance(Duration::from_secs(61)).await;
    world.complete().await;
    assert_equals_source(&world);
}

fn checkpoint_in(objects: &BTreeMap<String, Bytes>) -> Value {
    serde_json::from_slice(&objects["checkpoint.json"]).expect("JSON")
}

// ---- StateUnreadable

/// Bytes that are not a checkpoint of this program.
fn unreadable_checkpoints() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("nothing", vec![]),
        ("not JSON", b"checkpoint?".to_vec()),
        ("not text", vec![0xff, 0x00, 0xfe]),
        ("no format", b"{}".to_vec()),
        ("a list", b"[]".to_vec()),
        ("no fields", br#"{"format":"clerk-sync/checkpoint/4"}"#.to_vec()),
        ("another version", br#"{"format":"clerk-sync/checkpoint/9","snapshot_id":"x"}"#.to_vec()),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_checkpoint_is_left_alone_until_restart_sets_it_aside() {
    for (what, bytes) in unreadable_checkpoints() {
        let world = World::of(30, 3, 20);
        world.complete().await;
        world.memory.plant("checkpoint.json", bytes.clone());
        let before = world.memory.objects();
        for event in [
            json!({}),
            json!({"force": true}),
            json!({"accept_shrink": true}),
            json!({"action": "status"}),
        ] {
            let message = fails(&world, event, "StateUnreadable").await;
            assert_names(&message, &["memory://checkpoint.json", "restart"]);
            assert_eq!(world.memory.objects(), before, "{what}");
        }
        let answer = world.handle(json!({"restart": true})).await.expect("an answer");
        assert_eq!(answer["status"], "complete", "{what}");
        assert!(!world.has_checkpoint());
        assert_set_aside(&world, &bytes);
    }
}

/// The bytes are kept under another name, where they block nothing.
fn assert_set_aside(world: &World, bytes: &[u8]) {
    let objects = world.memory.objects();
    let aside: Vec<&String> =
        objects.iter().filter(|(_, it)| it[..] == *bytes).map(|(key, _)| key).collect();
    assert_eq!(aside.len(), 1, "{:?}", objects.keys());
    assert!(!aside[0].starts_with("snapshots/"), "{aside:?}");
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_another_version_is_named_by_its_format() {
    let world = World::of(3, 1, 2);
    world.memory.plant("checkpoint.json", r#"{"format":"clerk-sync/checkpoint/9"}"#);
    let message = fails(&world, json!({}), "StateUnreadable").await;
    assert_names(&message, &["clerk-sync/checkpoint/9"]);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_cut_anywhere_is_unreadable_and_never_continued() {
    let world = large();
    world.handle(json!({"time_budget_seconds": 0})).await.expect("an answer");
    let whole = world.memory.objects()["checkpoint.json"].clone();
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        world.memory.plant("checkpoint.json", whole.slice(..length));
        fails(&world, json!({}), "StateUnreadable").await;
    }
    world.memory.plant("checkpoint.json", whole);
    assert_continues(&world).await;
}

/// Every field of a checkpoint is required: without one the run is not continued by guessing.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_with_a_field_of_another_kind_is_unreadable() {
    let world = large();
    world.handle(json!({"time_budget_seconds": 0})).await.expect("an answer");
    let whole = checkpoint_in(&world.memory.objects());
    for field in whole.as_object().expect("an object").keys().filter(|it| *it != "format") {
        let mut altered = whole.clone();
        altered[field] = json!({"unexpected": [1.5]});
        world.memory.plant("checkpoint.json", altered.to_string());
        let before = world.memory.objects();
        fails(&world, json!({}), "StateUnreadable").await;
        assert_eq!(world.memory.objects(), before, "{field}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_latest_is_left_alone_until_accept_shrink_replaces_it() {
    for bytes in ["", "latest?", "{}", "[]", r#"{"snapshot_id":7}"#] {
        let world = World::of(30, 3, 20);
        let first = world.complete().await;
        world.memory.plant("latest.json", bytes);
        let before = world.memory.objects();
        for event in [
            json!({}),
            json!({"force": true}),
            json!({"restart": true}),
            json!({"action": "status"}),
        ] {
            let message = fails(&world, event, "StateUnreadable").await;
            assert_names(&message, &["memory://latest.json", "accept_shrink"]);
            assert_eq!(world.memory.objects(), before, "{bytes}");
        }
        let answer = world.handle(json!({"accept_shrink": true})).await.expect("an answer");
        assert_eq!(answer["status"], "complete", "{bytes}");
        assert_equals_source(&world);
        let old = format!(
            "snapshots/{}/manifest.json",
            first.latest["snapshot_id"].as_str().expect("an id")
        );
        let objects = world.memory.objects();
        assert!(objects.contains_key(&old), "earlier snapshots stay");
        let aside = objects.iter().find(|(key, _)| key.starts_with("latest.unreadable-"));
        assert_eq!(aside.expect("it is set aside").1, bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_is_gone_or_unreadable_is_named() {
    for bytes in [None, Some(""), Some("manifest?"), Some("{}"), Some(r#"{"datasets":[]}"#)] {
        let world = World::of(30, 3, 20);
        let first = world.complete().await;
        let key = first.latest["manifest"].as_str().expect("a key").to_owned();
        world.memory.take_away(&key).expect("the manifest");
        if let Some(bytes) = bytes {
            world.memory.plant(&key, bytes);
        }
        let before = world.memory.objects();
        let message = fails(&world, json!({}), "StateUnreadable").await;
        assert_names(&message, &[&format!("memory://{key}")]);
        assert_eq!(world.memory.objects(), before);
        let answer = world.handle(json!({"accept_shrink": true})).await.expect("an answer");
        assert_eq!(answer["status"], "complete");
        world.complete().await;
    }
}

#[tokio::test(start_paused = true)]
async fn restart_and_accept_shrink_can_be_combined() {
    let world = World::of(30, 3, 20);
    world.memory.plant("checkpoint.json", "checkpoint?");
    world.memory.plant("latest.json", "latest?");
    fails(&world, json!({"restart": true}), "StateUnreadable").await;
    fails(&world, json!({"accept_shrink": true}), "StateUnreadable").await;
    let event = json!({"restart": true, "accept_shrink": true});
    let answer = world.handle(event).await.expect("an answer");
    assert_eq!(answer["status"], "complete");
    assert_set_aside(&world, b"checkpoint?");
    assert_equals_source(&world);
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_a_checkpoint_is_set_aside_does_not_lose_it() {
    let world = World::of(30, 3, 20);
    world.memory.plant("checkpoint.json", "checkpoint?");
    world.sandbox.rotate_key("sk_test_another");
    fails(&world, json!({"restart": true}), "ClerkUnauthorized").await;
    assert_set_aside(&world, b"checkpoint?");

    let world = World::of(30, 3, 20);
    world.memory.plant("checkpoint.json", "checkpoint?");
    world.store.fault(Fault::new(Operation::Put, Effect::FailBefore));
    fails(&world, json!({"restart": true}), "StoreUnavailable").await;
    assert_eq!(world.memory.objects()["checkpoint.json"], "checkpoint?");
}
