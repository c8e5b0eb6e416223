//! Promise 6: no list is read forever. Rounds that bring nothing new are bounded, within an
//! invocation and across all invocations of a run. Each of these tests counts requests or
//! invocations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clerk_sandbox::{DeletedCursor, Effect, FaultRule, LoggedRequest, Rules, Sandbox};
use clerk_store::{Operation, Store};
use clerk_sync::sync::checkpoint::document::CHECKPOINT_KEY;
use serde_json::{Value, json};

use crate::support::bounded::Bounded;
use crate::support::captured::Captured;
use crate::support::changing_versions::ChangingVersions;
use crate::support::faulty_store::{self, Fault, FaultyStore};
use crate::support::pieces::{complete, ends};
use crate::support::plain::{FIRST, add, every_second, fill, plain};
use crate::support::snapshot::Snapshot;
use crate::support::world::World;

const DELETED_CURSORS: [DeletedCursor; 4] = [
    DeletedCursor::Refused,
    DeletedCursor::Continues,
    DeletedCursor::EmptyPage,
    DeletedCursor::FirstPage,
];

fn alone(sandbox: &Sandbox, list: &str) -> World {
    World::new(sandbox.clone()).with("RESOURCES", list).with("COMPRESSION", "none")
}

fn behaving(sandbox: &Sandbox, deleted_cursor: DeletedCursor) {
    sandbox.set_rules(Rules { deleted_cursor, ..Rules::default() });
}

/// The last row is deleted, and another one appears between it and the row before it.
fn replace_the_last(sandbox: &Sandbox, list: &str) {
    let ids = sandbox.ids(list);
    let last = ids.last().expect("a row");
    let created_at = sandbox.row(list, last).expect("it is there")["created_at"].as_i64().unwrap();
    sandbox.delete(list, last);
    add(sandbox, "users", &format!("between_{}", ids.len()), created_at - 500);
}

/// The row of the cursor is deleted, an unknown row is between the last two known ones, and Clerk
/// counts more rows than it lists: the request that should confirm the end never shows a known row.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_list_is_confirmed_a_few_times_and_no_more() {
    for deleted_cursor in DELETED_CURSORS {
        for rows in [3, 500, 503] {
            for page in 2..=4 {
                let what = format!("{deleted_cursor:?}, {rows} rows, page {page}");
                let sandbox = plain(rows, 0, 0);
                behaving(&sandbox, deleted_cursor);
                sandbox.fault(FaultRule::on("/v1/users/count").effect(Effect::ShiftTotal(2)));
                let change = move |sandbox: &Sandbox, request: &LoggedRequest, number| {
                    if request.path == "/v1/users" && number == page {
                        replace_the_last(sandbox, "users");
                    }
                };
                let bounded = Bounded::new(alone(&sandbox, "users"), 150, change);
                let (_, ended) = bounded.ending(None, 1, &what).await;
                let answer = ended.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
                let snapshot = bounded.world.published().expect("published");
                let users = &snapshot.manifest["datasets"]["users"];
                assert_eq!(users["status"], "drifted", "{what}");
                assert_eq!(users["source_count"]["after"], rows + 2, "{what}");
                let there = sandbox.ids("users");
                let held = snapshot.ids("users");
                assert!(there.iter().all(|id| held.contains(id)), "{what}");
            }
        }
    }
}

/// The same for the list of owners of another list, which no count covers.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_list_of_owners_is_confirmed_a_few_times_and_no_more() {
    for deleted_cursor in DELETED_CURSORS {
        let what = format!("{deleted_cursor:?}");
        let sandbox = plain(3, 0, 0);
        behaving(&sandbox, deleted_cursor);
        for _ in 0..5 {
            sandbox.add_sample("api_keys", FIRST).expect("there is a sample");
        }
        let change = |sandbox: &Sandbox, request: &LoggedRequest, number| {
            if request.path == "/v1/users" && number == 2 {
                replace_the_last(sandbox, "users");
            }
        };
        let bounded = Bounded::new(alone(&sandbox, "api_keys"), 60, change);
        let (_, ended) = bounded.ending(None, 1, &what).await;
        let answer = ended.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
    }
}

