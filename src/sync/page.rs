//! One page of a list: its rows' places, and the lines they become.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clerk::error::Unreadable;
use crate::clerk::wire::{self, DecodeError};
use crate::clock::Timestamp;
use crate::resource::{Dataset, Resource};
use crate::snapshot::records::Records;
use crate::snapshot::translate::{References, Role, Row, TranslateError, Translation};

use super::activity::{Day, day_of};
use super::endpoint::MOST_FEEDS;
use super::known::Known;

/// What reading a page needs to know.
#[derive(Debug)]
pub struct PageContext {
    /// How rows become records.
    pub translation: Translation,
    /// The datasets whose lines are wanted.
    pub datasets: Vec<Dataset>,
    /// What the snapshot holds already, where rows refer to it.
    pub known: Arc<RwLock<Known>>,
}

impl PageContext {
    /// For a look at a list whose rows are not wanted.
    #[must_use]
    pub fn for_check() -> Self {
        Self { translation: Translation::default(), datasets: Vec::new(), known: Arc::default() }
    }
}

/// A page whose rows have become lines.
#[derive(Debug)]
pub struct ReadPage {
    /// Clerk's `total_count`, where the list gives one.
    pub total: Option<u64>,
    /// Its rows as Clerk ordered them.
    pub rows: Vec<ReadRow>,
    /// Their lines.
    pub records: Records,
    /// When the page was asked for and had arrived; set by the walk.
    pub fetched: Option<(Timestamp, Timestamp)>,
}

/// One row of a page.
#[derive(Debug)]
pub struct ReadRow {
    /// Its place in the list.
    pub key: RowKey,
    /// Whether its lines are to be written; a seam drops rows that stand in an earlier page.
    pub kept: bool,
    /// Whether it refers to something that is gone, so that its lines are left out.
    pub dangling: bool,
    /// Which of its grants are left out, because the permission or machine they are about is gone.
    pub left_out: Vec<usize>,
    /// How many lines it became, in each dataset of the context.
    pub lines: [u32; MOST_FEEDS],
    /// What it refers to and the snapshot did not hold when the page was read.
    pub unknown: Option<Unknown>,
    /// The role key it carries and no role has.
    pub unresolved_role_key: Option<String>,
    /// The day on which whom it is was last active.
    pub active_on: Option<Day>,
    /// The role it is, for the catalogue of roles.
    pub role: Option<Role>,
}

impl ReadRow {
    const fn is_written(&self) -> bool {
        self.kept && !self.dangling
    }
}

/// The ids a row refers to; at least one was not in the snapshot.
#[derive(Debug)]
pub struct Unknown {
    /// Its user.
    pub user: Option<String>,
    /// Its organization.
    pub organization: Option<String>,
    /// Its permissions, one for each of its grants.
    pub permissions: Vec<String>,
    /// The machine it is.
    pub machine: Option<String>,
    /// Its machines, one for each of its grants.
    pub machines: Vec<String>,
}

impl Unknown {
    /// The ids of rows of one list.
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

/// What identifies a row and its place in an ascending list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(String, Option<i64>)", into = "(String, Option<i64>)")]
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

impl From<RowKey> for (String, Option<i64>) {
    fn from(key: RowKey) -> Self {
        (key.id, key.created_at)
    }
}

/// A page that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The body is not what the API promises.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A row holds a value that no record can.
    #[error(transparent)]
    Translate(#[from] TranslateError),
}

impl From<PageError> for Unreadable {
    fn from(error: PageError) -> Self {
        Self(error.to_string())
    }
}

impl ReadPage {
    /// The lines of the rows kept, of the dataset at `place` in the context. Borrowed where no row
    /// between them is dropped.
    pub fn kept_lines(&self, place: usize, dataset: Dataset) -> Cow<'_, [u8]> {
        let written = |row: &ReadRow| row.is_written() && row.left_out.is_empty();
        let begin = self.rows.iter().position(written).unwrap_or(self.rows.len());
        let end = self.rows.iter().rposition(ReadRow::is_written).map_or(begin, |row| row + 1);
        if self.rows[..begin].iter().all(|row| !row.is_written())
            && self.rows[begin..end].iter().all(written)
        {
            let count =
                |rows: &[ReadRow]| rows.iter().map(|row| row.lines[place] as usize).sum::<usize>();
            let before = count(&self.rows[..begin]);
            let lines = before..before + count(&self.rows[begin..end]);
            return Cow::Borrowed(self.records.bytes_of(dataset, lines));
        }
        let mut lines = self.records.lines(dataset);
        let mut kept = Vec::new();
        for row in &self.rows {
            for (index, line) in lines.by_ref().take(row.lines[place] as usize).enumerate() {
                let left_out = dataset == Dataset::Grants && row.left_out.contains(&index);
                if row.is_written() && !left_out {
                    kept.extend_from_slice(line);
                }
            }
        }
        Cow::Owned(kept)
    }

