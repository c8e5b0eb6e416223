//! Pairs the lines of both sides by id, within bounded memory.

use std::collections::BTreeMap;

use super::change::Op;
use super::differences::{Entry, Side};

/// Something that happened to an id, or nothing.
pub(super) struct Outcome {
    /// What happened.
    pub(super) op: Op,
    /// The record that was asked for, as a line.
    pub(super) line: Option<Vec<u8>>,
}

/// The lines of one id.
pub(super) struct Item {
    pub(super) id: Box<[u8]>,
    /// The line of each side, until the outcome is known.
    pub(super) lines: [Option<Box<[u8]>>; 2],
    pub(super) is_done: bool,
    pub(super) outcome: Option<Outcome>,
}

/// The ids with differing lines whose hash is in a range.
///
/// If lines and records take more memory than they may, the range ends earlier, and the rest comes in a later batch.
pub(super) struct Batch {
    entries: Vec<Entry>,
    items: BTreeMap<u64, Vec<Item>>,
    /// Where the range ends, if not at the last hash.
    end: Option<u64>,
    bytes: usize,
    limit: usize,
    /// Bytes of lines of each side that wait for the other side's line.
    waiting: [usize; 2],
    /// Whether an id may be on several lines, of which the last one counts.
    repeats: bool,
}

/// What an item takes besides its lines: itself, its id, and its place in the map.
const ITEM_BYTES: usize = 192;

impl Batch {
    pub(super) fn new(entries: Vec<Entry>, next: Option<u64>, limit: usize, repeats: bool) -> Self {
        let items = BTreeMap::new();
        Self { entries, items, end: next, bytes: 0, limit, waiting: [0; 2], repeats }
    }

