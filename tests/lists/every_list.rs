//! Promise: every list besides the five that access depends on is copied just as exactly: equal to
//! its source, in any number of invocations, skipped when Clerk refuses it, and without secrets.

use std::collections::BTreeSet;
use std::time::Duration;

use clerk_sandbox::{Effect, FaultRule, Sandbox};
use clerk_snapshot::resource::Resource;
use clerk_sync::lists::table::lists_of;
use serde_json::{Value, json};

use crate::support::further_lists::{
    REFUSALS, assert_equals_source, assert_failed, populated, world,
};
use crate::support::lists::{PLAIN_LISTS, PlainList, every_list};
use crate::support::pieces::{complete, complete_in_pieces};
use crate::support::plain::{FIRST, before_request};
use crate::support::sessions::refusing_sessions_of_all;

/// The resources that are read as one list.
fn all() -> Vec<&'static str> {
    PLAIN_LISTS.iter().map(|list| list.resource).collect()
}

/// The same, and API keys.
fn every_resource() -> Vec<&'static str> {
    every_list().map(|list| list.resource).collect()
}

#[tokio::test(start_paused = true)]
async fn every_dataset_equals_its_source() {
    let sandbox = populated();
    let snapshot = complete(&world(&sandbox, &every_resource()), "all lists").await;
    for list in every_list() {
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
        let mut world = world(&populated(), &every_resource());
        for (name, value) in settings {
            world = world.with(name, value);
        }
        let snapshot = complete(&world, "all lists").await;
        assert!(snapshot.datasets.contains_key("api_keys"));
        for (dataset, rows) in &snapshot.datasets {
            let schema = jsonschema::validator_for(&schema_of(dataset)).expect("a schema");
            for row in rows {
                let errors: Vec<_> = schema.iter_errors(row).map(|it| it.to_string()).collect();
                assert!(errors.is_empty(), "{errors:?}\n{row}");
            }
        }
    }
}

