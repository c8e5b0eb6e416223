//! Decodes one page of a list into the keys of its rows and the lines to write.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use clerk_snapshot::buffers::Buffers;
use clerk_snapshot::records::Records;
use clerk_snapshot::resource::{Dataset, Resource};
use clerk_snapshot::timestamp::Timestamp;
use clerk_snapshot::timestamp::{Day, day_of};
use clerk_store::quoted::Quoted;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::clerk::bytes_in_flight::Room;
use crate::clerk::error::Unreadable;
use crate::clerk::wire::{self, DecodeError};
use crate::lists::id_index::{IdIndex, hash_of};
use crate::translate::{References, Role, Row, Translation};

/// Most datasets that one list is written to.
pub const MAX_DESTINATIONS: usize = 2;

/// What decoding a page needs.
#[derive(Debug)]
pub struct PageContext {
    /// How rows become records.
    pub translation: Translation,
    /// The datasets to produce lines for.
    pub datasets: Vec<Dataset>,
    /// The ids that the snapshot holds, to detect references to missing rows.
    pub id_index: Arc<RwLock<IdIndex>>,
    /// Buffers for the lines.
    pub buffers: Buffers,
}

impl PageContext {
    /// A context for checking that a list can be read, without producing lines.
    #[must_use]
    pub fn without_lines() -> Self {
        Self {
            translation: Translation::default(),
            datasets: Vec::new(),
            id_index: Arc::default(),
            buffers: Buffers::default(),
        }
    }
}

/// A page whose rows have been translated into lines.
#[derive(Debug)]
pub struct ReadPage {
    /// Clerk's `total_count`, if the list has one.
    pub total: Option<u64>,
    /// Its rows in Clerk's order.
    pub rows: Vec<ReadRow>,
    /// Their lines.
    pub records: Records,
    /// When the page was requested and when it had arrived; set by the reader.
    pub fetched: Option<(Timestamp, Timestamp)>,
    /// The memory reserved for its lines until they are stored; set by the reader.
    pub room: Option<Room>,
    /// Hashes of the users its rows refer to, if users were still being read when this page was decoded.
    pub unchecked_users: Vec<u64>,
}

/// One row of a page.
#[derive(Debug)]
pub struct ReadRow {
    /// The row's id and creation time.
    pub key: RowKey,
    /// Whether it is new: the pager drops rows that an earlier page had. A row that is new and `dangling` counts as read,
    /// but has no lines.
    pub kept: bool,
    /// Whether it refers to a row that no longer exists, so that its lines are left out.
    pub dangling: bool,
    /// Whether it is a grant without a holder, which has no lines.
    pub belongs_to_nobody: bool,
    /// Fields that are `null` in its lines because their values could not be read.
    pub unreadable: Vec<String>,
    /// Indexes of the grants left out because their permission or machine no longer exists.
    pub left_out: Vec<usize>,
    /// How many lines it has in each dataset of the context.
    pub lines: [u32; MAX_DESTINATIONS],
    /// Its references, if at least one was not in the snapshot when the page was decoded.
    pub unresolved_references: Option<Box<UnresolvedReferences>>,
    /// Its role key, if no role has that key.
    pub unresolved_role_key: Option<String>,
    /// The day on which the user was last active, if the row is a user.
    pub active_on: Option<Day>,
    /// The role, if the row is one, for the role catalogue.
    pub role: Option<Box<Role>>,
}

impl ReadRow {
    const fn is_written(&self) -> bool {
        self.kept && !self.dangling
    }

    /// Adds its unreadable fields to the row counts by field. A row that is left out counts for none.
    pub fn count_unreadable(&self, rows_by_field: &mut BTreeMap<String, u64>) {
        for field in self.unreadable.iter().filter(|_| self.is_written()) {
            *rows_by_field.entry(field.clone()).or_default() += 1;
        }
    }
}

/// All ids that a row refers to, at least one of which was not in the snapshot.
#[derive(Debug)]
pub struct UnresolvedReferences {
    /// Its user.
    pub user: Option<String>,
    /// Its organization.
    pub organization: Option<String>,
    /// Its permissions, one per grant.
    pub permissions: Vec<String>,
    /// The machine that the row describes.
    pub machine: Option<String>,
    /// Its machines, one per grant.
    pub machines: Vec<String>,
}

