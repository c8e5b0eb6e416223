//! `export`: datasets, flat.

use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, records};
use serde_json::{Value, json};

use crate::support::Place;

fn place() -> Place {
    let mut users: Vec<Value> = (0..9).map(|it| records::user(&format!("user_{it}"))).collect();
    users[0]["display_name"] = "=HYPERLINK(\"http://evil\")".into();
    users[1]["profile"]["primary_email"] = Value::Null;
    let role = ("role_1", "org:admin");
    let snapshot = SnapshotBuilder::on_day(20)
        .with(Dataset::Users, users)
        .with(Dataset::Organizations, [records::organization("org_1", "Acme")])
        .with(Dataset::OrganizationRoles, [records::role(role.0, role.1, &[])])
        .with(
            Dataset::Grants,
            [
                records::member_grant("org_1", "user_0", "orgmem_1"),
                records::role_grant("org_1", "user_0", "orgmem_1", role, &["org:a:b", "org:c:d"]),
                records::member_grant("org_1", "user_1", "orgmem_2"),
            ],
        )
        .with(Dataset::Entitlements, []);
    let place = Place::new();
    place.publish(&snapshot);
    place
}

// Promise: a dataset is a line a record in the order of the snapshot, with guarded cells and joined arrays.
#[tokio::test]
async fn a_dataset_is_a_row_a_record() {
    let place = place();
    let csv = place.ask(&["export", "users"]).await;
    assert_eq!(csv.status, 0);
    let lines: Vec<_> = csv.stdout.lines().collect();
    assert!(lines[0].starts_with("id,display_name,status,created_at,updated_at,username,"));
    assert!(
        lines[1].starts_with("user_0,\"'=HYPERLINK(\"\"http://evil\"\")\",enabled,"),
        "{}",
        lines[1]
    );
    let ids: Vec<_> = lines[1..].iter().map(|line| line.split(',').next().unwrap()).collect();
    let expected: Vec<_> = (0..9).map(|it| format!("user_{it}")).collect();
    assert_eq!(ids, expected);
    assert!(csv.stderr.contains("2026112"), "it is said which snapshot: {}", csv.stderr);
    let ndjson = place.ask(&["export", "grants", "--format", "ndjson"]).await.stdout;
    let rows: Vec<Value> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows[1]["permissions"], "org:a:b; org:c:d");
    assert_eq!((&rows[3]["complete"], rows.len()), (&json!(true), 4));
    assert_eq!(place.ask(&["-o", "ndjson", "export", "grants"]).await.stdout.lines().count(), 4);
}

// Promise: the format that is asked for is the format of the answer; --format comes first, then -o, then the file's name.
#[tokio::test]
async fn the_format_is_the_one_that_is_asked_for() {
    let place = place();
    let json = place.ask(&["export", "users", "-o", "json"]).await.answered();
    assert_eq!(json["users"].as_array().unwrap().len(), 9);
    assert!(place.ask(&["export", "users", "-o", "table"]).await.stdout.contains("│"));
    assert_eq!(place.ask(&["export", "users", "--out", "users.json"]).await.status, 0);
    let text = std::fs::read_to_string(place.path("users.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["users"], json["users"]);
    assert_eq!(
        place.ask(&["export", "users", "--format", "csv", "--out", "other.json"]).await.status,
        0
    );
    assert!(std::fs::read_to_string(place.path("other.json")).unwrap().starts_with("id,"));
}

// Promise: grants without those of memberships say nothing of members.
#[tokio::test]
async fn grants_of_roles_alone_are_not_complete() {
    let mut snapshot = crate::world::World::new().snapshot(20);
    assert_eq!(snapshot_status(&snapshot).await, 0);
    let memberships = clerk_snapshot::resource::Resource::OrganizationMemberships;
    snapshot.manifest.resources.retain(|resource| *resource != memberships);
    assert_eq!(snapshot_status(&snapshot).await, 5);
}

async fn snapshot_status(snapshot: &SnapshotBuilder) -> u8 {
    let place = Place::new();
    place.publish(snapshot);
    place.ask(&["export", "grants"]).await.status
}

// Promise: the import of user access has the four columns, a row a membership.
#[tokio::test]
async fn an_import_of_user_access_has_a_row_a_membership() {
    let place = place();
    let csv = place.ask(&["export", "grants", "--format", "vanta"]).await;
    assert_eq!(csv.status, 0);
    assert_eq!(
        csv.stdout,
        "Account name,Account owner,Role,Status\n\
         user_0@example.com,\"'=HYPERLINK(\"\"http://evil\"\")\",org:admin,enabled\n\
         user_1,Person user_1,,enabled\n"
    );
    let other = place.ask(&["export", "users", "--format", "vanta"]).await;
    assert_eq!(other.status, 2);
}

// Promise: all is a file for each dataset, or a workbook with a sheet for each.
#[tokio::test]
async fn all_is_a_file_for_each_dataset() {
    let place = place();
    let files =
        place.ask(&["export", "all", "--format", "csv", "--out", "sheets/new"]).await.answered();
    let names: Vec<_> =
        files["files"].as_array().unwrap().iter().map(|it| &it["dataset"]).collect();
    assert_eq!(names, ["users", "organizations", "organization_roles", "entitlements", "grants"]);
    assert_eq!(files["files"][0]["records"], 9);
    for (name, lines) in [("users", 10), ("grants", 4), ("entitlements", 1)] {
        let text = std::fs::read_to_string(place.path(&format!("sheets/new/{name}.csv"))).unwrap();
        assert_eq!(text.lines().count(), lines, "{name}");
    }
    assert_eq!(std::fs::read_dir(place.path("sheets/new")).unwrap().count(), 5);
    let alone = place.ask(&["export", "users", "--format", "csv"]).await.stdout;
    assert_eq!(std::fs::read_to_string(place.path("sheets/new/users.csv")).unwrap(), alone);
    let book = place.ask(&["export", "all", "--out", "all.xlsx"]).await;
    assert_eq!((book.status, book.stdout.as_str()), (0, ""));
    let bytes = std::fs::read(place.path("all.xlsx")).unwrap();
    assert!(bytes.starts_with(b"PK"));
    let nowhere = place.ask(&["export", "all", "--format", "csv"]).await;
    assert_eq!(nowhere.status, 2);
    assert!(nowhere.stderr.contains("--out"), "{nowhere:?}");
    assert_eq!(place.ask(&["export", "users", "--format", "xlsx"]).await.status, 2);
    assert_eq!(place.ask(&["export", "members"]).await.error_type(2), "InvalidEvent");
}

// Promise: a dataset that is missing or not whole is said, and a damaged one leaves no file.
#[tokio::test]
async fn what_is_missing_or_damaged_is_said() {
    let place = place();
    let missing = place.ask(&["export", "api_keys"]).await;
    assert_eq!(missing.status, 5);
    assert!(missing.stdout.starts_with("id,display_name,"));
    assert!(missing.stderr.contains("NOT COMPLETE: The snapshot has no api_keys"), "{missing:?}");
    let drifted = SnapshotBuilder::on_day(21)
        .with(Dataset::Users, [records::user("user_1")])
        .with_status(Dataset::Users, DatasetStatus::Drifted, None);
    let stored = place.publish(&drifted);
    assert_eq!(place.ask(&["export", "users"]).await.status, 5);
    place.write(&stored.part_key(Dataset::Users, 0), b"other");
    let damaged = place.ask(&["export", "users", "--out", "users.csv"]).await;
    assert_eq!(damaged.status, 6);
    assert!(!place.path("users.csv").exists());
}
