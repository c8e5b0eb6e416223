//! Writes answers: as a table, one JSON document, NDJSON, CSV or XLSX, to standard output or to a file.
//!
//! - [`mod@format`] names the formats; [`list`] describes what is listed: columns, and rows that give cells.
//! - [`destination`] writes to standard output, or to a file that appears whole or not at all.
//! - [`table`], [`json`], [`csv`] and [`xlsx`] are the writers, one row at a time; [`page`] keeps some rows instead.
//! - [`escape`] shows characters that could deceive.

pub mod csv;
pub mod destination;
pub mod error;
pub mod escape;
pub mod format;
pub mod json;
pub mod list;
pub mod page;
pub mod table;
pub mod xlsx;

use serde::Serialize;

pub use destination::Destination;
pub use error::OutputError;
pub use format::Format;
pub use list::{Cell, Column, List, Row};
pub use page::{Page, PageLimits};

use crate::envelope::Envelope;

/// Writes one answer: the envelope, then rows, then the end.
#[derive(Debug)]
pub struct Output<'a> {
    writer: Writer,
    destination: Destination<'a>,
}

#[derive(Debug)]
enum Writer {
    Table(table::TableWriter),
    Json(json::JsonWriter),
    Ndjson(json::NdjsonWriter),
    Csv(csv::CsvWriter),
    Xlsx(Box<xlsx::XlsxWriter>),
    /// NDJSON of events instead of records.
    Events(json::NdjsonWriter),
    Page(Page),
}

impl<'a> Output<'a> {
    /// An output in `format`. `width` is that of the terminal, in characters, if there is one.
    ///
    /// # Errors
    /// [`OutputError::NeedsFile`] for XLSX to standard output.
    pub fn new(
        format: Format,
        destination: Destination<'a>,
        width: Option<u16>,
    ) -> Result<Self, OutputError> {
        let is_terminal = width.is_some();
        let writer = match format {
            Format::Table => Writer::Table(table::TableWriter::new(width)),
            Format::Json => Writer::Json(json::JsonWriter::new(is_terminal)),
            Format::Ndjson => Writer::Ndjson(json::NdjsonWriter::new(is_terminal)),
            Format::Csv => Writer::Csv(csv::CsvWriter::new(is_terminal)),
            Format::Xlsx => match destination.folder() {
                Some(folder) => Writer::Xlsx(Box::new(xlsx::XlsxWriter::new(&folder)?)),
                None => return Err(OutputError::NeedsFile),
            },
            Format::Ocsf => Writer::Events(json::NdjsonWriter::without_envelope(is_terminal)),
        };
        Ok(Self { writer, destination })
    }

    /// An output that writes nothing and keeps one page of the answer.
    #[must_use]
    pub fn page(limits: PageLimits, nowhere: &'a mut std::io::Sink) -> Self {
        let destination = Destination::standard(nowhere);
        Self { writer: Writer::Page(Page::new(limits)), destination }
    }

    /// The page that was kept; `None` if this is another output.
    #[must_use]
    pub fn into_page(self) -> Option<Page> {
        match self.writer {
            Writer::Page(page) => Some(page),
            _ => None,
        }
    }

