//! Holds the lists below `athena/` against the snapshot and the feeds that they are of.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use clerk_snapshot::resource::Dataset;
use serde_json::Value;

/// Panics unless every list names exactly the files that it should, in order. Returns the id of the snapshot that the
/// lists are of; `None` if there are none.
pub(crate) fn assert_listed(objects: &BTreeMap<String, Bytes>) -> Option<String> {
    let parsed = |key: &str| -> Value { serde_json::from_slice(&objects[key]).expect("JSON") };
    objects.get("athena/latest.json")?;
    let marker = parsed("athena/latest.json");
    let id = marker["snapshot_id"].as_str().expect("an id").to_owned();
    let manifest = parsed(&format!("snapshots/{id}/manifest.json"));
    let datasets = manifest["datasets"].as_object().expect("datasets");
    for (dataset, entry) in datasets {
        let parts = entry["parts"].as_array().expect("parts");
        let expected: Vec<String> = parts
            .iter()
            .map(|part| format!("snapshots/{id}/{}", part["key"].as_str().expect("a key")))
            .collect();
        assert_eq!(listed(objects, &format!("athena/latest/{dataset}/symlink.txt")), expected);
    }
    let known = Dataset::ALL.iter().map(|dataset| dataset.name());
    for other in known.filter(|&name| !datasets.contains_key(name)) {
        let list = listed(objects, &format!("athena/latest/{other}/symlink.txt"));
        assert_eq!(list, [""; 0], "the snapshot does not have {other}");
    }
    let feeds: BTreeSet<&str> = objects
        .keys()
        .filter_map(|key| key.strip_prefix("changes/")?.strip_suffix("/summary.json"))
        .collect();
    for feed in feeds {
        let summary = parsed(&format!("changes/{feed}/summary.json"));
        let parts = summary["parts"].as_array().expect("parts");
        let expected: Vec<String> = parts
            .iter()
            .map(|part| format!("changes/{feed}/{}", part["key"].as_str().expect("a key")))
            .collect();
        assert_eq!(listed(objects, &format!("athena/changes/{feed}.txt")), expected);
    }
    Some(id)
}

/// The keys that a list names.
fn listed(objects: &BTreeMap<String, Bytes>, list: &str) -> Vec<String> {
    let lines = objects.get(list).unwrap_or_else(|| panic!("{list} is missing"));
    let lines = std::str::from_utf8(lines).expect("text");
    assert!(lines.is_empty() || lines.ends_with('\n'), "{list}");
    let key_of = |line: &str| {
        let start = ["snapshots/", "changes/"].iter().find_map(|folder| line.find(folder));
        line[start.expect("an address")..].to_owned()
    };
    lines.lines().map(key_of).collect()
}
