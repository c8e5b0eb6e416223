//! Whether an answer is complete, and what the program says and exits with if it is not.

use clerk_snapshot::manifest::DatasetStatus;
use clerk_snapshot::resource::{Dataset, Resource};
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
    assert!(lines.next().unwrap().contains("NOT COMPLETE: users is drifted"));
    let csv = place.ask(&["holders", "-o", "csv"]).await;
    assert!(
        csv.stderr.contains(stored.id()) && csv.stderr.contains("NOT COMPLETE: users is drifted")
    );
    let ndjson = place.ask(&["holders", "-o", "ndjson"]).await;
    let last: serde_json::Value =
        serde_json::from_str(ndjson.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["incomplete"][0]["status"], "drifted");
}
