//! Promise: the principal and the resource of every grant are in the snapshot if their types are
//! opted in. A row that appeared during the run is fetched and inserted; if a row is gone, its
//! grants are left out and counted under `referential`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use clerk_sandbox::{ChurnPlan, Effect, FaultRule, Sandbox};
use clerk_store::Operation;
use serde_json::{Value, json};

use crate::support::faulty_store::{self, Fault};
use crate::support::pieces::{complete, complete_in_pieces, ends};
use crate::support::plain::{FIRST, add, before_request, every_second, plain};
use crate::support::snapshot::{Snapshot, unpacked};
use crate::support::source::{Source, assert_closed, membership_ids};
use crate::support::world::World;

/// Two pages of users and of memberships.
const USERS: usize = 600;
const ORGANIZATIONS: usize = 12;
const MEMBERSHIPS: usize = 700;

const MEMBERSHIPS_PATH: &str = "/v1/organization_memberships";

fn instance() -> Sandbox {
    plain(USERS, ORGANIZATIONS, MEMBERSHIPS)
}

fn world(sandbox: &Sandbox) -> World {
    World::new(sandbox.clone()).with("CLERK_REQUESTS_PER_10S", "1000").with("COMPRESSION", "none")
}

fn referential(snapshot: &Snapshot) -> (u64, u64) {
    let referential = &snapshot.manifest["referential"];
    let count = |name: &str| referential[name].as_u64().expect("a count");
    (count("dangling_principals"), count("dangling_resources"))
}

/// The creation times of rows that appear during the run.
const MOMENTS: [(&str, i64); 5] = [
    ("at the end", every_second(USERS) + 500),
    ("at the very beginning", FIRST - 1000),
    ("in the first page", every_second(100) + 1),
    ("at the time of another row", every_second(100)),
    ("in a later page", every_second(USERS - 20) + 1),
];

/// A new user and a new organization, with memberships that refer to them.
fn appear(sandbox: &Sandbox, created_at: i64) {
    add(sandbox, "users", "user_late", created_at);
    add(sandbox, "organizations", "org_late", created_at);
    let last = every_second(MEMBERSHIPS);
    let members = [
        ("organizations_000003", "user_late"),
        ("org_late", "users_000003"),
        ("org_late", "user_late"),
    ];
    for (number, (organization, user)) in members.iter().enumerate() {
        sandbox
            .add_membership(organization, user, "org:admin", last + number as i64)
            .expect("both are there");
    }
}

/// The snapshot equals the instance as it is now.
fn assert_equals(snapshot: &Snapshot, sandbox: &Sandbox, what: &str) {
    assert_eq!(snapshot.ids("users"), sandbox.ids("users"), "{what}");
    assert_eq!(snapshot.ids("organizations"), sandbox.ids("organizations"), "{what}");
    assert_eq!(membership_ids(snapshot), sandbox.ids("organization_memberships"), "{what}");
    assert_eq!(snapshot.manifest["verified"], true, "{what}");
    assert_eq!(referential(snapshot), (0, 0), "{what}");
    assert_closed(snapshot, what);
}

#[tokio::test(start_paused = true)]
async fn rows_that_appear_while_memberships_are_read_are_fetched_into_their_place() {
    for page in 1..=2 {
        for (name, created_at) in MOMENTS {
            let what = format!("{name}, before page {page} of the memberships");
            let sandbox = instance();
            before_request(&sandbox, MEMBERSHIPS_PATH, page, move |sandbox| {
                appear(sandbox, created_at);
            });
            let snapshot = complete(&world(&sandbox), &what).await;
            assert_equals(&snapshot, &sandbox, &what);
        }
    }
}

/// The same with interruptions: later invocations learn the ids of users and organizations from the
/// stored parts.
#[tokio::test(start_paused = true)]
async fn rows_that_appear_are_also_fetched_after_a_resume() {
    for (name, created_at) in MOMENTS {
        for seconds in [0.001, 0.015, 0.035] {
            let what = format!("{name}, {seconds} seconds each");
            let sandbox = instance();
            before_request(&sandbox, MEMBERSHIPS_PATH, 2, move |sandbox| {
                appear(sandbox, created_at);
            });
            let (invocations, snapshot) =
                complete_in_pieces(&world(&sandbox), seconds, &what).await;
            assert!(invocations > 2, "{what}: nothing was interrupted");
            assert_equals(&snapshot, &sandbox, &what);
        }
    }
}

