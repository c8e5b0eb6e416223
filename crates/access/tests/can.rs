//! `can`.

use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, records};
use serde_json::{Value, json};

use crate::support::Place;
use crate::world::World;

async fn place() -> (Place, World) {
    let (place, world) = (Place::new(), World::new());
    place.publish(&world.snapshot(20));
    (place, world)
}

// Promise: everybody who has the permission is listed, and nobody else, in the documented order.
#[tokio::test]
async fn everybody_who_has_a_permission_is_listed() {
    let (place, world) = place().await;
    for (text, key) in [
        ("org:sys_profile:delete", "org:sys_profile:delete"),
        ("org:sys_memberships:read", "org:sys_memberships:read"),
        ("perm_0", "org:sys_profile:delete"),
        ("Permission 1", "org:sys_memberships:read"),
    ] {
        let expected =
            world.holders(|_, role| role.is_some_and(|role| role.permissions.contains(&key)));
        assert!(expected.len() > 20);
        assert_eq!(
            place.ask(&["can", text]).await.answered()["holders"],
            Value::Array(expected),
            "{text}"
        );
    }
}

// Promise: a permission is none of a role that is called so.
#[tokio::test]
async fn a_role_of_that_name_is_no_permission() {
    let (place, _) = place().await;
    for text in ["org:reports:delete", "org:admin", "role_admin", "Admin", "org:sys_profile"] {
        assert_eq!(place.ask(&["can", text]).await.answered()["holders"], json!([]), "{text}");
    }
}

// Promise: --in lists one organization's holders only, by id, slug or name.
#[tokio::test]
async fn an_organization_is_chosen_by_id_slug_or_name() {
    let (place, world) = place().await;
    let id = "org_05";
    let expected = world.holders(|membership, role| {
        membership.organization == id
            && role.is_some_and(|role| role.permissions.contains(&"org:sys_memberships:read"))
    });
    assert!(!expected.is_empty());
    for organization in [id, "slug-5"] {
        let answer =
            place.ask(&["can", "org:sys_memberships:read", "--in", organization]).await.answered();
        assert_eq!(answer["holders"], Value::Array(expected.clone()), "{organization}");
    }
    let ambiguous = world.organizations[5]["display_name"].as_str().unwrap();
    let answer = place.ask(&["can", "org:sys_memberships:read", "--in", ambiguous]).await;
    assert_eq!(answer.error_type(2), "InvalidEvent");
    let unknown =
        place.ask(&["can", "org:sys_memberships:read", "--in", "nowhere"]).await.answered();
    assert_eq!(unknown["unmatched"], json!([{"argument": "in", "value": "nowhere"}]));
    assert_eq!(unknown["holders"], json!([]));
}

// Promise: a membership that does not say which permissions it carries has those of its role.
#[tokio::test]
async fn a_membership_without_permissions_has_those_of_its_role() {
    let role = ("role_1", "org:admin");
    let mut grant = records::role_grant("org_1", "user_1", "orgmem_1", role, &[]);
    grant["permissions"] = Value::Null;
    let empty = records::role_grant("org_1", "user_2", "orgmem_2", role, &[]);
    let snapshot = SnapshotBuilder::on_day(20)
        .with(Dataset::Users, [records::user("user_1"), records::user("user_2")])
        .with(Dataset::Organizations, [records::organization("org_1", "Acme")])
        .with(
            Dataset::OrganizationRoles,
            [records::role(role.0, role.1, &[("perm_1", "org:a:read")])],
        )
        .with(Dataset::Grants, [grant, empty]);
    let place = Place::new();
    place.publish(&snapshot);
    // Without the permissions' own dataset, the roles say which permission has that id.
    for permission in ["org:a:read", "perm_1"] {
        let answer = place.ask(&["can", permission]).await.answered();
        assert_eq!(answer["holders"].as_array().unwrap().len(), 1, "{permission}");
        assert_eq!(answer["holders"][0]["user"]["id"], "user_1");
    }
}

// Promise: a mistyped argument gets the suggestion of what there is, also for programs; where nothing is near, the answer
// says what lists what there is.
#[tokio::test]
async fn a_mistyped_argument_gets_a_suggestion() {
    let (place, _) = place().await;
    for (question, nearest, told) in [
        (
            &["can", "org:sys_profile:deleet"][..],
            json!("org:sys_profile:delete"),
            "the permission \"org:sys_profile:deleet\". Did you mean org:sys_profile:delete?",
        ),
        (
            &["holders", "--role", "admin"],
            json!("org:admin"),
            "--role \"admin\". Did you mean org:admin?",
        ),
        (&["holders", "--role", "org:memebr"], json!("org:member"), "Did you mean org:member?"),
        (
            &["holders", "--role", "viewer"],
            json!(null),
            "--role \"viewer\". clerk-access export organization_roles lists those that there are.",
        ),
        (
            &["can", "org:billing:pay"],
            json!(null),
            "clerk-access export organization_permissions lists those that there are.",
        ),
        (
            &["access", "--in", "nowhere"],
            json!(null),
            "--in \"nowhere\". clerk-access export organizations lists those that there are.",
        ),
    ] {
        let answer = place.ask(question).await;
        assert_eq!(answer.answered()["unmatched"][0]["nearest"], nearest, "{question:?}");
        assert!(answer.stderr.contains(told), "{question:?}: {answer:?}");
    }
}
