//! Changes as a person reads them: sorted, and what belongs together in one row.
//!
//! - A role that was revoked and one that was granted through the same membership are a change of role.
//! - A member who came or went with a role is one row.
//! - What another row explains is counted there: a deleted organization is one row, not hundreds.

use std::collections::{BTreeMap, BTreeSet};

use clerk_snapshot::compare::Change;
use clerk_snapshot::compare::change::{Certainty, Op};
use clerk_snapshot::record::ObjectType;
use serde::{Serialize, Serializer};

use super::change_row::{Reader, cells, detail};
use crate::output::{Cell, Output, OutputError, Row};

/// Most changes that are sorted and folded together. Of more, each so many are.
const MOST: usize = 20_000;

/// The places of the cells that folding reads or changes, in `change_row::DIFF`.
const EVENT: usize = 0;
const OP: usize = 1;
const SUBJECT_TYPE: usize = 5;
const SUBJECT: usize = 6;
const TARGET_TYPE: usize = 7;
const TARGET: usize = 8;
const ROLE: usize = 10;
const MEMBERSHIP: usize = 11;
const DETAIL: usize = 12;
const CAUSE_TYPE: usize = 13;
const CAUSE: usize = 14;
const CERTAINTY: usize = 15;
const FROM: usize = 18;

/// The places of types and of the ids beside them.
const REFERENCES: [(usize, usize); 3] =
    [(SUBJECT_TYPE, SUBJECT), (TARGET_TYPE, TARGET), (CAUSE_TYPE, CAUSE)];

/// Collects changes for a table.
#[derive(Debug, Default)]
pub struct Folded {
    rows: Vec<FoldedRow>,
}

/// A change, or several that are read as one.
#[derive(Debug, Clone)]
pub struct FoldedRow {
    cells: Vec<Cell<'static>>,
    records: u64,
}

impl Folded {
    /// Adds a change.
    ///
    /// # Errors
    /// [`OutputError`], if there are so many that some are written.
    pub fn add(&mut self, change: &Change<'_>, output: &mut Output<'_>) -> Result<(), OutputError> {
        let mut cells: Vec<_> = cells(change).into_iter().map(owned).collect();
        cells[DETAIL] = owned(detail(change, Reader::Person));
        self.rows.push(FoldedRow { cells, records: 1 });
        if self.rows.len() < MOST { Ok(()) } else { write(self.take(), output) }
    }

    /// Takes what was collected, folded.
    pub fn take(&mut self) -> Vec<FoldedRow> {
        folded_by_cause(folded_by_membership(std::mem::take(&mut self.rows)))
    }
}

/// Writes rows by time, then what happened, and to whom.
///
/// # Errors
/// [`OutputError`].
pub fn write(mut rows: Vec<FoldedRow>, output: &mut Output<'_>) -> Result<(), OutputError> {
    for row in &mut rows {
        if row.text(CERTAINTY) == Certainty::Unconfirmed.name() {
            row.cells[EVENT] = format!("{} ({})", row.text(EVENT), row.text(CERTAINTY)).into();
        }
    }
    rows.sort_by(|one, other| one.key().cmp(&other.key()));
    rows.iter().try_for_each(|row| output.row(row))
}

impl FoldedRow {
    fn text(&self, place: usize) -> &str {
        match self.cells.get(place) {
            Some(Cell::Text(text)) => text,
            _ => "",
        }
    }

    fn key(&self) -> [&str; 5] {
        [FROM, EVENT, SUBJECT, TARGET, ROLE].map(|place| self.text(place))
    }

    /// Comparison and membership.
    fn pair(&self) -> (String, String) {
        (self.text(FROM).to_owned(), self.text(MEMBERSHIP).to_owned())
    }

    /// The types and ids that the row shows.
    pub fn references(&self) -> impl Iterator<Item = (&str, &str)> {
        REFERENCES.iter().map(|&(kind, id)| (self.text(kind), self.text(id)))
    }

    /// Shows the name of each id whose name is known, beside the id or in place of it.
    pub fn show_names<'n>(&mut self, name: impl Fn(&str, &str) -> Option<&'n str>, with_ids: bool) {
        for (kind, id) in REFERENCES {
            let Some(name) = name(self.text(kind), self.text(id)) else { continue };
            // What came or went has its name as a detail.
            let came_or_went = id == SUBJECT && self.text(OP) != Op::Changed.name();
            let rest = self.text(DETAIL).strip_prefix(name).filter(|_| came_or_went);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(", ")) {
                self.cells[DETAIL] = rest.trim_start_matches(", ").to_owned().into();
            }
            self.cells[id] = match with_ids {
                true => format!("{name} ({})", self.text(id)).into(),
                false => name.to_owned().into(),
            };
        }
    }

    /// Adds the records of a row that this one stands for. What is uncertain about one of them is uncertain.
    fn absorb(&mut self, other: &Self) {
        self.records += other.records;
        if other.text(CERTAINTY) == Certainty::Unconfirmed.name() {
            self.cells[CERTAINTY] = other.cells[CERTAINTY].clone();
        }
    }
}

