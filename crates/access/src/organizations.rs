//! The organizations of a snapshot, in the order of their names, and how arguments name them.

use std::cmp::Ordering;

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;
use clerk_store::nearest::nearest;
use serde::Serialize;

use crate::archive::{Archive, Lines, ScanError};
use crate::error::ArgumentError;
use crate::lines::catalogue::Organization;
use crate::names;
use crate::progress::Progress;
use crate::texts::{Interner, Texts};

/// The organizations of a snapshot, each known by the number of its id.
#[derive(Debug, Default)]
pub struct Organizations {
    ids: Interner,
    names: Texts,
    slugs: Texts,
    /// Place of each in the order by name and then id.
    ranks: Vec<u32>,
    /// Place of each one's name in the order of names, which those of one name share.
    groups: Vec<u32>,
}

/// An organization as answers show it. Name and slug are not known if the snapshot has not got the organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OrganizationOfHolder<'a> {
    /// The id.
    pub id: &'a str,
    /// The name.
    pub name: Option<&'a str>,
    /// The slug.
    pub slug: Option<&'a str>,
}

impl Organizations {
    /// Reads the organizations of a snapshot, or those of them that are wanted.
    ///
    /// # Errors
    /// [`ScanError`].
    pub async fn read(
        archive: &Archive,
        snapshot: &Snapshot,
        progress: &Progress,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, ScanError> {
        let read = |lines: &mut Lines| {
            let mut all = Vec::new();
            while let Some(line) = lines.next_line()? {
                let organization: Option<Organization> = serde_json::from_slice(line).ok();
                all.push(organization.ok_or_else(|| lines.not_a_record())?);
            }
            Ok(all)
        };
        let mut organizations = Self::default();
        let take = |part: Vec<Organization>| {
            for organization in part.iter().filter(|organization| is_wanted(&organization.id)) {
                organizations.add(organization);
            }
            Ok(())
        };
        archive.scan(snapshot, Dataset::Organizations, progress, read, take).await?;
        organizations.sort();
        Ok(organizations)
    }

    fn add(&mut self, organization: &Organization) {
        if self.ids.find(&organization.id).is_none() {
            self.ids.add(&organization.id);
            self.names.push(&organization.name);
            // A slug is never empty, so an empty text stands for none.
            self.slugs.push(organization.profile.slug.as_deref().unwrap_or_default());
        }
    }

    fn sort(&mut self) {
        let count = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by(|&one, &other| self.compare(one, other));
        self.ranks = vec![0; order.len()];
        self.groups = vec![0; order.len()];
        // 0 is that of organizations without a name, which the snapshot has not got.
        let mut group = 1;
        for (place, &number) in order.iter().enumerate() {
            let before = place.checked_sub(1).map(|before| order[before]);
            if before.is_some_and(|before| self.compare_names(before, number).is_ne()) {
                group += 1;
            }
            self.groups[number as usize] = group;
            self.ranks[number as usize] = u32::try_from(place).unwrap_or(u32::MAX);
        }
    }

    fn compare(&self, one: u32, other: u32) -> Ordering {
        self.compare_names(one, other).then_with(|| self.ids.get(one).cmp(self.ids.get(other)))
    }

    fn compare_names(&self, one: u32, other: u32) -> Ordering {
        names::compare(self.names.get(one), self.names.get(other))
    }

    /// How many there are. Their numbers begin with 0.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The number of an id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<u32> {
        self.ids.find(id)
    }

    /// The place of an organization in the order by name and then id.
    #[must_use]
    pub fn rank(&self, number: u32) -> u32 {
        self.ranks.get(number as usize).copied().unwrap_or_default()
    }

    /// The place of an organization's name in the order of names, from 1.
    #[must_use]
    pub fn group(&self, number: u32) -> u32 {
        self.groups.get(number as usize).copied().unwrap_or_default()
    }

    /// The organization with an id.
    #[must_use]
    pub fn show<'a>(&'a self, id: &'a str) -> OrganizationOfHolder<'a> {
        match self.find(id) {
            Some(number) => self.show_number(number),
            None => OrganizationOfHolder { id, name: None, slug: None },
        }
    }

    /// The organization with a number.
    #[must_use]
    pub fn show_number(&self, number: u32) -> OrganizationOfHolder<'_> {
        OrganizationOfHolder {
            id: self.ids.get(number),
            name: Some(self.names.get(number)),
            slug: Some(self.slugs.get(number)).filter(|slug| !slug.is_empty()),
        }
    }

    /// ORG: an id, a slug, or a name that one organization has. Returns its id; `None` if none is called so.
    ///
    /// # Errors
    /// [`ArgumentError::Ambiguous`].
    pub fn choose(&self, text: &str) -> Result<Option<&str>, ArgumentError> {
        if let Some(number) = self.ids.find(text) {
            return Ok(Some(self.ids.get(number)));
        }
        let numbers = || 0..u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        let by_slug = numbers().find(|&number| !text.is_empty() && self.slugs.get(number) == text);
        if let Some(number) = by_slug {
            return Ok(Some(self.ids.get(number)));
        }
        let mut by_name: Vec<u32> =
            numbers().filter(|&number| self.names.get(number) == text).collect();
        by_name.sort_by_key(|&number| self.rank(number));
        match by_name[..] {
            [] => Ok(None),
            [number] => Ok(Some(self.ids.get(number))),
            [first, ..] => Err(ArgumentError::Ambiguous {
                kind: "organization",
                name: text.to_owned(),
                count: by_name.len(),
                other: "slug",
                example: self.ids.get(first).to_owned(),
            }),
        }
    }

    /// What a text was probably meant to be: a slug, or a name in another case.
    #[must_use]
    pub fn nearest(&self, text: &str) -> Option<&str> {
        let numbers = || 0..u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        let slug = nearest(text, numbers().map(|number| self.slugs.get(number)));
        let mut names = numbers().map(|number| self.names.get(number));
        slug.or_else(|| names.find(|name| names::equal(name, text)))
    }

    /// Bytes of memory.
    #[must_use]
    pub fn size(&self) -> usize {
        self.ids.size()
            + self.names.size()
            + self.slugs.size()
            + self.ranks.len() * 2 * size_of::<u32>()
    }
}