fn schema_of(dataset: &str) -> Value {
    let path = format!("{}/schemas/{dataset}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema = std::fs::read_to_string(&path).expect(&path);
    serde_json::from_str(&schema).expect("JSON")
}

/// Comparing null with null would hide a field that is never read, so every field of every profile
/// has a value in some row of these lists.
#[tokio::test(start_paused = true)]
async fn every_field_of_every_profile_has_a_value_in_some_record() {
    let world = world(&populated(), &every_resource()).with("METADATA", "public,private");
    let snapshot = complete(&world, "all lists").await;
    for list in every_list() {
        let profile = &schema_of(list.resource)["properties"]["profile"];
        assert!(profile["properties"].is_object(), "{}: {profile}", list.resource);
        let profiles: Vec<&Value> =
            snapshot.datasets[list.resource].iter().map(|row| &row["profile"]).collect();
        let never = always_null(profile, &profiles, "profile");
        assert!(never.is_empty(), "{} is always null in {never:?}", list.resource);
    }
}

/// The leaf fields that a schema allows and that are null in all of these values.
fn always_null(schema: &Value, values: &[&Value], path: &str) -> Vec<String> {
    if let Some(fields) = schema["properties"].as_object() {
        let of_field = |(name, schema): (&String, &Value)| {
            let values: Vec<&Value> = values.iter().filter_map(|it| it.get(name)).collect();
            always_null(schema, &values, &format!("{path}.{name}"))
        };
        return fields.iter().flat_map(of_field).collect();
    }
    if schema["items"].is_object() {
        let values: Vec<&Value> = values.iter().filter_map(|it| it.as_array()).flatten().collect();
        return always_null(&schema["items"], &values, &format!("{path}[]"));
    }
    let has_value = values.iter().any(|it| !it.is_null());
    if has_value { Vec::new() } else { vec![path.to_owned()] }
}

/// A list of several pages: more rows than the population creates.
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

/// Changes while the list is read lose no row that stays, and the count agrees at the end.
#[tokio::test(start_paused = true)]
async fn rows_that_stay_are_there_once_whatever_else_changes() {
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

/// The datasets that are skipped if a list is refused, because they depend on it.
fn skipped_with(list: &'static str) -> BTreeSet<&'static str> {
    BTreeSet::from_iter(match list {
        "users" => vec!["users", "daily_active_users", "api_keys"],
        "organizations" => vec!["organizations", "entitlements", "api_keys"],
        "organization_roles" => vec!["organization_roles", "entitlements", "grants"],
        "organization_permissions" => vec!["organization_permissions", "entitlements"],
        "organization_memberships" => vec!["grants"],
        "machines" => vec!["machines", "entitlements", "grants", "api_keys"],
        other => vec![other],
    })
}

/// With everything opted in, a refused list is skipped with Clerk's code, together with the
/// datasets that depend on it; the rest is exact.
#[tokio::test(start_paused = true)]
async fn a_refused_list_skips_only_the_datasets_that_need_it() {
    let everything: Vec<&str> = Resource::ALL.iter().map(|resource| resource.name()).collect();
    let usual = complete(&world(&populated(), &everything), "nothing refused").await;
    // A dataset that is not a list of Clerk's cannot be refused.
    let lists = everything.iter().filter(|name| **name != "daily_active_users");
    for (list, (status, code)) in lists.zip(REFUSALS.into_iter().cycle()) {
        let sandbox = populated();
        let plain = PLAIN_LISTS.iter().find(|plain| plain.resource == *list);
        let path = plain.map_or(*list, |plain| plain.path);
        sandbox.fault(FaultRule::on(format!("/v1/{path}")).status(status, code));
        let snapshot = complete(&world(&sandbox, &everything), list).await;
        let skipped = skipped_with(list);
        for (name, entry) in snapshot.manifest["datasets"].as_object().expect("datasets") {
            if skipped.contains(name.as_str()) {
                let said = (&entry["status"], &entry["reason"]);
                assert_eq!(said, (&json!("skipped"), &json!(code)), "{list}: {name}");
                let is_empty = entry["content_digest"].is_null();
                assert!(is_empty || name != list, "{list}: {name}");
                continue;
            }
            let same = &usual.manifest["datasets"][name]["content_digest"];
            let without_role_ids =
                name == "organization_invitations" && *list == "organization_roles";
            assert_eq!(entry["status"], "verified", "{list}: {name}");
            assert_eq!(entry["content_digest"] == *same, !without_role_ids, "{list}: {name}");
        }
    }
}

/// Neither an error nor a body that is not a list looks like an empty list.
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
            let what = format!("{}: {fault:?}", list.resource);
            assert_failed(&complete(&world, &what).await, list.resource, &what);
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

/// Secrets never appear in a snapshot, wherever Clerk might put them.
#[tokio::test(start_paused = true)]
async fn no_secret_of_any_list_is_written_even_with_raw() {
    const SECRET: &str = "never-to-be-written";
    let sandbox = populated();
    for list in every_list() {
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
    let world = world(&sandbox, &every_resource()).with("INCLUDE_RAW", "true");
    let snapshot = complete(&world, "all lists").await;
    for (key, bytes) in world.memory.objects() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(SECRET), "{key} holds a secret");
    }
    for list in every_list() {
        let rows = &snapshot.datasets[list.resource];
        assert!(!rows.is_empty(), "{}", list.resource);
        assert!(rows.iter().all(|row| row["raw"]["id"] == row["id"]), "{}", list.resource);
    }
    let urls = &snapshot.datasets["redirect_urls"];
    assert!(urls.iter().all(|row| row["raw"]["url"] == row["profile"]["url"]));
}

/// Metadata of invitations is copied only if it is opted in by name.
#[tokio::test(start_paused = true)]
async fn metadata_of_invitations_is_copied_only_if_opted_in() {
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

/// The table of resources in the reference lists what a run does.
#[tokio::test(start_paused = true)]
async fn the_reference_says_what_every_resource_writes_and_requests() {
    let reference = include_str!("../../docs/reference.md");
    let table = reference.split("| in `RESOURCES` |").nth(1).expect("the table");
    let rows: Vec<Vec<BTreeSet<&str>>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(quoted).collect())
        .collect();
    let named: BTreeSet<&str> = rows.iter().flat_map(|row| row[0].iter().copied()).collect();
    let all: BTreeSet<&str> = Resource::ALL.iter().map(|resource| resource.name()).collect();
    assert_eq!(named, all);
    for row in rows {
        let name = row[0].first().expect("a name");
        let resource = Resource::from_name(name).expect("a resource");
        let sandbox = populated();
        // Sessions are requested as one list first, and then user by user.
        refusing_sessions_of_all(&sandbox);
        let snapshot = complete(&world(&sandbox, &[resource.name()]), name).await;
        assert_eq!(row[1], snapshot.datasets.keys().map(String::as_str).collect(), "{name}");
        let asked = sandbox.requests_by_path();
        let paths = asked.keys().filter_map(|path| path.strip_prefix("/v1"));
        assert_eq!(row[2], paths.filter(|path| *path != "/instance").collect(), "{name}");
    }
}

/// The texts between backticks.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
