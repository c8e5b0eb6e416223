//! Promise: users are read in concurrent windows of creation time. Every row is there once, as with
//! a single list, however the server treats the filters, and the speed costs few extra requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clerk_sandbox::{ChurnPlan, DeletedCursor, Effect, FaultRule, LoggedRequest, Rules, Sandbox};
use clerk_store::Operation;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::faulty_store::{self, Fault};
use crate::support::pieces::{complete, complete_in_pieces, ends};
use crate::support::plain::{FIRST, add, before_request, every_second, fill};
use crate::support::scene::{PAST_THE_LEASE, cut_at_request};
use crate::support::snapshot::Snapshot;
use crate::support::source::Source;
use crate::support::world::World;

/// Twenty-one pages: enough for two windows and more.
const USERS: usize = 10_300;

/// An instance whose users were created at a steady rate, until a day ago.
fn steady() -> Sandbox {
    let sandbox = Sandbox::empty();
    fill(&sandbox, "users", USERS, every_hour_and_a_half);
    sandbox
}

const fn every_hour_and_a_half(number: usize) -> i64 {
    FIRST + 6_000_000 * number as i64
}

/// Each filter may include or exclude the time it names.
const FILTERS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// A world without a limit on requests, in which each takes a while.
fn world(sandbox: &Sandbox) -> World {
    sandbox.set_latency(Duration::from_millis(50), Duration::from_millis(20));
    World::new(sandbox.clone()).with("RESOURCES", "users").with("COMPRESSION", "none")
}

fn counts(sandbox: &Sandbox) -> u64 {
    sandbox.request_count("/v1/users/count")
}

/// A parameter of a request.
fn parameter<'a>(request: &'a LoggedRequest, name: &str) -> Option<&'a str> {
    let found = request.query.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.as_str())
}

/// The requests for pages of users.
fn pages(sandbox: &Sandbox) -> Vec<LoggedRequest> {
    let requests = sandbox.requests().into_iter();
    requests.filter(|request| request.path == "/v1/users" && !is_look(request)).collect()
}

/// Whether it requests a single user, to find the edge of a window.
fn is_look(request: &LoggedRequest) -> bool {
    parameter(request, "limit") == Some("1")
}

fn looks(sandbox: &Sandbox) -> usize {
    sandbox.requests().iter().filter(|request| is_look(request)).count()
}

/// The windows in which pages were requested, by their bounds.
fn windows(sandbox: &Sandbox) -> BTreeSet<(Option<String>, Option<String>)> {
    let pages = pages(sandbox);
    let bound = |page, name| parameter(page, name).map(str::to_owned);
    pages
        .iter()
        .map(|page| (bound(page, "created_at_after"), bound(page, "created_at_before")))
        .collect()
}

fn assert_same(snapshot: &Snapshot, sandbox: &Sandbox, what: &str) {
    let (rows, there) = (snapshot.ids("users"), sandbox.ids("users"));
    let differ = rows.iter().zip(&there).position(|(row, there)| row != there);
    assert!(rows == there, "{what}: {} of {}, differing at {differ:?}", rows.len(), there.len());
    assert_eq!(entry(snapshot)["status"], "verified", "{what}");
}

fn entry(snapshot: &Snapshot) -> &Value {
    &snapshot.manifest["datasets"]["users"]
}

/// Every row is there once and in order, whether or not the server's filters include the time they
/// name. A window costs half a page more, and one request to find where it begins.
#[tokio::test(start_paused = true)]
async fn concurrent_windows_hold_every_user_once() {
    for (before_includes, after_includes) in FILTERS {
        let what = format!("before includes: {before_includes}, after: {after_includes}");
        let sandbox = steady();
        // Many users share a creation time, also at the edges of windows.
        for number in 0..700 {
            add(
                &sandbox,
                "users",
                &format!("tied_{number:03}"),
                every_hour_and_a_half(number * 14),
            );
        }
        sandbox.set_rules(Rules { before_includes, after_includes, ..Rules::default() });
        let snapshot = complete(&world(&sandbox), &what).await;
        assert_same(&snapshot, &sandbox, &what);
        assert!(windows(&sandbox).len() >= 2, "{what}: {:?}", windows(&sandbox));
        assert_eq!(entry(&snapshot)["walk"], "windows", "{what}");
        assert_eq!(entry(&snapshot)["rows_repaired"], 0, "{what}");
        let pages = pages(&sandbox).len();
        // The last page of a window is not full. If users with the same creation time moved its
        // edge, one more page confirms its end.
        let windows = windows(&sandbox).len();
        assert!(pages <= 22 + windows, "{what}: {pages} pages in {windows} windows");
        assert!(looks(&sandbox) < 20, "{what}: {} looks", looks(&sandbox));
        assert_eq!(counts(&sandbox), 2, "{what}");
        assert_eq!(sandbox.violations(), [], "{what}");
    }
}

