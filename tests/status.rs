//! Promise: `status` answers from the store alone: the run in progress and the last snapshot.

use std::time::Duration;

use clerk_sandbox::FaultRule;
use clerk_store::Operation;
use serde_json::{Value, json};

use crate::support::answers::{ask, cut, large, objects, watched};
use crate::support::faulty_store::{Effect, Fault};
use crate::support::world::World;

#[tokio::test(start_paused = true)]
async fn status_of_an_empty_store_is_null() {
    let world = World::of(5, 2, 4);
    let answer = ask(&world, json!({"action": "status"})).await;
    assert_eq!(answer, json!({"run": null, "latest": null}));
}

#[tokio::test(start_paused = true)]
async fn status_reports_run_and_snapshot_from_the_store_alone() {
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

/// Daily active users are written all at once: no number of lines is expected of them, not even when the
/// run is complete and waits to be accepted.
#[tokio::test(start_paused = true)]
async fn status_of_a_snapshot_that_is_held_back_expects_users_but_no_days() {
    let world = World::of(60, 3, 30).with("RESOURCES", "users,daily_active_users");
    world.complete().await;
    for id in &world.sandbox.ids("users")[20..] {
        assert!(world.sandbox.delete("users", id), "the user is there");
    }
    assert_eq!(ask(&world, json!({})).await["status"], "held");
    let status = ask(&world, json!({"action": "status"})).await;
    let progress = &status["run"]["progress"];
    assert_eq!(progress["users"], json!({"records": 20, "expected": 20}));
    assert_eq!(progress["daily_active_users"], json!({"records": 30, "expected": null}));
}

#[tokio::test(start_paused = true)]
async fn status_says_until_when_a_run_is_held_or_paused() {
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

// A status is no run, so nothing is said about one.
#[tokio::test(start_paused = true)]
async fn a_status_that_fails_speaks_of_the_store_alone() {
    for key in ["checkpoint.json", "latest.json"] {
        let world = World::of(5, 2, 4);
        world.store.fault(Fault::new(Operation::Get, Effect::FailBefore).on_key(key).from(1));
        let error = world.handle(json!({"action": "status"})).await.expect_err("no answer");
        let message = error.message();
        assert!(message.contains(key) && message.contains("SNAPSHOT_URL"), "{message}");
        assert!(!message.contains("invocation") && !message.contains("copied"), "{message}");
    }
}
