//! When nothing may be said: docs/changes.md, row by row.

use serde_json::{Value, json};

use super::support::compared;
use crate::manifest::{DatasetStatus, Settings};
use crate::resource::{Dataset, Resource};
use crate::testing::{SnapshotBuilder, records};

fn user(id: &str, name: &str) -> Value {
    let mut user = records::user(id);
    user["profile"]["first_name"] = json!(name);
    user["display_name"] = json!(name);
    user
}

/// Of users one is removed, one added, and one renamed and disabled; and a member goes.
fn both() -> (SnapshotBuilder, SnapshotBuilder) {
    let mut disabled = user("stays", "Grace");
    disabled["status"] = json!("disabled");
    let from = SnapshotBuilder::on_day(1)
        .with(Dataset::Users, [user("stays", "Ada"), user("gone", "Ada")])
        .with(Dataset::Grants, [records::member_grant("org_1", "gone", "orgmem_1")]);
    let to = SnapshotBuilder::on_day(2)
        .with(Dataset::Users, [disabled, user("new", "Ada")])
        .with(Dataset::Grants, []);
    (from, to)
}

fn entry(result: &str, reason: Option<&str>, counts: [u64; 3]) -> Value {
    let [added, removed, changed] = counts;
    json!({"result": result, "reason": reason, "added": added, "removed": removed, "changed": changed})
}

/// The paths of the changed user's fields.
fn paths(records: &[Value]) -> Vec<String> {
    let changed = records.iter().find(|it| it["op"] == "changed");
    let fields = changed.map(|it| it["fields"].as_array().unwrap().clone()).unwrap_or_default();
    fields.iter().map(|it| it["path"].as_str().unwrap().to_owned()).collect()
}

fn settings(builder: &mut SnapshotBuilder) -> &mut Settings {
    builder.manifest.settings.as_mut().unwrap()
}

// Promise: row 1: what both sides read is compared.
#[tokio::test]
async fn what_both_sides_read_is_compared() {
    let (from, to) = both();
    let compared = compared(&from, &to).await;
    assert_eq!(compared.dataset("users"), entry("compared", None, [1, 1, 1]));
    assert_eq!(paths(&compared.records()), ["display_name", "status", "profile.first_name"]);
    assert!(compared.summary.complete);
}

// Promise: row 2: nothing is said of a dataset that a side skipped or failed to read, not even of lines that are there.
#[tokio::test]
async fn what_was_skipped_or_failed_says_nothing() {
    for status in [DatasetStatus::Skipped, DatasetStatus::Failed] {
        for is_from in [true, false] {
            let (mut from, mut to) = both();
            let side = if is_from { &mut from } else { &mut to };
            *side = side.clone().with_status(Dataset::Users, status, Some("code_of_clerk"));
            let compared = compared(&from, &to).await;
            assert_eq!(
                compared.dataset("users"),
                entry("not_compared", Some("code_of_clerk"), [0; 3])
            );
            assert!(compared.records().iter().all(|it| it["dataset"] != "users"));
            assert!(!compared.summary.complete);
            // Nor does it explain anything.
            assert_eq!(compared.records()[0]["cause"], Value::Null);
        }
    }
    // The row is tried before those of datasets that a side has not got.
    let (from, to) = both();
    let skipped = |builder: SnapshotBuilder| {
        builder.with_status(Dataset::Machines, DatasetStatus::Skipped, None)
    };
    for (from, to) in [(skipped(from.clone()), to.clone()), (from, skipped(to))] {
        let compared = compared(&from, &to).await;
        assert_eq!(compared.dataset("machines"), entry("not_compared", Some("skipped"), [0; 3]));
    }
}

// Promise: row 3: a dataset that is new in TO is counted and has no records.
#[tokio::test]
async fn a_new_dataset_is_a_baseline() {
    let (mut from, to) = both();
    from.manifest.datasets.remove(&Dataset::Users);
    from.lines.remove(&Dataset::Users);
    let compared = compared(&from, &to).await;
    let mut expected = entry("baseline", None, [0; 3]);
    expected["records"] = json!(2);
    assert_eq!(compared.dataset("users"), expected);
    assert!(compared.records().iter().all(|it| it["dataset"] == "grants"));
    assert!(compared.summary.complete);
}

