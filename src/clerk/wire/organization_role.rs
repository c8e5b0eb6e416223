//! A role that members of organizations can have.

use serde::Deserialize;

use super::decode::Object;
use super::text::{Text, identifier};
use super::time::Time;

/// A row of Clerk: GET /organization_roles (Clerk OpenAPI 2026-05-12, schema Role).
#[derive(Debug, Deserialize)]
pub struct OrganizationRole<'a> {
    /// `role_…`; stable, where the key may be edited.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
    /// The name shown to people.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    /// `org:admin`, or in old instances `admin`: what memberships refer to.
    #[serde(borrow)]
    pub key: Text<'a>,
    /// What it is for.
    #[serde(borrow)]
    pub description: Option<Text<'a>>,
    /// Whether whoever creates an organization may get it.
    pub is_creator_eligible: Option<bool>,
    /// What it permits.
    #[serde(borrow)]
    pub permissions: Option<Vec<Object<RolePermission<'a>>>>,
    /// When it was created.
    pub created_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Option<Time>,
}

/// A permission as a role lists it (Clerk OpenAPI 2026-05-12, schema Permission).
#[derive(Debug, Deserialize)]
pub struct RolePermission<'a> {
    /// `perm_…`.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
    /// `org:feature:action`; those of Clerk itself start with `org:sys_`.
    #[serde(borrow)]
    pub key: Text<'a>,
}
