//! Which rows that others refer to the snapshot holds, at eight bytes each.

use std::collections::{BTreeMap, HashSet};

use clerk_snapshot::resource::Resource;

/// Ids in the snapshot, for the grants that refer to them. A list of which nothing is expected
/// holds everything: it is not opted in, and nothing can be said about it.
#[derive(Debug, Default)]
pub struct IdIndex(BTreeMap<Resource, Listed>);

/// What is known of a list.
#[derive(Debug)]
enum Listed {
    /// The list is still being read.
    Pending,
    /// All its rows.
    Rows(Ids),
}

/// A set of ids, as 64-bit hashes: among a million ids the chance that an unknown one passes for
/// known is below 10⁻¹³.
#[derive(Debug)]
struct Ids {
    sorted: Vec<u64>,
    /// Where in `sorted` each of equal shares of all hashes begins, and where the last one ends.
    /// Hashes are spread evenly, so each share holds about [`IDS_OF_A_SHARE`] of them.
    shares: Vec<usize>,
    /// The latest additions.
    added: HashSet<u64>,
}

/// One cache line of hashes; the index of shares costs half a byte an id.
const IDS_OF_A_SHARE: usize = 16;

impl Ids {
    fn new(mut ids: Vec<u64>) -> Self {
        ids.sort_unstable();
        let shares = ids.len() / IDS_OF_A_SHARE + 1;
        let mut begins = vec![0; shares + 1];
        for &hash in &ids {
            begins[share(hash, shares) + 1] += 1;
        }
        for index in 1..begins.len() {
            begins[index] += begins[index - 1];
        }
        Self { sorted: ids, shares: begins, added: HashSet::new() }
    }

    fn has(&self, hash: u64) -> bool {
        let share = share(hash, self.shares.len() - 1);
        self.sorted[self.shares[share]..self.shares[share + 1]].contains(&hash)
            || self.added.contains(&hash)
    }
}

/// Which of so many equal shares of all 64-bit numbers a hash belongs to.
const fn share(hash: u64, shares: usize) -> usize {
    ((hash as u128 * shares as u128) >> 64) as usize
}

impl IdIndex {
    /// From now on only these rows of a list, by [`hash_of`] their ids, are known.
    pub fn seal(&mut self, resource: Resource, ids: Vec<u64>) {
        self.0.insert(resource, Listed::Rows(Ids::new(ids)));
    }

    /// Notes that a list is still being read: until its rows are [expected](Self::seal), it may hold any.
    pub fn await_rows(&mut self, resource: Resource) {
        self.0.insert(resource, Listed::Pending);
    }

    /// Whether a list is still being read, so that the rows that the snapshot will hold are not known yet.
    #[must_use]
    pub fn is_pending(&self, resource: Resource) -> bool {
        matches!(self.0.get(&resource), Some(Listed::Pending))
    }

    /// Whether the rows of a list that the snapshot holds are known.
    #[must_use]
    pub fn is_sealed(&self, resource: Resource) -> bool {
        matches!(self.0.get(&resource), Some(Listed::Rows(_)))
    }

    /// The list turned out not to be listed: from now on nothing can be said about it.
    pub fn forget(&mut self, resource: Resource) {
        self.0.remove(&resource);
    }

    /// Whether a row is in the snapshot, or may be: its list is not opted in, or is still being read.
    #[must_use]
    pub fn has(&self, resource: Resource, id: &str) -> bool {
        self.has_hash(resource, hash_of(id))
    }

    /// As [`has`](Self::has), by [`hash_of`] the id.
    pub(crate) fn has_hash(&self, resource: Resource, hash: u64) -> bool {
        match self.0.get(&resource) {
            Some(Listed::Rows(ids)) => ids.has(hash),
            Some(Listed::Pending) | None => true,
        }
    }

    /// Rows joined the snapshot late. Gives whether anything is known of their list yet.
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

/// The hash under which an id is known: FNV-1a of 64 bits, whose bits are then mixed as MurmurHash3 ends.
///
/// It is the same in every version, because it is stored ([`ids_file`](crate::sync::checkpoint::ids_file) names it). It is no
/// secret: nobody but Clerk makes ids.
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

/// `fmix64` of MurmurHash3. The high bits choose a hash's share, and FNV leaves those of short ids alike.
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
                assert!(!found.has(hash_of("organization_1")));
                assert_eq!(found.has(u64::MAX - 1), ids.contains(&(u64::MAX - 1)));
            }
        }
    }

    /// Another hash would not know the ids that an earlier version has stored.
    #[test]
    fn the_hash_is_that_of_its_description() {
        // From the reference implementations.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(mixed(0), 0);
        assert_eq!(mixed(1), 0xb456_bcfc_34c2_cb2c);
    }

    #[test]
    fn what_is_not_opted_in_cannot_be_missing() {
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
    fn what_is_being_read_may_hold_anything() {
        let mut id_index = IdIndex::default();
        id_index.await_rows(Resource::Users);
        assert!(id_index.has(Resource::Users, "user_2") && id_index.is_pending(Resource::Users));
        assert!(!id_index.add(Resource::Users, &[hash_of("user_1")]), "the others are not at hand");
        id_index.seal(Resource::Users, vec![hash_of("user_1")]);
        assert!(id_index.is_sealed(Resource::Users) && !id_index.has(Resource::Users, "user_2"));
    }
}