// Promise: row 4: a dataset that is no longer opted in was not removed.
#[tokio::test]
async fn a_dataset_that_is_no_longer_read_is_not_compared() {
    let (from, mut to) = both();
    to.manifest.datasets.remove(&Dataset::Users);
    to.lines.remove(&Dataset::Users);
    let compared = compared(&from, &to).await;
    assert_eq!(compared.dataset("users"), entry("not_compared", Some("not_in_resources"), [0; 3]));
    assert!(compared.records().iter().all(|it| it["dataset"] == "grants"));
    assert!(!compared.summary.complete);
}

// Promise: row 5: fields that a changed setting touches are not reported, and everything else is.
#[tokio::test]
async fn fields_that_settings_touch_are_left_out() {
    type Change = fn(&mut SnapshotBuilder, &mut SnapshotBuilder);
    let rows: [(Change, &str, &[&str]); 8] = [
        (|_, to| settings(to).redact = vec!["name".to_owned()], "redact", &["status"]),
        (
            |_, to| settings(to).redact = vec!["phone".to_owned()],
            "redact",
            &["display_name", "status", "profile.first_name"],
        ),
        (
            |from, to| {
                for side in [&mut *from, &mut *to] {
                    settings(side).redact = vec!["name".to_owned()];
                }
                (from.manifest.redaction_key_id, to.manifest.redaction_key_id) =
                    (Some("0".to_owned()), Some("1".to_owned()));
            },
            "redaction_key_id",
            &["status"],
        ),
        (
            |from, _| settings(from).metadata = vec!["public".to_owned()],
            "metadata",
            &["display_name", "status", "profile.first_name"],
        ),
        (
            |from, _| settings(from).include_raw = true,
            "include_raw",
            &["display_name", "status", "profile.first_name"],
        ),
        (
            |_, to| to.manifest.generator.clerk_api_version = "2027-01-01".to_owned(),
            "clerk_api_version",
            &[],
        ),
        (
            |from, _| {
                (from.manifest.settings, from.manifest.config_fingerprint) =
                    (None, "sha256:1".to_owned())
            },
            "redact, redaction_key_id, metadata, include_raw, clerk_api_version",
            &[],
        ),
        (
            |from, to| {
                settings(to).redact = vec!["name".to_owned(), "ip".to_owned()];
                settings(from).metadata = vec!["private".to_owned()];
            },
            "redact, metadata",
            &["status"],
        ),
    ];
    for (change, reason, expected) in rows {
        let (mut from, mut to) = both();
        change(&mut from, &mut to);
        let compared = compared(&from, &to).await;
        let changed = u64::from(!expected.is_empty());
        assert_eq!(compared.dataset("users"), entry("partial", Some(reason), [1, 1, changed]));
        assert_eq!(paths(&compared.records()), expected, "{reason}");
        assert!(!compared.summary.complete);
        // Grants say the same under any settings, and what was removed explains them.
        assert_eq!(compared.dataset("grants"), entry("compared", None, [0, 1, 0]));
        let grant = compared.records().into_iter().find(|it| it["dataset"] == "grants").unwrap();
        assert_eq!(grant["cause"], json!({"type": "user", "id": "gone"}));
    }
}

// Promise: settings that touch no field of a dataset, and those that are the same, do not make it partial.
#[tokio::test]
async fn settings_that_touch_nothing_do_not_matter() {
    type Change = fn(&mut SnapshotBuilder, &mut SnapshotBuilder);
    let rows: [Change; 4] = [
        |_, to| settings(to).redact = vec!["ip".to_owned()],
        // Without a key that anything is hashed with.
        |_, to| to.manifest.redaction_key_id = Some("0".to_owned()),
        // Written by a version without `settings`, under the same ones.
        |from, to| {
            from.manifest.settings = None;
            to.manifest.redaction_key_id = Some("0".to_owned());
        },
        |_, to| settings(to).sessions_lookback_days = Some(7.into()),
    ];
    for change in rows {
        let (mut from, mut to) = both();
        change(&mut from, &mut to);
        let compared = compared(&from, &to).await;
        assert_eq!(compared.dataset("users"), entry("compared", None, [1, 1, 1]));
    }
}