impl UnresolvedReferences {
    /// The ids that belong to `resource`.
    #[must_use]
    pub fn of(&self, resource: Resource) -> Vec<&String> {
        match resource {
            Resource::Users => self.user.iter().collect(),
            Resource::Organizations => self.organization.iter().collect(),
            Resource::Machines => self.machine.iter().chain(&self.machines).collect(),
            _ => self.permissions.iter().collect(),
        }
    }
}

/// Identifies a row and its position in an ascending list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "(String, Option<i64>)")]
pub struct RowKey {
    /// Clerk's id.
    pub id: String,
    /// Milliseconds since 1970.
    pub created_at: Option<i64>,
}

impl From<(String, Option<i64>)> for RowKey {
    fn from((id, created_at): (String, Option<i64>)) -> Self {
        Self { id, created_at }
    }
}

impl Serialize for RowKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.id, self.created_at).serialize(serializer)
    }
}

/// Why a page cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The body violates Clerk's API.
    #[error(transparent)]
    Page(#[from] DecodeError),
    /// A row lacks a required field.
    #[error("{}", .0.on("its page"))]
    Row(RowError),
}

/// A row that lacks a required field.
#[derive(Debug)]
pub struct RowError {
    /// Index in the page, from 0.
    index: usize,
    /// Its id, if readable.
    id: Option<String>,
    /// What is wrong.
    problem: DecodeError,
}

impl RowError {
    fn new(index: usize, raw: &RawValue, problem: DecodeError) -> Self {
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow, deserialize_with = "wire::identifier")]
            id: wire::Text<'a>,
        }
        let named = serde_json::from_str::<Named<'_>>(raw.get()).ok();
        Self { index, id: named.map(|row| row.id.to_string()), problem }
    }

    /// `` `key` of row "perm_1" (row 17 of the page at offset 499): missing ``
    fn on(&self, page: &str) -> String {
        let Self { index, id, problem: DecodeError { path, problem } } = self;
        let field = if path == "." { String::new() } else { format!("`{path}` of ") };
        match id {
            Some(id) => format!("{field}row {} (row {index} of {page}): {problem}", Quoted(id)),
            None => format!("{field}row {index} of {page}: {problem}"),
        }
    }
}

impl PageError {
    /// Converts the error, naming the page in its list, such as `the page at offset 499`.
    #[must_use]
    pub fn on(self, page: &str) -> Unreadable {
        Unreadable(match self {
            Self::Page(error) => error.to_string(),
            Self::Row(error) => error.on(page),
        })
    }
}

impl From<PageError> for Unreadable {
    fn from(error: PageError) -> Self {
        error.on("its page")
    }
}

impl ReadPage {
    /// A page without rows.
    #[must_use]
    pub fn empty(datasets: &[Dataset]) -> Self {
        Self {
            total: None,
            rows: Vec::new(),
            records: Records::new(datasets),
            fetched: None,
            room: None,
            unchecked_users: Vec::new(),
        }
    }

    /// The lines to write for the dataset at index `destination` of the context. Borrowed if no row between them is
    /// dropped.
    pub fn kept_lines(&self, destination: usize, dataset: Dataset) -> Cow<'_, [u8]> {
        let written = |row: &ReadRow| row.is_written() && row.left_out.is_empty();
        let begin = self.rows.iter().position(written).unwrap_or(self.rows.len());
        let end = self.rows.iter().rposition(ReadRow::is_written).map_or(begin, |row| row + 1);
        if self.rows[..begin].iter().all(|row| !row.is_written())
            && self.rows[begin..end].iter().all(written)
        {
            let count = |rows: &[ReadRow]| {
                rows.iter().map(|row| row.lines[destination] as usize).sum::<usize>()
            };
            let before = count(&self.rows[..begin]);
            let lines = before..before + count(&self.rows[begin..end]);
            return Cow::Borrowed(self.records.bytes_of(dataset, lines));
        }
        let mut lines = self.records.lines(dataset);
        let mut kept = Vec::new();
        for row in &self.rows {
            for (index, line) in lines.by_ref().take(row.lines[destination] as usize).enumerate() {
                let left_out = dataset == Dataset::Grants && row.left_out.contains(&index);
                if row.is_written() && !left_out {
                    kept.extend_from_slice(line);
                }
            }
        }
        Cow::Owned(kept)
    }

    /// The lines of one row for the dataset at index `destination` of the context.
    pub fn lines_of(&self, row: usize, destination: usize, dataset: Dataset) -> Vec<u8> {
        let before: u32 = self.rows[..row].iter().map(|row| row.lines[destination]).sum();
        let lines = self.records.lines(dataset).skip(before as usize);
        lines.take(self.rows[row].lines[destination] as usize).flatten().copied().collect()
    }

    /// The rows that are new, including dangling ones.
    pub fn kept_rows(&self) -> impl Iterator<Item = &ReadRow> {
        self.rows.iter().filter(|row| row.kept)
    }
}

