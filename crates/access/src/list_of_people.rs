//! Reads a list of people from elsewhere: one column of a CSV file, as sheets and HR systems write it.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use clerk_snapshot::redaction::{Personal, RedactionKey};
use clerk_store::quoted::Quoted;
use csv::{ByteRecord, ReaderBuilder};

use crate::names;
use crate::texts::Interner;

/// The people of a list, each once.
#[derive(Debug, Default)]
pub struct ListOfPeople {
    /// What is compared.
    keys: Interner,
    /// What stands in the list, for those where that is not what is compared.
    texts: Interner,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    line: u64,
    /// Number of the text, or [`SAME`].
    text: u32,
}

const SAME: u32 = u32::MAX;

/// What identifies a person of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum By {
    /// Any of a user's e-mail addresses, in any case
    #[default]
    Email,
    /// The customer's own id
    #[value(name = "external_id")]
    ExternalId,
    /// The user name
    Username,
}

/// Why a list cannot be read. Each text begins after the name of the file, and quotes only names of columns.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The operating system's error.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// There is no line of column names.
    #[error("is empty; its first line must name the columns")]
    Empty,
    /// There is no such column.
    #[error("has no column {}; it has {there}", Quoted(.wanted))]
    NoColumn {
        /// The column that was asked for.
        wanted: String,
        /// Those that there are.
        there: String,
    },
    /// Several columns are called so.
    #[error("has several columns {}; give each a name of its own", Quoted(.0))]
    SeveralColumns(String),
    /// It is in another encoding.
    #[error("is not UTF-8 (line {line}); save it as CSV in UTF-8")]
    NotUtf8 {
        /// The line, counted from 1.
        line: u64,
    },
    /// It is not comma-separated.
    #[error("is not CSV (line {line}); save it as CSV in UTF-8")]
    NotCsv {
        /// The line, counted from 1.
        line: u64,
    },
}

/// Most bytes of the first line, with the names of the columns.
const LONGEST_HEADER: u64 = 64 * 1024;

/// What separates cells, in the order in which it is tried.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Excel writes this before the rest of a file in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl ListOfPeople {
    /// Reads a column of a list. With `key`, people are compared by hashes.
    ///
    /// Cells are separated by `,`, `;`, a tab or `|`, whichever gives a column of that name. White space around a cell
    /// is ignored, and so are empty cells and a person that was there before.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn read(
        input: impl Read,
        column: &str,
        by: By,
        key: Option<&RedactionKey>,
    ) -> Result<Self, ListError> {
        let mut input = BufReader::new(input);
        let header = read_header(&mut input)?;
        let (delimiter, place) = find_column(&header.text, column)?;
        let is_crlf = header.text.ends_with(b"\r\n");
        let first = LineEnds { input: Cursor::new(header.text).chain(input), is_crlf };
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(true)
            .flexible(true)
            .from_reader(first);
        let mut list = Self::default();
        let mut record = ByteRecord::new();
        loop {
            let at = reader.position().line() + header.skipped;
            if !reader.read_byte_record(&mut record).map_err(|error| wrong(error, at))? {
                return Ok(list);
            }
            let line = record.position().map_or(at, |position| position.line() + header.skipped);
            let cell = record.get(place).unwrap_or_default();
            let cell = std::str::from_utf8(cell).map_err(|_| ListError::NotUtf8 { line })?.trim();
            if !cell.is_empty() {
                list.add(cell, line, by, key);
            }
        }
    }

    fn add(&mut self, cell: &str, line: u64, by: By, key: Option<&RedactionKey>) {
        let compared = by.compared(cell, key);
        if self.keys.find(&compared).is_none() {
            self.keys.add(&compared);
            let text = if compared == cell { SAME } else { self.texts.add(cell) };
            self.entries.push(Entry { line, text });
        }
    }

    /// How many people there are. Their numbers begin with 0.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The number of the person with this address, id or name as a record has it.
    #[must_use]
    pub fn find(&self, by: By, text: &str) -> Option<u32> {
        self.keys.find(&by.compared(text, None))
    }

    /// What stands in the list for a person, and the line.
    #[must_use]
    pub fn show(&self, number: u32) -> (&str, u64) {
        match self.entries.get(number as usize) {
            Some(Entry { line, text: SAME }) => (self.keys.get(number), *line),
            Some(Entry { line, text }) => (self.texts.get(*text), *line),
            None => ("", 0),
        }
    }
}

