//! Promise: `check` tries everything a sync needs, reports each result, and changes nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use clerk_sandbox::{DEFAULT_KEY, FaultRule};
use clerk_store::Operation;
use clerk_sync::secret_key::SecretKey;
use clerk_sync::secret_source::{Label, SecretError, SecretSource};
use serde_json::json;

use crate::support::answers::{ask, cut, keys, large, objects, watched};
use crate::support::faulty_store::{Effect, Fault};
use crate::support::world::{ALL, World};

/// The result of each check, by name; `check` must change nothing.
async fn check(world: &World) -> BTreeMap<String, (bool, String)> {
    let before = objects(world);
    let answer = ask(world, json!({"action": "check"})).await;
    assert_eq!(objects(world), before, "check changes nothing");
    let items = answer.as_array().expect("a list");
    let mut checks = BTreeMap::new();
    for item in items {
        assert_eq!(keys(item), ["check", "ok", "detail"]);
        let name = item["check"].as_str().expect("a name").to_owned();
        let detail = item["detail"].as_str().expect("a detail").to_owned();
        assert!(!detail.is_empty() && !detail.contains(DEFAULT_KEY), "{name}: {detail}");
        for of_a_run in ["invocation", "Progress is kept", "No snapshot was published"] {
            assert!(!detail.contains(of_a_run), "a check continues nothing: {name}: {detail}");
        }
        let ok = item["ok"].as_bool().expect("a verdict");
        assert!(checks.insert(name, (ok, detail)).is_none(), "each check is reported once");
    }
    checks
}

