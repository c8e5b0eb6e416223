//! Finds what the argument of `history` names: a person, an organization, a role, a permission or a membership.

use std::collections::BTreeSet;
use std::sync::Arc;

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::resource::Dataset;
use memchr::memmem::Finder;
use serde_json::Value;

use crate::archive::{Lines, ScanError};
use crate::catalogue::{Permissions, Roles};
use crate::error::Error;
use crate::organizations::Organizations;
use crate::people::Person;
use crate::session::Session;

/// The ids of the people, organizations, roles and permissions that the text of `person` names in a snapshot. If it
/// names none but is an id that grants or entitlements mention, that id. Empty if nothing matches.
///
/// # Errors
/// [`Error::Scan`], or [`Error::Argument`] if it is the name of several.
pub async fn ids(
    person: &Person,
    snapshot: &Snapshot,
    session: &Session<'_>,
) -> Result<BTreeSet<String>, Error> {
    let (archive, progress, text) = (&session.archive, &session.progress, person.text());
    let people = person.find(archive, snapshot, progress).await?;
    let mut ids: BTreeSet<String> = people.into_iter().map(|user| user.id).collect();
    ids.extend(Roles::read(archive, snapshot, progress).await?.ids_of(text)?);
    ids.extend(Permissions::read(archive, snapshot, progress).await?.ids_of(text)?);
    let organizations = Organizations::read(archive, snapshot, progress, |_| true).await?;
    ids.extend(organizations.choose(text)?.map(str::to_owned));
    if ids.is_empty() && is_mentioned(text, snapshot, session).await? {
        ids.insert(text.to_owned());
    }
    Ok(ids)
}

/// Whether grants or entitlements name this id.
async fn is_mentioned(
    id: &str,
    snapshot: &Snapshot,
    session: &Session<'_>,
) -> Result<bool, ScanError> {
    let mention = Arc::new(Mention { id: id.to_owned(), finder: Finder::new(id).into_owned() });
    let mut is_mentioned = false;
    for dataset in [Dataset::Grants, Dataset::Entitlements] {
        let mention = Arc::clone(&mention);
        let read = move |lines: &mut Lines| mention.is_in(lines);
        let take = |is_in_part: bool| {
            is_mentioned |= is_in_part;
            Ok(())
        };
        session.archive.scan(snapshot, dataset, &session.progress, read, take).await?;
    }
    Ok(is_mentioned)
}

/// An id that lines of grants and entitlements may name.
struct Mention {
    id: String,
    finder: Finder<'static>,
}

impl Mention {
    fn is_in(&self, lines: &mut Lines) -> Result<bool, ScanError> {
        let mut is_there = false;
        while let Some(line) = lines.next_line()? {
            // With an escape, an id may stand there in another form.
            if self.finder.find(line).is_none() && memchr::memchr(b'\\', line).is_none() {
                continue;
            }
            let record: Option<Value> = serde_json::from_slice(line).ok();
            is_there |= self.is_named_by(&record.ok_or_else(|| lines.not_a_record())?);
        }
        Ok(is_there)
    }

    fn is_named_by(&self, record: &Value) -> bool {
        let things = ["principal", "resource", "role", "source"];
        record["id"] == *self.id || things.iter().any(|thing| record[*thing]["id"] == *self.id)
    }
}
