//! Every list beside the first five keeps the same promises: its dataset equals the source, however
//! its server pages it; a run that was cut goes on; what Clerk refuses is skipped, and what must not
//! be written is not.

use std::collections::BTreeSet;
use std::time::Duration;

use clerk_sandbox::{Effect, FaultRule, Population, Sandbox};
use clerk_sync::resource::Resource;
use clerk_sync::sync::endpoint::lists_of;
use serde_json::{Value, json};

use crate::support::lists::{PLAIN_LISTS, PlainList};
use crate::support::oracle::moment;
use crate::support::pieces::{complete, complete_in_pieces, ends};
use crate::support::plain::{FIRST, before_request};
use crate::support::snapshot::Snapshot;
use crate::support::world::World;

/// Something in every list.
fn populated() -> Sandbox {
    let population = Population::default().users(40).organizations(9).memberships(60);
    Sandbox::new(population.other_rows(23))
}

fn world(sandbox: &Sandbox, resources: &[&str]) -> World {
    World::new(sandbox.clone()).with("RESOURCES", &resources.join(",")).with("COMPRESSION", "none")
}

fn all() -> Vec<&'static str> {
    PLAIN_LISTS.iter().map(|list| list.resource).collect()
}

/// Every record, key for key.
fn assert_equals_source(snapshot: &Snapshot, list: &PlainList, source: &Sandbox) {
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

#[tokio::test(start_paused = true)]
async fn every_dataset_equals_its_source() {
    let sandbox = populated();
    let snapshot = complete(&world(&sandbox, &all()), "all lists").await;
    for list in PLAIN_LISTS {
        assert!(sandbox.count(list.resource) > 10, "{}", list.resource);
        assert_equals_source(&snapshot, list, &sandbox);
    }
    assert_eq!(snapshot.manifest["verified"], true);
    assert_eq!(sandbox.violations(), []);
}

#[tokio::test(start_paused = true)]
async fn every_line_is_valid_by_its_schema() {
    for settings in [
        [("INCLUDE_RAW", "false"), ("METADATA", "")],
        [("INCLUDE_RAW", "true"), ("METADATA", "public,private")],
    ] {
        let mut world = world(&populated(), &all());
        for (name, value) in settings {
            world = world.with(name, value);
        }
        let snapshot = complete(&world, "all lists").await;
        for (dataset, rows) in &snapshot.datasets {
            let path = format!("{}/schemas/{dataset}.schema.json", env!("CARGO_MANIFEST_DIR"));
            let schema = std::fs::read_to_string(&path).expect(&path);
            let schema = serde_json::from_str(&schema).expect("JSON");
            let schema = jsonschema::validator_for(&schema).expect("a schema");
            for row in rows {
                let errors: Vec<_> = schema.iter_errors(row).map(|it| it.to_string()).collect();
                assert!(errors.is_empty(), "{errors:?}\n{row}");
            }
        }
    }
}

/// A list of several pages: more rows than the population makes.
fn long(list: &PlainList, rows: usize) -> Sandbox {
    let sandbox = populated();
    let sample = sandbox.rows(list.resource)[0].clone();
    for id in sandbox.ids(list.resource) {
        sandbox.delete(list.resource, &id);
    }
    for number in 0..rows {
        add(&sandbox, list, &sample, number);
    }
    sandbox
}

fn add(sandbox: &Sandbox, list: &PlainList, sample: &Value, number: usize) {
    let mut row = sample.clone();
    row["id"] = format!("{}_{number:06}", list.kind).into();
    if row["created_at"].is_i64() {
        row["created_at"] = (FIRST + 1000 * number as i64).into();
    }
    sandbox.insert(list.resource, row).expect("the id is new");
}

#[tokio::test(start_paused = true)]
async fn lists_of_several_pages_are_read_to_their_end_in_any_number_of_pieces() {
    for list in PLAIN_LISTS {
        let sandbox = long(list, 1700);
        sandbox.set_latency(Duration::from_millis(200), Duration::ZERO);
        let whole = complete(&world(&sandbox, &[list.resource]), list.resource).await;
        assert_equals_source(&whole, list, &sandbox);
        sandbox.clear_requests();
        let pieces = world(&sandbox, &[list.resource]);
        let (invocations, cut) = complete_in_pieces(&pieces, 0.05, list.resource).await;
        assert_eq!(cut.digests(), whole.digests(), "{}", list.resource);
        let pages = sandbox.request_count(&format!("/v1/{}", list.path));
        let resource = Resource::from_name(list.resource).expect("a resource");
        let lists = lists_of(&BTreeSet::from([resource])).count() as u64;
        let most = lists * (5 + 2 * invocations as u64);
        assert!(pages <= most, "{}: {pages} pages", list.resource);
    }
}

/// Rows that come and go under the walk cost no row that stays, and the count agrees in the end.
#[tokio::test(start_paused = true)]
async fn rows_that_stay_are_held_once_whatever_comes_and_goes() {
    for list in PLAIN_LISTS {
        let sandbox = long(list, 1700);
        let sample = sandbox.rows(list.resource)[0].clone();
        let ids = sandbox.ids(list.resource);
        let path: &'static str = format!("/v1/{}", list.path).leak();
        before_request(&sandbox, path, 3, move |sandbox| {
            for id in ids[100..130].iter().chain(&ids[1500..1520]) {
                sandbox.delete(list.resource, id);
            }
            for number in 1700..1740 {
                add(sandbox, list, &sample, number);
            }
        });
        let snapshot = complete(&world(&sandbox, &[list.resource]), list.resource).await;
        let mut ids = snapshot.ids(list.resource);
        ids.sort_unstable();
        let mut there = sandbox.ids(list.resource);
        there.sort_unstable();
        let entry = &snapshot.manifest["datasets"][list.resource];
        assert_eq!(entry["status"], "verified", "{}: {entry:#}", list.resource);
        assert_eq!(ids, there, "{}", list.resource);
    }
}

/// What Clerk answers where a feature is not there.
const REFUSALS: [(u16, &str); 4] = [
    (402, "unsupported_subscription_plan_features"),
    (403, "feature_not_enabled"),
    (410, "operation_deprecated"),
    (422, "feature_not_enabled"),
];

#[tokio::test(start_paused = true)]
async fn a_refused_list_is_skipped_with_its_code_and_the_rest_is_exact() {
    for (number, refused) in PLAIN_LISTS.iter().enumerate() {
        let (status, code) = REFUSALS[number % REFUSALS.len()];
        let sandbox = populated();
        sandbox.fault(FaultRule::on(format!("/v1/{}", refused.path)).status(status, code));
        let snapshot = complete(&world(&sandbox, &all()), refused.resource).await;
        let entry = &snapshot.manifest["datasets"][refused.resource];
        assert_eq!((&entry["status"], &entry["reason"]), (&json!("skipped"), &json!(code)));
        assert_eq!(entry["content_digest"], Value::Null, "{}", refused.resource);
        for list in PLAIN_LISTS.iter().filter(|list| list.resource != refused.resource) {
            assert_equals_source(&snapshot, list, &sandbox);
        }
    }
}

/// Neither an error nor a body that is no list looks like an empty one.
#[tokio::test(start_paused = true)]
async fn an_error_is_never_an_empty_list() {
    for list in PLAIN_LISTS {
        for fault in [
            FaultRule::on(format!("/v1/{}", list.path)).status(404, "resource_not_found"),
            FaultRule::on(format!("/v1/{}", list.path)).effect(Effect::Body("[]".to_owned())),
            FaultRule::on(format!("/v1/{}", list.path)).effect(Effect::Body("{}".to_owned())),
        ] {
            let sandbox = populated();
            sandbox.fault(fault.clone());
            let world = world(&sandbox, &[list.resource]);
            let error = ends(&world, json!({})).await.expect_err("no list");
            assert_eq!(error.name(), "ClerkProtocol", "{}: {fault:?}: {error:?}", list.resource);
            assert!(world.published().is_none());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn check_reads_a_row_of_each() {
    let sandbox = populated();
    let answer = world(&sandbox, &all()).handle(json!({"action": "check"})).await.expect("check");
    for list in PLAIN_LISTS {
        let checks = answer.as_array().expect("checks").iter();
        let its: Vec<&Value> = checks.filter(|check| check["check"] == list.resource).collect();
        assert_eq!(its.len(), 1, "{}: {answer:#}", list.resource);
        assert_eq!(its[0]["ok"], true, "{answer:#}");
    }
}

/// What nobody may ever read in a snapshot, wherever Clerk might put it.
#[tokio::test(start_paused = true)]
async fn no_secret_of_any_list_is_written_even_with_raw() {
    const SECRET: &str = "never-to-be-written";
    let sandbox = populated();
    for list in PLAIN_LISTS {
        for id in sandbox.ids(list.resource) {
            let spoil = |row: &mut Value| {
                for field in [
                    "url",
                    "secret",
                    "client_secret",
                    "secret_key",
                    "signing_key",
                    "token",
                    "idp_certificate",
                    "private_metadata",
                ] {
                    if list.resource != "redirect_urls" || field != "url" {
                        row[field] = SECRET.into();
                    }
                }
                for inside in ["saml_connection", "oauth_config"] {
                    if row[inside].is_object() {
                        row[inside]["idp_certificate"] = SECRET.into();
                        row[inside]["client_secret"] = SECRET.into();
                    }
                }
                if list.resource == "waitlist_entries" {
                    row["invitation"] =
                        json!({ "id": "inv_1", "status": "pending", "url": SECRET });
                }
            };
            sandbox.update(list.resource, &id, spoil).expect("it is there");
        }
    }
    let world = world(&sandbox, &all()).with("INCLUDE_RAW", "true");
    let snapshot = complete(&world, "all lists").await;
    for (key, bytes) in world.memory.objects() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(SECRET), "{key} holds a secret");
    }
    for list in PLAIN_LISTS {
        let rows = &snapshot.datasets[list.resource];
        assert!(rows.iter().all(|row| row["raw"]["id"] == row["id"]), "{}", list.resource);
    }
    let urls = &snapshot.datasets["redirect_urls"];
    assert!(urls.iter().all(|row| row["raw"]["url"] == row["profile"]["url"]));
}

/// Metadata of invitations is copied where it was asked for by name.
#[tokio::test(start_paused = true)]
async fn metadata_of_invitations_is_copied_if_it_was_asked_for() {
    let sandbox = populated();
    for list in ["invitations", "organization_invitations"] {
        for id in sandbox.ids(list) {
            let change = |row: &mut Value| row["public_metadata"] = json!({ "team": [1, "ü"] });
            sandbox.update(list, &id, change).expect("it is there");
        }
    }
    let lists = ["invitations", "organization_invitations"];
    for (asked, expected) in [("", Value::Null), ("public", json!({ "team": [1, "ü"] }))] {
        let world = world(&sandbox, &lists).with("METADATA", asked);
        let snapshot = complete(&world, asked).await;
        for row in lists.iter().flat_map(|list| &snapshot.datasets[*list]) {
            assert_eq!(row["profile"]["public_metadata"], expected, "{asked:?}");
            let is_there = row["profile"].get("public_metadata").is_some();
            assert_eq!(is_there, !asked.is_empty());
            assert_eq!(row["profile"].get("private_metadata"), None);
        }
    }
}

/// What machines may call, as entitlements and grants worked out from Clerk's rows.
fn scopes(sandbox: &Sandbox) -> (Vec<String>, Vec<String>) {
    let machines = sandbox.rows("machines");
    let entitlements = machines.iter().map(|machine| {
        json!({
            "kind": "entitlement",
            "id": format!("machine:{}:call", text(&machine["id"])),
            "resource": { "type": "machine", "id": machine["id"] },
            "slug": "call",
            "purpose": "permission",
            "display_name": machine["name"],
            "grantable_to": ["machine"],
            "role": null,
        })
    });
    let grants = machines.iter().flat_map(|caller| {
        let called = caller["scoped_machines"].as_array().expect("machines").iter();
        called.map(move |called| {
            let entitlement = format!("machine:{}:call", text(&called["id"]));
            json!({
                "kind": "grant",
                "id": format!("{entitlement}:machine:{}", text(&caller["id"])),
                "entitlement_id": entitlement,
                "resource": { "type": "machine", "id": called["id"] },
                "slug": "call",
                "principal": { "type": "machine", "id": caller["id"] },
                "role": null,
                "permissions": null,
                "source": null,
                "created_at": moment(&caller["created_at"]),
                "updated_at": moment(&caller["updated_at"]),
            })
        })
    });
    (entitlements.map(|it| it.to_string()).collect(), grants.map(|it| it.to_string()).collect())
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// The lines of a dataset that are about machines.
fn of_machines(snapshot: &Snapshot, dataset: &str) -> Vec<String> {
    let rows = snapshot.datasets[dataset].iter();
    rows.filter(|row| row["resource"]["type"] == "machine").map(Value::to_string).collect()
}

/// A machine refers to another that was created after it.
fn with_a_call_ahead(sandbox: &Sandbox) {
    let machines = sandbox.rows("machines");
    let (first, last) = (&machines[0], &machines[machines.len() - 1]);
    let mut called = last.clone();
    called.as_object_mut().expect("a row").shift_remove("scoped_machines");
    let change = |row: &mut Value| row["scoped_machines"] = json!([called]);
    sandbox.update("machines", text(&first["id"]), change).expect("it is there");
}

#[tokio::test(start_paused = true)]
async fn machines_are_granted_what_they_may_call() {
    let sandbox = populated();
    with_a_call_ahead(&sandbox);
    let (entitlements, grants) = scopes(&sandbox);
    assert!(grants.len() > 10);
    for resources in
        [vec!["machines"], vec!["machines", "organizations", "organization_memberships"]]
    {
        let snapshot = complete(&world(&sandbox, &resources), "machines").await;
        assert_eq!(of_machines(&snapshot, "entitlements"), entitlements);
        assert_eq!(of_machines(&snapshot, "grants"), grants);
        let counted = &snapshot.manifest["datasets"]["grants"]["source_count"]["after"];
        let list = if resources.len() == 1 { "machines" } else { "organization_memberships" };
        assert_eq!(*counted, sandbox.count(list), "{resources:?}");
    }
}

/// Every machine that a grant names is in the snapshot, whatever comes and goes meanwhile.
#[tokio::test(start_paused = true)]
async fn grants_of_machines_are_closed() {
    let sandbox = populated();
    with_a_call_ahead(&sandbox);
    // Once all machines have been read, and before they are read for what they may call.
    before_request(&sandbox, "/v1/machines", 2, |sandbox| {
        let machines = sandbox.rows("machines");
        let mut called = machines[3].clone();
        called.as_object_mut().expect("a row").shift_remove("scoped_machines");
        let new = json!({
            "object": "machine", "id": "mch_new", "name": "new", "instance_id": "ins_1",
            "created_at": sandbox.latest() + 1, "updated_at": sandbox.latest() + 1,
            "default_token_ttl": 60, "scoped_machines": [called],
        });
        sandbox.insert("machines", new.clone()).expect("it is new");
        let change = |row: &mut Value| row["scoped_machines"] = json!([new]);
        sandbox.update("machines", text(&machines[5]["id"]), change).expect("it is there");
        sandbox.delete("machines", text(&machines[7]["id"]));
    });
    let snapshot = complete(&world(&sandbox, &["machines"]), "machines").await;
    let there = snapshot.ids("machines");
    assert!(there.contains(&"mch_new".to_owned()));
    for grant in &snapshot.datasets["grants"] {
        for side in ["principal", "resource"] {
            assert!(there.contains(&text(&grant[side]["id"]).to_owned()), "{side} of {grant}");
        }
    }
    let mut grants = of_machines(&snapshot, "grants");
    let (_, mut expected) = scopes(&sandbox);
    grants.sort_unstable();
    expected.sort_unstable();
    assert_eq!(grants, expected);
}
