//! Whether an answer is complete, and what the program says and exits with if it is not.

use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_snapshot::testing::Stored;
use serde_json::json;

use crate::support::Place;
use crate::world::World;

const QUESTIONS: [&[&str]; 4] = [
    &["who", "user_007"],
    &["can", "org:sys_memberships:read"],
    &["holders"],
    &["access", "--user", "user_007"],
];

const NEEDED: [Dataset; 4] =
    [Dataset::Users, Dataset::Organizations, Dataset::OrganizationRoles, Dataset::Grants];

// Promise: a needed dataset that is not whole makes the answer incomplete: it is given, says so, and exits with 5.
#[tokio::test]
async fn what_is_missing_is_named_and_never_taken_for_nobody() {
    let world = World::new();
    for dataset in NEEDED {
        for (status, name) in [
            (Some(DatasetStatus::Drifted), "drifted"),
            (Some(DatasetStatus::Skipped), "skipped"),
            (Some(DatasetStatus::Failed), "failed"),
            (None, "not_in_snapshot"),
        ] {
            let mut snapshot = world.snapshot(20);
            match status {
                Some(status) => snapshot = snapshot.with_status(dataset, status, Some("why")),
                None => {
                    snapshot.lines.remove(&dataset);
                    snapshot.manifest.datasets.remove(&dataset);
                }
            }
            let place = Place::new();
            place.publish(&snapshot);
            let reason = if status.is_some() { "why" } else { "not_in_resources" };
            for question in QUESTIONS {
                let answer = place.ask(question).await;
                assert_eq!(answer.status, 5, "{dataset} {name} {question:?}");
                assert!(answer.stderr.contains("NOT COMPLETE"), "{answer:?}");
                let document = answer.json();
                assert_eq!(document["complete"], false);
                let expected = json!([{"dataset": dataset, "status": name, "reason": reason}]);
                assert_eq!(document["incomplete"], expected);
                let allowed = place.ask(&[question, &["--allow-incomplete"]].concat()).await;
                assert_eq!(allowed.status, 0, "{allowed:?}");
                assert_eq!(allowed.json()["complete"], false, "it says so all the same");
            }
        }
    }
}

// Promise: grants without memberships in the resources say nothing of members.
#[tokio::test]
async fn grants_of_roles_alone_are_not_all_memberships() {
    let mut snapshot = World::new().snapshot(20);
    snapshot.manifest.resources.retain(|resource| *resource != Resource::OrganizationMemberships);
    let place = Place::new();
    place.publish(&snapshot);
    for question in QUESTIONS {
        let answer = place.ask(question).await;
        assert_eq!(answer.status, 5, "{question:?}");
        let expected = json!([{"dataset": "grants", "status": "partial", "reason": "organization_memberships"}]);
        assert_eq!(answer.json()["incomplete"], expected);
    }
}

// Promise: a dataset that a question does not need does not make its answer incomplete.
#[tokio::test]
async fn what_is_not_needed_may_be_missing() {
    let snapshot =
        World::new().snapshot(20).with_status(Dataset::Sessions, DatasetStatus::Failed, None);
    let place = Place::new();
    place.publish(&snapshot);
    for question in QUESTIONS {
        assert_eq!(place.ask(question).await.answered()["complete"], true, "{question:?}");
    }
}

/// The snapshot of the 20th as a newer version would have written it: with a dataset, a resource and a status that this
/// version does not know, and a failure in that dataset.
fn publish_by_a_newer_version(place: &Place, day: u32, before: Option<&Stored>) -> Stored {
    let mut snapshot = World::new().snapshot(day);
    if let Some(before) = before {
        snapshot = snapshot.after(before);
    }
    snapshot = snapshot.with_status(Dataset::Sessions, DatasetStatus::Skipped, None);
    place.publish_changed(&snapshot, |manifest| {
        manifest["datasets"]["robots"] = manifest["datasets"]["users"].clone();
        manifest["datasets"]["robots"]["status"] = "failed".into();
        manifest["datasets"]["sessions"]["status"] = "sampled".into();
        manifest["resources"].as_array_mut().unwrap().push("robots".into());
    })
}

// Promise: a dataset that a newer version wrote hinders no question that does not need it, and makes the answer to one
// that is about everything incomplete, by its name.
#[tokio::test]
async fn what_a_newer_version_wrote_is_passed_over_and_named() {
    let place = Place::new();
    let first = publish_by_a_newer_version(&place, 8, None);
    publish_by_a_newer_version(&place, 20, Some(&first));
    for question in QUESTIONS.into_iter().chain([&["history", "user_007"][..]]) {
        assert_eq!(place.ask(question).await.answered()["complete"], true, "{question:?}");
    }
    let robots =
        |status: &str| json!({"dataset": "robots", "status": status, "reason": "newer_version"});
    for (question, status) in [
        (&["stats"][..], "unknown"),
        (&["verify"], "unknown"),
        (&["verify", "--all"], "unknown"),
        (&["diff"], "not_compared"),
    ] {
        let answer = place.ask(question).await;
        let document = answer.json();
        let incomplete = document["incomplete"].as_array().unwrap();
        assert!(incomplete.contains(&robots(status)), "{question:?}: {incomplete:?}");
        assert_eq!(document["complete"], false);
        assert!(question[0] == "verify" || answer.status == 5, "{answer:?}");
    }
    // The status of sessions is not known, so that nothing can be said of them.
    let diff = place.ask(&["diff", "--only", "users,sessions"]).await.json();
    let sessions = json!([{"dataset": "sessions", "status": "not_compared", "reason": "unknown"}]);
    assert_eq!(diff["incomplete"], sessions);
    let checks = place.ask(&["verify"]).await.json();
    let failed: Vec<_> =
        checks["checks"].as_array().unwrap().iter().filter(|it| it["ok"] == false).collect();
    assert!(failed.iter().all(|it| it["check"] == "references"), "{failed:?}");
    let listed = place.ask(&["snapshots"]).await;
    assert_eq!(listed.status, 0);
    assert_eq!(listed.json()["snapshots"][0]["datasets"]["sessions"], "unknown");
    assert!(listed.stderr.contains("also has robots"), "{listed:?}");
    let folder = place.path("exported");
    let all = ["export", "all", "--format", "csv", "--out", folder.to_str().unwrap()];
    let exported = place.ask(&all).await;
    assert_eq!(exported.status, 5, "{exported:?}");
    assert!(folder.join("users.csv").is_file() && !folder.join("robots.csv").exists());
}

// Promise: every format says first that an answer is not complete: the table itself, the others on standard error.
#[tokio::test]
async fn every_format_says_that_it_is_not_complete() {
    let snapshot =
        World::new().snapshot(20).with_status(Dataset::Users, DatasetStatus::Drifted, None);
    let place = Place::new();
    let stored = place.publish(&snapshot);
    let table = place.ask(&["holders", "-o", "table"]).await;
    assert_eq!(table.status, 5);
    let mut lines = table.stdout.lines();
    assert!(lines.next().unwrap().contains(stored.id()));
    assert!(lines.next().unwrap().contains("NOT COMPLETE: Clerk changed users faster"));
    let csv = place.ask(&["holders", "-o", "csv"]).await;
    assert!(
        csv.stderr.contains(stored.id())
            && csv.stderr.contains("NOT COMPLETE: Clerk changed users faster")
    );
    let ndjson = place.ask(&["holders", "-o", "ndjson"]).await;
    let last: serde_json::Value =
        serde_json::from_str(ndjson.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["incomplete"][0]["status"], "drifted");
}