/// One user for every millisecond: some are exactly on the edge of two windows, and belong to one
/// of them.
#[tokio::test(start_paused = true)]
async fn a_user_on_the_edge_of_two_windows_is_in_one() {
    for (before_includes, after_includes) in FILTERS {
        let what = format!("before includes: {before_includes}, after: {after_includes}");
        let sandbox = Sandbox::empty();
        let world = world(&sandbox);
        let first = world.clock.now().unix_millis() - USERS as i64;
        fill(&sandbox, "users", USERS, |number| first + number as i64);
        sandbox.set_rules(Rules { before_includes, after_includes, ..Rules::default() });
        let snapshot = complete(&world, &what).await;
        assert_same(&snapshot, &sandbox, &what);
        assert!(windows(&sandbox).len() >= 2, "{what}: {:?}", windows(&sandbox));
        assert_eq!(entry(&snapshot)["walk"], "windows", "{what}");
        assert_eq!(entry(&snapshot)["rows_repaired"], 0, "{what}");
    }
}

/// Users were created in two bursts, years apart: the windows divide the rows evenly, not the time.
#[tokio::test(start_paused = true)]
async fn windows_are_balanced_by_rows() {
    let sandbox = Sandbox::empty();
    let years = 2 * 365 * 24 * 3600;
    fill(&sandbox, "users", 20_000, |number| match number {
        0..10_000 => every_second(number) - 1000 * years,
        _ => every_second(number),
    });
    let snapshot = complete(&world(&sandbox), "two bursts").await;
    assert_same(&snapshot, &sandbox, "two bursts");
    assert!(windows(&sandbox).len() >= 4, "{:?}", windows(&sandbox));
    assert!(pages(&sandbox).len() <= 40 + 8, "{} pages", pages(&sandbox).len());
    assert!(looks(&sandbox) < 20, "{} looks", looks(&sandbox));
}

/// Users who were all imported at the same time cannot be divided into windows, and are read all
/// the same.
#[tokio::test(start_paused = true)]
async fn users_created_at_the_same_time_take_few_requests() {
    for (before_includes, after_includes) in FILTERS {
        let sandbox = Sandbox::empty();
        fill(&sandbox, "users", USERS, |number| FIRST + (number / 5000) as i64);
        sandbox.set_rules(Rules { before_includes, after_includes, ..Rules::default() });
        let what = format!("before includes: {before_includes}, after: {after_includes}");
        let snapshot = complete(&world(&sandbox), &what).await;
        assert_same(&snapshot, &sandbox, &what);
        assert!(sandbox.total_requests() < 130, "{what}: {}", sandbox.total_requests());
    }
}

