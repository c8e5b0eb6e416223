//! The format of the files with the ids of stored rows, as hashes:
//!
//! - a line of JSON with the format, and for each part its key, its SHA-256 and its number of rows;
//! - then 8 bytes for each row, little-endian, part after part:
//!   [`hash_of`](crate::lists::id_index::hash_of) the row's id.
//!
//! Only the run itself uses these files. They are stored outside the folders of datasets, whose
//! files readers may read as a whole, and no manifest names them.

use bytes::Bytes;
use clerk_snapshot::digest::Sha256Hex;
use serde::{Deserialize, Serialize};

use crate::lists::endpoint::ListName;
use crate::sync::checkpoint::list_progress::StoredPart;

/// The layout and the hash function. If either changes, the format does; files of another format
/// are ignored.
const FORMAT: &str = "clerk-sync/ids/1";

/// The folder, relative to the snapshot's.
const FOLDER: &str = "ids/";
/// The end of a file name.
const EXTENSION: &str = ".ids";
/// Most bytes of a file name: more than twice as many as the longest has.
const LONGEST_NAME: usize = 128;

/// Bytes of a hashed id.
const HASH_BYTES: usize = size_of::<u64>();

/// The hashed ids of the rows of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdsOfPart {
    /// The part's key below the snapshot's folder.
    pub key: String,
    /// Checksum of the part.
    pub sha256: Sha256Hex,
    /// One hash for each of its lines.
    pub hashes: Box<[u64]>,
}

impl IdsOfPart {
    /// Whether these are all ids of this part as it is stored.
    pub(crate) fn is_of(&self, stored: &StoredPart) -> bool {
        let part = &stored.part;
        self.key == part.key
            && self.sha256 == part.sha256
            && u64::try_from(self.hashes.len()) == Ok(part.records)
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    parts: Vec<PartHeader>,
}

#[derive(Serialize, Deserialize)]
struct PartHeader {
    key: String,
    sha256: Sha256Hex,
    rows: usize,
}

/// A file's key, relative to the snapshot's folder. It is made of the content's checksum, so no
/// other content can replace a file that the checkpoint names.
#[must_use]
pub(crate) fn ids_key(list: ListName, sha256: &Sha256Hex) -> String {
    format!("{FOLDER}{list}-{sha256:.16}{EXTENSION}")
}

/// Whether a key, relative to a snapshot's folder, is that of such a file.
#[must_use]
pub(crate) fn is_ids_key(key: &str) -> bool {
    let name = key.strip_prefix(FOLDER).and_then(|name| name.strip_suffix(EXTENSION));
    name.is_some_and(|name| {
        name.len() <= LONGEST_NAME
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    })
}

/// The content of a file with the ids of these parts.
///
/// # Errors
/// None that parts can cause: every key is a string.
pub(crate) fn encode(parts: &[IdsOfPart]) -> serde_json::Result<Bytes> {
    let header = Header {
        format: FORMAT.to_owned(),
        parts: parts
            .iter()
            .map(|part| PartHeader {
                key: part.key.clone(),
                sha256: part.sha256,
                rows: part.hashes.len(),
            })
            .collect(),
    };
    let mut file = serde_json::to_vec(&header)?;
    file.push(b'\n');
    file.reserve_exact(parts.iter().map(|part| part.hashes.len() * HASH_BYTES).sum());
    for hash in parts.iter().flat_map(|part| &part.hashes) {
        file.extend_from_slice(&hash.to_le_bytes());
    }
    Ok(Bytes::from(file))
}

/// The ids in a file, by part; `None` if it is not a complete file of this format.
pub(crate) fn decode(file: &[u8]) -> Option<Vec<IdsOfPart>> {
    let end = memchr::memchr(b'\n', file)?;
    let header: Header = serde_json::from_slice(&file[..end]).ok()?;
    if header.format != FORMAT {
        return None;
    }
    let mut rest = &file[end + 1..];
    let mut parts = Vec::with_capacity(header.parts.len());
    for PartHeader { key, sha256, rows } in header.parts {
        let (own, others) = rest.split_at_checked(rows.checked_mul(HASH_BYTES)?)?;
        let (hashes, _) = own.as_chunks::<HASH_BYTES>();
        let hashes = hashes.iter().copied().map(u64::from_le_bytes).collect();
        parts.push(IdsOfPart { key, sha256, hashes });
        rest = others;
    }
    rest.is_empty().then_some(parts)
}

#[cfg(test)]
mod tests {
    use clerk_snapshot::digest::ContentDigest;
    use clerk_snapshot::part::Part;
    use clerk_snapshot::resource::Resource;
    use clerk_snapshot::timestamp::Timestamp;

    use super::*;

    fn part(number: u8, rows: u64) -> IdsOfPart {
        IdsOfPart {
            key: format!("users/part-00-0000-{number:08}-00000000.ndjson"),
            sha256: Sha256Hex::of(&[number]),
            hashes: (0..rows).map(|row| row.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect(),
        }
    }

    /// Ids of other bytes under the same key, or only some of a part's ids, are not used.
    #[test]
    fn ids_belong_to_a_part_with_this_key_content_and_number_of_rows() {
        let ids = part(1, 3);
        let time = Timestamp::from_unix_millis(0).unwrap();
        let stored = StoredPart {
            part: Part {
                key: ids.key.clone(),
                records: 3,
                bytes: 1,
                sha256: ids.sha256,
                fetched_from: time,
                fetched_to: time,
            },
            digest: ContentDigest::default(),
        };
        assert!(ids.is_of(&stored));
        let is_of_another = |change: fn(&mut Part)| {
            let mut other = stored.clone();
            change(&mut other.part);
            ids.is_of(&other)
        };
        assert!(!is_of_another(|part| part.key.push('x')));
        assert!(!is_of_another(|part| part.sha256 = Sha256Hex::of(&[9])));
        assert!(!is_of_another(|part| part.records = 2));
    }

    #[test]
    fn decodes_what_it_encodes() {
        for parts in [vec![], vec![part(0, 0)], vec![part(1, 3), part(2, 1), part(3, 500)]] {
            assert_eq!(decode(&encode(&parts).unwrap()), Some(parts));
        }
    }

    #[test]
    fn refuses_truncated_files_and_other_formats() {
        let whole = encode(&[part(1, 3), part(2, 2)]).unwrap();
        for end in 0..whole.len() {
            assert_eq!(decode(&whole[..end]), None, "cut after {end} bytes");
        }
        assert_eq!(decode(&[&whole[..], b"\0"].concat()), None, "an extra byte");
        let mut other = whole.to_vec();
        let version = whole.windows(5).position(|it| it == b"ids/1").unwrap() + 4;
        other[version] = b'2';
        assert_eq!(decode(&other), None, "another format");
        let huge = format!(
            r#"{{"format":"{FORMAT}","parts":[{{"key":"","sha256":"{}","rows":{}}}]}}"#,
            Sha256Hex::of(b""),
            usize::MAX / 2
        );
        assert_eq!(decode(format!("{huge}\n").as_bytes()), None, "more rows than there can be");
    }

    #[test]
    fn recognizes_its_file_names() {
        let key = ids_key(ListName::from(Resource::Users), &Sha256Hex::of(b""));
        assert_eq!(key, "ids/users-e3b0c44298fc1c14.ids");
        assert!(is_ids_key(&key));
        for other in ["ids/", "ids/.ids/x", "ids/a/b.ids", "users/a.ids", "ids/notes.txt"] {
            assert!(!is_ids_key(other), "{other}");
        }
    }
}
