//! Promise: a refusal or failure counts against the list that was requested, whatever it was
//! requested for. If users are refused while memberships are read, users are skipped and the grants
//! stay.

use std::time::Duration;

use clerk_sandbox::{Effect, FaultRule, Population, Sandbox};
use serde_json::{Value, json};

use crate::support::pieces::{complete, complete_in_pieces, ends};
use crate::support::plain::{add, before_request, every_second, plain};
use crate::support::snapshot::Snapshot;
use crate::support::source::{assert_closed, membership_ids};
use crate::support::world::World;

const MEMBERSHIPS: &str = "/v1/organization_memberships";
const CODE: &str = "feature_not_enabled";

/// Two pages of users and of memberships.
fn instance() -> Sandbox {
    plain(600, 12, 700)
}

fn world(sandbox: &Sandbox) -> World {
    World::new(sandbox.clone()).with("COMPRESSION", "none")
}

/// A new user and a new organization with memberships: both lists are requested again while
/// memberships are read.
fn appear(sandbox: &Sandbox) {
    let created_at = every_second(9_000);
    add(sandbox, "users", "user_late", created_at);
    add(sandbox, "organizations", "org_late", created_at);
    for (number, (organization, user)) in
        [("organizations_000003", "user_late"), ("org_late", "users_000003")].iter().enumerate()
    {
        sandbox
            .add_membership(organization, user, "org:admin", every_second(9_001 + number))
            .expect("both are there");
    }
}

/// An instance in which they appear before the second page of memberships, and a list that has this
/// fault from then on.
fn troubled(fault: FaultRule) -> Sandbox {
    let sandbox = instance();
    before_request(&sandbox, MEMBERSHIPS, 2, move |sandbox| {
        appear(sandbox);
        sandbox.fault(fault.clone());
    });
    sandbox
}

fn status<'a>(snapshot: &'a Snapshot, dataset: &str) -> &'a Value {
    &snapshot.manifest["datasets"][dataset]["status"]
}

fn assert_skipped(snapshot: &Snapshot, dataset: &str, what: &str) {
    let entry = &snapshot.manifest["datasets"][dataset];
    assert_eq!(entry["status"], "skipped", "{what}: {dataset}: {entry:#}");
    assert_eq!(entry["reason"], CODE, "{what}: {dataset}");
}

fn assert_verified(snapshot: &Snapshot, datasets: &[&str], what: &str) {
    for dataset in datasets {
        assert_eq!(status(snapshot, dataset), "verified", "{what}: {dataset}");
    }
}

/// Every grant is there, and none is counted as dangling.
fn assert_grants_whole(snapshot: &Snapshot, sandbox: &Sandbox, what: &str) {
    assert_verified(snapshot, &["grants"], what);
    assert_eq!(membership_ids(snapshot), sandbox.ids("organization_memberships"), "{what}");
    let referential = &snapshot.manifest["referential"];
    assert_eq!(referential["dangling_principals"], 0, "{what}");
    assert_eq!(referential["dangling_resources"], 0, "{what}");
    assert_closed(snapshot, what);
}

