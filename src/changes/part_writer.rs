//! Writes the records of a feed as parts.

use async_trait::async_trait;
use clerk_snapshot::compare::Change;
use clerk_snapshot::compare::sink::{Sink, SinkError};
use clerk_snapshot::compare::summary::ChangesPart;
use clerk_snapshot::compression::Compression;
use clerk_snapshot::part::{PartBuilder, extension};
use clerk_snapshot::timestamp::Timestamp;
use clerk_store::{Condition, ContentType, Store};

use crate::time_limit::TimeLimit;

/// A part is stored once its compressed bytes reach this size: 4 MiB, as those of a snapshot.
const FULL_PART: usize = 4 * 1024 * 1024;

/// Writes the records of a feed as parts. The same records give the same parts.
pub(super) struct PartWriter<'a> {
    pub(super) store: &'a dyn Store,
    /// The folder of the feed, with a trailing slash.
    pub(super) folder: String,
    pub(super) compression: Compression,
    /// When the snapshot was complete that the records lead to.
    pub(super) completed_at: Timestamp,
    pub(super) limit: &'a TimeLimit,
    pub(super) open: Option<PartBuilder>,
    pub(super) written: Vec<ChangesPart>,
}

impl PartWriter<'_> {
    /// Stores what is left, and returns all parts.
    pub(super) async fn finish(mut self) -> Result<Vec<ChangesPart>, SinkError> {
        self.store_part().await?;
        Ok(self.written)
    }

    async fn store_part(&mut self) -> Result<(), SinkError> {
        let Some(part) = self.open.take().map(PartBuilder::finish).transpose()?.flatten() else {
            return Ok(());
        };
        let key = format!("part-{:05}.{}", self.written.len(), extension(self.compression));
        let stored = ChangesPart {
            records: part.records,
            bytes: part.bytes.len() as u64,
            sha256: part.sha256,
            key,
        };
        let key = format!("{}{}", self.folder, stored.key);
        self.store.put(&key, part.bytes, ContentType::Ndjson, Condition::Any).await?;
        self.written.push(stored);
        Ok(())
    }
}

#[async_trait]
impl Sink for PartWriter<'_> {
    async fn change(&mut self, _: &Change<'_>, line: &[u8]) -> Result<(), SinkError> {
        let part = match &mut self.open {
            Some(part) => part,
            none => none.insert(PartBuilder::new(self.compression)?),
        };
        part.add_lines(line, (self.completed_at, self.completed_at))?;
        if part.size() >= FULL_PART { self.store_part().await } else { Ok(()) }
    }

    fn is_stopped(&self) -> bool {
        self.limit.exceeded().is_some()
    }
}
