//! Finds what differs: reads both sides once, and keeps hashes of lines without a partner.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::differences::{Differences, Side, Unmatched};
use super::error::CompareError;
use super::hash::Hashes;
use super::limits::Limits;
use super::record::{IdFinder, NotARecord, Record};
use super::sink::Sink;
use super::verdict::Verdict;
use crate::digest::Sha256Hex;
use crate::part::Part;
use crate::reader::Snapshot;
use crate::resource::{Dataset, Resource};

/// The two snapshots, and what both passes over them share.
#[derive(Clone, Copy)]
pub(super) struct Sides<'a> {
    pub(super) from: &'a Snapshot,
    pub(super) to: &'a Snapshot,
    pub(super) limits: &'a Limits,
    pub(super) hashes: &'a Hashes,
}

impl<'a> Sides<'a> {
    pub(super) const fn of(&self, side: Side) -> &'a Snapshot {
        match side {
            Side::From => self.from,
            Side::To => self.to,
        }
    }

    pub(super) fn cursors(&self, dataset: Dataset, places: [Vec<u32>; 2]) -> [Cursor<'a>; 2] {
        let [from, to] = places;
        [(Side::From, from), (Side::To, to)]
            .map(|(side, places)| Cursor::new(side, self.of(side), dataset, places, self.limits))
    }
}

/// Lines that are read from one side before the other side's turn is considered.
const LINES_AT_ONCE: usize = 32;

/// Reads the parts that are not on both sides, each once, and returns the lines that differ.
pub(super) async fn differences(
    sides: Sides<'_>,
    dataset: Dataset,
    verdict: &Verdict,
    sink: &mut dyn Sink,
) -> Result<Differences, CompareError> {
    let ids = IdFinder::new(dataset);
    let mut unmatched = Unmatched::new(sides.limits);
    let places = one_sided_parts(sides.from.parts(dataset), sides.to.parts(dataset));
    let mut cursors = sides.cursors(dataset, places);
    let mut is_at_end = [false; 2];
    while is_at_end != [true; 2] {
        let side = behind(is_at_end, |side| unmatched.waiting(side));
        let cursor = &mut cursors[side as usize];
        if !cursor.open().await? {
            is_at_end[side as usize] = true;
            continue;
        }
        for _ in 0..LINES_AT_ONCE {
            let Some((place, line)) = cursor.next_line()? else {
                if sink.is_stopped() {
                    return Err(CompareError::Stopped);
                }
                break;
            };
            match entry(sides.hashes, &ids, dataset, &verdict.excluded, line) {
                Ok(None) => {}
                Ok(Some((id, line))) => unmatched.add(side, id, line, place)?,
                Err(NotARecord) => return Err(cursor.not_a_record(dataset).into()),
            }
        }
    }
    unmatched.finish()
}

/// The side to read next: the one with less waiting, so that both are read in step and partners meet early.
pub(super) fn behind(is_at_end: [bool; 2], waiting: impl Fn(Side) -> usize) -> Side {
    match is_at_end {
        [true, _] => Side::To,
        [_, true] => Side::From,
        _ if waiting(Side::To) < waiting(Side::From) => Side::To,
        _ => Side::From,
    }
}

/// The hashes of a line; `None` for one that is left out.
fn entry(
    hashes: &Hashes,
    ids: &IdFinder,
    dataset: Dataset,
    excluded: &[Resource],
    line: &[u8],
) -> Result<Option<(u64, u64)>, NotARecord> {
    if is_excluded(dataset, excluded, line)? {
        return Ok(None);
    }
    Ok(Some((hashes.of_id(&ids.find(line)?), hashes.of_line(line))))
}

/// Whether a line comes from a resource that one side alone has.
pub(super) fn is_excluded(
    dataset: Dataset,
    excluded: &[Resource],
    line: &[u8],
) -> Result<bool, NotARecord> {
    if excluded.is_empty() {
        return Ok(false);
    }
    let section = Record::parse(line)?.section(dataset);
    Ok(section.is_some_and(|section| excluded.contains(&section)))
}

/// The places of the parts that one side has and the other has not, by their SHA-256.
fn one_sided_parts(from: &[Part], to: &[Part]) -> [Vec<u32>; 2] {
    let bytes = |part: &Part| {
        let Sha256Hex(bytes) = part.sha256;
        bytes
    };
    let mut surplus: HashMap<[u8; 32], i64> = HashMap::new();
    from.iter().for_each(|part| *surplus.entry(bytes(part)).or_default() += 1);
    to.iter().for_each(|part| *surplus.entry(bytes(part)).or_default() -= 1);
    let differs = |part: &Part| surplus.get(&bytes(part)).is_some_and(|surplus| *surplus != 0);
    [from, to].map(|parts| {
        let numbered = (0_u32..).zip(parts);
        numbered.filter(|(_, part)| differs(part)).map(|(place, _)| place).collect()
    })
}