/// Users are done before the first memberships are requested, so that a page of memberships is checked as it arrives.
fn with_users_done_first(sandbox: &Sandbox) {
    sandbox.fault(FaultRule::on("/v1/organizations").call(1).delay(Duration::from_secs(10)));
}

/// Where a list continues, and what is read again of it, follows from its segments in the checkpoint: each begins and
/// ends with the rows that it names, also after a row was inserted before all others, between two of them, or at the
/// time of the last one.
#[tokio::test(start_paused = true)]
async fn the_checkpoint_says_where_a_segment_with_an_inserted_row_begins_and_ends() {
    for created_at in [FIRST - 1000, every_second(100) + 1, every_second(499)] {
        let what = format!("a row of {created_at}");
        let sandbox = instance();
        with_users_done_first(&sandbox);
        before_request(&sandbox, MEMBERSHIPS_PATH, 2, move |sandbox| appear(sandbox, created_at));
        let world = world(&sandbox);
        // The run ends with all lists done, and is not published.
        let fault = Fault::new(Operation::Put, faulty_store::Effect::FailBefore);
        world.store.fault(fault.on_key("manifest.json"));
        let error = ends(&world, json!({})).await.expect_err("the manifest cannot be stored");
        assert_eq!(error.name(), "StoreUnavailable", "{what}: {error:?}");
        let stored: Value =
            serde_json::from_slice(&world.memory.objects()["checkpoint.json"]).expect("JSON");
        assert_ends(&world, &stored, "organizations", &what);
        let rows = assert_ends(&world, &stored, "users", &what);
        assert_eq!(rows, USERS as u64 + 1, "{what}");
        let users = &stored["lists"]["users"];
        assert_eq!(users["rows_repaired"], 1, "{what}: one row was inserted");
        // By cursor the offset counts the rows that are stored.
        assert_eq!(users["windows"][0]["place"]["offset"], rows, "{what}");
        assert_equals(&complete(&world, &what).await, &sandbox, &what);
    }
}

/// Every segment of a list begins and ends with the rows that the checkpoint names. Returns the number of rows of all
/// segments.
fn assert_ends(world: &World, stored: &Value, list: &str, what: &str) -> u64 {
    let objects = world.memory.objects();
    let snapshot_id = stored["snapshot_id"].as_str().expect("an id");
    let windows = stored["lists"][list]["windows"].as_array().expect("windows").iter();
    let segments = windows.flat_map(|window| window["stretches"].as_array().expect("segments"));
    let mut rows = 0;
    for segment in segments {
        let key = segment["parts"][list]["key"].as_str().expect("a key");
        let lines = unpacked(key, &objects[&format!("snapshots/{snapshot_id}/{key}")]);
        let rows_of_part = lines.lines().map(|line| {
            let row: Value = serde_json::from_str(line).expect("JSON");
            row["id"].clone()
        });
        let ids: Vec<Value> = rows_of_part.collect();
        // A key is the id and the creation time.
        assert_eq!(ids.first(), Some(&segment["first"][0]), "{what}: {list}");
        assert_eq!(ids.last(), Some(&segment["last"][0]), "{what}: {list}");
        assert_eq!(segment["rows"], ids.len(), "{what}: {list}");
        rows += ids.len() as u64;
    }
    rows
}

/// A server that ignores the ids, or lists a row twice, does not make a row appear twice.
#[tokio::test(start_paused = true)]
async fn no_row_but_those_asked_for_is_inserted() {
    for (effect, is_found) in
        [(Effect::IgnoreParameter("user_id".to_owned()), false), (Effect::RepeatRow(0), true)]
    {
        let what = format!("{effect:?}");
        let sandbox = instance();
        with_users_done_first(&sandbox);
        sandbox.fault(FaultRule::on("/v1/users").with_parameter("user_id").effect(effect));
        let source = Source::of(&sandbox);
        before_request(&sandbox, MEMBERSHIPS_PATH, 2, |sandbox| {
            appear(sandbox, every_second(100) + 1);
        });
        let snapshot = complete(&world(&sandbox), &what).await;
        let by_id = sandbox.requests().into_iter().filter(|it| it.parameter("user_id").is_some());
        assert_eq!(by_id.count(), 1, "{what}");
        source.assert_kept_by(&snapshot, &what);
        assert_eq!(snapshot.ids("users").contains(&"user_late".to_owned()), is_found, "{what}");
        // The user has two memberships.
        assert_eq!(referential(&snapshot), if is_found { (0, 0) } else { (2, 0) }, "{what}");
    }
}

