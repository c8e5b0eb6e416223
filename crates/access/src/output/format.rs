//! Names the formats of answers.

use std::path::Path;

use clap::ValueEnum;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for a person.
    Table,
    /// One JSON document.
    Json,
    /// A JSON object a line: the records, and the envelope in the last line.
    Ndjson,
    /// Comma-separated values with a line of column names.
    Csv,
    /// A workbook of Excel; needs --out.
    Xlsx,
    /// An event of OCSF 1.8.0 a line, for a SIEM; of diff and history alone.
    Ocsf,
}

impl Format {
    /// The format that is asked for, else that of the file's name, else a table on a terminal and JSON elsewhere.
    #[must_use]
    pub fn choose(asked: Option<Self>, file: Option<&Path>, is_terminal: bool) -> Self {
        match asked.or_else(|| file.and_then(Self::of_file)) {
            Some(format) => format,
            None if is_terminal && file.is_none() => Self::Table,
            None => Self::Json,
        }
    }

    /// The format that the file's name ends in.
    #[must_use]
    pub fn of_file(file: &Path) -> Option<Self> {
        let extension = file.extension()?.to_str()?;
        Self::from_str(extension, true).ok().filter(|format| *format != Self::Table)
    }

    /// Whether programs read it, so that errors are JSON, too.
    #[must_use]
    pub const fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Ndjson | Self::Ocsf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: a table on a terminal, JSON elsewhere, and what is asked for in any case.
    #[test]
    fn the_format_follows_from_what_is_asked_then_the_file_then_the_terminal() {
        let file = |name: &'static str| Some(Path::new(name));
        assert_eq!(Format::choose(None, None, true), Format::Table);
        assert_eq!(Format::choose(None, None, false), Format::Json);
        assert_eq!(Format::choose(Some(Format::Csv), file("a.xlsx"), true), Format::Csv);
        assert_eq!(Format::choose(None, file("a.xlsx"), true), Format::Xlsx);
        assert_eq!(Format::choose(None, file("a.NDJSON"), true), Format::Ndjson);
        assert_eq!(Format::choose(None, file("a.ocsf"), true), Format::Ocsf);
        assert_eq!(Format::choose(None, file("a.table"), true), Format::Json);
        assert_eq!(Format::choose(None, file("a"), true), Format::Json);
    }
}
