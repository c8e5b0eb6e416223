//! A role of organization members.

use serde::Deserialize;

use super::decode::Object;
use super::text::{Text, identifier};
use super::time::Time;

/// A row of GET /organization_roles (Clerk OpenAPI 2026-05-12, schema Role).
#[derive(Debug, Deserialize)]
pub struct OrganizationRole<'a> {
    /// `role_…`; stable, while the key may be edited.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
    /// The display name.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    /// `org:admin`, or `admin` in old instances. Memberships refer to the role by this key.
    #[serde(borrow)]
    pub key: Text<'a>,
    /// What it is for.
    #[serde(borrow)]
    pub description: Option<Text<'a>>,
    /// Whether the creator of an organization may get this role.
    pub is_creator_eligible: Option<bool>,
    /// The permissions it includes.
    #[serde(borrow)]
    pub permissions: Option<Vec<Object<RolePermission<'a>>>>,
    /// When it was created.
    pub created_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Option<Time>,
}

/// A permission in a role's list (Clerk OpenAPI 2026-05-12, schema Permission).
#[derive(Debug, Deserialize)]
pub struct RolePermission<'a> {
    /// `perm_…`.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
    /// `org:feature:action`; Clerk's own start with `org:sys_`.
    #[serde(borrow)]
    pub key: Text<'a>,
}
