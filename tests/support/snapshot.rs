//! Reads a published snapshot as a consumer would: starting at `latest.json`.

use std::collections::BTreeMap;
use std::io::Read as _;

use bytes::Bytes;
use clerk_snapshot::digest::{ContentDigest, Sha256Hex};
use serde_json::{Value, json};

/// A published snapshot, with its checksums, counts and digests confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// `latest.json`.
    pub(crate) latest: Value,
    /// `manifest.json`.
    pub(crate) manifest: Value,
    /// The lines of each dataset, in the order of its parts' names.
    pub(crate) datasets: BTreeMap<String, Vec<Value>>,
}

impl Snapshot {
    /// The snapshot that `latest.json` names among `objects`; `None` if nothing is published.
    /// Panics if anything about it is wrong.
    pub(crate) fn of(objects: &BTreeMap<String, Bytes>) -> Option<Self> {
        Some(Self::named_by(parsed(objects.get("latest.json")?), objects))
    }

    /// The snapshot with this id; `None` if it has no manifest.
    pub(crate) fn with_id(objects: &BTreeMap<String, Bytes>, id: &str) -> Option<Self> {
        let manifest = format!("snapshots/{id}/manifest.json");
        let sha256 = Sha256Hex::of(objects.get(&manifest)?).to_string();
        let named = json!({"snapshot_id": id, "manifest": manifest, "manifest_sha256": sha256});
        Some(Self::named_by(named, objects))
    }

    /// The snapshot with this id; `None` if its manifest or a part is gone, because it is being removed.
    pub(crate) fn whole(objects: &BTreeMap<String, Bytes>, id: &str) -> Option<Self> {
        let folder = format!("snapshots/{id}/");
        let manifest = parsed(objects.get(&format!("{folder}manifest.json"))?);
        let datasets = manifest["datasets"].as_object().expect("datasets");
        let parts = datasets.values().flat_map(|it| it["parts"].as_array().expect("parts"));
        let mut keys = parts.map(|part| format!("{folder}{}", text(&part["key"])));
        keys.all(|key| objects.contains_key(&key)).then(|| Self::with_id(objects, id)).flatten()
    }

    fn named_by(latest: Value, objects: &BTreeMap<String, Bytes>) -> Self {
        let manifest_key = text(&latest["manifest"]);
        let manifest_bytes = objects.get(manifest_key).expect("latest.json names a manifest");
        let sha256 = Sha256Hex::of(manifest_bytes).to_string();
        assert_eq!(latest["manifest_sha256"], sha256, "checksum of the manifest");
        let manifest = parsed(manifest_bytes);
        let folder = manifest_key.strip_suffix("manifest.json").expect("name of the manifest");
        let mut datasets = BTreeMap::new();
        for (name, dataset) in manifest["datasets"].as_object().expect("datasets") {
            let rows = rows_of(dataset, folder, objects);
            assert_eq!(dataset["records"], rows.len(), "records of {name}");
            datasets.insert(name.clone(), rows);
        }
        Self { latest, manifest, datasets }
    }

    /// The ids of a dataset's records, in order.
    pub(crate) fn ids(&self, dataset: &str) -> Vec<String> {
        self.datasets[dataset].iter().map(|row| text(&row["id"]).to_owned()).collect()
    }

    /// The content digest of each dataset.
    pub(crate) fn digests(&self) -> BTreeMap<String, Value> {
        let datasets = self.manifest["datasets"].as_object().expect("datasets");
        datasets.iter().map(|(name, it)| (name.clone(), it["content_digest"].clone())).collect()
    }
}

fn rows_of(dataset: &Value, folder: &str, objects: &BTreeMap<String, Bytes>) -> Vec<Value> {
    let parts = dataset["parts"].as_array().expect("parts");
    let keys: Vec<&str> = parts.iter().map(|part| text(&part["key"])).collect();
    assert!(keys.is_sorted(), "parts are listed in the order of their names: {keys:?}");
    let mut rows = Vec::new();
    let mut digest = ContentDigest::default();
    for part in parts {
        let key = text(&part["key"]);
        let bytes = objects.get(&format!("{folder}{key}")).expect("every part is there");
        assert_eq!(part["bytes"], bytes.len(), "{key}");
        assert_eq!(part["sha256"], Sha256Hex::of(bytes).to_string(), "{key}");
        let lines = unpacked(key, bytes);
        assert!(lines.ends_with('\n'), "{key} ends with a line end");
        let before = rows.len();
        for line in lines.split_inclusive('\n') {
            digest.add_line(line.as_bytes());
            rows.push(serde_json::from_str(line).expect("a line is JSON"));
        }
        assert_eq!(part["records"], rows.len() - before, "{key}");
    }
    if dataset["status"] == "failed" {
        assert!(rows.is_empty() && dataset["content_digest"].is_null(), "failed is not empty");
    } else if dataset["status"] != "skipped" {
        assert_eq!(dataset["content_digest"], digest.to_string());
    }
    rows
}

pub(crate) fn unpacked(key: &str, bytes: &Bytes) -> String {
    let mut lines = String::new();
    if key.ends_with(".gz") {
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut lines).expect("gzip");
    } else if key.ends_with(".zst") {
        zstd::Decoder::new(&bytes[..]).expect("zstd").read_to_string(&mut lines).expect("zstd");
    } else {
        lines = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    }
    lines
}

fn parsed(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
