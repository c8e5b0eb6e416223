//! Adds up what the checkpoint says about each dataset: counts while the run goes on, manifest
//! entries when it is complete.

use std::collections::BTreeMap;

use clerk_snapshot::digest::ContentDigest;
use clerk_snapshot::manifest::{DatasetEntry, DatasetStatus, Referential, SourceCount, Walked};
use clerk_snapshot::resource::{Dataset, Resource};

use crate::lists::endpoint::{Endpoint, ListName};
use crate::lists::table::{datasets_of, endpoint, lists_needed, lists_of};
use crate::paging::position::PagingMode;
use crate::progress::RowCounts;
use crate::response::DatasetProgress;
use crate::sync::checkpoint::document::Checkpoint;
use crate::sync::checkpoint::list_progress::{ListProgress, Segment, Stage, StoredPart};

/// How many lines each dataset has so far, and how many are expected. Leaves out datasets of which
/// no list could be read: skipped or failed does not mean empty.
#[must_use]
pub fn progress(checkpoint: &Checkpoint) -> BTreeMap<Dataset, DatasetProgress> {
    datasets_of(&checkpoint.resources)
        .into_iter()
        .filter(|&dataset| {
            !status(checkpoint, dataset).is_left_out()
                || parts(checkpoint, dataset).next().is_some()
        })
        .map(|dataset| {
            let records = parts(checkpoint, dataset).map(|stored| stored.part.records).sum();
            (dataset, DatasetProgress { records, expected: expected(checkpoint, dataset) })
        })
        .collect()
}

/// How many lines each dataset has. Leaves out datasets of which no list could be read.
#[must_use]
pub fn records(checkpoint: &Checkpoint) -> BTreeMap<Dataset, u64> {
    let progress = progress(checkpoint);
    progress.into_iter().map(|(dataset, progress)| (dataset, progress.records)).collect()
}

/// The totals for the progress display.
#[must_use]
pub fn row_counts(checkpoint: &Checkpoint) -> RowCounts {
    let written = records(checkpoint).values().sum();
    let (mut read, mut expected) = (0, Some(0));
    for list in lists_needed(&checkpoint.resources) {
        let progress = checkpoint.lists.get(&list);
        read += progress.map_or(0, ListProgress::rows);
        let counted =
            progress.and_then(|list| list.source_count.after.or(list.source_count.before));
        expected = expected.zip(counted).map(|(expected, count)| expected + count);
    }
    RowCounts { written, read, left: expected.map(|expected: u64| expected.saturating_sub(read)) }
}

/// The manifest's entries.
#[must_use]
pub fn entries(checkpoint: &Checkpoint) -> BTreeMap<Dataset, DatasetEntry> {
    let datasets = datasets_of(&checkpoint.resources).into_iter();
    datasets.map(|dataset| (dataset, entry(checkpoint, dataset))).collect()
}

/// What grants refer to that is not in the snapshot.
#[must_use]
pub fn referential(checkpoint: &Checkpoint) -> Referential {
    let mut referential = Referential::default();
    let segments = checkpoint.lists.values().flat_map(ListProgress::segments);
    for segment in segments {
        referential.dangling_principals += segment.dangling_principals;
        referential.dangling_resources += segment.dangling_resources;
        for (key, count) in &segment.unresolved_role_keys {
            *referential.unresolved_role_keys.entry(key.clone()).or_default() += count;
        }
    }
    referential
}

fn entry(checkpoint: &Checkpoint, dataset: Dataset) -> DatasetEntry {
    let status = status(checkpoint, dataset);
    let lists = || sources(checkpoint, dataset).filter_map(|(_, list)| list);
    let main = main_lists(checkpoint, dataset);
    let counted = |count: fn(SourceCount) -> Option<u64>| {
        (!main.is_empty()).then(|| main.iter().map(|list| count(list.source_count)).sum())?
    };
    let mut digest = ContentDigest::default();
    let mut named = Vec::new();
    for stored in parts(checkpoint, dataset) {
        digest.add(stored.digest);
        named.push(stored.part.clone());
    }
    DatasetEntry {
        status,
        reason: failure(checkpoint, dataset).or_else(|| gaps(checkpoint, dataset).next()),
        records: named.iter().map(|part| part.records).sum(),
        content_digest: (!status.is_left_out() || !named.is_empty()).then_some(digest),
        source_count: SourceCount {
            before: counted(|count| count.before),
            after: counted(|count| count.after),
        },
        duplicates_dropped: lists().map(|list| list.duplicates_dropped).sum(),
        rows_repaired: lists().map(|list| list.rows_repaired).sum(),
        unreadable_fields: unreadable_fields(checkpoint, dataset),
        walk: main.first().map(|list| walked(list)),
        parts: named,
    }
}

/// The unreadable fields of the rows whose own dataset it is. Other datasets use few fields of a
/// row.
fn unreadable_fields(checkpoint: &Checkpoint, dataset: Dataset) -> BTreeMap<String, u64> {
    let is_own =
        |endpoint: &Endpoint| endpoint.destinations.first().map(|it| it.dataset) == Some(dataset);
    let own = sources(checkpoint, dataset).filter(|(endpoint, _)| is_own(endpoint));
    let segments = own.filter_map(|(_, list)| list).flat_map(ListProgress::segments);
    let mut rows_by_field = BTreeMap::new();
    for (field, rows) in segments.flat_map(|segment| &segment.unreadable_fields) {
        *rows_by_field.entry(field.clone()).or_default() += rows;
    }
    rows_by_field
}

fn walked(list: &ListProgress) -> Walked {
    match list.mode {
        _ if list.windows.len() > 1 => Walked::Windows,
        PagingMode::Cursor => Walked::Cursor,
        PagingMode::Offset => Walked::Offset,
        PagingMode::ByOwner => Walked::ByOwner,
    }
}

