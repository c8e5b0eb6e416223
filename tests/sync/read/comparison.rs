//! Promise: what was read of a list is compared with Clerk's count. Where they differ, only the rows
//! around the change are read again, and none is lost or doubled, even if others change meanwhile.
//! After a fixed number of attempts the list is called drifted. A list is read in another way only
//! if that takes less time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clerk_sandbox::{Effect, FaultRule, LoggedRequest, Rules, Sandbox};
use serde_json::{Value, json};

use crate::support::captured::Captured;
use crate::support::pieces::{complete, ends};
use crate::support::plain::{FIRST, add, before_request, every_second, fill, plain};
use crate::support::snapshot::Snapshot;
use crate::support::source::{Source, membership_ids};
use crate::support::world::World;

/// Rows of a list that takes three pages.
const ROWS: usize = 1200;

/// When the row with this number was created.
type CreatedAt = fn(usize) -> i64;

fn alone(sandbox: &Sandbox, list: &str) -> World {
    World::new(sandbox.clone()).with("RESOURCES", list).with("COMPRESSION", "none")
}

fn entry<'a>(snapshot: &'a Snapshot, dataset: &str) -> &'a Value {
    &snapshot.manifest["datasets"][dataset]
}

/// The snapshot equals the list as it is now, in order. Between one row and `most` were read again.
fn assert_repaired(snapshot: &Snapshot, sandbox: &Sandbox, list: &str, most: u64, what: &str) {
    let (held, there) = (snapshot.ids(list), sandbox.ids(list));
    assert!(held == there, "{what}: {} rows of {}", held.len(), there.len());
    let entry = entry(snapshot, list);
    assert_eq!(entry["status"], "verified", "{what}");
    let repaired = entry["rows_repaired"].as_u64().expect("a count");
    assert!((1..=most).contains(&repaired), "{what}: {repaired} rows were read again");
}

/// Whether it requests a single row, to compare or to look for one that moved.
fn is_look(request: &LoggedRequest) -> bool {
    request.parameter("limit") == Some("1")
}

// A row that appeared among those that were read.

/// Users of whom one is added among those of the second page before the third is requested.
fn with_late_user(created_at: CreatedAt, late: i64) -> Sandbox {
    let sandbox = Sandbox::empty();
    fill(&sandbox, "users", ROWS, created_at);
    before_request(&sandbox, "/v1/users", 3, move |sandbox| add(sandbox, "users", "late", late));
    sandbox
}

/// The requests that look for the row by counting the users who were created before some time.
fn partial_counts() -> FaultRule {
    FaultRule::on("/v1/users/count").with_parameter("created_at_before")
}

/// Only the page of the late row is read again. A server that does not count by creation time is
/// searched row by row instead.
#[tokio::test(start_paused = true)]
async fn only_the_page_of_a_late_row_is_read_again_however_the_server_counts() {
    for (what, fault) in [
        ("counted", None),
        ("the filter is refused", Some(partial_counts().status(422, "form_param_unknown"))),
        ("the filter fails", Some(partial_counts().status(500, "internal_error"))),
    ] {
        let sandbox = with_late_user(every_second, every_second(700) + 1);
        fault.into_iter().for_each(|fault| sandbox.fault(fault));
        let snapshot = complete(&alone(&sandbox, "users"), what).await;
        assert_repaired(&snapshot, &sandbox, "users", 501, what);
    }
}

/// A key that loses its permission is reported, also if only the search for the row is refused.
#[tokio::test(start_paused = true)]
async fn a_search_that_is_refused_because_of_the_key_ends_the_run() {
    let sandbox = with_late_user(every_second, every_second(700) + 1);
    sandbox.fault(partial_counts().status(403, "authorization_invalid"));
    let world = alone(&sandbox, "users");
    let error = ends(&world, json!({})).await.expect_err("the key lacks permission");
    assert_eq!(error.name(), "ClerkUnauthorized", "{error:?}");
    assert!(world.published().is_none());
    sandbox.clear_faults();
    let snapshot = complete(&world, "permitted").await;
    assert_repaired(&snapshot, &sandbox, "users", 501, "permitted");
}

/// A server may count the user created at the very time that a filter names. Among users created a
/// millisecond apart this is no sign that a page has changed.
#[tokio::test(start_paused = true)]
async fn counts_that_include_the_next_user_do_not_hide_where_a_row_is_missing() {
    let sandbox = with_late_user(|number| FIRST + number as i64, FIRST + 700);
    sandbox.set_rules(Rules { before_includes: true, ..Rules::default() });
    let snapshot = complete(&alone(&sandbox, "users"), "a millisecond apart").await;
    assert_repaired(&snapshot, &sandbox, "users", ROWS as u64 + 1, "a millisecond apart");
}

