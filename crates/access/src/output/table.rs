//! Writes answers as a table for a person.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};

use super::destination::Destination;
use super::error::OutputError;
use super::escape;
use super::list::{List, Row};
use crate::envelope::Envelope;

/// Rows of one table. Longer answers are several tables, so that a million rows need no more memory than these.
const ROWS_AT_ONCE: usize = 1_000;

/// Writes the sentences of the envelope, then tables that fit the terminal's width.
#[derive(Debug)]
pub struct TableWriter {
    /// Of the terminal, in characters; `None` for tables as wide as their content.
    width: Option<u16>,
    list: Option<&'static List>,
    rows: Vec<Vec<String>>,
    written: u64,
}

impl TableWriter {
    pub(super) const fn new(width: Option<u16>) -> Self {
        Self { width, list: None, rows: Vec::new(), written: 0 }
    }

    pub(super) fn begin(
        &mut self,
        envelope: &Envelope,
        list: &'static List,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        self.list = Some(list);
        for sentence in envelope.sentences() {
            destination.write(escape::for_terminal(&sentence).as_bytes())?;
            destination.write(b"\n")?;
        }
        Ok(())
    }

    pub(super) fn row(
        &mut self,
        row: &impl Row,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        let Some(list) = self.list else { return Ok(()) };
        for cells in row.cells() {
            let shown =
                list.columns.iter().zip(&cells).filter(|(column, _)| column.heading.is_some());
            self.rows.push(
                shown.map(|(_, cell)| escape::for_terminal(&cell.text()).into_owned()).collect(),
            );
            if self.rows.len() == ROWS_AT_ONCE {
                self.write_table(destination)?;
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, destination: &mut Destination<'_>) -> Result<(), OutputError> {
        self.write_table(destination)?;
        let rows = match self.written {
            0 => "Nothing found.".to_owned(),
            1 => "1 row".to_owned(),
            rows => format!("{rows} rows"),
        };
        destination.write(format!("{rows}\n").as_bytes())
    }

    fn write_table(&mut self, destination: &mut Destination<'_>) -> Result<(), OutputError> {
        let rows = std::mem::take(&mut self.rows);
        let Some(list) = self.list.filter(|_| !rows.is_empty()) else { return Ok(()) };
        self.written += rows.len() as u64;
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table.set_header(list.columns.iter().filter_map(|column| column.heading));
        table.add_rows(rows);
        destination.write(format!("{}\n", table.trim_fmt()).as_bytes())
    }
}
