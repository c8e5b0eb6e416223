//! Describes what an answer lists: its columns, and rows that give cells.

use std::borrow::Cow;

use serde::Serialize;

/// What an answer lists.
#[derive(Debug, PartialEq, Eq)]
pub struct List {
    /// Its name in JSON, and of the sheet in XLSX.
    pub name: &'static str,
    /// The columns of the flat formats, in their order.
    pub columns: &'static [Column],
}

/// A column of the flat formats.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in CSV and XLSX.
    pub name: &'static str,
    /// Its heading in tables for people; `None` to leave it out there.
    pub heading: Option<&'static str>,
}

impl Column {
    /// A column that tables show.
    #[must_use]
    pub const fn shown(name: &'static str, heading: &'static str) -> Self {
        Self { name, heading: Some(heading) }
    }

    /// A column that only CSV and XLSX have.
    #[must_use]
    pub const fn hidden(name: &'static str) -> Self {
        Self { name, heading: None }
    }
}

/// One record of an answer. It serializes as its JSON, and gives its cells for the flat formats.
pub trait Row: Serialize {
    /// Its flat rows, mostly one; each has a cell for every column of the list.
    fn cells(&self) -> Vec<Vec<Cell<'_>>>;
}

/// A cell of the flat formats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Nothing.
    Empty,
    /// A text, which may come from anybody.
    Text(Cow<'a, str>),
    /// A number.
    Number(u64),
    /// A number that may be negative.
    Signed(i64),
    /// Yes or no.
    Flag(bool),
}

impl<'a> Cell<'a> {
    /// Several texts in one cell, joined with `; `.
    pub fn joined<I: IntoIterator<Item: AsRef<str>>>(texts: I) -> Self {
        let mut joined = String::new();
        for text in texts {
            if !joined.is_empty() {
                joined.push_str("; ");
            }
            joined.push_str(text.as_ref());
        }
        if joined.is_empty() { Self::Empty } else { Self::Text(joined.into()) }
    }

    /// The cell as text.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Signed(number) => Cow::Owned(number.to_string()),
            Self::Flag(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
        }
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u64> for Cell<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Signed(number)
    }
}

impl From<bool> for Cell<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}
