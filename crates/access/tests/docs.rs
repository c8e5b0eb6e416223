//! The answers that docs/access.md shows are those of the program.
//!
//! `CLERK_ACCESS_UPDATE_DOCS=1 cargo test -p clerk-access docs::` writes today's answers into the page.

use std::path::PathBuf;

use clerk_snapshot::resource::Dataset;
use clerk_snapshot::testing::{SnapshotBuilder, Stored, records};
use serde_json::{Value, json};

use crate::support::Place;

/// Characters in a line of the terminal.
const WIDTH: u16 = 100;

const ADMIN: (&str, &str) = ("role_1", "org:admin");
const MEMBER: (&str, &str) = ("role_2", "org:member");
const MANAGE: (&str, &str) = ("perm_1", "org:sys_memberships:manage");
const READ: (&str, &str) = ("perm_2", "org:sys_memberships:read");
const DELETE: (&str, &str) = ("perm_3", "org:sys_profile:delete");

const ADA: (&str, &str, &str) = ("user_1", "Ada Lovelace", "ada@example.com");
const GRACE: (&str, &str, &str) = ("user_2", "Grace Hopper", "grace@example.com");
const ALAN: (&str, &str, &str) = ("user_3", "Alan Turing", "alan@example.com");

fn user((id, name, address): (&str, &str, &str)) -> Value {
    let mut user = records::user(id);
    user["display_name"] = name.into();
    user["profile"]["primary_email"] = address.into();
    user["profile"]["emails"][0]["address"] = address.into();
    user
}

fn organization(id: &str, name: &str) -> Value {
    let mut organization = records::organization(id, name);
    organization["profile"]["slug"] = name.to_lowercase().into();
    organization
}

fn role((id, key): (&str, &str), name: &str, permissions: &[(&str, &str)]) -> Value {
    let mut role = records::role(id, key, permissions);
    role["display_name"] = name.into();
    role
}

fn member(
    organization: &str,
    user: &str,
    number: u32,
    role: (&str, &str),
    since: &str,
) -> [Value; 2] {
    let id = format!("orgmem_{number}");
    let permissions: &[&str] =
        if role == ADMIN { &[MANAGE.1, READ.1, DELETE.1] } else { &[READ.1] };
    let grants = [
        records::member_grant(organization, user, &id),
        records::role_grant(organization, user, &id, role, permissions),
    ];
    grants.map(|mut grant| {
        grant["created_at"] = since.into();
        grant["updated_at"] = since.into();
        grant
    })
}

fn snapshot(id: &str, started_at: &str, completed_at: &str) -> SnapshotBuilder {
    let permissions = [MANAGE, READ, DELETE];
    let mut snapshot = SnapshotBuilder::on_day(1)
        .with(
            Dataset::Organizations,
            [organization("org_1", "Acme"), organization("org_2", "Initech")],
        )
        .with(
            Dataset::OrganizationRoles,
            [role(ADMIN, "Admin", &permissions), role(MEMBER, "Member", &[READ])],
        )
        .with(
            Dataset::OrganizationPermissions,
            permissions.map(|(id, key)| records::permission(id, key)),
        )
        .with(Dataset::Entitlements, permissions.map(|(id, _)| records::permission_entitlement(id)))
        .with(
            Dataset::Grants,
            permissions
                .map(|(id, _)| records::permission_grant(id, ADMIN.0))
                .into_iter()
                .chain([records::permission_grant(READ.0, MEMBER.0)]),
        );
    for organization in ["org_1", "org_2"] {
        snapshot.add(Dataset::Entitlements, [records::member_entitlement(organization)]);
        let roles = [ADMIN, MEMBER].map(|role| records::role_entitlement(organization, role));
        snapshot.add(Dataset::Entitlements, roles);
    }
    let manifest = &mut snapshot.manifest;
    manifest.snapshot_id = id.to_owned();
    manifest.started_at = started_at.parse().unwrap();
    manifest.completed_at = completed_at.parse().unwrap();
    snapshot
}

/// On 30 September, Alan administers Initech. A day later he is gone, and Grace administers Acme.
fn place() -> Place {
    let mut place = Place::new();
    place.terminal = Some(WIDTH);
    let ada = [
        member("org_1", "user_1", 1, ADMIN, "2026-03-02T09:00:00.000Z"),
        member("org_2", "user_1", 3, MEMBER, "2026-05-20T08:15:00.000Z"),
    ];
    let grace = |role| member("org_1", "user_2", 2, role, "2026-04-11T14:30:00.000Z");
    let alan = member("org_2", "user_3", 4, ADMIN, "2026-05-20T08:00:00.000Z");

    let first = snapshot("20260930T035200Z-3f9a1c", "2026-09-30T03:52:00Z", "2026-09-30T03:53:10Z")
        .with(Dataset::Users, [ADA, GRACE, ALAN].map(user))
        .with(Dataset::Grants, ada.clone().into_iter().flatten())
        .with(Dataset::Grants, grace(MEMBER))
        .with(Dataset::Grants, alan);
    let first = publish(&place, &first);
    let second =
        snapshot("20261001T035218Z-44fa26", "2026-10-01T03:52:18Z", "2026-10-01T03:53:30Z")
            .with(Dataset::Users, [ADA, GRACE].map(user))
            .with(Dataset::Grants, ada.into_iter().flatten())
            .with(Dataset::Grants, grace(ADMIN))
            .after(&first);
    publish(&place, &second);
    place.write(
        "people.csv",
        b"Name,Email\nAda Lovelace,ADA@example.com\nAlan Turing,alan@example.com\n",
    );
    place
}

/// Publishes into `out/`, where the program looks by itself.
fn publish(place: &Place, snapshot: &SnapshotBuilder) -> Stored {
    let stored = snapshot.store_with(&mut |key, bytes| place.write(&format!("out/{key}"), &bytes));
    place.write("out/latest.json", &stored.latest_json());
    stored
}

// Promise: every answer in docs/access.md is what the program answers.
#[tokio::test]
async fn every_answer_in_the_page_is_real() {
    let place = place();
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/access.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let mut real = String::new();
    let mut rest = text.as_str();
    let mut shown = 0;
    while let Some(begin) = rest.find("```\n$ clerk-access ") {
        let (before, block) = rest.split_at(begin + "```\n".len());
        let (question, answer) = block.split_once('\n').unwrap();
        let (_, after) = answer.split_once("\n```").unwrap();
        let words: Vec<&str> = question.split_whitespace().skip(2).collect();
        let answer = place.run(&words).await;
        assert!(matches!(answer.status, 0 | 4), "{question}: {answer:?}");
        real.push_str(&format!("{before}{question}\n{}\n```", answer.stdout.trim_end()));
        rest = after;
        shown += 1;
    }
    real.push_str(rest);
    assert!(shown >= 9, "the page shows {shown} answers");
    if std::env::var_os("CLERK_ACCESS_UPDATE_DOCS").is_some() {
        std::fs::write(&page, &real).unwrap();
    } else {
        let differs = real.lines().zip(text.lines()).find(|(real, text)| real != text);
        assert!(real == text, "the first line that is not real: {differs:#?}");
    }
}

// Promise: the snapshots of the page are whole, so that its answers are those of a real place.
#[tokio::test]
async fn the_snapshots_of_the_page_are_whole() {
    let answer = place().run(&["verify", "--all", "-o", "json"]).await.answered();
    let failed: Vec<_> = answer["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] != json!(true))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