/// Filters or cursors that are ignored or refused cost requests, but no rows.
#[tokio::test(start_paused = true)]
async fn servers_that_do_not_filter_or_do_not_know_the_cursor_are_read_another_way() {
    let list = || FaultRule::on("/v1/users");
    let count = || FaultRule::on("/v1/users/count");
    let ignored = |rule: FaultRule, name: &str| rule.effect(Effect::IgnoreParameter(name.into()));
    let refused =
        |rule: FaultRule, name: &str| rule.with_parameter(name).status(422, "form_param_unknown");
    let servers = [
        ("after is ignored", vec![ignored(list(), "created_at_after")]),
        ("before is ignored", vec![ignored(list(), "created_at_before")]),
        (
            "both are ignored",
            vec![ignored(list(), "created_at_after"), ignored(list(), "created_at_before")],
        ),
        ("counts ignore them", vec![ignored(count(), "created_at_before")]),
        ("counts refuse them", vec![refused(count(), "created_at_before")]),
        ("the list refuses them", vec![refused(list(), "created_at_after")]),
        ("the list refuses the end", vec![refused(list(), "created_at_before")]),
        ("the cursor is ignored", vec![list().ignore_cursor()]),
        ("the cursor is refused", vec![list().refuse_cursor()]),
    ];
    for (what, faults) in servers {
        let sandbox = steady();
        faults.into_iter().for_each(|fault| sandbox.fault(fault));
        let snapshot = complete(&world(&sandbox), what).await;
        assert_same(&snapshot, &sandbox, what);
        let requests = sandbox.total_requests();
        assert!(requests < 150, "{what}: {requests} requests");
        if ["after is ignored", "before is ignored", "both are ignored"].contains(&what) {
            // The first answer shows it: the users after it are read by cursor, without windows.
            let by_offset = pages(&sandbox).iter().any(|page| parameter(page, "offset").is_some());
            assert!(!by_offset, "{what}: users are requested by offset");
        }
        // The list is not divided again.
        assert!(looks(&sandbox) <= 8, "{what}: {} looks", looks(&sandbox));
    }
}

/// A window that ends too early, because pages were empty for a while, disagrees with the counts
/// and is read to its end.
#[tokio::test(start_paused = true)]
async fn a_window_that_ended_too_early_is_read_to_its_end() {
    for (first, last) in [(4, 8), (5, 15), (9, 13), (10, 20), (11, 22)] {
        for latency in [0, 50] {
            let what = format!("pages {first} to {last} are empty, {latency} ms");
            let sandbox = Sandbox::empty();
            fill(&sandbox, "users", 2 * USERS, every_hour_and_a_half);
            sandbox.fault(FaultRule::on("/v1/users").calls(first, last).truncate_page(0));
            let world = world(&sandbox);
            sandbox.set_latency(Duration::from_millis(latency), Duration::ZERO);
            let snapshot = complete(&world, &what).await;
            assert_same(&snapshot, &sandbox, &what);
        }
    }
}

/// If filters fail, as on a large instance without an index for them, users are read without
/// windows.
#[tokio::test(start_paused = true)]
async fn servers_whose_filters_fail_are_read_without_windows() {
    let fails = |path: &str, parameter: &str| {
        FaultRule::on(path).with_parameter(parameter).status(500, "internal_error")
    };
    for (what, fault) in [
        ("counts", fails("/v1/users/count", "created_at_before")),
        ("after", fails("/v1/users", "created_at_after")),
        ("before", fails("/v1/users", "created_at_before")),
        ("never answered", FaultRule::on("/v1/users").with_parameter("created_at_after").reset()),
    ] {
        let sandbox = steady();
        sandbox.fault(fault);
        let snapshot = complete(&world(&sandbox), what).await;
        assert_same(&snapshot, &sandbox, what);
        assert!(looks(&sandbox) < 20, "{what}: {} looks", looks(&sandbox));
    }
}

/// The time is up while the edges of windows are looked up. The next invocation looks them up again, and does not read
/// the rest of the list one page after the other.
#[tokio::test(start_paused = true)]
async fn windows_that_were_not_found_in_time_are_found_by_the_next_invocation() {
    let sandbox = steady();
    let world = world(&sandbox);
    let look = FaultRule::on("/v1/users").with_value("limit", "1");
    sandbox.fault(look.delay(Duration::from_secs(60)));
    let begun = ends(&world, json!({ "time_budget_seconds": 1 })).await.expect("an answer");
    assert_eq!(begun["status"], "partial", "{begun:#}");
    assert!(looks(&sandbox) > 0, "no edge was looked up");
    sandbox.clear_faults();
    assert_same(&complete(&world, "continued").await, &sandbox, "continued");
    assert!(windows(&sandbox).len() > 2, "{:?}", windows(&sandbox));
}

