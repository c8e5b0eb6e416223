//! Builds a segment from the rows of some pages, and stores its parts.
//!
//! Parts are stored before the checkpoint names them. A part that no checkpoint names is removed
//! when the snapshot is published.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Bytes;
use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::layout::snapshot_folder;
use clerk_snapshot::part::{FinishedPart, Lines, Part, PartBuilder, extension};
use clerk_snapshot::part_name::{PartPosition, part_key};
use clerk_snapshot::resource::Dataset;
use clerk_snapshot::timestamp::Day;
use clerk_store::{Condition, ContentType};
use futures_util::future::join_all;

use crate::clock::Clock;
use crate::lists::endpoint::{Destination, Endpoint};
use crate::lists::id_index::hash_of;
use crate::lists::page::{ReadPage, RowKey};
use crate::paging::reader::fetched;
use crate::sync::checkpoint::daily_counts::DailyCounts;
use crate::sync::checkpoint::list_progress::{Segment, StoredPart};
use crate::sync::error::SyncError;
use crate::sync::run::RunContext;
use crate::translate::Role;

/// A segment that is not stored yet.
pub(crate) struct SegmentBuilder<'a> {
    run: &'a RunContext,
    endpoint: &'static Endpoint,
    /// Empty before the first page: a compressor takes 256 KiB, and a walk that waits for its first
    /// page needs none.
    parts: Vec<PartBuilder>,
    rows: u64,
    first: Option<RowKey>,
    last: Option<RowKey>,
    /// Whether rows of other lists refer to the rows of this one.
    is_referred_to: bool,
    ids: Vec<u64>,
    unchecked_users: Vec<u64>,
    roles: Vec<Role>,
    pages: usize,
    dangling_principals: u64,
    dangling_resources: u64,
    unresolved_role_keys: BTreeMap<String, u64>,
    unreadable_fields: BTreeMap<String, u64>,
    /// The days for which active users are counted; `None` if they are not opted in.
    days: Option<RangeInclusive<Day>>,
    active: DailyCounts,
    clock: Clock,
}

/// The rows and grants of a page that are left out because what they refer to no longer exists.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dangling {
    /// The user or machine that would hold them no longer exists.
    pub principals: u64,
    /// What they are held on no longer exists: an organization, a permission or a machine.
    pub resources: u64,
}

/// The position of a segment in its list. It becomes part of the part names, so that their order is
/// that of the rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentId {
    /// The number of its window.
    pub window: u32,
    /// Its sequence number in the window.
    pub sequence: u32,
}

/// A segment whose parts are stored, and which the checkpoint does not name yet.
#[derive(Debug, Default)]
pub(crate) struct StoredSegment {
    /// `None` if it has no rows.
    pub segment: Option<Segment>,
    /// The roles among its rows, for the catalogue.
    pub roles: Vec<Role>,
    /// Hashed ids of its rows, if other lists refer to them.
    pub ids: Vec<u64>,
    /// Hashed ids of the users that its rows refer to, if they are still to be checked.
    pub unchecked_users: Vec<u64>,
}

/// Compressed bytes from which on a part is stored. It is kept in memory until then.
pub(crate) const FULL_PART: usize = 4 * 1024 * 1024;

impl<'a> SegmentBuilder<'a> {
    /// An empty segment.
    pub(crate) fn new(run: &'a RunContext, endpoint: &'static Endpoint) -> Self {
        Self {
            run,
            endpoint,
            parts: Vec::new(),
            rows: 0,
            first: None,
            last: None,
            is_referred_to: run.is_referred_to(endpoint.name()),
            ids: Vec::new(),
            unchecked_users: Vec::new(),
            roles: Vec::new(),
            pages: 0,
            dangling_principals: 0,
            dangling_resources: 0,
            unresolved_role_keys: BTreeMap::new(),
            unreadable_fields: BTreeMap::new(),
            days: run.days_counted(),
            active: DailyCounts::default(),
            clock: run.clock.clone(),
        }
    }

    /// Adds the kept rows of a page.
    ///
    /// # Errors
    /// If a compressor fails.
    pub(crate) fn add(&mut self, page: &ReadPage) -> Result<(), SyncError> {
        self.pages += 1;
        self.unchecked_users.extend_from_slice(&page.unchecked_users);
        for row in page.kept_rows() {
            self.rows += 1;
            if self.first.is_none() {
                self.first = Some(row.key.clone());
            }
            if self.is_referred_to {
                self.ids.push(hash_of(&row.key.id));
            }
            self.roles.extend(row.role.as_deref().cloned());
            if let Some(key) = row.unresolved_role_key.as_ref().filter(|_| !row.dangling) {
                *self.unresolved_role_keys.entry(key.clone()).or_default() += 1;
            }
            self.dangling_principals += u64::from(row.belongs_to_nobody);
            self.run.note_unreadable(self.endpoint, row);
            row.count_unreadable(&mut self.unreadable_fields);
        }
        if let Some(days) = &self.days {
            self.active.add(days, page.kept_rows());
        }
        if let Some(row) = page.kept_rows().last() {
            self.last = Some(row.key.clone());
        }
        let fetched = fetched(page, &self.clock);
        let destinations = self.run.destinations(self.endpoint);
        while self.parts.len() < destinations.len() {
            self.parts.push(PartBuilder::new(self.run.output.compression)?);
        }
        for (position, (destination, part)) in destinations.iter().zip(&mut self.parts).enumerate()
        {
            part.add_lines(&page.kept_lines(position, destination.dataset), fetched)?;
        }
        Ok(())
    }

