//! Joins what the parts have, and drops what does not fit.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::Rc;

use clerk_snapshot::timestamp::Timestamp;

use super::membership::{Membership, Order, RoleHeld, UserOfHolder};
use super::part::{NONE, PartRow, PartRows};
use super::people::People;
use crate::catalogue::{RoleOfHolder, Roles};
use crate::error::Error;
use crate::lines::grant::permission_keys;
use crate::organizations::{OrganizationOfHolder, Organizations};
use crate::texts::{Interner, Texts};

/// Most bytes of a batch with its users: with the program, its buffers and the organizations, half of the 96 MiB that
/// docs/access.md states are left.
pub const MAX_BYTES: usize = 40 * 1024 * 1024;

/// Bytes that the name, the address and the places of a user take beside the id, on average.
const BYTES_OF_USER: usize = 64;

/// The rows of some organizations.
#[derive(Debug, Clone)]
pub struct Batch {
    most_bytes: usize,
    /// The last group that still fits; those behind it are for later batches.
    last_group: u32,
    rows: Vec<BatchRow>,
    users: Interner,
    memberships: Texts,
    unknown_organizations: Interner,
    roles: Interner,
    permissions: Interner,
}

/// One grant, as in a part, with numbers in the texts of the batch.
#[derive(Debug, Clone, Copy)]
struct BatchRow {
    group: u32,
    organization: u32,
    user: u32,
    membership: u32,
    role: u32,
    permissions: u32,
    /// Milliseconds since 1970, or [`NO_TIME`]: an `Option` would take twice the bytes.
    created_at: i64,
}

const NO_TIME: i64 = i64::MIN;

