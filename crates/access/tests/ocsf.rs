//! `-o ocsf`: every change is an event that OCSF 1.8.0 accepts, as docs/ocsf.md says, and loses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_snapshot::testing::{SnapshotBuilder, records};
use fastrand::Rng;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::support::Place;

/// Comparisons that are drawn. So many give every kind of change several times.
const HISTORIES: u64 = 10;

const EVERY_CLASS: [&str; 2] = ["--class", "access,security,identity,activity"];

const NAMES: [&str; 6] =
    ["Ada", "", "Émile \u{202e}\u{1b}[2J", "Line\nbreak", "\"quoted\"", "東京"];
const ADDRESSES: [&str; 5] =
    ["ada@example.com", "ü@bücher.example", "hmac-sha256:0123", "", "a@b@c.example"];
const PERMISSIONS: [&str; 3] =
    ["org:sys_memberships:manage", "org:sys_memberships:read", "org:a:b"];

/// A record of a dataset that is drawn anew each time: mostly it differs from the one before in something.
fn drawn(dataset: Dataset, number: usize, draw: &mut Rng) -> Value {
    let id = format!("{}_{number}", singular(dataset));
    let mut record = match dataset {
        Dataset::Users => user(&id, draw),
        Dataset::Organizations => records::organization(&id, "Acme"),
        Dataset::OrganizationRoles => records::role(&id, "org:admin", &[("perm_1", "org:a:b")]),
        Dataset::OrganizationPermissions => records::permission(&id, "org:a:b"),
        Dataset::Machines => records::machine(&id),
        Dataset::Entitlements => match number % 4 {
            0 => records::member_entitlement(&id),
            1 => records::role_entitlement(&id, ("role_1", "org:admin")),
            2 => records::permission_entitlement(&id),
            _ => records::call_entitlement(&id),
        },
        Dataset::Grants => grant(number, draw),
        Dataset::DailyActiveUsers => {
            return records::daily_active_users(
                &format!("2026-11-0{}", number % 9 + 1),
                draw.u64(0..9),
            );
        }
        _ => records::resource(singular(dataset), &id, json!({"value": draw.u8(0..3)})),
    };
    if dataset != Dataset::Grants {
        record["display_name"] = (*draw.choice(&NAMES).unwrap()).into();
    }
    if !matches!(dataset, Dataset::Grants | Dataset::Entitlements | Dataset::Users) {
        record["status"] = (*draw.choice(&["enabled", "disabled"]).unwrap()).into();
    }
    if dataset != Dataset::Entitlements {
        record["updated_at"] = format!("2026-02-0{}T00:00:00.000Z", draw.u8(1..9)).into();
    }
    record
}

/// The type of a dataset's records.
fn singular(dataset: Dataset) -> &'static str {
    let name = dataset.name();
    match name {
        "waitlist_entries" => "waitlist_entry",
        "daily_active_users" => name,
        _ => name.strip_suffix('s').unwrap(),
    }
}

fn user(id: &str, draw: &mut Rng) -> Value {
    let mut user = records::user(id);
    let profile = &mut user["profile"];
    let reason = *draw.choice(&["banned", "locked", "deprovisioned", "none", "none"]).unwrap();
    if reason != "none" {
        profile[reason] = true.into();
    }
    let optional = |texts: &[&str], draw: &mut Rng| match draw.usize(0..=texts.len()) {
        0 => Value::Null,
        number => texts[number - 1].into(),
    };
    profile["primary_email"] = optional(&ADDRESSES, draw);
    profile["username"] = optional(&NAMES, draw);
    profile["two_factor_enabled"] = optional(&["x"], draw).is_null().into();
    profile["last_active_at"] = format!("2026-10-0{}T00:00:00.000Z", draw.u8(1..9)).into();
    user["status"] = if reason == "none" { "enabled" } else { "disabled" }.into();
    user
}

/// A grant of each kind, in turn.
fn grant(number: usize, draw: &mut Rng) -> Value {
    let (organization, user, membership) =
        (format!("org_{number}"), format!("user_{number}"), format!("orgmem_{number}"));
    let count = draw.usize(0..=PERMISSIONS.len());
    match number % 4 {
        0 => records::member_grant(&organization, &user, &membership),
        1 => {
            let role = ("role_1", "org:admin");
            let mut grant =
                records::role_grant(&organization, &user, &membership, role, &PERMISSIONS[..count]);
            if draw.u8(0..8) == 0 {
                grant["permissions"] =
                    draw.choice([Value::Null, json!([null]), json!([null, "org:a:b"])]).unwrap();
            }
            grant
        }
        2 => records::permission_grant(&format!("perm_{number}"), "role_1"),
        _ => records::call_grant(&format!("mch_{number}"), "mch_0"),
    }
}

