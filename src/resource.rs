//! The names of what is asked for and of what is written.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An opt-in resource: what a configuration or an event may ask for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Clerk: GET /users.
    Users,
    /// Clerk: GET /organizations.
    Organizations,
    /// Clerk: GET /organization_roles.
    OrganizationRoles,
    /// Clerk: GET /organization_permissions.
    OrganizationPermissions,
    /// Clerk: GET /organization_memberships, or the same per organization.
    OrganizationMemberships,
}

impl Resource {
    /// Every resource there is.
    pub const ALL: &'static [Self] = &[
        Self::Users,
        Self::Organizations,
        Self::OrganizationRoles,
        Self::OrganizationPermissions,
        Self::OrganizationMemberships,
    ];

    /// The name in `RESOURCES`, in events and in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Organizations => "organizations",
            Self::OrganizationRoles => "organization_roles",
            Self::OrganizationPermissions => "organization_permissions",
            Self::OrganizationMemberships => "organization_memberships",
        }
    }

    /// The resource of that exact name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.name() == name)
    }

    /// The datasets whose rows opting in to this resource writes.
    pub const fn datasets(self) -> &'static [Dataset] {
        match self {
            Self::Users => &[Dataset::Users],
            Self::Organizations => &[Dataset::Organizations, Dataset::Entitlements],
            Self::OrganizationRoles => &[Dataset::OrganizationRoles, Dataset::Grants],
            Self::OrganizationPermissions => {
                &[Dataset::OrganizationPermissions, Dataset::Entitlements]
            }
            Self::OrganizationMemberships => &[Dataset::Grants],
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A dataset: one folder of NDJSON parts in a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dataset {
    /// One line a user.
    Users,
    /// One line an organization.
    Organizations,
    /// One line a role.
    OrganizationRoles,
    /// One line a permission.
    OrganizationPermissions,
    /// What can be held: permissions first, then what each organization offers.
    Entitlements,
    /// Who holds what: permissions of roles first, then memberships.
    Grants,
}

impl Dataset {
    /// Every dataset there is, in the order of their discriminants.
    pub const ALL: &'static [Self] = &[
        Self::Users,
        Self::Organizations,
        Self::OrganizationRoles,
        Self::OrganizationPermissions,
        Self::Entitlements,
        Self::Grants,
    ];

    /// The name of the folder, and the key in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Organizations => "organizations",
            Self::OrganizationRoles => "organization_roles",
            Self::OrganizationPermissions => "organization_permissions",
            Self::Entitlements => "entitlements",
            Self::Grants => "grants",
        }
    }

    /// The dataset of that exact name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.name() == name)
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_resource_reads_and_writes_as_its_name() {
        for &resource in Resource::ALL {
            assert_eq!(Resource::from_name(resource.name()), Some(resource));
            let json = serde_json::to_string(&resource).unwrap();
            assert_eq!(json, format!("\"{resource}\""));
            assert_eq!(serde_json::from_str::<Resource>(&json).unwrap(), resource);
        }
        assert_eq!(Resource::from_name("Users"), None);
        assert_eq!(Resource::from_name("grants"), None);
    }

    #[test]
    fn a_dataset_reads_and_writes_as_its_name() {
        for (index, &dataset) in Dataset::ALL.iter().enumerate() {
            assert_eq!(dataset as usize, index);
            assert_eq!(Dataset::from_name(dataset.name()), Some(dataset));
            let json = serde_json::to_string(&dataset).unwrap();
            assert_eq!(json, format!("\"{dataset}\""));
            assert_eq!(serde_json::from_str::<Dataset>(&json).unwrap(), dataset);
        }
        assert_eq!(Dataset::from_name("organization_memberships"), None);
    }

    #[test]
    fn every_dataset_is_written_by_some_resource() {
        for dataset in Dataset::ALL {
            assert!(Resource::ALL.iter().any(|it| it.datasets().contains(dataset)), "{dataset}");
        }
    }
}
