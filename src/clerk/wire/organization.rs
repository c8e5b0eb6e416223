//! An organization.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::text::{Text, identifier, optional_identifier};
use super::time::Time;

/// A row of GET /organizations (Clerk OpenAPI 2026-05-12, schema Organization).
#[derive(Debug, Deserialize)]
pub struct Organization<'a> {
    /// `org_…`.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
    /// The display name.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    /// The name in URLs.
    #[serde(borrow)]
    pub slug: Option<Text<'a>>,
    /// Number of members; present only if the request had `include_members_count=true`.
    pub members_count: Option<i64>,
    /// Number of pending invitations.
    pub pending_invitations_count: Option<i64>,
    /// Largest number of members allowed.
    pub max_allowed_memberships: Option<i64>,
    /// Whether its administrators may delete it.
    pub admin_delete_enabled: Option<bool>,
    /// Readable by the application's front end.
    #[serde(borrow)]
    pub public_metadata: Option<&'a RawValue>,
    /// For the backend only.
    #[serde(borrow)]
    pub private_metadata: Option<&'a RawValue>,
    /// The id of the user who created it.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    pub created_by: Option<Text<'a>>,
    /// When it was created.
    pub created_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Option<Time>,
    /// When any member was last active in it.
    pub last_active_at: Option<Time>,
    /// The key of its role set.
    #[serde(borrow)]
    pub role_set_key: Option<Text<'a>>,
}