/// More rows than fit into one request by id appear at once, some of them backdated.
#[tokio::test(start_paused = true)]
async fn many_rows_that_appear_at_once_are_all_fetched() {
    let sandbox = instance();
    before_request(&sandbox, MEMBERSHIPS_PATH, 2, |sandbox| {
        for number in 0..230 {
            let id = format!("user_late_{number}");
            let created_at = if number % 2 == 0 {
                every_second(2 * number) + 1
            } else {
                every_second(900 + number)
            };
            add(sandbox, "users", &id, created_at);
            let last = every_second(MEMBERSHIPS + number);
            sandbox.add_membership("organizations_000001", &id, "org:member", last).unwrap();
        }
    });
    let snapshot = complete(&world(&sandbox), "230 users").await;
    assert_equals(&snapshot, &sandbox, "230 users");
    let requests = sandbox.total_requests();
    assert!(requests < 40, "{requests} requests: they are fetched together, not one by one");
}

/// The time is up when a page arrives that refers to a row that is still to be fetched. So the page cannot be stored, but
/// every page before it is.
#[tokio::test(start_paused = true)]
async fn pages_before_a_row_that_cannot_be_fetched_in_time_are_stored() {
    // After this many pages, two are stored together.
    for page in 44..=47 {
        let what = format!("page {page}");
        let sandbox = plain(2_100, ORGANIZATIONS, 25_000);
        let world = world(&sandbox).with("MAX_CONCURRENCY", "1");
        let interrupt = world.interrupt.clone();
        // Every page but the first repeats a row.
        let rows_before = 1 + 499 * (page - 1);
        before_request(&sandbox, MEMBERSHIPS_PATH, page as u64, move |sandbox| {
            add(sandbox, "organizations", "org_late", FIRST - 1000);
            let in_the_page = every_second(rows_before + 100) + 1;
            sandbox.add_membership("org_late", "users_000003", "org:admin", in_the_page).unwrap();
            interrupt.send_replace(true);
        });
        let answer = ends(&world, json!({})).await.expect("an interrupted sync answers");
        assert_eq!(answer["status"], "partial", "{what}");
        let stored: Value =
            serde_json::from_slice(&world.memory.objects()["checkpoint.json"]).expect("JSON");
        let segments = &stored["lists"]["organization_memberships"]["windows"][0]["stretches"];
        let rows = segments.as_array().expect("segments").iter();
        let rows: u64 = rows.map(|segment| segment["rows"].as_u64().expect("a number")).sum();
        assert_eq!(rows, rows_before as u64, "{what}");
        // A list by offset is never divided into windows.
        let divisible = &stored["lists"]["organization_memberships"]["divisible"];
        assert_eq!(*divisible, json!(false), "{what}");
        world.interrupt.send_replace(false);
        assert_equals(&complete(&world, &what).await, &sandbox, &what);
    }
}

/// References are resolved only for types that are opted in.
#[tokio::test(start_paused = true)]
async fn types_that_are_not_opted_in_are_not_requested() {
    for (resources, unread) in [
        ("organization_memberships", ["/v1/users", "/v1/organizations"].as_slice()),
        ("organizations,organization_memberships", &["/v1/users"]),
        ("users,organization_memberships", &["/v1/organizations"]),
    ] {
        let sandbox = instance();
        before_request(&sandbox, MEMBERSHIPS_PATH, 2, |sandbox| {
            appear(sandbox, every_second(50) + 1)
        });
        insert_dangling(&sandbox, "user_never", "org_never", every_second(MEMBERSHIPS) + 60_000);
        let world = world(&sandbox).with("RESOURCES", resources);
        let snapshot = complete(&world, resources).await;
        for path in unread {
            assert_eq!(sandbox.request_count(path), 0, "{resources}: {path}");
        }
        assert_eq!(sandbox.request_count("/v1/users/count") > 0, resources.contains("users"));
        let (principals, organizations) = referential(&snapshot);
        assert_eq!(principals, u64::from(resources.contains("users")), "{resources}");
        assert_eq!(organizations, u64::from(resources.contains("organizations")), "{resources}");
        let there = sandbox.ids("organization_memberships");
        let expected =
            if principals + organizations > 0 { &there[..there.len() - 1] } else { &there };
        assert_eq!(membership_ids(&snapshot), expected, "{resources}");
    }
}

