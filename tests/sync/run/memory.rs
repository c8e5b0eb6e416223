//! Promise 8: the bytes in memory are capped, whatever they are waiting for.

use std::time::Duration;

use clerk_sandbox::{FaultRule, Sandbox};
use clerk_store::Operation;
use serde_json::json;

use crate::support::captured::Captured;
use crate::support::faulty_store::{Effect, Fault};
use crate::support::pieces::complete;
use crate::support::plain::{FIRST, add, before_request, every_second, plain};
use crate::support::source::membership_ids;
use crate::support::world::World;

/// The numbers after `name=` in the lines about the pace of requests.
fn logged(log: &Captured, name: &str) -> Vec<usize> {
    let log = log.text();
    let lines = log.lines().filter(|line| line.contains("request pacing"));
    let value = |line: &str| -> usize {
        let (_, value) = line.split_once(&format!("{name}=")).expect(name);
        value.split_whitespace().next().expect(name).parse().expect(name)
    };
    lines.map(value).collect()
}

/// The last of these numbers.
fn last_logged(log: &Captured, name: &str) -> usize {
    *logged(log, name).last().expect("a line a second")
}

/// A part that is being stored counts, so that a slow store does not come on top of full room for bodies.
#[tokio::test(start_paused = true)]
async fn a_part_counts_as_bytes_in_memory_while_it_is_stored() {
    let log = Captured::start();
    let world = World::of(200, 0, 0).with("RESOURCES", "users").with("COMPRESSION", "none");
    world.store.fault(Fault::new(Operation::Put, Effect::Hang).on_key("part-").from(1));
    let synced = tokio::time::timeout(Duration::from_secs(10), world.sync()).await;
    assert!(synced.is_err(), "the store never answers: {synced:?}");
    assert_eq!((last_logged(&log, "in_flight"), last_logged(&log, "stores")), (0, 1));
    let held = last_logged(&log, "bytes_held");
    assert!(held > 200 * 500, "{held} bytes held, and the part has 200 users");
}

/// A page that arrives late is read although the pages behind it, which wait for it, have filled the memory.
#[tokio::test(start_paused = true)]
async fn a_late_page_is_read_although_those_behind_it_fill_the_memory() {
    let sandbox = Sandbox::empty();
    for number in 0..6_000 {
        let created_at = every_second(number);
        let organization = json!({
            "object": "organization", "id": format!("org_{number:06}"), "created_at": created_at,
            "updated_at": created_at, "public_metadata": { "text": "x".repeat(4_000) },
        });
        sandbox.insert("organizations", organization).expect("the id is new");
    }
    sandbox.set_latency(Duration::from_millis(50), Duration::ZERO);
    let late = FaultRule::on("/v1/organizations").with_value("offset", "499");
    sandbox.fault(late.delay(Duration::from_secs(20)));
    let world = World::new(sandbox.clone())
        .with("RESOURCES", "organizations")
        .with("METADATA", "public")
        .with("COMPRESSION", "none");
    let snapshot = complete(&world, "a late page").await;
    assert_eq!(snapshot.ids("organizations"), sandbox.ids("organizations"));
}

/// Pages of memberships wait for an organization that appeared during the run, and fill the memory meanwhile. The
/// organization is read all the same.
#[tokio::test(start_paused = true)]
async fn a_row_that_pages_wait_for_is_read_although_they_fill_the_memory() {
    const PATH: &str = "/v1/organization_memberships";
    let join = |sandbox: &Sandbox, organization: &str, number: usize, created_at: i64| {
        let membership = json!({
            "object": "organization_membership", "id": format!("orgmem_{number:06}"),
            "role": "org:admin", "permissions": ["x".repeat(4_000)],
            "organization": { "id": organization },
            "public_user_data": { "user_id": format!("user_{number:06}") },
            "created_at": created_at, "updated_at": created_at,
        });
        sandbox.insert("organization_memberships", membership).expect("the id is new");
    };
    let sandbox = plain(0, 3, 0);
    sandbox.set_latency(Duration::from_millis(50), Duration::ZERO);
    for number in 0..5_000 {
        join(&sandbox, "organizations_000000", number, every_second(number));
    }
    before_request(&sandbox, PATH, 1, move |sandbox| {
        add(sandbox, "organizations", "org_late", every_second(10));
        // In the first page.
        join(sandbox, "org_late", 5_000, FIRST - 1000);
        sandbox.fault(FaultRule::on("/v1/organizations").delay(Duration::from_secs(5)));
    });
    let log = Captured::start();
    let world = World::new(sandbox.clone())
        .with("RESOURCES", "organizations,organization_roles,organization_memberships")
        .with("COMPRESSION", "none");
    let snapshot = complete(&world, "a late organization").await;
    assert_eq!(snapshot.ids("organizations"), sandbox.ids("organizations"));
    assert!(membership_ids(&snapshot) == sandbox.ids("organization_memberships"));
    let held = logged(&log, "bytes_held").into_iter().max();
    assert!(held > Some(17 * 1024 * 1024), "the memory was not full: {held:?}");
}
