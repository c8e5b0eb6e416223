//! `verify`: what is as it was written passes, and every change of it is found and named.

use clerk_snapshot::digest::ContentDigest;
use clerk_snapshot::layout;
use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_snapshot::testing::{SnapshotBuilder, Stored, records};
use serde_json::Value;

use crate::support::{Answer, Place};

const ADMIN: (&str, &str) = ("role_1", "org:admin");

/// A snapshot in which every grant's entitlement, principal and resource is there.
fn whole(day: u32) -> SnapshotBuilder {
    let permissions = [("perm_1", "org:a:read")];
    let mut snapshot = SnapshotBuilder::on_day(day)
        .with(Dataset::Users, (0..9).map(|it| records::user(&format!("user_{it}"))))
        .with(Dataset::Organizations, [records::organization("org_1", "Acme")])
        .with(Dataset::OrganizationRoles, [records::role(ADMIN.0, ADMIN.1, &permissions)])
        .with(Dataset::OrganizationPermissions, [records::permission("perm_1", "org:a:read")])
        .with(Dataset::Machines, [records::machine("mch_1"), records::machine("mch_2")])
        .with(
            Dataset::Entitlements,
            [
                records::permission_entitlement("perm_1"),
                records::member_entitlement("org_1"),
                records::role_entitlement("org_1", ADMIN),
                records::call_entitlement("mch_2"),
            ],
        )
        .with(
            Dataset::Grants,
            [records::permission_grant("perm_1", ADMIN.0), records::call_grant("mch_2", "mch_1")],
        );
    snapshot.manifest.resources.push(Resource::Machines);
    for number in 0..9 {
        let (user, membership) = (format!("user_{number}"), format!("orgmem_{number}"));
        let member = records::member_grant("org_1", &user, &membership);
        let role = records::role_grant("org_1", &user, &membership, ADMIN, &["org:a:read"]);
        snapshot.add(Dataset::Grants, [member, role]);
    }
    snapshot
}

