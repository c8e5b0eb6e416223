//! Goes through the datasets of a snapshot and checks everything in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use clerk_snapshot::digest::ContentDigest;
use clerk_snapshot::manifest::{DatasetEntry, DatasetStatus};
use clerk_snapshot::reader::{ReadError, Snapshot};
use clerk_snapshot::resource::Dataset;
use hashbrown::DefaultHashBuilder;
use serde_json::Value;

use super::check::{Check, Problems};
use super::ids::Ids;
use super::lines::{self, Expected, PartFacts, References};
use super::schema::WrittenBy;
use crate::archive::{Archive, Lines, ScanError};
use crate::progress::Progress;
use crate::texts::hash_of;

/// What was found in a snapshot's datasets.
#[derive(Debug, Default)]
struct Found {
    parts: Problems,
    digests: Problems,
    schemas: Problems,
    ids: Problems,
    references: Problems,
    counted_parts: usize,
    records: u64,
    /// Datasets that grants name and that do not have all of their records, so that a missing one says nothing.
    not_whole: Vec<&'static str>,
}

/// Checks the parts of a snapshot: sizes, checksums, records, digests, schemas, ids and references.
///
/// # Errors
/// [`ScanError`] if something gives no answer. What is wrong with the snapshot is in the checks.
pub async fn check(
    archive: &Archive,
    snapshot: &Snapshot,
    progress: &Progress,
) -> Result<Vec<Check>, ScanError> {
    let mut found = Found::default();
    let hasher = DefaultHashBuilder::default();
    let mut references = References::default();
    for (dataset, entry) in in_order(&snapshot.manifest().datasets) {
        let of_grants = if dataset == Dataset::Grants {
            references.entitled = References::entitled(&snapshot.manifest().resources);
            std::mem::take(&mut references)
        } else {
            References::default()
        };
        let expected = Arc::new(Expected::new(dataset, by(snapshot), hasher.clone(), of_grants));
        let ids = found.dataset((dataset, entry), &expected, archive, snapshot, progress).await?;
        let is_whole = ids.is_some() && entry.status == DatasetStatus::Verified;
        let is_needed = References::needs(dataset) || dataset == Dataset::Entitlements;
        match ids.filter(|_| is_whole && is_needed) {
            Some(ids) if dataset == Dataset::Entitlements => references.entitlements = Some(ids),
            Some(ids) => drop(references.objects.insert(dataset, ids)),
            None if is_needed => found.not_whole.push(dataset.name()),
            None => {}
        }
    }
    Ok(found.into_checks(snapshot))
}

/// Which version wrote a snapshot.
fn by(snapshot: &Snapshot) -> WrittenBy {
    match snapshot.manifest().generator.version == env!("CARGO_PKG_VERSION") {
        true => WrittenBy::ThisVersion,
        false => WrittenBy::AnotherVersion,
    }
}

/// The datasets, with entitlements and grants last: grants name records of the others.
fn in_order(
    datasets: &BTreeMap<Dataset, DatasetEntry>,
) -> impl Iterator<Item = (Dataset, &DatasetEntry)> {
    const LAST: [Dataset; 2] = [Dataset::Entitlements, Dataset::Grants];
    let first = datasets.iter().filter(|(dataset, _)| !LAST.contains(dataset));
    let last = LAST.into_iter().filter_map(|dataset| datasets.get_key_value(&dataset));
    first.chain(last).map(|(dataset, entry)| (*dataset, entry))
}

impl Found {
    /// Checks a dataset. Returns its ids, unless a part could not be read.
    async fn dataset(
        &mut self,
        (dataset, entry): (Dataset, &DatasetEntry),
        expected: &Arc<Expected>,
        archive: &Archive,
        snapshot: &Snapshot,
        progress: &Progress,
    ) -> Result<Option<Ids>, ScanError> {
        let shared = Arc::clone(expected);
        let read = move |lines: &mut Lines| lines::read(lines, &shared);
        let mut ids = Ids::with_room_for(
            entry.parts.iter().map(|part| part.records).fold(0, u64::saturating_add),
        );
        let mut digest = ContentDigest::default();
        let mut is_whole = true;
        let take = |_: &_, part: Result<PartFacts, ScanError>| {
            self.counted_parts += 1;
            match part {
                Ok(part) => {
                    digest.add(part.digest);
                    ids.add(part.ids);
                    self.schemas.append(part.schema);
                    self.references.append(part.references);
                }
                Err(ScanError::Read(ReadError::Damaged { url, problem })) => {
                    is_whole = false;
                    self.parts.add(|| format!("{url}: {problem}"));
                }
                Err(error) => return Err(error),
            }
            Ok(())
        };
        archive.scan_each(snapshot, dataset, progress, read, take).await?;
        self.records = self.records.saturating_add(entry.records);
        self.check_digest(dataset, entry, is_whole.then_some(digest));
        let suspected = ids.sort();
        if !suspected.is_empty() && !dataset.may_repeat_ids() {
            self.confirm(suspected, expected, archive, snapshot, progress).await?;
        }
        Ok(is_whole.then_some(ids))
    }

