//! Promise: memberships are read as one list, and organization by organization if that list answers
//! badly at large offsets: this is slower, but every membership is there once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clerk_sandbox::{Effect, FaultRule, LoggedRequest, Sandbox};
use serde_json::{Value, json};

use crate::support::further_lists::populated;
use crate::support::pieces::{complete, complete_in_pieces, ends};
use crate::support::plain::{FIRST, add, before_request, every_second, fill, plain};
use crate::support::snapshot::Snapshot;
use crate::support::source::{assert_closed, membership_ids};
use crate::support::world::World;

const LIST: &str = "/v1/organization_memberships";
const PARTS: &str = "/v1/organizations/*/memberships";

fn world(sandbox: &Sandbox) -> World {
    sandbox.set_latency(Duration::from_millis(50), Duration::from_millis(10));
    World::new(sandbox.clone()).with("COMPRESSION", "none")
}

/// Requests two pages at a time, so that no more are in flight when something happens.
fn two_in_flight(sandbox: &Sandbox) -> World {
    world(sandbox).with("MAX_CONCURRENCY", "2")
}

/// Twenty organizations with a hundred members or more, one of them with twelve hundred.
fn instance() -> Sandbox {
    let sandbox = plain(1300, 20, 3000);
    for number in 0..1200 {
        let user = format!("users_{:06}", number + 100);
        // Some are members already.
        let _ = sandbox.add_membership(
            "organizations_000007",
            &user,
            "org:member",
            every_second(3000 + number),
        );
    }
    sandbox
}

/// The list answers more slowly the larger the offset.
fn slow_at_large_offsets() -> FaultRule {
    FaultRule::on(LIST).effect(Effect::DelayPerThousandRows(Duration::from_secs(20)))
}

/// The list does not answer at large offsets.
fn nothing_at_large_offsets() -> FaultRule {
    FaultRule::on(LIST).past_offset(1400).status(504, "gateway_timeout")
}

fn grants(snapshot: &Snapshot) -> &Value {
    &snapshot.manifest["datasets"]["grants"]
}

/// Every membership is there once, and those of one organization are in ascending order.
fn assert_memberships(snapshot: &Snapshot, sandbox: &Sandbox, what: &str) {
    let (mut held, mut there) = (membership_ids(snapshot), sandbox.ids("organization_memberships"));
    held.sort_unstable();
    there.sort_unstable();
    assert!(held == there, "{what}: {} memberships of {}", held.len(), there.len());
    let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
    for grant in &snapshot.datasets["grants"] {
        let text = |value: &'_ Value| value.as_str().map(str::to_owned);
        if text(&grant["source"]["type"]).is_some() {
            let organization = grant["resource"]["id"].as_str().unwrap();
            let created = grant["created_at"].as_str().unwrap();
            let before = newest.insert(organization, created);
            assert!(before.is_none_or(|before| before <= created), "{what}: {organization}");
        }
    }
    assert_closed(snapshot, what);
}

#[tokio::test(start_paused = true)]
async fn slow_or_failing_large_offsets_switch_to_reading_by_owner() {
    for (fault, what) in
        [(slow_at_large_offsets(), "slow"), (nothing_at_large_offsets(), "no answer")]
    {
        let sandbox = instance();
        let usual = complete(&world(&sandbox), what).await;
        assert_eq!(grants(&usual)["walk"], "offset", "{what}");
        sandbox.clear_requests();
        sandbox.fault(fault);
        // The seed decides when failed requests are retried, and so how many pages are in flight.
        fastrand::seed(7);
        let snapshot = complete(&world(&sandbox), what).await;
        assert_eq!(grants(&snapshot)["walk"], "by_owner", "{what}");
        assert_eq!(grants(&snapshot)["status"], "verified", "{what}");
        assert_memberships(&snapshot, &sandbox, what);
        assert_eq!(snapshot.digests(), usual.digests(), "{what}");
        // One page per organization, two more for the large one, and the failed attempts: the pages
        // in flight at large offsets, each up to six times.
        let tried_before = 6 * 6;
        assert!(
            sandbox.total_requests() <= 38 + tried_before,
            "{what}: {}",
            sandbox.total_requests()
        );
        assert_eq!(sandbox.violations(), []);
    }
}

