//! Promise: a value of an unexpected type becomes `null` in its record, is counted in the manifest
//! and logged once, and stops nothing. Only a field that a row requires is an error, which says
//! where the row is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clerk_sandbox::{Effect, FaultRule, Population, Sandbox};
use clerk_snapshot::buffers::Buffers;
use clerk_snapshot::resource::Dataset;
use clerk_sync::clerk::error::Unreadable;
use clerk_sync::lists::endpoint::{Endpoint, Order, Paging};
use clerk_sync::lists::page::{PageContext, ReadPage};
use clerk_sync::lists::table::ENDPOINTS;
use clerk_sync::translate::{Role, RoleCatalogue, Translation};
use serde_json::{Value, json};

use crate::support::captured::Captured;
use crate::support::lists::PLAIN_LISTS;
use crate::support::pieces::{complete, complete_in_pieces, ends};
use crate::support::plain::plain;
use crate::support::snapshot::Snapshot;
use crate::support::world::World;

/// Rows in every list.
fn populated() -> Sandbox {
    let population = Population::default().users(40).organizations(12).memberships(60);
    Sandbox::new(population.other_rows(23))
}

fn world(sandbox: &Sandbox, resources: &str) -> World {
    World::new(sandbox.clone()).with("RESOURCES", resources).with("COMPRESSION", "none")
}

/// A value of every JSON type, and values that almost have the right type.
fn odd_values() -> Vec<Value> {
    vec![
        json!("odd"),
        json!(7),
        json!(true),
        json!({}),
        json!({"id": "odd", "status": "verified", "key": "odd"}),
        json!([]),
        json!(["odd"]),
        json!([[7], {"id": 7}]),
        json!([[]]),
        json!([[["odd"]], [{}]]),
        json!([{}, "odd"]),
    ]
}

/// Whether two values have the same type.
fn is_alike(one: &Value, other: &Value) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// Fields that are copied unchanged, whatever their type.
const VERBATIM: [&str; 6] =
    ["public_metadata", "private_metadata", "unsafe_metadata", "claims", "actor", "mappings"];

/// The fields that a row requires, by Clerk's names.
fn needed(endpoint: &Endpoint) -> BTreeSet<&'static str> {
    let dated = matches!(endpoint.paging, Paging::Cursor { .. } | Paging::Offset(Order::Creation));
    let further: &[&str] = match endpoint.path {
        "/organization_memberships" => &["organization", "organization.id", "role"],
        "/organization_permissions" => &["key"],
        // The permissions of a role decide about grants: a list that cannot be read is not an empty
        // one.
        "/organization_roles" => &["key", "permissions", "permissions.id", "permissions.key"],
        _ => &[],
    };
    further.iter().copied().chain(["id"]).chain(dated.then_some("created_at")).collect()
}

/// The fields of a row, nested ones included, and their pointers. Of a list, only the first element
/// counts.
fn fields(value: &Value, name: &str, pointer: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                let pointer = format!("{pointer}/{key}");
                if !value.is_null() && !VERBATIM.contains(&key.as_str()) {
                    found.insert(name.clone(), pointer.clone());
                    fields(value, &name, &pointer, found);
                }
            }
        }
        Value::Array(elements) => {
            if let Some(first) = elements.first() {
                fields(first, name, &format!("{pointer}/0"), found);
            }
        }
        _ => {}
    }
}

fn context(endpoint: &Endpoint, sandbox: &Sandbox) -> PageContext {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let role = |row: &Value| Role { id: text(&row["id"]), key: text(&row["key"]), name: None };
    let roles: Vec<Role> = sandbox.roles().iter().map(role).collect();
    PageContext {
        translation: Translation { roles: RoleCatalogue::from(roles), ..Translation::default() },
        datasets: endpoint.destinations.iter().map(|destination| destination.dataset).collect(),
        id_index: Arc::default(),
        buffers: Buffers::default(),
    }
}

fn read(endpoint: &Endpoint, rows: &[Value], context: &PageContext) -> Result<ReadPage, String> {
    let body = json!({"data": rows, "total_count": rows.len()}).to_string();
    endpoint.read(body.as_bytes(), context).map_err(|error| Unreadable::from(error).0)
}

fn lines(page: &ReadPage) -> Vec<Vec<u8>> {
    Dataset::ALL.iter().map(|&dataset| page.records.bytes(dataset).to_vec()).collect()
}

fn with(row: &Value, pointer: &str, value: Value) -> Value {
    let mut row = row.clone();
    *row.pointer_mut(pointer).expect("it is there") = value;
    row
}