/// Requests for the edges of windows are counted in the checkpoint, so that all invocations together stay within the
/// limit on them.
#[tokio::test(start_paused = true)]
async fn every_request_for_an_edge_is_counted() {
    let sandbox = steady();
    let world = world(&sandbox);
    sandbox.set_latency(Duration::from_millis(50), Duration::ZERO);
    // Long enough for two divisions: of the list, and of its first window.
    let begun = ends(&world, json!({ "time_budget_seconds": 0.3 })).await.expect("an answer");
    assert_eq!(begun["status"], "partial", "{begun:#}");
    assert!(looks(&sandbox) > 3, "{} looks: no window is divided again", looks(&sandbox));
    let stored = &world.memory.objects()["checkpoint.json"];
    let checkpoint: Value = serde_json::from_slice(stored).expect("JSON");
    assert_eq!(checkpoint["lists"]["users"]["edges_asked"], looks(&sandbox));
}

/// Windows fail one after the other while Clerk goes down: after the first, the list can still be read without windows;
/// after the others it cannot. The outage is reported, and the next invocation continues.
#[tokio::test(start_paused = true)]
async fn an_outage_is_reported_even_if_only_filters_failed_at_first() {
    let sandbox = steady();
    let world = world(&sandbox);
    let in_window = FaultRule::on("/v1/users").with_parameter("created_at_after");
    sandbox.fault(in_window.status(500, "internal_error"));
    // The request for the first row, which shows whether the list can be read at all.
    let first_row = FaultRule::on("/v1/users").with_value("limit", "1").with_value("offset", "0");
    sandbox.fault(first_row.calls(2, u64::MAX).status(503, "unavailable"));
    let error = ends(&world, json!({})).await.expect_err("Clerk is down");
    assert_eq!(error.name(), "ClerkUnavailable");
    assert!(windows(&sandbox).len() > 2, "{:?}", windows(&sandbox));
    sandbox.clear_faults();
    assert_same(&complete(&world, "after the outage").await, &sandbox, "after the outage");
}

/// Clerk refuses the key while several windows are read. That is reported, although the other windows stop because
/// of it without an error.
#[tokio::test(start_paused = true)]
async fn a_refused_key_is_reported_although_other_windows_stop_after_it() {
    let sandbox = steady();
    let world = world(&sandbox);
    let in_window = FaultRule::on("/v1/users").with_parameter("created_at_after");
    sandbox.fault(in_window.call(8).status(401, "clerk_key_invalid"));
    let error = ends(&world, json!({})).await.expect_err("the key is refused");
    assert_eq!(error.name(), "ClerkUnauthorized");
    assert!(windows(&sandbox).len() > 2, "{:?}", windows(&sandbox));
    sandbox.clear_faults();
    assert_same(&complete(&world, "continued").await, &sandbox, "continued");
}

/// Users are inserted, backdated and deleted while windows are read, and a deleted cursor is
/// answered in every way.
#[tokio::test(start_paused = true)]
async fn no_user_that_stays_put_is_lost_or_doubled_while_windows_change() {
    for seed in 0..8 {
        fastrand::seed(seed);
        let what = format!("seed {seed}");
        let sandbox = changing(seed);
        let source = Source::of(&sandbox);
        let snapshot = complete(&world(&sandbox), &what).await;
        assert!(windows(&sandbox).len() > 2, "{what}: not divided");
        source.assert_kept_by(&snapshot, &what);
        assert!(sandbox.total_requests() < 500, "{what}: {}", sandbox.total_requests());
    }
}

/// The same changes while the run is interrupted again and again.
#[tokio::test(start_paused = true)]
async fn interruptions_while_windows_change_lose_and_double_no_user() {
    for seed in 0..4 {
        fastrand::seed(seed);
        let what = format!("seed {seed}");
        let sandbox = changing(seed);
        let source = Source::of(&sandbox);
        let seconds = 0.05 * (seed + 1) as f64;
        let (invocations, snapshot) = complete_in_pieces(&world(&sandbox), seconds, &what).await;
        assert!(invocations > 1, "{what}: nothing was interrupted");
        source.assert_kept_by(&snapshot, &what);
    }
}

/// Begins a run, which reads a page or two, and returns the answer.
async fn begin(world: &World) -> Value {
    let begun = ends(world, json!({ "time_budget_seconds": 0 })).await.expect("an answer");
    assert_eq!(begun["status"], "partial", "{begun:#}");
    begun
}

