//! Names the files below `SNAPSHOT_URL`: those of a snapshot, of the feed of changes, and of removals.

/// Key of the file that names the newest published snapshot.
pub const LATEST_KEY: &str = "latest.json";

/// The folder that holds a folder for each snapshot, with a trailing slash.
pub const SNAPSHOTS_FOLDER: &str = "snapshots/";

/// Key of the file that names the newest feed of changes.
pub const CHANGES_LATEST_KEY: &str = "changes/latest.json";

/// The folder that holds a folder for each feed of changes, with a trailing slash.
pub const CHANGES_FOLDER: &str = "changes/";

/// The folder of the feed that leads to a snapshot, with a trailing slash.
#[must_use]
pub fn feed_folder(to_id: &str) -> String {
    format!("{CHANGES_FOLDER}{to_id}/")
}

/// Key of the summary of the feed that leads to a snapshot.
#[must_use]
pub fn feed_summary_key(to_id: &str) -> String {
    format!("{CHANGES_FOLDER}{to_id}/{FEED_SUMMARY}")
}

/// Name of a feed's summary in its folder.
pub const FEED_SUMMARY: &str = "summary.json";

/// The snapshot to which the feed leads whose summary has this key; `None` for any other file.
#[must_use]
pub fn feed_of_summary(key: &str) -> Option<&str> {
    id_in_folder(key.strip_prefix(CHANGES_FOLDER)?, FEED_SUMMARY)
}

/// The folder of a snapshot, with a trailing slash.
#[must_use]
pub fn snapshot_folder(snapshot_id: &str) -> String {
    format!("{SNAPSHOTS_FOLDER}{snapshot_id}/")
}

/// Name of a snapshot's manifest in its folder.
pub const MANIFEST: &str = "manifest.json";

/// Name of the file beside the manifest with its signature, if there is one: an ECDSA P-256 signature in DER over the
/// SHA-256 of the manifest's bytes.
pub const MANIFEST_SIGNATURE: &str = "manifest.json.sig";

/// Key of a snapshot's manifest.
#[must_use]
pub fn manifest_key(snapshot_id: &str) -> String {
    format!("{SNAPSHOTS_FOLDER}{snapshot_id}/{MANIFEST}")
}

/// Key of the signature of a snapshot's manifest.
#[must_use]
pub fn manifest_signature_key(snapshot_id: &str) -> String {
    format!("{SNAPSHOTS_FOLDER}{snapshot_id}/{MANIFEST_SIGNATURE}")
}

/// The snapshot whose manifest has this key; `None` for any other file.
#[must_use]
pub fn snapshot_of_manifest(key: &str) -> Option<&str> {
    id_in_folder(key.strip_prefix(SNAPSHOTS_FOLDER)?, MANIFEST)
}

/// The folder with a file for each snapshot that is being removed, with a trailing slash. It is beside the snapshots, so
/// that a snapshot's manifest stays the last of its own files.
pub const REMOVALS_FOLDER: &str = "removing/";

/// Key of the file that says that a snapshot is being removed. It is written before the first of the snapshot's files
/// is removed, and removed after the last one, which is the manifest.
#[must_use]
pub fn removal_key(snapshot_id: &str) -> String {
    format!("{REMOVALS_FOLDER}{snapshot_id}.json")
}

/// The snapshot of which the file with this key says that it is being removed; `None` for any other file.
#[must_use]
pub fn snapshot_of_removal(key: &str) -> Option<&str> {
    let id = key.strip_prefix(REMOVALS_FOLDER)?.strip_suffix(".json")?;
    is_snapshot_id(id).then_some(id)
}

/// The snapshot's id in `<id>/<file>`.
fn id_in_folder<'a>(key: &'a str, file: &str) -> Option<&'a str> {
    let (id, name) = key.split_once('/')?;
    (name == file && is_snapshot_id(id)).then_some(id)
}

/// Whether an id has the form `20261120T120000Z-3f9a1c` (docs/data.md). It becomes the name of a folder, so nothing
/// else may pass.
#[must_use]
pub fn is_snapshot_id(id: &str) -> bool {
    const PATTERN: &str = "00000000T000000Z-xxxxxx";
    let fits = |(byte, pattern): (u8, u8)| match pattern {
        b'0' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        exactly => byte == exactly,
    };
    id.len() == PATTERN.len() && id.bytes().zip(PATTERN.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: nothing that a manifest says leads a reader out of the snapshots' folder.
    #[test]
    fn only_ids_of_the_documented_form_name_folders() {
        assert!(is_snapshot_id("20261120T120000Z-3f9a1c"));
        for wrong in [
            "",
            "..",
            "20261120T120000Z-3f9a1",
            "20261120T120000Z-3F9A1C",
            "2026112/T120000Z-3f9a1c",
            "20261120T120000Z",
            "20261120T120000Z-3f9a1c/users",
            "20261120T120000Z-3f9a/c",
            "20261120T120000Z-../../",
            "20261120t120000Z-3f9a1c",
            "20261120T120000Z-3f9a1\u{e9}",
        ] {
            assert!(!is_snapshot_id(wrong), "{wrong}");
        }
        assert_eq!(
            manifest_key("20261120T120000Z-3f9a1c"),
            "snapshots/20261120T120000Z-3f9a1c/manifest.json"
        );
        assert!(manifest_key("x").starts_with(&snapshot_folder("x")));
    }

    // Promise: a key names the snapshot that it was made for, and a file of others names none.
    #[test]
    fn a_key_gives_its_snapshot_back() {
        let id = "20261120T120000Z-3f9a1c";
        for (of_key, key) in [
            (feed_of_summary as fn(&str) -> Option<&str>, feed_summary_key(id)),
            (snapshot_of_manifest, manifest_key(id)),
            (snapshot_of_removal, removal_key(id)),
        ] {
            assert_eq!(of_key(&key), Some(id));
            for other in [
                format!("{key}x"),
                format!("x{key}"),
                key.replace("json", "json/manifest.json"),
                key.replace(id, "20261120"),
                key.replace(id, ".."),
                manifest_signature_key(id),
                CHANGES_LATEST_KEY.to_owned(),
            ] {
                assert_eq!(of_key(&other), None, "{other}");
            }
        }
    }
}
