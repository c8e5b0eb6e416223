//! Keeps the ids of stored rows, as hashes of 8 bytes, for the invocation that continues the run.
//!
//! - While a list is read that grants refer to, the ids of its rows are remembered. As soon as
//!   there are enough of them they are written to an
//!   [`ids_file`](crate::sync::checkpoint::ids_file).
//! - When all ids are needed, they come from memory, then from those files, then from the stored
//!   parts, which are read concurrently. Ids that were read from parts are written to files as
//!   well, so that an interrupted invocation leaves less to read for the next one.
//! - A file is used only if it has the checksum that the checkpoint states, and only for parts that
//!   are stored with the checksum and the number of rows that the file states. Otherwise the parts
//!   are read: a missing id would remove grants from the snapshot.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::PoisonError;

use clerk_snapshot::digest::Sha256Hex;
use clerk_snapshot::layout::snapshot_folder;
use clerk_store::{Condition, ContentType};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use tracing::{info, warn};

use crate::lists::endpoint::{Endpoint, ListName};
use crate::lists::id_index::hash_of;
use crate::sync::checkpoint::ids_file::{IdsOfPart, decode, encode, ids_key};
use crate::sync::checkpoint::json_error::Malformed;
use crate::sync::checkpoint::list_progress::{Segment, StoredPart};
use crate::sync::error::{Stop, SyncError};
use crate::sync::run::RunContext;
use crate::sync::run::remembered_ids::Collected;
use crate::sync::write::segment::each_line;

/// Files that are read concurrently.
const FILES_AT_ONCE: usize = 8;
/// Bytes of the parts that are read concurrently. They are in memory while no page is.
const PART_BYTES_AT_ONCE: u64 = 16 * 1024 * 1024;
/// Most parts that are read concurrently, however small.
const PARTS_AT_ONCE: u64 = 16;

/// Adds the ids of a stored segment: grants may refer to its rows from now on. `ids` is empty if no
/// list refers to this one.
///
/// # Errors
/// [`SyncError::LeaseLost`] or [`SyncError::Store`].
pub(crate) async fn add_segment(
    run: &RunContext,
    endpoint: &'static Endpoint,
    segment: &Segment,
    ids: Vec<u64>,
) -> Result<(), SyncError> {
    let Some(stored) = own_part(endpoint, segment).filter(|_| !ids.is_empty()) else {
        return Ok(());
    };
    if index_ids(run, endpoint, &ids) {
        return Ok(());
    }
    let part = &stored.part;
    let ids = IdsOfPart { key: part.key.clone(), sha256: part.sha256, hashes: ids.into() };
    match run.remembered_ids.add(endpoint.name(), ids) {
        Some(collected) => store(run, endpoint.name(), &collected, &[]).await,
        None => Ok(()),
    }
}

/// Adds ids to the index: grants may refer to these rows from now on. Returns whether the index has
/// all ids of the list; if not, they are loaded from the parts when they are needed.
pub(crate) fn index_ids(run: &RunContext, endpoint: &'static Endpoint, ids: &[u64]) -> bool {
    run.id_index.write().unwrap_or_else(PoisonError::into_inner).add(endpoint.resource, ids)
}

/// The ids of all stored rows of a list, in no order.
///
/// # Errors
/// [`Stop::Pause`] when time is up; the ids that were read until then are in files.
/// [`SyncError::Store`] or [`SyncError::PartLost`] if a part cannot be read.
pub(crate) async fn load(run: &RunContext, endpoint: &'static Endpoint) -> Result<Vec<u64>, Stop> {
    let list = endpoint.name();
    let parts: Vec<StoredPart> = run.list(list, |list| {
        list.segments().filter_map(|segment| own_part(endpoint, segment)).cloned().collect()
    });
    let mut loading = Loading::new(parts);
    for part in run.remembered_ids.take(list).parts {
        loading.take(&part);
    }
    let unusable = from_files(run, list, &mut loading).await?;
    from_parts(run, list, &mut loading, &unusable).await?;
    Ok(loading.ids)
}

/// The ids of a list while they are loaded.
struct Loading {
    ids: Vec<u64>,
    /// The parts whose ids are missing, by key.
    missing: BTreeMap<String, StoredPart>,
}