/// Three users sign up before the first page of memberships is requested, and three before the sixth, when the first
/// one is stored. Each becomes a member on a page that has not been requested. They sign up so many milliseconds apart,
/// and after the last three another one may, `alone`, who becomes a member of nothing.
fn with_members_who_sign_up_late(sandbox: &Sandbox, apart: i64, alone: bool) {
    sandbox.on_request(move |sandbox, request| {
        let page = match request.path.as_str() {
            MEMBERSHIPS_PATH => sandbox.request_count(MEMBERSHIPS_PATH) as usize,
            _ => return,
        };
        let Some((_, on_it)) = [(1, 10), (6, 2700)].into_iter().find(|it| it.0 == page) else {
            return;
        };
        let created_at = |number: i64| every_second(USERS + 10 * page) + apart * number;
        for number in 0..3 {
            let id = format!("user_late_{page}_{number}");
            add(sandbox, "users", &id, created_at(number));
            let joined = every_second(on_it) + 1 + number;
            sandbox
                .add_membership("organizations_000001", &id, "org:member", joined)
                .expect("both are there");
        }
        if alone && page == 6 {
            add(sandbox, "users", "user_without_memberships", created_at(3));
        }
    });
}

/// A server with short pages makes the list of users end too early, so that its last users are
/// fetched by id. The next reading lists them once more.
#[tokio::test(start_paused = true)]
async fn a_row_fetched_by_id_is_not_stored_again_when_its_list_is_read() {
    for seconds in [None, Some(0.015)] {
        let what = format!("{seconds:?} seconds each");
        let sandbox = plain(USERS, ORGANIZATIONS, 3000);
        // Every page behind a cursor but the first.
        let short = FaultRule::on("/v1/users").with_parameter("starting_after").calls(2, 5);
        sandbox.fault(short.effect(Effect::TruncatePage(1)));
        with_members_who_sign_up_late(&sandbox, 1000, false);
        let snapshot = match seconds {
            None => complete(&world(&sandbox), &what).await,
            Some(seconds) => complete_in_pieces(&world(&sandbox), seconds, &what).await.1,
        };
        assert_equals(&snapshot, &sandbox, &what);
    }
}

/// When the list is read further, a row that was fetched by id is not stored again, and every row that was not is
/// stored, whether or not a grant refers to it. The rows may all have been created at the same time.
#[tokio::test(start_paused = true)]
async fn new_rows_behind_those_fetched_by_id_are_stored_once() {
    for apart in [1000, 0] {
        let what = format!("{apart} ms apart");
        let sandbox = plain(USERS, ORGANIZATIONS, 3000);
        with_users_done_first(&sandbox);
        // The second page of users is the first one behind a cursor. When the list is read further, it seems to end
        // with the first new row, and the other two are fetched by id.
        let short = FaultRule::on("/v1/users").with_parameter("starting_after").call(2);
        sandbox.fault(short.effect(Effect::TruncatePage(1)));
        with_members_who_sign_up_late(&sandbox, apart, true);
        let snapshot = complete(&world(&sandbox), &what).await;
        let by_id = sandbox.requests().into_iter().filter(|it| it.parameter("user_id").is_some());
        assert_eq!(by_id.count(), 1, "{what}");
        assert_equals(&snapshot, &sandbox, &what);
    }
}

// Missing rows.

/// A membership that refers to a user or an organization that is in no list.
fn insert_dangling(sandbox: &Sandbox, user: &str, organization: &str, created_at: i64) {
    let mut row = sandbox.memberships().pop().expect("there are memberships");
    row["id"] = json!(format!("orgmem_of_{user}_in_{organization}"));
    row["created_at"] = json!(created_at);
    row["public_user_data"]["user_id"] = json!(user);
    row["organization"]["id"] = json!(organization);
    sandbox.insert("organization_memberships", row).expect("the id is new");
}

