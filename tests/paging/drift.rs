//! Promises 1 and 2: a row that stays put is in the snapshot exactly once, whatever is inserted or
//! deleted around it while it is read. However a server ends, shortens or miscounts a list, no rows
//! go missing and no wrong snapshot is `verified`.

use std::time::Duration;

use clerk_sandbox::{ChurnPlan, DeletedCursor, Effect, FaultRule, Rules, Sandbox};
use serde_json::{Value, json};

use crate::support::pieces::{complete, complete_in_pieces, ends};
use crate::support::plain::{
    FIRST, add, add_memberships, before_request, every_second, fill, plain,
};
use crate::support::snapshot::Snapshot;
use crate::support::source::{Source, membership_ids};
use crate::support::world::World;

const DELETED_CURSORS: [DeletedCursor; 4] = [
    DeletedCursor::Refused,
    DeletedCursor::Continues,
    DeletedCursor::EmptyPage,
    DeletedCursor::FirstPage,
];

/// Rows of a list that takes three pages.
const ROWS: usize = 1200;

/// A world in which a request takes ten milliseconds.
fn world(sandbox: &Sandbox) -> World {
    World::new(sandbox.clone()).with("CLERK_REQUESTS_PER_10S", "1000").with("COMPRESSION", "none")
}

/// The most requests that an undisturbed run needs: a count, every page, and for every page one
/// that overlaps or confirms an end.
fn fewest_requests(sandbox: &Sandbox) -> u64 {
    let lists = [
        "users",
        "organizations",
        "organization_roles",
        "organization_permissions",
        "organization_memberships",
    ];
    4 + lists.iter().map(|list| 1 + sandbox.count(list) as u64 / 499).sum::<u64>()
}

/// Changes may cost requests, but no more than this: for each list, a few rounds of finding the
/// position that moved and reading it again.
fn most_requests(sandbox: &Sandbox) -> u64 {
    10 * fewest_requests(sandbox) + 200
}

fn behaving(sandbox: Sandbox, deleted_cursor: DeletedCursor) -> Sandbox {
    sandbox.set_rules(Rules { deleted_cursor, ..Rules::default() });
    sandbox
}

// Changes without end, at every page, in every list.

fn churning(seed: u64) -> Sandbox {
    let sandbox = behaving(plain(ROWS, 60, ROWS), DELETED_CURSORS[seed as usize % 4]);
    sandbox.churn(ChurnPlan {
        seed,
        inserts: 1 + seed as usize % 3,
        deletes: 1 + seed as usize % 4,
        backdate_one_in: 1 + seed as u32 % 5,
        ..ChurnPlan::default()
    });
    sandbox
}

#[tokio::test(start_paused = true)]
async fn no_row_that_stays_put_is_lost_or_doubled_while_everything_around_it_changes() {
    for seed in 0..16 {
        fastrand::seed(seed);
        let what = format!("seed {seed}");
        let sandbox = churning(seed);
        let source = Source::of(&sandbox);
        let most = most_requests(&sandbox);
        let snapshot = complete(&world(&sandbox), &what).await;
        source.assert_kept_by(&snapshot, &what);
        assert!(sandbox.total_requests() <= most, "{what}: {} requests", sandbox.total_requests());
    }
}

#[tokio::test(start_paused = true)]
async fn interruptions_during_changes_lose_and_double_no_row() {
    for seed in 0..8 {
        fastrand::seed(seed);
        let what = format!("seed {seed}");
        let sandbox = churning(seed);
        let source = Source::of(&sandbox);
        let most = most_requests(&sandbox);
        let (invocations, snapshot) =
            complete_in_pieces(&world(&sandbox), 0.02 * (seed + 1) as f64, &what).await;
        assert!(invocations > 1, "{what}: nothing was interrupted");
        source.assert_kept_by(&snapshot, &what);
        // Each requests the instance, and continues at most two lists where it stopped.
        let most = most + 10 * invocations as u64;
        assert!(sandbox.total_requests() <= most, "{what}: {} requests", sandbox.total_requests());
    }
}