/// `failed` if a list of its own resource failed, `skipped` if a list that it needs is left out,
/// `drifted` if one of these drifted.
fn status(checkpoint: &Checkpoint, dataset: Dataset) -> DatasetStatus {
    let has_drifted = |list: ListName| {
        checkpoint.lists.get(&list).is_some_and(|list| list.stage == Stage::Drifted)
    };
    if failure(checkpoint, dataset).is_some() {
        DatasetStatus::Failed
    } else if gaps(checkpoint, dataset).next().is_some() {
        DatasetStatus::Skipped
    } else if needed(checkpoint, dataset).any(has_drifted) {
        DatasetStatus::Drifted
    } else {
        DatasetStatus::Verified
    }
}

/// Why an opted-in dataset has no records: a list of the resource whose own dataset it is could not
/// be read. Lines of other resources in the dataset do not fail with it, nor does it fail with
/// theirs.
fn failure(checkpoint: &Checkpoint, dataset: Dataset) -> Option<String> {
    let of_the_dataset = lists_of(&checkpoint.resources).filter(|list| {
        let own = endpoint(list.resource).destinations.first();
        own.is_some_and(|destination| destination.dataset == dataset)
    });
    of_the_dataset
        .filter_map(|list| match &checkpoint.lists.get(&list.name())?.stage {
            Stage::Failed { reason } => Some(reason.clone()),
            _ => None,
        })
        .next()
}

/// The lists that a dataset is made of, and those that it needs besides.
fn needed(checkpoint: &Checkpoint, dataset: Dataset) -> impl Iterator<Item = ListName> {
    sources(checkpoint, dataset).flat_map(move |(endpoint, _)| {
        let destinations =
            endpoint.destinations.iter().filter(move |destination| destination.dataset == dataset);
        destinations
            .flat_map(|destination| destination.needs)
            .map(ListName::from)
            .chain([endpoint.name()])
    })
}

/// The reasons why lists that a dataset needs are left out.
fn gaps(checkpoint: &Checkpoint, dataset: Dataset) -> impl Iterator<Item = String> {
    needed(checkpoint, dataset).filter_map(|list| match &checkpoint.lists.get(&list)?.stage {
        Stage::Refused { code: reason } | Stage::Failed { reason } => Some(reason.clone()),
        _ => None,
    })
}

/// The opted-in lists whose rows go to a dataset, in the order of their sections.
fn sources(
    checkpoint: &Checkpoint,
    dataset: Dataset,
) -> impl Iterator<Item = (&'static Endpoint, Option<&ListProgress>)> {
    let mut sources: Vec<(u16, &'static Endpoint)> = lists_of(&checkpoint.resources)
        .filter_map(|endpoint| {
            let destination =
                endpoint.destinations.iter().find(|destination| destination.dataset == dataset)?;
            Some((destination.section, endpoint))
        })
        .collect();
    sources.sort_by_key(|&(section, _)| section);
    sources.into_iter().map(|(_, endpoint)| (endpoint, checkpoint.lists.get(&endpoint.name())))
}

/// The lists whose counts are stated for a dataset: those of its last resource in the table that
/// are not left out.
fn main_lists(checkpoint: &Checkpoint, dataset: Dataset) -> Vec<&ListProgress> {
    let is_written_to = |endpoint: &&Endpoint| {
        endpoint.destinations.iter().any(|destination| destination.dataset == dataset)
    };
    let lists: Vec<(Resource, &ListProgress)> = lists_of(&checkpoint.resources)
        .filter(is_written_to)
        .filter_map(|endpoint| Some((endpoint.resource, checkpoint.lists.get(&endpoint.name())?)))
        .filter(|(_, list)| !list.is_left_out())
        .collect();
    let main = lists.last().map(|&(resource, _)| resource);
    lists.into_iter().filter(|&(it, _)| Some(it) == main).map(|(_, list)| list).collect()
}

/// The parts of a dataset, in order: none if it failed, even if other lists of it were read.
fn parts(checkpoint: &Checkpoint, dataset: Dataset) -> impl Iterator<Item = &StoredPart> {
    let failed = failure(checkpoint, dataset).is_some();
    sources(checkpoint, dataset)
        .filter(move |_| !failed)
        .filter_map(|(_, list)| list)
        .flat_map(ListProgress::segments)
        .filter_map(move |segment: &Segment| segment.parts.get(&dataset))
}

/// Lines expected of a dataset; `None` if Clerk's counts do not tell.
fn expected(checkpoint: &Checkpoint, dataset: Dataset) -> Option<u64> {
    let count = |list: ListName| {
        let counted = checkpoint.lists.get(&list)?.source_count;
        counted.after.or(counted.before)
    };
    match dataset {
        Dataset::Entitlements => {
            let opted_in = |resource| checkpoint.resources.contains(&resource);
            let mut expected = 0;
            if opted_in(Resource::OrganizationPermissions) {
                expected += count(Resource::OrganizationPermissions.into())?;
            }
            if opted_in(Resource::Machines) {
                expected += count(Resource::Machines.into())?;
            }
            if opted_in(Resource::Organizations) {
                let roles = count(Resource::OrganizationRoles.into())?;
                expected += count(Resource::Organizations.into())? * (1 + roles);
            }
            Some(expected)
        }
        // Depends on the permissions of each role, and on which role keys resolve.
        Dataset::Grants => None,
        // Written in one go, when the users are done.
        Dataset::DailyActiveUsers => None,
        // One line a row.
        _ => sources(checkpoint, dataset).map(|(list, _)| count(list.name())).sum(),
    }
}