/// Every user of a window is deleted before the window is requested; the server shows a row of the
/// millisecond before it instead.
#[tokio::test(start_paused = true)]
async fn a_window_that_was_emptied_ends() {
    let sandbox = Sandbox::empty();
    fill(&sandbox, "users", 10_300, |number| FIRST + 6_000_000 * number as i64);
    sandbox.set_rules(Rules { after_includes: true, ..Rules::default() });
    sandbox.set_latency(Duration::from_millis(50), Duration::from_millis(20));
    let emptied = AtomicBool::new(false);
    let change = move |sandbox: &Sandbox, request: &LoggedRequest, _| {
        let bound = |name| {
            let (_, value) = request.query.iter().find(|(other, _)| other == name)?;
            value.parse::<i64>().ok()
        };
        let (after, before) = (bound("created_at_after"), bound("created_at_before"));
        let (Some(after), before) = (after, before.unwrap_or(i64::MAX)) else { return };
        if request.path != "/v1/users" || emptied.swap(true, Ordering::SeqCst) {
            return;
        }
        for user in sandbox.users() {
            if (after + 1..before).contains(&user["created_at"].as_i64().unwrap()) {
                sandbox.delete("users", user["id"].as_str().unwrap());
            }
        }
        add(sandbox, "users", "just_before", after);
    };
    let bounded = Bounded::new(alone(&sandbox, "users"), 300, change);
    let (_, ended) = bounded.ending(None, 1, "emptied").await;
    assert_eq!(ended.expect("sync")["status"], "complete");
    assert!(sandbox.count("users") < 10_000, "no window was emptied");
    let snapshot = bounded.world.published().expect("published");
    let held = snapshot.ids("users");
    assert!(sandbox.ids("users").iter().all(|id| held.contains(id)));
}

/// By offset: the list grows by a row whenever one is read, and never reaches its stated total.
#[tokio::test(start_paused = true)]
async fn a_list_that_grows_as_fast_as_it_is_read_ends() {
    for list in ["organizations", "organization_memberships"] {
        let sandbox = plain(600, 600, 10);
        let path = format!("/v1/{list}");
        sandbox.fault(FaultRule::on(&path).effect(Effect::ShiftTotal(1)));
        let change = move |sandbox: &Sandbox, request: &LoggedRequest, number: u64| {
            if request.path != path {
                return;
            }
            let moment = every_second(10_000 + number as usize);
            if list == "organizations" {
                add(sandbox, list, &format!("late_{number}"), moment);
            } else {
                let user = format!("users_{:06}", 20 + number);
                sandbox.add_membership("organizations_000000", &user, "org:admin", moment).unwrap();
            }
        };
        let bounded = Bounded::new(alone(&sandbox, list), 120, change);
        let (_, ended) = bounded.ending(None, 1, list).await;
        let error = ended.expect_err("the total is never reached");
        assert_eq!(error.name(), "ClerkProtocol", "{list}");
        assert!(error.message().contains("total_count"), "{list}: {error}");
        assert!(bounded.world.published().is_none(), "{list}");
    }
}

/// The same if each invocation sees only a round or two: the number of rounds is stored.
#[tokio::test(start_paused = true)]
async fn rounds_without_new_rows_are_counted_across_invocations() {
    let sandbox = plain(0, 5, 0);
    sandbox.fault(FaultRule::on("/v1/organizations").effect(Effect::ShiftTotal(1)));
    let rule = FaultRule::on("/v1/organizations").calls(2, u64::MAX);
    sandbox.fault(rule.delay(Duration::from_secs(50)));
    let bounded = Bounded::new(alone(&sandbox, "organizations"), 200, |_, _, _| ());
    let (invocations, ended) = bounded.ending(Some(1.0), 40, "slow").await;
    assert_eq!(ended.expect_err("the total is never reached").name(), "ClerkProtocol");
    assert!(invocations > 5, "{invocations} invocations have no room for all rounds");
}