    /// Counts what is left out of a page because what it refers to no longer exists.
    pub(crate) const fn add_dangling(&mut self, dangling: Dangling) {
        self.dangling_principals += dangling.principals;
        self.dangling_resources += dangling.resources;
    }

    /// Pages that were added.
    #[must_use]
    pub(crate) const fn pages(&self) -> usize {
        self.pages
    }

    /// Whether it is large enough to be stored, whatever the number of pages.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.parts.iter().map(PartBuilder::size).sum::<usize>() >= FULL_PART
    }

    /// Stores the parts at this position of the list. The caller then commits the checkpoint that names them.
    ///
    /// # Errors
    /// [`SyncError::LeaseLost`] or [`SyncError::Store`].
    pub(crate) async fn store(self, id: SegmentId) -> Result<StoredSegment, SyncError> {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return Ok(StoredSegment { roles: self.roles, ..StoredSegment::default() });
        };
        let destinations = self.run.destinations(self.endpoint);
        let mut finished = Vec::new();
        // Frees the compressors, of 256 KiB each, before anything is awaited: many segments may
        // wait at a time.
        for (destination, part) in destinations.iter().zip(self.parts) {
            finished.extend(part.finish()?.map(|part| (destination, part)));
        }
        let storing = finished
            .into_iter()
            .map(|(destination, part)| store_part(self.run, destination, id, part));
        // All of them are awaited even if one fails, so that no write is under way when the error
        // is handled and the folder is listed.
        let parts: BTreeMap<Dataset, StoredPart> =
            join_all(storing).await.into_iter().collect::<Result<_, _>>()?;
        Ok(StoredSegment {
            segment: Some(Segment {
                sequence: id.sequence,
                rows: self.rows,
                first,
                last,
                parts,
                dangling_principals: self.dangling_principals,
                dangling_resources: self.dangling_resources,
                unresolved_role_keys: self.unresolved_role_keys,
                unreadable_fields: self.unreadable_fields,
                users_unchecked: !self.unchecked_users.is_empty(),
                active: self.active,
            }),
            roles: self.roles,
            ids: self.ids,
            unchecked_users: self.unchecked_users,
        })
    }
}

/// Reads a part back that the checkpoint names.
///
/// # Errors
/// [`SyncError::PartLost`] if it is missing or does not have its checksum, or [`SyncError::Store`].
pub(crate) async fn read_part(run: &RunContext, stored: &StoredPart) -> Result<Bytes, SyncError> {
    let key = whole_key(run, stored);
    let object = run.store.get(&key).await?;
    object
        .map(|object| object.bytes)
        .filter(|bytes| Sha256Hex::of(bytes) == stored.part.sha256)
        .ok_or_else(|| SyncError::PartLost(run.store.url_of(&key)))
}

/// Reads a part back that the checkpoint names, and passes its lines to `take` in order.
///
/// # Errors
/// As [`read_part`], and those of `take`.
pub(crate) async fn each_line(
    run: &RunContext,
    stored: &StoredPart,
    mut take: impl FnMut(&str) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    let bytes = read_part(run, stored).await?;
    let mut lines = Lines::of(run.output.compression, &bytes, stored.part.records)?;
    let mut line = String::new();
    while lines.next_into(&mut line)? {
        take(&line)?;
    }
    Ok(())
}

/// A part's key below `SNAPSHOT_URL`.
pub(crate) fn whole_key(run: &RunContext, stored: &StoredPart) -> String {
    run.leased.with_checkpoint(|checkpoint| {
        format!("{}{}", snapshot_folder(&checkpoint.snapshot_id), stored.part.key)
    })
}

/// Stores a part under a name made of its position and its checksum. Checks the lease first, because the write is not
/// conditional on it.
///
/// # Errors
/// [`SyncError::LeaseLost`], [`SyncError::Store`], or [`SyncError::Internal`] if the numbers of part names are used up.
pub(crate) async fn store_part(
    run: &RunContext,
    &Destination { dataset, section, .. }: &Destination,
    id: SegmentId,
    finished: FinishedPart,
) -> Result<(Dataset, StoredPart), SyncError> {
    let _counted = run.client.count_bytes(finished.bytes.len());
    run.leased.assure_held().await?;
    let SegmentId { window, sequence } = id;
    let position = PartPosition { section, window, sequence };
    let sha256 = finished.sha256.to_string();
    let key = part_key(dataset, position, &sha256, extension(run.output.compression))?;
    let path = run
        .leased
        .with_checkpoint(|checkpoint| format!("{}{key}", snapshot_folder(&checkpoint.snapshot_id)));
    let bytes = finished.bytes.len() as u64;
    run.store.put(&path, finished.bytes, ContentType::Ndjson, Condition::Any).await?;
    let part = Part {
        key,
        records: finished.records,
        bytes,
        sha256: finished.sha256,
        fetched_from: finished.fetched.0,
        fetched_to: finished.fetched.1,
    };
    Ok((dataset, StoredPart { part, digest: finished.digest }))
}
