//! Remembers which ids the snapshot holds, at eight bytes each, to find references to missing rows.

use std::collections::{BTreeMap, HashSet};

use clerk_snapshot::resource::Resource;

/// Ids in the snapshot, by list. A list without an entry counts as holding every id: it is not opted in, so a reference
/// to it cannot be checked.
#[derive(Debug, Default)]
pub struct IdIndex(BTreeMap<Resource, Listed>);

/// What is known about a list.
#[derive(Debug)]
enum Listed {
    /// The list is still being read.
    Pending,
    /// The list has been read; these are all its rows.
    Rows(Ids),
}

/// A set of ids, stored as 64-bit hashes. With a million ids, the chance that a missing one is taken for present is
/// below 10⁻¹³.
#[derive(Debug)]
struct Ids {
    sorted: Vec<u64>,
    /// Start of each bucket in `sorted`, and the end of the last one. A bucket holds the hashes of an equal part of
    /// the value range, about [`IDS_PER_BUCKET`] since hashes are evenly spread.
    bucket_starts: Vec<usize>,
    /// Ids added after the list was sealed.
    added: HashSet<u64>,
}

/// One cache line of hashes per bucket. The bucket starts cost half a byte per id.
const IDS_PER_BUCKET: usize = 16;

impl Ids {
    fn new(mut ids: Vec<u64>) -> Self {
        ids.sort_unstable();
        let buckets = ids.len() / IDS_PER_BUCKET + 1;
        let mut bucket_starts = vec![0; buckets + 1];
        for &hash in &ids {
            bucket_starts[bucket_of(hash, buckets) + 1] += 1;
        }
        for index in 1..bucket_starts.len() {
            bucket_starts[index] += bucket_starts[index - 1];
        }
        Self { sorted: ids, bucket_starts, added: HashSet::new() }
    }

    fn has(&self, hash: u64) -> bool {
        let bucket = bucket_of(hash, self.bucket_starts.len() - 1);
        self.sorted[self.bucket_starts[bucket]..self.bucket_starts[bucket + 1]].contains(&hash)
            || self.added.contains(&hash)
    }
}

/// Bucket of a hash when all 64-bit numbers are divided into this many equal buckets.
const fn bucket_of(hash: u64, buckets: usize) -> usize {
    ((hash as u128 * buckets as u128) >> 64) as usize
}

impl IdIndex {
    /// Sets the complete ids of a list, each as its [`hash_of`].
    pub fn seal(&mut self, resource: Resource, ids: Vec<u64>) {
        self.0.insert(resource, Listed::Rows(Ids::new(ids)));
    }

    /// Marks a list as still being read: until it is [sealed](Self::seal), any id may be in it.
    pub fn mark_pending(&mut self, resource: Resource) {
        self.0.insert(resource, Listed::Pending);
    }

    /// Whether a list is still being read, so that its ids are not known yet.
    #[must_use]
    pub fn is_pending(&self, resource: Resource) -> bool {
        matches!(self.0.get(&resource), Some(Listed::Pending))
    }

    /// Whether the ids of a list are known.
    #[must_use]
    pub fn is_sealed(&self, resource: Resource) -> bool {
        matches!(self.0.get(&resource), Some(Listed::Rows(_)))
    }

    /// Removes a list that turned out not to be listed: its references can no longer be checked.
    pub fn forget(&mut self, resource: Resource) {
        self.0.remove(&resource);
    }

    /// Whether the snapshot holds a row, or may hold it because its list is not opted in or still being read.
    #[must_use]
    pub fn has(&self, resource: Resource, id: &str) -> bool {
        self.has_hash(resource, hash_of(id))
    }

    /// Like [`has`](Self::has), for the [`hash_of`] an id.
    pub(crate) fn has_hash(&self, resource: Resource, hash: u64) -> bool {
        match self.0.get(&resource) {
            Some(Listed::Rows(ids)) => ids.has(hash),
            Some(Listed::Pending) | None => true,
        }
    }

    /// Adds rows that were stored after the list was sealed; does nothing before. Returns whether it is sealed.
    pub fn add(&mut self, resource: Resource, ids: &[u64]) -> bool {
        let Some(Listed::Rows(id_index)) = self.0.get_mut(&resource) else { return false };
        for &hash in ids {
            if !id_index.has(hash) {
                id_index.added.insert(hash);
            }
        }
        true
    }
}

/// Hash of an id: 64-bit FNV-1a, followed by the finalizer of MurmurHash3.
///
/// Hashes are stored in the [`ids_file`](crate::sync::checkpoint::ids_file), so every version must compute the same
/// ones. They need no secret, because only Clerk creates ids.
#[must_use]
pub(crate) const fn hash_of(id: &str) -> u64 {
    mixed(fnv1a(id.as_bytes()))
}

/// <http://www.isthe.com/chongo/tech/comp/fnv/>
const fn fnv1a(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = BASIS;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(PRIME);
        index += 1;
    }
    hash
}

/// The finalizer `fmix64` of MurmurHash3. The high bits choose the bucket, and FNV leaves them equal for short ids.
const fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_found_and_no_other() {
        for count in [0, 1, 15, 16, 17, 5_000] {
            let hashes: Vec<u64> = (0..count).map(|id| hash_of(&format!("user_{id}"))).collect();
            let mut odd = hashes.clone();
            odd.extend([0, 1, u64::MAX, u64::MAX]);
            for ids in [hashes, odd] {
                let found = Ids::new(ids.clone());
                assert!(ids.iter().all(|&hash| found.has(hash)));
                let bytes = size_of_val(found.bucket_starts.as_slice());
                assert!(bytes <= ids.len() / 2 + 16, "{bytes} bytes for {} ids", ids.len());
                assert!(!found.has(hash_of("organization_1")));
                assert_eq!(found.has(u64::MAX - 1), ids.contains(&(u64::MAX - 1)));
            }
        }
    }

    /// With another hash, ids stored by an earlier version would not be found.
    #[test]
    fn the_hash_matches_its_description() {
        // From the reference implementations.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(mixed(0), 0);
        assert_eq!(mixed(1), 0xb456_bcfc_34c2_cb2c);
    }

    #[test]
    fn a_list_that_is_not_opted_in_misses_no_id() {
        let mut id_index = IdIndex::default();
        id_index.seal(Resource::Users, vec![hash_of("user_1")]);
        assert!(id_index.has(Resource::Users, "user_1"));
        assert!(!id_index.has(Resource::Users, "user_2"));
        assert!(id_index.add(Resource::Users, &[hash_of("user_2")]));
        assert!(!id_index.add(Resource::Organizations, &[hash_of("org_1")]));
        assert!(id_index.has(Resource::Users, "user_2"));
        assert!(id_index.has(Resource::Organizations, "org_1"));
        id_index.forget(Resource::Users);
        assert!(id_index.has(Resource::Users, "user_3"));
    }

    #[test]
    fn a_list_that_is_being_read_may_hold_any_id() {
        let mut id_index = IdIndex::default();
        id_index.mark_pending(Resource::Users);
        assert!(id_index.has(Resource::Users, "user_2") && id_index.is_pending(Resource::Users));
        assert!(
            !id_index.add(Resource::Users, &[hash_of("user_1")]),
            "the list's ids are not known yet"
        );
        id_index.seal(Resource::Users, vec![hash_of("user_1")]);
        assert!(id_index.is_sealed(Resource::Users) && !id_index.has(Resource::Users, "user_2"));
    }
}
