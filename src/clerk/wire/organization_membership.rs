//! A user's membership of an organization.

use serde::Deserialize;

use super::decode::Object;
use super::text::{Text, identifier, key, optional_identifier};
use super::time::Time;

/// A row of GET /organization_memberships (Clerk OpenAPI 2026-05-12, schema OrganizationMembership).
#[derive(Debug, Deserialize)]
pub struct OrganizationMembership<'a> {
    /// `orgmem_…`.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
    /// The key, not the id, of the role.
    #[serde(borrow, deserialize_with = "key")]
    pub role: Text<'a>,
    /// The keys of the permissions that the role grants.
    #[serde(borrow)]
    pub permissions: Option<Vec<Option<Text<'a>>>>,
    /// The organization.
    #[serde(borrow)]
    pub organization: Object<MembershipOrganization<'a>>,
    /// The member. Without it the membership belongs to nobody any more.
    #[serde(borrow)]
    pub public_user_data: Option<Object<PublicUserData<'a>>>,
    /// When it was created.
    pub created_at: Option<Time>,
    /// When it last changed.
    pub updated_at: Option<Time>,
}

/// The organization in a membership. Only its id is read; the rest is in `/organizations`.
#[derive(Debug, Deserialize)]
pub struct MembershipOrganization<'a> {
    /// `org_…`.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
}

/// The member (Clerk OpenAPI 2026-05-12, schema OrganizationMembershipPublicUserData). Only the id is read; the rest is
/// in `/users`.
#[derive(Debug, Deserialize)]
pub struct PublicUserData<'a> {
    /// `user_…`.
    #[serde(borrow, default, deserialize_with = "optional_identifier")]
    pub user_id: Option<Text<'a>>,
}