/// Every field of every list, nested ones included, with a value of every other type: the record is
/// that of a row in which the field is `null`, the records next to it do not change, and the field
/// is named.
#[test]
fn a_value_of_another_type_loses_only_that_value() {
    let sandbox = populated();
    let mut tried = 0;
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.is_read()) {
        let context = context(endpoint, &sandbox);
        let list = endpoint.path.trim_start_matches('/').replace('/', "_");
        let rows = sandbox.rows(&list);
        let needed = needed(endpoint);
        let mut seen = BTreeSet::new();
        for row in &rows {
            let mut found = BTreeMap::new();
            fields(row, "", "", &mut found);
            for (name, pointer) in found {
                if needed.contains(name.as_str()) || !seen.insert(name.clone()) {
                    continue;
                }
                let page = |row: Value| [rows[0].clone(), row, rows[1].clone()];
                let usual = read(endpoint, &page(row.clone()), &context).expect("as usual");
                let null = with(row, &pointer, Value::Null);
                let null = read(endpoint, &page(null), &context).expect("null is accepted");
                assert!(null.rows[1].unreadable.is_empty(), "{list}: {name}: null is not odd");
                let original = row.pointer(&pointer).expect("it is there");
                for odd in odd_values().into_iter().filter(|odd| !is_alike(odd, original)) {
                    let what = format!("{list}: {name} is {odd}");
                    let read = read(endpoint, &page(with(row, &pointer, odd)), &context);
                    let odd = read.unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert!(lines(&odd) == lines(&null), "{what}: another record");
                    let is_read = lines(&usual) != lines(&null);
                    let unreadable = &odd.rows[1].unreadable;
                    assert!(unreadable.iter().all(|it| *it == name), "{what}: {unreadable:?}");
                    assert!(!is_read || unreadable.len() == 1, "{what}: not counted");
                    assert!(odd.rows[0].unreadable.is_empty() && odd.rows[2].unreadable.is_empty());
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 1500, "{tried}");
}

/// Every required field of every list, missing or with a value of another type, is an error that
/// names the field, the row and its place.
#[test]
fn a_required_field_that_cannot_be_read_is_an_error_that_says_where() {
    let sandbox = populated();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.is_read()) {
        let context = context(endpoint, &sandbox);
        let list = endpoint.path.trim_start_matches('/').replace('/', "_");
        let rows = sandbox.rows(&list);
        for name in needed(endpoint) {
            let has = |row: &&Value| {
                let mut found = BTreeMap::new();
                fields(row, "", "", &mut found);
                found.contains_key(name)
            };
            let row = rows.iter().find(has).unwrap_or_else(|| panic!("{list} has no {name}"));
            let mut found = BTreeMap::new();
            fields(row, "", "", &mut found);
            let pointer = &found[name];
            let original = row.pointer(pointer).expect("it is there");
            let odd = odd_values().into_iter().filter(|odd| !is_alike(odd, original));
            // A role whose permissions Clerk does not list is written as such.
            let null = (name != "permissions").then_some(Value::Null);
            for odd in odd.chain(null) {
                let what = format!("{list}: {name} is {odd}");
                let page = [rows[0].clone(), with(row, pointer, odd)];
                let error = read(endpoint, &page, &context).expect_err(&what);
                let field = name.rsplit('.').next().expect("a name");
                assert!(error.contains(field), "{what}: {error}");
                let row_id = row["id"].as_str().expect("an id");
                let place = match name {
                    "id" => "row 1 of its page".to_owned(),
                    _ => format!("row \"{row_id}\" (row 1 of its page)"),
                };
                assert!(error.contains(&place), "{what}: {error}");
                assert!(!error.contains("odd"), "{what}: {error}");
            }
        }
    }
}

/// The same through the handler: in every row of every list another field has an odd value.
#[tokio::test(start_paused = true)]
async fn no_list_is_stopped_by_odd_values() {
    let main = ENDPOINTS.iter().filter(|it| it.is_read() && it.index == 0);
    for endpoint in main.filter(|it| it.path != "/api_keys") {
        let sandbox = populated();
        let list = endpoint.path.trim_start_matches('/').replace('/', "_");
        let resource = endpoint.resource.name();
        let usual = complete(&world(&sandbox, resource), resource).await;
        let plain = PLAIN_LISTS.iter().find(|it| it.resource == list);
        let mut rows = sandbox.rows(&list);
        if plain.is_some_and(|list| !list.ascending) {
            rows.reverse();
        }
        let needed = needed(endpoint);
        let mut edited = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            let mut found = BTreeMap::new();
            fields(row, "", "", &mut found);
            found.retain(|name, _| !needed.contains(name.as_str()) && !edited.contains_key(name));
            // Nested fields as well as those of the row itself.
            let next = found.into_iter().nth(index % 3);
            edited.extend(next.map(|(name, pointer)| (name, (index, pointer))));
        }
        let edited_with = |value_of: &dyn Fn(usize, &Value) -> Value| {
            let mut rule = FaultRule::on(format!("/v1{}", endpoint.path));
            for (row, pointer) in edited.values() {
                let original = rows[*row].pointer(pointer).expect("it is there");
                let (value, pointer) = (Some(value_of(*row, original)), pointer.clone());
                rule = rule.effect(Effect::EditRow { row: *row, pointer, value });
            }
            rule
        };
        sandbox.fault(edited_with(&|_, _| Value::Null));
        let null = complete(&world(&sandbox, resource), resource).await;
        sandbox.clear_faults();
        sandbox.fault(edited_with(&|row, original| {
            let mut others = odd_values();
            others.retain(|odd| !is_alike(odd, original));
            others.swap_remove(row % others.len())
        }));
        let odd = complete(&world(&sandbox, resource), resource).await;
        assert_eq!(odd.digests(), null.digests(), "{resource}");
        assert_eq!(odd.manifest["verified"], true, "{resource}");
        for (name, entry) in null.manifest["datasets"].as_object().expect("datasets") {
            assert_eq!(entry["unreadable_fields"], json!({}), "{resource}: {name}");
        }
        let own = endpoint.destinations[0].dataset.name();
        let counted = &odd.manifest["datasets"][own]["unreadable_fields"];
        let counted = counted.as_object().expect("always there");
        assert!(counted.keys().all(|name| edited.contains_key(name)), "{resource}: {counted:?}");
        let changed = usual.digests()[own] != null.digests()[own];
        assert!(!changed || !counted.is_empty(), "{resource}: nothing is counted");
        assert!(usual.datasets[own].len() == odd.datasets[own].len() || own == "grants");
    }
}

