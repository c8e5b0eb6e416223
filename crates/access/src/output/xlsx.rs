//! Writes answers as a workbook: a sheet with the rows, and one with the envelope.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, Worksheet, XlsxError};

use super::destination::Destination;
use super::error::OutputError;
use super::list::{Cell, List, Row};
use crate::envelope::Envelope;

/// Most rows of a sheet, the line of column names included.
const MAX_ROWS: u32 = 1_048_576;

/// Most characters of a cell, in UTF-16 units.
const MAX_CHARACTERS: usize = 32_767;

/// The end of a text that is too long for a cell.
const CUT: &str = "… (cut)";

/// Writes rows as they come: what is finished waits in a nameless file in the folder of the workbook, not in memory.
pub struct XlsxWriter {
    workbook: Workbook,
    list: Option<&'static List>,
    /// The sheet that is written, counted from 0. The first is the envelope's.
    sheet: usize,
    /// How many sheets the list has by now.
    sheets_of_list: usize,
    row: u32,
}

impl XlsxWriter {
    pub(super) fn new(folder: &Path) -> Result<Self, OutputError> {
        let mut workbook = Workbook::new();
        workbook.set_tempdir(folder)?;
        Ok(Self { workbook, list: None, sheet: 0, sheets_of_list: 0, row: 0 })
    }

    pub(super) fn begin(
        &mut self,
        envelope: &Envelope,
        list: &'static List,
    ) -> Result<(), OutputError> {
        self.list = Some(list);
        self.set_properties(envelope)?;
        self.write_envelope(envelope)?;
        self.add_sheet(list)
    }

    pub(super) fn next_list(&mut self, list: &'static List) -> Result<(), OutputError> {
        self.list = Some(list);
        self.sheets_of_list = 0;
        self.add_sheet(list)
    }

    pub(super) fn row(&mut self, row: &impl Row) -> Result<(), OutputError> {
        for cells in row.cells() {
            if self.row == MAX_ROWS
                && let Some(list) = self.list
            {
                self.add_sheet(list)?;
            }
            self.write_cells(&cells)?;
        }
        Ok(())
    }

    pub(super) fn end(&mut self, destination: &mut Destination<'_>) -> Result<(), OutputError> {
        let workbook = &mut self.workbook;
        destination.write_with(|file| {
            without_panic(|| workbook.save_to_writer(file).map_err(OutputError::Workbook))
        })
    }

    /// The time of the snapshot, not that of the question, so that the same answer is the same file.
    fn set_properties(&mut self, envelope: &Envelope) -> Result<(), OutputError> {
        let completed =
            envelope.snapshot.as_ref().map_or(0, |snapshot| snapshot.completed_at.unix_millis());
        let created = ExcelDateTime::from_timestamp(completed.div_euclid(1000))?;
        self.workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
        Ok(())
    }

    fn write_envelope(&mut self, envelope: &Envelope) -> Result<(), OutputError> {
        self.sheet = 0;
        self.row = 0;
        self.workbook.add_worksheet_with_constant_memory()?.set_name("answer")?;
        let complete = if envelope.complete { "complete" } else { "NOT COMPLETE" };
        self.write_cells(&["completeness".into(), complete.into()])?;
        for missing in &envelope.incomplete {
            self.write_cells(&["missing".into(), missing.to_string().into()])?;
        }
        if let Some(snapshot) = &envelope.snapshot {
            for (name, value) in [
                ("snapshot", snapshot.snapshot_id.clone()),
                ("started_at", snapshot.started_at.to_string()),
                ("completed_at", snapshot.completed_at.to_string()),
                ("verified", snapshot.verified.to_string()),
                ("manifest_sha256", snapshot.manifest_sha256.to_string()),
                (
                    "instance",
                    format!("{} ({})", snapshot.instance.id, snapshot.instance.environment),
                ),
            ] {
                self.write_cells(&[name.into(), value.into()])?;
            }
        }
        if let Some(from) = &envelope.from {
            self.write_cells(&["from".into(), from.to_string().into()])?;
        }
        for unmatched in &envelope.unmatched {
            self.write_cells(&["nothing matches".into(), unmatched.value.as_str().into()])?;
        }
        self.write_cells(&["command".into(), envelope.command.join(" ").into()])
    }

    fn add_sheet(&mut self, list: &List) -> Result<(), OutputError> {
        self.sheet += 1;
        self.sheets_of_list += 1;
        self.row = 0;
        let name = if self.sheets_of_list == 1 {
            list.name.to_owned()
        } else {
            format!("{} {}", list.name, self.sheets_of_list)
        };
        self.workbook.add_worksheet_with_constant_memory()?.set_name(name)?;
        let names: Vec<Cell<'_>> = list.columns.iter().map(|column| column.name.into()).collect();
        self.write_cells(&names)
    }

    fn write_cells(&mut self, cells: &[Cell<'_>]) -> Result<(), OutputError> {
        let sheet = self.workbook.worksheet_from_index(self.sheet)?;
        let row = self.row;
        self.row += 1;
        without_panic(|| {
            (0..).zip(cells).try_for_each(|(column, cell)| write_cell(sheet, row, column, cell))
        })
    }
}

fn write_cell(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    cell: &Cell<'_>,
) -> Result<(), OutputError> {
    match cell {
        Cell::Empty => {}
        // Always as text: a text that begins like a formula is none.
        Cell::Text(text) => drop(sheet.write_string(row, column, fitting(text))?),
        Cell::Number(number) => drop(sheet.write_number(row, column, *number as f64)?),
        Cell::Signed(number) => drop(sheet.write_number(row, column, *number as f64)?),
        Cell::Flag(flag) => drop(sheet.write_boolean(row, column, *flag)?),
    }
    Ok(())
}

/// Whether a panic is one of the workbook's, which becomes an error and is not to be reported.
static IS_WRITING: AtomicBool = AtomicBool::new(false);

/// From now on, says nothing about panics that become errors.
pub fn keep_quiet_about_panics() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !IS_WRITING.load(Ordering::Relaxed) {
            report(panic);
        }
    }));
}

/// Writes to the workbook. The library panics where it cannot write its temporary files.
fn without_panic(write: impl FnOnce() -> Result<(), OutputError>) -> Result<(), OutputError> {
    IS_WRITING.store(true, Ordering::Relaxed);
    let written = panic::catch_unwind(AssertUnwindSafe(write));
    IS_WRITING.store(false, Ordering::Relaxed);
    written.unwrap_or_else(|_| {
        let full = io::Error::other("its temporary files cannot be written");
        Err(OutputError::Workbook(XlsxError::IoError(full)))
    })
}

/// The text, cut where it is too long for a cell.
fn fitting(text: &str) -> String {
    let units = |text: &str| text.chars().map(char::len_utf16).sum::<usize>();
    if text.len() <= MAX_CHARACTERS || units(text) <= MAX_CHARACTERS {
        return text.to_owned();
    }
    let mut room = MAX_CHARACTERS - units(CUT);
    let fits = text.chars().take_while(|character| {
        let fits = character.len_utf16() <= room;
        room = room.saturating_sub(character.len_utf16());
        fits
    });
    fits.chain(CUT.chars()).collect()
}

impl std::fmt::Debug for XlsxWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("XlsxWriter")
            .field("sheet", &self.sheet)
            .field("row", &self.row)
            .finish_non_exhaustive()
    }
}
