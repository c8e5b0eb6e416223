//! Promise: memberships are read concurrently with users, and their users are checked afterwards.
//! The snapshot has no grants of users who were deleted meanwhile, and all others.

use std::time::Duration;

use clerk_sandbox::{FaultRule, Sandbox};
use clerk_store::Operation;
use serde_json::{Value, json};

use crate::support::pieces::{complete, ends};
use crate::support::plain::{before_request, plain};
use crate::support::snapshot::Snapshot;
use crate::support::source::{assert_closed, membership_ids};
use crate::support::world::World;

/// Eight pages, which the sync reads one after the other.
const USERS: usize = 3_900;
/// The sync reads all of them before the last page of users.
const MEMBERSHIPS: usize = 3_900;
/// A user of the last page.
const GONE: &str = "users_003800";

fn instance() -> Sandbox {
    let sandbox = plain(USERS, 12, MEMBERSHIPS);
    sandbox.set_latency(Duration::from_millis(300), Duration::ZERO);
    sandbox
}

fn world(sandbox: &Sandbox) -> World {
    World::new(sandbox.clone()).with("CLERK_REQUESTS_PER_10S", "1000").with("COMPRESSION", "none")
}

/// Deletes a user of the last page after the user's memberships were read and before that page is
/// requested.
fn delete_meanwhile(sandbox: &Sandbox) {
    before_request(sandbox, "/v1/users", 8, delete_gone);
}

fn delete_gone(sandbox: &Sandbox) {
    let read = sandbox.request_count("/v1/organization_memberships");
    assert!(read >= 8, "memberships are not read concurrently with users: {read} pages");
    assert!(sandbox.delete("users", GONE), "the user is there");
}

fn dangling_principals(snapshot: &Snapshot) -> u64 {
    snapshot.manifest["referential"]["dangling_principals"].as_u64().expect("a count")
}

fn assert_settled(snapshot: &Snapshot, sandbox: &Sandbox, what: &str) {
    assert_closed(snapshot, what);
    let held = membership_ids(snapshot);
    assert_eq!(held.len() as u64, MEMBERSHIPS as u64 - dangling_principals(snapshot), "{what}");
    let there = sandbox.ids("organization_memberships");
    let missing = there.iter().filter(|id| !held.contains(id)).count();
    assert_eq!(missing, 0, "{what}: memberships of users who are there");
}

/// No grant of the deleted user is left.
fn assert_gone(snapshot: &Snapshot) {
    let grants = &snapshot.datasets["grants"];
    assert!(grants.iter().all(|grant| grant["principal"]["id"] != GONE));
    assert!(dangling_principals(snapshot) > 0, "the user's memberships were read");
}

#[tokio::test(start_paused = true)]
async fn the_grants_of_a_user_deleted_meanwhile_are_left_out() {
    let sandbox = instance();
    delete_meanwhile(&sandbox);
    let snapshot = complete(&world(&sandbox), "at once").await;
    assert_gone(&snapshot);
    assert_settled(&snapshot, &sandbox, "at once");
}

/// Clerk refuses the users only when the missing one is looked for: users are skipped, and the grants stay.
#[tokio::test(start_paused = true)]
async fn users_refused_while_the_missing_ones_are_looked_for_are_skipped() {
    let sandbox = instance();
    sandbox.on_request(|sandbox, request| {
        let number = sandbox.request_count(&request.path);
        match request.path.as_str() {
            "/v1/users" if number == 8 => delete_gone(sandbox),
            // The users are complete, and are compared.
            "/v1/users/count" if number == 2 => {
                sandbox.fault(FaultRule::on("/v1/users").status(403, "feature_not_enabled"));
            }
            _ => {}
        }
    });
    let snapshot = complete(&world(&sandbox), "refused").await;
    let users = &snapshot.manifest["datasets"]["users"];
    assert_eq!(
        (&users["status"], &users["reason"]),
        (&json!("skipped"), &json!("feature_not_enabled"))
    );
    assert_eq!(dangling_principals(&snapshot), 0);
    assert_eq!(membership_ids(&snapshot).len(), MEMBERSHIPS);
}

