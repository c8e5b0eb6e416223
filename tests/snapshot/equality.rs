//! Promise: the published datasets equal their source, field by field and in order, with the
//! documented layout, names and types. Only what is opted in is read, and an unchanged instance has
//! the same digests however it was read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use clerk_sandbox::{FaultRule, Population, Sandbox};
use clerk_store::{
    Condition, ContentType, DeleteCondition, Listed, Object, Operation, Store, StoreError, Stored,
    Version,
};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::faulty_store::{Effect, Fault, FaultyStore};
use crate::support::memory_store::MemoryStore;
use crate::support::oracle::{Oracle, RESOURCES, unresolved_role_keys};
use crate::support::snapshot::Snapshot;
use crate::support::world::World;

/// An instance with every unusual value that Clerk's documentation allows.
fn odd() -> Sandbox {
    let population = Population::default()
        .users(1300)
        .organizations(40)
        .memberships(1700)
        .roles(5)
        .legacy_memberships(7)
        .unknown_role_memberships(11)
        .unknown_values(true)
        .backup_codes(true);
    let sandbox = Sandbox::new(population);
    let odd_text = "Zoë \u{1d11e} \"quoted\\\" \u{202e}\u{2028}\n\u{0}\u{7f} 日本";
    let first = |list: &str, place: usize| sandbox.ids(list)[place].clone();
    let change = |list: &str, place: usize, changes: Value| {
        sandbox
            .update(list, &first(list, place), |row| {
                for (field, value) in changes.as_object().expect("changes") {
                    row[field] = value.clone();
                }
            })
            .expect("the row is there");
    };
    change("users", 3, json!({"first_name": odd_text, "last_name": odd_text}));
    change("users", 4, json!({"first_name": "", "last_name": null, "username": ""}));
    change("users", 5, json!({"created_at": 1_000, "updated_at": -1}));
    change("users", 6, json!({"email_addresses": [], "primary_email_address_id": null}));
    change("users", 7, json!({"public_metadata": {"b": 1.5, "a": {"z": [null, odd_text]}}}));
    change("organizations", 2, json!({"name": odd_text, "slug": null}));
    change("organizations", 3, json!({"name": "", "created_by": null, "role_set_key": null}));
    change("organization_roles", 1, json!({"description": null, "permissions": []}));
    for field in ["private_metadata", "locale", "legal_accepted_at", "passkeys", "web3_wallets"] {
        remove(&sandbox, "users", &first("users", 8), field);
    }
    remove(&sandbox, "organizations", &first("organizations", 5), "created_by");
    remove(
        &sandbox,
        "organization_permissions",
        &first("organization_permissions", 9),
        "description",
    );
    sandbox
}

fn remove(sandbox: &Sandbox, list: &str, id: &str, field: &str) {
    let removed = sandbox.update(list, id, |row| {
        row.as_object_mut().expect("a row").shift_remove(field);
    });
    removed.expect("the row is there");
}

/// Compares text, so that the order of keys counts.
fn assert_equals_source(snapshot: &Snapshot, oracle: &Oracle<'_>, source: &Sandbox) {
    let expected = oracle.datasets(source);
    let names: Vec<_> = snapshot.datasets.keys().collect();
    assert_eq!(names, expected.keys().collect::<Vec<_>>());
    for (name, expected) in &expected {
        let rows = &snapshot.datasets[name];
        for (place, (row, expected)) in rows.iter().zip(expected).enumerate() {
            assert_eq!(row.to_string(), expected.to_string(), "{name}, line {place}");
        }
        assert_eq!(rows.len(), expected.len(), "{name}");
    }
}

