//! Promise: `daily_active_users` has one line per day that agrees with the users of the snapshot,
//! despite interruptions, repairs and late rows, and costs no extra request.

use std::collections::BTreeMap;
use std::time::Duration;

use clerk_sandbox::{ChurnPlan, FaultRule, Sandbox};
use serde_json::{Value, json};

use crate::support::pieces::{complete, complete_in_pieces};
use crate::support::plain::{FIRST, add_memberships, before_request, every_second};
use crate::support::snapshot::Snapshot;
use crate::support::world::World;

const DATASET: &str = "daily_active_users";
const DAY: i64 = 86_400_000;
/// Midnight of 2025-11-20, the day on which a world's clock begins.
const TODAY: i64 = 1_763_596_800_000;

/// Users who were last active on different days, some never, some tomorrow, and some before the
/// first day that is counted.
fn instance(users: usize) -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.add_role("org:member", "Member", &[], FIRST);
    for number in 0..users {
        insert(&sandbox, &format!("user_{number:06}"), every_second(number), number);
    }
    sandbox
}

fn insert(sandbox: &Sandbox, id: &str, created_at: i64, number: usize) {
    let days_ago = (number * number % 97) as i64 / 2 - 1;
    // Nobody was active nine days ago.
    let active = (number % 10 != 3 && days_ago != 9).then_some(TODAY - days_ago * DAY);
    let row = json!({
        "object": "user", "id": id, "created_at": created_at, "last_active_at": active,
    });
    sandbox.insert("users", row).expect("the id is new");
}

fn world(sandbox: &Sandbox, resources: &str) -> World {
    World::new(sandbox.clone()).with("RESOURCES", resources).with("COMPRESSION", "none")
}

/// The days that are counted, each with its number of active users.
fn expected_days<'a>(users: impl IntoIterator<Item = &'a Value>, days: i64) -> Vec<(String, u64)> {
    let mut counts = BTreeMap::new();
    for user in users {
        // The time as Clerk states it, or as a record has it.
        let active = match user.get("profile") {
            Some(profile) => profile["last_active_at"].as_str().map(str::to_owned),
            None => user["last_active_at"].as_i64().map(written),
        };
        if let Some(active) = active {
            *counts.entry(active[..10].to_owned()).or_default() += 1;
        }
    }
    let dates = (0..days).rev().map(|ago| written(TODAY - ago * DAY)[..10].to_owned());
    dates.map(|date| (date.clone(), counts.get(&date).copied().unwrap_or(0))).collect()
}

fn written(milliseconds: i64) -> String {
    clerk_snapshot::timestamp::Timestamp::from_unix_millis(milliseconds).unwrap().to_string()
}

fn days_of(snapshot: &Snapshot) -> Vec<(String, u64)> {
    let value =
        |row: &Value| (row["date"].as_str().unwrap().to_owned(), row["value"].as_u64().unwrap());
    snapshot.datasets[DATASET].iter().map(value).collect()
}

/// The days agree with the users of the same snapshot.
fn assert_agrees(snapshot: &Snapshot, what: &str) {
    assert_eq!(days_of(snapshot), expected_days(&snapshot.datasets["users"], 30), "{what}");
}

#[tokio::test(start_paused = true)]
async fn each_day_is_one_line_and_costs_no_request() {
    let sandbox = instance(1300);
    let users = world(&sandbox, "users");
    users.complete().await;
    let requests = sandbox.requests_by_path();
    sandbox.clear_requests();

    let world = world(&sandbox, "users,daily_active_users");
    let snapshot = world.complete().await;
    assert_eq!(sandbox.requests_by_path(), requests);
    assert_agrees(&snapshot, "users and days");
    let rows = &snapshot.datasets[DATASET];
    assert_eq!(rows.len(), 30);
    assert_eq!(
        rows[20].to_string(),
        r#"{"kind":"metric","name":"daily_active_users","date":"2025-11-11","value":0}"#
    );
    let last = &rows[29];
    assert_eq!(last["date"], "2025-11-20");
    assert!(days_of(&snapshot).iter().filter(|(_, value)| *value > 0).count() > 20);
    let entry = &snapshot.manifest["datasets"][DATASET];
    assert_eq!(entry["status"], "verified");
    assert_eq!(entry["source_count"], json!({"before": 1300, "after": 1300}));
    assert_eq!(snapshot.manifest["resources"], json!(["users", "daily_active_users"]));
}

#[tokio::test(start_paused = true)]
async fn lines_and_manifest_match_their_schemas() {
    let snapshot = world(&instance(30), DATASET).complete().await;
    let validator =
        |schema| jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let manifest = validator(include_str!("../../schemas/manifest.schema.json"));
    manifest.validate(&snapshot.manifest).unwrap();
    let line = validator(include_str!("../../schemas/daily_active_users.schema.json"));
    snapshot.datasets[DATASET].iter().for_each(|row| line.validate(row).unwrap());
}

#[tokio::test(start_paused = true)]
async fn days_without_users_write_no_user() {
    let sandbox = instance(700);
    let world = world(&sandbox, DATASET);
    let snapshot = world.complete().await;
    assert_eq!(snapshot.datasets.keys().collect::<Vec<_>>(), [DATASET]);
    assert_eq!(days_of(&snapshot), expected_days(&sandbox.users(), 30));
    assert!(world.memory.objects().keys().all(|key| !key.contains("/users/")));
}