#[tokio::test(start_paused = true)]
async fn grants_of_missing_rows_are_counted_and_left_out() {
    let sandbox = instance();
    let kept = sandbox.ids("organization_memberships");
    // In the first page and in the last one.
    for created_at in [every_second(10) + 1, every_second(MEMBERSHIPS)] {
        let user = format!("user_gone_{created_at}");
        let organization = format!("org_gone_{created_at}");
        insert_dangling(&sandbox, &user, "organizations_000001", created_at);
        insert_dangling(&sandbox, "users_000001", &organization, created_at + 1);
    }
    let snapshot = complete(&world(&sandbox), "gone").await;
    assert_eq!(referential(&snapshot), (2, 2));
    assert_eq!(membership_ids(&snapshot), kept);
    assert_closed(&snapshot, "gone");
    let unresolved = &snapshot.manifest["referential"]["unresolved_role_keys"];
    assert_eq!(unresolved, &json!({}));
    assert_no_grant_of(&snapshot, "gone");
    // The rows agree with Clerk's count, which includes them, too.
    assert_eq!(snapshot.manifest["datasets"]["grants"]["status"], "verified");
    assert_eq!(snapshot.manifest["datasets"]["grants"]["source_count"]["after"], MEMBERSHIPS + 4);
}

fn assert_no_grant_of(snapshot: &Snapshot, name: &str) {
    let gone = |row: &&Value| {
        [&row["principal"]["id"], &row["resource"]["id"]]
            .iter()
            .any(|id| id.as_str().is_some_and(|id| id.contains(name)))
    };
    assert_eq!(snapshot.datasets["grants"].iter().find(gone), None);
}

/// A missing row is counted once, however often the run is interrupted, and the digests are those
/// of an uninterrupted run.
#[tokio::test(start_paused = true)]
async fn interruptions_change_neither_the_counts_nor_the_digests() {
    let sandbox = instance();
    insert_dangling(&sandbox, "user_gone", "organizations_000001", every_second(10) + 1);
    insert_dangling(&sandbox, "users_000001", "org_gone", every_second(600) + 1);
    let whole = complete(&world(&sandbox), "uninterrupted").await;
    assert_eq!(referential(&whole), (1, 1));
    for seconds in [0.001, 0.015, 0.035, 0.06] {
        let what = format!("{seconds} seconds each");
        let (_, snapshot) = complete_in_pieces(&world(&sandbox), seconds, &what).await;
        assert_eq!(referential(&snapshot), (1, 1), "{what}");
        assert_eq!(snapshot.digests(), whole.digests(), "{what}");
    }
}

/// A user appears, is referred to, and is deleted before it can be fetched.
#[tokio::test(start_paused = true)]
async fn a_row_that_vanishes_before_it_is_fetched_is_counted() {
    let sandbox = instance();
    sandbox.on_request(|sandbox, request| {
        let memberships = request.path == MEMBERSHIPS_PATH;
        if memberships && sandbox.row("users", "user_brief").is_none() {
            add(sandbox, "users", "user_brief", every_second(100) + 1);
            let last = every_second(MEMBERSHIPS);
            let organization = "organizations_000002";
            sandbox.add_membership(organization, "user_brief", "org:admin", last).unwrap();
        }
        if request.path == "/v1/users" && sandbox.row("users", "user_brief").is_some() {
            sandbox.delete("users", "user_brief");
        }
    });
    let snapshot = complete(&world(&sandbox), "brief").await;
    assert_closed(&snapshot, "brief");
    assert_no_grant_of(&snapshot, "user_brief");
    let (principals, resources) = referential(&snapshot);
    assert_eq!(resources, 0);
    assert!(principals <= 1, "{principals} counted");
    assert_eq!(snapshot.ids("users"), sandbox.ids("users"));
}

