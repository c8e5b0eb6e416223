//! Reads the parts of one side, line by line.

use std::collections::VecDeque;

use futures_util::stream::{BoxStream, StreamExt as _};

use super::differences::Side;
use super::limits::Limits;
use crate::reader::{Damage, PartLines, ReadError, Snapshot, VerifiedPart};
use crate::resource::Dataset;

/// Most parts that are read side by side: past it, the network is no longer what is waited for.
const MAX_AT_ONCE: usize = 16;

/// Some parts of a dataset, one after another.
pub(super) struct Cursor<'a> {
    pub(super) side: Side,
    parts: BoxStream<'a, Result<VerifiedPart, ReadError>>,
    /// The places in the manifest of the parts that follow.
    places: VecDeque<u32>,
    current: Option<(u32, PartLines)>,
}

impl<'a> Cursor<'a> {
    /// Reads the parts at these places of the manifest.
    pub(super) fn new(
        side: Side,
        snapshot: &'a Snapshot,
        dataset: Dataset,
        places: Vec<u32>,
        limits: &Limits,
    ) -> Self {
        let all = snapshot.parts(dataset);
        let chosen: Vec<_> = places.iter().filter_map(|&place| all.get(place as usize)).collect();
        let largest = chosen.iter().map(|part| part.bytes).max().unwrap_or_default().max(1);
        let at_once = usize::try_from(limits.read_ahead_bytes / largest).unwrap_or(MAX_AT_ONCE);
        let parts = snapshot.read_parts(chosen, at_once.clamp(1, MAX_AT_ONCE));
        Self { side, parts, places: places.into(), current: None }
    }

    /// Opens the next part if the one before is at its end. Returns whether there is one.
    pub(super) async fn open(&mut self) -> Result<bool, ReadError> {
        if self.current.is_some() {
            return Ok(true);
        }
        let (Some(place), Some(part)) = (self.places.pop_front(), self.parts.next().await) else {
            return Ok(false);
        };
        self.current = Some((place, part?.lines()?));
        Ok(true)
    }

    /// The next line of the open part and the part's place; `None` at its end.
    pub(super) fn next_line(&mut self) -> Result<Option<(u32, &[u8])>, ReadError> {
        let Some((place, lines)) = &mut self.current else { return Ok(None) };
        let place = *place;
        // Asked twice, because a borrow that is returned lasts to the end of the function.
        if !lines.has_next()? {
            self.current = None;
            return Ok(None);
        }
        match &mut self.current {
            Some((_, lines)) => Ok(lines.next_line()?.map(|line| (place, line))),
            None => Ok(None),
        }
    }

    /// The error for the line that was read last.
    pub(super) fn not_a_record(&self, dataset: Dataset) -> ReadError {
        let damage = |lines: &PartLines| Damage::NotARecord { line: lines.line_number(), dataset };
        match &self.current {
            Some((_, lines)) => lines.damaged(damage(lines)),
            // Never: the line was read from it.
            None => ReadError::Damaged { url: String::new(), problem: Damage::NotCompressed },
        }
    }
}