#[tokio::test(start_paused = true)]
async fn the_lookback_setting_decides_how_many_days_there_are() {
    let sandbox = instance(300);
    for days in [1, 7, 365] {
        let world = world(&sandbox, DATASET).with("DAU_LOOKBACK_DAYS", &days.to_string());
        assert_eq!(days_of(&world.complete().await), expected_days(&sandbox.users(), days));
    }
    for wrong in ["0", "366", "1.5", "-1", "month"] {
        let world = world(&sandbox, DATASET).with("DAU_LOOKBACK_DAYS", wrong);
        let error = world.sync().await.unwrap_err();
        assert!(error.message().contains("DAU_LOOKBACK_DAYS is "), "{}", error.message());
        assert!(error.message().contains("from 1 to 365"), "{}", error.message());
    }
}

#[tokio::test(start_paused = true)]
async fn interruptions_change_no_count() {
    for resources in ["users,daily_active_users", DATASET] {
        let sandbox = instance(2600);
        let (invocations, snapshot) =
            complete_in_pieces(&world(&sandbox, resources), 0.0, resources).await;
        assert!(invocations > 4, "{invocations}");
        assert_eq!(days_of(&snapshot), expected_days(&sandbox.users(), 30), "{resources}");
    }
}

/// With several windows at the same time.
#[tokio::test(start_paused = true)]
async fn windows_count_each_user_once() {
    let sandbox = Sandbox::empty();
    for number in 0..10_300 {
        insert(&sandbox, &format!("user_{number:06}"), FIRST + 6_000_000 * number as i64, number);
    }
    sandbox.set_latency(Duration::from_millis(50), Duration::from_millis(20));
    let snapshot = complete(&world(&sandbox, "users,daily_active_users"), "windows").await;
    assert_eq!(snapshot.manifest["datasets"]["users"]["walk"], "windows");
    assert_eq!(days_of(&snapshot), expected_days(&sandbox.users(), 30));
}

/// Rows are read again, and their counts are replaced.
#[tokio::test(start_paused = true)]
async fn users_read_again_are_counted_once() {
    let sandbox = instance(2600);
    before_request(&sandbox, "/v1/users", 4, |sandbox| {
        for number in 10..40 {
            sandbox.delete("users", &format!("user_{number:06}"));
        }
        for number in 0..7 {
            insert(sandbox, &format!("user_late_{number}"), every_second(100) + 1, 14);
        }
    });
    let snapshot = complete(&world(&sandbox, "users,daily_active_users"), "repaired").await;
    let repaired = &snapshot.manifest["datasets"]["users"]["rows_repaired"];
    assert!(repaired.as_u64().unwrap() > 0);
    assert_agrees(&snapshot, "repaired");
    assert_eq!(days_of(&snapshot), expected_days(&sandbox.users(), 30));
}

#[tokio::test(start_paused = true)]
async fn days_agree_with_the_users_written_despite_changes_during_the_run() {
    for seed in 0..6 {
        let sandbox = instance(2600);
        let plan = ChurnPlan { seed, last_page: 40, ..ChurnPlan::default() };
        sandbox.churn(plan);
        let world = world(&sandbox, "users,daily_active_users");
        let (_, snapshot) = complete_in_pieces(&world, 0.0, "churn").await;
        assert_agrees(&snapshot, &format!("seed {seed}"));
    }
}

/// A backdated user who appears while memberships are read is inserted into a stored part.
#[tokio::test(start_paused = true)]
async fn a_user_inserted_late_is_counted() {
    let sandbox = instance(600);
    sandbox.add_organization(FIRST);
    add_memberships(&sandbox, 550, every_second);
    before_request(&sandbox, "/v1/organization_memberships", 2, |sandbox| {
        insert(sandbox, "user_late", every_second(20) + 1, 14);
        let organization = sandbox.ids("organizations")[0].clone();
        let at = every_second(900);
        sandbox.add_membership(&organization, "user_late", "org:member", at).unwrap();
    });
    let resources = "users,organizations,organization_memberships,daily_active_users";
    let snapshot = complete(&world(&sandbox, resources), "late").await;
    assert!(snapshot.ids("users").contains(&"user_late".to_owned()));
    assert_agrees(&snapshot, "late");
    assert_eq!(days_of(&snapshot), expected_days(&sandbox.users(), 30));
}

#[tokio::test(start_paused = true)]
async fn refused_users_skip_the_days_instead_of_emptying_them() {
    for resources in ["users,daily_active_users", DATASET] {
        let sandbox = instance(30);
        sandbox.fault(FaultRule::on("/v1/users*").status(403, "feature_not_enabled"));
        let snapshot = complete(&world(&sandbox, resources), resources).await;
        let entry = &snapshot.manifest["datasets"][DATASET];
        assert_eq!(entry["status"], "skipped");
        assert_eq!(entry["reason"], "feature_not_enabled");
        assert_eq!(entry["parts"], json!([]));
    }
}

/// Otherwise some days would be counted over another period.
#[tokio::test(start_paused = true)]
async fn a_run_is_not_continued_with_another_lookback() {
    let sandbox = instance(1300);
    let begun = world(&sandbox, DATASET);
    let partial = begun.handle(json!({"time_budget_seconds": 0})).await.unwrap();
    assert_eq!(partial["status"], "partial");
    let answer = begun.with("DAU_LOOKBACK_DAYS", "7").sync().await.unwrap();
    assert_eq!(answer["status"], "complete");
    assert_ne!(answer["snapshot_id"], partial["snapshot_id"]);
}
