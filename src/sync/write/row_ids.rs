//! The ids of a list's rows, as hashes of eight bytes, for an invocation that continues a run.
//!
//! - While a list is read that grants refer to, the ids of its rows are remembered, and written to
//!   an [`ids_file`](crate::sync::checkpoint::ids_file) as soon as there are enough of them for one.
//! - When all of them are needed, they come from memory, from those files, and for the rest from the stored
//!   parts, read side by side. What had to be read from parts is written to files, too: an invocation
//!   that is interrupted here leaves less for the next one to read.
//! - A file counts only if it has the checksum that the checkpoint states, and only for parts
//!   that are stored with the checksum and the number of rows that the file states.
//!   Otherwise the parts are read themselves: an id that is missing would make grants disappear.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::PoisonError;

use clerk_snapshot::digest::Sha256Hex;
use clerk_store::{Condition, ContentType};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use tracing::{info, warn};

use crate::lists::endpoint::{Endpoint, ListName};
use crate::lists::id_index::hash_of;
use crate::sync::checkpoint::ids_file::{IdsOfPart, decode, encode, ids_key};
use crate::sync::checkpoint::list_progress::{Segment, StoredPart};
use crate::sync::error::Stop;
use crate::sync::run::Run;
use crate::sync::run::remembered_ids::Collected;
use crate::sync::write::segment::{each_line, snapshot_folder};

/// Files read side by side.
const FILES_AT_ONCE: usize = 8;
/// Bytes of parts that are read side by side: they are held in memory, when no page is.
const PART_BYTES_AT_ONCE: u64 = 16 * 1024 * 1024;
/// Parts that are read side by side, if they are small.
const PARTS_AT_ONCE: u64 = 16;

/// Rows have joined the snapshot, with these ids; grants may refer to them from now on. `ids` is empty where
/// nothing refers to the list.
///
/// # Errors
/// [`Stop::LeaseLost`] or [`Stop::Store`].
pub(crate) async fn note_stored(
    run: &Run,
    endpoint: &'static Endpoint,
    segment: &Segment,
    ids: Vec<u64>,
) -> Result<(), Stop> {
    let Some(stored) = own_part(endpoint, segment).filter(|_| !ids.is_empty()) else {
        return Ok(());
    };
    if note_ids(run, endpoint, &ids) {
        return Ok(());
    }
    let part = &stored.part;
    let ids = IdsOfPart { key: part.key.clone(), sha256: part.sha256, hashes: ids.into() };
    match run.remembered_ids.add(endpoint.name(), ids) {
        Some(collected) => store(run, endpoint.name(), &collected, &[]).await,
        None => Ok(()),
    }
}

/// Grants may refer to rows with these ids from now on. Gives whether all ids of the list are at hand; if not, a later
/// invocation finds these in the rows' parts.
pub(crate) fn note_ids(run: &Run, endpoint: &'static Endpoint, ids: &[u64]) -> bool {
    run.id_index.write().unwrap_or_else(PoisonError::into_inner).add(endpoint.resource, ids)
}

/// The ids of all rows of a list that are stored, in no order.
///
/// # Errors
/// [`Stop::Exhausted`] when time is up; what has been read until then is in files, and need not be read
/// again. [`Stop::Store`] or [`Stop::PartLost`] when a part cannot be read.
pub(crate) async fn load(run: &Run, endpoint: &'static Endpoint) -> Result<Vec<u64>, Stop> {
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

/// Ids of a list while they are collected.
struct Loading {
    ids: Vec<u64>,
    /// Parts of which they are missing, by key.
    missing: BTreeMap<String, StoredPart>,
}

impl Loading {
    fn new(parts: Vec<StoredPart>) -> Self {
        let rows = parts.iter().map(|stored| stored.part.records).fold(0, u64::saturating_add);
        let mut ids = Vec::new();
        // In one piece, so that it need not be moved while it grows. If there is no room for it that
        // shows later, at what is really there.
        if ids.try_reserve_exact(usize::try_from(rows).unwrap_or(usize::MAX)).is_err() {
            warn!(rows, "memory for the ids of all rows could not be reserved at once");
        }
        let missing = parts.into_iter().map(|stored| (stored.part.key.clone(), stored)).collect();
        Self { ids, missing }
    }

    /// Takes the ids of a part if they are missing, and are those of the part as it is stored.
    fn take(&mut self, part: &IdsOfPart) -> bool {
        let is_missing = self.missing.get(&part.key).is_some_and(|stored| part.is_of(stored));
        if is_missing {
            self.missing.remove(&part.key);
            self.ids.extend_from_slice(&part.hashes);
        }
        is_missing
    }
}

/// Takes ids from the list's files. Gives the files that are of no use: gone, damaged, of another
/// version, or of parts that have all been replaced.
async fn from_files(
    run: &Run,
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
            warn!(list = %list, "a file of ids is gone or altered; the parts are read instead");
        }
        if !is_used {
            unusable.push(sha256);
        }
        run.may_go_on()?;
    }
    Ok(unusable)
}