/// Pages without rows are an error if Clerk counts some: an empty dataset would say that nobody has access.
#[tokio::test(start_paused = true)]
async fn a_list_without_the_rows_that_clerk_counts_is_an_error() {
    let sandbox = plain(5, 0, 0);
    sandbox.fault(FaultRule::on("/v1/users").truncate_page(0));
    let world = alone(&sandbox, "users");
    let error = ends(&world, json!({})).await.expect_err("no rows");
    assert_eq!(error.name(), "ClerkProtocol", "{error:?}");
    assert!(error.message().contains("it lists no row"), "{}", error.message());
    assert!(world.published().is_none());
}

// Rows that were deleted where a page ends.

/// While a page is read again whose neighbouring rows were deleted, as many rows appear as would be
/// doubled if it took in those of another page. The count would agree with them.
#[tokio::test(start_paused = true)]
async fn a_page_that_is_read_again_takes_no_row_of_its_neighbours() {
    let list = "organizations";
    let at_once: CreatedAt = |_| FIRST;
    let apart: CreatedAt = every_second;
    // The first page ends with row 499, the second with row 998.
    for (what, created_at, before, meanwhile, late) in [
        ("at once, the row before the page", at_once, 600..601, 499..500, 500),
        ("at once, the rows where it ends", at_once, 499..501, 0..0, 499),
        ("apart, the rows where it ends", apart, 499..501, 0..0, 499),
    ] {
        let sandbox = plain(0, 0, 0);
        fill(&sandbox, list, ROWS, created_at);
        let source = Source::of(&sandbox);
        let ids = sandbox.ids(list);
        let delete = move |sandbox: &Sandbox, rows: std::ops::Range<usize>| {
            for id in &ids[rows] {
                assert!(sandbox.delete(list, id), "it is there");
            }
        };
        let (looked, changed) = (AtomicBool::new(false), AtomicBool::new(false));
        sandbox.on_request(move |sandbox, request| {
            if request.path != "/v1/organizations" {
                return;
            }
            if sandbox.request_count("/v1/organizations") == 3 {
                delete(sandbox, before.clone());
            }
            if is_look(request) {
                looked.store(true, Ordering::SeqCst);
            } else if looked.load(Ordering::SeqCst) && !changed.swap(true, Ordering::SeqCst) {
                // The first page that is read again.
                delete(sandbox, meanwhile.clone());
                for number in 0..late {
                    add(sandbox, list, &format!("late_{number}"), every_second(ROWS + number));
                }
            }
        });
        // One page after the other, so that two have been read when the third is requested.
        let world = alone(&sandbox, list).with("MAX_CONCURRENCY", "1");
        let snapshot = complete(&world, what).await;
        source.assert_kept_by(&snapshot, what);
        // Two pages of the three.
        assert_repaired(&snapshot, &sandbox, list, 1000, what);
        assert_eq!(sandbox.count(list), 1198 + late, "{what}: rows are deleted and added");
    }
}

/// In a list without an order, a page that is read again ends where the next one begins, also if its
/// own last row was deleted.
#[tokio::test(start_paused = true)]
async fn a_page_of_a_list_without_an_order_ends_where_the_next_one_begins() {
    let list = "allowlist_identifiers";
    let sandbox = plain(0, 0, 0);
    for number in 0..ROWS {
        sandbox.add_sample(list, every_second(number)).expect("there is a sample");
    }
    // It is listed newest first: the last row of the first page.
    let last = sandbox.ids(list)[ROWS - 500].clone();
    before_request(&sandbox, "/v1/allowlist_identifiers", 3, move |sandbox| {
        assert!(sandbox.delete(list, &last), "it is there");
    });
    let world = alone(&sandbox, list).with("MAX_CONCURRENCY", "1");
    let snapshot = complete(&world, list).await;
    let (mut held, mut there) = (snapshot.ids(list), sandbox.ids(list));
    held.sort_unstable();
    there.sort_unstable();
    assert!(held == there, "{} rows of {}", held.len(), there.len());
    let entry = entry(&snapshot, list);
    assert_eq!(entry["status"], "verified");
    assert_eq!(entry["rows_repaired"], 499, "only the first page is read again");
}

// Lists that never agree with their counts.

