//! Picks rows in order, in bounded memory, from data that come in any order.
//!
//! A million rows with their names do not fit into the memory that the program allows itself. So rows are picked in
//! batches: a batch keeps the first that fit and drops the others, which a further reading of the same data picks.

use std::cmp::Ordering;

use crate::names;
use crate::texts::Texts;

/// Most bytes that a batch takes.
pub const MAX_BYTES: usize = 24 * 1024 * 1024;

/// The first rows of those that were pushed, in the order by rank, then name, then id.
#[derive(Debug)]
pub struct Ranked<T> {
    entries: Vec<Entry<T>>,
    texts: Texts,
    /// Bytes that belong to the entries and are stored elsewhere.
    other_bytes: usize,
    most_bytes: usize,
    /// Rows before it were picked by an earlier batch.
    lowest: Option<Place>,
    /// The first row that was dropped.
    dropped: Option<Place>,
}

/// A row that was picked.
#[derive(Debug, Clone, Copy)]
struct Entry<T> {
    rank: u32,
    name: u32,
    id: u32,
    note: u32,
    other_bytes: u32,
    value: T,
}

/// Where a row stands in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    rank: u32,
    name: String,
    id: String,
}

/// A row in its place.
#[derive(Debug, Clone, Copy)]
pub struct Picked<'a, T> {
    /// Its rank.
    pub rank: u32,
    /// Its name.
    pub name: &'a str,
    /// Its id.
    pub id: &'a str,
    /// A further text.
    pub note: &'a str,
    /// What belongs to it.
    pub value: T,
}

impl<T: Copy> Ranked<T> {
    /// A batch of at most `most_bytes` that begins at `lowest`, or with the very first row.
    #[must_use]
    pub fn new(most_bytes: usize, lowest: Option<Place>) -> Self {
        Self {
            entries: Vec::new(),
            texts: Texts::default(),
            other_bytes: 0,
            most_bytes,
            lowest,
            dropped: None,
        }
    }

    /// Adds a row, by name, id and a further text, if it belongs to this batch. `other_bytes` is what the caller will
    /// store for it elsewhere.
    pub fn push(
        &mut self,
        rank: u32,
        (name, id, note): (&str, &str, &str),
        value: T,
        other_bytes: u32,
    ) {
        let is_before = |place: &Place| place.compare(rank, name, id).is_gt();
        if self.lowest.as_ref().is_some_and(is_before)
            || self.dropped.as_ref().is_some_and(|place| !is_before(place))
        {
            return;
        }
        let [name, id, note] = [name, id, note].map(|text| self.texts.push(text));
        self.entries.push(Entry { rank, name, id, note, other_bytes, value });
        self.other_bytes += other_bytes as usize;
        if self.size() > self.most_bytes {
            self.drop_half();
        }
    }

    /// Puts the rows in order. Returns the place at which the next batch begins; `None` if this one is the last.
    pub fn finish(&mut self) -> Option<Place> {
        self.sort();
        self.dropped.take()
    }

    /// The rows; in order after [`finish`](Self::finish).
    pub fn iter(&self) -> impl Iterator<Item = Picked<'_, T>> {
        self.entries.iter().map(|entry| Picked {
            rank: entry.rank,
            name: self.texts.get(entry.name),
            id: self.texts.get(entry.id),
            note: self.texts.get(entry.note),
            value: entry.value,
        })
    }

    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    const fn size(&self) -> usize {
        self.texts.size() + self.entries.len() * size_of::<Entry<T>>() + self.other_bytes
    }

    fn sort(&mut self) {
        let texts = &self.texts;
        self.entries.sort_by(|one, other| {
            let by_name = || names::compare(texts.get(one.name), texts.get(other.name));
            one.rank
                .cmp(&other.rank)
                .then_with(by_name)
                .then_with(|| texts.get(one.id).cmp(texts.get(other.id)))
        });
    }

    /// Keeps the first half of the rows, at least one, so that each batch gets on.
    fn drop_half(&mut self) {
        self.sort();
        let kept = self.entries.len().div_ceil(2);
        let Some(first) = self.entries.get(kept) else { return };
        self.dropped = Some(Place {
            rank: first.rank,
            name: self.texts.get(first.name).to_owned(),
            id: self.texts.get(first.id).to_owned(),
        });
        let texts = std::mem::take(&mut self.texts);
        self.entries.truncate(kept);
        self.other_bytes = 0;
        for entry in &mut self.entries {
            entry.name = self.texts.push(texts.get(entry.name));
            entry.id = self.texts.push(texts.get(entry.id));
            entry.note = self.texts.push(texts.get(entry.note));
            self.other_bytes += entry.other_bytes as usize;
        }
    }
}

impl Place {
    /// The order of this place and that of another row.
    fn compare(&self, rank: u32, name: &str, id: &str) -> Ordering {
        self.rank
            .cmp(&rank)
            .then_with(|| names::compare(&self.name, name))
            .then_with(|| self.id.as_str().cmp(id))
    }

    /// The rank.
    #[must_use]
    pub const fn rank(&self) -> u32 {
        self.rank
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (u32, String, String, u32);

    fn rows() -> Vec<Row> {
        let names = ["Zoe", "ada", "Ada", "Émile", "", "Bob"];
        (0..3000u32)
            .map(|number| {
                // A fixed permutation: neighbours come from all over.
                let number = number * 1_201 % 3_000;
                let name = names[number as usize % names.len()];
                (number % 3, name.to_owned(), format!("id_{number}"), number)
            })
            .collect()
    }

    // Promise: however little memory there is, the batches together give every row once, in order.
    #[test]
    fn batches_of_any_size_give_every_row_once_and_in_order() {
        let rows = rows();
        let mut expected = rows.clone();
        expected.sort_by_key(|(rank, name, id, _)| (*rank, names::folded(name), id.clone()));
        for (most_bytes, fewest_batches) in [(usize::MAX, 1), (20_000, 4), (2_000, 40), (1, 3000)] {
            let (mut lowest, mut all, mut batches) = (None, Vec::new(), 0);
            loop {
                let mut ranked = Ranked::new(most_bytes, lowest);
                for (rank, name, id, value) in &rows {
                    ranked.push(*rank, (name, id, ""), *value, 16);
                    assert!(ranked.size() <= most_bytes || ranked.len() == 1);
                }
                lowest = ranked.finish();
                batches += 1;
                all.extend(
                    ranked
                        .iter()
                        .map(|row| (row.rank, row.name.to_owned(), row.id.to_owned(), row.value)),
                );
                if lowest.is_none() {
                    break;
                }
            }
            assert_eq!(all, expected, "{most_bytes}");
            assert!(batches >= fewest_batches, "{batches} batches of {most_bytes}");
        }
    }
}
