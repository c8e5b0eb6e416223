//! Writes answers as comma-separated values.

use std::borrow::Cow;

use csv::{Writer, WriterBuilder};

use super::destination::Destination;
use super::error::OutputError;
use super::escape;
use super::list::{List, Row};

/// Writes a line of column names, then a line a row. Lines end in `\n`, and empty cells stand for what is not known.
#[derive(Debug)]
pub struct CsvWriter {
    is_terminal: bool,
}

impl CsvWriter {
    pub(super) const fn new(is_terminal: bool) -> Self {
        Self { is_terminal }
    }

    pub(super) fn begin(
        &mut self,
        list: &List,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        write_record(list.columns.iter().map(|column| Cow::Borrowed(column.name)), destination)
    }

    pub(super) fn row(
        &mut self,
        row: &impl Row,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        for cells in row.cells() {
            write_record(cells.iter().map(|cell| self.shown(guarded(cell.text()))), destination)?;
        }
        Ok(())
    }
}

impl CsvWriter {
    fn shown<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        match self.is_terminal {
            true => Cow::Owned(escape::for_terminal(&text).into_owned()),
            false => text,
        }
    }
}

fn write_record<'a>(
    cells: impl Iterator<Item = Cow<'a, str>>,
    destination: &mut Destination<'_>,
) -> Result<(), OutputError> {
    let mut writer: Writer<Vec<u8>> = WriterBuilder::new().from_writer(Vec::new());
    let written = cells.into_iter().try_for_each(|cell| writer.write_field(&*cell));
    let written = written.and_then(|()| writer.write_record(None::<&[u8]>));
    let line = match written {
        Ok(()) => writer.into_inner().map_err(|error| OutputError::Standard(error.into_error()))?,
        Err(error) => return Err(OutputError::Standard(error.into())),
    };
    destination.write(&line)
}

/// A spreadsheet takes a cell that begins with one of these for a formula, whoever wrote it.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

fn guarded(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.starts_with(FORMULA) { Cow::Owned(format!("'{text}")) } else { text }
}