/// An invocation that requests only large offsets knows how fast the list answered before.
#[tokio::test(start_paused = true)]
async fn a_continued_run_notices_that_large_offsets_are_slow() {
    let sandbox = instance();
    let world = world(&sandbox);
    sandbox.fault(slow_at_large_offsets());
    // Stopped where offsets have become large.
    before_request(&sandbox, LIST, 3, {
        let interrupt = world.interrupt.clone();
        move |_| {
            interrupt.send_replace(true);
        }
    });
    let answer = ends(&world, json!({})).await.expect("sync");
    assert_eq!(answer["status"], "partial", "{answer:#}");
    sandbox.on_request(|_, _| ());
    world.interrupt.send_replace(false);
    sandbox.clear_requests();
    let snapshot = complete(&world, "continued").await;
    assert_eq!(grants(&snapshot)["walk"], "by_owner");
    assert_memberships(&snapshot, &sandbox, "continued");
    assert!(sandbox.request_count(LIST) <= 6, "{}", sandbox.request_count(LIST));
}

/// The whole list takes fewer requests than its parts, so it is read as one while it answers well,
/// and to its end if that is near.
#[tokio::test(start_paused = true)]
async fn a_list_that_is_slow_throughout_is_still_read_as_one() {
    let sandbox = instance();
    let world = world(&sandbox);
    sandbox.set_latency(Duration::from_secs(3), Duration::from_secs(1));
    let snapshot = complete(&world, "slow throughout").await;
    assert_eq!(grants(&snapshot)["walk"], "offset");
    assert_memberships(&snapshot, &sandbox, "slow throughout");
}

/// An outage does not count as slow offsets, and costs nothing that was read.
#[tokio::test(start_paused = true)]
async fn an_outage_does_not_switch_to_reading_by_owner() {
    let sandbox = instance();
    let world = two_in_flight(&sandbox);
    sandbox.fault(FaultRule::on(LIST).calls(4, u64::MAX).status(503, "unavailable"));
    let error = ends(&world, json!({})).await.unwrap_err();
    assert_eq!(error.name(), "ClerkUnavailable");
    sandbox.clear_faults();
    sandbox.clear_requests();
    let snapshot = complete(&world, "after the outage").await;
    assert_eq!(grants(&snapshot)["walk"], "offset");
    assert_memberships(&snapshot, &sandbox, "after the outage");
    assert!(sandbox.request_count(LIST) <= 7, "{}", sandbox.request_count(LIST));
}

/// However often it is interrupted, also in the middle of a large organization.
#[tokio::test(start_paused = true)]
async fn reading_by_owner_continues_where_it_stopped() {
    let sandbox = instance();
    sandbox.fault(nothing_at_large_offsets());
    let whole = complete(&world(&sandbox), "uninterrupted").await;
    let parts = |sandbox: &Sandbox| {
        let paths = sandbox.requests_by_path();
        let parts = paths.iter().filter(|(path, _)| path.ends_with("/memberships"));
        parts.map(|(_, requests)| requests).sum::<u64>()
    };
    let uninterrupted = parts(&sandbox);
    for seconds in [0.0, 0.3, 1.0] {
        sandbox.clear_requests();
        let what = format!("{seconds} seconds each");
        let (invocations, snapshot) =
            complete_in_pieces(&two_in_flight(&sandbox), seconds, &what).await;
        assert!(invocations > 2, "{what}");
        assert_eq!(grants(&snapshot)["walk"], "by_owner", "{what}");
        assert_eq!(snapshot.digests(), whole.digests(), "{what}");
        assert_eq!(membership_ids(&snapshot), membership_ids(&whole), "{what}");
        let asked = parts(&sandbox);
        assert!(asked <= uninterrupted + 2, "{what}: {asked} instead of {uninterrupted}");
    }
}

