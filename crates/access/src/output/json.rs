//! Writes answers as one JSON document or as NDJSON.

use serde::Serialize;
use serde_json::{Map, Value};

use super::destination::Destination;
use super::error::OutputError;
use super::escape;
use super::list::{List, Row};
use crate::envelope::Envelope;

/// Writes one document: the envelope's fields, then the list with a record a line, then the summary's fields.
#[derive(Debug)]
pub struct JsonWriter {
    is_terminal: bool,
    state: State,
    /// Whether the lists stand in an object of sections.
    has_sections: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Nothing is written.
    Before,
    /// The object of sections is open, and no section is.
    NoSection,
    /// The list is open and empty.
    Empty,
    /// The list is open and has records.
    Filled,
    /// The document is closed.
    After,
}

impl JsonWriter {
    pub(super) const fn new(is_terminal: bool) -> Self {
        Self { is_terminal, state: State::Before, has_sections: false }
    }

    pub(super) fn begin(
        &mut self,
        envelope: &Envelope,
        list: &List,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        let envelope = escape::json(envelope, self.is_terminal)?;
        let open = envelope.strip_suffix('}').unwrap_or(&envelope);
        destination.write(format!("{open},\"{}\":[", list.name).as_bytes())?;
        self.state = State::Empty;
        Ok(())
    }

    pub(super) fn begin_sections(
        &mut self,
        envelope: &Envelope,
        list: &List,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        let envelope = escape::json(envelope, self.is_terminal)?;
        let open = envelope.strip_suffix('}').unwrap_or(&envelope);
        destination.write(format!("{open},\"{}\":{{", list.name).as_bytes())?;
        (self.state, self.has_sections) = (State::NoSection, true);
        Ok(())
    }

    pub(super) fn section(
        &mut self,
        name: &str,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        let end: &[u8] = match self.state {
            State::Filled => b"\n],",
            State::Empty => b"],",
            State::Before | State::NoSection | State::After => b"",
        };
        destination.write(end)?;
        self.state = State::Empty;
        destination.write(format!("\"{name}\":[").as_bytes())
    }

    pub(super) fn row(
        &mut self,
        row: &impl Serialize,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        let separator: &[u8] = if self.state == State::Empty { b"\n" } else { b",\n" };
        self.state = State::Filled;
        destination.write(separator)?;
        destination.write(escape::json(row, self.is_terminal)?.as_bytes())
    }

    pub(super) fn end(
        &mut self,
        summary: &impl Serialize,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        self.close_list(destination)?;
        for (name, value) in fields(summary)? {
            destination.write(
                format!(
                    ",{}:{}",
                    escape::json(&name, self.is_terminal)?,
                    escape::json(&value, self.is_terminal)?
                )
                .as_bytes(),
            )?;
        }
        let end: &[u8] = if self.has_sections { b"}}\n" } else { b"}\n" };
        destination.write(end)
    }

    fn close_list(&mut self, destination: &mut Destination<'_>) -> Result<(), OutputError> {
        let end: &[u8] = if self.state == State::Filled { b"\n]" } else { b"]" };
        self.state = State::After;
        destination.write(end)
    }

    pub(super) fn document(
        &mut self,
        envelope: &Envelope,
        more: &impl Serialize,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        let mut document = fields(envelope)?;
        document.extend(fields(more)?);
        self.state = State::After;
        destination.write(escape::json(&document, self.is_terminal)?.as_bytes())?;
        destination.write(b"\n")
    }

    /// Closes the document with the error's fields, or writes the error alone.
    pub(super) fn fail(
        &mut self,
        error: &impl Serialize,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        match self.state {
            State::Empty | State::Filled if self.has_sections => {
                // The error stands beside the sections' object, where every error stands.
                self.close_list(destination)?;
                self.has_sections = false;
                let error = escape::json(error, self.is_terminal)?;
                let fields = error.strip_prefix('{').unwrap_or(&error);
                destination.write(format!("}},{fields}\n").as_bytes())
            }
            State::Empty | State::Filled => self.end(error, destination),
            State::NoSection | State::Before | State::After => {
                destination.write(escape::json(error, self.is_terminal)?.as_bytes())?;
                destination.write(b"\n")
            }
        }
    }
}

/// Writes a record a line, and the envelope with the summary's fields in the last one.
#[derive(Debug)]
pub struct NdjsonWriter {
    is_terminal: bool,
    has_envelope: bool,
    envelope: Map<String, Value>,
}

impl NdjsonWriter {
    pub(super) fn new(is_terminal: bool) -> Self {
        Self { is_terminal, has_envelope: true, envelope: Map::new() }
    }

    /// A writer of records alone: every line is one.
    pub(super) fn without_envelope(is_terminal: bool) -> Self {
        Self { has_envelope: false, ..Self::new(is_terminal) }
    }

    pub(super) fn begin(&mut self, envelope: &Envelope) -> Result<(), OutputError> {
        self.envelope = fields(envelope)?;
        Ok(())
    }

    pub(super) fn row(
        &mut self,
        row: &impl Row,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        self.line(row, destination)
    }

    pub(super) fn line(
        &mut self,
        line: &impl Serialize,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        destination.write(escape::json(line, self.is_terminal)?.as_bytes())?;
        destination.write(b"\n")
    }

    pub(super) fn end(
        &mut self,
        summary: &impl Serialize,
        destination: &mut Destination<'_>,
    ) -> Result<(), OutputError> {
        if !self.has_envelope {
            return Ok(());
        }
        let mut last = std::mem::take(&mut self.envelope);
        last.extend(fields(summary)?);
        self.line(&last, destination)
    }
}

/// The fields of an object; none of `()`.
pub(super) fn fields(value: &impl Serialize) -> Result<Map<String, Value>, OutputError> {
    match serde_json::to_value(value)? {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}
