//! Whether a grant carries a privileged permission.

use crate::catalogue::Roles;
use crate::lines::grant::{Grant, PermissionKey, permission_keys};
use crate::rules::Settings;

/// The privileged permissions.
#[derive(Debug, Clone)]
pub struct Privileges(Vec<PermissionKey>);

impl Privileges {
    /// Those of the rules.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self(settings.privileged().map(PermissionKey::new).collect())
    }

    /// Whether a grant carries one. A membership that does not say what it carries has what its role has.
    #[must_use]
    pub fn are_in(&self, grant: &Grant<'_>, roles: &Roles) -> bool {
        match (grant.permissions, &grant.role) {
            (Some(array), Some(_)) => self.0.iter().any(|key| key.is_in(array)),
            (None, Some((id, _))) => {
                let permissions = roles.permissions(id);
                self.0.iter().any(|key| permissions.iter().any(|it| it == key.key()))
            }
            (_, None) => false,
        }
    }
}

/// The keys of the permissions that a grant carries.
#[must_use]
pub fn keys(grant: &Grant<'_>, roles: &Roles) -> Vec<String> {
    match (grant.permissions, &grant.role) {
        (Some(array), Some(_)) => permission_keys(array).unwrap_or_default(),
        (None, Some((id, _))) => roles.permissions(id),
        (_, None) => Vec::new(),
    }
}