/// The pages of a large organization are requested ahead from its first page to its last, not only until as many pages
/// have been read as may be read ahead.
#[tokio::test(start_paused = true)]
async fn the_pages_of_a_large_organization_are_requested_ahead_to_the_end() {
    const PAGES: u32 = 60;
    const LATENCY: Duration = Duration::from_millis(50);
    let sandbox = plain(499 * PAGES as usize, 1, 499 * PAGES as usize);
    let world = world(&sandbox).with("MAX_CONCURRENCY", "4");
    sandbox.set_latency(LATENCY, Duration::ZERO);
    sandbox.fault(nothing_at_large_offsets());
    let snapshot = complete(&world, "large").await;
    assert_eq!(grants(&snapshot)["walk"], "by_owner");
    let requests = sandbox.requests().into_iter();
    let of_owner = requests.filter(|request| request.path.ends_with("/memberships"));
    let times: Vec<_> = of_owner.map(|request| request.at).collect();
    assert!(times.len() >= PAGES as usize, "{} pages", times.len());
    // The second half, one page after the other, would take thirty times the latency.
    let second_half = times[times.len() - 1] - times[times.len() / 2];
    assert!(second_half <= LATENCY * PAGES / 2 / 2, "{second_half:?}");
}

/// So are those of a large organization with many others behind it, whose first pages wait for it.
#[tokio::test(start_paused = true)]
async fn the_pages_of_a_large_organization_are_requested_ahead_whatever_follows() {
    const PAGES: u32 = 60;
    const LATENCY: Duration = Duration::from_millis(50);
    let sandbox = plain(499 * PAGES as usize, 0, 0);
    fill(&sandbox, "organizations", 40, every_second);
    for number in 0..499 * PAGES as usize {
        let user = format!("users_{number:06}");
        sandbox
            .add_membership("organizations_000000", &user, "org:admin", every_second(number))
            .expect("both are there");
    }
    let world = world(&sandbox).with("MAX_CONCURRENCY", "8");
    sandbox.set_latency(LATENCY, Duration::ZERO);
    sandbox.fault(nothing_at_large_offsets());
    let snapshot = complete(&world, "large").await;
    assert_eq!(grants(&snapshot)["walk"], "by_owner");
    let requests = sandbox.requests().into_iter();
    let path = "/v1/organizations/organizations_000000/memberships";
    let times: Vec<_> =
        requests.filter(|request| request.path == path).map(|request| request.at).collect();
    assert!(times.len() >= PAGES as usize, "{} pages", times.len());
    let all = times[times.len() - 1] - times[0];
    assert!(all <= LATENCY * PAGES / 4, "{all:?}, eight at a time at most");
}

/// A deleted organization takes its memberships along, and a new one adds its own.
#[tokio::test(start_paused = true)]
async fn organizations_created_and_deleted_meanwhile_are_followed() {
    let sandbox = instance();
    sandbox.fault(nothing_at_large_offsets());
    let world = world(&sandbox);
    before_request(&sandbox, "/v1/organizations/organizations_000003/memberships", 1, |sandbox| {
        sandbox.delete("organizations", "organizations_000005");
        sandbox.delete("organizations", "organizations_000019");
        add(sandbox, "organizations", "late", every_second(5000));
        sandbox.add_membership("late", "users_000001", "org:admin", every_second(5001)).unwrap();
    });
    let snapshot = complete(&world, "come and go").await;
    assert_eq!(grants(&snapshot)["walk"], "by_owner");
    let held = membership_ids(&snapshot);
    let there = sandbox.ids("organization_memberships");
    for id in &there {
        assert_eq!(held.iter().filter(|held| *held == id).count(), 1, "{id}");
    }
    assert_closed(&snapshot, "come and go");
}

/// If organizations are not opted in, they are listed only for their ids; if there are none, there
/// is nothing to list.
#[tokio::test(start_paused = true)]
async fn organizations_need_not_be_opted_in() {
    let sandbox = instance();
    sandbox.fault(slow_at_large_offsets());
    let world = world(&sandbox).with("RESOURCES", "organization_memberships");
    let snapshot = complete(&world, "alone").await;
    assert_eq!(grants(&snapshot)["walk"], "by_owner");
    assert_memberships(&snapshot, &sandbox, "alone");
    assert!(!snapshot.datasets.contains_key("organizations"));
}

/// An id from the server never becomes another path.
#[tokio::test(start_paused = true)]
async fn an_id_that_could_be_a_path_is_an_error() {
    let sandbox = instance();
    add(&sandbox, "organizations", "org/../../users?", FIRST - 1);
    sandbox.fault(nothing_at_large_offsets());
    let world = world(&sandbox).with("RESOURCES", "organization_memberships");
    let error = ends(&world, json!({})).await.unwrap_err();
    assert_eq!(error.name(), "ClerkProtocol");
    let of_users = |request: &&LoggedRequest| request.path.starts_with("/v1/users");
    assert!(sandbox.requests().iter().find(of_users).is_none());
    assert!(world.published().is_none());
}

