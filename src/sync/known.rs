//! Which rows that others refer to the snapshot holds, at eight bytes each.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::resource::Resource;

/// Ids in the snapshot, for the grants that refer to them. A list of which nothing is expected
/// holds everything: it is not opted in, and nothing can be said about it.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<Resource, Ids>);

/// A set of ids, as 64-bit hashes: among a million ids the chance that an unknown one passes for
/// known is below 10⁻¹³.
#[derive(Debug)]
struct Ids {
    sorted: Vec<u64>,
    /// The latest additions.
    added: HashSet<u64>,
}

impl Known {
    /// From now on only these rows of a list, by [`hash_of`] their ids, are known.
    pub fn expect(&mut self, resource: Resource, mut ids: Vec<u64>) {
        ids.sort_unstable();
        self.0.insert(resource, Ids { sorted: ids, added: HashSet::new() });
    }

    /// Whether a row is in the snapshot, or its list is not opted in.
    #[must_use]
    pub fn has(&self, resource: Resource, id: &str) -> bool {
        let Some(ids) = self.0.get(&resource) else { return true };
        let hash = hash_of(id);
        ids.sorted.binary_search(&hash).is_ok() || ids.added.contains(&hash)
    }

    /// Rows joined the snapshot late.
    pub fn add(&mut self, resource: Resource, ids: &[u64]) {
        if let Some(known) = self.0.get_mut(&resource) {
            known.added.extend(ids);
        }
    }
}

/// The hash under which an id is known.
#[must_use]
pub(super) fn hash_of(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_opted_in_cannot_be_missing() {
        let mut known = Known::default();
        known.expect(Resource::Users, vec![hash_of("user_1")]);
        assert!(known.has(Resource::Users, "user_1"));
        assert!(!known.has(Resource::Users, "user_2"));
        known.add(Resource::Users, &[hash_of("user_2")]);
        assert!(known.has(Resource::Users, "user_2"));
        assert!(known.has(Resource::Organizations, "org_1"));
    }
}
