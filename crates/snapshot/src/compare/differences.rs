//! Hashes of the lines that one side has and the other has not.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::PathBuf;

use super::error::CompareError;
use super::limits::Limits;
use super::scratch::Scratch;

/// A side of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The snapshot that changes are counted from.
    From,
    /// The snapshot that they lead to.
    To,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::From, Self::To];

    pub(super) const fn other(self) -> Self {
        match self {
            Self::From => Self::To,
            Self::To => Self::From,
        }
    }
}

/// A line that one side has more often than the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Hash of the line's id.
    pub(super) id: u64,
    /// Hash of the line.
    pub(super) line: u64,
    /// How many more lines FROM has; negative if TO has more.
    pub(super) surplus: i32,
    /// One of the parts that the line is in, by its place in the manifest.
    pub(super) part: u32,
}

impl Entry {
    pub(super) const fn side(&self) -> Side {
        if self.surplus > 0 { Side::From } else { Side::To }
    }
}

/// The lines seen so far whose partner on the other side was not.
///
/// If both sides are read in step, a line's partner follows soon after, so it stays small however large the dataset is.
/// Past the limit, what it holds goes to the temporary file.
#[derive(Debug)]
pub(super) struct Unmatched {
    lines: HashMap<(u64, u64), (i32, u32), BuildHasherDefault<AlreadyHashed>>,
    counts: [usize; 2],
    limit: usize,
    folder: Option<PathBuf>,
    spilled: Option<Runs>,
}

/// Takes what is already a hash as it is.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        // Keys are numbers alone.
    }

    fn write_u64(&mut self, hash: u64) {
        // The last one counts: it is the one with random keys.
        self.0 = hash;
    }
}

impl Unmatched {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            lines: HashMap::default(),
            counts: [0; 2],
            limit: limits.entries.max(1),
            folder: limits.temporary_folder.clone(),
            spilled: None,
        }
    }

    /// Lines of one side that wait for their partner, not counting those in the file.
    pub(super) const fn waiting(&self, side: Side) -> usize {
        self.counts[side as usize]
    }

    pub(super) fn add(
        &mut self,
        side: Side,
        id: u64,
        line: u64,
        part: u32,
    ) -> Result<(), CompareError> {
        use std::collections::hash_map::Entry::{Occupied, Vacant};
        let step = if side == Side::From { 1 } else { -1 };
        match self.lines.entry((id, line)) {
            Vacant(vacant) => {
                vacant.insert((step, part));
                self.counts[side as usize] += 1;
            }
            Occupied(mut occupied) => {
                let (surplus, place) = occupied.get_mut();
                let adds = surplus.signum() == step;
                *surplus += step;
                if adds {
                    *place = part;
                    self.counts[side as usize] += 1;
                } else {
                    self.counts[side.other() as usize] -= 1;
                    if *surplus == 0 {
                        occupied.remove();
                    }
                }
            }
        }
        if self.lines.len() > self.limit { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), CompareError> {
        let mut entries = take_entries(&mut self.lines);
        entries.sort_unstable();
        self.counts = [0; 2];
        let runs = match &mut self.spilled {
            Some(runs) => runs,
            None => self.spilled.insert(Runs::create(self.folder.as_deref())?),
        };
        runs.append(&entries)
    }

    /// What differs, when both sides were read.
    pub(super) fn finish(mut self) -> Result<Differences, CompareError> {
        if self.spilled.is_some() {
            self.spill()?;
        }
        match self.spilled {
            Some(runs) => Ok(Differences::Spilled(runs)),
            None => {
                let mut entries = take_entries(&mut self.lines);
                entries.sort_unstable();
                Ok(Differences::Memory(entries))
            }
        }
    }
}

fn take_entries(
    lines: &mut HashMap<(u64, u64), (i32, u32), BuildHasherDefault<AlreadyHashed>>,
) -> Vec<Entry> {
    let entry = |((id, line), (surplus, part))| Entry { id, line, surplus, part };
    std::mem::take(lines).into_iter().map(entry).collect()
}

/// Everything that differs in a dataset, by the hash of the id.
#[derive(Debug)]
pub(super) enum Differences {
    Memory(Vec<Entry>),
    Spilled(Runs),
}

/// The entries whose hash of the id is in a range.
#[derive(Debug)]
pub(super) struct Range {
    /// In ascending order.
    pub(super) entries: Vec<Entry>,
    /// Where the next range begins; `None` if this is the last one.
    pub(super) next: Option<u64>,
}

