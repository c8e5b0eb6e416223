//! Writes answers as a table for a person.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width};

use super::destination::Destination;
use super::error::OutputError;
use super::escape;
use super::list::{List, Row};
use crate::envelope::Envelope;

/// Rows of one table. Longer answers are several tables, so that a million rows need no more memory than these.
const ROWS_AT_ONCE: usize = 1_000;

/// Characters of a terminal that has room for ids beside names.
const WIDE: u16 = 160;

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

    pub(super) const fn is_narrow(&self) -> bool {
        matches!(self.width, Some(width) if width < WIDE)
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
            self.rows
                .push(shown.map(|(_, cell)| cut(&escape::for_terminal(&cell.text()))).collect());
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
        let headings: Vec<&str> = list.columns.iter().filter_map(|column| column.heading).collect();
        let (headings, rows) = without_empty_columns(&headings, &rows);
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(&headings);
        table.add_rows(&rows);
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
                keep_words_whole(&mut table, &headings, &rows, width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        destination.write(format!("{}\n", table.trim_fmt()).as_bytes())
    }
}

/// Most characters of a cell. Nobody reads more in a table, and widths that add up to 65,536 are too much for its
/// layout.
const MAX_CHARACTERS: usize = 2_000;

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Leaves out columns that say nothing, to the good of the others.
fn without_empty_columns<'a>(
    headings: &[&'a str],
    rows: &'a [Vec<String>],
) -> (Vec<&'a str>, Vec<Vec<&'a str>>) {
    let says_something: Vec<bool> = (0..headings.len())
        .map(|column| rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty())))
        .collect();
    let kept = |column: &usize| says_something[*column];
    let shown = |row: &'a Vec<String>| {
        row.iter().enumerate().filter(|(column, _)| kept(column)).map(|(_, cell)| &**cell).collect()
    };
    let headings = headings.iter().enumerate().filter(|(column, _)| kept(column));
    (headings.map(|(_, heading)| *heading).collect(), rows.iter().map(shown).collect())
}

/// Longest word that a column is made wide enough for, in characters. Ids are longer.
const LONGEST_WORD: usize = 24;

/// Makes each column as wide as its longest word, if there is room for that.
fn keep_words_whole(table: &mut Table, headings: &[&str], rows: &[Vec<&str>], width: u16) {
    let longest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column).copied());
        let words = cells.chain([headings[column]]).flat_map(str::split_whitespace);
        let lengths =
            words.map(|word| word.chars().count()).filter(|&length| length <= LONGEST_WORD);
        lengths.max().unwrap_or_default()
    };
    let longest: Vec<usize> = (0..headings.len()).map(longest).collect();
    // A bar and two spaces for each column, and a bar at the end.
    if longest.iter().sum::<usize>() + 3 * longest.len() + 1 > usize::from(width) {
        return;
    }
    for (column, longest) in table.column_iter_mut().zip(longest) {
        // The padding counts, too.
        let least = u16::try_from(longest + 2).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
    }
}