/// Divides the rest of the users, of whom fewer than 1,500 have been read, at these creation times.
fn divide_at(world: &World, edges: &[i64]) {
    world.edit_checkpoint(|checkpoint| {
        let users = &mut checkpoint["lists"]["users"];
        users["divisible"] = json!(false);
        let mut window = users["windows"][0].clone();
        let rows: u64 = window["stretches"]
            .as_array()
            .expect("stretches")
            .iter()
            .map(|segment| segment["rows"].as_u64().expect("a count"))
            .sum();
        assert!(rows < 1500, "{rows} rows are read already");
        window["bounds"]["until"] = json!(edges[0]);
        let mut windows = vec![window];
        for (index, from) in edges.iter().enumerate() {
            windows.push(json!({
                "number": index + 1,
                "bounds": { "from": from, "until": edges.get(index + 1) },
                "expected": null, "place": { "offset": 0, "tail": [] }, "ended": false,
                "stretches": [],
            }));
        }
        users["windows"] = json!(windows);
    });
}

/// Says how many rows each window has.
fn expect_rows(world: &World, rows: &[usize]) {
    world.edit_checkpoint(|checkpoint| {
        let windows = &mut checkpoint["lists"]["users"]["windows"];
        for (window, rows) in windows.as_array_mut().expect("windows").iter_mut().zip(rows) {
            window["expected"] = json!(rows);
        }
    });
}

/// An instance whose pages of users are cut to fifteen.
fn with_short_pages(users: usize) -> Sandbox {
    let sandbox = Sandbox::empty();
    fill(&sandbox, "users", users, every_hour_and_a_half);
    sandbox.fault(FaultRule::on("/v1/users").truncate_page(15));
    sandbox
}

/// Begins a run in `windows` windows of `rows` users each. The first page or two of the first one have been read, and
/// nothing has been requested since.
async fn begin_in_windows(world: &World, windows: usize, rows: usize) {
    begin(world).await;
    let edges: Vec<i64> = (1..windows).map(|number| every_hour_and_a_half(number * rows)).collect();
    divide_at(world, &edges);
    expect_rows(world, &vec![rows; windows]);
    world.sandbox.clear_requests();
}

/// Adds a user with this many bytes of metadata.
fn add_large(sandbox: &Sandbox, number: usize, bytes: usize) {
    let created_at = every_hour_and_a_half(number);
    let user = json!({
        "object": "user", "id": format!("user_{number:06}"), "created_at": created_at,
        "updated_at": created_at, "public_metadata": { "text": "x".repeat(bytes) },
    });
    sandbox.insert("users", user).expect("the id is new");
}

/// Windows are read ahead by offset, as if the server did not know the cursor. A page that is late is
/// read although the pages behind it, which wait for it, have filled the memory.
#[tokio::test(start_paused = true)]
async fn a_late_page_of_a_window_is_read_although_those_behind_it_fill_the_memory() {
    let sandbox = Sandbox::empty();
    (0..7_500).for_each(|number| add_large(&sandbox, number, 4_000));
    let world = world(&sandbox).with("METADATA", "public");
    begin(&world).await;
    divide_at(&world, &[every_hour_and_a_half(1500)]);
    world.edit_checkpoint(|checkpoint| {
        let users = &mut checkpoint["lists"]["users"];
        users["way"] = json!("offset");
        users["windows"][0]["expected"] = json!(1500);
    });
    let late = FaultRule::on("/v1/users").with_parameter("created_at_after");
    sandbox.fault(late.with_value("offset", "499").delay(Duration::from_secs(20)));
    assert_same(&complete(&world, "a late page").await, &sandbox, "a late page");
    assert_eq!(sandbox.faults_struck(), 1, "a page is late");
}