/// A file's ids, if it is there as it was written.
async fn read_file(
    run: &Run,
    list: ListName,
    sha256: Sha256Hex,
) -> Result<Option<Vec<IdsOfPart>>, Stop> {
    let object = run.store.get(&whole_key(run, list, &sha256)).await?;
    let bytes = object.map(|object| object.bytes);
    Ok(bytes.filter(|bytes| Sha256Hex::of(bytes) == sha256).and_then(|bytes| decode(&bytes)))
}

/// Takes what is still missing from the parts themselves, and writes it to files.
async fn from_parts(
    run: &Run,
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
        Ok::<_, Stop>(IdsOfPart { key: stored.part.key, sha256: stored.part.sha256, hashes })
    });
    let mut reading = stream::iter(reading).buffer_unordered(at_once);
    let mut collected = Collected::default();
    while let Some(read) = reading.next().await {
        let part = read?;
        loading.ids.extend_from_slice(&part.hashes);
        collected.add(part);
        // Whoever renews the lease has its turn: a part takes a while.
        tokio::task::yield_now().await;
        if collected.fill_a_file() || run.may_go_on().is_err() {
            store(run, list, &std::mem::take(&mut collected), unusable).await?;
        }
        run.may_go_on()?;
    }
    // One part is as soon read as a file.
    if collected.parts.len() > 1 || !unusable.is_empty() {
        store(run, list, &collected, unusable).await?;
    }
    Ok(())
}

/// Writes ids to a file that the checkpoint names from then on, in place of those that are of no use.
async fn store(
    run: &Run,
    list: ListName,
    collected: &Collected,
    unusable: &[Sha256Hex],
) -> Result<(), Stop> {
    let mut stored = None;
    if !collected.parts.is_empty() {
        let bytes = encode(&collected.parts).map_err(|error| Stop::Internal(error.to_string()))?;
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

fn whole_key(run: &Run, list: ListName, sha256: &Sha256Hex) -> String {
    format!("{}{}", run.leased.read(snapshot_folder), ids_key(list, sha256))
}

/// The part of a list's own dataset.
fn own_part<'a>(endpoint: &Endpoint, segment: &'a Segment) -> Option<&'a StoredPart> {
    let own = endpoint.feeds.first()?;
    segment.parts.get(&own.dataset)
}

/// The ids of a segment's rows, by [`hash_of`]; `None` where they are not written.
///
/// # Errors
/// [`Stop::Store`] or [`Stop::PartLost`] when a part cannot be read.
pub(crate) async fn of_segment(
    run: &Run,
    endpoint: &Endpoint,
    segment: &Segment,
) -> Result<Option<Vec<u64>>, Stop> {
    match own_part(endpoint, segment) {
        Some(part) => read_ids(run, part).await.map(Some),
        None => Ok(None),
    }
}

async fn read_ids(run: &Run, stored: &StoredPart) -> Result<Vec<u64>, Stop> {
    let mut ids = Vec::new();
    each_line(run, stored, |line| {
        ids.push(hash_of(&id_of(line)?));
        Ok(())
    })
    .await?;
    Ok(ids)
}

/// The id of the row that a record was made of. A resource's stands near the beginning: there it is
/// found without reading the rest, which a continued run would pay for with every user. A grant has its
/// source's, or its principal's where that says so itself.
fn id_of(line: &str) -> Result<Cow<'_, str>, Stop> {
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
    let at_its_place = || {
        let (kind, rest) = line.strip_prefix(r#"{"kind":"resource","type":""#)?.split_once('"')?;
        let (id, _) = rest.strip_prefix(r#","id":""#)?.split_once('"')?;
        // An escape would have to be resolved.
        (!kind.contains('\\') && !id.contains('\\')).then_some(id)
    };
    match at_its_place() {
        Some(id) => Ok(Cow::Borrowed(id)),
        None => serde_json::from_str::<Line>(line)
            .map(|line| Cow::Owned(line.source.or(line.principal).map_or(line.id, |row| row.id)))
            .map_err(|error| Stop::Internal(format!("a stored record has no id: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However a record is written, its own id is found, and none that stands elsewhere in it.
    #[test]
    fn the_id_of_a_record_is_its_own() {
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
