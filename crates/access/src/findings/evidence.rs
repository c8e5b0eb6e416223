//! Finds the grants that findings of a batch rest on.

use std::collections::HashMap;
use std::sync::Arc;

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;

use super::facts::Facts;
use super::grants::held;
use super::people::People;
use crate::archive::{Archive, Lines, ScanError};
use crate::lines::grant::Grant;
use crate::progress::Progress;
use crate::texts::{Interner, Texts, hash_of};

/// Most grants that a finding about an organization or a role key names. Its detail says how many there are.
pub const MAX_GRANTS: usize = 20;

/// Whose grants are wanted.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Numbers of users, with their ids: two ids may share a number.
    pub people: HashMap<u32, String>,
    /// Numbers of organizations whose privileged members are wanted.
    pub organizations: HashMap<u32, ()>,
    /// Hashes of memberships without a role, in ascending order.
    pub without_role: Vec<u64>,
}

/// The grants that findings rest on.
#[derive(Debug, Default)]
pub struct Evidence {
    /// By number of the user, then in the order of the dataset.
    rows: Vec<Row>,
    /// By number of the organization.
    administrators: HashMap<u32, Vec<Held>>,
    without_role: Vec<Held>,
    texts: EvidenceTexts,
}

/// Ids of organizations and roles, of which there are few, and of users.
#[derive(Debug, Default)]
struct EvidenceTexts {
    organizations: Interner,
    roles: Interner,
    users: Texts,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    user: u32,
    organization: u32,
    role: u32,
    holds: u8,
}

/// A grant of somebody who is not looked up by number.
#[derive(Debug, Clone, Copy)]
struct Held {
    user: u32,
    organization: u32,
    role: u32,
}

const NO_ROLE: u32 = u32::MAX;

impl Evidence {
    /// Reads the grants that are wanted.
    ///
    /// # Errors
    /// [`ScanError`].
    pub async fn read(
        wanted: Wanted,
        facts: &Arc<Facts>,
        people: &Arc<People>,
        (archive, snapshot, progress): (&Archive, &Snapshot, &Progress),
    ) -> Result<Self, ScanError> {
        let mut all = Self::default();
        if wanted.is_empty() {
            return Ok(all);
        }
        let (facts, people) = (Arc::clone(facts), Arc::clone(people));
        let read = move |lines: &mut Lines| {
            let mut part = Self::default();
            while let Some(line) = lines.next_line()? {
                match Grant::of_line(line) {
                    Ok(Some(grant)) => part.push(&grant, &wanted, &facts, &people),
                    Ok(None) => {}
                    Err(_) => return Err(lines.not_a_record()),
                }
            }
            Ok(part)
        };
        let take = |part: Self| {
            all.add(part);
            Ok(())
        };
        archive.scan(snapshot, Dataset::Grants, progress, read, take).await?;
        all.rows.sort_by_key(|row| row.user);
        Ok(all)
    }

    /// Ids of the grants of a user that give one of these bits.
    pub fn of_person(&self, user: u32, id: &str, holds: u8) -> impl Iterator<Item = String> {
        let begin = self.rows.partition_point(|row| row.user < user);
        let rows = self.rows[begin..].iter().take_while(move |row| row.user == user);
        rows.filter(move |row| row.holds & holds != 0)
            .map(move |row| self.texts.grant_id(row.organization, row.role, id))
    }

    /// Ids of grants of privileged members of an organization, the first in the dataset.
    pub fn of_organization(&self, organization: u32) -> impl Iterator<Item = String> {
        self.administrators.get(&organization).into_iter().flatten().map(|held| self.id_of(*held))
    }

    /// Ids of member grants whose membership has no role, the first in the dataset.
    pub fn without_role(&self) -> impl Iterator<Item = String> {
        self.without_role.iter().map(|held| self.id_of(*held))
    }

    fn id_of(&self, held: Held) -> String {
        self.texts.grant_id(held.organization, held.role, self.texts.users.get(held.user))
    }

    fn push(&mut self, grant: &Grant<'_>, wanted: &Wanted, facts: &Facts, people: &People) {
        let is_privileged = facts.privileges.are_in(grant, &facts.roles);
        if let Some(user) = people.find(&grant.user)
            && wanted.people.get(&user).is_some_and(|id| *id == grant.user)
        {
            let holds = held(grant, is_privileged, user, facts, people);
            if holds != 0 {
                let (organization, role) = self.texts.add(grant);
                self.rows.push(Row { user, organization, role, holds });
            }
        }
        if is_privileged
            && let Some(number) = facts.organizations.find(&grant.organization)
            && wanted.organizations.contains_key(&number)
            && self.administrators.get(&number).is_none_or(|held| held.len() < MAX_GRANTS)
        {
            let held = self.texts.hold(grant);
            self.administrators.entry(number).or_default().push(held);
        }
        if grant.role.is_none() && self.without_role.len() < MAX_GRANTS {
            let membership = grant.membership.as_deref().map(|id| hash_of(&people.hasher(), id));
            let is_wanted = |hash: &u64| wanted.without_role.binary_search(hash).is_ok();
            if membership.as_ref().is_some_and(is_wanted) {
                let held = self.texts.hold(grant);
                self.without_role.push(held);
            }
        }
    }

    /// Adds what a part has; numbers of its texts become those of all texts.
    fn add(&mut self, part: Self) {
        let (rows, texts) = (&mut self.rows, &mut self.texts);
        rows.extend(part.rows.iter().map(|row| Row {
            organization: texts.organizations.add(part.texts.organizations.get(row.organization)),
            role: texts.add_role(&part.texts, row.role),
            ..*row
        }));
        let mut numbers: Vec<_> = part.administrators.into_iter().collect();
        numbers.sort_unstable_by_key(|(number, _)| *number);
        for (number, held) in numbers {
            let known = self.administrators.entry(number).or_default();
            let room = MAX_GRANTS.saturating_sub(known.len());
            known.extend(held.iter().take(room).map(|held| texts.add_held(&part.texts, *held)));
        }
        let room = MAX_GRANTS.saturating_sub(self.without_role.len());
        let held = part.without_role.iter().take(room);
        self.without_role.extend(held.map(|held| texts.add_held(&part.texts, *held)));
    }
}

impl EvidenceTexts {
    fn add(&mut self, grant: &Grant<'_>) -> (u32, u32) {
        let role = grant.role.as_ref().map_or(NO_ROLE, |(id, _)| self.roles.add(id));
        (self.organizations.add(&grant.organization), role)
    }

    fn hold(&mut self, grant: &Grant<'_>) -> Held {
        let (organization, role) = self.add(grant);
        Held { user: self.users.push(&grant.user), organization, role }
    }

    fn add_role(&mut self, part: &Self, role: u32) -> u32 {
        if role == NO_ROLE { NO_ROLE } else { self.roles.add(part.roles.get(role)) }
    }

    fn add_held(&mut self, part: &Self, held: Held) -> Held {
        Held {
            user: self.users.push(part.users.get(held.user)),
            organization: self.organizations.add(part.organizations.get(held.organization)),
            role: self.add_role(part, held.role),
        }
    }

    /// The id of the grant, as docs/data.md makes it.
    fn grant_id(&self, organization: u32, role: u32, user: &str) -> String {
        let slug = if role == NO_ROLE { "member" } else { self.roles.get(role) };
        format!("organization:{}:{slug}:user:{user}", self.organizations.get(organization))
    }
}

impl Wanted {
    fn is_empty(&self) -> bool {
        self.people.is_empty() && self.organizations.is_empty() && self.without_role.is_empty()
    }
}