/// Fields that a list's rows must have.
#[derive(Debug, Clone, Copy)]
pub struct Needed {
    /// Whether `created_at` is required, because the list is ordered by creation.
    pub created_at: bool,
    /// Further required fields, by Clerk's names, with dots for nested ones.
    pub fields: &'static [&'static str],
}

impl Needed {
    /// Whether the row requires this field, or a field inside it.
    fn has(&self, field: &str) -> bool {
        let is_or_holds = |needed: &&str| {
            needed.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        field == "id"
            || (self.created_at && field == "created_at")
            || self.fields.iter().any(is_or_holds)
    }
}

/// Decodes a page in one pass. `None` if any value is of the wrong type; the page is then decoded with [`read_rows`].
/// The body is a bare array or `{"data":[…],"total_count":n}`.
pub fn read_page<'a, R: Row + Deserialize<'a>>(
    body: &'a [u8],
    context: &PageContext,
    needed: Needed,
) -> Option<ReadPage> {
    let mut decoder = PageDecoder::new(context, needed);
    let add = |wire::Object(row): wire::Object<R>| decoder.add(row, None, Vec::new());
    let total_count = wire::decode_rows(body, add).ok()?;
    Some(decoder.end(total_count))
}

/// Decodes one row.
pub type RowReader = for<'a> fn(&'a str) -> serde_json::Result<Box<dyn Row + 'a>>;

/// Decodes a page row by row through a pointer, so that little code is compiled per list.
///
/// Used for short lists, since a function that is loaded at every cold start should not contain [`read_page`] twenty
/// times, and for pages with values of the wrong type.
///
/// # Errors
/// [`PageError`]; it names the field, never the value.
pub fn read_rows(
    body: &[u8],
    context: &PageContext,
    needed: Needed,
    read: RowReader,
) -> Result<ReadPage, PageError> {
    let page: wire::Page<&RawValue> = wire::decode_page(body)?;
    let mut decoder = PageDecoder::new(context, needed);
    for (index, raw) in page.rows.into_iter().enumerate() {
        let added = match read(raw.get()) {
            Ok(row) => decoder.add(row, Some(raw), Vec::new()),
            Err(problem) => decoder.add_repaired(raw, problem, read),
        };
        added.map_err(|problem| PageError::Row(RowError::new(index, raw, problem)))?;
    }
    Ok(decoder.end(page.total_count))
}

/// The [`RowReader`] of a row type.
///
/// # Errors
/// If the JSON does not have the type's shape.
pub fn read_row<'a, R: Row + Deserialize<'a> + 'a>(
    json: &'a str,
) -> serde_json::Result<Box<dyn Row + 'a>> {
    let wire::Object(row) = serde_json::from_str::<wire::Object<R>>(json)?;
    Ok(Box::new(row))
}

/// A page being decoded.
struct PageDecoder<'c> {
    context: &'c PageContext,
    needed: Needed,
    /// Locked once per page.
    id_index: RwLockReadGuard<'c, IdIndex>,
    records: Records,
    rows: Vec<ReadRow>,
    unchecked_users: Vec<u64>,
    /// Lines written so far to each dataset of the context.
    written: [u64; MAX_DESTINATIONS],
}

impl<'c> PageDecoder<'c> {
    fn new(context: &'c PageContext, needed: Needed) -> Self {
        Self {
            context,
            needed,
            id_index: context.id_index.read().unwrap_or_else(PoisonError::into_inner),
            records: Records::in_buffers(&context.datasets, &context.buffers),
            rows: Vec::new(),
            unchecked_users: Vec::new(),
            written: [0; MAX_DESTINATIONS],
        }
    }

