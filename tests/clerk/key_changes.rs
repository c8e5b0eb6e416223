//! Promise: one snapshot is of one Clerk instance. After a 401 the secret is read again, and a new
//! key is used for nothing else until Clerk has said which instance it belongs to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clerk_sandbox::{DEFAULT_KEY, Effect, FaultRule, LoggedRequest, Population, Sandbox};
use clerk_sync::error::Error;
use serde_json::{Value, json};

use crate::support::pieces::{complete, ends};
use crate::support::plain::plain;
use crate::support::scripted_secret::ScriptedSecret;
use crate::support::two_instances::{CHANGED_KEY, TwoInstances};
use crate::support::world::World;

const THIS: &str = "ins_this";
const OTHER: &str = "ins_other";

/// Two pages of users and of memberships.
fn this_instance() -> Sandbox {
    let sandbox = plain(520, 4, 540);
    sandbox.set_instance(THIS, "production");
    sandbox
}

/// An instance whose rows could be mixed in unnoticed.
fn other_instance() -> Sandbox {
    let sandbox = plain(530, 5, 550);
    sandbox.set_instance(OTHER, "production");
    sandbox
}

/// A world whose secret changes once, to the key that `after` accepts.
fn world(before: &Sandbox, after: &Sandbox) -> (World, Arc<TwoInstances>) {
    let transport = TwoInstances::new(before, after);
    let mut world = World::new(before.clone())
        .with("COMPRESSION", "none")
        .with_secret(ScriptedSecret::new([DEFAULT_KEY, CHANGED_KEY]));
    world.transport = Arc::clone(&transport) as _;
    (world, transport)
}

/// Revokes the old key when the n-th request of a path arrives: the next request is refused.
fn revoke_with(sandbox: &Sandbox, path: &'static str, number: u64) {
    sandbox.on_request(move |sandbox, request: &LoggedRequest| {
        if request.path == path && sandbox.request_count(path) == number {
            sandbox.rotate_key("sk_test_nobody_has");
        }
    });
}

/// When the key may change: at the first or a later request of everything that a run requests.
const MOMENTS: [(&str, u64); 7] = [
    ("/v1/instance", 1),
    ("/v1/organization_permissions", 1),
    ("/v1/organization_roles", 1),
    ("/v1/users/count", 1),
    ("/v1/users", 1),
    ("/v1/organizations", 1),
    ("/v1/organization_memberships", 1),
];