/// Every dataset has as many records as its source, and agrees with Clerk's counts.
#[tokio::test(start_paused = true)]
async fn a_snapshot_holds_everything() {
    let world = World::of(1200, 30, 2600);
    let snapshot = world.complete().await;
    assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"));
    assert_eq!(snapshot.ids("organizations"), world.sandbox.ids("organizations"));
    assert_eq!(snapshot.manifest["verified"], true);
    assert!(!world.has_checkpoint());
    assert!(world.sandbox.violations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_dataset_equals_the_source_in_order_and_in_every_field() {
    let world = World::new(odd());
    let snapshot = world.complete().await;
    assert_equals_source(&snapshot, &Oracle::plain(), &world.sandbox);
    let unresolved = unresolved_role_keys(&world.sandbox);
    assert_eq!(unresolved.values().sum::<u64>(), 18, "the instance has unknown role keys");
    assert_eq!(
        snapshot.manifest["referential"],
        json!({"dangling_principals": 0, "dangling_resources": 0, "unresolved_role_keys": unresolved})
    );
    assert!(world.sandbox.violations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn metadata_and_raw_are_copied_only_as_configured() {
    for (metadata, raw) in [
        (vec!["public"], false),
        (vec!["private", "unsafe"], false),
        (vec![], true),
        (vec!["public", "private", "unsafe"], true),
    ] {
        let world = World::new(odd())
            .with("METADATA", &metadata.join(","))
            .with("INCLUDE_RAW", if raw { "true" } else { "false" });
        let snapshot = world.complete().await;
        let oracle = Oracle { metadata: &metadata, raw, ..Oracle::plain() };
        assert_equals_source(&snapshot, &oracle, &world.sandbox);
    }
}

#[tokio::test(start_paused = true)]
async fn every_compression_holds_the_same_records_under_its_own_ending() {
    let mut digests = BTreeSet::new();
    for (compression, ending) in [("none", ""), ("gzip", ".gz"), ("zstd", ".zst")] {
        let world = World::of(700, 20, 900).with("COMPRESSION", compression);
        let snapshot = world.complete().await;
        assert_equals_source(&snapshot, &Oracle::plain(), &world.sandbox);
        assert_eq!(snapshot.manifest["compression"], compression);
        for key in part_keys(&snapshot) {
            assert!(key.ends_with(&format!(".ndjson{ending}")), "{key}");
        }
        digests.insert(json!(snapshot.digests()).to_string());
    }
    assert_eq!(digests.len(), 1, "a digest is of lines, not of files");
}

#[tokio::test(start_paused = true)]
async fn an_empty_instance_is_a_verified_snapshot_of_empty_datasets() {
    let world = World::new(Sandbox::empty());
    let snapshot = world.complete().await;
    assert_equals_empty(&snapshot, 6);
    assert_eq!(snapshot.manifest["verified"], true);
}

fn assert_equals_empty(snapshot: &Snapshot, datasets: usize) {
    assert_eq!(snapshot.datasets.len(), datasets);
    for (name, dataset) in snapshot.manifest["datasets"].as_object().expect("datasets") {
        assert_eq!(dataset["status"], "verified", "{name}");
        assert_eq!(dataset["records"], 0, "{name}");
        assert_eq!(dataset["parts"], json!([]), "{name}");
        assert!(dataset["content_digest"].is_string(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn organizations_without_members_and_users_without_organizations_are_there() {
    let world = World::of(6, 3, 0);
    let snapshot = world.complete().await;
    assert_equals_source(&snapshot, &Oracle::plain(), &world.sandbox);
    assert_eq!(snapshot.datasets["organizations"].len(), 3);
    assert!(
        snapshot.datasets["organizations"].iter().all(|it| it["profile"]["members_count"] == 0)
    );
}

#[tokio::test(start_paused = true)]
async fn every_line_the_manifest_and_latest_are_valid_by_the_published_schemas() {
    let settings = [("", "false"), ("public,private,unsafe", "true")];
    for (metadata, raw) in settings {
        let world = World::new(odd()).with("METADATA", metadata).with("INCLUDE_RAW", raw);
        let snapshot = world.complete().await;
        for (name, rows) in &snapshot.datasets {
            let schema = schema_of(name);
            rows.iter().for_each(|row| assert_valid(&schema, row));
        }
        assert_valid(&schema_of("manifest"), &snapshot.manifest);
        assert_valid(&schema_of("latest"), &snapshot.latest);
    }
}

#[test]
fn the_schema_of_latest_json_refuses_wrong_types() {
    let latest = json!({
        "snapshot_id": "20261120T120000Z-3f9a1c",
        "manifest": "snapshots/20261120T120000Z-3f9a1c/manifest.json",
        "manifest_sha256": "0".repeat(64),
        "started_at": "2026-11-20T12:00:00.000Z",
        "completed_at": "2026-11-20T12:00:01.000Z",
        "verified": true,
    });
    let schema = schema_of("latest");
    assert_valid(&schema, &latest);
    for (field, wrong) in
        [("verified", json!("yes")), ("started_at", json!(1)), ("manifest", json!(null))]
    {
        let mut changed = latest.clone();
        changed[field] = wrong;
        assert!(!schema.is_valid(&changed), "{field}");
    }
}

fn schema_of(name: &str) -> Validator {
    let schema = match name {
        "users" => include_str!("../../schemas/users.schema.json"),
        "organizations" => include_str!("../../schemas/organizations.schema.json"),
        "organization_roles" => include_str!("../../schemas/organization_roles.schema.json"),
        "organization_permissions" => {
            include_str!("../../schemas/organization_permissions.schema.json")
        }
        "entitlements" => include_str!("../../schemas/entitlements.schema.json"),
        "grants" => include_str!("../../schemas/grants.schema.json"),
        "manifest" => include_str!("../../schemas/manifest.schema.json"),
        "latest" => include_str!("../../schemas/latest.schema.json"),
        other => panic!("no schema for {other}"),
    };
    let schema = serde_json::from_str(schema).expect("a schema is JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

fn assert_valid(schema: &Validator, value: &Value) {
    let errors: Vec<_> = schema.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}\n{value}");
}

/// The paths that each resource may read, by hand from docs/reference.md.
fn may_read(resource: &str) -> &'static [&'static str] {
    match resource {
        "users" => &["/v1/users", "/v1/users/count"],
        "organizations" => &["/v1/organizations", "/v1/organization_roles"],
        "organization_roles" => &["/v1/organization_roles"],
        "organization_permissions" => &["/v1/organization_permissions"],
        "organization_memberships" => &["/v1/organization_memberships", "/v1/organization_roles"],
        other => panic!("no resource {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn each_subset_of_resources_reads_and_writes_only_its_own() {
    let sandbox = Sandbox::new(Population::default().users(30).organizations(8).memberships(40));
    for chosen in 1_u32..1 << RESOURCES.len() {
        let resources: Vec<&str> = (0..RESOURCES.len())
            .filter(|bit| chosen & (1 << bit) != 0)
            .map(|bit| RESOURCES[bit])
            .collect();
        sandbox.clear_requests();
        let world = World::new(sandbox.clone()).with("RESOURCES", &resources.join(","));
        let snapshot = world.complete().await;

        let oracle = Oracle { resources: &resources, ..Oracle::plain() };
        assert_equals_source(&snapshot, &oracle, &sandbox);
        let named: BTreeSet<&str> = strings(&snapshot.manifest["resources"]).collect();
        assert_eq!(named, resources.iter().copied().collect());

        let read: BTreeSet<String> = sandbox.requests_by_path().into_keys().collect();
        let mut expected = BTreeSet::from(["/v1/instance"]);
        for resource in &resources {
            expected.extend(may_read(resource));
        }
        let expected: BTreeSet<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(read, expected, "{resources:?}");
        for key in world.memory.objects().keys() {
            let folder = key.split('/').nth(2);
            assert!(
                folder.is_none_or(|it| it == "manifest.json" || snapshot.datasets.contains_key(it)),
                "{key}"
            );
        }
    }
}

/// A feature that is off is neither an empty dataset nor an error.
#[tokio::test(start_paused = true)]
async fn refused_lists_are_skipped_with_clerks_code_and_the_others_equal_the_source() {
    for (status, code) in [
        (402, "unsupported_subscription_plan_features"),
        (403, "organization_not_enabled_in_instance"),
        (410, "operation_deprecated"),
        (422, "feature_not_enabled"),
    ] {
        let world = World::of(40, 0, 0);
        for path in ["/v1/organizations*", "/v1/organization_*"] {
            world.sandbox.fault(FaultRule::on(path).status(status, code));
        }
        let snapshot = world.complete().await;
        for (name, dataset) in snapshot.manifest["datasets"].as_object().expect("datasets") {
            if name == "users" {
                assert_eq!(dataset["status"], "verified");
                continue;
            }
            assert_eq!(dataset["status"], "skipped", "{name}");
            assert_eq!(dataset["reason"], code, "{name}");
            assert_eq!(dataset["parts"], json!([]), "{name}");
        }
        assert_eq!(snapshot.ids("users"), world.sandbox.ids("users"));
        assert_eq!(snapshot.manifest["verified"], true);
        assert_valid(&schema_of("manifest"), &snapshot.manifest);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_names_and_content_types_are_those_of_the_reference() {
    let mut world = World::of(1200, 12, 700);
    let typed = Arc::new(TypedStore { inner: Arc::clone(&world.memory), types: Mutex::default() });
    world.store = FaultyStore::new(Arc::clone(&typed) as Arc<dyn Store>);
    let snapshot = world.complete().await;
    let id = snapshot.latest["snapshot_id"].as_str().expect("an id");
    assert_is_snapshot_id(id, world.clock.now().snapshot_id_stamp().as_str());

    let folder = format!("snapshots/{id}/");
    let manifest = format!("{folder}manifest.json");
    let mut expected = BTreeSet::from(["latest.json".to_owned(), manifest.clone()]);
    expected.extend(part_keys(&snapshot).map(|key| format!("{folder}{key}")));
    let found: BTreeSet<String> = world.memory.objects().into_keys().collect();
    assert_eq!(found, expected, "nothing but the snapshot is left");
    assert_eq!(snapshot.latest["manifest"], manifest);
    for (name, dataset) in snapshot.manifest["datasets"].as_object().expect("datasets") {
        for part in dataset["parts"].as_array().expect("parts") {
            let key = part["key"].as_str().expect("a key");
            assert!(key.starts_with(&format!("{name}/part-")), "{key}");
            assert!(key.ends_with(".ndjson.gz"), "{key}");
        }
    }
    for (key, media_type) in typed.types() {
        let json = key.ends_with(".json");
        let expected = if json { "application/json" } else { "application/x-ndjson" };
        assert_eq!(media_type, expected, "{key}");
    }
}

fn assert_is_snapshot_id(id: &str, stamp: &str) {
    let (start, suffix) = id.split_once('-').expect("two halves");
    assert_eq!(start, stamp);
    assert_eq!(suffix.len(), 6, "{id}");
    assert!(suffix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
}

#[tokio::test(start_paused = true)]
async fn manifest_and_latest_have_the_documented_fields_in_order() {
    let world = World::of(60, 5, 50);
    world.sandbox.set_instance("ins_of_the_test", "production");
    let snapshot = world.complete().await;
    let manifest = &snapshot.manifest;
    assert_eq!(
        keys(manifest),
        [
            "format",
            "snapshot_id",
            "instance",
            "started_at",
            "completed_at",
            "verified",
            "generator",
            "previous",
            "config_fingerprint",
            "settings",
            "redaction_key_id",
            "resources",
            "compression",
            "datasets",
            "referential",
            "run"
        ]
    );
    assert_eq!(manifest["format"], "clerk-sync/manifest/1");
    assert_eq!(manifest["instance"], json!({"id": "ins_of_the_test", "environment": "production"}));
    assert_eq!(
        manifest["generator"],
        json!({"name": "clerk-sync", "version": env!("CARGO_PKG_VERSION"), "clerk_api_version": "2026-05-12"})
    );
    assert!(manifest["config_fingerprint"].as_str().is_some_and(|it| it.starts_with("sha256:")));
    for (name, dataset) in manifest["datasets"].as_object().expect("datasets") {
        assert_eq!(
            keys(dataset),
            [
                "status",
                "reason",
                "records",
                "source_count",
                "duplicates_dropped",
                "rows_repaired",
                "unreadable_fields",
                "content_digest",
                "parts",
                "walk"
            ],
            "{name}"
        );
        assert_eq!(keys(&dataset["source_count"]), ["before", "after"], "{name}");
        for part in dataset["parts"].as_array().expect("parts") {
            assert_eq!(
                keys(part),
                ["key", "records", "bytes", "sha256", "fetched_from", "fetched_to"],
                "{name}"
            );
        }
    }
    let users = &manifest["datasets"]["users"];
    assert_eq!(users["source_count"], json!({"before": 60, "after": 60}));
    assert_eq!(users["reason"], Value::Null);
    assert_eq!(
        keys(&manifest["run"]),
        ["invocations", "requests", "retries", "rate_limited", "elapsed_seconds"]
    );
    assert_eq!(manifest["run"]["requests"], world.sandbox.total_requests());
    assert_eq!(
        keys(&snapshot.latest),
        ["snapshot_id", "manifest", "manifest_sha256", "started_at", "completed_at", "verified"]
    );
    for field in ["snapshot_id", "started_at", "completed_at", "verified"] {
        assert_eq!(snapshot.latest[field], manifest[field], "{field}");
    }
}

/// The settings of the fingerprint, in clear; rates, budgets and names of secrets are none of them.
#[tokio::test(start_paused = true)]
async fn the_manifest_says_which_settings_shaped_its_records() {
    let settings = async |changed: &[(&str, &str)], event| {
        let world =
            changed.iter().fold(World::of(3, 1, 2), |world, (name, to)| world.with(name, to));
        let answer = world.handle(event).await.expect("sync");
        assert_eq!(answer["status"], "complete", "{answer:#}");
        let manifest = world.published().expect("published").manifest;
        assert_valid(&schema_of("manifest"), &manifest);
        manifest["settings"].clone()
    };
    let usual = json!({
        "clerk_api_url": "http://127.0.0.1:1", "metadata": [], "include_raw": false, "redact": [],
        "sessions_lookback_days": null, "dau_lookback_days": null,
    });
    assert_eq!(settings(&[], json!({})).await, usual);
    let keys: Vec<&String> = usual.as_object().expect("an object").keys().collect();
    let written = settings(&[("MAX_CONCURRENCY", "3"), ("LEASE_SECONDS", "7")], json!({})).await;
    assert_eq!(written, usual);
    assert_eq!(written.as_object().expect("an object").keys().collect::<Vec<_>>(), keys);

    for (name, to, field, expected) in [
        ("CLERK_API_URL", "https://api.clerk.com", "clerk_api_url", json!("https://api.clerk.com")),
        ("CLERK_API_URL", "https://clerk.test/v1/", "clerk_api_url", json!("https://clerk.test")),
        ("METADATA", "unsafe,public", "metadata", json!(["public", "unsafe"])),
        ("METADATA", "none", "metadata", json!([])),
        ("INCLUDE_RAW", "true", "include_raw", json!(true)),
        ("REDACT", "ip,email", "redact", json!(["email", "ip"])),
        // Look-backs that do not count are not said.
        ("SESSIONS_LOOKBACK_DAYS", "7", "sessions_lookback_days", Value::Null),
        ("DAU_LOOKBACK_DAYS", "7", "dau_lookback_days", Value::Null),
    ] {
        let mut changed = usual.clone();
        changed[field] = expected;
        assert_eq!(settings(&[(name, to)], json!({})).await, changed, "{name}={to}");
    }

    for (days, expected) in [("", json!(30)), ("7", json!(7)), ("0.5", json!(0.5)), ("0", json!(0))]
    {
        // Also where the event asks for them.
        let opted_in = ("RESOURCES", "users,sessions");
        let lookback = ("SESSIONS_LOOKBACK_DAYS", days);
        let by_event = json!({"resources": ["sessions"]});
        for written in [
            settings(&[opted_in, lookback], json!({})).await,
            settings(&[lookback], by_event).await,
        ] {
            assert_eq!(written["sessions_lookback_days"], expected, "{days}");
            assert_eq!(written["dau_lookback_days"], Value::Null);
        }
    }
    let days = [("RESOURCES", "daily_active_users"), ("DAU_LOOKBACK_DAYS", "9")];
    let written = settings(&days, json!({})).await;
    assert_eq!(written["dau_lookback_days"], 9);
    assert_eq!(written["sessions_lookback_days"], Value::Null);
}

/// They are those that the run was read under, whoever publishes it.
#[tokio::test(start_paused = true)]
async fn a_run_that_another_invocation_publishes_says_the_settings_it_was_read_under() {
    let world = World::of(30, 3, 20).with("METADATA", "public").with("RESOURCES", "users");
    world.store.fault(Fault::new(Operation::Put, Effect::FailBefore).on_key("latest.json").from(1));
    world.sync().await.expect_err("latest.json cannot be written");
    let manifests = || {
        let objects = world.memory.objects();
        objects.into_iter().filter(|(key, _)| key.ends_with("/manifest.json")).collect::<Vec<_>>()
    };
    let written = manifests();
    world.store.heal();
    // Settings that are not of the fingerprint may change: the manifest stays the same.
    let slower = world.clone().with("MAX_CONCURRENCY", "1").with("SESSIONS_LOOKBACK_DAYS", "9");
    let snapshot = slower.complete().await;
    assert_eq!(manifests(), written);
    assert_eq!(snapshot.manifest["settings"]["metadata"], json!(["public"]));
}

/// The content does not depend on where pages, parts and invocations end.
#[tokio::test(start_paused = true)]
async fn an_unchanged_instance_has_the_same_digests_however_the_run_is_cut() {
    let sandbox = odd();
    let whole = World::new(sandbox.clone()).complete().await;
    let again = World::new(sandbox.clone()).complete().await;
    assert_ne!(whole.latest["snapshot_id"], again.latest["snapshot_id"]);
    assert_eq!(whole.digests(), again.digests());

    for (page, concurrency) in [(499, "1"), (130, "3"), (37, "32")] {
        sandbox.clear_faults();
        for path in ["/v1/users", "/v1/organizations", "/v1/organization_memberships"] {
            sandbox.fault(FaultRule::on(path).truncate_page(page));
        }
        let world = World::new(sandbox.clone()).with("MAX_CONCURRENCY", concurrency);
        let invocations = complete_without_time(&world).await;
        assert!(invocations > 1, "the run was cut");
        let pieces = world.published().expect("published");
        assert_ne!(records_of_parts(&whole), records_of_parts(&pieces), "cut elsewhere");
        assert_eq!(pieces.digests(), whole.digests());
        assert_equals_source(&pieces, &Oracle::plain(), &sandbox);
    }
}

/// Continues with a time budget of zero until the run is complete, and returns the number of
/// invocations.
async fn complete_without_time(world: &World) -> usize {
    for invocation in 1..=300 {
        let answer = world.handle(json!({"time_budget_seconds": 0})).await.expect("sync");
        if answer["status"] == "complete" {
            return invocation;
        }
    }
    panic!("every invocation moves forward")
}

#[tokio::test(start_paused = true)]
async fn a_changed_field_changes_its_digest_and_no_other() {
    let world = World::of(40, 6, 40);
    let before = world.complete().await.digests();
    let id = world.sandbox.ids("users")[7].clone();
    world.sandbox.update("users", &id, |row| row["locale"] = json!("xx")).expect("updated");
    let after = world.complete().await.digests();
    let changed: Vec<&String> =
        before.keys().filter(|name| before[*name] != after[*name]).collect();
    assert_eq!(changed, ["users"]);
}

fn part_keys(snapshot: &Snapshot) -> impl Iterator<Item = String> {
    let datasets = snapshot.manifest["datasets"].as_object().expect("datasets").values();
    let parts = datasets.flat_map(|dataset| dataset["parts"].as_array().expect("parts"));
    parts.map(|part| part["key"].as_str().expect("a key").to_owned())
}

fn records_of_parts(snapshot: &Snapshot) -> Vec<&Value> {
    let datasets = snapshot.manifest["datasets"].as_object().expect("datasets").values();
    let parts = datasets.flat_map(|dataset| dataset["parts"].as_array().expect("parts"));
    parts.map(|part| &part["records"]).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().expect("an array").iter().map(|it| it.as_str().expect("a string"))
}

/// Remembers the content type of every object written.
#[derive(Debug)]
struct TypedStore {
    inner: Arc<MemoryStore>,
    types: Mutex<BTreeMap<String, &'static str>>,
}

impl TypedStore {
    fn types(&self) -> BTreeMap<String, &'static str> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, key: &str, content_type: ContentType) {
        let mut types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        types.insert(key.to_owned(), content_type.media_type());
    }
}

#[async_trait]
impl Store for TypedStore {
    fn url_of(&self, key: &str) -> String {
        self.inner.url_of(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.inner.get(key).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: ContentType,
        condition: Condition,
    ) -> Result<Version, StoreError> {
        self.note(key, content_type);
        self.inner.put(key, bytes, content_type, condition).await
    }

    async fn delete(&self, key: &str, condition: DeleteCondition) -> Result<(), StoreError> {
        self.inner.delete(key, condition).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.inner.list(prefix).await
    }

    async fn verify(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        self.inner.verify(key).await
    }
}