/// The first page of memberships refers to a new user, and the filters of windows stop working when that user is looked
/// for. A user of the same page is deleted meanwhile. Users are not read again without windows: that user would go, and the
/// page was checked against all users that were there. As many memberships are backdated as are deleted, so that the
/// counts agree.
#[tokio::test(start_paused = true)]
async fn no_user_of_a_page_in_memory_leaves_the_snapshot() {
    const MANY: usize = 10_300;
    let sandbox = plain(MANY, ORGANIZATIONS, 0);
    let join = |sandbox: &Sandbox, user: &str, number: usize| {
        let created_at = every_second(number);
        sandbox.add_membership("organizations_000001", user, "org:member", created_at).unwrap();
    };
    for number in 0..300 {
        join(&sandbox, &format!("users_{:06}", MANY - 1 - number), number);
    }
    let brief = format!("users_{:06}", MANY - 100);
    let deleted = brief.clone();
    // The users are done before the first memberships are requested.
    let organizations = FaultRule::on("/v1/organizations").delay(Duration::from_secs(60));
    sandbox.fault(organizations);
    let (asked_for_memberships, looked_for_users) = (AtomicBool::new(false), AtomicUsize::new(0));
    sandbox.on_request(move |sandbox, request| {
        let is_first = || !asked_for_memberships.swap(true, Ordering::SeqCst);
        if request.path == MEMBERSHIPS_PATH && is_first() {
            add(sandbox, "users", "user_late", every_second(MANY));
            join(sandbox, "user_late", 150);
            let windows = FaultRule::on("/v1/users").with_parameter("created_at_after");
            sandbox.fault(windows.status(422, "form_param_unknown"));
        }
        let has_answered = asked_for_memberships.load(Ordering::SeqCst);
        if request.path == "/v1/users"
            && has_answered
            && looked_for_users.fetch_add(1, Ordering::SeqCst) == 0
        {
            assert!(sandbox.delete("users", &deleted));
            join(sandbox, "users_000000", 10);
        }
    });
    let world = world(&sandbox);
    sandbox.set_latency(Duration::from_millis(50), Duration::ZERO);
    let snapshot = complete(&world, "read again").await;
    assert!(sandbox.row("users", &brief).is_none(), "the user was deleted meanwhile");
    assert!(snapshot.ids("users").contains(&"user_late".to_owned()));
    assert_closed(&snapshot, "read again");
}

// Users and organizations that are already in the snapshot stay there while it has grants of
// theirs.

