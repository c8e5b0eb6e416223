//! What there are few of: organizations, roles and permissions.

use serde::Deserialize;

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Organization {
    /// The id.
    pub id: String,
    /// The name.
    #[serde(rename = "display_name")]
    pub name: String,
    /// Further data.
    pub profile: OrganizationProfile,
}

/// The part of an organization's profile that answers show.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrganizationProfile {
    /// The slug.
    pub slug: Option<String>,
}

/// A role or a permission.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Keyed {
    /// The id.
    pub id: String,
    /// The name.
    #[serde(rename = "display_name")]
    pub name: String,
    /// Further data.
    pub profile: KeyedProfile,
}

/// The part of the profile of a role or a permission that answers use.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct KeyedProfile {
    /// The key.
    pub key: String,
    /// The permissions of a role.
    pub permissions: Option<Vec<PermissionOfRole>>,
}

/// A permission that a role has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PermissionOfRole {
    /// The id.
    pub id: String,
    /// The key.
    pub key: String,
}