/// Some of the records that there can be.
fn snapshot(day: u32, draw: &mut Rng) -> SnapshotBuilder {
    let mut snapshot = SnapshotBuilder::on_day(day);
    snapshot.manifest.resources = Resource::ALL.to_vec();
    for &dataset in Dataset::ALL {
        let numbers: Vec<usize> = (0..8).filter(|_| draw.u8(0..4) > 0).collect();
        let lines: Vec<Value> = numbers.into_iter().map(|it| drawn(dataset, it, draw)).collect();
        snapshot = snapshot.with(dataset, lines);
    }
    if draw.bool() {
        snapshot = snapshot.with_status(Dataset::Users, DatasetStatus::Drifted, None);
    }
    snapshot
}

/// Two drawn snapshots.
fn place(seed: u64) -> Place {
    let mut draw = Rng::with_seed(seed);
    let place = Place::new();
    let first = place.publish(&snapshot(1, &mut draw));
    place.publish(&snapshot(2, &mut draw).after(&first));
    place
}

/// The lines of an answer that may be incomplete.
async fn lines(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let answer = place.ask(&[arguments, &["--allow-incomplete"]].concat()).await;
    assert_eq!(answer.status, 0, "{answer:?}");
    answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events of drawn histories, and the change records that they come from.
async fn events() -> Vec<(Value, Value)> {
    let mut pairs = Vec::new();
    for seed in 0..HISTORIES {
        let place = place(seed);
        let events = lines(&place, &[&["diff", "-o", "ocsf"], &EVERY_CLASS[..]].concat()).await;
        let mut changes =
            lines(&place, &[&["diff", "-o", "ndjson"], &EVERY_CLASS[..]].concat()).await;
        changes.pop();
        assert_eq!(events.len(), changes.len(), "an event for each change, and nothing else");
        pairs.extend(events.into_iter().zip(changes));
    }
    pairs
}

/// Validators of the classes, by `class_uid`, from the schema of OCSF 1.8.0 that a Python package holds.
fn validators() -> BTreeMap<u64, Validator> {
    const SCRIPT: &str = "import json, ocsf_json_schema as o\n\
        s = o.OcsfJsonSchemaEmbedded(o.get_ocsf_schema('1.8.0'))\n\
        print(json.dumps({u: s.get_class_schema(s.lookup_class_name_from_uid(u)) for u in (3001, 3004, 3005, 3006)}))";
    let python = std::env::var_os("CLERK_SYNC_PYTHON").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python"),
        PathBuf::from,
    );
    let done = Command::new(python).args(["-c", SCRIPT]).output();
    let done = done
        .expect("run `make test`, or name a Python that has ocsf-json-schema in CLERK_SYNC_PYTHON");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let schemas: BTreeMap<String, Value> = serde_json::from_slice(&done.stdout).unwrap();
    let validator = |(uid, schema): (String, Value)| {
        (uid.parse().unwrap(), jsonschema::draft202012::new(&schema).unwrap())
    };
    schemas.into_iter().map(validator).collect()
}

// Promise: every kind of change that a comparison can make is an event that OCSF 1.8.0 accepts.
#[tokio::test]
async fn every_kind_of_change_is_a_valid_event() {
    let validators = validators();
    let mut seen = BTreeSet::new();
    let pairs = events().await;
    for (event, change) in &pairs {
        let uid = event["class_uid"].as_u64().unwrap();
        let problems: Vec<String> =
            validators[&uid].iter_errors(event).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{problems:?}: {event}");
        seen.insert(change["event"].as_str().unwrap().to_owned());
    }
    let mut expected: BTreeSet<String> = Dataset::ALL
        .iter()
        .filter(|dataset| **dataset != Dataset::Grants)
        .flat_map(|&dataset| {
            ["added", "removed", "changed"].map(|op| format!("{}_{op}", singular(dataset)))
        })
        .collect();
    let named = "grant_changed member_added member_removed role_granted role_revoked role_permission_added \
        role_permission_removed machine_scope_added machine_scope_removed user_disabled user_enabled second_factor_on \
        second_factor_off";
    expected.extend(named.split(' ').map(str::to_owned));
    assert_eq!(seen, expected);
    // The schema would notice an event that is wrong.
    let mut wrong = pairs[0].0.clone();
    wrong["severity_id"] = 7.into();
    assert!(!validators[&wrong["class_uid"].as_u64().unwrap()].is_valid(&wrong));
}