async fn fails(world: &World, what: &str) -> Error {
    match ends(world, json!({})).await {
        Err(error) => error,
        Ok(answer) => panic!("{what}: {answer:#}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_instance_reads_nothing() {
    let whole = complete(&World::new(this_instance()), "one instance").await.digests();
    for (path, number) in MOMENTS {
        let what = format!("with request {number} of {path}");
        let this = this_instance();
        let (world, transport) = world(&this, &other_instance());
        revoke_with(&this, path, number);
        let error = fails(&world, &what).await;
        assert_eq!(error.name(), "ClerkUnauthorized", "{what}: {error:?}");
        let message = error.message();
        assert!(message.contains(THIS) && message.contains(OTHER), "{what}: {message}");
        assert!(!message.contains("sk_"), "{what}: {message}");
        let asked = transport.asked_with_changed_key();
        assert_eq!(asked, ["/v1/instance"], "{what}: asked with the other instance's key");
        assert!(world.published().is_none(), "{what}");

        // With a key of its own instance the run continues where it stopped.
        let run = run_in_progress(&world).await;
        this.on_request(|_, _| ());
        this.rotate_key(DEFAULT_KEY);
        let world = world.with_secret(ScriptedSecret::new([DEFAULT_KEY]));
        let snapshot = complete(&world, &what).await;
        assert_eq!(snapshot.digests(), whole, "{what}");
        assert_eq!(snapshot.manifest["instance"]["id"], THIS, "{what}");
        assert!(run.is_null() || snapshot.manifest["snapshot_id"] == run, "{what}");
    }
}

async fn run_in_progress(world: &World) -> Value {
    let status = world.handle(json!({"action": "status"})).await.expect("status");
    status["run"]["snapshot_id"].clone()
}

/// A new key of the same instance is used once Clerk has confirmed the instance.
#[tokio::test(start_paused = true)]
async fn a_key_of_the_same_instance_is_used_only_after_clerk_confirmed_it() {
    let whole = complete(&World::new(this_instance()), "one instance").await.digests();
    for (path, number) in MOMENTS {
        let what = format!("with request {number} of {path}");
        let this = this_instance();
        // The same rows, served for the new key.
        let (world, transport) = world(&this, &this_instance());
        revoke_with(&this, path, number);
        let snapshot = complete(&world, &what).await;
        assert_eq!(snapshot.digests(), whole, "{what}");
        let asked = transport.asked_with_changed_key();
        assert_eq!(asked[0], "/v1/instance", "{what}: {asked:?}");
        assert_eq!(asked.iter().filter(|path| *path == "/v1/instance").count(), 1, "{what}");
        assert!(asked.len() > 1, "{what}: {asked:?}");
    }
}

/// Many requests get the 401 at once, with a low and a high limit on concurrency: all wait for the
/// same check, and none forever.
#[tokio::test(start_paused = true)]
async fn concurrent_requests_share_one_instance_check() {
    let many = |id| {
        let sandbox = Sandbox::new(Population::default().users(9_000));
        sandbox.set_instance(id, "production");
        sandbox.set_latency(Duration::from_millis(200), Duration::ZERO);
        sandbox
    };
    for concurrency in ["1", "2", "32"] {
        for (after, outcome) in [(THIS, "complete"), (OTHER, "ClerkUnauthorized")] {
            let what = format!("{concurrency} at once, {after}");
            let this = many(THIS);
            let (world, transport) = world(&this, &many(after));
            let world = world.with("MAX_CONCURRENCY", concurrency).with("RESOURCES", "users");
            revoke_with(&this, "/v1/users", 4);
            let ended = ends(&world, json!({})).await;
            assert_eq!(outcome_of(&ended), outcome, "{what}");
            let asked = transport.asked_with_changed_key();
            assert_eq!(asked[0], "/v1/instance", "{what}: {asked:?}");
            let questions = asked.iter().filter(|path| *path == "/v1/instance").count();
            assert_eq!(questions, 1, "{what}: {asked:?}");
            assert_eq!(asked.len() == 1, after == OTHER, "{what}: {asked:?}");
        }
    }
}

/// How an invocation ended, in one word.
fn outcome_of(ended: &Result<Value, Error>) -> &str {
    match ended {
        Ok(answer) => answer["status"].as_str().expect("a status"),
        Err(error) => error.name(),
    }
}

/// A failure of the instance check is survived like any other, or ends the run under its own name.
#[tokio::test(start_paused = true)]
async fn a_failed_instance_check_is_survived_or_named() {
    let instance = || FaultRule::on("/v1/instance");
    for (fault, outcome) in [
        (instance().call(1).status(503, "unavailable"), "complete"),
        (instance().call(1).too_many_requests(3), "complete"),
        (instance().calls(1, 2).reset(), "complete"),
        (instance().status(503, "unavailable"), "ClerkUnavailable"),
        (instance().reset(), "ClerkUnavailable"),
        (instance().effect(Effect::Body("{}".to_owned())), "ClerkProtocol"),
        (instance().status(401, "clerk_key_invalid"), "ClerkUnauthorized"),
        (instance().status(403, "authorization_invalid"), "ClerkUnauthorized"),
    ] {
        let what = format!("{fault:?}");
        let (this, after) = (this_instance(), this_instance());
        let (world, transport) = world(&this, &after);
        after.fault(fault);
        revoke_with(&this, "/v1/users", 2);
        let ended = ends(&world, json!({})).await;
        assert_eq!(outcome_of(&ended), outcome, "{what}");
        let asked = transport.asked_with_changed_key();
        assert!(asked.len() < 30, "{what}: {asked:?}");
        if let Err(error) = ended {
            assert!(asked.iter().all(|path| path == "/v1/instance"), "{what}: {asked:?}");
            assert!(error.message().contains("/instance"), "{what}: {}", error.message());
            assert!(world.published().is_none(), "{what}");
        }
    }
}

/// Running out of time during that check is a pause like any other.
#[tokio::test(start_paused = true)]
async fn a_long_wait_during_the_instance_check_is_a_pause() {
    let (this, after) = (this_instance(), this_instance());
    let (world, _) = world(&this, &after);
    after.fault(FaultRule::on("/v1/instance").call(1).too_many_requests(600));
    revoke_with(&this, "/v1/users", 2);
    let answer = ends(&world, json!({"time_budget_seconds": 30})).await.expect("an answer");
    assert_eq!(answer["status"], "partial", "{answer:#}");
    assert_eq!(answer["reason"], "rate_limited", "{answer:#}");
}

/// Nothing is known of the instance before its first answer.
#[tokio::test(start_paused = true)]
async fn a_key_that_changes_before_the_first_answer_is_used_unchecked() {
    let this = this_instance();
    let other = other_instance();
    let (world, _) = world(&this, &other);
    this.rotate_key("sk_test_nobody_has");
    let snapshot = complete(&world, "from the beginning").await;
    assert_eq!(snapshot.manifest["instance"]["id"], OTHER);
    assert_eq!(snapshot.ids("users"), other.ids("users"));
}

/// `check` reports that the key belongs to another instance.
#[tokio::test(start_paused = true)]
async fn check_notices_a_key_of_another_instance() {
    let this = this_instance();
    let (world, transport) = world(&this, &other_instance());
    revoke_with(&this, "/v1/users", 1);
    let answer = world.handle(json!({"action": "check"})).await.expect("check");
    let checks = answer.as_array().expect("checks");
    let next = checks.iter().find(|check| check["check"] == "organizations").expect("a check");
    assert_eq!(next["ok"], false, "{answer:#}");
    let detail = next["detail"].as_str().expect("a detail");
    assert!(detail.contains(THIS) && detail.contains(OTHER), "{detail}");
    assert_eq!(transport.asked_with_changed_key(), ["/v1/instance"]);
}

/// A lookup never combines answers of two instances.
#[tokio::test(start_paused = true)]
async fn a_lookup_whose_key_changes_starts_again() {
    let (this, other) = (plain(3, 1, 3), plain(3, 2, 5));
    // Both instances have the same id; the second has more organizations.
    let id = this.ids("users")[0].clone();
    let event = json!({"action": "lookup", "resource": "users", "id": id, "grants": true});
    let alone = World::new(other.clone()).handle(event.clone()).await.expect("a lookup");
    for path in ["/v1/organization_roles", "/v1/users/*"] {
        let (world, _) = world(&this, &other);
        let revoked = AtomicBool::new(false);
        let path_asked = path.replace('*', &id);
        this.on_request(move |sandbox, request| {
            if request.path == path_asked && !revoked.swap(true, Ordering::SeqCst) {
                sandbox.rotate_key("sk_test_nobody_has");
            }
        });
        let answer = world.handle(event.clone()).await.expect("a lookup");
        assert_eq!(answer["records"], alone["records"], "{path}");
        assert_eq!(answer["grants"], alone["grants"], "{path}");
    }
}