impl By {
    /// The kind of personal data that `REDACT` may have replaced; `None` of an external id, which it never does.
    #[must_use]
    pub const fn personal(self) -> Option<Personal> {
        match self {
            Self::Email => Some(Personal::Email),
            Self::Username => Some(Personal::Name),
            Self::ExternalId => None,
        }
    }

    /// The form in which texts are compared.
    fn compared(self, text: &str, key: Option<&RedactionKey>) -> String {
        match (key.zip(self.personal()), self) {
            (Some((key, kind)), _) => key.hash(kind, text),
            (None, Self::Email) => names::folded(text),
            (None, Self::ExternalId | Self::Username) => text.to_owned(),
        }
    }
}

/// Leaves out carriage returns where lines end in two characters, of which the parser would count one.
struct LineEnds<R> {
    input: R,
    is_crlf: bool,
}

impl<R: BufRead> Read for LineEnds<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.input.read(buffer)?;
            if !self.is_crlf || read == 0 {
                return Ok(read);
            }
            let mut kept = 0;
            for place in 0..read {
                if buffer[place] != b'\r' {
                    buffer[kept] = buffer[place];
                    kept += 1;
                }
            }
            // Nothing but carriage returns is not the end.
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}

/// The first line, with the names of the columns.
struct Header {
    text: Vec<u8>,
    /// Lines before it.
    skipped: u64,
}

fn read_header(input: &mut impl BufRead) -> Result<Header, ListError> {
    let mut text = read_line(input)?;
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return Err(ListError::NotUtf8 { line: 1 });
    }
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
    }
    let mut skipped = 0;
    // Excel reads the delimiter from such a line, and empty lines come before some exports.
    while text.trim_ascii_start().is_empty() && !text.is_empty() || text.starts_with(b"sep=") {
        text = read_line(input)?;
        skipped += 1;
    }
    if text.is_empty() { Err(ListError::Empty) } else { Ok(Header { text, skipped }) }
}

