//! A list that is read by owner takes one request per owner. If it cannot finish before the run is
//! too old, the answer says so with numbers and advice, and the rest is published.

use clerk_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::support::plain::plain;
use crate::support::sessions::{refusing_sessions_of_all, with_sessions};
use crate::support::snapshot::Snapshot;
use crate::support::world::World;

/// Reading them by owner takes 2,004 requests: 38 minutes at ten requests in ten seconds.
const USERS: usize = 2000;

fn world(max_age_hours: &str) -> World {
    world_of(plain(USERS, 0, 0), max_age_hours)
}

fn world_of(sandbox: Sandbox, max_age_hours: &str) -> World {
    World::new(sandbox)
        .with("RESOURCES", "users,api_keys")
        .with("CLERK_REQUESTS_PER_10S", "10")
        .with("SNAPSHOT_MAX_AGE_HOURS", max_age_hours)
}

/// The entry of API keys in the manifest of a published snapshot.
fn api_keys_of(snapshot: &Snapshot) -> (&str, &str, &Value) {
    let dataset = &snapshot.manifest["datasets"]["api_keys"];
    let text = |name: &str| dataset[name].as_str().unwrap_or_default();
    (text("status"), text("reason"), &dataset["records"])
}

async fn sync(world: &World, seconds: u32) -> Value {
    world.handle(json!({ "time_budget_seconds": seconds })).await.expect("an answer")
}

fn message(answer: &Value) -> &str {
    answer["message"].as_str().expect("a message")
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_before_the_run_is_too_old_is_reported_and_left_out() {
    let world = world("0.6");
    let answer = sync(&world, 60).await;
    let snapshot = world.published().expect("what fits is published");
    let (status, reason, records) = api_keys_of(&snapshot);
    assert_eq!((answer["status"].as_str(), status), (Some("complete"), "failed"));
    assert_eq!((records, &snapshot.manifest["verified"]), (&json!(0), &json!(false)));
    assert_eq!(snapshot.ids("users").len(), USERS);
    for said in [
        "/api_keys",
        "2000 users",
        "0.6 hours",
        "requests a second",
        "so this list is left out",
        "SNAPSHOT_MAX_AGE_HOURS",
        "CLERK_RATE_SHARE",
        "leave api_keys out of RESOURCES",
    ] {
        assert!(message(&answer).contains(said), "{said}: {}", message(&answer));
        assert!(reason.contains(said), "{said}: {reason}");
    }
}

/// The age of a run does not end an invocation that is working on it.
#[tokio::test(start_paused = true)]
async fn an_invocation_with_enough_time_reads_the_whole_list() {
    let world = world("0.6");
    let answer = world.handle(json!({})).await.expect("an answer");
    let snapshot = world.published().expect("published");
    assert_eq!(
        (answer["status"].as_str(), api_keys_of(&snapshot).0),
        (Some("complete"), "verified")
    );
    assert!(message(&answer).contains("SNAPSHOT_MAX_AGE_HOURS"), "{}", message(&answer));
}

/// It begins only if it has a fifth more time than the requests take at the rate limit, because some
/// answers may be late. They take 2,261 s, and with a fifth more 2,713 s.
#[tokio::test(start_paused = true)]
async fn an_invocation_with_barely_enough_time_does_not_begin_the_list() {
    for (seconds, status) in [(2500, "failed"), (3000, "verified")] {
        let world = world("0.6");
        let answer = sync(&world, seconds).await;
        let snapshot = world.published().expect("what fits is published");
        assert_eq!(
            (answer["status"].as_str(), api_keys_of(&snapshot).0),
            (Some("complete"), status),
            "{seconds} s: {}",
            message(&answer)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fits_is_not_reported() {
    let world = world("0.7");
    for invocation in 0.. {
        let answer = sync(&world, 300).await;
        assert!(!message(&answer).contains("SNAPSHOT_MAX_AGE_HOURS"), "{}", message(&answer));
        if answer["status"] == "complete" {
            assert!(invocation > 3, "it takes several invocations");
            break;
        }
    }
}

/// Sessions are read only of users who were active. Those of 1,000 users take 19 minutes; those of all 3,000
/// users, who are known, would take 57 and not fit.
#[tokio::test(start_paused = true)]
async fn sessions_of_the_active_users_that_fit_are_not_reported() {
    let (sandbox, of_the_active) = with_sessions(3000);
    refusing_sessions_of_all(&sandbox);
    let world = world_of(sandbox, "0.7").with("RESOURCES", "users,sessions");
    for invocation in 0.. {
        let answer = sync(&world, 300).await;
        assert!(!message(&answer).contains("SNAPSHOT_MAX_AGE_HOURS"), "{}", message(&answer));
        if answer["status"] == "complete" {
            assert!(invocation > 1, "it takes several invocations");
            break;
        }
    }
    let snapshot = world.published().expect("published");
    assert_eq!(snapshot.manifest["datasets"]["sessions"]["status"], "verified");
    assert!(snapshot.ids("sessions") == of_the_active, "the sessions of all active users");
}

/// The remaining requests are compared with the remaining time, so a late invocation reports the
/// list, too.
#[tokio::test(start_paused = true)]
async fn time_that_passes_between_invocations_counts() {
    let world = world("0.7");
    let answer = sync(&world, 60).await;
    assert!(!message(&answer).contains("SNAPSHOT_MAX_AGE_HOURS"), "{}", message(&answer));
    tokio::time::advance(std::time::Duration::from_secs(600)).await;
    let answer = sync(&world, 60).await;
    assert!(message(&answer).contains("SNAPSHOT_MAX_AGE_HOURS"), "{}", message(&answer));
    assert_eq!(answer["status"], "complete", "{}", message(&answer));
}