/// Folds the rows of one membership.
fn folded_by_membership(rows: Vec<FoldedRow>) -> Vec<FoldedRow> {
    let mut kept: Vec<Option<FoldedRow>> = rows.into_iter().map(Some).collect();
    for (dropped, kept_event, merge) in [
        ("role_revoked", "role_granted", change_of_role as fn(&mut FoldedRow, &FoldedRow)),
        ("role_granted", "member_added", with_role),
        ("role_revoked", "member_removed", with_role),
    ] {
        let mut places = BTreeMap::new();
        for (place, row) in kept.iter().enumerate() {
            let row = row.as_ref().filter(|row| row.text(EVENT) == kept_event);
            if let Some(row) = row.filter(|row| !row.text(MEMBERSHIP).is_empty()) {
                places.insert(row.pair(), place);
            }
        }
        for place in 0..kept.len() {
            let row = kept[place].as_ref().filter(|row| row.text(EVENT) == dropped);
            let Some(into) = row.and_then(|row| places.remove(&row.pair())) else { continue };
            let Some(row) = kept[place].take() else { continue };
            if let Some(into) = &mut kept[into] {
                merge(into, &row);
                into.absorb(&row);
            }
        }
    }
    kept.into_iter().flatten().collect()
}

fn change_of_role(granted: &mut FoldedRow, revoked: &FoldedRow) {
    granted.cells[ROLE] = format!("{} -> {}", revoked.text(ROLE), granted.text(ROLE)).into();
    granted.cells[EVENT] = "role_changed".into();
}

fn with_role(member: &mut FoldedRow, role: &FoldedRow) {
    member.cells[ROLE] = role.cells[ROLE].clone();
}

/// Counts what another row explains in that row.
fn folded_by_cause(rows: Vec<FoldedRow>) -> Vec<FoldedRow> {
    let of = |row: &FoldedRow, kind: usize, id: usize| {
        [FROM, OP, kind, id].map(|place| row.text(place).to_owned())
    };
    let is_cause = |row: &&FoldedRow| {
        row.text(EVENT) == format!("{}_{}", row.text(SUBJECT_TYPE), row.text(OP))
    };
    let causes: BTreeSet<[String; 4]> =
        rows.iter().filter(is_cause).map(|row| of(row, SUBJECT_TYPE, SUBJECT)).collect();
    let mut explained: BTreeMap<[String; 4], u64> = BTreeMap::new();
    let mut kept = Vec::with_capacity(rows.len());
    for row in rows {
        let cause = of(&row, CAUSE_TYPE, CAUSE);
        if causes.contains(&cause) {
            *explained.entry(cause).or_default() += row.records;
        } else {
            kept.push(row);
        }
    }
    for row in &mut kept {
        let Some(count) = explained.remove(&of(row, SUBJECT_TYPE, SUBJECT)) else { continue };
        let records = if count == 1 { "record" } else { "records" };
        let went = if row.text(OP) == Op::Removed.name() { "went" } else { "came" };
        let follow = format!("{count} {records} {went} with it");
        let detail = row.text(DETAIL);
        let separator = if detail.is_empty() { "" } else { ", " };
        row.cells[DETAIL] = format!("{detail}{separator}{follow}").into();
    }
    kept
}

/// Types whose objects have names that a table shows.
pub const NAMED: [ObjectType; 2] = [ObjectType::User, ObjectType::Organization];

fn owned(cell: Cell<'_>) -> Cell<'static> {
    match cell {
        Cell::Empty => Cell::Empty,
        Cell::Text(text) => text.into_owned().into(),
        Cell::Number(number) => number.into(),
        Cell::Signed(number) => number.into(),
        Cell::Flag(flag) => flag.into(),
    }
}

impl Serialize for FoldedRow {
    /// Never written as JSON, where the records stay as they are.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.cells.iter().map(|cell| cell.text().into_owned()))
    }
}

impl Row for FoldedRow {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        vec![self.cells.clone()]
    }
}