// Promise: class and activity of each event are those of the table in docs/ocsf.md, and the table has no others.
#[tokio::test]
async fn the_table_of_the_docs_is_what_is_written() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ocsf.md");
    let page = std::fs::read_to_string(page).unwrap();
    // Of each row: the events that it names, and the `type_uid`.
    let mut rows = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [events, class, activity, type_uid] = cells[..] {
            let numbers = |text: &str| text.split(' ').next().unwrap().parse::<u64>().unwrap();
            assert_eq!(
                type_uid.parse::<u64>().unwrap(),
                numbers(class) * 100 + numbers(activity),
                "{line}"
            );
            let events: Vec<&str> = events.split('`').skip(1).step_by(2).collect();
            rows.push((events, class, activity, type_uid));
        }
    }
    let mut used = BTreeSet::new();
    for (event, change) in events().await {
        let name = change["event"].as_str().unwrap();
        let by_op = format!("*_{}", change["op"].as_str().unwrap());
        let is_named = rows.iter().any(|row| row.0.contains(&name));
        let wanted = if is_named { name } else { &by_op };
        let class = format!("{} {}", event["class_uid"], event["class_name"].as_str().unwrap());
        let activity =
            format!("{} {}", event["activity_id"], event["activity_name"].as_str().unwrap());
        let row = rows
            .iter()
            .position(|row| row.0.contains(&wanted) && (row.1, row.2) == (&*class, &*activity));
        let row =
            row.unwrap_or_else(|| panic!("docs/ocsf.md has no row {name} | {class} | {activity}"));
        assert_eq!(event["type_uid"].to_string(), rows[row].3);
        used.insert(row);
    }
    let unused: Vec<_> =
        (0..rows.len()).filter(|row| !used.contains(row)).map(|row| &rows[row]).collect();
    assert!(unused.is_empty(), "rows that no event has: {unused:?}");
}

/// The change record that an event comes from, as far as the event has it.
fn record_of(event: &Value) -> Value {
    let mut record = event["unmapped"].as_object().unwrap().clone();
    for (name, missing) in [
        ("target", Value::Null),
        ("role", Value::Null),
        ("pair", Value::Null),
        ("cause", Value::Null),
        ("fields", json!([])),
        ("before", Value::Null),
        ("after", Value::Null),
    ] {
        record.entry(name).or_insert(missing);
    }
    let time = |name: &str| {
        let millis = event[name].as_i64().unwrap();
        clerk_snapshot::timestamp::Timestamp::from_unix_millis(millis).unwrap().to_string()
    };
    record.insert("kind".to_owned(), "change".into());
    record.insert("event".to_owned(), event["metadata"]["event_code"].clone());
    record.insert(
        "window".to_owned(),
        json!({"after": time("start_time"), "before": time("end_time")}),
    );
    Value::Object(record)
}

// Promise: the change record can be made again from its event; the event happened when the window ended, and its id is
// its own.
#[tokio::test]
async fn nothing_of_a_change_is_lost() {
    let pairs = events().await;
    for (event, change) in &pairs {
        assert_eq!(record_of(event), *change);
        assert_eq!(event["time"], event["end_time"]);
        assert_eq!(
            (&event["metadata"]["version"], &event["metadata"]["tenant_uid"]),
            (&json!("1.8.0"), &json!("ins_1"))
        );
        let message = event["message"].as_str().unwrap();
        assert_eq!(message.ends_with(" (unconfirmed)"), change["certainty"] == "unconfirmed");
    }
    // Each history has the same two days, so ids are compared within one.
    let place = place(0);
    let ask = async || {
        place
            .ask(&["diff", "-o", "ocsf", "--allow-incomplete", EVERY_CLASS[0], EVERY_CLASS[1]])
            .await
            .stdout
    };
    let first = ask().await;
    assert_eq!(first, ask().await, "the same comparison gives the same bytes");
    let uids: BTreeSet<String> = first
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["metadata"]["uid"].to_string())
        .collect();
    assert_eq!(uids.len(), first.lines().count());
}

