//! Judges data derived from rows: grants of machines, and the days on which users were active.

use std::collections::{BTreeMap, HashSet};

use clerk_sandbox::Sandbox;
use clerk_snapshot::timestamp::Timestamp;
use serde_json::{Value, json};

use super::required::day_of;
use super::throughout::Throughout;
use crate::support::snapshot::Snapshot;
use crate::support::source::is_left_out;

/// Machines that did not change may call the machines they could call throughout, and no others.
/// The sandbox is as it was when the snapshot was published.
pub(super) fn assert_calls_right(snapshot: &Snapshot, sandbox: &Sandbox, machines: &Throughout) {
    if ["machines", "grants"].iter().any(|name| is_skipped(snapshot, name)) {
        return;
    }
    let unchanged: HashSet<&str> = machines
        .always
        .iter()
        .map(String::as_str)
        .filter(|id| !machines.changed.contains(*id))
        .collect();
    let mut expected = Vec::new();
    for caller in sandbox.rows("machines") {
        let id = text(&caller["id"]);
        if unchanged.contains(id) {
            let called = caller["scoped_machines"].as_array().expect("machines").iter();
            expected.extend(called.map(|called| (id.to_owned(), text(&called["id"]).to_owned())));
        }
    }
    let of_machines = |grant: &&Value| grant["principal"]["type"] == "machine";
    let mut granted: Vec<(String, String)> = snapshot.datasets["grants"]
        .iter()
        .filter(of_machines)
        .map(|grant| {
            let id = |side: &str| text(&grant[side]["id"]).to_owned();
            (id("principal"), id("resource"))
        })
        .filter(|(caller, _)| unchanged.contains(caller.as_str()))
        .collect();
    granted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(granted, expected, "the machines that each machine may call");
}

/// An invitation that was revoked while the lists were read is there twice: in its old state in the
/// list of the others, and after them in the list of revoked ones.
pub(super) fn is_as_it_was_and_as_it_is(snapshot: &Snapshot, id: &str) -> bool {
    let rows = snapshot.datasets["invitations"].iter().filter(|row| row["id"] == id);
    let revoked: Vec<bool> = rows.map(|row| row["profile"]["status"] == "revoked").collect();
    revoked == [false, true]
}

/// The line of each day says how many users of the same snapshot were last active on that day.
pub(super) fn assert_days_agree(snapshot: &Snapshot, days: i64) {
    let Some(entry) = snapshot.manifest["datasets"].get("daily_active_users") else { return };
    let users = &snapshot.manifest["datasets"]["users"];
    for field in ["status", "reason", "source_count"] {
        assert_eq!(entry[field], users[field], "{field} of the days and of the users");
    }
    if !is_skipped(snapshot, "users") {
        let active = |user: &Value| {
            let at: Timestamp =
                user["profile"]["last_active_at"].as_str()?.parse().expect("a time");
            Some(at.unix_millis())
        };
        assert_days(snapshot, days, snapshot.datasets["users"].iter().filter_map(active));
    }
}

/// There is one line for each of these days, with the number of times that fall on it.
pub(super) fn assert_days(snapshot: &Snapshot, days: i64, active: impl Iterator<Item = i64>) {
    let Some(lines) = snapshot.datasets.get("daily_active_users") else { return };
    let mut counts = BTreeMap::<i64, u64>::new();
    active.for_each(|at| *counts.entry(day_of(at)).or_default() += 1);
    let started_at: Timestamp = text(&snapshot.manifest["started_at"]).parse().expect("a time");
    let last = day_of(started_at.unix_millis());
    let expected: Vec<Value> = (last - days + 1..=last)
        .map(|day| {
            let midnight = Timestamp::from_unix_millis(day * 86_400_000).expect("a time");
            json!({
                "kind": "metric",
                "name": "daily_active_users",
                "date": midnight.to_string()[..10],
                "value": counts.get(&day).unwrap_or(&0),
            })
        })
        .collect();
    assert_eq!(lines, &expected, "days");
}

fn is_skipped(snapshot: &Snapshot, dataset: &str) -> bool {
    is_left_out(&snapshot.manifest["datasets"][dataset])
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