    /// The places of the parts that differing lines of a side are in.
    pub(super) fn places(&self, side: Side) -> Vec<u32> {
        let own = self.entries.iter().filter(|entry| entry.side() == side);
        let mut places: Vec<_> = own.map(|entry| entry.part).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    pub(super) const fn waiting(&self, side: Side) -> usize {
        self.waiting[side as usize]
    }

    /// The entries of an id's hash, if the batch is about it.
    pub(super) fn entries_of(&self, hash: u64) -> &[Entry] {
        if self.end.is_some_and(|end| hash >= end) {
            return &[];
        }
        let begin = self.entries.partition_point(|entry| entry.id < hash);
        let length = self.entries[begin..].iter().take_while(|entry| entry.id == hash).count();
        &self.entries[begin..begin + length]
    }

    /// Whether a line with these hashes is one that differs.
    pub(super) fn wants(&self, side: Side, hash: u64, line: impl FnOnce() -> u64) -> bool {
        let entries = self.entries_of(hash);
        if entries.is_empty() || self.repeats {
            return !entries.is_empty();
        }
        let line = line();
        entries.iter().any(|entry| entry.line == line && entry.side() == side)
    }

    /// Takes a line that is [wanted](Self::wants). Returns the item if nothing more can come for it.
    pub(super) fn take(
        &mut self,
        side: Side,
        hash: u64,
        id: &[u8],
        line: &[u8],
    ) -> Option<&mut Item> {
        let is_one_sided = self.entries_of(hash).iter().all(|entry| entry.side() == side);
        let items = self.items.entry(hash).or_default();
        let index = items.iter().position(|item| *item.id == *id).unwrap_or_else(|| {
            let lines = [None, None];
            items.push(Item { id: id.into(), lines, is_done: false, outcome: None });
            self.bytes += ITEM_BYTES + id.len();
            items.len() - 1
        });
        let item = &mut items[index];
        if item.is_done {
            return None;
        }
        let before = item.lines[side as usize].replace(line.into()).map_or(0, |line| line.len());
        self.bytes = self.bytes + line.len() - before;
        self.waiting[side as usize] += line.len();
        self.waiting[side as usize] -= before;
        let is_paired = item.lines.iter().all(Option::is_some);
        ((is_one_sided || is_paired) && !self.repeats).then_some(item)
    }

    /// Notes what happened to the item of an id, and frees its lines.
    pub(super) fn settle(&mut self, hash: u64, id: &[u8], outcome: Option<Outcome>) {
        let items = self.items.get_mut(&hash);
        if let Some(item) = items.and_then(|items| items.iter_mut().find(|item| *item.id == *id)) {
            for side in Side::BOTH {
                let freed = item.lines[side as usize].take().map_or(0, |line| line.len());
                self.bytes -= freed;
                self.waiting[side as usize] -= freed;
            }
            let record = outcome.as_ref().and_then(|outcome| outcome.line.as_ref());
            self.bytes += record.map_or(0, Vec::len);
            item.is_done = true;
            item.outcome = outcome;
        }
    }

    /// Ends the range earlier if there is not enough memory for all of it.
    pub(super) fn shrink(&mut self) {
        while self.bytes > self.limit && self.items.len() > 1 {
            let Some((hash, items)) = self.items.pop_last() else { return };
            self.end = Some(hash);
            for item in items {
                for side in Side::BOTH {
                    let freed = item.lines[side as usize].as_ref().map_or(0, |line| line.len());
                    self.bytes -= freed;
                    self.waiting[side as usize] -= freed;
                }
                let record = item.outcome.and_then(|outcome| outcome.line);
                self.bytes -= ITEM_BYTES + item.id.len() + record.map_or(0, |line| line.len());
            }
        }
    }

    /// The items in the order of records, and where the next range begins.
    pub(super) fn finish(mut self) -> (Vec<(u64, Vec<Item>)>, Option<u64>) {
        for items in self.items.values_mut() {
            items.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        }
        (self.items.into_iter().collect(), self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: u64) -> Vec<Entry> {
        let both =
            |id| [(1, 1), (2, -1)].map(|(line, surplus)| Entry { id, line, surplus, part: 0 });
        (0..count).flat_map(both).collect()
    }

    // Promise: memory is bounded: what does not fit is left to a later batch, the highest hashes first.
    #[test]
    fn a_batch_keeps_to_its_limit() {
        let limit = 10_000;
        let mut batch = Batch::new(entries(1000), None, limit, false);
        let line = [b'x'; 100];
        for hash in 0..1000 {
            if batch.wants(Side::From, hash, || 1) {
                assert!(
                    batch.take(Side::From, hash, b"id", &line).is_none(),
                    "its partner can still come"
                );
                batch.shrink();
            }
            assert!(batch.bytes <= limit);
        }
        let kept = batch.items.len() as u64;
        assert_eq!(
            (batch.end, batch.waiting(Side::From)),
            (Some(kept), kept as usize * line.len())
        );
        for hash in 0..1000 {
            assert_eq!(batch.wants(Side::To, hash, || 2), hash < kept);
            if hash < kept {
                assert!(batch.take(Side::To, hash, b"id", &line).is_some());
                batch.settle(hash, b"id", None);
                batch.shrink();
            }
        }
        assert_eq!((batch.waiting(Side::From), batch.waiting(Side::To)), (0, 0));
        let (items, next) = batch.finish();
        assert!(items.iter().all(|(_, items)| items.iter().all(|item| item.is_done)));
        assert_eq!((items.len() as u64, next), (kept, Some(kept)));
    }

    // Promise: however little memory there is, each batch gets at least one id done.
    #[test]
    fn a_batch_without_room_still_gets_on() {
        let mut batch = Batch::new(entries(3), None, 0, false);
        for hash in [2, 0, 1] {
            if batch.wants(Side::From, hash, || 1) {
                batch.take(Side::From, hash, b"id", b"line");
                batch.shrink();
            }
        }
        let (items, next) = batch.finish();
        assert_eq!((items.len(), items[0].0, next), (1, 0, Some(1)));
    }
}