    /// Begins the answer with its envelope. Rows of `list` follow.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn begin(&mut self, envelope: &Envelope, list: &'static List) -> Result<(), OutputError> {
        match &mut self.writer {
            Writer::Table(writer) => writer.begin(envelope, list, &mut self.destination),
            Writer::Json(writer) => writer.begin(envelope, list, &mut self.destination),
            Writer::Ndjson(writer) | Writer::Events(writer) => writer.begin(envelope),
            Writer::Csv(writer) => writer.begin(list, &mut self.destination),
            Writer::Xlsx(writer) => writer.begin(envelope, list),
            Writer::Page(page) => page.begin(envelope, list),
        }
    }

    /// Begins an answer whose rows stand in several named sections: an object of lists in JSON, one list with all rows
    /// in the other formats. A section comes before its rows.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn begin_sections(
        &mut self,
        envelope: &Envelope,
        list: &'static List,
    ) -> Result<(), OutputError> {
        match &mut self.writer {
            Writer::Json(writer) => writer.begin_sections(envelope, list, &mut self.destination),
            _ => self.begin(envelope, list),
        }
    }

    /// Begins a section. All the sections that there can be are begun, in their order, also those without rows.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn section(&mut self, name: &'static str) -> Result<(), OutputError> {
        match &mut self.writer {
            Writer::Json(writer) => writer.section(name, &mut self.destination),
            _ => Ok(()),
        }
    }

    /// Ends an answer in sections. The fields of `summary` stand beside the sections; in NDJSON below the list's name
    /// in the last line.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn end_sections(
        &mut self,
        list: &'static List,
        summary: &impl Serialize,
    ) -> Result<(), OutputError> {
        match &mut self.writer {
            Writer::Ndjson(_) => {
                let summary = serde_json::json!({ list.name: summary });
                self.end(&summary)
            }
            _ => self.end(summary),
        }
    }

    /// Begins another list in the same workbook. Only XLSX has room for several.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn next_list(&mut self, list: &'static List) -> Result<(), OutputError> {
        match &mut self.writer {
            Writer::Xlsx(writer) => writer.next_list(list),
            _ => Ok(()),
        }
    }

    /// Writes one row.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn row(&mut self, row: &impl Row) -> Result<(), OutputError> {
        match &mut self.writer {
            Writer::Table(writer) => writer.row(row, &mut self.destination),
            Writer::Json(writer) => writer.row(row, &mut self.destination),
            Writer::Ndjson(writer) | Writer::Events(writer) => {
                writer.row(row, &mut self.destination)
            }
            Writer::Csv(writer) => writer.row(row, &mut self.destination),
            Writer::Xlsx(writer) => writer.row(row),
            Writer::Page(page) => page.row(row),
        }
    }

    /// Ends the answer. `summary` is an object whose fields join those of the envelope in JSON and NDJSON; `()` is
    /// none.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn end(&mut self, summary: &impl Serialize) -> Result<(), OutputError> {
        match &mut self.writer {
            Writer::Table(writer) => writer.end(&mut self.destination)?,
            Writer::Json(writer) => writer.end(summary, &mut self.destination)?,
            Writer::Ndjson(writer) | Writer::Events(writer) => {
                writer.end(summary, &mut self.destination)?;
            }
            Writer::Page(page) => page.end(summary)?,
            Writer::Csv(_) => {}
            Writer::Xlsx(writer) => writer.end(&mut self.destination)?,
        }
        self.destination.finish()
    }

    /// Whether the answer is a table on a terminal that has no room for ids beside names.
    #[must_use]
    pub const fn is_narrow(&self) -> bool {
        matches!(&self.writer, Writer::Table(table) if table.is_narrow())
    }

    /// Whether the answer is a table for a person.
    #[must_use]
    pub const fn is_table(&self) -> bool {
        matches!(self.writer, Writer::Table(_))
    }

    /// Whether changes are written as events of OCSF.
    #[must_use]
    pub const fn is_events(&self) -> bool {
        matches!(self.writer, Writer::Events(_))
    }

    /// Writes an answer that is an object instead of a list: its fields beside those of the envelope in JSON and in the
    /// only line of NDJSON; in the other formats the rows that it gives.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn document<R: Row>(
        &mut self,
        envelope: &Envelope,
        list: &'static List,
        fields: &impl Serialize,
        rows: impl IntoIterator<Item = R>,
    ) -> Result<(), OutputError> {
        match &mut self.writer {
            Writer::Json(writer) => {
                writer.document(envelope, fields, &mut self.destination)?;
                self.destination.finish()
            }
            Writer::Ndjson(writer) => {
                writer.begin(envelope)?;
                self.end(fields)
            }
            Writer::Table(_)
            | Writer::Csv(_)
            | Writer::Xlsx(_)
            | Writer::Events(_)
            | Writer::Page(_) => {
                self.begin(envelope, list)?;
                for row in rows {
                    self.row(&row)?;
                }
                self.end(&())
            }
        }
    }

    /// Writes an error where the answer would be, if the format is JSON. What was written before stays valid: a
    /// document is closed, and NDJSON ends in the error instead of the envelope. A file is not made.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn fail(&mut self, error: &impl Serialize) -> Result<(), OutputError> {
        if self.destination.abandon() {
            // What was written is gone with the file.
            if let Writer::Json(writer) = &mut self.writer {
                *writer = json::JsonWriter::new(false);
            }
        }
        match &mut self.writer {
            Writer::Json(writer) => writer.fail(error, &mut self.destination)?,
            Writer::Ndjson(writer) | Writer::Events(writer) => {
                writer.line(error, &mut self.destination)?;
            }
            Writer::Table(_) | Writer::Csv(_) | Writer::Xlsx(_) | Writer::Page(_) => {}
        }
        self.destination.finish()
    }
}