/// Before each invocation all rows that were read are deleted. The list is started again, but not
/// by every invocation. Once it stops changing, it is read.
#[tokio::test(start_paused = true)]
async fn a_list_is_not_restarted_by_every_invocation() {
    let sandbox = plain(0, 0, 0);
    let list = "organizations";
    fill(&sandbox, list, 1200, |_| FIRST);
    let change = move |sandbox: &Sandbox, request: &LoggedRequest, number: u64| {
        if request.path == "/v1/instance" {
            for id in sandbox.ids(list) {
                sandbox.delete(list, &id);
            }
            (0..1200)
                .for_each(|row| add(sandbox, list, &format!("again_{number}_{row:06}"), FIRST));
        }
    };
    let bounded = Bounded::new(alone(&sandbox, list).with("MAX_CONCURRENCY", "1"), 200, change);
    let (_, ended) = bounded.ending(Some(0.0), 20, "all deleted").await;
    let error = ended.expect_err("the place is lost again and again");
    assert_eq!(error.name(), "ClerkProtocol");
    assert!(error.message().contains("/organizations"), "{error}");
    assert!(error.message().contains("change faster than they can be read"), "{error}");
    sandbox.on_request(|_, _| ());
    let snapshot = complete(&bounded.world, "unchanged").await;
    assert_eq!(snapshot.ids(list), sandbox.ids(list));
    assert_eq!(snapshot.manifest["verified"], true);
}

/// Counts disagree, and the requests that look for the position are never answered: each invocation
/// tries a repair, but all of them together no more often than one would.
#[tokio::test(start_paused = true)]
async fn a_repair_that_is_always_interrupted_is_abandoned() {
    for (list, path) in [("organizations", "/v1/organizations"), ("users", "/v1/users")] {
        let sandbox = plain(1200, 1200, 0);
        let counted = if list == "users" { "/v1/users/count" } else { path };
        sandbox.fault(FaultRule::on(counted).effect(Effect::ShiftTotal(-1)));
        let (day, never) = (Duration::from_secs(24 * 60 * 60), FaultRule::on);
        sandbox.fault(never(path).with_value("limit", "1").delay(day));
        sandbox.fault(never("/v1/users/count").with_parameter("created_at_before").delay(day));
        let bounded = Bounded::new(alone(&sandbox, list), 200, |_, _, _| ());
        let (_, ended) = bounded.ending(Some(1.0), 40, list).await;
        assert_eq!(ended.expect("sync")["status"], "complete", "{list}");
        let snapshot = bounded.world.published().expect("published");
        assert_eq!(snapshot.ids(list), sandbox.ids(list), "{list}");
        let entry = &snapshot.manifest["datasets"][list];
        assert_eq!(entry["status"], "drifted", "{list}");
        assert_eq!(entry["source_count"]["after"], 1199, "{list}");
    }
}

/// Clerk never answers the requests that look for the edges of windows. The list is read without
/// windows.
#[tokio::test(start_paused = true)]
async fn a_list_whose_windows_cannot_be_found_in_time_is_read_without_windows() {
    // The first invocation ends with its first page, or while it waits for an edge.
    for seconds in [0.0, 1.0] {
        let what = format!("{seconds} seconds each");
        let sandbox = Sandbox::empty();
        fill(&sandbox, "users", 10_300, |number| FIRST + 6_000_000 * number as i64);
        sandbox.set_latency(Duration::from_millis(50), Duration::from_millis(20));
        let rule = FaultRule::on("/v1/users").with_parameter("offset");
        sandbox.fault(rule.delay(Duration::from_secs(24 * 60 * 60)));
        let bounded = Bounded::new(alone(&sandbox, "users"), 400, |_, _, _| ());
        let (_, ended) = bounded.ending(Some(seconds), 40, &what).await;
        let answer: Value = ended.expect("sync");
        assert_eq!(answer["status"], "complete", "{what}");
        let snapshot = bounded.world.published().expect("published");
        assert!(snapshot.ids("users") == sandbox.ids("users"), "{what}");
        assert_eq!(snapshot.manifest["verified"], true, "{what}");
    }
}