/// The store does not answer while six windows are read, each with a page of four megabytes. Only as many pages are
/// read as fit into memory beside the parts that wait for the store.
#[tokio::test(start_paused = true)]
async fn windows_share_the_memory_with_the_parts_being_stored() {
    const ROOM: usize = 17 * 1024 * 1024;
    let sandbox = Sandbox::empty();
    (0..1_000).for_each(|number| add_large(&sandbox, number, 0));
    (1_000..4_000).for_each(|number| add_large(&sandbox, number, 8_000));
    let world = world(&sandbox).with("METADATA", "public");
    begin(&world).await;
    let edges: Vec<i64> = (2..8).map(|number| every_hour_and_a_half(number * 500)).collect();
    divide_at(&world, &edges);
    world.edit_checkpoint(|checkpoint| {
        checkpoint["lists"]["users"]["windows"][0]["ended"] = json!(true);
    });
    let never = faulty_store::Effect::Hang;
    world.store.fault(Fault::new(Operation::Put, never).on_key("part-").from(1));
    let synced = tokio::time::timeout(Duration::from_secs(10), world.sync()).await;
    assert!(synced.is_err(), "the store never answers: {synced:?}");
    let calls = world.store.calls().into_iter();
    let waiting = calls.filter(|call| call.effect == Some(never));
    let parts: Vec<usize> =
        waiting.map(|call| call.bytes.expect("the bytes of a part").len()).collect();
    let (bytes, largest) = (parts.iter().sum::<usize>(), parts.iter().max());
    assert!(largest > Some(&4_000_000), "{parts:?}");
    assert!(Some(bytes) <= largest.map(|largest| ROOM + largest), "{parts:?}");
}

/// Three requests may be in flight, so three windows are read at a time: each of them takes memory. While a page of a
/// window is being stored, the next one is requested.
#[tokio::test(start_paused = true)]
async fn as_many_windows_are_read_at_a_time_as_requests_may_be_in_flight() {
    const WINDOWS: usize = 12;
    // Three pages, of fifteen, fourteen and thirteen new rows.
    const ROWS: usize = 42;
    let what = "three at a time";
    let sandbox = with_short_pages(WINDOWS * ROWS);
    let world = world(&sandbox).with("MAX_CONCURRENCY", "3");
    sandbox.set_latency(Duration::from_millis(500), Duration::ZERO);
    begin_in_windows(&world, WINDOWS, ROWS).await;
    // Each store takes a second.
    let lingers = faulty_store::Effect::Linger;
    world.store.fault(Fault::new(Operation::Put, lingers).on_key("part-").from(1));
    let began = Instant::now();
    assert_same(&complete(&world, what).await, &sandbox, what);
    // Four windows one after the other, each of which takes three stores and the first answer. A second is for the
    // requests before and after them.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(17), "{took:?}");
    let pages = pages(&sandbox);
    let mut spans: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (number, page) in pages.iter().enumerate() {
        let window = parameter(page, "created_at_before").unwrap_or_default();
        spans.entry(window).and_modify(|span| span.1 = number).or_insert((number, number));
    }
    assert_eq!(spans.len(), WINDOWS, "{spans:?}");
    let open = |number: usize| {
        spans.values().filter(|(first, last)| (*first..=*last).contains(&number)).count()
    };
    assert!((0..pages.len()).map(open).max() <= Some(3), "{spans:?}");
}

/// A run is killed while four windows are read. Each of them requests the page again that was in flight, and no other,
/// although pages are stored together by then.
#[tokio::test(start_paused = true)]
async fn a_kill_costs_each_window_no_more_than_a_page() {
    const WINDOWS: usize = 4;
    const ROWS: usize = 600;
    let sandbox = with_short_pages(WINDOWS * ROWS);
    let in_windows = async |sandbox: &Sandbox| {
        let world = world(sandbox);
        sandbox.set_latency(Duration::from_millis(50), Duration::ZERO);
        begin_in_windows(&world, WINDOWS, ROWS).await;
        world
    };
    let whole = complete(&in_windows(&sandbox).await, "uninterrupted").await;
    let needed = pages(&sandbox).len();
    let parts = entry(&whole)["parts"].as_array().expect("parts").len();
    assert!(parts < needed, "{needed} pages in {parts} parts: none are stored together");
    // Four pages are requested at a time, and two of a window are stored together from the 32nd time on.
    for round in 35..=37 {
        let what = format!("killed while the pages of round {round} are in flight");
        let world = in_windows(&sandbox).await;
        // The first request is the one for the instance.
        let last_of_round = (1 + WINDOWS * round) as u64;
        assert!(cut_at_request(&world, last_of_round).await.is_none(), "{what}");
        tokio::time::advance(PAST_THE_LEASE).await;
        let snapshot = complete(&world, &what).await;
        assert_eq!(snapshot.digests(), whole.digests(), "{what}");
        let asked = pages(&sandbox).len();
        assert!(asked <= needed + WINDOWS + 1, "{what}: {asked} pages instead of {needed}");
    }
}

