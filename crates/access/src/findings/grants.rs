//! What the grants give: to each user, in each organization, of each role and permission.

use std::collections::{BTreeSet, HashMap};

use hashbrown::DefaultHashBuilder;

use super::facts::Facts;
use super::people::{People, holds};
use super::privilege;
use crate::archive::{Lines, ScanError};
use crate::lines::grant::Grant;
use crate::texts::{Interner, hash_of};

/// How many members an organization has, and how many of them are privileged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Members.
    pub members: u32,
    /// Privileged members.
    pub administrators: u32,
}

/// What the grants of one part give, but to users, which [`People`] keeps.
#[derive(Debug, Default)]
pub struct PartGrants {
    /// By number of the organization.
    organizations: HashMap<u32, Counts>,
    /// Ids of the roles that a membership has.
    roles: Interner,
    /// Keys of the permissions that a membership carries.
    permissions: BTreeSet<String>,
    /// Memberships whose member grant is not followed by their role grant, and those the other way round.
    unpaired: Unpaired,
}

/// What all grants give, but to users.
#[derive(Debug, Default)]
pub struct Grants {
    /// By number of the organization.
    organizations: Vec<Counts>,
    /// Ids of the roles that a membership has.
    pub roles: BTreeSet<String>,
    /// Keys of the permissions that a membership carries.
    pub permissions: BTreeSet<String>,
    unpaired: Unpaired,
}

/// Hashes of the ids of memberships that have one of their two grants here.
///
/// A membership's grants are written one after the other, so there are few. Where they are written apart, the member
/// grant is here as well as the role grant, and one cancels the other.
#[derive(Debug, Default)]
struct Unpaired {
    members: Vec<u64>,
    roles: Vec<u64>,
    /// The membership whose member grant was read last.
    last: Option<u64>,
}

impl Unpaired {
    fn add(&mut self, grant: &Grant<'_>, hasher: &DefaultHashBuilder) {
        let Some(membership) = grant.membership.as_deref().map(|id| hash_of(hasher, id)) else {
            return;
        };
        let last = self.last.take();
        if grant.role.is_none() {
            self.members.extend(last);
            self.last = Some(membership);
        } else if last != Some(membership) {
            self.members.extend(last);
            self.roles.push(membership);
        }
    }

    fn close(&mut self) {
        let last = self.last.take();
        self.members.extend(last);
    }
}

/// Reads a part of the grants.
///
/// # Errors
/// [`ScanError`].
pub fn read(lines: &mut Lines, facts: &Facts, people: &People) -> Result<PartGrants, ScanError> {
    let mut part = PartGrants::default();
    let mut carried: Interner = Interner::default();
    while let Some(line) = lines.next_line()? {
        match Grant::of_line(line) {
            Ok(Some(grant)) => part.add(&grant, facts, people, &mut carried),
            Ok(None) => {}
            Err(_) => return Err(lines.not_a_record()),
        }
    }
    part.unpaired.close();
    Ok(part)
}

impl PartGrants {
    fn add(&mut self, grant: &Grant<'_>, facts: &Facts, people: &People, carried: &mut Interner) {
        let is_privileged = facts.privileges.are_in(grant, &facts.roles);
        if let Some(number) = facts.organizations.find(&grant.organization) {
            let counts = self.organizations.entry(number).or_default();
            counts.members += u32::from(grant.role.is_none());
            counts.administrators += u32::from(is_privileged);
        }
        if let Some(user) = people.find(&grant.user) {
            people.add_holds(user, held(grant, is_privileged, user, facts, people));
        }
        if let Some((role, _)) = &grant.role {
            self.roles.add(role);
            // Memberships carry few different sets of permissions. Those of a role stand for a membership's own.
            let set = grant.permissions.unwrap_or(role);
            if carried.find(set).is_none() {
                carried.add(set);
                self.permissions.extend(privilege::keys(grant, &facts.roles));
            }
        }
        if facts.has_unresolved_roles {
            self.unpaired.add(grant, &people.hasher());
        }
    }
}

/// The bits of [`holds`] that a grant gives to a user.
#[must_use]
pub fn held(
    grant: &Grant<'_>,
    is_privileged: bool,
    user: u32,
    facts: &Facts,
    people: &People,
) -> u8 {
    let mut held = 0;
    if grant.role.is_none() {
        held |= holds::MEMBERSHIP;
        let domain = people.get(user).map(|person| person.domain);
        if domain.is_some_and(|domain| facts.domains.is_outside(&grant.organization, domain)) {
            held |= holds::OUTSIDE;
        }
    }
    held | if is_privileged { holds::PRIVILEGE } else { 0 }
}

impl Grants {
    /// Adds what a part gives.
    pub fn add(&mut self, part: PartGrants) {
        for (number, counts) in part.organizations {
            let place = number as usize;
            if self.organizations.len() <= place {
                self.organizations.resize(place + 1, Counts::default());
            }
            self.organizations[place].members += counts.members;
            self.organizations[place].administrators += counts.administrators;
        }
        let roles = 0..u32::try_from(part.roles.len()).unwrap_or(u32::MAX);
        self.roles.extend(roles.map(|number| part.roles.get(number).to_owned()));
        self.permissions.extend(part.permissions);
        self.unpaired.members.extend(part.unpaired.members);
        self.unpaired.roles.extend(part.unpaired.roles);
    }

    /// The counts of an organization.
    #[must_use]
    pub fn counts(&self, organization: u32) -> Counts {
        self.organizations.get(organization as usize).copied().unwrap_or_default()
    }

    /// Hashes of the memberships that have no role grant, in ascending order.
    #[must_use]
    pub fn without_role(&mut self) -> Vec<u64> {
        let Unpaired { members, mut roles, .. } = std::mem::take(&mut self.unpaired);
        roles.sort_unstable();
        let mut members: Vec<u64> =
            members.into_iter().filter(|hash| roles.binary_search(hash).is_err()).collect();
        members.sort_unstable();
        members
    }
}