/// Part of a list without an order disagrees with Clerk's count, and the row before it is deleted
/// while it is read again, so that its beginning is unknown. The list is read again from its start.
#[tokio::test(start_paused = true)]
async fn a_part_that_cannot_be_read_again_does_not_fail_the_run() {
    let list = "allowlist_identifiers";
    let sandbox = samples_of(list, 1200);
    let newest_first: Vec<String> = sandbox.ids(list).into_iter().rev().collect();
    let (looked, deleted) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let was_deleted = Arc::clone(&deleted);
    let change = move |sandbox: &Sandbox, request: &LoggedRequest, number| {
        if request.path != "/v1/allowlist_identifiers" {
            return;
        }
        if number == 3 {
            sandbox.delete(list, &newest_first[600]);
        }
        if request.query.iter().any(|(name, value)| name == "limit" && value == "1") {
            looked.store(true, Ordering::SeqCst);
        } else if looked.load(Ordering::SeqCst) && !deleted.swap(true, Ordering::SeqCst) {
            // The last row of the first page.
            sandbox.delete(list, &newest_first[499]);
        }
    };
    // One page after the other, so that the page with the first deleted row has been read by then.
    let world = alone(&sandbox, list).with("MAX_CONCURRENCY", "1");
    let bounded = Bounded::new(world, 100, change);
    let captured = Captured::start();
    let (_, ended) = bounded.ending(None, 1, list).await;
    let answer = ended.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(was_deleted.load(Ordering::SeqCst), "nothing was read again");
    let log = captured.text();
    assert!(log.contains("rows moved too far to read a part of the list again"), "{log}");
    // The list can be read: it is not requested again like one that cannot.
    assert!(!log.contains("asking once more before the list is left out"), "{log}");
    assert_eq!(answer["verified"], true, "{answer:#}");
    let snapshot = bounded.world.published().expect("published");
    assert_read_again(&snapshot, &sandbox, list, 1200);
}

/// An instance with this many rows of a list, and nothing else.
fn samples_of(list: &str, rows: usize) -> Sandbox {
    let sandbox = plain(0, 0, 0);
    for number in 0..rows {
        sandbox.add_sample(list, every_second(number)).expect("there is a sample");
    }
    sandbox
}

/// Clerk shows a row a second time in place of another one, so that its count agrees although a row is missing. A list
/// without an order is read once more. So is one that would fit into a page, if its server returns shorter pages.
#[tokio::test(start_paused = true)]
async fn a_list_that_counts_a_row_twice_is_read_again() {
    let list = "allowlist_identifiers";
    for (rows, rows_of_a_page, offset) in [(1200, 500, 900), (300, 100, 150)] {
        let sandbox = samples_of(list, rows);
        let newest = sandbox.ids(list).pop().expect("a row");
        let pointer = "/id".to_owned();
        let twice = Effect::EditRow { row: 90, pointer, value: Some(newest.into()) };
        let pages = || FaultRule::on("/v1/allowlist_identifiers");
        sandbox.fault(pages().truncate_page(rows_of_a_page));
        sandbox.fault(pages().past_offset(offset).call(1).effect(twice));
        let world = alone(&sandbox, list).with("MAX_CONCURRENCY", "1");
        assert_read_again(&complete(&world, list).await, &sandbox, list, rows as u64);
    }
}

/// A list that is answered as one page has a row less than Clerk counts. It is read once more.
#[tokio::test(start_paused = true)]
async fn a_single_page_with_too_few_rows_is_read_again() {
    let list = "blocklist_identifiers";
    let sandbox = samples_of(list, 20);
    let rule = FaultRule::on("/v1/blocklist_identifiers").call(1);
    sandbox.fault(rule.effect(Effect::HideRow(3)));
    assert_read_again(&complete(&alone(&sandbox, list), list).await, &sandbox, list, 19);
}

/// The same list never has as many rows as Clerk counts. It is read a few times, and no more.
#[tokio::test(start_paused = true)]
async fn a_single_page_that_always_has_too_few_rows_is_read_a_few_times_and_no_more() {
    let list = "blocklist_identifiers";
    let sandbox = samples_of(list, 20);
    let rule = FaultRule::on("/v1/blocklist_identifiers");
    sandbox.fault(rule.effect(Effect::HideRow(3)));
    let bounded = Bounded::new(alone(&sandbox, list), 20, |_, _, _| ());
    let (_, ended) = bounded.ending(None, 1, list).await;
    let answer = ended.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(answer["status"], "complete", "{answer:#}");
    let snapshot = bounded.world.published().expect("published");
    let dataset = &snapshot.manifest["datasets"][list];
    assert_eq!(dataset["status"], "drifted");
    assert_eq!(dataset["source_count"]["after"], 20);
    assert_eq!(snapshot.ids(list).len(), 19);
}