    /// The lines of one row, of the dataset at `place` in the context.
    pub fn lines_of(&self, row: usize, place: usize, dataset: Dataset) -> Vec<u8> {
        let before: u32 = self.rows[..row].iter().map(|row| row.lines[place]).sum();
        let lines = self.records.lines(dataset).skip(before as usize);
        lines.take(self.rows[row].lines[place] as usize).flatten().copied().collect()
    }

    /// The rows kept.
    pub fn kept_rows(&self) -> impl Iterator<Item = &ReadRow> {
        self.rows.iter().filter(|row| row.kept)
    }
}

/// Reads the body of one page: a bare array, or `{"data":[…],"total_count":n}`.
///
/// # Errors
/// [`PageError`], naming the field and never its value.
pub fn read_page<'a, R: Row + Deserialize<'a>>(
    body: &'a [u8],
    context: &PageContext,
) -> Result<ReadPage, PageError> {
    if context.translation.include_raw {
        let page: wire::Page<&RawValue> = wire::decode_page(body)?;
        let rows = page.rows.into_iter().map(|raw| {
            let row = wire::decode_object::<R>(raw.get().as_bytes())?;
            Ok((row, Some(raw)))
        });
        translate_rows(page.total_count, rows, context)
    } else {
        let page: wire::Page<wire::Object<R>> = wire::decode_page(body)?;
        let rows = page.rows.into_iter().map(|wire::Object(row)| Ok((row, None)));
        translate_rows(page.total_count, rows, context)
    }
}

/// Reads one row.
pub type RowReader = for<'a> fn(&'a RawValue) -> Result<Box<dyn Row + 'a>, DecodeError>;

/// Reads the body of one page of a list that is short against the others: row by row and behind a
/// pointer, so that what is compiled for each such list is little. (A program that is loaded at every
/// cold start should not hold [`read_page`] twenty times.)
///
/// # Errors
/// [`PageError`], naming the field and never its value.
pub fn read_rows(
    body: &[u8],
    context: &PageContext,
    read: RowReader,
) -> Result<ReadPage, PageError> {
    let page: wire::Page<&RawValue> = wire::decode_page(body)?;
    let rows = page.rows.into_iter().map(|raw| {
        let asked_for = context.translation.include_raw.then_some(raw);
        Ok((read(raw)?, asked_for))
    });
    translate_rows(page.total_count, rows, context)
}

/// The [`RowReader`] of a type of rows.
///
/// # Errors
/// [`DecodeError`], naming the field and never its value.
pub fn read_row<'a, R: Row + Deserialize<'a> + 'a>(
    raw: &'a RawValue,
) -> Result<Box<dyn Row + 'a>, DecodeError> {
    Ok(Box::new(wire::decode_object::<R>(raw.get().as_bytes())?))
}

fn translate_rows<'a, R: Row>(
    total: Option<u64>,
    rows: impl Iterator<Item = Result<(R, Option<&'a RawValue>), PageError>>,
    context: &PageContext,
) -> Result<ReadPage, PageError> {
    let mut records = Records::new(&context.datasets);
    let mut read_rows = Vec::with_capacity(rows.size_hint().0);
    let mut written = [0; MOST_FEEDS];
    // Once for the whole page.
    let known = context.known.read().unwrap_or_else(PoisonError::into_inner);
    for row in rows {
        let (mut row, raw) = row?;
        if let Some(redaction) = &context.translation.redaction {
            row.redact(redaction);
        }
        row.translate(raw, &context.translation, &mut records)?;
        let mut lines = [0; MOST_FEEDS];
        for ((&dataset, written), lines) in
            context.datasets.iter().zip(&mut written).zip(&mut lines)
        {
            let before = std::mem::replace(written, records.count(dataset));
            *lines = (*written - before) as u32;
        }
        let unresolved = std::mem::take(&mut records.unresolved_role_keys);
        let key = RowKey { id: row.id().to_owned(), created_at: row.created_at() };
        read_rows.push(ReadRow {
            kept: !is_repeated(&read_rows, &key),
            key,
            dangling: false,
            left_out: Vec::new(),
            lines,
            unknown: unknown(row.references(), &known),
            unresolved_role_key: unresolved.into_keys().next(),
            active_on: row.last_active_at().map(day_of),
            role: row.role(),
        });
    }
    // The page may have to wait for its turn.
    records.shrink();
    Ok(ReadPage { total, rows: read_rows, records, fetched: None })
}

/// Whether a page has shown a row before: then that one counts.
fn is_repeated(rows: &[ReadRow], key: &RowKey) -> bool {
    let of_its_moment = rows.iter().rev().take_while(|row| row.key.created_at == key.created_at);
    of_its_moment.into_iter().any(|row| row.key.id == key.id)
}

fn unknown(references: References<'_>, known: &Known) -> Option<Unknown> {
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
    (!all.all(|(resource, id)| known.has(resource, id))).then(|| Unknown {
        user: references.user.map(str::to_owned),
        organization: references.organization.map(str::to_owned),
        permissions: references.permissions.iter().map(|&id| id.to_owned()).collect(),
        machine: references.machine.map(str::to_owned),
        machines: references.machines.iter().map(|&id| id.to_owned()).collect(),
    })
}
