//! `holders`.

use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, records};
use serde_json::{Value, json};

use crate::support::Place;
use crate::world::World;

// Promise: without a role everybody is listed, also whose role does not resolve; with one only its holders.
#[tokio::test]
async fn holders_are_those_of_the_role_or_everybody() {
    let (place, world) = (Place::new(), World::new());
    place.publish(&world.snapshot(20));
    let everybody = world.holders(|_, _| true);
    assert!(everybody.iter().any(|row| row["role"].is_null()));
    assert_eq!(place.ask(&["holders"]).await.answered()["holders"], Value::Array(everybody));
    let admins = world.holders(|_, role| role.is_some_and(|role| role.id == "role_admin"));
    for role in ["role_admin", "org:admin", "Admin"] {
        let answer = place.ask(&["holders", "--role", role]).await.answered();
        assert_eq!(answer["holders"], Value::Array(admins.clone()), "{role}");
    }
    let in_one = world.holders(|membership, role| {
        membership.organization == "org_02" && role.is_some_and(|role| role.id == "role_member")
    });
    let answer = place.ask(&["holders", "--role", "org:member", "--in", "slug-2"]).await.answered();
    assert_eq!(answer["holders"], Value::Array(in_one));
}

// Promise: the order does not depend on how the rows were cut into parts, nor on their order there.
#[tokio::test]
async fn the_order_follows_from_the_records_alone() {
    let world = World::new();
    let mut answers = Vec::new();
    for (lines_per_part, is_reversed) in [(1, false), (7, true), (1000, false), (1000, true)] {
        let mut snapshot = world.snapshot(20);
        snapshot.lines_per_part = lines_per_part;
        if is_reversed {
            snapshot.lines.values_mut().for_each(|lines| lines.reverse());
        }
        let place = Place::new();
        place.publish(&snapshot);
        for command in ["holders", "access"] {
            let answer = place.ask(&[command, "-o", "csv"]).await;
            assert_eq!(answer.status, 0);
            answers.push((command, answer.stdout));
        }
    }
    for (command, answer) in &answers {
        let first = answers.iter().find(|(other, _)| other == command).unwrap();
        assert_eq!(*answer, first.1);
    }
}

// Promise: a role that the snapshot has not got is found by the id or key in the grants.
#[tokio::test]
async fn roles_are_found_without_their_dataset() {
    let grant = records::role_grant("org_1", "user_1", "orgmem_1", ("role_1", "org:admin"), &[]);
    let mut snapshot = SnapshotBuilder::on_day(20)
        .with(Dataset::Users, [records::user("user_1")])
        .with(Dataset::Organizations, [records::organization("org_1", "Acme")])
        .with(Dataset::Grants, [grant]);
    snapshot.manifest.datasets.remove(&Dataset::OrganizationRoles);
    let place = Place::new();
    place.publish(&snapshot);
    for role in ["role_1", "org:admin"] {
        let answer = place.ask(&["holders", "--role", role, "--allow-incomplete"]).await.answered();
        let expected = json!({"id": "role_1", "key": "org:admin", "name": null});
        assert_eq!(answer["holders"][0]["role"], expected);
        assert_eq!(answer["incomplete"][0]["dataset"], "organization_roles");
    }
}

// Promise: users and organizations that the snapshot has not got are listed by their ids, before the others.
#[tokio::test]
async fn holders_that_are_known_by_id_only_are_listed() {
    let grant = |organization, user| {
        records::member_grant(organization, user, &format!("orgmem_{organization}{user}"))
    };
    let snapshot = SnapshotBuilder::on_day(20)
        .with(Dataset::Users, [records::user("user_1")])
        .with(Dataset::Organizations, [records::organization("org_1", "Acme")])
        .with(Dataset::OrganizationRoles, [])
        .with(
            Dataset::Grants,
            [grant("org_1", "user_1"), grant("org_1", "user_0"), grant("org_9", "user_1")],
        );
    let place = Place::new();
    place.publish(&snapshot);
    let answer = place.ask(&["holders"]).await.answered();
    let listed: Vec<_> = answer["holders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (row["organization"]["id"].as_str().unwrap(), row["user"]["id"].as_str().unwrap())
        })
        .collect();
    assert_eq!(listed, [("org_9", "user_1"), ("org_1", "user_0"), ("org_1", "user_1")]);
    assert_eq!(answer["holders"][1]["user"]["display_name"], Value::Null);
    let by_id = place.ask(&["holders", "--in", "org_9"]).await.answered();
    assert_eq!(
        by_id["holders"].as_array().unwrap().len(),
        1,
        "an id may be that of an organization that is not there"
    );
}
