//! Reports what differs: reads the parts with such lines again, and hands out records in the order of the ids' hashes.

use super::batch::{Batch, Item, Outcome};
use super::causes::Causes;
use super::change::Change;
use super::class::Classes;
use super::cursor::Cursor;
use super::differences::{Differences, Side};
use super::draft::{Draft, DraftError, Drafts};
use super::error::CompareError;
use super::find::{Sides, behind, is_excluded};
use super::record::{IdFinder, Record};
use super::sink::Sink;
use super::summary::Tally;
use crate::layout;
use crate::reader::{Damage, ReadError};

/// What a report needs besides the lines.
pub(super) struct Report<'a, 'b> {
    pub(super) sides: Sides<'a>,
    pub(super) drafts: Drafts<'a>,
    /// The classes whose records are handed out. Without any, only [`Causes`] are noted.
    pub(super) classes: Classes,
    pub(super) causes: &'b mut Causes,
    /// Whether what is added and removed is still to be noted in `causes`.
    pub(super) notes_causes: bool,
    pub(super) tally: &'b mut Tally,
}

impl Report<'_, '_> {
    /// Hands out a record for everything that differs.
    pub(super) async fn run(
        mut self,
        differences: &mut Differences,
        sink: &mut dyn Sink,
    ) -> Result<(), CompareError> {
        let mut start = Some(0);
        while let Some(begin) = start {
            let range = differences.range(begin, self.sides.limits.entries)?;
            let limit = self.sides.limits.held_bytes;
            // Of several lines with one id the last one counts, so all parts are read.
            let repeats = self.drafts.dataset.may_repeat_ids();
            let mut batch = Batch::new(range.entries, range.next, limit, repeats);
            self.fill(&mut batch, sink).await?;
            let (items, next) = batch.finish();
            for (hash, items) in items {
                for item in items {
                    self.hand_out(hash, item, sink).await?;
                }
            }
            start = next;
        }
        Ok(())
    }

    /// Reads the parts that the batch needs.
    async fn fill(&mut self, batch: &mut Batch, sink: &mut dyn Sink) -> Result<(), CompareError> {
        let dataset = self.drafts.dataset;
        let ids = IdFinder::new(dataset);
        let places = Side::BOTH.map(|side| match dataset.may_repeat_ids() {
            true if batch.places(side).is_empty() && batch.places(side.other()).is_empty() => {
                Vec::new()
            }
            true => {
                (0_u32..).zip(self.sides.of(side).parts(dataset)).map(|(place, _)| place).collect()
            }
            false => batch.places(side),
        });
        let mut cursors = self.sides.cursors(dataset, places);
        let mut is_at_end = [false; 2];
        while is_at_end != [true; 2] {
            let side = behind(is_at_end, |side| batch.waiting(side));
            let cursor = &mut cursors[side as usize];
            if !cursor.open().await? {
                is_at_end[side as usize] = true;
                continue;
            }
            if !self.read_some(cursor, &ids, batch)? && sink.is_stopped() {
                return Err(CompareError::Stopped);
            }
        }
        Ok(())
    }

    /// Reads lines until one is taken. Returns `false` at the end of the part.
    fn read_some(
        &mut self,
        cursor: &mut Cursor<'_>,
        ids: &IdFinder,
        batch: &mut Batch,
    ) -> Result<bool, CompareError> {
        let (side, dataset) = (cursor.side, self.drafts.dataset);
        loop {
            let Some((_, line)) = cursor.next_line()? else { return Ok(false) };
            match self.offer(side, line, ids, batch) {
                Ok(false) => {}
                Ok(true) => return Ok(true),
                Err(DraftError::NotARecord) => return Err(cursor.not_a_record(dataset).into()),
                Err(DraftError::Compare(error)) => return Err(error),
            }
        }
    }

    /// Gives the batch a line if it wants it. Returns whether it does.
    fn offer(
        &mut self,
        side: Side,
        line: &[u8],
        ids: &IdFinder,
        batch: &mut Batch,
    ) -> Result<bool, DraftError> {
        let id = ids.find(line)?;
        let hash = self.sides.hashes.of_id(&id);
        let is_wanted = batch.wants(side, hash, || self.sides.hashes.of_line(line));
        if !is_wanted || is_excluded(self.drafts.dataset, &self.drafts.verdict.excluded, line)? {
            return Ok(false);
        }
        // While it is known which line it is, for the error.
        Record::parse(line)?;
        if let Some(item) = batch.take(side, hash, &id, line) {
            let lines = [item.lines[0].as_deref(), item.lines[1].as_deref()];
            let outcome = self.outcome(lines)?;
            batch.settle(hash, &id, outcome);
        }
        batch.shrink();
        Ok(true)
    }

    fn outcome(&mut self, lines: [Option<&[u8]>; 2]) -> Result<Option<Outcome>, DraftError> {
        let hashes = self.sides.hashes;
        let hash = |id: &str| (hashes.of_id(id.as_bytes()), hashes.of_line(id.as_bytes()));
        Ok(match self.drafts.draft(lines, self.causes, hash)? {
            Draft::Nothing => None,
            Draft::Record { op, class, line } => {
                Some(Outcome { op, line: self.classes.has(class).then_some(line) })
            }
        })
    }

    /// The error for a line that is no longer at hand.
    fn not_a_record(&self) -> CompareError {
        let (snapshot, dataset) = (self.sides.to, self.drafts.dataset);
        let key = format!("{}{dataset}/", layout::snapshot_folder(snapshot.id()));
        let problem = Damage::NotARecord { line: 0, dataset };
        ReadError::Damaged { url: snapshot.source().url_of(&key), problem }.into()
    }

    /// Notes what happened to an id, and hands out its record if it was asked for.
    async fn hand_out(
        &mut self,
        hash: u64,
        item: Item,
        sink: &mut dyn Sink,
    ) -> Result<(), CompareError> {
        let outcome = if item.is_done {
            item.outcome
        } else {
            // Its line on the other side did not come: two ids share a hash, or a side has the id on several lines.
            let lines = [item.lines[0].as_deref(), item.lines[1].as_deref()];
            match self.outcome(lines) {
                Ok(outcome) => outcome,
                Err(DraftError::Compare(error)) => return Err(error),
                Err(DraftError::NotARecord) => return Err(self.not_a_record()),
            }
        };
        let Some(Outcome { op, line }) = outcome else { return Ok(()) };
        if self.notes_causes {
            let check = self.sides.hashes.of_line(&item.id);
            self.causes.note(self.drafts.dataset, op, (hash, check))?;
        }
        let Some(line) = line else { return Ok(()) };
        let change: Change<'_> =
            serde_json::from_slice(&line).map_err(|error| CompareError::Sink(error.into()))?;
        self.tally.count(&change);
        sink.change(&change, &line).await.map_err(CompareError::Sink)?;
        if sink.is_stopped() { Err(CompareError::Stopped) } else { Ok(()) }
    }
}
