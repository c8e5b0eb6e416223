//! A permission that roles can include.

use serde::Deserialize;

use super::text::{Text, identifier};
use super::time::Time;

/// A row of GET /organization_permissions (Clerk OpenAPI 2026-05-12, schema Permission).
#[derive(Debug, Deserialize)]
pub struct OrganizationPermission<'a> {
    /// `perm_…`.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
    /// The display name.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    /// `org:feature:action`; Clerk's own start with `org:sys_`.
    #[serde(borrow)]
    pub key: Text<'a>,
    /// What it allows.
    #[serde(borrow)]
    pub description: Option<Text<'a>>,
    /// `system` or `user`, an open set.
    #[serde(borrow, rename = "type")]
    pub permission_type: Option<Text<'a>>,
    /// When it was created.
    pub created_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Option<Time>,
}
