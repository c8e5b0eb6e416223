//! Reads feeds of changes as a consumer would, and holds them against the snapshots that they lie between.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use clerk_snapshot::digest::Sha256Hex;
use serde_json::{Value, json};

use super::snapshot::{Snapshot, unpacked};

/// A feed, with its checksums and counts confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    /// `summary.json`.
    pub(crate) summary: Value,
    /// The records, in order.
    pub(crate) records: Vec<Value>,
}

/// Datasets of which every addition and removal is about access.
const ACCESS: [&str; 6] = [
    "users",
    "organizations",
    "organization_roles",
    "organization_permissions",
    "entitlements",
    "grants",
];

impl Feed {
    /// The feed that leads to a snapshot; `None` if it has no summary. Panics if anything about it is wrong.
    pub(crate) fn to(objects: &BTreeMap<String, Bytes>, id: &str) -> Option<Self> {
        let folder = format!("changes/{id}/");
        let summary = parsed(objects.get(&format!("{folder}summary.json"))?);
        // Feeds outlive the snapshots that they lead to.
        let manifest = objects.get(&format!("snapshots/{id}/manifest.json")).map(parsed);
        let extension = manifest.as_ref().map(|it| match it["compression"].as_str() {
            Some("none") => "ndjson",
            Some("gzip") => "ndjson.gz",
            _ => "ndjson.zst",
        });
        let mut named = BTreeSet::from([format!("{folder}summary.json")]);
        let mut records = Vec::new();
        for (number, part) in summary["parts"].as_array().expect("parts").iter().enumerate() {
            let key = part["key"].as_str().expect("a key");
            assert!(key.starts_with(&format!("part-{number:05}.ndjson")), "{key}");
            assert!(extension.is_none_or(|it| key.ends_with(&format!(".{it}"))), "{key}");
            let bytes = &objects[&format!("{folder}{key}")];
            assert_eq!(part["bytes"], bytes.len(), "{key}");
            assert_eq!(part["sha256"], Sha256Hex::of(bytes).to_string(), "{key}");
            let lines = unpacked(key, bytes);
            assert_eq!(part["records"], lines.lines().count(), "{key}");
            records.extend(
                lines.lines().map(|line| -> Value { serde_json::from_str(line).expect("JSON") }),
            );
            named.insert(format!("{folder}{key}"));
        }
        let found: BTreeSet<String> =
            objects.keys().filter(|key| key.starts_with(&folder)).cloned().collect();
        assert_eq!(found, named, "files of the feed");
        let feed = Self { summary, records };
        if let Some(manifest) = &manifest {
            feed.assert_right(objects, manifest);
        }
        Some(feed)
    }

    /// The feed that `changes/latest.json` names; `None` if there is no such file.
    pub(crate) fn latest(objects: &BTreeMap<String, Bytes>) -> Option<Self> {
        let latest = parsed(objects.get("changes/latest.json")?);
        let to = latest["to"].as_str().expect("an id");
        let key = format!("changes/{to}/summary.json");
        let feed = Self::to(objects, to).expect("changes/latest.json names a summary");
        let from = feed.summary["from"]["snapshot_id"].clone();
        let sha256 = Sha256Hex::of(&objects[&key]).to_string();
        assert_eq!(
            latest,
            json!({"summary": key, "summary_sha256": sha256, "from": from, "to": to})
        );
        Some(feed)
    }

    /// The ids of the records with an event.
    pub(crate) fn ids_of(&self, event: &str) -> Vec<&str> {
        let those = self.records.iter().filter(|record| record["event"] == event);
        those.map(|record| record["id"].as_str().expect("an id")).collect()
    }

    /// It follows from the lines of the two snapshots, as far as a few lines of code can tell.
    fn assert_right(&self, objects: &BTreeMap<String, Bytes>, to: &Value) {
        let Self { summary, records } = self;
        assert_eq!(summary["from"]["snapshot_id"], to["previous"]["snapshot_id"]);
        assert_eq!(summary["from"]["manifest_sha256"], to["previous"]["manifest_sha256"]);
        assert_eq!(summary["to"]["snapshot_id"], to["snapshot_id"]);
        let mut events: BTreeMap<&str, u64> = BTreeMap::new();
        for record in records {
            *events.entry(record["event"].as_str().expect("an event")).or_default() += 1;
            assert!(summary["classes"].as_array().expect("classes").contains(&record["class"]));
        }
        assert_eq!(summary["events"], json!(events));
        let to = Snapshot::whole(objects, to["snapshot_id"].as_str().expect("an id"));
        let from = summary["from"]["snapshot_id"].as_str().expect("an id");
        let whole = to.zip(Snapshot::whole(objects, from));
        for (name, entry) in summary["datasets"].as_object().expect("datasets") {
            let of = |op: &str| -> BTreeSet<&str> {
                let those = records.iter().filter(|it| it["dataset"] == **name && it["op"] == op);
                those.map(|record| record["id"].as_str().expect("an id")).collect()
            };
            for op in ["added", "removed", "changed"] {
                assert_eq!(entry[op], of(op).len(), "{name}: {op}");
            }
            let whole = whole.as_ref().filter(|_| ACCESS.contains(&name.as_str()));
            let whole = whole.filter(|_| entry["result"] == "compared");
            let Some((to, from)) = whole else { continue };
            let ids = |snapshot: &Snapshot| -> BTreeSet<String> {
                snapshot.ids(name).into_iter().collect()
            };
            let (before, after) = (ids(from), ids(to));
            // A synthetic instance may have two memberships of one user in one organization, which Clerk refuses.
            if before.len() < from.ids(name).len() || after.len() < to.ids(name).len() {
                continue;
            }
            let difference = |ids: BTreeSet<&str>, expected: &BTreeSet<String>| {
                let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
                let only = |these: &BTreeSet<&str>, those: &BTreeSet<&str>| {
                    these.difference(those).map(|it| (*it).to_owned()).take(3).collect::<Vec<_>>()
                };
                (only(&ids, &expected), only(&expected, &ids))
            };
            let same = (Vec::new(), Vec::new());
            assert_eq!(difference(of("added"), &(&after - &before)), same, "{name}: added");
            assert_eq!(difference(of("removed"), &(&before - &after)), same, "{name}: removed");
        }
    }
}

/// Every published snapshot that follows another one has a feed, and `changes/latest.json` names the newest. Returns
/// how many there are.
pub(crate) fn assert_feeds(objects: &BTreeMap<String, Bytes>) -> usize {
    let latest = parsed(&objects["latest.json"])["snapshot_id"].clone();
    let named = Feed::latest(objects).map(|feed| feed.summary["to"]["snapshot_id"].clone());
    let mut next = latest.as_str().map(str::to_owned);
    let mut feeds = 0;
    while let Some(id) = next {
        let manifest = parsed(&objects[&format!("snapshots/{id}/manifest.json")]);
        let previous = manifest["previous"]["snapshot_id"].as_str().map(str::to_owned);
        if previous.is_some() {
            assert!(Feed::to(objects, &id).is_some(), "{id} has no feed");
            feeds += 1;
        }
        next = previous.filter(|id| objects.contains_key(&format!("snapshots/{id}/manifest.json")));
    }
    if feeds > 0 {
        assert_eq!(named, Some(latest), "changes/latest.json names the newest");
    }
    feeds
}

fn parsed(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}
