//! How many of what a snapshot has, by role, by organization and by status.

use std::collections::BTreeMap;

use clerk_snapshot::manifest::Manifest;
use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;

use crate::archive::{Archive, Lines, ScanError};
use crate::envelope::{Need, incomplete};
use crate::lines::grant::Grant;
use crate::lines::user::UserSummary;
use crate::progress::Progress;
use crate::texts::Interner;

/// The counts of one snapshot. What it has not got, or not whole, is `None`.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Users by status.
    pub statuses: Option<BTreeMap<String, u64>>,
    /// Memberships.
    pub memberships: Option<Memberships>,
}

/// The counts of memberships.
#[derive(Debug, Clone, Default)]
pub struct Memberships {
    /// All.
    pub total: u64,
    /// By the id of their role; those whose role does not resolve are in none.
    pub roles: BTreeMap<String, u64>,
    organizations: Interner,
    /// By number of the organization.
    members: Vec<u64>,
}

impl Counts {
    /// Counts a snapshot. What is the same as in `known`, a snapshot that was counted, is taken from there.
    ///
    /// # Errors
    /// [`ScanError`].
    pub async fn read(
        archive: &Archive,
        snapshot: &Snapshot,
        progress: &Progress,
        known: Option<(&Snapshot, &Self)>,
    ) -> Result<Self, ScanError> {
        let manifest = snapshot.manifest();
        let same = |dataset: Dataset| {
            let (other, counts) = known?;
            is_same(manifest, other.manifest(), dataset).then_some(counts)
        };
        let statuses = if !can_count(manifest, Need::Dataset(Dataset::Users)) {
            None
        } else if let Some(statuses) = same(Dataset::Users).and_then(|it| it.statuses.clone()) {
            Some(statuses)
        } else {
            Some(statuses(archive, snapshot, progress).await?)
        };
        let memberships = if !can_count(manifest, Need::Memberships) {
            None
        } else if let Some(counts) = same(Dataset::Grants).and_then(|it| it.memberships.clone()) {
            Some(counts)
        } else {
            Some(Memberships::read(archive, snapshot, progress).await?)
        };
        Ok(Self { statuses, memberships })
    }
}

/// Whether there is something to count. A drifted dataset is counted, and the answer says that it drifted.
fn can_count(manifest: &Manifest, need: Need) -> bool {
    incomplete(manifest, &[need]).iter().all(|missing| missing.status == "drifted")
}

fn is_same(one: &Manifest, other: &Manifest, dataset: Dataset) -> bool {
    let digest = |manifest: &Manifest| manifest.datasets.get(&dataset)?.content_digest;
    digest(one).is_some() && digest(one) == digest(other)
}

async fn statuses(
    archive: &Archive,
    snapshot: &Snapshot,
    progress: &Progress,
) -> Result<BTreeMap<String, u64>, ScanError> {
    let read = |lines: &mut Lines| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        while let Some(line) = lines.next_line()? {
            let Some(UserSummary { status, .. }) = UserSummary::of_line(line) else {
                return Err(lines.not_a_record());
            };
            match counts.get_mut(&*status) {
                Some(count) => *count += 1,
                None => drop(counts.insert(status.into_owned(), 1)),
            }
        }
        Ok(counts)
    };
    // Both are always said, also if there is none.
    let mut all = BTreeMap::from(["enabled", "disabled"].map(|status| (status.to_owned(), 0)));
    let take = |part: BTreeMap<String, u64>| {
        for (status, count) in part {
            *all.entry(status).or_default() += count;
        }
        Ok(())
    };
    archive.scan(snapshot, Dataset::Users, progress, read, take).await?;
    Ok(all)
}

impl Memberships {
    async fn read(
        archive: &Archive,
        snapshot: &Snapshot,
        progress: &Progress,
    ) -> Result<Self, ScanError> {
        let read = |lines: &mut Lines| {
            let mut part = Self::default();
            while let Some(line) = lines.next_line()? {
                match Grant::of_line(line) {
                    Ok(Some(grant)) => part.add(&grant),
                    Ok(None) => {}
                    Err(_) => return Err(lines.not_a_record()),
                }
            }
            Ok(part)
        };
        let mut all = Self::default();
        let take = |part: Self| {
            all.append(&part);
            Ok(())
        };
        archive.scan(snapshot, Dataset::Grants, progress, read, take).await?;
        Ok(all)
    }

    fn add(&mut self, grant: &Grant<'_>) {
        match &grant.role {
            None => self.add_members(&grant.organization, 1),
            Some((role, _)) => match self.roles.get_mut(&**role) {
                Some(count) => *count += 1,
                None => drop(self.roles.insert(role.to_string(), 1)),
            },
        }
    }

    fn add_members(&mut self, organization: &str, count: u64) {
        self.total += count;
        let place = self.organizations.add(organization) as usize;
        if self.members.len() <= place {
            self.members.resize(place + 1, 0);
        }
        self.members[place] += count;
    }

    fn append(&mut self, other: &Self) {
        for (organization, count) in other.organizations() {
            self.add_members(organization, count);
        }
        for (role, count) in &other.roles {
            *self.roles.entry(role.clone()).or_default() += count;
        }
    }

    /// How many have no role that resolves.
    #[must_use]
    pub fn without_role(&self) -> u64 {
        self.total.saturating_sub(self.roles.values().sum())
    }

    /// How many members an organization has.
    #[must_use]
    pub fn of_organization(&self, id: &str) -> u64 {
        let number = self.organizations.find(id);
        number.and_then(|number| self.members.get(number as usize)).copied().unwrap_or_default()
    }

    /// The organizations that have members, with how many.
    pub fn organizations(&self) -> impl Iterator<Item = (&str, u64)> {
        (0..).map_while(|number: u32| {
            let count = *self.members.get(number as usize)?;
            Some((self.organizations.get(number), count))
        })
    }
}