    fn check_digest(
        &mut self,
        dataset: Dataset,
        entry: &DatasetEntry,
        digest: Option<ContentDigest>,
    ) {
        match digest {
            None => self.digests.add(|| {
                format!("that of {dataset} cannot be made, because a part of it is damaged")
            }),
            Some(digest) if entry.content_digest.unwrap_or_default() != digest => {
                self.digests.add(|| {
                    format!("the lines of {dataset} have another digest than the manifest says")
                });
            }
            Some(_) => {}
        }
    }

    /// Reads a dataset again for ids that share a hash, and reports those that are the same.
    async fn confirm(
        &mut self,
        suspected: Vec<u64>,
        expected: &Arc<Expected>,
        archive: &Archive,
        snapshot: &Snapshot,
        progress: &Progress,
    ) -> Result<(), ScanError> {
        let shared = Arc::clone(expected);
        let read = move |lines: &mut Lines| {
            let mut ids = Vec::new();
            while let Some(line) = lines.next_line()? {
                let Ok(value) = serde_json::from_slice::<Value>(line) else { continue };
                let Some(id) = lines::id_of(&value, shared.dataset) else { continue };
                if suspected.binary_search(&hash_of(&shared.hasher, &id)).is_ok() {
                    ids.push((id.into_owned(), lines.place()));
                }
            }
            Ok(ids)
        };
        let mut first: BTreeMap<String, String> = BTreeMap::new();
        let take = |_: &_, part: Result<Vec<(String, String)>, ScanError>| {
            let ids = match part {
                // The first reading has reported it.
                Err(ScanError::Read(ReadError::Damaged { .. })) => Vec::new(),
                part => part?,
            };
            for (id, place) in ids {
                match first.get(&id) {
                    Some(earlier) => {
                        self.ids.add(|| format!("{id} is in {earlier} and again in {place}"));
                    }
                    None => drop(first.insert(id, place)),
                }
            }
            Ok(())
        };
        archive.scan_each(snapshot, expected.dataset, progress, read, take).await
    }

    fn into_checks(self, snapshot: &Snapshot) -> Vec<Check> {
        let id = snapshot.id();
        let (datasets, records) = (snapshot.manifest().datasets.len(), self.records);
        let parts = format!(
            "All {} parts of {datasets} datasets have the size, the SHA-256 and the number of \
             records that the manifest says.",
            self.counted_parts
        );
        let digests = format!("The lines of all {datasets} datasets have their content digests.");
        let but = match by(snapshot) {
            WrittenBy::ThisVersion => String::new(),
            WrittenBy::AnotherVersion => {
                let version = &snapshot.manifest().generator.version;
                format!(
                    ", but for fields that version {version} has more or fewer of than this one"
                )
            }
        };
        let schemas = format!("All {records} records fit the schema of their dataset{but}.");
        let may_repeat = |dataset: &&Dataset| dataset.may_repeat_ids();
        let repeating: Vec<_> = snapshot.manifest().datasets.keys().filter(may_repeat).collect();
        let but = match repeating.first() {
            Some(dataset) => {
                format!(", but for {dataset}, where one may be there as it was and as it is")
            }
            None => String::new(),
        };
        let ids = format!("The ids of all {records} records are unique in their dataset{but}.");
        let references = if self.not_whole.is_empty() {
            "Every grant's entitlement, principal and resource is there.".to_owned()
        } else {
            format!(
                "Every grant's entitlement, principal and resource is there, but for those in {}, \
                 which this snapshot does not have whole.",
                self.not_whole.join(", ")
            )
        };
        vec![
            self.parts.into_check(id, "parts", parts),
            self.digests.into_check(id, "content_digests", digests),
            self.schemas.into_check(id, "schemas", schemas),
            self.ids.into_check(id, "ids", ids),
            self.references.into_check(id, "references", references),
        ]
    }
}
