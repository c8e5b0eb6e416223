//! The chain of published snapshots: each manifest names the snapshot that `latest.json` named when it
//! was moved to it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::world::World;

/// Holds every move of `latest.json` by the program against the manifest that it was moved to, if that
/// is still there. Gives the number of moves that were checked.
pub(crate) fn assert_chain(world: &World, what: &str) -> usize {
    let objects = world.memory.objects();
    let mut checked = 0;
    let mut before: Option<Bytes> = None;
    for pointer in world.memory.pointers() {
        if let Some(latest) = pointer.bytes.as_ref().filter(|_| pointer.is_own) {
            let latest: Value = serde_json::from_slice(latest).expect("JSON");
            let manifest = objects.get(latest["manifest"].as_str().expect("a key"));
            let previous = named(before.as_ref());
            if let (Some(manifest), Some(previous)) = (manifest, previous) {
                let manifest: Value = serde_json::from_slice(manifest).expect("JSON");
                assert_eq!(manifest["previous"], previous, "{what}: {}", latest["snapshot_id"]);
                checked += 1;
            }
        }
        before = pointer.bytes;
    }
    checked
}

/// What a manifest says of the snapshot that such a `latest.json` names; `None` if nobody can tell.
fn named(latest: Option<&Bytes>) -> Option<Value> {
    let Some(latest) = latest else { return Some(Value::Null) };
    let latest: Value = serde_json::from_slice(latest).ok()?;
    let (id, sha256) = (&latest["snapshot_id"], &latest["manifest_sha256"]);
    Some(json!({"snapshot_id": id, "manifest_sha256": sha256}))
}