impl Differences {
    /// Whether an id may be on one side only.
    pub(super) fn may_add_or_remove(&self) -> bool {
        match self {
            Self::Memory(entries) => entries.chunk_by(|one, next| one.id == next.id).any(|group| {
                Side::BOTH.iter().any(|&side| group.iter().all(|entry| entry.side() == side))
            }),
            Self::Spilled(_) => true,
        }
    }

    /// The entries from hash `start` on: about `most`, and all of an id.
    pub(super) fn range(&mut self, start: u64, most: usize) -> Result<Range, CompareError> {
        match self {
            Self::Memory(entries) => {
                let begin = entries.partition_point(|entry| entry.id < start);
                let mut end = entries.len().min(begin + most.max(1));
                while end < entries.len() && end > 0 && entries[end].id == entries[end - 1].id {
                    end += 1;
                }
                let next = entries.get(end).map(|entry| entry.id);
                Ok(Range { entries: entries[begin..end].to_vec(), next })
            }
            Self::Spilled(runs) => runs.range(start, most),
        }
    }
}

/// The file is divided by the first bits of the hashes, so that a piece of all runs is sorted in memory at a time.
const PIECE_BITS: u32 = 8;
const PIECES: usize = 1 << PIECE_BITS;
/// Bytes of an entry in the file.
const ENTRY_BYTES: usize = 24;

/// Sorted runs of entries in the temporary file.
#[derive(Debug)]
pub(super) struct Runs {
    scratch: Scratch,
    /// Of each run, where its pieces begin, and where the last one ends.
    runs: Vec<Vec<u64>>,
}

const fn piece_of(hash: u64) -> usize {
    (hash >> (u64::BITS - PIECE_BITS)) as usize
}

impl Runs {
    fn create(folder: Option<&std::path::Path>) -> Result<Self, CompareError> {
        Ok(Self { scratch: Scratch::create(folder)?, runs: Vec::new() })
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), CompareError> {
        let mut bounds = Vec::with_capacity(PIECES + 1);
        let (mut begin, mut bytes) = (0, Vec::new());
        for piece in 0..PIECES {
            let length = entries[begin..].partition_point(|entry| piece_of(entry.id) <= piece);
            bytes.clear();
            entries[begin..begin + length].iter().for_each(|entry| write_entry(entry, &mut bytes));
            let place = self.scratch.append(&bytes)?;
            bounds.push(place);
            if piece == PIECES - 1 {
                bounds.push(place + bytes.len() as u64);
            }
            begin += length;
        }
        self.runs.push(bounds);
        Ok(())
    }

    fn range(&mut self, start: u64, most: usize) -> Result<Range, CompareError> {
        let mut entries = Vec::new();
        for piece in piece_of(start)..PIECES {
            let mut own = self.piece(piece)?;
            own.retain(|entry| entry.id >= start);
            entries.append(&mut own);
            if entries.len() >= most && piece + 1 < PIECES {
                let next = Some(((piece + 1) as u64) << (u64::BITS - PIECE_BITS));
                return Ok(Range { entries, next });
            }
        }
        Ok(Range { entries, next: None })
    }

    /// The entries of one piece of all runs, less those that have their partner in another run.
    fn piece(&mut self, piece: usize) -> Result<Vec<Entry>, CompareError> {
        let mut bytes = Vec::new();
        for bounds in &self.runs {
            let length = (bounds[piece + 1] - bounds[piece]) as usize;
            self.scratch.read(bounds[piece], length, &mut bytes)?;
        }
        let (chunks, _) = bytes.as_chunks::<ENTRY_BYTES>();
        let mut entries: Vec<_> = chunks.iter().map(read_entry).collect();
        drop(bytes);
        entries.sort_unstable();
        let mut summed: Vec<Entry> = Vec::new();
        for entry in entries {
            match summed.last_mut() {
                Some(last) if (last.id, last.line) == (entry.id, entry.line) => {
                    last.surplus += entry.surplus;
                    if last.surplus.signum() == entry.surplus.signum() {
                        last.part = entry.part;
                    }
                }
                _ => summed.push(entry),
            }
        }
        summed.retain(|entry| entry.surplus != 0);
        Ok(summed)
    }
}

fn write_entry(entry: &Entry, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&entry.id.to_le_bytes());
    bytes.extend_from_slice(&entry.line.to_le_bytes());
    bytes.extend_from_slice(&entry.surplus.to_le_bytes());
    bytes.extend_from_slice(&entry.part.to_le_bytes());
}

fn read_entry(bytes: &[u8; ENTRY_BYTES]) -> Entry {
    let number = |begin: usize| {
        bytes[begin..]
            .iter()
            .take(8)
            .rev()
            .fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
    };
    let last = number(16);
    Entry { id: number(0), line: number(8), surplus: last as u32 as i32, part: (last >> 32) as u32 }
}