/// Clerk counts a user more than it lists. After twelve repairs (docs/architecture.md) the list is
/// called drifted, and the log says so once.
#[tokio::test(start_paused = true)]
async fn a_list_that_never_agrees_has_drifted_after_twelve_repairs() {
    let sandbox = plain(ROWS, 0, 0);
    sandbox.fault(FaultRule::on("/v1/users/count").effect(Effect::ShiftTotal(1)));
    let captured = Captured::start();
    let snapshot = complete(&alone(&sandbox, "users"), "users").await;
    let log = captured.text();
    assert_eq!(entry(&snapshot, "users")["status"], "drifted");
    let requests = sandbox.requests();
    let counts = requests.iter().filter(|request| {
        request.path == "/v1/users/count" && request.parameter("created_at_before").is_none()
    });
    // Before the users are read, after that, and after each repair.
    assert_eq!(counts.count(), 1 + 1 + 12);
    let warnings: Vec<&str> =
        log.lines().filter(|line| line.contains("cannot be repaired further")).collect();
    assert!(matches!(warnings[..], [it] if it.contains("/users")), "{warnings:#?}");
}

/// Reading owner by owner can only be continued, so a list that is read like this is repaired once
/// (docs/architecture.md).
#[tokio::test(start_paused = true)]
async fn memberships_by_owner_that_do_not_agree_have_drifted_after_one_repair() {
    let list = "/v1/organization_memberships";
    let sandbox = plain(600, 5, 1700);
    sandbox.fault(FaultRule::on(list).past_offset(1400).status(504, "gateway_timeout"));
    sandbox.fault(FaultRule::on(list).effect(Effect::ShiftTotal(1)));
    let snapshot = complete(&alone(&sandbox, "organization_memberships"), "by owner").await;
    let grants = entry(&snapshot, "grants");
    assert_eq!((&grants["walk"], &grants["status"]), (&json!("by_owner"), &json!("drifted")));
    assert_eq!(membership_ids(&snapshot).len(), 1700);
    // From then on the whole list is only counted.
    let requests = sandbox.requests();
    let since = requests.iter().skip_while(|request| !request.path.ends_with("/memberships"));
    let counts = since.filter(|request| request.path == list).count();
    assert_eq!(counts, 1 + 1, "after all owners, and after the repair");
}

// Other ways to read a list.

/// Memberships of few organizations would take fewer requests by owner than the rest of the list.
/// But that list does not become slower, so it is read to its end.
#[tokio::test(start_paused = true)]
async fn a_list_that_is_slow_throughout_is_read_as_one_however_few_owners_there_are() {
    let sandbox = plain(1500, 3, 4000);
    sandbox.set_latency(Duration::from_secs(3), Duration::from_secs(1));
    let snapshot = complete(&alone(&sandbox, "organization_memberships"), "slow").await;
    assert_eq!(entry(&snapshot, "grants")["walk"], "offset");
    assert!(membership_ids(&snapshot) == sandbox.ids("organization_memberships"));
}

/// The only window that has not ended is divided like any other.
#[tokio::test(start_paused = true)]
async fn a_window_that_is_left_alone_is_divided() {
    const USERS: u64 = 4000;
    let sandbox = plain(USERS as usize, 0, 0);
    sandbox.set_latency(Duration::from_millis(50), Duration::ZERO);
    let world = alone(&sandbox, "users");
    let begun = ends(&world, json!({ "time_budget_seconds": 0 })).await.expect("an answer");
    assert_eq!(begun["status"], "partial", "{begun:#}");
    world.edit_checkpoint(|checkpoint| {
        let users = &mut checkpoint["lists"]["users"];
        let segments = users["windows"][0]["stretches"].as_array().expect("stretches");
        let rows = segments.iter().map(|segment| segment["rows"].as_u64().expect("a count"));
        let read: u64 = rows.sum();
        let edge = every_second(read as usize);
        users["divisible"] = json!(false);
        users["windows"][0]["bounds"]["until"] = json!(edge);
        users["windows"][0]["expected"] = json!(read);
        users["windows"][0]["ended"] = json!(true);
        let rest = json!({
            "number": 1, "bounds": { "from": edge, "until": null }, "expected": USERS - read,
            "place": { "offset": 0, "tail": [] }, "ended": false, "stretches": [],
        });
        users["windows"].as_array_mut().expect("windows").push(rest);
    });
    sandbox.clear_requests();
    let snapshot = complete(&world, "the rest").await;
    assert!(snapshot.ids("users") == sandbox.ids("users"));
    assert_eq!(entry(&snapshot, "users")["status"], "verified");
    let requests = sandbox.requests();
    let mut edges: Vec<&str> = requests
        .iter()
        .filter(|request| request.path == "/v1/users" && !is_look(request))
        .filter_map(|request| request.parameter("created_at_after"))
        .collect();
    edges.sort_unstable();
    edges.dedup();
    assert!(edges.len() >= 2, "the window is not divided: {edges:?}");
}