/// Every row is there once. This many rows that were read before were discarded.
fn assert_read_again(snapshot: &Snapshot, sandbox: &Sandbox, list: &str, discarded: u64) {
    let (mut held, mut there) = (snapshot.ids(list), sandbox.ids(list));
    held.sort_unstable();
    there.sort_unstable();
    assert!(held == there, "{} rows of {}", held.len(), there.len());
    let dataset = &snapshot.manifest["datasets"][list];
    assert_eq!(
        (&dataset["status"], &dataset["rows_repaired"]),
        (&"verified".into(), &discarded.into())
    );
}

/// Whenever some rows of a list without an order have been read, all of them are replaced:
/// alternately after the first page and after the second. The list is requested once more each time
/// the number of rows is higher than ever before, and then left out.
#[tokio::test(start_paused = true)]
async fn a_failing_list_is_not_retried_forever() {
    let list = "allowlist_identifiers";
    let sandbox = plain(0, 0, 0);
    let replace = move |sandbox: &Sandbox| {
        for id in sandbox.ids(list) {
            sandbox.delete(list, &id);
        }
        for number in 0..1600 {
            sandbox.add_sample(list, every_second(number)).expect("there is a sample");
        }
    };
    replace(&sandbox);
    let (begun, offset_before) = (AtomicU64::new(0), AtomicU64::new(0));
    let change = move |sandbox: &Sandbox, request: &LoggedRequest, _| {
        let number_of = |name: &str| {
            let (_, value) = request.query.iter().find(|(other, _)| other == name)?;
            value.parse::<u64>().ok()
        };
        if request.path != "/v1/allowlist_identifiers" || number_of("limit") != Some(500) {
            return;
        }
        let offset = number_of("offset").unwrap_or_default();
        // A pager that lost its position looks for it as far back as the first row, and then starts
        // again.
        if offset == 0 && offset_before.swap(offset, Ordering::SeqCst) == 0 {
            begun.fetch_add(1, Ordering::SeqCst);
        }
        offset_before.store(offset, Ordering::SeqCst);
        let is_longer = begun.load(Ordering::SeqCst) / 2 % 2 == 0;
        if offset > if is_longer { 900 } else { 400 } {
            replace(sandbox);
        }
    };
    // One page after the other, so that the pages read are those that were requested.
    let world = alone(&sandbox, list).with("MAX_CONCURRENCY", "1");
    let bounded = Bounded::new(world, 200, change);
    let captured = Captured::start();
    let (_, ended) = bounded.ending(None, 1, list).await;
    let answer = ended.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(answer["status"], "complete", "{answer:#}");
    let snapshot = bounded.world.published().expect("published");
    assert_eq!(snapshot.manifest["datasets"][list]["status"], "failed");
    let asked_again = captured.text().matches("asking once more").count();
    assert_eq!(asked_again, 2, "for 500 rows, and for 1000");
}

/// The checkpoint is always refused and always ours, under ever changing versions.
#[tokio::test(start_paused = true)]
async fn a_store_that_changes_its_versions_is_not_written_to_forever() {
    let mut world = alone(&plain(3, 0, 0), "users");
    let inner = Arc::clone(&world.memory) as Arc<dyn Store>;
    world.store = FaultyStore::new(ChangingVersions::around(inner));
    let on_checkpoint = |operation| {
        Fault::new(operation, faulty_store::Effect::RefusePrecondition).on_key(CHECKPOINT_KEY)
    };
    // Every write but the first one, which creates it.
    world.store.fault(on_checkpoint(Operation::Put).from(2));
    // An endless loop fails the test.
    world.store.fault(on_checkpoint(Operation::Get).from(1000));
    let error = ends(&world, json!({})).await.expect_err("nothing can be stored");
    assert_eq!(error.name(), "StoreUnavailable", "{error}");
    let calls = world.store.calls().into_iter();
    let reads =
        calls.filter(|call| call.operation == Operation::Get && call.key == CHECKPOINT_KEY).count();
    assert!((4..30).contains(&reads), "{reads} reads");
}
