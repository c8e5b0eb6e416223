//! A synthetic instance with rows in every list, and assertions about the datasets besides the five
//! that access depends on.

use clerk_sandbox::{Population, Sandbox};
use serde_json::{Value, json};

use crate::support::lists::PlainList;
use crate::support::snapshot::Snapshot;
use crate::support::world::World;

/// Rows in every list.
pub(crate) fn populated() -> Sandbox {
    let population = Population::default().users(40).organizations(9).memberships(60);
    Sandbox::new(population.other_rows(23))
}

pub(crate) fn world(sandbox: &Sandbox, resources: &[&str]) -> World {
    World::new(sandbox.clone()).with("RESOURCES", &resources.join(",")).with("COMPRESSION", "none")
}

/// Every record equals its source, key by key.
pub(crate) fn assert_equals_source(snapshot: &Snapshot, list: &PlainList, source: &Sandbox) {
    let entry = &snapshot.manifest["datasets"][list.resource];
    assert_eq!(entry["status"], "verified", "{}: {entry:#}", list.resource);
    let lines =
        |records: &[Value]| -> Vec<String> { records.iter().map(Value::to_string).collect() };
    let (held, there) = (lines(&snapshot.datasets[list.resource]), lines(&list.records(source)));
    assert_eq!(held.len(), there.len(), "{}", list.resource);
    for (held, there) in held.iter().zip(&there) {
        assert_eq!(held, there, "{}", list.resource);
    }
    assert_eq!(entry["source_count"]["after"], there.len(), "{}", list.resource);
}

/// What Clerk answers when a feature is off.
pub(crate) const REFUSALS: [(u16, &str); 5] = [
    (422, "api_keys_not_enabled"),
    (402, "unsupported_subscription_plan_features"),
    (403, "feature_not_enabled"),
    (410, "operation_deprecated"),
    (422, "feature_not_enabled"),
];

/// The list could not be read: its dataset is `failed`, and does not look like an empty list.
pub(crate) fn assert_failed(snapshot: &Snapshot, dataset: &str, what: &str) {
    let entry = &snapshot.manifest["datasets"][dataset];
    assert_eq!(entry["status"], "failed", "{what}: {entry:#}");
    assert!(text(&entry["reason"]).contains('/'), "{what}: {entry:#}");
    assert_eq!((&entry["records"], &entry["parts"]), (&json!(0), &json!([])), "{what}");
    assert_eq!(entry["content_digest"], Value::Null, "{what}: failed is not empty");
    assert_eq!(snapshot.manifest["verified"], false, "{what}");
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// Ids in sorted order.
pub(crate) fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}
