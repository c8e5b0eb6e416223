//! Who the users of a batch are.

use super::membership::UserOfHolder;
use super::part::NONE;
use crate::archive::{Lines, ScanError};
use crate::lines::user::{UserSummary, id_of_line};
use crate::names;
use crate::texts::{Interner, Texts};

/// Names, addresses and statuses of the users of a batch.
#[derive(Debug)]
pub struct People {
    /// Of each user's number: the entry, or [`NONE`] if the snapshot has not got the user.
    entries: Vec<u32>,
    people: PartPeople,
    statuses: Interner,
}

/// What one part has of them.
#[derive(Debug, Default)]
pub struct PartPeople {
    entries: Vec<Entry>,
    names: Texts,
    emails: Texts,
    statuses: Texts,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Number of the user in the batch.
    user: u32,
    name: u32,
    /// Or [`NONE`].
    email: u32,
    status: u32,
}

/// Reads what a part of the dataset `users` has of the users with these ids.
///
/// # Errors
/// [`ScanError`].
pub fn read(lines: &mut Lines, users: &Interner) -> Result<PartPeople, ScanError> {
    let mut people = PartPeople::default();
    while let Some(line) = lines.next_line()? {
        let Some(id) = id_of_line(line) else { return Err(lines.not_a_record()) };
        let Some(user) = users.find(&id) else { continue };
        match UserSummary::of_line(line) {
            Some(summary) => people.push(user, &summary),
            None => return Err(lines.not_a_record()),
        }
    }
    Ok(people)
}

impl PartPeople {
    fn push(&mut self, user: u32, summary: &UserSummary<'_>) {
        let name = self.names.push(&summary.display_name);
        let email = summary.primary_email.as_deref().map_or(NONE, |email| self.emails.push(email));
        let status = self.statuses.push(&summary.status);
        self.entries.push(Entry { user, name, email, status });
    }
}

impl People {
    /// Nothing is known yet of these users.
    #[must_use]
    pub fn new(users: &Interner) -> Self {
        Self {
            entries: vec![NONE; users.len()],
            people: PartPeople::default(),
            statuses: Interner::default(),
        }
    }

    /// Adds what a part has.
    pub fn add(&mut self, part: &PartPeople) {
        for entry in &part.entries {
            let Some(place) = self.entries.get_mut(entry.user as usize) else { continue };
            *place = u32::try_from(self.people.entries.len()).unwrap_or(NONE);
            self.people.entries.push(Entry {
                user: entry.user,
                name: self.people.names.push(part.names.get(entry.name)),
                email: match entry.email {
                    NONE => NONE,
                    email => self.people.emails.push(part.emails.get(email)),
                },
                status: self.statuses.add(part.statuses.get(entry.status)),
            });
        }
    }

    /// A user of the batch.
    #[must_use]
    pub fn show<'a>(&'a self, user: u32, id: &'a str) -> UserOfHolder<'a> {
        let entry = self.entry(user);
        let email = entry.map_or(NONE, |entry| entry.email);
        UserOfHolder {
            id,
            display_name: entry.map(|entry| self.people.names.get(entry.name)),
            primary_email: (email != NONE).then(|| self.people.emails.get(email)),
            status: entry.map(|entry| self.statuses.get(entry.status)),
        }
    }

    /// The place of each user in the order by name and then id. Those that the snapshot has not got come first.
    #[must_use]
    pub fn ranks(&self, users: &Interner) -> Vec<u32> {
        let mut order: Vec<u32> = (0..u32::try_from(users.len()).unwrap_or(NONE)).collect();
        let name =
            |user: u32| self.entry(user).map_or("", |entry| self.people.names.get(entry.name));
        order.sort_unstable_by(|&one, &other| {
            let by_name = names::compare(name(one), name(other));
            by_name.then_with(|| users.get(one).cmp(users.get(other)))
        });
        let mut ranks = vec![0; order.len()];
        for (rank, user) in (0..).zip(order) {
            ranks[user as usize] = rank;
        }
        ranks
    }

    fn entry(&self, user: u32) -> Option<&Entry> {
        let entry = self.entries.get(user as usize).copied()?;
        self.people.entries.get(entry as usize)
    }
}
