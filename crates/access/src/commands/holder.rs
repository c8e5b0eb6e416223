//! The rows of `can` and `holders`.

use clerk_snapshot::timestamp::Timestamp;
use serde::Serialize;

use crate::catalogue::RoleOfHolder;
use crate::error::Error;
use crate::memberships::membership::{Membership, UserOfHolder};
use crate::organizations::OrganizationOfHolder;
use crate::output::{Cell, Column, List, Output, Row};

/// What is listed.
pub const LIST: List = List {
    name: "holders",
    columns: &[
        Column::hidden("user_id"),
        Column::shown("display_name", "Person"),
        Column::shown("primary_email", "E-mail"),
        Column::shown("status", "Status"),
        Column::hidden("organization_id"),
        Column::shown("organization_name", "Organization"),
        Column::hidden("organization_slug"),
        Column::hidden("role_id"),
        Column::shown("role_key", "Role"),
        Column::hidden("role_name"),
        Column::hidden("membership_id"),
        Column::shown("since", "Since"),
    ],
};

/// Somebody who holds a role, or is a member without one.
#[derive(Debug, Serialize)]
struct Holder<'a> {
    user: UserOfHolder<'a>,
    organization: OrganizationOfHolder<'a>,
    role: Option<&'a RoleOfHolder>,
    membership_id: Option<&'a str>,
    since: Option<Timestamp>,
}

/// Writes a row for each role of a membership, or one if it has none.
///
/// # Errors
/// [`Error::Output`].
pub fn write(membership: &Membership<'_>, output: &mut Output<'_>) -> Result<(), Error> {
    let holder = |role| Holder {
        user: membership.user,
        organization: membership.organization,
        role,
        membership_id: membership.id,
        since: membership.since,
    };
    if membership.roles.is_empty() {
        output.row(&holder(None))?;
    }
    for held in &membership.roles {
        output.row(&holder(Some(&held.role)))?;
    }
    Ok(())
}

impl Row for Holder<'_> {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        vec![vec![
            self.user.id.into(),
            self.user.display_name.into(),
            self.user.primary_email.into(),
            self.user.status.into(),
            self.organization.id.into(),
            self.organization.name.into(),
            self.organization.slug.into(),
            self.role.map(|role| role.id.as_str()).into(),
            self.role.map(|role| role.key.as_str()).into(),
            self.role.and_then(|role| role.name.as_deref()).into(),
            self.membership_id.into(),
            self.since.map(|since| since.to_string()).into(),
        ]]
    }
}
