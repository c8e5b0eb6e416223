//! Promise: the secret key is in no log line, error, response or file, whatever Clerk answers and
//! whatever goes wrong. Only GET is sent, and confidential data (backup codes, metadata that is not
//! opted in) is never written.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clerk_sandbox::{Effect, FaultRule, Population, Sandbox};
use clerk_snapshot::resource::Resource;
use clerk_store::Operation;
use clerk_store::aws::LazyAwsConfig;
use clerk_sync::config::{Config, Environment, Place, SETTINGS};
use clerk_sync::dependencies::Dependencies;
use clerk_sync::event::Event;
use clerk_sync::time_budget::TimeBudget;
use clerk_sync::work_limit::WorkLimit;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::support::captured::Captured;
use crate::support::faulty_store::{Effect as StoreEffect, Fault};
use crate::support::process::Program;
use crate::support::scripted_secret::ScriptedSecret;
use crate::support::world::World;

/// The part of the planted key that could come from nowhere else. No text may hold it.
const PLANTED: &str = "planted9in9the9tests";

/// A key that opens the sandboxes of this file and nothing else.
fn key() -> String {
    format!("sk_{}_{PLANTED}", "test")
}

fn assert_hidden(text: &str, where_: &str) {
    let shown = text.contains(PLANTED)
        || text.contains(&STANDARD.encode(key()))
        || text.contains(&STANDARD.encode(format!("Bearer {}", key())));
    assert!(!shown, "the key is in {where_}: {text}");
}

/// A sandbox that accepts the planted key and no other.
fn locked(population: Population) -> Sandbox {
    let sandbox = Sandbox::new(population);
    sandbox.rotate_key(key());
    sandbox
}

/// A world whose secret is the planted key, and whose parts are readable as text.
fn world() -> World {
    World::new(locked(Population::default().users(1100).organizations(6).memberships(40)))
        .with("COMPRESSION", "none")
        .with_secret(ScriptedSecret::new([&*key()]))
}

/// Handles an event, searches all output for the key, and returns the status or the error's name.
async fn searched(world: &World, event: Value) -> String {
    let log = Captured::start();
    let outcome = match world.handle(event).await {
        Ok(answer) => {
            assert_hidden(&answer.to_string(), "the answer");
            answer["status"].as_str().unwrap_or_default().to_owned()
        }
        Err(error) => {
            assert_hidden(&error.to_string(), "the error");
            assert_hidden(&error.message(), "its message");
            assert_hidden(&format!("{error:?} {error:#?}"), "its Debug");
            let mut cause = error.source();
            while let Some(error) = cause {
                assert_hidden(&error.to_string(), "a cause");
                cause = error.source();
            }
            error.name().to_owned()
        }
    };
    assert_hidden(&log.text(), "the log");
    for (object, bytes) in world.memory.objects() {
        assert_hidden(&format!("{object} {}", String::from_utf8_lossy(&bytes)), "the store");
    }
    assert_hidden(&format!("{:?}", world.store.calls()), "the calls to the store");
    for request in world.sandbox.requests() {
        assert_hidden(&format!("{} {:?}", request.path, request.query), "a path or query");
    }
    assert_hidden(&format!("{:?} {:?}", world.secret, world.store), "Debug");
    assert_only_get(&world.sandbox);
    outcome
}

fn assert_only_get(sandbox: &Sandbox) {
    assert_eq!(sandbox.violations(), []);
    assert!(sandbox.requests().iter().all(|request| request.method == "GET"));
}

#[tokio::test(start_paused = true)]
async fn the_key_is_used_and_shown_nowhere_when_all_goes_well() {
    let world = world();
    assert_eq!(searched(&world, json!({"time_budget_seconds": 0})).await, "partial");
    assert_eq!(searched(&world, json!({"action": "status"})).await, "");
    assert_eq!(searched(&world, json!({"action": "check"})).await, "");
    assert_eq!(searched(&world, json!({})).await, "complete");
    assert!(world.sandbox.requests().iter().all(|request| request.key_accepted), "it was sent");
}