impl Loading {
    fn new(parts: Vec<StoredPart>) -> Self {
        let rows = parts.iter().map(|stored| stored.part.records).fold(0, u64::saturating_add);
        let mut ids = Vec::new();
        // Reserved at once, so that it is not copied while it grows. If the counts in the
        // checkpoint are wrong, this may fail although the ids would fit.
        if ids.try_reserve_exact(usize::try_from(rows).unwrap_or(usize::MAX)).is_err() {
            warn!(rows, "memory for the ids of all rows could not be reserved at once");
        }
        let missing = parts.into_iter().map(|stored| (stored.part.key.clone(), stored)).collect();
        Self { ids, missing }
    }

    /// Takes the ids of a part if they are missing and belong to the part as it is stored.
    fn take(&mut self, part: &IdsOfPart) -> bool {
        let is_missing = self.missing.get(&part.key).is_some_and(|stored| part.is_of(stored));
        if is_missing {
            self.missing.remove(&part.key);
            self.ids.extend_from_slice(&part.hashes);
        }
        is_missing
    }
}

/// Takes ids from the list's files. Returns the files that are of no use: missing, damaged, of
/// another format, or of parts that have all been replaced.
async fn from_files(
    run: &RunContext,
    list: ListName,
    loading: &mut Loading,
) -> Result<Vec<Sha256Hex>, Stop> {
    let files = run.list(list, |list| list.ids.clone());
    let reading = files.into_iter().map(|sha256| async move {
        let file = read_file(run, list, sha256).await;
        file.map(|file| (sha256, file))
    });
    let mut reading = stream::iter(reading).buffer_unordered(FILES_AT_ONCE);
    let mut unusable = Vec::new();
    while let Some(read) = reading.next().await {
        let (sha256, file) = read?;
        let mut is_used = false;
        for part in file.iter().flatten() {
            is_used |= loading.take(part);
        }
        if file.is_none() {
            warn!(list = %list, "a file of ids is missing or altered; reading the parts instead");
        }
        if !is_used {
            unusable.push(sha256);
        }
        run.check_time_left()?;
    }
    Ok(unusable)
}

/// The ids in a file; `None` if it is missing or does not have its checksum or format.
async fn read_file(
    run: &RunContext,
    list: ListName,
    sha256: Sha256Hex,
) -> Result<Option<Vec<IdsOfPart>>, SyncError> {
    let object = run.store.get(&whole_key(run, list, &sha256)).await?;
    let bytes = object.map(|object| object.bytes);
    Ok(bytes.filter(|bytes| Sha256Hex::of(bytes) == sha256).and_then(|bytes| decode(&bytes)))
}

/// Takes the ids that are still missing from the parts, and writes them to files.
async fn from_parts(
    run: &RunContext,
    list: ListName,
    loading: &mut Loading,
    unusable: &[Sha256Hex],
) -> Result<(), Stop> {
    let parts = std::mem::take(&mut loading.missing);
    if parts.len() > 1 {
        info!(list = %list, parts = parts.len(), "reading the ids of stored rows back");
    }
    let largest = parts.values().map(|stored| stored.part.bytes).max().unwrap_or_default();
    let at_once = (PART_BYTES_AT_ONCE / largest.max(1)).clamp(1, PARTS_AT_ONCE) as usize;
    let reading = parts.into_values().map(|stored| async move {
        let hashes = read_ids(run, &stored).await?.into();
        Ok::<_, SyncError>(IdsOfPart { key: stored.part.key, sha256: stored.part.sha256, hashes })
    });
    let mut reading = stream::iter(reading).buffer_unordered(at_once);
    let mut collected = Collected::default();
    while let Some(read) = reading.next().await {
        let part = read?;
        loading.ids.extend_from_slice(&part.hashes);
        collected.add(part);
        // Lets the lease be renewed: parsing a part takes a while.
        tokio::task::yield_now().await;
        if collected.fill_a_file() || run.check_time_left().is_err() {
            store(run, list, &std::mem::take(&mut collected), unusable).await?;
        }
        run.check_time_left()?;
    }
    // A single part is read as fast as a file.
    if collected.parts.len() > 1 || !unusable.is_empty() {
        store(run, list, &collected, unusable).await?;
    }
    Ok(())
}

