//! Promise: a run that continues with memberships gets back the ids of all users and organizations
//! without reading every part, a few objects at a time, with progress stored however small the
//! budget, and never from a file that was altered.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clerk_sandbox::{FaultRule, Sandbox};
use clerk_snapshot::digest::Sha256Hex;
use clerk_store::Operation;
use serde_json::{Value, json};

use crate::support::faulty_store::{Effect, Fault};
use crate::support::pieces::{complete, complete_in_pieces, ends};
use crate::support::plain::{add, before_request, every_second, plain};
use crate::support::snapshot::Snapshot;
use crate::support::source::{assert_closed, membership_ids};
use crate::support::world::World;

const MEMBERSHIPS: &str = "/v1/organization_memberships";
/// Enough for more than two files of ids, at ten users a part.
const USERS: usize = 900;
/// The most parts that are read before something is stored: those of one file, and those already
/// requested.
const MAX_PARTS_READ: usize = 32 + 16;

/// An instance in which every page is short, so that a small budget makes many parts.
fn instance() -> Sandbox {
    let sandbox = plain(USERS, 40, 300);
    shorten_pages(&sandbox);
    sandbox
}

fn shorten_pages(sandbox: &Sandbox) {
    for path in ["/v1/users", "/v1/organizations", MEMBERSHIPS] {
        sandbox.fault(FaultRule::on(path).truncate_page(10));
    }
}

fn world(sandbox: &Sandbox) -> World {
    World::new(sandbox.clone()).with("COMPRESSION", "none")
}

/// One invocation whose time is already up when it begins.
async fn smallest(world: &World) -> Value {
    ends(world, json!({ "time_budget_seconds": 0 })).await.expect("an answer")
}

fn checkpoint(world: &World) -> Value {
    let objects = world.memory.objects();
    serde_json::from_slice(&objects["checkpoint.json"]).expect("a checkpoint is JSON")
}

fn list<'a>(checkpoint: &'a Value, name: &str) -> &'a Value {
    &checkpoint["lists"][name]
}

fn parts_of_users(checkpoint: &Value) -> usize {
    let windows = list(checkpoint, "users")["windows"].as_array().expect("windows").iter();
    windows.map(|window| window["stretches"].as_array().expect("stretches").len()).sum()
}

fn files_of(checkpoint: &Value, name: &str) -> usize {
    list(checkpoint, name)["ids"].as_array().map_or(0, Vec::len)
}

fn files_of_users(checkpoint: &Value) -> usize {
    files_of(checkpoint, "users")
}

/// A run that has stored all users and organizations in as many parts as possible, and in which no
/// invocation had time to store ids.
async fn at_memberships(world: &World) {
    // Memberships do not begin without organizations, so no ids are read while users are read.
    world.sandbox.clear_faults();
    let late = FaultRule::on("/v1/organizations").delay(Duration::from_secs(24 * 60 * 60));
    world.sandbox.fault(late);
    shorten_pages(&world.sandbox);
    loop {
        let answer = smallest(world).await;
        assert_eq!(answer["status"], "partial", "{answer:#}");
        let checkpoint = checkpoint(world);
        let is_done = |name| list(&checkpoint, name)["stage"] == "verified";
        if is_done("users") {
            world.sandbox.clear_faults();
            shorten_pages(&world.sandbox);
        }
        if is_done("users") && is_done("organizations") {
            assert!(parts_of_users(&checkpoint) > 2 * 32, "{}", parts_of_users(&checkpoint));
            assert_eq!(files_of_users(&checkpoint), 0);
            return;
        }
    }
}

/// A run that has stored the ids of users in files, and still needs them: no membership is read.
async fn with_ids_in_files(world: &World) {
    at_memberships(world).await;
    while files_of_users(&checkpoint(world)) < 2 {
        smallest(world).await;
    }
    let lists = &checkpoint(world)["lists"];
    assert!(lists.get("organization_memberships").is_none(), "{lists:#}");
}