fn edit(path: &str, row: usize, pointer: &str, value: Value) -> FaultRule {
    let (pointer, value) = (pointer.to_owned(), Some(value));
    FaultRule::on(path).effect(Effect::EditRow { row, pointer, value })
}

#[tokio::test(start_paused = true)]
async fn the_manifest_counts_the_rows_of_each_field_and_the_log_reports_it_once() {
    let sandbox = populated();
    for row in [3, 8, 11] {
        sandbox.fault(edit(
            "/v1/users",
            row,
            "/email_addresses/0/verification",
            json!(["verified"]),
        ));
    }
    sandbox.fault(edit("/v1/users", 5, "/email_addresses/0/verification/status", json!(7)));
    sandbox.fault(edit("/v1/users", 8, "/last_sign_in_at", json!("yesterday@example.com")));
    let log = Captured::start();
    let snapshot = complete(&world(&sandbox, "users"), "odd users").await;
    assert_eq!(
        snapshot.manifest["datasets"]["users"]["unreadable_fields"],
        json!({
            "email_addresses.verification": 3,
            "email_addresses.verification.status": 1,
            "last_sign_in_at": 1,
        })
    );
    let log = log.text();
    let logged: Vec<&str> = log.lines().filter(|line| line.contains("clerk.field")).collect();
    assert_eq!(logged.len(), 3, "{logged:#?}");
    let first = sandbox.users()[3]["id"].as_str().expect("an id").to_owned();
    let of_three =
        logged.iter().find(|line| line.contains(r#"field="email_addresses.verification""#));
    assert!(of_three.expect("it is logged").contains(&first), "{logged:#?}");
    assert!(!log.contains("yesterday@example.com"));
    assert_eq!(snapshot.datasets["users"][3]["profile"]["emails"][0]["verified"], Value::Null);
    assert_eq!(sandbox.requests().iter().filter(|it| it.path == "/v1/users").count(), 1);
}

/// Rows that are read again, joined or cut off are not counted twice.
#[tokio::test(start_paused = true)]
async fn rows_are_counted_once_however_often_they_are_read() {
    let sandbox = plain(1300, 1, 700);
    for list in ["users", "organization_memberships"] {
        for id in sandbox.ids(list).iter().step_by(7) {
            sandbox.update(list, id, |row| row["updated_at"] = json!("odd")).expect("there");
        }
    }
    let resources = "users,organizations,organization_memberships";
    let whole = complete(&world(&sandbox, resources), "whole").await;
    let counted = |snapshot: &Snapshot, dataset: &str| {
        snapshot.manifest["datasets"][dataset]["unreadable_fields"].clone()
    };
    assert_eq!(counted(&whole, "users"), json!({"updated_at": 1300_u64.div_ceil(7)}));
    assert_eq!(counted(&whole, "grants"), json!({"updated_at": 100}));
    assert_eq!(counted(&whole, "organizations"), json!({}));
    let (_, pieces) = complete_in_pieces(&world(&sandbox, resources), 0.05, "pieces").await;
    for dataset in ["users", "grants"] {
        assert_eq!(counted(&pieces, dataset), counted(&whole, dataset));
    }
    assert_eq!(pieces.digests(), whole.digests());
}

/// The keys of one owner after the other are stored a few at a time, and joined later.
#[tokio::test(start_paused = true)]
async fn rows_that_are_joined_stay_counted() {
    let population = Population::default().users(200).organizations(12).memberships(60);
    let sandbox = Sandbox::new(population.other_rows(120));
    let ids = sandbox.ids("api_keys");
    for id in &ids {
        sandbox
            .update("api_keys", id, |row| row["description"] = json!({"odd": 1}))
            .expect("there");
    }
    let world = world(&sandbox, "users,organizations,machines,api_keys");
    let (_, snapshot) = complete_in_pieces(&world, 0.01, "keys").await;
    let entry = &snapshot.manifest["datasets"]["api_keys"];
    assert_eq!(entry["unreadable_fields"]["description"], entry["records"], "{entry:#}");
    assert!(entry["records"].as_u64().expect("a count") > 100);
    let parts = entry["parts"].as_array().expect("parts").len();
    assert!(parts < 30, "{parts} parts: they have been joined");
}

/// A membership whose user Clerk does not name gives no grant, and is counted like one whose user
/// is gone.
#[tokio::test(start_paused = true)]
async fn a_membership_of_nobody_is_counted_and_gives_no_grant() {
    let odd = Some("public_user_data");
    for (pointer, value, unreadable) in [
        ("/public_user_data", None, None),
        ("/public_user_data", Some(Value::Null), None),
        ("/public_user_data", Some(json!({"first_name": "Ada"})), None),
        ("/public_user_data/user_id", None, None),
        ("/public_user_data/user_id", Some(Value::Null), None),
        ("/public_user_data/user_id", Some(json!("")), None),
        ("/public_user_data", Some(json!("user_1")), odd),
        ("/public_user_data", Some(json!(["user_1"])), odd),
        ("/public_user_data/user_id", Some(json!(7)), Some("public_user_data.user_id")),
        (
            "/public_user_data/user_id",
            Some(json!("x".repeat(300))),
            Some("public_user_data.user_id"),
        ),
    ] {
        let what = format!("{pointer} is {value:?}");
        let sandbox = plain(6, 2, 8);
        let usual = complete(&world(&sandbox, "organization_memberships"), &what).await;
        let rule = FaultRule::on("/v1/organization_memberships");
        let pointer = pointer.to_owned();
        sandbox.fault(rule.effect(Effect::EditRow { row: 2, pointer, value }));
        for resources in
            ["organization_memberships", "users,organizations,organization_memberships"]
        {
            let snapshot = complete(&world(&sandbox, resources), &what).await;
            let referential = &snapshot.manifest["referential"];
            assert_eq!(referential["dangling_principals"], 1, "{what}: {referential:#}");
            assert_eq!(referential["dangling_resources"], 0, "{what}: {referential:#}");
            let mut expected = usual.datasets["grants"].clone();
            let gone = &sandbox.memberships()[2]["id"];
            expected.retain(|grant| grant["source"]["id"] != *gone);
            assert_eq!(snapshot.datasets["grants"], expected, "{what}");
            let entry = &snapshot.manifest["datasets"]["grants"];
            assert_eq!(entry["status"], "verified", "{what}");
            let counted = entry["unreadable_fields"].as_object().expect("always there");
            assert_eq!(
                counted.keys().map(String::as_str).collect::<Vec<_>>(),
                Vec::from_iter(unreadable),
                "{what}"
            );
        }
    }
}

/// A row dated before 1970 is read in its place, and its record has no time.
#[tokio::test(start_paused = true)]
async fn a_row_that_is_dated_zero_is_in_the_snapshot() {
    for list in ["users", "organizations"] {
        let sandbox = plain(0, 0, 0);
        for (number, created_at) in
            [json!(-62_135_596_800_000_i64), json!(0), json!(0), json!(1_700_000_000_000_i64)]
                .into_iter()
                .enumerate()
        {
            let row = json!({
                "object": list.trim_end_matches('s'), "id": format!("{list}_{number}"),
                "name": "x", "created_at": created_at, "updated_at": 0,
            });
            sandbox.insert(list, row).expect("the id is new");
        }
        let snapshot = complete(&world(&sandbox, list), list).await;
        assert_eq!(snapshot.ids(list), sandbox.ids(list));
        let times = snapshot.datasets[list].iter().map(|row| row["created_at"].is_null());
        assert_eq!(times.collect::<Vec<_>>(), [true, true, true, false]);
        assert_eq!(snapshot.manifest["datasets"][list]["unreadable_fields"], json!({}));
    }
}

/// A user who was never active is counted on no day.
#[tokio::test(start_paused = true)]
async fn users_without_activity_are_counted_on_no_day() {
    let sandbox = populated();
    // The counted days include the first days of all times.
    let ages = std::time::Duration::from_millis(86_400_000 * 3);
    let start = std::time::SystemTime::UNIX_EPOCH + ages;
    let mut world = world(&sandbox, "daily_active_users");
    world.clock = clerk_sync::clock::Clock::simulated(start);
    let times = [json!(0), json!("odd"), json!(-1), json!(86_400_000.5)];
    for (id, time) in sandbox.ids("users").iter().zip(times.iter().cycle()) {
        sandbox.update("users", id, |row| row["last_active_at"] = time.clone()).expect("there");
    }
    let snapshot = complete(&world, "days").await;
    let days = snapshot.datasets["daily_active_users"].iter();
    let active: Vec<(&Value, &Value)> =
        days.map(|day| (&day["date"], &day["value"])).filter(|(_, value)| **value != 0).collect();
    assert_eq!(active, [(&json!("1970-01-02"), &json!(10))]);
}

/// Older answers call an organization domain's field `verification`. With both fields, the newer
/// one counts.
#[tokio::test(start_paused = true)]
async fn an_organization_domain_of_an_earlier_year_has_its_verification() {
    let sandbox = populated();
    let verification =
        json!({"status": "verified", "strategy": "affiliation_email_code", "attempts": 1});
    let ids = sandbox.ids("organization_domains");
    let set = |id: &str, change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        sandbox
            .update("organization_domains", id, |row| change(row.as_object_mut().expect("a row")))
            .expect("it is there");
    };
    set(&ids[0], &|row| {
        row.shift_remove("affiliation_verification");
        row.insert("verification".to_owned(), verification.clone());
    });
    set(&ids[1], &|row| {
        row.insert("affiliation_verification".to_owned(), Value::Null);
        row.insert("verification".to_owned(), verification.clone());
    });
    let snapshot = complete(&world(&sandbox, "organization_domains"), "domains").await;
    let profile = |index: usize| &snapshot.datasets["organization_domains"][index]["profile"];
    let affiliation = &profile(0)["affiliation_verification"];
    assert_eq!(affiliation["status"], "verified");
    assert_eq!(affiliation["verified_at"], Value::Null);
    assert_eq!(profile(1)["affiliation_verification"], Value::Null);
    assert!(profile(0).get("verification").is_none());
}

/// `raw` is Clerk's own object, odd values included. An object from which secrets cannot be removed
/// is left out.
#[tokio::test(start_paused = true)]
async fn raw_keeps_odd_values() {
    let sandbox = populated();
    let deep = (0..70).fold(json!(1), |inside, _| json!([inside]));
    sandbox.fault(edit("/v1/users", 1, "/banned", json!("perhaps")));
    sandbox.fault(edit("/v1/users", 2, "/image_url", deep));
    let world = world(&sandbox, "users").with("INCLUDE_RAW", "true");
    let snapshot = complete(&world, "raw").await;
    let users = &snapshot.datasets["users"];
    assert_eq!(
        (&users[1]["profile"]["banned"], &users[1]["raw"]["banned"]),
        (&Value::Null, &json!("perhaps"))
    );
    assert_eq!(users[2]["raw"], Value::Null);
    let counted = &snapshot.manifest["datasets"]["users"]["unreadable_fields"];
    assert_eq!(*counted, json!({"banned": 1, "raw": 1}));
}

/// Duplicate fields, half a surrogate pair and a number out of range: even unusual JSON stops
/// nothing.
#[test]
fn unusual_json_is_read() {
    let sandbox = populated();
    let users = ENDPOINTS.iter().find(|it| it.path == "/users").expect("users");
    let context = context(users, &sandbox);
    let row = |fields: &str| format!(r#"[{{"id":"user_1","created_at":1{fields}}}]"#);
    for (fields, unreadable) in [
        (r#","banned":true,"banned":false"#, vec![]),
        (r#","\ud800":1,"first_name":"Ada""#, vec![]),
        (r#","email_addresses":[{"\ud800":1},null]"#, vec![]),
        (r#","first_name":"\ud800""#, vec!["first_name"]),
        (r#","ban\u006eed":"x""#, vec!["banned"]),
        (r#","updated_at":1e999"#, vec!["updated_at"]),
        (r#","updated_at" : 253402300800000 "#, vec!["updated_at"]),
        (
            r#","email_addresses":[1,{"id":2},{"id":[{"id":3}]}]"#,
            vec!["email_addresses", "email_addresses.id"],
        ),
        (",\n\"locale\" :\n{\"a\":[\"}\"]}\n,\"username\":\n\t[]\n", vec!["locale", "username"]),
    ] {
        let body = row(fields);
        let page = users.read(body.as_bytes(), &context);
        let page = page.unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(page.rows[0].unreadable, unreadable, "{body}");
        assert_eq!(page.records.count(Dataset::Users), 1);
    }
    for (body, problem) in [
        (
            r#"[{"id":"a","created_at":1,"id":"b"}]"#,
            r#"`id` of row 0 of its page: not the documented shape"#,
        ),
        (
            r#"[{"id":"\ud800","created_at":1}]"#,
            "`id` of row 0 of its page: not the documented shape",
        ),
        (r#"[{"id":"a","created_at":1},5]"#, "row 1 of its page: expected an object"),
        (
            r#"[{"id":"a","created_at":1e999}]"#,
            r#"`created_at` of row "a" (row 0 of its page): not the documented shape"#,
        ),
    ] {
        let error = users.read(body.as_bytes(), &context).expect_err(body);
        assert_eq!(error.to_string(), problem, "{body}");
    }
}

/// However many odd values a row has, reading it takes no noticeable time.
#[test]
fn a_row_full_of_odd_values_loses_whole_fields() {
    let sandbox = populated();
    let users = ENDPOINTS.iter().find(|it| it.path == "/users").expect("users");
    let context = context(users, &sandbox);
    let numbers = |many: usize| vec!["7"; many].join(",");
    let body = format!(
        r#"[{{"id":"user_1","created_at":1,"email_addresses":[{}],"phone_numbers":[{}],"first_name":"Ada"}}]"#,
        numbers(100_000),
        numbers(100_000),
    );
    let page = users.read(body.as_bytes(), &context).expect("a page");
    assert_eq!(page.rows[0].unreadable, ["email_addresses", "phone_numbers"]);
    let line: Value = serde_json::from_slice(page.records.bytes(Dataset::Users)).expect("a line");
    assert_eq!(line["profile"]["emails"], Value::Null);
    assert_eq!(line["display_name"], "Ada");
}

/// An unreadable row is named by its place in the list, whichever page it is on.
#[tokio::test(start_paused = true)]
async fn an_error_says_where_in_the_list_the_row_is() {
    let sandbox = plain(1, 700, 0);
    let rule = edit("/v1/organizations", 17, "/id", json!(7)).past_offset(1);
    sandbox.fault(rule);
    let error = ends(&world(&sandbox, "organizations"), json!({})).await.expect_err("no id");
    assert_eq!(error.name(), "ClerkProtocol");
    let message = error.message();
    let place = "/organizations answered in a way that Clerk's API does not promise: \
                 `id` of row 17 of the page at offset 499: expected a non-empty string";
    assert!(message.contains(place), "{message}");

    let sandbox = populated();
    let id = sandbox.permissions()[1]["id"].as_str().expect("an id").to_owned();
    sandbox.fault(edit("/v1/organization_permissions", 1, "/key", json!(7)));
    let world = world(&sandbox, "organization_permissions");
    let error = ends(&world, json!({})).await.expect_err("no key");
    let place = format!("`key` of row \"{id}\" (row 1 of the page at offset 0): expected a string");
    assert!(error.message().contains(&place), "{}", error.message());
    assert_eq!(sandbox.request_count("/v1/organization_permissions"), 2);
}
