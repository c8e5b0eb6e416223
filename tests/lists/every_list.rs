//! Every list beside the first five keeps the same promises: its dataset equals the source, however
//! its server pages it; a run that was cut goes on; what Clerk refuses is skipped, and what must not
//! be written is not.

use std::collections::BTreeSet;
use std::time::Duration;

use clerk_sandbox::{Effect, FaultRule, Population, Rules, Sandbox};
use clerk_snapshot::resource::Resource;
use clerk_store::Operation;
use clerk_sync::error::Error;
use clerk_sync::lists::table::lists_of;
use serde_json::{Value, json};

use crate::support::faulty_store::{self, Fault};
use crate::support::fuse::Side;
use crate::support::lists::{API_KEYS, PLAIN_LISTS, PlainList, every_list};
use crate::support::machines::{of_machines, scopes};
use crate::support::pieces::{complete, complete_in_pieces};
use crate::support::plain::{FIRST, before_request, plain};
use crate::support::scene::{PAST_THE_LEASE, Stage, cut_at_request, frozen, unnamed};
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

/// What is asked for as a whole.
fn all() -> Vec<&'static str> {
    PLAIN_LISTS.iter().map(|list| list.resource).collect()
}

/// That, and API keys.
fn every_resource() -> Vec<&'static str> {
    every_list().map(|list| list.resource).collect()
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

/// Where null was compared with null, nobody would see that a field is not read: every field of every
/// profile has a value in some row of these lists.
#[tokio::test(start_paused = true)]
async fn every_field_of_every_profile_has_a_value_in_some_record() {
    let world = world(&populated(), &every_resource()).with("METADATA", "public,private");
    let snapshot = complete(&world, "all lists").await;
    for list in every_list() {
        let profile = &schema_of(list.resource)["properties"]["profile"];
        assert!(profile["properties"].is_object(), "{}: {profile}", list.resource);
        let profiles: Vec<&Value> =
            snapshot.datasets[list.resource].iter().map(|row| &row["profile"]).collect();
        let never = never_said(profile, &profiles, "profile");
        assert!(never.is_empty(), "{} never says {never:?}", list.resource);
    }
}