/// A feature that is off is also recognised while reading by owner.
#[tokio::test(start_paused = true)]
async fn a_part_that_clerk_refuses_skips_the_dataset() {
    let sandbox = instance();
    sandbox.fault(nothing_at_large_offsets());
    sandbox.fault(
        FaultRule::on(PARTS).calls(5, u64::MAX).status(403, "organization_not_enabled_in_instance"),
    );
    let snapshot = complete(&world(&sandbox), "refused").await;
    assert_eq!(grants(&snapshot)["status"], "skipped");
    assert_eq!(grants(&snapshot)["reason"], "organization_not_enabled_in_instance");
}

/// A 404 for the rows of an owner is an error as long as the owner exists, and also if nobody says whether it does.
#[tokio::test(start_paused = true)]
async fn a_404_never_means_that_an_owner_owns_nothing() {
    let of_clerk = FaultRule::on(PARTS).call(5).status(404, "resource_not_found");
    // The owner's rows are requested again, and are answered after this many failures.
    let of_a_proxy = FaultRule::on(PARTS).calls(5, 60).effect(Effect::Html(404));
    let no_answer = |number: usize| {
        let owner = FaultRule::on(format!("/v1/organizations/organizations_{number:06}"));
        owner.status(500, "internal_clerk_error")
    };
    let and_no_answer = (0..20).map(no_answer).chain([of_clerk.clone()]).collect();
    for (faults, name, what) in [
        (vec![of_clerk], "ClerkProtocol", "Clerk's"),
        (vec![of_a_proxy], "ClerkUnavailable", "a proxy's"),
        (and_no_answer, "ClerkUnavailable", "Clerk's, and the owner is not answered"),
    ] {
        let sandbox = instance();
        sandbox.fault(nothing_at_large_offsets());
        faults.into_iter().for_each(|fault| sandbox.fault(fault));
        let world = two_in_flight(&sandbox);
        let error = ends(&world, json!({})).await.expect_err(what);
        assert_eq!(error.name(), name, "{what}: {error:?}");
        sandbox.clear_faults();
        sandbox.fault(nothing_at_large_offsets());
        assert!(world.published().is_none(), "{what}");
        assert_memberships(&complete(&world, what).await, &sandbox, what);
    }
}

/// So many of the keys that were read of an owner are deleted that the next page is beyond the last one. It is not the
/// end: the unread keys have moved to earlier pages.
#[tokio::test(start_paused = true)]
async fn a_page_beyond_the_last_row_does_not_end_an_owner() {
    const KEYS: usize = 250;
    let list = "api_keys";
    let sandbox = plain(1, 0, 0);
    let sample = populated().rows(list)[0].clone();
    let id = |number: usize| format!("key_{number:06}");
    for number in 0..KEYS {
        let mut key = sample.clone();
        key["id"] = id(number).into();
        key["subject"] = sandbox.ids("users")[0].clone().into();
        key["created_at"] = every_second(number).into();
        sandbox.insert(list, key).expect("the id is new");
    }
    // Two pages have been read, with 199 keys, newest first. The last 79 of these stay.
    let deleted = AtomicBool::new(false);
    sandbox.on_request(move |sandbox, request| {
        let is_third = request.path == "/v1/api_keys" && request.parameter("offset") == Some("198");
        if is_third && !deleted.swap(true, Ordering::SeqCst) {
            (KEYS - 120..KEYS).for_each(|number| assert!(sandbox.delete(list, &id(number))));
        }
    });
    let world = world(&sandbox).with("RESOURCES", list).with("MAX_CONCURRENCY", "1");
    let snapshot = complete(&world, "deleted keys").await;
    let held = snapshot.ids(list);
    let there = sandbox.ids(list);
    assert_eq!(there.len(), KEYS - 120, "nothing was deleted");
    for key in &there {
        assert_eq!(held.iter().filter(|held| *held == key).count(), 1, "{key}");
    }
}