/// Checks the search itself: the log is captured, and the search finds a key in it.
#[tokio::test(start_paused = true)]
async fn the_log_is_captured_at_every_level() {
    let log = Captured::start();
    tracing::trace!("a line with {}", key());
    World::of(3, 1, 2).complete().await;
    let text = log.text();
    assert!(text.contains(PLANTED));
    assert!(text.contains("Clerk answered"), "debug lines of the program are there: {text}");
}

#[tokio::test(start_paused = true)]
async fn the_key_is_shown_nowhere_when_clerk_refuses_it() {
    let world = world();
    world.sandbox.rotate_key("sk_test_another");
    assert_eq!(searched(&world, json!({})).await, "ClerkUnauthorized");
    searched(&world, json!({"action": "check"})).await;
}

#[tokio::test(start_paused = true)]
async fn the_key_is_shown_nowhere_when_it_is_rotated() {
    let rotated = format!("{}_rotated", key());
    let world = world().with_secret(ScriptedSecret::new([&*key(), &*rotated]));
    world.sandbox.rotate_key(rotated);
    assert_eq!(searched(&world, json!({})).await, "complete");
}

/// A server in place of Clerk may repeat the request.
#[tokio::test(start_paused = true)]
async fn the_key_is_shown_nowhere_when_the_answer_repeats_it() {
    let echo = format!("{{\"authorization\":\"Bearer {}\"}}", key());
    let row = format!("[{{\"id\":\"user_1\",\"created_at\":\"{}\"}}]", key());
    for body in [echo, row, key(), format!("\"{}\"", key()), format!("<html>{}</html>", key())] {
        for path in ["*", "/v1/users", "/v1/organization_roles"] {
            let world = world();
            world.sandbox.fault(FaultRule::on(path).effect(Effect::Body(body.clone())));
            assert_eq!(searched(&world, json!({})).await, "ClerkProtocol");
            searched(&world, json!({"action": "check"})).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_key_is_shown_nowhere_when_an_error_code_repeats_it() {
    for status in [400, 401, 402, 403, 404, 410, 418, 422, 429, 500] {
        let world = world();
        world.sandbox.fault(FaultRule::on("/v1/organizations").status(status, key()));
        searched(&world, json!({})).await;
        searched(&world, json!({"action": "check"})).await;
        searched(&world, json!({"action": "status"})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_key_is_shown_nowhere_when_connections_and_bodies_break() {
    for (rule, name) in [
        (FaultRule::on("*").reset(), "ClerkUnavailable"),
        (FaultRule::on("*").cut_body(3), "ClerkProtocol"),
        (FaultRule::on("*").effect(Effect::Html(502)), "ClerkUnavailable"),
        (FaultRule::on("*").effect(Effect::Html(200)), "ClerkProtocol"),
        (FaultRule::on("*").effect(Effect::MalformedJson), "ClerkProtocol"),
        (FaultRule::on("*").status(404, "resource_not_found"), "ClerkProtocol"),
        (FaultRule::on("/v1/users").call(2).too_many_requests(90_000), "partial"),
    ] {
        let world = world();
        world.sandbox.fault(rule);
        assert_eq!(searched(&world, json!({})).await, name);
    }
}

#[tokio::test(start_paused = true)]
async fn the_key_is_shown_nowhere_when_the_store_fails() {
    for operation in [Operation::Get, Operation::Put, Operation::Verify] {
        for effect in [StoreEffect::FailBefore, StoreEffect::FailAfter] {
            let world = world();
            world.store.fault(Fault::new(operation, effect).from(2));
            assert_eq!(searched(&world, json!({})).await, "StoreUnavailable");
        }
    }
}

/// A panic message shows the `Debug` output of its values.
#[tokio::test(start_paused = true)]
async fn nothing_that_holds_the_key_shows_it_in_debug() {
    let pairs = [
        ("SNAPSHOT_URL", "file:///not-used".to_owned()),
        ("RESOURCES", "users".to_owned()),
        ("CLERK_SECRET_KEY", key()),
    ];
    let environment = Environment::from_pairs(pairs.iter().map(|(name, value)| (*name, &**value)));
    let config = Config::from_environment(&environment, Place::Program).expect("a configuration");
    let dependencies = Dependencies::open(&config, LazyAwsConfig::new()).await;
    let budget = TimeBudget::new(Instant::now(), None, config.deadline_reserve, None);
    let never = watch::channel(false).1;
    let work_limit = Arc::new(WorkLimit::new(budget, None, config.deadline_reserve, never));
    let client = dependencies.client(&config, work_limit).await.expect("a client");
    let parsed = clerk_sync::secret_key::SecretKey::parse(&key()).expect("a key");
    for shown in [
        format!("{environment:?} {environment:#?}"),
        format!("{config:?} {config:#?}"),
        format!("{dependencies:?} {dependencies:#?}"),
        format!("{client:?} {client:#?}"),
        format!("{parsed:?} {:?}", parsed.authorization()),
    ] {
        assert_hidden(&shown, "Debug");
    }
}

/// People paste a key into the wrong place.
#[test]
fn a_key_in_the_place_of_another_setting_is_not_shown() {
    for setting in SETTINGS {
        for value in [key(), format!("a {} b", key()), format!("https://{}@example.com", key())] {
            let usual = [
                ("SNAPSHOT_URL", "file:///not-used"),
                ("RESOURCES", "users"),
                ("CLERK_SECRET_ID", "clerk/secret-key"),
            ];
            let pairs = usual.into_iter().filter(|(name, _)| *name != setting.name);
            let pairs = pairs.chain([(setting.name, &*value)]);
            let environment = Environment::from_pairs(pairs);
            match Config::from_environment(&environment, Place::Program) {
                Ok(config) => assert_hidden(&format!("{config:?}"), setting.name),
                Err(error) => assert_hidden(&format!("{error} {error:?}"), setting.name),
            }
        }
    }
}

#[test]
fn a_key_in_an_event_is_not_shown() {
    for event in [
        json!({"action": key()}),
        json!({key(): 1}),
        json!({"resources": [key()]}),
        json!({"resources": key()}),
        json!({"force": key()}),
        json!({"time_budget_seconds": key()}),
        json!(key()),
    ] {
        let error = Event::from_value(&event).expect_err("refused");
        assert_hidden(&format!("{error} {error:?}"), "the event's error");
        let error = Event::from_json(event.to_string().as_bytes()).expect_err("refused");
        assert_hidden(&format!("{error} {error:?}"), "the event's error");
    }
}

// ---- over HTTP, in the real process

/// Runs the program at its most verbose level against the sandbox, searches all its output and
/// files for the key, and returns its exit status.
async fn searched_process(sandbox: &Sandbox, event: &Value) -> Option<i32> {
    let folder = tempfile::tempdir().expect("a folder");
    let clerk = sandbox.serve().await.expect("a port");
    let url = format!("file://{}", folder.path().display());
    let finished = Program::new(&url, &clerk)
        .with("CLERK_SECRET_KEY", &key())
        .with("LOG_LEVEL", "trace")
        .with("RUST_LOG", "trace")
        .with("RUST_BACKTRACE", "1")
        .with("COMPRESSION", "none")
        .event(event)
        .run()
        .await;
    assert_hidden(&finished.stdout, "standard output");
    assert_hidden(&finished.stderr, "standard error");
    assert!(!finished.stderr.is_empty() || !finished.stdout.is_empty(), "it says something");
    search_folder(folder.path());
    assert_only_get(sandbox);
    finished.status
}

fn search_folder(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        assert_hidden(&path.display().to_string(), "a file's name");
        if path.is_dir() {
            search_folder(&path);
        } else {
            let bytes = std::fs::read(&path).expect("a file");
            assert_hidden(&String::from_utf8_lossy(&bytes), "a file");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_process_shows_the_key_nowhere_at_any_log_level() {
    let sandbox = locked(Population::default().users(600));
    assert_eq!(searched_process(&sandbox, &json!({})).await, Some(0));
    assert_eq!(searched_process(&sandbox, &json!({"action": "check"})).await, Some(0));

    sandbox.fault(FaultRule::on("*").effect(Effect::Body(format!("{{\"echo\":\"{}\"}}", key()))));
    assert_eq!(searched_process(&sandbox, &json!({"action": "check"})).await, Some(1));
    sandbox.clear_faults();

    sandbox.rotate_key("sk_test_another");
    assert_eq!(searched_process(&sandbox, &json!({})).await, Some(1));
}

// ---- confidential data

/// Every string below a field of this name.
fn strings_below(value: &Value, field: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                if name == field {
                    all_strings(inner, found);
                }
                strings_below(inner, field, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|it| strings_below(it, field, found)),
        _ => {}
    }
}

fn all_strings(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(found.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|it| all_strings(it, found)),
        Value::Object(fields) => fields.values().for_each(|it| all_strings(it, found)),
        _ => {}
    }
}

/// The strings below a field of the source that are too long to turn up by chance.
fn confidences(sandbox: &Sandbox, field: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for list in ["users", "organizations", "organization_roles", "organization_permissions"] {
        sandbox.rows(list).iter().for_each(|row| strings_below(row, field, &mut found));
    }
    found.retain(|text| text.len() >= 8);
    assert!(!found.is_empty(), "the source has {field}");
    found
}

/// Everything that is stored, as one text.
fn stored(world: &World) -> String {
    let objects = world.memory.objects();
    objects.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}

fn confidential() -> World {
    let population =
        Population::default().users(300).organizations(8).memberships(200).backup_codes(true);
    World::new(Sandbox::new(population)).with("COMPRESSION", "none").with("INCLUDE_RAW", "true")
}

#[tokio::test(start_paused = true)]
async fn raw_never_holds_backup_codes_or_metadata_that_is_not_opted_in() {
    let world = confidential();
    world.complete().await;
    let stored = stored(&world);
    assert!(stored.contains("\"raw\":"));
    for field in ["backup_codes", "private_metadata", "unsafe_metadata"] {
        assert!(!stored.contains(&format!("\"{field}\"")), "{field}");
        for secret in confidences(&world.sandbox, field) {
            assert!(!stored.contains(&secret), "{field}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_metadata_bag_is_written_only_when_opted_in_by_name() {
    for (asked, other) in [("private", "unsafe"), ("unsafe", "private")] {
        let world = confidential().with("METADATA", asked);
        world.complete().await;
        let stored = stored(&world);
        let bag = |name: &str| confidences(&world.sandbox, &format!("{name}_metadata"));
        assert!(bag(asked).iter().any(|text| stored.contains(text)), "{asked} is copied");
        assert!(bag(other).iter().all(|text| !stored.contains(text)), "{other} is not");
        assert!(!stored.contains("backup_codes"));
    }
}

#[tokio::test(start_paused = true)]
async fn raw_holds_no_credential_wherever_clerk_puts_one() {
    let world = confidential();
    let id = world.sandbox.ids("users")[0].clone();
    let planted = json!({
        "backup_codes": ["a-planted-code"],
        "verification": {"external_verification_redirect_url": "https://x.example/a-planted-code"},
        "deeper": [{"backup_codes": ["a-planted-code"], "kept": "a-planted-word"}],
    });
    let planting = world.sandbox.update("users", &id, |user| {
        user["a_field_of_the_future"] = planted;
    });
    planting.expect("the user is there");
    world.complete().await;
    let stored = stored(&world);
    assert!(stored.contains("a-planted-word"));
    assert!(!stored.contains("a-planted-code"));
}

/// Endpoints of Clerk that return only secrets are never requested, whatever is opted in or looked
/// up.
#[tokio::test(start_paused = true)]
async fn no_secret_is_ever_requested() {
    let population = Population::default().users(30).organizations(3).memberships(20);
    let everything: Vec<&str> = Resource::ALL.iter().map(|resource| resource.name()).collect();
    let world =
        World::new(Sandbox::new(population.other_rows(3))).with("RESOURCES", &everything.join(","));
    world.complete().await;
    world.handle(json!({"action": "check"})).await.expect("a check");
    let mut looked_up = 0;
    // Clerk has no list of daily active users.
    for resource in everything.into_iter().filter(|name| *name != "daily_active_users") {
        for id in world.sandbox.ids(resource) {
            let event = json!({"action": "lookup", "resource": resource, "id": id});
            looked_up += usize::from(world.handle(event).await.is_ok());
        }
    }
    assert!(looked_up > 50, "{looked_up}");
    assert_only_get(&world.sandbox);
    for path in world.sandbox.requests_by_path().into_keys() {
        assert!(!path.contains("secret") && !path.contains("token"), "{path}");
    }
}
