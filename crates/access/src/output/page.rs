//! Keeps one page of an answer, instead of writing the whole of it.

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::OutputError;
use super::json::fields;
use super::list::{List, Row};
use crate::envelope::Envelope;

/// Which rows of an answer are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimits {
    /// Rows before the first that is kept.
    pub offset: u64,
    /// Most rows that are kept.
    pub limit: u64,
    /// Whether the question may end at the first row behind the page, because nothing but further rows would follow.
    pub ends_when_full: bool,
}

/// One page of an answer. Rows of other pages are counted and not kept.
#[derive(Debug)]
pub struct Page {
    limits: PageLimits,
    list: &'static str,
    envelope: Map<String, Value>,
    rows: Vec<Value>,
    summary: Map<String, Value>,
    seen: u64,
}

impl Page {
    pub(super) fn new(limits: PageLimits) -> Self {
        let (envelope, summary) = (Map::new(), Map::new());
        Self { limits, list: "", envelope, rows: Vec::new(), summary, seen: 0 }
    }

    pub(super) fn begin(&mut self, envelope: &Envelope, list: &List) -> Result<(), OutputError> {
        (self.list, self.envelope) = (list.name, fields(envelope)?);
        Ok(())
    }

    pub(super) fn row(&mut self, row: &impl Row) -> Result<(), OutputError> {
        let PageLimits { offset, limit, ends_when_full } = self.limits;
        let end = offset.saturating_add(limit);
        let place = self.seen;
        self.seen += 1;
        if place < offset {
            return Ok(());
        }
        if place < end {
            self.rows.push(serde_json::to_value(row)?);
            return Ok(());
        }
        if ends_when_full { Err(OutputError::PageFull) } else { Ok(()) }
    }

    pub(super) fn end(&mut self, summary: &impl Serialize) -> Result<(), OutputError> {
        self.summary = fields(summary)?;
        Ok(())
    }

    /// The rows that were kept.
    #[must_use]
    pub fn rows(&self) -> &[Value] {
        &self.rows
    }

    /// Where the next page begins; `None` if this one is the last.
    #[must_use]
    pub const fn next_offset(&self) -> Option<u64> {
        let end = self.limits.offset.saturating_add(self.limits.limit);
        if self.seen > end { Some(end) } else { None }
    }

    /// The envelope.
    #[must_use]
    pub const fn envelope(&self) -> &Map<String, Value> {
        &self.envelope
    }

    /// The document that the whole answer would be, with the rows of this page alone.
    #[must_use]
    pub fn into_document(self) -> Map<String, Value> {
        let mut document = self.envelope;
        document.insert(self.list.to_owned(), Value::Array(self.rows));
        document.extend(self.summary);
        document
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::Cell;
    use super::*;

    #[derive(Serialize)]
    struct Number(u64);

    impl Row for Number {
        fn cells(&self) -> Vec<Vec<Cell<'_>>> {
            vec![vec![self.0.into()]]
        }
    }

    /// The page of an answer of `total` rows, and how many of them were asked for before it ended.
    fn page(total: u64, limits: PageLimits) -> (Page, u64) {
        let mut page = Page::new(limits);
        for number in 0..total {
            match page.row(&Number(number)) {
                Ok(()) => {}
                Err(OutputError::PageFull) => return (page, number + 1),
                Err(error) => panic!("{error}"),
            }
        }
        (page, total)
    }

    // Promise: a page holds its own rows alone, whatever the length of the answer, and where nothing else would follow
    // the answer ends one row behind it.
    #[test]
    fn a_page_keeps_its_own_rows_alone() {
        for ends_when_full in [false, true] {
            for (offset, limit, expected) in
                [(0, 3, vec![0, 1, 2]), (8, 3, vec![8, 9]), (10, 3, vec![])]
            {
                let (page, asked) = page(10, PageLimits { offset, limit, ends_when_full });
                assert_eq!(page.rows(), expected);
                assert_eq!(page.next_offset(), (offset == 0).then_some(3));
                assert_eq!(asked, if ends_when_full && offset == 0 { 4 } else { 10 });
            }
            let (page, _) = page(3, PageLimits { offset: 0, limit: 3, ends_when_full });
            assert_eq!((page.rows().len(), page.next_offset()), (3, None), "just full");
        }
    }
}
