//! Which users and organizations the snapshot holds, at eight bytes each.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Ids in the snapshot, for the grants that refer to them. A type that is not opted in holds
/// everything: nothing can be said about it.
#[derive(Debug, Default)]
pub struct Known {
    users: Ids,
    organizations: Ids,
}

/// A set of ids, as 64-bit hashes: among a million ids the chance that an unknown one passes for
/// known is below 10⁻¹³.
#[derive(Debug, Default)]
enum Ids {
    #[default]
    Everything,
    /// Sorted, without the latest additions.
    Listed { sorted: Vec<u64>, added: HashSet<u64> },
}

impl Known {
    /// From now on only these users, by [`hash_of`] their ids, are known.
    pub fn expect_users(&mut self, ids: impl IntoIterator<Item = u64>) {
        self.users = Ids::listed(ids);
    }

    /// From now on only these organizations, by [`hash_of`] their ids, are known.
    pub fn expect_organizations(&mut self, ids: impl IntoIterator<Item = u64>) {
        self.organizations = Ids::listed(ids);
    }

    /// Whether the user is in the snapshot, or users are not opted in.
    #[must_use]
    pub fn has_user(&self, id: &str) -> bool {
        self.users.has(id)
    }

    /// Whether the organization is in the snapshot, or organizations are not opted in.
    #[must_use]
    pub fn has_organization(&self, id: &str) -> bool {
        self.organizations.has(id)
    }

    /// Users joined the snapshot late.
    pub fn add_users(&mut self, ids: &[u64]) {
        self.users.add(ids);
    }

    /// Organizations joined the snapshot late.
    pub fn add_organizations(&mut self, ids: &[u64]) {
        self.organizations.add(ids);
    }
}

impl Ids {
    fn listed(ids: impl IntoIterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = ids.into_iter().collect();
        sorted.sort_unstable();
        Self::Listed { sorted, added: HashSet::new() }
    }

    fn has(&self, id: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Listed { sorted, added } => {
                let hash = hash_of(id);
                sorted.binary_search(&hash).is_ok() || added.contains(&hash)
            }
        }
    }

    fn add(&mut self, ids: &[u64]) {
        if let Self::Listed { added, .. } = self {
            added.extend(ids);
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
        known.expect_users([hash_of("user_1")]);
        assert!(known.has_user("user_1"));
        assert!(!known.has_user("user_2"));
        known.add_users(&[hash_of("user_2")]);
        assert!(known.has_user("user_2"));
        assert!(known.has_organization("org_1"));
    }
}