fn objects_of_ids(world: &World) -> BTreeMap<String, Bytes> {
    let objects = world.memory.objects();
    objects.into_iter().filter(|(key, _)| key.contains("/ids/")).collect()
}

/// How often objects with this text in their key were read, from the n-th call on.
fn reads(world: &World, from: usize, key_part: &str) -> usize {
    let calls = world.store.calls().split_off(from);
    calls
        .iter()
        .filter(|call| call.operation == Operation::Get && call.key.contains(key_part))
        .count()
}

/// The snapshot of an instance that does not change, read at once.
async fn expected() -> Snapshot {
    complete(&world(&instance()), "at once").await
}

fn assert_same(snapshot: &Snapshot, expected: &Snapshot, what: &str) {
    assert_eq!(snapshot.digests(), expected.digests(), "{what}");
    assert_eq!(snapshot.manifest["verified"], true, "{what}");
    let referential = &snapshot.manifest["referential"];
    assert_eq!(referential["dangling_principals"], 0, "{what}");
    assert_eq!(referential["dangling_resources"], 0, "{what}");
    assert_closed(snapshot, what);
}

#[tokio::test(start_paused = true)]
async fn the_smallest_budget_makes_progress_reading_ids_and_reads_no_part_twice() {
    let expected = expected().await;
    let world = world(&instance());
    at_memberships(&world).await;
    let (mut parts_read, mut invocations) = (0, 0);
    let parts = parts_of_users(&checkpoint(&world));
    let mut files = 0;
    loop {
        let from = world.store.calls().len();
        let answer = smallest(&world).await;
        let read = reads(&world, from, "/users/part-");
        assert!(read <= MAX_PARTS_READ, "{read} parts in one invocation");
        parts_read += read;
        invocations += 1;
        if answer["status"] == "complete" {
            break;
        }
        let stored = checkpoint(&world);
        let now = files_of(&stored, "users") + files_of(&stored, "organizations");
        let has_begun = stored["lists"].get("organization_memberships").is_some();
        assert!(now > files || has_begun, "invocation {invocations} stored nothing");
        files = now;
    }
    assert!(files >= 4 && invocations > 6, "{files} files, {invocations} invocations");
    // Parts that were requested when time was up are requested again.
    assert!(parts_read <= parts + 16 * files, "{parts_read} reads of {parts} parts");
    assert_same(&world.published().expect("published"), &expected, "smallest budgets");
}

#[tokio::test(start_paused = true)]
async fn ids_stored_in_files_are_read_from_them_alone() {
    let world = world(&instance());
    at_memberships(&world).await;
    while checkpoint(&world)["lists"].get("organization_memberships").is_none() {
        smallest(&world).await;
    }
    let from = world.store.calls().len();
    let answer = smallest(&world).await;
    assert_eq!(answer["status"], "partial", "{answer:#}");
    assert_eq!(reads(&world, from, "/users/part-"), 0);
    assert_eq!(reads(&world, from, "/ids/users-"), files_of_users(&checkpoint(&world)));
}

/// An invocation that reads many users stores their ids as it goes.
#[tokio::test(start_paused = true)]
async fn ids_are_stored_while_the_list_is_read() {
    let sandbox = instance();
    // Each page is stored by itself, because the rate is low.
    let world = world(&sandbox).with("MAX_CONCURRENCY", "1").with("CLERK_REQUESTS_PER_10S", "10");
    before_request(&sandbox, MEMBERSHIPS, 1, {
        let interrupt = world.interrupt.clone();
        move |_| {
            interrupt.send_replace(true);
        }
    });
    let answer = world.sync().await.expect("an answer");
    assert_eq!(answer["reason"], "interrupted", "{answer:#}");
    let stored = checkpoint(&world);
    let (files, parts) = (files_of_users(&stored), parts_of_users(&stored));
    assert_eq!(files, parts / 32, "{parts} parts");
    sandbox.on_request(|_, _| ());
    world.interrupt.send_replace(false);
    let from = world.store.calls().len();
    let snapshot = complete(&world, "continued").await;
    assert!(reads(&world, from, "/users/part-") < 32);
    assert_same(&snapshot, &expected().await, "continued");
}