fn failing(checks: &BTreeMap<String, (bool, String)>) -> Vec<&str> {
    checks.iter().filter(|(_, (ok, _))| !ok).map(|(name, _)| name.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn check_tries_the_secret_the_instance_every_list_and_the_store() {
    let (world, secret) = watched(large());
    cut(&world).await;
    world.sandbox.clear_requests();
    let read = secret.times_read();
    let checks = check(&world).await;
    assert_eq!(failing(&checks), [""; 0], "{checks:?}");
    for name in ALL.split(',').map(str::trim).chain(["secret", "instance", "store"]) {
        assert!(checks.contains_key(name), "{name}");
    }
    assert!(checks["instance"].1.contains(&world.sandbox.instance_id()));
    assert_eq!(secret.times_read(), read + 1);
    for request in world.sandbox.requests() {
        assert!(request.path == "/v1/instance" || request.parameter("limit") == Some("1"));
        assert!(request.rows <= 1, "{request:?}");
    }
    let calls = world.store.calls();
    let written = calls.iter().rev().find(|it| it.operation == Operation::Put).expect("a probe");
    assert!(calls.iter().any(|it| it.operation == Operation::Delete && it.key == written.key));
}

#[tokio::test(start_paused = true)]
async fn check_requests_nothing_that_is_not_opted_in() {
    let world = World::of(5, 2, 4).with("RESOURCES", "users,organization_permissions");
    assert_eq!(failing(&check(&world).await), [""; 0]);
    let read: Vec<String> = world.sandbox.requests_by_path().into_keys().collect();
    assert_eq!(read, ["/v1/instance", "/v1/organization_permissions", "/v1/users"]);
}

#[tokio::test(start_paused = true)]
async fn check_names_each_thing_that_fails_and_what_to_do() {
    let world = World::of(5, 2, 4);
    world.sandbox.rotate_key("sk_test_rotated");
    let checks = check(&world).await;
    assert_all_reported(&checks);
    assert_eq!(checks.values().filter(|(ok, _)| *ok).count(), 2, "secret and store: {checks:?}");
    assert!(checks["instance"].1.contains("401"), "{checks:?}");
    assert!(checks["users"].1.contains("not asked, because Clerk does not accept the key"));
    assert!(checks["secret"].0 && checks["store"].0);

    let world = World::of(5, 2, 4);
    world.sandbox.fault(
        FaultRule::on("/v1/organizations").status(403, "organization_not_enabled_in_instance"),
    );
    world.sandbox.fault(FaultRule::on("/v1/organization_permissions").status(503, "unavailable"));
    world.sandbox.fault(FaultRule::on("/v1/users").effect(clerk_sandbox::Effect::Html(200)));
    let checks = check(&world).await;
    assert_eq!(failing(&checks), ["organization_permissions", "organizations", "users"]);
    assert!(checks["organizations"].1.contains("organization_not_enabled_in_instance"));
    assert!(checks["organization_permissions"].1.contains("503"), "{checks:?}");
    assert!(checks["users"].1.contains("/users"), "{checks:?}");

    for (operation, effect) in [
        (Operation::Put, Effect::FailBefore),
        (Operation::Put, Effect::FailAfter),
        (Operation::Delete, Effect::FailBefore),
        (Operation::Get, Effect::FailBefore),
        (Operation::List, Effect::FailBefore),
    ] {
        let world = World::of(5, 2, 4);
        world.store.fault(Fault::new(operation, effect));
        let answer = ask(&world, json!({"action": "check"})).await;
        let store = answer.as_array().expect("a list").iter().find(|it| it["check"] == "store");
        let store = store.expect("the store is checked");
        assert_eq!(store["ok"], false, "{operation:?} {effect:?}");
        assert!(
            store["detail"].as_str().is_some_and(|it| it.contains("clerk-sync-check")),
            "{store}"
        );
        let others = answer.as_array().into_iter().flatten();
        assert!(others.filter(|it| it["check"] != "store").all(|it| it["ok"] == true), "{answer}");
    }
}

fn assert_all_reported(checks: &BTreeMap<String, (bool, String)>) {
    for name in ALL.split(',').map(str::trim).chain(["secret", "instance", "store"]) {
        assert!(checks.contains_key(name), "{name} is not reported: {checks:?}");
    }
}

/// Every check is reported whatever failed before; one that could not run is not ok.
#[tokio::test(start_paused = true)]
async fn check_reports_every_check_whatever_failed_before() {
    let world = World::of(5, 2, 4).with_secret(NoSecret);
    let checks = check(&world).await;
    assert_all_reported(&checks);
    assert_eq!(checks.values().filter(|(ok, _)| *ok).count(), 1, "the store: {checks:?}");
    assert!(checks["users"].1.contains("not asked, because the secret"), "{checks:?}");
    assert_eq!(world.sandbox.total_requests(), 0);

    // A failure of the instance says nothing about the lists: a firewall may block one and not the
    // other.
    let world = World::of(5, 2, 4);
    world.sandbox.fault(FaultRule::on("/v1/instance").effect(clerk_sandbox::Effect::MalformedJson));
    let checks = check(&world).await;
    assert_all_reported(&checks);
    assert_eq!(failing(&checks), ["instance"]);

    let world = World::of(5, 2, 4);
    world.sandbox.fault(FaultRule::on("*").status(503, "unavailable"));
    let checks = check(&world).await;
    assert_all_reported(&checks);
    assert!(checks["users"].1.contains("not asked, because Clerk could not be reached"));
    assert!(checks["secret"].0 && checks["store"].0, "{checks:?}");
}

/// A secret that cannot be read.
#[derive(Debug)]
struct NoSecret;

#[async_trait]
impl SecretSource for NoSecret {
    async fn read(&self) -> Result<SecretKey, SecretError> {
        Err(SecretError::NoValue { secret_id: Label::new("clerk/secret-key").expect("no key") })
    }

    fn can_rotate(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn check_removes_its_probe_even_if_reading_it_failed() {
    for operation in [Operation::Get, Operation::List, Operation::Verify] {
        let world = World::of(5, 2, 4);
        world.store.fault(Fault::new(operation, Effect::FailBefore));
        assert_eq!(failing(&check(&world).await), ["store"], "{operation:?}");
    }
}
