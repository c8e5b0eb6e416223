//! Changes as a person reads them: sorted, and a role that was revoked and one that was granted as a change of role.

use std::collections::BTreeMap;

use clerk_snapshot::compare::Change;
use serde::{Serialize, Serializer};

use super::change_row::cells;
use crate::output::{Cell, Output, OutputError, Row};

/// Most changes that are sorted and folded together. Of more, each so many are.
const MOST: usize = 20_000;

/// The places of the cells that folding reads or changes, in `change_row::LIST`.
const EVENT: usize = 0;
const SUBJECT: usize = 6;
const TARGET: usize = 8;
const ROLE: usize = 10;
const MEMBERSHIP: usize = 11;
const FROM: usize = 18;

/// Collects changes for a table.
#[derive(Debug, Default)]
pub struct Folded {
    rows: Vec<FoldedRow>,
}

/// A change, or two that are one change of role.
#[derive(Debug, Clone)]
struct FoldedRow(Vec<Cell<'static>>);

impl Folded {
    /// Adds a change.
    ///
    /// # Errors
    /// [`OutputError`], if there are so many that some are written.
    pub fn add(&mut self, change: &Change<'_>, output: &mut Output<'_>) -> Result<(), OutputError> {
        self.rows.push(FoldedRow(cells(change).into_iter().map(owned).collect()));
        if self.rows.len() < MOST { Ok(()) } else { self.write(output) }
    }

    /// Writes what was collected.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn write(&mut self, output: &mut Output<'_>) -> Result<(), OutputError> {
        let mut rows = folded(std::mem::take(&mut self.rows));
        rows.sort_by(|one, other| one.key().cmp(&other.key()));
        rows.iter().try_for_each(|row| output.row(row))
    }
}

impl FoldedRow {
    fn text(&self, place: usize) -> &str {
        match self.0.get(place) {
            Some(Cell::Text(text)) => text,
            _ => "",
        }
    }

    /// By time, then what happened, and to whom.
    fn key(&self) -> [&str; 5] {
        [FROM, EVENT, SUBJECT, TARGET, ROLE].map(|place| self.text(place))
    }
}

fn folded(rows: Vec<FoldedRow>) -> Vec<FoldedRow> {
    let mut kept: Vec<Option<FoldedRow>> = rows.into_iter().map(Some).collect();
    let mut granted: BTreeMap<(String, String), usize> = BTreeMap::new();
    let pair = |row: &FoldedRow| (row.text(FROM).to_owned(), row.text(MEMBERSHIP).to_owned());
    for (place, row) in kept.iter().enumerate() {
        if let Some(row) = row
            .as_ref()
            .filter(|row| row.text(EVENT) == "role_granted" && !row.text(MEMBERSHIP).is_empty())
        {
            granted.insert(pair(row), place);
        }
    }
    for place in 0..kept.len() {
        let Some(revoked) = kept[place].as_ref().filter(|row| row.text(EVENT) == "role_revoked")
        else {
            continue;
        };
        let Some(grant) = granted.remove(&pair(revoked)) else { continue };
        let before = revoked.text(ROLE).to_owned();
        kept[place] = None;
        if let Some(row) = &mut kept[grant] {
            row.0[ROLE] = format!("{before} -> {}", row.text(ROLE)).into();
            row.0[EVENT] = "role_changed".into();
        }
    }
    kept.into_iter().flatten().collect()
}

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
    /// Never written as JSON, where the records stay two.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|cell| cell.text().into_owned()))
    }
}

impl Row for FoldedRow {
    fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        vec![self.0.clone()]
    }
}
