//! The lines that a page of rows becomes.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::buffers::{Buffer, Buffers};
use crate::json;
use crate::resource::Dataset;
use serde::Serialize;

/// NDJSON lines of one page, by dataset.
///
/// Only the datasets named when it was made are kept: reading `/organization_roles` to resolve role
/// keys translates the roles as ever, and writes none of their lines.
#[derive(Debug)]
pub struct Records {
    /// One place for each of [`Dataset::ALL`]; `None` for a dataset that is not kept.
    lines: [Option<Lines>; Dataset::ALL.len()],
    /// How many memberships named a role key that no role has, by key.
    pub unresolved_role_keys: BTreeMap<String, u64>,
    /// Whether `raw` of the newest row is `null` because it could hold what must not be written.
    pub raw_is_unreadable: bool,
}

#[derive(Debug)]
struct Lines {
    bytes: Buffer,
    /// Where each line ends in `bytes`, behind its `\n`.
    ends: Vec<usize>,
}

impl Records {
    /// No lines yet; those of other datasets than `kept` will be dropped.
    pub fn new(kept: &[Dataset]) -> Self {
        Self::in_buffers(kept, &Buffers::default())
    }

    /// As [`new`](Self::new), in buffers that are used again when the lines are dropped.
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

    /// Adds one line, or nothing if `dataset` is not kept.
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

    /// Each line of `dataset` with its `\n`, in the order of pushing.
    pub fn lines(&self, dataset: Dataset) -> impl Iterator<Item = &[u8]> {
        self.lines[dataset as usize].iter().flat_map(|lines| {
            let starts = std::iter::once(0).chain(lines.ends.iter().copied());
            starts.zip(&lines.ends).map(|(start, &end)| &lines.bytes[start..end])
        })
    }

    /// All lines of `dataset`, one after the other.
    pub fn bytes(&self, dataset: Dataset) -> &[u8] {
        self.lines[dataset as usize].as_ref().map_or(&[], |lines| &lines.bytes)
    }

    /// The lines of `dataset` from the first to before the last of `range`, one after the other;
    /// none when there are not so many.
    pub fn bytes_of(&self, dataset: Dataset, range: Range<usize>) -> &[u8] {
        let Some(lines) = &self.lines[dataset as usize] else { return &[] };
        // Where the line of an index begins is where the one before it ends.
        let begin = |line: usize| match line.checked_sub(1) {
            None => Some(0),
            Some(before) => lines.ends.get(before).copied(),
        };
        let bytes = begin(range.start).zip(begin(range.end));
        bytes.and_then(|(start, end)| lines.bytes.get(start..end)).unwrap_or_default()
    }

    /// How many lines `dataset` has.
    pub fn count(&self, dataset: Dataset) -> u64 {
        self.lines[dataset as usize].as_ref().map_or(0, |lines| lines.ends.len() as u64)
    }

    /// All lines of all datasets together, in bytes.
    pub fn size(&self) -> usize {
        self.lines.iter().flatten().map(|lines| lines.bytes.len()).sum()
    }

    /// Gives back memory that was taken ahead and is not needed: up to as much as the lines take.
    pub fn shrink(&mut self) {
        for lines in self.lines.iter_mut().flatten() {
            lines.bytes.shrink_to_fit();
            lines.ends.shrink_to_fit();
        }
    }

    /// Forgets lines and counts; what is kept stays the same, and so does the memory.
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

    // Promise: reading a list for another resource's sake does not write its dataset.
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
    fn clearing_keeps_what_is_kept() {
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