/// Writes ids to a file, and commits a checkpoint that names it in place of the unusable files.
async fn store(
    run: &RunContext,
    list: ListName,
    collected: &Collected,
    unusable: &[Sha256Hex],
) -> Result<(), SyncError> {
    let mut stored = None;
    if !collected.parts.is_empty() {
        let bytes =
            encode(&collected.parts).map_err(|error| SyncError::Internal(error.to_string()))?;
        let sha256 = Sha256Hex::of(&bytes);
        run.leased.assure_held().await?;
        let key = whole_key(run, list, &sha256);
        run.store.put(&key, bytes, ContentType::Binary, Condition::Any).await?;
        stored = Some(sha256);
    }
    run.commit_list(list, |list| {
        list.ids.retain(|it| !unusable.contains(it) && Some(*it) != stored);
        list.ids.extend(stored);
    })
    .await?;
    run.work_limit.note_progress();
    Ok(())
}

fn whole_key(run: &RunContext, list: ListName, sha256: &Sha256Hex) -> String {
    let folder = run.leased.with_checkpoint(|checkpoint| snapshot_folder(&checkpoint.snapshot_id));
    format!("{folder}{}", ids_key(list, sha256))
}

/// The part of a segment in the list's own dataset.
fn own_part<'a>(endpoint: &Endpoint, segment: &'a Segment) -> Option<&'a StoredPart> {
    let own = endpoint.destinations.first()?;
    segment.parts.get(&own.dataset)
}

/// The ids of a segment's rows, by [`hash_of`]; `None` if the rows are not written.
///
/// # Errors
/// [`SyncError::Store`] or [`SyncError::PartLost`] if a part cannot be read.
pub(crate) async fn of_segment(
    run: &RunContext,
    endpoint: &Endpoint,
    segment: &Segment,
) -> Result<Option<Vec<u64>>, SyncError> {
    match own_part(endpoint, segment) {
        Some(part) => read_ids(run, part).await.map(Some),
        None => Ok(None),
    }
}

async fn read_ids(run: &RunContext, stored: &StoredPart) -> Result<Vec<u64>, SyncError> {
    let mut ids = Vec::new();
    each_line(run, stored, |line| {
        ids.push(hash_of(&id_of(line)?));
        Ok(())
    })
    .await?;
    Ok(ids)
}

/// The id of the row that a record was made of. The id of a resource stands near the beginning of
/// its line and is found without parsing the rest: a continued run does this for every user. For a
/// grant it is the id of its source, or of its principal if there is no source.
fn id_of(line: &str) -> Result<Cow<'_, str>, SyncError> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
        source: Option<Object>,
        principal: Option<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        id: String,
    }
    let at_the_start = || {
        let (kind, rest) = line.strip_prefix(r#"{"kind":"resource","type":""#)?.split_once('"')?;
        let (id, _) = rest.strip_prefix(r#","id":""#)?.split_once('"')?;
        // An escape sequence needs the parser.
        (!kind.contains('\\') && !id.contains('\\')).then_some(id)
    };
    match at_the_start() {
        Some(id) => Ok(Cow::Borrowed(id)),
        None => serde_json::from_str::<Line>(line)
            .map(|line| Cow::Owned(line.source.or(line.principal).map_or(line.id, |row| row.id)))
            .map_err(|error| {
                SyncError::Internal(format!(
                    "a stored record has no id: {}",
                    Malformed::from(error)
                ))
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_id_of_the_row_and_no_other_id() {
        for (line, id) in [
            (
                r#"{"kind":"resource","type":"user","id":"user_1","display_name":"\"id\":\"x"}"#,
                "user_1",
            ),
            (r#"{"kind":"resource","type":"user","id":"a\"b\u0041","display_name":"x"}"#, "a\"bA"),
            (r#"{"kind":"resource","type":"us\"er","id":"user_2"}"#, "user_2"),
            (r#"{"id":"user_3","kind":"resource","type":"user"}"#, "user_3"),
            (
                r#"{"kind":"grant","id":"g","source":{"type":"organization_membership","id":"m"}}"#,
                "m",
            ),
            (
                r#"{"kind":"grant","id":"g","principal":{"type":"machine","id":"m"},"source":null}"#,
                "m",
            ),
            (r#"{"kind":"grant","id":"g","source":null}"#, "g"),
        ] {
            assert_eq!(id_of(line).unwrap(), id, "{line}");
        }
        for line in ["", "{}", r#"{"kind":"resource","type":"user","id":"cut"#] {
            assert!(id_of(line).is_err(), "{line}");
        }
    }
}
