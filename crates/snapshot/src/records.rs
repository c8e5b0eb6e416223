//! Collects the lines that the rows of a page are translated into.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::buffers::{Buffer, Buffers};
use crate::json;
use crate::resource::Dataset;
use serde::Serialize;

/// NDJSON lines of one page, by dataset.
///
/// Only the datasets chosen at the start are kept. When `/organization_roles` is read just to resolve role keys, roles
/// are translated as usual, but their lines are dropped.
#[derive(Debug)]
pub struct Records {
    /// One entry for each of [`Dataset::ALL`]; `None` for a dataset that is not kept.
    lines: [Option<Lines>; Dataset::ALL.len()],
    /// Role keys that no role has, with the number of memberships that have each.
    pub unresolved_role_keys: BTreeMap<String, u64>,
    /// Whether `raw` of the latest row is `null` because secrets could not be removed from it.
    pub raw_is_unreadable: bool,
}

#[derive(Debug)]
struct Lines {
    bytes: Buffer,
    /// End of each line in `bytes`, after its `\n`.
    ends: Vec<usize>,
}

impl Records {
    /// An empty collection that keeps only lines of the datasets in `kept`.
    pub fn new(kept: &[Dataset]) -> Self {
        Self::in_buffers(kept, &Buffers::default())
    }

    /// Like [`new`](Self::new), with buffers that are reused after the lines are dropped.
    pub fn in_buffers(kept: &[Dataset], buffers: &Buffers) -> Self {
        let mut lines = [const { None }; Dataset::ALL.len()];
        for &dataset in kept {
            let mut bytes = buffers.take();
            bytes.clear();
            lines[dataset as usize] = Some(Lines { bytes, ends: Vec::new() });
        }
        Self { lines, unresolved_role_keys: BTreeMap::new(), raw_is_unreadable: false }
    }

    /// Whether lines of `dataset` are kept.
    pub fn keeps(&self, dataset: Dataset) -> bool {
        self.lines[dataset as usize].is_some()
    }

    /// Appends one line, or drops it if `dataset` is not kept.
    #[expect(
        clippy::expect_used,
        reason = "records are structs of strings, numbers and JSON that was already read: writing \
                  them to memory cannot fail"
    )]
    pub fn push<R: Serialize>(&mut self, dataset: Dataset, record: &R) {
        let Some(lines) = &mut self.lines[dataset as usize] else {
            return;
        };
        json::write(record, &mut lines.bytes).expect("a record is JSON");
        lines.bytes.push(b'\n');
        lines.ends.push(lines.bytes.len());
    }

    /// The lines of `dataset`, each with its `\n`, in the order in which they were added.
    pub fn lines(&self, dataset: Dataset) -> impl Iterator<Item = &[u8]> {
        self.lines[dataset as usize].iter().flat_map(|lines| {
            let starts = std::iter::once(0).chain(lines.ends.iter().copied());
            starts.zip(&lines.ends).map(|(start, &end)| &lines.bytes[start..end])
        })
    }

    /// All lines of `dataset`, concatenated.
    pub fn bytes(&self, dataset: Dataset) -> &[u8] {
        self.lines[dataset as usize].as_ref().map_or(&[], |lines| &lines.bytes)
    }

    /// The lines of `dataset` in `range`, concatenated; empty if there are not that many.
    pub fn bytes_of(&self, dataset: Dataset, range: Range<usize>) -> &[u8] {
        let Some(lines) = &self.lines[dataset as usize] else { return &[] };
        // A line begins where the line before it ends.
        let begin = |line: usize| match line.checked_sub(1) {
            None => Some(0),
            Some(before) => lines.ends.get(before).copied(),
        };
        let bytes = begin(range.start).zip(begin(range.end));
        bytes.and_then(|(start, end)| lines.bytes.get(start..end)).unwrap_or_default()
    }

    /// Number of lines of `dataset`.
    pub fn count(&self, dataset: Dataset) -> u64 {
        self.lines[dataset as usize].as_ref().map_or(0, |lines| lines.ends.len() as u64)
    }

    /// Size of all lines of all datasets, in bytes.
    pub fn size(&self) -> usize {
        self.lines.iter().flatten().map(|lines| lines.bytes.len()).sum()
    }

    /// Releases spare capacity, which can be as much as the lines take.
    pub fn shrink(&mut self) {
        for lines in self.lines.iter_mut().flatten() {
            lines.bytes.shrink_to_fit();
            lines.ends.shrink_to_fit();
        }
    }

    /// Removes all lines and counts, but keeps the choice of datasets and the memory.
    pub fn clear(&mut self) {
        for lines in self.lines.iter_mut().flatten() {
            lines.bytes.clear();
            lines.ends.clear();
        }
        self.unresolved_role_keys.clear();
        self.raw_is_unreadable = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_were_pushed() {
        let mut records = Records::new(&[Dataset::Users, Dataset::Grants]);
        records.push(Dataset::Users, &"a\nb");
        records.push(Dataset::Users, &2);
        records.push(Dataset::Grants, &3);

        let users: Vec<_> = records.lines(Dataset::Users).collect();
        assert_eq!(users, [&b"\"a\\nb\"\n"[..], b"2\n"]);
        assert_eq!(records.bytes(Dataset::Users), b"\"a\\nb\"\n2\n");
        assert_eq!(records.bytes_of(Dataset::Users, 0..1), b"\"a\\nb\"\n");
        assert_eq!(records.bytes_of(Dataset::Users, 1..2), b"2\n");
        assert_eq!(records.bytes_of(Dataset::Users, 0..2), records.bytes(Dataset::Users));
        assert_eq!(records.bytes_of(Dataset::Users, 1..1), b"");
        assert_eq!(records.bytes_of(Dataset::Users, 1..3), b"");
        assert_eq!(records.bytes_of(Dataset::Organizations, 0..1), b"");
        assert_eq!(records.count(Dataset::Users), 2);
        assert_eq!(records.bytes(Dataset::Grants), b"3\n");
    }

    // Promise: reading a list for another resource does not write its dataset.
    #[test]
    fn a_dataset_that_is_not_kept_stays_empty() {
        let mut records = Records::new(&[Dataset::Users]);
        assert!(!records.keeps(Dataset::OrganizationRoles));
        records.push(Dataset::OrganizationRoles, &1);
        assert_eq!(records.lines(Dataset::OrganizationRoles).count(), 0);
        assert_eq!(records.bytes(Dataset::OrganizationRoles), b"");
        assert_eq!(records.count(Dataset::OrganizationRoles), 0);
    }

    #[test]
    fn clearing_keeps_the_choice_of_datasets() {
        let mut records = Records::new(&[Dataset::Users]);
        records.push(Dataset::Users, &1);
        records.unresolved_role_keys.insert("org:gone".to_owned(), 1);
        records.clear();
        assert_eq!(records.count(Dataset::Users), 0);
        assert_eq!(records.bytes(Dataset::Users), b"");
        assert!(records.unresolved_role_keys.is_empty());
        records.push(Dataset::Users, &2);
        assert_eq!(records.bytes(Dataset::Users), b"2\n");
    }
}
