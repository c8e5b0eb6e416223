//! Resolves the role keys of memberships to roles.

use std::collections::HashMap;

use clerk_snapshot::record::RoleReference;
use serde::{Deserialize, Serialize};

use super::non_blank;

/// The roles of an instance, in the order read. The catalogue is stored in the checkpoint as a list of roles, so that a
/// continued run resolves keys in the same way.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Role>", into = "Vec<Role>")]
pub struct RoleCatalogue {
    roles: Vec<Role>,
    by_key: HashMap<String, usize>,
}

/// The parts of a role that memberships and entitlements need.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Clerk's id.
    pub id: String,
    /// The key.
    pub key: String,
    /// The display name.
    pub name: Option<String>,
}

impl RoleCatalogue {
    /// Adds a role, replacing an earlier one with the same id. If two roles have the same key (one was deleted and
    /// created again during a run), the key resolves to the later one.
    pub fn push(&mut self, role: Role) {
        let Some(place) = self.roles.iter_mut().find(|it| it.id == role.id) else {
            self.by_key.insert(role.key.clone(), self.roles.len());
            self.roles.push(role);
            return;
        };
        *place = role;
        // Its key may have changed, and its old key may belong to another role as well.
        self.by_key = self.roles.iter().map(|it| it.key.clone()).zip(0..).collect();
    }

    /// The role with that key.
    pub fn by_key(&self, key: &str) -> Option<&Role> {
        self.by_key.get(key).map(|&index| &self.roles[index])
    }

    /// Every role, in the order read.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.roles.iter()
    }

    /// Number of roles.
    pub fn len(&self) -> usize {
        self.roles.len()
    }

    /// Whether there are no roles.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }
}

impl Role {
    /// The reference to it in records.
    pub(super) fn reference(&self) -> RoleReference<'_> {
        RoleReference { id: &self.id, key: &self.key }
    }

    /// Name, else key, else id.
    pub(super) fn display_name(&self) -> &str {
        non_blank(self.name.as_deref()).or(non_blank(Some(&self.key))).unwrap_or(&self.id)
    }
}

impl From<Vec<Role>> for RoleCatalogue {
    fn from(roles: Vec<Role>) -> Self {
        let mut catalogue = Self::default();
        for role in roles {
            catalogue.push(role);
        }
        catalogue
    }
}

impl From<RoleCatalogue> for Vec<Role> {
    fn from(catalogue: RoleCatalogue) -> Self {
        catalogue.roles
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn role(id: &str, key: &str, name: Option<&str>) -> Role {
        Role { id: id.to_owned(), key: key.to_owned(), name: name.map(str::to_owned) }
    }

    // Promise: a continued run resolves keys in the same way.
    #[test]
    fn a_catalogue_survives_the_checkpoint() {
        let catalogue = RoleCatalogue::from(vec![
            role("role_2", "org:member", Some("Member")),
            role("role_1", "org:admin", None),
        ]);
        let json = serde_json::to_string(&catalogue).unwrap();
        assert_eq!(
            json,
            r#"[{"id":"role_2","key":"org:member","name":"Member"},{"id":"role_1","key":"org:admin","name":null}]"#
        );
        let again: RoleCatalogue = serde_json::from_str(&json).unwrap();
        assert_eq!(again, catalogue);
        assert_eq!(again.by_key("org:admin").unwrap().id, "role_1");
        assert_eq!(again.by_key("org:Admin"), None);
    }

    // Pages overlap by one row: a role must not become two entitlements.
    #[test]
    fn a_role_read_twice_is_one_role() {
        let catalogue = RoleCatalogue::from(vec![
            role("role_1", "org:admin", None),
            role("role_2", "org:member", None),
            role("role_1", "org:owner", None),
        ]);
        assert_eq!(catalogue.len(), 2);
        assert_eq!(catalogue.by_key("org:admin"), None);
        assert_eq!(catalogue.by_key("org:owner").unwrap().id, "role_1");
    }

    #[test]
    fn a_key_of_two_roles_resolves_to_the_later_one() {
        let catalogue = RoleCatalogue::from(vec![
            role("role_1", "org:admin", None),
            role("role_2", "org:admin", None),
            role("role_1", "org:admin", Some("Admin")),
        ]);
        assert_eq!(catalogue.by_key("org:admin").unwrap().id, "role_2");
    }

    #[test]
    fn a_role_without_a_name_is_displayed_by_its_key() {
        assert_eq!(role("role_1", "org:admin", Some("Admin")).display_name(), "Admin");
        assert_eq!(role("role_1", "org:admin", Some(" ")).display_name(), "org:admin");
        assert_eq!(role("role_1", "", None).display_name(), "role_1");
    }
}