#[tokio::test(start_paused = true)]
async fn users_refused_while_memberships_are_read_are_skipped_and_the_grants_stay() {
    for path in ["/v1/users", "/v1/users*"] {
        let sandbox = troubled(FaultRule::on(path).status(403, CODE));
        let snapshot = complete(&world(&sandbox), path).await;
        assert_skipped(&snapshot, "users", path);
        assert_eq!(snapshot.datasets["users"], [] as [Value; 0], "{path}");
        assert_grants_whole(&snapshot, &sandbox, path);
        assert_verified(&snapshot, &["organizations", "organization_roles"], path);
        assert!(snapshot.ids("organizations").contains(&"org_late".to_owned()), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn organizations_refused_while_memberships_are_read_are_skipped_and_the_grants_stay() {
    let sandbox = troubled(FaultRule::on("/v1/organizations").status(402, CODE));
    let snapshot = complete(&world(&sandbox), "organizations").await;
    assert_skipped(&snapshot, "organizations", "organizations");
    assert_skipped(&snapshot, "entitlements", "organizations");
    assert_grants_whole(&snapshot, &sandbox, "organizations");
    assert!(snapshot.ids("users").contains(&"user_late".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn references_refused_across_many_invocations_are_skipped() {
    for list in ["users", "organizations"] {
        for seconds in [0.0, 0.001] {
            let what = format!("{list}, {seconds} seconds each");
            let sandbox = troubled(FaultRule::on(format!("/v1/{list}")).status(403, CODE));
            let (invocations, snapshot) =
                complete_in_pieces(&world(&sandbox), seconds, &what).await;
            assert!(invocations > 2, "{what}");
            assert_skipped(&snapshot, list, &what);
            assert_grants_whole(&snapshot, &sandbox, &what);
        }
    }
}

/// References missing before the refusal stay counted; later ones are not counted.
#[tokio::test(start_paused = true)]
async fn references_missing_before_the_refusal_stay_counted() {
    // There are enough pages that some are left when the first grants are stored.
    let sandbox = plain(600, 12, 2_700);
    let mut row = sandbox.memberships().pop().expect("there are memberships");
    row["id"] = json!("orgmem_gone");
    row["created_at"] = json!(every_second(10) + 1);
    row["public_user_data"]["user_id"] = json!("user_gone");
    sandbox.insert("organization_memberships", row).expect("the id is new");
    let world = world(&sandbox).with("MAX_CONCURRENCY", "2");
    let mut grants = 0;
    while grants == 0 {
        let answer = ends(&world, json!({"time_budget_seconds": 0})).await.expect("an answer");
        assert_eq!(answer["status"], "partial", "{answer:#}");
        grants = answer["progress"]["grants"]["records"].as_u64().expect("a count");
    }
    appear(&sandbox);
    sandbox.fault(FaultRule::on("/v1/users").status(403, CODE));
    let snapshot = complete(&world, "gone before").await;
    assert_skipped(&snapshot, "users", "gone before");
    assert_eq!(snapshot.manifest["referential"]["dangling_principals"], 1);
    let expected = sandbox.ids("organization_memberships").len() - 1;
    assert_eq!(membership_ids(&snapshot).len(), expected);
}

/// A single refusal drops nothing that was read.
#[tokio::test(start_paused = true)]
async fn a_list_refused_once_is_requested_again() {
    for list in ["users", "organizations"] {
        let sandbox = troubled(FaultRule::on(format!("/v1/{list}")).call(1).status(403, CODE));
        let snapshot = complete(&world(&sandbox), list).await;
        assert_grants_whole(&snapshot, &sandbox, list);
        assert_eq!(snapshot.ids(list), sandbox.ids(list));
        assert_eq!(snapshot.manifest["verified"], true, "{list}");
    }
}

/// Any other failure ends the run, which continues later.
#[tokio::test(start_paused = true)]
async fn other_failures_are_errors_of_the_list_that_was_requested() {
    for (fault, name) in [
        (FaultRule::on("/v1/users").status(403, "authorization_invalid"), "ClerkUnauthorized"),
        (FaultRule::on("/v1/users").status(404, "resource_not_found"), "ClerkProtocol"),
        (FaultRule::on("/v1/users").status(503, "unavailable"), "ClerkUnavailable"),
    ] {
        let sandbox = troubled(fault);
        let world = world(&sandbox);
        let error = ends(&world, json!({})).await.expect_err(name);
        assert_eq!(error.name(), name, "{error:?}");
        assert!(error.message().contains("/users"), "{}", error.message());
        assert!(world.published().is_none());
        sandbox.clear_faults();
        let snapshot = complete(&world, name).await;
        assert_grants_whole(&snapshot, &sandbox, name);
        assert_eq!(snapshot.manifest["verified"], true, "{name}");
    }
}

/// The permissions that roles refer to.
#[tokio::test(start_paused = true)]
async fn permissions_refused_while_roles_are_read_are_skipped_and_their_grants_stay() {
    let sandbox = Sandbox::new(Population::default().users(5).organizations(2).memberships(6));
    before_request(&sandbox, "/v1/organization_roles", 1, |sandbox| {
        let now = sandbox.latest() + 1;
        sandbox.add_permission("org:new:do", "Do", now);
        sandbox.add_role("org:newcomer", "Newcomer", &["org:new:do"], now);
        sandbox.fault(FaultRule::on("/v1/organization_permissions").status(410, CODE));
    });
    let snapshot = complete(&world(&sandbox), "permissions").await;
    assert_skipped(&snapshot, "organization_permissions", "permissions");
    assert_skipped(&snapshot, "entitlements", "permissions");
    assert_verified(&snapshot, &["grants", "organization_roles", "users"], "permissions");
    let grants = snapshot.datasets["grants"].iter();
    let of_permissions = grants.filter(|row| row["principal"]["type"] == "organization_role");
    let permissions_of_roles: usize =
        sandbox.roles().iter().map(|role| role["permissions"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(of_permissions.count(), permissions_of_roles);
    assert_eq!(snapshot.manifest["referential"]["dangling_resources"], 0);
}

/// The owners of API keys are listed to read the keys: a refusal counts against the owners' list,
/// and the keys cannot be read without it.
#[tokio::test(start_paused = true)]
async fn owners_refused_while_api_keys_are_read_are_skipped() {
    for (rule, is_skipped) in [
        (FaultRule::on("/v1/users").calls(2, u64::MAX), true),
        (FaultRule::on("/v1/users").call(2), false),
    ] {
        let population = Population::default().users(40).organizations(9).memberships(60);
        let sandbox = Sandbox::new(population.other_rows(23));
        sandbox.fault(rule.status(403, CODE));
        let world = world(&sandbox).with("RESOURCES", "users,domains,api_keys");
        let snapshot = complete(&world, "owners").await;
        assert!(sandbox.faults_struck() > 0, "the owners were not listed again");
        assert_verified(&snapshot, &["domains"], "owners");
        if is_skipped {
            assert_skipped(&snapshot, "users", "owners");
            assert_skipped(&snapshot, "api_keys", "owners");
        } else {
            assert_verified(&snapshot, &["users", "api_keys"], "owners");
            assert_eq!(snapshot.ids("users"), sandbox.ids("users"));
        }
    }
}

/// Memberships that are read organization by organization.
#[tokio::test(start_paused = true)]
async fn organizations_refused_as_owners_are_skipped_with_their_memberships() {
    let sandbox = plain(1300, 20, 3000);
    sandbox.fault(FaultRule::on(MEMBERSHIPS).past_offset(1400).status(504, "gateway_timeout"));
    before_request(&sandbox, MEMBERSHIPS, 1, |sandbox| {
        sandbox.fault(FaultRule::on("/v1/organizations").status(403, CODE));
    });
    let snapshot = complete(&world(&sandbox), "by owner").await;
    assert_skipped(&snapshot, "organizations", "by owner");
    assert_skipped(&snapshot, "grants", "by owner");
    assert_verified(&snapshot, &["users", "organization_roles"], "by owner");
}

/// Memberships that Clerk lists more slowly the larger the offset, and organizations that it does not list
/// from then on.
fn slow_without_owners(status: u16, code: &'static str) -> Sandbox {
    let sandbox = plain(1300, 20, 3000);
    sandbox.set_latency(Duration::from_millis(50), Duration::ZERO);
    let slower = Effect::DelayPerThousandRows(Duration::from_secs(20));
    sandbox.fault(FaultRule::on(MEMBERSHIPS).effect(slower));
    before_request(&sandbox, MEMBERSHIPS, 1, move |sandbox| {
        sandbox.fault(FaultRule::on("/v1/organizations").status(status, code));
    });
    sandbox
}

/// Reading memberships by organization requires the list of organizations.
#[tokio::test(start_paused = true)]
async fn memberships_are_read_as_one_list_if_organizations_cannot_be_listed() {
    let sandbox = slow_without_owners(403, CODE);
    let world = world(&sandbox).with("RESOURCES", "organization_memberships");
    let snapshot = complete(&world, "no owners").await;
    assert_eq!(snapshot.manifest["datasets"]["grants"]["walk"], "offset");
    assert_grants_whole(&snapshot, &sandbox, "no owners");
}

/// Any other failure to list them ends the run, which continues later.
#[tokio::test(start_paused = true)]
async fn other_failures_of_organizations_that_are_only_counted_are_errors_of_their_list() {
    for (status, code, name) in [
        (403, "authorization_invalid", "ClerkUnauthorized"),
        (503, "unavailable", "ClerkUnavailable"),
    ] {
        let sandbox = slow_without_owners(status, code);
        let world = world(&sandbox).with("RESOURCES", "organization_memberships");
        let error = ends(&world, json!({})).await.expect_err(name);
        assert_eq!(error.name(), name, "{error:?}");
        assert!(error.message().contains("/organizations"), "{}", error.message());
        assert!(world.published().is_none(), "{name}");
        sandbox.clear_faults();
        assert_grants_whole(&complete(&world, name).await, &sandbox, name);
    }
}