/// Clerk refuses the requests for the edges of a long window at first. When a quarter of the rest has been read, they
/// are sent again, and the window is divided.
#[tokio::test(start_paused = true)]
async fn a_window_that_could_not_be_divided_is_divided_later() {
    let what = "refused at first";
    let sandbox = Sandbox::empty();
    fill(&sandbox, "users", 6_000, every_hour_and_a_half);
    let world = world(&sandbox);
    begin(&world).await;
    divide_at(&world, &[every_hour_and_a_half(1_000)]);
    expect_rows(&world, &[1_000, 5_000]);
    sandbox.clear_requests();
    let look = FaultRule::on("/v1/users").with_value("limit", "1");
    sandbox.fault(look.calls(1, 3).status(422, "form_param_unknown"));
    assert_same(&complete(&world, what).await, &sandbox, what);
    assert!(windows(&sandbox).len() > 2, "{:?}", windows(&sandbox));
}

/// Users sign up after the last page has been read, and the pages of this Clerk are short. The list is read further
/// until it has as many users as Clerk counts now.
#[tokio::test(start_paused = true)]
async fn users_who_signed_up_after_the_last_page_are_read_although_pages_are_short() {
    let what = "after the last page";
    let sandbox = with_short_pages(300);
    before_request(&sandbox, "/v1/users/count", 2, |sandbox| {
        for number in 300..600 {
            add(sandbox, "users", &format!("late_{number}"), every_hour_and_a_half(number));
        }
    });
    assert_same(&complete(&world(&sandbox), what).await, &sandbox, what);
}

/// Sorted by name, parts are in the order of their rows, even with more than a hundred windows.
#[tokio::test(start_paused = true)]
async fn more_than_a_hundred_windows_keep_their_parts_in_order() {
    const WINDOWS: usize = 120;
    let sandbox = Sandbox::empty();
    fill(&sandbox, "users", 2900, every_hour_and_a_half);
    let world = world(&sandbox);
    let begun = begin(&world).await;
    let edges: Vec<i64> =
        (0..WINDOWS - 1).map(|number| every_hour_and_a_half(1500 + 10 * number)).collect();
    divide_at(&world, &edges);
    let snapshot = complete(&world, "120 windows").await;
    assert_eq!(snapshot.manifest["snapshot_id"], begun["snapshot_id"], "the run is continued");
    assert_same(&snapshot, &sandbox, "120 windows");
    let names: Vec<&str> = entry(&snapshot)["parts"]
        .as_array()
        .expect("parts")
        .iter()
        .map(|part| part["key"].as_str().expect("a key"))
        .collect();
    assert!(names.len() >= WINDOWS && names.is_sorted(), "{names:?}");
}

fn changing(seed: u64) -> Sandbox {
    let cursors = [
        DeletedCursor::Refused,
        DeletedCursor::Continues,
        DeletedCursor::EmptyPage,
        DeletedCursor::FirstPage,
    ];
    let (before_includes, after_includes) = FILTERS[seed as usize / 2 % 4];
    let sandbox = steady();
    sandbox.set_rules(Rules {
        before_includes,
        after_includes,
        deleted_cursor: cursors[seed as usize % 4],
        ..Rules::default()
    });
    sandbox.churn(ChurnPlan {
        seed,
        inserts: seed as usize % 4,
        deletes: 1 + seed as usize % 5,
        backdate_one_in: seed as u32 % 4,
        lists: vec!["users"],
        last_page: if seed.is_multiple_of(2) { 18 } else { u64::MAX },
        ..ChurnPlan::default()
    });
    sandbox
}