// Promise: severity, privileges and the objects of an event are those that docs/ocsf.md describes.
#[tokio::test]
async fn an_event_says_who_got_what_where() {
    let place = Place::new();
    let user = |second_factor: bool| {
        let mut user = records::user("user_1");
        user["profile"]["two_factor_enabled"] = second_factor.into();
        user
    };
    let empty = SnapshotBuilder::on_day(1)
        .with(Dataset::Users, [user(true)])
        .with(Dataset::Grants, [])
        .with(Dataset::Organizations, []);
    let first = place.publish(&empty);
    let role = ("role_1", "org:admin");
    let second = SnapshotBuilder::on_day(2)
        .with(Dataset::Users, [user(false), records::user("user_2")])
        .with(Dataset::Organizations, [records::organization("org_1", "Acme")])
        .with(
            Dataset::Grants,
            [
                records::member_grant("org_1", "user_1", "orgmem_1"),
                records::role_grant("org_1", "user_1", "orgmem_1", role, &PERMISSIONS),
                records::call_grant("mch_2", "mch_1"),
            ],
        );
    place.publish(&second.after(&first));
    let events: BTreeMap<String, Value> = lines(&place, &["diff", "-o", "ocsf"])
        .await
        .into_iter()
        .map(|event| (event["metadata"]["event_code"].as_str().unwrap().to_owned(), event))
        .collect();
    let granted = &events["role_granted"];
    assert_eq!(granted["user"], json!({"uid": "user_1", "type": "user", "type_id": 1}));
    assert_eq!(granted["privileges"], json!(PERMISSIONS));
    let organization =
        json!({"uid": "org_1", "type": "organization", "role": "Target", "role_id": 1});
    assert_eq!(granted["resources"], json!([organization]));
    assert_eq!((&granted["severity_id"], &granted["severity"]), (&json!(3), &json!("Medium")));
    assert_eq!(granted["message"], "role_granted: user user_1, organization org_1, role org:admin");
    let member = &events["member_added"];
    assert_eq!(member["group"], json!({"uid": "org_1", "type": "organization"}));
    assert_eq!(member["severity"], "Low");
    let scope = &events["machine_scope_added"];
    assert_eq!(scope["user"], json!({"uid": "mch_1", "type": "machine", "type_id": 4}));
    assert_eq!(scope["privileges"], json!(["call"]));
    assert_eq!(events["second_factor_off"]["severity"], "Medium");
    assert_eq!(
        events["user_added"]["user"],
        json!({
            "uid": "user_2", "type": "user", "type_id": 1, "display_name": "Person user_2",
            "email_addr": "user_2@example.com", "has_mfa": false,
        })
    );
    assert_eq!(events["organization_added"]["group"]["name"], "Acme");
}

// Promise: the history of a thing is written as events, too; every other question refuses, and says where it works.
#[tokio::test]
async fn only_changes_are_events() {
    let place = place(1);
    let history = lines(&place, &["history", "org_1", "-o", "ocsf"]).await;
    assert!(!history.is_empty() && history.iter().all(|event| event["class_uid"].is_u64()));
    for arguments in [
        &["who", "ada", "-o", "ocsf"][..],
        &["holders", "--out", "holders.ocsf"],
        &["export", "users", "-o", "ocsf"],
        &["findings", "--print-rules", "-o", "ocsf"],
    ] {
        let answer = place.ask(arguments).await;
        assert_eq!(answer.error_type(2), "InvalidEvent", "{arguments:?}");
        assert!(answer.stderr.contains("clerk-access diff -o ocsf"), "{answer:?}");
    }
    let summary = place.ask(&["diff", "--summary", "-o", "ocsf"]).await;
    assert_eq!(summary.error_type(2), "InvalidEvent");
    assert!(summary.stderr.contains("--summary"), "{summary:?}");
}

// Promise: what was compared and what is missing is said on standard error, and a comparison that ends early ends in an
// error, so that the events before it are not taken for all.
#[tokio::test]
async fn what_is_not_an_event_is_told_beside_them() {
    let place = Place::new();
    let users = |day| SnapshotBuilder::on_day(day).with(Dataset::Users, [records::user("user_1")]);
    let first =
        place.publish(&users(1).with_status(Dataset::Grants, DatasetStatus::Failed, Some("why")));
    let keys = records::resource("api_key", "ak_1", json!({}));
    let mut second = users(2).after(&first);
    second.lines.insert(Dataset::Users, Vec::new());
    second = second.with(Dataset::ApiKeys, [keys]);
    let second = place.publish(&second);
    let answer = place.ask(&["diff", "-o", "ocsf"]).await;
    assert_eq!(answer.status, 5);
    assert!(
        answer.stderr.contains("From ") && answer.stderr.contains("NOT COMPLETE"),
        "{answer:?}"
    );
    assert_eq!(answer.stdout.lines().count(), 1);
    place.write(&second.part_key(Dataset::ApiKeys, 0), b"damaged");
    let whole = place.ask(&["diff", "-o", "ocsf"]).await;
    assert_eq!(whole.status, 5, "a part that no change needs is not read");
    std::fs::remove_file(place.path(&first.part_key(Dataset::Users, 0))).unwrap();
    let damaged = place.ask(&["diff", "-o", "ocsf"]).await;
    assert_eq!(damaged.status, 6);
    let last: Map<String, Value> =
        serde_json::from_str(damaged.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["errorType"], "SnapshotDamaged");
}