/// A user with stored grants is deleted, and a backdated row next to it is fetched. As many
/// memberships are backdated as were deleted, so that the count does not change. The segment is
/// read again, and no row that grants refer to is lost.
#[tokio::test(start_paused = true)]
async fn reading_a_segment_again_keeps_the_rows_that_grants_refer_to() {
    for list in ["users", "organizations"] {
        let sandbox = instance();
        before_request(&sandbox, MEMBERSHIPS_PATH, 2, move |sandbox| {
            let read = &sandbox.ids("organization_memberships")[..500];
            assert!(sandbox.delete(list, &format!("{list}_000005")));
            let gone = |id: &&String| sandbox.row("organization_memberships", id).is_none();
            let vanished = read.iter().filter(gone).count();
            assert!(vanished > 0, "no grants are written");
            appear(sandbox, every_second(4) + 1);
            for number in 0..vanished {
                let user = format!("users_{:06}", 100 + number);
                let backdated = every_second(50 + number) + 1;
                sandbox.add_membership("org_late", &user, "org:member", backdated).unwrap();
            }
        });
        let source = Source::of(&sandbox);
        let snapshot = complete(&world(&sandbox), list).await;
        source.assert_kept_by(&snapshot, list);
        assert!(snapshot.ids("users").contains(&"user_late".to_owned()), "{list}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_grant_finds_its_user_and_organization_whatever_changes() {
    for seed in 0..12 {
        fastrand::seed(seed);
        let what = format!("seed {seed}");
        let sandbox = instance();
        sandbox.churn(ChurnPlan {
            seed,
            inserts: 3,
            deletes: 2,
            backdate_one_in: 2,
            ..ChurnPlan::default()
        });
        let source = Source::of(&sandbox);
        let snapshot = complete(&world(&sandbox), &what).await;
        source.assert_kept_by(&snapshot, &what);
    }
}

#[tokio::test(start_paused = true)]
async fn every_grant_finds_its_user_and_organization_despite_interruptions() {
    for seed in 0..8 {
        fastrand::seed(seed);
        let what = format!("seed {seed}");
        let sandbox = instance();
        sandbox.churn(ChurnPlan {
            seed,
            inserts: 2,
            deletes: 2,
            backdate_one_in: 2,
            ..ChurnPlan::default()
        });
        let source = Source::of(&sandbox);
        let (_, snapshot) = complete_in_pieces(&world(&sandbox), 0.05, &what).await;
        source.assert_kept_by(&snapshot, &what);
    }
}

/// The first role names a permission that is in no list.
fn with_a_permission_that_is_gone(world: &World) {
    world.sandbox.fault(FaultRule::on("/v1/organization_roles").effect(Effect::EditRow {
        row: 0,
        pointer: "/permissions/0/id".to_owned(),
        value: Some(json!("perm_gone")),
    }));
}

/// The number of grants of a permission.
fn grants_of(snapshot: &Snapshot, permission: &str) -> usize {
    let grants = snapshot.datasets["grants"].iter();
    grants.filter(|grant| grant["resource"]["id"] == permission).count()
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_counted_and_only_its_grant_is_left_out() {
    let world = World::of(3, 1, 2);
    let whole = world.complete().await;
    with_a_permission_that_is_gone(&world);
    let snapshot = world.complete().await;
    assert_eq!(grants_of(&snapshot, "perm_gone"), 0);
    assert_eq!(snapshot.datasets["grants"].len() + 1, whole.datasets["grants"].len());
    assert_eq!(snapshot.manifest["referential"]["dangling_resources"], 1);
    assert_eq!(snapshot.manifest["verified"], true);
}

/// The count of the roles was wrong, so they are read again, and one of them has been deleted since.
#[tokio::test(start_paused = true)]
async fn a_role_that_is_gone_when_the_roles_are_read_again_is_in_no_record() {
    let world = World::of(3, 2, 2);
    let roles = "/v1/organization_roles";
    world.sandbox.add_role("org:brief", "Brief", &[], world.sandbox.latest() + 1);
    let brief = world.sandbox.ids("organization_roles").pop().expect("there are roles");
    world.sandbox.fault(FaultRule::on(roles).call(1).effect(Effect::ShiftTotal(-1)));
    before_request(&world.sandbox, roles, 2, move |sandbox| {
        assert!(sandbox.delete("organization_roles", &brief));
    });
    let snapshot = world.complete().await;
    assert_eq!(snapshot.manifest["verified"], true);
    assert!(world.sandbox.request_count(roles) > 1, "the roles are read again");
    let named =
        snapshot.datasets.values().flatten().filter(|row| row.to_string().contains("org:brief"));
    assert_eq!(named.count(), 0);
}

/// Entitlements are made of the organizations and the roles, which are read for them even if they are not opted in.
#[tokio::test(start_paused = true)]
async fn entitlements_of_drifted_roles_are_drifted() {
    let world = World::of(3, 2, 2).with("RESOURCES", "organizations");
    world.sandbox.fault(FaultRule::on("/v1/organization_roles").effect(Effect::ShiftTotal(-1)));
    let snapshot = world.complete().await;
    assert_eq!(snapshot.manifest["datasets"]["organizations"]["status"], "verified");
    assert_eq!(snapshot.manifest["datasets"]["entitlements"]["status"], "drifted");
    assert_eq!(snapshot.manifest["verified"], false);
}

#[tokio::test(start_paused = true)]
async fn missing_permissions_are_not_counted_unless_opted_in() {
    let world = World::of(3, 1, 2).with("RESOURCES", "organization_roles");
    with_a_permission_that_is_gone(&world);
    let snapshot = world.complete().await;
    assert_eq!(grants_of(&snapshot, "perm_gone"), 1);
    assert_eq!(snapshot.manifest["referential"]["dangling_resources"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_appears_before_the_roles_are_read_is_fetched() {
    let world = World::of(3, 1, 2);
    let once = AtomicBool::new(false);
    world.sandbox.on_request(move |sandbox, request| {
        if request.path == "/v1/organization_roles" && !once.swap(true, Ordering::Relaxed) {
            let now = sandbox.latest() + 1;
            sandbox.add_permission("org:new:do", "Do", now);
            sandbox.add_role("org:newcomer", "Newcomer", &["org:new:do"], now);
        }
    });
    let snapshot = world.complete().await;
    let listed = &snapshot.datasets["organization_permissions"];
    let new = listed.iter().find(|it| it["profile"]["key"] == "org:new:do").expect("fetched");
    assert_eq!(grants_of(&snapshot, new["id"].as_str().unwrap()), 1);
    assert_eq!(snapshot.manifest["referential"]["dangling_resources"], 0);
    assert_eq!(snapshot.manifest["verified"], true);
}
