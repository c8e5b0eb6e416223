//! Promise: `lookup` answers exactly the lines that a snapshot would hold, and the grants. A
//! missing row is an empty answer, a refusal is an error, and nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clerk_sandbox::{DEFAULT_KEY, Effect, FaultRule, Population, Sandbox};
use clerk_snapshot::resource::Resource;
use clerk_sync::error::Error;
use clerk_sync::lists::endpoint::Endpoint;
use clerk_sync::lists::table::{ENDPOINTS, endpoint};
use serde_json::{Value, json};

use crate::support::captured::Captured;
use crate::support::plain::plain;
use crate::support::scripted_secret::ScriptedSecret;
use crate::support::snapshot::Snapshot;
use crate::support::two_instances::{CHANGED_KEY, TwoInstances};
use crate::support::world::World;

/// A user with memberships in several organizations, organizations with members of all roles, and
/// rows in every other list.
fn instance() -> Sandbox {
    let population = Population::default().users(30).organizations(5).memberships(60);
    Sandbox::new(population.permissions(6).other_rows(5))
}

fn event(resource: &str, fields: Value) -> Value {
    let mut event = json!({"action": "lookup", "resource": resource});
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event
}

/// The answer of a lookup, which does not touch the store.
async fn looked_up(world: &World, resource: &str, fields: Value) -> Value {
    let answer = outcome(world, resource, fields).await;
    answer.unwrap_or_else(|error| panic!("{error:?}"))
}

async fn outcome(world: &World, resource: &str, fields: Value) -> Result<Value, Error> {
    let calls = world.store.calls();
    let answer = world.handle(event(resource, fields)).await;
    assert_eq!(world.store.calls(), calls, "the store is not called");
    assert_eq!(world.sandbox.violations(), []);
    answer
}

/// The lines of a dataset in the snapshot that the filter selects, with the keys in their order.
fn lines(snapshot: &Snapshot, dataset: &str, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
    snapshot.datasets[dataset].iter().filter(|row| wanted(row)).map(Value::to_string).collect()
}