// Promise: `raw` is left out if a bag of metadata is in it on one side alone.
#[tokio::test]
async fn metadata_touches_raw_as_well() {
    let (mut from, mut to) = both();
    for builder in [&mut from, &mut to] {
        settings(builder).include_raw = true;
    }
    settings(&mut to).metadata = vec!["private".to_owned()];
    let mut one = SnapshotBuilder { lines: [].into(), ..from };
    let mut other = SnapshotBuilder { lines: [].into(), ..to };
    let machine = |raw: Value| {
        let mut machine = records::machine("mch_1");
        machine["raw"] = raw;
        machine
    };
    one.manifest.datasets.clear();
    other.manifest.datasets.clear();
    one.add(Dataset::Machines, [machine(json!({"a": 1}))]);
    other.add(Dataset::Machines, [machine(json!({"a": 1, "private_metadata": {}}))]);
    let compared = compared(&one, &other).await;
    assert_eq!(compared.dataset("machines"), entry("partial", Some("metadata"), [0; 3]));
}

// Promise: a field that the older line has not got came with a newer version, and is no change.
#[tokio::test]
async fn a_field_of_a_newer_version_is_no_change() {
    let mut newer = user("stays", "Ada");
    newer["profile"]["new_field"] = json!("value");
    let from = SnapshotBuilder::on_day(1).with(Dataset::Users, [user("stays", "Ada")]);
    let to = SnapshotBuilder::on_day(2).with(Dataset::Users, [newer.clone()]);
    assert_eq!(compared(&from, &to).await.dataset("users"), entry("compared", None, [0; 3]));
    newer["profile"]["first_name"] = json!("Grace");
    let to = SnapshotBuilder::on_day(2).with(Dataset::Users, [newer]);
    assert_eq!(paths(&compared(&from, &to).await.records()), ["profile.first_name"]);
}

// Promise: lines of a resource that one side alone has are left out, and the reason names the resource.
#[tokio::test]
async fn lines_of_a_resource_of_one_side_are_left_out() {
    let grants = [
        (Resource::OrganizationMemberships, records::member_grant("org_1", "user_1", "orgmem_1")),
        (Resource::OrganizationRoles, records::permission_grant("perm_1", "role_1")),
        (Resource::Machines, records::call_grant("mch_1", "mch_2")),
    ];
    let entitlements = [
        (Resource::Organizations, records::member_entitlement("org_1")),
        (Resource::OrganizationPermissions, records::permission_entitlement("perm_1")),
        (Resource::Machines, records::call_entitlement("mch_1")),
    ];
    for (dataset, sources) in [(Dataset::Grants, grants), (Dataset::Entitlements, entitlements)] {
        for (resource, line) in &sources {
            let others: Vec<_> = sources.iter().filter(|it| it.0 != *resource).cloned().collect();
            let side = |day, has: bool, lines: Vec<Value>| {
                let mut builder = SnapshotBuilder::on_day(day).with(dataset, lines);
                builder.manifest.resources = others.iter().map(|it| it.0).collect();
                builder.manifest.resources.extend(has.then_some(*resource));
                builder
            };
            let without = |day| side(day, false, vec![others[0].1.clone()]);
            let with = |day| side(day, true, vec![line.clone(), others[1].1.clone()]);
            for (from, to) in [(without(1), with(2)), (with(1), without(2))] {
                let compared = compared(&from, &to).await;
                let expected = entry("partial", Some(resource.name()), [1, 1, 0]);
                assert_eq!(compared.dataset(dataset.name()), expected);
                assert!(compared.records().iter().all(|it| it["id"] != line["id"]));
                assert!(!compared.summary.complete);
            }
        }
    }
}

// Promise: equal digests are equal datasets, whatever the settings.
#[tokio::test]
async fn equal_digests_are_equal_datasets() {
    let (from, mut to) = both();
    to.lines = from.lines.clone();
    // In other parts, and under another key.
    to.lines_per_part = 1;
    settings(&mut to).redact = vec!["name".to_owned()];
    to.manifest.generator.clerk_api_version = "2027-01-01".to_owned();
    let equal = compared(&from, &to).await;
    assert_eq!(equal.dataset("users"), entry("compared", None, [0; 3]));
    assert!(equal.lines.is_empty() && equal.summary.complete);
    let skipped = to.with_status(Dataset::Users, DatasetStatus::Skipped, Some("code"));
    assert_eq!(
        compared(&from, &skipped).await.dataset("users"),
        entry("not_compared", Some("code"), [0; 3])
    );
}