/// An unchanged instance has the same content however often its windows are interrupted, and no
/// page is read twice.
#[tokio::test(start_paused = true)]
async fn interrupted_windows_continue_where_they_stopped() {
    let sandbox = steady();
    let whole = complete(&world(&sandbox), "uninterrupted").await;
    let pages = sandbox.request_count("/v1/users");
    for seconds in [0.0, 0.1, 0.25] {
        sandbox.clear_requests();
        let what = format!("{seconds} seconds each");
        let (invocations, snapshot) = complete_in_pieces(&world(&sandbox), seconds, &what).await;
        assert!(invocations > 2, "{what}");
        assert_eq!(snapshot.digests(), whole.digests(), "{what}");
        assert_eq!(snapshot.ids("users"), whole.ids("users"), "{what}");
        let asked = sandbox.request_count("/v1/users");
        assert!(asked <= pages + 2, "{what}: {asked} pages instead of {pages}");
        assert_eq!(counts(&sandbox), 2, "{what}: once before the list is read, and once after");
    }
}

/// Counts reveal a backdated user, and only the rows around it are read again.
#[tokio::test(start_paused = true)]
async fn only_what_disagrees_with_the_counts_is_read_again() {
    for (moment, what) in [
        (FIRST - 1, "before all"),
        (every_hour_and_a_half(3000) + 1, "in the first window"),
        (every_hour_and_a_half(8000) + 1, "in a later window"),
        (every_hour_and_a_half(USERS), "behind all"),
    ] {
        let sandbox = steady();
        before_request(&sandbox, "/v1/users", 25, move |sandbox| {
            add(sandbox, "users", "late", moment);
        });
        let snapshot = complete(&world(&sandbox), what).await;
        assert_same(&snapshot, &sandbox, what);
        let repaired = entry(&snapshot)["rows_repaired"].as_u64().unwrap();
        assert!(repaired <= 1001, "{what}: {repaired} rows read again");
        assert!(pages(&sandbox).len() <= 30, "{what}: {} pages", pages(&sandbox).len());
        let by_offset = pages(&sandbox).iter().any(|page| parameter(page, "offset").is_some());
        assert!(!by_offset, "{what}: users are requested by offset");
    }
}

/// A user deleted from a window that was already read is removed again.
#[tokio::test(start_paused = true)]
async fn a_user_who_was_deleted_meanwhile_is_not_kept() {
    for index in [0, 499, 3000, 8000, USERS - 1] {
        let sandbox = steady();
        let id = sandbox.ids("users")[index].clone();
        before_request(&sandbox, "/v1/users", 25, move |sandbox| {
            sandbox.delete("users", &id);
        });
        let what = format!("row {index}");
        let snapshot = complete(&world(&sandbox), &what).await;
        assert_same(&snapshot, &sandbox, &what);
        assert!(pages(&sandbox).len() <= 32, "{what}: {} pages", pages(&sandbox).len());
    }
}

/// If the rate limit is the bottleneck, windows would not help, and cost no requests.
#[tokio::test(start_paused = true)]
async fn users_are_not_divided_if_the_rate_limit_is_the_bottleneck() {
    let sandbox = steady();
    let world = world(&sandbox).with("CLERK_REQUESTS_PER_10S", "100");
    let snapshot = complete(&world, "100 in 10 s").await;
    assert_same(&snapshot, &sandbox, "100 in 10 s");
    assert_eq!(windows(&sandbox).len(), 1, "{:?}", windows(&sandbox));
    assert_eq!(counts(&sandbox), 2);
}

/// Windows end at the same time, so that enough requests are in flight until the end: the window
/// with the most remaining rows is always read next.
#[tokio::test(start_paused = true)]
async fn windows_end_together() {
    let sandbox = Sandbox::empty();
    fill(&sandbox, "users", 3 * USERS, |number| every_hour_and_a_half(number / 3));
    // Three to five requests at a time use up the rate.
    let world = world(&sandbox).with("CLERK_REQUESTS_PER_10S", "500");
    let snapshot = complete(&world, "500 in 10 s").await;
    assert_same(&snapshot, &sandbox, "500 in 10 s");
    assert!(windows(&sandbox).len() >= 6, "{:?}", windows(&sandbox));
    let pages = pages(&sandbox);
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, page) in pages.iter().enumerate() {
        ends.insert(parameter(page, "created_at_before").unwrap_or_default(), number);
    }
    assert!(ends.values().all(|&end| end > pages.len() / 2), "of {}: {ends:?}", pages.len());
}
