//! Promise: memberships are read concurrently with users, and their users are checked afterwards.
//! The snapshot has no grants of users who were deleted meanwhile, and all others.

use clerk_sandbox::Sandbox;
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
    sandbox.set_latency(std::time::Duration::from_millis(300), std::time::Duration::ZERO);
    sandbox
}

fn world(sandbox: &Sandbox) -> World {
    World::new(sandbox.clone()).with("CLERK_REQUESTS_PER_10S", "1000").with("COMPRESSION", "none")
}

/// Deletes a user of the last page after the user's memberships were read and before that page is
/// requested.
fn delete_meanwhile(sandbox: &Sandbox) {
    before_request(sandbox, "/v1/users", 8, |sandbox| {
        let read = sandbox.request_count("/v1/organization_memberships");
        assert!(read >= 8, "memberships are not read concurrently with users: {read} pages");
        assert!(sandbox.delete("users", GONE), "the user is there");
    });
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

/// If no user is gone, no part is read back.
#[tokio::test(start_paused = true)]
async fn nothing_is_read_back_if_no_user_is_gone() {
    let sandbox = instance();
    let world = world(&sandbox);
    let snapshot = complete(&world, "at rest").await;
    assert_eq!(dangling_principals(&snapshot), 0);
    assert_settled(&snapshot, &sandbox, "at rest");
    let read_back = |key: &str| key.contains("/grants/");
    let calls = world.store.calls();
    let gets = calls.iter().filter(|call| call.operation == clerk_store::Operation::Get);
    assert_eq!(gets.filter(|call| read_back(&call.key)).count(), 0);
}