/// The fields that a schema allows, down to those that hold no others, and that are null in all of
/// these values.
fn never_said(schema: &Value, values: &[&Value], path: &str) -> Vec<String> {
    if let Some(fields) = schema["properties"].as_object() {
        let of_field = |(name, schema): (&String, &Value)| {
            let values: Vec<&Value> = values.iter().filter_map(|it| it.get(name)).collect();
            never_said(schema, &values, &format!("{path}.{name}"))
        };
        return fields.iter().flat_map(of_field).collect();
    }
    if schema["items"].is_object() {
        let values: Vec<&Value> = values.iter().filter_map(|it| it.as_array()).flatten().collect();
        return never_said(&schema["items"], &values, &format!("{path}[]"));
    }
    let is_said = values.iter().any(|it| !it.is_null());
    if is_said { Vec::new() } else { vec![path.to_owned()] }
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
const REFUSALS: [(u16, &str); 5] = [
    (422, "api_keys_not_enabled"),
    (402, "unsupported_subscription_plan_features"),
    (403, "feature_not_enabled"),
    (410, "operation_deprecated"),
    (422, "feature_not_enabled"),
];

/// Datasets that are skipped where a list is refused: those that cannot be known without it.
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

/// With everything opted in, a refused list is skipped with its code and takes along what cannot be known
/// without it; the rest is exact.
#[tokio::test(start_paused = true)]
async fn a_refused_list_takes_along_only_what_needs_it() {
    let everything: Vec<&str> = Resource::ALL.iter().map(|resource| resource.name()).collect();
    let usual = complete(&world(&populated(), &everything), "nothing refused").await;
    // What is no list of Clerk's cannot be refused.
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

/// The list could not be read: its dataset says so, and has nothing that looks like an empty list.
fn assert_failed(snapshot: &Snapshot, dataset: &str, what: &str) {
    let entry = &snapshot.manifest["datasets"][dataset];
    assert_eq!(entry["status"], "failed", "{what}: {entry:#}");
    assert!(text(&entry["reason"]).contains('/'), "{what}: {entry:#}");
    assert_eq!((&entry["records"], &entry["parts"]), (&json!(0), &json!([])), "{what}");
    assert_eq!(entry["content_digest"], Value::Null, "{what}: failed is not empty");
    assert_eq!(snapshot.manifest["verified"], false, "{what}");
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

/// What nobody may ever read in a snapshot, wherever Clerk might put it.
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

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
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

/// The ids of a dataset, whatever their order.
fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}

/// Users, of whom every third was active in the last 30 days of the world's clock, with a session
/// each or two; in the order that they are listed in by user.
fn with_sessions(users: usize) -> (Sandbox, Vec<String>) {
    const NOW: i64 = 1_763_640_000_000;
    const DAY: i64 = 86_400_000;
    let sandbox = Sandbox::empty();
    let sample = populated().rows("sessions")[0].clone();
    let mut of_the_active = Vec::new();
    for number in 0..users {
        let user = format!("user_{number:06}");
        let active = number % 3 == 0;
        let last_active = NOW - DAY * if active { 29 } else { 32 };
        let created_at = FIRST + 1000 * number as i64;
        let row = json!({
            "object": "user", "id": user, "created_at": created_at, "updated_at": created_at,
            "last_active_at": last_active - last_active.rem_euclid(DAY),
        });
        sandbox.insert("users", row).expect("the id is new");
        for session in (0..=number % 2).rev() {
            let mut row = sample.clone();
            row["id"] = format!("sess_{number:06}_{session}").into();
            row["user_id"] = user.clone().into();
            row["created_at"] = (created_at + session as i64).into();
            row["status"] = "a_status_of_the_future".into();
            sandbox.insert("sessions", row).expect("the id is new");
            if active {
                of_the_active.push(format!("sess_{number:06}_{session}"));
            }
        }
    }
    (sandbox, of_the_active)
}

fn refusing_sessions_of_all(sandbox: &Sandbox) {
    sandbox.set_rules(Rules { sessions_need_user: true, ..Rules::default() });
}

#[tokio::test(start_paused = true)]
async fn sessions_are_read_as_a_whole_where_clerk_lists_them_so() {
    let (sandbox, _) = with_sessions(60);
    let snapshot = complete(&world(&sandbox, &["sessions"]), "whole").await;
    assert_eq!(sorted(snapshot.ids("sessions")), sorted(sandbox.ids("sessions")));
    assert_eq!(snapshot.manifest["datasets"]["sessions"]["walk"], "offset");
    assert_eq!(sandbox.request_count("/v1/sessions"), 1);
    assert_eq!(sandbox.request_count("/v1/users"), 0);
    let statuses = snapshot.datasets["sessions"].iter().map(|row| &row["profile"]["status"]);
    assert!(statuses.into_iter().all(|status| status == "a_status_of_the_future"));
}

/// Where Clerk refuses the whole list, or leaves it empty, each active user is asked for.
#[tokio::test(start_paused = true)]
async fn sessions_are_read_user_by_user_where_clerk_does_not_list_them_all() {
    type Trouble = fn(&Sandbox);
    let troubles: [(&str, Trouble); 3] = [
        ("refused", refusing_sessions_of_all),
        ("empty", |sandbox| {
            let empty = r#"{"data":[],"total_count":0}"#.to_owned();
            sandbox.fault(FaultRule::on("/v1/sessions").call(1).effect(Effect::Body(empty)));
        }),
        ("cut short", |sandbox| {
            sandbox
                .fault(FaultRule::on("/v1/sessions").calls(1, 3).effect(Effect::TruncatePage(0)));
        }),
    ];
    for (what, trouble) in troubles {
        let (sandbox, of_the_active) = with_sessions(60);
        trouble(&sandbox);
        let snapshot = complete(&world(&sandbox, &["sessions"]), what).await;
        assert_eq!(snapshot.ids("sessions"), of_the_active, "{what}");
        let entry = &snapshot.manifest["datasets"]["sessions"];
        assert_eq!(entry["status"], "verified", "{what}: {entry:#}");
        assert_eq!(entry["walk"], "by_owner", "{what}");
        assert_eq!(entry["source_count"]["after"], of_the_active.len(), "{what}");
        assert!(!snapshot.datasets.contains_key("users"), "{what}");
    }
}

/// Where Clerk refuses the list of all with a code that means a feature, and answers for a user, the
/// feature is there; where nobody was active, nobody can be asked for, and nothing is known.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_all_sessions_is_none_of_each_users() {
    for (status, code) in REFUSALS {
        for (lookback, is_read) in [("30", true), ("0", false)] {
            let (sandbox, of_the_active) = with_sessions(60);
            sandbox.fault(FaultRule::on("/v1/sessions").call(1).status(status, code));
            let world = world(&sandbox, &["sessions"]).with("SESSIONS_LOOKBACK_DAYS", lookback);
            let snapshot = complete(&world, code).await;
            let entry = &snapshot.manifest["datasets"]["sessions"];
            if is_read {
                assert_eq!(snapshot.ids("sessions"), of_the_active, "{code}");
                assert_eq!(entry["status"], "verified", "{entry:#}");
                assert_eq!(entry["walk"], "by_owner", "{code}");
            } else {
                let said = (&entry["status"], &entry["reason"]);
                assert_eq!(said, (&json!("skipped"), &json!(code)), "{entry:#}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_are_read_user_by_user_where_large_offsets_are_not_answered() {
    let (sandbox, of_the_active) = with_sessions(600);
    let fault = FaultRule::on("/v1/sessions").past_offset(400);
    sandbox.fault(fault.status(504, "gateway_timeout"));
    let snapshot = complete(&world(&sandbox, &["sessions"]), "no large offsets").await;
    assert_eq!(snapshot.ids("sessions"), of_the_active);
    assert_eq!(snapshot.manifest["datasets"]["sessions"]["walk"], "by_owner");
}

#[tokio::test(start_paused = true)]
async fn how_far_sessions_look_back_is_a_setting() {
    let (sandbox, _) = with_sessions(60);
    refusing_sessions_of_all(&sandbox);
    let world = world(&sandbox, &["sessions"]).with("SESSIONS_LOOKBACK_DAYS", "40");
    let snapshot = complete(&world, "40 days").await;
    assert_eq!(sorted(snapshot.ids("sessions")), sorted(sandbox.ids("sessions")));
}

/// Active users without an instance-wide list of their sessions, at a hundred requests in ten
/// seconds, a share of them for this program.
fn asking_user_by_user(active: usize, share: &str) -> (World, Vec<String>) {
    let (sandbox, of_the_active) = with_sessions(3 * active);
    refusing_sessions_of_all(&sandbox);
    sandbox.limit(100, Duration::from_secs(10));
    sandbox.set_latency(Duration::from_millis(50), Duration::from_millis(20));
    let world = world(&sandbox, &["sessions"])
        .with("CLERK_REQUESTS_PER_10S", "100")
        .with("CLERK_RATE_SHARE", share);
    (world, of_the_active)
}

/// Of what a run of `active` users would have asked for without interruptions, nothing was asked
/// for again but the instance and a page of users each time.
fn assert_two_requests_each(world: &World, active: u64, interruptions: u64) {
    let asked = world.sandbox.requests_by_path();
    // One for each user, and the whole list that was refused.
    assert_eq!(asked["/v1/sessions"], active + 1);
    assert_eq!(asked["/v1/instance"], 1 + interruptions);
    let pages = active.div_ceil(500);
    let users = asked["/v1/users"];
    assert!(
        users <= pages + interruptions,
        "{users} pages of users, {interruptions} interruptions"
    );
    assert_eq!(asked["/v1/users/count"], 1, "to say whether there is time for all of them");
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(world.sandbox.rate_limited_count(), 0);
}

/// A run that asks for thousands of users' sessions is continued as often as it takes.
#[tokio::test(start_paused = true)]
async fn sessions_user_by_user_continue_over_many_invocations() {
    for (active, seconds, least) in [(600, 5.0, 20), (10_000, 450.0, 4)] {
        let (world, of_the_active) = asking_user_by_user(active, "0.5");
        let (invocations, snapshot) = complete_in_pieces(&world, seconds, "by user").await;
        assert!(invocations > least, "{invocations}");
        assert!(snapshot.ids("sessions") == of_the_active, "each once, in the users' order");
        assert_two_requests_each(&world, active as u64, invocations as u64 - 1);
        let parts = snapshot.manifest["datasets"]["sessions"]["parts"].as_array().expect("parts");
        assert!(parts.len() <= 28, "{} parts", parts.len());
    }
}

/// However many owners there are, parts are joined until they are large.
#[tokio::test(start_paused = true)]
async fn parts_of_lists_by_owner_are_as_few_as_their_bytes_allow() {
    let (sandbox, of_the_active) = with_sessions(3 * 3000);
    refusing_sessions_of_all(&sandbox);
    let world = world(&sandbox, &["sessions"]).with("COMPRESSION", "none");
    let snapshot = complete(&world, "joined").await;
    assert!(snapshot.ids("sessions") == of_the_active);
    let parts = snapshot.manifest["datasets"]["sessions"]["parts"].as_array().expect("parts");
    let bytes: u64 = parts.iter().map(|part| part["bytes"].as_u64().expect("a size")).sum();
    // One for each half a mebibyte, and fewer than eight of each of the sizes that were met at the end.
    assert!(bytes > 1_500_000, "{bytes} bytes");
    let most = bytes as usize / (512 * 1024) + 4 * 7;
    assert!(parts.len() <= most, "{} parts of {bytes} bytes", parts.len());
    let stored = world.store.keys_put().iter().filter(|key| key.contains("/part-")).count();
    assert!(stored > 60, "{stored} parts were stored in all");
}

/// Most users have a session or two, which are stored as they come and joined later: wherever the power
/// is cut, each is in the snapshot once, and of what was joined nothing stays.
#[tokio::test(start_paused = true)]
async fn small_parts_are_joined_wherever_the_power_is_cut() {
    let (sandbox, of_the_active) = with_sessions(3 * 24);
    refusing_sessions_of_all(&sandbox);
    let stage = || Stage::of(world(&sandbox, &["sessions"]));
    let whole = stage();
    let snapshot = complete(&whole.world, "whole").await;
    let parts = snapshot.manifest["datasets"]["sessions"]["parts"].as_array().expect("parts");
    assert!(parts.len() < 8, "{} parts", parts.len());
    for side in [Side::Before, Side::After] {
        for call in 1..=whole.store_calls() {
            let what = &format!("cut {side:?} store call {call}");
            let stage = stage();
            let world = &stage.world;
            assert!(stage.cut_at_store_call(call, side).await.is_none(), "{what}: it ended");
            tokio::time::advance(PAST_THE_LEASE).await;
            let snapshot = complete(world, what).await;
            assert!(snapshot.ids("sessions") == of_the_active, "{what}");
            assert_eq!(unnamed(world), BTreeSet::new(), "{what}");
        }
    }
}

/// One that is frozen meanwhile, and wakes up when another has published the snapshot, takes nothing away
/// from it.
#[tokio::test(start_paused = true)]
async fn one_frozen_while_parts_are_joined_takes_nothing_away() {
    const AFTER_TAKING: u64 = 5;
    let (sandbox, of_the_active) = with_sessions(3 * 24);
    refusing_sessions_of_all(&sandbox);
    let stage = || Stage::of(world(&sandbox, &["sessions"]));
    let whole = stage();
    complete(&whole.world, "whole").await;
    for call in AFTER_TAKING..=whole.store_calls() {
        let what = &format!("frozen before store call {call}");
        let stage = stage();
        let world = &stage.world;
        let fuse = stage.fuse_at_store_call(call, Side::Before);
        let holder = frozen(world, &fuse, what).await;
        complete(world, what).await;
        fuse.mend();
        let _answer_or_error = holder.await;
        let snapshot = world.published().expect("published");
        assert!(snapshot.ids("sessions") == of_the_active, "{what}");
    }
}

/// A store that cannot be read does not end a run for good, wherever that is noticed.
#[tokio::test(start_paused = true)]
async fn a_part_that_cannot_be_read_when_it_is_joined_is_read_by_the_next_invocation() {
    let (sandbox, of_the_active) = with_sessions(3 * 24);
    refusing_sessions_of_all(&sandbox);
    let world = world(&sandbox, &["sessions"]);
    let fault = Fault::new(Operation::Get, faulty_store::Effect::FailBefore);
    world.store.fault(fault.on_key("/part-").at(3));
    let error = world.sync().await.expect_err("a part could not be read");
    assert!(matches!(error, Error::StoreUnavailable(_)), "{error:?}");
    let snapshot = complete(&world, "the next one").await;
    assert!(snapshot.ids("sessions") == of_the_active);
    assert_eq!(unnamed(&world), BTreeSet::new());
}

/// Whoever is killed loses what was on its way or waited to be stored: at a pace this slow two
/// requests, however much is safe (`docs/decisions/0005-at-stake.md`).
#[tokio::test(start_paused = true)]
async fn a_kill_while_users_are_asked_for_one_by_one_costs_little() {
    for share in ["0.5", "1.0"] {
        let (world, of_the_active) = asking_user_by_user(600, share);
        let mut lost = 0;
        let kills = [4, 5, 6, 9, 14, 20, 200, 120, 60];
        for requests in kills {
            assert!(cut_at_request(&world, requests).await.is_none(), "killed at {requests}");
            tokio::time::advance(PAST_THE_LEASE).await;
            // One is the whole list that was refused.
            let asked = world.sandbox.request_count("/v1/sessions");
            let lost_by_now = asked - 1 - passed(&world);
            assert!(lost_by_now - lost <= 2, "{} lost at {requests}", lost_by_now - lost);
            lost = lost_by_now;
        }
        let snapshot = complete(&world, "killed").await;
        assert!(snapshot.ids("sessions") == of_the_active, "each once, in the users' order");
        let asked = world.sandbox.requests_by_path();
        assert_eq!(asked["/v1/sessions"], 600 + 1 + lost);
        assert_eq!(asked["/v1/instance"], 1 + kills.len() as u64);
        assert!(asked["/v1/users"] <= 2 + kills.len() as u64, "{asked:?}");
        assert_eq!(world.sandbox.rate_limited_count(), 0);
    }
}

/// How many users the checkpoint stands behind.
fn passed(world: &World) -> u64 {
    let objects = world.memory.objects();
    let checkpoint: Value = serde_json::from_slice(&objects["checkpoint.json"]).expect("JSON");
    checkpoint["lists"]["sessions"]["windows"][0]["place"]["offset"].as_u64().unwrap_or(0)
}

/// Owners without anything are progress as well: the smallest budget gets through them.
#[tokio::test(start_paused = true)]
async fn users_without_sessions_are_passed_in_any_number_of_pieces() {
    let (sandbox, _) = with_sessions(300);
    for id in sandbox.ids("sessions") {
        sandbox.delete("sessions", &id);
    }
    refusing_sessions_of_all(&sandbox);
    sandbox.set_latency(Duration::from_millis(100), Duration::ZERO);
    let world = world(&sandbox, &["sessions"]).with("MAX_CONCURRENCY", "8");
    let (invocations, snapshot) = complete_in_pieces(&world, 1.0, "nobody has any").await;
    assert!(invocations > 2, "{invocations}");
    assert_eq!(snapshot.datasets["sessions"], [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn refused_sessions_are_skipped_whichever_way_they_are_read() {
    for (status, code) in REFUSALS {
        let (sandbox, _) = with_sessions(9);
        refusing_sessions_of_all(&sandbox);
        let rule = FaultRule::on("/v1/sessions").with_parameter("user_id");
        sandbox.fault(rule.status(status, code));
        let snapshot = complete(&world(&sandbox, &["sessions"]), code).await;
        let entry = &snapshot.manifest["datasets"]["sessions"];
        assert_eq!((&entry["status"], &entry["reason"]), (&json!("skipped"), &json!(code)));
    }
}

#[tokio::test(start_paused = true)]
async fn api_keys_of_all_owners_are_read() {
    let sandbox = populated();
    // More than a page of one owner's.
    let user = sandbox.ids("users")[7].clone();
    let sample = sandbox.rows("api_keys")[0].clone();
    for number in 0..250 {
        let mut key = sample.clone();
        key["id"] = format!("ak_{number:06}").into();
        key["subject"] = user.clone().into();
        key["created_at"] = (FIRST + number).into();
        sandbox.insert("api_keys", key).expect("the id is new");
    }
    assert_eq!(API_KEYS.records(&sandbox).len(), sandbox.count("api_keys"));
    sandbox.set_latency(Duration::from_millis(50), Duration::ZERO);
    let whole = complete(&world(&sandbox, &["api_keys"]), "at once").await;
    assert_equals_source(&whole, API_KEYS, &sandbox);
    let pieces = world(&sandbox, &["api_keys"]).with("MAX_CONCURRENCY", "2");
    let (invocations, cut) = complete_in_pieces(&pieces, 0.3, "in pieces").await;
    assert!(invocations > 3, "{invocations}");
    assert_eq!(cut.digests(), whole.digests());
    assert_eq!(sandbox.violations(), []);
}

/// Neither a 404 nor a body that is no list is an owner without keys, or without sessions.
#[tokio::test(start_paused = true)]
async fn an_error_is_never_an_owner_that_owns_nothing() {
    for (list, path) in [("api_keys", "/v1/api_keys"), ("sessions", "/v1/sessions")] {
        for fault in [
            FaultRule::on(path).calls(3, u64::MAX).status(404, "resource_not_found"),
            FaultRule::on(path).calls(3, u64::MAX).effect(Effect::Body("[]".to_owned())),
        ] {
            let (sandbox, _) = with_sessions(30);
            refusing_sessions_of_all(&sandbox);
            sandbox.fault(fault.clone());
            let world = world(&sandbox, &[list]);
            let what = format!("{list}: {fault:?}");
            assert_failed(&complete(&world, &what).await, list, &what);
        }
    }
}

/// Rows of others must not stand in for those that were asked for: they would be held twice, and what
/// was asked for might be missing, though every count agrees.
#[tokio::test(start_paused = true)]
async fn a_filter_that_is_ignored_is_noticed() {
    for (list, path, parameter) in [
        ("sessions", "/v1/sessions", "user_id"),
        ("api_keys", "/v1/api_keys", "subject"),
        ("invitations", "/v1/invitations", "status"),
    ] {
        let sandbox = populated();
        // So that sessions are read user by user, and answered without their user.
        sandbox.fault(FaultRule::on("/v1/sessions").call(1).status(400, "form_param_missing"));
        let ignored = Effect::IgnoreParameter(parameter.to_owned());
        sandbox.fault(FaultRule::on(path).with_parameter(parameter).effect(ignored));
        // The rows' moments lie far before and behind that of the world's clock.
        let world = world(&sandbox, &[list]).with("SESSIONS_LOOKBACK_DAYS", "365");
        assert_failed(&complete(&world, list).await, list, "ignored");
    }
}

/// A walk that is begun anew in the middle of what one owner owns, while pages are so large that nothing is
/// asked for ahead: the owner is listed once more, and is not read once more.
#[tokio::test(start_paused = true)]
async fn an_owner_that_was_read_in_part_is_not_read_again_from_the_beginning() {
    const KEYS: usize = 1200;
    let sandbox = plain(510, 0, 0);
    let sample = populated().rows("api_keys")[0].clone();
    let metadata = "x".repeat(20_000);
    for id in sandbox.ids("users") {
        sandbox
            .update("users", &id, |row| row["public_metadata"] = json!({ "text": metadata }))
            .expect("there");
    }
    let owner = sandbox.ids("users")[0].clone();
    for number in 0..KEYS {
        let mut key = sample.clone();
        key["id"] = format!("key_{number:06}").into();
        key["subject"] = owner.clone().into();
        key["created_at"] = (FIRST + number as i64).into();
        sandbox.insert("api_keys", key).expect("the id is new");
    }
    // The third page cannot be read, and the list is asked once more.
    let third = FaultRule::on("/v1/api_keys").with_value("subject", &owner).past_offset(900);
    sandbox.fault(third.calls(1, 2).effect(Effect::Body("{}".to_owned())));
    let world = world(&sandbox, &["users", "api_keys"]).with("METADATA", "public");
    let snapshot = complete(&world, "one owner").await;
    assert_eq!(snapshot.datasets["api_keys"].len(), KEYS);
    assert_eq!(snapshot.manifest["verified"], true);
}

#[tokio::test(start_paused = true)]
async fn refused_api_keys_are_skipped() {
    for (status, code) in REFUSALS {
        let sandbox = populated();
        sandbox.fault(FaultRule::on("/v1/api_keys").status(status, code));
        let snapshot = complete(&world(&sandbox, &["api_keys", "domains"]), code).await;
        let entry = &snapshot.manifest["datasets"]["api_keys"];
        assert_eq!((&entry["status"], &entry["reason"]), (&json!("skipped"), &json!(code)));
        assert_eq!(snapshot.manifest["datasets"]["domains"]["status"], "verified");
    }
}

/// Without the feature of one kind of owner the keys of the others are there, and nobody is told that
/// these are all.
#[tokio::test(start_paused = true)]
async fn api_keys_of_owners_that_are_refused_are_missed() {
    for (owners, section) in
        [("users", "part-00-"), ("organizations", "part-01-"), ("machines", "part-02-")]
    {
        for (status, code) in REFUSALS {
            let sandbox = populated();
            let of_them = |key: &Value| sandbox.row(owners, text(&key["subject"])).is_some();
            let (refused, others): (Vec<Value>, Vec<Value>) =
                sandbox.rows("api_keys").into_iter().partition(of_them);
            assert!(!refused.is_empty() && !others.is_empty(), "{owners}");
            sandbox.fault(FaultRule::on(format!("/v1/{owners}")).status(status, code));
            let snapshot = complete(&world(&sandbox, &["api_keys"]), code).await;
            let entry = &snapshot.manifest["datasets"]["api_keys"];
            assert_eq!((&entry["status"], &entry["reason"]), (&json!("skipped"), &json!(code)));
            assert!(!entry["parts"].to_string().contains(section), "{entry:#}");
            let ids = others.iter().map(|key| text(&key["id"]).to_owned()).collect();
            assert_eq!(sorted(snapshot.ids("api_keys")), sorted(ids), "{owners}");
        }
    }
}

/// `check` asks for the first owner's part where there is nothing else to ask for.
#[tokio::test(start_paused = true)]
async fn check_reads_a_row_of_what_is_read_by_owner() {
    let sandbox = populated();
    refusing_sessions_of_all(&sandbox);
    let world = world(&sandbox, &["sessions", "api_keys"]);
    let answer = world.handle(json!({"action": "check"})).await.expect("check");
    let checks = answer.as_array().expect("checks");
    assert!(checks.iter().all(|check| check["ok"] == true), "{answer:#}");
    for name in ["sessions", "api_keys", "api_keys.1", "api_keys.2"] {
        assert!(checks.iter().any(|check| check["check"] == name), "{name}: {answer:#}");
    }
}

/// `check` says what a sync would make of a refusal.
#[tokio::test(start_paused = true)]
async fn check_asks_for_sessions_as_a_sync_would() {
    for (users, is_read) in [(9, true), (0, false)] {
        for (status, code) in REFUSALS {
            let (sandbox, _) = with_sessions(users);
            sandbox.fault(FaultRule::on("/v1/sessions").call(1).status(status, code));
            let answer = world(&sandbox, &["sessions"]).handle(json!({"action": "check"})).await;
            let answer = answer.expect("check");
            let checks = answer.as_array().expect("checks");
            let of_sessions = checks.iter().find(|check| check["check"] == "sessions");
            let of_sessions = of_sessions.expect("a check of sessions");
            assert_eq!(of_sessions["ok"], is_read, "{code}: {answer:#}");
            let says_skipped = text(&of_sessions["detail"]).contains("a snapshot would skip it");
            assert_eq!(says_skipped, !is_read, "{code}: {answer:#}");
        }
    }
}

/// The README's table is what a run does.
#[tokio::test(start_paused = true)]
async fn the_readme_says_what_every_resource_writes_and_asks_for() {
    let readme = include_str!("../../README.md");
    let table = readme.split("| in `RESOURCES` |").nth(1).expect("the table");
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
        // Sessions are asked for as a whole, and then user by user.
        refusing_sessions_of_all(&sandbox);
        let snapshot = complete(&world(&sandbox, &[resource.name()]), name).await;
        assert_eq!(row[1], snapshot.datasets.keys().map(String::as_str).collect(), "{name}");
        let asked = sandbox.requests_by_path();
        let paths = asked.keys().filter_map(|path| path.strip_prefix("/v1"));
        assert_eq!(row[2], paths.filter(|path| *path != "/instance").collect(), "{name}");
    }
}

/// What stands between backticks.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