impl Batch {
    /// An empty batch that takes about `most_bytes` of memory.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            last_group: u32::MAX,
            rows: Vec::new(),
            users: Interner::default(),
            memberships: Texts::default(),
            unknown_organizations: Interner::default(),
            roles: Interner::default(),
            permissions: Interner::default(),
        }
    }

    /// Adds the rows of a part whose organizations still fit.
    pub fn add(&mut self, part: &PartRows) {
        for row in &part.rows {
            if row.group > self.last_group {
                continue;
            }
            self.add_row(part, row);
            if self.size() > self.most_bytes {
                self.drop_last_groups();
            }
        }
    }

    fn add_row(&mut self, part: &PartRows, row: &PartRow) {
        let organization = match row.group {
            0 => self.unknown_organizations.add(part.unknown_organizations.get(row.organization)),
            _ => row.organization,
        };
        let number = |from: &Interner, to: &mut Interner, number| match number {
            NONE => NONE,
            number => to.add(from.get(number)),
        };
        self.rows.push(BatchRow {
            group: row.group,
            organization,
            user: self.users.add(part.ids.get(row.user)),
            membership: match row.membership {
                NONE => NONE,
                membership => self.memberships.push(part.ids.get(membership)),
            },
            role: number(&part.roles, &mut self.roles, row.role),
            permissions: number(&part.permissions, &mut self.permissions, row.permissions),
            created_at: row.created_at.map_or(NO_TIME, Timestamp::unix_millis),
        });
    }

    fn size(&self) -> usize {
        let users = self.users.size() + self.users.len() * BYTES_OF_USER;
        self.rows.len() * size_of::<BatchRow>() + users + self.memberships.size()
    }

    /// Drops the later half of the rows, by whole groups. A single group is kept, however large it is.
    fn drop_last_groups(&mut self) {
        let mut groups: Vec<u32> = self.rows.iter().map(|row| row.group).collect();
        groups.sort_unstable();
        let middle = groups[groups.len() / 2];
        let (Some(&first), Some(&last)) = (groups.first(), groups.last()) else { return };
        let kept = if middle < last {
            middle
        } else {
            // More than half are of the last group.
            groups.iter().rev().copied().find(|group| *group < last).unwrap_or(first)
        };
        if kept == last {
            return;
        }
        drop(groups);
        let old = std::mem::replace(self, Self { last_group: kept, ..Self::new(self.most_bytes) });
        for row in old.rows.iter().filter(|row| row.group <= kept) {
            self.adopt(&old, row);
        }
    }

    /// Adds a row of a batch whose texts will be dropped. Roles, permissions and unknown organizations are few.
    fn adopt(&mut self, old: &Self, row: &BatchRow) {
        let number = |from: &Interner, to: &mut Interner, number| match number {
            NONE => NONE,
            number => to.add(from.get(number)),
        };
        self.rows.push(BatchRow {
            organization: match row.group {
                0 => {
                    self.unknown_organizations.add(old.unknown_organizations.get(row.organization))
                }
                _ => row.organization,
            },
            user: self.users.add(old.users.get(row.user)),
            membership: match row.membership {
                NONE => NONE,
                membership => self.memberships.push(old.memberships.get(membership)),
            },
            role: number(&old.roles, &mut self.roles, row.role),
            permissions: number(&old.permissions, &mut self.permissions, row.permissions),
            ..*row
        });
    }

    /// The group that the next batch begins with; `None` if this is the last.
    #[must_use]
    pub const fn next_group(&self) -> Option<u32> {
        self.last_group.checked_add(1)
    }

    /// The ids of the users.
    #[must_use]
    pub const fn users(&self) -> &Interner {
        &self.users
    }

    /// Whether it has no rows.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Calls `emit` with each membership, in order.
    ///
    /// # Errors
    /// What `emit` returns.
    pub fn each(
        mut self,
        people: &People,
        organizations: &Organizations,
        roles: &Roles,
        order: Order,
        emit: &mut dyn FnMut(&Membership<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut rows = std::mem::take(&mut self.rows);
        let ranks = people.ranks(&self.users);
        rows.sort_unstable_by(|one, other| self.compare(one, other, &ranks, organizations, order));
        // A million memberships have a handful of roles.
        let mut held: HashMap<(u32, u32), Option<Rc<RoleHeld>>> = HashMap::new();
        for rows in rows.chunk_by(|one, other| self.is_same_membership(one, other)) {
            let Some(first) = rows.first() else { continue };
            let roles_of = rows.iter().filter_map(|row| {
                let known = held.entry((row.role, row.permissions));
                known.or_insert_with(|| self.role_held(row, roles).map(Rc::new)).clone()
            });
            let roles = roles_of.collect();
            emit(&Membership {
                user: self.user(first, people),
                organization: self.organization(first, organizations),
                id: self.membership(first),
                roles,
                since: Timestamp::from_unix_millis(first.created_at),
            })?;
        }
        Ok(())
    }

    fn compare(
        &self,
        one: &BatchRow,
        other: &BatchRow,
        ranks: &[u32],
        organizations: &Organizations,
        order: Order,
    ) -> Ordering {
        let membership = || self.membership(one).cmp(&self.membership(other));
        let organization = || self.compare_organizations(one, other, organizations);
        let user = || ranks[one.user as usize].cmp(&ranks[other.user as usize]);
        let role = || self.roles.get(one.role).cmp(self.roles.get(other.role));
        let by_order = match order {
            Order::Person => organization().then_with(user).then_with(membership),
            Order::Membership => {
                let name = one.group.cmp(&other.group);
                name.then_with(membership).then_with(organization).then_with(user)
            }
        };
        by_order.then_with(role)
    }

    fn compare_organizations(
        &self,
        one: &BatchRow,
        other: &BatchRow,
        organizations: &Organizations,
    ) -> Ordering {
        match (one.group, other.group) {
            (0, 0) => {
                let id = |row: &BatchRow| self.unknown_organizations.get(row.organization);
                id(one).cmp(id(other))
            }
            (0, _) => Ordering::Less,
            (_, 0) => Ordering::Greater,
            _ => organizations.rank(one.organization).cmp(&organizations.rank(other.organization)),
        }
    }

    /// A membership without an id is known by organization and user, of which there is one membership.
    fn is_same_membership(&self, one: &BatchRow, other: &BatchRow) -> bool {
        (one.group, one.organization, one.user) == (other.group, other.organization, other.user)
            && self.membership(one) == self.membership(other)
    }

    fn membership(&self, row: &BatchRow) -> Option<&str> {
        (row.membership != NONE).then(|| self.memberships.get(row.membership))
    }

    fn organization<'a>(
        &'a self,
        row: &BatchRow,
        organizations: &'a Organizations,
    ) -> OrganizationOfHolder<'a> {
        match row.group {
            0 => OrganizationOfHolder {
                id: self.unknown_organizations.get(row.organization),
                name: None,
                slug: None,
            },
            _ => organizations.show_number(row.organization),
        }
    }

    fn user<'a>(&'a self, row: &BatchRow, people: &'a People) -> UserOfHolder<'a> {
        people.show(row.user, self.users.get(row.user))
    }

    fn role_held(&self, row: &BatchRow, roles: &Roles) -> Option<RoleHeld> {
        let (id, key) = self.roles.get(row.role).split_once('\n').filter(|_| row.role != NONE)?;
        let role: RoleOfHolder = roles.show(id, key);
        let array = (row.permissions != NONE).then(|| self.permissions.get(row.permissions));
        let permissions = array.and_then(permission_keys).unwrap_or_else(|| roles.permissions(id));
        Some(RoleHeld { role, permissions })
    }
}