fn read_line(input: &mut impl BufRead) -> Result<Vec<u8>, ListError> {
    let mut line = Vec::new();
    input.by_ref().take(LONGEST_HEADER).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// The delimiter with which there is a column of that name, and the column's place.
fn find_column(header: &[u8], wanted: &str) -> Result<(u8, usize), ListError> {
    let mut longest: Vec<String> = Vec::new();
    for delimiter in DELIMITERS {
        let mut reader =
            ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(header);
        let mut record = ByteRecord::new();
        reader.read_byte_record(&mut record).map_err(|error| wrong(error, 1))?;
        let text = |cell: &[u8]| std::str::from_utf8(cell).map(|text| text.trim().to_owned());
        let names: Result<Vec<String>, _> = record.iter().map(text).collect();
        let names = names.map_err(|_| ListError::NotUtf8 { line: 1 })?;
        let exactly: Vec<usize> = places(&names, |name| name == wanted.trim());
        let in_any_case = || places(&names, |name| names::equal(name, wanted.trim()));
        match exactly[..] {
            [place] => return Ok((delimiter, place)),
            [] => match in_any_case()[..] {
                [place] => return Ok((delimiter, place)),
                [] => {}
                _ => return Err(ListError::SeveralColumns(wanted.to_owned())),
            },
            _ => return Err(ListError::SeveralColumns(wanted.to_owned())),
        }
        if names.len() > longest.len() {
            longest = names;
        }
    }
    let there: Vec<_> = longest.iter().map(|name| Quoted(name).to_string()).collect();
    Err(ListError::NoColumn { wanted: wanted.to_owned(), there: there.join(", ") })
}

fn places(names: &[String], is_wanted: impl Fn(&str) -> bool) -> Vec<usize> {
    names.iter().enumerate().filter(|(_, name)| is_wanted(name)).map(|(place, _)| place).collect()
}

/// The error without the cells that its text may quote.
fn wrong(error: csv::Error, line: u64) -> ListError {
    let line = error.position().map_or(line, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => ListError::Read(error),
        _ => ListError::NotCsv { line },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn list(text: impl AsRef<[u8]>, column: &str) -> Result<Vec<(String, u64)>, ListError> {
        let list = ListOfPeople::read(text.as_ref(), column, By::Email, None)?;
        let numbers = 0..u32::try_from(list.len()).unwrap();
        Ok(numbers
            .map(|number| list.show(number))
            .map(|(text, line)| (text.to_owned(), line))
            .collect())
    }

    // Promise: a list reads the same whoever wrote it: BOM, delimiter, quotes, line ends, blank cells, repetitions.
    #[test]
    fn every_dialect_gives_the_same_people() {
        let expected = [("Ada@example.com".to_owned(), 2), ("bob@example.com".to_owned(), 4)];
        for text in [
            "Name,E-mail\nLovelace,Ada@example.com\n,\nBob,bob@example.com\nAda,ADA@EXAMPLE.COM\n",
            "Name,E-mail\r\nLovelace,Ada@example.com\r\nx,  \r\nBob, bob@example.com \r\n",
            "\u{feff}Name;E-mail\r\nLovelace;Ada@example.com\r\n;\r\nBob;bob@example.com",
            "\u{feff}\"Name\",\"E-mail\"\n\"Lovelace, Ada\",\"Ada@example.com\"\n,\n\"\",bob@example.com\n",
            "Name\tE-mail\nLovelace\tAda@example.com\nshort\nBob\tbob@example.com\textra\n",
            "E-mail\nAda@example.com\n\"\"\nbob@example.com\n",
        ] {
            assert_eq!(list(text, "E-mail").unwrap(), expected, "{text:?}");
            assert_eq!(list(text, "e-MAIL").unwrap(), expected, "{text:?}");
        }
        let with_hint = "sep=;\nName;E-mail\nx;Ada@example.com\ny;\nz;bob@example.com\n";
        let shifted = expected.clone().map(|(text, line)| (text, line + 1));
        assert_eq!(list(with_hint, "E-mail").unwrap(), shifted);
        let in_quotes = "E-mail,Note\nAda@example.com,\"two\nlines\"\nbob@example.com,\n";
        assert_eq!(list(in_quotes, "E-mail").unwrap(), expected);
    }

    // Promise: what is wrong with a list is said without a cell of it, and a missing column names those there are.
    #[test]
    fn what_is_wrong_is_said_without_cells() {
        let message = |text: &[u8], column: &str| list(text, column).unwrap_err().to_string();
        let missing = message(b"Name;E-mail;Hired\nada;ada@example.com;1\n", "Mail");
        assert!(missing.contains("no column \"Mail\""), "{missing}");
        assert!(missing.contains("\"Name\", \"E-mail\", \"Hired\""), "{missing}");
        assert!(message(b"", "Mail").contains("empty"));
        assert!(message(b"Mail,Mail\n", "Mail").contains("several columns"));
        assert!(message(b"mail,MAIL\n", "Mail").contains("several columns"));
        let utf_16: Vec<u8> = "\u{feff}Mail\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(message(&utf_16, "Mail").contains("not UTF-8 (line 1)"));
        let latin_1 = message(b"Mail\nada@example.com\nj\xfcrgen@example.com\n", "Mail");
        assert!(latin_1.contains("not UTF-8 (line 3)"), "{latin_1}");
        assert!(!latin_1.contains("rgen"), "{latin_1}");
    }

    #[test]
    fn other_ids_are_compared_as_they_are() {
        let text = "Id\nHR-1\nhr-1\n";
        let list = ListOfPeople::read(text.as_bytes(), "Id", By::ExternalId, None).unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list.find(By::ExternalId, "hr-1"), Some(1));
        assert_eq!(list.find(By::ExternalId, "HR-2"), None);
    }
}