/// What is left out does not count as a grant whose role is unknown either.
#[tokio::test(start_paused = true)]
async fn a_role_key_that_only_left_out_grants_have_is_not_unresolved() {
    const UNKNOWN: &str = "org:not_listed";
    for others in [0, 1] {
        let what = format!("{others} others");
        let sandbox = instance();
        let memberships = sandbox.rows("organization_memberships");
        let (of_gone, of_others): (Vec<_>, Vec<_>) =
            memberships.iter().partition(|row| row["public_user_data"]["user_id"] == GONE);
        assert!(!of_gone.is_empty());
        // The others are in the same page.
        let near = of_others
            .iter()
            .find(|row| row["created_at"].as_i64() >= of_gone[0]["created_at"].as_i64());
        for row in of_gone.iter().chain(near.into_iter().take(others)) {
            let id = row["id"].as_str().expect("an id");
            let change = |row: &mut Value| row["role"] = UNKNOWN.into();
            sandbox.update("organization_memberships", id, change).expect("it is there");
        }
        delete_meanwhile(&sandbox);
        let snapshot = complete(&world(&sandbox), &what).await;
        assert_gone(&snapshot);
        let unresolved = &snapshot.manifest["referential"]["unresolved_role_keys"];
        let expected = if others == 0 { json!({}) } else { json!({ UNKNOWN: others }) };
        assert_eq!(*unresolved, expected, "{what}");
    }
}

/// A later invocation does not remember the users of segments that an earlier one stored, so it
/// reads them back.
#[tokio::test(start_paused = true)]
async fn a_continued_run_checks_the_grants_already_stored() {
    let sandbox = instance();
    delete_meanwhile(&sandbox);
    let world = world(&sandbox);
    let mut invocations = 0;
    let answer = loop {
        invocations += 1;
        let answer = ends(&world, json!({ "time_budget_seconds": 0.4 })).await.expect("an answer");
        if answer["status"] == "complete" {
            break answer;
        }
        assert!(answer["status"] == "partial" && invocations < 100, "{answer:#}");
    };
    assert!(invocations > 3, "{invocations} invocations");
    assert_eq!(answer["verified"], true);
    let snapshot = world.published().expect("published");
    assert_gone(&snapshot);
    assert_settled(&snapshot, &sandbox, "in pieces");
}

/// As soon as the users are done, the users of each further page are checked as it arrives. A later invocation reads
/// only those memberships back that were stored before.
#[tokio::test(start_paused = true)]
async fn memberships_are_checked_as_they_arrive_once_the_users_are_done() {
    const PATH: &str = "/v1/organization_memberships";
    // Two pages of users and 25 of memberships.
    let sandbox = plain(600, 20, 12_000);
    sandbox.set_latency(Duration::from_millis(300), Duration::ZERO);
    sandbox.fault(FaultRule::on("/v1/users").delay(Duration::from_secs(1)));
    let world = world(&sandbox).with("MAX_CONCURRENCY", "2");
    before_request(&sandbox, PATH, 22, {
        let interrupt = world.interrupt.clone();
        move |_| {
            interrupt.send_replace(true);
        }
    });
    let answer = ends(&world, json!({})).await.expect("an interrupted sync answers");
    assert_eq!(answer["reason"], "interrupted", "{answer:#}");
    let objects = world.memory.objects();
    let stored: Value = serde_json::from_slice(&objects["checkpoint.json"]).expect("JSON");
    let segments = &stored["lists"]["organization_memberships"]["windows"][0]["stretches"];
    let segments = segments.as_array().expect("segments");
    let unchecked = segments.iter().filter(|it| it["users_unchecked"] == true).count();
    // The users take some four seconds, in which a page of memberships arrives every 0.3 seconds.
    assert!((1..=12).contains(&unchecked), "{unchecked} segments are unchecked");
    assert!(segments.len() >= 18, "{} segments", segments.len());
    sandbox.on_request(|_, _| ());
    world.interrupt.send_replace(false);
    let calls_before = world.store.calls().len();
    let snapshot = complete(&world, "continued").await;
    assert_eq!(snapshot.manifest["verified"], true);
    assert_eq!(dangling_principals(&snapshot), 0);
    assert_eq!(membership_ids(&snapshot), sandbox.ids("organization_memberships"));
    assert_closed(&snapshot, "continued");
    assert_eq!(grants_read_back(&world, calls_before), unchecked);
}

/// How many parts with grants were read back, from the n-th call of the store on.
fn grants_read_back(world: &World, from: usize) -> usize {
    let calls = world.store.calls().split_off(from).into_iter();
    calls.filter(|call| call.operation == Operation::Get && call.key.contains("/grants/")).count()
}

/// If no user is gone, no part is read back.
#[tokio::test(start_paused = true)]
async fn nothing_is_read_back_if_no_user_is_gone() {
    let sandbox = instance();
    let world = world(&sandbox);
    let snapshot = complete(&world, "at rest").await;
    assert_eq!(dangling_principals(&snapshot), 0);
    assert_settled(&snapshot, &sandbox, "at rest");
    assert_eq!(grants_read_back(&world, 0), 0);
}