/// The checks that are not ok, with their details.
fn failed(answer: &Value) -> Vec<(String, String)> {
    let checks = answer["checks"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    checks
        .filter(|it| it["ok"] == false)
        .map(|it| (text(&it["check"]), text(&it["detail"])))
        .collect()
}

fn names(failed: &[(String, String)]) -> Vec<&str> {
    failed.iter().map(|it| it.0.as_str()).collect()
}

fn found(answer: &Answer, status: u8) -> Vec<(String, String)> {
    assert_eq!(answer.status, status, "{answer:?}");
    failed(&answer.json())
}

/// Publishes a snapshot whose manifest was changed after its parts were written, and verifies it.
async fn verify_with(change: impl FnOnce(&mut Value)) -> Vec<(String, String)> {
    let place = Place::new();
    place.publish_changed(&whole(20), change);
    found(&place.ask(&["verify"]).await, 6)
}

// Promise: what is as it was written passes every check.
#[tokio::test]
async fn a_whole_snapshot_passes_every_check() {
    let place = Place::new();
    let first = place.publish(&whole(1));
    let second = place.publish(&whole(8).after(&first));
    let answer = place.ask(&["verify"]).await.answered();
    assert_eq!(failed(&answer), [], "{answer}");
    let checks: Vec<_> =
        answer["checks"].as_array().unwrap().iter().map(|it| &it["check"]).collect();
    let expected =
        ["manifest", "chain", "parts", "content_digests", "schemas", "ids", "references"];
    assert_eq!(checks, expected);
    assert_eq!(answer["snapshot"]["snapshot_id"], second.id());
    assert!(answer["checks"][1]["detail"].as_str().unwrap().contains(first.id()));
    let all = place.ask(&["verify", "--all"]).await.answered();
    assert_eq!(all["checks"].as_array().unwrap().len(), 14);
    for (name, id) in
        [("previous", first.id()), ("2026-11-02", first.id()), (second.id(), second.id())]
    {
        let answer = place.ask(&["verify", name]).await.answered();
        assert_eq!(answer["checks"][0]["snapshot_id"], id);
        assert_eq!(
            place.ask(&["--snapshot", name, "verify"]).await.answered()["checks"],
            answer["checks"]
        );
    }
    assert_eq!(place.ask(&["verify", "2026-10-01"]).await.error_type(2), "SnapshotNotFound");
    assert_eq!(Place::new().ask(&["verify"]).await.error_type(2), "SnapshotNotFound");
}

// Promise: a part of other bytes, of another size, cut short or missing is named, and so is every one of several.
#[tokio::test]
async fn damaged_parts_are_all_named() {
    let place = Place::new();
    let stored = place.publish(&whole(20));
    let changed = stored.part_key(Dataset::Users, 0);
    let mut bytes = std::fs::read(place.path(&changed)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    place.write(&changed, &bytes);
    let removed = stored.part_key(Dataset::Users, 2);
    std::fs::remove_file(place.path(&removed)).unwrap();
    let failed = found(&place.ask(&["verify"]).await, 6);
    assert_eq!(names(&failed), ["parts", "content_digests"]);
    let detail = &failed[0].1;
    assert!(detail.contains(&changed) && detail.contains("SHA-256"), "{detail}");
    assert!(detail.contains(&removed) && detail.contains("missing"), "{detail}");
    assert!(failed[1].1.contains("users"), "{failed:?}");
}

// Promise: a manifest that says another number of records or another digest than there is does not pass.
#[tokio::test]
async fn counts_and_digests_are_made_anew() {
    let fewer = verify_with(|manifest| {
        manifest["datasets"]["users"]["parts"][0]["records"] = 3.into();
        manifest["datasets"]["users"]["records"] = 8.into();
    })
    .await;
    assert_eq!(names(&fewer), ["parts", "content_digests"]);
    assert!(fewer[0].1.contains("at least 4 lines"), "{fewer:?}");
    let other = verify_with(|manifest| {
        let digest = serde_json::to_value(ContentDigest::default()).unwrap();
        manifest["datasets"]["grants"]["content_digest"] = digest;
    })
    .await;
    assert_eq!(names(&other), ["content_digests"]);
    assert!(other[0].1.contains("grants"));
    let sum = verify_with(|manifest| manifest["datasets"]["users"]["records"] = 7.into()).await;
    assert_eq!(names(&sum), ["manifest"]);
    let verified = verify_with(|manifest| manifest["verified"] = false.into()).await;
    assert_eq!(names(&verified), ["manifest"]);
    assert!(verified[0].1.contains("latest.json has another verified"), "{verified:?}");
}

// Promise: a line that is no record, an id that is there twice, and a grant of what is missing are named by place.
#[tokio::test]
async fn wrong_lines_are_named_by_place_and_without_what_they_say() {
    async fn verify(snapshot: &SnapshotBuilder) -> (Stored, Vec<(String, String)>) {
        let place = Place::new();
        let stored = place.publish(snapshot);
        (stored, found(&place.ask(&["verify"]).await, 6))
    }
    let mut wrong = whole(20);
    let users = wrong.lines.get_mut(&Dataset::Users).unwrap();
    users[5] = users[5].replace("\"banned\":false", "\"banned\":\"secret\"");
    let (stored, failed) = verify(&wrong).await;
    assert_eq!(names(&failed), ["schemas"]);
    let detail = &failed[0].1;
    assert!(detail.contains("line 2 of") && detail.contains("profile.banned"), "{detail}");
    assert!(detail.contains(&stored.part_key(Dataset::Users, 1)), "{detail}");
    assert!(!detail.contains("secret") && !detail.contains("example.com"), "{detail}");

    let mut twice = whole(20);
    let first = twice.lines[&Dataset::Users][1].clone();
    twice.lines.get_mut(&Dataset::Users).unwrap().push(first);
    let (stored, failed) = verify(&twice).await;
    assert_eq!(names(&failed), ["ids"]);
    let detail = &failed[0].1;
    assert!(detail.starts_with("user_1 is in line 2 of"), "{detail}");
    assert!(detail.contains(&format!("line 2 of {}", "")), "{detail}");
    assert!(detail.contains(&stored.part_key(Dataset::Users, 2)), "{detail}");

    for (dataset, place, words) in [
        (Dataset::Users, 4, "the user user_4"),
        (Dataset::Organizations, 0, "the organization org_1"),
        (Dataset::OrganizationRoles, 0, "the organization_role role_1"),
        (Dataset::OrganizationPermissions, 0, "the organization_permission perm_1"),
        (Dataset::Machines, 1, "the machine mch_2"),
        (Dataset::Entitlements, 2, "the entitlement organization:org_1:role_1"),
    ] {
        let mut snapshot = whole(20);
        snapshot.lines.get_mut(&dataset).unwrap().remove(place);
        let (_, failed) = verify(&snapshot).await;
        assert_eq!(names(&failed), ["references"], "{dataset}");
        assert!(failed[0].1.contains(words), "{dataset}: {failed:?}");
    }
}

// Promise: what a snapshot does not have whole is no fault of its grants.
#[tokio::test]
async fn references_are_only_checked_where_the_dataset_is_whole() {
    for status in [DatasetStatus::Drifted, DatasetStatus::Skipped] {
        let mut snapshot = whole(20);
        snapshot.lines.get_mut(&Dataset::Users).unwrap().remove(4);
        let place = Place::new();
        place.publish(&snapshot.with_status(Dataset::Users, status, Some("x")));
        let answer = place.ask(&["verify"]).await.answered();
        assert_eq!(failed(&answer), []);
        assert!(answer["checks"][6]["detail"].as_str().unwrap().contains("users"), "{answer}");
    }
    // Entitlements of permissions alone say nothing of organizations.
    let mut snapshot = whole(20);
    snapshot.manifest.resources.retain(|it| *it != Resource::Organizations);
    snapshot.lines.remove(&Dataset::Organizations);
    snapshot.manifest.datasets.remove(&Dataset::Organizations);
    snapshot.lines.get_mut(&Dataset::Entitlements).unwrap().drain(1..3);
    let place = Place::new();
    place.publish(&snapshot);
    assert_eq!(failed(&place.ask(&["verify"]).await.answered()), []);
}

// Promise: a manifest that is not the one that latest.json or the newer one names does not pass; one that was removed
// does.
#[tokio::test]
async fn a_forged_manifest_does_not_pass_and_a_removed_one_does() {
    let place = Place::new();
    let first = place.publish(&whole(1));
    let second = place.publish(&whole(8).after(&first));
    let forge = |stored: &Stored| {
        let key = layout::manifest_key(stored.id());
        let mut bytes = std::fs::read(place.path(&key)).unwrap();
        bytes.push(b' ');
        place.write(&key, &bytes);
    };
    forge(&first);
    let newest = found(&place.ask(&["verify"]).await, 6);
    assert_eq!(names(&newest), ["chain"]);
    assert!(newest[0].1.contains(first.id()), "{newest:?}");
    let older = found(&place.ask(&["verify", "previous"]).await, 6);
    assert_eq!(names(&older), ["manifest"]);
    assert!(older[0].1.contains(&format!("the manifest of {}", second.id())), "{older:?}");
    let all = found(&place.ask(&["verify", "--all"]).await, 6);
    assert_eq!(names(&all), ["chain", "manifest"]);
    std::fs::remove_dir_all(place.path(&layout::snapshot_folder(first.id()))).unwrap();
    let removed = place.ask(&["verify"]).await.answered();
    assert_eq!(failed(&removed), []);
    assert!(removed["checks"][1]["detail"].as_str().unwrap().contains("was removed"));
    forge(&second);
    let forged = found(&place.ask(&["verify"]).await, 6);
    assert_eq!(names(&forged), ["manifest"]);
    assert!(forged[0].1.contains("latest.json"), "{forged:?}");
    place.write(&layout::manifest_key(second.id()), b"{\"format\":");
    let unreadable = found(&place.ask(&["verify"]).await, 6);
    assert_eq!(names(&unreadable), ["manifest"]);
    std::fs::remove_file(place.path(&layout::manifest_key(second.id()))).unwrap();
    let missing = found(&place.ask(&["verify"]).await, 6);
    assert_eq!(names(&missing), ["manifest"]);
    assert!(missing[0].1.contains("is not there"), "{missing:?}");
    place.write(layout::LATEST_KEY, b"{}");
    assert_eq!(place.ask(&["verify"]).await.error_type(6), "SnapshotDamaged");
}

// Promise: a snapshot that is not published is verified by its id, and --all has it, too.
#[tokio::test]
async fn a_snapshot_that_is_not_published_can_be_verified() {
    let place = Place::new();
    let published = place.publish(&whole(8));
    let held = place.store(&whole(9).after(&published));
    let answer = place.ask(&["verify", held.id()]).await.answered();
    assert_eq!(failed(&answer), []);
    let all = place.ask(&["verify", "--all", "-o", "ndjson"]).await;
    assert_eq!(all.status, 0);
    assert!(all.stdout.starts_with(&format!("{{\"snapshot_id\":\"{}\"", held.id())));
    assert_eq!(all.stdout.lines().count(), 15);
}

// Promise: an invitation that is revoked while it is read is there twice, as the docs say, and that is no damage.
#[tokio::test]
async fn an_invitation_may_be_there_as_it_was_and_as_it_is() {
    let invitation = |status: &str| {
        let profile = serde_json::json!({"status": status});
        clerk_snapshot::testing::records::resource("invitation", "inv_1", profile)
    };
    let snapshot = SnapshotBuilder::on_day(20)
        .with(Dataset::Invitations, [invitation("pending"), invitation("revoked")]);
    let place = Place::new();
    place.publish(&snapshot);
    let answer = place.ask(&["verify"]).await;
    let failed = failed(&answer.json());
    assert!(!names(&failed).contains(&"ids"), "{failed:?}");
}

// Promise: lines of another version of the program pass without fields that this one added, and with fields that it does
// not know; those of this version do not, and a wrong value passes in neither.
#[tokio::test]
async fn fields_may_differ_by_version() {
    let mut snapshot = whole(20);
    let users = snapshot.lines.get_mut(&Dataset::Users).unwrap();
    users[3] = users[3].replace("\"locale\":null", "\"added_later\":true");
    assert!(users[3].contains("added_later"), "{}", users[3]);
    let place = Place::new();
    place.publish(&snapshot);
    assert_eq!(names(&found(&place.ask(&["verify"]).await, 6)), ["schemas"]);
    snapshot.manifest.generator.version = "99.0.0".to_owned();
    place.publish(&snapshot);
    let answer = place.ask(&["verify"]).await.answered();
    let detail = answer["checks"][4]["detail"].as_str().unwrap();
    assert!(detail.contains("fit the schema") && detail.contains("99.0.0"), "{detail}");
    let users = snapshot.lines.get_mut(&Dataset::Users).unwrap();
    users[3] = users[3].replace("\"banned\":false", "\"banned\":\"no\"");
    place.publish(&snapshot);
    assert_eq!(names(&found(&place.ask(&["verify"]).await, 6)), ["schemas"]);
}

// Promise: a snapshot that cannot be opened is not said to be none.
#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let place = Place::new();
    let stored = place.publish(&whole(20));
    place.write(&format!("snapshots/{}/manifest.json", stored.id()), b"{}");
    let answer = place.ask(&["verify", "-o", "table"]).await;
    assert_eq!(answer.status, 6);
    assert!(
        answer.stdout.starts_with(&format!("Snapshot {} cannot be opened.", stored.id())),
        "{answer:?}"
    );
}
