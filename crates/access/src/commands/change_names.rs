//! Looks up what the users and organizations of changes are called.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clerk_snapshot::reader::Snapshot;
use clerk_snapshot::record::ObjectType;
use clerk_snapshot::resource::Dataset;

use super::fold::{FoldedRow, NAMED};
use crate::archive::{Archive, Lines, ScanError};
use crate::lines::catalogue::Organization;
use crate::lines::user::{UserSummary, id_of_line};
use crate::progress::Progress;

/// Where names are looked up: in the newer snapshot, and in the older one what that has not got.
#[derive(Debug)]
pub struct Names<'a> {
    /// Reads the snapshots.
    pub archive: Archive,
    /// Shows how far that is.
    pub progress: Progress,
    /// Newer first.
    pub snapshots: [&'a Snapshot; 2],
}

impl Names<'_> {
    /// Shows the names of the users and organizations in these rows, beside their ids or in place of them.
    ///
    /// # Errors
    /// [`ScanError`].
    pub async fn fill(&self, rows: &mut [FoldedRow], with_ids: bool) -> Result<(), ScanError> {
        let mut names = BTreeMap::new();
        for kind in NAMED {
            let references = rows.iter().flat_map(FoldedRow::references);
            let of_kind = references.filter(|(own, _)| *own == kind.name());
            let mut wanted: BTreeSet<String> = of_kind.map(|(_, id)| id.to_owned()).collect();
            for snapshot in self.snapshots {
                let found = self.names(kind, Arc::new(wanted.clone()), snapshot).await?;
                wanted.retain(|id| !found.contains_key(id));
                names.extend(found.into_iter().map(|(id, name)| ((kind.name(), id), name)));
            }
        }
        let by_kind = |kind: &str, id: &str| {
            let kind = NAMED.iter().find(|named| named.name() == kind)?.name();
            names.get(&(kind, id.to_owned())).map(String::as_str)
        };
        rows.iter_mut().for_each(|row| row.show_names(by_kind, with_ids));
        Ok(())
    }

    /// The names of the objects of a type that a snapshot has, by id.
    async fn names(
        &self,
        kind: ObjectType,
        wanted: Arc<BTreeSet<String>>,
        snapshot: &Snapshot,
    ) -> Result<BTreeMap<String, String>, ScanError> {
        let mut found = BTreeMap::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        let (dataset, named): (_, NameOf) = match kind {
            ObjectType::User => (Dataset::Users, user),
            _ => (Dataset::Organizations, organization),
        };
        let read = move |lines: &mut Lines| {
            let mut part = Vec::new();
            while let Some(line) = lines.next_line()? {
                match named(line, &wanted) {
                    Some(name) => part.extend(name),
                    None => return Err(lines.not_a_record()),
                }
            }
            Ok(part)
        };
        let take = |part: Vec<(String, String)>| {
            found.extend(part);
            Ok(())
        };
        self.archive.scan(snapshot, dataset, &self.progress, read, take).await?;
        Ok(found)
    }
}

/// Id and name of a line's object if it is wanted; `None` if the line is not a record.
type NameOf = fn(&[u8], &BTreeSet<String>) -> Option<Option<(String, String)>>;

fn user(line: &[u8], wanted: &BTreeSet<String>) -> Option<Option<(String, String)>> {
    let id = id_of_line(line)?;
    if !wanted.contains(&*id) {
        return Some(None);
    }
    let name = UserSummary::of_line(line)?.display_name.into_owned();
    Some(Some((id.into_owned(), name)))
}

fn organization(line: &[u8], wanted: &BTreeSet<String>) -> Option<Option<(String, String)>> {
    let Organization { id, name, .. } = serde_json::from_slice(line).ok()?;
    Some(wanted.contains(&id).then_some((id, name)))
}