/// Clerk lets users set `unsafe_metadata` to any JSON. Its numbers and strings are copied as they are.
#[tokio::test(start_paused = true)]
async fn metadata_that_no_number_or_string_type_holds_is_answered_as_it_is() {
    let world = World::of(1, 0, 0).with("METADATA", "unsafe");
    let id = &world.sandbox.ids("users")[0];
    let row = world.sandbox.row("users", id).expect("it is there");
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let metadata = format!(
        r#"{{"big":12345678901234567890123,"exact":1.10,"huge":1e400,"half":"\ud800","deep":{deep}}}"#
    );
    let mut row: Value = serde_json::from_str(&row.to_string()).expect("JSON");
    row["unsafe_metadata"] = json!("HERE");
    let body = row.to_string().replace(r#""HERE""#, &metadata);
    world.sandbox.fault(FaultRule::on("/v1/users/*").effect(Effect::Body(body)));
    let response = world.respond(event("users", json!({"id": id})), None).await.expect("an answer");
    let json = response.to_json().expect("an answer is JSON");
    assert!(json.get().contains(&metadata), "{json}");
}

fn as_lines(answer: &Value) -> Vec<String> {
    answer.as_array().expect("an array").iter().map(Value::to_string).collect()
}

fn assert_found(answer: &Value, snapshot: &Snapshot, dataset: &str, id: &Value) {
    let expected = lines(snapshot, dataset, |row| row["id"] == *id);
    assert_eq!(expected.len(), 1, "{id}");
    assert_eq!(as_lines(&answer["records"]), expected);
    assert!(answer.get("grants").is_none(), "grants were not requested: {answer:#}");
}

#[tokio::test(start_paused = true)]
async fn a_row_is_found_by_its_id_as_the_snapshot_holds_it() {
    let resources: Vec<&str> = Resource::ALL.iter().map(|resource| resource.name()).collect();
    let world = World::new(instance()).with("RESOURCES", &resources.join(","));
    let snapshot = world.complete().await;
    let by_id = |endpoint: &&Endpoint| {
        endpoint.row_requests.iter().any(|row_request| row_request.fields().eq(["id"]))
    };
    let lists = ENDPOINTS.iter().filter(by_id).map(|endpoint| endpoint.resource.name());
    for resource in lists {
        let ids = world.sandbox.ids(resource);
        assert!(ids.len() > 3, "{resource}");
        for id in ids {
            let answer = looked_up(&world, resource, json!({"id": id})).await;
            assert_eq!(answer["resource"], resource);
            assert_found(&answer, &snapshot, resource, &json!(id));
            let message = format!("Found 1 record of {resource}.");
            assert_eq!(answer["message"], message);
        }
    }
}

/// A row that belongs to an organization is found only with that organization's id.
#[tokio::test(start_paused = true)]
async fn rows_of_an_organization_are_found_by_both_ids() {
    let resources = ["organization_invitations", "organization_domains"];
    let world = World::new(instance()).with("RESOURCES", &resources.join(","));
    let snapshot = world.complete().await;
    for resource in resources {
        let rows = world.sandbox.rows(resource);
        assert!(rows.len() > 3, "{resource}");
        for row in rows {
            let fields = json!({"organization_id": row["organization_id"], "id": row["id"]});
            let answer = looked_up(&world, resource, fields).await;
            assert_found(&answer, &snapshot, resource, &row["id"]);
            let elsewhere = json!({"organization_id": "org_other", "id": row["id"]});
            let answer = looked_up(&world, resource, elsewhere).await;
            assert_eq!(answer["records"], json!([]), "{resource}");
        }
    }
}

/// An invitation is found whether or not its role can be resolved: the role's id is null then, in a
/// lookup as in a snapshot.
#[tokio::test(start_paused = true)]
async fn an_invitation_is_found_even_if_its_role_is_not() {
    type Trouble = fn(&Sandbox);
    let troubles: [(&str, Trouble); 2] = [
        ("roles are refused", |sandbox| {
            let rule = FaultRule::on("/v1/organization_roles");
            sandbox.fault(rule.status(402, "unsupported_subscription_plan_features"));
        }),
        ("no such role", |sandbox| {
            for id in sandbox.ids("organization_invitations") {
                let change = |row: &mut Value| row["role"] = "org:gone".into();
                sandbox.update("organization_invitations", &id, change).unwrap();
            }
        }),
    ];
    for (what, trouble) in troubles {
        let world = World::new(instance()).with("RESOURCES", "organization_invitations");
        trouble(&world.sandbox);
        let snapshot = world.complete().await;
        let entry = &snapshot.manifest["datasets"]["organization_invitations"];
        assert_eq!(entry["status"], "verified", "{what}: {entry:#}");
        for row in world.sandbox.rows("organization_invitations") {
            let fields = json!({"organization_id": row["organization_id"], "id": row["id"]});
            let answer = looked_up(&world, "organization_invitations", fields).await;
            assert_found(&answer, &snapshot, "organization_invitations", &row["id"]);
            let profile = &answer["records"][0]["profile"];
            assert_eq!((&profile["role_key"], &profile["role_id"]), (&row["role"], &Value::Null));
        }
    }
}

/// Clerk leaves revoked invitations out unless the request names their status.
#[tokio::test(start_paused = true)]
async fn invitations_of_every_status_are_found() {
    let world = World::new(instance());
    let id = world.sandbox.ids("invitations")[0].clone();
    for status in ["pending", "accepted", "expired", "revoked"] {
        let set = |row: &mut Value| row["status"] = status.into();
        world.sandbox.update("invitations", &id, set).unwrap();
        let answer = looked_up(&world, "invitations", json!({"id": id})).await;
        assert_eq!(answer["records"][0]["profile"]["status"], status);
        let answer = looked_up(&world, "invitations", json!({"id": &id[..id.len() - 1]})).await;
        assert_eq!(answer["records"], json!([]), "a part of an id finds nothing");
    }
}

/// A list that Clerk answers without pages may have any number of rows.
#[tokio::test(start_paused = true)]
async fn one_row_is_found_among_many() {
    let world = World::new(Sandbox::new(Population::default().other_rows(700)));
    for resource in ["domains", "blocklist_identifiers"] {
        let id = world.sandbox.ids(resource)[600].clone();
        let answer = looked_up(&world, resource, json!({"id": id})).await;
        assert_eq!(answer["records"][0]["id"], id);
    }
}

/// The reference lists every identifier, and the resources that cannot be looked up.
#[test]
fn the_reference_says_what_can_be_looked_up_and_by_what() {
    let reference = include_str!("../docs/reference.md");
    let table = reference.split("| looked up | by |").nth(1).expect("the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut documented = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let ways: BTreeSet<Vec<String>> =
            cells[1].split(", or ").map(|way| names(way).collect()).collect();
        documented.extend(names(cells[0]).map(|resource| (resource, ways.clone())));
    }
    let mut ways: BTreeMap<String, BTreeSet<Vec<String>>> = BTreeMap::new();
    for &resource in Resource::ALL {
        let row_requests = endpoint(resource).row_requests.iter();
        let fields =
            row_requests.map(|row_request| row_request.fields().map(str::to_owned).collect());
        let fields: BTreeSet<Vec<String>> = fields.collect();
        let none = BTreeSet::from([Vec::new()]);
        ways.insert(resource.name().to_owned(), if fields.is_empty() { none } else { fields });
    }
    assert_eq!(documented, ways);
}

/// The texts between backticks.
fn names(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn users_and_organizations_are_found_by_their_other_names() {
    let world = World::new(instance());
    let sandbox = &world.sandbox;
    let id = sandbox.ids("users")[7].clone();
    let set = |user: &mut Value| {
        user["username"] = json!("ada");
        user["external_id"] = json!("-17 of {id}");
        user["email_addresses"][0]["email_address"] = json!("Ada+1@example.com");
    };
    sandbox.update("users", &id, set).unwrap();
    let slug = sandbox.organizations()[2]["slug"].clone();
    let snapshot = world.complete().await;
    for name in [
        json!({"username": "ada"}),
        json!({"external_id": "-17 of {id}"}),
        json!({"email_address": "Ada+1@example.com"}),
    ] {
        let answer = looked_up(&world, "users", name).await;
        assert_found(&answer, &snapshot, "users", &json!(id));
    }
    let answer = looked_up(&world, "organizations", json!({"slug": slug})).await;
    assert_found(&answer, &snapshot, "organizations", &sandbox.organizations()[2]["id"]);
    // A slug is not accepted as an id, though Clerk would accept it.
    let answer = looked_up(&world, "organizations", json!({"id": slug})).await;
    assert_eq!(answer["records"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn settings_shape_a_lookup_as_they_shape_a_snapshot() {
    let world = World::new(instance())
        .with("METADATA", "public,private,unsafe")
        .with("INCLUDE_RAW", "true");
    let snapshot = world.complete().await;
    let id = world.sandbox.ids("users")[3].clone();
    let answer = looked_up(&world, "users", json!({"id": id, "grants": false})).await;
    assert_found(&answer, &snapshot, "users", &json!(id));
    assert!(answer["records"][0]["raw"].is_object());
}

#[tokio::test(start_paused = true)]
async fn the_grants_of_users_organizations_and_roles_are_those_of_the_snapshot() {
    let world = World::new(instance());
    let snapshot = world.complete().await;
    let mut seen = 0;
    for (resource, field) in
        [("users", "principal"), ("organizations", "resource"), ("organization_roles", "principal")]
    {
        for id in world.sandbox.ids(resource) {
            let answer = looked_up(&world, resource, json!({"id": id, "grants": true})).await;
            let of_it = |row: &Value| row[field]["id"] == id;
            let mut expected = lines(&snapshot, "grants", of_it);
            let mut found = as_lines(&answer["grants"]);
            seen += found.len();
            let plural = if found.len() == 1 { "" } else { "s" };
            let message =
                format!("Found 1 record of {resource}, with {} grant{plural}.", found.len());
            assert_eq!(answer["message"], message);
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{resource} {id}");
        }
    }
    assert!(seen > 200, "{seen}");
}

#[tokio::test(start_paused = true)]
async fn grants_are_read_page_after_page() {
    let world = World::new(plain(1100, 1, 1100));
    let organization = world.sandbox.ids("organizations")[0].clone();
    let answer = looked_up(&world, "organizations", json!({"id": organization, "grants": true}));
    let answer = answer.await;
    assert_eq!(answer["grants"].as_array().unwrap().len(), 2200);
    let path = format!("/v1/organizations/{organization}/memberships");
    assert_eq!(world.sandbox.request_count(&path), 3);
    assert_eq!(world.sandbox.total_requests(), 5, "roles, the organization, three pages");
}

/// Clerk documents no order of a user's memberships, so the lookup requests none and relies on
/// none.
#[tokio::test(start_paused = true)]
async fn the_memberships_of_a_user_are_read_in_whatever_order_they_come() {
    let world = World::new(plain(1, 1100, 1100));
    let answer = looked_up(&world, "users", json!({"id": "users_000000", "grants": true})).await;
    assert_eq!(answer["grants"].as_array().unwrap().len(), 2200);
    let path = "/v1/users/users_000000/organization_memberships";
    let requests = world.sandbox.requests();
    let pages: Vec<_> = requests.iter().filter(|request| request.path == path).collect();
    assert_eq!(pages.len(), 3);
    for page in pages {
        let names: Vec<&str> = page.query.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["limit", "offset"]);
    }
}

/// AWS Lambda could not pass the answer on, and half of it would look like all of it.
#[tokio::test(start_paused = true)]
async fn more_grants_than_an_answer_can_hold_are_an_error() {
    let world = World::new(plain(6000, 1, 6000));
    let organization = world.sandbox.ids("organizations")[0].clone();
    let fields = json!({"id": organization, "grants": true});
    let error = outcome(&world, "organizations", fields).await.unwrap_err();
    assert_eq!(error.name(), "InvalidEvent");
    assert!(error.message().contains("do not fit into one answer"), "{}", error.message());
    assert!(error.message().contains("organization_memberships"), "{}", error.message());
    assert!(!error.message().contains("nothing was read"), "{}", error.message());
}

#[tokio::test(start_paused = true)]
async fn a_membership_is_answered_as_its_grants() {
    let world = World::new(instance());
    let snapshot = world.complete().await;
    for membership in world.sandbox.memberships().iter().take(20) {
        let organization = &membership["organization"]["id"];
        let user = &membership["public_user_data"]["user_id"];
        let fields = json!({"organization_id": organization, "user_id": user});
        let answer = looked_up(&world, "organization_memberships", fields).await;
        let expected = lines(&snapshot, "grants", |row| row["source"]["id"] == membership["id"]);
        assert_eq!(expected.len(), 2);
        assert_eq!(as_lines(&answer["records"]), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_row_is_an_empty_list_with_a_message() {
    let world = World::new(instance());
    let organization = world.sandbox.ids("organizations")[0].clone();
    for (resource, fields, names) in [
        ("users", json!({"id": "user_gone", "grants": true}), "id"),
        // `/users/count` is not a user.
        ("users", json!({"id": "count"}), "id"),
        ("users", json!({"email_address": "nobody@example.com", "grants": true}), "email_address"),
        ("users", json!({"username": "nobody"}), "username"),
        ("users", json!({"external_id": "none"}), "external_id"),
        ("organizations", json!({"id": "org_gone", "grants": true}), "id"),
        ("organizations", json!({"slug": "no-such"}), "slug"),
        ("organization_roles", json!({"id": "role_gone", "grants": true}), "id"),
        ("organization_permissions", json!({"id": "perm_gone"}), "id"),
        ("invitations", json!({"id": "inv_gone"}), "id"),
        ("waitlist_entries", json!({"id": "wle_gone"}), "id"),
        ("domains", json!({"id": "dmn_gone"}), "id"),
        (
            "organization_invitations",
            json!({"organization_id": organization, "id": "orginv_gone"}),
            "id and organization_id",
        ),
        (
            "organization_memberships",
            json!({"organization_id": "org_gone", "user_id": "user_gone"}),
            "organization_id and user_id",
        ),
        (
            "organization_memberships",
            json!({"organization_id": organization, "user_id": "user_gone"}),
            "organization_id and user_id",
        ),
    ] {
        let answer = looked_up(&world, resource, fields.clone()).await;
        assert_eq!(answer["records"], json!([]), "{fields}");
        let asked = fields.get("grants").map(|_| json!([]));
        assert_eq!(answer.get("grants"), asked.as_ref(), "{fields}");
        let message = format!("Found no record of {resource} with this {names}.");
        assert_eq!(answer["message"], message);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_error_with_clerks_code_and_never_an_empty_list() {
    for (status, code) in [
        (402, "unsupported_subscription_plan_features"),
        (403, "organization_not_enabled_in_instance"),
        (410, "operation_deprecated"),
        (422, "feature_not_enabled"),
        (422, "form_param_unknown"),
        (400, "form_param_format_invalid"),
    ] {
        for path in
            ["/v1/users/*", "/v1/organization_roles", "/v1/users/*/organization_memberships"]
        {
            let world = World::new(instance());
            let id = world.sandbox.ids("users")[0].clone();
            world.sandbox.fault(FaultRule::on(path).status(status, code));
            let error =
                outcome(&world, "users", json!({"id": id, "grants": true})).await.unwrap_err();
            assert_eq!(error.name(), "ClerkProtocol", "{path}: {error:?}");
            assert!(error.message().contains(code), "{path}: {}", error.message());
        }
    }
    let world = World::new(instance());
    world.sandbox.fault(FaultRule::on("/v1/users/*").status(401, "clerk_key_invalid"));
    let error = outcome(&world, "users", json!({"id": "user_1"})).await.unwrap_err();
    assert_eq!(error.name(), "ClerkUnauthorized");
    // A lookup is no run.
    assert!(!error.message().contains("invocation"), "{}", error.message());
}

/// Only Clerk can say that something does not exist, and only about the row itself.
#[tokio::test(start_paused = true)]
async fn a_404_for_a_list_or_from_a_proxy_is_an_error() {
    let by_name = json!({"username": "ada"});
    for (path, rule, fields) in [
        ("/v1/users/*", Effect::Html(200), json!({"id": "user_1"})),
        ("/v1/users/*", Effect::Body("{}".to_owned()), json!({"id": "user_1"})),
        ("/v1/users/*", Effect::Body(String::new()), json!({"id": "user_1"})),
        ("/v1/users/*", Effect::Body("[]".to_owned()), json!({"id": "user_1"})),
        ("/v1/users/*", Effect::Body("null".to_owned()), json!({"id": "user_1"})),
        ("/v1/users/*", Effect::Body(r#"{"id":"user_2"}"#.to_owned()), json!({"id": "user_1"})),
        ("/v1/users", Effect::Body("{}".to_owned()), by_name.clone()),
        ("/v1/users", Effect::Body("null".to_owned()), by_name.clone()),
    ] {
        let world = World::new(instance());
        world.sandbox.fault(FaultRule::on(path).effect(rule.clone()));
        let error = outcome(&world, "users", fields).await.unwrap_err();
        assert_eq!(error.name(), "ClerkProtocol", "{rule:?}: {error:?}");
    }
    // A proxy in place of Clerk may let the request through the next time.
    let world = World::new(instance());
    world.sandbox.fault(FaultRule::on("/v1/users/*").effect(Effect::Html(404)));
    let error = outcome(&world, "users", json!({"id": "user_1"})).await.unwrap_err();
    assert_eq!(error.name(), "ClerkUnavailable", "{error:?}");
    for path in ["/v1/users", "/v1/organization_roles"] {
        let world = World::new(instance());
        world.sandbox.fault(FaultRule::on(path).status(404, "resource_not_found"));
        let fields = json!({"username": "ada", "grants": true});
        let error = outcome(&world, "users", fields).await.unwrap_err();
        assert_eq!(error.name(), "ClerkProtocol", "{path}: {error:?}");
        assert!(error.message().contains("404"), "{}", error.message());
    }
}

/// The user is deleted between the request for it and the one for its memberships.
#[tokio::test(start_paused = true)]
async fn a_user_that_vanishes_meanwhile_is_not_found() {
    let world = World::new(instance());
    let user = world.sandbox.ids("users").remove(3);
    let memberships = format!("/v1/users/{user}/organization_memberships");
    world.sandbox.fault(FaultRule::on(memberships).status(404, "resource_not_found"));
    let answer = looked_up(&world, "users", json!({"id": user, "grants": true})).await;
    assert_eq!((&answer["records"], &answer["grants"]), (&json!([]), &json!([])));
    assert!(answer["message"].as_str().expect("a sentence").starts_with("Found no record"));
}

/// The key changes between the request for the user and the one for its memberships, to that of another instance. The
/// answer is of one instance alone.
#[tokio::test(start_paused = true)]
async fn a_lookup_whose_key_changes_begins_anew() {
    let (before, after) = (plain(520, 4, 540), plain(520, 4, 0));
    before.set_instance("ins_before", "production");
    after.set_instance("ins_after", "production");
    let user = "users_000003";
    let path = format!("/v1/users/{user}");
    after.update("users", user, |row| row["external_id"] = json!("of_the_other")).expect("a user");
    assert!(before.count("organization_memberships") > 0);
    // The sandbox still answers the request for the user and refuses the next one.
    before.on_request(move |sandbox, request| {
        if request.path == format!("/v1/users/{user}") {
            sandbox.rotate_key("sk_test_nobody_has");
        }
    });
    let mut world =
        World::new(before.clone()).with_secret(ScriptedSecret::new([DEFAULT_KEY, CHANGED_KEY]));
    let transport = TwoInstances::new(&before, &after);
    world.transport = Arc::clone(&transport) as _;
    let answer = looked_up(&world, "users", json!({"id": user, "grants": true})).await;
    let asked = transport.asked_with_changed_key();
    assert_eq!(asked[0], format!("{path}/organization_memberships"), "{asked:?}");
    assert_eq!(before.request_count(&path), 1);
    assert_eq!(answer["records"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["grants"], json!([]), "the other instance has no memberships");
    assert!(after.request_count(&path) > 0, "the user is of it, too");
    assert_eq!(answer["records"][0]["profile"]["external_id"], "of_the_other");
}

/// A page that says that there are more rows than it lists proves nothing about the others.
#[tokio::test(start_paused = true)]
async fn a_page_with_a_part_of_the_rows_is_an_error() {
    let world = World::new(instance());
    let organization = world.sandbox.memberships()[0]["organization"]["id"].clone();
    let user = world.sandbox.memberships()[0]["public_user_data"]["user_id"].clone();
    let fields = json!({"organization_id": organization, "user_id": user});
    let found = looked_up(&world, "organization_memberships", fields.clone()).await;
    assert_ne!(found["records"], json!([]));
    world.sandbox.fault(FaultRule::on("/v1/organizations/*").effect(Effect::ShiftTotal(1)));
    let error = outcome(&world, "organization_memberships", fields).await.unwrap_err();
    assert_eq!(error.name(), "ClerkProtocol", "{error:?}");
}

/// A server that ignores a filter lists whichever rows come first.
#[tokio::test(start_paused = true)]
async fn an_ignored_filter_returns_nobody_else() {
    let ignored = |path, parameter: &str| {
        FaultRule::on(path).effect(Effect::IgnoreParameter(parameter.to_owned()))
    };
    // Few rows: the lookup sees all of them, so it finds the right one or knows that it is missing.
    let world = World::new(plain(20, 1, 20));
    world.sandbox.fault(ignored("/v1/users", "external_id"));
    world.sandbox.fault(ignored("/v1/organizations/*/memberships", "user_id"));
    let set = |user: &mut Value| user["external_id"] = json!("e7");
    world.sandbox.update("users", "users_000007", set).unwrap();
    let answer = looked_up(&world, "users", json!({"external_id": "e7"})).await;
    assert_eq!(answer["records"].as_array().unwrap().len(), 1);
    assert_eq!(answer["records"][0]["id"], "users_000007");
    let answer = looked_up(&world, "users", json!({"external_id": "e8"})).await;
    assert_eq!(answer["records"], json!([]));
    let organization = world.sandbox.ids("organizations")[0].clone();
    let fields = json!({"organization_id": organization, "user_id": "users_000003"});
    let answer = looked_up(&world, "organization_memberships", fields).await;
    let records = answer["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|grant| grant["principal"]["id"] == "users_000003"));
    // Many rows: the lookup cannot know.
    let world = World::new(plain(200, 1, 0));
    world.sandbox.fault(ignored("/v1/users", "external_id"));
    let error = outcome(&world, "users", json!({"external_id": "e7"})).await.unwrap_err();
    assert_eq!(error.name(), "ClerkProtocol");
}

#[tokio::test(start_paused = true)]
async fn invalid_identifiers_are_refused_and_never_sent() {
    let world = World::new(instance());
    let key = format!("sk_{}_pasted", "live");
    let long = "x".repeat(600);
    for (resource, fields, words) in [
        ("users", json!({"id": "../organizations"}), "id is not usable"),
        ("users", json!({"id": ".."}), "id is not usable"),
        ("users", json!({"id": "%2e%2e"}), "id is not usable"),
        ("users", json!({"id": "user_1/oauth_access_tokens/oauth_google"}), "id is not usable"),
        ("users", json!({"id": "user_1?limit=1"}), "id is not usable"),
        ("users", json!({"id": "user_1#"}), "id is not usable"),
        ("users", json!({"id": "user_1\\x"}), "id is not usable"),
        ("users", json!({"id": "ada@example.com"}), "id is not usable"),
        ("users", json!({"id": ""}), "id is not usable"),
        ("users", json!({"id": " "}), "id is not usable"),
        ("users", json!({"id": long}), "id is not usable"),
        ("users", json!({"id": key}), "id is not usable"),
        ("users", json!({"username": key}), "username is not usable"),
        ("users", json!({"id": 7}), "id is not a string"),
        ("users", json!({"id": null}), "id is not a string"),
        ("organizations", json!({"slug": "../users"}), "slug is not usable"),
        (
            "organization_memberships",
            json!({"organization_id": "a/b", "user_id": "user_1"}),
            "organization_id is not usable",
        ),
        ("users", json!({}), "exactly one identifier"),
        ("users", json!({"id": "user_1", "username": "ada"}), "exactly one identifier"),
        ("organization_memberships", json!({"user_id": "user_1"}), "organization_id with user_id"),
        (
            "organization_invitations",
            json!({"id": "orginv_1"}),
            "accepted: organization_id with id)",
        ),
        ("invitations", json!({}), "accepted: id)"),
        ("billing_plans", json!({"id": "cplan_1"}), "which Clerk does not return one by one"),
        ("organizations", json!({"username": "ada"}), "field \"username\" is unknown"),
        ("users", json!({"id": "user_1", "force": true}), "field \"force\" is unknown"),
        ("users", json!({"id": "user_1", "grants": "yes"}), "grants is not a boolean"),
        ("organization_permissions", json!({"id": "p", "grants": true}), "grants is true"),
        ("teams", json!({"id": "team_1"}), "resource names unknown \"teams\""),
    ] {
        let error = outcome(&world, resource, fields.clone()).await.unwrap_err();
        assert_eq!(error.name(), "InvalidEvent", "{fields}");
        assert!(error.message().contains(words), "{fields}: {}", error.message());
        assert!(error.message().contains("accepted: ") || words.contains("string"), "{fields}");
        assert!(!error.message().contains("ada@"), "{}", error.message());
        assert!(!error.message().contains(&key), "{}", error.message());
    }
    let error = world.handle(json!({"action": "lookup"})).await.unwrap_err();
    assert!(error.message().contains("resource is missing (accepted: one of "), "{error:?}");
    assert_eq!(world.sandbox.total_requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_log_line_says_who_was_looked_up() {
    let world = World::new(instance());
    let log = Captured::start();
    for fields in [
        json!({"email_address": "ada.lovelace@example.com"}),
        json!({"username": "ada.lovelace", "grants": true}),
        json!({"id": "ada.lovelace"}),
    ] {
        let _ = outcome(&world, "users", fields).await;
    }
    world.sandbox.fault(FaultRule::on("/v1/users").effect(Effect::Html(502)));
    let error = outcome(&world, "users", json!({"username": "ada.lovelace"})).await.unwrap_err();
    assert_eq!(error.name(), "ClerkUnavailable");
    assert!(!format!("{error:?}").contains("lovelace"), "{error:?}");
    let log = log.text();
    assert!(log.contains("retrying the request to Clerk"), "{log}");
    assert!(!log.contains("lovelace"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_lookup_keeps_to_the_time_budget() {
    let world = World::new(plain(1100, 1, 1100)).with("TIME_BUDGET_SECONDS", "5");
    let organization = world.sandbox.ids("organizations")[0].clone();
    world.sandbox.fault(FaultRule::on("/v1/users/*").too_many_requests(60));
    let begun = tokio::time::Instant::now();
    let error = outcome(&world, "users", json!({"id": "user_1"})).await.unwrap_err();
    assert_eq!(error.name(), "ClerkUnavailable");
    assert!(error.message().contains("wait until"), "{}", error.message());

    world.sandbox.set_latency(Duration::from_secs(3), Duration::ZERO);
    let fields = json!({"id": organization, "grants": true});
    let error = outcome(&world, "organizations", fields).await.unwrap_err();
    assert_eq!(error.name(), "ClerkUnavailable");
    assert!(error.message().contains("no time is left"), "{}", error.message());
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