/// Promise 2: an id that is missing from a file would make grants disappear.
#[tokio::test(start_paused = true)]
async fn a_file_of_ids_that_is_altered_or_gone_is_not_used() {
    let expected = expected().await;
    let world = world(&instance());
    with_ids_in_files(&world).await;
    let whole = world.memory.objects();
    let files = objects_of_ids(&world);
    let other = files.values().next_back().expect("there are files").clone();
    let of_users = || files.iter().filter(|(key, _)| key.contains("/ids/users-"));
    assert!(of_users().count() >= 2);
    type Damage = fn(&Bytes) -> Vec<u8>;
    let damages: [(&str, Damage); 4] = [
        ("a bit turned", |file| {
            let mut bytes = file.to_vec();
            *bytes.last_mut().expect("a file") ^= 1;
            bytes
        }),
        ("cut", |file| file[..file.len() - 8].to_vec()),
        ("empty", |_| Vec::new()),
        ("another's rows", |file| {
            // The same header, and ids of nobody.
            let end = file.iter().position(|&byte| byte == b'\n').expect("a header") + 1;
            [&file[..end], &vec![7; file.len() - end]].concat()
        }),
    ];
    for (what, damage) in damages {
        for (key, file) in of_users() {
            world.memory.plant(key, damage(file));
        }
        assert_complete_without_users(&world, &expected, what).await;
        restore(&world, &whole);
    }
    for (key, _) in of_users() {
        world.memory.take_away(key);
    }
    let from = world.store.calls().len();
    smallest(&world).await;
    assert!(reads(&world, from, "/users/part-") > 0, "the parts are read instead");
    smallest(&world).await;
    assert_same(&complete(&world, "gone").await, &expected, "gone");
    restore(&world, &whole);
    for (key, _) in of_users() {
        world.memory.plant(key, other.clone());
    }
    assert_complete_without_users(&world, &expected, "another file").await;
}

/// The run completes and asks Clerk for no user by id: an id that it did not know would look like a missing user.
async fn assert_complete_without_users(world: &World, expected: &Snapshot, what: &str) {
    let last = world.sandbox.last_request();
    assert_same(&complete(world, what).await, expected, what);
    let asked = world.sandbox.requests_since(last);
    let by_id: Vec<_> = asked.iter().filter(|it| it.parameter("user_id").is_some()).collect();
    assert!(by_id.is_empty(), "{what}: {by_id:?}");
}

/// An intact file of ids that has only one id of each part.
fn first_id_of_each_part(file: &[u8]) -> Vec<u8> {
    const HASH_BYTES: usize = 8;
    let end = file.iter().position(|&byte| byte == b'\n').expect("a header");
    let mut header: Value = serde_json::from_slice(&file[..end]).expect("JSON");
    let mut hashes = &file[end + 1..];
    let mut first = Vec::new();
    for part in header["parts"].as_array_mut().expect("parts") {
        let rows = part["rows"].as_u64().expect("a count") as usize;
        assert!(rows > 1, "there is nothing to leave out");
        first.extend_from_slice(&hashes[..HASH_BYTES]);
        hashes = &hashes[rows * HASH_BYTES..];
        part["rows"] = json!(1);
    }
    [header.to_string().as_bytes(), b"\n", &first].concat()
}

#[tokio::test(start_paused = true)]
async fn a_file_of_ids_that_is_incomplete_is_not_used() {
    let expected = expected().await;
    let world = world(&instance());
    with_ids_in_files(&world).await;
    for (key, file) in objects_of_ids(&world).iter().filter(|(key, _)| key.contains("/ids/users-"))
    {
        let less = first_id_of_each_part(file);
        let (before, now) = (Sha256Hex::of(file).to_string(), Sha256Hex::of(&less).to_string());
        world.memory.plant(&key.replace(&before[..16], &now[..16]), less);
        world.edit_checkpoint(|checkpoint| {
            for named in checkpoint["lists"]["users"]["ids"].as_array_mut().expect("files") {
                if *named == json!(before) {
                    *named = json!(now);
                }
            }
        });
    }
    assert_complete_without_users(&world, &expected, "less").await;
}