/// Promise 6: rows that appear as fast as they can be read are eventually left for the next
/// snapshot.
#[tokio::test(start_paused = true)]
async fn a_list_that_grows_with_every_request_is_not_followed_forever() {
    for seed in 0..48 {
        fastrand::seed(seed);
        let what = format!("seed {seed}");
        let sandbox = behaving(plain(seed as usize % 3, 12, 0), DELETED_CURSORS[seed as usize % 4]);
        sandbox.churn(ChurnPlan {
            seed,
            inserts: 2,
            deletes: 1,
            backdate_one_in: 0,
            ..ChurnPlan::default()
        });
        let source = Source::of(&sandbox);
        let most = most_requests(&sandbox);
        let snapshot = complete(&world(&sandbox), &what).await;
        source.assert_kept_by(&snapshot, &what);
        assert!(sandbox.total_requests() <= most, "{what}: {} requests", sandbox.total_requests());
    }
}

/// Changes that end before the last list is read are followed by a snapshot that agrees with Clerk.
#[tokio::test(start_paused = true)]
async fn changes_that_end_in_time_leave_a_verified_snapshot() {
    for seed in 0..8 {
        fastrand::seed(seed);
        let what = format!("seed {seed}");
        let sandbox = churning(seed);
        sandbox.churn(ChurnPlan { seed, last_page: 3, ..ChurnPlan::default() });
        let source = Source::of(&sandbox);
        let snapshot = complete(&world(&sandbox), &what).await;
        source.assert_kept_by(&snapshot, &what);
        assert_eq!(snapshot.manifest["verified"], true, "{what}");
        assert_eq!(snapshot.ids("users").len(), sandbox.count("users"), "{what}");
        assert_eq!(snapshot.ids("organizations").len(), sandbox.count("organizations"), "{what}");
        assert_eq!(
            membership_ids(&snapshot).len(),
            sandbox.count("organization_memberships"),
            "{what}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_does_not_change_needs_no_repair() {
    let sandbox = plain(ROWS, 60, ROWS);
    let snapshot = complete(&world(&sandbox), "no change").await;
    assert_same(&snapshot, &sandbox, "users", "no change");
    assert_same(&snapshot, &sandbox, "organizations", "no change");
    assert_same(&snapshot, &sandbox, "organization_memberships", "no change");
    for (name, dataset) in snapshot.manifest["datasets"].as_object().unwrap() {
        assert_eq!(dataset["status"], "verified", "{name}");
        assert_eq!(dataset["duplicates_dropped"], 0, "{name}");
        assert_eq!(dataset["rows_repaired"], 0, "{name}");
        assert_eq!(dataset["source_count"]["before"], dataset["source_count"]["after"], "{name}");
    }
    assert!(sandbox.total_requests() <= fewest_requests(&sandbox));
    assert_eq!(sandbox.violations(), []);
}

// One change at one page of one list.

/// A list read alone: the resource that is opted in, and the dataset of its rows.
const ALONE: [(&str, &str, &str); 3] = [
    ("users", "/v1/users", "users"),
    ("organizations", "/v1/organizations", "organizations"),
    ("organization_memberships", "/v1/organization_memberships", "grants"),
];

fn alone(sandbox: &Sandbox, list: &str) -> World {
    world(sandbox).with("RESOURCES", list)
}

/// An instance in which this list has `ROWS` rows.
fn with_rows_of(list: &str) -> Sandbox {
    match list {
        "users" => plain(ROWS, 0, 0),
        "organizations" => plain(0, ROWS, 0),
        _ => plain(200, 10, ROWS),
    }
}

/// How many rows have been read before this page is requested.
fn rows_read(list: &str, page: usize) -> usize {
    match list {
        "users" => (page - 1) * 500,
        // Pages by offset overlap by one row.
        _ => (page - 1) * 499 + 1,
    }
}

fn rows_in(snapshot: &Snapshot, list: &str) -> Vec<String> {
    match list {
        "organization_memberships" => membership_ids(snapshot),
        list => snapshot.ids(list),
    }
}

/// The snapshot equals the list as it is now, in order.
fn assert_same(snapshot: &Snapshot, sandbox: &Sandbox, list: &str, what: &str) {
    let (rows, there) = (rows_in(snapshot, list), sandbox.ids(list));
    let differ = rows.iter().zip(&there).find(|(row, there)| row != there);
    assert!(
        rows == there,
        "{what}: {} rows of {list} instead of {}, differing from {differ:?} on",
        rows.len(),
        there.len()
    );
}

/// Deletes rows by their index in the list.
fn delete(sandbox: &Sandbox, list: &str, rows: std::ops::Range<usize>) {
    let ids = sandbox.ids(list);
    for id in &ids[rows.start.min(ids.len())..rows.end.min(ids.len())] {
        assert!(sandbox.delete(list, id));
    }
}

fn insert(sandbox: &Sandbox, list: &str, created_at: i64) {
    if list == "organization_memberships" {
        let free = add_free_user(sandbox);
        let organization = &sandbox.ids("organizations")[0];
        sandbox.add_membership(organization, &free, "org:admin", created_at).unwrap();
    } else {
        add(sandbox, list, &format!("late_{}", sandbox.history().len()), created_at);
    }
}

fn add_free_user(sandbox: &Sandbox) -> String {
    let id = format!("free_{}", sandbox.history().len());
    add(sandbox, "users", &id, FIRST);
    id
}

/// A change of a list: its description, and a function that is given the number of rows read so
/// far.
type Disturbance = (&'static str, fn(&Sandbox, &str, usize));

const DISTURBANCES: &[Disturbance] = &[
    ("a row is added at the end", |sandbox, list, _| {
        insert(sandbox, list, every_second(ROWS));
    }),
    ("a page of rows is added at the end", |sandbox, list, _| {
        (0..500).for_each(|number| insert(sandbox, list, every_second(ROWS + number)));
    }),
    ("a row is backdated to the beginning", |sandbox, list, _| {
        insert(sandbox, list, FIRST - 1);
    }),
    ("a row is backdated to the middle of what was read", |sandbox, list, read| {
        insert(sandbox, list, every_second(read / 2) + 1);
    }),
    ("a row is backdated to the current position", |sandbox, list, read| {
        insert(sandbox, list, every_second(read - 1) + 1);
    }),
    ("a row is backdated to what is still to be read", |sandbox, list, read| {
        insert(sandbox, list, every_second(read + 100) + 1);
    }),
    ("the first row is deleted", |sandbox, list, _| delete(sandbox, list, 0..1)),
    ("the last row read is deleted", |sandbox, list, read| delete(sandbox, list, read - 1..read)),
    ("the last three rows read are deleted", |sandbox, list, read| {
        delete(sandbox, list, read - 3..read);
    }),
    ("more of the last rows read than are remembered are deleted", |sandbox, list, read| {
        delete(sandbox, list, read - 60..read);
    }),
    ("everything read is deleted", |sandbox, list, read| delete(sandbox, list, 0..read)),
    ("rows around the current position are deleted", |sandbox, list, read| {
        delete(sandbox, list, read - 30..read + 30);
    }),
    ("the next row is deleted", |sandbox, list, read| delete(sandbox, list, read..read + 1)),
    ("everything not yet read is deleted", |sandbox, list, read| {
        delete(sandbox, list, read..usize::MAX);
    }),
    ("everything is deleted", |sandbox, list, _| delete(sandbox, list, 0..usize::MAX)),
];

/// One change, after which the instance does not change: the snapshot equals it.
async fn assert_followed(
    list: &'static str,
    path: &'static str,
    dataset: &str,
    deleted_cursor: DeletedCursor,
    page: usize,
    (name, change): Disturbance,
) {
    fastrand::seed(7);
    let what = format!("{list}, before page {page}, {deleted_cursor:?}: {name}");
    let sandbox = behaving(with_rows_of(list), deleted_cursor);
    let (source, most) = (Source::of(&sandbox), most_requests(&sandbox));
    let read = rows_read(list, page);
    before_request(&sandbox, path, page as u64, move |sandbox| change(sandbox, list, read));
    let snapshot = complete(&alone(&sandbox, list), &what).await;
    source.assert_kept_by(&snapshot, &what);
    assert!(!sandbox.history().is_empty(), "{what}: nothing was changed");
    assert_same(&snapshot, &sandbox, list, &what);
    let entry = &snapshot.manifest["datasets"][dataset];
    assert_eq!(entry["status"], "verified", "{what}");
    assert_eq!(entry["source_count"]["after"], sandbox.count(list), "{what}");
    assert!(
        entry["rows_repaired"].as_u64().unwrap() <= 12 * ROWS as u64,
        "{what}: more is repaired than there is: {entry:#}"
    );
    assert!(sandbox.total_requests() <= most, "{what}: {} requests", sandbox.total_requests());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_users_is_followed() {
    let (list, path, dataset) = ALONE[0];
    for &disturbance in DISTURBANCES {
        for page in 2..=3 {
            assert_followed(list, path, dataset, DeletedCursor::Refused, page, disturbance).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn users_are_followed_however_a_deleted_cursor_is_answered() {
    let (list, path, dataset) = ALONE[0];
    let deletes = |(name, _): &&Disturbance| name.ends_with("deleted");
    for &disturbance in DISTURBANCES.iter().filter(deletes) {
        for deleted_cursor in &DELETED_CURSORS[1..] {
            assert_followed(list, path, dataset, *deleted_cursor, 3, disturbance).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_organizations_is_followed() {
    let (list, path, dataset) = ALONE[1];
    for &disturbance in DISTURBANCES {
        for page in 2..=3 {
            assert_followed(list, path, dataset, DeletedCursor::Refused, page, disturbance).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_memberships_is_followed() {
    let (list, path, dataset) = ALONE[2];
    for &disturbance in DISTURBANCES {
        for page in 2..=3 {
            assert_followed(list, path, dataset, DeletedCursor::Refused, page, disturbance).await;
        }
    }
}

/// Rows that are read again because of a backdated row are counted, and only the rows around it are
/// read.
#[tokio::test(start_paused = true)]
async fn rows_read_again_are_few_and_counted() {
    let sandbox = plain(ROWS, 0, 0);
    before_request(&sandbox, "/v1/users", 3, |sandbox| {
        insert(sandbox, "users", every_second(300) + 1);
    });
    let snapshot = complete(&alone(&sandbox, "users"), "one backdated row").await;
    let repaired = snapshot.manifest["datasets"]["users"]["rows_repaired"].as_u64().unwrap();
    assert!((1..=501).contains(&repaired), "{repaired} rows were read again");
}

// Ties.

/// `created_at` of a list in which all but the first and last 250 rows were created at the same
/// time.
fn tied(number: usize) -> i64 {
    every_second(number.clamp(250, ROWS - 250))
}

fn with_ties(list: &'static str, created_at: impl Fn(usize) -> i64 + Copy) -> Sandbox {
    let sandbox = match list {
        "organization_memberships" => plain(200, 10, 0),
        _ => plain(0, 0, 0),
    };
    match list {
        "organization_memberships" => add_memberships(&sandbox, ROWS, created_at),
        list => fill(&sandbox, list, ROWS, created_at),
    }
    sandbox
}

#[tokio::test(start_paused = true)]
async fn rows_created_at_the_same_time_are_each_there_once() {
    let all_at_once = |_| FIRST;
    for (list, _, _) in ALONE {
        for sandbox in [with_ties(list, tied), with_ties(list, all_at_once)] {
            let snapshot = complete(&alone(&sandbox, list), list).await;
            assert_same(&snapshot, &sandbox, list, "ties");
            assert_eq!(snapshot.manifest["verified"], true, "{list}");
        }
    }
}

/// Deletions at the current position, among more rows of one time than a page holds.
#[tokio::test(start_paused = true)]
async fn deletions_within_a_tie_lose_and_double_nothing() {
    for (list, path, _) in ALONE {
        // Only users are read by cursor.
        let cursors = if list == "users" { &DELETED_CURSORS[..] } else { &DELETED_CURSORS[..1] };
        for &deleted_cursor in cursors {
            for (gone, page) in [(1, 2), (3, 2), (30, 2), (60, 3), (200, 3)] {
                fastrand::seed(7);
                let what = format!("{list}, page {page}, {deleted_cursor:?}, {gone} rows deleted");
                let sandbox = behaving(with_ties(list, tied), deleted_cursor);
                let (source, most) = (Source::of(&sandbox), most_requests(&sandbox));
                before_request(&sandbox, path, page as u64, move |sandbox| {
                    let read = rows_read(list, page);
                    delete(sandbox, list, read - gone..read);
                });
                let snapshot = complete(&alone(&sandbox, list), &what).await;
                source.assert_kept_by(&snapshot, &what);
                let requests = sandbox.total_requests();
                assert!(requests <= most, "{what}: {requests} requests");
            }
        }
    }
}

/// As many rows appear among those already read as are deleted from them, so that the count does
/// not change. Others appear at the current position, before or after the last row read.
#[tokio::test(start_paused = true)]
async fn changes_that_cancel_each_other_in_the_count_lose_and_double_nothing() {
    for (list, path, _) in ALONE {
        for how_many in [1, 2, 40] {
            for (page, behind) in [(2, 0), (3, 0), (2, 51), (3, 51)] {
                fastrand::seed(7);
                let what = format!("{list}, page {page}, {how_many} rows, {behind} behind");
                let sandbox = with_rows_of(list);
                let source = Source::of(&sandbox);
                before_request(&sandbox, path, page as u64, move |sandbox| {
                    let read = rows_read(list, page);
                    delete(sandbox, list, read - how_many..read);
                    let place = every_second(read - how_many - 1 + behind);
                    for number in 0..how_many as i64 {
                        insert(sandbox, list, FIRST - 1 - number);
                        insert(sandbox, list, place + 1 + number);
                    }
                });
                let snapshot = complete(&alone(&sandbox, list), &what).await;
                source.assert_kept_by(&snapshot, &what);
            }
        }
    }
}

// Servers that page differently than they should.

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_the_cursor_is_noticed_and_read_another_way() {
    for created_at in [every_second, tied, |_| FIRST] {
        let sandbox = with_ties("users", created_at);
        sandbox.fault(FaultRule::on("/v1/users").ignore_cursor());
        let snapshot = complete(&alone(&sandbox, "users"), "ignored cursor").await;
        assert_same(&snapshot, &sandbox, "users", "ignored cursor");
        assert_eq!(snapshot.manifest["verified"], true);
        assert!(sandbox.total_requests() <= fewest_requests(&sandbox));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_the_cursor_is_read_another_way() {
    for first in 1..=3 {
        let sandbox = plain(ROWS, 0, 0);
        sandbox.fault(FaultRule::on("/v1/users").refuse_cursor().calls(first, u64::MAX));
        let snapshot = complete(&alone(&sandbox, "users"), "refused cursor").await;
        assert_same(&snapshot, &sandbox, "users", "refused cursor");
        assert_eq!(snapshot.manifest["verified"], true);
        assert!(sandbox.total_requests() <= fewest_requests(&sandbox) + 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_forgets_the_cursor_in_the_middle_is_noticed() {
    for first in 1..=3 {
        let sandbox = plain(ROWS, 0, 0);
        let rule = FaultRule::on("/v1/users").with_parameter("starting_after");
        sandbox.fault(rule.ignore_cursor().calls(first, u64::MAX));
        let snapshot = complete(&alone(&sandbox, "users"), "forgotten cursor").await;
        assert_same(&snapshot, &sandbox, "users", "forgotten cursor");
        assert_eq!(snapshot.manifest["verified"], true);
    }
}

/// A page that is shorter than its position in the list allows is never the last one.
#[tokio::test(start_paused = true)]
async fn short_pages_in_the_middle_are_not_the_end() {
    for (list, path, _) in ALONE {
        for page in 1..=3 {
            for rows in [0, 1, 137, 499] {
                fastrand::seed(7);
                let what = format!("{list}: page {page} has {rows} rows");
                let sandbox = with_rows_of(list);
                sandbox.fault(FaultRule::on(path).call(page).truncate_page(rows));
                let snapshot = complete(&alone(&sandbox, list), &what).await;
                assert_same(&snapshot, &sandbox, list, &what);
                assert_eq!(snapshot.manifest["verified"], true, "{what}");
                let requests = sandbox.total_requests();
                assert!(requests <= fewest_requests(&sandbox) + 10, "{what}: {requests} requests");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_silently_capped_are_read_to_the_end() {
    for (list, path, _) in ALONE {
        for cap in [10, 100] {
            fastrand::seed(7);
            let what = format!("{list}: at most {cap} rows a page");
            let sandbox = with_rows_of(list);
            sandbox.fault(FaultRule::on(path).truncate_page(cap));
            let snapshot = complete(&alone(&sandbox, list), &what).await;
            assert_same(&snapshot, &sandbox, list, &what);
            assert_eq!(snapshot.manifest["verified"], true, "{what}");
            // Each page overlaps by one row, and each may be requested twice.
            let most = 2 * (ROWS / (cap - 1)) as u64 + 20;
            let requests = sandbox.total_requests();
            assert!(requests <= most, "{what}: {requests} requests");
        }
    }
}

/// Two pages that each leave out a row never overlap: the pager goes back to known rows, finds
/// them, and gets no further. It reports an error instead of repeating that.
#[tokio::test(start_paused = true)]
async fn pages_that_never_overlap_are_an_error() {
    let sandbox = Sandbox::empty();
    sandbox.add_role("org:admin", "Admin", &[], 1);
    sandbox.add_role("org:member", "Member", &[], 2);
    sandbox.fault(FaultRule::on("/v1/organization_roles").effect(Effect::HideRow(1)));
    let world = World::new(sandbox.clone()).with("RESOURCES", "organization_roles");
    let ended = tokio::time::timeout(Duration::from_secs(3600), world.sync()).await;
    let error = ended.expect("it ends").expect_err("a row is hidden");
    assert_eq!(error.name(), "ClerkProtocol", "{error:?}");
    assert!(error.message().contains("/organization_roles"), "{}", error.message());
    assert!(world.published().is_none());
    assert!(sandbox.total_requests() < 300, "{} requests", sandbox.total_requests());
}

/// The path that states the size of a list.
fn counting_path(list: &str, path: &'static str) -> &'static str {
    if list == "users" { "/v1/users/count" } else { path }
}

/// A count that is always wrong: nothing is lost, and nothing is called verified.
#[tokio::test(start_paused = true)]
async fn a_wrong_count_never_shortens_a_list() {
    for (list, path, dataset) in ALONE {
        // By offset 999 rows fill a page exactly, and by cursor 1000 do: with one row more, the
        // last row comes after a full page.
        for (rows, shift) in [
            (ROWS, 1),
            (ROWS, -1),
            (ROWS, 700),
            (ROWS, -700),
            (ROWS, -(ROWS as i64)),
            (1000, -1),
            (1001, -1),
            (1001, -2),
            (501, -1),
        ] {
            fastrand::seed(7);
            let what = format!("{list}: {rows} rows, count off by {shift}");
            let sandbox = with_rows_of(list);
            delete(&sandbox, list, rows..usize::MAX);
            let most = most_requests(&sandbox);
            sandbox
                .fault(FaultRule::on(counting_path(list, path)).effect(Effect::ShiftTotal(shift)));
            let world = alone(&sandbox, list);
            match ends(&world, json!({})).await {
                Ok(answer) => {
                    assert_eq!(answer["status"], "complete", "{what}: {answer:#}");
                    let snapshot = world.published().expect("published");
                    assert_same(&snapshot, &sandbox, list, &what);
                    let entry = &snapshot.manifest["datasets"][dataset];
                    assert_eq!(entry["status"], "drifted", "{what}");
                    assert_eq!(snapshot.manifest["verified"], false, "{what}");
                    let stated = rows as i64 + shift;
                    assert_eq!(entry["source_count"]["after"], stated, "{what}");
                }
                Err(error) => {
                    assert_eq!(error.name(), "ClerkProtocol", "{what}");
                    assert!(error.message().contains(&path[3..]), "{what}: {error}");
                    assert!(world.published().is_none(), "{what}");
                }
            }
            let requests = sandbox.total_requests();
            assert!(requests <= most, "{what}: {requests} requests");
        }
    }
}

/// A count that is wrong only for some requests: the snapshot is right, and verified.
#[tokio::test(start_paused = true)]
async fn a_count_that_is_wrong_for_a_while_is_survived() {
    for (list, path, _) in ALONE {
        for call in 1..=3 {
            for shift in [-1000, -1, 1, 1000] {
                fastrand::seed(7);
                let what = format!("{list}: count {call} is off by {shift}");
                let sandbox = with_rows_of(list);
                let rule = FaultRule::on(counting_path(list, path)).call(call);
                sandbox.fault(rule.effect(Effect::ShiftTotal(shift)));
                let snapshot = complete(&alone(&sandbox, list), &what).await;
                assert_same(&snapshot, &sandbox, list, &what);
                assert_eq!(snapshot.manifest["verified"], true, "{what}");
            }
        }
    }
}

/// The instance is emptied between two runs: the empty list is real, and its count says so.
#[tokio::test(start_paused = true)]
async fn an_empty_instance_is_a_verified_empty_snapshot() {
    let sandbox = Sandbox::empty();
    let snapshot = complete(&world(&sandbox), "empty").await;
    assert_eq!(snapshot.manifest["verified"], true);
    for (name, dataset) in snapshot.manifest["datasets"].as_object().unwrap() {
        assert_eq!(dataset["records"], 0, "{name}");
        assert_eq!(dataset["parts"], json!([]), "{name}");
        assert_eq!(dataset["status"], "verified", "{name}");
        assert_eq!(dataset["reason"], Value::Null, "{name}");
        assert_eq!(dataset["source_count"], json!({ "before": 0, "after": 0 }), "{name}");
    }
}

/// A server that shows a row of each page twice adds no second line.
#[tokio::test(start_paused = true)]
async fn a_row_that_a_page_repeats_is_there_once() {
    for (list, path, dataset) in ALONE {
        let sandbox = with_rows_of(list);
        sandbox.fault(FaultRule::on(path).effect(clerk_sandbox::Effect::RepeatRow(5)));
        let snapshot = complete(&alone(&sandbox, list), list).await;
        assert_same(&snapshot, &sandbox, list, list);
        let entry = &snapshot.manifest["datasets"][dataset];
        assert_eq!(entry["status"], "verified", "{list}");
        assert!(entry["duplicates_dropped"].as_u64() > Some(0), "{list}");
    }
}
