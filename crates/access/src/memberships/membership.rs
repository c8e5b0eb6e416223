//! A membership as answers show it.

use std::rc::Rc;

use clerk_snapshot::timestamp::Timestamp;
use serde::Serialize;

use crate::catalogue::RoleOfHolder;
use crate::organizations::OrganizationOfHolder;

/// A membership.
#[derive(Debug)]
pub struct Membership<'a> {
    /// Whose it is.
    pub user: UserOfHolder<'a>,
    /// Where.
    pub organization: OrganizationOfHolder<'a>,
    /// Its id, if the grant names it.
    pub id: Option<&'a str>,
    /// The roles that were asked for; none if its role does not resolve.
    pub roles: Vec<Rc<RoleHeld>>,
    /// When it was created.
    pub since: Option<Timestamp>,
}

/// A role that a membership gives.
#[derive(Debug)]
pub struct RoleHeld {
    /// The role.
    pub role: RoleOfHolder,
    /// The keys of the permissions that it carries.
    pub permissions: Vec<String>,
}

/// A user as answers show one. Only the id is known if the snapshot has not got the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UserOfHolder<'a> {
    /// The id.
    pub id: &'a str,
    /// The name to display.
    pub display_name: Option<&'a str>,
    /// The primary address.
    pub primary_email: Option<&'a str>,
    /// `enabled` or `disabled`.
    pub status: Option<&'a str>,
}

/// The order of memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By organization, then person: name and then id of each.
    Person,
    /// By the organization's name, then the membership's id.
    Membership,
}