/// A file that is of no use is not looked for again: even the smallest budget gets past it.
#[tokio::test(start_paused = true)]
async fn a_file_of_ids_that_is_gone_is_forgotten() {
    let world = world(&instance());
    with_ids_in_files(&world).await;
    let gone = json!(Sha256Hex::of(b"a file that is gone").to_string());
    world.edit_checkpoint(|checkpoint| {
        let files = checkpoint["lists"]["users"]["ids"].as_array_mut().expect("files");
        files.insert(1, gone.clone());
    });
    smallest(&world).await;
    let stored = checkpoint(&world);
    let files = list(&stored, "users")["ids"].as_array().expect("files");
    assert!(files.len() >= 2 && !files.contains(&gone), "{files:?}");
    let (_, snapshot) = complete_in_pieces(&world, 0.0, "forgotten").await;
    assert_same(&snapshot, &expected().await, "forgotten");
}

/// Promise 8: a part is stored as soon as it is large, whatever the number of its pages, and large parts are read back
/// a few at a time.
#[tokio::test(start_paused = true)]
async fn large_parts_are_stored_at_once_and_read_a_few_at_a_time() {
    const LARGE: usize = 4_300_000;
    const MOST_BYTES_AT_ONCE: u64 = 16 * 1024 * 1024;
    let sandbox = plain(650, 12, 300);
    // Every page has nine new users, so these are in three successive pages, when several are stored together.
    for number in [400, 409, 418] {
        let large = |row: &mut Value| row["public_metadata"] = json!({ "text": "x".repeat(LARGE) });
        sandbox.update("users", &format!("users_{number:06}"), large).expect("it is there");
    }
    shorten_pages(&sandbox);
    // The users are done before the first memberships are requested.
    let late = FaultRule::on("/v1/organizations").call(1).delay(Duration::from_secs(10));
    sandbox.fault(late);
    let world = world(&sandbox).with("METADATA", "public");
    before_request(&sandbox, MEMBERSHIPS, 1, {
        let interrupt = world.interrupt.clone();
        move |_| {
            interrupt.send_replace(true);
        }
    });
    let answer = world.sync().await.expect("an answer");
    assert_eq!(answer["reason"], "interrupted", "{answer:#}");
    let stored = checkpoint(&world);
    assert_eq!(list(&stored, "users")["stage"], "verified");
    let windows = list(&stored, "users")["windows"].as_array().expect("windows").iter();
    let segments = windows.flat_map(|window| window["stretches"].as_array().expect("stretches"));
    let sizes = segments.map(|it| it["parts"]["users"]["bytes"].as_u64().expect("a size"));
    let largest = sizes.max().expect("there are parts");
    assert!(largest < 2 * LARGE as u64, "two large pages are in a part of {largest} bytes");
    assert!(parts_of_users(&stored) >= 32 + 8, "{} parts", parts_of_users(&stored));

    sandbox.on_request(|_, _| ());
    world.interrupt.send_replace(false);
    let from = world.store.calls().len();
    world.store.fault(Fault::new(Operation::Get, Effect::Hang).on_key("/users/part-").from(1));
    let synced = tokio::time::timeout(Duration::from_secs(10), world.sync()).await;
    assert!(synced.is_err(), "the store never answers: {synced:?}");
    let at_once = reads(&world, from, "/users/part-");
    assert!(at_once > 1, "{at_once} parts at once");
    assert!(at_once as u64 * largest <= MOST_BYTES_AT_ONCE, "{at_once} parts of {largest} bytes");
}

