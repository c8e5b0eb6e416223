//! `access`.

use serde_json::Value;

use crate::support::Place;
use crate::world::{World, caseless};

// Promise: one row a membership, by the organization's name and then the membership's id; the JSON has the CSV's
// columns.
#[tokio::test]
async fn every_membership_is_a_row() {
    let (place, world) = (Place::new(), World::new());
    place.publish(&world.snapshot(20));
    let answer = place.ask(&["access"]).await.answered();
    let rows = answer["rows"].as_array().unwrap();
    let mut memberships = world.memberships();
    let name = |id: &str| {
        let organization =
            world.organizations.iter().find(|organization| organization["id"] == id).unwrap();
        organization["display_name"].as_str().unwrap()
    };
    memberships.sort_by_key(|membership| (caseless(name(membership.organization)), membership.id));
    assert_eq!(rows.len(), memberships.len());
    for (row, membership) in rows.iter().zip(&memberships) {
        assert_eq!(row["membership_id"], membership.id);
        assert_eq!(
            (&row["user_id"], &row["organization_id"]),
            (&membership.user.into(), &membership.organization.into())
        );
        assert_eq!(row["organization_name"], name(membership.organization));
        let role = membership.roles.first();
        assert_eq!(row["role_key"].as_str(), role.map(|role| role.key));
        let mut permissions = role.map(|role| role.permissions.clone()).unwrap_or_default();
        permissions.sort_unstable();
        assert_eq!(row["permissions"].as_str().unwrap_or_default(), permissions.join("; "));
        assert_eq!(row["since"], membership.since);
    }
    let csv = place.ask(&["access", "-o", "csv"]).await;
    let columns: Vec<_> = rows[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(csv.stdout.lines().next().unwrap(), columns.join(","));
}

// Promise: --user and --in select by the same names as `who` and `can`.
#[tokio::test]
async fn rows_are_selected_by_person_and_organization() {
    let (place, world) = (Place::new(), World::new());
    place.publish(&world.snapshot(20));
    let own: Vec<_> = world
        .memberships()
        .into_iter()
        .filter(|membership| membership.user == "user_007")
        .collect();
    let one = own[0].organization;
    let slug = format!("slug-{}", one.trim_start_matches("org_").trim_start_matches('0'));
    let count = async |arguments: &[&str]| {
        place.ask(arguments).await.answered()["rows"].as_array().unwrap().len()
    };
    assert_eq!(count(&["access", "--user", "USER_007@example.com"]).await, own.len());
    assert_eq!(count(&["access", "--user", "second.7@bücher.example"]).await, own.len());
    assert_eq!(count(&["access", "--user", "user_007", "--in", one]).await, 1);
    assert_eq!(
        count(&["access", "--user", "user_007", "--in", &slug]).await,
        usize::from(one != "org_00")
    );
    let nobody = place.ask(&["access", "--user", "nobody"]).await.answered();
    assert_eq!(
        (&nobody["rows"], &nobody["unmatched"][0]["argument"]),
        (&Value::Array(Vec::new()), &"user".into())
    );
}
