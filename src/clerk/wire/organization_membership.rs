//! That a user is a member of an organization.

use serde::Deserialize;

use super::text::{Text, identifier, key};

/// A row of Clerk: GET /organization_memberships (Clerk OpenAPI 2026-05-12, schema
/// OrganizationMembership). Times are milliseconds since 1970.
#[derive(Debug, Deserialize)]
pub struct OrganizationMembership<'a> {
    /// `orgmem_…`.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
    /// The key, not the id, of the role.
    #[serde(borrow, deserialize_with = "key")]
    pub role: Text<'a>,
    /// The keys of the permissions that come with it.
    #[serde(borrow)]
    pub permissions: Option<Vec<Text<'a>>>,
    /// In what.
    #[serde(borrow)]
    pub organization: MembershipOrganization<'a>,
    /// Who. Not in Clerk's required list, but a membership of nobody cannot be written down: its
    /// absence is an error to report, never a row to drop.
    #[serde(borrow)]
    pub public_user_data: PublicUserData<'a>,
    /// When it was created.
    pub created_at: Option<i64>,
    /// When it last changed.
    pub updated_at: Option<i64>,
}

/// The organization inside a membership: its id; the rest is in `/organizations`.
#[derive(Debug, Deserialize)]
pub struct MembershipOrganization<'a> {
    /// `org_…`.
    #[serde(borrow, deserialize_with = "identifier")]
    pub id: Text<'a>,
}

/// The member (Clerk OpenAPI 2026-05-12, schema OrganizationMembershipPublicUserData): its id; the
/// rest is in `/users`.
#[derive(Debug, Deserialize)]
pub struct PublicUserData<'a> {
    /// `user_…`.
    #[serde(borrow, deserialize_with = "identifier")]
    pub user_id: Text<'a>,
}