fn restore(world: &World, objects: &BTreeMap<String, Bytes>) {
    for key in world.memory.objects().keys() {
        world.memory.take_away(key);
    }
    for (key, bytes) in objects {
        world.memory.plant(key, bytes.clone());
    }
}

/// The ids in a file do not count for a part that was replaced since. Users who are inserted late,
/// and referred to again by a later invocation, are known to it.
#[tokio::test(start_paused = true)]
async fn rows_inserted_late_are_known_to_later_invocations() {
    let sandbox = instance();
    let asked = AtomicUsize::new(0);
    sandbox.on_request(move |sandbox, request| {
        if request.path != MEMBERSHIPS {
            return;
        }
        let number = asked.fetch_add(1, Ordering::SeqCst);
        let late = |number: usize| format!("late_{number}");
        let last = every_second(300 + number);
        match number {
            2 | 6 | 10 => {
                let backdated = every_second(40 * number) + 1;
                add(sandbox, "users", &late(number), backdated);
                let organization = "organizations_000001";
                sandbox.add_membership(organization, &late(number), "org:admin", last).unwrap();
            }
            8 | 12 | 16 => {
                let organization = "organizations_000002";
                sandbox.add_membership(organization, &late(number - 6), "org:admin", last).unwrap();
            }
            _ => {}
        }
    });
    let world = world(&sandbox).with("MAX_CONCURRENCY", "1");
    at_memberships(&world).await;
    let (invocations, snapshot) = complete_in_pieces(&world, 0.0, "late").await;
    assert!(invocations > 20, "{invocations}");
    assert_eq!(sandbox.count("users"), USERS + 3);
    assert_eq!(snapshot.ids("users"), sandbox.ids("users"));
    assert_eq!(membership_ids(&snapshot), sandbox.ids("organization_memberships"));
    assert_closed(&snapshot, "late");
    assert_eq!(snapshot.manifest["referential"]["dangling_principals"], 0);
}

/// Promise 4: cut at any store call about ids.
#[tokio::test(start_paused = true)]
async fn a_cut_at_any_store_call_about_ids_costs_only_time() {
    let expected = expected().await;
    let world = world(&instance());
    at_memberships(&world).await;
    let begun = world.memory.objects();
    let effects = [Effect::FailBefore, Effect::FailAfter, Effect::LoseAnswer];
    for (operation, effect) in effects
        .map(|effect| (Operation::Put, effect))
        .into_iter()
        .chain([(Operation::Get, Effect::FailBefore)])
    {
        for call in 1..=3 {
            let what = format!("{operation:?} {call}: {effect:?}");
            restore(&world, &begun);
            world.store.fault(Fault::new(operation, effect).on_key("/ids/").at(call));
            let struck = world.store.struck();
            let mut errors = 0;
            let snapshot = loop {
                match ends(&world, json!({ "time_budget_seconds": 0 })).await {
                    Ok(answer) if answer["status"] == "complete" => {
                        break world.published().expect("published");
                    }
                    Ok(answer) => assert_eq!(answer["status"], "partial", "{what}: {answer:#}"),
                    Err(error) => {
                        assert_eq!(error.name(), "StoreUnavailable", "{what}");
                        errors += 1;
                    }
                }
            };
            assert_eq!((world.store.struck() - struck, errors), (1, 1), "{what}");
            assert_same(&snapshot, &expected, &what);
            world.store.heal();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn id_files_are_removed_when_a_snapshot_is_published() {
    let world = world(&instance());
    at_memberships(&world).await;
    smallest(&world).await;
    assert!(!objects_of_ids(&world).is_empty());
    // One run is abandoned and another is published: no files of either are left.
    let answer = ends(&world, json!({ "restart": true, "time_budget_seconds": 0 })).await;
    assert_eq!(answer.expect("an answer")["status"], "partial");
    let (_, snapshot) = complete_in_pieces(&world, 0.0, "restarted").await;
    assert_eq!(objects_of_ids(&world), BTreeMap::new());
    assert!(!snapshot.manifest.to_string().contains("/ids/"));
}
