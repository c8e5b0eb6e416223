//! Which memberships are asked for.

use std::collections::BTreeSet;

use crate::catalogue::{RoleFilter, Roles};
use crate::lines::grant::{Grant, PermissionKey};

/// Which memberships are asked for: those that every part of it holds.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// In the organization with this id.
    pub organization: Option<String>,
    /// With one of these roles.
    pub roles: Option<RoleFilter>,
    /// With this permission.
    pub permission: Option<PermissionKey>,
    /// Of the users with these ids.
    pub users: Option<BTreeSet<String>>,
}

impl Selection {
    /// Whether a grant is one of those that are asked for.
    #[must_use]
    pub fn holds(&self, grant: &Grant<'_>, roles: &Roles) -> bool {
        self.organization.as_ref().is_none_or(|organization| *organization == grant.organization)
            && self.users.as_ref().is_none_or(|users| users.contains(&*grant.user))
            && self.holds_role(grant)
            && self.holds_permission(grant, roles)
    }

    fn holds_role(&self, grant: &Grant<'_>) -> bool {
        let Some(filter) = &self.roles else { return true };
        grant.role.as_ref().is_some_and(|(id, key)| filter.holds(id, key))
    }

    /// A membership carries its permissions. Where it does not say which, it has those of its role.
    fn holds_permission(&self, grant: &Grant<'_>, roles: &Roles) -> bool {
        let Some(permission) = &self.permission else { return true };
        match (grant.permissions, &grant.role) {
            (Some(array), Some(_)) => permission.is_in(array),
            (None, Some((id, _))) => {
                roles.permissions(id).iter().any(|key| key == permission.key())
            }
            (_, None) => false,
        }
    }
}