    /// Adds a row in which some values are of the wrong type.
    fn add_repaired(
        &mut self,
        raw: &RawValue,
        problem: serde_json::Error,
        read: RowReader,
    ) -> Result<(), DecodeError> {
        let is_needed = |field: &str| self.needed.has(field);
        let problem_of = |json: &str| read(json).err();
        let wire::Repaired { json, unreadable } =
            wire::repair(raw.get(), problem, is_needed, problem_of)?;
        let row = read(&json).map_err(|error| DecodeError::new(&json, &error))?;
        self.add(row, Some(raw), unreadable.into_iter().collect())
    }

    fn add<R: Row>(
        &mut self,
        mut row: R,
        raw: Option<&RawValue>,
        mut unreadable: Vec<String>,
    ) -> Result<(), DecodeError> {
        let translation = &self.context.translation;
        let created_at = row.created_at();
        if self.needed.created_at && created_at.is_none() {
            return Err(DecodeError::missing("created_at"));
        }
        if let Some(redaction) = &translation.redaction {
            row.redact(redaction);
        }
        row.translate(raw, translation, &mut self.records);
        let mut lines = [0; MAX_DESTINATIONS];
        let datasets = self.context.datasets.iter();
        for ((&dataset, written), lines) in datasets.zip(&mut self.written).zip(&mut lines) {
            let before = std::mem::replace(written, self.records.count(dataset));
            *lines = (*written - before) as u32;
        }
        let unresolved = std::mem::take(&mut self.records.unresolved_role_keys);
        if std::mem::take(&mut self.records.raw_is_unreadable) {
            unreadable.push("raw".to_owned());
        }
        let key = RowKey { id: row.id().to_owned(), created_at };
        let belongs_to_nobody = row.belongs_to_nobody();
        let unresolved_references =
            if belongs_to_nobody { None } else { self.unresolved(row.references()) };
        self.rows.push(ReadRow {
            kept: !is_repeated(&self.rows, &key),
            key,
            dangling: false,
            belongs_to_nobody,
            unreadable,
            left_out: Vec::new(),
            lines,
            unresolved_references: unresolved_references.map(Box::new),
            unresolved_role_key: unresolved.into_keys().next(),
            active_on: row.last_active_at().map(day_of),
            role: row.role().map(Box::new),
        });
        Ok(())
    }

    /// The row's references, if any is missing from the snapshot. Also records its user while users are still being
    /// read.
    fn unresolved(&mut self, references: References<'_>) -> Option<UnresolvedReferences> {
        if self.id_index.is_pending(Resource::Users) {
            self.unchecked_users.extend(references.user.map(hash_of));
        }
        unresolved(references, &self.id_index)
    }

    fn end(self, total: Option<u64>) -> ReadPage {
        let Self { mut records, rows, unchecked_users, .. } = self;
        // The page may have to wait before it is stored.
        records.shrink();
        ReadPage { total, rows, records, fetched: None, room: None, unchecked_users }
    }
}

/// Whether the page has had this row before. The first occurrence counts.
fn is_repeated(rows: &[ReadRow], key: &RowKey) -> bool {
    let of_the_same_time = rows.iter().rev().take_while(|row| row.key.created_at == key.created_at);
    of_the_same_time.into_iter().any(|row| row.key.id == key.id)
}

fn unresolved(references: References<'_>, id_index: &IdIndex) -> Option<UnresolvedReferences> {
    let mut all = references
        .user
        .map(|id| (Resource::Users, id))
        .into_iter()
        .chain(references.organization.map(|id| (Resource::Organizations, id)))
        .chain(references.permissions.iter().map(|&id| (Resource::OrganizationPermissions, id)))
        .chain(
            references
                .machine
                .iter()
                .chain(&references.machines)
                .map(|&id| (Resource::Machines, id)),
        );
    (!all.all(|(resource, id)| id_index.has(resource, id))).then(|| UnresolvedReferences {
        user: references.user.map(str::to_owned),
        organization: references.organization.map(str::to_owned),
        permissions: references.permissions.iter().map(|&id| id.to_owned()).collect(),
        machine: references.machine.map(str::to_owned),
        machines: references.machines.iter().map(|&id| id.to_owned()).collect(),
    })
}
