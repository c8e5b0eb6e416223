//! The rows of a sandbox when a run began and the changes since, to compare with the snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use clerk_sandbox::{Change, ChangeKind, Sandbox};
use serde_json::Value;

use super::oracle::RESOURCES;
use super::snapshot::Snapshot;

/// The rows of every list at one time, and the changes from then on.
pub(crate) struct Source {
    sandbox: Sandbox,
    before: BTreeMap<&'static str, Vec<String>>,
    changes_before: usize,
}

impl Source {
    /// The rows as they are now.
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        Self {
            sandbox: sandbox.clone(),
            before: RESOURCES.map(|list| (list, sandbox.ids(list))).into(),
            changes_before: sandbox.history().len(),
        }
    }

    /// Compares a snapshot with what was there: every row that stayed put is there once, no row
    /// twice, none invented, all in ascending order; the user and organization of every grant are
    /// present; and no dataset is called verified with another number of rows than Clerk counted.
    pub(crate) fn assert_kept_by(&self, snapshot: &Snapshot, what: &str) {
        let changes = self.sandbox.history().split_off(self.changes_before);
        for list in RESOURCES {
            if let Some(rows) = rows_of(snapshot, list) {
                let changes = changes.iter().filter(|change| change.list == list);
                self.assert_rows_kept(list, &rows, &changes.collect::<Vec<_>>(), what);
            }
        }
        assert_closed(snapshot, what);
    }

    fn assert_rows_kept(&self, list: &'static str, rows: &Rows, changes: &[&Change], what: &str) {
        let mut times = HashMap::new();
        for id in &rows.ids {
            *times.entry(id.as_str()).or_insert(0) += 1;
        }
        let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "{what}: {list} holds rows more than once: {twice:?}");

        let touched: HashSet<&str> = changes
            .iter()
            .filter(|change| change.kind != ChangeKind::Inserted)
            .map(|change| change.id.as_str())
            .collect();
        let before = &self.before[list];
        let lost: Vec<_> = before
            .iter()
            .filter(|id| !touched.contains(id.as_str()) && !times.contains_key(id.as_str()))
            .collect();
        assert!(
            lost.is_empty(),
            "{what}: {list} lost {} rows that stayed put: {:?}",
            lost.len(),
            &lost[..lost.len().min(5)]
        );

        let ever: HashSet<&str> = before
            .iter()
            .map(String::as_str)
            .chain(changes.iter().map(|change| change.id.as_str()))
            .collect();
        let invented: Vec<_> = times.keys().filter(|id| !ever.contains(*id)).collect();
        assert!(invented.is_empty(), "{what}: {list} holds {invented:?}, which never existed");

        let falls = rows.created.windows(2).position(|pair| pair[0] > pair[1]);
        assert_eq!(falls, None, "{what}: {list} is not in ascending order from there on");

        let counted = rows.dataset["source_count"]["after"].as_u64();
        let agrees = counted.is_some_and(|counted| rows.may_have_been(counted));
        if rows.dataset["status"] == "verified" {
            let held = rows.ids.len();
            assert!(agrees, "{what}: {list} is called verified: {held} rows of {counted:?}");
            let sizes = sizes(before.len(), changes);
            assert!(
                counted.is_some_and(|counted| sizes.contains(&counted)),
                "{what}: {list} never had {counted:?} rows, but {sizes:?}"
            );
        } else {
            assert!(
                !agrees,
                "{what}: {list} is called drifted, and source_count does not say by how much"
            );
        }
    }
}

/// Every size that a list had.
fn sizes(before: usize, changes: &[&Change]) -> BTreeSet<u64> {
    let mut size = before as u64;
    let mut sizes = BTreeSet::from([size]);
    for change in changes {
        match change.kind {
            ChangeKind::Inserted => size += 1,
            ChangeKind::Deleted => size -= 1,
            ChangeKind::Updated => {}
        }
        sizes.insert(size);
    }
    sizes
}

/// The rows of one list in a snapshot.
struct Rows {
    ids: Vec<String>,
    created: Vec<String>,
    /// The manifest's entry.
    dataset: Value,
    /// Users and organizations of memberships that are left out.
    dangling: [u64; 2],
}

impl Rows {
    /// Whether Clerk may have counted this many rows: those in the snapshot, and those left out
    /// because a user, an organization or both are missing.
    fn may_have_been(&self, counted: u64) -> bool {
        let held = self.ids.len() as u64;
        let [users, organizations] = self.dangling;
        (held + users.max(organizations)..=held + users + organizations).contains(&counted)
    }
}

/// Whether a dataset's entry says that it is incomplete.
pub(crate) fn is_left_out(entry: &Value) -> bool {
    entry["status"] == "skipped" || entry["status"] == "failed"
}

/// `None` if the list is not opted in, or its dataset is skipped or failed.
fn rows_of(snapshot: &Snapshot, list: &str) -> Option<Rows> {
    let memberships = list == "organization_memberships";
    let name = if memberships { "grants" } else { list };
    let resources = snapshot.manifest["resources"].as_array().expect("resources");
    let dataset = snapshot.manifest["datasets"].get(name)?.clone();
    if !resources.iter().any(|resource| resource == list) || is_left_out(&dataset) {
        return None;
    }
    let rows = &snapshot.datasets[name];
    let rows = rows.iter().filter(|row| !memberships || is_member_grant(row));
    let (ids, created) = rows
        .map(|row| {
            let id = if memberships { &row["source"]["id"] } else { &row["id"] };
            (text(id), text(&row["created_at"]))
        })
        .unzip();
    let referential = &snapshot.manifest["referential"];
    let dangling = ["dangling_principals", "dangling_resources"]
        .map(|name| referential[name].as_u64().filter(|_| memberships).unwrap_or_default());
    Some(Rows { ids, created, dataset, dangling })
}

fn is_member_grant(row: &Value) -> bool {
    row["source"]["type"] == "organization_membership" && row["role"].is_null()
}

/// The principal and resource of every grant are in the snapshot if their types were opted in and
/// read.
pub(crate) fn assert_closed(snapshot: &Snapshot, what: &str) {
    let Some(grants) = snapshot.datasets.get("grants") else { return };
    for (side, kind, dataset) in [
        ("principal", "user", "users"),
        ("resource", "organization", "organizations"),
        ("principal", "organization_role", "organization_roles"),
        ("resource", "organization_permission", "organization_permissions"),
        ("principal", "machine", "machines"),
        ("resource", "machine", "machines"),
    ] {
        let entry = snapshot.manifest["datasets"].get(dataset);
        if entry.is_none_or(is_left_out) {
            continue;
        }
        let there: HashSet<String> = snapshot.ids(dataset).into_iter().collect();
        for grant in grants.iter().filter(|grant| grant[side]["type"] == kind) {
            let id = text(&grant[side]["id"]);
            assert!(there.contains(&id), "{what}: a grant's {side} {id} is not in {dataset}");
        }
    }
}

/// The ids of the memberships from which a snapshot's grants come, in order.
pub(crate) fn membership_ids(snapshot: &Snapshot) -> Vec<String> {
    let grants = snapshot.datasets["grants"].iter().filter(|row| is_member_grant(row));
    grants.map(|row| text(&row["source"]["id"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
