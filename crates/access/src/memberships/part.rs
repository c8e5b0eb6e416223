//! What one part of the grants has of what is asked for.

use clerk_snapshot::timestamp::Timestamp;

use crate::lines::grant::Grant;
use crate::organizations::Organizations;
use crate::texts::{Interner, Texts};

/// The number of nothing.
pub const NONE: u32 = u32::MAX;

/// Rows of one part, with their texts.
#[derive(Debug, Default)]
pub struct PartRows {
    /// In the order of the lines.
    pub rows: Vec<PartRow>,
    /// Ids of users and memberships.
    pub ids: Texts,
    /// Ids of organizations that the snapshot has not got.
    pub unknown_organizations: Interner,
    /// Ids and keys of roles, each pair with a line break between them.
    pub roles: Interner,
    /// JSON of the permissions' keys.
    pub permissions: Interner,
}

/// One grant. All but `group`, `organization` and `created_at` are numbers in the texts of its part, or [`NONE`].
#[derive(Debug, Clone, Copy)]
pub struct PartRow {
    /// The place of the organization's name; 0 if the snapshot has not got it.
    pub group: u32,
    /// Number of the organization, or among the unknown ones if `group` is 0.
    pub organization: u32,
    /// Id of the user.
    pub user: u32,
    /// Id of the membership.
    pub membership: u32,
    /// The role.
    pub role: u32,
    /// The permissions.
    pub permissions: u32,
    /// When the membership was created.
    pub created_at: Option<Timestamp>,
}

impl PartRows {
    /// Adds a grant, unless its organization is of a group before `lowest`.
    ///
    /// A membership's member grant says nothing that its role grant does not say. Where one follows the other, as they
    /// are written, only the role grant is kept; where they stand apart, the batch drops it.
    pub fn push(&mut self, grant: &Grant<'_>, organizations: &Organizations, lowest: u32) {
        let (group, organization) = match organizations.find(&grant.organization) {
            Some(number) => (organizations.group(number), number),
            None if lowest == 0 => (0, self.unknown_organizations.add(&grant.organization)),
            None => return,
        };
        if group < lowest {
            return;
        }
        let (role, permissions) = match &grant.role {
            None => (NONE, NONE),
            Some((id, key)) => {
                let permissions =
                    grant.permissions.map_or(NONE, |array| self.permissions.add(array));
                (self.roles.add(&format!("{id}\n{key}")), permissions)
            }
        };
        if let Some(last) = self.rows.last_mut()
            && last.role == NONE
            && role != NONE
            && (last.group, last.organization) == (group, organization)
            && self.ids.get(last.user) == grant.user
            && last.membership != NONE
            && Some(self.ids.get(last.membership)) == grant.membership.as_deref()
        {
            (last.role, last.permissions) = (role, permissions);
            return;
        }
        let user = self.ids.push(&grant.user);
        let membership =
            grant.membership.as_deref().map_or(NONE, |membership| self.ids.push(membership));
        // A time that cannot be read is one that nobody knows.
        let created_at = grant.created_at.as_deref().and_then(|time| time.parse().ok());
        self.rows.push(PartRow {
            group,
            organization,
            user,
            membership,
            role,
            permissions,
            created_at,
        });
    }
}
