//! `stats`: how many of what, and growth.

use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, records};
use serde_json::{Value, json};

use crate::support::Place;

const ADMIN: (&str, &str) = ("role_1", "org:admin");

fn snapshot(day: u32, members: &[(&str, &str, bool)]) -> SnapshotBuilder {
    let mut snapshot = SnapshotBuilder::on_day(day)
        .with(Dataset::Organizations, [records::organization("org_1", "Zeta")])
        .with(Dataset::Organizations, [records::organization("org_2", "alpha")])
        .with(Dataset::OrganizationRoles, [records::role(ADMIN.0, ADMIN.1, &[])])
        .with(Dataset::OrganizationRoles, [records::role("role_2", "org:nobody", &[])])
        .with(Dataset::Grants, [records::permission_grant("perm_1", ADMIN.0)]);
    for number in 0..5 {
        let mut user = records::user(&format!("user_{number}"));
        if number == 4 {
            user["status"] = "disabled".into();
        }
        snapshot.add(Dataset::Users, [user]);
    }
    for (organization, user, has_role) in members {
        let membership = format!("orgmem_{organization}_{user}");
        snapshot.add(Dataset::Grants, [records::member_grant(organization, user, &membership)]);
        if *has_role {
            let grant = records::role_grant(organization, user, &membership, ADMIN, &[]);
            snapshot.add(Dataset::Grants, [grant]);
        }
    }
    snapshot
}

fn row(answer: &Value, measure: &str, by: Value, id: Value) -> Value {
    let rows = answer["stats"].as_array().unwrap();
    let found: Vec<_> = rows
        .iter()
        .filter(|it| it["measure"] == measure && it["by"] == by && it["id"] == id)
        .collect();
    assert_eq!(found.len(), 1, "{measure} {by} {id}: {answer}");
    json!([found[0]["count"], found[0]["previous"], found[0]["growth"]])
}

// Promise: every count is that of the rows, and growth that since the published snapshot before.
#[tokio::test]
async fn counts_are_those_of_the_rows() {
    let place = Place::new();
    let before = [("org_1", "user_0", true), ("org_3", "user_1", true), ("org_1", "user_2", true)];
    let first = place.publish(&snapshot(1, &before));
    let now = [("org_1", "user_0", true), ("org_1", "user_1", false), ("org_2", "user_1", true)];
    let mut second = snapshot(8, &now).after(&first);
    second.add(Dataset::Users, [records::user("user_new")]);
    let second = place.publish(&second);
    let answer = place.ask(&["stats"]).await.answered();
    assert_eq!(answer["snapshot"]["snapshot_id"], second.id());
    assert_eq!(answer["from"]["snapshot_id"], first.id());
    for (measure, by, id, expected) in [
        ("records", json!("dataset"), json!("users"), json!([6, 5, 1])),
        ("records", json!("dataset"), json!("grants"), json!([6, 7, -1])),
        ("users", json!("status"), json!("enabled"), json!([5, 4, 1])),
        ("users", json!("status"), json!("disabled"), json!([1, 1, 0])),
        ("memberships", Value::Null, Value::Null, json!([3, 3, 0])),
        ("memberships", json!("role"), json!("role_1"), json!([2, 3, -1])),
        ("memberships", json!("role"), json!("role_2"), json!([0, 0, 0])),
        ("memberships", json!("role"), Value::Null, json!([1, 0, 1])),
        ("memberships", json!("organization"), json!("org_1"), json!([2, 2, 0])),
        ("memberships", json!("organization"), json!("org_2"), json!([1, 0, 1])),
        ("memberships", json!("organization"), json!("org_3"), json!([0, 1, -1])),
    ] {
        assert_eq!(row(&answer, measure, by.clone(), id.clone()), expected, "{measure} {by} {id}");
    }
    let organizations = answer["stats"].as_array().unwrap().iter();
    let organizations: Vec<_> =
        organizations.filter(|it| it["by"] == "organization").map(|it| it["id"].clone()).collect();
    assert_eq!(organizations, ["org_3", "org_2", "org_1"]);
    let csv = place.ask(&["stats", "-o", "csv"]).await.stdout;
    assert!(csv.starts_with("measure,by,id,name,count,previous,growth\n"), "{csv}");
    assert!(csv.contains("\nmemberships,role,role_1,org:admin,2,3,'-1\n"), "{csv}");
}

// Promise: without a snapshot before, and of what it did not have, growth is not known.
#[tokio::test]
async fn growth_is_not_known_without_a_snapshot_before() {
    let place = Place::new();
    let first = place.publish(&snapshot(1, &[("org_1", "user_0", true)]));
    let answer = place.ask(&["stats"]).await.answered();
    assert_eq!(row(&answer, "memberships", Value::Null, Value::Null), json!([1, null, null]));
    let skipped = snapshot(2, &[]).after(&first).with_status(
        Dataset::Grants,
        DatasetStatus::Skipped,
        Some("x"),
    );
    let skipped = place.publish(&skipped);
    let answer = place.ask(&["stats"]).await;
    assert_eq!(answer.status, 5);
    let answer = answer.json();
    assert!(!answer["stats"].as_array().unwrap().iter().any(|it| it["measure"] == "memberships"));
    place.publish(&snapshot(3, &[("org_1", "user_0", true)]).after(&skipped));
    let answer = place.ask(&["stats"]).await.answered();
    assert_eq!(row(&answer, "memberships", Value::Null, Value::Null), json!([1, null, null]));
    assert_eq!(row(&answer, "users", json!("status"), json!("enabled")), json!([4, 4, 0]));
    std::fs::remove_dir_all(place.path(&format!("snapshots/{}", skipped.id()))).unwrap();
    let answer = place.ask(&["stats"]).await.answered();
    assert_eq!(answer.get("from"), None);
    assert_eq!(row(&answer, "users", json!("status"), json!("enabled")), json!([4, null, null]));
}
